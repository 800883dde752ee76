//! Dropping of tables. The deletion of their files is tested in [`crate::purge`].

use tests::fixture::{self, create_table, table_path};
use tests::process::{self, Backend};

async fn a_dropped_table_is_gone_and_its_name_can_be_reused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = table_path(&ns, "t");
    let mut uuids = Vec::new();
    for query in ["", "?purgeRequested=false", "?purgeRequested=true", "?purgeRequested=True"] {
        uuids.push(create_table(firn, &ns, "t").await["metadata"]["table-uuid"].clone());
        let reply = firn.delete(&format!("{path}{query}")).await.expect(204);
        assert!(reply.body.is_empty());
        let missing = format!("Table does not exist: {ns}.t");
        firn.get(&path).await.expect_error(404, "NoSuchTableException", &missing);
        firn.delete(&path).await.expect_error(404, "NoSuchTableException", &missing);
        firn.delete(&format!("{path}?purgeRequested=true")).await.expect_error(
            404,
            "NoSuchTableException",
            &missing,
        );
    }
    uuids.dedup();
    assert_eq!(uuids.len(), 4);
    create_table(firn, &ns, "t").await;
    firn.delete(&format!("{path}?purgeRequested=maybe")).await.expect_error(
        400,
        "BadRequestException",
        "purgeRequested",
    );
    assert_eq!(firn.head(&path).await, 204);
}

async fn a_view_is_not_dropped_as_a_table(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    create_table(firn, &ns, "t").await;
    firn.delete(&table_path(&ns, "v")).await.expect_error(
        404,
        "NoSuchTableException",
        "Table does not exist",
    );
    firn.delete(&fixture::view_path(&ns, "t")).await.expect_error(
        404,
        "NoSuchViewException",
        "View does not exist",
    );
    assert_eq!(
        (firn.head(&fixture::view_path(&ns, "v")).await, firn.head(&table_path(&ns, "t")).await),
        (204, 204)
    );
}

async fn of_concurrent_drops_one_succeeds(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let drops: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let (client, path) = ((**firn).clone(), path.clone());
                async move { client.delete(&path).await.status }
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for drop in drops {
        statuses.push(drop.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404, 404, 404, 404, 404]);
}

tests::on_both_databases!(
    a_dropped_table_is_gone_and_its_name_can_be_reused,
    a_view_is_not_dropped_as_a_table,
    of_concurrent_drops_one_succeeds,
);
