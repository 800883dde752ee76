//! Requirements of a commit: assertions about the current metadata that must be true for the commit to be
//! applied.

use crate::metadata::error::MetadataError;
use crate::metadata::json::Raw;
use crate::metadata::table::TableMetadata;
use crate::metadata::view::ViewMetadata;

use super::error::CommitError;

/// Requirement on a table (`TableRequirement` of the REST specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableRequirement {
    /// `assert-create`: the table must not exist.
    AssertCreate,
    /// `assert-table-uuid`: the table must have this UUID.
    AssertTableUuid {
        /// Expected `table-uuid`; compared without case.
        uuid: String,
    },
    /// `assert-ref-snapshot-id`: a branch or tag must point at this snapshot, or must not exist.
    AssertRefSnapshotId {
        /// Name of the branch or tag.
        name: String,
        /// Expected snapshot id; `None` if the ref must not exist.
        snapshot_id: Option<i64>,
    },
    /// `assert-last-assigned-field-id`: the highest assigned column id must be this.
    AssertLastAssignedFieldId {
        /// Expected `last-column-id`.
        last_assigned_field_id: i32,
    },
    /// `assert-current-schema-id`: the current schema must be this.
    AssertCurrentSchemaId {
        /// Expected `current-schema-id`.
        current_schema_id: i32,
    },
    /// `assert-last-assigned-partition-id`: the highest assigned partition field id must be this.
    AssertLastAssignedPartitionId {
        /// Expected `last-partition-id`.
        last_assigned_partition_id: i32,
    },
    /// `assert-default-spec-id`: the default partition spec must be this.
    AssertDefaultSpecId {
        /// Expected `default-spec-id`.
        default_spec_id: i32,
    },
    /// `assert-default-sort-order-id`: the default sort order must be this.
    AssertDefaultSortOrderId {
        /// Expected `default-sort-order-id`.
        default_sort_order_id: i32,
    },
}

/// Requirement on a view (`ViewRequirement` of the REST specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewRequirement {
    /// `assert-view-uuid`: the view must have this UUID.
    AssertViewUuid {
        /// Expected `view-uuid`; compared without case.
        uuid: String,
    },
}

impl TableRequirement {
    /// Parses one requirement.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, its `type` is missing or unknown, or a member of the requirement
    /// is missing or of a wrong type ([`CommitError::Malformed`]).
    pub fn parse(raw: &Raw) -> Result<TableRequirement, CommitError> {
        read_table_requirement(raw).map_err(|error| CommitError::malformed(&error))
    }
}

impl ViewRequirement {
    /// Parses one requirement.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, its `type` is missing or unknown, or a member of the requirement
    /// is missing or of a wrong type ([`CommitError::Malformed`]).
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
            // Some clients omit the member where the specification asks for `null`.
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
        other => return Err(MetadataError::malformed(format!("unknown table requirement `{other}`"))),
    })
}

fn read_view_requirement(raw: &Raw) -> Result<ViewRequirement, MetadataError> {
    let fields = raw.fields("requirement")?;
    let kind: String = fields.required("type")?;
    match kind.as_str() {
        "assert-view-uuid" => Ok(ViewRequirement::AssertViewUuid { uuid: fields.required("uuid")? }),
        other => Err(MetadataError::malformed(format!("unknown view requirement `{other}`"))),
    }
}

/// Checks that every requirement is fulfilled by the table, or by its absence if `base` is `None`.
///
/// # Errors
///
/// Fails if the table exists and does not fulfil a requirement ([`CommitError::RequirementFailed`]), or if it
/// does not exist and there is a requirement other than [`TableRequirement::AssertCreate`]
/// ([`CommitError::Invalid`]).
pub fn check_requirements(
    base: Option<&TableMetadata>,
    requirements: &[TableRequirement],
) -> Result<(), CommitError> {
    let Some(base) = base else {
        let other = requirements.iter().find(|requirement| **requirement != TableRequirement::AssertCreate);
        return other.map_or(Ok(()), |other| {
            Err(CommitError::invalid(format!(
                "Invalid create requirements: [{other:?}]; the only requirement of a table that does not exist is `assert-create`"
            )))
        });
    };
    requirements.iter().try_for_each(|requirement| check_table(base, requirement))
}

/// Checks that every requirement is fulfilled by the view.
///
/// # Errors
///
/// Fails if the view does not fulfil a requirement ([`CommitError::RequirementFailed`]).
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

/// Checks one requirement. The messages are those of the Java library: clients, and its compatibility kit,
/// look for them.
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
