//! Tables and views.

use catalog_server::store::catalog::names::NameInNamespace;
use catalog_server::store::catalog::tabular::{CreateTabular, Pointer, RenameTabular, Tabular, TabularKind};
use catalog_server::store::catalog::tabulars;
use catalog_server::store::engine::error::StoreError;
use catalog_server::store::ids::{NamespaceId, TabularId};
use tokio::join;

use crate::fixture::{Fixture, ODD_NAMES, create_tabular, new_id, pointer};

on_both_databases!(
    tables_and_views_share_names,
    a_namespace_must_exist,
    a_created_object_is_found,
    several_tabulars_are_found_in_the_requested_order,
    pages_follow_the_order_of_bytes,
    a_listing_contains_one_kind,
    a_pointer_moves_only_from_the_expected_location,
    a_registration_may_overwrite_all_fields_of_a_pointer,
    one_of_two_concurrent_pointer_moves_succeeds,
    one_of_two_concurrent_creations_succeeds,
    a_refused_rename_returns_the_reason,
    a_rename_keeps_the_id,
    a_name_is_found_by_the_id,
    one_of_two_concurrent_renames_to_one_name_succeeds,
    a_drop_is_refused_if_the_pointer_moved,
    a_locked_table_changes_only_after_the_transaction,
);

async fn find(fixture: &Fixture, path: &str, name: &str) -> Option<Tabular> {
    tabulars::find(&fixture.db, fixture.warehouse_id, path, name).await.unwrap()
}

async fn create(fixture: &Fixture, kind: TabularKind, namespace_id: NamespaceId) -> CreateTabular {
    let mut tx = fixture.write().await;
    let (_, created) = create_tabular(&mut tx, kind, namespace_id, "t").await;
    tx.commit().await.unwrap();
    created
}

async fn swap(fixture: &Fixture, tabular_id: TabularId, previous: &str, next: &str) -> bool {
    let mut tx = fixture.write().await;
    let swapped = tabulars::swap_pointer(&mut tx, tabular_id, previous, &pointer(next)).await.unwrap();
    tx.commit().await.unwrap();
    swapped
}

async fn rename(
    fixture: &Fixture,
    tabular_id: TabularId,
    from: NameInNamespace<'_>,
    to: NameInNamespace<'_>,
) -> Result<RenameTabular, StoreError> {
    let mut tx = fixture.write().await;
    let renamed = tabulars::rename(&mut tx, tabular_id, from, to).await?;
    tx.commit().await.unwrap();
    Ok(renamed)
}

async fn tables_and_views_share_names(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    assert_eq!(create(fixture, TabularKind::View, namespace_id).await, CreateTabular::Created);
    for kind in [TabularKind::Table, TabularKind::View] {
        let created = create(fixture, kind, namespace_id).await;
        assert_eq!(created, CreateTabular::NameTaken(TabularKind::View));
    }
}

async fn a_namespace_must_exist(fixture: &Fixture) {
    let created = create(fixture, TabularKind::Table, NamespaceId(new_id())).await;
    assert_eq!(created, CreateTabular::NamespaceMissing);
}

async fn a_created_object_is_found(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    let found = find(fixture, "a", "t").await.unwrap();
    assert_eq!(found.tabular_id, tabular_id);
    assert_eq!((found.warehouse_id, found.namespace_id), (fixture.warehouse_id, namespace_id));
    assert_eq!((found.kind, found.name.as_str()), (TabularKind::Table, "t"));
    assert_eq!((found.metadata_location.as_str(), found.location.as_str()), ("t/v0", "file:///warehouse/t"));
    assert_eq!(found.created_ms, found.updated_ms);
    for (path, name) in [("a", "T"), ("A", "t"), ("a", "t%"), ("a\u{1f}t", "t")] {
        assert_eq!(find(fixture, path, name).await, None);
    }
}

async fn several_tabulars_are_found_in_the_requested_order(fixture: &Fixture) {
    for path in ["a", "b"] {
        let namespace_id = fixture.namespace(path).await;
        for name in ODD_NAMES {
            fixture.table(namespace_id, name).await;
        }
    }
    let mut requested: Vec<(&str, &str)> = ODD_NAMES.iter().rev().map(|name| ("a", *name)).collect();
    requested.extend([("b", "😀"), ("b", "missing"), ("b", "😀"), ("c", "a")]);
    let found = tabulars::find_many(&fixture.db, fixture.warehouse_id, &requested).await.unwrap();
    for ((path, name), found) in requested.iter().zip(&found) {
        assert_eq!(*found, find(fixture, path, name).await, "{path} {name}");
    }
    assert_eq!(found.iter().flatten().count(), ODD_NAMES.len() + 2);
}

async fn list(fixture: &Fixture, namespace_id: NamespaceId, kind: TabularKind) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let after = names.last().map(String::as_str);
        let page = tabulars::list(&fixture.db, namespace_id, kind, after, 3).await.unwrap();
        if page.is_empty() {
            return names;
        }
        names.extend(page);
    }
}

async fn pages_follow_the_order_of_bytes(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    for name in ODD_NAMES.iter().rev() {
        fixture.table(namespace_id, name).await;
    }
    assert_eq!(list(fixture, namespace_id, TabularKind::Table).await, ODD_NAMES);
}

async fn a_listing_contains_one_kind(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    fixture.tabular(TabularKind::View, namespace_id, "v").await;
    fixture.table(namespace_id, "t").await;
    let views = tabulars::list(&fixture.db, namespace_id, TabularKind::View, None, 9).await.unwrap();
    assert_eq!(views, ["v"]);
    assert_eq!(list(fixture, namespace_id, TabularKind::Table).await, ["t"]);
}

async fn a_pointer_moves_only_from_the_expected_location(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    assert!(swap(fixture, tabular_id, "t/v0", "t/v1").await);
    assert!(!swap(fixture, tabular_id, "t/v0", "t/v2").await);
    assert!(!swap(fixture, TabularId(new_id()), "t/v1", "t/v2").await);
    assert_eq!(find(fixture, "a", "t").await.unwrap().metadata_location, "t/v1");
}

async fn a_registration_may_overwrite_all_fields_of_a_pointer(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    let table_uuid = new_id();
    let next = Pointer { metadata_location: "x/v9", table_uuid, location: "file:///x", superseded: None };
    let mut tx = fixture.write().await;
    assert!(tabulars::swap_pointer(&mut tx, tabular_id, "t/v0", &next).await.unwrap());
    tx.commit().await.unwrap();
    let found = find(fixture, "a", "t").await.unwrap();
    assert_eq!((found.tabular_id, found.table_uuid), (tabular_id, table_uuid));
    assert_eq!((found.metadata_location.as_str(), found.location.as_str()), ("x/v9", "file:///x"));
}

async fn one_of_two_concurrent_pointer_moves_succeeds(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    let mut current = "t/v0".to_owned();
    for round in 0..20 {
        let (one, two) = (format!("one{round}"), format!("two{round}"));
        let (first, second) =
            join!(swap(fixture, tabular_id, &current, &one), swap(fixture, tabular_id, &current, &two));
        assert!(first ^ second);
        current = if first { one } else { two };
        assert_eq!(find(fixture, "a", "t").await.unwrap().metadata_location, current);
    }
}

async fn one_of_two_concurrent_creations_succeeds(fixture: &Fixture) {
    for round in 0..20 {
        let namespace_id = fixture.namespace(&format!("n{round}")).await;
        let outcomes = join!(
            create(fixture, TabularKind::Table, namespace_id),
            create(fixture, TabularKind::View, namespace_id)
        );
        assert!(
            matches!(
                outcomes,
                (CreateTabular::Created, CreateTabular::NameTaken(TabularKind::Table))
                    | (CreateTabular::NameTaken(TabularKind::View), CreateTabular::Created)
            ),
            "{outcomes:?}"
        );
    }
}

async fn a_refused_rename_returns_the_reason(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let tabular_id = fixture.table(namespace_id, "t").await;
    fixture.tabular(TabularKind::View, namespace_id, "v").await;
    let place = |name| NameInNamespace { namespace_id, name };
    let nowhere = NameInNamespace { namespace_id: NamespaceId(new_id()), name: "t" };

    for (from, to, expected) in [
        (place("t"), place("v"), RenameTabular::NameTaken(TabularKind::View)),
        (place("t"), place("t"), RenameTabular::NameTaken(TabularKind::Table)),
        (place("t"), nowhere, RenameTabular::NamespaceMissing),
        (place("was"), place("x"), RenameTabular::Missing),
    ] {
        assert_eq!(rename(fixture, tabular_id, from, to).await.unwrap(), expected);
    }
    let missing = rename(fixture, TabularId(new_id()), place("t"), place("x")).await.unwrap();
    assert_eq!(missing, RenameTabular::Missing);
}

async fn a_rename_keeps_the_id(fixture: &Fixture) {
    let from = NameInNamespace { namespace_id: fixture.namespace("a").await, name: "t" };
    let to = NameInNamespace { namespace_id: fixture.namespace("b").await, name: "u" };
    let tabular_id = fixture.table(from.namespace_id, from.name).await;
    assert!(find(fixture, "a", "t").await.is_some());
    assert_eq!(rename(fixture, tabular_id, from, to).await.unwrap(), RenameTabular::Renamed);
    assert_eq!(find(fixture, "a", "t").await, None);
    let found = find(fixture, "b", "u").await.unwrap();
    assert_eq!((found.tabular_id, found.namespace_id), (tabular_id, to.namespace_id));
}

async fn a_name_is_found_by_the_id(fixture: &Fixture) {
    fixture.namespace("a").await;
    let namespace_id = fixture.namespace("a\u{1f}b").await;
    let tabular_id = fixture.table(namespace_id, "😀").await;
    let name = tabulars::find_name(&fixture.db, tabular_id).await.unwrap().unwrap();
    assert_eq!(
        (name.warehouse.as_str(), name.namespace_path.as_str(), name.name.as_str()),
        ("main", "a\u{1f}b", "😀")
    );
    assert_eq!(tabulars::find_name(&fixture.db, TabularId(new_id())).await.unwrap(), None);
}

async fn one_of_two_concurrent_renames_to_one_name_succeeds(fixture: &Fixture) {
    for round in 0..20 {
        let namespace_id = fixture.namespace(&format!("n{round}")).await;
        let one = fixture.table(namespace_id, "one").await;
        let two = fixture.table(namespace_id, "two").await;
        let place = |name| NameInNamespace { namespace_id, name };
        let outcomes = join!(
            rename(fixture, one, place("one"), place("new")),
            rename(fixture, two, place("two"), place("new"))
        );
        let renamed = |outcome: &Result<_, _>| matches!(outcome, Ok(RenameTabular::Renamed));
        let refused = |outcome: &Result<_, StoreError>| match outcome {
            Ok(outcome) => *outcome == RenameTabular::NameTaken(TabularKind::Table),
            Err(error) => error.is_retryable(),
        };
        let (first, second) = &outcomes;
        assert!((renamed(first) && refused(second)) || (refused(first) && renamed(second)), "{outcomes:?}");
    }
}

async fn a_drop_is_refused_if_the_pointer_moved(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let drop = async |tabular_id, expected| {
        let mut tx = fixture.write().await;
        let dropped = tabulars::drop(&mut tx, tabular_id, expected).await.unwrap();
        tx.commit().await.unwrap();
        dropped
    };
    let tabular_id = fixture.table(namespace_id, "t").await;
    assert!(!drop(tabular_id, Some("t/v1")).await);
    assert!(find(fixture, "a", "t").await.is_some());
    assert!(tabulars::exists(&fixture.db, tabular_id).await.unwrap());
    assert!(drop(tabular_id, Some("t/v0")).await);
    assert_eq!(find(fixture, "a", "t").await, None);
    assert!(!tabulars::exists(&fixture.db, tabular_id).await.unwrap());
    assert!(!drop(tabular_id, None).await);

    let again = fixture.table(namespace_id, "t").await;
    assert!(drop(again, None).await);
}

async fn a_locked_table_changes_only_after_the_transaction(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let one = fixture.table(namespace_id, "one").await;
    let two = fixture.table(namespace_id, "two").await;
    let mut tx = fixture.write().await;
    let locked = tabulars::lock(&mut tx, &[two, TabularId(new_id()), one, two]).await.unwrap();
    assert_eq!(locked.iter().map(|tabular| tabular.tabular_id).collect::<Vec<_>>(), [one, two]);

    let (lost, ()) = join!(swap(fixture, one, "one/v0", "other"), async {
        for tabular in &locked {
            let previous = &tabular.metadata_location;
            let next = pointer("ours");
            assert!(tabulars::swap_pointer(&mut tx, tabular.tabular_id, previous, &next).await.unwrap());
        }
        tx.commit().await.unwrap();
    });
    assert!(!lost);
    assert_eq!(find(fixture, "a", "two").await.unwrap().metadata_location, "ours");
}
