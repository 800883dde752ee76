//! Warehouses on S3, as an administrator creates them and a client uses them.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use table_core::location::Location;
use tests::fixture::{create_table, namespace};
use tests::process::{Backend, Firn, Setup, binary};
use tests::stores::rados_gateway::RadosGateway;
use tests::stores::s3_server::S3Server;
use tests::stores::seaweed_fs::SeaweedFs;

use super::{buckets, new_bucket};

const PATH: &str = "/governance/v1/warehouses";

fn definition(server: &S3Server, location: &str) -> Value {
    let keys = server.keys();
    json!({
        "name": "lake", "location": location,
        "storage": { "type": "s3", "region": server.region(), "endpoint": server.endpoint() },
        "credential": {
            "type": "access-key", "access-key-id": keys.access_key_id, "secret-access-key": keys.secret_access_key,
        },
    })
}

/// Runs a part of `tests/clients/s3_table.py`; returns what it prints.
fn pyiceberg(action: &str, firn: &Firn, server: &S3Server) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let client = Command::new(folder.join("python"))
        .args([folder.join("s3_table.py").to_str().unwrap(), action, firn.root(), "lake"])
        .env("AWS_ACCESS_KEY_ID", &server.keys().access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &server.keys().secret_access_key)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        // Ceph 16 does not know the checksums at the end of a body that the SDK of AWS adds by default.
        .env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&client.stderr);
    assert!(client.status.success(), "{action}: {errors}");
    String::from_utf8_lossy(&client.stdout).into_owned()
}

/// Waits until a maintenance job has succeeded.
async fn wait_for_success(firn: &Firn, id: &str) {
    let path = format!("/governance/v1/maintenance/jobs/{id}");
    let mut job = Value::Null;
    for _ in 0..300 {
        job = firn.request("GET", &path, None, &[]).await.expect(200).json();
        match job["state"].as_str().unwrap() {
            "succeeded" => return,
            "queued" | "running" => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            _ => panic!("{job}"),
        }
    }
    panic!("the job does not end: {job}");
}

/// Creates the warehouse, and lets `PyIceberg` write, the server compact, and `PyIceberg` read.
async fn check_warehouse(backend: Backend, server: &S3Server) {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    let mut firn = Firn::start(setup.with("FIRN_MAINTENANCE__DEBOUNCE_MS", "3600000"));
    let location = format!("s3://{}/lake", new_bucket(server).await);
    let new = definition(server, &location).to_string();
    let created = firn.request("POST", PATH, Some(new.clone()), &[]).await.expect(201).json();
    assert!(
        created["checks"].as_array().unwrap().iter().all(|check| check.get("error").is_none()),
        "{created}"
    );
    assert_eq!(created["warehouse"]["has-credential"], true);
    let secret = &server.keys().secret_access_key;
    for path in [PATH.to_owned(), format!("{PATH}/lake"), "/v1/config?warehouse=lake".to_owned()] {
        assert!(!firn.request("GET", &path, None, &[]).await.expect(200).text().contains(secret), "{path}");
    }

    assert_eq!(pyiceberg("write", &firn, server).trim(), "6 files");
    let job = json!({
        "action": "compact",
        "table": { "warehouse": "lake", "namespace": ["geo"], "table": "cities" },
    });
    let queued = firn.request("POST", "/governance/v1/maintenance/jobs", Some(job.to_string()), &[]).await;
    wait_for_success(&firn, queued.expect(200).json()["job-id"].as_str().unwrap()).await;
    assert_eq!(pyiceberg("read", &firn, server).trim(), "1 files");

    // A purge deletes all objects of its table, and no others.
    let client = firn.at("lake");
    let ns = namespace(&client).await;
    let kept = create_table(&client, &ns, "t").await;
    let purged = create_table(&client, &ns, "gone").await;
    client.delete(&format!("namespaces/{ns}/tables/gone?purgeRequested=true")).await.expect(204);
    // If the server has not purged the table yet, it does so before anybody asks for the warehouse again.
    firn.stop();
    firn.restart();
    let root = Location::parse(&location).unwrap();
    let files = buckets::files(&buckets::open(server, &root), &root);
    let folder = |table: &Value| format!("{}/metadata", table["metadata"]["location"].as_str().unwrap());
    for _ in 0..300 {
        if files.list(&folder(&purged), 10).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let remaining = files.list(&folder(&purged), 10).await.unwrap();
    assert!(remaining.is_empty(), "the purge does not end: {remaining:?}");
    assert_eq!(files.list(&folder(&kept), 10).await.unwrap().len(), 1);
    let client = firn.at("lake");
    assert_eq!(
        client.get(&format!("namespaces/{ns}/tables/t")).await.expect(200).json()["metadata"],
        kept["metadata"]
    );

    // Another process of the same catalog decrypts the secret.
    firn.request("GET", "/v1/lake/namespaces/geo/tables/cities", None, &[]).await.expect(200);
    let taken = firn.request("POST", PATH, Some(new), &[]).await;
    taken.expect_error(409, "AlreadyExistsException", "lake");
}

async fn a_client_writes_and_the_server_compacts_on_ceph(backend: Backend) {
    check_warehouse(backend, RadosGateway::shared().await.unwrap()).await;
}

async fn a_client_writes_and_the_server_compacts_on_seaweed_fs(backend: Backend) {
    check_warehouse(backend, SeaweedFs::shared().await.unwrap()).await;
}

async fn the_command_creates_lists_and_checks(backend: Backend) {
    let server: &S3Server = SeaweedFs::shared().await.unwrap();
    let firn = Firn::new(backend).await;
    let location = format!("s3://{}/lake", new_bucket(server).await);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let warehouse = |arguments: &[&str]| {
        let output =
            Command::new(binary()).arg("warehouse").args(arguments).env("FIRN_URI", firn.root()).output();
        let output = output.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let create = [
        "create",
        "lake",
        "--location",
        &location,
        "--endpoint",
        server.endpoint(),
        "--region",
        server.region(),
        "--access-key-id",
        &server.keys().access_key_id,
        "--secret-access-key-file",
        secret.to_str().unwrap(),
    ];
    let (is_done, text) = warehouse(&create);
    assert!(!is_done && text.contains("cannot open"), "{text}");
    std::fs::write(&secret, "wrong").unwrap();
    let (is_done, text) = warehouse(&create);
    assert!(!is_done && text.contains("SignatureDoesNotMatch"), "{text}");
    std::fs::write(&secret, format!("{}\n", server.keys().secret_access_key)).unwrap();
    let (is_done, text) = warehouse(&create);
    assert!(is_done && text.contains("created warehouse lake at s3://"), "{text}");
    let (is_done, text) = warehouse(&["list"]);
    assert!(is_done && text.contains(&format!("s3 at {}", server.endpoint())), "{text}");
    let (is_done, text) = warehouse(&["check", "lake"]);
    assert!(is_done && text.lines().count() == 5 && text.lines().all(|line| line.ends_with("ok")), "{text}");
    let (is_done, text) = warehouse(&["check", "none"]);
    assert!(!is_done && text.contains("Warehouse does not exist: none"), "{text}");
}

tests::on_both_databases!(
    a_client_writes_and_the_server_compacts_on_ceph,
    a_client_writes_and_the_server_compacts_on_seaweed_fs,
);
tests::on_sqlite!(the_command_creates_lists_and_checks);
