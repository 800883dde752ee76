//! History of the catalog: random changes, read at every instant and compared with a model that retains all
//! states.

use std::collections::BTreeMap;

use catalog_server::store::catalog::as_of::{self, PageAsOf};
use catalog_server::store::catalog::history;
use catalog_server::store::catalog::names::NameInNamespace;
use catalog_server::store::catalog::namespaces::{self, DropNamespace, NamespaceRow};
use catalog_server::store::catalog::tabular::{RenameTabular, Tabular, TabularKind};
use catalog_server::store::catalog::tabulars;
use catalog_server::store::engine::tx::Tx;
use catalog_server::store::ids::NamespaceId;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::fixture::{Fixture, create_namespace, create_tabular, new_id, pointer};

on_both_databases!(
    past_states_equal_the_states_that_were_current,
    pointers_are_listed_newest_first_even_after_a_drop,
    states_within_a_millisecond_are_listed_but_never_valid,
);

const PATHS: [&str; 5] = ["a", "b", "a\u{1f}x", "a\u{1f}x\u{1f}y", "b\u{1f}%"];
const NAMES: [&str; 4] = ["t", "T", "😀", "t/"];
const STEPS: usize = 150;

/// Current state of the catalog, in memory.
#[derive(Clone, Default)]
struct Model {
    namespaces: BTreeMap<String, NamespaceRow>,
    tabulars: BTreeMap<(String, String), Tabular>,
}

async fn past_states_equal_the_states_that_were_current(fixture: &Fixture) {
    let mut random = tests::fixture::random("past_states_equal_the_states_that_were_current");
    let mut model = Model::default();
    let mut past: BTreeMap<i64, Model> = BTreeMap::new();
    let mut now_ms = 1_000_000;
    for step in 0..STEPS {
        // Sometimes two transactions share an instant, or the clock is set back a little.
        now_ms += random.random_range(-2..5);
        let mut tx = fixture.db.write(now_ms).await.unwrap();
        for change in 0..random.random_range(1..4) {
            change_something(&mut tx, fixture, &mut random, &format!("v{step}.{change}")).await;
        }
        let at_ms = tx.at_ms();
        tx.commit().await.unwrap();
        model = read_present(fixture).await;
        past.insert(at_ms, model.clone());
    }
    assert!(past.values().any(|model| model.tabulars.len() > 3), "the history contains too few changes");

    let first_ms = *past.keys().next().unwrap();
    check(fixture, first_ms - 1, &Model::default()).await;
    check(fixture, i64::MAX - 1, &model).await;
    for (at_ms, model) in &past {
        check(fixture, *at_ms, model).await;
    }
}

/// Attempts a random change, which may be refused.
async fn change_something(tx: &mut Tx, fixture: &Fixture, random: &mut StdRng, tag: &str) {
    let db = &fixture.db;
    let path = PATHS[random.random_range(0..PATHS.len())];
    let name = NAMES[random.random_range(0..NAMES.len())];
    let kind = if random.random_bool(0.7) { TabularKind::Table } else { TabularKind::View };
    // State before this transaction; because of its own changes, some of the attempts below fail.
    let namespace = namespaces::find(db, fixture.warehouse_id, path).await.unwrap();
    let tabular = tabulars::find(db, fixture.warehouse_id, path, name).await.unwrap();
    match (random.random_range(0..10), namespace, tabular) {
        (0, Some(namespace), _) => {
            let dropped = namespaces::drop(tx, namespace.namespace_id).await.unwrap();
            assert!(matches!(
                dropped,
                DropNamespace::Dropped | DropNamespace::NotEmpty | DropNamespace::Missing
            ));
        }
        (1, Some(namespace), _) => {
            let next = format!(r#"{{"tag":"{tag}"}}"#);
            namespaces::replace_properties(tx, namespace.namespace_id, &namespace.properties, &next)
                .await
                .unwrap();
        }
        (2, _, Some(tabular)) => {
            tabulars::drop(tx, tabular.tabular_id, None).await.unwrap();
        }
        (3 | 4, _, Some(tabular)) => {
            let other =
                namespaces::find(db, fixture.warehouse_id, PATHS[random.random_range(0..PATHS.len())]);
            let Some(other) = other.await.unwrap() else { return };
            let from = NameInNamespace { namespace_id: tabular.namespace_id, name };
            let to =
                NameInNamespace { namespace_id: other.namespace_id, name: NAMES[random.random_range(0..4)] };
            let renamed = tabulars::rename(tx, tabular.tabular_id, from, to).await.unwrap();
            assert_ne!((renamed, from == to), (RenameTabular::Renamed, true));
        }
        (_, _, Some(tabular)) => {
            let next = pointer(tag);
            tabulars::swap_pointer(tx, tabular.tabular_id, &tabular.metadata_location, &next).await.unwrap();
        }
        (_, Some(namespace), None) => {
            create_tabular(tx, kind, namespace.namespace_id, name).await;
        }
        (_, None, None) => {
            create_namespace(tx, fixture.warehouse_id, NamespaceId(new_id()), path).await;
        }
    }
}

async fn read_present(fixture: &Fixture) -> Model {
    let mut model = Model::default();
    for path in PATHS {
        let namespace = namespaces::find(&fixture.db, fixture.warehouse_id, path).await.unwrap();
        // The past has no version.
        let namespace = namespace.map(|namespace| NamespaceRow { names_version: 0, ..namespace });
        model.namespaces.extend(namespace.map(|namespace| (path.to_owned(), namespace)));
        for name in NAMES {
            let tabular = tabulars::find(&fixture.db, fixture.warehouse_id, path, name).await.unwrap();
            model.tabulars.extend(tabular.map(|tabular| ((path.to_owned(), name.to_owned()), tabular)));
        }
    }
    model
}

async fn check(fixture: &Fixture, at_ms: i64, model: &Model) {
    let db = &fixture.db;
    for path in PATHS {
        let namespace = as_of::find_namespace(db, fixture.warehouse_id, path, at_ms).await.unwrap();
        assert_eq!(namespace.as_ref(), model.namespaces.get(path), "{path:?} as of {at_ms}");
        for name in NAMES {
            let key = (path.to_owned(), name.to_owned());
            let tabular = as_of::find_tabular(db, fixture.warehouse_id, path, name, at_ms).await.unwrap();
            assert_eq!(tabular.as_ref(), model.tabulars.get(&key), "{key:?} as of {at_ms}");
        }
        if let Some(namespace) = namespace {
            for kind in [TabularKind::Table, TabularKind::View] {
                check_listing(fixture, at_ms, model, (namespace.namespace_id, kind)).await;
            }
        }
    }
    for parent in [None, Some("a"), Some("a\u{1f}x"), Some("b")] {
        let mut expected: Vec<&NamespaceRow> = model.namespaces.values().collect();
        expected.retain(|it| it.path.rsplit_once('\u{1f}').map(|(parent, _)| parent) == parent);
        let mut listed: Vec<NamespaceRow> = Vec::new();
        loop {
            let page = PageAsOf { after: listed.last().map(|it| it.path.as_str()), limit: 1, at_ms };
            let page = as_of::list_children(db, fixture.warehouse_id, parent, page).await.unwrap();
            if page.is_empty() {
                break;
            }
            listed.extend(page);
        }
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "in {parent:?} as of {at_ms}");
    }
}

async fn check_listing(
    fixture: &Fixture,
    at_ms: i64,
    model: &Model,
    (namespace_id, kind): (NamespaceId, TabularKind),
) {
    let mut expected: Vec<&str> = Vec::new();
    for tabular in model.tabulars.values() {
        if tabular.namespace_id == namespace_id && tabular.kind == kind {
            expected.push(&tabular.name);
        }
    }
    let mut listed: Vec<String> = Vec::new();
    loop {
        let page = PageAsOf { after: listed.last().map(String::as_str), limit: 1, at_ms };
        let page = as_of::list_tabulars(&fixture.db, namespace_id, kind, page).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, expected, "as of {at_ms}");
}

async fn pointers_are_listed_newest_first_even_after_a_drop(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let table = fixture.table(namespace_id, "t").await;
    for version in 0..4 {
        let (previous, next) = (format!("t/v{version}"), format!("t/v{}", version + 1));
        let mut tx = fixture.write().await;
        assert!(tabulars::swap_pointer(&mut tx, table, &previous, &pointer(&next)).await.unwrap());
        tx.commit().await.unwrap();
    }
    let mut tx = fixture.write().await;
    assert!(tabulars::drop(&mut tx, table, None).await.unwrap());
    tx.commit().await.unwrap();

    let mut pointers: Vec<history::PastPointer> = Vec::new();
    loop {
        let before = pointers.last().map(|pointer| pointer.history_id);
        let page = history::list_pointers(&fixture.db, table, before, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        pointers.extend(page);
    }
    let files: Vec<&str> = pointers.iter().map(|pointer| pointer.metadata_location.as_str()).collect();
    assert_eq!(files, ["t/v4", "t/v3", "t/v2", "t/v1", "t/v0"]);
    for pair in pointers.windows(2) {
        assert_eq!(pair[1].valid_to_ms, pair[0].valid_from_ms);
    }
    assert!(pointers.iter().all(|pointer| pointer.valid_to_ms < history::FOREVER_MS));
}

async fn states_within_a_millisecond_are_listed_but_never_valid(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let older = fixture.table(namespace_id, "older").await;
    let created = tabulars::find(&fixture.db, fixture.warehouse_id, "a", "older").await.unwrap();
    let created_ms = created.unwrap().created_ms;
    let mut tx = fixture.write().await;
    while tx.at_ms() == created_ms {
        drop(tx);
        tx = fixture.write().await;
    }
    assert!(tabulars::swap_pointer(&mut tx, older, "older/v0", &pointer("older/v1")).await.unwrap());
    assert!(tabulars::swap_pointer(&mut tx, older, "older/v1", &pointer("older/v2")).await.unwrap());
    let (table, _) = create_tabular(&mut tx, TabularKind::Table, namespace_id, "t").await;
    assert!(tabulars::swap_pointer(&mut tx, table, "t/v0", &pointer("t/v1")).await.unwrap());
    let (gone, _) = create_tabular(&mut tx, TabularKind::Table, namespace_id, "gone").await;
    assert!(tabulars::drop(&mut tx, gone, None).await.unwrap());
    let at_ms = tx.at_ms();
    tx.commit().await.unwrap();

    let location_at = async |name, at_ms| {
        let tabular = as_of::find_tabular(&fixture.db, fixture.warehouse_id, "a", name, at_ms).await.unwrap();
        tabular.map(|tabular| tabular.metadata_location)
    };
    assert_eq!(location_at("older", at_ms - 1).await.as_deref(), Some("older/v0"));
    assert_eq!(location_at("older", at_ms).await.as_deref(), Some("older/v2"));
    assert_eq!(location_at("t", at_ms).await.as_deref(), Some("t/v1"));
    assert_eq!(location_at("t", at_ms - 1).await, None);
    assert_eq!(location_at("gone", at_ms).await, None);
    assert_eq!(history::list_pointers(&fixture.db, table, None, 9).await.unwrap().len(), 2);
}
