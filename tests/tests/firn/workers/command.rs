//! Command line of `firn maintain` and `firn jobs`: messages for wrong arguments, and for an unavailable
//! catalog.

use std::net::TcpListener;
use std::process::Output;
use std::time::Duration;

use serde_json::json;
use tests::fixture;
use tests::process::{Backend, Firn, Setup, binary, clean};
use tests::worker::Worker;

use crate::maintenance::{post, table_identifier};

use super::{check_compacted, create_fragmented_table, eventually, request_compaction, wait_for_success};

fn maintain(arguments: &[&str]) -> Output {
    let mut command = clean(binary().to_str().unwrap());
    command.arg("maintain").args(arguments).output().unwrap()
}

/// Returns the message with which `firn maintain` refuses arguments.
fn error_message(arguments: &[&str]) -> String {
    let output = maintain(arguments);
    assert!(!output.status.success(), "{arguments:?} were taken");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_help_describes_options_and_examples() {
    let output = maintain(&["--help"]);
    assert!(output.status.success());
    // The help is wrapped to the width of the terminal.
    let help = String::from_utf8(output.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in
        ["takes jobs from the queue", "--workers", "--memory-bytes", "--spill-dir", "SIGTERM", "Examples"]
    {
        assert!(help.contains(text), "no `{text}` in {help}");
    }
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    for (arguments, text) in [
        (&["--workers", "0"][..], "--workers"),
        (&["--workers", "2", "--once", "--table", "main.a.t"], "--workers"),
        (&["--memory-bytes", "1000"], "16777216"),
        (&["--nice", "20"], "--nice"),
        (&["--requests-per-second", "0"], "--requests-per-second"),
        (&["--table", "main.a.t"], "--once"),
        (&["--dry-run"], "--once"),
        (&["--once"], "--table"),
        (&["--once", "--table", "t"], "main.sales.orders"),
        (&["--once", "--table", "main.a.t", "--policy", "{\"compact\": 1}"], "--policy"),
        (&["--uri", "not a url"], "not a url"),
    ] {
        let message = error_message(arguments);
        assert!(message.contains(text), "{arguments:?}: no `{text}` in {message}");
        assert!(!message.contains("panicked"), "{message}");
    }
}

/// Returns a port on which no server listens.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn a_worker_waits_for_its_catalog(backend: Backend) {
    let port = free_port();
    let uri = format!("http://127.0.0.1:{port}");
    let mut worker = Worker::start(&uri, &[]);
    eventually("a warning", async || worker.log().contains("cannot ask the catalog for work").then_some(()))
        .await;
    assert!(worker.log().contains(&uri), "{}", worker.log());
    // The warning is logged only once.
    assert_eq!(worker.log().matches("WARN").count(), 1, "{}", worker.log());

    let mut firn = Firn::start(Setup { port, ..Setup::new(backend).await });
    let (table, rows) = create_fragmented_table(&firn, 2, 1).await;
    let id = request_compaction(&firn, &table).await;
    wait_for_success(&firn, &id).await;
    check_compacted(&table, &rows, 1).await;
    // The worker also continues after a restart of the server.
    firn.restart();
    let (table, rows) = create_fragmented_table(&firn, 2, 1).await;
    let id = request_compaction(&firn, &table).await;
    wait_for_success(&firn, &id).await;
    check_compacted(&table, &rows, 1).await;
    assert!(worker.stop().await.success());
}

async fn a_catalog_without_a_queue_has_its_own_warning(_: Backend) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer_404(stream);
        }
    });
    let mut worker = Worker::start(&uri, &[]);
    eventually("a warning", async || worker.log().contains("WARN").then_some(())).await;
    let log = worker.log();
    assert!(log.contains("no queue of maintenance jobs") && log.contains("--once"), "{log}");
    let stopped = tokio::time::timeout(Duration::from_secs(5), worker.stop()).await;
    assert!(stopped.expect("an end at once").success());
}

fn answer_404(mut stream: std::net::TcpStream) {
    use std::io::{Read as _, Write as _};
    let mut request = [0_u8; 4096];
    // The client may have disconnected.
    drop(stream.read(&mut request));
    drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
}

/// Returns the columns of each line that `firn jobs` prints; they are separated by two spaces.
fn list_jobs(arguments: &[&str]) -> Vec<Vec<String>> {
    let mut command = clean(binary().to_str().unwrap());
    let output = command.arg("jobs").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let columns = |line: &str| {
        line.split("  ").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    text.lines().skip(1).map(columns).collect()
}

async fn jobs_accepts_the_names_that_it_prints(backend: Backend) {
    let firn = Firn::start(Setup::new(backend).await);
    let uri = firn.root().to_owned();
    for (namespace, name) in [("plain", "t"), ("a.b", "t"), ("a", "b.t"), ("c/d", "x \"y\".z")] {
        firn.post("namespaces", &json!({ "namespace": [namespace] })).await.expect(200);
        fixture::create_table(&firn, namespace, name).await;
        let new = json!({ "table": table_identifier(namespace, name), "action": "compact" });
        post(&firn, "jobs", &new).await.expect(200);
        let all = list_jobs(&["--uri", &uri]);
        let printed = &all[0][0];
        let of_table = list_jobs(&["--uri", &uri, "--table", printed]);
        assert_eq!(of_table.len(), 1, "{printed}: {of_table:?}");
        assert_eq!(&of_table[0][0], printed);
    }
}

tests::on_sqlite!(
    jobs_accepts_the_names_that_it_prints,
    a_worker_waits_for_its_catalog,
    a_catalog_without_a_queue_has_its_own_warning
);
