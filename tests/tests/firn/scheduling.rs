//! Automatic scheduling of maintenance: the tables that are due, the jobs that follow from a job, and the
//! explanations. The tests act as the worker.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tests::fixture::{self, create_table, set_property};
use tests::http::Client;
use tests::process::{Backend, Firn, Setup};

use crate::maintenance::{call, get, job_path, lease, lease_of, post, queue, scope, table_identifier};

/// Starts a server that evaluates tables milliseconds after they were changed.
async fn start_eager_server(backend: Backend) -> Firn {
    Firn::start(Setup::new(backend).await.with("FIRN_MAINTENANCE__DEBOUNCE_MS", "5"))
}

/// Polls until `poll` returns a value; the server checks for changes about every second.
async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(value) = poll().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timeout after a minute: {what}");
}

/// Commits a change to a table.
async fn change(client: &Client, ns: &str, name: &str) {
    let commit = fixture::commit(&[], &[set_property("k", "v")]);
    client.post(&fixture::table_path(ns, name), &commit).await.expect(200);
}

/// Returns the jobs with this action of a table, newest first.
async fn jobs(client: &Client, ns: &str, name: &str, action: &str) -> Vec<Value> {
    let page = get(client, &format!("jobs?{}", scope(ns, name))).await;
    let jobs = page["jobs"].as_array().unwrap().iter();
    jobs.filter(|job| job["action"] == action).cloned().collect()
}

/// Waits until a worker leases a job with this action of a table; fails if it leases another job.
async fn lease_next(client: &Client, name: &str, action: &str) -> Value {
    let leased = eventually("a job", async || {
        let leased = lease(client, "w").await;
        (leased["job"] != Value::Null).then_some(leased)
    });
    let leased = leased.await;
    assert_eq!((&leased["table"]["table"], &leased["job"]["action"]), (&json!(name), &json!(action)));
    leased
}

async fn finish(client: &Client, leased: &Value, outcome: &Value) {
    let body = json!({ "lease": lease_of(leased), "outcome": outcome });
    post(client, &job_path(leased, "finish"), &body).await.expect(204);
}

fn succeeded(next: &Value) -> Value {
    json!({ "outcome": "succeeded", "result": {}, "next": next })
}

fn failed() -> Value {
    json!({ "outcome": "failed", "error": "broken\u{0}" })
}

fn next(action: &str, priority: i64) -> Value {
    json!({ "action": action, "reason": format!("{action} is worth it"), "priority": priority })
}

/// Waits until all changes so far have been processed, which is known from the evaluation of a new table.
async fn wait_for_changes(client: &Client, ns: &str) {
    let name = fixture::unique("marker");
    create_table(client, ns, &name).await;
    eventually("an evaluation", async || jobs(client, ns, &name, "evaluate").await.pop()).await;
    // The job of that table is not leased, but cancelled.
    let job = jobs(client, ns, &name, "evaluate").await.remove(0);
    let id = job["job-id"].as_str().unwrap();
    post(client, &format!("jobs/{id}/cancel"), &json!({})).await.expect(200);
}

async fn several_changes_of_a_table_queue_one_evaluation(backend: Backend) {
    let firn = Firn::start(Setup::new(backend).await.with("FIRN_MAINTENANCE__DEBOUNCE_MS", "3600000"));
    let ns = fixture::namespace(&firn).await;
    let created = create_table(&firn, &ns, "t").await;
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    for _ in 0..5 {
        change(&firn, &ns, "t").await;
    }
    wait_for_changes(&firn, &ns).await;
    let found = jobs(&firn, &ns, "t", "evaluate").await;
    assert_eq!(found.len(), 1, "{found:?}");
    let job = &found[0];
    assert_eq!((&job["state"], &job["requested-by"]), (&json!("queued"), &json!("maintenance")));
    assert_eq!(
        (&job["reason"], &job["table"]),
        (&json!("the table was changed"), &json!(format!("main/{ns}.t")))
    );
    assert_eq!(job["policy"]["compact"]["inputs-min"], 5);
    // The job is due when the debounce interval has passed since the first change.
    let (due_ms, created_ms) = (job["due-ms"].as_i64().unwrap(), job["created-ms"].as_i64().unwrap());
    let changed_ms = created["metadata"]["last-updated-ms"].as_i64().unwrap();
    assert!(due_ms - 3_600_000 <= created_ms && due_ms - 3_600_000 >= changed_ms - 1_000, "{job}");
    assert_eq!(lease(&firn, "w").await["job"], Value::Null);
    // One job for the new table of `wait_for_changes`, one for this table, and none for the view.
    assert_eq!(get(&firn, "jobs").await["jobs"].as_array().unwrap().len(), 2);

    // A request makes the same job due at once.
    let requested = queue(&firn, &ns, "t", "evaluate").await;
    assert_eq!((&requested["job-id"], &requested["reason"]), (&job["job-id"], &json!("requested")));
    assert_eq!(requested["requested-by"], "local-administrator");
    lease_next(&firn, "t", "evaluate").await;
    let reply =
        post(&firn, "jobs", &json!({ "table": table_identifier(&ns, "t"), "action": "evaluate" })).await;
    reply.expect_error(409, "ConflictException", "queued or running already");
}

async fn a_change_during_an_evaluation_queues_another_evaluation(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let ns = fixture::namespace(&firn).await;
    create_table(&firn, &ns, "t").await;
    let first = lease_next(&firn, "t", "evaluate").await;
    change(&firn, &ns, "t").await;
    wait_for_changes(&firn, &ns).await;
    assert_eq!(jobs(&firn, &ns, "t", "evaluate").await.len(), 1);
    finish(&firn, &first, &succeeded(&json!([]))).await;
    let [next_job, ended_job] = <[Value; 2]>::try_from(jobs(&firn, &ns, "t", "evaluate").await).unwrap();
    assert_eq!((&next_job["state"], &ended_job["state"]), (&json!("queued"), &json!("succeeded")));
    assert_eq!(next_job["reason"], "the table was changed during its evaluation");
    // The evaluation of a table may take at most a twentieth of a worker's time.
    let ms = |name: &str| ended_job[name].as_i64().unwrap();
    let cooldown_until_ms = ms("finished-ms") + 20 * (ms("finished-ms") - ms("started-ms"));
    assert_eq!(next_job["due-ms"], cooldown_until_ms);

    // The second evaluation covers all changes, so no other follows.
    queue(&firn, &ns, "t", "evaluate").await;
    let second = lease_next(&firn, "t", "evaluate").await;
    assert_eq!(second["job"]["job-id"], next_job["job-id"]);
    finish(&firn, &second, &succeeded(&json!([]))).await;
    wait_for_changes(&firn, &ns).await;
    assert_eq!(jobs(&firn, &ns, "t", "evaluate").await.len(), 2);
}

async fn due_actions_are_queued_once_unless_a_policy_disables_them(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let ns = fixture::namespace(&firn).await;
    let policy = json!({ "rewrite-manifests": { "enabled": false }, "compact": { "inputs-min": 9 } });
    let path = format!("policy?warehouse=main&namespace={ns}");
    call(&firn, "PUT", &path, Some(&policy)).await.expect(200);
    create_table(&firn, &ns, "t").await;
    let evaluation = lease_next(&firn, "t", "evaluate").await;
    assert_eq!(evaluation["job"]["policy"]["compact"]["inputs-min"], 9);
    let requested = queue(&firn, &ns, "t", "expire-snapshots").await;
    let found = json!([
        next("compact", 3),
        next("rewrite-manifests", 9),
        next("compact", 8),
        next("expire-snapshots", 7)
    ]);
    finish(&firn, &evaluation, &succeeded(&found)).await;

    let compact = jobs(&firn, &ns, "t", "compact").await;
    assert_eq!(compact.len(), 1);
    assert_eq!(
        (&compact[0]["reason"], &compact[0]["state"]),
        (&json!("compact is worth it"), &json!("queued"))
    );
    assert_eq!(
        (&compact[0]["requested-by"], &compact[0]["policy"]["compact"]["inputs-min"]),
        (&json!("maintenance"), &json!(9))
    );
    assert_eq!(jobs(&firn, &ns, "t", "expire-snapshots").await, [requested]);
    assert_eq!(jobs(&firn, &ns, "t", "rewrite-manifests").await, [] as [Value; 0]);
    // Jobs that were requested come first.
    let expiry = lease_next(&firn, "t", "expire-snapshots").await;
    finish(&firn, &expiry, &succeeded(&json!([next("expire-snapshots", 1)]))).await;
    lease_next(&firn, "t", "compact").await;
    assert_eq!(jobs(&firn, &ns, "t", "expire-snapshots").await.len(), 2);
}

async fn jobs_with_a_higher_priority_come_first(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let ns = fixture::namespace(&firn).await;
    let mut evaluations = Vec::new();
    for name in ["small", "large"] {
        create_table(&firn, &ns, name).await;
        evaluations.push(lease_next(&firn, name, "evaluate").await);
    }
    finish(&firn, &evaluations[0], &succeeded(&json!([next("compact", 1)]))).await;
    finish(&firn, &evaluations[1], &succeeded(&json!([next("compact", 2)]))).await;
    lease_next(&firn, "large", "compact").await;
    lease_next(&firn, "small", "compact").await;
}

async fn a_refused_report_queues_no_job(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let ns = fixture::namespace(&firn).await;
    create_table(&firn, &ns, "t").await;
    let leased = lease_next(&firn, "t", "evaluate").await;
    let body = json!({ "lease": { "worker": "w", "attempt": 7 }, "outcome": succeeded(&json!([next("compact", 1)])) });
    post(&firn, &job_path(&leased, "finish"), &body).await.expect_error(
        409,
        "ConflictException",
        "attempt 7",
    );
    assert_eq!(jobs(&firn, &ns, "t", "compact").await, [] as [Value; 0]);
    // Nor does a job whose table was dropped.
    firn.delete(&fixture::table_path(&ns, "t")).await.expect(204);
    finish(&firn, &leased, &succeeded(&json!([next("compact", 1)]))).await;
    assert_eq!(get(&firn, "jobs?state=queued").await["jobs"], json!([]));
}

async fn a_paused_table_gets_no_jobs_until_it_is_resumed(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let ns = fixture::namespace(&firn).await;
    create_table(&firn, &ns, "t").await;
    let leased = lease_next(&firn, "t", "evaluate").await;
    post(&firn, "pause", &json!({ "table": table_identifier(&ns, "t"), "reason": "a migration" }))
        .await
        .expect(204);
    // A worker may complete its job, but no job follows from it.
    change(&firn, &ns, "t").await;
    wait_for_changes(&firn, &ns).await;
    finish(&firn, &leased, &succeeded(&json!([next("compact", 1)]))).await;
    assert_eq!(jobs(&firn, &ns, "t", "compact").await, [] as [Value; 0]);
    change(&firn, &ns, "t").await;
    wait_for_changes(&firn, &ns).await;
    assert_eq!(jobs(&firn, &ns, "t", "evaluate").await.len(), 1);
    // A requested job waits as well.
    queue(&firn, &ns, "t", "expire-snapshots").await;
    assert_eq!(lease(&firn, "w").await["job"], Value::Null);

    post(&firn, "resume", &json!({ "table": table_identifier(&ns, "t") })).await.expect(204);
    let requested = lease_next(&firn, "t", "expire-snapshots").await;
    finish(&firn, &requested, &succeeded(&json!([]))).await;
    wait_for_changes(&firn, &ns).await;
    assert_eq!(jobs(&firn, &ns, "t", "evaluate").await.len(), 2);
}

async fn queued_jobs_of_a_dropped_table_fail(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let ns = fixture::namespace(&firn).await;
    create_table(&firn, &ns, "t").await;
    let queued = eventually("an evaluation", async || jobs(&firn, &ns, "t", "evaluate").await.pop()).await;
    firn.delete(&fixture::table_path(&ns, "t")).await.expect(204);
    // The job fails without a worker leasing it.
    let path = format!("jobs/{}", queued["job-id"].as_str().unwrap());
    let ended_job = eventually("its end", async || {
        let job = get(&firn, &path).await;
        (job["state"] != "queued").then_some(job)
    });
    let ended_job = ended_job.await;
    assert_eq!(
        (&ended_job["state"], &ended_job["error"]),
        (&json!("failed"), &json!("its table was dropped"))
    );
}

async fn repeated_failures_delay_the_next_attempt(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let ns = fixture::namespace(&firn).await;
    create_table(&firn, &ns, "t").await;
    let first = lease_next(&firn, "t", "evaluate").await;
    finish(&firn, &first, &succeeded(&json!([next("compact", 1)]))).await;
    for delay_ms in [60_000, 120_000, 240_000] {
        let compaction = lease_next(&firn, "t", "compact").await;
        finish(&firn, &compaction, &failed()).await;
        queue(&firn, &ns, "t", "evaluate").await;
        let evaluation = lease_next(&firn, "t", "evaluate").await;
        finish(&firn, &evaluation, &succeeded(&json!([next("compact", 1)]))).await;
        let found = jobs(&firn, &ns, "t", "compact").await;
        let failed_ms = found[1]["finished-ms"].as_i64().unwrap();
        assert_eq!((&found[1]["state"], &found[1]["error"]), (&json!("failed"), &json!("broken")));
        assert_eq!(
            (&found[0]["state"], &found[0]["due-ms"]),
            (&json!("queued"), &json!(failed_ms + delay_ms))
        );
        assert_eq!(lease(&firn, "w").await["job"], Value::Null);
        queue(&firn, &ns, "t", "compact").await;
    }
    let compaction = lease_next(&firn, "t", "compact").await;
    finish(&firn, &compaction, &succeeded(&json!([next("compact", 1)]))).await;
    lease_next(&firn, "t", "compact").await;
}

/// Returns the state and reason of each action, and `true` if there is a job.
async fn explain(client: &Client, ns: &str) -> BTreeMap<String, (String, String, bool)> {
    let explanation = get(client, &format!("explain?{}", scope(ns, "t"))).await;
    assert_eq!(explanation["table"], table_identifier(ns, "t"));
    let actions = explanation["actions"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entry = |entry: &Value| {
        (text(&entry["action"]), (text(&entry["state"]), text(&entry["reason"]), entry.get("job").is_some()))
    };
    let found: BTreeMap<_, _> = actions.map(entry).collect();
    assert_eq!(found.len(), 4, "{explanation}");
    found
}

/// Asserts that an action has a state, and that its reason contains a text.
#[track_caller]
fn check(
    found: &BTreeMap<String, (String, String, bool)>,
    action: &str,
    state: &str,
    reason: &str,
    has_job: bool,
) {
    let explanation = &found[action];
    assert_eq!((explanation.0.as_str(), explanation.2), (state, has_job), "{action}: {explanation:?}");
    assert!(explanation.1.contains(reason), "{action}: {explanation:?}");
}

async fn every_state_is_explained(backend: Backend) {
    let firn = start_eager_server(backend).await;
    let ns = fixture::namespace(&firn).await;
    create_table(&firn, &ns, "t").await;
    check(&explain(&firn, &ns).await, "compact", "unknown", "was not evaluated yet", false);
    wait_for_changes(&firn, &ns).await;
    let found = explain(&firn, &ns).await;
    check(&found, "evaluate", "queued", "the table was changed; it waits for a worker", true);

    let evaluation = lease_next(&firn, "t", "evaluate").await;
    queue(&firn, &ns, "t", "compact").await;
    let found = explain(&firn, &ns).await;
    check(&found, "evaluate", "running", "worker `w` is running it, attempt 1", true);
    check(&found, "compact", "queued", "it waits for the job `evaluate` of the same table", true);
    check(&found, "expire-snapshots", "unknown", "was not evaluated yet", false);

    // `why` is what the former release called a `reason`; its results may still be stored.
    let result = json!({
        "snapshot-id": 3, "health": 60, "facts": { "files": 900 },
        "deductions": [{ "fault": "small-files", "points": 40, "why": "900 files of 1 KiB" }],
        "actions": [
            { "action": "compact", "due": false, "reason": "too few files" },
            { "action": "expire-snapshots", "due": true, "why": "3 snapshots are old" },
        ],
    });
    let done = json!({ "outcome": "succeeded", "result": result, "next": [next("expire-snapshots", 1)] });
    finish(&firn, &evaluation, &done).await;
    let compaction = lease_next(&firn, "t", "compact").await;
    finish(&firn, &compaction, &succeeded(&json!([]))).await;
    let found = explain(&firn, &ns).await;
    check(&found, "evaluate", "not-due", "the table is evaluated again after its next change, or at 2", true);
    check(&found, "compact", "not-due", "too few files", true);
    check(&found, "expire-snapshots", "queued", "expire-snapshots is worth it; it waits for a worker", true);
    check(&found, "rewrite-manifests", "unknown", "did not consider it", false);
    let explanation = get(&firn, &format!("explain?{}", scope(&ns, "t"))).await;
    let result: Value = serde_json::from_str(&result.to_string().replace(r#""why""#, r#""reason""#)).unwrap();
    assert_eq!(explanation["evaluation"], result);
    let ended_job = jobs(&firn, &ns, "t", "evaluate").await;
    assert_eq!(explanation["evaluated-ms"], ended_job[0]["finished-ms"]);

    let expiry = lease_next(&firn, "t", "expire-snapshots").await;
    finish(&firn, &expiry, &failed()).await;
    check(
        &explain(&firn, &ns).await,
        "expire-snapshots",
        "not-due",
        "3 snapshots are old; it failed at 2",
        true,
    );
    queue(&firn, &ns, "t", "evaluate").await;
    let evaluation = lease_next(&firn, "t", "evaluate").await;
    finish(&firn, &evaluation, &done).await;
    let found = explain(&firn, &ns).await;
    check(&found, "expire-snapshots", "queued", "Z, after a failure", true);

    let path = format!("policy?warehouse=main&namespace={ns}");
    call(&firn, "PUT", &path, Some(&json!({ "compact": { "enabled": false } }))).await.expect(200);
    let found = explain(&firn, &ns).await;
    check(&found, "compact", "disabled", &format!("it is disabled by the policy of namespace `{ns}`"), true);

    post(&firn, "pause", &json!({ "table": table_identifier(&ns, "t"), "reason": "a migration" }))
        .await
        .expect(204);
    let found = explain(&firn, &ns).await;
    for (action, has_job) in [("evaluate", true), ("compact", true), ("rewrite-manifests", false)] {
        check(&found, action, "paused", "`local-administrator` paused the table: a migration", has_job);
    }
    check(&found, "expire-snapshots", "paused", "a migration; its queued job waits", true);
    let explanation = get(&firn, &format!("explain?{}", scope(&ns, "t"))).await;
    assert_eq!(explanation["paused"]["reason"], "a migration");

    for (query, status) in [(scope(&ns, "none"), 404), (format!("warehouse=main&namespace={ns}"), 400)] {
        call(&firn, "GET", &format!("explain?{query}"), None).await.expect(status);
    }
}

tests::on_both_databases!(
    several_changes_of_a_table_queue_one_evaluation,
    a_change_during_an_evaluation_queues_another_evaluation,
    due_actions_are_queued_once_unless_a_policy_disables_them,
    jobs_with_a_higher_priority_come_first,
    a_refused_report_queues_no_job,
    a_paused_table_gets_no_jobs_until_it_is_resumed,
    queued_jobs_of_a_dropped_table_fail,
    repeated_failures_delay_the_next_attempt,
    every_state_is_explained,
);

#[test]
fn replicas_process_each_change_once() {
    tests::process::run(async {
        let one = start_eager_server(Backend::Postgres).await;
        let mut setup = Setup::new(Backend::Postgres).await.with("FIRN_MAINTENANCE__DEBOUNCE_MS", "0");
        setup.database_url.clone_from(&one.setup().database_url);
        let other = Firn::start(setup);
        let ns = fixture::namespace(&one).await;
        let names: Vec<_> = (0..24).map(|number| format!("t{number}")).collect();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (number, name) in names.iter().enumerate() {
            create_table(if number % 2 == 0 { &one } else { &other }, &ns, name).await;
        }
        // Each job ends at once, so that a change that is processed twice would create a second job.
        while counts.len() < names.len() {
            let leased = eventually("a job", async || {
                let leased = lease(&other, "w").await;
                (leased["job"] != Value::Null).then_some(leased)
            });
            let leased = leased.await;
            *counts.entry(leased["table"]["table"].as_str().unwrap().to_owned()).or_default() += 1;
            finish(&one, &leased, &succeeded(&json!([]))).await;
        }
        wait_for_changes(&one, &ns).await;
        wait_for_changes(&other, &ns).await;
        for name in &names {
            assert_eq!(jobs(&one, &ns, name, "evaluate").await.len(), 1, "{name}");
        }
    });
}
