//! Registration of metadata files that another catalog or writer created.

use serde_json::json;
use tests::fixture::{self, commit, create_table, local, namespace_path, set_property, table_path};
use tests::http::Reply;
use tests::process::{self, Backend, Firn};

use super::load::{fixtures, write_metadata_file};

async fn register(firn: &Firn, ns: &str, name: &str, file: &str, overwrite: bool) -> Reply {
    let body = json!({ "name": name, "metadata-location": file, "overwrite": overwrite });
    firn.post(&format!("{}/register", namespace_path(ns)), &body).await
}

async fn a_registered_table_can_be_used_like_any_other(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let file = write_metadata_file(firn, fixtures().remove(0));
    let registered = register(firn, &ns, "t", &file, false).await.expect(200).json();
    assert_eq!(registered["metadata-location"], json!(file));
    assert_eq!(firn.get(&table_path(&ns, "t")).await.expect(200).json(), registered);
    register(firn, &ns, "t", &file, false).await.expect_error(
        409,
        "AlreadyExistsException",
        "Table already exists",
    );
    // A second name for the same files: two tables would own one folder.
    register(firn, &ns, "u", &file, false).await.expect_error(
        400,
        "IllegalArgumentException",
        "belongs to another table",
    );
    firn.post(&table_path(&ns, "t"), &commit(&[], &[set_property("a", "b")])).await.expect(200);
}

async fn overwrite_resets_a_table_to_a_metadata_file(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = create_table(firn, &ns, "t").await;
    let first = created["metadata-location"].as_str().unwrap().to_owned();
    firn.post(&table_path(&ns, "t"), &commit(&[], &[set_property("a", "b")])).await.expect(200);
    register(firn, &ns, "t", &first, true).await.expect(200);
    assert_eq!(firn.get(&table_path(&ns, "t")).await.expect(200).json(), created);
    // If there is no table of this name, the request is an ordinary registration.
    let file = write_metadata_file(firn, fixtures().remove(0));
    register(firn, &ns, "new", &file, true).await.expect(200);
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    let other = write_metadata_file(firn, fixtures().remove(1));
    register(firn, &ns, "v", &other, true).await.expect_error(
        409,
        "AlreadyExistsException",
        "View with same name already exists",
    );
}

async fn files_without_valid_metadata_are_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let folder = firn.warehouse().join(fixture::unique("broken"));
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    let missing = format!("file://{}/none.metadata.json", folder.display());
    register(firn, &ns, "t", &missing, false).await.expect_error(
        404,
        "NotFoundException",
        "Failed to open input stream for file",
    );
    let is_folder = format!("file://{}/sub", folder.display());
    register(firn, &ns, "t", &is_folder, false).await.expect_error(
        404,
        "NotFoundException",
        "Failed to open input stream",
    );
    let mut no_location = fixtures().remove(0);
    no_location.as_object_mut().unwrap().remove("location");
    let mut future = fixtures().remove(0);
    future["format-version"] = json!(99);
    let contents = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "\0\0".to_owned(),
        "{}".to_owned(),
        no_location.to_string(),
        future.to_string(),
        "x".repeat(1 << 20),
    ];
    for (number, content) in contents.iter().enumerate() {
        for suffix in ["metadata.json", "gz.metadata.json", "metadata.json.gz"] {
            let file = folder.join(format!("{number}.{suffix}"));
            std::fs::write(&file, content).unwrap();
            let reply = register(firn, &ns, "t", &format!("file://{}", file.display()), false).await;
            assert!(
                (400..500).contains(&reply.status),
                "{suffix} {number}: {} {}",
                reply.status,
                reply.text()
            );
        }
    }
    assert_eq!(firn.head(&table_path(&ns, "t")).await, 404);
    firn.check_no_panic();
}

async fn metadata_with_locations_outside_of_the_table_is_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let victim = create_table(firn, &ns, "victim").await;
    let other_location = victim["metadata"]["location"].as_str().unwrap();
    for (field, value) in [("location", "file:///etc"), ("location", other_location)] {
        let file = write_metadata_file(firn, fixtures().remove(0));
        let mut document: serde_json::Value =
            serde_json::from_slice(&std::fs::read(local(&file)).unwrap()).unwrap();
        document[field] = json!(value);
        std::fs::write(local(&file), document.to_string()).unwrap();
        register(firn, &ns, "t", &file, false).await.expect_error(400, "IllegalArgumentException", "nvalid");
    }
    for (key, value) in [("write.data.path", "file:///etc"), ("write.metadata.path", other_location)] {
        let file = write_metadata_file(firn, fixtures().remove(0));
        let mut document: serde_json::Value =
            serde_json::from_slice(&std::fs::read(local(&file)).unwrap()).unwrap();
        document["properties"][key] = json!(value);
        std::fs::write(local(&file), document.to_string()).unwrap();
        register(firn, &ns, "t", &file, false).await.expect_error(400, "IllegalArgumentException", "nvalid");
    }
    let mut document = fixtures().into_iter().find(|document| document["format-version"] == 2).unwrap();
    document["snapshots"][0]["manifest-list"] = json!(format!("{other_location}/metadata/snap-1.avro"));
    let file = write_metadata_file(firn, document);
    register(firn, &ns, "t", &file, false).await.expect_error(
        400,
        "IllegalArgumentException",
        "belongs to another table",
    );
}

/// Returns paths in metadata of format version 2, and values there with which Java's library cannot load it.
fn unreadable() -> Vec<(&'static str, serde_json::Value)> {
    vec![
        ("/snapshots/0/parent-snapshot-id", json!(null)),
        ("/snapshots/0/summary", json!({ "operation": "append", "files": 1 })),
        ("/snapshots/0/first-row-id", json!(5)),
        ("/refs/main/min-snapshots-to-keep", json!(1_i64 << 31)),
        ("/last-updated-ms", json!(5)),
        ("/statistics", json!([{ "snapshot-id": 1, "statistics-path": "x", "file-size-in-bytes": "5" }])),
        ("/encryption-keys", json!([{ "key-id": "k", "encrypted-key-metadata": "???" }])),
        ("/schemas/0/fields/0/type", json!("decimal (5,2)")),
        ("/schemas/0/fields/0/initial-default", json!(null)),
        ("/partition-specs/0/spec-id", json!(null)),
        ("/sort-orders/0", json!({ "order-id": 7, "fields": [] })),
        ("/default-sort-order-id", json!(99)),
        ("/default-spec-id", json!(99)),
    ]
}

async fn metadata_that_java_could_not_load_is_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let document = fixtures().into_iter().find(|document| document["format-version"] == 2).unwrap();
    for (pointer, value) in unreadable() {
        let mut broken = document.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = broken.pointer_mut(parent).unwrap();
        match key.parse::<usize>() {
            Ok(index) if parent.is_array() => parent[index] = value,
            _ => parent[key] = value,
        }
        let file = write_metadata_file(firn, broken);
        register(firn, &ns, "t", &file, false).await.expect_error(
            400,
            "IllegalArgumentException",
            "cannot be used",
        );
    }
    let file = write_metadata_file(firn, document);
    register(firn, &ns, "t", &file, false).await.expect(200);
}

tests::on_both_databases!(
    metadata_that_java_could_not_load_is_refused,
    a_registered_table_can_be_used_like_any_other,
    overwrite_resets_a_table_to_a_metadata_file,
    files_without_valid_metadata_are_refused,
    metadata_with_locations_outside_of_the_table_is_refused,
);
