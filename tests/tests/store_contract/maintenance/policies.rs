//! Maintenance policies, and paused tables.

use catalog_server::store::ids::TabularId;
use catalog_server::store::maintenance::policies::{self, MaintenanceScopeId};

use crate::fixture::{Fixture, new_id};

on_both_databases!(
    a_policy_is_kept_for_its_scope_alone,
    every_change_of_a_policy_counts,
    a_pause_lasts_until_the_table_is_resumed,
);

async fn put(fixture: &Fixture, scope: MaintenanceScopeId, document: &str, by: &str) -> i64 {
    let mut tx = fixture.write().await;
    let version = policies::put(&mut tx, fixture.warehouse_id, scope, document, by).await.unwrap();
    tx.commit().await.unwrap();
    version
}

async fn find(fixture: &Fixture, scope: MaintenanceScopeId) -> Option<String> {
    policies::find(&fixture.db, scope).await.unwrap().map(|policy| policy.document)
}

async fn a_policy_is_kept_for_its_scope_alone(fixture: &Fixture) {
    let namespace_id = fixture.namespace("ns").await;
    let table = fixture.table(namespace_id, "t").await;
    let scopes = [
        MaintenanceScopeId::Warehouse(fixture.warehouse_id),
        MaintenanceScopeId::Namespace(namespace_id),
        MaintenanceScopeId::Table(table),
    ];
    for (number, scope) in scopes.into_iter().enumerate() {
        assert_eq!(find(fixture, scope).await, None);
        assert_eq!(put(fixture, scope, &number.to_string(), "alice").await, 1);
    }
    for (number, scope) in scopes.into_iter().enumerate() {
        assert_eq!(find(fixture, scope).await, Some(number.to_string()));
    }
    let mut tx = fixture.write().await;
    assert!(policies::delete(&mut tx, scopes[1]).await.unwrap());
    assert!(!policies::delete(&mut tx, scopes[1]).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(find(fixture, scopes[1]).await, None);
    assert_eq!(find(fixture, scopes[2]).await, Some("2".to_owned()));
}

async fn every_change_of_a_policy_counts(fixture: &Fixture) {
    let scope = MaintenanceScopeId::Warehouse(fixture.warehouse_id);
    assert_eq!(put(fixture, scope, "{}", "alice").await, 1);
    assert_eq!(put(fixture, scope, r#"{"a":1}"#, "bob").await, 2);
    let policy = policies::find(&fixture.db, scope).await.unwrap().unwrap();
    assert_eq!((policy.document.as_str(), policy.version), (r#"{"a":1}"#, 2));
    assert_eq!(policy.updated_by, "bob");
    assert!(policy.updated_ms > 0);
}

async fn a_pause_lasts_until_the_table_is_resumed(fixture: &Fixture) {
    let table = TabularId(new_id());
    assert_eq!(policies::find_pause(&fixture.db, table).await.unwrap(), None);
    for reason in ["a migration", "another reason"] {
        let mut tx = fixture.write().await;
        policies::pause(&mut tx, table, reason, "alice").await.unwrap();
        tx.commit().await.unwrap();
    }
    let pause = policies::find_pause(&fixture.db, table).await.unwrap().unwrap();
    assert_eq!((pause.reason.as_str(), pause.paused_by.as_str()), ("a migration", "alice"));
    let mut tx = fixture.write().await;
    assert!(policies::resume(&mut tx, table).await.unwrap());
    assert!(!policies::resume(&mut tx, table).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(policies::find_pause(&fixture.db, table).await.unwrap(), None);
}
