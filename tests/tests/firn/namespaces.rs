//! Namespaces: create, list, load, drop, properties.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::fixture::{self, ODD_NAMES, namespace_path, unique, without_location};
use tests::http::{Client, encode};
use tests::process::{self, Backend};

async fn create(client: &Client, levels: &[&str]) -> tests::http::Reply {
    client.post("namespaces", &json!({ "namespace": levels })).await
}

async fn children(client: &Client, parent: &str) -> BTreeSet<Vec<String>> {
    let listed = client.get(&format!("namespaces?parent={parent}")).await.expect(200).json();
    serde_json::from_value(listed["namespaces"].clone()).unwrap()
}

async fn a_created_namespace_is_listed_loaded_and_dropped(backend: Backend) {
    let firn = process::shared(backend).await;
    let name = unique("ns");
    let body = json!({ "namespace": [name], "properties": { "owner": "ada", "": "", "ü": "数" } });
    let created = firn.post("namespaces", &body).await.expect(200).json();
    assert_eq!(without_location(created.clone()), body);
    let path = namespace_path(&name);
    assert_eq!(firn.get(&path).await.expect(200).json(), created);
    assert_eq!(firn.head(&path).await, 204);
    assert!(children(firn, "").await.contains(&vec![name.clone()]));
    let dropped = firn.delete(&path).await.expect(204);
    assert!(dropped.body.is_empty());
    assert_eq!(firn.head(&path).await, 404);
    assert!(!children(firn, "").await.contains(&vec![name.clone()]));
    firn.get(&path).await.expect_error(
        404,
        "NoSuchNamespaceException",
        &format!("Namespace does not exist: {name}"),
    );
    firn.delete(&path).await.expect_error(
        404,
        "NoSuchNamespaceException",
        &format!("Namespace does not exist: {name}"),
    );
}

async fn any_name_works_on_every_endpoint(backend: Backend) {
    let firn = process::shared(backend).await;
    let root = unique("odd");
    create(firn, &[&root]).await.expect(200);
    for name in ODD_NAMES {
        let levels = [root.as_str(), name];
        create(firn, &levels).await.expect(200);
        let path = format!("namespaces/{}%1F{}", encode(&root), encode(name));
        let loaded = firn.get(&path).await.expect(200).json();
        assert_eq!(loaded["namespace"], json!(levels));
        let properties = json!({ "updates": { name: name } });
        let updated = firn.post(&format!("{path}/properties"), &properties).await.expect(200).json();
        assert_eq!(updated, json!({ "updated": [name], "removed": [], "missing": [] }));
        let loaded = without_location(firn.get(&path).await.expect(200).json());
        assert_eq!(loaded["properties"], json!({ name: name }));
        // A child namespace, found with the `parent` parameter.
        create(firn, &[&root, name, name]).await.expect(200);
        let parent = format!("{}%1F{}", encode(&root), encode(name));
        assert_eq!(
            children(firn, &parent).await,
            [vec![root.clone(), name.to_owned(), name.to_owned()]].into()
        );
        firn.delete(&path).await.expect_error(409, "NamespaceNotEmptyException", "not empty");
        firn.delete(&format!("{path}%1F{}", encode(name))).await.expect(204);
        assert_eq!(firn.head(&path).await, 204);
        firn.delete(&path).await.expect(204);
    }
    assert!(children(firn, &encode(&root)).await.is_empty());
}

async fn a_nested_namespace_requires_its_parent(backend: Backend) {
    let firn = process::shared(backend).await;
    let root = unique("nest");
    create(firn, &[&root, "a"]).await.expect_error(
        404,
        "NoSuchNamespaceException",
        &format!("Namespace does not exist: {root}"),
    );
    create(firn, &[&root]).await.expect(200);
    create(firn, &[&root, "a"]).await.expect(200);
    create(firn, &[&root, "a", "b"]).await.expect(200);
    assert_eq!(children(firn, &root).await.len(), 1);
    let missing = firn.get("namespaces?parent=no_such_parent").await;
    missing.expect_error(404, "NoSuchNamespaceException", "Namespace does not exist: no_such_parent");
    // `a.b` as a single level is not the same as `a`, `b`.
    firn.get(&namespace_path(&format!("{root}.a"))).await.expect_error(404, "NoSuchNamespaceException", "");
}

async fn a_name_is_unique(backend: Backend) {
    let firn = process::shared(backend).await;
    let name = unique("once");
    let creations = (0..8).map(|_| {
        tokio::spawn({
            let (client, name) = ((**firn).clone(), name.clone());
            async move { create(&client, &[&name]).await }
        })
    });
    let mut statuses = Vec::new();
    for creation in creations {
        let reply = creation.await.unwrap();
        if reply.status != 200 {
            reply.expect_error(409, "AlreadyExistsException", &format!("Namespace already exists: {name}"));
        }
        statuses.push(reply.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

async fn of_two_concurrent_drops_of_a_namespace_one_succeeds(backend: Backend) {
    let firn = process::shared(backend).await;
    let path = namespace_path(&fixture::namespace(firn).await);
    let (first, second) = tokio::join!(firn.delete(&path), firn.delete(&path));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404]);
}

async fn a_namespace_that_is_not_empty_cannot_be_dropped(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = namespace_path(&ns);
    fixture::create_table(firn, &ns, "t").await;
    firn.delete(&path).await.expect_error(
        409,
        "NamespaceNotEmptyException",
        &format!("Namespace is not empty: {ns}"),
    );
    firn.delete(&fixture::table_path(&ns, "t")).await.expect(204);
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    firn.delete(&path).await.expect_error(409, "NamespaceNotEmptyException", "");
    firn.delete(&fixture::view_path(&ns, "v")).await.expect(204);
    firn.delete(&path).await.expect(204);
}

async fn a_concurrent_drop_and_creation_leave_no_table_without_namespace(backend: Backend) {
    let firn = process::shared(backend).await;
    for _ in 0..15 {
        let ns = fixture::namespace(firn).await;
        let path = namespace_path(&ns);
        let (tables, views, body) = (fixture::tables(&ns), fixture::views(&ns), fixture::table("t"));
        let view = fixture::view("v", "select 1");
        let (dropped, created, viewed) =
            tokio::join!(firn.delete(&path), firn.post(&tables, &body), firn.post(&views, &view));
        let is_held = created.status == 200 || viewed.status == 200;
        for reply in [&created, &viewed] {
            match reply.status {
                200 => {}
                409 => drop(reply.error_message(409, "CommitFailedException")),
                _ => reply.expect_error(404, "NoSuchNamespaceException", "Namespace does not exist"),
            }
        }
        match dropped.status {
            204 => assert!(!is_held, "a table was created in a namespace that was dropped"),
            _ => dropped.expect_error(409, "NamespaceNotEmptyException", "not empty"),
        }
        assert_eq!(firn.head(&path).await, if dropped.status == 204 { 404 } else { 204 });
    }
}

async fn properties_are_set_and_removed_and_others_are_unchanged(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = format!("{}/properties", namespace_path(&ns));
    firn.post(&path, &json!({ "updates": { "a": "1", "b": "2" } })).await.expect(200);
    let response =
        firn.post(&path, &json!({ "removals": ["a", "z"], "updates": { "c": "3" } })).await.expect(200);
    assert_eq!(response.json(), json!({ "updated": ["c"], "removed": ["a"], "missing": ["z"] }));
    let loaded = firn.get(&namespace_path(&ns)).await.json();
    assert_eq!(without_location(loaded.clone())["properties"], json!({ "b": "2", "c": "3" }));
    let both = firn.post(&path, &json!({ "removals": ["b"], "updates": { "b": "4" } })).await;
    both.expect_error(422, "UnprocessableEntityException", "`b` is both set and removed");
    assert_eq!(firn.get(&namespace_path(&ns)).await.json(), loaded);
    let missing = firn.post("namespaces/no_such_namespace/properties", &json!({ "updates": {} })).await;
    missing.expect_error(404, "NoSuchNamespaceException", "Namespace does not exist: no_such_namespace");
}

async fn concurrent_property_changes_lose_nothing(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = format!("{}/properties", namespace_path(&ns));
    let changes: Vec<_> = (0..12)
        .map(|number| {
            tokio::spawn({
                let (client, path) = ((**firn).clone(), path.clone());
                async move {
                    let body = json!({ "updates": { format!("k{number}"): "v" } });
                    client.post(&path, &body).await
                }
            })
        })
        .collect();
    let mut accepted = BTreeSet::new();
    for (number, change) in changes.into_iter().enumerate() {
        let reply = change.await.unwrap();
        match reply.status {
            200 => drop(accepted.insert(format!("k{number}"))),
            _ => reply.expect_error(409, "CommitFailedException", "try again"),
        }
    }
    let loaded = without_location(firn.get(&namespace_path(&ns)).await.json());
    let present: BTreeSet<_> = loaded["properties"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(present, accepted);
    assert!(!accepted.is_empty());
}

async fn invalid_namespaces_are_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let long = "x".repeat(513);
    let many = vec!["x"; 33];
    for levels in [&[][..], &[""], &["a", ""], &["."], &[".."], &["a\u{1f}b"], &["\0"], &[&long], &many] {
        create(firn, levels).await.expect_error(400, "IllegalArgumentException", "Invalid namespace");
    }
    for body in [
        Value::Null,
        json!([]),
        json!({}),
        json!({ "namespace": "a" }),
        json!({ "namespace": [1] }),
        json!({ "namespace": ["a"], "properties": { "a": 1 } }),
        json!({ "namespace": ["a"], "properties": [] }),
    ] {
        firn.post("namespaces", &body).await.expect_error(
            400,
            "BadRequestException",
            "Malformed request body",
        );
    }
    for path in ["namespaces/", "namespaces/%1F", "namespaces/a%1F", "namespaces/%00"] {
        assert!(matches!(firn.get(path).await.status, 400 | 404), "{path}");
    }
    firn.get("namespaces/%FF").await.expect_error(400, "BadRequestException", "Invalid path");
}

/// Trino, Sail and dbt request the namespace's location, and create tables below it.
async fn every_namespace_has_a_location_that_its_tables_may_use(backend: Backend) {
    let firn = process::shared(backend).await;
    let warehouse = firn.warehouse();
    let outer = unique("with_location");
    let nested = [outer.as_str(), "b c/%41", "ü"];
    for depth in 1..=nested.len() {
        let levels = &nested[..depth];
        let created = create(firn, levels).await.expect(200).json();
        let path = format!(
            "namespaces/{}",
            levels.iter().map(|level| encode(level)).collect::<Vec<_>>().join("%1F")
        );
        assert_eq!(firn.get(&path).await.expect(200).json(), created);
        let location = created["properties"]["location"].as_str().unwrap();
        assert!(location.starts_with(&format!("file://{}/{outer}", warehouse.display())), "{location}");
        // `CREATE TABLE AS` of Trino: staged at a specified location, then committed there.
        let at = format!("{location}/t-{}", catalog_server::id::random().simple());
        let tables = format!("{path}/tables");
        let mut staged = fixture::table_at("t", &at);
        staged["stage-create"] = json!(true);
        let response = firn.post(&tables, &staged).await.expect(200).json();
        assert_eq!(response["metadata"]["location"], json!(at));
        let requirement = json!({ "type": "assert-create" });
        let commit = fixture::commit(&[requirement], &fixture::creation(&at));
        firn.post(&format!("{tables}/t"), &commit).await.expect(200);
        // `CREATE TABLE` of Sail: directly below the namespace's location. A location that the server chooses
        // is below it, too.
        let plain = format!("{location}/plain");
        firn.post(&tables, &fixture::table_at("plain", &plain)).await.expect(200);
        let default_location = firn.post(&tables, &fixture::table("chosen")).await.expect(200).json();
        let default_location = default_location["metadata"]["location"].as_str().unwrap().to_owned();
        assert!(
            default_location.starts_with(&format!("{location}/")),
            "{default_location} is not in {location}"
        );
    }
}

async fn a_default_location_cannot_be_removed(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = namespace_path(&ns);
    let properties = format!("{path}/properties");
    let default_location = firn.get(&path).await.expect(200).json()["properties"]["location"].clone();
    let change = json!({ "removals": ["location"], "updates": { "a": "1" } });
    let response = firn.post(&properties, &change).await.expect(200).json();
    assert_eq!(response, json!({ "updated": ["a"], "removed": [], "missing": ["location"] }));
    assert_eq!(firn.get(&path).await.json()["properties"], json!({ "a": "1", "location": default_location }));
    let own = format!("{}/elsewhere", default_location.as_str().unwrap());
    firn.post(&properties, &json!({ "updates": { "location": own } })).await.expect(200);
    assert_eq!(firn.get(&path).await.json()["properties"]["location"], json!(own));
    let response = firn.post(&properties, &json!({ "removals": ["location"] })).await.expect(200).json();
    assert_eq!(response["removed"], json!(["location"]));
    assert_eq!(firn.get(&path).await.json()["properties"]["location"], default_location);
}

async fn properties_of_namespaces_are_limited_in_size(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = format!("{}/properties", namespace_path(&ns));
    let long = "x".repeat(2 << 20);
    for change in [
        json!({ "removals": [long] }),
        json!({ "removals": vec!["y".repeat(1_000); 2_000] }),
        json!({ "updates": { "k": long } }),
        json!({ "updates": { &long: "v" } }),
    ] {
        let message = firn.post(&path, &change).await.error_message(400, "IllegalArgumentException");
        assert!(message.contains("1048576") && message.len() < 1_000, "{message}");
    }
    let reply = create(firn, &[&long]).await;
    assert!(reply.error_message(400, "IllegalArgumentException").len() < 1_000);
}

tests::on_both_databases!(
    every_namespace_has_a_location_that_its_tables_may_use,
    a_default_location_cannot_be_removed,
    properties_of_namespaces_are_limited_in_size,
    a_created_namespace_is_listed_loaded_and_dropped,
    any_name_works_on_every_endpoint,
    a_nested_namespace_requires_its_parent,
    a_name_is_unique,
    of_two_concurrent_drops_of_a_namespace_one_succeeds,
    a_namespace_that_is_not_empty_cannot_be_dropped,
    a_concurrent_drop_and_creation_leave_no_table_without_namespace,
    properties_are_set_and_removed_and_others_are_unchanged,
    concurrent_property_changes_lose_nothing,
    invalid_namespaces_are_refused,
);
