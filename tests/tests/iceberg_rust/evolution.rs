//! Tables whose schema or partition spec changes between appends of the crate `iceberg`.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use iceberg::expr::Reference;
use iceberg::spec::{Datum, Literal, PrimitiveType, Transform, Type, UnboundPartitionSpec};
use iceberg::transaction::{AddColumn, ApplyTransactionAction as _, Transaction};
use iceberg::{Catalog as _, TableCreation};
use serde_json::json;
use tests::fixture;
use tests::process::Backend;

use crate::lake::{Lake, NEW_LEVEL, Row, rows, scan, scan_rows, schema};

async fn columns_are_added_and_deleted_between_appends(backend: Backend) {
    let lake = Lake::new(backend).await;
    let table = lake.create("t", None).await;
    let table = lake.append(&table, &rows(0..10)).await;
    let transaction = Transaction::new(&table);
    let note = AddColumn::optional("note", Type::Primitive(PrimitiveType::String));
    let update = transaction.update_schema().add_column(note).delete_column("amount");
    let table = update.apply(transaction).unwrap().commit(&lake.catalog).await.unwrap();
    let loaded = lake.load(&table).await;
    assert_eq!(loaded.metadata(), table.metadata());
    let current = loaded.metadata().current_schema();
    assert_eq!(current.field_by_name("note").unwrap().id, 5);
    assert!(current.field_by_name("amount").is_none());

    let table = lake.append(&loaded, &rows(10..20)).await;
    let without_amount = |row: Row| Row { amount: None, ..row };
    let expected: Vec<_> = rows(0..20).into_iter().map(without_amount).collect();
    assert_eq!(scan_rows(&table, None, None).await, expected);
    let no_note = Reference::new("note").is_null();
    assert_eq!(scan_rows(&table, None, Some(no_note)).await, expected);
    // The schema of an earlier snapshot is the one that it was written with.
    let first = table.metadata().snapshots().min_by_key(|snapshot| snapshot.sequence_number()).unwrap();
    assert_eq!(scan_rows(&table, Some(first.snapshot_id()), None).await, rows(0..10));
}

async fn a_required_column_has_its_default_in_older_files(backend: Backend) {
    let lake = Lake::new(backend).await;
    let creation = TableCreation::builder().name("t".to_owned()).schema(schema());
    let creation = creation.properties([("format-version".to_owned(), "3".to_owned())]).build();
    let table = lake.catalog.create_table(&lake.namespace, creation).await.unwrap();
    let table = lake.append(&table, &rows(0..10)).await;
    let transaction = Transaction::new(&table);
    let level = AddColumn::required("level", Type::Primitive(PrimitiveType::Int), Literal::int(7));
    let update = transaction.update_schema().add_column(level);
    let table = update.apply(transaction).unwrap().commit(&lake.catalog).await.unwrap();
    let loaded = lake.load(&table).await;
    // Known disagreement: the crate reads the current snapshot with the schema that it was written with, Java with the
    // current one of the table.
    assert!(scan(&loaded, None, None).await.iter().all(|batch| batch.column_by_name("level").is_none()));
    let table = lake.append(&loaded, &rows(10..13)).await;
    let batches = scan(&table, None, None).await;
    let levels = batches.iter().flat_map(|batch| {
        batch.column_by_name("level").unwrap().as_primitive::<Int32Type>().values().to_vec()
    });
    let mut levels: Vec<_> = levels.collect();
    levels.sort_unstable();
    assert_eq!(levels, [[7; 10].as_slice(), &[NEW_LEVEL; 3]].concat());
}

async fn files_of_two_partition_specs_are_scanned_together(backend: Backend) {
    let lake = Lake::new(backend).await;
    let spec = UnboundPartitionSpec::builder();
    let spec = spec.add_partition_field(3, "at_day", Transform::Day).unwrap().build();
    let table = lake.create("t", Some(spec)).await;
    let table = lake.append(&table, &rows(0..30)).await;
    // The crate cannot change the partition spec, so the protocol does.
    let spec = json!({ "fields": [
        { "source-id": 3, "field-id": 1000, "name": "at_day", "transform": "day" },
        { "source-id": 1, "name": "id_bucket", "transform": "bucket[4]" },
    ] });
    let commit = json!({ "requirements": [], "updates": [
        { "action": "add-spec", "spec": spec }, { "action": "set-default-spec", "spec-id": -1 },
    ] });
    let path = fixture::table_path(&lake.namespace.to_string(), "t");
    lake.firn.post(&path, &commit).await.expect(200);
    let loaded = lake.load(&table).await;
    assert_eq!(loaded.metadata().partition_specs_iter().count(), 2);
    let table = lake.append(&loaded, &rows(30..60)).await;
    assert_eq!(scan_rows(&table, None, None).await, rows(0..60));
    for id in [5, 45] {
        let filter = Reference::new("id").equal_to(Datum::long(id));
        assert_eq!(scan_rows(&table, None, Some(filter)).await, rows(id..id + 1));
    }
    let day = Reference::new("at").less_than(Datum::timestamp_micros(24 * 3_600_000_000));
    assert_eq!(scan_rows(&table, None, Some(day)).await, rows(0..24));
}

tests::on_both_databases!(
    columns_are_added_and_deleted_between_appends,
    a_required_column_has_its_default_in_older_files,
    files_of_two_partition_specs_are_scanned_together,
);
