//! Rewrite of small manifests, so that planning a scan reads fewer files.

use std::collections::HashSet;

use serde_json::{Value as Json, json};
use table_core::manifest::list::ManifestFile;
use table_core::metadata::properties;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::manifests::{self, ManifestGroup, ManifestPolicy};
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::snapshot::commit::NewSnapshot;
use table_core::snapshot::context::Context;
use table_core::snapshot::rewrite::{Clustering, Rewrite};
use table_core::text::count;

use crate::commit::{Attempt, SnapshotCommit, commit_until_settled};
use crate::context::JobContext;
use crate::control::{Progress, Unit};
use crate::error::JobError;
use crate::files::JobFiles;
use crate::output_ledger::OutputLedger;
use crate::report::JobReport;
use crate::table::{self, Fetched, feed};

const TARGET_BYTES: &str = "commit.manifest.target-size-bytes";

/// Plans which manifests of the current snapshot are merged.
///
/// # Errors
///
/// Fails if the manifest list cannot be read or decoded, or if the current snapshot is malformed.
pub fn plan(
    files: &JobFiles,
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
pub fn run(job: &JobContext<'_>, report: &mut JobReport) -> Result<(), JobError> {
    let commit_uuid = (job.environment.uuid)();
    let outputs = OutputLedger::new(job.control, job.files);
    let committed = commit_until_settled(job, |table, attempt| {
        job.control.check()?;
        let metadata = table.metadata;
        if let Some(unpublished) = job.unpublished(&metadata)? {
            report.skip(unpublished.explain());
            return Ok(Attempt::Nothing);
        }
        let groups = plan(job.files, &metadata, job.policy)?;
        let chosen: HashSet<&String> = groups.iter().flat_map(|group| &group.paths).collect();
        if chosen.is_empty() {
            return Ok(Attempt::Nothing);
        }
        let context = job.snapshot_context(commit_uuid, attempt);
        let Some(new) = rewrite(job, &metadata, context, &chosen)? else { return Ok(Attempt::Nothing) };
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let counts = vec![
            ("manifests-rewritten", number(chosen.len())),
            // The last file is the manifest list.
            ("manifests-written", number(new.files.len().saturating_sub(1))),
        ];
        let commit =
            SnapshotCommit { snapshot: &new, attempt_files: Vec::new(), result_files: Vec::new(), counts };
        job.commit_snapshot(&outputs, report, commit)
    });
    outputs.delete_all();
    committed.map(drop)
}

/// Plans a snapshot in which the chosen manifests are merged; `None` if it would be the same.
fn rewrite(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    context: Context,
    chosen: &HashSet<&String>,
) -> Result<Option<NewSnapshot>, JobError> {
    job.control.progress(Progress {
        activity: format!("merging {}", count(chosen.len() as u64, "manifest", "manifests")),
        done: 0,
        total: chosen.len() as u64,
        unit: Unit("manifest", "manifests"),
    });
    let choice = Box::new(|file: &ManifestFile| chosen.contains(&file.path));
    let mut rewrite = Rewrite::new(metadata, context, choice, Clustering::ByPartition)?;
    feed(job.files, &mut rewrite, Rewrite::needs, |rewrite, shown| {
        job.control.check()?;
        match shown {
            Fetched::List(path, lines) => rewrite.supply_list(path, lines?),
            Fetched::Manifest(path, manifest) => rewrite.supply_manifest(path, &manifest?)?,
        }
        Ok(())
    })?;
    Ok(rewrite.finish()?)
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
