//! Entity tags: with `If-None-Match`, metadata is not sent again while it is unchanged, for the same
//! `snapshots` mode.

use serde_json::json;
use tests::fixture::{self, append, commit, set_property, table_path};
use tests::http::Reply;
use tests::process::{self, Backend, Firn};

async fn load(firn: &Firn, path: &str, tag: &str) -> Reply {
    firn.send("GET", path, None, &[("if-none-match", tag)]).await
}

async fn a_matching_tag_gets_304_without_a_body(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let tag = firn.get(&path).await.expect(200).header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{tag}");
    for sent in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let reply = load(firn, &path, &sent).await.expect(304);
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("etag"), tag, "{sent}");
    }
    for sent in ["", "\"x\"", tag.trim_matches('"')] {
        load(firn, &path, sent).await.expect(200);
    }
}

async fn a_commit_changes_the_tag_and_returns_the_new_one(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = table_path(&ns, "t");
    let created = firn.post(&fixture::tables(&ns), &fixture::table("t")).await.expect(200);
    let first = created.header("etag").to_owned();
    load(firn, &path, &first).await.expect(304);
    let changed = firn.post(&path, &commit(&[], &[set_property("a", "b")])).await.expect(200);
    let second = changed.header("etag").to_owned();
    assert_ne!(first, second);
    load(firn, &path, &first).await.expect(200);
    load(firn, &path, &second).await.expect(304);
    // A rename does not change the metadata.
    firn.post("tables/rename", &fixture::rename(&ns, "t", "u")).await.expect(204);
    load(firn, &table_path(&ns, "u"), &second).await.expect(304);
    load(firn, &path, &second).await.expect_error(404, "NoSuchTableException", "Table does not exist");
}

async fn the_refs_mode_has_its_own_tag(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let path = table_path(&ns, "t");
    let mut metadata = fixture::create_table(firn, &ns, "t").await["metadata"].clone();
    for id in [11, 12, 13] {
        metadata =
            firn.post(&path, &commit(&[], &append(&metadata, id, "x"))).await.expect(200).json()["metadata"]
                .clone();
    }
    let refs = format!("{path}?snapshots=refs");
    let (all, some) = (firn.get(&path).await.expect(200), firn.get(&refs).await.expect(200));
    assert_eq!(all.json()["metadata"]["snapshots"].as_array().unwrap().len(), 3);
    let kept = some.json()["metadata"]["snapshots"].clone();
    assert_eq!(kept.as_array().unwrap().len(), 1);
    assert_eq!(kept[0]["snapshot-id"], json!(13));
    assert_ne!(all.header("etag"), some.header("etag"));
    load(firn, &refs, all.header("etag")).await.expect(200);
    load(firn, &path, some.header("etag")).await.expect(200);
    load(firn, &refs, some.header("etag")).await.expect(304);
    assert_eq!(firn.get(&format!("{path}?snapshots=all")).await.expect(200).body, all.body);
    firn.get(&format!("{path}?snapshots=some")).await.expect_error(
        400,
        "BadRequestException",
        "`all` or `refs`",
    );
    // The modes differ only in the snapshots.
    let (mut all, mut some) = (all.json(), some.json());
    for body in [&mut all, &mut some] {
        body["metadata"].as_object_mut().unwrap().remove("snapshots");
    }
    assert_eq!(all, some);
}

async fn a_tag_survives_a_restart(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    fixture::create_table(&firn, &ns, "t").await;
    let path = table_path(&ns, "t");
    let before = firn.get(&path).await.expect(200);
    firn.restart();
    load(&firn, &path, before.header("etag")).await.expect(304);
    assert_eq!(firn.get(&path).await.expect(200).body, before.body);
}

tests::on_both_databases!(
    a_matching_tag_gets_304_without_a_body,
    a_commit_changes_the_tag_and_returns_the_new_one,
    the_refs_mode_has_its_own_tag,
    a_tag_survives_a_restart,
);
