//! Ownership of files: paths in metadata, manifests and requests of workers are written, deleted or read only
//! where the table is permitted to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use catalog_server::clock::Clock;
use catalog_server::store::database;
use catalog_server::store::engine::options::DbOptions;
use catalog_server::store::maintenance::jobs::{self as rows_of_jobs, JobLease, Runner};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tests::fixture::{
    self, commit, local, set_property, table_at, table_path, tables, view, view_path, views,
};
use tests::process::{self, Backend, Firn, Setup, binary, clean};
use tests::tables::{Table, TableOptions, files_below, rows};

use crate::maintenance::{get, job_path, lease, lease_of, post, queue, scope};

fn maintain(firn: &Firn, table: &Table, arguments: &[&str]) -> Output {
    let mut command = clean(binary().to_str().unwrap());
    let name = format!("main.{}.{}", table.namespace, table.name);
    command.args(["maintain", "--once", "--json", "--uri", firn.root(), "--table", &name]).args(arguments);
    command.output().unwrap()
}

/// Sets the properties so that an expiry retains only the newest snapshot.
async fn expire_at_once(table: &Table) {
    let age = set_property("history.expire.max-snapshot-age-ms", "1");
    table.update(&[age, set_property("history.expire.min-snapshots-to-keep", "1")]).await;
}

fn output_text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn expiry_deletes_only_files_of_the_table(backend: Backend) {
    // Without retention for time travel, files of expired snapshots may be deleted at once.
    let setup = Setup::new(backend).await.with("FIRN_RETENTION__TIME_TRAVEL_MINUTES", "0");
    let firn = Firn::start(setup);
    let (table, other) = (
        Table::create(&firn, &TableOptions::default()).await,
        Table::create(&firn, &TableOptions::default()).await,
    );
    expire_at_once(&table).await;
    let first = table.append(&[rows(0..10, 0)]).await;
    let other_files = other.append(&[rows(0..10, 0)]).await;
    let imported = firn.warehouse().join("imported/x.parquet");
    fs::create_dir_all(imported.parent().unwrap()).unwrap();
    fs::copy(local(&other_files[0]), &imported).unwrap();
    let imported = imported.to_str().unwrap().to_owned();
    table.add_existing_file(&imported, 10).await;
    let other_metadata = other.load().await["metadata-location"].as_str().unwrap().to_owned();
    let user_file = firn.setup().data_dir.with_extension("keep");
    fs::write(&user_file, "mine").unwrap();
    let own_metadata = table.load().await["metadata-location"].clone();
    let mut protected = vec![
        PathBuf::from(local(&other_files[0])),
        PathBuf::from(local(&other_metadata)),
        PathBuf::from(&imported),
        PathBuf::from(local(&first[0])),
        user_file.clone(),
    ];
    let database = firn.setup().data_dir.join("firn.db");
    protected.extend(database.exists().then_some(database));
    let mut accepted = 0;
    for path in &protected {
        let snapshot_id = table.snapshot_id().await;
        let statistics = json!({
            "snapshot-id": snapshot_id, "statistics-path": path, "file-size-in-bytes": 10,
            "file-footer-size-in-bytes": 5, "blob-metadata": [],
        });
        // A refusal is acceptable, too.
        let set = json!({ "action": "set-statistics", "snapshot-id": snapshot_id, "statistics": statistics });
        accepted += usize::from(firn.post(&table.path(), &commit(&[], &[set])).await.status == 200);
        // A new snapshot, so that the previous one is expired, with all files that only it needs.
        table.append(&[rows(100..110, 0)]).await;
        let output = maintain(&firn, &table, &["--action", "expire-snapshots"]);
        assert!(output.status.success(), "{}", output_text(&output));
        for path in &protected {
            assert!(path.exists(), "{} is gone after {}", path.display(), output_text(&output));
        }
    }
    assert!(accepted > 0, "every statistics file was refused");
    // The imported file is no longer part of the table, but must not be deleted.
    table.replace(std::slice::from_ref(&imported), &rows(200..210, 0)).await;
    table.append(&[rows(300..310, 0)]).await;
    let output = maintain(&firn, &table, &["--action", "expire-snapshots"]);
    assert!(
        output_text(&output).contains("file outside of the table's folders is not deleted"),
        "{}",
        output_text(&output)
    );
    assert!(Path::new(&imported).exists() && Path::new(local(own_metadata.as_str().unwrap())).exists());
    assert_eq!(other.rows().await.len(), 10);
}

async fn a_job_reads_and_deletes_only_files_that_its_table_may(backend: Backend) {
    let firn = Firn::start(Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "1"));
    let (table, other) = (
        Table::create(&firn, &TableOptions::default()).await,
        Table::create(&firn, &TableOptions::default()).await,
    );
    let other_files = other.append(&[rows(1_000..1_010, 0)]).await;
    let imported = firn.warehouse().join("imported/y.parquet");
    fs::create_dir_all(imported.parent().unwrap()).unwrap();
    fs::copy(local(&other_files[0]), &imported).unwrap();
    table.append(&[rows(0..10, 0), rows(10..20, 0)]).await;
    table.add_existing_file(imported.to_str().unwrap(), 10).await;
    let id = super::workers::request_compaction(&firn, &table).await;
    let job = super::workers::wait_for_success(&firn, &id).await;
    assert_eq!(table.data_files().await.len(), 1, "{job}");
    assert_eq!(table.rows().await.len(), 30);
    assert!(imported.exists());
    // A file of another table is not rewritten, and its rows are not copied.
    table.append(&[rows(20..30, 0), rows(30..40, 0)]).await;
    table.add_existing_file(&other_files[0], 10).await;
    let id = super::workers::request_compaction(&firn, &table).await;
    let job = super::workers::wait_for_end(&firn, &id).await;
    assert!(table.data_files().await.contains(&other_files[0]), "another table's rows were copied: {job}");
    assert!(job.to_string().contains("is in a folder of another table"), "{job}");
    assert!(Path::new(local(&other_files[0])).exists());
}

/// Returns all spellings with which a manifest of a table in the folder `own` could name a file that belongs
/// to another table, and paths that are not data files.
fn spellings(file: &Path, own: &Path) -> Vec<String> {
    let (path, data) = (file.display().to_string(), own.join("data"));
    let (folder, name) = path.rsplit_once('/').unwrap();
    fs::create_dir_all(&data).unwrap();
    symlink(file, data.join("link")).unwrap();
    symlink(folder, data.join("folder")).unwrap();
    let created = mknodat(CWD, data.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0);
    created.unwrap();
    let up = "../".repeat(data.components().count());
    let (data, encoded) = (data.display(), path.replacen("/data/", "/d%61ta/", 1));
    assert_ne!(encoded, path);
    vec![
        path.clone(),
        format!("file:{path}"),
        format!("FILE://{path}"),
        format!("File:{path}"),
        format!("file://localhost{path}"),
        format!("file://elsewhere{path}"),
        format!("file:{}", path.replace('/', "//")),
        format!("file://{folder}/./{name}"),
        format!("file://{data}/{up}{}", path.trim_start_matches('/')),
        format!("file://{path}/"),
        format!("file://{path}."),
        format!("file://{encoded}"),
        format!("file://{}", path.replace('/', "%2F")),
        format!("file://{data}/link"),
        format!("file://{data}/folder/{name}"),
        format!("file://{data}/pipe"),
        format!("file://{data}"),
        "file:///etc/passwd".to_owned(),
        "/dev/zero".to_owned(),
        "s3://bucket/x".to_owned(),
        "x".to_owned(),
    ]
}

/// Table of ten rows in two files that also lists a data file of another table, in all spellings, and
/// metadata files.
struct TableWithForeignPaths {
    table: Table,
    other: Table,
    foreign_paths: Vec<String>,
    /// Files that must neither be read nor deleted, with their content.
    protected: Vec<(PathBuf, Vec<u8>)>,
}

impl TableWithForeignPaths {
    async fn new(firn: &Firn) -> Self {
        let (table, other) = (
            Table::create(firn, &TableOptions::default()).await,
            Table::create(firn, &TableOptions::default()).await,
        );
        expire_at_once(&table).await;
        let other_file = PathBuf::from(local(&other.append(&[rows(1_000..1_010, 0)]).await[0]));
        table.append(&[rows(0..5, 0), rows(5..10, 0)]).await;
        let mut foreign_paths = spellings(&other_file, &table.folder().await);
        let metadata: Vec<_> = files_below(&table.folder().await.join("metadata"))
            .into_iter()
            .chain(files_below(&other.folder().await))
            .filter(|path| path.to_string_lossy().ends_with(".metadata.json"))
            .collect();
        foreign_paths.extend(metadata.iter().flat_map(|path| {
            let path = path.display();
            [format!("file://{path}"), format!("file:{path}/"), format!("/{path}")]
        }));
        let bytes = fs::metadata(&other_file).unwrap().len();
        table.add_file_entries(&foreign_paths, 10, bytes).await;
        let mut protected: Vec<_> = files_below(&other.folder().await);
        protected.extend(metadata);
        protected.push(PathBuf::from("/etc/passwd"));
        let protected = protected.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Self { table, other, foreign_paths, protected }
    }

    /// Asserts that its own two files were merged, and that the foreign paths that it lists are unchanged and
    /// were not copied. `text` is the output of the compaction.
    async fn check_compacted(&self, numbers: &Value, text: &str) {
        let files = self.table.data_files().await;
        let own: Vec<_> = files.iter().filter(|path| !self.foreign_paths.contains(path)).collect();
        assert_eq!((own.len(), files.len()), (1, self.foreign_paths.len() + 1), "{own:?}: {text}");
        assert_eq!(
            (&numbers["files-rewritten"], &numbers["rows-written"]),
            (&json!(2), &json!(10)),
            "{text}"
        );
        assert!(text.contains("cannot be read and are skipped"), "{text}");
        self.check_protected(text).await;
    }

    /// Removes the foreign paths from the table, so that the next expiry considers them unneeded.
    async fn remove_foreign_paths(&self) {
        self.table.replace(&self.foreign_paths, &rows(200..210, 0)).await;
        self.table.append(&[rows(300..310, 0)]).await;
    }

    async fn check_protected(&self, text: &str) {
        for (path, content) in &self.protected {
            assert!(fs::read(path).ok().as_ref() == Some(content), "{} after {text}", path.display());
        }
        assert_eq!(self.other.rows().await.len(), 10);
    }
}

async fn maintain_once_neither_copies_nor_deletes_files_of_other_tables(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_RETENTION__TIME_TRAVEL_MINUTES", "0");
    let firn = Firn::start(setup);
    let intruder = TableWithForeignPaths::new(&firn).await;
    let compacted = maintain(
        &firn,
        &intruder.table,
        &["--action", "compact", "--policy", r#"{"compact":{"inputs-min":2}}"#],
    );
    assert!(compacted.status.success(), "{}", output_text(&compacted));
    let report: Value = serde_json::from_slice(&compacted.stdout).unwrap();
    intruder.check_compacted(&report[0]["numbers"], &output_text(&compacted)).await;
    intruder.remove_foreign_paths().await;
    let expired = maintain(&firn, &intruder.table, &["--action", "expire-snapshots"]);
    assert!(
        expired.status.success() && output_text(&expired).contains("\"committed\": true"),
        "{}",
        output_text(&expired)
    );
    intruder.check_protected(&output_text(&expired)).await;
    assert_eq!(intruder.table.rows().await.len(), 30);
    // The folders are determined by the catalog and cannot be overridden.
    let other = intruder.other.folder().await;
    for flag in ["--own-folder", "--read-folder"] {
        let refused = maintain(&firn, &intruder.table, &[flag, other.to_str().unwrap()]);
        assert!(
            !refused.status.success() && output_text(&refused).contains("the catalog reports"),
            "{}",
            output_text(&refused)
        );
    }
}

async fn a_worker_neither_copies_nor_deletes_files_of_other_tables(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_RETENTION__TIME_TRAVEL_MINUTES", "0");
    let firn = Firn::start(setup.with("FIRN_MAINTENANCE__WORKERS", "1"));
    let intruder = TableWithForeignPaths::new(&firn).await;
    let id = super::workers::request_compaction(&firn, &intruder.table).await;
    let job = super::workers::wait_for_success(&firn, &id).await;
    intruder.check_compacted(&job["result"]["numbers"], &job.to_string()).await;
    intruder.remove_foreign_paths().await;
    let queued = queue(&firn, &intruder.table.namespace, &intruder.table.name, "expire-snapshots").await;
    let job = super::workers::wait_for_success(&firn, queued["job-id"].as_str().unwrap()).await;
    assert_eq!(job["result"]["committed"], true, "{job}");
    intruder.check_protected(&job.to_string()).await;
    assert_eq!(intruder.table.rows().await.len(), 30);
}

async fn the_log_of_a_registered_metadata_file_deletes_no_other_files(backend: Backend) {
    let setup = Setup::new(backend).await.with("FIRN_RETENTION__TIME_TRAVEL_MINUTES", "0");
    let firn = Firn::start(setup);
    let table = Table::create(&firn, &TableOptions::default()).await;
    let mut log_paths = table.append(&[rows(0..10, 0)]).await;
    let current = table.load().await["metadata-location"].as_str().unwrap().to_owned();
    let mut document: Value = serde_json::from_slice(&fs::read(local(&current)).unwrap()).unwrap();
    let manifests = files_below(&table.folder().await.join("metadata"));
    log_paths.extend(manifests.iter().map(|path| format!("file:{}", path.display())));
    let metadata_file = table.folder().await.join("metadata/00007-odd.metadata.json");
    // The metadata file itself, in another spelling.
    log_paths.push(format!("FILE:{}/", metadata_file.display()));
    let log = log_paths
        .iter()
        .map(|path| json!({ "timestamp-ms": document["last-updated-ms"], "metadata-file": path }));
    document["metadata-log"] = log.collect();
    for (name, value) in [("delete-after-commit.enabled", "true"), ("previous-versions-max", "1")] {
        document["properties"][format!("write.metadata.{name}")] = value.into();
    }
    fs::write(&metadata_file, document.to_string()).unwrap();
    firn.delete(&table.path()).await.expect(204);
    let register = json!({ "name": "t", "metadata-location": format!("file://{}", metadata_file.display()) });
    firn.post(&format!("namespaces/{}/register", table.namespace), &register).await.expect(200);
    table.update(&[set_property("number", "1")]).await;
    assert!(metadata_file.exists(), "the log still contains it");
    table.update(&[set_property("number", "2")]).await;
    for path in manifests.iter().filter(|path| !path.to_string_lossy().ends_with(".metadata.json")) {
        assert!(path.exists(), "{} was deleted", path.display());
    }
    assert_eq!(table.rows().await.len(), 10);
}

async fn a_worker_cannot_report_files_of_other_tables(backend: Backend) {
    let mut firn = Firn::start(Setup::new(backend).await.with("FIRN_MAINTENANCE__LEASE_MS", "1"));
    let ns = fixture::namespace(&firn).await;
    let location = |created: &Value| created["metadata"]["location"].as_str().unwrap().to_owned();
    let created = fixture::create_table(&firn, &ns, "t").await;
    let (own, metadata) = (location(&created), created["metadata-location"].as_str().unwrap().to_owned());
    let other = location(&fixture::create_table(&firn, &ns, "other").await);
    queue(&firn, &ns, "t", "expire-snapshots").await;
    let leased = lease(&firn, "one").await;
    assert_eq!(leased["folders"]["own"], json!([own]));
    assert_eq!(leased["folders"]["warehouse"], json!(format!("file://{}", firn.warehouse().display())));
    let scope = scope(&ns, "t");
    assert_eq!(get(&firn, &format!("folders?{scope}")).await, leased["folders"]);
    let foreign = [
        format!("{other}/metadata/x.avro"),
        "file:///etc/passwd".to_owned(),
        format!("{own}/../x"),
        format!("{own}2/x"),
        own.clone(),
        // Only the catalog writes metadata files.
        metadata.clone(),
        format!("{}/", metadata.replacen("file://", "FILE:", 1)),
        format!("{own}/metadata/expiring-1.metadata.json"),
        format!("file://{}", firn.setup().data_dir.join("firn.db").display()),
        "x".to_owned(),
        "s3://bucket/x".to_owned(),
    ];
    for path in &foreign {
        let outputs = json!({ "lease": lease_of(&leased), "register": [format!("{own}/data/fine"), path] });
        post(&firn, &job_path(&leased, "outputs"), &outputs).await.expect_error(
            400,
            "IllegalArgumentException",
            "nvalid output",
        );
        let notes = [json!({ "expiring": path }), json!({ "expiring": { "a": path } }), json!(path)];
        for note in notes {
            let heartbeat = json!({ "lease": lease_of(&leased), "progress": { "note": note } });
            let refused = post(&firn, &job_path(&leased, "heartbeat"), &heartbeat).await;
            refused.expect_error(400, "IllegalArgumentException", "note");
        }
    }
    let readable = async |path: &str| {
        let request = json!({ "lease": lease_of(&leased), "location": path });
        let response = post(&firn, &job_path(&leased, "readable"), &request).await.expect(200).json();
        assert_eq!(get(&firn, &format!("readable?{scope}&location={path}")).await, response);
        response["folder"].clone()
    };
    assert_eq!(readable(&format!("{other}/data/x")).await, Value::Null);
    assert_eq!(readable("file:///etc/passwd").await, Value::Null);
    let free_folder = format!("file://{}/free", firn.warehouse().display());
    assert_eq!(readable(&format!("{free_folder}/a/x")).await, json!(free_folder));
    let heartbeat = json!({ "lease": lease_of(&leased), "progress": { "note": { "expiring": format!("{own}/metadata/expiring-1.json") } } });
    post(&firn, &job_path(&leased, "heartbeat"), &heartbeat).await.expect(200);

    // Stored as by an earlier version of the server, which did not validate the paths.
    let job_id = leased["job"]["job-id"].as_str().unwrap().parse().unwrap();
    let attempt = leased["job"]["attempt"].as_i64().unwrap();
    firn.stop();
    let db = database::open(&firn.setup().database_url(), &DbOptions::default()).await.unwrap();
    let mut tx = db.write(Clock::system().now_ms()).await.unwrap();
    let lease_row = JobLease { runner: Runner::Worker, job_id, worker: "one", attempt };
    let mut outputs = foreign.to_vec();
    outputs.push(format!("{own}/data/left"));
    assert!(rows_of_jobs::outputs::add_outputs(&mut tx, lease_row, &outputs).await.unwrap());
    let forged = json!({ "note": { "expiring": format!("{other}/metadata/expiring-1.json") } }).to_string();
    assert!(
        rows_of_jobs::lease::extend(&mut tx, lease_row, 1, (Some(&forged), None)).await.unwrap().is_some()
    );
    tx.commit().await.unwrap();
    db.close().await;
    drop(db);
    firn.restart();
    let mut second = lease(&firn, "two").await;
    while second["job"] == Value::Null {
        second = lease(&firn, "two").await;
    }
    assert_eq!(second["leftovers"], json!([format!("{own}/data/left")]));
    assert!(!second["job"].to_string().contains("expiring-1"), "{second}");
}

async fn percent_signs_are_literal(backend: Backend) {
    let firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let root = firn.warehouse().display().to_string();
    let sibling = format!("file://{}", root.replacen("warehouse", "warehous%65", 1));
    firn.post(&tables(&ns), &table_at("beside", &format!("{sibling}/a"))).await.expect_error(
        400,
        "IllegalArgumentException",
        "inside the warehouse",
    );
    for (name, folder) in [("one", "x%2541"), ("two", "x%41"), ("three", "xA")] {
        let location = format!("file://{root}/{folder}");
        let created = firn.post(&tables(&ns), &table_at(name, &location)).await.expect(200).json();
        assert!(Path::new(&format!("{root}/{folder}/metadata")).is_dir(), "{created}");
    }
    firn.delete(&format!("{}?purgeRequested=true", table_path(&ns, "one"))).await.expect(204);
    super::workers::eventually("a purge", async || {
        (!Path::new(&format!("{root}/x%2541")).exists()).then_some(())
    })
    .await;
    for name in ["two", "three"] {
        firn.post(&table_path(&ns, name), &commit(&[], &[set_property("a", "b")])).await.expect(200);
    }
}

async fn links_inside_a_warehouse_are_not_followed(backend: Backend) {
    let firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let victim = fixture::create_table(&firn, &ns, "victim").await;
    let folder = local(victim["metadata"]["location"].as_str().unwrap()).to_owned();
    let (root, outside) = (firn.warehouse(), firn.setup().data_dir.with_extension("outside"));
    fs::create_dir_all(&outside).unwrap();
    symlink(&outside, root.join("out")).unwrap();
    symlink(&folder, root.join("in")).unwrap();
    for link in ["out", "in"] {
        let location = format!("file://{}/{link}/t", root.display());
        firn.post(&tables(&ns), &table_at("new", &location)).await.expect_error(
            400,
            "IllegalArgumentException",
            "link",
        );
        let name = victim["metadata-location"].as_str().unwrap().rsplit('/').next().unwrap();
        let request = json!({ "name": "new", "metadata-location": format!("file://{}/{link}/metadata/{name}", root.display()) });
        let registered = firn.post(&format!("{}/register", fixture::namespace_path(&ns)), &request).await;
        assert!(matches!(registered.status, 400 | 404), "{}", registered.text());
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "something was written through a link");
    // A subfolder of a purged table that is a symbolic link: files behind it are not deleted.
    let created = fixture::create_table(&firn, &ns, "purged").await;
    let purged = PathBuf::from(local(created["metadata"]["location"].as_str().unwrap()));
    symlink(&folder, purged.join("data/link")).unwrap();
    firn.delete(&format!("{}?purgeRequested=true", table_path(&ns, "purged"))).await.expect(204);
    super::workers::eventually("a purge", async || (!purged.exists()).then_some(())).await;
    assert_eq!(firn.get(&table_path(&ns, "victim")).await.expect(200).json()["metadata"], victim["metadata"]);
}

async fn errors_do_not_reveal_locations_of_other_tables(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let other = fixture::create_table(firn, &ns, "other").await;
    let other_location = other["metadata"]["location"].as_str().unwrap();
    let parent = other_location.rsplit_once('/').unwrap().0;
    let reply = firn.post(&tables(&ns), &table_at("new", parent)).await;
    let message = reply.error_message(400, "IllegalArgumentException");
    assert!(message.contains("another table") && !message.contains(other_location), "{message}");
}

async fn a_refused_location_is_not_written_to(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let other = fixture::create_table(firn, &ns, "other").await;
    let other_location = other["metadata"]["location"].as_str().unwrap();
    fixture::create_table(firn, &ns, "t").await;
    firn.post(&views(&ns), &view("v", "select 1")).await.expect(200);
    // The modification time of a folder changes when a file is created in it or deleted from it.
    let folder = fs::File::open(Path::new(local(other_location)).join("metadata")).unwrap();
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    folder.set_modified(written).unwrap();
    let mut view_at_location = view("w", "select 1");
    view_at_location["location"] = json!(other_location);
    let set_location = json!({ "action": "set-location", "location": other_location });
    let set_metadata_path = set_property("write.metadata.path", &format!("{other_location}/metadata"));
    for (path, body) in [
        (tables(&ns), table_at("new", other_location)),
        (views(&ns), view_at_location),
        (
            table_path(&ns, "new"),
            commit(&[json!({ "type": "assert-create" })], &fixture::creation(other_location)),
        ),
        (table_path(&ns, "t"), commit(&[], std::slice::from_ref(&set_location))),
        (table_path(&ns, "t"), commit(&[], &[set_metadata_path])),
        (view_path(&ns, "v"), commit(&[], &[set_location])),
    ] {
        let reply = firn.post(&path, &body).await;
        reply.expect_error(400, "IllegalArgumentException", "belongs to another table");
        assert_eq!(folder.metadata().unwrap().modified().unwrap(), written, "{path}: {body}");
    }
}

tests::on_both_databases!(
    expiry_deletes_only_files_of_the_table,
    a_job_reads_and_deletes_only_files_that_its_table_may,
    maintain_once_neither_copies_nor_deletes_files_of_other_tables,
    a_worker_neither_copies_nor_deletes_files_of_other_tables,
    the_log_of_a_registered_metadata_file_deletes_no_other_files,
    a_worker_cannot_report_files_of_other_tables,
    percent_signs_are_literal,
    links_inside_a_warehouse_are_not_followed,
    errors_do_not_reveal_locations_of_other_tables,
    a_refused_location_is_not_written_to,
);
