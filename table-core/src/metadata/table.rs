//! Table metadata: the JSON document of a table, for reading. Changes to it are in [`crate::commit`].

use uuid::Uuid;

use super::error::MetadataError;
use super::layout::Layout;
use super::map::OrderedMap;
use super::partition::{PARTITION_ID_START, PartitionSpec};
use super::properties::{self, Properties};
use super::schema::Schema;
use super::snapshot::{MetadataLogEntry, Snapshot, SnapshotLogEntry, SnapshotRef};
use super::sort::SortOrder;
use super::statistics::{EncryptionKey, StatisticsFile};

/// Metadata of a table (specification, "Table Metadata").
///
/// Parsing and writing yields the same JSON value, unknown fields included. A parsed value is consistent: see
/// [`TableMetadata::check`]. Cloning costs a few machine words per snapshot, because clones share the text of
/// the elements.
#[derive(Debug, Clone)]
pub struct TableMetadata {
    pub(super) layout: Layout,
    pub(crate) format_version: i32,
    pub(crate) uuid: Option<Uuid>,
    pub(crate) location: String,
    pub(crate) last_sequence_number: i64,
    pub(crate) last_updated_ms: i64,
    pub(crate) last_column_id: i32,
    pub(crate) current_schema_id: i32,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) default_spec_id: i32,
    pub(crate) partition_specs: Vec<PartitionSpec>,
    pub(crate) last_partition_id: i32,
    pub(crate) default_sort_order_id: i32,
    pub(crate) sort_orders: Vec<SortOrder>,
    pub(crate) properties: Properties,
    pub(crate) current_snapshot_id: Option<i64>,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) refs: OrderedMap<SnapshotRef>,
    pub(crate) snapshot_log: Vec<SnapshotLogEntry>,
    pub(crate) metadata_log: Vec<MetadataLogEntry>,
    pub(crate) statistics: Vec<StatisticsFile>,
    pub(crate) partition_statistics: Vec<StatisticsFile>,
    pub(crate) encryption_keys: Vec<EncryptionKey>,
    pub(crate) next_row_id: i64,
}

impl TableMetadata {
    /// Returns table metadata without content, from which a new table is built.
    pub(crate) fn empty(format_version: i32, now_ms: i64) -> TableMetadata {
        TableMetadata {
            layout: Layout::default(),
            format_version,
            uuid: None,
            location: String::new(),
            last_sequence_number: 0,
            last_updated_ms: now_ms,
            last_column_id: 0,
            current_schema_id: 0,
            schemas: Vec::new(),
            default_spec_id: 0,
            partition_specs: Vec::new(),
            last_partition_id: PARTITION_ID_START - 1,
            default_sort_order_id: 0,
            sort_orders: Vec::new(),
            properties: Properties::default(),
            current_snapshot_id: None,
            snapshots: Vec::new(),
            refs: OrderedMap::default(),
            snapshot_log: Vec::new(),
            metadata_log: Vec::new(),
            statistics: Vec::new(),
            partition_statistics: Vec::new(),
            encryption_keys: Vec::new(),
            next_row_id: 0,
        }
    }

    /// Returns the format version (`format-version`).
    pub fn format_version(&self) -> i32 {
        self.format_version
    }

    /// Returns the UUID of the table (`table-uuid`); format version 1 allows it to be absent.
    pub fn uuid(&self) -> Option<Uuid> {
        self.uuid
    }

    /// Returns the base location (`location`), without a trailing slash.
    pub fn location(&self) -> &str {
        self.location.trim_end_matches('/')
    }

    /// Returns the properties, in the order of the document.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Returns the value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// Returns the values of the properties that place files outside of [`TableMetadata::location`].
    pub fn path_properties(&self) -> impl Iterator<Item = &str> {
        properties::PATHS.into_iter().filter_map(|name| self.property(name))
    }

    /// Returns the time of the last change (`last-updated-ms`), in milliseconds since 1970.
    pub fn last_updated_ms(&self) -> i64 {
        self.last_updated_ms
    }

    /// Returns the highest assigned sequence number (`last-sequence-number`); 0 in format version 1.
    pub fn last_sequence_number(&self) -> i64 {
        self.last_sequence_number
    }

    /// Returns the highest assigned column id (`last-column-id`).
    pub fn last_column_id(&self) -> i32 {
        self.last_column_id
    }

    /// Returns the highest assigned partition field id (`last-partition-id`).
    pub fn last_partition_id(&self) -> i32 {
        self.last_partition_id
    }

    /// Returns the row id to be assigned next (`next-row-id`; format version 3); 0 in earlier versions.
    pub fn next_row_id(&self) -> i64 {
        self.next_row_id
    }

    /// Returns all schemas (`schemas`).
    pub fn schemas(&self) -> &[Schema] {
        &self.schemas
    }

    /// Returns the id of the current schema (`current-schema-id`).
    pub fn current_schema_id(&self) -> i32 {
        self.current_schema_id
    }

    /// Returns the current schema.
    ///
    /// # Errors
    ///
    /// Fails if the schema does not exist ([`MetadataError::Inconsistent`]), which cannot happen after
    /// [`TableMetadata::parse`].
    pub fn current_schema(&self) -> Result<&Schema, MetadataError> {
        self.schemas.iter().find(|schema| schema.id() == self.current_schema_id).ok_or_else(|| {
            MetadataError::inconsistent(format!("the current schema {} is missing", self.current_schema_id))
        })
    }

    /// Returns all partition specs (`partition-specs`).
    pub fn partition_specs(&self) -> &[PartitionSpec] {
        &self.partition_specs
    }

    /// Returns the id of the default partition spec (`default-spec-id`).
    pub fn default_spec_id(&self) -> i32 {
        self.default_spec_id
    }

    /// Returns the default partition spec; `None` if it does not exist.
    pub fn default_spec(&self) -> Option<&PartitionSpec> {
        self.partition_specs.iter().find(|spec| spec.id() == self.default_spec_id)
    }

    /// Returns all sort orders (`sort-orders`).
    pub fn sort_orders(&self) -> &[SortOrder] {
        &self.sort_orders
    }

    /// Returns the id of the default sort order (`default-sort-order-id`).
    pub fn default_sort_order_id(&self) -> i32 {
        self.default_sort_order_id
    }

    /// Returns the default sort order; `None` if it does not exist.
    pub fn default_sort_order(&self) -> Option<&SortOrder> {
        self.sort_orders.iter().find(|order| order.id() == self.default_sort_order_id)
    }

    /// Returns the id of the current snapshot (`current-snapshot-id`); `None` if there is none.
    pub fn current_snapshot_id(&self) -> Option<i64> {
        self.current_snapshot_id
    }

    /// Returns the current snapshot; `None` if there is none.
    pub fn current_snapshot(&self) -> Option<&Snapshot> {
        self.snapshot(self.current_snapshot_id?)
    }

    /// Returns all snapshots, in the order of the document.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// Returns the snapshot with this id.
    pub fn snapshot(&self, id: i64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.id() == id)
    }

    /// Returns the locations of the manifest lists of all snapshots that have one.
    ///
    /// An element is an error under the conditions of [`Snapshot::manifest_list`].
    pub fn manifest_lists(&self) -> impl Iterator<Item = Result<String, MetadataError>> {
        self.snapshots.iter().filter_map(|snapshot| snapshot.manifest_list().transpose())
    }

    /// Returns branches and tags by name (`refs`). `main` exists if, and only if, there is a current
    /// snapshot.
    pub fn refs(&self) -> &OrderedMap<SnapshotRef> {
        &self.refs
    }

    /// Returns the snapshot log (`snapshot-log`): the history of the current snapshot, oldest entry first.
    pub fn snapshot_log(&self) -> &[SnapshotLogEntry] {
        &self.snapshot_log
    }

    /// Returns the metadata log (`metadata-log`): previous metadata files, oldest first.
    pub fn metadata_log(&self) -> &[MetadataLogEntry] {
        &self.metadata_log
    }

    /// Returns the statistics files (`statistics`).
    pub fn statistics(&self) -> &[StatisticsFile] {
        &self.statistics
    }

    /// Returns the partition statistics files (`partition-statistics`).
    pub fn partition_statistics(&self) -> &[StatisticsFile] {
        &self.partition_statistics
    }

    /// Returns the encryption keys (`encryption-keys`).
    pub fn encryption_keys(&self) -> &[EncryptionKey] {
        &self.encryption_keys
    }
}
