//! Catalog time travel: a random history is applied to the server and to a simple model, and both are
//! compared at every instant.

use std::collections::BTreeMap;

use catalog_server::clock::Clock;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tests::fixture::{self, commit, rename, set_property, table_path, view_path, view_version};
use tests::http::{Client, encode};
use tests::process::{Backend, Firn};

/// State of the catalog: the properties, tables and views of each namespace; tables and views by metadata
/// location.
type Model = BTreeMap<String, Contents>;

#[derive(Clone, Debug, Default, PartialEq)]
struct Contents {
    properties: BTreeMap<String, String>,
    tables: BTreeMap<String, String>,
    views: BTreeMap<String, String>,
}

const NAMESPACES: [&str; 3] = ["a", "b", "c/ü"];
const NAMES: [&str; 4] = ["one", "two", "three", "4 %"];

/// Reads the complete catalog with a client, which may have a prefix for a past instant.
async fn read(client: &Client) -> Model {
    let mut model = Model::new();
    let listed = client.get("namespaces").await.expect(200).json();
    for levels in listed["namespaces"].as_array().unwrap() {
        let namespace = levels[0].as_str().unwrap().to_owned();
        let path = fixture::namespace_path(&namespace);
        let loaded = client.get(&path).await.expect(200).json();
        let mut properties: BTreeMap<String, String> =
            serde_json::from_value(loaded["properties"].clone()).unwrap();
        // Computed by the server, and not part of the history.
        assert!(properties.remove("location").is_some(), "{loaded}");
        let mut contents = Contents { properties, ..Contents::default() };
        for (kind, into) in [("tables", &mut contents.tables), ("views", &mut contents.views)] {
            let listed = client.get(&format!("{path}/{kind}")).await.expect(200).json();
            for identifier in listed["identifiers"].as_array().unwrap() {
                let name = identifier["name"].as_str().unwrap().to_owned();
                let loaded = client.get(&format!("{path}/{kind}/{}", encode(&name))).await.expect(200).json();
                let location = loaded["metadata-location"].as_str().unwrap().to_owned();
                into.insert(name, location);
            }
        }
        model.insert(namespace, contents);
    }
    model
}

/// Makes one random change on the server and, if it is accepted, in the model.
async fn step(firn: &Firn, model: &mut Model, random: &mut StdRng, number: u32) {
    let ns = NAMESPACES[random.random_range(0..NAMESPACES.len())];
    let name = NAMES[random.random_range(0..NAMES.len())];
    let (table, view) = (table_path(ns, name), view_path(ns, name));
    let (other_ns, other) =
        (NAMESPACES[random.random_range(0..NAMESPACES.len())], NAMES[random.random_range(0..NAMES.len())]);
    let contents = |model: &Model, ns: &str| model.get(ns).expect("what was changed was there").clone();
    let location = |body: &Value| body["metadata-location"].as_str().unwrap().to_owned();
    match random.random_range(0..12) {
        0 => {
            let properties = BTreeMap::from([("created".to_owned(), number.to_string())]);
            let reply =
                firn.post("namespaces", &json!({ "namespace": [ns], "properties": properties })).await;
            if reply.status == 200 {
                model.insert(ns.to_owned(), Contents { properties, ..Contents::default() });
            }
        }
        1 => {
            if firn.delete(&fixture::namespace_path(ns)).await.status == 204 {
                model.remove(ns);
            }
        }
        2 => {
            let body = json!({ "updates": { "updated": number.to_string() } });
            if firn.post(&format!("{}/properties", fixture::namespace_path(ns)), &body).await.status == 200 {
                let mut changed = contents(model, ns);
                changed.properties.insert("updated".to_owned(), number.to_string());
                model.insert(ns.to_owned(), changed);
            }
        }
        3 | 4 => {
            let reply = firn.post(&fixture::tables(ns), &fixture::table(name)).await;
            if reply.status == 200 {
                let mut changed = contents(model, ns);
                changed.tables.insert(name.to_owned(), location(&reply.json()));
                model.insert(ns.to_owned(), changed);
            }
        }
        5 | 6 => {
            let reply = firn.post(&table, &commit(&[], &[set_property("step", &number.to_string())])).await;
            if reply.status == 200 {
                let mut changed = contents(model, ns);
                changed.tables.insert(name.to_owned(), location(&reply.json()));
                model.insert(ns.to_owned(), changed);
            }
        }
        7 => {
            if firn.delete(&table).await.status == 204 {
                let mut changed = contents(model, ns);
                changed.tables.remove(name);
                model.insert(ns.to_owned(), changed);
            }
        }
        8 => {
            let kind = if random.random() { "tables" } else { "views" };
            let mut body = rename(ns, name, other);
            body["destination"]["namespace"] = json!([other_ns]);
            if firn.post(&format!("{kind}/rename"), &body).await.status == 204 {
                let mut from = contents(model, ns);
                let map = if kind == "tables" { &mut from.tables } else { &mut from.views };
                let moved = map.remove(name).expect("what was renamed was there");
                model.insert(ns.to_owned(), from);
                let mut to = contents(model, other_ns);
                let map = if kind == "tables" { &mut to.tables } else { &mut to.views };
                map.insert(other.to_owned(), moved);
                model.insert(other_ns.to_owned(), to);
            }
        }
        9 => {
            let reply =
                firn.post(&fixture::views(ns), &fixture::view(name, &format!("select {number}"))).await;
            if reply.status == 200 {
                let mut changed = contents(model, ns);
                changed.views.insert(name.to_owned(), location(&reply.json()));
                model.insert(ns.to_owned(), changed);
            }
        }
        10 => {
            let version = view_version(2, &format!("select {number}"));
            let updates = [
                json!({ "action": "add-view-version", "view-version": version }),
                json!({ "action": "set-current-view-version", "view-version-id": -1 }),
            ];
            let reply = firn.post(&view, &commit(&[], &updates)).await;
            if reply.status == 200 {
                let mut changed = contents(model, ns);
                changed.views.insert(name.to_owned(), location(&reply.json()));
                model.insert(ns.to_owned(), changed);
            }
        }
        _ => {
            if firn.delete(&view).await.status == 204 {
                let mut changed = contents(model, ns);
                changed.views.remove(name);
                model.insert(ns.to_owned(), changed);
            }
        }
    }
}

/// Waits until the clock has advanced, so that later changes happen after the returned instant.
async fn next_instant(clock: &Clock) -> i64 {
    let now = clock.now_ms();
    while clock.now_ms() <= now + 1 {
        tokio::task::yield_now().await;
    }
    now
}

async fn every_past_instant_of_a_random_history_is_unchanged(backend: Backend) {
    let mut random = fixture::random("every_past_instant_of_a_random_history_is_unchanged");
    let mut firn = Firn::new(backend).await;
    let clock = Clock::system();
    let mut model = Model::new();
    let mut instants = vec![(next_instant(&clock).await, model.clone())];
    for number in 0..150 {
        step(&firn, &mut model, &mut random, number).await;
        // The change was acknowledged, so it happened at this instant at the latest.
        let at = clock.now_ms();
        next_instant(&clock).await;
        instants.push((at, model.clone()));
        if number % 50 == 49 {
            assert_eq!(read(&firn).await, model, "the model differs at step {number}");
            firn.restart();
        }
    }
    for (at, expected) in instants.iter().step_by(3) {
        assert_eq!(&read(&firn.at(&format!("main@{at}"))).await, expected, "at {at}");
    }
    assert_eq!(read(&firn.at("main@1")).await, Model::new());
}

async fn the_future_is_refused(backend: Backend) {
    let firn = tests::process::shared(backend).await;
    let soon = Clock::system().now_ms() + 3_600_000;
    for instant in [soon.to_string(), "9000-12-31T00:00:00Z".to_owned()] {
        let reply = firn.at(&format!("main@{instant}")).get("namespaces").await;
        reply.expect_error(400, "IllegalArgumentException", "is in the future");
        let path = format!("/v1/config?warehouse=main@{instant}");
        firn.request("GET", &path, None, &[]).await.expect_error(
            400,
            "IllegalArgumentException",
            "is in the future",
        );
    }
}

async fn the_current_instant_can_be_read_and_does_not_change(backend: Backend) {
    let firn = tests::process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let clock = Clock::system();
    for round in 0..10 {
        fixture::create_table(firn, &ns, &format!("t{round}")).await;
        let past = firn.at(&format!("main@{}", clock.now_ms()));
        let first = past.get(&fixture::tables(&ns)).await.expect(200).json();
        fixture::create_table(firn, &ns, &format!("u{round}")).await;
        assert_eq!(past.get(&fixture::tables(&ns)).await.expect(200).json(), first);
        assert_eq!(first["identifiers"].as_array().unwrap().len(), 2 * round + 1);
    }
}

async fn past_states_of_a_purged_table_report_the_missing_file(backend: Backend) {
    let firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let created = fixture::create_table(&firn, &ns, "t").await;
    let clock = Clock::system();
    let at = clock.now_ms();
    next_instant(&clock).await;
    firn.delete(&format!("{}?purgeRequested=true", table_path(&ns, "t"))).await.expect(204);
    let file = fixture::local(created["metadata-location"].as_str().unwrap());
    while std::path::Path::new(file).exists() {
        tokio::task::yield_now().await;
    }
    let past = firn.at(&format!("main@{at}"));
    assert_eq!(past.head(&table_path(&ns, "t")).await, 204);
    let reply = past.get(&table_path(&ns, "t")).await;
    // A cached document may still be served.
    assert!(reply.status == 200 || reply.error_message(404, "NotFoundException").contains("Failed to open"));
}

async fn pages_of_the_past_are_consistent(backend: Backend) {
    let firn = tests::process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    for number in 0..9 {
        fixture::create_table(firn, &ns, &format!("t{number}")).await;
    }
    let clock = Clock::system();
    let past = firn.at(&format!("main@{}", clock.now_ms()));
    next_instant(&clock).await;
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page = past
            .get(&format!("{}?pageSize=2&pageToken={token}", fixture::tables(&ns)))
            .await
            .expect(200)
            .json();
        for identifier in page["identifiers"].as_array().unwrap() {
            let name = identifier["name"].as_str().unwrap().to_owned();
            firn.delete(&table_path(&ns, &name)).await.expect(204);
            names.push(name);
        }
        match page["next-page-token"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!(names.len(), 9);
}

tests::on_both_databases!(
    every_past_instant_of_a_random_history_is_unchanged,
    the_future_is_refused,
    the_current_instant_can_be_read_and_does_not_change,
    past_states_of_a_purged_table_report_the_missing_file,
    pages_of_the_past_are_consistent,
);
