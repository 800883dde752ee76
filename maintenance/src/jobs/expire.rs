//! Expiry of old snapshots, and deletion of the files that only they referred to.
//!
//! An interrupted clean-up can be resumed. Before the commit, the job copies the table's metadata and stores
//! the location of the copy in a note. The worker that continues the job, or the next expiry of the table,
//! searches again for files that only the removed snapshots referred to.

use serde_json::{Value as Json, json};
use table_core::location::file_key;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::{file_name, properties};
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::snapshot::age::AgeSource;
use table_core::snapshot::cleanup::Cleanup;
use table_core::snapshot::expire::{self, Expiry};
use table_core::text;

use super::{ATTEMPTS_MAX, Report};
use crate::catalog::Table;
use crate::client::Committed;
use crate::context::Work;
use crate::error::JobError;
use crate::history::History;
use crate::host::{Outputs, Progress, Unit, delete};
use crate::table::{Fetched, feed};

/// Maximum number of paths in memory.
const PATHS_MAX: u64 = 1_000_000;
/// Maximum size of a metadata document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 30;

/// Prefix of the file name of a copy.
const COPY_PREFIX: &str = "expiring-";
/// Member of the note with the location of the copy.
const COPY: &str = "expiring";

const SNAPSHOT_AGE_MAX_MS: &str = "history.expire.max-snapshot-age-ms";
const REF_AGE_MAX_MS: &str = "history.expire.max-ref-age-ms";
const SNAPSHOTS_MIN: &str = "history.expire.min-snapshots-to-keep";

/// Time after its last use, in milliseconds, for which the newest snapshot with the progress of a streaming
/// writer is retained, so that a writer that is down for a week can find out what it had committed.
const SINK_PROGRESS_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Planned expiry, with the data that it is based on.
pub struct Due {
    /// Snapshots, references and schemas to remove; `None` if there are none.
    pub expiry: Option<Expiry>,
    /// Reason for which the table does not permit expiry at all.
    pub refusal: Option<String>,
    /// History recorded by the catalog; `None` if it records none.
    pub history: Option<History>,
    /// Number of snapshots that are retained because the table already had them when it was registered or
    /// created in the catalog, and neither a policy nor the table requests their expiry.
    pub inherited: usize,
    /// Time for which a snapshot is retained after it stopped being the head of a branch or tag, in
    /// milliseconds.
    pub age_ms: u64,
}

/// Plans an expiry.
///
/// # Errors
///
/// Fails if the catalog does not answer, if the name of the table belongs to another table now
/// ([`JobError::Replaced`]), or if the metadata is malformed. A table that does not permit deleting files is
/// reported in [`Due::refusal`] instead.
pub fn plan(work: &Work<'_>, metadata: &TableMetadata) -> Result<Due, JobError> {
    let policy = work.policy;
    let age_ms = age_ms(metadata, policy);
    let nothing = Due { expiry: None, refusal: None, history: None, inherited: 0, age_ms };
    if let Err(error) = expire::check_allowed(metadata) {
        return Ok(Due { refusal: Some(error.to_string()), ..nothing });
    }
    let own_ages = metadata.refs().iter().filter_map(|(_, reference)| reference.max_snapshot_age_ms);
    let own_age_ms = own_ages.max().and_then(|age_ms| u64::try_from(age_ms).ok()).unwrap_or(0);
    let history = work.catalog.history(metadata, age_ms.max(own_age_ms).max(SINK_PROGRESS_MS))?;
    let now_ms = history.as_ref().map_or_else(|| (work.outside.now_ms)(), |history| history.now_ms);
    let settings = settings(metadata, policy, history.as_ref(), now_ms);
    let has = |id: &i64| metadata.snapshot(*id).is_some();
    let inherited = settings.retained.iter().filter(|id| has(id)).count();
    let expiry = expire::plan(metadata, now_ms, &settings)?;
    Ok(Due { expiry, history, inherited, ..nothing })
}

/// Returns the time for which a snapshot is retained after it stopped being the head of a branch or tag, in
/// milliseconds. The property of the table takes precedence over the policy.
fn age_ms(metadata: &TableMetadata, policy: &MaintenancePolicy) -> u64 {
    let own = properties::number(metadata.properties(), SNAPSHOT_AGE_MAX_MS, -1);
    let wanted = policy.expire_snapshots.snapshot_age_max_ms;
    u64::try_from(own).ok().or(wanted).unwrap_or(expire::SNAPSHOT_AGE_MS_DEFAULT.unsigned_abs())
}

/// Returns the settings of the expiry. Properties of the table take precedence over the policy.
fn settings(
    metadata: &TableMetadata,
    policy: &MaintenancePolicy,
    history: Option<&History>,
    now_ms: i64,
) -> expire::ExpirySettings {
    let own = |name: &str| properties::number(metadata.properties(), name, -1) >= 0;
    let wanted = &policy.expire_snapshots;
    let age_ms = i64::try_from(age_ms(metadata, policy)).unwrap_or(i64::MAX);
    let has_own = [SNAPSHOT_AGE_MAX_MS, REF_AGE_MAX_MS, SNAPSHOTS_MIN].into_iter().any(own);
    let keeps_inherited = wanted.inherited != Some(true) && !has_own;
    expire::ExpirySettings {
        age_source: match history {
            Some(history) => AgeSource::Catalog(history.last_use.clone()),
            None => AgeSource::Document,
        },
        age_min_ms: history.map_or(0, |history| history.time_travel_ms),
        retained: history
            .filter(|_| keeps_inherited)
            .map(|history| history.inherited.clone())
            .unwrap_or_default(),
        sink_progress_ms: i64::try_from(SINK_PROGRESS_MS).ok(),
        older_than_ms: Some(now_ms.saturating_sub(age_ms)),
        retain_last: wanted.snapshots_min.filter(|_| !own(SNAPSHOTS_MIN)).map(i64::from),
        ref_age_ms: wanted
            .ref_age_max_ms
            .filter(|_| !own(REF_AGE_MAX_MS))
            .and_then(|age| age.try_into().ok()),
        clean_metadata: policy.metadata_log.enabled != Some(false),
        ..expire::ExpirySettings::default()
    }
}

/// Returns the number of former metadata files that the metadata log should be limited to; `None` if it is
/// not longer, or if the table sets the limit itself.
pub fn log_limit(metadata: &TableMetadata, policy: &MaintenancePolicy) -> Option<u32> {
    let wanted = &policy.metadata_log;
    let limit = wanted.previous_versions_max.filter(|_| wanted.enabled != Some(false))?;
    let is_own = metadata.property(properties::PREVIOUS_VERSIONS_MAX).is_some();
    (!is_own && metadata.metadata_log().len() > limit as usize).then_some(limit)
}

/// Sets the limit as a property of the table, because the catalog applies it with every commit.
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

/// Expires snapshots of a table, and limits the size of its metadata. `report` also contains what was done
/// before a failure.
///
/// # Errors
///
/// Fails if the expiry cannot be planned (see [`plan`]), if the job has to stop, if a commit is refused or
/// its outcome is unknown ([`JobError::OutcomeUnknown`]), if concurrent commits prevent every attempt
/// ([`JobError::LostRaces`]), or if a remaining manifest or manifest list cannot be read during the clean-up.
pub fn run(work: &Work<'_>, report: &mut Report) -> Result<(), JobError> {
    limit_log(work, report)?;
    if let Some(copy) = work.note.as_ref().and_then(|note| note[COPY].as_str()) {
        take_up(work, copy, report)?;
    }
    let outputs = Outputs::new(work.host, work.files);
    let done = expire(work, &outputs, report);
    // A copy whose location was not stored in a note.
    outputs.discard_all();
    done
}

fn expire(work: &Work<'_>, outputs: &Outputs<'_>, report: &mut Report) -> Result<(), JobError> {
    for _ in 0..ATTEMPTS_MAX {
        work.host.check()?;
        let Table { metadata: before, location, .. } = work.catalog.load()?;
        let found = plan(work, &before)?;
        found.refusal.into_iter().for_each(|refusal| report.leave(refusal));
        let Some(due) = found.expiry else { return Ok(()) };
        work.host.progress(Progress {
            doing: format!("forgetting {}", told(&due)),
            unit: Unit("file deleted", "files deleted"),
            ..Progress::default()
        });
        let copy = match &location {
            Some(location) if work.host.has_successors() => Some(copy(work, outputs, &before, location)?),
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
        clean_up(work, &before, &after, found.history.as_ref(), report)?;
        outputs.discard(&copy);
        return Ok(());
    }
    Err(JobError::LostRaces(ATTEMPTS_MAX))
}

/// Copies a metadata file and stores the location of the copy in a note. The original may be deleted soon by
/// the catalog, if the table requests that.
fn copy(
    work: &Work<'_>,
    outputs: &Outputs<'_>,
    metadata: &TableMetadata,
    location: &str,
) -> Result<String, JobError> {
    let document = work.files.read(location)?;
    let document = file_name::decode(location, &document, DOCUMENT_BYTES_MAX)?;
    let folder = file_name::folder(metadata.location(), metadata.properties());
    let copy = format!("{folder}/{COPY_PREFIX}{}.json", (work.outside.uuid)());
    outputs.announce(std::slice::from_ref(&copy))?;
    work.files.write(&copy, &document)?;
    work.host.note(&json!({ COPY: copy }))?;
    // The copy has to outlive this worker.
    outputs.settle([&copy]);
    Ok(copy)
}

/// Resumes the clean-up of another job. If the copy does not exist, that job had completed it.
fn take_up(work: &Work<'_>, copy: &str, report: &mut Report) -> Result<(), JobError> {
    // The note was stored by another worker. Its location must be that of a copy in the table's own folders.
    let key = file_key(copy);
    let is_copy = key.rsplit('/').next().is_some_and(|name| name.starts_with(COPY_PREFIX));
    if !is_copy || file_name::is_metadata_file(&key) || !work.files.owns(copy) {
        report.leave("a former job's note names a document that is not the table's own; it was not used");
        return Ok(());
    }
    let document = match work.files.read(copy) {
        Err(error) if error.is_missing() => return Ok(()),
        document => document?,
    };
    let before = TableMetadata::parse(&document)?;
    let after = work.catalog.load()?.metadata;
    // Only a catalog that records the history directs readers to earlier versions.
    let history = work.catalog.history(&after, 0)?;
    clean_up(work, &before, &after, history.as_ref(), report)?;
    work.files.delete(copy)
}

/// Deletes the files that only the removed snapshots referred to. `report` also contains the files that were
/// deleted before a failure.
fn clean_up(
    work: &Work<'_>,
    before: &TableMetadata,
    after: &TableMetadata,
    history: Option<&History>,
    report: &mut Report,
) -> Result<(), JobError> {
    let served = history.map(|history| history.served(work.files, before, after)).transpose()?;
    let mut cleanup = Cleanup::new(before, after, &served.unwrap_or_default(), PATHS_MAX)?;
    let mut deleted = 0_u64;
    report.add("files-deleted", deleted);
    let mut take = |cleanup: &mut Cleanup| {
        let found = cleanup.take_found();
        for found in &found {
            work.host.check()?;
            let is_deleted = delete(work.files, &found.path)?;
            deleted += u64::from(is_deleted);
            report.add("files-deleted", is_deleted);
        }
        if !found.is_empty() {
            let doing = "deleting files that only old snapshots needed".to_owned();
            let unit = Unit("file deleted", "files deleted");
            work.host.progress(Progress { doing, done: deleted, total: 0, unit });
        }
        Ok::<_, JobError>(())
    };
    feed(work.files, &mut cleanup, Cleanup::needs, |cleanup, shown| {
        work.host.check()?;
        match shown {
            Fetched::List(path, Ok(lines)) => cleanup.supply_list(path, lines),
            Fetched::Manifest(path, Ok(manifest)) => cleanup.supply_manifest(path, &manifest),
            // A removed manifest that does not exist has been cleaned up already, and one that must not be
            // read is not in the table's own folders. Remaining manifests have to be readable.
            Fetched::List(path, Err(error)) | Fetched::Manifest(path, Err(error)) => {
                if !error.is_missing() && !error.is_not_readable() {
                    return Err(error);
                }
                cleanup.report_missing(path)?;
            }
        }
        take(cleanup)
    })?;
    take(&mut cleanup)
}

/// Returns a summary of a planned expiry for programs, or the reason for which the table does not permit it.
pub fn summary(found: &Due) -> Json {
    if let Some(refusal) = &found.refusal {
        return json!({ "refused": refusal });
    }
    found.expiry.as_ref().map_or(Json::Null, |due| {
        json!({ "snapshot-ids": due.snapshot_ids, "references": due.references, "schema-ids": due.schema_ids })
    })
}

/// Returns the numbers of expired snapshots, references and schemas as a short text.
pub fn told(due: &Expiry) -> String {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    text::counts(&[
        (number(due.snapshot_ids.len()), "snapshot", "snapshots"),
        (number(due.references.len()), "branch or tag", "branches and tags"),
        (number(due.schema_ids.len()), "schema", "schemas"),
    ])
}

/// Returns the reason for which an expiry is due or not, for users. `log` describes a necessary change of the
/// metadata log.
pub fn why(metadata: &TableMetadata, found: &Due, log: Option<String>) -> String {
    let mut parts: Vec<String> = Vec::new();
    match &found.expiry {
        Some(due) => {
            parts.push(format!("{} would go, older than they are to stay or used by nothing", told(due)));
        }
        None if log.is_none() => {
            let all = metadata.snapshots().len() as u64;
            parts.push(match all {
                0 => "the table has no snapshots".to_owned(),
                1 => "the only snapshot stays".to_owned(),
                all => format!("none of {all} snapshots is due"),
            });
        }
        None => {}
    }
    parts.extend(log);
    let age = text::span(found.age_ms);
    parts.push(format!("a snapshot stays {age} after it stopped being the head of a branch or tag"));
    if let Some(history) = found.history.as_ref().filter(|history| history.time_travel_ms > 0) {
        let horizon = text::span(history.time_travel_ms.unsigned_abs());
        parts.push(format!("the catalog can be read as it was for {horizon}, whatever goes"));
    }
    if found.inherited > 0 {
        let came = text::count(
            found.inherited as u64,
            "snapshot that the table came with stays",
            "snapshots that the table came with stay",
        );
        parts.push(format!("{came} until a policy or the table's `history.expire.*` says how long"));
    }
    parts.join("; ")
}
