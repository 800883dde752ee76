//! Unreferenced metadata files: an expiry deletes them, and no other files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tests::fixture::{self, commit, local, set_property, table_at, table_path, tables};
use tests::http::Client;
use tests::process::Backend;

use crate::maintenance::{job_path, lease, lease_of, post, queue};
use crate::workers::retention::ClockedServer;

const LOG_LENGTH_1: (&str, &str) = ("write.metadata.previous-versions-max", "1");
const DELETE_AFTER_COMMIT: (&str, &str) = ("write.metadata.delete-after-commit.enabled", "true");

/// Completes an expiry job as a worker does.
async fn expire(client: &Client, ns: &str) {
    queue(client, ns, "t", "expire-snapshots").await;
    let leased = lease(client, "w").await;
    let end = json!({ "lease": lease_of(&leased), "outcome": { "outcome": "succeeded", "result": {} } });
    post(client, &job_path(&leased, "finish"), &end).await.expect(204);
}

async fn set_properties(client: &Client, ns: &str, properties: &[(&str, &str)]) -> Value {
    let updates: Vec<_> = properties.iter().map(|(key, value)| set_property(key, value)).collect();
    client.post(&table_path(ns, "t"), &commit(&[], &updates)).await.expect(200).json()
}

fn metadata_file(loaded: &Value) -> &Path {
    Path::new(local(loaded["metadata-location"].as_str().unwrap()))
}

fn list_files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect()
}

async fn an_expiry_deletes_metadata_files_left_by_a_crash(backend: Backend) {
    let firn = ClockedServer::start(backend, |_| {}).await;
    let ns = fixture::namespace(&firn.client).await;
    let created = fixture::create_table(&firn.client, &ns, "t").await;
    for round in 0..3 {
        set_properties(&firn.client, &ns, &[("round", &round.to_string())]).await;
    }
    let (document, folder) =
        (fs::read(metadata_file(&created)).unwrap(), metadata_file(&created).parent().unwrap());
    let name =
        |number: u32| format!("0000{number}-01a1fcb7-95d6-456a-b092-5ff42fe10b0{number}.metadata.json");
    let (unused, newer, older) = (name(7), name(8), name(9));
    for name in [&unused, &newer, &older, "v9.metadata.json", "snap-1.avro"] {
        fs::write(folder.join(name), &document).unwrap();
    }
    let set_modified = |name: &str, at: SystemTime| {
        fs::File::options().write(true).open(folder.join(name)).unwrap().set_modified(at).unwrap();
    };
    let now = fs::metadata(folder.join(&unused)).unwrap().modified().unwrap();
    set_modified(&newer, now + Duration::from_hours(36));
    set_modified(&older, now - Duration::from_hours(1));
    let before = list_files(folder);
    firn.day(150);
    // Files of a table that may share them with other tables are retained, in every spelling of
    // `gc.enabled=false`.
    for word in ["false", "FALSE", "no"] {
        set_properties(&firn.client, &ns, &[("gc.enabled", word)]).await;
        expire(&firn.client, &ns).await;
        assert!(before.iter().all(|file| file.exists()), "files were deleted despite `gc.enabled={word}`");
    }
    set_properties(&firn.client, &ns, &[("gc.enabled", "true")]).await;
    expire(&firn.client, &ns).await;
    assert!(!folder.join(&unused).exists(), "an unreferenced file was not deleted");
    for file in before.iter().filter(|file| !file.ends_with(&unused)) {
        assert!(file.exists(), "{} is gone", file.display());
    }
}

async fn an_expiry_deletes_previous_metadata_files_outside_of_the_log(backend: Backend) {
    let firn = ClockedServer::start(backend, |config| config.retention.time_travel_minutes = 0).await;
    let ns = fixture::namespace(&firn.client).await;
    let created = fixture::create_table(&firn.client, &ns, "t").await;
    for round in 0..5 {
        set_properties(&firn.client, &ns, &[LOG_LENGTH_1, ("round", &round.to_string())]).await;
    }
    let count = || list_files(metadata_file(&created).parent().unwrap()).len();
    firn.day(150);
    expire(&firn.client, &ns).await;
    assert_eq!(count(), 6, "the table does not request the deletion of previous files");
    set_properties(&firn.client, &ns, &[DELETE_AFTER_COMMIT]).await;
    expire(&firn.client, &ns).await;
    assert_eq!(count(), 2, "the current file and the one in the log remain");
    firn.client.get(&table_path(&ns, "t")).await.expect(200);
}

async fn past_states_of_a_dropped_table_survive_its_successor(backend: Backend) {
    let firn = ClockedServer::start(backend, |_| {}).await;
    let (client, ns) = (&firn.client, fixture::namespace(&firn.client).await);
    let location = format!(
        "{}/place",
        fixture::create_table(client, &ns, "u").await["metadata"]["location"].as_str().unwrap()
    );
    client.delete(&table_path(&ns, "u")).await.expect(204);
    let created = client.post(&tables(&ns), &table_at("t", &location)).await.expect(200).json();
    for round in ["1", "2", "3"] {
        set_properties(client, &ns, &[LOG_LENGTH_1, ("round", round)]).await;
    }
    firn.day(10);
    let last = set_properties(client, &ns, &[LOG_LENGTH_1, ("round", "4")]).await;
    firn.day(20);
    client.delete(&table_path(&ns, "t")).await.expect(204);
    firn.day(30);
    // Registered again, with a metadata log that begins with that of the dropped table.
    let body = json!({ "name": "t", "metadata-location": last["metadata-location"] });
    client.post(&format!("namespaces/{ns}/register"), &body).await.expect(200);
    set_properties(client, &ns, &[DELETE_AFTER_COMMIT]).await;
    set_properties(client, &ns, &[("round", "5")]).await;
    firn.day(150);
    expire(client, &ns).await;
    let past = |hundredths| firn.client_at(hundredths);
    let round = async |hundredths| {
        past(hundredths).get(&table_path(&ns, "t")).await.expect(200).json()["metadata"]["properties"]["round"].clone()
    };
    assert_eq!((round(5).await, round(15).await), (json!("3"), json!("4")));
    // A new table in the same location.
    client.delete(&table_path(&ns, "t")).await.expect(204);
    client.post(&tables(&ns), &table_at("t", &location)).await.expect(200);
    firn.day(300);
    expire(client, &ns).await;
    assert_eq!((round(5).await, round(15).await, round(140).await), (json!("3"), json!("4"), json!("5")));
    assert!(metadata_file(&created).exists());
}

tests::on_both_databases!(
    an_expiry_deletes_metadata_files_left_by_a_crash,
    an_expiry_deletes_previous_metadata_files_outside_of_the_log,
);

// Only on SQLite: a test cannot set the clock of a PostgreSQL server.
tests::on_sqlite!(past_states_of_a_dropped_table_survive_its_successor);
