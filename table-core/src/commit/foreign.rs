//! Validation of metadata documents that another catalog or engine wrote and that are to be registered as
//! tables or views: every reader must be able to load them.

use std::collections::HashSet;

use crate::metadata::clock::{CLOCK_SKEW_MAX_MS, TIME_MIN_MS};
use crate::metadata::error::MetadataError;
use crate::metadata::incoming;
use crate::metadata::incoming::origin::PartOrigin;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::properties;
use crate::metadata::schema::Schema;
use crate::metadata::schema_index::SchemaIndex;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::sort::SortOrder;
use crate::metadata::table::TableMetadata;
use crate::metadata::types::Type;
use crate::metadata::view::ViewMetadata;

use super::builder::snapshots::check_ref;
use super::error::CommitError;
use super::validate::{self, Unknown};
use super::version::FORMAT_VERSION_MAX;
use super::view::{VIEW_FORMAT_VERSION, check_distinct_dialects, check_representations};

/// Checks that every reader can load the table metadata, parsed from `json`, and that it can be changed
/// afterwards.
///
/// Metadata of a format version above [`FORMAT_VERSION_MAX`] is accepted without checks, because its rules
/// are unknown.
///
/// # Errors
///
/// Fails with the first part that a reader would refuse: JSON beyond the limits of Java's parser, members of
/// a wrong type, unreadable transforms, invalid schemas, partition specs, sort orders, refs, snapshots or
/// encryption keys, times out of range or logs out of order ([`CommitError::Invalid`]); a column of an
/// unknown type ([`CommitError::Unsupported`]); or a current schema that does not exist
/// ([`CommitError::Metadata`]).
pub fn check_table(metadata: &TableMetadata, json: &[u8]) -> Result<(), CommitError> {
    if metadata.format_version() > FORMAT_VERSION_MAX {
        return Ok(());
    }
    check_parts(metadata, json).map_err(|error| CommitError::invalid_part(&error))?;
    for schema in metadata.schemas() {
        check_schema(schema)?;
    }
    for (name, reference) in metadata.refs().iter() {
        check_ref(name, reference)?;
    }
    let index = SchemaIndex::new(metadata.current_schema()?.columns()?)?;
    for (number, spec) in metadata.partition_specs().iter().enumerate() {
        validate::check_distinct_fields(spec)?;
        let others = metadata.partition_specs().iter().take(number).flat_map(PartitionSpec::fields);
        validate::check_field_ids(spec, others)?;
    }
    if let Some((_, reason)) =
        validate::unusable_fields(metadata.partition_specs(), &index).into_iter().next()
    {
        return Err(CommitError::invalid(reason));
    }
    let (Some(spec), Some(order)) = (metadata.default_spec(), metadata.default_sort_order()) else {
        return Err(CommitError::invalid("the default partition spec or sort order does not exist"));
    };
    check_transforms(metadata)?;
    if let Some((name, value)) = properties::impossible(metadata.properties()).next() {
        return Err(validate::not_a_number(name, value));
    }
    validate::check_spec_sources(spec, &index, Unknown::Carried)?;
    validate::check_order(order, &index, Unknown::Carried)?;
    for order in metadata.sort_orders() {
        validate::check_order_id(order)?;
        validate::check_directions(order)?;
    }
    check_logs(metadata)
}

/// Checks that every reader can load the view metadata, parsed from `json`, and that it can be changed
/// afterwards.
///
/// # Errors
///
/// Fails with the first part that a reader would refuse: an unknown format version, JSON beyond the limits of
/// Java's parser, a missing `version-log`, `properties` that are `null`, invalid versions or schemas, two
/// queries of one SQL dialect in a version, or an invalid `version.history.num-entries`
/// ([`CommitError::Invalid`]); or a column or a representation of an unknown type
/// ([`CommitError::Unsupported`]).
pub fn check_view(metadata: &ViewMetadata, json: &[u8]) -> Result<(), CommitError> {
    let version = metadata.format_version();
    if version != VIEW_FORMAT_VERSION {
        return Err(CommitError::invalid(format!(
            "Unsupported format version: {version} (supported: {VIEW_FORMAT_VERSION})"
        )));
    }
    let check_parts = || {
        check_text(json)?;
        if let Some(name) = metadata.absent_fields(&["version-log"]).first() {
            return Err(MetadataError::malformed(format!("the view metadata has no `{name}`")));
        }
        if metadata.is_null("properties") {
            return Err(MetadataError::malformed(
                "`properties` of the view metadata is `null`; leave it out",
            ));
        }
        for version in metadata.versions() {
            incoming::view_version(version.raw().clone(), PartOrigin::Document)?;
        }
        Ok(())
    };
    check_parts().map_err(|error| CommitError::invalid_part(&error))?;
    for schema in metadata.schemas() {
        check_schema(schema)?;
    }
    metadata.versions().iter().try_for_each(check_distinct_dialects)?;
    metadata.versions().iter().try_for_each(check_representations)?;
    let name = properties::VERSION_HISTORY_SIZE;
    match metadata.property(name).map(|size| (size, size.parse::<i32>())) {
        None | Some((_, Ok(1..))) => Ok(()),
        Some((size, _)) => Err(CommitError::invalid(format!("{name} must be positive but was {size}"))),
    }
}

fn check_parts(metadata: &TableMetadata, json: &[u8]) -> Result<(), MetadataError> {
    check_text(json)?;
    for spec in metadata.partition_specs() {
        incoming::partition_spec(spec.raw().clone(), PartOrigin::Document)?;
    }
    for order in metadata.sort_orders() {
        incoming::sort_order(order.raw().clone(), PartOrigin::Document)?;
    }
    for snapshot in metadata.snapshots() {
        incoming::snapshot(snapshot.raw().clone(), PartOrigin::Document)?;
        incoming::check_snapshot(snapshot)?;
        if metadata.format_version() == 1 && snapshot.sequence_number() != 0 {
            let message =
                format!("the snapshot {} has a `sequence-number`, which v1 does not have", snapshot.id());
            return Err(MetadataError::inconsistent(message));
        }
        if snapshot.manifest_list()?.is_none() && snapshot.manifests()?.is_none() {
            let message = format!("the snapshot {} has no `manifest-list`", snapshot.id());
            return Err(MetadataError::malformed(message));
        }
    }
    for (_, reference) in metadata.refs().iter() {
        incoming::reference(reference.raw().clone(), PartOrigin::Document)?;
    }
    for file in metadata.statistics() {
        incoming::statistics(file.raw().clone(), PartOrigin::Document)?;
    }
    for file in metadata.partition_statistics() {
        incoming::partition_statistics(file.raw().clone(), PartOrigin::Document)?;
    }
    let mut keys = HashSet::new();
    for key in metadata.encryption_keys() {
        if !keys.insert(key.key_id()) {
            let message = format!("the encryption key `{}` occurs twice", key.key_id());
            return Err(MetadataError::inconsistent(message));
        }
        incoming::encryption_key(key.raw().clone(), PartOrigin::Document)?;
    }
    Ok(())
}

fn check_text(json: &[u8]) -> Result<(), MetadataError> {
    let text =
        std::str::from_utf8(json).map_err(|_| MetadataError::malformed("the metadata is not UTF-8 text"))?;
    incoming::limits::check(text)
}

fn check_schema(schema: &Schema) -> Result<(), CommitError> {
    let invalid = |error: &MetadataError| CommitError::invalid_part(error);
    let schema =
        incoming::schema(schema.raw().clone(), PartOrigin::Document).map_err(|error| invalid(&error))?;
    let columns = schema.columns().map_err(|error| invalid(&error))?;
    let index = SchemaIndex::new(columns).map_err(|error| invalid(&error))?;
    for field in index.iter() {
        let is_known = match &field.field.field_type {
            Type::Primitive(primitive) => primitive.since().is_some(),
            Type::Other(_) => false,
            Type::Struct(_) | Type::List(_) | Type::Map(_) => true,
        };
        if !is_known {
            return Err(CommitError::Unsupported(format!(
                "the column `{}` has the type `{}`, which this server does not support",
                field.full_name, field.field.field_type
            )));
        }
    }
    columns.identifier_field_ids.iter().try_for_each(|id| validate::check_identifier(&index, *id))
}

fn check_transforms(metadata: &TableMetadata) -> Result<(), CommitError> {
    let of_specs =
        metadata.partition_specs().iter().flat_map(PartitionSpec::fields).map(|field| &field.transform);
    let of_orders = metadata.sort_orders().iter().flat_map(SortOrder::fields).map(|field| &field.transform);
    match of_specs.chain(of_orders).find(|transform| transform.is_unreadable()) {
        None => Ok(()),
        Some(transform) => Err(CommitError::invalid(format!("the transform `{transform}` cannot be read"))),
    }
}

/// Checks that every timestamp is in the range that readers can compute with, that the logs are in
/// chronological order, and that no entry is later than `last-updated-ms`, each within the allowed clock
/// skew.
fn check_logs(metadata: &TableMetadata) -> Result<(), CommitError> {
    let moved: Vec<i64> = metadata.snapshot_log().iter().map(|entry| entry.timestamp_ms).collect();
    let written: Vec<i64> = metadata.metadata_log().iter().map(|entry| entry.timestamp_ms).collect();
    let made = metadata.snapshots().iter().map(Snapshot::timestamp_ms);
    let all = made.chain(moved.iter().chain(&written).copied()).chain([metadata.last_updated_ms]);
    if let Some(time) = all.min().filter(|time| *time < TIME_MIN_MS) {
        return Err(CommitError::invalid(format!("the time {time} is too long ago for readers")));
    }
    for (what, times) in [("snapshot-log", moved), ("metadata-log", written)] {
        let later = times.iter().skip(1).chain(std::iter::once(&metadata.last_updated_ms));
        for (earlier, later) in times.iter().zip(later) {
            if earlier.saturating_sub(*later) > CLOCK_SKEW_MAX_MS {
                return Err(CommitError::invalid(format!(
                    "the `{what}` is out of order: {earlier} comes before {later}"
                )));
            }
        }
    }
    Ok(())
}
