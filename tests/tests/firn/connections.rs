//! Connections that send nothing, send slowly, do not read, or are too many. None of them prevents others
//! from being answered, and refusals have the error form of the protocol.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::fixture::{self, commit, set_property, table_path};
use tests::http::try_send;
use tests::process::{self, Backend, Firn, Setup};

/// Connection preface of an HTTP/2 client, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// Timeout of a read. No response of these tests takes longer, except on a heavily loaded machine.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

fn connect(firn: &Firn) -> TcpStream {
    let stream = TcpStream::connect(firn.root().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    stream
}

/// Opens a connection and sends bytes.
fn connect_and_send(firn: &Firn, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(firn);
    // The server may refuse the connection before it has read all bytes.
    drop(stream.write_all(bytes));
    stream
}

/// Reads until the server closes the connection; fails if it does not.
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection was not closed: {error}"),
    }
    String::from_utf8_lossy(&response).into_owned()
}

/// Reads the response to `GET /health/live`.
fn check_liveness(stream: &mut TcpStream) {
    let mut response = Vec::new();
    while !response.ends_with(b"}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        response.push(byte[0]);
    }
    assert!(response.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&response));
}

/// Asserts that a response is an error in the form of the protocol.
#[track_caller]
fn check_error(response: &str, status: u16, text: &str) {
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], status, "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains(text), "{body}");
    assert!(body["error"]["type"].as_str().unwrap().ends_with("Exception"), "{body}");
}

async fn metrics(firn: &Firn) -> String {
    firn.request("GET", "/metrics", None, &[]).await.expect(200).text()
}

fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

/// Waits, without reading, until the server has reset a connection.
async fn check_reset(stream: &TcpStream) {
    for _ in 0..3_000 {
        if let Some(error) = stream.take_error().unwrap() {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the connection of a client that reads nothing is not closed");
}

/// Waits until a time series has a value.
async fn wait_for(firn: &Firn, series: &str, expected: f64) {
    for _ in 0..3_000 {
        if value(&metrics(firn).await, series).is_some_and(|value| (value - expected).abs() < 0.5) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{series} is not {expected}: {}", metrics(firn).await);
}

/// Returns the bytes that have arrived on a connection that remains open.
fn received_so_far(mut stream: &TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut response = Vec::new();
    // Ends with the timeout.
    drop(stream.read_to_end(&mut response));
    String::from_utf8_lossy(&response).into_owned()
}

/// Waits until at most `count` connections are open, including the one of this request.
async fn wait_for_connections(firn: &Firn, count: f64) {
    let url = format!("{}/metrics", firn.root());
    for _ in 0..3_000 {
        // The request may be refused as long as the limit is reached.
        let reply = try_send("GET", &url, None, &[]).await.ok().filter(|reply| reply.status == 200);
        if reply.is_some_and(|reply| value(&reply.text(), "firn_connections").unwrap() <= count) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("connections stay open: {}", metrics(firn).await);
}

async fn server(settings: &[(&str, &str)]) -> Firn {
    let mut setup = Setup::new(Backend::Sqlite).await;
    for (name, value) in settings {
        setup = setup.with(&format!("FIRN_LIMITS__{name}"), value);
    }
    Firn::start(setup)
}

#[test]
fn connections_without_a_complete_request_are_closed() {
    process::run(async {
        let firn = server(&[("HEADER_MS", "400")]).await;
        let mut silent = Vec::new();
        for round in 0..300 {
            let bytes: &[u8] = match round % 6 {
                0 => b"",
                1 => b"P",
                2 => &PREFACE[..10],
                3 => PREFACE,
                4 => &PREFACE[..PREFACE.len() - 4],
                _ => b"GET /v1/config HTTP/1.1\r\nHost: loc",
            };
            silent.push((round % 6, connect_and_send(&firn, bytes)));
        }
        firn.get("namespaces").await.expect(200);
        for (kind, stream) in &mut silent {
            let response = read_to_end(stream);
            match kind {
                5 => check_error(&response, 408, "limits.header-ms"),
                0..=2 => assert!(response.is_empty(), "{response}"),
                // HTTP/2 settings and `GOAWAY`.
                _ => assert!(!response.starts_with("HTTP"), "{response}"),
            }
        }
        wait_for_connections(&firn, 2.0).await;
        firn.check_no_panic();
    });
}

#[test]
fn a_connection_may_idle_between_requests_but_not_for_ever() {
    process::run(async {
        let firn = server(&[("HEADER_MS", "300"), ("IDLE_MS", "1500")]).await;
        let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut stream = connect_and_send(&firn, request);
        for _ in 0..3 {
            // Longer than the time limit for the headers of a request.
            tokio::time::sleep(Duration::from_millis(600)).await;
            check_liveness(&mut stream);
            stream.write_all(request).unwrap();
        }
        read_to_end(&mut stream);
        // A second request that is never completed has the same time limit as a first one.
        let mut stream = connect_and_send(&firn, &[&request[..], b"GET /health"].concat());
        let response = read_to_end(&mut stream);
        assert!(response.contains("HTTP/1.1 408 "), "{response}");
        wait_for_connections(&firn, 2.0).await;
    });
}

#[test]
fn connections_above_the_limit_get_503_and_earlier_ones_continue() {
    process::run(async {
        let firn = server(&[("CONNECTIONS", "20")]).await;
        let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut open: Vec<_> = (0..20).map(|_| connect_and_send(&firn, request)).collect();
        open.iter_mut().for_each(check_liveness);
        for bytes in [&b""[..], request, PREFACE] {
            check_error(&read_to_end(&mut connect_and_send(&firn, bytes)), 503, "limits.connections");
        }
        // Many connections that remain open, so that the server cannot wait for the end of refused
        // connections any more.
        let mut many: Vec<_> = (0..200).map(|_| connect(&firn)).collect();
        for stream in &mut many {
            check_error(&read_to_end(stream), 503, "limits.connections");
        }
        for bytes in [&b""[..], request, PREFACE] {
            check_error(&read_to_end(&mut connect_and_send(&firn, bytes)), 503, "limits.connections");
        }
        drop(many);
        open[0].write_all(request).unwrap();
        check_liveness(&mut open[0]);
        open.truncate(1);
        wait_for_connections(&firn, 20.0).await;
        let metrics = metrics(&firn).await;
        assert!(value(&metrics, r#"firn_connections_refused_total{reason="limit"}"#).unwrap() >= 206.0);
    });
}

#[test]
fn a_refusal_in_the_middle_of_a_body_reaches_the_client() {
    process::run(async {
        for (setting, status, expected) in
            [("BODIES_BYTES", 503, "limits.bodies-bytes"), ("BODY_BYTES", 413, "limits.body-bytes")]
        {
            let firn = server(&[(setting, "1048576")]).await;
            // Most clients send the complete body before they read.
            let body = vec![b' '; 20 << 20];
            let head =
                "POST /v1/main/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
            let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
            let mut stream = connect(&firn);
            stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
            check_error(&read_to_end(&mut stream), status, expected);
        }
    });
}

#[test]
fn a_process_without_descriptors_answers_503_and_survives() {
    process::run(async {
        let firn = server(&[("CONNECTIONS", "400")]).await;
        let ns = fixture::namespace(&firn).await;
        fixture::create_table(&firn, &ns, "t").await;
        let path = table_path(&ns, "t");
        let pid = firn.pid().to_string();
        let limit = |limit: &str| {
            let done = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={limit}")]).status();
            assert!(done.unwrap().success());
        };
        limit("60:4096");
        let mut open: Vec<_> = (0..60).map(|_| connect(&firn)).collect();
        let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let response = read_to_end(&mut connect_and_send(&firn, request));
        check_error(&response, 503, "file descriptor");
        // Connections that were accepted before are answered, except for requests that need a file, which are
        // refused.
        let change = commit(&[], &[set_property("k", "v")]).to_string();
        let head = "HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n";
        let body = format!("POST /v1/main/{path} {head}Content-Length: {}\r\n\r\n{change}", change.len());
        open[0].write_all(body.as_bytes()).unwrap();
        check_error(&read_to_end(&mut open[0]), 503, "limit of open files");
        open.clear();
        limit("1024:4096");
        // Connections that waited in the listen queue are accepted and found to be closed; then everything
        // works again.
        let response = read_to_end(&mut connect_and_send(&firn, request));
        assert!(response.starts_with("HTTP/1.1 200 ") || response.starts_with("HTTP/1.1 503 "), "{response}");
        wait_for_connections(&firn, 3.0).await;
        firn.post(&path, &commit(&[], &[set_property("k", "v")])).await.expect(200);
        firn.check_no_panic();
    });
}

#[test]
fn a_client_that_does_not_read_responses_is_disconnected() {
    process::run(async {
        let firn = server(&[("STALL_MS", "800")]).await;
        let ns = fixture::namespace(&firn).await;
        fixture::create_table(&firn, &ns, "t").await;
        let path = table_path(&ns, "t");
        let large = commit(&[], &[set_property("k", &"x".repeat(8 << 20))]);
        firn.post(&path, &large).await.expect(200);
        let request = format!("GET /v1/main/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let streams: Vec<_> = (0..5).map(|_| connect_and_send(&firn, request.repeat(4).as_bytes())).collect();
        for stream in &streams {
            check_reset(stream).await;
        }
        // A client that reads receives the complete response.
        assert!(firn.get(&path).await.expect(200).body.len() > 8 << 20);
    });
}

#[test]
fn malformed_requests_are_refused_in_the_protocols_form_and_counted() {
    process::run(async {
        let firn = server(&[]).await;
        let long = "x".repeat(1 << 20);
        let headers = "a: b\r\n".repeat(1_000);
        let get = "GET /v1/config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        for (bytes, status, text) in [
            (format!("{get}X-Long: {long}\r\n\r\n"), 431, "headers"),
            (format!("{get}{headers}\r\n"), 431, "headers"),
            (format!("{get}X-Long: {}\r\n\r\n", &long[..100_000]), 431, "headers"),
            (format!("GET /v1/config?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", &long[..70_000]), 414, "path"),
            ("\u{1}\u{2}\r\n\r\n".to_owned(), 400, "HTTP"),
            ("GET /v1/config HTTP/1.1\r\nHost: a b\u{1}\r\nno colon\r\n\r\n".to_owned(), 400, "HTTP"),
            ("GET /v1/config HTTP/9.9\r\n\r\n".to_owned(), 400, "HTTP"),
        ] {
            check_error(&read_to_end(&mut connect_and_send(&firn, bytes.as_bytes())), status, text);
        }
        let metrics = metrics(&firn).await;
        for (status, count) in [(431, 2.0), (414, 1.0), (400, 3.0)] {
            let series =
                format!(r#"firn_http_requests_total{{method="OTHER",route="unmatched",status="{status}"}}"#);
            assert!(value(&metrics, &series).unwrap_or(0.0) >= count, "{series}:\n{metrics}");
        }
        assert!(!metrics.contains("no colon") && !metrics.contains("xxx"));
    });
}

/// Returns an HTTP/2 frame: length, type, flags, stream, payload.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Returns a literal header field without indexing (RFC 7541, section 6.2.2), with an indexed or a new name.
fn field(name: Result<u8, &str>, value: &str) -> Vec<u8> {
    fn text(text: &str) -> Vec<u8> {
        let mut encoded = Vec::new();
        if text.len() < 127 {
            encoded.push(u8::try_from(text.len()).unwrap());
        } else {
            encoded.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                encoded.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            encoded.push(u8::try_from(rest).unwrap());
        }
        [encoded, text.as_bytes().to_vec()].concat()
    }
    match name {
        Ok(index) => [vec![index], text(value)].concat(),
        Err(name) => [vec![0], text(name), text(value)].concat(),
    }
}

#[test]
fn requests_over_http_2_are_limited_for_all_connections_together() {
    process::run(async {
        let firn = server(&[]).await;
        // Requests whose bodies are still missing, a hundred over each connection.
        let mut block = vec![0x83, 0x86];
        block.extend(field(Ok(4), "/v1/main/namespaces"));
        block.extend(field(Ok(1), "localhost"));
        block.extend(field(Err("content-type"), "application/json"));
        let requests = (0..100).flat_map(|number| frame(1, 4, 2 * number + 1, &block));
        let bytes: Vec<u8> = PREFACE.iter().copied().chain(requests).collect();
        let open: Vec<_> = (0..12).map(|_| connect_and_send(&firn, &bytes)).collect();
        // The first request of each connection and 1,024 others are processed. A client with one request at a
        // time is still answered.
        let refused = r#"firn_http_requests_total{method="OTHER",route="unmatched",status="503"}"#;
        wait_for(&firn, refused, 12.0 * 100.0 - 12.0 - 1_024.0).await;
        firn.get("namespaces").await.expect(200);
        let refused = open.iter().map(|stream| received_so_far(stream).matches(r#""code":503"#).count());
        assert_eq!(refused.sum::<usize>(), 164);
        drop(open);
        // Only this request for metrics is left.
        wait_for(&firn, "firn_http_requests_in_flight", 1.0).await;
        let again = connect_and_send(&firn, &bytes);
        wait_for(&firn, "firn_http_requests_in_flight", 101.0).await;
        assert_eq!(received_so_far(&again).matches("503").count(), 0);
    });
}

#[test]
fn oversized_headers_over_http_2_have_a_body_too() {
    process::run(async {
        let firn = server(&[]).await;
        for (length, expected) in [(10, r#""overrides""#), (100_000, r#""code":431"#)] {
            let mut block = vec![0x82, 0x86];
            block.extend(field(Ok(4), "/v1/config"));
            block.extend(field(Ok(1), "localhost"));
            block.extend(field(Err("x-long"), &"x".repeat(length)));
            let mut bytes = PREFACE.to_vec();
            let pieces: Vec<_> = block.chunks(16_000).collect();
            for (number, piece) in pieces.iter().enumerate() {
                let is_last = u8::from(number + 1 == pieces.len()) * 4;
                bytes.extend(if number == 0 {
                    frame(1, is_last | 1, 1, piece)
                } else {
                    frame(9, is_last, 1, piece)
                });
            }
            let mut stream = connect_and_send(&firn, &bytes);
            let mut response = String::new();
            while !response.contains(expected) {
                let mut part = [0; 4096];
                let count = stream.read(&mut part).unwrap();
                assert!(count > 0, "no `{expected}` in {response}");
                response.push_str(&String::from_utf8_lossy(&part[..count]));
            }
        }
    });
}

#[test]
fn unknown_methods_and_paths_create_no_time_series() {
    process::run(async {
        let firn = server(&[]).await;
        let before = metrics(&firn).await.len();
        for number in 0..500 {
            let method = format!("M{number}");
            firn.request(&method, &format!("/nowhere/{number}"), None, &[]).await.expect(404);
            firn.request(&method, "/v1/config", None, &[]).await.expect(405);
            let foreign = format!("host{number}.example");
            firn.request(&method, "/v1/config", None, &[("host", &foreign)]).await.expect(403);
            let warehouse = format!("/v1/w{number}/namespaces");
            firn.request("GET", &warehouse, None, &[("user-agent", &foreign)]).await.expect(404);
        }
        let after = metrics(&firn).await;
        assert!(after.len() < before + 20_000, "{after}");
        for status in [403, 404, 405] {
            let counted: f64 = after
                .lines()
                .filter(|line| {
                    line.starts_with("firn_http_requests_total") && line.contains(r#"method="OTHER""#)
                })
                .filter(|line| line.contains(&format!(r#"status="{status}""#)))
                .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
                .sum();
            assert!((counted - 500.0).abs() < 0.5, "{status} was counted {counted} times:\n{after}");
        }
    });
}

#[test]
fn compressed_bodies_and_token_requests_are_refused() {
    process::run(async {
        let firn = process::shared(Backend::Sqlite).await;
        let name = fixture::unique("plain");
        let body = json!({ "namespace": [name] }).to_string();
        for encoding in ["gzip", "zstd", "br", "gzip, identity"] {
            let headers = [("content-encoding", encoding)];
            let reply = firn.send("POST", "namespaces", Some(body.clone()), &headers).await;
            reply.expect_error(415, "BadRequestException", encoding);
        }
        firn.send("POST", "namespaces", Some(body), &[("content-encoding", "identity")]).await.expect(200);
        let form = "grant_type=client_credentials&client_id=a&client_secret=b&scope=catalog".to_owned();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let reply = firn.request("POST", "/v1/oauth/tokens", Some(form), &headers).await;
        reply.expect_error(406, "UnsupportedOperationException", "`credential`");
        assert!(!reply.text().contains("client_secret"));
    });
}
