//! Tables through the crate `iceberg`: creation, names, properties, concurrent commits.

use iceberg::spec::{
    FormatVersion, NullOrder, SortDirection, SortField, SortOrder, Transform, UnboundPartitionSpec,
};
use iceberg::transaction::{ApplyTransactionAction as _, Transaction};
use iceberg::{Catalog as _, ErrorKind, TableCreation};
use tests::process::Backend;

use crate::lake::{Lake, batch, rows, scan_rows, schema, write};

async fn tables_are_created_listed_renamed_registered_and_dropped(backend: Backend) {
    let lake = Lake::new(backend).await;
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(1, "id_bucket", Transform::Bucket(4))
        .unwrap()
        .add_partition_field(3, "at_day", Transform::Day)
        .unwrap()
        .build();
    let field = SortField::builder().source_id(2).transform(Transform::Identity);
    let field = field.direction(SortDirection::Descending).null_order(NullOrder::Last).build();
    let order = SortOrder::builder().with_sort_field(field).build(&schema()).unwrap();
    let creation = TableCreation::builder()
        .name("t ü".to_owned())
        .schema(schema())
        .partition_spec(spec)
        .sort_order(order)
        // The crate does not send its own setting of the format version.
        .properties(
            [("format-version", "3"), ("owner", "somebody")].map(|(k, v)| (k.to_owned(), v.to_owned())),
        )
        .format_version(FormatVersion::V1)
        .build();
    let table = lake.catalog.create_table(&lake.namespace, creation).await.unwrap();
    let loaded = lake.load(&table).await;
    assert_eq!(loaded.metadata(), table.metadata());
    let metadata = loaded.metadata();
    assert_eq!(metadata.format_version(), FormatVersion::V3);
    assert_eq!(metadata.current_schema().as_struct(), schema().as_struct());
    let fields = metadata.default_partition_spec().fields().iter();
    let fields: Vec<_> =
        fields.map(|field| (field.source_id, field.name.as_str(), field.transform)).collect();
    assert_eq!(fields, [(1, "id_bucket", Transform::Bucket(4)), (3, "at_day", Transform::Day)]);
    assert_eq!(metadata.default_sort_order().fields.len(), 1);
    assert_eq!(metadata.properties()["owner"], "somebody");

    let (old, new) = (lake.ident("t ü"), lake.ident("renamed"));
    assert_eq!(lake.catalog.list_tables(&lake.namespace).await.unwrap(), std::slice::from_ref(&old));
    lake.catalog.rename_table(&old, &new).await.unwrap();
    assert!(!lake.catalog.table_exists(&old).await.unwrap());
    let error = lake.catalog.load_table(&old).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TableNotFound, "{error}");
    let renamed = lake.catalog.load_table(&new).await.unwrap();
    assert_eq!(renamed.metadata().uuid(), table.metadata().uuid());

    lake.catalog.drop_table(&new).await.unwrap();
    let location = renamed.metadata_location().unwrap().to_owned();
    let registered = lake.catalog.register_table(&old, location).await.unwrap();
    assert_eq!(registered.metadata().uuid(), table.metadata().uuid());
    lake.catalog.purge_table(&old).await.unwrap();
    assert!(lake.catalog.list_tables(&lake.namespace).await.unwrap().is_empty());
}

async fn properties_sort_orders_and_the_format_version_change(backend: Backend) {
    let lake = Lake::new(backend).await;
    let table = lake.create("t", None).await;
    let transaction = Transaction::new(&table);
    let set = transaction.update_table_properties().set("a".to_owned(), "1".to_owned());
    let transaction = set.set("b".to_owned(), "2".to_owned()).apply(transaction).unwrap();
    let order = transaction.replace_sort_order().asc("name", NullOrder::First).desc("id", NullOrder::Last);
    let transaction = order.apply(transaction).unwrap();
    let table = transaction.commit(&lake.catalog).await.unwrap();
    let transaction = Transaction::new(&table);
    let remove = transaction.update_table_properties().remove("a".to_owned());
    let transaction = remove.apply(transaction).unwrap();
    let upgrade = transaction.upgrade_table_version().set_format_version(FormatVersion::V3);
    let table = upgrade.apply(transaction).unwrap().commit(&lake.catalog).await.unwrap();
    let loaded = lake.load(&table).await;
    assert_eq!(loaded.metadata(), table.metadata());
    let properties = loaded.metadata().properties();
    assert_eq!((properties.get("a"), properties["b"].as_str()), (None, "2"));
    assert_eq!(loaded.metadata().format_version(), FormatVersion::V3);
    assert_eq!(loaded.metadata().default_sort_order().fields.len(), 2);
}

async fn concurrent_appends_are_both_made(backend: Backend) {
    let lake = Lake::new(backend).await;
    let table = lake.create("t", None).await;
    let first = write(&table, batch(&table, &rows(0..10))).await;
    let second = write(&table, batch(&table, &rows(10..20))).await;
    // Both were computed for the same state of the table. The crate loads it again for the second.
    let one = lake.commit_files(&table, first).await;
    let both = lake.commit_files(&table, second).await;
    assert_eq!(both.metadata().snapshots().count(), 2);
    assert_eq!(scan_rows(&both, None, None).await, rows(0..20));
    assert_eq!(scan_rows(&one, None, None).await, rows(0..10));
}

tests::on_both_databases!(
    tables_are_created_listed_renamed_registered_and_dropped,
    properties_sort_orders_and_the_format_version_change,
    concurrent_appends_are_both_made,
);
