//! Durability of acknowledged changes: they survive a power cut, even on a disk that retains only synced
//! data.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::fixture::{
    append, change, commit, create_table, creation, namespace_path, rename, schema, set_property, table,
    table_path, tables, view, view_path, view_version, views,
};
use tests::http::{Client, Reply};
use tests::power_cut::Recording;
use tests::process::{Backend, Firn, Setup};
use tests::tables::{Table, TableOptions, partition_field, rows};

use crate::maintenance::{post, table_identifier};
use crate::workers::{request_compaction, wait_for_success};

/// Names of all tables and views that the changes affect.
const OBJECTS: [&str; 7] = ["t", "staged", "renamed", "dropped", "v", "w", "other"];

/// State of the catalog for a client: status and body of the response to each read request, by path.
type CatalogState = BTreeMap<String, (u16, Value)>;

/// Client that counts responses and records the state of the catalog after each change.
struct RecordingClient<'a> {
    client: &'a Client,
    responses: usize,
    states: Vec<(usize, String, CatalogState)>,
}

impl RecordingClient<'_> {
    /// Sends a change that must be acknowledged.
    async fn send(&mut self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let reply = self.client.send(method, path, body.map(|body| body.to_string()), &[]).await;
        assert!(matches!(reply.status, 200 | 204), "{method} {path}: {} {}", reply.status, reply.text());
        self.responses += 1;
        reply
    }

    /// Sends a change like [`Witness::send`], and records the state of the catalog after it.
    async fn change(&mut self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let reply = self.send(method, path, body).await;
        let state = read_state(self.client).await;
        self.states.push((self.responses, format!("{method} {path}"), state));
        self.responses += read_paths().len();
        reply
    }

    async fn post(&mut self, path: &str, body: Value) -> Value {
        let reply = self.change("POST", path, Some(body)).await;
        if reply.body.is_empty() { Value::Null } else { reply.json() }
    }
}

fn read_paths() -> Vec<String> {
    let lists =
        ["namespaces".to_owned(), namespace_path("ns"), namespace_path("ns2"), tables("ns"), views("ns")];
    lists
        .into_iter()
        .chain(OBJECTS.iter().flat_map(|name| [table_path("ns", name), view_path("ns", name)]))
        .collect()
}

async fn read_state(client: &Client) -> CatalogState {
    let mut state = CatalogState::new();
    for path in read_paths() {
        let reply = client.get(&path).await;
        state.insert(path, (reply.status, reply.json()));
    }
    state
}

/// Makes changes of every kind, and enough of them that SQLite checkpoints its write-ahead log once.
async fn make_changes(firn: &Firn, recorder: &mut RecordingClient<'_>) {
    recorder.post("namespaces", json!({ "namespace": ["ns"] })).await;
    recorder.post("namespaces", json!({ "namespace": ["ns2"], "properties": { "a": "b" } })).await;
    let properties = json!({ "updates": { "a": "c" }, "removals": [] });
    recorder.post(&format!("{}/properties", namespace_path("ns2")), properties).await;
    let created = recorder.post(&tables("ns"), table("t")).await;
    recorder.post(&tables("ns"), table("dropped")).await;
    let path = table_path("ns", "t");
    recorder.post(&path, commit(&[], &append(&created["metadata"], 1, "first"))).await;

    let staged = json!({ "name": "staged", "schema": schema(), "stage-create": true });
    let location = recorder.post(&tables("ns"), staged).await["metadata"]["location"].clone();
    let create = [json!({ "type": "assert-create" })];
    let chosen = format!("file://{}/chosen/by/the/client", firn.warehouse().display());
    let changes = [
        change("ns", "staged", &create, &creation(location.as_str().unwrap())),
        change("ns", "other", &create, &creation(&chosen)),
        change("ns", "t", &[], &[set_property("transaction", "1")]),
    ];
    recorder.post("transactions/commit", json!({ "table-changes": changes })).await;

    recorder.post(&views("ns"), view("v", "SELECT 1")).await;
    let replaced = [
        json!({ "action": "add-view-version", "view-version": view_version(2, "SELECT 2") }),
        json!({ "action": "set-current-view-version", "view-version-id": -1 }),
    ];
    recorder.post(&view_path("ns", "v"), json!({ "requirements": [], "updates": replaced })).await;
    recorder.post("views/rename", rename("ns", "v", "w")).await;
    recorder.post("tables/rename", rename("ns", "staged", "renamed")).await;
    recorder.change("DELETE", &table_path("ns", "dropped"), None).await;
    for round in 0..COMMITS {
        let body = commit(&[], &[set_property("round", &round.to_string())]);
        match round % 10 {
            0 => drop(recorder.post(&path, body).await),
            _ => drop(recorder.send("POST", &path, Some(body)).await),
        }
    }
    recorder.change("DELETE", &namespace_path("ns2"), None).await;
}

/// Number of commits that cause a checkpoint: SQLite checkpoints after 1,000 pages, and a commit writes about
/// thirty.
const COMMITS: u32 = 50;

async fn an_acknowledged_change_survives_a_power_cut(backend: Backend) {
    let mut setup = Setup::new(backend).await;
    if backend == Backend::Sqlite {
        // In folders that the server has to create, like that of the warehouse.
        setup.database_url = Some(format!("sqlite://{}/made/by/firn.db", setup.data_dir.display()));
    }
    let recording = Recording::of(&mut setup);
    let mut firn = Firn::start(setup);
    let (server, client) = (firn.pid(), (*firn).clone());
    let mut recorder = RecordingClient { client: &client, responses: 0, states: Vec::new() };
    make_changes(&firn, &mut recorder).await;
    let mut changes = recorder.states;
    firn.kill();
    if backend == Backend::Postgres {
        // The PostgreSQL database is not affected by the power cut and has advanced. Only the files are, so
        // only the last response can be tested.
        changes.drain(..changes.len() - 1);
    }
    let responses: Vec<_> = changes.iter().map(|(response, ..)| *response).collect();
    let mut changes = changes.into_iter();
    recording
        .replay(server, &responses, async |_| {
            let (_, change, expected) = changes.next().unwrap();
            firn.restart_with(|setup| setup.wrapper.clear());
            let state = read_state(&firn).await;
            for (path, expected) in &expected {
                assert_eq!(&state[path], expected, "{path} after {change} and a power cut");
            }
            // The remaining data can be changed as well.
            create_table(&firn, "ns", "after").await;
            firn.check_no_panic();
            firn.kill();
        })
        .await;
    assert_eq!(changes.len(), 0);
}

/// New partition folders, hashed folders and expired snapshots: the server's own worker creates them
/// immediately before the power cut.
async fn what_maintenance_committed_survives_a_power_cut(backend: Backend) {
    let mut setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    setup.env.insert("FIRN_RETENTION__TIME_TRAVEL_MINUTES".to_owned(), "0".to_owned());
    let recording = Recording::of(&mut setup);
    let mut firn = Firn::start(setup);
    let server = firn.pid();
    let (partitioned, hashed) = (
        Table::create(&firn, &TableOptions::default()).await,
        Table::create(&firn, &TableOptions::default()).await,
    );
    hashed.update(&[set_property("write.object-storage.enabled", "true")]).await;
    let mut expected = Vec::new();
    for table in [&partitioned, &hashed] {
        table.append(&[rows(0..10, 1), rows(10..20, 2), rows(20..30, 3)]).await;
        expected.push(table.rows().await);
    }
    let spec = json!({ "spec-id": 1, "fields": [partition_field()] });
    let spec_updates = [
        json!({ "action": "add-spec", "spec": spec }),
        json!({ "action": "set-default-spec", "spec-id": -1 }),
    ];
    partitioned.update(&spec_updates).await;
    for table in [&partitioned, &hashed] {
        let id = request_compaction(&firn, table).await;
        wait_for_success(&firn, &id).await;
    }
    let age = set_property("history.expire.max-snapshot-age-ms", "1");
    partitioned.update(&[age, set_property("history.expire.min-snapshots-to-keep", "1")]).await;
    let new = json!({ "table": table_identifier(&partitioned.namespace, "t"), "action": "expire-snapshots" });
    let job = post(&firn, "jobs", &new).await.expect(200).json();
    wait_for_success(&firn, job["job-id"].as_str().unwrap()).await;
    let before = [partitioned.data_files().await, hashed.data_files().await];
    assert!(before[0].iter().all(|path| path.contains("part=")), "{before:?}");
    firn.kill();
    recording.replay_end(server).await;
    firn.restart_with(|setup| {
        setup.wrapper.clear();
        setup.env.insert("FIRN_MAINTENANCE__WORKERS".to_owned(), "0".to_owned());
    });
    for ((table, expected), files) in [&partitioned, &hashed].into_iter().zip(expected).zip(before) {
        let table = table.with_client(&firn, "t");
        assert_eq!(table.data_files().await, files);
        assert_eq!(table.rows().await, expected);
    }
}

tests::on_both_databases!(
    an_acknowledged_change_survives_a_power_cut,
    what_maintenance_committed_survives_a_power_cut,
);
