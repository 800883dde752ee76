//! Outages of the database or the disk: clear errors, no partial changes, and recovery without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::fixture::{self, change, commit, create_table, set_property, table_path};
use tests::http::Reply;
use tests::outage::{Proxy, ProxyMode, StoppableServer};
use tests::postgres::Postgres;
use tests::process::{self, Backend, Firn, Setup};

/// Asserts that a response during an outage is a success, an error that asks to retry, or one that reports an
/// unknown outcome.
fn check_response(reply: &Reply) {
    match reply.status {
        200 | 204 => {}
        503 => drop(reply.error_message(503, "ServiceUnavailableException")),
        500 => drop(reply.error_message(500, "CommitStateUnknownException")),
        status => panic!("{status}: {}", reply.text()),
    }
}

/// Waits until the server reports that it is ready again.
async fn wait_until_ready(firn: &Firn) {
    for _ in 0..3_000 {
        if firn.request("GET", "/health/ready", None, &[]).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the server does not recover: {}", firn.setup().log());
}

/// Starts writers whose commits have no requirements. Each returns the markers of its acknowledged commits.
fn start_writers(
    stop: &Arc<AtomicBool>,
    firn: &Firn,
    path: &str,
    writers: u32,
) -> Vec<tokio::task::JoinHandle<Vec<String>>> {
    let spawn = |writer: u32| {
        let (client, path, stop) = ((**firn).clone(), path.to_owned(), stop.clone());
        tokio::spawn(async move {
            let mut done = Vec::new();
            let mut round = 0;
            while !stop.load(Ordering::SeqCst) {
                let marker = format!("w{writer}-{round}");
                let reply = client.post(&path, &commit(&[], &[set_property(&marker, "x")])).await;
                check_response(&reply);
                if reply.status == 200 {
                    done.push(marker);
                }
                check_response(&client.get(&path).await);
                round += 1;
            }
            done
        })
    };
    (0..writers).map(spawn).collect()
}

async fn check_all_visible(firn: &Firn, path: &str, writers: Vec<tokio::task::JoinHandle<Vec<String>>>) {
    let properties = async { firn.get(path).await.expect(200).json()["metadata"]["properties"].clone() };
    let mut done = Vec::new();
    for writer in writers {
        done.extend(writer.await.unwrap());
    }
    let properties = properties.await;
    let missing: Vec<_> = done.iter().filter(|marker| properties.get(marker).is_none()).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    assert!(!done.is_empty());
    firn.check_no_panic();
}

#[test]
fn restarts_of_postgresql_under_load_lose_no_commit() {
    process::run(async {
        let server = Arc::new(Postgres::start(&[]).await.unwrap());
        let url = server.create_database().await.unwrap();
        let mut stoppable = StoppableServer::new(server, &url);
        let mut setup = Setup::new(Backend::Sqlite).await;
        setup.database_url = Some(url);
        let firn = Firn::start(setup);
        let ns = fixture::namespace(&firn).await;
        create_table(&firn, &ns, "t").await;
        let path = table_path(&ns, "t");
        let stop = Arc::new(AtomicBool::new(false));
        let writers = start_writers(&stop, &firn, &path, 4);
        for signal in ["INT", "QUIT", "INT"] {
            stoppable.stop(signal).await;
            let ready = firn.request("GET", "/health/ready", None, &[]).await;
            assert_eq!(ready.status, 503, "{}", ready.text());
            firn.request("GET", "/health/live", None, &[]).await.expect(200);
            let reply = firn.post(&path, &commit(&[], &[set_property("while", "away")])).await;
            check_response(&reply);
            assert!(reply.status >= 500);
            stoppable.start();
            wait_until_ready(&firn).await;
            firn.post(&path, &commit(&[], &[set_property("back", signal)])).await.expect(200);
        }
        stop.store(true, Ordering::SeqCst);
        check_all_visible(&firn, &path, writers).await;
        drop(firn);
    });
}

#[test]
fn a_cut_connection_is_unavailable_and_recovers() {
    process::run(async {
        let direct = Setup::new(Backend::Postgres).await;
        let proxy = Proxy::start(&direct.database_url());
        let mut setup = direct.clone();
        setup.database_url = Some(proxy.url(&direct.database_url()));
        let firn = Firn::start(setup);
        let ns = fixture::namespace(&firn).await;
        create_table(&firn, &ns, "t").await;
        let path = table_path(&ns, "t");
        let stop = Arc::new(AtomicBool::new(false));
        let writers = start_writers(&stop, &firn, &path, 4);
        for _ in 0..5 {
            proxy.set(ProxyMode::Cut);
            check_response(&firn.get(&path).await);
            firn.get("namespaces").await.expect_error(503, "ServiceUnavailableException", "database");
            proxy.set(ProxyMode::Forward);
            wait_until_ready(&firn).await;
            firn.get(&path).await.expect(200);
        }
        stop.store(true, Ordering::SeqCst);
        check_all_visible(&firn, &path, writers).await;
    });
}

/// Commits the property `k`; the connection to the database is cut after the server has sent `word`, so that
/// the response of the database is lost.
async fn check_lost_response(word: &'static str, is_transaction: bool) {
    let direct = Setup::new(Backend::Postgres).await;
    let proxy = Proxy::start(&direct.database_url());
    let mut setup = direct.clone();
    setup.database_url = Some(proxy.url(&direct.database_url()));
    let firn = Firn::start(setup);
    let ns = fixture::namespace(&firn).await;
    for name in ["t", "u"] {
        create_table(&firn, &ns, name).await;
    }
    let path = table_path(&ns, "t");
    let updates = [set_property("k", "v")];
    let (target, body) = if is_transaction {
        let changes = ["t", "u"].map(|name| change(&ns, name, &[], &updates));
        ("transactions/commit".to_owned(), json!({ "table-changes": changes }))
    } else {
        (path.clone(), commit(&[], &updates))
    };
    let key = catalog_server::id::random().to_string();
    let headers = [("idempotency-key", key.as_str())];
    proxy.set(ProxyMode::CutAfter(word));
    let reply = firn.send("POST", &target, Some(body.to_string()), &headers).await;
    reply.expect_error(500, "CommitStateUnknownException", "its outcome is unknown");
    proxy.set(ProxyMode::Forward);
    wait_until_ready(&firn).await;
    // The commit was carried out: its metadata file was not deleted, and a request with the same key gets the
    // response that was lost.
    let repeated = firn.send("POST", &target, Some(body.to_string()), &headers).await;
    let loaded = firn.get(&path).await.expect(200).json();
    if is_transaction {
        repeated.expect(204);
    } else {
        assert_eq!(repeated.expect(200).json(), loaded);
    }
    assert_eq!(loaded["metadata"]["properties"]["k"], "v");
    let log = loaded["metadata"]["metadata-log"].as_array().unwrap();
    assert_eq!(log.len(), 1, "the commit was made twice");
    let file = fixture::local(loaded["metadata-location"].as_str().unwrap());
    let stored: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(stored, loaded["metadata"]);
}

#[test]
fn a_commit_with_a_lost_response_has_an_unknown_outcome_and_keeps_its_file() {
    // A commit to a single table is one statement, which contains this name of the recorded action.
    process::run(check_lost_response("commit-table", false));
}

#[test]
fn a_transaction_with_a_lost_response_has_an_unknown_outcome_and_keeps_its_files() {
    process::run(check_lost_response("COMMIT\0", true));
}

/// Sets a command that runs the server with a small disk of its own at the data directory.
fn with_small_disk(setup: &mut Setup) {
    let mount = "mount -t tmpfs -o size=16m tmpfs \"$0\" && exec \"$@\"";
    let works = |flags: &str| {
        let mut probe = std::process::Command::new("unshare");
        probe.args([flags, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).stderr(std::process::Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    let flags = ["-m", "-rm"].into_iter().find(|flags| works(flags));
    let flags = flags.expect("this test mounts a small disk: run it as root, or allow user namespaces");
    setup.wrapper =
        ["unshare", flags, "sh", "-c", mount, setup.data_dir.to_str().unwrap()].map(str::to_owned).to_vec();
}

#[test]
fn a_full_disk_is_a_clear_error_and_leaves_no_partial_change() {
    process::run(async {
        let mut setup = Setup::new(Backend::Sqlite).await;
        with_small_disk(&mut setup);
        let firn = Firn::start(setup);
        // The data directory as the server sees it.
        let disk =
            std::path::PathBuf::from(format!("/proc/{}/root{}", firn.pid(), firn.setup().data_dir.display()));
        let ns = fixture::namespace(&firn).await;
        create_table(&firn, &ns, "t").await;
        let path = table_path(&ns, "t");
        let before = firn.get(&path).await.expect(200).json();
        let filler = disk.join("filler");
        let mut written = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut written, &[0; 4096]).is_ok() {}
        let big = set_property("big", &"x".repeat(200_000));
        for (path, body) in [
            (path.clone(), commit(&[], std::slice::from_ref(&big))),
            (fixture::tables(&ns), fixture::table("new")),
            (
                "namespaces".to_owned(),
                json!({ "namespace": ["new"], "properties": { "big": "x".repeat(100_000) } }),
            ),
        ] {
            let reply = firn.post(&path, &body).await;
            assert!(reply.status == 500 || reply.status == 503, "{path}: {} {}", reply.status, reply.text());
            let error = reply.json()["error"].clone();
            assert!(error["message"].as_str().unwrap().len() > 15, "{error}");
        }
        assert_eq!(firn.get(&path).await.expect(200).json(), before);
        assert_eq!(firn.head(&table_path(&ns, "new")).await, 404);
        assert_eq!(firn.head("namespaces/new").await, 404);
        let metadata =
            format!("{}/metadata", fixture::local(before["metadata"]["location"].as_str().unwrap()));
        let inside = format!("/proc/{}/root{metadata}", firn.pid());
        assert_eq!(std::fs::read_dir(inside).unwrap().count(), 1, "a partial file remains");
        drop(written);
        std::fs::remove_file(&filler).unwrap();
        let done = firn.post(&path, &commit(&[], &[big])).await.expect(200).json();
        assert_eq!(firn.get(&path).await.json(), done);
        create_table(&firn, &ns, "new").await;
        firn.check_no_panic();
    });
}

#[test]
fn a_file_that_may_not_grow_is_a_clear_error() {
    process::run(async {
        let mut setup = Setup::new(Backend::Postgres).await;
        // In blocks of 512 bytes. Without the trap, the signal would end the process.
        let limited = "trap '' XFSZ; ulimit -f 400; exec \"$@\"";
        setup.wrapper = ["sh", "-c", limited, "sh"].map(str::to_owned).to_vec();
        let firn = Firn::start(setup);
        let ns = fixture::namespace(&firn).await;
        create_table(&firn, &ns, "t").await;
        let path = table_path(&ns, "t");
        let before = firn.get(&path).await.expect(200).json();
        let reply = firn.post(&path, &commit(&[], &[set_property("big", &"x".repeat(1 << 20))])).await;
        reply.expect_error(500, "InternalServerError", "cannot write");
        assert_eq!(firn.get(&path).await.json(), before);
        let metadata =
            format!("{}/metadata", fixture::local(before["metadata"]["location"].as_str().unwrap()));
        assert_eq!(std::fs::read_dir(metadata).unwrap().count(), 1, "a partial file remains");
        firn.post(&path, &commit(&[], &[set_property("small", "x")])).await.expect(200);
    });
}
