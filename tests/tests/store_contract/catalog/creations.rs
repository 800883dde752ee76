//! Commits that create one table: they are a single statement on PostgreSQL.

use catalog_server::store::catalog::as_of::{self, PageAsOf};
use catalog_server::store::catalog::names::NameInNamespace;
use catalog_server::store::catalog::namespaces::{self, DropNamespace};
use catalog_server::store::catalog::tabular::{NewTabular, RenameTabular, TabularKind};
use catalog_server::store::catalog::{locations, tabulars};
use catalog_server::store::commits::{self, Commit, CommitOutcome, PointerChange, TabularChange};
use catalog_server::store::engine::target::DbKind;
use catalog_server::store::events::audit::{self, AuditFilter, NewAuditEntry};
use catalog_server::store::events::idempotency::{self, NewAnswer};
use catalog_server::store::events::outbox;
use catalog_server::store::ids::{NamespaceId, TabularId};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tokio::join;

use crate::fixture::{Fixture, new_id, pointer};

on_both_databases!(
    a_creation_is_written_with_all_of_its_records,
    a_creation_under_a_used_key_changes_nothing,
    a_refused_creation_changes_nothing,
    one_of_two_creations_of_a_name_succeeds,
    one_of_two_creations_in_nested_folders_succeeds,
    a_name_released_concurrently_has_one_table_at_a_time,
    a_released_name_can_be_reused_even_if_the_clock_was_set_back,
    a_namespace_is_not_dropped_with_a_table_in_it,
    the_names_of_a_namespace_have_a_version,
);

const NOW_MS: i64 = 2_000_000;

async fn create(
    fixture: &Fixture,
    place: NameInNamespace<'_>,
    folder: &str,
    key: Option<&str>,
) -> CommitOutcome {
    let tabular_id = TabularId(new_id());
    let audit = NewAuditEntry {
        audit_id: new_id(),
        request_id: "r",
        caller: "alice",
        action: "create-table",
        object_kind: "table",
        object_name: place.name,
        object_id: Some(tabular_id.0),
        outcome: "done",
        detail: "{}",
    };
    let answer = key.map(|key| NewAnswer {
        caller: "alice",
        key,
        fingerprint: place.name,
        status: 200,
        body: None,
        metadata_location: Some("m"),
    });
    let new = NewTabular { tabular_id, kind: TabularKind::Table, place, pointer: pointer("m") };
    let change = TabularChange { pointer: PointerChange::Create(new), claims: vec![folder], audit };
    let commit = Commit { warehouse_id: fixture.warehouse_id, job: None, changes: vec![change], answer };
    commits::commit(&fixture.db, NOW_MS, &commit).await.unwrap()
}

async fn list_audit_entries(fixture: &Fixture) -> Vec<audit::AuditEntry> {
    let filter = AuditFilter { object_id: None, from_ms: 0, before: None };
    audit::list(&fixture.db, filter, 1_000).await.unwrap()
}

async fn names(fixture: &Fixture, namespace_id: NamespaceId) -> Vec<String> {
    tabulars::list(&fixture.db, namespace_id, TabularKind::Table, None, 1_000).await.unwrap()
}

async fn names_at(fixture: &Fixture, namespace_id: NamespaceId, at_ms: i64) -> Vec<String> {
    let page = PageAsOf { after: None, limit: 1_000, at_ms };
    as_of::list_tabulars(&fixture.db, namespace_id, TabularKind::Table, page).await.unwrap()
}

async fn version(fixture: &Fixture, path: &str) -> i64 {
    namespaces::find(&fixture.db, fixture.warehouse_id, path).await.unwrap().unwrap().names_version
}

async fn a_creation_is_written_with_all_of_its_records(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let place = NameInNamespace { namespace_id, name: "t" };
    assert_eq!(create(fixture, place, "file:///w/t/", Some("k")).await, CommitOutcome::Done);

    let found = tabulars::find(&fixture.db, fixture.warehouse_id, "a", "t").await.unwrap().unwrap();
    assert_eq!((found.metadata_location.as_str(), found.created_ms), ("m", found.updated_ms));
    assert_eq!((found.warehouse_id, found.kind), (fixture.warehouse_id, TabularKind::Table));
    let [entry] = &list_audit_entries(fixture).await[..] else { panic!("one entry") };
    assert_eq!((entry.object_id, entry.at_ms), (Some(found.tabular_id.0), found.created_ms));
    assert_eq!(
        outbox::list(&fixture.db, None, i64::MAX, 9).await.unwrap(),
        list_audit_entries(fixture).await
    );
    assert_eq!(locations::list(&fixture.db, found.tabular_id.0).await.unwrap(), ["file:///w/t/"]);
    let recorded = idempotency::find(&fixture.db, "alice", "k").await.unwrap().unwrap();
    assert_eq!((recorded.fingerprint.as_str(), recorded.created_ms), ("t", found.created_ms));
    for (at_ms, expected) in [(found.created_ms - 1, None), (found.created_ms, Some(&found))] {
        let past = as_of::find_tabular(&fixture.db, fixture.warehouse_id, "a", "t", at_ms).await.unwrap();
        assert_eq!(past.as_ref(), expected, "as of {at_ms}");
    }
}

async fn a_creation_under_a_used_key_changes_nothing(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let place = |name| NameInNamespace { namespace_id, name };
    assert_eq!(create(fixture, place("t"), "file:///w/t/", Some("k")).await, CommitOutcome::Done);
    assert_eq!(create(fixture, place("u"), "file:///w/u/", Some("k")).await, CommitOutcome::Answered);
    assert_eq!(
        (names(fixture, namespace_id).await, list_audit_entries(fixture).await.len()),
        (vec!["t".to_owned()], 1)
    );
    assert_eq!(create(fixture, place("u"), "file:///w/u/", None).await, CommitOutcome::Done);
}

async fn a_refused_creation_changes_nothing(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let place = |name| NameInNamespace { namespace_id, name };
    fixture.tabular(TabularKind::View, namespace_id, "v").await;
    assert_eq!(create(fixture, place("t"), "file:///w/t/", None).await, CommitOutcome::Done);
    let before = version(fixture, "a").await;
    let refused = [
        (place("v"), "file:///w/v/", CommitOutcome::NameTaken { index: 0, holder: TabularKind::View }),
        (place("t"), "file:///w/x/", CommitOutcome::NameTaken { index: 0, holder: TabularKind::Table }),
        (place("u"), "file:///w/t/", CommitOutcome::Overlaps { index: 0 }),
        (place("u"), "file:///w/t/inside/", CommitOutcome::Overlaps { index: 0 }),
        (place("u"), "file:///w/", CommitOutcome::Overlaps { index: 0 }),
        (
            NameInNamespace { namespace_id: NamespaceId(new_id()), name: "u" },
            "file:///w/u/",
            CommitOutcome::NamespaceMissing { index: 0 },
        ),
    ];
    for (place, folder, expected) in refused {
        assert_eq!(create(fixture, place, folder, Some("k")).await, expected, "{} {folder}", place.name);
    }
    assert_eq!(
        (names(fixture, namespace_id).await, version(fixture, "a").await),
        (vec!["t".to_owned()], before)
    );
    assert_eq!(list_audit_entries(fixture).await.len(), 1);
    assert_eq!(idempotency::find(&fixture.db, "alice", "k").await.unwrap(), None);
    assert_eq!(create(fixture, place("u"), "file:///w/u/", Some("k")).await, CommitOutcome::Done);
}

async fn one_of_two_creations_of_a_name_succeeds(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    for round in 0..20 {
        let name = format!("t{round}");
        let place = NameInNamespace { namespace_id, name: &name };
        let (one, two) = (format!("file:///w/{round}/one/"), format!("file:///w/{round}/two/"));
        let both = join!(create(fixture, place, &one, None), create(fixture, place, &two, None));
        let taken = CommitOutcome::NameTaken { index: 0, holder: TabularKind::Table };
        assert!(
            both == (CommitOutcome::Done, taken) || both == (taken, CommitOutcome::Done),
            "{round}: {both:?}"
        );
        assert_eq!(list_audit_entries(fixture).await.len(), round + 1);
    }
}

async fn one_of_two_creations_in_nested_folders_succeeds(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    for round in 0..20 {
        let (outer, inner) = (format!("outer{round}"), format!("inner{round}"));
        let place = |name| NameInNamespace { namespace_id, name };
        let (parent, nested) = (format!("file:///w/{round}/"), format!("file:///w/{round}/x/y/"));
        let both = join!(
            create(fixture, place(&outer), &parent, None),
            create(fixture, place(&inner), &nested, None)
        );
        let refused = CommitOutcome::Overlaps { index: 0 };
        assert!(
            both == (CommitOutcome::Done, refused) || both == (refused, CommitOutcome::Done),
            "{round}: {both:?}"
        );
    }
}

async fn a_name_released_concurrently_has_one_table_at_a_time(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let place = NameInNamespace { namespace_id, name: "t" };
    let start_ms = fixture.db.now_ms(NOW_MS).await.unwrap();
    assert_eq!(create(fixture, place, "file:///w/0/", None).await, CommitOutcome::Done);
    for round in 1..20 {
        let found = tabulars::find(&fixture.db, fixture.warehouse_id, "a", "t").await.unwrap().unwrap();
        let folder = format!("file:///w/{round}/");
        let dropping = async {
            let mut tx = fixture.db.write(NOW_MS).await.unwrap();
            assert!(tabulars::drop(&mut tx, found.tabular_id, None).await.unwrap());
            tokio::task::yield_now().await;
            tx.commit().await.unwrap();
        };
        let creating = async {
            while create(fixture, place, &folder, None).await != CommitOutcome::Done {
                tokio::task::yield_now().await;
            }
        };
        join!(dropping, creating);
    }
    let end_ms = fixture.db.now_ms(NOW_MS).await.unwrap();
    for at_ms in start_ms..=end_ms {
        let past = names_at(fixture, namespace_id, at_ms).await;
        assert!(past.len() <= 1, "as of {at_ms}: {past:?}");
    }
}

async fn a_released_name_can_be_reused_even_if_the_clock_was_set_back(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    let mut tx = fixture.write().await;
    assert!(tabulars::drop(&mut tx, tabular_id, None).await.unwrap());
    tx.commit().await.unwrap();
    let released_ms = fixture.db.now_ms(NOW_MS).await.unwrap() + 1_000_000;
    execute(fixture, &format!("UPDATE tabular_history SET valid_to_ms = {released_ms}")).await;

    let place = NameInNamespace { namespace_id, name: "t" };
    assert_eq!(create(fixture, place, "file:///w/t/", None).await, CommitOutcome::Done);
    assert_eq!(names_at(fixture, namespace_id, released_ms - 1).await, ["t"]);
    assert_eq!(names_at(fixture, namespace_id, released_ms).await, ["t"]);
    let find =
        async |at_ms| as_of::find_tabular(&fixture.db, fixture.warehouse_id, "a", "t", at_ms).await.unwrap();
    let new = tabulars::find(&fixture.db, fixture.warehouse_id, "a", "t").await.unwrap().unwrap();
    assert_eq!(find(released_ms).await.map(|past| past.tabular_id), Some(new.tabular_id));
    let [entry] = &list_audit_entries(fixture).await[..] else { panic!("one entry") };
    assert_eq!(entry.at_ms, released_ms);
}

async fn execute(fixture: &Fixture, sql: &str) {
    let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    match fixture.db.kind() {
        DbKind::Sqlite => {
            let mut connection = SqliteConnection::connect(&fixture.url).await.unwrap();
            statement.execute(&mut connection).await.map(drop).unwrap();
        }
        DbKind::Postgres => {
            let mut connection = PgConnection::connect(&fixture.url).await.unwrap();
            statement.execute(&mut connection).await.map(drop).unwrap();
        }
    }
}

async fn a_namespace_is_not_dropped_with_a_table_in_it(fixture: &Fixture) {
    for round in 0..20 {
        let path = format!("a{round}");
        let namespace_id = fixture.namespace(&path).await;
        let place = NameInNamespace { namespace_id, name: "t" };
        let folder = format!("file:///w/{round}/");
        let dropping = async {
            let mut tx = fixture.db.write(NOW_MS).await.unwrap();
            let dropped = namespaces::drop(&mut tx, namespace_id).await.unwrap();
            tx.commit().await.unwrap();
            dropped
        };
        match join!(create(fixture, place, &folder, None), dropping) {
            (CommitOutcome::Done, DropNamespace::NotEmpty)
            | (CommitOutcome::NamespaceMissing { index: 0 }, DropNamespace::Dropped) => {}
            other => panic!("{round}: {other:?}"),
        }
    }
}

async fn the_names_of_a_namespace_have_a_version(fixture: &Fixture) {
    let (a, b) = (fixture.namespace("a").await, fixture.namespace("b").await);
    let mut versions = vec![version(fixture, "a").await];
    let place = |namespace_id, name| NameInNamespace { namespace_id, name };
    assert_eq!(create(fixture, place(a, "t"), "file:///w/t/", None).await, CommitOutcome::Done);
    versions.push(version(fixture, "a").await);
    let view = fixture.tabular(TabularKind::View, a, "v").await;
    versions.push(version(fixture, "a").await);
    assert_eq!(version(fixture, "b").await, versions[0]);

    for (from, to) in [(place(a, "v"), place(a, "w")), (place(a, "w"), place(b, "w"))] {
        let mut tx = fixture.write().await;
        assert_eq!(tabulars::rename(&mut tx, view, from, to).await.unwrap(), RenameTabular::Renamed);
        tx.commit().await.unwrap();
        versions.push(version(fixture, "a").await);
    }
    assert!(version(fixture, "b").await > versions[0]);

    let table = tabulars::find(&fixture.db, fixture.warehouse_id, "a", "t").await.unwrap().unwrap();
    let mut tx = fixture.write().await;
    assert!(tabulars::swap_pointer(&mut tx, table.tabular_id, "m", &pointer("m2")).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(version(fixture, "a").await, *versions.last().unwrap(), "a commit changes no name");
    let mut tx = fixture.write().await;
    assert!(tabulars::drop(&mut tx, table.tabular_id, None).await.unwrap());
    tx.commit().await.unwrap();
    versions.push(version(fixture, "a").await);
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");

    let mut tx = fixture.write().await;
    assert_eq!(namespaces::drop(&mut tx, a).await.unwrap(), DropNamespace::Dropped);
    tx.commit().await.unwrap();
}
