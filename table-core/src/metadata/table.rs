//! Table metadata: one document, as the server and the commit rules see it. It does not change itself; see
//! [`crate::commit`].

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

/// The metadata of a table.
///
/// Reading and writing give back the same JSON value, whatever it contains. Cloning costs a few machine words
/// per snapshot: the text of the elements is shared.
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
    /// A table without anything: where building a new one starts.
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

    /// The format version.
    pub fn format_version(&self) -> i32 {
        self.format_version
    }

    /// The identity of the table; version 1 documents may lack it.
    pub fn uuid(&self) -> Option<Uuid> {
        self.uuid
    }

    /// The base location, without a trailing slash.
    pub fn location(&self) -> &str {
        self.location.trim_end_matches('/')
    }

    /// The properties in order.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// One property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// The values of the properties that move files away from [`TableMetadata::location`].
    pub fn path_properties(&self) -> impl Iterator<Item = &str> {
        properties::PATHS.into_iter().filter_map(|name| self.property(name))
    }

    /// When the document was made, in milliseconds since 1970.
    pub fn last_updated_ms(&self) -> i64 {
        self.last_updated_ms
    }

    /// The highest sequence number given out; 0 in version 1.
    pub fn last_sequence_number(&self) -> i64 {
        self.last_sequence_number
    }

    /// The highest column id given out.
    pub fn last_column_id(&self) -> i32 {
        self.last_column_id
    }

    /// The highest partition field id given out.
    pub fn last_partition_id(&self) -> i32 {
        self.last_partition_id
    }

    /// The next row id (version 3); 0 before.
    pub fn next_row_id(&self) -> i64 {
        self.next_row_id
    }

    /// All schemas.
    pub fn schemas(&self) -> &[Schema] {
        &self.schemas
    }

    /// The id of the current schema.
    pub fn current_schema_id(&self) -> i32 {
        self.current_schema_id
    }

    /// The current schema. Parsing made sure that it exists.
    pub fn current_schema(&self) -> Result<&Schema, MetadataError> {
        self.schemas.iter().find(|schema| schema.id() == self.current_schema_id).ok_or_else(|| {
            MetadataError::inconsistent(format!("the current schema {} is missing", self.current_schema_id))
        })
    }

    /// All partition specs.
    pub fn partition_specs(&self) -> &[PartitionSpec] {
        &self.partition_specs
    }

    /// The id of the default partition spec.
    pub fn default_spec_id(&self) -> i32 {
        self.default_spec_id
    }

    /// The default partition spec, unless the document lacks it.
    pub fn default_spec(&self) -> Option<&PartitionSpec> {
        self.partition_specs.iter().find(|spec| spec.id() == self.default_spec_id)
    }

    /// All sort orders.
    pub fn sort_orders(&self) -> &[SortOrder] {
        &self.sort_orders
    }

    /// The id of the default sort order.
    pub fn default_sort_order_id(&self) -> i32 {
        self.default_sort_order_id
    }

    /// The default sort order, unless the document lacks it.
    pub fn default_sort_order(&self) -> Option<&SortOrder> {
        self.sort_orders.iter().find(|order| order.id() == self.default_sort_order_id)
    }

    /// The current snapshot's id, unless the table is empty.
    pub fn current_snapshot_id(&self) -> Option<i64> {
        self.current_snapshot_id
    }

    /// The current snapshot, unless the table is empty.
    pub fn current_snapshot(&self) -> Option<&Snapshot> {
        self.snapshot(self.current_snapshot_id?)
    }

    /// All snapshots in the order of the document.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// One snapshot.
    pub fn snapshot(&self, id: i64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.id() == id)
    }

    /// The locations of the manifest lists of all snapshots that have one.
    pub fn manifest_lists(&self) -> impl Iterator<Item = Result<String, MetadataError>> {
        self.snapshots.iter().filter_map(|snapshot| snapshot.manifest_list().transpose())
    }

    /// Branches and tags by name. `main` is there whenever there is a current snapshot.
    pub fn refs(&self) -> &OrderedMap<SnapshotRef> {
        &self.refs
    }

    /// What has been the current snapshot since when.
    pub fn snapshot_log(&self) -> &[SnapshotLogEntry] {
        &self.snapshot_log
    }

    /// Previous metadata files, oldest first.
    pub fn metadata_log(&self) -> &[MetadataLogEntry] {
        &self.metadata_log
    }

    /// Statistics files.
    pub fn statistics(&self) -> &[StatisticsFile] {
        &self.statistics
    }

    /// Partition statistics files.
    pub fn partition_statistics(&self) -> &[StatisticsFile] {
        &self.partition_statistics
    }

    /// Encryption keys.
    pub fn encryption_keys(&self) -> &[EncryptionKey] {
        &self.encryption_keys
    }
}
