//! Parsing of table metadata of all format versions, and refusal of inconsistent documents.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

use uuid::Uuid;

use super::error::MetadataError;
use super::json::{Fields, Raw};
use super::layout::Layout;
use super::map::OrderedMap;
use super::partition::PartitionSpec;
use super::properties;
use super::schema::Schema;
use super::snapshot::{MAIN_BRANCH, MetadataLogEntry, NO_SNAPSHOT, Snapshot, SnapshotLogEntry, SnapshotRef};
use super::sort::SortOrder;
use super::statistics::{EncryptionKey, StatisticsFile};
use super::table::TableMetadata;

/// Fields whose elements are stored separately; the text of the field is assembled from them.
const LISTS: [&str; 9] = [
    "schemas",
    "partition-specs",
    "sort-orders",
    "snapshots",
    "snapshot-log",
    "metadata-log",
    "statistics",
    "partition-statistics",
    "encryption-keys",
];

impl TableMetadata {
    /// Parses an uncompressed metadata document.
    ///
    /// Format versions above the newest known one are accepted, as far as they have the fields that this
    /// crate requires.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not UTF-8 or not a JSON object, the format version is below 1, or a field that
    /// the format version requires is missing, of a wrong type, or occurs twice
    /// ([`MetadataError::Malformed`]); and as [`TableMetadata::check`] does.
    pub fn parse(bytes: &[u8]) -> Result<TableMetadata, MetadataError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| MetadataError::malformed("the table metadata is not UTF-8 text"))?;
        let fields = Fields::parse(text, "table metadata")?;
        let format_version: i32 = fields.required("format-version")?;
        if format_version < 1 {
            return Err(MetadataError::malformed(format!("unknown format version {format_version}")));
        }

        let (current_schema_id, schemas) = read_schemas(&fields, format_version)?;
        let (default_spec_id, partition_specs) = read_specs(&fields, format_version)?;
        let (default_sort_order_id, sort_orders) = read_sort_orders(&fields, format_version)?;
        let metadata = TableMetadata {
            layout: Layout::read(&fields, &LISTS),
            format_version,
            uuid: read_uuid(&fields, format_version)?,
            location: fields.required("location")?,
            last_sequence_number: read_last_sequence_number(&fields, format_version)?,
            last_updated_ms: fields.required("last-updated-ms")?,
            last_column_id: fields.required("last-column-id")?,
            current_schema_id,
            schemas,
            default_spec_id,
            last_partition_id: read_last_partition_id(&fields, format_version, &partition_specs)?,
            partition_specs,
            default_sort_order_id,
            sort_orders,
            properties: properties::read(&fields, "properties")?,
            current_snapshot_id: fields.optional("current-snapshot-id")?.filter(|id| *id != NO_SNAPSHOT),
            snapshots: fields.list("snapshots", Snapshot::parse)?.unwrap_or_default(),
            refs: OrderedMap::default(),
            snapshot_log: fields.list("snapshot-log", SnapshotLogEntry::parse)?.unwrap_or_default(),
            metadata_log: fields.list("metadata-log", MetadataLogEntry::parse)?.unwrap_or_default(),
            statistics: fields.list("statistics", StatisticsFile::parse)?.unwrap_or_default(),
            partition_statistics: fields
                .list("partition-statistics", StatisticsFile::parse)?
                .unwrap_or_default(),
            encryption_keys: fields.list("encryption-keys", EncryptionKey::parse)?.unwrap_or_default(),
            next_row_id: read_next_row_id(&fields, format_version)?,
        };
        let refs = read_refs(&fields, metadata.current_snapshot_id)?;
        let metadata = TableMetadata { refs, ..metadata };
        metadata.check()?;
        Ok(metadata)
    }

    /// Checks that the parts of the document agree with each other.
    ///
    /// Every document that was parsed or made by a commit passes. It is checked again before it is stored, so
    /// that a mistake in the commit rules cannot damage a table.
    ///
    /// # Errors
    ///
    /// Fails if two schemas, partition specs, sort orders or snapshots have the same id; the current schema
    /// does not exist; a snapshot has a sequence number above `last-sequence-number` (format version 2 and
    /// later); a ref points at a snapshot that does not exist; or `current-snapshot-id` is not the snapshot
    /// of `main` ([`MetadataError::Inconsistent`]).
    pub fn check(&self) -> Result<(), MetadataError> {
        all_differ("schema id", self.schemas.iter().map(Schema::id))?;
        all_differ("partition spec id", self.partition_specs.iter().map(PartitionSpec::id))?;
        all_differ("sort order id", self.sort_orders.iter().map(SortOrder::id))?;
        let snapshot_ids = all_differ("snapshot id", self.snapshots.iter().map(Snapshot::id))?;
        self.current_schema()?;

        // Format version 1 has no sequence numbers, but a document may contain stray ones.
        let ahead =
            self.snapshots.iter().find(|snapshot| snapshot.sequence_number() > self.last_sequence_number);
        if let Some(snapshot) = ahead.filter(|_| self.format_version > 1) {
            return Err(MetadataError::inconsistent(format!(
                "snapshot {} has the sequence number {}, which is above the table's last sequence number {}",
                snapshot.id(),
                snapshot.sequence_number(),
                self.last_sequence_number
            )));
        }
        let dangling = self.refs.iter().find(|(_, reference)| !snapshot_ids.contains(&reference.snapshot_id));
        if let Some((name, reference)) = dangling {
            let message =
                format!("the reference `{name}` points at the missing snapshot {}", reference.snapshot_id);
            return Err(MetadataError::inconsistent(message));
        }
        let main = self.refs.get(MAIN_BRANCH).map(|main| main.snapshot_id);
        if main != self.current_snapshot_id {
            return Err(MetadataError::inconsistent(format!(
                "the current snapshot is {} but the branch `{MAIN_BRANCH}` is at {}",
                or_none(self.current_snapshot_id),
                or_none(main)
            )));
        }
        Ok(())
    }
}

fn or_none(id: Option<i64>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| id.to_string())
}

fn all_differ<T: Eq + Hash + Copy + Display>(
    what: &str,
    ids: impl Iterator<Item = T>,
) -> Result<HashSet<T>, MetadataError> {
    let mut seen = HashSet::with_capacity(ids.size_hint().0);
    for id in ids {
        if !seen.insert(id) {
            return Err(MetadataError::inconsistent(format!("the {what} {id} occurs twice")));
        }
    }
    Ok(seen)
}

fn must_exist(fields: &Fields<'_>, key: &str, format_version: i32) -> Result<(), MetadataError> {
    if format_version == 1 { Ok(()) } else { Err(fields.missing(key)) }
}

fn read_uuid(fields: &Fields<'_>, format_version: i32) -> Result<Option<Uuid>, MetadataError> {
    let Some(text) = fields.optional::<String>("table-uuid")? else {
        return must_exist(fields, "table-uuid", format_version).map(|()| None);
    };
    Uuid::parse_str(&text)
        .map(Some)
        .map_err(|_| MetadataError::malformed(format!("the `table-uuid` `{text}` is not a UUID")))
}

fn read_last_sequence_number(fields: &Fields<'_>, format_version: i32) -> Result<i64, MetadataError> {
    if format_version == 1 { Ok(0) } else { fields.required("last-sequence-number") }
}

fn read_next_row_id(fields: &Fields<'_>, format_version: i32) -> Result<i64, MetadataError> {
    match format_version {
        3 => fields.required("next-row-id"),
        _ => Ok(fields.optional("next-row-id")?.unwrap_or(0)),
    }
}

fn read_schemas(fields: &Fields<'_>, format_version: i32) -> Result<(i32, Vec<Schema>), MetadataError> {
    if let Some(schemas) = fields.list("schemas", Schema::parse)? {
        return Ok((fields.required("current-schema-id")?, schemas));
    }
    must_exist(fields, "schemas", format_version)?;
    let schema = Schema::parse(fields.required_raw("schema")?)?;
    // The id is made explicit, because the schema may later become one of several.
    Ok((schema.id(), vec![schema.with_id(schema.id())?]))
}

fn read_specs(fields: &Fields<'_>, format_version: i32) -> Result<(i32, Vec<PartitionSpec>), MetadataError> {
    if let Some(specs) = fields.list("partition-specs", PartitionSpec::parse)? {
        return Ok((fields.required("default-spec-id")?, specs));
    }
    must_exist(fields, "partition-specs", format_version)?;
    let legacy = fields.required_raw("partition-spec")?;
    Ok((0, vec![PartitionSpec::from_fields(legacy.as_str())?]))
}

fn read_last_partition_id(
    fields: &Fields<'_>,
    format_version: i32,
    specs: &[PartitionSpec],
) -> Result<i32, MetadataError> {
    if let Some(id) = fields.optional("last-partition-id")? {
        return Ok(id);
    }
    must_exist(fields, "last-partition-id", format_version)?;
    let highest = specs.iter().map(PartitionSpec::last_field_id).max();
    Ok(highest.unwrap_or(super::partition::PARTITION_ID_START - 1))
}

fn read_sort_orders(
    fields: &Fields<'_>,
    format_version: i32,
) -> Result<(i32, Vec<SortOrder>), MetadataError> {
    if let Some(orders) = fields.list("sort-orders", SortOrder::parse)? {
        return Ok((fields.required("default-sort-order-id")?, orders));
    }
    must_exist(fields, "sort-orders", format_version)?;
    Ok((0, vec![SortOrder::unsorted()]))
}

fn read_refs(
    fields: &Fields<'_>,
    current_snapshot_id: Option<i64>,
) -> Result<OrderedMap<SnapshotRef>, MetadataError> {
    let mut refs = OrderedMap::default();
    if let Some(value) = fields.present("refs") {
        for (name, reference) in Fields::parse(value.get(), "refs")?.entries {
            refs.set(&name, SnapshotRef::parse(Raw::from(reference))?);
        }
    }
    // Documents from before the introduction of refs, or whose writer omitted them, imply the main branch.
    if let Some(id) = current_snapshot_id.filter(|_| refs.get(MAIN_BRANCH).is_none()) {
        refs.set(MAIN_BRANCH, SnapshotRef::implied_main(id)?);
    }
    Ok(refs)
}
