//! Requirements: what a client says must hold for its commit to make sense.

use crate::metadata::error::MetadataError;
use crate::metadata::json::Raw;
use crate::metadata::table::TableMetadata;
use crate::metadata::view::ViewMetadata;

use super::CommitError;

/// A requirement on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableRequirement {
    /// The table must not exist.
    AssertCreate,
    /// The table must have this identity.
    AssertTableUuid {
        /// The identity, in any spelling.
        uuid: String,
    },
    /// A branch or tag must be at this snapshot, or must not exist.
    AssertRefSnapshotId {
        /// The name of the branch or tag.
        name: String,
        /// The snapshot; `None` if the reference must not exist.
        snapshot_id: Option<i64>,
    },
    /// The highest column id given out must be this.
    AssertLastAssignedFieldId {
        /// The column id.
        last_assigned_field_id: i32,
    },
    /// The current schema must be this.
    AssertCurrentSchemaId {
        /// The schema id.
        current_schema_id: i32,
    },
    /// The highest partition field id given out must be this.
    AssertLastAssignedPartitionId {
        /// The partition field id.
        last_assigned_partition_id: i32,
    },
    /// The default partition spec must be this.
    AssertDefaultSpecId {
        /// The spec id.
        default_spec_id: i32,
    },
    /// The default sort order must be this.
    AssertDefaultSortOrderId {
        /// The order id.
        default_sort_order_id: i32,
    },
}

/// A requirement on a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewRequirement {
    /// The view must have this identity.
    AssertViewUuid {
        /// The identity, in any spelling.
        uuid: String,
    },
}

impl TableRequirement {
    /// Reads one requirement.
    pub fn parse(raw: &Raw) -> Result<TableRequirement, CommitError> {
        read_table_requirement(raw).map_err(|error| CommitError::malformed(&error))
    }
}

impl ViewRequirement {
    /// Reads one requirement.
    pub fn parse(raw: &Raw) -> Result<ViewRequirement, CommitError> {
        read_view_requirement(raw).map_err(|error| CommitError::malformed(&error))
    }
}

fn read_table_requirement(raw: &Raw) -> Result<TableRequirement, MetadataError> {
    let fields = raw.fields("requirement")?;
    let kind: String = fields.required("type")?;
    Ok(match kind.as_str() {
        "assert-create" => TableRequirement::AssertCreate,
        "assert-table-uuid" => TableRequirement::AssertTableUuid { uuid: fields.required("uuid")? },
        "assert-ref-snapshot-id" => TableRequirement::AssertRefSnapshotId {
            name: fields.required("ref")?,
            // Some clients leave the field out where the specification asks for null.
            snapshot_id: fields.optional("snapshot-id")?,
        },
        "assert-last-assigned-field-id" => TableRequirement::AssertLastAssignedFieldId {
            last_assigned_field_id: fields.required("last-assigned-field-id")?,
        },
        "assert-current-schema-id" => TableRequirement::AssertCurrentSchemaId {
            current_schema_id: fields.required("current-schema-id")?,
        },
        "assert-last-assigned-partition-id" => TableRequirement::AssertLastAssignedPartitionId {
            last_assigned_partition_id: fields.required("last-assigned-partition-id")?,
        },
        "assert-default-spec-id" => {
            TableRequirement::AssertDefaultSpecId { default_spec_id: fields.required("default-spec-id")? }
        }
        "assert-default-sort-order-id" => TableRequirement::AssertDefaultSortOrderId {
            default_sort_order_id: fields.required("default-sort-order-id")?,
        },
        other => return Err(MetadataError::malformed(format!("there is no table requirement `{other}`"))),
    })
}

fn read_view_requirement(raw: &Raw) -> Result<ViewRequirement, MetadataError> {
    let fields = raw.fields("requirement")?;
    let kind: String = fields.required("type")?;
    match kind.as_str() {
        "assert-view-uuid" => Ok(ViewRequirement::AssertViewUuid { uuid: fields.required("uuid")? }),
        other => Err(MetadataError::malformed(format!("there is no view requirement `{other}`"))),
    }
}

/// Checks that every requirement holds for the table, or for its absence.
pub fn check_requirements(
    base: Option<&TableMetadata>,
    requirements: &[TableRequirement],
) -> Result<(), CommitError> {
    let Some(base) = base else {
        let other = requirements.iter().find(|requirement| **requirement != TableRequirement::AssertCreate);
        return other.map_or(Ok(()), |other| {
            Err(CommitError::invalid(format!(
                "Invalid create requirements: [{other:?}]; a table that does not exist can only be required not to"
            )))
        });
    };
    requirements.iter().try_for_each(|requirement| check_table(base, requirement))
}

/// Checks that every requirement holds for the view.
pub fn check_view_requirements(
    base: &ViewMetadata,
    requirements: &[ViewRequirement],
) -> Result<(), CommitError> {
    for ViewRequirement::AssertViewUuid { uuid } in requirements {
        let actual = base.uuid().to_string();
        if !actual.eq_ignore_ascii_case(uuid) {
            let message = format!("view UUID does not match: expected {actual} != {uuid}");
            return Err(CommitError::RequirementFailed(message));
        }
    }
    Ok(())
}

/// The texts are those of the Java library: clients, and its compatibility kit, look for them.
fn check_table(base: &TableMetadata, requirement: &TableRequirement) -> Result<(), CommitError> {
    let failed = |message: String| Err(CommitError::RequirementFailed(message));
    let same_number = |what: &str, expected: i32, actual: i32| {
        if expected == actual {
            Ok(())
        } else {
            failed(format!("{what} changed: expected id {expected} != {actual}"))
        }
    };
    match requirement {
        TableRequirement::AssertCreate => failed("table already exists".to_owned()),
        TableRequirement::AssertTableUuid { uuid } => {
            let actual = base.uuid().map(|uuid| uuid.to_string());
            if actual.as_deref().is_some_and(|actual| actual.eq_ignore_ascii_case(uuid)) {
                return Ok(());
            }
            let actual = actual.as_deref().unwrap_or("null");
            failed(format!("UUID does not match: expected {actual} != {uuid}"))
        }
        TableRequirement::AssertRefSnapshotId { name, snapshot_id } => check_ref(base, name, *snapshot_id),
        TableRequirement::AssertLastAssignedFieldId { last_assigned_field_id } => {
            same_number("last assigned field id", *last_assigned_field_id, base.last_column_id())
        }
        TableRequirement::AssertCurrentSchemaId { current_schema_id } => {
            same_number("current schema", *current_schema_id, base.current_schema_id())
        }
        TableRequirement::AssertLastAssignedPartitionId { last_assigned_partition_id } => {
            same_number("last assigned partition id", *last_assigned_partition_id, base.last_partition_id())
        }
        TableRequirement::AssertDefaultSpecId { default_spec_id } => {
            same_number("default partition spec", *default_spec_id, base.default_spec_id())
        }
        TableRequirement::AssertDefaultSortOrderId { default_sort_order_id } => {
            same_number("default sort order", *default_sort_order_id, base.default_sort_order_id())
        }
    }
}

fn check_ref(base: &TableMetadata, name: &str, expected: Option<i64>) -> Result<(), CommitError> {
    let message = match (base.refs().get(name), expected) {
        (None, None) => return Ok(()),
        (None, Some(expected)) => format!("branch or tag {name} is missing, expected {expected}"),
        (Some(reference), None) => format!("{} {name} was created concurrently", reference.kind.as_str()),
        (Some(reference), Some(expected)) if reference.snapshot_id == expected => return Ok(()),
        (Some(reference), Some(expected)) => {
            let kind = reference.kind.as_str();
            format!("{kind} {name} has changed: expected id {expected} != {}", reference.snapshot_id)
        }
    };
    Err(CommitError::RequirementFailed(message))
}
