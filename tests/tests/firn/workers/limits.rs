//! Workers with little memory, little disk space for spilling, or little disk space for tables.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use tests::process::{Backend, binary, clean};
use tests::reaper;
use tests::tables::{Row, Table, TableOptions, partition_field, rows};
use tests::worker::Worker;

use crate::maintenance::{call, get, queue, scope};

use super::{
    check_no_unreferenced_files, job_error, job_number, jobs, request_compaction, start_server, wait_for_end,
    wait_for_success,
};

/// Arguments for the minimum memory.
const MINIMUM_MEMORY: [&str; 2] = ["--memory-bytes", "16777216"];
const SMALL_FILES: i64 = 6;
const ROWS_EACH: i64 = 20_000;

/// Returns a command prefix that limits the size of files; writing beyond it fails, but does not end the
/// process.
fn with_files_up_to(bytes: &'static str) -> [&'static str; 5] {
    const SCRIPT: &str = "trap '' XFSZ; size=$1; shift; exec prlimit --fsize=$size \"$@\"";
    ["sh", "-c", SCRIPT, "sh", bytes]
}

/// Returns rows in no order, with two values of `part`, which take more than 20 MB in memory over all files.
fn unsorted_rows(file: i64) -> Vec<Row> {
    let row = |number: i64| {
        // The factors are coprime, so that each id occurs once.
        let id = (number * SMALL_FILES + file) * 7_919 % (ROWS_EACH * SMALL_FILES);
        Row { id, name: format!("{id:0180}"), part: i32::try_from(id % 2).unwrap() }
    };
    (0..ROWS_EACH).map(row).collect()
}

/// Creates a sorted table with more rows than fit in the minimum memory.
async fn create_unsorted_table(client: &tests::http::Client) -> Table {
    let table = Table::create(client, &TableOptions { is_sorted: true, ..TableOptions::default() }).await;
    let files: Vec<_> = (0..SMALL_FILES).map(unsorted_rows).collect();
    table.append(&files).await;
    table
}

/// Asserts that all rows of [`create_unsorted_table`] exist and that each file is sorted; returns the values of
/// `part` in each file.
async fn check_sorted(table: &Table) -> BTreeMap<String, Vec<Value>> {
    let mut is_found = vec![false; usize::try_from(SMALL_FILES * ROWS_EACH).unwrap()];
    let mut files: BTreeMap<String, (i64, Vec<Value>)> = BTreeMap::new();
    for row in table.reference_rows().await {
        let id = row.values[0].as_i64().unwrap();
        assert_eq!(row.values[1], format!("{id:0180}"));
        assert_eq!(row.values[2], id % 2);
        let place = &mut is_found[usize::try_from(id).unwrap()];
        assert!(!*place, "row {id} is there twice");
        *place = true;
        let (last, parts) = files.entry(row.path).or_insert((-1, Vec::new()));
        assert!(*last < id, "row {id} comes after row {last}");
        *last = id;
        if !parts.contains(&row.values[2]) {
            parts.push(row.values[2].clone());
        }
    }
    assert!(is_found.iter().all(|is_found| *is_found), "rows are missing");
    files.into_iter().map(|(path, (_, parts))| (path, parts)).collect()
}

async fn more_rows_than_memory_are_sorted_on_disk(backend: Backend) {
    let firn = start_server(backend, 60_000).await;
    let table = create_unsorted_table(&firn).await;
    let spill = reaper::folder("spill");
    let arguments = [&MINIMUM_MEMORY[..], &["--spill-dir", spill.to_str().unwrap()]].concat();
    let _worker = Worker::start(firn.root(), &arguments);
    let id = request_compaction(&firn, &table).await;
    wait_for_success(&firn, &id).await;
    assert_eq!(check_sorted(&table).await.len(), 1);
    check_no_unreferenced_files(&table).await;
    assert_eq!(fs::read_dir(&spill).unwrap().count(), 0);

    // The files of this table belong to a partition spec that is no longer the default.
    let table = create_unsorted_table(&firn).await;
    let spec = json!({ "spec-id": 1, "fields": [partition_field()] });
    table
        .update(&[
            json!({ "action": "add-spec", "spec": spec }),
            json!({ "action": "set-default-spec", "spec-id": -1 }),
        ])
        .await;
    let id = request_compaction(&firn, &table).await;
    wait_for_success(&firn, &id).await;
    let files = check_sorted(&table).await;
    assert!(files.len() == 2 && files.values().all(|parts| parts.len() == 1), "{files:?}");
    check_no_unreferenced_files(&table).await;
}

async fn too_little_space_for_sorting_is_an_error_with_the_setting(backend: Backend) {
    let firn = start_server(backend, 60_000).await;
    let table = create_unsorted_table(&firn).await;
    let before = table.data_files().await;
    for (wrapper, arguments, expected, folder) in [
        (&[][..], &["--spill-bytes", "1000000"][..], "spill-bytes", None),
        (&with_files_up_to("1000000")[..], &["--spill-dir", "/tmp"][..], "spill-dir", Some("/tmp")),
        (&[][..], &["--spill-dir", "/proc/none"][..], "spill-dir", Some("/proc/none")),
    ] {
        let worker = Worker::start_in(wrapper, firn.root(), &[&MINIMUM_MEMORY[..], arguments].concat());
        let id = request_compaction(&firn, &table).await;
        let failed = wait_for_end(&firn, &id).await;
        assert_eq!(failed["state"], "failed", "{failed}");
        assert!(job_error(&failed).contains(expected), "{failed}");
        // The job does not reveal folders of the worker; the worker's log does.
        if let Some(folder) = folder {
            assert!(!failed.to_string().contains(folder), "{failed}");
            assert!(worker.log().contains(folder), "{}", worker.log());
        }
        assert!(!worker.log().contains("panicked"), "{}", worker.log());
        assert_eq!(table.data_files().await, before);
        check_no_unreferenced_files(&table).await;
    }
}

/// Creates a table with one partition that needs more memory than [`MINIMUM_MEMORY`] to be sorted, and one
/// that does not.
async fn create_table_with_large_partition(client: &tests::http::Client) -> Table {
    let table = Table::create(
        client,
        &TableOptions { is_sorted: true, is_partitioned: true, ..TableOptions::default() },
    )
    .await;
    let large = |file| unsorted_rows(file).into_iter().map(|row| Row { part: 1, ..row }).collect();
    let mut files: Vec<Vec<Row>> = (0..SMALL_FILES).map(large).collect();
    files.extend((0..3).map(|file| rows(file * 10..file * 10 + 10, 2)));
    table.append(&files).await;
    table
}

async fn a_group_that_exceeds_the_limits_does_not_prevent_others(backend: Backend) {
    let firn = start_server(backend, 60_000).await;
    let table = create_table_with_large_partition(&firn).await;
    let arguments = [&MINIMUM_MEMORY[..], &["--spill-bytes", "1000000"]].concat();
    let worker = Worker::start(firn.root(), &arguments);
    let policy = json!({ "compact": { "inputs-min": 2 } });
    let at_table = scope(&table.namespace, &table.name);
    call(&firn, "PUT", &format!("policy?{at_table}"), Some(&policy)).await.expect(200);
    let evaluation = queue(&firn, &table.namespace, &table.name, "evaluate").await;
    wait_for_success(&firn, evaluation["job-id"].as_str().unwrap()).await;
    // The evaluation has already queued the compaction.
    let found = jobs(&firn, &table, "compact").await.remove(0);
    let failed = wait_for_end(&firn, found["job-id"].as_str().unwrap()).await;
    assert_eq!(
        (&failed["state"], &failed["result"]["committed"]),
        (&json!("failed"), &json!(true)),
        "{failed}"
    );
    assert_eq!((job_number(&failed, "files-rewritten"), job_number(&failed, "files-written")), (3, 1));
    let skipped = failed["result"]["skipped"].to_string();
    assert!(skipped.contains("group") && skipped.contains("spill-bytes"), "{skipped}");
    check_no_unreferenced_files(&table).await;
    // The explanation shows that the evaluation is outdated.
    let explained = get(&firn, &format!("explain?{at_table}")).await;
    assert_eq!(explained["maintained-ms"], failed["finished-ms"], "{explained}");
    let output_of_jobs = run_command(&["jobs", "--uri", firn.root()]);
    let output_of_jobs = String::from_utf8(output_of_jobs.stdout).unwrap();
    assert!(
        output_of_jobs.contains("done before: ") && output_of_jobs.contains("files rewritten 3"),
        "{output_of_jobs}"
    );
    drop(worker);

    // `firn maintain --once` reports the same.
    let table = create_table_with_large_partition(&firn).await;
    let name = format!("main.{}.{}", table.namespace, table.name);
    let command = ["maintain", "--once", "--json", "--uri", firn.root(), "--table", &name, "--policy"];
    let command = [&command[..], &[r#"{"compact": {"inputs-min": 2}}"#], &arguments].concat();
    let output = run_command(&command);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("spill-bytes"));
    let reports: Value = serde_json::from_slice(&output.stdout).unwrap();
    let last = reports.as_array().unwrap().last().unwrap();
    assert_eq!((&last["action"], &last["committed"]), (&json!("compact"), &json!(true)), "{reports}");
    assert!(last["error"].as_str().unwrap().contains("spill-bytes"), "{reports}");
    assert_eq!(last["numbers"]["files-rewritten"], 3, "{reports}");
}

fn run_command(command: &[&str]) -> std::process::Output {
    clean(binary().to_str().unwrap()).args(command).output().unwrap()
}

async fn a_full_disk_fails_a_job_and_leaves_nothing(backend: Backend) {
    let firn = start_server(backend, 60_000).await;
    let table = Table::create(&firn, &TableOptions { is_partitioned: true, ..TableOptions::default() }).await;
    // Values in no order are not compressed well.
    let large = |file: i64| {
        let row = |id: i64| Row {
            id,
            name: format!("{}", id.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed())),
            part: 1,
        };
        (file * 2_000..(file + 1) * 2_000).map(row).collect::<Vec<_>>()
    };
    let small = |file: i64| rows(100_000 + file * 10..100_010 + file * 10, 0);
    table.append(&[small(0), small(1), large(0), large(1), large(2)]).await;
    let before = table.rows().await;
    let worker = Worker::start_in(&with_files_up_to("80000"), firn.root(), &[]);
    let id = request_compaction(&firn, &table).await;
    let failed = wait_for_end(&firn, &id).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(job_error(&failed).contains("File too large"), "{failed}");
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
    assert_eq!(table.rows().await, before);
    check_no_unreferenced_files(&table).await;
    drop(worker);
    // With enough disk space, the job succeeds.
    let _worker = Worker::start(firn.root(), &[]);
    let id = request_compaction(&firn, &table).await;
    wait_for_success(&firn, &id).await;
    assert_eq!((table.rows().await, table.data_files().await.len()), (before, 2));
    check_no_unreferenced_files(&table).await;
}

tests::on_sqlite!(
    more_rows_than_memory_are_sorted_on_disk,
    too_little_space_for_sorting_is_an_error_with_the_setting,
    a_group_that_exceeds_the_limits_does_not_prevent_others,
    a_full_disk_fails_a_job_and_leaves_nothing,
);
