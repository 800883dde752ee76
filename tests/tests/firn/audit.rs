//! Audit log: one entry for each change, and none for requests that change nothing.

use catalog_server::store::database;
use catalog_server::store::engine::options::DbOptions;
use catalog_server::store::events::audit::{self, AuditEntry, AuditFilter};
use serde_json::json;
use tests::fixture;
use tests::process::{Backend, Firn};

use crate::endpoints;

async fn read_entries(firn: &Firn) -> Vec<AuditEntry> {
    let db = database::open(&firn.setup().database_url(), &DbOptions::default()).await.unwrap();
    let all = AuditFilter { object_id: None, from_ms: 0, before: None };
    let entries = audit::list(&db, all, 10_000).await.unwrap();
    db.close().await;
    entries
}

async fn every_change_has_exactly_one_audit_entry(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let mut endpoints = endpoints::all(&firn).await;
    endpoints.extend(endpoints::governance(&firn).await);
    let mut expected = Vec::new();
    for endpoint in &endpoints {
        let request_id = catalog_server::id::random().to_string();
        let reply = endpoints::send(&firn, endpoint, &[("x-request-id", &request_id)]).await;
        assert_eq!(reply.status, endpoint.status, "{}: {}", endpoint.route, reply.text());
        assert_eq!(reply.header("x-request-id"), request_id, "{}", endpoint.route);
        expected.push((endpoint, request_id));
    }
    firn.stop();
    let entries = read_entries(&firn).await;
    for (endpoint, request_id) in expected {
        let found: Vec<_> = entries.iter().filter(|entry| entry.request_id == request_id).collect();
        let actions: Vec<_> = found.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, endpoint.action.into_iter().collect::<Vec<_>>(), "{}", endpoint.route);
        for entry in found {
            assert_eq!((entry.caller.as_str(), entry.outcome.as_str()), ("local-administrator", "done"));
            let is_in_warehouse =
                entry.object_name.starts_with("main/") || entry.action == "create-warehouse";
            assert!(is_in_warehouse && entry.object_id.is_some(), "{entry:?}");
        }
    }
}

async fn a_transaction_has_one_audit_entry_for_each_table(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    fixture::create_table(&firn, &ns, "a").await;
    fixture::create_table(&firn, &ns, "b").await;
    let set = [fixture::set_property("k", "v")];
    let changes = json!({ "table-changes": [fixture::change(&ns, "a", &[], &set), fixture::change(&ns, "b", &[], &set)] });
    let request_id = catalog_server::id::random().to_string();
    let headers = [("x-request-id", request_id.as_str())];
    firn.send("POST", "transactions/commit", Some(changes.to_string()), &headers).await.expect(204);
    firn.stop();
    let entries = read_entries(&firn).await;
    let mut names: Vec<_> = entries
        .iter()
        .filter(|entry| entry.request_id == request_id)
        .map(|entry| &entry.object_name)
        .collect();
    names.sort();
    assert_eq!(names, [&format!("main/{ns}.a"), &format!("main/{ns}.b")]);
}

async fn refused_and_repeated_requests_have_no_audit_entry(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    fixture::create_table(&firn, &ns, "t").await;
    let key = catalog_server::id::random().to_string();
    let headers = [("idempotency-key", key.as_str())];
    let set = fixture::commit(&[], &[fixture::set_property("k", "v")]).to_string();
    for _ in 0..3 {
        firn.send("POST", &fixture::table_path(&ns, "t"), Some(set.clone()), &headers).await.expect(200);
    }
    firn.post(&fixture::tables(&ns), &fixture::table("t")).await.expect(409);
    firn.delete(&fixture::namespace_path(&ns)).await.expect(409);
    firn.delete(&fixture::table_path(&ns, "none")).await.expect(404);
    firn.stop();
    let actions: Vec<_> = read_entries(&firn).await.into_iter().rev().map(|entry| entry.action).collect();
    assert_eq!(actions, ["create-namespace", "create-table", "commit-table"]);
}

tests::on_both_databases!(
    every_change_has_exactly_one_audit_entry,
    a_transaction_has_one_audit_entry_for_each_table,
    refused_and_repeated_requests_have_no_audit_entry,
);
