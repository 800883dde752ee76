//! Builder of the next table metadata: dispatches updates and finishes the result.

mod finish;
mod schemas;
pub(in crate::commit) mod snapshots;

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::metadata::snapshot::Snapshot;
use crate::metadata::statistics::StatisticsFile;
use crate::metadata::table::TableMetadata;

use super::error::CommitError;
use super::update::TableUpdate;
use super::version::{FORMAT_VERSION_MAX, supported_version};

/// Maximum number of schemas, partition specs and sort orders that one commit may add. Each is compared with
/// all existing ones; without a limit, one request could occupy a processor for hours. No engine adds more
/// than a few.
const ADDED_MAX: usize = 1000;

/// Table metadata under construction: the state between the base metadata and the next.
#[derive(Debug)]
pub(super) struct Builder {
    next: TableMetadata,
    is_new: bool,
    now_ms: i64,
    last_added_schema: Option<i32>,
    last_added_spec: Option<i32>,
    last_added_order: Option<i32>,
    /// Ids of the snapshots that exist after the updates so far.
    snapshot_ids: HashSet<i64>,
    /// Timestamps of the added snapshots, by snapshot id.
    added_snapshots: HashMap<i64, i64>,
    /// Ids of the removed snapshots, which are removed from `next` at the end.
    removed_snapshots: HashSet<i64>,
    /// Statistics file of a snapshot after the updates so far, `None` if it was removed; the last update of a
    /// snapshot decides.
    statistics: BTreeMap<i64, Option<StatisticsFile>>,
    partition_statistics: BTreeMap<i64, Option<StatisticsFile>>,
    key_ids: HashSet<String>,
    /// Number of schemas, partition specs and sort orders that the updates added so far.
    added: usize,
    removed_schemas: HashSet<i32>,
    removed_specs: HashSet<i32>,
    /// Ids of added snapshots that `main` has pointed at during this commit.
    was_main: Vec<i64>,
}

impl Builder {
    pub(super) fn from_base(base: &TableMetadata, now_ms: i64) -> Builder {
        Builder {
            next: base.clone(),
            is_new: false,
            now_ms,
            last_added_schema: None,
            last_added_spec: None,
            last_added_order: None,
            snapshot_ids: base.snapshots.iter().map(Snapshot::id).collect(),
            added_snapshots: HashMap::new(),
            removed_snapshots: HashSet::new(),
            statistics: BTreeMap::new(),
            partition_statistics: BTreeMap::new(),
            key_ids: base.encryption_keys.iter().map(|key| key.key_id().to_owned()).collect(),
            added: 0,
            removed_schemas: HashSet::new(),
            removed_specs: HashSet::new(),
            was_main: Vec::new(),
        }
    }

    pub(super) fn new(format_version: i32, now_ms: i64) -> Builder {
        let empty = TableMetadata::empty(format_version, now_ms);
        Builder { is_new: true, ..Builder::from_base(&empty, now_ms) }
    }

    pub(super) fn apply(&mut self, update: &TableUpdate) -> Result<(), CommitError> {
        self.check_understood(update)?;
        match update {
            TableUpdate::AssignUuid { uuid } => self.assign_uuid(*uuid),
            TableUpdate::UpgradeFormatVersion { format_version } => self.upgrade(*format_version),
            TableUpdate::AddSchema { schema } => self.add_schema(schema),
            TableUpdate::SetCurrentSchema { schema_id } => self.set_current_schema(*schema_id),
            TableUpdate::AddSpec { spec } => self.add_spec(spec),
            TableUpdate::SetDefaultSpec { spec_id } => self.set_default_spec(*spec_id),
            TableUpdate::AddSortOrder { sort_order } => self.add_sort_order(sort_order),
            TableUpdate::SetDefaultSortOrder { sort_order_id } => self.set_default_sort_order(*sort_order_id),
            TableUpdate::AddSnapshot { snapshot } => self.add_snapshot(snapshot),
            TableUpdate::SetSnapshotRef { name, reference } => self.set_ref(name, reference),
            TableUpdate::RemoveSnapshots { snapshot_ids } => {
                self.remove_snapshots(snapshot_ids);
                Ok(())
            }
            TableUpdate::RemoveSnapshotRef { name } => {
                self.remove_ref(name);
                Ok(())
            }
            TableUpdate::SetLocation { location } => self.set_location(location),
            TableUpdate::SetProperties { updates } => {
                self.next.properties.set_all(updates);
                Ok(())
            }
            TableUpdate::RemoveProperties { removals } => {
                self.next.properties.remove_all(removals);
                Ok(())
            }
            TableUpdate::RemovePartitionSpecs { spec_ids } => self.remove_specs(spec_ids),
            TableUpdate::RemoveSchemas { schema_ids } => self.remove_schemas(schema_ids),
            other => {
                self.apply_to_files(other);
                Ok(())
            }
        }
    }

    /// Applies the updates that cannot be refused: statistics and encryption keys are stored without
    /// validation.
    fn apply_to_files(&mut self, update: &TableUpdate) {
        match update {
            TableUpdate::SetStatistics { statistics } => {
                self.statistics.insert(statistics.snapshot_id(), Some(statistics.clone()));
            }
            TableUpdate::RemoveStatistics { snapshot_id } => {
                self.statistics.insert(*snapshot_id, None);
            }
            TableUpdate::SetPartitionStatistics { statistics } => {
                self.partition_statistics.insert(statistics.snapshot_id(), Some(statistics.clone()));
            }
            TableUpdate::RemovePartitionStatistics { snapshot_id } => {
                self.partition_statistics.insert(*snapshot_id, None);
            }
            TableUpdate::AddEncryptionKey { key } if self.key_ids.insert(key.key_id().to_owned()) => {
                self.next.encryption_keys.push(key.clone());
            }
            TableUpdate::RemoveEncryptionKey { key_id } if self.key_ids.remove(key_id) => {
                self.next.encryption_keys.retain(|key| key.key_id() != key_id);
            }
            _ => {}
        }
    }

    /// Counts a schema, partition spec or sort order about to be added, because each is compared with all
    /// existing ones.
    fn count_added(&mut self) -> Result<(), CommitError> {
        self.added += 1;
        if self.added > ADDED_MAX {
            let message =
                format!("a commit can add at most {ADDED_MAX} schemas, partition specs and sort orders");
            return Err(CommitError::invalid(message));
        }
        Ok(())
    }

    /// Refuses updates of metadata of an unknown format version, except those that mean the same in every
    /// version.
    fn check_understood(&self, update: &TableUpdate) -> Result<(), CommitError> {
        let version = self.next.format_version;
        let is_plain = matches!(
            update,
            TableUpdate::AssignUuid { .. }
                | TableUpdate::UpgradeFormatVersion { .. }
                | TableUpdate::SetSnapshotRef { .. }
                | TableUpdate::RemoveSnapshotRef { .. }
                | TableUpdate::SetLocation { .. }
                | TableUpdate::SetProperties { .. }
                | TableUpdate::RemoveProperties { .. }
                | TableUpdate::SetStatistics { .. }
                | TableUpdate::RemoveStatistics { .. }
                | TableUpdate::SetPartitionStatistics { .. }
                | TableUpdate::RemovePartitionStatistics { .. }
        );
        if version <= FORMAT_VERSION_MAX || is_plain {
            return Ok(());
        }
        Err(CommitError::Unsupported(format!(
            "`{}` is not supported for this table: it has the format version {version}, \
             and this server supports versions up to {FORMAT_VERSION_MAX}",
            update.action()
        )))
    }

    fn assign_uuid(&mut self, uuid: Uuid) -> Result<(), CommitError> {
        match self.next.uuid {
            Some(existing) if existing != uuid => Err(CommitError::invalid(format!(
                "Cannot reassign uuid: the table is `{existing}`, not `{uuid}`"
            ))),
            _ => {
                self.next.uuid = Some(uuid);
                Ok(())
            }
        }
    }

    fn upgrade(&mut self, version: i32) -> Result<(), CommitError> {
        let current = self.next.format_version;
        if version == current {
            return Ok(());
        }
        if version < current {
            return Err(CommitError::invalid(format!("Cannot downgrade v{current} table to v{version}")));
        }
        let version = supported_version(version)?;
        if self.next.uuid.is_none() && !self.is_new {
            return Err(CommitError::invalid(format!(
                "the table has no UUID, which v{version} needs; assign one first with `assign-uuid`"
            )));
        }
        // Format version 1 may leave ids implicit, to be counted by the reader; later versions require them
        // in the JSON.
        for schema in &mut self.next.schemas {
            *schema = schema.with_id(schema.id())?;
        }
        for spec in &mut self.next.partition_specs {
            *spec = spec.numbered()?;
        }
        self.next.format_version = version;
        Ok(())
    }

    fn set_location(&mut self, location: &str) -> Result<(), CommitError> {
        let location = location.trim_end_matches('/');
        if location.is_empty() {
            return Err(CommitError::invalid("a table needs a location"));
        }
        if location != self.next.location() {
            location.clone_into(&mut self.next.location);
        }
        Ok(())
    }
}
