//! Limits of a request: size, depth, time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tests::fixture::{self, commit, set_property, table_path, tables};
use tests::process::{self, Backend, Firn, Setup};

/// Sends bytes over a connection, and reads until the server closes it.
fn send_raw(firn: &Firn, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(firn.root().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(sent).unwrap();
    let mut response = Vec::new();
    // A server that refuses a request may reset the connection after its response.
    drop(stream.read_to_end(&mut response));
    String::from_utf8_lossy(&response).into_owned()
}

async fn a_body_over_the_limit_is_413(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let before = firn.resident_bytes();
    let body = commit(&[], &[set_property("k", &"x".repeat(64 << 20))]).to_string();
    for path in [table_path(&ns, "t"), "namespaces".to_owned(), format!("{}/metrics", table_path(&ns, "t"))] {
        match tests::http::try_send("POST", &firn.url(&path), Some(body.clone()), &[]).await {
            Ok(reply) => reply.expect_error(413, "BadRequestException", "limits.body-bytes"),
            // Closed while the body was still being sent: the response may get lost, but the request must not
            // be carried out.
            Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
        }
    }
    let metadata = firn.get(&table_path(&ns, "t")).await.expect(200).json();
    assert!(metadata["metadata"]["properties"].get("k").is_none());
    let grown = firn.resident_bytes().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes more after refusing three bodies of 64 MB");
}

async fn a_table_may_have_ten_thousand_columns(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let column =
        |id: usize| json!({ "id": id, "name": format!("column_{id}"), "required": false, "type": "string" });
    let columns: Vec<_> = (1..=10_000).map(column).collect();
    let schema = json!({ "type": "struct", "schema-id": 0, "fields": columns });
    let created =
        firn.post(&tables(&ns), &json!({ "name": "wide", "schema": schema })).await.expect(200).json();
    assert_eq!(created["metadata"]["last-column-id"], 10_000);
    let mut wider = created["metadata"]["schemas"][0].clone();
    wider["fields"].as_array_mut().unwrap().push(column(10_001));
    let updates = [
        json!({ "action": "add-schema", "schema": wider, "last-column-id": 10_001 }),
        json!({ "action": "set-current-schema", "schema-id": -1 }),
    ];
    let path = table_path(&ns, "wide");
    let changed = firn.post(&path, &commit(&[], &updates)).await.expect(200).json();
    assert_eq!(changed["metadata"]["schemas"][1]["fields"].as_array().unwrap().len(), 10_001);
    assert_eq!(firn.get(&path).await.expect(200).json(), changed);
}

async fn deep_json_is_refused_and_does_not_crash(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let depth = 100_000;
    let deep_type = format!(
        "{}\"string\"{}",
        r#"{"type":"list","element-id":1,"element-required":false,"element":"#.repeat(depth),
        "}".repeat(depth)
    );
    let schema = format!(
        r#"{{"type":"struct","schema-id":0,"fields":[{{"id":1,"name":"a","required":false,"type":{deep_type}}}]}}"#
    );
    let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (path, body) in [
        (tables(&ns), format!(r#"{{"name":"deep","schema":{schema}}}"#)),
        (tables(&ns), format!(r#"{{"name":"deep","schema":{arrays}}}"#)),
        (table_path(&ns, "t"), format!(r#"{{"updates":[{{"action":"add-schema","schema":{schema}}}]}}"#)),
        (table_path(&ns, "t"), format!(r#"{{"updates":{arrays}}}"#)),
        (
            format!("{}/metrics", table_path(&ns, "t")),
            format!(r#"{{"report-type":"scan-report","filter":{arrays}}}"#),
        ),
        ("transactions/commit".to_owned(), arrays.clone()),
        ("namespaces".to_owned(), arrays),
    ] {
        let reply = firn.send("POST", &path, Some(body), &[]).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.len() < 2_000, "a message of {} bytes", message.len());
    }
    firn.get("namespaces").await.expect(200);
    firn.check_no_panic();
}

async fn nested_types_of_sensible_depth_work(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let mut nested = json!("string");
    for id in (2..=20).rev() {
        nested = json!({ "type": "list", "element-id": id, "element-required": false, "element": nested });
    }
    let fields = json!([{ "id": 1, "name": "deep", "required": false, "type": nested }]);
    let body = json!({ "name": "t", "schema": { "type": "struct", "schema-id": 0, "fields": fields } });
    firn.post(&tables(&ns), &body).await.expect(200);
}

tests::on_both_databases!(
    a_body_over_the_limit_is_413,
    a_table_may_have_ten_thousand_columns,
    deep_json_is_refused_and_does_not_crash,
    nested_types_of_sensible_depth_work,
);

#[test]
fn a_connection_with_slow_headers_is_closed() {
    process::run(async {
        let firn = Firn::start(Setup::new(Backend::Sqlite).await.with("FIRN_LIMITS__HEADER_MS", "300"));
        let response = send_raw(&firn, b"GET /v1/config HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 408"), "{response}");
        firn.get("namespaces").await.expect(200);
    });
}

#[test]
fn a_slow_body_is_408() {
    process::run(async {
        let firn = Firn::start(Setup::new(Backend::Sqlite).await.with("FIRN_LIMITS__REQUEST_MS", "600"));
        let head = "POST /v1/main/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: 1000\r\n\r\n{\"namespace\":";
        let response = send_raw(&firn, head.as_bytes());
        assert!(response.starts_with("HTTP/1.1 408"), "{response}");
        let body: Value = serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["error"]["code"], 408);
        assert!(
            body["error"]["message"].as_str().unwrap().contains("did not arrive within 300 ms"),
            "{body}"
        );
    });
}

#[test]
fn oversized_headers_and_urls_are_refused_without_5xx() {
    process::run(async {
        let firn = process::shared(Backend::Sqlite).await;
        let long = "x".repeat(1 << 20);
        for sent in [
            format!("GET /v1/config?{long} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
            format!(
                "GET /v1/config HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\nConnection: close\r\n\r\n"
            ),
            format!("GET /v1/config HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(1_000)),
        ] {
            let response = send_raw(firn, sent.as_bytes());
            assert!(
                response.is_empty() || response.starts_with("HTTP/1.1 4"),
                "{}",
                &response[..response.len().min(200)]
            );
        }
        firn.get("namespaces").await.expect(200);
    });
}

#[test]
fn a_metadata_file_over_the_limit_is_refused() {
    process::run(async {
        let mut firn = Firn::new(Backend::Sqlite).await;
        let ns = fixture::namespace(&firn).await;
        let created = fixture::create_table(&firn, &ns, "t").await;
        firn.delete(&table_path(&ns, "t")).await.expect(204);
        firn.restart_with(|setup| drop(setup.env.insert("FIRN_LIMITS__METADATA_BYTES".into(), "100".into())));
        let body = json!({ "name": "t", "metadata-location": created["metadata-location"] });
        let reply = firn.post(&format!("{}/register", fixture::namespace_path(&ns)), &body).await;
        assert!(reply.status < 500, "{}", reply.text());
        assert!(reply.text().contains("larger than 100 bytes"), "{}", reply.text());
    });
}
