//! Tables of the benchmark: created in the catalog, and changed with commits that are planned by
//! `table-core`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use catalog_server::clock::Clock;
use serde_json::{Value, json};
use table_core::manifest::file::Manifest;
use table_core::manifest::list;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::change::{AddedDelete, ChangeKind, FileChange};
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::context::Context;
use table_core::snapshot::plan::{Needs, SnapshotPlan};
use tests::fixture;
use tests::process::Firn;
use uuid::Uuid;

use super::files::Files;
use super::rows::Rows;

/// Namespace of the tables.
pub const NAMESPACE: &str = "bench";
/// Target file size of all tables and contenders in bytes: the default of Iceberg's libraries.
pub const TARGET_BYTES: u64 = 512 << 20;
/// Maximum size of a decompressed manifest in bytes; more than any manifest has.
const LIMIT_BYTES: usize = 1 << 30;

/// Table of the catalog.
pub struct Table {
    /// Name of the table in its namespace.
    pub name: String,
    /// Local folder of the table.
    pub folder: PathBuf,
}

impl Table {
    /// Creates an empty table.
    ///
    /// # Errors
    ///
    /// Fails if the response contains no valid table, or the folder of the metadata cannot be created.
    pub async fn create(firn: &Firn, name: &str, rows: Rows) -> anyhow::Result<(Table, TableMetadata)> {
        let properties = json!({
            "write.target-file-size-bytes": TARGET_BYTES.to_string(),
            "history.expire.max-snapshot-age-ms": "1",
            "history.expire.min-snapshots-to-keep": "1",
        });
        let request = json!({ "name": name, "schema": rows.schema(), "properties": properties });
        let created = firn.post(&fixture::tables(NAMESPACE), &request).await.expect(200).json();
        let location = created["metadata"]["location"].as_str().context("a location")?;
        let folder = PathBuf::from(fixture::local(location));
        fs::create_dir_all(folder.join("metadata"))?;
        fs::create_dir_all(folder.join("data"))?;
        let metadata = TableMetadata::parse(created["metadata"].to_string().as_bytes())?;
        Ok((Table { name: name.to_owned(), folder }, metadata))
    }

    /// Creates a table that lists existing files: data files in the first snapshot, all deletes in the
    /// second, so that the deletes apply.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be created, or a snapshot cannot be planned, written or committed.
    pub async fn of_files(firn: &Firn, name: &str, rows: Rows, files: &Files) -> anyhow::Result<Table> {
        let (table, metadata) = Table::create(firn, name, rows).await?;
        let mut append = FileChange::new(ChangeKind::Append);
        append.added_data.clone_from(&files.data);
        let metadata = table.commit(firn, &plan(&metadata, &append, 1)?).await?;
        if !files.positions.is_empty() || !files.equality.is_empty() {
            let mut delta = FileChange::new(ChangeKind::RowDelta);
            let deletes = files.positions.iter().chain(&files.equality);
            delta.added_deletes =
                deletes.map(|file| AddedDelete { file: file.clone(), sequence_number: None }).collect();
            table.commit(firn, &plan(&metadata, &delta, 2)?).await?;
        }
        Ok(table)
    }

    async fn commit(&self, firn: &Firn, new: &NewSnapshot) -> anyhow::Result<TableMetadata> {
        write(new)?;
        self.post(firn, new.body.as_str().to_owned()).await
    }

    /// Commits a request body, and returns the new metadata.
    ///
    /// # Errors
    ///
    /// Fails if the response contains no valid table metadata.
    pub async fn post(&self, firn: &Firn, body: String) -> anyhow::Result<TableMetadata> {
        let path = fixture::table_path(NAMESPACE, &self.name);
        let response = firn.send("POST", &path, Some(body), &[]).await.expect(200).json();
        Ok(TableMetadata::parse(response["metadata"].to_string().as_bytes())?)
    }

    /// Loads the current metadata.
    pub async fn metadata(&self, firn: &Firn) -> Value {
        firn.get(&fixture::table_path(NAMESPACE, &self.name)).await.expect(200).json()["metadata"].take()
    }

    /// Returns the name with its namespace.
    pub fn qualified(&self) -> String {
        format!("{NAMESPACE}.{}", self.name)
    }

    /// Drops the table and deletes its folder.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be deleted.
    pub async fn remove(self, firn: &Firn) -> anyhow::Result<()> {
        firn.delete(&fixture::table_path(NAMESPACE, &self.name)).await.expect(204);
        Ok(fs::remove_dir_all(self.folder)?)
    }
}

/// Plans a snapshot with this id that applies a change to the table.
///
/// # Errors
///
/// Fails if the current manifests cannot be read, or the change conflicts with the table.
pub fn plan(metadata: &TableMetadata, change: &FileChange, snapshot_id: i64) -> anyhow::Result<NewSnapshot> {
    let context = Context {
        branch: "main".to_owned(),
        snapshot_id,
        commit_uuid: Uuid::from_u128(u128::from(snapshot_id.unsigned_abs())),
        attempt: 1,
        now_ms: Clock::system().now_ms(),
    };
    let mut plan = SnapshotPlan::new(metadata, change, context)?;
    loop {
        match plan.needs() {
            Needs::Nothing => return Ok(plan.finish()?),
            Needs::Lists(paths) => {
                for path in paths {
                    plan.supply_list(&path, list::decode(&fs::read(fixture::local(&path))?, LIMIT_BYTES)?)?;
                }
            }
            Needs::Manifests(manifest_files) => {
                for manifest_file in manifest_files {
                    let manifest =
                        Manifest::decode(&fs::read(fixture::local(&manifest_file.path))?, LIMIT_BYTES)?;
                    plan.supply_manifest(&manifest_file.path, &manifest)?;
                }
            }
        }
    }
}

/// Writes the manifests and the manifest list of a snapshot.
///
/// # Errors
///
/// Fails if a file cannot be written.
pub fn write(new: &NewSnapshot) -> anyhow::Result<()> {
    for (location, bytes) in &new.files {
        fs::write(fixture::local(location), bytes).with_context(|| format!("cannot write {location}"))?;
    }
    Ok(())
}

/// Returns the number and the total size in bytes of the Parquet files below a folder.
///
/// # Errors
///
/// Fails if a folder cannot be read.
pub fn parquet_below(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let (more, larger) = parquet_below(&entry.path())?;
            files += more;
            bytes += larger;
        } else if kind.is_file() && entry.path().extension().is_some_and(|extension| extension == "parquet") {
            files += 1;
            bytes += entry.metadata()?.len();
        }
    }
    Ok((files, bytes))
}
