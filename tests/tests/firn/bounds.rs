//! Limits of texts that are stored or returned: too long texts are refused if the sender can shorten them,
//! and truncated if they are messages of a library. The data stored about one job does not grow without
//! limit.

use serde_json::{Value, json};
use tests::fixture::{self, create_table};
use tests::process::{self, Backend, Firn};

use crate::maintenance::{call, get, job_path, lease, lease_of, post, queue, table_identifier};

const MB: usize = 1 << 20;

/// Starts a server with a job that is leased by a worker; returns the lease as well.
async fn lease_job(backend: Backend) -> (Firn, Value) {
    let firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    create_table(&firn, &ns, "t").await;
    queue(&firn, &ns, "t", "compact").await;
    let leased = lease(&firn, "w").await;
    (firn, leased)
}

fn folder_bytes(firn: &Firn) -> u64 {
    let files = std::fs::read_dir(&firn.setup().data_dir).unwrap().flatten();
    files
        .map(|file| file.metadata().map_or(0, |metadata| if metadata.is_file() { metadata.len() } else { 0 }))
        .sum()
}

async fn heartbeats_of_any_size_leave_the_database_small(backend: Backend) {
    let (firn, leased) = lease_job(backend).await;
    let path = job_path(&leased, "heartbeat");
    let heartbeat =
        |activity: String| json!({ "lease": lease_of(&leased), "progress": { "activity": activity } });
    let before = folder_bytes(&firn);
    for _ in 0..25 {
        let message = post(&firn, &path, &heartbeat("x".repeat(2 * MB)))
            .await
            .error_message(400, "BadRequestException");
        assert!(message.contains("16384") && message.len() < 1_000, "{message}");
    }
    for _ in 0..200 {
        post(&firn, &path, &heartbeat("y".repeat(16_000))).await.expect(200);
    }
    let grown = folder_bytes(&firn).saturating_sub(before);
    assert!(grown < 16 * MB as u64, "{grown} bytes more after 25 refused heartbeats and 200 others");
    let job = get(&firn, &format!("jobs/{}", leased["job"]["job-id"].as_str().unwrap())).await;
    assert_eq!(job["progress"]["activity"].as_str().unwrap().len(), 16_000);
}

async fn paths_are_bounded_in_length_and_number(backend: Backend) {
    let (firn, leased) = lease_job(backend).await;
    let path = job_path(&leased, "outputs");
    for (add, text) in [
        (vec!["x".repeat(3_000)], "2048"),
        (vec!["y".repeat(2 * MB)], "2048"),
        (vec!["\0".to_owned()], "zero"),
        ((0..10_001).map(|number| number.to_string()).collect(), "10000"),
    ] {
        for body in [
            json!({ "lease": lease_of(&leased), "register": add }),
            json!({ "lease": lease_of(&leased), "release": add }),
        ] {
            post(&firn, &path, &body).await.expect_error(400, "BadRequestException", text);
        }
    }
    let location = leased["table"]["table"].as_str().unwrap();
    assert_eq!(location, "t");
}

async fn long_errors_and_results_of_workers_are_truncated_and_long_lists_refused(backend: Backend) {
    let long = "ü".repeat(MB);
    let (firn, leased) = lease_job(backend).await;
    let id = leased["job"]["job-id"].as_str().unwrap().to_owned();
    let finish = job_path(&leased, "finish");
    let outcome = json!({ "outcome": "retry", "error": format!("\0{long}"), "after-ms": 0 });
    post(&firn, &finish, &json!({ "lease": lease_of(&leased), "outcome": outcome })).await.expect(204);
    let error = get(&firn, &format!("jobs/{id}")).await["error"].as_str().unwrap().to_owned();
    assert!(
        error.starts_with("üü") && error.ends_with("ü…") && error.len() <= 4_096,
        "{} bytes",
        error.len()
    );

    let second = lease(&firn, "w").await;
    let finish = job_path(&second, "finish");
    let next = |reason: &str| json!({ "action": "compact", "reason": reason, "priority": 1 });
    let many = json!({ "outcome": "succeeded", "result": {}, "next": vec![next("r"); 101] });
    post(&firn, &finish, &json!({ "lease": lease_of(&second), "outcome": many })).await.expect_error(
        400,
        "BadRequestException",
        "at most 100",
    );
    let outcome = json!({ "outcome": "succeeded", "result": { "numbers": long }, "next": [next(&long)] });
    post(&firn, &finish, &json!({ "lease": lease_of(&second), "outcome": outcome })).await.expect(204);
    let job = get(&firn, &format!("jobs/{id}")).await;
    assert_eq!(job["state"], "succeeded");
    assert!(job["result"]["omitted"].as_str().unwrap().contains("262144"), "{}", job["result"]);
    let jobs = get(&firn, "jobs").await;
    assert!(jobs.to_string().len() < 100_000);
}

async fn too_long_reasons_names_and_policies_are_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let long = "x".repeat(MB);
    let names = table_identifier(&ns, "t");
    for (path, body, text) in [
        ("pause", json!({ "table": names, "reason": long }), "1000"),
        ("pause", json!({ "table": names, "reason": "a\0b" }), "0x00"),
        ("jobs/lease", json!({ "worker": long }), "200"),
        ("jobs/lease", json!({ "worker": "" }), "at least one"),
        ("jobs/lease", json!({ "worker": "\0" }), "0x00"),
        ("jobs", json!({ "table": names, "action": "compact", "policy": { &long: {} } }), ""),
        ("jobs", json!({ "table": names, "action": long }), ""),
        ("jobs", json!({ "table": table_identifier(&ns, &long), "action": "compact" }), "512"),
    ] {
        let reply = post(firn, path, &body).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text());
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains(text) && message.len() <= 4_096,
            "{path}: {} bytes: {message:.200}",
            message.len()
        );
    }
    let scope = format!("policy?warehouse=main&namespace={ns}&table=t");
    for policy in
        [json!({ &long: {} }), json!({ "compact": { &long: 1 } }), json!({ "compact": { "sort": long } })]
    {
        let reply = call(firn, "PUT", &scope, Some(&policy)).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.body.len() < 5_000, "{} bytes", reply.body.len());
    }
    firn.check_no_panic();
}

async fn error_messages_do_not_repeat_long_input(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let long = "x".repeat(MB);
    let path = fixture::table_path(&ns, "t");
    let key = catalog_server::id::random().to_string();
    for body in [
        json!({ "requirements": [{ "type": long }], "updates": [] }),
        json!({ "requirements": [{ "type": "assert-table-uuid", "uuid": long }], "updates": [] }),
        json!({ "requirements": [], "updates": [{ "action": long }] }),
        json!({ "requirements": [], "updates": [{ "action": "set-location", "location": long }] }),
        json!({ "requirements": [], "updates": [{ "action": "set-snapshot-ref", "ref-name": long, "type": long, "snapshot-id": 1 }] }),
        json!({ "requirements": [], "updates": [fixture::set_property("write.data.path", &long)] }),
        json!({ "requirements": [], "updates": [{ "action": "remove-snapshots", "snapshot-ids": vec![1; 30_000] }] }),
    ] {
        let headers = [("idempotency-key", key.as_str())];
        for headers in [&headers[..], &[]] {
            let reply = firn.send("POST", &path, Some(body.to_string()), headers).await;
            assert!(reply.status < 500, "{}", reply.status);
            assert!(reply.status == 200 || reply.body.len() < 5_000, "{} bytes", reply.body.len());
        }
    }
    for body in [
        json!({ "name": long, "schema": fixture::schema() }),
        json!({ "name": "n", "schema": { "type": long } }),
        json!({ "name": "n", "schema": fixture::schema(), "location": long }),
    ] {
        let reply = firn.post(&fixture::tables(&ns), &body).await;
        assert_eq!(reply.status, 400);
        assert!(reply.body.len() < 5_000, "{} bytes", reply.body.len());
    }
}

tests::on_both_databases!(
    heartbeats_of_any_size_leave_the_database_small,
    paths_are_bounded_in_length_and_number,
    long_errors_and_results_of_workers_are_truncated_and_long_lists_refused,
    too_long_reasons_names_and_policies_are_refused,
    error_messages_do_not_repeat_long_input,
);
