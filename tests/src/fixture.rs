//! Request bodies for tests (schemas, snapshots, views, commits), paths of resources, names with special
//! characters, and seeds of random tests.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::http::{Client, encode};

/// Names with characters that careless splitting, decoding, joining or `LIKE` patterns would misinterpret.
pub const ODD_NAMES: [&str; 22] = [
    "a.b", "a/b", "/", "100%", "%2F", "%41", "a+b", "a b", " ", "ü", "数据", "😀", "\u{1}", "'; --", "_",
    "a?b=c", "#", "\\", "\"", "..x", "TABLES", "a:b@c",
];

/// Returns a namespace name that no other test of this process uses.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Creates a namespace with a unique name, for tests that share a server, and returns the name.
pub async fn namespace(client: &Client) -> String {
    let name = unique("ns");
    client.post("namespaces", &json!({ "namespace": [name] })).await.expect(200);
    name
}

/// Removes the location that the server chose from the response of a namespace.
#[must_use]
pub fn without_location(mut namespace: Value) -> Value {
    let properties = namespace["properties"].as_object_mut().expect("properties");
    properties.remove("location").expect("a location");
    namespace
}

/// Schema with two columns: `id` (field id 1, long, required) and `name` (field id 2, string, optional).
pub fn schema() -> Value {
    json!({ "type": "struct", "schema-id": 0, "fields": [
        { "id": 1, "name": "id", "required": true, "type": "long" },
        { "id": 2, "name": "name", "required": false, "type": "string" },
    ] })
}

/// Body of a request that creates a table with [`schema`] and this name.
pub fn table(name: &str) -> Value {
    json!({ "name": name, "schema": schema() })
}

/// Body of a request that creates a table with [`schema`] and this name at this location.
pub fn table_at(name: &str, location: &str) -> Value {
    json!({ "name": name, "schema": schema(), "location": location })
}

/// Creates a table with [`schema`] and returns the response body.
pub async fn create_table(client: &Client, namespace: &str, name: &str) -> Value {
    client.post(&tables(namespace), &table(name)).await.expect(200).json()
}

/// Body of a request that creates a view with this name, whose query is `sql`.
pub fn view(name: &str, sql: &str) -> Value {
    json!({ "name": name, "schema": schema(), "properties": {}, "view-version": view_version(1, sql) })
}

/// View version whose only representation is `sql`, in the Spark dialect.
pub fn view_version(id: i32, sql: &str) -> Value {
    json!({
        "version-id": id, "timestamp-ms": 1_700_000_000_000_i64, "schema-id": 0, "summary": { "engine-name": "test" },
        "default-namespace": ["default"], "representations": [{ "type": "sql", "sql": sql, "dialect": "spark" }],
    })
}

/// Body of a commit to a table.
pub fn commit(requirements: &[Value], updates: &[Value]) -> Value {
    json!({ "requirements": requirements, "updates": updates })
}

/// One table change of a transaction (`POST transactions/commit`).
pub fn change(namespace: &str, name: &str, requirements: &[Value], updates: &[Value]) -> Value {
    let identifier = json!({ "namespace": [namespace], "name": name });
    json!({ "identifier": identifier, "requirements": requirements, "updates": updates })
}

/// Update that sets one property (`set-properties`).
pub fn set_property(key: &str, value: &str) -> Value {
    json!({ "action": "set-properties", "updates": { key: value } })
}

/// Updates of an append: a new snapshot whose manifest list is below the table's location (the file is not
/// written), and the branch `main` set to it. `marker` is stored in the snapshot's summary.
pub fn append(metadata: &Value, snapshot_id: i64, marker: &str) -> [Value; 2] {
    let location = metadata["location"].as_str().expect("a location");
    let sequence_number = metadata["last-sequence-number"].as_i64().unwrap_or(0) + 1;
    let mut snapshot = json!({
        "snapshot-id": snapshot_id, "sequence-number": sequence_number,
        "timestamp-ms": metadata["last-updated-ms"], "schema-id": metadata["current-schema-id"],
        "manifest-list": format!("{location}/metadata/snap-{snapshot_id}.avro"),
        "summary": { "operation": "append", "marker": marker },
    });
    if let Some(parent) = current_snapshot(metadata) {
        snapshot["parent-snapshot-id"] = json!(parent);
    }
    let reference = json!({ "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": snapshot_id });
    [json!({ "action": "add-snapshot", "snapshot": snapshot }), reference]
}

/// Returns the id of the snapshot that the branch `main` refers to.
pub fn current_snapshot(metadata: &Value) -> Option<i64> {
    metadata["refs"]["main"]["snapshot-id"].as_i64()
}

/// Updates that create a table, as a client sends them after a staged create.
pub fn creation(location: &str) -> Vec<Value> {
    vec![
        json!({ "action": "assign-uuid", "uuid": catalog_server::id::random().to_string() }),
        json!({ "action": "upgrade-format-version", "format-version": 2 }),
        json!({ "action": "add-schema", "schema": schema(), "last-column-id": 2 }),
        json!({ "action": "set-current-schema", "schema-id": -1 }),
        json!({ "action": "add-spec", "spec": { "spec-id": 0, "fields": [] } }),
        json!({ "action": "set-default-spec", "spec-id": -1 }),
        json!({ "action": "add-sort-order", "sort-order": { "order-id": 0, "fields": [] } }),
        json!({ "action": "set-default-sort-order", "sort-order-id": -1 }),
        json!({ "action": "set-location", "location": location }),
    ]
}

/// Body of a request that renames a table or view within a namespace.
pub fn rename(namespace: &str, from: &str, to: &str) -> Value {
    json!({
        "source": { "namespace": [namespace], "name": from },
        "destination": { "namespace": [namespace], "name": to },
    })
}

/// Path of a namespace with one level, below the warehouse prefix.
pub fn namespace_path(namespace: &str) -> String {
    format!("namespaces/{}", encode(namespace))
}

/// Path of the tables of a namespace.
pub fn tables(namespace: &str) -> String {
    format!("namespaces/{}/tables", encode(namespace))
}

/// Path of a table.
pub fn table_path(namespace: &str, name: &str) -> String {
    format!("{}/{}", tables(namespace), encode(name))
}

/// Path of the views of a namespace.
pub fn views(namespace: &str) -> String {
    format!("namespaces/{}/views", encode(namespace))
}

/// Path of a view.
pub fn view_path(namespace: &str, name: &str) -> String {
    format!("{}/{}", views(namespace), encode(name))
}

/// Returns the local path of a `file:` location; other locations are returned unchanged.
pub fn local(location: &str) -> &str {
    let path = location.strip_prefix("file:").unwrap_or(location);
    path.strip_prefix("//").unwrap_or(path)
}

/// Creates a random number generator from [`seed`], and prints the seed with `what` so that a failure can be
/// reproduced.
pub fn random(what: &str) -> rand::rngs::StdRng {
    let seed = seed();
    eprintln!("{what}: FIRN_SEED={seed}");
    rand::SeedableRng::seed_from_u64(seed)
}

/// Returns the seed of random tests: 1 by default, so that a new failure is caused by a change of the code.
/// The environment variable `FIRN_SEED` overrides it with another number, or with `random` for a random one.
pub fn seed() -> u64 {
    match std::env::var("FIRN_SEED").as_deref() {
        Ok("random") => rand::random(),
        Ok(text) => text.parse().expect("FIRN_SEED is a number, or `random`"),
        Err(_) => 1,
    }
}

/// Number of seeds that a simulation runs, one after the other: the environment variable `FIRN_SEEDS`, or
/// `default` if it is not set.
pub fn seeds(default: u64) -> u64 {
    std::env::var("FIRN_SEEDS").map_or(default, |text| text.parse().expect("FIRN_SEEDS is a number"))
}
