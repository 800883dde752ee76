//! Local mode: each process that reaches the loopback address has full access, but web pages must not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use tests::fixture;
use tests::process::{self, Backend, Firn};

use crate::endpoints::{self, Endpoint, OPERATOR};

async fn check_refused(firn: &Firn, endpoint: &Endpoint, headers: &[(&str, &str)], status: u16) {
    let reply = endpoints::send(firn, endpoint, headers).await;
    assert_eq!(reply.status, status, "{} with {headers:?}: {}", endpoint.route, reply.text());
    if endpoint.method() != "HEAD" {
        let kind = if status == 403 { "ForbiddenException" } else { "BadRequestException" };
        reply.error_message(status, kind);
    }
}

async fn every_endpoint_refuses_a_page_of_another_site(backend: Backend) {
    // One of the requests creates a warehouse, and with two of them a client has to select one.
    let firn = &Firn::new(backend).await;
    let mut all = endpoints::all(firn).await;
    all.extend(endpoints::governance(firn).await);
    for endpoint in &all {
        for host in [
            "evil.example",
            "evil.example:8181",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
        ] {
            check_refused(firn, endpoint, &[("host", host)], 403).await;
        }
        for origin in
            ["http://evil.example", "https://localhost.evil.example", "null", "http://192.0.2.1:8181"]
        {
            check_refused(firn, endpoint, &[("origin", origin)], 403).await;
        }
        // Content types that a form, or a script without permission (CORS), can send.
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
            if endpoint.body.is_some() {
                check_refused(firn, endpoint, &[("content-type", kind)], 400).await;
            }
        }
    }
    for path in OPERATOR {
        let reply = firn.request("GET", path, None, &[("host", "evil.example")]).await;
        reply.expect_error(403, "ForbiddenException", "local machine");
    }
    // None of the refused requests was carried out: all of them still succeed.
    for endpoint in &all {
        let reply = endpoints::send(firn, endpoint, &[]).await;
        assert_eq!(reply.status, endpoint.status, "{}: {}", endpoint.route, reply.text());
    }
}

async fn every_change_is_refused_on_the_past(backend: Backend) {
    let firn = process::shared(backend).await;
    let all = endpoints::all(firn).await;
    let now = catalog_server::clock::Clock::system().now_ms();
    let past = firn.at(&format!("main@{now}"));
    for endpoint in all.iter().filter(|endpoint| !endpoint.path.starts_with('/')) {
        let body = endpoint.body.as_ref().map(Value::to_string);
        let reply = past.send(endpoint.method(), &endpoint.path, body, &[]).await;
        let is_read = endpoint.is_read() || endpoint.route.ends_with("/metrics");
        if is_read {
            assert_eq!(reply.status, endpoint.status, "{}: {}", endpoint.route, reply.text());
        } else {
            assert_eq!(reply.status, 403, "{}: {}", endpoint.route, reply.text());
            reply.expect_error(403, "ForbiddenException", "read-only view of warehouse `main`");
        }
    }
    for endpoint in &all {
        endpoints::send(firn, endpoint, &[]).await.expect(endpoint.status);
    }
}

async fn local_names_are_answered(backend: Backend) {
    let firn = process::shared(backend).await;
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9", "127.1.2.3", "[::1]:7"] {
        firn.request("GET", "/v1/config", None, &[("host", host)]).await.expect(200);
    }
    firn.request("GET", "/v1/config", None, &[("origin", "http://localhost:3000")]).await.expect(200);
}

tests::on_both_databases!(
    every_endpoint_refuses_a_page_of_another_site,
    every_change_is_refused_on_the_past,
    local_names_are_answered,
);

fn send_raw(firn: &Firn, sent: &str) -> String {
    let mut stream = TcpStream::connect(firn.root().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut response = String::new();
    drop(stream.read_to_string(&mut response));
    response
}

#[test]
fn a_request_that_names_two_hosts_or_none_is_refused() {
    process::run(async {
        let firn = process::shared(Backend::Sqlite).await;
        for head in [
            "GET /v1/config HTTP/1.1\r\n",
            "GET /v1/config HTTP/1.0\r\n",
            "GET /v1/config HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n",
            "GET /v1/config HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
            "GET http://evil.example/v1/config HTTP/1.1\r\nHost: localhost\r\n",
        ] {
            let response = send_raw(firn, &format!("{head}Connection: close\r\n\r\n"));
            assert!(
                !response.starts_with("HTTP/1.1 2") && !response.starts_with("HTTP/1.0 2"),
                "{head}: {response}"
            );
        }
        let plain =
            "GET http://127.0.0.1:1/v1/config HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n";
        assert!(send_raw(firn, plain).starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn only_loopback_is_listened_on() {
    process::run(async {
        let firn = process::shared(Backend::Sqlite).await;
        assert!(firn.root().starts_with("http://127.0.0.1:"), "{}", firn.root());
        // Dots in a path are not resolved, so they lead nowhere outside of the routes.
        for path in [
            "/v1/main/../../etc/passwd",
            "/v1/%2e%2e/config",
            "/..%2f..%2fetc/passwd",
            "/v1/main/namespaces/..%2F..",
        ] {
            let response = send_raw(
                firn,
                &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
            );
            assert!(response.starts_with("HTTP/1.1 40"), "{path}: {response}");
            assert!(!response.contains("root:"), "{response}");
        }
        fixture::namespace(firn).await;
    });
}
