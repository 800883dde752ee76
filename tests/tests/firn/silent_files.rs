//! Files that never answer a read, and paths that are not regular files: no request waits for them, and
//! others are served meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tests::fixture::{self, commit, local, set_property, table_path};
use tests::process::{Backend, Firn, Setup};
use tests::tables::{Table, TableOptions, rows};

use crate::workers::{request_compaction, wait_for_end};

/// Timeout of operations that must not wait for a file; they take a fraction of it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Replaces a file by a named pipe without a writer.
fn replace_by_pipe(location: &str) {
    let path = PathBuf::from(local(location));
    drop(fs::remove_file(&path));
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// Replaces a file by a symbolic link to a file without an end.
fn replace_by_endless_file(location: &str) {
    let path = PathBuf::from(local(location));
    drop(fs::remove_file(&path));
    std::os::unix::fs::symlink("/dev/zero", path).unwrap();
}

async fn without_waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| panic!("{what} waits for a file"))
}

async fn special_files_do_not_block_other_requests(backend: Backend) {
    let mut firn = Firn::start(Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1"));
    let ns = fixture::namespace(&firn).await;
    fixture::create_table(&firn, &ns, "beside").await;
    let other_table = table_path(&ns, "beside");
    for (number, replace) in [replace_by_pipe as fn(&str), replace_by_endless_file].into_iter().enumerate() {
        let table = Table::create(&firn, &TableOptions::default()).await;
        let files = table.append(&[rows(0..10, 0), rows(10..20, 0), rows(20..30, 0)]).await;

        // A metadata file that is registered.
        let location = format!("file://{}/odd/{number}.metadata.json", firn.warehouse().display());
        fs::create_dir_all(Path::new(local(&location)).parent().unwrap()).unwrap();
        replace(&location);
        let request = json!({ "name": "odd", "metadata-location": location });
        let path = format!("{}/register", fixture::namespace_path(&ns));
        without_waiting("a registration", firn.post(&path, &request)).await.expect_error(
            400,
            "IllegalArgumentException",
            "",
        );

        // A data file: the job reports it, and ends.
        replace(&files[0]);
        let id = request_compaction(&firn, &table).await;
        let job = without_waiting("a compaction", wait_for_end(&firn, &id)).await;
        assert!(job.to_string().contains(&files[0]), "{job}");

        // The manifest list, after the other files were merged. No request blocks a thread, however many
        // requests there are.
        let metadata = table.load().await["metadata"].take();
        let is_current = |snapshot: &&Value| snapshot["snapshot-id"] == metadata["current-snapshot-id"];
        let snapshot = metadata["snapshots"].as_array().unwrap().iter().find(is_current).unwrap();
        replace(snapshot["manifest-list"].as_str().unwrap());
        let plans = (0..200).map(|_| {
            let (client, path) = ((*firn).clone(), format!("{}/plan", table.path()));
            tokio::spawn(async move { client.post(&path, &json!({})).await })
        });
        let plans = plans.collect::<Vec<_>>();
        for (round, plan) in plans.into_iter().enumerate() {
            let reply = without_waiting("a plan", plan).await.unwrap();
            // A plan that has to wait for its turn is answered with `submitted`, and fails later.
            let is_refused = match reply.status {
                200 => reply.json()["status"] == "submitted",
                status => matches!(status, 400 | 404 | 500 | 503),
            };
            assert!(is_refused, "{} {}", reply.status, String::from_utf8_lossy(&reply.body));
            if round % 50 == 0 {
                let update = commit(&[], &[set_property("round", &round.to_string())]);
                without_waiting("a commit beside it", firn.post(&other_table, &update)).await.expect(200);
            }
        }
        let id = request_compaction(&firn, &table).await;
        let cancel = format!("/governance/v1/maintenance/jobs/{id}/cancel");
        drop(without_waiting("a cancel", firn.request("POST", &cancel, Some("{}".to_owned()), &[])).await);
        without_waiting("a cancelled job", wait_for_end(&firn, &id)).await;
    }
    without_waiting("readiness", firn.request("GET", "/health/ready", None, &[])).await.expect(200);
    let stopped = tokio::task::spawn_blocking(move || firn.stop());
    without_waiting("the end", stopped).await.unwrap();
}

tests::on_both_databases!(special_files_do_not_block_other_requests);
