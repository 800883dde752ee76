//! Creation of tables, in one step and staged.

use serde_json::{Value, json};
use tests::fixture::{self, ODD_NAMES, commit, create_table, creation, schema, table, table_path, tables};
use tests::process::{self, Backend};

async fn a_new_table_is_complete(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let body = json!({
        "name": "t", "schema": schema(), "properties": { "owner": "ada" },
        "partition-spec": { "fields": [{ "source-id": 1, "transform": "bucket[4]", "name": "b" }] },
        "write-order": { "order-id": 1, "fields": [
            { "source-id": 2, "transform": "identity", "direction": "asc", "null-order": "nulls-last" }] },
    });
    let created = firn.post(&tables(&ns), &body).await.expect(200).json();
    let metadata = &created["metadata"];
    for (field, expected) in [
        ("format-version", json!(2)),
        ("last-column-id", json!(2)),
        ("current-schema-id", json!(0)),
        ("default-spec-id", json!(0)),
        ("last-partition-id", json!(1000)),
        ("default-sort-order-id", json!(1)),
        ("last-sequence-number", json!(0)),
    ] {
        assert_eq!(metadata[field], expected, "{field}");
    }
    assert_eq!(metadata["properties"]["owner"], "ada");
    assert_eq!(metadata["partition-specs"][0]["fields"][0]["field-id"], 1000);
    let file = created["metadata-location"].as_str().unwrap();
    assert!(file.starts_with(metadata["location"].as_str().unwrap()), "{file}");
    let stored: Value = serde_json::from_slice(&std::fs::read(fixture::local(file)).unwrap()).unwrap();
    assert_eq!(&stored, metadata);
    assert_eq!(firn.get(&table_path(&ns, "t")).await.expect(200).json(), created);
}

async fn any_name_works_on_every_endpoint(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::unique("odd / % ü");
    firn.post("namespaces", &json!({ "namespace": [ns] })).await.expect(200);
    for name in ODD_NAMES {
        let created = create_table(firn, &ns, name).await;
        let path = table_path(&ns, name);
        assert_eq!(firn.get(&path).await.expect(200).json(), created, "{name}");
        assert_eq!(firn.head(&path).await, 204);
        firn.post(&path, &commit(&[], &[fixture::set_property(name, name)])).await.expect(200);
        let listed = firn.get(&tables(&ns)).await.expect(200).json();
        assert_eq!(listed["identifiers"], json!([{ "namespace": [ns], "name": name }]));
        firn.post(&tables(&ns), &table(name)).await.expect_error(
            409,
            "AlreadyExistsException",
            &format!("Table already exists: {ns}.{name}"),
        );
        let changes =
            json!({ "table-changes": [fixture::change(&ns, name, &[], &[fixture::set_property("x", "y")])] });
        firn.post("transactions/commit", &changes).await.expect(204);
        let report = crate::endpoints::report();
        firn.post(&format!("{path}/metrics"), &report).await.expect(204);
        let out = firn.send("POST", &format!("{path}/unregister"), None, &[]).await.expect(200).json();
        let register = json!({ "name": name, "metadata-location": out["metadata-location"] });
        firn.post(&format!("{}/register", fixture::namespace_path(&ns)), &register).await.expect(200);
        firn.post("tables/rename", &fixture::rename(&ns, name, &format!("{name}{name}"))).await.expect(204);
        firn.delete(&table_path(&ns, &format!("{name}{name}"))).await.expect(204);
    }
}

async fn tables_and_views_of_a_namespace_have_different_names(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    let already_exists = |name: &str| format!("already exists: {ns}.{name}");
    firn.post(&tables(&ns), &table("t")).await.expect_error(
        409,
        "AlreadyExistsException",
        &format!("Table {}", already_exists("t")),
    );
    let by_view = format!("View with same name {}", already_exists("v"));
    firn.post(&tables(&ns), &table("v")).await.expect_error(409, "AlreadyExistsException", &by_view);
    let staged = json!({ "name": "t", "schema": schema(), "stage-create": true });
    firn.post(&tables(&ns), &staged).await.expect_error(409, "AlreadyExistsException", &already_exists("t"));
    let by_table = format!("Table with same name {}", already_exists("t"));
    firn.post(&fixture::views(&ns), &fixture::view("t", "select 1")).await.expect_error(
        409,
        "AlreadyExistsException",
        &by_table,
    );
}

async fn of_concurrent_creations_one_succeeds_and_leaves_no_unused_file(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let location = format!("file://{}/{}", firn.warehouse().display(), fixture::unique("race"));
    let attempts: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let (client, path, body) = ((**firn).clone(), tables(&ns), fixture::table_at("t", &location));
                async move { client.post(&path, &body).await }
            })
        })
        .collect();
    let mut winners = Vec::new();
    for attempt in attempts {
        let reply = attempt.await.unwrap();
        match reply.status {
            200 => winners.push(reply.json()["metadata-location"].as_str().unwrap().to_owned()),
            // Either of the two conflicts may be detected first.
            400 => reply.expect_error(400, "IllegalArgumentException", "belongs to another table"),
            _ => assert_eq!(reply.status, 409, "{}", reply.text()),
        }
    }
    assert_eq!(winners.len(), 1);
    let folder = std::path::Path::new(fixture::local(&winners[0])).parent().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "files of refused requests remain");
}

async fn a_staged_table_exists_once_it_is_committed(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = table_path(&ns, "t");
    let staged = json!({ "name": "t", "schema": schema(), "stage-create": true });
    let staged = firn.post(&tables(&ns), &staged).await.expect(200).json();
    assert_eq!(staged["metadata-location"], Value::Null);
    assert_eq!(firn.head(&path).await, 404);
    let location = staged["metadata"]["location"].as_str().unwrap();
    let mut updates = creation(location);
    updates[0]["uuid"] = staged["metadata"]["table-uuid"].clone();
    let assert_create = [json!({ "type": "assert-create" })];
    let created = firn.post(&path, &commit(&assert_create, &updates)).await.expect(200).json();
    assert_eq!(created["metadata"]["table-uuid"], staged["metadata"]["table-uuid"]);
    assert_eq!(created["metadata"]["location"], staged["metadata"]["location"]);
    let again = firn.post(&path, &commit(&assert_create, &updates)).await;
    again.expect_error(409, "CommitFailedException", "Requirement failed: table already exists");
    firn.post(&table_path(&ns, "none"), &commit(&[], &updates)).await.expect_error(
        404,
        "NoSuchTableException",
        "Table does not exist",
    );
}

async fn tables_that_no_engine_could_read_are_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let field =
        |id: i32, name: &str, kind: &str| json!({ "id": id, "name": name, "required": false, "type": kind });
    let with = |fields: Value| json!({ "type": "struct", "schema-id": 0, "fields": fields });
    let schemas = [
        with(json!([field(1, "a", "long"), field(1, "b", "long")])),
        with(json!([field(1, "a", "long"), field(2, "a", "long")])),
        with(json!([field(1, "a", "decimal(99,1)")])),
        with(json!([field(1, "a", "nonsense")])),
        with(json!([field(1, "a", "variant")])),
        with(json!([field(1, "", "long")])),
        with(json!([{ "id": 1, "name": "a", "type": "long" }])),
        with(json!({})),
        json!({ "type": "struct" }),
        json!({ "type": "list", "fields": [] }),
    ];
    for schema in schemas {
        let reply = firn.post(&tables(&ns), &json!({ "name": "t", "schema": schema })).await;
        if reply.status == 200 {
            // Java reads columns with an empty name, so they are accepted.
            assert_eq!(schema["fields"][0]["name"], "", "accepted {schema}");
            firn.delete(&table_path(&ns, "t")).await.expect(204);
            continue;
        }
        check_refused(&reply);
    }
    for properties in [json!({ "format-version": "9" }), json!({ "format-version": "x" }), json!({ "a": 1 })]
    {
        let body = json!({ "name": "t", "schema": schema(), "properties": properties });
        check_refused(&firn.post(&tables(&ns), &body).await);
    }
    for spec in [
        json!({ "fields": [{ "source-id": 9, "transform": "identity", "name": "x" }] }),
        json!({ "fields": [{ "source-id": 2, "transform": "day", "name": "x" }] }),
    ] {
        let body = json!({ "name": "t", "schema": schema(), "partition-spec": spec });
        check_refused(&firn.post(&tables(&ns), &body).await);
    }
    assert_eq!(firn.head(&table_path(&ns, "t")).await, 404);
}

/// Asserts that a request was refused as malformed or invalid, with a message.
fn check_refused(reply: &tests::http::Reply) {
    assert_eq!(reply.status, 400, "{}", reply.text());
    let error = reply.json()["error"].clone();
    let kind = error["type"].as_str().unwrap();
    assert!(matches!(kind, "BadRequestException" | "IllegalArgumentException"), "{error}");
    assert!(error["message"].as_str().unwrap().len() > 15, "{error}");
}

async fn types_of_version_3_require_version_3(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for (number, kind) in
        ["variant", "geometry", "geography", "unknown", "timestamp_ns", "timestamptz_ns"].iter().enumerate()
    {
        let fields = json!([{ "id": 1, "name": "a", "required": false, "type": kind }]);
        let schema = json!({ "type": "struct", "schema-id": 0, "fields": fields });
        let name = format!("t{number}");
        let body = |version: &str| json!({ "name": name, "schema": schema, "properties": { "format-version": version } });
        firn.post(&tables(&ns), &body("2")).await.error_message(400, "IllegalArgumentException");
        firn.post(&tables(&ns), &body("3")).await.expect(200);
        assert_eq!(
            firn.get(&table_path(&ns, &name)).await.json()["metadata"]["schemas"][0]["fields"][0]["type"],
            *kind
        );
    }
}

tests::on_both_databases!(
    a_new_table_is_complete,
    any_name_works_on_every_endpoint,
    tables_and_views_of_a_namespace_have_different_names,
    of_concurrent_creations_one_succeeds_and_leaves_no_unused_file,
    a_staged_table_exists_once_it_is_committed,
    tables_that_no_engine_could_read_are_refused,
    types_of_version_3_require_version_3,
);
