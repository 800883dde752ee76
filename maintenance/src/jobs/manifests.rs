//! Rewrite of small manifests, so that planning a scan reads fewer files.

use std::collections::HashSet;

use serde_json::{Value as Json, json};
use table_core::metadata::properties;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::manifests::{self, ManifestGroup, ManifestPolicy};
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::snapshot::rewrite::{Clustering, Rewrite};
use table_core::text::count;

use super::{ATTEMPTS_MAX, Attempt, Report};
use crate::context::Work;
use crate::error::JobError;
use crate::files::Files;
use crate::host::{Outputs, Progress, Unit};
use crate::table::{self, Fetched, feed};

const TARGET_BYTES: &str = "commit.manifest.target-size-bytes";

/// Plans which manifests of the current snapshot are merged.
///
/// # Errors
///
/// Fails if the manifest list cannot be read or decoded, or if the current snapshot is malformed.
pub fn plan(
    files: &Files,
    metadata: &TableMetadata,
    policy: &MaintenancePolicy,
) -> Result<Vec<ManifestGroup>, JobError> {
    let Some(snapshot) = metadata.current_snapshot() else { return Ok(Vec::new()) };
    Ok(manifests::plan(&table::manifests_of(files, snapshot)?, &settings(metadata, policy)))
}

/// Returns the settings of the rewrite. The property of the table takes precedence over the policy.
fn settings(metadata: &TableMetadata, policy: &MaintenancePolicy) -> ManifestPolicy {
    let defaults = ManifestPolicy::default();
    let wanted = &policy.rewrite_manifests;
    let bytes = wanted.target_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    let own = properties::number(metadata.properties(), TARGET_BYTES, 0);
    ManifestPolicy {
        target_size_bytes: Some(own).filter(|own| *own > 0).or(bytes).unwrap_or(defaults.target_size_bytes),
        min_count_to_merge: wanted.manifests_min.map_or(defaults.min_count_to_merge, |count| count as usize),
    }
}

/// Merges manifests of a table. `report` also contains what was done before a failure.
///
/// # Errors
///
/// Fails if the table cannot be loaded, if a manifest cannot be read or written, if the job has to stop, if
/// the commit is refused or its outcome is unknown ([`JobError::OutcomeUnknown`]), or if concurrent commits
/// prevent every attempt ([`JobError::LostRaces`]).
pub fn run(work: &Work<'_>, report: &mut Report) -> Result<(), JobError> {
    let commit_uuid = (work.outside.uuid)();
    for attempt in 1..=ATTEMPTS_MAX {
        work.host.check()?;
        let metadata = work.catalog.load()?.metadata;
        if let Some(unpublished) = work.unpublished(&metadata)? {
            report.leave(unpublished.explain());
            return Ok(());
        }
        let groups = plan(work.files, &metadata, work.policy)?;
        let chosen: HashSet<&String> = groups.iter().flat_map(|group| &group.paths).collect();
        if chosen.is_empty() {
            return Ok(());
        }
        work.host.progress(Progress {
            doing: format!("merging {}", count(chosen.len() as u64, "manifest", "manifests")),
            done: 0,
            total: chosen.len() as u64,
            unit: Unit("manifest", "manifests"),
        });
        let outputs = Outputs::new(work.host, work.files);
        let context = work.context(commit_uuid, attempt);
        let choice = Box::new(|line: &table_core::manifest::list::ManifestFile| chosen.contains(&line.path));
        let mut rewrite = Rewrite::new(&metadata, context, choice, Clustering::ByPartition)?;
        feed(work.files, &mut rewrite, Rewrite::needs, |rewrite, shown| {
            work.host.check()?;
            match shown {
                Fetched::List(path, lines) => rewrite.supply_list(path, lines?),
                Fetched::Manifest(path, manifest) => rewrite.supply_manifest(path, &manifest?)?,
            }
            Ok(())
        })?;
        let Some(new) = rewrite.finish()? else { return Ok(()) };
        let committed = work.commit(&outputs, &new);
        outputs.discard_all();
        if let Attempt::Done = committed? {
            report.committed = true;
            report.snapshot_ids.push(new.snapshot.id());
            report.add("manifests-rewritten", chosen.len());
            report.add("manifests-written", new.files.len().saturating_sub(1));
            return Ok(());
        }
    }
    Err(JobError::LostRaces(ATTEMPTS_MAX))
}

/// Returns a summary of a plan, for users and programs.
pub fn summary(groups: &[ManifestGroup]) -> Json {
    let groups = groups.iter().map(|group| {
        json!({
            "spec-id": group.spec_id, "deletes": group.is_of_deletes, "manifests": group.paths.len(),
            "input-bytes": group.input_bytes, "outputs": group.outputs,
        })
    });
    Json::Array(groups.collect())
}
