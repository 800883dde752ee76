//! Renaming of tables, within a namespace and across namespaces.

use serde_json::json;
use tests::fixture::{self, create_table, rename, table_path};
use tests::process::{self, Backend};

async fn a_renamed_table_is_the_same_table(backend: Backend) {
    let firn = process::shared(backend).await;
    let (from, to) = (fixture::namespace(firn).await, fixture::namespace(firn).await);
    let created = create_table(firn, &from, "t").await;
    let body = json!({ "source": { "namespace": [from], "name": "t" }, "destination": { "namespace": [to], "name": "ü/%" } });
    let reply = firn.post("tables/rename", &body).await.expect(204);
    assert!(reply.body.is_empty());
    assert_eq!(firn.get(&table_path(&to, "ü/%")).await.expect(200).json(), created);
    assert_eq!(firn.head(&table_path(&from, "t")).await, 404);
    // The old name is free, and the old namespace is empty.
    create_table(firn, &from, "t").await;
    firn.delete(&table_path(&from, "t")).await.expect(204);
    firn.delete(&fixture::namespace_path(&from)).await.expect(204);
}

async fn refused_renames_have_different_errors(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "a").await;
    create_table(firn, &ns, "b").await;
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    let move_to = |from: &str, namespace: &str, to: &str| {
        json!({
        "source": { "namespace": [ns], "name": from }, "destination": { "namespace": [namespace], "name": to } })
    };
    let refused = firn.post("tables/rename", &rename(&ns, "a", "b")).await;
    refused.expect_error(
        409,
        "AlreadyExistsException",
        &format!("Cannot rename {ns}.a to {ns}.b. Table already exists"),
    );
    let refused = firn.post("tables/rename", &rename(&ns, "a", "v")).await;
    refused.expect_error(
        409,
        "AlreadyExistsException",
        &format!("Cannot rename {ns}.a to {ns}.v. View already exists"),
    );
    let refused = firn.post("tables/rename", &rename(&ns, "none", "c")).await;
    refused.expect_error(404, "NoSuchTableException", &format!("Table does not exist: {ns}.none"));
    let refused = firn.post("tables/rename", &move_to("a", "none", "a")).await;
    refused.expect_error(404, "NoSuchNamespaceException", "Namespace does not exist: none");
    let refused = firn.post("tables/rename", &rename(&ns, "v", "w")).await;
    refused.expect_error(404, "NoSuchTableException", "Table does not exist");
    firn.post("tables/rename", &rename(&ns, "a", "a")).await.expect(204);
    for name in ["", ".", "..", "\0"] {
        firn.post("tables/rename", &rename(&ns, "a", name)).await.expect_error(
            400,
            "IllegalArgumentException",
            "Invalid name",
        );
    }
    assert_eq!(firn.head(&table_path(&ns, "a")).await, 204);
}

async fn concurrent_renames_lose_no_table(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "start").await;
    let renames: Vec<_> = (0..8)
        .map(|number| {
            tokio::spawn({
                let (client, body) = ((**firn).clone(), rename(&ns, "start", &format!("end{number}")));
                async move { client.post("tables/rename", &body).await.status }
            })
        })
        .collect();
    let mut done = 0;
    for rename in renames {
        match rename.await.unwrap() {
            204 => done += 1,
            status => assert_eq!(status, 404),
        }
    }
    assert_eq!(done, 1);
    let listed = firn.get(&fixture::tables(&ns)).await.json();
    assert_eq!(listed["identifiers"].as_array().unwrap().len(), 1);
}

async fn a_commit_during_a_rename_is_kept_or_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t0").await;
    for round in 0..10 {
        let (from, to) = (format!("t{round}"), format!("t{}", round + 1));
        let (path, body) = (table_path(&ns, &from), rename(&ns, &from, &to));
        let marker = format!("k{round}");
        let change = fixture::commit(&[], &[fixture::set_property(&marker, "x")]);
        let (renamed, committed) = tokio::join!(firn.post("tables/rename", &body), firn.post(&path, &change));
        renamed.expect(204);
        let loaded = firn.get(&table_path(&ns, &to)).await.expect(200).json();
        let is_there = loaded["metadata"]["properties"].get(&marker).is_some();
        if committed.status == 200 {
            assert!(is_there, "an acknowledged commit is lost");
        } else {
            committed.expect_error(404, "NoSuchTableException", "Table does not exist");
            assert!(!is_there, "a refused commit is visible");
        }
    }
}

tests::on_both_databases!(
    a_commit_during_a_rename_is_kept_or_refused,
    a_renamed_table_is_the_same_table,
    refused_renames_have_different_errors,
    concurrent_renames_lose_no_table,
);
