//! Commits to tables: all of their changes and records are written, or none.

use catalog_server::request::JobAttempt;
use catalog_server::store::catalog::as_of;
use catalog_server::store::catalog::locations;
use catalog_server::store::catalog::names::NameInNamespace;
use catalog_server::store::catalog::tabular::{NewTabular, Tabular, TabularKind};
use catalog_server::store::catalog::tabulars;
use catalog_server::store::commits::{self, Commit, CommitOutcome, PointerChange, TabularChange};
use catalog_server::store::events::audit::{self, AuditFilter, NewAuditEntry};
use catalog_server::store::events::idempotency::{self, NewAnswer};
use catalog_server::store::events::outbox;
use catalog_server::store::ids::{NamespaceId, TabularId};
use tokio::join;

use crate::fixture::{Fixture, new_id, pointer};

on_both_databases!(
    a_commit_is_written_with_all_of_its_records,
    a_lost_commit_records_nothing,
    a_commit_under_a_used_key_changes_nothing,
    one_of_two_concurrent_commits_succeeds,
    one_of_two_commits_under_one_key_succeeds,
    the_time_of_a_table_never_decreases,
    a_settled_past_does_not_change,
    several_tables_are_committed_atomically,
    a_new_table_is_committed_with_its_folders,
    a_commit_of_a_job_without_its_lease_changes_nothing,
    a_commit_without_changes_records_its_response,
);

fn entry(tabular_id: TabularId, request_id: &str) -> NewAuditEntry<'_> {
    NewAuditEntry {
        audit_id: new_id(),
        request_id,
        caller: "alice",
        action: "commit-table",
        object_kind: "table",
        object_name: "main/a.t",
        object_id: Some(tabular_id.0),
        outcome: "done",
        detail: "{}",
    }
}

fn answer<'a>(key: &'a str, fingerprint: &'a str, metadata_location: &'a str) -> NewAnswer<'a> {
    NewAnswer {
        caller: "alice",
        key,
        fingerprint,
        status: 200,
        body: None,
        metadata_location: Some(metadata_location),
    }
}

/// Commit that moves the pointers of tables: id, current and next location of the metadata file.
fn pointer_moves<'a>(fixture: &Fixture, tables: &[(TabularId, &'a str, &'a str)]) -> Commit<'a> {
    let change = |(tabular_id, previous, next): (TabularId, &'a str, &'a str)| TabularChange {
        pointer: PointerChange::Move { tabular_id, previous, next: pointer(next) },
        claims: Vec::new(),
        audit: entry(tabular_id, next),
    };
    let changes = tables.iter().copied().map(change).collect();
    Commit { warehouse_id: fixture.warehouse_id, job: None, changes, answer: None }
}

/// Change that creates a table with a folder.
fn creation<'a>(namespace_id: NamespaceId, name: &'a str, folder: &'a str) -> TabularChange<'a> {
    let tabular_id = TabularId(new_id());
    let place = NameInNamespace { namespace_id, name };
    let new = NewTabular { tabular_id, kind: TabularKind::Table, place, pointer: pointer(name) };
    TabularChange {
        pointer: PointerChange::Create(new),
        claims: vec![folder],
        audit: entry(tabular_id, name),
    }
}

async fn commit(
    fixture: &Fixture,
    tabular_id: TabularId,
    (previous, next): (&str, &str),
    key: Option<&str>,
) -> CommitOutcome {
    let answer = key.map(|key| answer(key, next, next));
    let commit = Commit { answer, ..pointer_moves(fixture, &[(tabular_id, previous, next)]) };
    commits::commit(&fixture.db, 2_000_000, &commit).await.unwrap()
}

async fn current(fixture: &Fixture) -> Tabular {
    tabulars::find(&fixture.db, fixture.warehouse_id, "a", "t").await.unwrap().unwrap()
}

async fn list_audit_entries(fixture: &Fixture) -> Vec<audit::AuditEntry> {
    let filter = AuditFilter { object_id: None, from_ms: 0, before: None };
    audit::list(&fixture.db, filter, 100).await.unwrap()
}

async fn events(fixture: &Fixture) -> Vec<audit::AuditEntry> {
    outbox::list(&fixture.db, None, i64::MAX, 100).await.unwrap()
}

async fn a_commit_is_written_with_all_of_its_records(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    assert_eq!(commit(fixture, tabular_id, ("t/v0", "t/v1"), Some("k")).await, CommitOutcome::Done);

    let found = current(fixture).await;
    assert_eq!((found.metadata_location.as_str(), found.kind), ("t/v1", TabularKind::Table));
    let [audit_entry] = &list_audit_entries(fixture).await[..] else { panic!("one entry") };
    assert_eq!((audit_entry.request_id.as_str(), audit_entry.at_ms), ("t/v1", found.updated_ms));
    assert_eq!(events(fixture).await, list_audit_entries(fixture).await);
    let recorded = idempotency::find(&fixture.db, "alice", "k").await.unwrap().unwrap();
    assert_eq!((recorded.fingerprint.as_str(), recorded.created_ms), ("t/v1", found.updated_ms));
    assert_eq!(recorded.metadata_location.as_deref(), Some("t/v1"));
    for (at_ms, expected) in [(found.updated_ms - 1, "t/v0"), (found.updated_ms, "t/v1")] {
        let then = as_of::find_tabular(&fixture.db, fixture.warehouse_id, "a", "t", at_ms).await.unwrap();
        assert_eq!(then.map(|then| then.metadata_location).as_deref(), Some(expected), "as of {at_ms}");
    }
}

async fn a_lost_commit_records_nothing(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    assert_eq!(
        commit(fixture, tabular_id, ("t/v7", "t/v8"), Some("k")).await,
        CommitOutcome::Lost { index: 0 }
    );
    assert_eq!(
        commit(fixture, TabularId(new_id()), ("t/v0", "t/v1"), Some("k")).await,
        CommitOutcome::Lost { index: 0 }
    );
    assert_eq!(current(fixture).await.metadata_location, "t/v0");
    assert_eq!((list_audit_entries(fixture).await, events(fixture).await), (Vec::new(), Vec::new()));
    assert_eq!(idempotency::find(&fixture.db, "alice", "k").await.unwrap(), None);
}

async fn a_commit_under_a_used_key_changes_nothing(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    assert_eq!(commit(fixture, tabular_id, ("t/v0", "t/v1"), Some("k")).await, CommitOutcome::Done);
    assert_eq!(commit(fixture, tabular_id, ("t/v1", "t/v2"), Some("k")).await, CommitOutcome::Answered);
    assert_eq!(current(fixture).await.metadata_location, "t/v1");
    assert_eq!(list_audit_entries(fixture).await.len(), 1);
    let recorded = idempotency::find(&fixture.db, "alice", "k").await.unwrap().unwrap();
    assert_eq!(recorded.fingerprint, "t/v1");
    assert_eq!(commit(fixture, tabular_id, ("t/v1", "t/v2"), None).await, CommitOutcome::Done);
}

async fn one_of_two_concurrent_commits_succeeds(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    let mut previous = "t/v0".to_owned();
    for round in 0..20 {
        let (one, two) = (format!("one{round}"), format!("two{round}"));
        let both = join!(
            commit(fixture, tabular_id, (&previous, &one), None),
            commit(fixture, tabular_id, (&previous, &two), None)
        );
        previous = match both {
            (CommitOutcome::Done, CommitOutcome::Lost { index: 0 }) => one,
            (CommitOutcome::Lost { index: 0 }, CommitOutcome::Done) => two,
            other => panic!("{other:?}"),
        };
        assert_eq!(current(fixture).await.metadata_location, previous);
        assert_eq!(list_audit_entries(fixture).await.len(), round + 1);
    }
}

async fn one_of_two_commits_under_one_key_succeeds(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let (first, second) = (fixture.table(namespace_id, "t").await, fixture.table(namespace_id, "u").await);
    for round in 0..20 {
        let key = format!("k{round}");
        let find = async |name| {
            let found = tabulars::find(&fixture.db, fixture.warehouse_id, "a", name).await.unwrap();
            found.unwrap().metadata_location
        };
        let (t, u) = (find("t").await, find("u").await);
        let (next_t, next_u) = (format!("t/{round}"), format!("u/{round}"));
        let both = join!(
            commit(fixture, first, (&t, &next_t), Some(&key)),
            commit(fixture, second, (&u, &next_u), Some(&key))
        );
        let expected = match both {
            (CommitOutcome::Done, CommitOutcome::Answered) => (next_t, u),
            (CommitOutcome::Answered, CommitOutcome::Done) => (t, next_u),
            other => panic!("{other:?}"),
        };
        assert_eq!((find("t").await, find("u").await), expected);
    }
}

async fn the_time_of_a_table_never_decreases(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    let mut before_ms = current(fixture).await.updated_ms;
    for (now_ms, version) in [(5_000_000, 1), (1, 2), (2, 3)] {
        let (previous, next) = (format!("t/v{}", version - 1), format!("t/v{version}"));
        let commit = pointer_moves(fixture, &[(tabular_id, &previous, &next)]);
        assert_eq!(commits::commit(&fixture.db, now_ms, &commit).await.unwrap(), CommitOutcome::Done);
        let updated_ms = current(fixture).await.updated_ms;
        assert!(updated_ms >= before_ms, "{updated_ms} after {before_ms}");
        before_ms = updated_ms;
    }
}

/// Settling waits for commits in progress, so that a past state that was read does not change.
async fn a_settled_past_does_not_change(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    for round in 0..20 {
        let (previous, next) = (format!("t/v{round}"), format!("t/v{}", round + 1));
        let (committed, settled_ms) = join!(commit(fixture, tabular_id, (&previous, &next), None), async {
            fixture.db.settle(2_000_000).await.unwrap()
        });
        assert_eq!(committed, CommitOutcome::Done);
        let at_ms = settled_ms - 1;
        let read = async || {
            let then = as_of::find_tabular(&fixture.db, fixture.warehouse_id, "a", "t", at_ms).await.unwrap();
            then.map(|then| then.metadata_location)
        };
        let then = read().await;
        let history = current(fixture).await;
        // Commits before the settled instant are visible by now; later commits are not.
        let expected = history.updated_ms <= at_ms;
        assert_eq!(then.as_deref() == Some(next.as_str()), expected, "round {round}");
        assert_eq!(read().await, then);
    }
}

async fn several_tables_are_committed_atomically(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let (t, u) = (fixture.table(namespace_id, "t").await, fixture.table(namespace_id, "u").await);
    let locations = async || {
        let mut found = Vec::new();
        for name in ["t", "u"] {
            let row = tabulars::find(&fixture.db, fixture.warehouse_id, "a", name).await.unwrap();
            found.push(row.unwrap().metadata_location);
        }
        found
    };
    let outdated = pointer_moves(fixture, &[(t, "t/v0", "t/v1"), (u, "u/v7", "u/v8")]);
    let outcome = commits::commit(&fixture.db, 2_000_000, &outdated).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Lost { index: 1 });
    assert_eq!(
        (locations().await, list_audit_entries(fixture).await.len()),
        (vec!["t/v0".into(), "u/v0".into()], 0)
    );
    let both = pointer_moves(fixture, &[(t, "t/v0", "t/v1"), (u, "u/v0", "u/v1")]);
    assert_eq!(commits::commit(&fixture.db, 2_000_000, &both).await.unwrap(), CommitOutcome::Done);
    assert_eq!(
        (locations().await, list_audit_entries(fixture).await.len()),
        (vec!["t/v1".into(), "u/v1".into()], 2)
    );
}

async fn a_new_table_is_committed_with_its_folders(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let create = async |changes: Vec<TabularChange<'_>>| {
        let commit = Commit { changes, ..pointer_moves(fixture, &[]) };
        commits::commit(&fixture.db, 2_000_000, &commit).await.unwrap()
    };
    assert_eq!(create(vec![creation(namespace_id, "t", "file:///w/t/")]).await, CommitOutcome::Done);
    let tabular_id = current(fixture).await.tabular_id;
    assert_eq!(locations::list(&fixture.db, tabular_id.0).await.unwrap(), ["file:///w/t/"]);

    let name_taken = create(vec![creation(namespace_id, "t", "file:///w/u/")]).await;
    assert_eq!(name_taken, CommitOutcome::NameTaken { index: 0, holder: TabularKind::Table });
    let within =
        vec![creation(namespace_id, "u", "file:///w/u/"), creation(namespace_id, "v", "file:///w/t/inside/")];
    assert_eq!(create(within).await, CommitOutcome::Overlaps { index: 1 });
    let unknown = create(vec![creation(NamespaceId(new_id()), "u", "file:///w/u/")]).await;
    assert_eq!(unknown, CommitOutcome::NamespaceMissing { index: 0 });
    assert_eq!(tabulars::find(&fixture.db, fixture.warehouse_id, "a", "u").await.unwrap(), None);
    assert_eq!(list_audit_entries(fixture).await.len(), 1);
}

async fn a_commit_of_a_job_without_its_lease_changes_nothing(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    let job = Some(JobAttempt { job_id: new_id(), attempt: 1 });
    let commit = Commit { job, ..pointer_moves(fixture, &[(tabular_id, "t/v0", "t/v1")]) };
    assert_eq!(commits::commit(&fixture.db, 2_000_000, &commit).await.unwrap(), CommitOutcome::JobLost);
    assert_eq!(current(fixture).await.metadata_location, "t/v0");
}

async fn a_commit_without_changes_records_its_response(fixture: &Fixture) {
    let commit = Commit { answer: Some(answer("k", "f", "t/v0")), ..pointer_moves(fixture, &[]) };
    assert_eq!(commits::commit(&fixture.db, 2_000_000, &commit).await.unwrap(), CommitOutcome::Done);
    assert_eq!(commits::commit(&fixture.db, 2_000_000, &commit).await.unwrap(), CommitOutcome::Answered);
    let recorded = idempotency::find(&fixture.db, "alice", "k").await.unwrap().unwrap();
    assert_eq!(recorded.fingerprint, "f");
}
