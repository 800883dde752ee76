//! Automatic maintenance by the server's own worker, and the tables and files that it skips.

use serde_json::{Value, json};
use tests::fixture::local;
use tests::process::{Backend, Firn, Setup};
use tests::tables::{Table, TableOptions, rows};

use super::{
    check_compacted, check_no_unreferenced_files, create_fragmented_table, eventually, job, job_number, jobs,
    request_compaction, wait_for_success,
};
use crate::maintenance::{call, get, post, scope, table_identifier};

/// Starts a server that maintains its tables milliseconds after they were changed.
async fn start_eager_server(backend: Backend) -> Firn {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    Firn::start(setup.with("FIRN_MAINTENANCE__DEBOUNCE_MS", "50"))
}

/// Waits until the current snapshot of a table has been evaluated; returns the explanation.
async fn wait_for_evaluation(firn: &Firn, table: &Table) -> Value {
    let snapshot_id = table.snapshot_id().await;
    eventually("an evaluation", async || {
        let explained = get(firn, &format!("explain?{}", scope(&table.namespace, &table.name))).await;
        (explained["evaluation"]["snapshot-id"] == snapshot_id).then_some(explained)
    })
    .await
}

fn action<'a>(explained: &'a Value, name: &str) -> &'a Value {
    explained["actions"].as_array().unwrap().iter().find(|action| action["action"] == name).unwrap()
}

async fn a_table_of_small_files_is_compacted_automatically(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let table = Table::create(&firn, &TableOptions::default()).await;
    let files: Vec<_> = (0..6).map(|file| rows(file * 10..file * 10 + 10, 0)).collect();
    table.append(&files).await;
    let (before, first) = (table.rows().await, table.snapshot_id().await);
    eventually("one file", async || (table.data_files().await.len() == 1).then_some(())).await;
    check_compacted(&table, &before, 1).await;

    let explained = wait_for_evaluation(&firn, &table).await;
    let compaction = action(&explained, "compact");
    assert_eq!(compaction["state"], "not-due", "{compaction}");
    assert_eq!(explained["evaluation"]["facts"]["files"], 1, "{explained}");
    let compaction = &compaction["job"];
    assert_eq!(
        (&compaction["state"], &compaction["requested-by"]),
        (&json!("succeeded"), &json!("maintenance"))
    );
    let names = ["files-rewritten", "files-written", "rows-written", "deleted-rows-removed"];
    assert_eq!(names.map(|name| job_number(compaction, name)), [6, 1, 60, 0]);
    // A manifest list, a manifest and six files are read, and some files are written.
    assert!(job_number(compaction, "requests") > 10, "{compaction}");
    for name in ["bytes-before", "bytes-after", "bytes-read", "bytes-written"] {
        assert!(job_number(compaction, name) > 0, "{name}: {compaction}");
    }
    assert_eq!(compaction["result"]["snapshot-ids"], json!([table.snapshot_id().await]));

    let evaluations = jobs(&firn, &table, "evaluate").await;
    let evaluation = evaluations
        .iter()
        .find(|evaluation| evaluation["result"]["snapshot-id"] == first)
        .expect("an earlier evaluation");
    let (health, health_before) = (&explained["evaluation"]["health"], &evaluation["result"]["health"]);
    assert!(health.as_i64() > health_before.as_i64(), "{health_before} before, {health} after");
}

async fn row_ids_survive_the_servers_own_worker(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let table = Table::create(&firn, &TableOptions { format_version: 3, ..TableOptions::default() }).await;
    let policy = json!({ "compact": { "settle-minutes": 0, "enabled": false } });
    let path = format!("policy?{}", scope(&table.namespace, "t"));
    call(&firn, "PUT", &path, Some(&policy)).await.expect(200);
    let files: Vec<_> = (0..5).map(|file| rows(file * 10..file * 10 + 10, 0)).collect();
    let paths = table.append(&files).await;
    // Rows 0 and 1 are deleted, and other rows are added, with new row ids.
    table.update_rows(&[(paths[0].clone(), vec![0, 1])], &rows(100..102, 0)).await;
    let lineage = async || {
        let mut lineage_of_rows: Vec<_> = table
            .reference_rows()
            .await
            .into_iter()
            .map(|row| (row.values[0].as_i64(), row.lineage))
            .collect();
        lineage_of_rows.sort_unstable();
        lineage_of_rows
    };
    let before = lineage().await;
    assert!(before.iter().all(|(_, (row_id, _))| row_id.is_some()), "{before:?}");
    assert_eq!(before.len(), 50);
    call(&firn, "PUT", &path, Some(&json!({ "compact": { "settle-minutes": 0 } }))).await.expect(200);
    eventually("one file", async || (table.entries().await.len() == 1).then_some(())).await;
    assert_eq!(lineage().await, before);
    check_no_unreferenced_files(&table).await;
}

async fn a_partition_with_recent_changes_is_compacted_later(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let (table, _) = create_fragmented_table(&firn, 2, 2).await;
    let policy = json!({ "compact": { "inputs-min": 3, "enabled": false } });
    let path = format!("policy?{}", scope(&table.namespace, "t"));
    call(&firn, "PUT", &path, Some(&policy)).await.expect(200);
    let in_part = async |part: i32| {
        let entries = table.entries().await.into_iter();
        entries.filter(|entry| entry.partition == [part] && entry.content == 0).collect::<Vec<_>>()
    };
    let target = in_part(1).await.remove(0).path;
    table.update_rows(&[(target, vec![0])], &rows(500..501, 1)).await;
    let before = table.rows().await;
    call(&firn, "PUT", &path, Some(&json!({ "compact": { "inputs-min": 3 } }))).await.expect(200);
    // Partitions that were only appended to are compacted.
    eventually("one file", async || (in_part(0).await.len() == 1).then_some(())).await;
    let explained = wait_for_evaluation(&firn, &table).await;
    assert_eq!(in_part(1).await.len(), 4);
    assert_eq!(table.rows().await, before);
    let reason = action(&explained, "compact")["reason"].as_str().unwrap();
    assert!(reason.contains("being changed"), "{reason}");
    // The next evaluation is scheduled for the time when the partition may have settled.
    let evaluations = jobs(&firn, &table, "evaluate").await;
    let next =
        evaluations.iter().find(|evaluation| evaluation["state"] == "queued").expect("another evaluation");
    let wait_ms = next["due-ms"].as_i64().unwrap() - next["created-ms"].as_i64().unwrap();
    assert!((590_000..=610_000).contains(&wait_ms), "{next}");
    assert!(next["reason"].as_str().unwrap().contains("being written to"), "{next}");
    // A requested job does not wait for partitions to settle.
    let requested = request_compaction(&firn, &table).await;
    let requested = wait_for_success(&firn, &requested).await;
    assert_eq!(requested["policy"]["compact"]["settle-minutes"], 0);
    check_compacted(&table, &before, 2).await;
}

async fn a_change_is_detected_while_a_partition_settles(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let (table, _) = create_fragmented_table(&firn, 2, 1).await;
    let target = table.data_files().await.remove(0);
    table.update_rows(&[(target, vec![0])], &[]).await;
    wait_for_evaluation(&firn, &table).await;
    eventually("an evaluation in ten minutes", async || {
        let evaluation = jobs(&firn, &table, "evaluate")
            .await
            .into_iter()
            .find(|evaluation| evaluation["state"] == "queued")?;
        evaluation["reason"].as_str()?.contains("being written to").then_some(())
    })
    .await;
    // Another partition is not affected.
    let files: Vec<_> = (100..105).map(|file| rows(file * 10..file * 10 + 10, 7)).collect();
    table.append(&files).await;
    let before = table.rows().await;
    eventually("one file", async || {
        let entries = table.entries().await;
        (entries.iter().filter(|entry| entry.partition == [7]).count() == 1).then_some(())
    })
    .await;
    assert_eq!(table.rows().await, before);
}

async fn a_paused_table_waits_while_others_are_maintained(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    let firn = Firn::start(setup);
    let (paused, before) = create_fragmented_table(&firn, 2, 1).await;
    let (other, other_rows) = create_fragmented_table(&firn, 2, 1).await;
    let pause = json!({ "table": table_identifier(&paused.namespace, "t"), "reason": "a migration" });
    post(&firn, "pause", &pause).await.expect(204);
    let waiting = request_compaction(&firn, &paused).await;
    let second = request_compaction(&firn, &other).await;
    wait_for_success(&firn, &second).await;
    check_compacted(&other, &other_rows, 1).await;
    assert_eq!(job(&firn, &waiting).await["state"], "queued");
    assert_eq!(paused.data_files().await.len(), 3);
    post(&firn, "resume", &json!({ "table": table_identifier(&paused.namespace, "t") })).await.expect(204);
    wait_for_success(&firn, &waiting).await;
    check_compacted(&paused, &before, 1).await;
}

async fn an_unreadable_file_is_skipped_until_it_changes(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let table = Table::create(&firn, &TableOptions::default()).await;
    let name = json!({ "table": table_identifier(&table.namespace, &table.name) });
    let pause = json!({ "table": name["table"], "reason": "a damage" });
    post(&firn, "pause", &pause).await.expect(204);
    let files: Vec<_> = (0..6).map(|file| rows(file * 10..file * 10 + 10, 0)).collect();
    table.append(&files).await;
    let before = table.rows().await;
    let damaged = table.data_files().await.remove(2);
    let content = std::fs::read(local(&damaged)).unwrap();
    std::fs::write(local(&damaged), &content[..content.len() / 2]).unwrap();
    post(&firn, "resume", &name).await.expect(204);
    // The other five files are merged.
    eventually("two files", async || (table.data_files().await.len() == 2).then_some(())).await;
    let explained = wait_for_evaluation(&firn, &table).await;
    let compaction = action(&explained, "compact");
    assert_eq!(compaction["state"], "not-due", "{compaction}");
    let reason = compaction["reason"].as_str().unwrap_or_default().to_owned() + &explained.to_string();
    assert!(reason.contains(&damaged) && reason.contains("1 file cannot be read"), "{explained}");

    // The file is not tried again while it is unchanged: five more files are merged without it.
    let compactions = jobs(&firn, &table, "compact").await.len();
    let more: Vec<_> = (6..11).map(|file| rows(file * 10..file * 10 + 10, 0)).collect();
    table.append(&more).await;
    eventually("two files", async || (table.data_files().await.len() == 2).then_some(())).await;
    assert!(table.data_files().await.contains(&damaged));
    assert_eq!(jobs(&firn, &table, "compact").await.len(), compactions + 1);

    // Once it is readable again, it is merged with the others.
    std::fs::write(local(&damaged), content).unwrap();
    let more: Vec<_> = (11..16).map(|file| rows(file * 10..file * 10 + 10, 0)).collect();
    table.append(&more).await;
    eventually("one file", async || (table.data_files().await.len() == 1).then_some(())).await;
    let after = table.rows().await;
    assert_eq!((&after[..before.len()], after.len()), (&before[..], 160));
}

async fn contradictory_policies_are_reported(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let table = Table::create(&firn, &TableOptions::default()).await;
    let put =
        async |at: &str, policy: Value| call(&firn, "PUT", &format!("policy?{at}"), Some(&policy)).await;
    let of_table = scope(&table.namespace, "t");
    let impossible = put(&of_table, json!({ "compact": { "large-ratio": 1.2, "small-ratio": 0.9 } })).await;
    impossible.expect_error(400, "IllegalArgumentException", "`large-ratio` at least 1 and at least twice");
    // Each of the policies is valid alone.
    let of_namespace = format!("warehouse=main&namespace={}", table.namespace);
    put(&of_namespace, json!({ "compact": { "target-bytes": 1 << 30 } })).await.expect(200);
    put(&of_table, json!({ "compact": { "group-bytes-max": 1 << 30 } })).await.expect(200);
    let files: Vec<_> = (0..6).map(|file| rows(file * 10..file * 10 + 10, 0)).collect();
    table.append(&files).await;
    let explained = wait_for_evaluation(&firn, &table).await;
    let compaction = action(&explained, "compact");
    assert_eq!(compaction["state"], "not-due", "{compaction}");
    assert!(
        compaction["reason"].as_str().unwrap().contains("at least twice the target size"),
        "{compaction}"
    );
    // Actions that do not depend on the contradiction are evaluated nevertheless.
    assert_eq!(action(&explained, "expire-snapshots")["state"], "not-due", "{explained}");
    assert_eq!(table.data_files().await.len(), 6);
}

tests::on_both_databases!(
    a_table_of_small_files_is_compacted_automatically,
    a_change_is_detected_while_a_partition_settles,
    an_unreadable_file_is_skipped_until_it_changes,
);

tests::on_sqlite!(
    row_ids_survive_the_servers_own_worker,
    a_partition_with_recent_changes_is_compacted_later,
    a_paused_table_waits_while_others_are_maintained,
    contradictory_policies_are_reported,
);
