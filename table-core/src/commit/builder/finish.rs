//! Final step of a commit: the rules that depend on all updates together.

use std::collections::HashSet;

use uuid::Uuid;

use crate::metadata::error::MetadataError;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::properties;
use crate::metadata::schema_index::SchemaIndex;
use crate::metadata::snapshot::{MetadataLogEntry, Snapshot};
use crate::metadata::sort::SortOrder;
use crate::metadata::table::TableMetadata;

use super::super::Applied;
use super::super::error::CommitError;
use super::super::validate::{self, Unknown};
use super::Builder;

/// Default of `write.metadata.previous-versions-max`: number of previous metadata files in `metadata-log`.
const PREVIOUS_VERSIONS_DEFAULT: i64 = 100;

impl Builder {
    pub(in crate::commit) fn finish_change(
        mut self,
        base: &TableMetadata,
        base_location: &str,
    ) -> Result<Applied, CommitError> {
        self.settle_snapshots();
        self.correct_snapshot_log();
        if !self.next.differs_from(base) {
            return Ok(Applied {
                metadata: base.clone(),
                changed: false,
                expired_metadata_files: Vec::new(),
            });
        }
        self.check_removed_schemas()?;
        self.check_layout(Some(base))?;
        self.check_numbers(Some(base))?;

        // Never moves backwards: readers refuse metadata that is older than its own log entries.
        self.next.last_updated_ms = self.next.last_updated_ms.max(self.now_ms);
        self.log_previous_file(base, base_location);
        let expired_metadata_files = self.expired_files(base);
        self.next.mark_changes(Some(base));
        self.next.check()?;
        Ok(Applied { metadata: self.next, changed: true, expired_metadata_files })
    }

    pub(in crate::commit) fn finish_new(mut self, uuid: Uuid) -> Result<TableMetadata, CommitError> {
        self.settle_snapshots();
        self.correct_snapshot_log();
        if self.next.schemas.is_empty() {
            return Err(CommitError::invalid(
                "a table needs a schema; send `add-schema` and `set-current-schema`",
            ));
        }
        if self.next.location.is_empty() {
            return Err(CommitError::invalid("a table needs a location; send `set-location`"));
        }
        if self.next.partition_specs.is_empty() {
            self.next.partition_specs.push(PartitionSpec::unpartitioned());
        }
        if self.next.sort_orders.is_empty() {
            self.next.sort_orders.push(SortOrder::unsorted());
        }
        self.next.uuid.get_or_insert(uuid);
        self.check_removed_schemas()?;
        self.check_layout(None)?;
        self.check_numbers(None)?;
        self.next.last_updated_ms = self.next.last_updated_ms.max(self.now_ms);
        self.next.mark_changes(None);
        self.next.check()?;
        Ok(self.next)
    }

    /// Removes entries from the snapshot log that never were, or no longer are, part of the history of
    /// `main`.
    fn correct_snapshot_log(&mut self) {
        let current = self.next.current_snapshot_id;
        // A transaction of several steps moves `main` several times; its intermediate states were never
        // visible.
        let intermediate: HashSet<i64> = self.was_main.drain(..).filter(|id| Some(*id) != current).collect();
        if intermediate.is_empty() && self.removed_snapshots.is_empty() {
            return;
        }
        let mut kept = Vec::with_capacity(self.next.snapshot_log.len());
        for entry in self.next.snapshot_log.drain(..) {
            if self.snapshot_ids.contains(&entry.snapshot_id) {
                if !intermediate.contains(&entry.snapshot_id) {
                    kept.push(entry);
                }
            } else if !self.removed_snapshots.is_empty() {
                // A log with a gap would claim that the snapshot before the gap was current during the gap,
                // so the entries before it are removed.
                kept.clear();
            }
        }
        self.next.snapshot_log = kept;
    }

    /// Refuses the removal of a schema that is still in use, which it is while a snapshot refers to it.
    fn check_removed_schemas(&self) -> Result<(), CommitError> {
        let uses_removed =
            |snapshot: &&Snapshot| snapshot.schema_id().is_some_and(|id| self.removed_schemas.contains(&id));
        if self.removed_schemas.is_empty() {
            return Ok(());
        }
        match self.next.snapshots.iter().find(uses_removed) {
            None => Ok(()),
            Some(snapshot) => Err(CommitError::invalid(format!(
                "the schema {} cannot be removed: the snapshot {} was written with it",
                snapshot.schema_id().unwrap_or_default(),
                snapshot.id()
            ))),
        }
    }

    /// Checks that the default partition spec and the default sort order are usable with the current schema,
    /// as far as this commit changes any of the three.
    fn check_layout(&self, base: Option<&TableMetadata>) -> Result<(), CommitError> {
        let is_kept = |id: fn(&TableMetadata) -> i32| base.is_some_and(|base| id(base) == id(&self.next));
        let keeps_schema = is_kept(TableMetadata::current_schema_id);
        // A default that this commit does not change may contain unknown transforms.
        let unknown = |is_kept: bool| if is_kept { Unknown::Carried } else { Unknown::Refused };
        let (keeps_spec, keeps_order) =
            (is_kept(TableMetadata::default_spec_id), is_kept(TableMetadata::default_sort_order_id));
        let keeps_specs = base.is_some_and(|base| base.partition_specs == self.next.partition_specs);
        if keeps_schema && keeps_spec && keeps_order && keeps_specs {
            return Ok(());
        }

        let index = SchemaIndex::new(self.next.current_schema()?.columns()?)?;
        self.check_all_specs(base, &index)?;
        if !(keeps_schema && keeps_spec) {
            let id = self.next.default_spec_id;
            let spec = self.next.default_spec();
            let spec = spec.ok_or_else(|| {
                CommitError::invalid(format!("the default partition spec {id} does not exist"))
            })?;
            validate::check_spec_sources(spec, &index, unknown(keeps_spec))?;
        }
        if !(keeps_schema && keeps_order) {
            let id = self.next.default_sort_order_id;
            let order = self.next.default_sort_order();
            let order = order
                .ok_or_else(|| CommitError::invalid(format!("the default sort order {id} does not exist")))?;
            validate::check_order(order, &index, unknown(keeps_order))?;
        }
        Ok(())
    }

    /// Checks that readers can bind every partition spec, former ones included, to the current schema. Fields
    /// that could not be bound before this commit do not make it fail, so that a damaged table can be
    /// repaired step by step.
    fn check_all_specs(
        &self,
        base: Option<&TableMetadata>,
        index: &SchemaIndex<'_>,
    ) -> Result<(), CommitError> {
        let unusable = validate::unusable_fields(&self.next.partition_specs, index);
        if unusable.is_empty() {
            return Ok(());
        }
        let before = base.map(|base| {
            let index = SchemaIndex::new(base.current_schema()?.columns()?)?;
            let unusable = validate::unusable_fields(&base.partition_specs, &index);
            Ok::<HashSet<_>, MetadataError>(unusable.into_iter().map(|(place, _)| place).collect())
        });
        let before = before.and_then(Result::ok).unwrap_or_default();
        match unusable.into_iter().find(|(place, _)| !before.contains(place)) {
            None => Ok(()),
            Some((_, reason)) => Err(CommitError::invalid(reason)),
        }
    }

    /// Checks the properties that Java's clients parse as numbers with every commit. Values that the table
    /// already has are accepted.
    fn check_numbers(&self, base: Option<&TableMetadata>) -> Result<(), CommitError> {
        let is_new = |(name, value): &(&str, &str)| base.and_then(|base| base.property(name)) != Some(*value);
        let mut impossible = properties::impossible(&self.next.properties).filter(is_new);
        impossible.next().map_or(Ok(()), |(name, value)| Err(validate::not_a_number(name, value)))
    }

    fn log_previous_file(&mut self, base: &TableMetadata, base_location: &str) {
        let max = properties::number(
            &self.next.properties,
            properties::PREVIOUS_VERSIONS_MAX,
            PREVIOUS_VERSIONS_DEFAULT,
        );
        let max = usize::try_from(max.max(1)).unwrap_or(usize::MAX);
        let log = &mut self.next.metadata_log;
        let excess = (log.len() + 1).saturating_sub(max);
        log.drain(..excess.min(log.len()));
        log.push(MetadataLogEntry::new(base.last_updated_ms, base_location));
    }

    fn expired_files(&self, base: &TableMetadata) -> Vec<String> {
        if !properties::switch(&self.next.properties, properties::DELETE_AFTER_COMMIT) {
            return Vec::new();
        }
        let kept: HashSet<&str> =
            self.next.metadata_log.iter().map(|entry| entry.metadata_file.as_str()).collect();
        let before = base.metadata_log.iter().map(|entry| &entry.metadata_file);
        before.filter(|file| !kept.contains(file.as_str())).cloned().collect()
    }
}
