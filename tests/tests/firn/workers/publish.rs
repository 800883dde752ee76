//! Write-audit-publish: commits on a branch that wait to be published by a fast-forward of `main`. Until
//! then, or until the maximum waiting time has passed, maintenance does not commit to `main`.

use serde_json::{Value, json};
use tests::process::{Backend, Firn};
use tests::tables::{Table, rows};
use tests::worker::Worker;

use super::{
    check_no_unreferenced_files, create_fragmented_table, post, request_compaction, start_server,
    wait_for_success,
};
use crate::maintenance::{get, scope, table_identifier};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Sets branches to snapshots.
async fn set_branches(table: &Table, branches: &[(&str, i64)]) {
    let update = |(name, id): &(&str, i64)| json!({ "action": "set-snapshot-ref", "ref-name": name, "type": "branch", "snapshot-id": id });
    table.update(&branches.iter().map(update).collect::<Vec<_>>()).await;
}

/// Creates a table whose branch `audit` is one commit ahead of `main`; returns the snapshot id of that commit
/// as well.
async fn create_table_with_audit_branch(firn: &Firn) -> (Table, i64) {
    let (table, _) = create_fragmented_table(firn, 2, 2).await;
    let main = table.snapshot_id().await;
    table.append(&[rows(900..905, 0)]).await;
    let ahead = table.snapshot_id().await;
    set_branches(&table, &[("audit", ahead), ("main", main)]).await;
    (table, ahead)
}

async fn run(firn: &Firn, table: &Table, action: &str, policy: &Value) -> Value {
    let new = json!({ "table": table_identifier(&table.namespace, &table.name), "action": action, "policy": policy });
    let job = post(firn, "jobs", &new).await.expect(200).json();
    wait_for_success(firn, job["job-id"].as_str().unwrap()).await
}

async fn main_is_not_rewritten_while_a_branch_waits_to_be_published(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let (table, ahead) = create_table_with_audit_branch(&firn).await;
    let main = table.snapshot_id().await;
    let _worker = Worker::start(firn.root(), &[]);
    let id = request_compaction(&firn, &table).await;
    let job = wait_for_success(&firn, &id).await;
    assert_eq!((&job["result"]["committed"], table.snapshot_id().await), (&json!(false), main), "{job}");
    let skipped = job["result"]["skipped"].to_string();
    assert!(skipped.contains("the branch `audit`") && skipped.contains("is not rewritten until 20"), "{job}");
    let manifests = json!({ "rewrite-manifests": { "manifests-min": 2 } });
    let job = run(&firn, &table, "rewrite-manifests", &manifests).await;
    assert_eq!((&job["result"]["committed"], table.snapshot_id().await), (&json!(false), main), "{job}");
    // The explanation contains the reason and the end of the wait.
    let policy = json!({ "compact": { "inputs-min": 2 } });
    run(&firn, &table, "evaluate", &policy).await;
    let explained = get(&firn, &format!("explain?{}", scope(&table.namespace, &table.name))).await;
    let actions = explained["actions"].as_array().unwrap();
    let compaction = actions.iter().find(|action| action["action"] == "compact").unwrap();
    assert_eq!(compaction["state"], "not-due", "{explained}");
    assert!(
        compaction["reason"]
            .as_str()
            .unwrap()
            .contains("the branch `audit` descends from the head of `main`"),
        "{compaction}"
    );
    let evaluation = actions.iter().find(|action| action["action"] == "evaluate").unwrap();
    assert_eq!(evaluation["state"], "queued", "{explained}");
    // The fast-forward is still possible, and ends the wait.
    set_branches(&table, &[("main", ahead)]).await;
    let rows = table.rows().await;
    let id = request_compaction(&firn, &table).await;
    let job = wait_for_success(&firn, &id).await;
    assert_eq!((&job["result"]["committed"], table.rows().await), (&json!(true), rows), "{job}");
    check_no_unreferenced_files(&table).await;
}

async fn the_policy_limits_the_waiting_time(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let (table, _) = create_table_with_audit_branch(&firn).await;
    let _worker = Worker::start(firn.root(), &[]);
    let policy =
        |wait: i64| json!({ "compact": { "inputs-min": 2 }, "write-audit-publish": { "wait-max-ms": wait } });
    let job = run(&firn, &table, "compact", &policy(365 * DAY_MS)).await;
    assert_eq!(job["result"]["committed"], false, "{job}");
    let job = run(&firn, &table, "compact", &policy(0)).await;
    assert_eq!(job["result"]["committed"], true, "{job}");
}

async fn branches_that_cannot_be_published_do_not_delay_maintenance(backend: Backend) {
    let firn = start_server(backend, 3_000).await;
    let (table, ahead) = create_table_with_audit_branch(&firn).await;
    let main = table.snapshot_id().await;
    // One branch is behind `main`, one is on the same snapshot, and one has diverged.
    table.append(&[rows(910..915, 0)]).await;
    set_branches(&table, &[("behind", main), ("level", table.snapshot_id().await), ("audit", ahead)]).await;
    let rows = table.rows().await;
    let _worker = Worker::start(firn.root(), &[]);
    let id = request_compaction(&firn, &table).await;
    let job = wait_for_success(&firn, &id).await;
    assert_eq!((&job["result"]["committed"], table.rows().await), (&json!(true), rows), "{job}");
}

tests::on_both_databases!(main_is_not_rewritten_while_a_branch_waits_to_be_published);

tests::on_sqlite!(
    the_policy_limits_the_waiting_time,
    branches_that_cannot_be_published_do_not_delay_maintenance,
);
