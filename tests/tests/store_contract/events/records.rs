//! Audit log, outbox, and metrics reports of engines.

use catalog_server::store::catalog::tabulars;
use catalog_server::store::events::audit::{self, AuditFilter, NewAuditEntry};
use catalog_server::store::events::outbox;
use catalog_server::store::events::reports::{self, NewReport};
use catalog_server::store::ids::TabularId;
use uuid::Uuid;

use crate::fixture::{Fixture, entry, new_id};

on_both_databases!(
    the_audit_log_pages_newest_first,
    the_audit_log_can_be_limited_to_one_object,
    events_page_oldest_first_up_to_an_instant,
    the_outbox_is_pruned_in_bounded_steps,
    only_the_newest_reports_of_a_table_are_kept,
    reports_are_deleted_with_their_table,
);

async fn record(fixture: &Fixture, object_id: Option<Uuid>, count: usize) -> Vec<Uuid> {
    let mut ids = Vec::new();
    // Two entries for each transaction, which have the same instant.
    for _ in 0..count / 2 {
        let mut tx = fixture.write().await;
        for _ in 0..2 {
            let audit_id = new_id();
            audit::record(&mut tx, &entry(audit_id, object_id)).await.unwrap();
            ids.push(audit_id);
        }
        tx.commit().await.unwrap();
    }
    ids
}

async fn list_audit(fixture: &Fixture, object_id: Option<Uuid>) -> Vec<Uuid> {
    let mut filter = AuditFilter { object_id, from_ms: 0, before: None };
    let mut ids = Vec::new();
    loop {
        let page = audit::list(&fixture.db, filter, 3).await.unwrap();
        let Some(last) = page.last() else {
            ids.reverse();
            return ids;
        };
        filter.before = Some((last.at_ms, last.audit_id));
        ids.extend(page.iter().map(|entry| entry.audit_id));
    }
}

async fn the_audit_log_pages_newest_first(fixture: &Fixture) {
    let ids = record(fixture, None, 10).await;
    assert_eq!(list_audit(fixture, None).await, ids);
    let everything = AuditFilter { object_id: None, from_ms: 0, before: None };
    let newest = audit::list(&fixture.db, everything, 1).await.unwrap().remove(0);
    assert_eq!((newest.caller.as_str(), newest.action.as_str()), ("alice", "createTable"));
    let recent = AuditFilter { from_ms: newest.at_ms + 1, ..everything };
    assert_eq!(audit::list(&fixture.db, recent, 9).await.unwrap(), []);
}

async fn the_audit_log_can_be_limited_to_one_object(fixture: &Fixture) {
    let (object, other) = (new_id(), new_id());
    let mut ids = record(fixture, Some(object), 4).await;
    record(fixture, Some(other), 4).await;
    record(fixture, None, 4).await;
    ids.extend(record(fixture, Some(object), 4).await);
    assert_eq!(list_audit(fixture, Some(object)).await, ids);
}

async fn emit(fixture: &Fixture, outcome: &str) -> (i64, Uuid) {
    let audit_id = new_id();
    let mut tx = fixture.write().await;
    audit::record(&mut tx, &NewAuditEntry { outcome, ..entry(audit_id, None) }).await.unwrap();
    let at_ms = tx.at_ms();
    tx.commit().await.unwrap();
    (at_ms, audit_id)
}

async fn list_events(fixture: &Fixture, until_ms: i64) -> Vec<(i64, Uuid)> {
    let mut listed: Vec<(i64, Uuid)> = Vec::new();
    loop {
        let page = outbox::list(&fixture.db, listed.last().copied(), until_ms, 2).await.unwrap();
        if page.is_empty() {
            return listed;
        }
        assert!(page.iter().all(|event| event.action == "createTable" && event.outcome == "done"));
        listed.extend(page.iter().map(|event| (event.at_ms, event.audit_id)));
    }
}

async fn events_page_oldest_first_up_to_an_instant(fixture: &Fixture) {
    let mut emitted = Vec::new();
    for _ in 0..7 {
        emitted.push(emit(fixture, "done").await);
        // Refused requests are not events.
        emit(fixture, "refused").await;
    }
    assert_eq!(list_events(fixture, i64::MAX).await, emitted);
    let until_ms = emitted[5].0;
    emitted.retain(|(at_ms, _)| *at_ms < until_ms);
    assert_eq!(list_events(fixture, until_ms).await, emitted);
}

async fn the_outbox_is_pruned_in_bounded_steps(fixture: &Fixture) {
    let mut emitted = Vec::new();
    for _ in 0..10 {
        emitted.push(emit(fixture, "done").await);
    }
    let mut tx = fixture.write().await;
    assert_eq!(outbox::prune_older(&mut tx, i64::MAX, 3).await.unwrap(), 3);
    assert_eq!(outbox::prune_older(&mut tx, emitted[0].0, 3).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(list_events(fixture, i64::MAX).await, emitted[3..]);
    // The audit log itself is not pruned.
    assert_eq!(list_audit(fixture, None).await.len(), 10);
}

async fn report(fixture: &Fixture, tabular_id: TabularId, keep: u32) -> Option<Uuid> {
    let report_id = new_id();
    let mut tx = fixture.write().await;
    let new = NewReport { report_id, tabular_id, kind: "scan", snapshot_id: Some(i64::MIN), body: "{}" };
    let inserted = reports::insert(&mut tx, &new, keep).await.unwrap();
    tx.commit().await.unwrap();
    inserted.then_some(report_id)
}

async fn only_the_newest_reports_of_a_table_are_kept(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let (table, other) = (fixture.table(namespace_id, "t").await, fixture.table(namespace_id, "u").await);
    let mut sent = Vec::new();
    for _ in 0..6 {
        sent.extend(report(fixture, table, 4).await);
        report(fixture, other, 2).await.unwrap();
    }
    let ids =
        |page: &[reports::MetricsReportRow]| page.iter().map(|report| report.report_id).collect::<Vec<_>>();
    let first = reports::list(&fixture.db, table, None, 3).await.unwrap();
    let second = reports::list(&fixture.db, table, first.last().map(|it| it.report_id), 3).await.unwrap();
    sent.reverse();
    assert_eq!([ids(&first), ids(&second)].concat(), sent[..4]);
    assert_eq!((first[0].kind.as_str(), first[0].snapshot_id), ("scan", Some(i64::MIN)));
    assert_eq!(reports::list(&fixture.db, other, None, 9).await.unwrap().len(), 2);
}

async fn reports_are_deleted_with_their_table(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let table = fixture.table(namespace_id, "t").await;
    report(fixture, table, 4).await.unwrap();
    let mut tx = fixture.write().await;
    assert!(tabulars::drop(&mut tx, table, None).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(reports::list(&fixture.db, table, None, 9).await.unwrap(), []);
    assert_eq!(report(fixture, table, 4).await, None);
}
