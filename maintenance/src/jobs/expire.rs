//! Forgetting old snapshots, and deleting the files that only they needed.
//!
//! A clean-up that was broken off can be taken up: before the commit, the job copies the table's metadata and notes where; whoever
//! takes it over, or is asked for the next expiry, looks again for what only the snapshots needed that are gone since.

use serde_json::{Value as Json, json};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::{file_name, properties};
use table_core::rewrite::policy::Policy;
use table_core::snapshot::cleanup::Cleanup;
use table_core::snapshot::expire::{self, Expiry};

use super::{ATTEMPTS_MAX, Report, Work};
use crate::catalog::Table;
use crate::client::Committed;
use crate::error::JobError;
use crate::host::{Outputs, Progress, delete};
use crate::table::{Shown, show};

/// How many paths are held at a time.
const PATHS_MAX: u64 = 1_000_000;
/// How large a metadata document may be.
const DOCUMENT_BYTES_MAX: usize = 1 << 30;

/// What a note calls the copy of the table's metadata.
const COPY: &str = "expiring";

const SNAPSHOT_AGE_MAX_MS: &str = "history.expire.max-snapshot-age-ms";
const REF_AGE_MAX_MS: &str = "history.expire.max-ref-age-ms";
const SNAPSHOTS_MIN: &str = "history.expire.min-snapshots-to-keep";

/// What is due; `None` if nothing is.
pub fn plan(metadata: &TableMetadata, policy: &Policy, now_ms: i64) -> Result<Option<Expiry>, JobError> {
    Ok(expire::plan(metadata, now_ms, &settings(metadata, policy, now_ms))?)
}

/// The table's own properties come first.
fn settings(metadata: &TableMetadata, policy: &Policy, now_ms: i64) -> expire::Policy {
    let own = |name: &str| properties::number(metadata.properties(), name, -1) >= 0;
    let wanted = &policy.expire_snapshots;
    let age_ms = wanted.snapshot_age_max_ms.filter(|_| !own(SNAPSHOT_AGE_MAX_MS));
    expire::Policy {
        older_than_ms: age_ms.map(|age_ms| now_ms.saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX))),
        retain_last: wanted.snapshots_min.filter(|_| !own(SNAPSHOTS_MIN)).map(i64::from),
        ref_age_ms: wanted
            .ref_age_max_ms
            .filter(|_| !own(REF_AGE_MAX_MS))
            .and_then(|age| age.try_into().ok()),
        clean_metadata: policy.metadata_log.enabled != Some(false),
        ..expire::Policy::default()
    }
}

/// How many former metadata files the document is to name, if it names more and the table does not say itself.
pub fn log_limit(metadata: &TableMetadata, policy: &Policy) -> Option<u32> {
    let wanted = &policy.metadata_log;
    let limit = wanted.previous_versions_max.filter(|_| wanted.enabled != Some(false))?;
    let is_own = metadata.property(properties::PREVIOUS_VERSIONS_MAX).is_some();
    (!is_own && metadata.metadata_log().len() > limit as usize).then_some(limit)
}

/// Lets the table say so itself, because it is the catalog that goes by it with every commit.
fn limit_log(work: &Work<'_>, report: &mut Report) -> Result<(), JobError> {
    let metadata = work.catalog.load()?.metadata;
    let Some(limit) = log_limit(&metadata, work.policy) else { return Ok(()) };
    let properties = json!({ properties::PREVIOUS_VERSIONS_MAX: limit.to_string() });
    let body = json!({
        "requirements": [{ "type": "assert-table-uuid", "uuid": metadata.uuid() }],
        "updates": [{ "action": "set-properties", "updates": properties }],
    });
    match work.catalog.commit(&body.to_string())? {
        Committed::Done(_) => {
            report.committed = true;
            report.add("former-metadata-files-named", limit);
            Ok(())
        }
        Committed::Lost(error) => Err(error.into()),
        Committed::Unknown(error) => Err(JobError::OutcomeUnknown(error)),
    }
}

/// Expires a table's snapshots, and keeps its metadata small. What was done is in the report also if it fails.
pub fn run(work: &Work<'_>, report: &mut Report) -> Result<(), JobError> {
    limit_log(work, report)?;
    if let Some(copy) = work.note.as_ref().and_then(|note| note[COPY].as_str()) {
        take_up(work, copy, report)?;
    }
    let outputs = Outputs::new(work.host, work.files);
    let done = expire(work, &outputs, report);
    // What nobody was told of.
    outputs.discard_all();
    done
}

fn expire(work: &Work<'_>, outputs: &Outputs<'_>, report: &mut Report) -> Result<(), JobError> {
    for _ in 0..ATTEMPTS_MAX {
        work.host.check()?;
        let Table { metadata: before, location, .. } = work.catalog.load()?;
        let Some(due) = plan(&before, work.policy, (work.outside.now_ms)())? else { return Ok(()) };
        work.host.progress(Progress {
            doing: format!("{} are due", told(&due)),
            unit: "files deleted",
            ..Progress::default()
        });
        let copy = match &location {
            Some(location) if work.host.has_successors() => Some(copy(work, outputs, location)?),
            _ => None,
        };
        let after = match work.catalog.commit(due.body.as_str())? {
            Committed::Done(loaded) => TableMetadata::parse(loaded.metadata.get().as_bytes())?,
            Committed::Lost(_) => {
                outputs.discard(&copy);
                continue;
            }
            Committed::Unknown(error) => return Err(JobError::OutcomeUnknown(error)),
        };
        report.committed = true;
        report.add("snapshots-expired", due.snapshot_ids.len());
        report.add("references-expired", due.references.len());
        report.add("schemas-removed", due.schema_ids.len());
        report.add("files-deleted", clean_up(work, &before, &after)?);
        outputs.discard(&copy);
        return Ok(());
    }
    Err(JobError::LostRaces(ATTEMPTS_MAX))
}

/// Copies a metadata file, and notes it. The table may be asked to delete its own soon.
fn copy(work: &Work<'_>, outputs: &Outputs<'_>, location: &str) -> Result<String, JobError> {
    let document = work.files.read(location)?;
    let document = file_name::decode(location, &document, DOCUMENT_BYTES_MAX)?;
    let folder = location.rsplit_once('/').map_or(location, |(folder, _)| folder);
    let copy = format!("{folder}/expiring-{}.json", (work.outside.uuid)());
    outputs.announce(std::slice::from_ref(&copy))?;
    work.files.write(&copy, &document)?;
    work.host.note(&json!({ COPY: copy }))?;
    // It outlives this worker, if need be.
    outputs.settle([&copy]);
    Ok(copy)
}

/// Ends what another job began. Without the copy, it had come to an end.
fn take_up(work: &Work<'_>, copy: &str, report: &mut Report) -> Result<(), JobError> {
    let document = match work.files.read(copy) {
        Err(error) if error.is_missing() => return Ok(()),
        document => document?,
    };
    let before = TableMetadata::parse(&document)?;
    report.add("files-deleted", clean_up(work, &before, &work.catalog.load()?.metadata)?);
    work.files.delete(copy)
}

/// Deletes what only the snapshots needed that are gone.
fn clean_up(work: &Work<'_>, before: &TableMetadata, after: &TableMetadata) -> Result<i64, JobError> {
    let mut cleanup = Cleanup::new(before, after, PATHS_MAX)?;
    let mut deleted = 0;
    let mut take = |cleanup: &mut Cleanup| {
        let found = cleanup.take_found();
        for found in &found {
            deleted += i64::from(delete(work.files, &found.path));
        }
        if !found.is_empty() {
            let done = u64::try_from(deleted).unwrap_or(0);
            let doing = "deleting files that only old snapshots needed".to_owned();
            work.host.progress(Progress { doing, done, total: 0, unit: "files deleted" });
        }
    };
    show(work.files, &mut cleanup, Cleanup::wanted, |cleanup, shown| {
        work.host.check()?;
        match shown {
            Shown::List(path, Ok(lines)) => cleanup.give_list(path, lines),
            Shown::Manifest(path, Ok(manifest)) => cleanup.give_manifest(path, &manifest),
            // What is gone already needs no cleaning; what stays has to be readable.
            Shown::List(path, Err(error)) | Shown::Manifest(path, Err(error)) => {
                if !error.is_missing() {
                    return Err(error);
                }
                cleanup.give_missing(path)?;
            }
        }
        take(cleanup);
        Ok(())
    })?;
    take(&mut cleanup);
    Ok(deleted)
}

/// What is due, for people and programs.
pub fn summary(due: Option<&Expiry>) -> Json {
    due.map_or(Json::Null, |due| {
        json!({ "snapshot-ids": due.snapshot_ids, "references": due.references, "schema-ids": due.schema_ids })
    })
}

/// What is due, in a few words.
pub fn told(due: &Expiry) -> String {
    let (snapshots, references) = (due.snapshot_ids.len(), due.references.len());
    format!("{snapshots} snapshots, {references} references and {} schemas", due.schema_ids.len())
}
