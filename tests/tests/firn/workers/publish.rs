//! Write-audit-publish: commits on a branch that wait to be published by a fast-forward of `main`. Until
//! then, or until the maximum waiting time has passed, maintenance does not commit to `main`.

use serde_json::{Value, json};
use tests::process::{Backend, Firn};
use tests::tables::{Table, rows};
use tests::worker::Worker;

use super::{catalog, check_tidy, compact, done, post, scattered};
use crate::maintenance::{get, scope, table};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Sets branches to snapshots.
async fn point(of: &Table, branches: &[(&str, i64)]) {
    let update = |(name, id): &(&str, i64)| json!({ "action": "set-snapshot-ref", "ref-name": name, "type": "branch", "snapshot-id": id });
    of.update(&branches.iter().map(update).collect::<Vec<_>>()).await;
}

/// Creates a table whose branch `audit` is one commit ahead of `main`; returns the snapshot id of that commit
/// as well.
async fn audited(firn: &Firn) -> (Table, i64) {
    let (of, _) = scattered(firn, 2, 2).await;
    let main = of.snapshot_id().await;
    of.append(&[rows(900..905, 0)]).await;
    let ahead = of.snapshot_id().await;
    point(&of, &[("audit", ahead), ("main", main)]).await;
    (of, ahead)
}

async fn run(firn: &Firn, of: &Table, action: &str, policy: &Value) -> Value {
    let new = json!({ "table": table(&of.namespace, &of.name), "action": action, "policy": policy });
    let job = post(firn, "jobs", &new).await.expect(200).json();
    done(firn, job["job-id"].as_str().unwrap()).await
}

async fn main_is_not_rewritten_while_a_branch_waits_to_be_published(backend: Backend) {
    let firn = catalog(backend, 3_000).await;
    let (of, ahead) = audited(&firn).await;
    let main = of.snapshot_id().await;
    let _worker = Worker::start(firn.root(), &[]);
    let id = compact(&firn, &of).await;
    let job = done(&firn, &id).await;
    assert_eq!((&job["result"]["committed"], of.snapshot_id().await), (&json!(false), main), "{job}");
    let left = job["result"]["skipped"].to_string();
    assert!(left.contains("the branch `audit`") && left.contains("is not rewritten until 20"), "{job}");
    let manifests = json!({ "rewrite-manifests": { "manifests-min": 2 } });
    let job = run(&firn, &of, "rewrite-manifests", &manifests).await;
    assert_eq!((&job["result"]["committed"], of.snapshot_id().await), (&json!(false), main), "{job}");
    // The explanation contains the reason and the end of the wait.
    let small = json!({ "compact": { "inputs-min": 2 } });
    run(&firn, &of, "evaluate", &small).await;
    let explained = get(&firn, &format!("explain?{}", scope(&of.namespace, &of.name))).await;
    let actions = explained["actions"].as_array().unwrap();
    let why = actions.iter().find(|action| action["action"] == "compact").unwrap();
    assert_eq!(why["state"], "not-due", "{explained}");
    assert!(
        why["reason"].as_str().unwrap().contains("the branch `audit` descends from the head of `main`"),
        "{why}"
    );
    let again = actions.iter().find(|action| action["action"] == "evaluate").unwrap();
    assert_eq!(again["state"], "queued", "{explained}");
    // The fast-forward is still possible, and ends the wait.
    point(&of, &[("main", ahead)]).await;
    let rows = of.rows().await;
    let id = compact(&firn, &of).await;
    let job = done(&firn, &id).await;
    assert_eq!((&job["result"]["committed"], of.rows().await), (&json!(true), rows), "{job}");
    check_tidy(&of).await;
}

async fn the_policy_limits_the_waiting_time(backend: Backend) {
    let firn = catalog(backend, 3_000).await;
    let (of, _) = audited(&firn).await;
    let _worker = Worker::start(firn.root(), &[]);
    let policy =
        |wait: i64| json!({ "compact": { "inputs-min": 2 }, "write-audit-publish": { "wait-max-ms": wait } });
    let job = run(&firn, &of, "compact", &policy(365 * DAY_MS)).await;
    assert_eq!(job["result"]["committed"], false, "{job}");
    let job = run(&firn, &of, "compact", &policy(0)).await;
    assert_eq!(job["result"]["committed"], true, "{job}");
}

async fn branches_that_cannot_be_published_do_not_delay_maintenance(backend: Backend) {
    let firn = catalog(backend, 3_000).await;
    let (of, ahead) = audited(&firn).await;
    let main = of.snapshot_id().await;
    // One branch is behind `main`, one is on the same snapshot, and one has diverged.
    of.append(&[rows(910..915, 0)]).await;
    point(&of, &[("behind", main), ("level", of.snapshot_id().await), ("audit", ahead)]).await;
    let rows = of.rows().await;
    let _worker = Worker::start(firn.root(), &[]);
    let id = compact(&firn, &of).await;
    let job = done(&firn, &id).await;
    assert_eq!((&job["result"]["committed"], of.rows().await), (&json!(true), rows), "{job}");
}

tests::on_both_databases!(main_is_not_rewritten_while_a_branch_waits_to_be_published);

tests::on_sqlite!(
    the_policy_limits_the_waiting_time,
    branches_that_cannot_be_published_do_not_delay_maintenance,
);
