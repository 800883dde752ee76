//! Namespaces.

use catalog_server::store::catalog::namespaces::{self, CreateNamespace, DropNamespace};
use catalog_server::store::catalog::tabular::{CreateTabular, TabularKind};
use catalog_server::store::ids::NamespaceId;
use tokio::join;

use crate::fixture::{Fixture, ODD_NAMES, create_namespace, create_tabular, new_id};

on_both_databases!(
    a_path_is_unique,
    a_parent_must_exist,
    a_created_object_is_found,
    pages_follow_the_order_of_bytes,
    a_listing_contains_direct_children_only,
    properties_are_replaced_only_if_they_are_unchanged,
    only_an_empty_namespace_is_dropped,
    a_dropped_path_may_be_reused,
    one_of_two_concurrent_creations_succeeds,
    one_of_two_concurrent_drops_succeeds,
    no_table_is_created_in_a_namespace_dropped_concurrently,
    no_child_is_created_in_a_namespace_dropped_concurrently,
);

async fn create(fixture: &Fixture, path: &str) -> CreateNamespace {
    let mut tx = fixture.write().await;
    let created = create_namespace(&mut tx, fixture.warehouse_id, NamespaceId(new_id()), path).await;
    if created == CreateNamespace::Created {
        tx.commit().await.unwrap();
    }
    created
}

async fn drop_namespace(fixture: &Fixture, namespace_id: NamespaceId) -> DropNamespace {
    let mut tx = fixture.write().await;
    let dropped = namespaces::drop(&mut tx, namespace_id).await.unwrap();
    if dropped == DropNamespace::Dropped {
        tx.commit().await.unwrap();
    }
    dropped
}

async fn create_table(fixture: &Fixture, namespace_id: NamespaceId, name: &str) -> CreateTabular {
    let mut tx = fixture.write().await;
    let (_, created) = create_tabular(&mut tx, TabularKind::Table, namespace_id, name).await;
    if created == CreateTabular::Created {
        tx.commit().await.unwrap();
    }
    created
}

async fn a_path_is_unique(fixture: &Fixture) {
    assert_eq!(create(fixture, "a").await, CreateNamespace::Created);
    assert_eq!(create(fixture, "a").await, CreateNamespace::AlreadyExists);
}

async fn a_parent_must_exist(fixture: &Fixture) {
    assert_eq!(create(fixture, "a\u{1f}b").await, CreateNamespace::ParentMissing);
    assert_eq!(create(fixture, "a").await, CreateNamespace::Created);
    assert_eq!(create(fixture, "a\u{1f}b").await, CreateNamespace::Created);
    assert_eq!(create(fixture, "a\u{1f}b\u{1f}c").await, CreateNamespace::Created);
}

async fn a_created_object_is_found(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let found = namespaces::find(&fixture.db, fixture.warehouse_id, "a").await.unwrap().unwrap();
    assert_eq!(found.namespace_id, namespace_id);
    assert_eq!((found.path.as_str(), found.properties.as_str()), ("a", "{}"));
    assert_eq!(found.created_ms, found.updated_ms);
    assert_eq!(namespaces::find(&fixture.db, fixture.warehouse_id, "A").await.unwrap(), None);
}

async fn list(fixture: &Fixture, parent: Option<&str>, limit: u32) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    loop {
        let after = paths.last().map(String::as_str);
        let page = namespaces::list_children(&fixture.db, fixture.warehouse_id, parent, after, limit);
        let page = page.await.unwrap();
        if page.is_empty() {
            return paths;
        }
        paths.extend(page.into_iter().map(|namespace| namespace.path));
    }
}

async fn pages_follow_the_order_of_bytes(fixture: &Fixture) {
    fixture.namespace("p").await;
    for name in ODD_NAMES.iter().rev() {
        fixture.namespace(&format!("p\u{1f}{name}")).await;
    }
    let expected: Vec<String> = ODD_NAMES.iter().map(|name| format!("p\u{1f}{name}")).collect();
    assert_eq!(list(fixture, Some("p"), 5).await, expected);
}

async fn a_listing_contains_direct_children_only(fixture: &Fixture) {
    for path in ["a", "a\u{1f}b", "a\u{1f}b\u{1f}c", "a\u{1f}d", "ab", "e"] {
        fixture.namespace(path).await;
    }
    assert_eq!(list(fixture, None, 2).await, ["a", "ab", "e"]);
    assert_eq!(list(fixture, Some("a"), 2).await, ["a\u{1f}b", "a\u{1f}d"]);
    assert_eq!(list(fixture, Some("e"), 2).await, Vec::<String>::new());
    assert_eq!(list(fixture, Some("nowhere"), 2).await, Vec::<String>::new());
}

async fn properties_are_replaced_only_if_they_are_unchanged(fixture: &Fixture) {
    let namespace_id = fixture.namespace("a").await;
    let replace = async |previous: &str, next: &str| {
        let mut tx = fixture.write().await;
        let replaced = namespaces::replace_properties(&mut tx, namespace_id, previous, next).await.unwrap();
        tx.commit().await.unwrap();
        replaced
    };
    assert!(replace("{}", r#"{"x":"1"}"#).await);
    assert!(!replace("{}", r#"{"x":"2"}"#).await);
    let (one, two) = join!(replace(r#"{"x":"1"}"#, r#"{"x":"3"}"#), replace(r#"{"x":"1"}"#, r#"{"x":"4"}"#));
    assert!(one ^ two);
    let found = namespaces::find(&fixture.db, fixture.warehouse_id, "a").await.unwrap().unwrap();
    assert_eq!(found.properties, if one { r#"{"x":"3"}"# } else { r#"{"x":"4"}"# });
}

async fn only_an_empty_namespace_is_dropped(fixture: &Fixture) {
    let parent = fixture.namespace("a").await;
    let child = fixture.namespace("a\u{1f}b").await;
    fixture.namespace("ab").await;
    assert_eq!(drop_namespace(fixture, parent).await, DropNamespace::NotEmpty);
    fixture.tabular(TabularKind::View, child, "v").await;
    assert_eq!(drop_namespace(fixture, child).await, DropNamespace::NotEmpty);
    assert_eq!(drop_namespace(fixture, NamespaceId(new_id())).await, DropNamespace::Missing);
}

async fn a_dropped_path_may_be_reused(fixture: &Fixture) {
    let first = fixture.namespace("a").await;
    assert_eq!(drop_namespace(fixture, first).await, DropNamespace::Dropped);
    assert_eq!(drop_namespace(fixture, first).await, DropNamespace::Missing);
    assert_ne!(fixture.namespace("a").await, first);
}

async fn one_of_two_concurrent_creations_succeeds(fixture: &Fixture) {
    for round in 0..20 {
        let path = format!("n{round}");
        let (one, two) = join!(create(fixture, &path), create(fixture, &path));
        let mut outcomes = [one, two];
        outcomes.sort_by_key(|outcome| *outcome != CreateNamespace::Created);
        assert_eq!(outcomes, [CreateNamespace::Created, CreateNamespace::AlreadyExists]);
    }
}

async fn one_of_two_concurrent_drops_succeeds(fixture: &Fixture) {
    for round in 0..20 {
        let namespace_id = fixture.namespace(&format!("n{round}")).await;
        let (one, two) = join!(drop_namespace(fixture, namespace_id), drop_namespace(fixture, namespace_id));
        let mut outcomes = [one, two];
        outcomes.sort_by_key(|outcome| *outcome != DropNamespace::Dropped);
        assert_eq!(outcomes, [DropNamespace::Dropped, DropNamespace::Missing]);
    }
}

async fn no_table_is_created_in_a_namespace_dropped_concurrently(fixture: &Fixture) {
    for round in 0..40 {
        let namespace_id = fixture.namespace(&format!("n{round}")).await;
        let outcomes = join!(drop_namespace(fixture, namespace_id), create_table(fixture, namespace_id, "t"));
        assert!(
            matches!(
                outcomes,
                (DropNamespace::Dropped, CreateTabular::NamespaceMissing)
                    | (DropNamespace::NotEmpty, CreateTabular::Created)
            ),
            "{outcomes:?}"
        );
    }
}

async fn no_child_is_created_in_a_namespace_dropped_concurrently(fixture: &Fixture) {
    for round in 0..40 {
        let path = format!("n{round}");
        let child = format!("{path}\u{1f}child");
        let namespace_id = fixture.namespace(&path).await;
        let outcomes = join!(create(fixture, &child), drop_namespace(fixture, namespace_id));
        assert!(
            matches!(
                outcomes,
                (CreateNamespace::ParentMissing, DropNamespace::Dropped)
                    | (CreateNamespace::Created, DropNamespace::NotEmpty)
            ),
            "{outcomes:?}"
        );
    }
}
