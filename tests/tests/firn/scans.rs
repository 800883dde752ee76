//! Server-side scan planning: synchronous, in plan tasks, asynchronous, on any replica; and refused requests.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::{Value, json};
use tests::fixture::{self, commit, create_table, set_property, table_path};
use tests::http::{Client, Reply};
use tests::manifests;
use tests::process::{self, Backend, Firn, Setup};

/// Returns the setup of a server that splits plans of more than ten files into plan tasks of ten.
async fn setup_with_small_tasks(backend: Backend) -> Setup {
    Setup::new(backend)
        .await
        .with("FIRN_PLANNING__INLINE_FILES", "10")
        .with("FIRN_PLANNING__TASK_FILES", "10")
}

/// Creates a table with a snapshot of manifests with these numbers of files; returns its path.
async fn table(client: &Client, files: &[u32]) -> String {
    let ns = fixture::namespace(client).await;
    create_table(client, &ns, "t").await;
    let path = table_path(&ns, "t");
    manifests::append(client, &path, 1, files).await;
    path
}

async fn plan(client: &Client, path: &str, request: &Value) -> Value {
    client.post(&format!("{path}/plan"), request).await.expect(200).json()
}

async fn plan_asynchronously(client: &Client, path: &str, request: &Value) -> Reply {
    let prefer = [("prefer", "respond-async")];
    client.send("POST", &format!("{path}/plan"), Some(request.to_string()), &prefer).await
}

async fn submit(client: &Client, path: &str) -> String {
    let submitted = plan_asynchronously(client, path, &json!({})).await.expect(200).json();
    assert_eq!(submitted["status"], "submitted");
    submitted["plan-id"].as_str().unwrap().to_owned()
}

async fn fetch(client: &Client, path: &str, task: &Value) -> Reply {
    client.post(&format!("{path}/tasks"), &json!({ "plan-task": task })).await
}

/// Returns the file names of the data files in a response.
fn names(response: &Value) -> Vec<String> {
    let tasks = response["file-scan-tasks"].as_array().unwrap().iter();
    let path = |task: &Value| task["data-file"]["file-path"].as_str().unwrap().to_owned();
    tasks.map(|task| path(task).rsplit_once('/').unwrap().1.to_owned()).collect()
}

async fn a_small_plan_is_one_response(backend: Backend) {
    let firn = process::shared(backend).await;
    let path = table(firn, &[2, 1]).await;
    let planned = plan(firn, &path, &json!({ "filter": { "type": "gt", "term": "id", "value": 15 } })).await;
    assert_eq!(planned["status"], "completed");
    assert_eq!(planned["plan-tasks"], json!([]));
    assert!(planned["plan-id"].is_string());
    assert_eq!(names(&planned), ["0-1.parquet"]);
    let task = &planned["file-scan-tasks"][0];
    assert_eq!(task["residual-filter"], json!({ "type": "gt", "term": "id", "value": 15 }));
    let file = &task["data-file"];
    assert_eq!((&file["record-count"], &file["file-format"]), (&json!(10), &json!("parquet")));
    assert_eq!((&file["partition"], &file["lower-bounds"]), (&json!([]), &Value::Null));

    let with_stats = plan(firn, &path, &json!({ "stats-fields": ["id"] })).await;
    let bounds = &with_stats["file-scan-tasks"][1]["data-file"]["lower-bounds"];
    assert_eq!(bounds, &json!({ "keys": [1], "values": ["0A00000000000000"] }));
    let few = plan(firn, &path, &json!({ "min-rows-requested": 11 })).await;
    assert_eq!(names(&few), ["0-0.parquet", "0-1.parquet"]);
}

async fn a_large_plan_is_split_into_tasks(backend: Backend) {
    let firn = Firn::start(setup_with_small_tasks(backend).await);
    // Small manifests in a row, a large one that is split itself, and another small one.
    let path = table(&firn, &[4, 5, 3, 25, 2]).await;
    let planned = plan(&firn, &path, &json!({})).await;
    assert_eq!((names(&planned).len(), &planned["status"]), (0, &json!("completed")));
    let tasks = planned["plan-tasks"].as_array().unwrap();
    let mut sizes = Vec::new();
    let mut found = BTreeSet::new();
    for task in tasks {
        let fetched = fetch(&firn, &path, task).await.expect(200).json();
        assert_eq!(fetched["plan-tasks"], json!([]));
        sizes.push(names(&fetched).len());
        found.extend(names(&fetched));
        // A plan task can be fetched repeatedly, with the same result.
        assert_eq!(fetch(&firn, &path, task).await.expect(200).json(), fetched);
    }
    assert_eq!(sizes, [9, 3, 10, 10, 5, 2]);
    assert_eq!(found.len(), 39);
}

/// Each task repeats the filter, so twenty files with a filter of two megabytes are split into several
/// responses.
async fn a_long_filter_creates_no_huge_response(backend: Backend) {
    let firn = process::shared(backend).await;
    let path = table(firn, &[12, 8]).await;
    let names_wanted: Vec<_> = (0..20_000).map(|number| format!("{number:0100}")).collect();
    let filter = json!({ "type": "in", "term": "name", "values": names_wanted });
    let mut waiting = vec![plan(firn, &path, &json!({ "filter": filter })).await];
    let mut found = Vec::new();
    let mut answers = 0;
    while let Some(response) = waiting.pop() {
        assert!(response.to_string().len() < 20 << 20);
        answers += 1;
        found.extend(names(&response));
        for task in response["plan-tasks"].as_array().unwrap() {
            waiting.push(fetch(firn, &path, task).await.expect(200).json());
        }
    }
    assert!(answers > 2, "{answers} answers");
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 20);
}

async fn a_submitted_plan_can_be_polled(backend: Backend) {
    let firn = process::shared(backend).await;
    let path = table(firn, &[3]).await;
    let id = submit(firn, &path).await;
    let planned = firn.get(&format!("{path}/plan/{id}")).await.expect(200).json();
    assert_eq!((&planned["status"], names(&planned).len()), (&json!("completed"), 3));

    let cancelled = submit(firn, &path).await;
    for _ in 0..2 {
        firn.delete(&format!("{path}/plan/{cancelled}")).await.expect(204);
    }
    let response = firn.get(&format!("{path}/plan/{cancelled}")).await.expect(200).json();
    assert_eq!(response, json!({ "status": "cancelled" }));
}

async fn a_submitted_plan_that_fails_reports_its_error(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let (_, list) = manifests::append(firn, &path, 1, &[3]).await;
    std::fs::remove_file(fixture::local(&list)).unwrap();
    let id = submit(firn, &path).await;
    let failed = firn.get(&format!("{path}/plan/{id}")).await.expect(200).json();
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["error"]["type"], "NotFoundException");
    assert!(failed["error"]["message"].as_str().unwrap().contains(&list), "{failed}");
}

async fn plans_and_plan_tasks_expire(backend: Backend) {
    let firn = Firn::start(setup_with_small_tasks(backend).await.with("FIRN_PLANNING__EXPIRY_SECONDS", "1"));
    let path = table(&firn, &[8, 8]).await;
    let planned = plan(&firn, &path, &json!({})).await;
    let task = &planned["plan-tasks"][0];
    let id = submit(&firn, &path).await;
    let submitted = format!("{path}/plan/{id}");
    fetch(&firn, &path, task).await.expect(200);
    firn.get(&submitted).await.expect(200);

    while firn.get(&submitted).await.status == 200 {}
    firn.get(&submitted).await.expect_error(404, "NoSuchPlanIdException", &id);
    firn.delete(&submitted).await.expect_error(404, "NoSuchPlanIdException", &id);
    fetch(&firn, &path, task).await.expect_error(
        404,
        "NoSuchPlanTaskException",
        "expired; plan the scan again",
    );
    // A new plan is not affected.
    fetch(&firn, &path, &plan(&firn, &path, &json!({})).await["plan-tasks"][0]).await.expect(200);
}

async fn an_unknown_plan_or_plan_task_is_404(backend: Backend) {
    let firn = Firn::start(setup_with_small_tasks(backend).await);
    let (path, other) = (table(&firn, &[11]).await, table(&firn, &[11]).await);
    let id = submit(&firn, &path).await;
    let unknown = catalog_server::id::random().to_string();
    for (path, id) in [(&other, &id), (&path, &unknown), (&path, &"x".to_owned())] {
        for method in ["GET", "DELETE"] {
            let reply = firn.send(method, &format!("{path}/plan/{id}"), None, &[]).await;
            reply.expect_error(404, "NoSuchPlanIdException", "plan the scan again");
        }
    }
    let planned = plan(&firn, &path, &json!({})).await;
    let token = planned["plan-tasks"][0].as_str().unwrap();
    fetch(&firn, &other, &json!(token)).await.expect_error(
        404,
        "NoSuchPlanTaskException",
        "for another table than",
    );
    let middle = token.len() / 2;
    let changed = if &token[middle..=middle] == "A" { "B" } else { "A" };
    let tampered = format!("{}{changed}{}", &token[..middle], &token[middle + 1..]);
    for token in [tampered.as_str(), "", "x", &token[1..], &format!("{token}A")] {
        fetch(&firn, &path, &json!(token)).await.expect_error(
            404,
            "NoSuchPlanTaskException",
            "Plan task does not exist",
        );
    }
    fetch(&firn, &path, &json!(token)).await.expect(200);
    // A new table with the same name is a different table.
    firn.delete(&path).await.expect(204);
    let (tables, name) = path.rsplit_once('/').unwrap();
    firn.post(tables, &fixture::table(name)).await.expect(200);
    fetch(&firn, &path, &json!(token)).await.expect_error(
        404,
        "NoSuchPlanTaskException",
        "for another table than",
    );
}

async fn bad_requests_are_refused_with_a_hint(backend: Backend) {
    let firn = process::shared(backend).await;
    let path = table(firn, &[1]).await;
    for (request, expected) in [
        (json!({ "filter": { "type": "eq", "term": "nope", "value": 1 } }), "nope"),
        (json!({ "filter": { "type": "eq", "term": "ID", "value": 1 } }), "ID"),
        (json!({ "filter": { "type": "eq", "term": "id", "value": "x" } }), "because it is of type `long`"),
        (json!({ "filter": { "type": "like", "term": "id", "value": "x" } }), "no operation"),
        (json!({ "filter": 7 }), "filter"),
        (json!({ "snapshot-id": 99 }), "no snapshot 99"),
        (json!({ "snapshot-id": "x" }), "`snapshot-id` must be a whole number"),
        (json!({ "snapshot-id": 1, "end-snapshot-id": 1 }), "send one or the other"),
        (json!({ "start-snapshot-id": 1 }), "needs an `end-snapshot-id`"),
        (json!({ "start-snapshot-id": 98, "end-snapshot-id": 1 }), "not an ancestor"),
        (json!({ "stats-fields": ["nope"] }), "nope"),
        (json!({ "select": "id" }), "`select` must be a list"),
        (json!({ "case-sensitive": "no" }), "true or false"),
        (json!({ "min-rows-requested": -1 }), "0 or more"),
        (json!([]), "not a scan"),
    ] {
        let reply = firn.post(&format!("{path}/plan"), &request).await;
        reply.expect_error(400, "IllegalArgumentException", expected);
        // Also refused at once for clients that would fetch the plan later.
        plan_asynchronously(firn, &path, &request).await.expect_error(
            400,
            "IllegalArgumentException",
            expected,
        );
    }
    let nothing = path.replace("/tables/t", "/tables/nothing");
    firn.post(&format!("{nothing}/plan"), &json!({})).await.expect_error(
        404,
        "NoSuchTableException",
        "nothing",
    );
    let found = plan(
        firn,
        &path,
        &json!({ "case-sensitive": false, "select": ["ID", "_file"],
        "filter": { "type": "eq", "term": "ID", "value": 1 } }),
    )
    .await;
    assert_eq!(names(&found).len(), 1);
}

async fn damaged_files_are_reported_and_affect_no_other_table(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let plan_with_damage = async |name: &str, damage: fn(&str)| {
        create_table(firn, &ns, name).await;
        let path = table_path(&ns, name);
        let (_, list) = manifests::append(firn, &path, 1, &[50]).await;
        damage(fixture::local(&list));
        firn.post(&format!("{path}/plan"), &json!({})).await
    };
    let missing = plan_with_damage("list_gone", |list| std::fs::remove_file(list).unwrap()).await;
    missing.expect_error(404, "NotFoundException", "snap-1.avro");
    let missing = plan_with_damage("manifest_gone", |list| {
        std::fs::remove_file(list.replace("snap-1", "1-m0")).unwrap();
    })
    .await;
    missing.expect_error(404, "NotFoundException", "1-m0.avro");
    let truncated = plan_with_damage("manifest_cut", |list| {
        let path = list.replace("snap-1", "1-m0");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 100]).unwrap();
    });
    truncated.await.expect_error(500, "InternalServerError", "it is damaged");
    let other =
        plan_with_damage("list_replaced", |list| std::fs::write(list, "no Avro at all").unwrap()).await;
    other.expect_error(500, "InternalServerError", "does not begin like an Avro object container file");
    // A manifest list may contain any path, but only files of the warehouse are read.
    create_table(firn, &ns, "outside").await;
    let path = table_path(&ns, "outside");
    let (_, list) = manifests::append(firn, &path, 1, &[1]).await;
    let list = fixture::local(&list);
    let inside = list.replace("snap-1.avro", "1-m0.avro");
    // Avro stores the length of a string before it, so the new path has to have the same length.
    let outside = format!("{:x<1$}", "/tmp/", inside.len());
    let mut bytes = std::fs::read(list).unwrap();
    let position = bytes.windows(inside.len()).position(|window| window == inside.as_bytes()).unwrap();
    bytes[position..position + inside.len()].copy_from_slice(outside.as_bytes());
    std::fs::write(list, bytes).unwrap();
    let reply = firn.post(&format!("{path}/plan"), &json!({})).await;
    reply.expect_error(400, "IllegalArgumentException", "manifest");
    firn.check_no_panic();
    firn.request("GET", "/health/ready", None, &[]).await.expect(200);
}

/// Returns a compressed manifest block that decompresses to more than the limit for a manifest.
fn decompression_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    for _ in 0..300 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let block = encoder.finish().unwrap();
    assert!(block.len() < 2 << 20, "{} bytes are no bomb", block.len());
    block
}

/// Replaces the entries of a manifest by a block.
fn replace_entries(manifest: &str, block: &[u8]) {
    let bytes = std::fs::read(manifest).unwrap();
    let reader = apache_avro::Reader::new(&*bytes).unwrap();
    let codec = apache_avro::Codec::Deflate(apache_avro::DeflateSettings::default());
    let mut empty = apache_avro::Writer::with_codec(reader.writer_schema(), Vec::new(), codec);
    empty.flush().unwrap();
    let mut new = empty.into_inner().unwrap();
    let sync = new[new.len() - 16..].to_vec();
    for number in [i64::from(i32::MAX), i64::try_from(block.len()).unwrap()] {
        let mut rest = (number << 1).cast_unsigned();
        while rest > 0x7f {
            new.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        new.push(u8::try_from(rest).unwrap());
    }
    std::fs::write(manifest, [&new[..], block, &sync].concat()).unwrap();
}

async fn manifests_of_huge_decompressed_size_are_read_one_at_a_time(backend: Backend) {
    const BOMBS: usize = 12;
    // Plans are synchronous, without a time limit.
    let setup = Setup::new(backend).await.with("FIRN_PLANNING__SUBMIT_AFTER_MS", "600000");
    let firn = Firn::start(setup.with("FIRN_LIMITS__REQUEST_MS", "600000"));
    let block = decompression_bomb();
    let mut paths = Vec::new();
    for _ in 0..BOMBS {
        let ns = fixture::namespace(&firn).await;
        create_table(&firn, &ns, "t").await;
        let path = table_path(&ns, "t");
        let (_, list) = manifests::append(&firn, &path, 1, &[5]).await;
        replace_entries(&fixture::local(&list).replace("snap-1", "1-m0"), &block);
        paths.push(path);
    }
    let before = firn.resident_bytes();
    let request = json!({});
    let plans = paths.iter().map(async |path| firn.post(&format!("{path}/plan"), &request).await);
    for reply in futures::future::join_all(plans).await {
        reply.expect_error(500, "InternalServerError", "is larger than");
    }
    // A turn takes at most the limit for a manifest, and an eighth of that from which its buffer grew. The
    // allocator may retain the memory of the previous turn for up to a second.
    let limit_bytes = 256 << 20;
    let turn_bytes = limit_bytes + limit_bytes / 8;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let used_bytes = firn.peak_resident_bytes().saturating_sub(before);
    assert!(used_bytes < cores * 2 * turn_bytes, "{used_bytes} bytes for {BOMBS} bombs on {cores} cores");
    firn.check_no_panic();
    firn.request("GET", "/health/ready", None, &[]).await.expect(200);
}

async fn a_manifest_that_is_listed_twice_has_its_files_twice(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let (_, list) = manifests::append(firn, &path, 1, &[3]).await;
    let list = fixture::local(&list);
    let bytes = std::fs::read(list).unwrap();
    let reader = apache_avro::Reader::new(&*bytes).unwrap();
    let schema = reader.writer_schema().clone();
    let lines: Vec<_> = reader.map(Result::unwrap).collect();
    let mut twice = apache_avro::Writer::new(&schema, Vec::new());
    for line in lines.iter().chain(&lines) {
        twice.append(line.clone()).unwrap();
    }
    std::fs::write(list, twice.into_inner().unwrap()).unwrap();
    let planned = plan(firn, &path, &json!({})).await;
    assert_eq!(planned["file-scan-tasks"].as_array().map(Vec::len), Some(6), "{planned}");
    let appended = json!({ "end-snapshot-id": 1 });
    assert_eq!(names(&plan(firn, &path, &appended).await).len(), 3);
}

async fn responses_contain_the_scan_planning_mode(backend: Backend) {
    let firn = process::shared(backend).await;
    let path = table(firn, &[1]).await;
    let config = async || firn.get(&path).await.expect(200).json()["config"].clone();
    assert_eq!(config().await, json!({}));
    let set = async |mode: &str| {
        firn.post(&path, &commit(&[], &[set_property("firn.scan-planning-mode", mode)])).await
    };
    set("sometimes").await.expect_error(400, "IllegalArgumentException", "set it to `client` or `server`");
    for mode in ["server", "client"] {
        let committed = set(mode).await.expect(200).json();
        assert_eq!(committed["config"], json!({ "scan-planning-mode": mode }));
        assert_eq!(config().await, json!({ "scan-planning-mode": mode }));
    }
    let configuration =
        async |firn: &Firn| firn.request("GET", "/v1/config", None, &[]).await.expect(200).json();
    assert_eq!(configuration(firn).await["defaults"], json!({}));
    let setup = Setup::new(backend).await.with("FIRN_WAREHOUSE__SCAN_PLANNING_MODE", "server");
    let firn = Firn::start(setup);
    assert_eq!(configuration(&firn).await["defaults"], json!({ "scan-planning-mode": "server" }));
}

async fn a_plan_is_not_affected_by_later_commits(backend: Backend) {
    let firn = Firn::start(setup_with_small_tasks(backend).await);
    let path = table(&firn, &[11]).await;
    let planned = plan(&firn, &path, &json!({})).await;
    manifests::append(&firn, &path, 2, &[1]).await;
    let tasks = planned["plan-tasks"].as_array().unwrap();
    let mut found = 0;
    for task in tasks {
        found += names(&fetch(&firn, &path, task).await.expect(200).json()).len();
    }
    assert_eq!(found, 11);
    assert_eq!(names(&plan(&firn, &path, &json!({})).await).len(), 1);
    let both = json!({ "start-snapshot-id": 1, "end-snapshot-id": 2 });
    assert_eq!(names(&plan(&firn, &path, &both).await).len(), 1);
}

tests::on_both_databases!(
    a_small_plan_is_one_response,
    a_large_plan_is_split_into_tasks,
    a_long_filter_creates_no_huge_response,
    a_submitted_plan_can_be_polled,
    a_submitted_plan_that_fails_reports_its_error,
    plans_and_plan_tasks_expire,
    an_unknown_plan_or_plan_task_is_404,
    bad_requests_are_refused_with_a_hint,
    damaged_files_are_reported_and_affect_no_other_table,
    manifests_of_huge_decompressed_size_are_read_one_at_a_time,
    a_manifest_that_is_listed_twice_has_its_files_twice,
    responses_contain_the_scan_planning_mode,
    a_plan_is_not_affected_by_later_commits,
);

#[test]
fn any_replica_continues_the_plan_of_a_killed_replica() {
    process::run(async {
        let setup = setup_with_small_tasks(Backend::Postgres).await;
        let mut first = Firn::start(setup.clone());
        let second = Firn::start(setup);
        let path = table(&first, &[8, 8, 8]).await;
        let planned = plan(&first, &path, &json!({})).await;
        let submitted = submit(&first, &path).await;
        first.kill();
        let mut found = BTreeSet::new();
        for task in planned["plan-tasks"].as_array().unwrap() {
            found.extend(names(&fetch(&second, &path, task).await.expect(200).json()));
        }
        assert_eq!(found.len(), 24);
        let finished = second.get(&format!("{path}/plan/{submitted}")).await.expect(200).json();
        assert_eq!(finished["status"], "completed");
        let mut again = BTreeSet::new();
        for task in finished["plan-tasks"].as_array().unwrap() {
            again.extend(names(&fetch(&second, &path, task).await.expect(200).json()));
        }
        assert_eq!(again, found);
    });
}
