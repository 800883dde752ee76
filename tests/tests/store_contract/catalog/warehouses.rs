//! Warehouses.

use catalog_server::store::catalog::warehouses::{self, NewWarehouse};
use catalog_server::store::ids::WarehouseId;

use crate::fixture::{Fixture, ODD_NAMES, new_id};

on_both_databases!(
    a_name_cannot_be_used_twice,
    a_created_object_is_found,
    a_creation_sees_those_that_it_waited_for,
    pages_follow_the_order_of_bytes,
);

async fn create(fixture: &Fixture, name: &str) -> bool {
    let mut tx = fixture.write().await;
    let new = NewWarehouse {
        warehouse_id: WarehouseId(new_id()),
        name,
        location: "s3://bucket/",
        properties: r#"{"a":"b"}"#,
        storage: r#"{"type":"file"}"#,
        credential: Some(b"sealed"),
    };
    let created = warehouses::create(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    created
}

async fn a_name_cannot_be_used_twice(fixture: &Fixture) {
    assert!(create(fixture, "lake").await);
    assert!(!create(fixture, "lake").await);
}

async fn a_created_object_is_found(fixture: &Fixture) {
    create(fixture, "lake").await;
    let found = warehouses::find(&fixture.db, "lake").await.unwrap().unwrap();
    assert_eq!(
        (found.name.as_str(), found.location.as_str(), found.properties.as_str()),
        ("lake", "s3://bucket/", r#"{"a":"b"}"#)
    );
    assert_eq!(
        (found.storage.as_str(), found.credential.as_deref()),
        (r#"{"type":"file"}"#, Some(&b"sealed"[..]))
    );
    assert_eq!(warehouses::find(&fixture.db, "LAKE").await.unwrap(), None);
}

async fn a_creation_sees_those_that_it_waited_for(fixture: &Fixture) {
    let mut first = fixture.write().await;
    assert_eq!(
        warehouses::lock_and_list(&mut first).await.unwrap(),
        [("main".to_owned(), "file:///warehouse/".to_owned())]
    );
    let new = NewWarehouse {
        warehouse_id: WarehouseId(new_id()),
        name: "lake",
        location: "s3://bucket/",
        properties: "{}",
        storage: r#"{"type":"file"}"#,
        credential: None,
    };
    assert!(warehouses::create(&mut first, &new).await.unwrap());
    let second = async {
        let mut second = fixture.write().await;
        warehouses::lock_and_list(&mut second).await.unwrap()
    };
    let end_first = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        first.commit().await.unwrap();
    };
    let (seen, ()) = tokio::join!(second, end_first);
    assert_eq!(seen.len(), 2);
}

async fn pages_follow_the_order_of_bytes(fixture: &Fixture) {
    for name in ODD_NAMES.iter().rev() {
        create(fixture, name).await;
    }
    let mut names = Vec::new();
    while let page = warehouses::list(&fixture.db, names.last().map(String::as_str), 5).await.unwrap()
        && !page.is_empty()
    {
        names.extend(page.into_iter().map(|warehouse| warehouse.name));
    }
    names.retain(|name| name != "main");
    assert_eq!(names, ODD_NAMES);
}
