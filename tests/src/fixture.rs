//! Bodies that tests send: schemas, snapshots, views, commits; and names that nobody expects.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::http::{Client, encode};

/// Names that a careless split, decode, join or LIKE would take apart.
pub const ODD_NAMES: [&str; 22] = [
    "a.b", "a/b", "/", "100%", "%2F", "%41", "a+b", "a b", " ", "ü", "数据", "😀", "\u{1}", "'; --", "_",
    "a?b=c", "#", "\\", "\"", "..x", "TABLES", "a:b@c",
];

/// A namespace name that no other test uses.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new namespace on a server that others use, too.
pub async fn namespace(client: &Client) -> String {
    let name = unique("ns");
    client.post("namespaces", &json!({ "namespace": [name] })).await.expect(200);
    name
}

/// A namespace as it was answered, without the location that the server chose for it.
#[must_use]
pub fn without_location(mut namespace: Value) -> Value {
    let properties = namespace["properties"].as_object_mut().expect("properties");
    properties.remove("location").expect("a location");
    namespace
}

/// Two columns.
pub fn schema() -> Value {
    json!({ "type": "struct", "schema-id": 0, "fields": [
        { "id": 1, "name": "id", "required": true, "type": "long" },
        { "id": 2, "name": "name", "required": false, "type": "string" },
    ] })
}

/// Asks for a table of this name.
pub fn table(name: &str) -> Value {
    json!({ "name": name, "schema": schema() })
}

/// Asks for a table of this name at this place.
pub fn table_at(name: &str, location: &str) -> Value {
    json!({ "name": name, "schema": schema(), "location": location })
}

/// Creates a table; gives the answer's body.
pub async fn create_table(client: &Client, namespace: &str, name: &str) -> Value {
    client.post(&tables(namespace), &table(name)).await.expect(200).json()
}

/// Asks for a view of this name that selects `sql`.
pub fn view(name: &str, sql: &str) -> Value {
    json!({ "name": name, "schema": schema(), "properties": {}, "view-version": view_version(1, sql) })
}

/// A version of a view.
pub fn view_version(id: i32, sql: &str) -> Value {
    json!({
        "version-id": id, "timestamp-ms": 1_700_000_000_000_i64, "schema-id": 0, "summary": { "engine-name": "test" },
        "default-namespace": ["default"], "representations": [{ "type": "sql", "sql": sql, "dialect": "spark" }],
    })
}

/// A commit to a table, or one change of a transaction if it names the table.
pub fn commit(requirements: &[Value], updates: &[Value]) -> Value {
    json!({ "requirements": requirements, "updates": updates })
}

/// One change of a transaction.
pub fn change(namespace: &str, name: &str, requirements: &[Value], updates: &[Value]) -> Value {
    let identifier = json!({ "namespace": [namespace], "name": name });
    json!({ "identifier": identifier, "requirements": requirements, "updates": updates })
}

/// Sets one property.
pub fn set_property(key: &str, value: &str) -> Value {
    json!({ "action": "set-properties", "updates": { key: value } })
}

/// The updates of an append: a snapshot below the table's location, and `main` on it.
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

/// The snapshot that `main` is on.
pub fn current_snapshot(metadata: &Value) -> Option<i64> {
    metadata["refs"]["main"]["snapshot-id"].as_i64()
}

/// The updates that create a table from nothing, as after a staged create.
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

/// `rename` of one name to another in one namespace.
pub fn rename(namespace: &str, from: &str, to: &str) -> Value {
    json!({
        "source": { "namespace": [namespace], "name": from },
        "destination": { "namespace": [namespace], "name": to },
    })
}

/// The path of a namespace of one level.
pub fn namespace_path(namespace: &str) -> String {
    format!("namespaces/{}", encode(namespace))
}

/// The path of a namespace's tables.
pub fn tables(namespace: &str) -> String {
    format!("namespaces/{}/tables", encode(namespace))
}

/// The path of a table.
pub fn table_path(namespace: &str, name: &str) -> String {
    format!("{}/{}", tables(namespace), encode(name))
}

/// The path of a namespace's views.
pub fn views(namespace: &str) -> String {
    format!("namespaces/{}/views", encode(namespace))
}

/// The path of a view.
pub fn view_path(namespace: &str, name: &str) -> String {
    format!("{}/{}", views(namespace), encode(name))
}

/// The local path of a `file:` location.
pub fn local(location: &str) -> &str {
    let path = location.strip_prefix("file:").unwrap_or(location);
    path.strip_prefix("//").unwrap_or(path)
}

/// A random number generator; prints its seed.
pub fn random(what: &str) -> rand::rngs::StdRng {
    let seed = seed();
    eprintln!("{what}: FIRN_SEED={seed}");
    rand::SeedableRng::seed_from_u64(seed)
}

/// The seed of random tests: the same one each time, so that a failure comes from a change. `FIRN_SEED` is another one, or `random`.
pub fn seed() -> u64 {
    match std::env::var("FIRN_SEED").as_deref() {
        Ok("random") => rand::random(),
        Ok(text) => text.parse().expect("FIRN_SEED is a number, or `random`"),
        Err(_) => 1,
    }
}

/// How many seeds a simulation takes, one after the other: `FIRN_SEEDS`, or `usually`.
pub fn seeds(usually: u64) -> u64 {
    std::env::var("FIRN_SEEDS").map_or(usually, |text| text.parse().expect("FIRN_SEEDS is a number"))
}
