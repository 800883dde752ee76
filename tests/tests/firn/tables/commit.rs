//! Commits to tables: requirements, atomicity, and concurrency.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tests::fixture::{
    self, append, change, commit, create_table, current_snapshot, local, set_property, table_path,
};
use tests::process::{self, Backend, Firn, Setup};

/// Returns the state of a table that a refused commit must not change: the response of a load, and the names
/// of the metadata files.
async fn state(firn: &Firn, path: &str) -> (Value, BTreeSet<String>) {
    let body = firn.get(path).await.expect(200).json();
    let folder = format!("{}/metadata", local(body["metadata"]["location"].as_str().unwrap()));
    let names = std::fs::read_dir(Path::new(&folder)).unwrap().flatten();
    (body, names.map(|entry| entry.file_name().into_string().unwrap()).collect())
}

async fn each_requirement_is_checked_with_javas_words(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let loaded =
        firn.post(&path, &commit(&[], &append(&created["metadata"], 7, "x"))).await.expect(200).json();
    let uuid = loaded["metadata"]["table-uuid"].as_str().unwrap();
    let before = state(firn, &path).await;
    let other = "00000000-0000-4000-8000-000000000000";
    let ref_at =
        |name: &str, id: Value| json!({ "type": "assert-ref-snapshot-id", "ref": name, "snapshot-id": id });
    let number = |kind: &str, field: &str, value: i32| json!({ "type": kind, field: value });
    let failing = [
        (json!({ "type": "assert-create" }), "table already exists".to_owned()),
        (
            json!({ "type": "assert-table-uuid", "uuid": other }),
            format!("UUID does not match: expected {uuid} != {other}"),
        ),
        (ref_at("main", json!(8)), "branch main has changed: expected id 8 != 7".to_owned()),
        (ref_at("main", Value::Null), "branch main was created concurrently".to_owned()),
        (ref_at("none", json!(7)), "branch or tag none is missing, expected 7".to_owned()),
        (
            number("assert-last-assigned-field-id", "last-assigned-field-id", 5),
            "last assigned field id changed: expected id 5 != 2".to_owned(),
        ),
        (
            number("assert-current-schema-id", "current-schema-id", 5),
            "current schema changed: expected id 5 != 0".to_owned(),
        ),
        (
            number("assert-last-assigned-partition-id", "last-assigned-partition-id", 5),
            "last assigned partition id changed: expected id 5 != 999".to_owned(),
        ),
        (
            number("assert-default-spec-id", "default-spec-id", 5),
            "default partition spec changed: expected id 5 != 0".to_owned(),
        ),
        (
            number("assert-default-sort-order-id", "default-sort-order-id", 5),
            "default sort order changed: expected id 5 != 0".to_owned(),
        ),
    ];
    for (requirement, text) in failing {
        let reply = firn.post(&path, &commit(&[requirement], &[set_property("a", "b")])).await;
        let message = reply.error_message(409, "CommitFailedException");
        assert_eq!(message, format!("Requirement failed: {text}"));
        assert_eq!(state(firn, &path).await, before);
    }
    let holding = [
        json!({ "type": "assert-table-uuid", "uuid": uuid }),
        ref_at("main", json!(7)),
        ref_at("none", Value::Null),
        number("assert-last-assigned-field-id", "last-assigned-field-id", 2),
        number("assert-current-schema-id", "current-schema-id", 0),
        number("assert-last-assigned-partition-id", "last-assigned-partition-id", 999),
        number("assert-default-spec-id", "default-spec-id", 0),
        number("assert-default-sort-order-id", "default-sort-order-id", 0),
    ];
    firn.post(&path, &commit(&holding, &[set_property("a", "b")])).await.expect(200);
}

async fn a_refused_update_changes_nothing(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let before = state(firn, &path).await;
    let metadata = &created["metadata"];
    let mut old_sequence = append(metadata, 5, "x");
    old_sequence[0]["snapshot"]["sequence-number"] = json!(0);
    old_sequence[0]["snapshot"]["parent-snapshot-id"] = json!(99);
    let refused: Vec<Vec<Value>> = vec![
        vec![json!({ "action": "assign-uuid", "uuid": catalog_server::id::random().to_string() })],
        vec![json!({ "action": "set-current-schema", "schema-id": 9 })],
        vec![json!({ "action": "set-default-spec", "spec-id": 9 })],
        vec![json!({ "action": "set-default-sort-order", "sort-order-id": 9 })],
        vec![json!({ "action": "upgrade-format-version", "format-version": 1 })],
        vec![json!({ "action": "upgrade-format-version", "format-version": 99 })],
        vec![json!({ "action": "set-snapshot-ref", "ref-name": "x", "type": "tag", "snapshot-id": 9 })],
        vec![json!({ "action": "set-snapshot-ref", "ref-name": "main", "type": "tag", "snapshot-id": 9 })],
        vec![json!({ "action": "remove-schemas", "schema-ids": [0] })],
        vec![json!({ "action": "remove-partition-specs", "spec-ids": [0] })],
        vec![json!({ "action": "no-such-update" })],
        vec![json!({})],
        vec![json!({ "action": "set-properties", "updates": { "a": 1 } })],
        old_sequence.to_vec(),
        // The first of the two updates is valid.
        vec![set_property("a", "b"), json!({ "action": "set-current-schema", "schema-id": 9 })],
    ];
    for updates in refused {
        let reply = firn.post(&path, &commit(&[], &updates)).await;
        assert!((400..500).contains(&reply.status), "{updates:?}: {} {}", reply.status, reply.text());
        let body = reply.json();
        assert!(body["error"]["message"].as_str().unwrap().len() > 10, "{body}");
        assert_eq!(state(firn, &path).await, before, "{updates:?}");
    }
}

async fn malformed_commits_are_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    // The second body is what iceberg-js sends as an update.
    for body in [json!({}), json!({ "properties": { "a": "b" } }), json!({ "updates": null })] {
        for path in [table_path(&ns, "t"), fixture::view_path(&ns, "v")] {
            let reply = firn.post(&path, &body).await;
            reply.expect_error(400, "BadRequestException", "neither `requirements` nor `updates`");
        }
        let mut change = body.clone();
        change["identifier"] = json!({ "namespace": [ns], "name": "t" });
        let transaction = json!({ "table-changes": [change] });
        let reply = firn.post("transactions/commit", &transaction).await;
        reply.expect_error(400, "BadRequestException", "neither `requirements` nor `updates`");
    }
    for body in [json!({ "requirements": [] }), json!({ "updates": [] })] {
        firn.post(&table_path(&ns, "t"), &body).await.expect(200);
    }
}

async fn a_commit_that_changes_nothing_writes_nothing(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    firn.post(&path, &commit(&[], &[set_property("a", "b")])).await.expect(200);
    let before = state(firn, &path).await;
    for updates in [vec![], vec![set_property("a", "b")]] {
        let reply = firn.post(&path, &commit(&[], &updates)).await.expect(200);
        assert_eq!(reply.json(), before.0);
        assert_eq!(state(firn, &path).await, before);
    }
}

/// Repetition of a commit by a client that has not received the response; if it were refused, the client
/// would delete the files of the commit.
async fn a_repeated_commit_is_answered_as_a_success(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = table_path(&ns, "t");
    let created = create_table(firn, &ns, "t").await;
    create_table(firn, &ns, "u").await;
    let at = |id: Value| json!({ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": id });
    let first = commit(&[at(Value::Null)], &append(&created["metadata"], 7, "first"));
    let loaded = firn.post(&path, &first).await.expect(200).json();
    let made = state(firn, &path).await;
    assert_eq!(firn.post(&path, &first).await.expect(200).json(), loaded);
    // Without a requirement as well, in a transaction with another table, and after later commits.
    firn.post(&path, &commit(&[], &append(&created["metadata"], 7, "first"))).await.expect(200);
    let with =
        change(&ns, "u", &[json!({ "type": "assert-current-schema-id", "current-schema-id": 9 })], &[]);
    let both = json!({ "table-changes": [with, change(&ns, "t", &[at(Value::Null)], &append(&created["metadata"], 7, "first"))] });
    firn.post("transactions/commit", &both).await.expect(204);
    assert_eq!(state(firn, &path).await, made);
    let second = commit(&[at(json!(7))], &append(&loaded["metadata"], 8, "second"));
    let later = firn.post(&path, &second).await.expect(200).json();
    assert_eq!(firn.post(&path, &first).await.expect(200).json(), later);
    // A different snapshot with the same id, or with the same content under another id, is a different
    // commit.
    for (id, marker) in [(7, "other"), (9, "first")] {
        let other = commit(&[at(Value::Null)], &append(&created["metadata"], id, marker));
        firn.post(&path, &other).await.error_message(409, "CommitFailedException");
    }
    let mut elsewhere = append(&created["metadata"], 7, "first");
    elsewhere[0]["snapshot"]["manifest-list"] =
        json!(format!("{}/metadata/other.avro", created["metadata"]["location"].as_str().unwrap()));
    firn.post(&path, &commit(&[at(Value::Null)], &elsewhere))
        .await
        .error_message(409, "CommitFailedException");
    assert_eq!(firn.get(&path).await.expect(200).json(), later);
}

async fn the_metadata_of_the_last_commit_is_cached(backend: Backend) {
    let firn = Firn::start(Setup::new(backend).await.with("FIRN_CACHE__METADATA_BYTES", "16777216"));
    let ns = fixture::namespace(&firn).await;
    let path = table_path(&ns, "t");
    create_table(&firn, &ns, "t").await;
    firn.post(&path, &commit(&[], &[set_property("text", &"x".repeat(1 << 20))])).await.expect(200);
    // Far more versions than there is memory for, each of them used several times.
    for number in 0..40 {
        firn.post(&path, &commit(&[], &[set_property("number", &number.to_string())])).await.expect(200);
        for _ in 0..3 {
            firn.get(&path).await.expect(200);
        }
    }
    let metrics = firn.request("GET", "/metrics", None, &[]).await.expect(200).text();
    let misses = metrics.lines().find(|line| line.starts_with("firn_metadata_cache_misses_total"));
    assert!(misses.is_none_or(|line| line.ends_with(" 0")), "{misses:?}");
}

async fn concurrent_commits_whose_requirements_hold_all_succeed(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let uuid = json!({ "type": "assert-table-uuid", "uuid": created["metadata"]["table-uuid"] });
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            tokio::spawn({
                let (client, path, uuid) = ((**firn).clone(), path.clone(), uuid.clone());
                async move {
                    for round in 0..3 {
                        let set = set_property(&format!("w{writer}r{round}"), "x");
                        client.post(&path, &commit(std::slice::from_ref(&uuid), &[set])).await.expect(200);
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let (body, files) = state(firn, &path).await;
    let written = body["metadata"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| key.starts_with('w') && key.contains('r') && !key.contains('.'))
        .count();
    assert_eq!(written, 48);
    let log = body["metadata"]["metadata-log"].as_array().unwrap();
    assert_eq!(log.len(), 48, "a version is missing from the log");
    assert_eq!(files.len(), 49, "a refused request left a file");
}

async fn of_concurrent_appends_to_one_snapshot_one_succeeds(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let mut metadata = create_table(firn, &ns, "t").await["metadata"].clone();
    let path = table_path(&ns, "t");
    for round in 0..3_i64 {
        let at_head = json!({ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": current_snapshot(&metadata) });
        let attempts: Vec<_> = (0..6)
            .map(|writer| {
                tokio::spawn({
                    let updates = append(&metadata, 1 + round * 100 + writer, "x");
                    let (client, path, at_head) = ((**firn).clone(), path.clone(), at_head.clone());
                    async move { client.post(&path, &commit(&[at_head], &updates)).await }
                })
            })
            .collect();
        let mut winners = 0;
        for attempt in attempts {
            let reply = attempt.await.unwrap();
            match reply.status {
                200 => winners += 1,
                _ => reply.expect_error(409, "CommitFailedException", "Requirement failed: branch main"),
            }
        }
        assert_eq!(winners, 1);
        metadata = firn.get(&path).await.json()["metadata"].clone();
        assert_eq!(metadata["snapshots"].as_array().unwrap().len(), usize::try_from(round).unwrap() + 1);
    }
}

async fn the_body_must_name_the_table_of_the_path(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    create_table(firn, &ns, "u").await;
    let set = [set_property("a", "b")];
    firn.post(&table_path(&ns, "t"), &fixture::change(&ns, "t", &[], &set)).await.expect(200);
    let reply = firn.post(&table_path(&ns, "t"), &fixture::change(&ns, "u", &[], &set)).await;
    reply.expect_error(400, "IllegalArgumentException", "the body names table `u`");
}

async fn evolution_branches_and_upgrades_work_step_by_step(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let body = json!({ "name": "t", "schema": fixture::schema(), "properties": { "format-version": "1" } });
    let mut body = firn.post(&fixture::tables(&ns), &body).await.expect(200).json();
    let path = table_path(&ns, "t");
    for version in [2, 3] {
        let up = json!({ "action": "upgrade-format-version", "format-version": version });
        body = firn.post(&path, &commit(&[], &[up])).await.expect(200).json();
        assert_eq!(body["metadata"]["format-version"], version);
    }
    let mut updates = append(&body["metadata"], 1, "x");
    updates[0]["snapshot"]["first-row-id"] = json!(0);
    updates[0]["snapshot"]["added-rows"] = json!(1);
    firn.post(&path, &commit(&[], &updates)).await.expect(200);
    for (name, kind) in [("audit", "branch"), ("v1.0", "tag"), ("ü/x", "tag")] {
        let set = json!({ "action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": 1 });
        body = firn.post(&path, &commit(&[], &[set])).await.expect(200).json();
        assert_eq!(body["metadata"]["refs"][name]["type"], kind);
    }
    let gone = json!({ "action": "remove-snapshot-ref", "ref-name": "v1.0" });
    body = firn.post(&path, &commit(&[], &[gone])).await.expect(200).json();
    assert!(body["metadata"]["refs"].get("v1.0").is_none());
    assert_eq!(firn.get(&path).await.expect(200).json(), body);
}

tests::on_both_databases!(
    each_requirement_is_checked_with_javas_words,
    a_refused_update_changes_nothing,
    a_repeated_commit_is_answered_as_a_success,
    the_metadata_of_the_last_commit_is_cached,
    a_commit_that_changes_nothing_writes_nothing,
    malformed_commits_are_refused,
    concurrent_commits_whose_requirements_hold_all_succeed,
    of_concurrent_appends_to_one_snapshot_one_succeeds,
    the_body_must_name_the_table_of_the_path,
    evolution_branches_and_upgrades_work_step_by_step,
);
