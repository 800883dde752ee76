//! Plan of an expiry: which snapshots, references and schemas are removed, and why others stay. Nothing is
//! changed.

use serde_json::{Value as Json, json};
use table_core::metadata::properties;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::policy::MaintenancePolicy;
use table_core::snapshot::age::AgeSource;
use table_core::snapshot::expire::{self, Expiry};
use table_core::text;

use crate::context::JobContext;
use crate::error::JobError;
use crate::history::History;

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
pub fn plan(job: &JobContext<'_>, metadata: &TableMetadata) -> Result<Due, JobError> {
    let policy = job.policy;
    let age_ms = age_ms(metadata, policy);
    let nothing = Due { expiry: None, refusal: None, history: None, inherited: 0, age_ms };
    if let Err(error) = expire::check_allowed(metadata) {
        return Ok(Due { refusal: Some(error.to_string()), ..nothing });
    }
    let own_ages = metadata.refs().iter().filter_map(|(_, reference)| reference.max_snapshot_age_ms);
    let own_age_ms = own_ages.max().and_then(|age_ms| u64::try_from(age_ms).ok()).unwrap_or(0);
    let history = job.catalog.history(metadata, age_ms.max(own_age_ms).max(SINK_PROGRESS_MS))?;
    let now_ms = history.as_ref().map_or_else(|| (job.environment.now_ms)(), |history| history.now_ms);
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
pub fn describe(due: &Expiry) -> String {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    text::counts(&[
        (number(due.snapshot_ids.len()), "snapshot", "snapshots"),
        (number(due.references.len()), "branch or tag", "branches and tags"),
        (number(due.schema_ids.len()), "schema", "schemas"),
    ])
}

/// Returns the reason for which an expiry is due or not, for users. `log` describes a necessary change of the
/// metadata log.
pub fn explain(metadata: &TableMetadata, found: &Due, log: Option<String>) -> String {
    let mut parts: Vec<String> = Vec::new();
    match &found.expiry {
        Some(due) => {
            parts.push(format!(
                "{} would be removed, because they are older than their maximum age or unused",
                describe(due)
            ));
        }
        None if log.is_none() => {
            let all = metadata.snapshots().len() as u64;
            parts.push(match all {
                0 => "the table has no snapshots".to_owned(),
                1 => "the only snapshot is retained".to_owned(),
                all => format!("none of {all} snapshots is due"),
            });
        }
        None => {}
    }
    parts.extend(log);
    let age = text::span(found.age_ms);
    parts
        .push(format!("a snapshot is retained for {age} after it stopped being the head of a branch or tag"));
    if let Some(history) = found.history.as_ref().filter(|history| history.time_travel_ms > 0) {
        let horizon = text::span(history.time_travel_ms.unsigned_abs());
        parts.push(format!("snapshots of the last {horizon} are retained for time travel"));
    }
    if found.inherited > 0 {
        let came = text::count(
            found.inherited as u64,
            "snapshot that the table was registered with is retained",
            "snapshots that the table was registered with are retained",
        );
        parts.push(format!(
            "{came} until a policy or a `history.expire.*` property of the table sets their age"
        ));
    }
    parts.join("; ")
}
