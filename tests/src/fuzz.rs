//! Fuzzing of a server with invalid requests: broken JSON, mutated JSON, raw bytes on the connection, and
//! scan plans of tables with damaged manifests. The server must refuse them, without internal errors, panics
//! or growing memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use catalog_server::clock::Stopwatch;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::fixture;
use crate::http::Reply;
use crate::manifests;
use crate::process::Firn;

/// Maximum resident memory of the server, in bytes. More is a sign of a leak, or of a request that should
/// have been refused.
const RESIDENT_BYTES_MAX: u64 = 1 << 30;

/// Number of inputs of each kind that were sent, and of the outcomes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Number of metadata documents parsed in this process.
    pub parsed: u64,
    /// Number of metadata documents registered through the server.
    pub registered: u64,
    /// Number of requests with a mutated JSON body.
    pub bodies: u64,
    /// Number of requests sent as raw bytes.
    pub raw: u64,
    /// Number of damaged manifests and manifest lists for which scans were planned.
    pub manifests: u64,
    /// Number of scan plans that were refused because the manifest or manifest list is damaged.
    pub damaged: u64,
    /// Number of responses with a status of success (2xx).
    pub accepted: u64,
    /// Number of responses with a status of refusal.
    pub refused: u64,
    /// Resident memory of the server at the end, in bytes.
    pub resident_bytes: u64,
}

/// Sends invalid requests to a server for the duration `time`.
///
/// # Errors
///
/// Fails if a response is neither a success (2xx) nor a refusal (4xx, 503) nor the report of a damaged
/// manifest, if the server cannot be reached, if it logged a panic, or if it uses more than 1 GiB of memory
/// at the end.
pub async fn run(firn: &Firn, random: &mut StdRng, time: Duration) -> Result<Counts, String> {
    let mut counts = Counts::default();
    let namespace = fixture::namespace(firn).await;
    fixture::create_table(firn, &namespace, "t").await;
    firn.post(&fixture::views(&namespace), &fixture::view("v", "select 1")).await.expect(200);
    let documents = documents(firn, &namespace).await;
    let stopwatch = Stopwatch::start();
    let mut round = 0_u64;
    while stopwatch.elapsed() < time {
        round += 1;
        for _ in 0..50 {
            parse(random, &documents);
            counts.parsed += 1;
        }
        let reply = register(firn, random, &namespace, &documents, round).await;
        counts.registered += 1;
        check_response(&reply, &mut counts, || "a registered document".to_owned())?;
        for _ in 0..5 {
            let (path, body) = body(random, &namespace);
            let reply = firn.send("POST", &path, Some(body.clone()), &headers(random)).await;
            counts.bodies += 1;
            check_response(&reply, &mut counts, || format!("POST {path} {body}"))?;
        }
        send_raw(firn, random)?;
        counts.raw += 1;
        plan_damaged(firn, random, &namespace, round, &mut counts).await?;
    }
    counts.resident_bytes = firn.resident_bytes();
    if counts.resident_bytes > RESIDENT_BYTES_MAX {
        return Err(format!("the server holds {} bytes", counts.resident_bytes));
    }
    if let Some(line) = firn.setup().log().lines().find(|line| line.contains("panicked")) {
        return Err(format!("the server panicked: {line}"));
    }
    firn.get("namespaces").await.expect(200);
    Ok(counts)
}

/// Plans scans of a table whose manifest or manifest list is damaged. The only acceptable internal error is
/// the one that reports the damage.
async fn plan_damaged(
    firn: &Firn,
    random: &mut StdRng,
    namespace: &str,
    round: u64,
    counts: &mut Counts,
) -> Result<(), String> {
    let name = format!("m{round}");
    fixture::create_table(firn, namespace, &name).await;
    let path = fixture::table_path(namespace, &name);
    let (_, list) = manifests::append(firn, &path, 1, &[4, 30]).await;
    let list = fixture::local(&list).to_owned();
    let file = match random.random_range(0..3) {
        0 => list,
        number => list.replace("snap-1", &format!("1-m{}", number - 1)),
    };
    let mut bytes = std::fs::read(&file).expect("a manifest");
    damage(random, &mut bytes);
    std::fs::write(&file, bytes).expect("a manifest");
    counts.manifests += 1;
    let filter = json!({ "type": "eq", "term": "id", "value": random.random_range(-5..300) });
    for request in [json!({}), json!({ "filter": filter, "stats-fields": ["id"] })] {
        let reply = firn.post(&format!("{path}/plan"), &request).await;
        if reply.status == 500 && reply.text().contains("cannot be used: ") {
            counts.damaged += 1;
        } else {
            check_response(&reply, counts, || format!("a plan on the damaged {file}"))?;
        }
    }
    firn.delete(&path).await.expect(204);
    Ok(())
}

/// Overwrites single bytes, removes or duplicates ranges, or truncates the end.
fn damage(random: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..bytes.len().max(1));
        let end = (at + random.random_range(1..40)).min(bytes.len());
        match random.random_range(0..10) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
            _ if at < bytes.len() => bytes[at] = random.random(),
            _ => {}
        }
    }
}

fn check_response(reply: &Reply, counts: &mut Counts, what: impl Fn() -> String) -> Result<(), String> {
    match reply.status {
        200..=299 => counts.accepted += 1,
        400..=499 | 503 => counts.refused += 1,
        status => {
            let what: String = what().chars().take(4_000).collect();
            return Err(format!("{status} {} to {what}", reply.text()));
        }
    }
    Ok(())
}

/// Returns valid metadata documents to mutate: a table, a table with a snapshot, and a view.
async fn documents(firn: &Firn, namespace: &str) -> Vec<Value> {
    let table = firn.get(&fixture::table_path(namespace, "t")).await.expect(200).json()["metadata"].clone();
    let view = firn.get(&fixture::view_path(namespace, "v")).await.expect(200).json()["metadata"].clone();
    let mut evolved = table.clone();
    evolved["snapshots"] = json!([fixture::append(&table, 1, "x")[0]["snapshot"]]);
    evolved["refs"] = json!({ "main": { "snapshot-id": 1, "type": "branch" } });
    evolved["current-snapshot-id"] = json!(1);
    vec![table, evolved, view]
}

/// Parses a mutated document in this process; a panic ends the run.
fn parse(random: &mut StdRng, documents: &[Value]) {
    let bytes = mutated(random, documents);
    if let Ok(table) = TableMetadata::parse(&bytes) {
        // A document that can be parsed can be written, and parses again to the same document.
        let again = TableMetadata::parse(&table.to_bytes()).expect("what was written parses");
        assert_eq!(again.to_bytes(), table.to_bytes());
        drop(table.to_bytes_refs_only());
    }
    if let Ok(view) = ViewMetadata::parse(&bytes) {
        drop(view.to_bytes());
    }
}

async fn register(
    firn: &Firn,
    random: &mut StdRng,
    namespace: &str,
    documents: &[Value],
    round: u64,
) -> Reply {
    let folder = firn.warehouse().join(format!("fuzz-{round}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let suffix = ["metadata.json", "gz.metadata.json", "json", "metadata.json.gz"][random.random_range(0..4)];
    let file = folder.join(format!("v{round}.{suffix}"));
    let text = String::from_utf8_lossy(&mutated(random, documents)).into_owned();
    // Mostly a location of its own: otherwise every document would be refused because of its location.
    let text = match documents[0]["location"].as_str() {
        Some(location) if random.random_ratio(4, 5) => {
            text.replace(location, &format!("file://{}", folder.display()))
        }
        _ => text,
    };
    std::fs::write(&file, text).expect("a file");
    let endpoint = if random.random_ratio(1, 4) { "register-view" } else { "register" };
    let location = format!("file://{}", file.display());
    let body = json!({ "name": format!("f{round}"), "metadata-location": location });
    let path = format!("{}/{endpoint}", fixture::namespace_path(namespace));
    let reply = firn.post(&path, &body).await;
    if reply.status == 200 && endpoint == "register" {
        // A table that was accepted can be loaded, committed to and dropped.
        let table = fixture::table_path(namespace, &format!("f{round}"));
        for reply in [
            firn.get(&table).await,
            firn.get(&format!("{table}?snapshots=refs")).await,
            firn.post(&table, &fixture::commit(&[], &[fixture::set_property("a", "b")])).await,
            firn.delete(&table).await,
        ] {
            if reply.status >= 500 {
                return reply;
            }
        }
    }
    reply
}

/// Returns a path and a body for a random endpoint; the body is valid except for a few mutations.
fn body(random: &mut StdRng, namespace: &str) -> (String, String) {
    let at = |rest: &str| format!("{}{rest}", fixture::namespace_path(namespace));
    let metadata = json!({ "location": "file:///x", "last-sequence-number": 0, "last-updated-ms": 1, "current-schema-id": 0 });
    let updates = fixture::creation("file:///x").into_iter().chain(fixture::append(&metadata, 5, "x"));
    let mut updates: Vec<_> = updates.chain(more_updates()).collect();
    for _ in 0..random.random_range(0..updates.len()) {
        updates.remove(random.random_range(0..updates.len()));
    }
    let requirements = [
        json!({ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null }),
        json!({ "type": "assert-create" }),
        json!({ "type": "assert-current-schema-id", "current-schema-id": 0 }),
    ];
    let requirements = &requirements[..random.random_range(0..=requirements.len())];
    let name = format!("n{}", random.random_range(0..1_000_000));
    let (path, body) = match random.random_range(0..11) {
        0 => ("namespaces".to_owned(), json!({ "namespace": [namespace, name], "properties": { "a": "b" } })),
        1 => (at("/properties"), json!({ "removals": ["a"], "updates": { "b": "c" } })),
        2 => (at("/tables"), fixture::table(&name)),
        3 | 4 => (at("/tables/t"), fixture::commit(requirements, &updates)),
        5 => {
            let changes = [fixture::change(namespace, "t", requirements, &updates)];
            ("transactions/commit".to_owned(), json!({ "table-changes": changes }))
        }
        6 => (at("/views"), fixture::view(&name, "select 1")),
        7 => {
            let version =
                json!({ "action": "add-view-version", "view-version": fixture::view_version(2, "select 2") });
            (at("/views/v"), fixture::commit(&[], &[version]))
        }
        8 => ("tables/rename".to_owned(), fixture::rename(namespace, "none", &name)),
        9 => (at("/register"), json!({ "name": name, "metadata-location": "file:///x", "overwrite": true })),
        _ => (
            at("/tables/t/metrics"),
            json!({ "report-type": "scan-report", "table-name": "t", "snapshot-id": 1, "filter": { "type": "eq" },
                "schema-id": 0, "projected-field-ids": [1], "projected-field-names": ["a"], "metrics": {} }),
        ),
    };
    (path, String::from_utf8_lossy(&mutated(random, &[body])).into_owned())
}

fn more_updates() -> Vec<Value> {
    vec![
        json!({ "action": "set-properties", "updates": { "write.metadata.previous-versions-max": "1" } }),
        json!({ "action": "remove-properties", "removals": ["a"] }),
        json!({ "action": "remove-snapshots", "snapshot-ids": [5] }),
        json!({ "action": "remove-snapshot-ref", "ref-name": "main" }),
        json!({ "action": "set-statistics", "snapshot-id": 5, "statistics": { "snapshot-id": 5, "statistics-path": "x",
            "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": [] } }),
        json!({ "action": "set-partition-statistics", "partition-statistics": { "snapshot-id": 5, "statistics-path": "x",
            "file-size-in-bytes": 1 } }),
        json!({ "action": "remove-schemas", "schema-ids": [1] }),
        json!({ "action": "remove-partition-specs", "spec-ids": [1] }),
        json!({ "action": "add-encryption-key", "encryption-key": { "key-id": "k", "encrypted-key-metadata": "eA==" } }),
    ]
}

/// Returns one of the documents, with a few parts or bytes replaced.
fn mutated(random: &mut StdRng, documents: &[Value]) -> Vec<u8> {
    let mut document = documents[random.random_range(0..documents.len())].clone();
    for _ in 0..random.random_range(0..4) {
        mutate(random, &mut document);
    }
    let mut bytes = document.to_string().into_bytes();
    if random.random_ratio(1, 4) {
        for _ in 0..random.random_range(1..4) {
            mutate_bytes(random, &mut bytes);
        }
    }
    bytes
}

/// Mutates one part of a JSON value, at a random depth.
fn mutate(random: &mut StdRng, value: &mut Value) {
    let stops = random.random_ratio(1, 4);
    match value {
        Value::Object(fields) if !fields.is_empty() && !stops => {
            let key = fields.keys().nth(random.random_range(0..fields.len())).cloned().unwrap_or_default();
            match random.random_range(0..8) {
                0 => drop(fields.remove(&key)),
                1 => drop(fields.insert(format!("{key}x"), json!(1))),
                _ => mutate(random, &mut fields[&key]),
            }
        }
        Value::Array(values) if !values.is_empty() && !stops => {
            let at = random.random_range(0..values.len());
            match random.random_range(0..8) {
                0 => drop(values.remove(at)),
                1 => values.push(values[at].clone()),
                _ => mutate(random, &mut values[at]),
            }
        }
        _ => *value = unusual_value(random),
    }
}

fn unusual_value(random: &mut StdRng) -> Value {
    let numbers = [
        0,
        1,
        -1,
        2,
        7,
        i64::from(i32::MAX),
        i64::from(i32::MIN),
        i64::MAX,
        i64::MIN,
        i64::from(i32::MAX) + 1,
    ];
    match random.random_range(0..14) {
        0 => Value::Null,
        1 => json!(true),
        2..=5 => json!(numbers[random.random_range(0..numbers.len())]),
        6 => json!(1.5),
        7 => json!(1e300),
        8 => json!([]),
        9 => json!({}),
        10 => json!("x".repeat(random.random_range(0..5_000))),
        11 => json!(
            [
                "",
                "\u{0}",
                "../..",
                "😀",
                "bucket[0]",
                "decimal(99,99)",
                "truncate[-1]",
                "fixed[99999999999]",
                "void"
            ][random.random_range(0..9)]
        ),
        12 => {
            let mut deep = json!("string");
            for _ in 0..random.random_range(1..200) {
                deep = json!({ "type": "list", "element-id": 1, "element-required": true, "element": deep });
            }
            deep
        }
        _ => json!(u64::MAX),
    }
}

fn mutate_bytes(random: &mut StdRng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..5) {
        0 => bytes[at] = random.random(),
        1 => bytes.truncate(at),
        2 => bytes.insert(at, random.random()),
        3 => drop(bytes.remove(at)),
        _ => {
            let end = (at + random.random_range(1..40)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

fn headers(random: &mut StdRng) -> Vec<(&'static str, &'static str)> {
    match random.random_range(0..20) {
        0 => vec![("idempotency-key", "nonsense")],
        1 => vec![("x-iceberg-access-delegation", "vended-credentials,remote-signing,\u{9}")],
        2 => vec![("content-type", "application/json; charset=utf-16")],
        3 => vec![("if-none-match", "*, *, \"")],
        _ => Vec::new(),
    }
}

/// Sends a mostly well-formed request as raw bytes. The response must not be an internal error (5xx, except
/// 503).
fn send_raw(firn: &Firn, random: &mut StdRng) -> Result<(), String> {
    let sent = raw_request(random);
    let address = firn.root().trim_start_matches("http://");
    let failed = |error: std::io::Error| format!("cannot talk to the server: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(failed)?;
    // The server may have refused the request and closed the connection before all bytes were sent.
    let _ = stream.write_all(&sent);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let is_failure = answer.starts_with("HTTP/1.1 5") && !answer.starts_with("HTTP/1.1 503");
    if is_failure { Err(format!("{answer} to {}", String::from_utf8_lossy(&sent))) } else { Ok(()) }
}

fn raw_request(random: &mut StdRng) -> Vec<u8> {
    let parts = [
        "v1",
        "main",
        "main@1",
        "namespaces",
        "tables",
        "views",
        "a",
        "t",
        "%1F",
        "%2F",
        "%00",
        "%FF",
        "%",
        "..",
        ".",
        "",
        "%2e%2e",
        "\u{7f}",
        "ü",
        "metrics",
        "register",
        "config",
        "transactions",
        "commit",
        "rename",
        "main@",
        "@",
    ];
    let mut path = String::new();
    for _ in 0..random.random_range(0..8) {
        path.push('/');
        for _ in 0..random.random_range(1..3) {
            path.push_str(parts[random.random_range(0..parts.len())]);
        }
    }
    let queries = [
        "",
        "?",
        "?pageToken=%00",
        "?pageSize=9e9&pageSize=1",
        "?snapshots=%FF",
        "?warehouse=main@1",
        "?parent=%1F%1F",
        "?a=b=c&&&=%",
        "?purgeRequested=1",
    ];
    path.push_str(queries[random.random_range(0..queries.len())]);
    let methods = ["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS", "get", "TRACE", "X"];
    let method = methods[random.random_range(0..methods.len())];
    let headers = [
        "",
        "Content-Length: 5\r\n\r\n{\"a\":",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n0\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Idempotency-Key: \u{1}\r\n",
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        "If-None-Match: \u{ff}\r\n",
        "Expect: 100-continue\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ];
    let more = headers[random.random_range(0..headers.len())];
    let mut bytes =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n\r\n")
            .into_bytes();
    if random.random_ratio(1, 3) {
        for _ in 0..random.random_range(1..4) {
            mutate_bytes(random, &mut bytes);
        }
    }
    bytes
}
