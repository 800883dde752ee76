//! Loading of tables: metadata is served as it was written, including unknown fields.

use serde_json::{Value, json};
use tests::fixture::{self, commit, namespace_path, set_property, table_path};
use tests::process::{self, Backend, Firn};

/// Writes metadata to the warehouse as that of a foreign table, and returns the location of the file.
pub(super) fn write_metadata_file(firn: &Firn, mut document: Value) -> String {
    let location = format!("file://{}/{}", firn.warehouse().display(), fixture::unique("foreign"));
    let original = document["location"].as_str().unwrap().to_owned();
    let text = document.to_string().replace(&original, &location);
    document = serde_json::from_str(&text).unwrap();
    document["table-uuid"] = json!(catalog_server::id::random().to_string());
    document["location"] = json!(location);
    let file = format!("{location}/metadata/00004-x.metadata.json");
    std::fs::create_dir_all(format!("{}/metadata", fixture::local(&location))).unwrap();
    std::fs::write(fixture::local(&file), document.to_string()).unwrap();
    file
}

pub(super) fn fixtures() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../table-core/fixtures");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let mut document: Value = match std::fs::read(entry.path()) {
            Ok(bytes) if name.ends_with(".metadata.json") => serde_json::from_slice(&bytes).unwrap(),
            _ => continue,
        };
        let is_table = document.get("last-column-id").is_some() && document.get("table-uuid").is_some();
        // Nulls are removed when metadata is served, because Java's parser refuses them.
        document.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        // The fixture of version 3 contains types and transforms that are not supported yet.
        if is_table && document["format-version"].as_i64() < Some(3) {
            found.push(document);
        }
    }
    assert!(found.len() >= 2, "the fixtures are not in {folder}");
    found
}

async fn unknown_fields_survive_registration_and_commits(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for (number, document) in fixtures().into_iter().enumerate() {
        let file = write_metadata_file(firn, document);
        let stored: Value = serde_json::from_slice(&std::fs::read(fixture::local(&file)).unwrap()).unwrap();
        let name = format!("t{number}");
        let body = json!({ "name": name, "metadata-location": file });
        firn.post(&format!("{}/register", namespace_path(&ns)), &body).await.expect(200);
        let path = table_path(&ns, &name);
        let served = firn.get(&path).await.expect(200).json()["metadata"].clone();
        for (field, value) in stored.as_object().unwrap() {
            // Metadata of format version 1 is served with newer fields, also in `schema` and
            // `partition-spec`.
            let is_completed =
                stored["format-version"] == 1 && matches!(field.as_str(), "schema" | "partition-spec");
            assert!(is_completed || served[field] == *value, "{field}");
        }
        assert!(served == stored || stored["format-version"] == 1);
        let changed = firn.post(&path, &commit(&[], &[set_property("new", "1")])).await.expect(200).json();
        let (mut before, mut after) = (served, changed["metadata"].clone());
        assert_eq!(after["properties"]["new"], "1");
        for document in [&mut before, &mut after] {
            for field in ["last-updated-ms", "metadata-log", "properties"] {
                document.as_object_mut().unwrap().remove(field);
            }
        }
        assert_eq!(after, before);
    }
}

async fn a_load_returns_the_location_and_the_metadata(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let reply = firn.get(&table_path(&ns, "t")).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let body = reply.json();
    let fields: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["metadata-location", "metadata", "config"]);
}

tests::on_both_databases!(
    unknown_fields_survive_registration_and_commits,
    a_load_returns_the_location_and_the_metadata,
);
