//! Error responses: always in the form of the protocol, for every kind of request.

use tests::fixture;
use tests::process::{self, Backend};

async fn unknown_endpoints_are_errors_in_the_protocols_form(backend: Backend) {
    let firn = process::shared(backend).await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("GET", "/v1/main"),
        ("POST", "/v2/config"),
        ("GET", "/v1/main/namespaces/a/functions"),
        ("POST", "/v1/main/oauth/tokens"),
        ("GET", "/v1/main/namespaces/a/b"),
        ("GET", "//v1/config"),
        ("GET", "/v1/config/"),
    ] {
        let reply = firn.request(method, path, None, &[]).await;
        reply.expect_error(404, "NotFoundException", "no such route");
    }
    for (method, path) in [
        ("PUT", "/v1/main/namespaces"),
        ("DELETE", "/v1/config"),
        ("PATCH", "/metrics"),
        ("OPTIONS", "/v1/main/namespaces/a/tables/b"),
        ("TRACE", "/health/live"),
    ] {
        let reply = firn.request(method, path, None, &[]).await;
        reply.expect_error(405, "UnsupportedOperationException", "is not supported on");
    }
    let head = firn.request("HEAD", "/v1/main/namespaces/none", None, &[]).await.expect(404);
    assert!(head.body.is_empty());
}

async fn a_missing_namespace_and_a_missing_table_are_different_errors(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    firn.get(&fixture::tables("none")).await.expect_error(
        404,
        "NoSuchNamespaceException",
        "Namespace does not exist: none",
    );
    firn.get(&fixture::views("none")).await.expect_error(
        404,
        "NoSuchNamespaceException",
        "Namespace does not exist: none",
    );
    let created = firn.post(&fixture::tables("none"), &fixture::table("t")).await;
    created.expect_error(404, "NoSuchNamespaceException", "Namespace does not exist: none");
    let name = format!("{ns}.none");
    firn.get(&fixture::table_path(&ns, "none")).await.expect_error(
        404,
        "NoSuchTableException",
        &format!("Table does not exist: {name}"),
    );
    firn.get(&fixture::view_path(&ns, "none")).await.expect_error(
        404,
        "NoSuchViewException",
        &format!("View does not exist: {name}"),
    );
    // The name exists, but for an object of the other kind.
    fixture::create_table(firn, &ns, "t").await;
    firn.post(&fixture::views(&ns), &fixture::view("v", "select 1")).await.expect(200);
    firn.get(&fixture::table_path(&ns, "v")).await.expect_error(
        404,
        "NoSuchTableException",
        "Table does not exist",
    );
    firn.get(&fixture::view_path(&ns, "t")).await.expect_error(
        404,
        "NoSuchViewException",
        "View does not exist",
    );
    assert_eq!(firn.head(&fixture::table_path(&ns, "v")).await, 404);
    assert_eq!(firn.head(&fixture::view_path(&ns, "t")).await, 404);
}

async fn a_malformed_body_is_400_with_a_position(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    for path in [
        fixture::tables(&ns),
        fixture::table_path(&ns, "t"),
        fixture::views(&ns),
        "tables/rename".to_owned(),
        "transactions/commit".to_owned(),
        format!("{}/register", fixture::namespace_path(&ns)),
    ] {
        for body in ["", "{", "[]", "null", "\"x\"", "1", "{\"name\":}", "\u{feff}{}"] {
            let reply = firn.send("POST", &path, Some(body.to_owned()), &[]).await;
            let message = reply.error_message(400, "BadRequestException");
            assert!(message.len() > 10, "{path} {body}: {message}");
        }
    }
    let twice = "{\"namespace\":[\"a\"],\"namespace\":[\"b\"]}".to_owned();
    firn.send("POST", "namespaces", Some(twice), &[]).await.expect_error(
        400,
        "BadRequestException",
        "duplicate field",
    );
}

async fn a_missing_metadata_file_is_404_not_found(backend: Backend) {
    let mut firn = tests::process::Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let created = fixture::create_table(&firn, &ns, "t").await;
    let location = created["metadata-location"].as_str().unwrap().to_owned();
    firn.restart();
    std::fs::remove_file(fixture::local(&location)).unwrap();
    let reply = firn.get(&fixture::table_path(&ns, "t")).await;
    reply.expect_error(
        404,
        "NotFoundException",
        &format!("Failed to open input stream for file: {location}"),
    );
    // The table still exists by name, and can be renamed and dropped.
    assert_eq!(firn.head(&fixture::table_path(&ns, "t")).await, 204);
    firn.post("tables/rename", &fixture::rename(&ns, "t", "u")).await.expect(204);
    let commit = fixture::commit(&[], &[fixture::set_property("a", "b")]);
    firn.post(&fixture::table_path(&ns, "u"), &commit).await.expect_error(
        404,
        "NotFoundException",
        "Failed to open",
    );
    firn.delete(&format!("{}?purgeRequested=true", fixture::table_path(&ns, "u"))).await.expect(204);
}

async fn a_broken_metadata_file_fails_one_table_only(backend: Backend) {
    let mut firn = tests::process::Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    fixture::create_table(&firn, &ns, "whole").await;
    let created = fixture::create_table(&firn, &ns, "broken").await;
    firn.restart();
    let file = fixture::local(created["metadata-location"].as_str().unwrap());
    std::fs::write(file, "{\"format-version\":2,").unwrap();
    let commit = fixture::commit(&[], &[fixture::set_property("a", "b")]);
    let reply = firn.post(&fixture::table_path(&ns, "broken"), &commit).await;
    reply.expect_error(500, "InternalServerError", "cannot be used");
    firn.get(&fixture::table_path(&ns, "whole")).await.expect(200);
    firn.delete(&fixture::table_path(&ns, "broken")).await.expect(204);
    firn.check_no_panic();
}

async fn every_response_has_a_request_id(backend: Backend) {
    let firn = process::shared(backend).await;
    for path in ["/v1/config", "/v1/main/namespaces/none", "/nowhere", "/health/live"] {
        let reply = firn.request("GET", path, None, &[]).await;
        assert_eq!(reply.header("x-request-id").len(), 36, "{path}");
        let reply = firn.request("GET", path, None, &[("x-request-id", "not a uuid\u{9}")]).await;
        assert_eq!(reply.header("x-request-id").len(), 36, "{path}");
    }
}

tests::on_both_databases!(
    unknown_endpoints_are_errors_in_the_protocols_form,
    a_missing_namespace_and_a_missing_table_are_different_errors,
    a_malformed_body_is_400_with_a_position,
    a_missing_metadata_file_is_404_not_found,
    a_broken_metadata_file_fails_one_table_only,
    every_response_has_a_request_id,
);
