//! A table as it is now: its metadata from the catalog, its manifests from its files. It decides nothing.

use std::sync::Arc;

use table_core::expr::bind::NameMatching;
use table_core::expr::expression::Expression;
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{self, ManifestContent, ManifestFile};
use table_core::metadata::snapshot::Snapshot;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::live::{Collector, Live};
use table_core::scan::request::{ScanRequest, SchemaChoice, SnapshotRange};
use table_core::scan::table_scan::Scan;
use table_core::snapshot::plan::Wanted;

use crate::client::{Client, TableName};
use crate::error::JobError;
use crate::files;

/// Memory that one manifest may take.
const MANIFEST_BYTES_MAX: usize = 1 << 30;

/// Loads a table's metadata.
pub async fn load(client: &Client, name: &TableName) -> Result<TableMetadata, JobError> {
    let loaded = client.load(name).await?;
    Ok(TableMetadata::parse(loaded.metadata.get().as_bytes())?)
}

/// The live files of a snapshot, with their deletes.
pub fn live(metadata: &TableMetadata, snapshot: &Snapshot) -> Result<Live, JobError> {
    let request = ScanRequest {
        range: SnapshotRange::At(snapshot.id()),
        filter: Expression::True,
        names: NameMatching::CaseSensitive,
        schema: SchemaChoice::Table,
        stats_fields: Vec::new(),
        rows_min: None,
    };
    let (all, _) = Scan::new(metadata, &request)?;
    let lines: Vec<_> =
        manifests_of(snapshot)?.into_iter().filter(ManifestFile::may_have_live_files).collect();
    let (data, deletes): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.content == ManifestContent::Data);
    let deletes = deletes.into_iter().map(|line| Ok((Arc::new(manifest(&line.path)?), line)));
    let mut collector = Collector::new(&all, deletes.collect::<Result<_, JobError>>()?)?;
    for line in data {
        collector.add(&all, &manifest(&line.path)?, &line)?;
    }
    Ok(collector.finish())
}

/// The manifests of a snapshot.
pub fn manifests_of(snapshot: &Snapshot) -> Result<Vec<ManifestFile>, JobError> {
    if let Some(location) = snapshot.manifest_list()? {
        return manifest_list(&location);
    }
    // Format version 1 may list the manifests in the snapshot itself. Their partition specs stand in their files.
    let embedded = snapshot.manifests()?.unwrap_or_default().into_iter().map(|path| {
        let spec_id = manifest(&path)?.spec_id().unwrap_or(0);
        Ok(ManifestFile::embedded(path, spec_id, snapshot.id()))
    });
    embedded.collect()
}

/// Shows a plan what it wants, step by step, until it wants nothing.
pub fn show<P>(
    plan: &mut P,
    wanted: impl Fn(&P) -> Wanted,
    mut give: impl FnMut(&mut P, Shown<'_>) -> Result<(), JobError>,
) -> Result<(), JobError> {
    loop {
        match wanted(plan) {
            Wanted::Nothing => return Ok(()),
            Wanted::Lists(paths) => {
                for path in paths {
                    give(plan, Shown::List(&path, manifest_list(&path)))?;
                }
            }
            Wanted::Manifests(lines) => {
                for line in lines {
                    give(plan, Shown::Manifest(&line.path, manifest(&line.path)))?;
                }
            }
        }
    }
}

/// What a plan is shown.
pub enum Shown<'a> {
    /// A manifest list.
    List(&'a str, Result<Vec<ManifestFile>, JobError>),
    /// A manifest.
    Manifest(&'a str, Result<Manifest, JobError>),
}

fn manifest_list(location: &str) -> Result<Vec<ManifestFile>, JobError> {
    list::decode(&files::read(location)?, MANIFEST_BYTES_MAX)
        .map_err(|reason| JobError::Manifest { location: location.to_owned(), reason })
}

fn manifest(location: &str) -> Result<Manifest, JobError> {
    Manifest::decode(&files::read(location)?, MANIFEST_BYTES_MAX)
        .map_err(|reason| JobError::Manifest { location: location.to_owned(), reason })
}
