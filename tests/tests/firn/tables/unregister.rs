//! Unregistering of tables: they are removed from the catalog, and their files remain.

use serde_json::json;
use tests::fixture::{self, commit, create_table, local, set_property, table_path};
use tests::process::{self, Backend};

async fn unregistering_returns_the_metadata_and_keeps_every_file(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let last = firn.post(&path, &commit(&[], &[set_property("a", "b")])).await.expect(200).json();
    let out = firn.send("POST", &format!("{path}/unregister"), None, &[]).await.expect(200).json();
    assert_eq!(out, last);
    assert_eq!(firn.head(&path).await, 404);
    let folder = format!("{}/metadata", local(last["metadata"]["location"].as_str().unwrap()));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2);
    // Its folder is free for a registration, here or in another catalog.
    let body = json!({ "name": "u", "metadata-location": last["metadata-location"] });
    firn.post(&format!("{}/register", fixture::namespace_path(&ns)), &body).await.expect(200);
    let again = firn.send("POST", &format!("{path}/unregister"), None, &[]).await;
    again.expect_error(404, "NoSuchTableException", "Table does not exist");
}

async fn a_view_is_not_unregistered_as_a_table(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    let reply = firn.send("POST", &format!("{}/unregister", table_path(&ns, "v")), None, &[]).await;
    reply.expect_error(404, "NoSuchTableException", "Table does not exist");
    assert_eq!(firn.head(&fixture::view_path(&ns, "v")).await, 204);
}

tests::on_both_databases!(
    unregistering_returns_the_metadata_and_keeps_every_file,
    a_view_is_not_unregistered_as_a_table
);
