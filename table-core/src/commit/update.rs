//! Updates: the changes that a commit requests, parsed from JSON (REST specification: `TableUpdate`,
//! `ViewUpdate`).

use uuid::Uuid;

use crate::metadata::error::MetadataError;
use crate::metadata::incoming;
use crate::metadata::incoming::origin::PartOrigin;
use crate::metadata::json::{Fields, Object, Raw};
use crate::metadata::partition::PartitionSpec;
use crate::metadata::properties::{self, Properties};
use crate::metadata::schema::Schema;
use crate::metadata::snapshot::{Snapshot, SnapshotRef};
use crate::metadata::sort::SortOrder;
use crate::metadata::statistics::{EncryptionKey, StatisticsFile};
use crate::metadata::view::ViewVersion;

use super::error::CommitError;

/// Placeholder id for the schema, partition spec, sort order or view version that was added last in the same
/// commit.
pub const LAST_ADDED: i32 = -1;

/// Change of a table.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of the specification's updates of the same names")]
pub enum TableUpdate {
    AssignUuid { uuid: Uuid },
    UpgradeFormatVersion { format_version: i32 },
    AddSchema { schema: Schema },
    SetCurrentSchema { schema_id: i32 },
    AddSpec { spec: PartitionSpec },
    SetDefaultSpec { spec_id: i32 },
    AddSortOrder { sort_order: SortOrder },
    SetDefaultSortOrder { sort_order_id: i32 },
    AddSnapshot { snapshot: Snapshot },
    SetSnapshotRef { name: String, reference: SnapshotRef },
    RemoveSnapshots { snapshot_ids: Vec<i64> },
    RemoveSnapshotRef { name: String },
    SetLocation { location: String },
    SetProperties { updates: Properties },
    RemoveProperties { removals: Vec<String> },
    SetStatistics { statistics: StatisticsFile },
    RemoveStatistics { snapshot_id: i64 },
    SetPartitionStatistics { statistics: StatisticsFile },
    RemovePartitionStatistics { snapshot_id: i64 },
    RemovePartitionSpecs { spec_ids: Vec<i32> },
    RemoveSchemas { schema_ids: Vec<i32> },
    AddEncryptionKey { key: EncryptionKey },
    RemoveEncryptionKey { key_id: String },
}

/// Change of a view.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of the specification's updates of the same names")]
pub enum ViewUpdate {
    AssignUuid { uuid: Uuid },
    UpgradeFormatVersion { format_version: i32 },
    AddSchema { schema: Schema },
    SetLocation { location: String },
    SetProperties { updates: Properties },
    RemoveProperties { removals: Vec<String> },
    AddViewVersion { version: ViewVersion },
    SetCurrentViewVersion { version_id: i32 },
}

impl TableUpdate {
    /// Parses one update.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, its `action` is missing or unknown, or a member of the update is
    /// missing, of a wrong type or not decodable as what it must be ([`CommitError::Malformed`]).
    pub fn parse(raw: &Raw) -> Result<TableUpdate, CommitError> {
        read_table_update(raw).map_err(|error| CommitError::malformed(&error))
    }

    /// Returns the `action` of the update in the REST specification.
    pub fn action(&self) -> &'static str {
        match self {
            TableUpdate::AssignUuid { .. } => "assign-uuid",
            TableUpdate::UpgradeFormatVersion { .. } => "upgrade-format-version",
            TableUpdate::AddSchema { .. } => "add-schema",
            TableUpdate::SetCurrentSchema { .. } => "set-current-schema",
            TableUpdate::AddSpec { .. } => "add-spec",
            TableUpdate::SetDefaultSpec { .. } => "set-default-spec",
            TableUpdate::AddSortOrder { .. } => "add-sort-order",
            TableUpdate::SetDefaultSortOrder { .. } => "set-default-sort-order",
            TableUpdate::AddSnapshot { .. } => "add-snapshot",
            TableUpdate::SetSnapshotRef { .. } => "set-snapshot-ref",
            TableUpdate::RemoveSnapshots { .. } => "remove-snapshots",
            TableUpdate::RemoveSnapshotRef { .. } => "remove-snapshot-ref",
            TableUpdate::SetLocation { .. } => "set-location",
            TableUpdate::SetProperties { .. } => "set-properties",
            TableUpdate::RemoveProperties { .. } => "remove-properties",
            TableUpdate::SetStatistics { .. } => "set-statistics",
            TableUpdate::RemoveStatistics { .. } => "remove-statistics",
            TableUpdate::SetPartitionStatistics { .. } => "set-partition-statistics",
            TableUpdate::RemovePartitionStatistics { .. } => "remove-partition-statistics",
            TableUpdate::RemovePartitionSpecs { .. } => "remove-partition-specs",
            TableUpdate::RemoveSchemas { .. } => "remove-schemas",
            TableUpdate::AddEncryptionKey { .. } => "add-encryption-key",
            TableUpdate::RemoveEncryptionKey { .. } => "remove-encryption-key",
        }
    }
}

impl ViewUpdate {
    /// Parses one update.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, its `action` is missing or unknown, or a member of the update is
    /// missing, of a wrong type or not decodable as what it must be ([`CommitError::Malformed`]).
    pub fn parse(raw: &Raw) -> Result<ViewUpdate, CommitError> {
        read_view_update(raw).map_err(|error| CommitError::malformed(&error))
    }
}

fn read_table_update(raw: &Raw) -> Result<TableUpdate, MetadataError> {
    let action: String = raw.fields("update")?.required("action")?;
    let fields = raw.fields(format!("update `{action}`"))?;
    Ok(match action.as_str() {
        "assign-uuid" => TableUpdate::AssignUuid { uuid: read_uuid(&fields)? },
        "upgrade-format-version" => {
            TableUpdate::UpgradeFormatVersion { format_version: fields.required("format-version")? }
        }
        "add-schema" => TableUpdate::AddSchema { schema: read_schema(&fields)? },
        "set-current-schema" => TableUpdate::SetCurrentSchema { schema_id: fields.required("schema-id")? },
        "add-spec" => TableUpdate::AddSpec {
            spec: incoming::partition_spec(fields.required_raw("spec")?, PartOrigin::Request)?,
        },
        "set-default-spec" => TableUpdate::SetDefaultSpec { spec_id: fields.required("spec-id")? },
        "add-sort-order" => TableUpdate::AddSortOrder {
            sort_order: incoming::sort_order(fields.required_raw("sort-order")?, PartOrigin::Request)?,
        },
        "set-default-sort-order" => {
            TableUpdate::SetDefaultSortOrder { sort_order_id: fields.required("sort-order-id")? }
        }
        "add-snapshot" => TableUpdate::AddSnapshot {
            snapshot: incoming::snapshot(fields.required_raw("snapshot")?, PartOrigin::Request)?,
        },
        "set-snapshot-ref" => TableUpdate::SetSnapshotRef {
            name: fields.required("ref-name")?,
            reference: read_reference(raw)?,
        },
        "remove-snapshots" => TableUpdate::RemoveSnapshots { snapshot_ids: fields.required("snapshot-ids")? },
        "remove-snapshot-ref" => TableUpdate::RemoveSnapshotRef { name: fields.required("ref-name")? },
        "set-location" => TableUpdate::SetLocation { location: fields.required("location")? },
        "set-properties" => TableUpdate::SetProperties { updates: read_properties(&fields)? },
        "remove-properties" => TableUpdate::RemoveProperties { removals: read_removals(&fields)? },
        "set-statistics" => TableUpdate::SetStatistics {
            statistics: incoming::statistics(fields.required_raw("statistics")?, PartOrigin::Request)?,
        },
        "remove-statistics" => TableUpdate::RemoveStatistics { snapshot_id: fields.required("snapshot-id")? },
        "set-partition-statistics" => TableUpdate::SetPartitionStatistics {
            statistics: incoming::partition_statistics(
                fields.required_raw("partition-statistics")?,
                PartOrigin::Request,
            )?,
        },
        "remove-partition-statistics" => {
            TableUpdate::RemovePartitionStatistics { snapshot_id: fields.required("snapshot-id")? }
        }
        "remove-partition-specs" => {
            TableUpdate::RemovePartitionSpecs { spec_ids: fields.required("spec-ids")? }
        }
        "remove-schemas" => TableUpdate::RemoveSchemas { schema_ids: fields.required("schema-ids")? },
        "add-encryption-key" => TableUpdate::AddEncryptionKey {
            key: incoming::encryption_key(fields.required_raw("encryption-key")?, PartOrigin::Request)?,
        },
        "remove-encryption-key" => TableUpdate::RemoveEncryptionKey { key_id: fields.required("key-id")? },
        other => return Err(MetadataError::malformed(format!("unknown table update `{other}`"))),
    })
}

fn read_view_update(raw: &Raw) -> Result<ViewUpdate, MetadataError> {
    let action: String = raw.fields("update")?.required("action")?;
    let fields = raw.fields(format!("update `{action}`"))?;
    Ok(match action.as_str() {
        "assign-uuid" => ViewUpdate::AssignUuid { uuid: read_uuid(&fields)? },
        "upgrade-format-version" => {
            ViewUpdate::UpgradeFormatVersion { format_version: fields.required("format-version")? }
        }
        "add-schema" => ViewUpdate::AddSchema { schema: read_schema(&fields)? },
        "set-location" => ViewUpdate::SetLocation { location: fields.required("location")? },
        "set-properties" => ViewUpdate::SetProperties { updates: read_properties(&fields)? },
        "remove-properties" => ViewUpdate::RemoveProperties { removals: read_removals(&fields)? },
        "add-view-version" => ViewUpdate::AddViewVersion {
            version: incoming::view_version(fields.required_raw("view-version")?, PartOrigin::Request)?,
        },
        "set-current-view-version" => {
            ViewUpdate::SetCurrentViewVersion { version_id: fields.required("view-version-id")? }
        }
        other => return Err(MetadataError::malformed(format!("unknown view update `{other}`"))),
    })
}

fn read_uuid(fields: &Fields<'_>) -> Result<Uuid, MetadataError> {
    let text: String = fields.required("uuid")?;
    Uuid::parse_str(&text).map_err(|_| MetadataError::malformed(format!("`{text}` is not a UUID")))
}

fn read_schema(fields: &Fields<'_>) -> Result<Schema, MetadataError> {
    incoming::schema(fields.required_raw("schema")?, PartOrigin::Request)
}

/// Parses the ref of a `set-snapshot-ref`: the members of the update without `action` and `ref-name`.
fn read_reference(raw: &Raw) -> Result<SnapshotRef, MetadataError> {
    let mut object = Object::parse(raw.as_str(), "update `set-snapshot-ref`")?;
    object.remove("action");
    object.remove("ref-name");
    for retention in ["min-snapshots-to-keep", "max-snapshot-age-ms", "max-ref-age-ms"] {
        if object.get(retention).is_some_and(Raw::is_null) {
            object.remove(retention);
        }
    }
    let reference = incoming::reference(object.to_raw(), PartOrigin::Request)?;
    // Some readers accept the type only in lower case.
    object.set("type", Raw::string(reference.kind.as_str()));
    incoming::reference(object.to_raw(), PartOrigin::Request)
}

fn read_properties(fields: &Fields<'_>) -> Result<Properties, MetadataError> {
    // Clients of the first releases send `updated`.
    let key = if fields.present("updates").is_none() && fields.present("updated").is_some() {
        "updated"
    } else {
        "updates"
    };
    fields.required_raw(key)?;
    properties::read(fields, key)
}

fn read_removals(fields: &Fields<'_>) -> Result<Vec<String>, MetadataError> {
    // Clients of the first releases send `removed`.
    match fields.optional("removals")? {
        Some(removals) => Ok(removals),
        None => Ok(fields.optional("removed")?.ok_or_else(|| fields.missing("removals"))?),
    }
}
