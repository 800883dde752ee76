//! State of automatic maintenance: candidates for evaluation, and cursors.

use catalog_server::store::catalog::tabular::TabularKind;
use catalog_server::store::catalog::tabulars;
use catalog_server::store::events::cursors::{self, Cursor};
use catalog_server::store::ids::TabularId;
use catalog_server::store::maintenance::candidates::{self, Candidate};
use catalog_server::store::maintenance::jobs::{self, NewJobRow, Runner};
use catalog_server::store::maintenance::policies;
use uuid::Uuid;

use crate::fixture::{Fixture, new_id};

on_both_databases!(
    a_cursor_is_advanced_from_its_read_position,
    of_two_concurrent_advances_of_a_cursor_one_succeeds,
    a_candidate_contains_its_open_job_and_pause,
    candidates_are_listed_by_id_in_pages,
    no_automatic_job_of_a_paused_table_is_queued,
);

fn cursor(at_ms: i64) -> Cursor {
    Cursor { at_ms, id: Uuid::from_u128(7) }
}

async fn create(fixture: &Fixture, name: &str, start: Cursor) {
    let mut tx = fixture.write().await;
    cursors::create(&mut tx, name, start).await.unwrap();
    tx.commit().await.unwrap();
}

/// Queues a job as the catalog does without a request.
async fn enqueue(fixture: &Fixture, tabular_id: TabularId, action: &str) -> bool {
    let new = NewJobRow {
        job_id: new_id(),
        warehouse_id: fixture.warehouse_id,
        tabular_id,
        table_name: "main/ns.t",
        action,
        runner: Runner::Worker,
        options: "{}",
        reason: "it was changed",
        requested_by: "maintenance",
        priority: 0,
        due_ms: 0,
    };
    let mut tx = fixture.write().await;
    let queued = jobs::queue::enqueue_unless_paused(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    queued
}

async fn pause(fixture: &Fixture, tabular_id: TabularId) {
    let mut tx = fixture.write().await;
    policies::pause(&mut tx, tabular_id, "a migration", "alice").await.unwrap();
    tx.commit().await.unwrap();
}

async fn find(fixture: &Fixture, tabular_id: TabularId) -> Candidate {
    candidates::find(&fixture.db, tabular_id, "evaluate").await.unwrap().unwrap()
}

async fn a_cursor_is_advanced_from_its_read_position(fixture: &Fixture) {
    assert_eq!(cursors::find(&fixture.db, "changes").await.unwrap(), None);
    create(fixture, "changes", cursor(1)).await;
    // A server that starts later finds the existing cursor.
    create(fixture, "changes", cursor(5)).await;
    create(fixture, "tables", cursor(9)).await;
    let mut tx = fixture.write().await;
    assert!(cursors::advance(&mut tx, "changes", cursor(1), cursor(2)).await.unwrap());
    for stale in [cursor(1), Cursor { id: Uuid::nil(), ..cursor(2) }] {
        assert!(!cursors::advance(&mut tx, "changes", stale, cursor(3)).await.unwrap());
    }
    assert!(!cursors::advance(&mut tx, "nothing", cursor(2), cursor(3)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(cursors::find(&fixture.db, "changes").await.unwrap(), Some(cursor(2)));
    assert_eq!(cursors::find(&fixture.db, "tables").await.unwrap(), Some(cursor(9)));
}

async fn of_two_concurrent_advances_of_a_cursor_one_succeeds(fixture: &Fixture) {
    create(fixture, "changes", cursor(1)).await;
    let advance = async |to| {
        let mut tx = fixture.write().await;
        let moved = cursors::advance(&mut tx, "changes", cursor(1), to).await.unwrap();
        tx.commit().await.unwrap();
        moved
    };
    let (one, two) = tokio::join!(advance(cursor(2)), advance(cursor(3)));
    assert!(one != two);
    let at = cursors::find(&fixture.db, "changes").await.unwrap().unwrap();
    assert_eq!(at, if one { cursor(2) } else { cursor(3) });
}

async fn a_candidate_contains_its_open_job_and_pause(fixture: &Fixture) {
    fixture.namespace("a").await;
    let namespace_id = fixture.namespace("a\u{1f}b").await;
    let table = fixture.table(namespace_id, "t").await;
    let view = fixture.tabular(TabularKind::View, namespace_id, "v").await;
    assert_eq!(find(fixture, view).await.kind, TabularKind::View);
    let fresh = Candidate {
        tabular_id: table,
        warehouse_id: fixture.warehouse_id,
        kind: TabularKind::Table,
        warehouse: "main".to_owned(),
        namespace_path: "a\u{1f}b".to_owned(),
        name: "t".to_owned(),
        is_paused: false,
        is_open: false,
        made_ms: None,
    };
    assert_eq!(find(fixture, table).await, fresh);

    // Jobs of other actions and of other tables do not count.
    assert!(enqueue(fixture, table, "compact").await);
    assert!(enqueue(fixture, view, "evaluate").await);
    assert_eq!(find(fixture, table).await, fresh);
    assert!(enqueue(fixture, table, "evaluate").await);
    let queued = find(fixture, table).await;
    assert!(queued.is_open && queued.made_ms.is_some_and(|made_ms| made_ms > 0));
    pause(fixture, table).await;
    assert_eq!(find(fixture, table).await, Candidate { is_paused: true, ..queued.clone() });

    let mut tx = fixture.write().await;
    policies::resume(&mut tx, table).await.unwrap();
    let open = jobs::list_open(&fixture.db, table).await.unwrap();
    for job in open.iter().filter(|job| job.action == "evaluate") {
        jobs::queue::cancel(&mut tx, job.job_id).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(find(fixture, table).await, Candidate { is_open: false, ..queued });

    let mut tx = fixture.write().await;
    tabulars::drop(&mut tx, table, None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(candidates::find(&fixture.db, table, "evaluate").await.unwrap(), None);
}

async fn candidates_are_listed_by_id_in_pages(fixture: &Fixture) {
    let (one, other) = (fixture.namespace("one").await, fixture.namespace("other").await);
    let mut tables = Vec::new();
    for number in 0..5 {
        let namespace_id = if number % 2 == 0 { one } else { other };
        tables.push(fixture.table(namespace_id, &format!("t{number}")).await);
    }
    enqueue(fixture, tables[3], "evaluate").await;
    let mut listed: Vec<Candidate> = Vec::new();
    loop {
        let after = listed.last().map_or(TabularId(Uuid::nil()), |last| last.tabular_id);
        let page = candidates::list(&fixture.db, "evaluate", after, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed.iter().map(|candidate| candidate.tabular_id).collect::<Vec<_>>(), tables);
    for candidate in listed {
        assert_eq!(find(fixture, candidate.tabular_id).await, candidate);
        assert_eq!(candidate.is_open, candidate.tabular_id == tables[3]);
    }
}

async fn no_automatic_job_of_a_paused_table_is_queued(fixture: &Fixture) {
    let (table, other) = (TabularId(new_id()), TabularId(new_id()));
    pause(fixture, table).await;
    assert!(!enqueue(fixture, table, "evaluate").await);
    assert!(enqueue(fixture, other, "evaluate").await);
    assert!(!enqueue(fixture, other, "evaluate").await);
    assert_eq!(jobs::list_open(&fixture.db, table).await.unwrap(), []);
    let mut tx = fixture.write().await;
    policies::resume(&mut tx, table).await.unwrap();
    tx.commit().await.unwrap();
    assert!(enqueue(fixture, table, "evaluate").await);
}
