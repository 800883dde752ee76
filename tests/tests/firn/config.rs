//! `GET /v1/config`, and the configuration of the server itself.

use serde_json::Value;
use tests::http::encode;
use tests::process::{self, Backend, Firn, Setup, clean};
use tests::reaper;

use crate::endpoints;

async fn the_only_warehouse_is_the_default(backend: Backend) {
    let firn = process::shared(backend).await;
    let unnamed = firn.request("GET", "/v1/config", None, &[]).await.expect(200).json();
    for path in ["/v1/config?warehouse=main", "/v1/config?warehouse=", "/v1/config?warehouse=main&unknown=1"]
    {
        assert_eq!(firn.request("GET", path, None, &[]).await.expect(200).json(), unnamed, "{path}");
    }
    assert_eq!(unnamed["overrides"]["prefix"], "main");
    assert_eq!(unnamed["idempotency-key-lifetime"], "PT1440M");
}

async fn the_configuration_lists_exactly_the_served_endpoints(backend: Backend) {
    let firn = process::shared(backend).await;
    let config = firn.request("GET", "/v1/config", None, &[]).await.expect(200).json();
    let mut advertised: Vec<_> =
        config["endpoints"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    advertised.sort_unstable();
    let mut expected = endpoints::iceberg();
    expected.sort_unstable();
    assert_eq!(advertised, expected);
}

async fn an_unknown_warehouse_is_404(backend: Backend) {
    let firn = process::shared(backend).await;
    for name in ["other", "MAIN", "main ", "😀", "../main", "main%2F", "\u{0}"] {
        let path = format!("/v1/config?warehouse={}", encode(name));
        let reply = firn.request("GET", &path, None, &[]).await;
        reply.expect_error(404, "NoSuchWarehouseException", "Warehouse does not exist: ");
        firn.at(name).get("namespaces").await.expect_error(404, "NoSuchWarehouseException", "does not exist");
    }
}

async fn an_instant_is_part_of_the_prefix(backend: Backend) {
    let firn = process::shared(backend).await;
    for (instant, prefix) in
        [("2020-01-01T00:00:00Z", "main@1577836800000"), ("1577836800000", "main@1577836800000")]
    {
        let path = format!("/v1/config?warehouse=main@{instant}");
        let config = firn.request("GET", &path, None, &[]).await.expect(200).json();
        assert_eq!(config["overrides"]["prefix"], prefix);
    }
    // The `+` of a time zone offset, percent-encoded and not.
    for instant in ["2020-01-01T01:00:00%2B01:00", "2020-01-01T01:00:00+01:00"] {
        let path = format!("/v1/config?warehouse=main@{instant}");
        let config = firn.request("GET", &path, None, &[]).await.expect(200).json();
        assert_eq!(config["overrides"]["prefix"], "main@1577836800000");
    }
    for instant in [
        "",
        "yesterday",
        "2020-01-01",
        "9223372036854775807",
        "-9223372036854775808x",
        "99999999999999999999",
    ] {
        let path = format!("/v1/config?warehouse=main@{instant}");
        let reply = firn.request("GET", &path, None, &[]).await;
        reply.expect_error(400, "IllegalArgumentException", "Invalid");
    }
}

async fn every_endpoint_serves_the_default_warehouse_without_a_prefix(backend: Backend) {
    let firn = Firn::new(backend).await;
    for endpoint in endpoints::all(&firn).await.iter().filter(|endpoint| !endpoint.path.starts_with('/')) {
        let body = endpoint.body.as_ref().map(Value::to_string);
        let reply = firn.request(endpoint.method(), &format!("/v1/{}", endpoint.path), body, &[]).await;
        assert_eq!(reply.status, endpoint.status, "{}: {}", endpoint.route, reply.text());
    }
    // Requests without a prefix are treated as if the prefix had been sent, in metrics and for idempotency
    // keys.
    let metrics = firn.request("GET", "/metrics", None, &[]).await.expect(200).text();
    let mut routes = metrics.lines().filter_map(|line| line.split_once("route=\"/v1/")?.1.split('"').next());
    assert!(routes.all(|route| route.starts_with("{prefix}/") || route == "config"), "{metrics}");
    let key = catalog_server::id::random().to_string();
    let body = Some(serde_json::json!({ "namespace": ["twice"] }).to_string());
    for path in ["/v1/namespaces", "/v1/main/namespaces"] {
        firn.request("POST", path, body.clone(), &[("idempotency-key", &key)]).await.expect(200);
    }
    let odd = serde_json::json!({ "namespace": ["namespaces"] });
    firn.post("namespaces", &odd).await.expect(200);
    firn.request("GET", "/v1/namespaces/namespaces?x=%2F", None, &[]).await.expect(200);
    firn.request("GET", "/v1/namespaces/nowhere", None, &[]).await.expect_error(
        404,
        "NoSuchNamespaceException",
        "nowhere",
    );
    firn.request("GET", "/v1/nowhere", None, &[]).await.expect_error(
        404,
        "NotFoundException",
        "no such route",
    );
    let foreign = firn.request("GET", "/v1/namespaces", None, &[("host", "evil.example")]).await;
    foreign.expect_error(403, "ForbiddenException", "evil.example");
}

tests::on_both_databases!(
    every_endpoint_serves_the_default_warehouse_without_a_prefix,
    the_only_warehouse_is_the_default,
    the_configuration_lists_exactly_the_served_endpoints,
    an_unknown_warehouse_is_404,
    an_instant_is_part_of_the_prefix,
);

tests::on_sqlite!(unrelated_variables_do_not_prevent_a_start);

/// Returns the message with which `firn serve` refuses to start.
fn refusal(arguments: &[&str], env: &[(&str, &str)]) -> String {
    let folder = reaper::folder("refused");
    let mut command = clean(process::binary().to_str().unwrap());
    command.current_dir(&folder).args(arguments).envs(env.iter().copied());
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{arguments:?} {env:?} was accepted");
    assert!(std::fs::read_dir(&folder).unwrap().next().is_none(), "a refused start left files");
    String::from_utf8(output.stderr).unwrap()
}

async fn unrelated_variables_do_not_prevent_a_start(backend: Backend) {
    let others = ["FIRN_BINARY", "FIRN_PORT_8181_TCP_ADDR", "FIRN_SERVICE_HOST", "FIRN_LISEN", "FIRN_URI"];
    let setup =
        others.into_iter().fold(Setup::new(backend).await, |setup, name| setup.with(name, "tcp://10.0.0.1"));
    let firn = Firn::start(setup);
    firn.request("GET", "/health/ready", None, &[]).await.expect(200);
    let log = firn.setup().log();
    assert!(log.contains("`FIRN_BINARY` is not a setting and is ignored"), "{log}");
    assert!(
        log.contains("`FIRN_LISEN` is not a setting and is ignored; did you mean `FIRN_LISTEN`?"),
        "{log}"
    );
    assert_eq!(log.matches("is not a setting").count(), 2, "{log}");
    // The banner informs about automatic changes of tables, and how to prevent them.
    let banner = firn.banner();
    for expected in
        ["deleted 5 days after", "retention.time-travel-minutes", "FIRN_MAINTENANCE__WORKERS=0", "enabled"]
    {
        assert!(banner.contains(expected), "no `{expected}` in {banner}");
    }
}

#[test]
fn an_unknown_variable_flag_or_command_is_an_error_that_names_it() {
    for (arguments, env, name) in [
        (&["serve"][..], &[("FIRN_LIMITS__BODY_BITES", "1")][..], "body-bites"),
        (&["serve"], &[("FIRN_LIMITS__BODY_BYTES", "many")], "body"),
        (&["serve", "--lisen", "127.0.0.1:0"], &[], "--lisen"),
        (&["server"], &[], "server"),
        (&["serve", "--config", "no.toml"], &[], "no.toml"),
        (&["serve", "--listen", "localhost"], &[], "localhost"),
        (&["serve"], &[("FIRN_WAREHOUSE__NAME", "a/b")], "a/b"),
        (&["serve"], &[("FIRN_WAREHOUSE__NAME", "namespaces")], "namespaces"),
        (&["serve"], &[("FIRN_LIMITS__PAGE_ENTRIES", "0")], "page-entries"),
        (&["serve"], &[("FIRN_LOG__LEVEL", "in=fo=x")], "log.level"),
    ] {
        let message = refusal(arguments, env);
        assert!(message.to_lowercase().contains(name), "{arguments:?} {env:?}: {message}");
        assert!(!message.contains("panicked"), "{message}");
    }
}

#[test]
fn an_unknown_key_in_the_file_is_an_error_that_names_it() {
    let folder = reaper::folder("config");
    let file = folder.join("firn.toml");
    for (text, name) in
        [("lisen = 'x'", "lisen"), ("[limits]\nbody-bites = 1", "body-bites"), ("listen = ", "firn.toml")]
    {
        std::fs::write(&file, text).unwrap();
        let message = refusal(&["serve", "--config", file.to_str().unwrap()], &[]);
        assert!(message.contains(name), "{text}: {message}");
    }
}

#[test]
fn listening_beyond_the_machine_is_refused_with_a_hint() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let message = refusal(&["serve", "--listen", address], &[]);
        assert!(message.contains(address) && message.contains("refusing to listen"), "{message}");
        assert!(message.contains("authenticat") && message.contains("127.0.0.1"), "no hint: {message}");
    }
}

#[test]
fn a_database_that_cannot_be_used_is_named_without_its_password() {
    let message = refusal(&["serve", "--database-url", "mysql://u:geheim@h/d", "--data-dir", "."], &[]);
    assert!(message.contains("sqlite://") && message.contains("postgres://"), "{message}");
    assert!(!message.contains("geheim"), "{message}");
    let message =
        refusal(&["serve", "--database-url", "postgres://u:geheim@127.0.0.1:1/d", "--data-dir", "."], &[]);
    assert!(!message.contains("geheim") && !message.contains("panicked"), "{message}");
    let url = "postgres://127.0.0.1:1/d?passwrod=geheim&geheim&x%67=geheim&sslmode=disable";
    let message = refusal(&["serve", "--database-url", url, "--data-dir", "."], &[]);
    assert!(
        message.contains("passwrod") && message.contains("xg") && !message.contains("geheim"),
        "{message}"
    );
}

#[test]
fn later_sources_override_earlier_ones() {
    process::run(async {
        let setup = Setup::new(Backend::Sqlite).await;
        let file = setup.data_dir.with_extension("toml");
        std::fs::write(&file, "listen = '0.0.0.0:1'\n[limits]\npage-entries = 7\nbody-bytes = 1000\n")
            .unwrap();
        // Both the flag `--listen` and the environment variable override the file.
        let setup = setup.with("FIRN_CONFIG", file.to_str().unwrap()).with("FIRN_LIMITS__PAGE_ENTRIES", "2");
        let firn = Firn::start(setup);
        for name in ["a", "b", "c"] {
            firn.post("namespaces", &serde_json::json!({ "namespace": [name] })).await.expect(200);
        }
        let page = firn.get("namespaces?pageSize=9").await.expect(200).json();
        assert_eq!(page["namespaces"].as_array().unwrap().len(), 2);
        let long = "x".repeat(1000);
        let reply = firn.post("namespaces", &serde_json::json!({ "namespace": [long] })).await;
        reply.expect_error(413, "BadRequestException", "1000 bytes");
    });
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_the_first_continues() {
    process::run(async {
        let firn = Firn::new(Backend::Sqlite).await;
        let Err(message) = Firn::try_start(firn.setup().clone()) else { panic!("a second server started") };
        assert!(message.contains("another firn uses the data directory"), "{message}");
        firn.get("namespaces").await.expect(200);
    });
}

#[test]
fn a_warehouse_cannot_be_moved_by_its_configuration() {
    process::run(async {
        let mut firn = Firn::new(Backend::Sqlite).await;
        firn.stop();
        let elsewhere = reaper::folder("elsewhere");
        let setup = firn.setup().clone().with("FIRN_WAREHOUSE__LOCATION", elsewhere.to_str().unwrap());
        let Err(message) = Firn::try_start(setup) else { panic!("the warehouse moved") };
        assert!(message.contains("a warehouse cannot move"), "{message}");
    });
}

#[test]
fn no_warehouse_lies_in_another() {
    process::run(async {
        let mut firn = Firn::new(Backend::Sqlite).await;
        let root = firn.warehouse().display().to_string();
        firn.stop();
        let named = firn.setup().clone().with("FIRN_WAREHOUSE__NAME", "other");
        let inside = named.clone().with("FIRN_WAREHOUSE__LOCATION", &format!("file:{root}/a"));
        // Without a location, it would have the same one as `main`.
        for setup in [named.clone(), inside] {
            let Err(message) = Firn::try_start(setup) else { panic!("two warehouses share a folder") };
            assert!(message.contains("overlaps with that of warehouse `main`"), "{message}");
        }
        Firn::start(named.with("FIRN_WAREHOUSE__LOCATION", &format!("{root}2")));
    });
}

#[test]
fn the_help_describes_every_setting() {
    let output = clean(process::binary().to_str().unwrap()).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for name in [
        "--data-dir",
        "--listen",
        "--database-url",
        "--config",
        "127.0.0.1:8181",
        "body-bytes",
        "request-ms",
        "header-ms",
        "idle-ms",
        "stall-ms",
        "connections",
        "drain-ms",
        "page-entries",
        "metadata-bytes",
        "idempotency-minutes",
        "outbox-days",
        "reports-per-table",
        "time-travel-minutes",
        "level",
        "format",
        "database-connections",
        "FIRN_",
        "location",
    ] {
        assert!(help.contains(name), "`{name}` is not explained");
    }
}
