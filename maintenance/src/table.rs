//! Content of a table according to its manifests. No decisions are made here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use table_core::expr::bind::NameMatching;
use table_core::expr::expression::Expression;
use table_core::location::file_key;
use table_core::manifest::data_file::{ColumnMetrics, DataFile};
use table_core::manifest::entry::File;
use table_core::manifest::error::ManifestError;
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{self, ManifestContent, ManifestFile};
use table_core::manifest::partition::PartitionTuple;
use table_core::manifest::snapshot_manifests::SnapshotManifests;
use table_core::metadata::file_name::is_metadata_file;
use table_core::metadata::snapshot::Snapshot;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::live::{Collector, LiveFiles};
use table_core::scan::request::{ScanRequest, SchemaChoice, SnapshotRange};
use table_core::scan::table_scan::Scan;
use table_core::snapshot::cleanup;
use table_core::snapshot::plan::Needs;

use crate::error::JobError;
use crate::files::JobFiles;

/// Maximum memory of one decoded manifest, in bytes; the same as in the catalog.
const MANIFEST_BYTES_MAX: usize = 256 << 20;

/// Maximum memory of all delete manifests of a snapshot, in bytes. They are in memory at the same time.
const DELETE_MANIFESTS_BYTES_MAX: usize = 512 << 20;

/// Reads the live files of a snapshot, with the deletes that apply to them. `check` is called before each
/// manifest and may stop the function.
///
/// # Errors
///
/// Fails if `check` fails, if a manifest or the manifest list cannot be read or decoded, if the delete
/// manifests require too much memory ([`JobError::Manifest`]), or if the metadata is malformed.
pub fn live_files(
    files: &JobFiles,
    metadata: &TableMetadata,
    snapshot: &Snapshot,
    check: impl Fn() -> Result<(), JobError>,
) -> Result<LiveFiles, JobError> {
    let request = ScanRequest {
        range: SnapshotRange::At(snapshot.id()),
        filter: Expression::True,
        names: NameMatching::CaseSensitive,
        schema: SchemaChoice::Table,
        stats_fields: Vec::new(),
        rows_min: None,
    };
    let (all, _) = Scan::new(metadata, request)?;
    let manifest_files: Vec<_> =
        manifests_of(files, snapshot)?.into_iter().filter(ManifestFile::may_have_live_files).collect();
    let (data, deletes): (Vec<_>, Vec<_>) =
        manifest_files.into_iter().partition(|manifest_file| manifest_file.content == ManifestContent::Data);
    let mut memory_bytes = 0_usize;
    let contents = files.read_manifests(deletes.iter().map(sized));
    let deletes = deletes.iter().zip(contents).map(|(manifest_file, content)| {
        check()?;
        let manifest = decode(&manifest_file.path, &content?)?;
        memory_bytes = memory_bytes.saturating_add(manifest.memory_bytes());
        if memory_bytes > DELETE_MANIFESTS_BYTES_MAX {
            let reason = ManifestError::TooLarge { limit_bytes: DELETE_MANIFESTS_BYTES_MAX };
            return Err(JobError::Manifest { location: manifest_file.path.clone(), reason });
        }
        Ok((Arc::new(manifest), manifest_file.clone()))
    });
    let mut collector = Collector::new(&all, deletes.collect::<Result<_, JobError>>()?)?;
    let contents = files.read_manifests(data.iter().map(sized));
    for (manifest_file, content) in data.iter().zip(contents) {
        check()?;
        collector.add(&all, &decode(&manifest_file.path, &content?)?, manifest_file)?;
    }
    Ok(collector.finish())
}

/// Reads the manifest file entries of a snapshot.
///
/// # Errors
///
/// Fails if the manifest list cannot be read or decoded, or if the snapshot is malformed. For a snapshot
/// without manifest list, fails if one of its manifests cannot be read or decoded.
pub fn manifests_of(files: &JobFiles, snapshot: &Snapshot) -> Result<Vec<ManifestFile>, JobError> {
    match SnapshotManifests::of(snapshot)? {
        SnapshotManifests::List(location) => manifest_list(files, &location),
        SnapshotManifests::Embedded(embedded) => {
            let entry = |path: &String| Ok(embedded.entry(path, &manifest(files, path)?));
            embedded.paths.iter().map(entry).collect()
        }
    }
}

/// Returns the column metrics of some data files, by path, from the manifests of a snapshot.
pub(crate) fn metrics_of(
    files: &JobFiles,
    snapshot: &Snapshot,
    paths: &HashSet<&str>,
) -> Result<HashMap<String, ColumnMetrics>, JobError> {
    let mut found = HashMap::with_capacity(paths.len());
    let mut manifest_files = manifests_of(files, snapshot)?;
    manifest_files.retain(|manifest_file| {
        manifest_file.content == ManifestContent::Data && manifest_file.may_have_live_files()
    });
    let contents = files.read_manifests(manifest_files.iter().map(sized));
    for (manifest_file, content) in manifest_files.iter().zip(contents) {
        if found.len() == paths.len() {
            break;
        }
        for file in decode(&manifest_file.path, &content?)?.files(manifest_file).filter(File::is_live) {
            if paths.contains(file.path()) {
                let metrics = DataFile::read(&file, PartitionTuple::new()).metrics;
                found.insert(file.path().to_owned(), metrics);
            }
        }
    }
    Ok(found)
}

/// Removes from `locations` all files that the table refers to: in its metadata, or in one of its snapshots
/// or of the snapshots `served`, as a manifest list, a manifest, a data file or a delete file. Metadata files
/// are removed, too, so that they are never deleted.
pub(crate) fn retain_unreferenced(
    files: &JobFiles,
    metadata: &TableMetadata,
    served: &[Snapshot],
    locations: &mut HashSet<String>,
) -> Result<(), JobError> {
    let mut visited = HashSet::new();
    // Engines write the location of the same file in several ways.
    let mut unreferenced: HashMap<String, String> = locations
        .drain()
        .map(|location| (file_key(&location), location))
        .filter(|(key, _)| !is_metadata_file(key))
        .collect();
    for named in cleanup::named_by(metadata) {
        unreferenced.remove(&file_key(named));
    }
    for snapshot in metadata.snapshots().iter().chain(served) {
        if unreferenced.is_empty() {
            return Ok(());
        }
        if let Some(list) = snapshot.manifest_list()? {
            unreferenced.remove(&file_key(&list));
        }
        for manifest_file in manifests_of(files, snapshot)? {
            unreferenced.remove(&file_key(&manifest_file.path));
            if visited.insert(manifest_file.path.clone()) && !unreferenced.is_empty() {
                for file in manifest(files, &manifest_file.path)?.files(&manifest_file) {
                    unreferenced.remove(&file_key(file.path()));
                }
            }
        }
    }
    locations.extend(unreferenced.into_values());
    Ok(())
}

/// Passes to a plan the manifest lists and manifests that it requests, until it requests nothing. `needs`
/// returns the requests of the plan, and `supply` passes in one of them. An error of reading a file is passed
/// to `supply` as well.
///
/// # Errors
///
/// Fails if `supply` fails.
pub fn feed<P>(
    files: &JobFiles,
    plan: &mut P,
    needs: impl Fn(&P) -> Needs,
    mut supply: impl FnMut(&mut P, Fetched<'_>) -> Result<(), JobError>,
) -> Result<(), JobError> {
    loop {
        match needs(plan) {
            Needs::Nothing => return Ok(()),
            Needs::Lists(paths) => {
                let contents = files.read_manifests(paths.iter().map(|path| (path.clone(), 0)));
                for (path, content) in paths.iter().zip(contents) {
                    supply(
                        plan,
                        Fetched::List(path, content.and_then(|content| decode_list(path, &content))),
                    )?;
                }
            }
            Needs::Manifests(manifest_files) => {
                let contents = files.read_manifests(manifest_files.iter().map(sized));
                for (manifest_file, content) in manifest_files.iter().zip(contents) {
                    let manifest = content.and_then(|content| decode(&manifest_file.path, &content));
                    supply(plan, Fetched::Manifest(&manifest_file.path, manifest))?;
                }
            }
        }
    }
}

/// Input of a plan: a file with its path, or the error of reading it.
pub enum Fetched<'a> {
    /// Manifest list.
    List(&'a str, Result<Vec<ManifestFile>, JobError>),
    /// Manifest.
    Manifest(&'a str, Result<Manifest, JobError>),
}

fn manifest_list(files: &JobFiles, location: &str) -> Result<Vec<ManifestFile>, JobError> {
    decode_list(location, &files.read_manifest(location)?)
}

fn decode_list(location: &str, content: &[u8]) -> Result<Vec<ManifestFile>, JobError> {
    list::decode(content, MANIFEST_BYTES_MAX)
        .map_err(|reason| JobError::Manifest { location: location.to_owned(), reason })
}

pub(crate) fn manifest(files: &JobFiles, location: &str) -> Result<Manifest, JobError> {
    decode(location, &files.read_manifest(location)?)
}

fn decode(location: &str, content: &[u8]) -> Result<Manifest, JobError> {
    Manifest::decode(content, MANIFEST_BYTES_MAX)
        .map_err(|reason| JobError::Manifest { location: location.to_owned(), reason })
}

/// Returns the location of a manifest with its size, for reading it ahead.
fn sized(line: &ManifestFile) -> (String, i64) {
    (line.path.clone(), line.length_bytes)
}
