//! Concurrent changes of a table while it is compacted: the changes are preserved, and the job reports the
//! conflicts.

use std::fs;

use serde_json::{Value, json};
use tests::fixture::{self, current_snapshot, local};
use tests::process::{Backend, Firn};
use tests::tables::{Table, files_below, schema};
use tests::worker::Worker;

use super::{
    check_compacted, check_no_unreferenced_files, create_fragmented_table, eventually, job, job_error, jobs,
    request_compaction, start_server, wait_for_end, wait_for_new_files, wait_for_success,
};

/// Request rate with which two groups take a worker more than a second.
const SLOW: [&str; 2] = ["--requests-per-second", "8"];
const PARTS: i32 = 3;

/// Table with a running compaction, of which one group is completed.
struct RunningCompaction {
    firn: Firn,
    table: Table,
    rows: Vec<Vec<Value>>,
    id: String,
    worker: Worker,
}

async fn start_compaction(backend: Backend, format_version: i32) -> RunningCompaction {
    let firn = start_server(backend, 3_000).await;
    let (table, rows) = create_fragmented_table(&firn, format_version, PARTS).await;
    let id = request_compaction(&firn, &table).await;
    let worker = Worker::start(firn.root(), &SLOW);
    wait_for_new_files(&table, 2).await;
    assert_eq!(job(&firn, &id).await["state"], "running");
    RunningCompaction { firn, table, rows, id, worker }
}

/// Returns rows of which columns were removed or added.
fn with_columns(rows: &[Vec<Value>], change: impl Fn(&mut Vec<Value>)) -> Vec<Vec<Value>> {
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(change);
    rows
}

/// Replaces the schema of a table.
async fn change_schema(table: &Table, change: impl FnOnce(&mut Vec<Value>)) {
    let mut new = schema();
    change(new["fields"].as_array_mut().unwrap());
    table
        .update(&[
            json!({ "action": "add-schema", "schema": new, "last-column-id": 4 }),
            json!({ "action": "set-current-schema", "schema-id": -1 }),
        ])
        .await;
}

/// Compacts a table of which one file cannot be read. The other files of its partition are merged, and the
/// job reports the file.
async fn check_unreadable_file(backend: Backend, damage_file: impl Fn(&std::path::Path), reason: &str) {
    let firn = start_server(backend, 3_000).await;
    let (table, rows) = create_fragmented_table(&firn, 2, PARTS).await;
    let damaged = table.entries().await.into_iter().find(|entry| entry.partition == [1]).unwrap().path;
    let content = fs::read(local(&damaged)).unwrap();
    damage_file(std::path::Path::new(local(&damaged)));
    let id = request_compaction(&firn, &table).await;
    let _worker = Worker::start(firn.root(), &[]);
    let ended = wait_for_success(&firn, &id).await;
    let unreadable = &ended["result"]["unreadable"];
    assert_eq!((unreadable[0]["path"].as_str(), unreadable[1].is_null()), (Some(&*damaged), true), "{ended}");
    assert!(unreadable[0]["reason"].as_str().unwrap().contains(reason), "{ended}");
    let skipped = ended["result"]["skipped"].to_string();
    assert!(skipped.contains(&damaged) && skipped.contains("1 file cannot be read"), "{skipped}");
    check_no_unreferenced_files(&table).await;
    // One file for each of three partitions, and the unreadable file.
    assert_eq!(table.data_files().await.len(), 4);
    assert!(table.data_files().await.contains(&damaged));
    fs::write(local(&damaged), content).unwrap();
    assert_eq!(table.rows().await, rows);
    // A requested compaction tries all files.
    wait_for_success(&firn, &request_compaction(&firn, &table).await).await;
    check_compacted(&table, &rows, 3).await;
}

async fn a_missing_file_is_skipped(backend: Backend) {
    check_unreadable_file(backend, |file| fs::remove_file(file).unwrap(), "no such file").await;
}

async fn a_truncated_file_is_skipped(backend: Backend) {
    let cut = |file: &std::path::Path| {
        let content = fs::read(file).unwrap();
        fs::write(file, &content[..content.len() / 2]).unwrap();
    };
    check_unreadable_file(backend, cut, "").await;
}

async fn a_file_with_a_damaged_page_is_skipped(backend: Backend) {
    let damage = |file: &std::path::Path| {
        let mut content = fs::read(file).unwrap();
        // In the first pages.
        content[30..90].iter_mut().for_each(|byte| *byte ^= 0x40);
        fs::write(file, content).unwrap();
    };
    check_unreadable_file(backend, damage, "").await;
}

async fn a_dropped_table_ends_its_job(backend: Backend) {
    let RunningCompaction { firn, table, rows, id, worker } = start_compaction(backend, 2).await;
    let folder = table.folder().await;
    let location = table.load().await["metadata-location"].clone();
    firn.delete(&table.path()).await.expect(204);
    let failed = wait_for_end(&firn, &id).await;
    assert_eq!((&failed["state"], &failed["error"]), (&json!("failed"), &json!("its table was dropped")));
    // The dropped table can be registered again, unchanged.
    let register = json!({ "name": "t", "metadata-location": location });
    firn.post(&format!("namespaces/{}/register", table.namespace), &register).await.expect(200);
    assert_eq!(table.rows().await, rows);
    assert_eq!(table.folder().await, folder);
    check_no_unreferenced_files(&table).await;
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
}

async fn a_table_purged_during_a_job_leaves_no_files(backend: Backend) {
    let RunningCompaction { firn, table, id, worker, .. } = start_compaction(backend, 2).await;
    let folder = table.folder().await;
    firn.delete(&format!("{}?purgeRequested=true", table.path())).await.expect(204);
    let failed = wait_for_end(&firn, &id).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(job_error(&failed).contains("dropped"), "{failed}");
    eventually("an empty folder", async || files_below(&folder).is_empty().then_some(())).await;
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
}

async fn a_renamed_table_is_compacted_under_its_new_name(backend: Backend) {
    let RunningCompaction { firn, table, rows, id, worker: _worker } = start_compaction(backend, 2).await;
    firn.post("tables/rename", &fixture::rename(&table.namespace, "t", "renamed")).await.expect(204);
    // Another table gets the old name; the job does not affect it.
    let namesake = fixture::create_table(&firn, &table.namespace, "t").await;
    let table = table.with_client(&firn, "renamed");
    wait_for_success(&firn, &id).await;
    check_compacted(&table, &rows, 3).await;
    let loaded = firn.get(&fixture::table_path(&table.namespace, "t")).await.expect(200).json();
    assert_eq!(loaded["metadata-location"], namesake["metadata-location"]);
}

async fn a_column_added_concurrently_is_null_in_old_rows(backend: Backend) {
    let RunningCompaction { firn, table, rows, id, worker: _worker } = start_compaction(backend, 2).await;
    let column = json!({ "id": 4, "name": "more", "required": false, "type": "string" });
    change_schema(&table, |fields| fields.push(column)).await;
    wait_for_success(&firn, &id).await;
    check_compacted(&table, &with_columns(&rows, |row| row.push(Value::Null)), 3).await;
}

async fn a_column_dropped_concurrently_is_removed(backend: Backend) {
    let RunningCompaction { firn, table, rows, id, worker: _worker } = start_compaction(backend, 2).await;
    change_schema(&table, |fields| drop(fields.remove(1))).await;
    wait_for_success(&firn, &id).await;
    check_compacted(&table, &with_columns(&rows, |row| drop(row.remove(1))), 3).await;
}

async fn a_column_renamed_concurrently_keeps_its_values(backend: Backend) {
    let RunningCompaction { firn, table, rows, id, worker: _worker } = start_compaction(backend, 2).await;
    change_schema(&table, |fields| fields[1]["name"] = json!("title")).await;
    wait_for_success(&firn, &id).await;
    check_compacted(&table, &rows, 3).await;
}

async fn a_column_promoted_concurrently_keeps_its_values(backend: Backend) {
    let RunningCompaction { firn, table, rows, id, worker: _worker } = start_compaction(backend, 2).await;
    change_schema(&table, |fields| fields[2]["type"] = json!("long")).await;
    wait_for_success(&firn, &id).await;
    check_compacted(&table, &rows, 3).await;
}

async fn a_concurrent_change_of_the_partition_spec_does_not_affect_the_job(backend: Backend) {
    let RunningCompaction { firn, table, rows, id, worker: _worker } = start_compaction(backend, 2).await;
    let field = json!({ "source-id": 1, "field-id": 1001, "name": "bucket", "transform": "bucket[4]" });
    table
        .update(&[
            json!({ "action": "add-spec", "spec": { "spec-id": 1, "fields": [field] } }),
            json!({ "action": "set-default-spec", "spec-id": -1 }),
        ])
        .await;
    wait_for_success(&firn, &id).await;
    assert_eq!(table.entries().await.iter().map(|entry| entry.spec_id).collect::<Vec<_>>(), [0, 0, 0]);
    check_compacted(&table, &rows, 3).await;
}

async fn a_concurrent_overwrite_takes_precedence(backend: Backend) {
    let RunningCompaction { firn, table, mut rows, id, worker: _worker } = start_compaction(backend, 2).await;
    let replaced: Vec<_> = table
        .entries()
        .await
        .into_iter()
        .filter(|entry| entry.partition == [1])
        .map(|entry| entry.path)
        .collect();
    table.replace(&replaced, &tests::tables::rows(500..510, 1)).await;
    rows.retain(|row| row[2] != 1);
    rows.extend((500..510).map(|id| vec![json!(id), json!(format!("row {id}")), json!(1)]));
    let job = wait_for_success(&firn, &id).await;
    assert!(
        job["result"]["skipped"].to_string().contains("replaced, removed or added again meanwhile"),
        "{job}"
    );
    check_compacted(&table, &rows, 3).await;
}

async fn rows_deleted_concurrently_stay_deleted(backend: Backend) {
    for format_version in [2, 3] {
        let RunningCompaction { firn, table, mut rows, id, worker: _worker } =
            start_compaction(backend, format_version).await;
        let target = table.data_files().await;
        let deleted = [(target[1].clone(), vec![3]), (target[8].clone(), vec![0, 9])];
        table.update_rows(&deleted, &tests::tables::rows(500..501, 1)).await;
        table.delete_ids(&[45], 1).await;
        let after = table.rows().await;
        assert_eq!(after.len(), rows.len() - 4 + 1);
        rows.clone_from(&after);
        wait_for_success(&firn, &id).await;
        assert_eq!(table.rows().await, rows);
        assert!(table.data_files().await.len() < 10);
        check_no_unreferenced_files(&table).await;
    }
}

async fn a_rollback_is_not_undone(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let (table, rows) = create_fragmented_table(&firn, 2, PARTS).await;
    let first = table.snapshot_id().await;
    table.append(&[tests::tables::rows(900..910, 0)]).await;
    let id = request_compaction(&firn, &table).await;
    let _worker = Worker::start(firn.root(), &SLOW);
    wait_for_new_files(&table, 2).await;
    let rollback =
        json!({ "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": first });
    table.update(&[rollback]).await;
    let job = wait_for_success(&firn, &id).await;
    assert_eq!((&job["result"]["committed"], table.snapshot_id().await), (&json!(false), first), "{job}");
    let skipped = job["result"]["skipped"].to_string();
    assert!(skipped.contains("ancestor of the branch"), "{job}");
    assert_eq!(current_snapshot(&table.load().await["metadata"]), Some(first));
    assert_eq!(table.rows().await, rows);
    check_no_unreferenced_files(&table).await;
    assert_eq!(jobs(&firn, &table, "compact").await.len(), 1);
}

tests::on_both_databases!(
    a_dropped_table_ends_its_job,
    a_renamed_table_is_compacted_under_its_new_name,
    a_concurrent_overwrite_takes_precedence,
);

tests::on_sqlite!(
    a_missing_file_is_skipped,
    a_truncated_file_is_skipped,
    a_file_with_a_damaged_page_is_skipped,
    a_table_purged_during_a_job_leaves_no_files,
    a_column_added_concurrently_is_null_in_old_rows,
    a_column_dropped_concurrently_is_removed,
    a_column_renamed_concurrently_keeps_its_values,
    a_column_promoted_concurrently_keeps_its_values,
    a_concurrent_change_of_the_partition_spec_does_not_affect_the_job,
    rows_deleted_concurrently_stay_deleted,
    a_rollback_is_not_undone,
);
