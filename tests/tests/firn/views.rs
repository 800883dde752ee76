//! Views: create, load, replace, drop, register, rename.

use serde_json::json;
use tests::fixture::{self, ODD_NAMES, namespace_path, rename, view, view_path, view_version, views};
use tests::process::{self, Backend};

fn replace(requirements: &[serde_json::Value], id: i32, sql: &str) -> serde_json::Value {
    fixture::commit(
        requirements,
        &[
            json!({ "action": "add-view-version", "view-version": view_version(id, sql) }),
            json!({ "action": "set-current-view-version", "view-version-id": -1 }),
        ],
    )
}

async fn a_view_is_created_replaced_and_dropped(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = firn.post(&views(&ns), &view("v", "select 1")).await.expect(200).json();
    let path = view_path(&ns, "v");
    assert_eq!(firn.get(&path).await.expect(200).json(), created);
    assert_eq!(firn.head(&path).await, 204);
    let same_uuid = json!({ "type": "assert-view-uuid", "uuid": created["metadata"]["view-uuid"] });
    let replaced = firn.post(&path, &replace(&[same_uuid], 2, "select 2")).await.expect(200).json();
    assert_eq!(replaced["metadata"]["versions"].as_array().unwrap().len(), 2);
    assert_eq!(replaced["metadata"]["current-version-id"], 2);
    assert_ne!(replaced["metadata-location"], created["metadata-location"]);
    let other = "00000000-0000-4000-8000-000000000000";
    let other_uuid = json!({ "type": "assert-view-uuid", "uuid": other });
    let refused = firn.post(&path, &replace(&[other_uuid], 3, "select 3")).await;
    refused.expect_error(
        409,
        "CommitFailedException",
        "Requirement failed: view UUID does not match: expected ",
    );
    assert_eq!(firn.get(&path).await.json(), replaced);
    let listed = firn.get(&views(&ns)).await.expect(200).json();
    assert_eq!(listed["identifiers"], json!([{ "namespace": [ns], "name": "v" }]));
    firn.post("views/rename", &rename(&ns, "v", "w")).await.expect(204);
    assert_eq!(firn.get(&view_path(&ns, "w")).await.json(), replaced);
    firn.delete(&view_path(&ns, "w")).await.expect(204);
    let missing = format!("View does not exist: {ns}.w");
    firn.delete(&view_path(&ns, "w")).await.expect_error(404, "NoSuchViewException", &missing);
    let body = json!({ "name": "again", "metadata-location": replaced["metadata-location"] });
    let again = firn.post(&format!("{}/register-view", namespace_path(&ns)), &body).await.expect(200).json();
    assert_eq!(again["metadata"], replaced["metadata"]);
}

async fn any_name_works_on_every_endpoint(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for name in ODD_NAMES {
        let created = firn.post(&views(&ns), &view(name, "select 1")).await.expect(200).json();
        assert_eq!(firn.get(&view_path(&ns, name)).await.expect(200).json(), created, "{name}");
        firn.post(&view_path(&ns, name), &replace(&[], 2, "select 2")).await.expect(200);
        firn.post("views/rename", &rename(&ns, name, &format!("{name}x"))).await.expect(204);
        assert_eq!(firn.head(&view_path(&ns, &format!("{name}x"))).await, 204);
        firn.delete(&view_path(&ns, &format!("{name}x"))).await.expect(204);
    }
}

async fn names_clash_with_javas_words(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    for name in ["v", "w"] {
        firn.post(&views(&ns), &view(name, "select 1")).await.expect(200);
    }
    let reply = firn.post(&views(&ns), &view("v", "select 1")).await;
    reply.expect_error(409, "AlreadyExistsException", &format!("View already exists: {ns}.v"));
    let reply = firn.post("views/rename", &rename(&ns, "v", "w")).await;
    reply.expect_error(
        409,
        "AlreadyExistsException",
        &format!("Cannot rename {ns}.v to {ns}.w. View already exists"),
    );
    let reply = firn.post("views/rename", &rename(&ns, "v", "t")).await;
    reply.expect_error(
        409,
        "AlreadyExistsException",
        &format!("Cannot rename {ns}.v to {ns}.t. Table already exists"),
    );
    let reply = firn.post("views/rename", &rename(&ns, "t", "x")).await;
    reply.expect_error(404, "NoSuchViewException", &format!("View does not exist: {ns}.t"));
}

async fn concurrent_replacements_all_succeed(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    firn.post(&views(&ns), &view("v", "select 0")).await.expect(200);
    let writers: Vec<_> = (0..8)
        .map(|number| {
            tokio::spawn({
                let (client, path) = ((**firn).clone(), view_path(&ns, "v"));
                async move { client.post(&path, &replace(&[], 2, &format!("select {number} + 1"))).await }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().expect(200);
    }
    let loaded = firn.get(&view_path(&ns, "v")).await.json();
    let versions = loaded["metadata"]["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 9, "a replacement was lost");
}

async fn invalid_views_are_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let table = fixture::create_table(firn, &ns, "t").await;
    firn.delete(&fixture::table_path(&ns, "t")).await.expect(204);
    let body = json!({ "name": "v", "metadata-location": table["metadata-location"] });
    let reply = firn.post(&format!("{}/register-view", namespace_path(&ns)), &body).await;
    assert!((400..500).contains(&reply.status), "{} {}", reply.status, reply.text());
    for (field, value) in [
        ("view-version", json!({})),
        ("schema", json!(1)),
        ("properties", json!({ "a": 1 })),
        ("name", json!("")),
        ("location", json!("file:///etc")),
    ] {
        let mut body = view("v", "select 1");
        body[field] = value;
        assert_eq!(firn.post(&views(&ns), &body).await.status, 400, "{body}");
    }
    let mut two = view("v", "select 1");
    two["view-version"]["representations"] = json!([
        { "type": "sql", "sql": "a", "dialect": "spark" }, { "type": "sql", "sql": "b", "dialect": "SPARK" }]);
    assert_eq!(firn.post(&views(&ns), &two).await.status, 400);
    assert_eq!(firn.head(&view_path(&ns, "v")).await, 404);
}

tests::on_both_databases!(
    a_view_is_created_replaced_and_dropped,
    any_name_works_on_every_endpoint,
    names_clash_with_javas_words,
    concurrent_replacements_all_succeed,
    invalid_views_are_refused,
);
