//! Retention of past states of tables: they remain readable for the promised time, in spite of maintenance.
//! Where days have to pass, the test controls the server's clock.

use std::collections::BTreeSet;

use catalog_server::clock::Clock;
use catalog_server::config::Config;
use catalog_server::server::Server;
use serde_json::{Value, json};
use tests::fixture;
use tests::http::Client;
use tests::process::{Backend, Firn, Setup, binary, clean};
use tests::tables::{Table, TableOptions, files_below, rows};
use tests::worker::Worker;

use crate::maintenance::{call, get, job_path, lease, lease_of, post, scope, table_identifier};

use super::{request_compaction, wait_for_success};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Server in this process with a clock that the test sets.
pub(crate) struct ClockedServer {
    pub(crate) client: Client,
    clock: Clock,
    start_ms: i64,
}

impl ClockedServer {
    pub(crate) async fn start(backend: Backend, change: impl FnOnce(&mut Config)) -> Self {
        let setup = Setup::new(backend).await;
        let mut config = Config {
            data_dir: setup.data_dir.clone(),
            listen: ([127, 0, 0, 1], 0).into(),
            database_url: setup.database_url.clone(),
            ..Config::default()
        };
        config.maintenance.workers = 0;
        change(&mut config);
        let start_ms = Clock::system().now_ms();
        let clock = Clock::fixed(start_ms);
        let server = Server::open(&config, clock.clone()).await.expect("a server");
        let root = format!("http://{}", server.address().expect("an address"));
        tokio::spawn(server.run(std::future::pending()));
        Self { client: Client::new(&root, "main"), clock, start_ms }
    }

    /// Sets the clock to this number of hundredths of a day after the start.
    pub(crate) fn day(&self, hundredths: i64) {
        self.clock.set(self.start_ms + hundredths * DAY_MS / 100);
    }

    /// Returns the table as it was this number of hundredths of a day after the start.
    fn at(&self, table: &Table, hundredths: i64) -> Table {
        table.with_client(&self.client_at(hundredths), &table.name)
    }

    /// Returns a client of the catalog as it was this number of hundredths of a day after the start.
    pub(crate) fn client_at(&self, hundredths: i64) -> Client {
        let at_ms = self.start_ms + hundredths * DAY_MS / 100;
        self.client.at(&format!("main@{at_ms}"))
    }

    /// Runs the due actions of a table, and returns the reports.
    async fn maintain(&self, table: &Table, flags: &[&str]) -> Vec<Value> {
        let flags = [flags, &["--json"]].concat();
        serde_json::from_str(&self.maintain_once(table, &flags).await).unwrap()
    }

    async fn maintain_once(&self, table: &Table, flags: &[&str]) -> String {
        let mut command = clean(binary().to_str().unwrap());
        let name = format!("main.{}.{}", table.namespace, table.name);
        command.args(["maintain", "--once", "--uri", self.client.root(), "--table", &name]).args(flags);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Expires all snapshots that may be expired, with a maximum age of a minute.
    async fn expire(&self, table: &Table) -> Value {
        let policy = r#"{"expire-snapshots": {"snapshot-age-max-ms": 60000}}"#;
        self.maintain(table, &["--action", "expire-snapshots", "--policy", policy]).await.remove(0)
    }
}

async fn snapshots(table: &Table) -> BTreeSet<i64> {
    let loaded = table.load().await;
    let all = loaded["metadata"]["snapshots"].as_array().cloned().unwrap_or_default();
    all.iter().map(|snapshot| snapshot["snapshot-id"].as_i64().unwrap()).collect()
}

async fn schemas(table: &Table) -> Vec<i64> {
    let loaded = table.load().await;
    let all = loaded["metadata"]["schemas"].as_array().unwrap();
    all.iter().map(|schema| schema["schema-id"].as_i64().unwrap()).collect()
}

fn set_branch(name: &str, snapshot_id: i64) -> Value {
    json!({ "action": "set-snapshot-ref", "ref-name": name, "type": "branch", "snapshot-id": snapshot_id })
}

async fn a_snapshot_that_was_replaced_by_mistake_stays_for_its_age(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1");
    let firn = Firn::start(setup);
    let table = Table::create(&firn, &TableOptions::default()).await;
    let good_snapshot_id = table.append_backdated(&rows(0..20, 0), 10 * DAY_MS, &[]).await;
    let (rows_before, files) = (table.rows().await, table.data_files().await);
    table.replace(&files, &rows(90..91, 0)).await;
    let new =
        json!({ "table": table_identifier(&table.namespace, &table.name), "action": "expire-snapshots" });
    let id = post(&firn, "jobs", &new).await.expect(200).json()["job-id"].as_str().unwrap().to_owned();
    let job = wait_for_success(&firn, &id).await;
    assert_eq!(job["result"]["committed"], false, "{job}");
    table.update(&[set_branch("main", good_snapshot_id)]).await;
    assert_eq!(table.rows().await, rows_before);
}

/// Creates a table with three appends, and returns their snapshot ids.
async fn create_table_with_appends(firn: &ClockedServer) -> (Table, Vec<i64>) {
    let table = Table::create(&firn.client, &TableOptions::default()).await;
    let mut ids = Vec::new();
    for number in 0..3 {
        table.append(&[rows(number * 10..number * 10 + 10, 0)]).await;
        ids.push(table.snapshot_id().await);
    }
    (table, ids)
}

async fn snapshots_referenced_within_the_retention_can_be_read(backend: Backend) {
    let firn = ClockedServer::start(backend, |_| {}).await;
    let (table, ids) = create_table_with_appends(&firn).await;
    table.update(&[set_branch("short", ids[0])]).await;
    table.update(&[set_branch("long", ids[1])]).await;
    firn.day(20);
    table.update(&[json!({ "action": "remove-snapshot-ref", "ref-name": "short" })]).await;
    firn.day(100);
    let rows_before = table.rows().await;
    firn.day(101);
    table.replace(&table.data_files().await, &rows(90..91, 0)).await;
    firn.day(300);
    table.update(&[json!({ "action": "remove-snapshot-ref", "ref-name": "long" })]).await;
    firn.day(510);
    assert_eq!(firn.expire(&table).await["committed"], false);
    firn.day(530);
    // The last branch on the first snapshot was removed more than five days ago; the other snapshots were
    // referenced since.
    let report = firn.expire(&table).await;
    assert_eq!(report["numbers"]["snapshots-expired"], 1, "{report}");
    let remaining = snapshots(&table).await;
    assert!(
        !remaining.contains(&ids[0]) && ids[1..].iter().all(|id| remaining.contains(id)),
        "{remaining:?}"
    );
    assert_eq!(firn.at(&table, 100).rows().await, rows_before);
    table.update(&[set_branch("main", ids[2])]).await;
    assert_eq!(table.rows().await, rows_before);
}

async fn files_of_a_snapshot_removed_by_a_client_stay_during_the_retention(backend: Backend) {
    let firn = ClockedServer::start(backend, |_| {}).await;
    let (table, ids) = create_table_with_appends(&firn).await;
    firn.day(100);
    let rows_before = table.rows().await;
    firn.day(101);
    table.replace(&table.data_files().await, &rows(90..91, 0)).await;
    // PyIceberg expires snapshots in this way, without deleting files.
    table.update(&[json!({ "action": "remove-snapshots", "snapshot-ids": [ids[2]] })]).await;
    firn.day(530);
    let report = firn.expire(&table).await;
    assert_eq!(report["numbers"]["snapshots-expired"], 2, "{report}");
    assert_eq!(firn.at(&table, 100).rows().await, rows_before);
}

async fn files_committed_by_a_dead_worker_stay_during_the_retention(backend: Backend) {
    let firn = super::start_server(backend, 1_500).await;
    let table = Table::create(&firn, &TableOptions::default()).await;
    table.append(&[rows(0..10, 0)]).await;
    let first = table.snapshot_id().await;
    let before = files_below(&table.folder().await);
    table.append(&[rows(10..20, 0)]).await;
    let (rows_before, second) = (table.rows().await, table.snapshot_id().await);
    // Simulates a worker that made this commit and died before it reported the outcome.
    let id = request_compaction(&firn, &table).await;
    let leased = lease(&firn, "dead").await;
    let new = files_below(&table.folder().await).into_iter().filter(|path| !before.contains(path));
    let new = new.map(|path| path.display().to_string()).filter(|path| !path.ends_with(".metadata.json"));
    let new: Vec<_> = new.collect();
    assert_eq!(new.len(), 3, "{new:?}");
    post(&firn, &job_path(&leased, "outputs"), &json!({ "lease": lease_of(&leased), "register": new }))
        .await
        .expect(204);
    let at_ms = Clock::system().now_ms();
    table.update(&[set_branch("main", first)]).await;
    table.update(&[json!({ "action": "remove-snapshots", "snapshot-ids": [second] })]).await;
    let worker = Worker::start(firn.root(), &[]);
    assert_eq!(wait_for_success(&firn, &id).await["attempt"], 2, "{}", worker.log());
    let past = table.with_client(&firn.at(&format!("main@{at_ms}")), &table.name);
    assert_eq!(past.rows().await, rows_before);
}

async fn metadata_files_are_deleted_after_the_retention(backend: Backend) {
    let firn = ClockedServer::start(backend, |_| {}).await;
    let table = Table::create(&firn.client, &TableOptions::default()).await;
    let set = |name: &str, value: &str| fixture::set_property(name, value);
    table
        .update(&[
            set("write.metadata.delete-after-commit.enabled", "true"),
            set("write.metadata.previous-versions-max", "1"),
        ])
        .await;
    let folder = table.folder().await.join("metadata");
    for day in [10, 20, 30, 300, 400] {
        firn.day(day);
        table.update(&[set("day", &day.to_string())]).await;
    }
    assert_eq!(files_below(&folder).len(), 7);
    assert_eq!(firn.at(&table, 25).load().await["metadata"]["properties"]["day"], "20");
    firn.day(523);
    table.update(&[set("day", "523")]).await;
    // The files replaced on the first day are deleted, except for the last one of that day, which was current
    // for days.
    assert_eq!(files_below(&folder).len(), 5);
    assert_eq!(firn.at(&table, 25).load().await["metadata"]["properties"]["day"], "20");
    assert_eq!(firn.at(&table, 299).load().await["metadata"]["properties"]["day"], "30");
}

async fn registered_snapshots_are_kept_until_a_policy_expires_them(backend: Backend) {
    let firn = ClockedServer::start(backend, |_| {}).await;
    let table = Table::create(&firn.client, &TableOptions::default()).await;
    for number in 0..3 {
        table.append(&[rows(number * 10..number * 10 + 10, 0)]).await;
    }
    let location = table.load().await["metadata-location"].as_str().unwrap().to_owned();
    let inherited = snapshots(&table).await;
    firn.client.delete(&table.path()).await.expect(204);
    let register = format!("{}/register", fixture::namespace_path(&table.namespace));
    firn.client.post(&register, &json!({ "name": "t", "metadata-location": location })).await.expect(200);
    table.append(&[rows(30..40, 0)]).await;
    let own = table.snapshot_id().await;
    table.replace(&table.data_files().await, &rows(90..91, 0)).await;
    firn.day(10_000);
    let reports = firn.maintain(&table, &[]).await;
    assert_eq!(reports[0]["numbers"]["snapshots-expired"], 1, "{reports:?}");
    let remaining = snapshots(&table).await;
    assert!(inherited.is_subset(&remaining) && !remaining.contains(&own), "{remaining:?}");

    let path = format!("policy?warehouse=main&namespace={}", table.namespace);
    let policy = json!({ "expire-snapshots": { "snapshots-min": 1 } });
    call(&firn.client, "PUT", &path, Some(&policy)).await.expect(200);
    let applicable = get(&firn.client, &format!("applicable-policy?{}", scope(&table.namespace, "t"))).await;
    let settings = applicable["settings"].as_array().unwrap();
    let inherited = settings.iter().find(|setting| setting["name"] == "expire-snapshots.inherited").unwrap();
    assert_eq!(inherited["value"], true, "{applicable}");
    assert_eq!(firn.expire(&table).await["numbers"]["snapshots-expired"], 3);
    assert_eq!(snapshots(&table).await.len(), 1);
}

/// Returns the schema of the table with another name for the second column.
fn renamed(name: &str) -> Value {
    let mut schema = tests::tables::schema();
    schema["fields"][1]["name"] = name.into();
    schema
}

async fn a_previous_schema_can_be_restored_for_a_while(backend: Backend) {
    let firn = ClockedServer::start(backend, |config| config.retention.time_travel_minutes = 0).await;
    let table = Table::create(&firn.client, &TableOptions::default()).await;
    for name in ["m", "n", "o"] {
        table
            .update(&[
                json!({ "action": "add-schema", "schema": renamed(name) }),
                json!({ "action": "set-current-schema", "schema-id": -1 }),
            ])
            .await;
    }
    firn.day(100);
    firn.maintain(&table, &["--action", "expire-snapshots"]).await;
    assert_eq!(schemas(&table).await, [0, 1, 2, 3]);
    table.update(&[json!({ "action": "set-current-schema", "schema-id": 2 })]).await;
    firn.day(601);
    firn.maintain(&table, &["--action", "expire-snapshots"]).await;
    // The current schema is retained, and the one with the highest id, so that no id is reused.
    assert_eq!(schemas(&table).await, [2, 3]);
    let commit_previous = fixture::commit(&[], &[json!({ "action": "set-current-schema", "schema-id": 1 })]);
    firn.client.post(&table.path(), &commit_previous).await.expect_error(
        409,
        "CommitFailedException",
        "refresh and commit again",
    );
    let commit_unknown = fixture::commit(&[], &[json!({ "action": "set-current-schema", "schema-id": 9 })]);
    firn.client.post(&table.path(), &commit_unknown).await.expect_error(
        400,
        "IllegalArgumentException",
        "unknown schema: 9",
    );
}

async fn snapshots_of_streaming_writers_are_kept_for_a_week(backend: Backend) {
    let firn = ClockedServer::start(backend, |config| config.retention.time_travel_minutes = 0).await;
    let summaries = [
        &[("flink.job-id", "j"), ("flink.operator-id", "o"), ("flink.max-committed-checkpoint-id", "7")][..],
        &[("kafka.connect.offsets.control.group", "{}"), ("kafka.connect.commit-id", "c")],
        &[("spark.sql.streaming.queryId", "q"), ("spark.sql.streaming.epochId", "3")],
    ];
    let mut tables = Vec::new();
    for summary in summaries {
        let table = Table::create(&firn.client, &TableOptions::default()).await;
        let mut ids = Vec::new();
        for number in 0..5 {
            let summary = if number == 1 || number == 2 { summary } else { &[] };
            ids.push(table.append_backdated(&rows(number * 10..number * 10 + 10, 0), 0, summary).await);
        }
        tables.push((table, ids));
    }
    firn.day(690);
    for ((table, ids), summary) in tables.iter().zip(summaries) {
        firn.expire(table).await;
        // A streaming writer searches from the current snapshot back to its newest one, so all snapshots
        // between them are retained.
        assert_eq!(snapshots(table).await, ids[2..].iter().copied().collect(), "{summary:?}");
    }
    firn.day(710);
    for ((table, _), summary) in tables.iter().zip(summaries) {
        firn.expire(table).await;
        assert_eq!(snapshots(table).await.len(), 1, "{summary:?}");
    }
}

async fn a_table_without_garbage_collection_is_compacted(backend: Backend) {
    let firn = ClockedServer::start(backend, |_| {}).await;
    let (table, before) = super::create_fragmented_table(&firn.client, 2, 1).await;
    table.update(&[fixture::set_property("gc.enabled", "FALSE")]).await;
    let policy = r#"{"compact": {"inputs-min": 2}}"#;
    firn.day(10_000);
    let planned = firn.maintain_once(&table, &["--dry-run", "--policy", policy]).await;
    assert!(planned.contains("compact: 3 files would become about 1\n"), "{planned}");
    assert!(
        planned.contains("expire-snapshots: nothing to do: ") && planned.contains("`gc.enabled`"),
        "{planned}"
    );
    let reports = firn.maintain(&table, &["--policy", policy]).await;
    assert!(reports[0]["skipped"][0].as_str().unwrap().contains("`gc.enabled`"), "{reports:?}");
    assert_eq!((&reports[0]["committed"], &reports[1]["committed"]), (&json!(false), &json!(true)));
    assert_eq!((table.rows().await, table.data_files().await.len()), (before, 1));
}

tests::on_both_databases!(
    a_snapshot_that_was_replaced_by_mistake_stays_for_its_age,
    files_committed_by_a_dead_worker_stay_during_the_retention,
);

// Only on SQLite: a test cannot set the clock of a PostgreSQL server.
tests::on_sqlite!(
    snapshots_referenced_within_the_retention_can_be_read,
    files_of_a_snapshot_removed_by_a_client_stay_during_the_retention,
    metadata_files_are_deleted_after_the_retention,
    registered_snapshots_are_kept_until_a_policy_expires_them,
    a_previous_schema_can_be_restored_for_a_while,
    snapshots_of_streaming_writers_are_kept_for_a_week,
    a_table_without_garbage_collection_is_compacted,
);
