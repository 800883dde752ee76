//! Serialisation of table metadata: the original text for unchanged fields, and new text for changed ones.

use std::collections::HashSet;

use super::json::{Raw, push_array, push_object, push_string};
use super::partition::PartitionSpec;
use super::schema::Schema;
use super::snapshot::{MetadataLogEntry, Snapshot, SnapshotLogEntry};
use super::sort::SortOrder;
use super::statistics::{EncryptionKey, StatisticsFile};
use super::table::TableMetadata;

/// Fields that are decoded, in the order of a new document.
const FIELDS: [&str; 25] = [
    "format-version",
    "table-uuid",
    "location",
    "last-sequence-number",
    "last-updated-ms",
    "last-column-id",
    "schema",
    "current-schema-id",
    "schemas",
    "partition-spec",
    "default-spec-id",
    "partition-specs",
    "last-partition-id",
    "default-sort-order-id",
    "sort-orders",
    "properties",
    "current-snapshot-id",
    "next-row-id",
    "encryption-keys",
    "refs",
    "snapshots",
    "statistics",
    "partition-statistics",
    "snapshot-log",
    "metadata-log",
];

/// Groups of fields that are meaningful only together: if one changes, all are written.
const GROUPS: [&[&str]; 4] = [
    &["schemas", "current-schema-id", "schema"],
    &["partition-specs", "default-spec-id", "last-partition-id", "partition-spec"],
    &["sort-orders", "default-sort-order-id"],
    &["refs", "current-snapshot-id"],
];

impl TableMetadata {
    /// Returns the document as JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.write(|_| true)
    }

    /// Returns the document as JSON with only the snapshots that branches and tags point at, for clients that
    /// load the others on demand (`snapshots=refs` of the REST specification). Everything else, the logs
    /// included, is complete, as those clients expect.
    pub fn to_bytes_refs_only(&self) -> Vec<u8> {
        let named: HashSet<i64> = self.refs.iter().map(|(_, reference)| reference.snapshot_id).collect();
        self.write(|snapshot| named.contains(&snapshot.id()))
    }

    fn write(&self, keep: impl Fn(&Snapshot) -> bool) -> Vec<u8> {
        self.layout.write(|out, name| {
            if name == "snapshots" {
                let kept = self.snapshots.iter().filter(|snapshot| keep(snapshot));
                push_array(out, kept.map(|snapshot| snapshot.raw().as_str()));
            } else {
                self.push_field(out, name);
            }
        })
    }

    /// Appends the text of a field, made from its decoded value.
    fn push_field(&self, out: &mut String, name: &str) {
        let push_raws =
            |out: &mut String, raws: &mut dyn Iterator<Item = &Raw>| push_array(out, raws.map(Raw::as_str));
        match name {
            "format-version" => out.push_str(&self.format_version.to_string()),
            "table-uuid" => match self.uuid {
                Some(uuid) => push_string(out, &uuid.to_string()),
                None => out.push_str("null"),
            },
            "location" => push_string(out, &self.location),
            "last-sequence-number" => out.push_str(&self.last_sequence_number.to_string()),
            "last-updated-ms" => out.push_str(&self.last_updated_ms.to_string()),
            "last-column-id" => out.push_str(&self.last_column_id.to_string()),
            "schema" => out.push_str(self.current_schema().map_or("null", |schema| schema.raw().as_str())),
            "current-schema-id" => out.push_str(&self.current_schema_id.to_string()),
            "schemas" => push_raws(out, &mut self.schemas.iter().map(Schema::raw)),
            "partition-spec" => match self.default_spec() {
                Some(spec) => out.push_str(spec.fields_raw().as_str()),
                None => out.push_str("[]"),
            },
            "default-spec-id" => out.push_str(&self.default_spec_id.to_string()),
            "partition-specs" => push_raws(out, &mut self.partition_specs.iter().map(PartitionSpec::raw)),
            "last-partition-id" => out.push_str(&self.last_partition_id.to_string()),
            "default-sort-order-id" => out.push_str(&self.default_sort_order_id.to_string()),
            "sort-orders" => push_raws(out, &mut self.sort_orders.iter().map(SortOrder::raw)),
            "properties" => push_properties(out, &self.properties),
            "current-snapshot-id" => match self.current_snapshot_id {
                Some(id) => out.push_str(&id.to_string()),
                // Readers of format versions 1 and 2 expect a number.
                None => out.push_str(if self.format_version < 3 { "-1" } else { "null" }),
            },
            "next-row-id" => out.push_str(&self.next_row_id.to_string()),
            "encryption-keys" => push_raws(out, &mut self.encryption_keys.iter().map(EncryptionKey::raw)),
            "refs" => {
                push_object(out, self.refs.iter().map(|(name, reference)| (name, reference.raw().as_str())));
            }
            "snapshots" => push_raws(out, &mut self.snapshots.iter().map(Snapshot::raw)),
            "statistics" => push_raws(out, &mut self.statistics.iter().map(StatisticsFile::raw)),
            "partition-statistics" => {
                push_raws(out, &mut self.partition_statistics.iter().map(StatisticsFile::raw));
            }
            "snapshot-log" => push_raws(out, &mut self.snapshot_log.iter().map(SnapshotLogEntry::raw)),
            "metadata-log" => push_raws(out, &mut self.metadata_log.iter().map(MetadataLogEntry::raw)),
            // Only fields of the list above are ever without text.
            _ => out.push_str("null"),
        }
    }

    /// Returns `true` if the decoded value of a field differs from that in `base`.
    fn differs(&self, base: &TableMetadata, name: &str) -> bool {
        match name {
            "format-version" => self.format_version != base.format_version,
            "table-uuid" => self.uuid != base.uuid,
            "location" => self.location != base.location,
            "last-sequence-number" => self.last_sequence_number != base.last_sequence_number,
            "last-updated-ms" => self.last_updated_ms != base.last_updated_ms,
            "last-column-id" => self.last_column_id != base.last_column_id,
            "current-schema-id" => self.current_schema_id != base.current_schema_id,
            "schemas" => self.schemas != base.schemas,
            "default-spec-id" => self.default_spec_id != base.default_spec_id,
            "partition-specs" => self.partition_specs != base.partition_specs,
            "last-partition-id" => self.last_partition_id != base.last_partition_id,
            "default-sort-order-id" => self.default_sort_order_id != base.default_sort_order_id,
            "sort-orders" => self.sort_orders != base.sort_orders,
            "properties" => self.properties != base.properties,
            "current-snapshot-id" => self.current_snapshot_id != base.current_snapshot_id,
            "next-row-id" => self.next_row_id != base.next_row_id,
            "encryption-keys" => self.encryption_keys != base.encryption_keys,
            "refs" => self.refs != base.refs,
            "snapshots" => self.snapshots != base.snapshots,
            "statistics" => self.statistics != base.statistics,
            "partition-statistics" => self.partition_statistics != base.partition_statistics,
            "snapshot-log" => self.snapshot_log != base.snapshot_log,
            "metadata-log" => self.metadata_log != base.metadata_log,
            // `schema` and `partition-spec` duplicate other fields.
            _ => false,
        }
    }

    /// Returns `true` if the decoded value of any field differs from that in `base`.
    pub(crate) fn differs_from(&self, base: &TableMetadata) -> bool {
        FIELDS.iter().any(|name| self.differs(base, name))
    }

    /// Marks the fields whose text has to be written again: those that differ from `base`, or all in a new
    /// document.
    pub(crate) fn mark_changes(&mut self, base: Option<&TableMetadata>) {
        let mut changed: HashSet<&str> = match base {
            Some(base) => FIELDS.into_iter().filter(|name| self.differs(base, name)).collect(),
            None => FIELDS.into_iter().filter(|name| self.is_written_when_new(name)).collect(),
        };
        for group in GROUPS {
            if group.iter().any(|name| changed.contains(name)) {
                changed.extend(group);
            }
        }
        if base.is_some_and(|base| base.format_version != self.format_version) {
            changed.extend(FIELDS.into_iter().filter(|name| self.is_written_when_new(name)));
        }
        for name in FIELDS {
            if self.format_version > 1 && matches!(name, "schema" | "partition-spec") {
                if changed.contains(name) {
                    self.layout.remove(name);
                }
            } else if changed.contains(name) {
                self.layout.renew(name);
            }
        }
    }

    fn is_written_when_new(&self, name: &str) -> bool {
        match name {
            "last-sequence-number" => self.format_version > 1,
            "next-row-id" => self.format_version > 2,
            "encryption-keys" => !self.encryption_keys.is_empty(),
            _ => true,
        }
    }
}

pub(crate) fn push_properties(out: &mut String, properties: &super::properties::Properties) {
    let values: Vec<(&str, Raw)> =
        properties.iter().map(|(name, value)| (name, Raw::string(value))).collect();
    push_object(out, values.iter().map(|(name, value)| (*name, value.as_str())));
}
