//! Table metadata as it is stored and as it is served: damaged, of older versions, and with timestamps in the
//! future.

use serde_json::{Value, json};
use tests::fixture::{
    self, append, commit, create_table, local, namespace_path, set_property, table_path, tables,
};
use tests::http::Reply;
use tests::process::{self, Backend, Firn};
use tokio::task::JoinSet;

use super::load::{fixtures, write_metadata_file};

/// Fields that Java's library writes in format version 1 in addition to those of the first writers.
const NEWER_FIELDS: [&str; 9] = [
    "current-schema-id",
    "schemas",
    "default-spec-id",
    "partition-specs",
    "last-partition-id",
    "default-sort-order-id",
    "sort-orders",
    "refs",
    "metadata-log",
];

/// Returns metadata as written in 2019: a single schema, and a partition spec whose fields have no ids.
fn metadata_of_2019() -> Value {
    let mut document = fixtures().into_iter().find(|document| document["format-version"] == 1).unwrap();
    for field in document["partition-spec"].as_array_mut().unwrap() {
        field.as_object_mut().unwrap().remove("field-id");
    }
    document
}

async fn register(firn: &Firn, ns: &str, name: &str, file: &str) -> Value {
    let body = json!({ "name": name, "metadata-location": file });
    firn.post(&format!("{}/register", namespace_path(ns)), &body).await.expect(200).json()
}

async fn metadata_of_old_versions_is_served_and_written_with_newer_fields(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let file = write_metadata_file(firn, metadata_of_2019());
    let mut stored: Value = serde_json::from_slice(&std::fs::read(local(&file)).unwrap()).unwrap();
    stored.as_object_mut().unwrap().remove("table-uuid");
    std::fs::write(local(&file), stored.to_string()).unwrap();

    let served = register(firn, &ns, "t", &file).await["metadata"].clone();
    assert_eq!(firn.get(&table_path(&ns, "t")).await.expect(200).json()["metadata"], served);
    let changed =
        firn.post(&table_path(&ns, "t"), &commit(&[], &[set_property("a", "b")])).await.expect(200).json();
    let written = std::fs::read(local(changed["metadata-location"].as_str().unwrap())).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    for document in [&served, &written] {
        for field in NEWER_FIELDS {
            assert!(document.get(field).is_some_and(|value| !value.is_null()), "{field}: {document}");
        }
        assert_eq!(document["schemas"], json!([document["schema"]]));
        assert_eq!(document["partition-specs"][0]["fields"], document["partition-spec"]);
        let ids: Vec<_> =
            document["partition-spec"].as_array().unwrap().iter().map(|f| f["field-id"].clone()).collect();
        assert_eq!(ids, [json!(1000), json!(1001)]);
        assert_eq!(document["last-partition-id"], 1001);
        assert_eq!(document["refs"]["main"]["snapshot-id"], stored["current-snapshot-id"]);
        assert_eq!(document["table-uuid"], served["table-uuid"]);
        for field in ["location", "snapshots", "snapshot-log", "last-column-id", "x-harbour"] {
            assert_eq!(document[field], stored[field], "{field}");
        }
    }
}

async fn a_damaged_metadata_file_is_an_error_on_every_load(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let created = create_table(&firn, &ns, "t").await;
    let file = local(created["metadata-location"].as_str().unwrap()).to_owned();
    let view = firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200).json();
    let view_file = local(view["metadata-location"].as_str().unwrap()).to_owned();
    let paths = [(table_path(&ns, "t"), file), (fixture::view_path(&ns, "v"), view_file)];
    for (path, file) in &paths {
        let whole = std::fs::read(file).unwrap();
        let wrong = String::from_utf8(whole.clone()).unwrap().replace("\"fields\":[", "\"fields\":[[");
        for damaged in [&b""[..], b"{}", &whole[..whole.len() - 1], &vec![0; whole.len()], wrong.as_bytes()] {
            std::fs::write(file, damaged).unwrap();
            for _ in 0..2 {
                let reply = firn.get(path).await;
                assert_eq!(reply.status, 500, "{path}: {}", reply.text());
            }
            firn.restart();
            assert_eq!(firn.get(path).await.status, 500);
            std::fs::write(file, &whole).unwrap();
            firn.get(path).await.expect(200);
        }
    }
    firn.check_no_panic();
}

async fn timestamps_of_clients_are_limited_and_do_not_affect_later_commits(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = create_table(firn, &ns, "t").await;
    let now_ms = created["metadata"]["last-updated-ms"].as_i64().unwrap();
    let at = |id: i64, metadata: &Value, timestamp_ms: i64| {
        let mut updates = append(metadata, id, "x");
        updates[0]["snapshot"]["timestamp-ms"] = json!(timestamp_ms);
        commit(&[], &updates)
    };
    let path = table_path(&ns, "t");
    for ahead_ms in [86_400_000, 120_000, i64::MAX - now_ms] {
        firn.post(&path, &at(1, &created["metadata"], now_ms + ahead_ms)).await.expect_error(
            400,
            "IllegalArgumentException",
            "set the clock of the client",
        );
    }
    // Java computes with differences of timestamps, and would not be able to make another commit.
    let long_ago = firn.post(&path, &at(1, &created["metadata"], i64::MIN)).await;
    long_ago.expect_error(400, "IllegalArgumentException", "too long ago for readers");
    // Ahead by as much as clocks may differ, and behind by any amount.
    let mut metadata = created["metadata"].clone();
    for (id, timestamp_ms) in [(2, now_ms + 30_000), (3, now_ms - 1_000_000), (4, i64::MIN / 1_000)] {
        metadata =
            firn.post(&path, &at(id, &metadata, timestamp_ms)).await.expect(200).json()["metadata"].clone();
        let last_ms = metadata["last-updated-ms"].as_i64().unwrap();
        assert!((now_ms..now_ms + 20_000).contains(&last_ms), "{metadata}");
        let log: Vec<i64> = metadata["snapshot-log"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["timestamp-ms"].as_i64().unwrap())
            .collect();
        assert!(log.is_sorted() && log.iter().all(|time| *time <= last_ms), "{log:?}");
        assert_eq!(metadata["snapshots"].as_array().unwrap().last().unwrap()["timestamp-ms"], timestamp_ms);
    }
}

/// Metadata with timestamps in the future: registered, or written by a server whose clock was ahead.
async fn timestamps_in_the_future_are_replaced_by_the_current_time(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let now_ms = create_table(firn, &ns, "clock").await["metadata"]["last-updated-ms"].as_i64().unwrap();
    let mut document = fixtures().into_iter().find(|document| document["format-version"] == 2).unwrap();
    let future_ms = now_ms + 86_400_000;
    document["last-updated-ms"] = json!(future_ms);
    let log = document["snapshot-log"].as_array_mut().unwrap();
    log.last_mut().unwrap()["timestamp-ms"] = json!(future_ms);
    let before = log[0].clone();
    let file = write_metadata_file(firn, document);
    let served = register(firn, &ns, "t", &file).await["metadata"].clone();
    let changed =
        firn.post(&table_path(&ns, "t"), &commit(&[], &[set_property("a", "b")])).await.expect(200).json();
    for metadata in [&served, &changed["metadata"]] {
        assert!(metadata["last-updated-ms"].as_i64().unwrap() < now_ms + 60_000);
        let log = metadata["snapshot-log"].as_array().unwrap();
        assert_eq!(log[0], before);
        assert!(log.iter().all(|entry| entry["timestamp-ms"].as_i64().unwrap() < now_ms + 60_000), "{log:?}");
    }
}

async fn concurrent_creations_with_one_location_are_conflicts(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for round in 0..8 {
        let (name, location) = (
            format!("t{round}"),
            format!("file://{}/{}", firn.warehouse().display(), fixture::unique("raced")),
        );
        let create = fixture::table_at(&name, &location);
        let transaction = commit(&[json!({ "type": "assert-create" })], &fixture::creation(&location));
        let mut requests = JoinSet::new();
        for number in 0..8 {
            let (path, body) = match number % 2 {
                0 => (tables(&ns), create.clone()),
                _ => (table_path(&ns, &name), transaction.clone()),
            };
            requests.spawn(async move { firn.post(&path, &body).await });
        }
        let replies = requests.join_all().await;
        let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        statuses.sort_unstable();
        assert_eq!(
            statuses,
            [200, 409, 409, 409, 409, 409, 409, 409],
            "{:?}",
            replies.iter().map(Reply::text).collect::<Vec<_>>()
        );
    }
}

async fn a_namespace_location_must_be_usable_by_its_tables(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let owned = create_table(firn, &ns, "t").await["metadata"]["location"].as_str().unwrap().to_owned();
    let root = format!("file://{}", firn.warehouse().display());
    let inside = format!("{owned}/data");
    for location in
        ["file:///etc", "s3://elsewhere/x", "", "relative", &root, &owned, &inside, &format!("{root}/../x")]
    {
        let properties = json!({ "location": location });
        let body = json!({ "namespace": [fixture::unique("n")], "properties": properties });
        firn.post("namespaces", &body).await.expect_error(400, "IllegalArgumentException", "nvalid");
        let update = json!({ "updates": properties, "removals": [] });
        let path = format!("{}/properties", namespace_path(&ns));
        firn.post(&path, &update).await.expect_error(400, "IllegalArgumentException", "nvalid");
    }
    let location = format!("{root}/{}", fixture::unique("own"));
    let name = fixture::unique("n");
    let body = json!({ "namespace": [name], "properties": { "location": location } });
    firn.post("namespaces", &body).await.expect(200);
    let made = create_table(firn, &name, "t").await;
    assert!(made["metadata"]["location"].as_str().unwrap().starts_with(&location));
}

tests::on_both_databases!(
    metadata_of_old_versions_is_served_and_written_with_newer_fields,
    a_damaged_metadata_file_is_an_error_on_every_load,
    timestamps_of_clients_are_limited_and_do_not_affect_later_commits,
    timestamps_in_the_future_are_replaced_by_the_current_time,
    concurrent_creations_with_one_location_are_conflicts,
    a_namespace_location_must_be_usable_by_its_tables,
);
