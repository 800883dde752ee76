//! Operation of the server: health, metrics, orderly shutdown, and the printed snippets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use tests::fixture;
use tests::process::{Backend, Firn, Setup};

async fn health_reports_liveness_and_readiness(backend: Backend) {
    let firn = Firn::new(backend).await;
    for path in ["/health/live", "/health/ready"] {
        let reply = firn.request("GET", path, None, &[]).await.expect(200);
        assert_eq!(reply.json(), json!({ "status": "ok" }));
    }
}

async fn metrics_count_requests_commits_and_connections(backend: Backend) {
    let firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    fixture::create_table(&firn, &ns, "t").await;
    let path = fixture::table_path(&ns, "t");
    for _ in 0..3 {
        firn.get(&path).await.expect(200);
    }
    firn.post(&path, &fixture::commit(&[], &[fixture::set_property("a", "b")])).await.expect(200);
    let stale = json!({ "type": "assert-current-schema-id", "current-schema-id": 9 });
    firn.post(&path, &fixture::commit(&[stale], &[])).await.expect(409);
    firn.request("GET", "/nowhere/secret", None, &[]).await.expect(404);
    let reply = firn.request("GET", "/metrics", None, &[]).await.expect(200);
    assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = reply.text();
    let value = |series: &str| {
        let line =
            text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no `{series}` in\n{text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let route = "/v1/{prefix}/namespaces/{namespace}/tables/{table}";
    let requests = |method: &str, route: &str, status: u16| {
        value(&format!(
            "firn_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"
        ))
    };
    let close = |a: f64, b: f64| (a - b).abs() < 0.5;
    assert!(close(requests("GET", route, 200), 3.0));
    assert!(close(requests("POST", route, 409), 1.0));
    assert!(close(requests("GET", "unmatched", 404), 1.0));
    assert!(close(value("firn_commits_total{outcome=\"done\"}"), 1.0));
    assert!(close(value("firn_commits_total{outcome=\"failed\"}"), 1.0));
    assert!(value("firn_metadata_cache_bytes") >= 0.0);
    assert!(value("firn_database_connections{state=\"open\"}") >= 1.0);
    assert!(close(value("firn_http_requests_in_flight"), 1.0));
    for part in ["firn_http_request_seconds", "quantile"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("secret") && !text.contains(&ns), "names of clients became series");
}

async fn sigterm_finishes_what_is_in_flight_and_exits_0(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let address = firn.root().trim_start_matches("http://").to_owned();
    let body = json!({ "namespace": ["late"] }).to_string();
    let mut slow = TcpStream::connect(&address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "POST /v1/main/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    // The server requests the body: it has received the headers and waits.
    let mut answer = [0; 25];
    slow.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 100 Continue"), "{}", String::from_utf8_lossy(&answer));
    firn.terminate();
    // It accepts no new connections during the shutdown.
    while TcpStream::connect(&address).is_ok() {
        tokio::task::yield_now().await;
    }
    slow.write_all(body.as_bytes()).unwrap();
    let mut rest = String::new();
    slow.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
    let status = firn.wait();
    assert!(status.success(), "{status}");
    assert!(firn.setup().log().contains("stopped"), "{}", firn.setup().log());
    firn.restart();
    firn.get("namespaces/late").await.expect(200);
}

async fn an_incomplete_request_does_not_delay_the_shutdown(backend: Backend) {
    let mut firn = Firn::start(Setup::new(backend).await.with("FIRN_LIMITS__DRAIN_MS", "200"));
    let address = firn.root().trim_start_matches("http://").to_owned();
    let mut stuck = TcpStream::connect(&address).unwrap();
    let head = "POST /v1/main/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: 100\r\n\r\n";
    stuck.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 25];
    stuck.read_exact(&mut answer).unwrap();
    firn.stop();
    assert!(firn.setup().log().contains("did not finish in time"), "{}", firn.setup().log());
}

async fn all_data_survives_a_crash(backend: Backend) {
    let mut firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let mut expected = Vec::new();
    for round in 0..5 {
        let name = format!("t{round}");
        fixture::create_table(&firn, &ns, &name).await;
        let path = fixture::table_path(&ns, &name);
        let commit = fixture::commit(&[], &[fixture::set_property("round", &round.to_string())]);
        expected.push((path.clone(), firn.post(&path, &commit).await.expect(200).json()));
        firn.restart();
        for (path, body) in &expected {
            assert_eq!(&firn.get(path).await.expect(200).json(), body);
        }
    }
}

async fn logs_contain_request_ids_and_no_names_or_values(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_LOG__FORMAT", "json").with("FIRN_LOG__LEVEL", "debug");
    let mut firn = Firn::start(setup);
    let ns = fixture::namespace(&firn).await;
    fixture::create_table(&firn, &ns, "t").await;
    let id = catalog_server::id::random().to_string();
    let set = fixture::commit(&[], &[fixture::set_property("password", "geheim")]).to_string();
    firn.send("POST", &fixture::table_path(&ns, "t"), Some(set), &[("x-request-id", &id)]).await.expect(200);
    firn.stop();
    let log = firn.setup().log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["request.id"] == json!(id)).expect("a line of the request");
    assert_eq!((line["method"].as_str(), line["status"].as_u64()), (Some("POST"), Some(200)), "{line}");
    assert!(!log.contains("geheim"), "a value of a property is in the log");
}

tests::on_both_databases!(
    health_reports_liveness_and_readiness,
    metrics_count_requests_commits_and_connections,
    sigterm_finishes_what_is_in_flight_and_exits_0,
    an_incomplete_request_does_not_delay_the_shutdown,
    all_data_survives_a_crash,
    logs_contain_request_ids_and_no_names_or_values,
);
