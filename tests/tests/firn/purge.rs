//! Purging: the files of a dropped table are eventually deleted, in spite of interruptions, and files of
//! other tables are not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tests::fixture::{self, commit, local, namespace_path, set_property, table_at, table_path, tables};
use tests::process::{self, Backend, Firn, Setup};

fn folder(created: &Value) -> PathBuf {
    PathBuf::from(local(created["metadata"]["location"].as_str().unwrap()))
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

fn write_files(folder: &Path, count: usize) {
    let data = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    for number in 0..count {
        fs::write(data.join(format!("{number}.parquet")), "x").unwrap();
    }
}

/// Waits until the folder is deleted. The purge runs after its request was answered.
async fn wait_until_deleted(folder: &Path) {
    for _ in 0..6_000 {
        if !folder.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} is still there, {} files in it", folder.display(), files(folder));
}

async fn purge(firn: &Firn, ns: &str, name: &str) {
    firn.delete(&format!("{}?purgeRequested=true", table_path(ns, name))).await.expect(204);
}

async fn files_of_a_purged_table_are_deleted_and_those_of_a_dropped_table_remain(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let (purged, dropped) =
        (fixture::create_table(firn, &ns, "p").await, fixture::create_table(firn, &ns, "d").await);
    for table in [&purged, &dropped] {
        write_files(&folder(table), 10);
    }
    let data = format!("file://{}/{}", firn.warehouse().display(), fixture::unique("data"));
    firn.post(&table_path(&ns, "p"), &commit(&[], &[set_property("write.data.path", &data)]))
        .await
        .expect(200);
    write_files(Path::new(local(&data)), 3);
    purge(firn, &ns, "p").await;
    firn.delete(&table_path(&ns, "d")).await.expect(204);
    assert_eq!(firn.head(&table_path(&ns, "p")).await, 404);
    wait_until_deleted(&folder(&purged)).await;
    wait_until_deleted(Path::new(local(&data))).await;
    assert_eq!(files(&folder(&dropped)), 11);
}

async fn unusual_locations_are_purged(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for (number, part) in ["a b", "a%20b", "ü", "100%25", "%E6%95%B0", "'quoted'"].iter().enumerate() {
        let location = format!("file://{}/{}/{part}", firn.warehouse().display(), fixture::unique("odd"));
        let name = format!("t{number}");
        let created = firn.post(&tables(&ns), &table_at(&name, &location)).await.expect(200).json();
        write_files(&folder(&created), 2);
        purge(firn, &ns, &name).await;
        wait_until_deleted(&folder(&created)).await;
    }
}

async fn a_purge_continues_after_a_crash(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let neighbour = fixture::create_table(&firn, &ns, "neighbour").await;
    let created = fixture::create_table(&firn, &ns, "big").await;
    write_files(&folder(&created), 20_000);
    let before = files(&folder(&created));
    purge(&firn, &ns, "big").await;
    let mut crashes = 0;
    while folder(&created).exists() && crashes < 5 {
        // Interrupted after some files have been deleted.
        let left = files(&folder(&created));
        if left < before {
            firn.kill();
            crashes += 1;
            let frozen = files(&folder(&created));
            // The folder of a table that is being purged is still claimed: no other table may be created
            // there.
            firn.restart();
            if frozen > 0 && folder(&created).exists() {
                let location = created["metadata"]["location"].as_str().unwrap();
                let reply = firn.post(&tables(&ns), &table_at("squatter", location)).await;
                if reply.status == 200 {
                    let is_empty = files(&folder(&created).join("data")) == 0;
                    assert!(is_empty, "a folder was reused before it was empty");
                } else {
                    reply.expect_error(400, "IllegalArgumentException", "belongs to another table");
                }
            }
        }
        tokio::task::yield_now().await;
    }
    assert!(crashes > 0, "the purge was over before it could be interrupted");
    // The lease of the crashed worker expires after a minute.
    wait_until_data_deleted(&folder(&created)).await;
    assert_eq!(files(&folder(&neighbour)), 1);
    firn.get(&table_path(&ns, "neighbour")).await.expect(200);
}

async fn wait_until_data_deleted(folder: &Path) {
    for _ in 0..18_000 {
        if files(&folder.join("data")) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} files are left", files(folder));
}

async fn a_folder_is_free_again_once_it_is_empty(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let location = format!("file://{}/{}", firn.warehouse().display(), fixture::unique("again"));
    for _ in 0..3 {
        let created = loop {
            let reply = firn.post(&tables(&ns), &table_at("t", &location)).await;
            match reply.status {
                200 => break reply.json(),
                _ => reply.expect_error(400, "IllegalArgumentException", "belongs to another table"),
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(files(&folder(&created)), 1, "a new table found old files");
        write_files(&folder(&created), 50);
        purge(firn, &ns, "t").await;
    }
}

async fn gc_enabled_false_keeps_the_files(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = fixture::create_table(firn, &ns, "t").await;
    firn.post(&table_path(&ns, "t"), &commit(&[], &[set_property("gc.enabled", "false")])).await.expect(200);
    purge(firn, &ns, "t").await;
    // A later purge is finished; by then, this one would be finished as well.
    let other = fixture::create_table(firn, &ns, "other").await;
    purge(firn, &ns, "other").await;
    wait_until_deleted(&folder(&other)).await;
    assert_eq!(files(&folder(&created)), 2);
}

async fn files_of_a_table_registered_again_are_not_deleted(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = fixture::create_table(firn, &ns, "t").await;
    write_files(&folder(&created), 5);
    let unregistered = firn
        .send("POST", &format!("{}/unregister", table_path(&ns, "t")), None, &[])
        .await
        .expect(200)
        .json();
    assert_eq!(unregistered["metadata-location"], created["metadata-location"]);
    assert_eq!(files(&folder(&created)), 6);
    let body = json!({ "name": "u", "metadata-location": created["metadata-location"] });
    firn.post(&format!("{}/register", namespace_path(&ns)), &body).await.expect(200);
    let other = fixture::create_table(firn, &ns, "other").await;
    purge(firn, &ns, "other").await;
    wait_until_deleted(&folder(&other)).await;
    assert_eq!(files(&folder(&created)), 6);
    firn.get(&table_path(&ns, "u")).await.expect(200);
}

async fn a_metadata_file_of_a_folder_being_purged_cannot_be_registered(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = fixture::create_table(firn, &ns, "t").await;
    write_files(&folder(&created), 5_000);
    purge(firn, &ns, "t").await;
    let body = json!({ "name": "u", "metadata-location": created["metadata-location"] });
    let reply = firn.post(&format!("{}/register", namespace_path(&ns)), &body).await;
    match reply.status {
        400 => reply.expect_error(400, "IllegalArgumentException", "belongs to another table"),
        _ => reply.expect_error(404, "NotFoundException", "Failed to open"),
    }
    wait_until_deleted(&folder(&created)).await;
}

/// A purge is a job of the server: it is listed, and runs without maintenance workers, to which it is not
/// given and which cannot end it.
async fn a_purge_is_a_job_of_the_server_alone(backend: Backend) {
    let firn = Firn::start(Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "0"));
    let ns = fixture::namespace(&firn).await;
    let created = fixture::create_table(&firn, &ns, "t").await;
    write_files(&folder(&created), 20_000);
    let at = |rest: &str| format!("/governance/v1/maintenance/jobs{rest}");
    purge(&firn, &ns, "t").await;

    let find = async || {
        let jobs = firn.request("GET", &at(""), None, &[]).await.expect(200).json();
        jobs["jobs"].as_array().unwrap().iter().find(|job| job["action"] == "purge").unwrap().clone()
    };
    let job = find().await;
    assert_eq!(
        (&job["table"], &job["requested-by"]),
        (&json!(format!("main/{ns}.t")), &json!("local-administrator"))
    );
    let id = job["job-id"].as_str().unwrap();
    let cancelled = firn.request("POST", &at(&format!("/{id}/cancel")), Some("{}".to_owned()), &[]).await;
    cancelled.expect_error(409, "ConflictException", "cannot be cancelled");
    let worker = json!({ "worker": "w" }).to_string();
    let leased = firn.request("POST", &at("/lease"), Some(worker), &[]).await.expect(200).json();
    assert_eq!(leased["job"], Value::Null);

    // The lease of the server, which the list shows, does not permit a worker to end the job.
    let job = loop {
        let job = find().await;
        let lease = json!({ "worker": job["worker"].as_str().unwrap_or("w"), "attempt": job["attempt"] });
        let outcome = json!({ "outcome": "failed", "error": "broken" });
        let body = json!({ "lease": lease, "outcome": outcome }).to_string();
        let ended = firn.request("POST", &at(&format!("/{id}/finish")), Some(body), &[]).await;
        ended.expect_error(409, "ConflictException", "any more");
        if job["state"] == "succeeded" {
            break job;
        }
        assert!(["queued", "running"].contains(&job["state"].as_str().unwrap()), "{job}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(job["result"]["numbers"], json!({ "files-deleted": 20_001 }));
    assert!(!folder(&created).exists());
}

async fn old_metadata_files_are_deleted_if_the_table_requests_it(backend: Backend) {
    let firn = &Firn::start(Setup::new(backend).await.with("FIRN_RETENTION__TIME_TRAVEL_MINUTES", "0"));
    let ns = fixture::namespace(firn).await;
    let properties = json!({ "write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "2" });
    let body = json!({ "name": "t", "schema": fixture::schema(), "properties": properties });
    let created = firn.post(&tables(&ns), &body).await.expect(200).json();
    for round in 0..6 {
        let set = commit(&[], &[set_property("round", &round.to_string())]);
        firn.post(&table_path(&ns, "t"), &set).await.expect(200);
    }
    assert_eq!(files(&folder(&created).join("metadata")), 3);
}

tests::on_both_databases!(
    files_of_a_purged_table_are_deleted_and_those_of_a_dropped_table_remain,
    unusual_locations_are_purged,
    a_purge_continues_after_a_crash,
    a_folder_is_free_again_once_it_is_empty,
    gc_enabled_false_keeps_the_files,
    files_of_a_table_registered_again_are_not_deleted,
    a_metadata_file_of_a_folder_being_purged_cannot_be_registered,
    a_purge_is_a_job_of_the_server_alone,
    old_metadata_files_are_deleted_if_the_table_requests_it,
);
