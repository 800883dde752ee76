//! Server, catalog of the crate `iceberg`, and tables with rows, for the cases of this suite.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use futures::TryStreamExt as _;
use iceberg::arrow::{RecordBatchPartitionSplitter, schema_to_arrow_schema};
use iceberg::expr::Predicate;
use iceberg::io::LocalFsStorageFactory;
use iceberg::spec::{
    DataFile, DataFileFormat, NestedField, PrimitiveType, Schema, Type, UnboundPartitionSpec,
};
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction as _, Transaction};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, DefaultLocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::partitioning::PartitioningWriter as _;
use iceberg::writer::partitioning::fanout_writer::FanoutWriter;
use iceberg::writer::{IcebergWriter as _, IcebergWriterBuilder as _};
use iceberg::{Catalog as _, CatalogBuilder as _, NamespaceIdent, TableCreation, TableIdent};
use iceberg_catalog_rest::{
    REST_CATALOG_PROP_URI, REST_CATALOG_PROP_WAREHOUSE, RestCatalog, RestCatalogBuilder,
};
use parquet::file::properties::WriterProperties;
use tests::fixture;
use tests::process::{Backend, Firn};

/// Value of the column `level` in new rows, if the table has it.
pub const NEW_LEVEL: i32 = 8;

/// Server with a catalog of the crate on it, and a namespace.
pub struct Lake {
    /// Server.
    pub firn: Firn,
    /// Catalog of the crate.
    pub catalog: RestCatalog,
    /// Namespace for the tables of the case.
    pub namespace: NamespaceIdent,
}

/// Row of the tables of this suite.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Column `id`.
    pub id: i64,
    /// Column `name`.
    pub name: Option<String>,
    /// Column `at`, in microseconds.
    pub at: i64,
    /// Column `amount`.
    pub amount: Option<f64>,
}

impl Lake {
    /// Starts a server, connects to it and creates a namespace.
    pub async fn new(backend: Backend) -> Lake {
        let firn = Firn::new(backend).await;
        let catalog = connect(&firn, "main").await;
        let namespace = NamespaceIdent::new(fixture::unique("ns"));
        catalog.create_namespace(&namespace, HashMap::new()).await.unwrap();
        Lake { firn, catalog, namespace }
    }

    /// Returns the identifier of a table in the namespace.
    pub fn ident(&self, name: &str) -> TableIdent {
        TableIdent::new(self.namespace.clone(), name.to_owned())
    }

    /// Creates a table with the columns of [`Row`].
    pub async fn create(&self, name: &str, spec: Option<UnboundPartitionSpec>) -> Table {
        let creation =
            TableCreation::builder().name(name.to_owned()).schema(schema()).partition_spec_opt(spec).build();
        self.catalog.create_table(&self.namespace, creation).await.unwrap()
    }

    /// Writes rows to new data files and commits them.
    pub async fn append(&self, table: &Table, rows: &[Row]) -> Table {
        let files = write(table, batch(table, rows)).await;
        self.commit_files(table, files).await
    }

    /// Commits data files.
    pub async fn commit_files(&self, table: &Table, files: Vec<DataFile>) -> Table {
        let transaction = Transaction::new(table);
        let append = transaction.fast_append().add_data_files(files);
        append.apply(transaction).unwrap().commit(&self.catalog).await.unwrap()
    }

    /// Loads the current state of a table.
    pub async fn load(&self, table: &Table) -> Table {
        self.catalog.load_table(table.identifier()).await.unwrap()
    }
}

/// Connects to a warehouse of a server.
pub async fn connect(firn: &Firn, warehouse: &str) -> RestCatalog {
    let properties = HashMap::from([
        (REST_CATALOG_PROP_URI.to_owned(), firn.root().to_owned()),
        (REST_CATALOG_PROP_WAREHOUSE.to_owned(), warehouse.to_owned()),
    ]);
    let builder = RestCatalogBuilder::default().with_storage_factory(Arc::new(LocalFsStorageFactory));
    builder.load("firn", properties).await.unwrap()
}

/// Schema of the tables.
pub fn schema() -> Schema {
    let optional =
        |id, name: &str, value_type| NestedField::optional(id, name, Type::Primitive(value_type)).into();
    let fields = vec![
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        optional(2, "name", PrimitiveType::String),
        NestedField::required(3, "at", Type::Primitive(PrimitiveType::Timestamp)).into(),
        optional(4, "amount", PrimitiveType::Double),
    ];
    Schema::builder().with_fields(fields).build().unwrap()
}

/// Rows with consecutive ids: every third has no name, and each is one hour after the one before.
pub fn rows(ids: std::ops::Range<i64>) -> Vec<Row> {
    let row = |id: i64| Row {
        id,
        name: (id % 3 != 0).then(|| format!("name {id}")),
        at: id * 3_600_000_000,
        amount: Some(f64::from(i32::try_from(id).unwrap()) / 4.0),
    };
    ids.map(row).collect()
}

/// Returns rows as a batch in the current schema of the table, by name; other columns are null.
pub fn batch(table: &Table, rows: &[Row]) -> RecordBatch {
    let schema = Arc::new(schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
    let column = |name: &str| -> Option<ArrayRef> {
        Some(match name {
            "id" => Arc::new(rows.iter().map(|row| Some(row.id)).collect::<Int64Array>()) as ArrayRef,
            "name" => Arc::new(rows.iter().map(|row| row.name.clone()).collect::<StringArray>()),
            "at" => Arc::new(rows.iter().map(|row| Some(row.at)).collect::<TimestampMicrosecondArray>()),
            "level" => Arc::new(Int32Array::from(vec![NEW_LEVEL; rows.len()])),
            "amount" => Arc::new(rows.iter().map(|row| row.amount).collect::<Float64Array>()),
            _ => return None,
        })
    };
    let columns = schema.fields().iter().map(|field| {
        column(field.name()).unwrap_or_else(|| arrow_array::new_null_array(field.data_type(), rows.len()))
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// Writes a batch to new data files, one for each partition.
pub async fn write(table: &Table, batch: RecordBatch) -> Vec<DataFile> {
    let metadata = table.metadata();
    let schema = metadata.current_schema().clone();
    let rolling = RollingFileWriterBuilder::new_with_default_file_size(
        ParquetWriterBuilder::new(WriterProperties::default(), schema.clone()),
        table.file_io().clone(),
        DefaultLocationGenerator::new(metadata).unwrap(),
        DefaultFileNameGenerator::new(fixture::unique("data"), None, DataFileFormat::Parquet),
    );
    let builder = DataFileWriterBuilder::new(rolling);
    let spec = metadata.default_partition_spec();
    if spec.is_unpartitioned() {
        let mut writer = builder.build(None).await.unwrap();
        writer.write(batch).await.unwrap();
        return writer.close().await.unwrap();
    }
    let splitter = RecordBatchPartitionSplitter::try_new_with_computed_values(schema, spec.clone()).unwrap();
    let mut writer = FanoutWriter::new(builder);
    for (key, part) in splitter.split(&batch).unwrap() {
        writer.write(key, part).await.unwrap();
    }
    writer.close().await.unwrap()
}

/// Scans a table, or an earlier snapshot of it. Returns the batches.
pub async fn scan(table: &Table, snapshot_id: Option<i64>, filter: Option<Predicate>) -> Vec<RecordBatch> {
    let mut scan = table.scan().select_all();
    if let Some(id) = snapshot_id {
        scan = scan.snapshot_id(id);
    }
    if let Some(filter) = filter {
        scan = scan.with_filter(filter);
    }
    scan.build().unwrap().to_arrow().await.unwrap().try_collect().await.unwrap()
}

/// Scans the rows of a table, in the order of their ids.
pub async fn scan_rows(table: &Table, snapshot_id: Option<i64>, filter: Option<Predicate>) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in scan(table, snapshot_id, filter).await {
        let column = |name: &str| batch.column_by_name(name);
        let ids = column("id").unwrap().as_primitive::<Int64Type>();
        let names = column("name").unwrap().as_string::<i32>();
        let at = column("at").unwrap().as_primitive::<TimestampMicrosecondType>();
        let amounts = column("amount").map(AsArray::as_primitive::<Float64Type>);
        for (number, id) in ids.values().iter().enumerate() {
            rows.push(Row {
                id: *id,
                name: names.iter().nth(number).flatten().map(str::to_owned),
                at: at.value(number),
                amount: amounts.and_then(|amounts| amounts.iter().nth(number).flatten()),
            });
        }
    }
    rows.sort_by_key(|row| row.id);
    rows
}
