//! Warehouses: create, list, load, check, and the secrets of their storage.

use serde_json::{Value, json};
use tests::fixture::{create_table, namespace, unique};
use tests::http::{Client, Reply};
use tests::process::{self, Backend, Firn, Setup};

const PATH: &str = "/governance/v1/warehouses";

async fn create(client: &Client, body: &Value) -> Reply {
    client.request("POST", PATH, Some(body.to_string()), &[]).await
}

async fn get(client: &Client, path: &str) -> Reply {
    client.request("GET", path, None, &[]).await
}

/// Returns a location beside the warehouse `main`.
async fn location_beside_main(client: &Client, name: &str) -> String {
    let main = get(client, &format!("{PATH}/main")).await.expect(200).json();
    format!("{}-{name}", main["location"].as_str().unwrap())
}

/// Returns a warehouse with an S3 store at an address where nothing listens.
fn unreachable(name: &str) -> Value {
    json!({
        "name": name, "location": format!("s3://bucket/{name}"),
        "storage": { "type": "s3", "region": "r", "endpoint": "http://127.0.0.1:1" },
        "credential": { "type": "access-key", "access-key-id": "id", "secret-access-key": "very-hidden" },
    })
}

async fn a_created_warehouse_is_listed_and_holds_tables(backend: Backend) {
    let firn = Firn::start(Setup::new(backend).await);
    let name = unique("w");
    let location = location_beside_main(&firn, &name).await;
    let new = json!({ "name": name, "location": location, "storage": { "type": "file" } });
    let created = create(&firn, &new).await.expect(201).json();
    let checked: Vec<_> = created["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert_eq!(checked, ["write", "read", "list", "conditional-write", "delete"]);
    let warehouse = &created["warehouse"];
    assert_eq!(
        (&warehouse["name"], &warehouse["location"], &warehouse["has-credential"]),
        (&json!(name), &json!(location), &json!(false))
    );
    assert_eq!(get(&firn, &format!("{PATH}/{name}")).await.expect(200).json(), *warehouse);
    let first = get(&firn, &format!("{PATH}?page-size=1")).await.expect(200).json();
    assert_eq!(first["warehouses"][0]["name"], "main");
    let token = first["next-page-token"].as_str().unwrap();
    let second = get(&firn, &format!("{PATH}?page-token={token}")).await.expect(200).json();
    assert_eq!(second["warehouses"], json!([warehouse]));
    assert!(second.get("next-page-token").is_none());

    let client = firn.at(&name);
    let ns = namespace(&client).await;
    let table = create_table(&client, &ns, "t").await;
    assert!(table["metadata-location"].as_str().unwrap().starts_with(&format!("{location}/")));
    let checks = firn.request("POST", &format!("{PATH}/{name}/check"), Some("{}".to_owned()), &[]).await;
    assert_eq!(checks.expect(200).json()["checks"], created["checks"]);
    // With two warehouses, a client has to select one.
    get(&firn, "/v1/config").await.expect_error(400, "IllegalArgumentException", "more than one warehouse");
    get(&firn, &format!("/v1/config?warehouse={name}")).await.expect(200);
}

async fn a_refused_warehouse_leaves_nothing(backend: Backend) {
    let firn = process::shared(backend).await;
    let name = unique("w");
    let beside = location_beside_main(firn, &name).await;
    let inside =
        format!("{}/inside", get(firn, &format!("{PATH}/main")).await.json()["location"].as_str().unwrap());
    let file = json!({ "type": "file" });
    let new = |name: &str, location: &str| json!({ "name": name, "location": location, "storage": file });
    let with = |storage: Value| json!({ "name": name, "location": "s3://b/w", "storage": storage });
    for (body, expected) in [
        (new("", &beside), "1 to 64 letters"),
        (new("a/b", &beside), "1 to 64 letters"),
        (new("config", &beside), "reserved"),
        (new(&name, "relative"), "not an acceptable location"),
        (new(&name, "s3://bucket/w"), "not a local folder"),
        (new(&name, "/proc/nothing"), "the storage of the warehouse cannot be used: write:"),
        (new(&name, &inside), "overlaps with that of warehouse `main`"),
        (with(json!({ "type": "s3", "region": "r" })), "needs a `credential`"),
        (with(json!({ "type": "s3" })), "missing field `region`"),
        (with(json!({ "type": "tape" })), "unknown variant `tape`"),
        (with(json!({ "type": "s3", "region": "r", "secret": "x" })), "unknown field `secret`"),
        (json!({ "name": name, "location": beside }), "missing field `storage`"),
    ] {
        let refused = create(firn, &body).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
        assert!(refused.text().contains(expected), "{body}: {}", refused.text());
    }
    let mut unsendable = unreachable(&name);
    unsendable["credential"]["access-key-id"] = json!("a\nb");
    let refused = create(firn, &unsendable).await;
    refused.expect_error(400, "IllegalArgumentException", "`access-key-id` is empty or has other characters");
    for token in ["%00", "a%2Fb"] {
        let refused = get(firn, &format!("{PATH}?page-token={token}")).await;
        refused.expect_error(400, "BadRequestException", "Invalid page-token");
    }
    let taken = create(firn, &new("main", &beside)).await;
    taken.expect_error(409, "AlreadyExistsException", "Warehouse already exists: main");
    get(firn, &format!("{PATH}/{name}")).await.expect_error(404, "NoSuchWarehouseException", &name);
    let listed = get(firn, PATH).await.expect(200).text();
    assert!(!listed.contains(&name), "{listed}");
}

async fn an_unreachable_store_is_named_and_its_secret_is_not(backend: Backend) {
    let firn = process::shared(backend).await;
    let name = unique("w");
    let refused = create(firn, &unreachable(&name)).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let text = refused.text();
    assert!(text.contains(&format!("s3://bucket/{name}")) && !text.contains("very-hidden"), "{text}");
    get(firn, &format!("{PATH}/{name}")).await.expect(404);
    let mut linked = unreachable(&name);
    linked["storage"]["endpoint"] = json!("http://169.254.169.254");
    let refused = create(firn, &linked).await;
    refused.expect_error(400, "IllegalArgumentException", "metadata service");
}

tests::on_both_databases!(
    a_created_warehouse_is_listed_and_holds_tables,
    a_refused_warehouse_leaves_nothing,
    an_unreachable_store_is_named_and_its_secret_is_not,
);
