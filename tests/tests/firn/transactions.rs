//! Commits to several tables: all of them are changed, or none.

use serde_json::{Value, json};
use tests::fixture::{self, change, create_table, creation, set_property, table_path};
use tests::process::{self, Backend, Firn};

async fn transact(firn: &Firn, changes: &[Value]) -> tests::http::Reply {
    firn.post("transactions/commit", &json!({ "table-changes": changes })).await
}

fn files(firn: &Firn, ns: &str) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        entries.flatten().map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(&firn.warehouse().join(ns))
}

async fn all_tables_change_or_none(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let mut before = Vec::new();
    for name in ["a", "b", "c"] {
        before.push(create_table(firn, &ns, name).await);
    }
    let set = [set_property("k", "v")];
    let stale = [json!({ "type": "assert-current-schema-id", "current-schema-id": 7 })];
    let bad = [json!({ "action": "set-current-schema", "schema-id": 7 })];
    let outside = [json!({ "action": "set-location", "location": "file:///etc" })];
    let create = [json!({ "type": "assert-create" })];
    let location = before[0]["metadata"]["location"].as_str().unwrap();
    let files_before = files(firn, &ns);
    for (failing, status) in [
        (change(&ns, "c", &stale, &set), 409),
        (change(&ns, "c", &[], &bad), 400),
        (change(&ns, "c", &[], &outside), 400),
        (change(&ns, "none", &[], &set), 404),
        (change("none", "c", &create, &creation("x")), 404),
        (change(&ns, "c", &create, &creation(location)), 409),
        (change(&ns, "new", &create, &creation(location)), 400),
        (change(&ns, "a", &[], &set), 400),
        (json!({ "updates": set }), 400),
    ] {
        let reply =
            transact(firn, &[change(&ns, "a", &[], &set), change(&ns, "b", &[], &set), failing.clone()])
                .await;
        assert_eq!(reply.status, status, "{failing}: {}", reply.text());
        for (name, before) in ["a", "b", "c"].iter().zip(&before) {
            assert_eq!(&firn.get(&table_path(&ns, name)).await.json(), before, "{failing}");
        }
        assert_eq!(firn.head(&table_path(&ns, "new")).await, 404);
        assert_eq!(files(firn, &ns), files_before, "{failing} left a file behind");
    }
    transact(firn, &[change(&ns, "a", &[], &set), change(&ns, "b", &[], &set)]).await.expect(204);
    for name in ["a", "b"] {
        assert_eq!(firn.get(&table_path(&ns, name)).await.json()["metadata"]["properties"]["k"], "v");
    }
    transact(firn, &[]).await;
    firn.post("transactions/commit", &json!({ "table-changes": 1 }))
        .await
        .error_message(400, "BadRequestException");
}

async fn staged_tables_are_created_with_the_rest(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "old").await;
    let create = [json!({ "type": "assert-create" })];
    let place = |name: &str| format!("file://{}/{}", firn.warehouse().display(), fixture::unique(name));
    let (one, two) = (place("one"), place("two"));
    transact(
        firn,
        &[
            change(&ns, "one", &create, &creation(&one)),
            change(&ns, "old", &[], &[set_property("k", "v")]),
            change(&ns, "two", &create, &creation(&two)),
        ],
    )
    .await
    .expect(204);
    for (name, location) in [("one", &one), ("two", &two)] {
        assert_eq!(
            &firn.get(&table_path(&ns, name)).await.expect(200).json()["metadata"]["location"],
            location
        );
    }
    // Two new tables cannot share a folder, not even within one transaction.
    let shared = place("shared");
    let reply = transact(
        firn,
        &[
            change(&ns, "x", &create, &creation(&shared)),
            change(&ns, "y", &create, &creation(&format!("{shared}/inside"))),
        ],
    )
    .await;
    reply.expect_error(400, "IllegalArgumentException", "nvalid location");
    assert_eq!((firn.head(&table_path(&ns, "x")).await, firn.head(&table_path(&ns, "y")).await), (404, 404));
}

async fn transactions_are_never_partially_visible_and_never_deadlock(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for name in ["a", "b"] {
        create_table(firn, &ns, name).await;
    }
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            tokio::spawn({
                let (client, ns) = ((**firn).clone(), ns.clone());
                async move {
                    for round in 0..4 {
                        let set = [set_property(&format!("w{writer}"), &round.to_string())];
                        let mut changes = vec![change(&ns, "a", &[], &set), change(&ns, "b", &[], &set)];
                        if writer % 2 == 1 {
                            changes.reverse();
                        }
                        client
                            .post("transactions/commit", &json!({ "table-changes": changes }))
                            .await
                            .expect(204);
                    }
                }
            })
        })
        .collect();
    let count = |body: &Value| body["metadata"]["metadata-log"].as_array().map_or(0, Vec::len);
    while writers.iter().any(|writer| !writer.is_finished()) {
        // `b` is read after `a`, so it can be newer, but never older.
        let a = firn.get(&table_path(&ns, "a")).await.expect(200).json();
        let b = firn.get(&table_path(&ns, "b")).await.expect(200).json();
        assert!(count(&b) >= count(&a), "a transaction was partially visible");
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for name in ["a", "b"] {
        let body = firn.get(&table_path(&ns, name)).await.json();
        assert_eq!(count(&body), 24);
        for writer in 0..6 {
            assert_eq!(body["metadata"]["properties"][format!("w{writer}")], "3");
        }
    }
}

async fn requirements_hold_for_the_state_that_is_replaced(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let (a, b) = (create_table(firn, &ns, "a").await, create_table(firn, &ns, "b").await);
    let none = json!({ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null });
    let attempts: Vec<_> = (1..=6)
        .map(|id| {
            tokio::spawn({
                let changes = [
                    change(&ns, "a", std::slice::from_ref(&none), &fixture::append(&a["metadata"], id, "x")),
                    change(&ns, "b", std::slice::from_ref(&none), &fixture::append(&b["metadata"], id, "x")),
                ];
                let client = (**firn).clone();
                async move { client.post("transactions/commit", &json!({ "table-changes": changes })).await }
            })
        })
        .collect();
    let mut done = 0;
    for attempt in attempts {
        let reply = attempt.await.unwrap();
        match reply.status {
            204 => done += 1,
            _ => reply.expect_error(
                409,
                "CommitFailedException",
                "Requirement failed: branch main was created concurrently",
            ),
        }
    }
    assert_eq!(done, 1);
    let head = |body: Value| body["metadata"]["current-snapshot-id"].clone();
    let heads = (
        head(firn.get(&table_path(&ns, "a")).await.json()),
        head(firn.get(&table_path(&ns, "b")).await.json()),
    );
    assert_eq!(heads.0, heads.1);
}

async fn too_many_tables_are_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let changes: Vec<_> = (0..1_001).map(|number| change("ns", &format!("t{number}"), &[], &[])).collect();
    transact(firn, &changes).await.expect_error(400, "IllegalArgumentException", "at most 1000");
}

tests::on_both_databases!(
    all_tables_change_or_none,
    staged_tables_are_created_with_the_rest,
    transactions_are_never_partially_visible_and_never_deadlock,
    requirements_hold_for_the_state_that_is_replaced,
    too_many_tables_are_refused,
);
