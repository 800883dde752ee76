//! The report on a table, in the form that `--json` prints.

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use table_core::metadata::schema::Schema;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::types::{StructType, Type};

use super::files::FileCounts;
use maintenance::client::Loaded;

/// What there is to say about a table.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableReport {
    /// As it was asked for.
    pub name: String,
    /// Its UUID.
    pub uuid: Option<String>,
    /// Its format version.
    pub format_version: i32,
    /// Where its files are.
    pub location: String,
    /// Its current metadata file.
    pub metadata_location: Option<String>,
    /// When it was changed last, in milliseconds since 1970.
    pub last_updated_ms: i64,
    /// All schemas, the current one marked.
    pub schemas: Vec<SchemaReport>,
    /// All partition specs, the default one marked.
    pub partition_specs: Vec<Value>,
    /// All sort orders, the default one marked.
    pub sort_orders: Vec<Value>,
    /// Branches and tags.
    pub refs: Vec<RefReport>,
    /// All snapshots, oldest first.
    pub snapshots: Vec<SnapshotReport>,
    /// The snapshot that `files` is about.
    pub counted_snapshot_id: Option<i64>,
    /// What it consists of; absent for a table without snapshots.
    pub files: Option<FileCounts>,
}

/// A schema.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SchemaReport {
    /// Its id.
    pub schema_id: i32,
    /// Whether it is the current one.
    pub current: bool,
    /// All fields, nested ones after the field they are in.
    pub columns: Vec<Column>,
}

/// A field.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Column {
    /// Its id.
    pub id: i32,
    /// Its full name.
    pub name: String,
    /// Its type, without the fields in it.
    pub r#type: String,
    /// Whether null is impossible.
    pub required: bool,
    /// The comment.
    pub doc: Option<String>,
}

/// A branch or tag.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefReport {
    /// Its name.
    pub name: String,
    /// `branch` or `tag`.
    pub r#type: String,
    /// What it points to.
    pub snapshot_id: i64,
}

/// A snapshot.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SnapshotReport {
    /// Its id.
    pub snapshot_id: i64,
    /// The one before.
    pub parent_snapshot_id: Option<i64>,
    /// When it was made, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// What its writer says of it.
    pub summary: serde_json::Map<String, Value>,
}

impl TableReport {
    /// Puts together what is known.
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

    /// The current schema.
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
