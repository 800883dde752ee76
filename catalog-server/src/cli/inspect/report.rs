//! Report on a table, in the form that `--json` prints.

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use table_core::metadata::schema::Schema;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::{StructType, Type};

use super::files::FileCounts;
use maintenance::client::Loaded;

/// Description of a table: metadata and number of files.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableReport {
    /// Name of the table, as given on the command line.
    pub name: String,
    /// UUID of the table (`table-uuid`).
    pub uuid: Option<String>,
    /// Version of the table format (`format-version`).
    pub format_version: i32,
    /// Base location of the table (`location`).
    pub location: String,
    /// Location of the current metadata file, if the catalog returns one.
    pub metadata_location: Option<String>,
    /// Time of the last change (`last-updated-ms`), in milliseconds since 1970.
    pub last_updated_ms: i64,
    /// All schemas; the current one is marked.
    pub schemas: Vec<SchemaReport>,
    /// All partition specs as in the metadata, with the added member `default`.
    pub partition_specs: Vec<Value>,
    /// All sort orders as in the metadata, with the added member `default`.
    pub sort_orders: Vec<Value>,
    /// Branches and tags (`refs`).
    pub refs: Vec<RefReport>,
    /// All snapshots, in the order of the metadata: oldest first.
    pub snapshots: Vec<SnapshotReport>,
    /// Id of the snapshot that [`TableReport::files`] describes.
    pub counted_snapshot_id: Option<i64>,
    /// Files of that snapshot; `None` for a table without snapshots.
    pub files: Option<FileCounts>,
}

/// Schema of a table.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SchemaReport {
    /// Id of the schema (`schema-id`).
    pub schema_id: i32,
    /// `true` if it is the current schema.
    pub current: bool,
    /// All fields; nested fields follow the field that contains them.
    pub columns: Vec<Column>,
}

/// Field of a schema, possibly nested.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Column {
    /// Field id.
    pub id: i32,
    /// Full name, with the names of the enclosing fields, separated by dots.
    pub name: String,
    /// Type in the notation of the Iceberg spec; nested types without their fields.
    pub r#type: String,
    /// `true` if the field is required, so that null is not allowed.
    pub required: bool,
    /// Documentation of the field (`doc`).
    pub doc: Option<String>,
}

/// Branch or tag of a table.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefReport {
    /// Name of the branch or tag.
    pub name: String,
    /// Type of the ref: `branch` or `tag`.
    pub r#type: String,
    /// Id of the snapshot that it refers to.
    pub snapshot_id: i64,
}

/// Snapshot of a table.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SnapshotReport {
    /// Id of the snapshot.
    pub snapshot_id: i64,
    /// Id of the parent snapshot.
    pub parent_snapshot_id: Option<i64>,
    /// Time of creation (`timestamp-ms`), in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Summary written by the engine, such as `operation` and `added-data-files`.
    pub summary: serde_json::Map<String, Value>,
}

impl TableReport {
    /// Assembles the report from the metadata of a table and the counts of its files.
    ///
    /// # Errors
    ///
    /// Fails if a schema, partition spec, sort order or the summary of a snapshot cannot be parsed.
    pub fn new(
        name: &str,
        loaded: &Loaded,
        metadata: &TableMetadata,
        counted_snapshot_id: Option<i64>,
        files: Option<FileCounts>,
    ) -> anyhow::Result<TableReport> {
        let current = metadata.current_schema_id();
        let schemas = metadata.schemas().iter().map(|schema| SchemaReport::new(schema, current));
        let refs = metadata.refs().iter().map(|(name, target)| RefReport {
            name: name.to_owned(),
            r#type: target.kind.as_str().to_owned(),
            snapshot_id: target.snapshot_id,
        });
        let snapshots = metadata.snapshots().iter().map(|snapshot| {
            let summary = snapshot.summary()?.into_iter().map(|(key, value)| (key, Value::String(value)));
            anyhow::Ok(SnapshotReport {
                snapshot_id: snapshot.id(),
                parent_snapshot_id: snapshot.parent_id(),
                timestamp_ms: snapshot.timestamp_ms(),
                summary: summary.collect(),
            })
        });
        let (spec_id, order_id) = (metadata.default_spec_id(), metadata.default_sort_order_id());
        Ok(TableReport {
            name: name.to_owned(),
            uuid: metadata.uuid().map(|uuid| uuid.to_string()),
            format_version: metadata.format_version(),
            location: metadata.location().to_owned(),
            metadata_location: loaded.metadata_location.clone(),
            last_updated_ms: metadata.last_updated_ms(),
            schemas: schemas.collect::<Result<_, _>>()?,
            partition_specs: metadata
                .partition_specs()
                .iter()
                .map(|spec| marked(spec.raw().as_str(), "default", spec.id() == spec_id))
                .collect::<Result<_, _>>()?,
            sort_orders: metadata
                .sort_orders()
                .iter()
                .map(|order| marked(order.raw().as_str(), "default", order.id() == order_id))
                .collect::<Result<_, _>>()?,
            refs: refs.collect(),
            snapshots: snapshots.collect::<Result<_, _>>()?,
            counted_snapshot_id,
            files,
        })
    }

    /// Returns the current schema.
    pub fn current_schema(&self) -> Option<&SchemaReport> {
        self.schemas.iter().find(|schema| schema.current)
    }
}

impl SchemaReport {
    fn new(schema: &Schema, current: i32) -> anyhow::Result<SchemaReport> {
        let mut columns = Vec::new();
        add_columns(&schema.columns()?.root, "", &mut columns);
        Ok(SchemaReport { schema_id: schema.id(), current: schema.id() == current, columns })
    }
}

fn add_columns(parts: &StructType, before: &str, columns: &mut Vec<Column>) {
    for field in &parts.fields {
        let name = format!("{before}{}", field.name);
        let inner = format!("{name}.");
        columns.push(Column {
            id: field.id,
            name,
            r#type: field.field_type.to_string(),
            required: field.required,
            doc: field.doc.clone(),
        });
        let nested = match &field.field_type {
            Type::Struct(parts) => vec![parts.clone()],
            Type::List(list) => vec![StructType { fields: vec![list.element.clone()], other: Vec::new() }],
            Type::Map(map) => {
                vec![StructType { fields: vec![map.key.clone(), map.value.clone()], other: Vec::new() }]
            }
            Type::Primitive(_) | Type::Other(_) => Vec::new(),
        };
        for parts in &nested {
            add_columns(parts, &inner, columns);
        }
    }
}

fn marked(raw: &str, mark: &str, is_it: bool) -> anyhow::Result<Value> {
    let mut value: Value = serde_json::from_str(raw).context("a part of the metadata is not JSON")?;
    value[mark] = json!(is_it);
    Ok(value)
}
