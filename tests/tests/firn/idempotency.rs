//! `Idempotency-Key`: a repeated request is carried out once and gets the same response; another request with
//! the same key is refused.

use serde_json::{Value, json};
use tests::fixture::{self, commit, set_property, table_path};
use tests::http::Reply;
use tests::process::{self, Backend, Firn};

use crate::endpoints::{self, Endpoint};

fn key() -> String {
    catalog_server::id::random().to_string()
}

async fn send(firn: &Firn, endpoint: &Endpoint, key: &str) -> Reply {
    endpoints::send(firn, endpoint, &[("idempotency-key", key)]).await
}

fn is_change(endpoint: &Endpoint) -> bool {
    // A repeated metrics report is recorded again.
    !endpoint.is_read() && !endpoint.route.ends_with("/metrics")
}

async fn a_repeated_change_gets_the_same_response_even_after_a_crash(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let endpoints = endpoints::all(&firn).await;
    let mut sent = Vec::new();
    for endpoint in endpoints.into_iter().filter(is_change) {
        let key = key();
        let first = send(&firn, &endpoint, &key).await;
        assert_eq!(first.status, endpoint.status, "{}: {}", endpoint.route, first.text());
        sent.push((endpoint, key, first));
    }
    for round in 0..2 {
        for (endpoint, key, first) in &sent {
            let repeated = send(&firn, endpoint, key).await;
            assert_eq!(
                (repeated.status, repeated.text()),
                (first.status, first.text()),
                "{} round {round}",
                endpoint.route
            );
            assert_eq!(repeated.header("etag"), first.header("etag"), "{}", endpoint.route);
        }
        firn.restart();
    }
}

async fn a_key_used_for_another_request_is_422(backend: Backend) {
    let firn = Firn::new(backend).await;
    let all = endpoints::all(&firn).await;
    let used = key();
    let namespace = json!({ "namespace": [fixture::unique("keyed")] }).to_string();
    firn.send("POST", "namespaces", Some(namespace), &[("idempotency-key", &used)]).await.expect(200);
    for endpoint in all.iter().filter(|endpoint| is_change(endpoint)) {
        let reply = send(&firn, endpoint, &used).await;
        assert_eq!(reply.status, 422, "{}: {}", endpoint.route, reply.text());
        reply.expect_error(422, "UnprocessableEntityException", "Idempotency-Key");
    }
    // None of the refused requests was carried out: with other keys all of them succeed.
    for endpoint in all.iter().filter(|endpoint| is_change(endpoint)) {
        send(&firn, endpoint, &key()).await.expect(endpoint.status);
    }
}

async fn the_same_key_with_another_body_or_query_is_422(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let key = key();
    let headers = [("idempotency-key", key.as_str())];
    firn.send("DELETE", &path, None, &headers).await.expect(204);
    fixture::create_table(firn, &ns, "t").await;
    let other = firn.send("DELETE", &format!("{path}?purgeRequested=true"), None, &headers).await;
    other.expect_error(422, "UnprocessableEntityException", "Idempotency-Key");
    // The first request again: it is answered from the record, and the new table is not dropped.
    firn.send("DELETE", &path, None, &headers).await.expect(204);
    assert_eq!(firn.head(&path).await, 204);
}

async fn a_repeated_success_with_a_missing_file_is_not_reported_as_a_failure(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let key = key();
    let headers = [("idempotency-key", key.as_str())];
    let path = table_path(&ns, "t");
    let body = commit(&[], &[set_property("a", "1")]).to_string();
    let sent = firn.send("POST", &path, Some(body.clone()), &headers).await.expect(200).json();
    firn.post(&path, &commit(&[], &[set_property("a", "2")])).await.expect(200);
    let location = sent["metadata-location"].as_str().unwrap();
    std::fs::remove_file(location.trim_start_matches("file://")).unwrap();
    // After a status of 404 the client would delete the files that it has committed.
    let repeated = firn.send("POST", &path, Some(body), &headers).await;
    repeated.expect_error(500, "CommitStateUnknownException", "was carried out");
}

async fn a_rename_to_the_same_name_records_its_key(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let key = key();
    let headers = [("idempotency-key", key.as_str())];
    let rename = |to: &str| {
        let (source, destination) =
            (json!({ "namespace": [ns], "name": "t" }), json!({ "namespace": [ns], "name": to }));
        Some(json!({ "source": source, "destination": destination }).to_string())
    };
    firn.send("POST", "tables/rename", rename("t"), &headers).await.expect(204);
    firn.send("POST", "tables/rename", rename("t"), &headers).await.expect(204);
    let other = firn.send("POST", "tables/rename", rename("u"), &headers).await;
    other.expect_error(422, "UnprocessableEntityException", "Idempotency-Key");
}

async fn a_refusal_is_recorded_under_its_key(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let key = key();
    let headers = [("idempotency-key", key.as_str())];
    let path = table_path(&ns, "t");
    let body = commit(&[], &[set_property("a", "b")]).to_string();
    let first = firn.send("POST", &path, Some(body.clone()), &headers).await;
    first.expect_error(404, "NoSuchTableException", "Table does not exist");
    fixture::create_table(firn, &ns, "t").await;
    let repeated = firn.send("POST", &path, Some(body), &headers).await;
    assert_eq!((repeated.status, repeated.body), (404, first.body));
}

async fn concurrent_duplicates_have_one_effect(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = fixture::create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    for (round, body) in [
        commit(&[], &[set_property("a", "b")]),
        commit(&[], &fixture::append(&created["metadata"], 77, "once")),
    ]
    .into_iter()
    .enumerate()
    {
        let key = key();
        let requests: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn({
                    let (client, path, body, key) =
                        ((**firn).clone(), path.clone(), body.to_string(), key.clone());
                    async move { client.send("POST", &path, Some(body), &[("idempotency-key", &key)]).await }
                })
            })
            .collect();
        let mut bodies = Vec::new();
        for request in requests {
            bodies.push(request.await.unwrap().expect(200).text());
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "round {round}: duplicates were answered differently");
        let metadata = firn.get(&path).await.json()["metadata"].clone();
        assert_eq!(metadata["metadata-log"].as_array().unwrap().len(), round + 1);
    }
    let key = key();
    let requests: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let (client, path, key) = ((**firn).clone(), fixture::tables(&ns), key.clone());
                async move {
                    client
                        .send(
                            "POST",
                            &path,
                            Some(fixture::table("new").to_string()),
                            &[("idempotency-key", &key)],
                        )
                        .await
                }
            })
        })
        .collect();
    let mut uuids = Vec::new();
    for request in requests {
        uuids.push(request.await.unwrap().expect(200).json()["metadata"]["table-uuid"].clone());
    }
    uuids.dedup();
    assert_eq!(uuids.len(), 1);
}

async fn a_malformed_key_is_400(backend: Backend) {
    let firn = process::shared(backend).await;
    let all = endpoints::all(firn).await;
    for endpoint in all.iter().filter(|endpoint| is_change(endpoint)) {
        for key in ["", "x", "123e4567-e89b-12d3-a456-42661417400", "123e4567-e89b-12d3-a456-4266141740000"] {
            send(firn, endpoint, key).await.expect_error(
                400,
                "BadRequestException",
                "Invalid Idempotency-Key",
            );
        }
    }
    for endpoint in all.iter().filter(|endpoint| is_change(endpoint)) {
        send(firn, endpoint, &key()).await.expect(endpoint.status);
    }
}

/// Returns the response body without the id that is unique for each plan.
fn without_id(reply: &Reply) -> Option<Value> {
    let mut answer: Value = serde_json::from_slice(&reply.body).ok()?;
    answer.as_object_mut()?.remove("plan-id");
    Some(answer)
}

async fn a_key_of_a_read_is_refused_for_another_request(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let never = format!("{path}/plan/{}", key());
    for (method, path, body, other) in [
        ("POST", format!("{path}/plan"), Some("{}"), Some(r#"{"case-sensitive":false}"#)),
        ("POST", format!("{path}/tasks"), Some(r#"{"plan-task":"a"}"#), Some(r#"{"plan-task":"b"}"#)),
        ("DELETE", never, None, Some(r#"{"a":1}"#)),
    ] {
        let (key, text) = (key(), |body: Option<&str>| body.map(str::to_owned));
        let headers = [("idempotency-key", key.as_str())];
        let first = firn.send(method, &path, text(body), &headers).await;
        let repeated = firn.send(method, &path, text(body), &headers).await;
        assert_eq!(
            (first.status, without_id(&first)),
            (repeated.status, without_id(&repeated)),
            "{method} {path}"
        );
        let reply = firn.send(method, &path, text(other), &headers).await;
        reply.expect_error(422, "UnprocessableEntityException", "Idempotency-Key");
    }
}

async fn endpoints_without_idempotency_refuse_a_key(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let key = key();
    let headers = [("idempotency-key", key.as_str())];
    for route in endpoints::GOVERNANCE {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{job-id}", &key);
        let body = (method != "GET").then(|| "{}".to_owned());
        firn.request(method, &path, body, &headers).await.expect_error(
            400,
            "BadRequestException",
            "does not support Idempotency-Key",
        );
    }
    let path = format!("{}/metrics", table_path(&ns, "t"));
    let report = Some(endpoints::report().to_string());
    firn.send("POST", &path, report.clone(), &headers).await.expect_error(
        400,
        "BadRequestException",
        "does not support Idempotency-Key",
    );
    firn.send("POST", &path, report, &[]).await.expect(204);
}

tests::on_both_databases!(
    a_key_of_a_read_is_refused_for_another_request,
    endpoints_without_idempotency_refuse_a_key,
    a_repeated_change_gets_the_same_response_even_after_a_crash,
    a_key_used_for_another_request_is_422,
    the_same_key_with_another_body_or_query_is_422,
    a_refusal_is_recorded_under_its_key,
    a_rename_to_the_same_name_records_its_key,
    a_repeated_success_with_a_missing_file_is_not_reported_as_a_failure,
    concurrent_duplicates_have_one_effect,
    a_malformed_key_is_400,
);
