//! Forgetting old snapshots, and deleting the files that only they needed.

use table_core::metadata::properties;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::policy::Policy;
use table_core::snapshot::cleanup::Cleanup;
use table_core::snapshot::expire::{self, Expiry};

use super::{ATTEMPTS_MAX, Outside, Report, delete_all};
use crate::client::{Client, Committed, TableName};
use crate::error::JobError;
use crate::table::{self, Shown, show};

/// How many paths are held at a time.
const PATHS_MAX: u64 = 1_000_000;

const SNAPSHOT_AGE_MAX_MS: &str = "history.expire.max-snapshot-age-ms";
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
        ..expire::Policy::default()
    }
}

/// Expires a table's snapshots. `tell` hears how far it is.
pub async fn run(
    client: &Client,
    name: &TableName,
    policy: &Policy,
    outside: Outside,
    mut tell: impl FnMut(&str),
) -> Result<Report, JobError> {
    let mut report = Report::default();
    for _ in 0..ATTEMPTS_MAX {
        let before = table::load(client, name).await?;
        let Some(due) = plan(&before, policy, (outside.now_ms)())? else { return Ok(report) };
        tell(&format!(
            "{} snapshots and {} references are due",
            due.snapshot_ids.len(),
            due.references.len()
        ));
        let after = match client.commit(name, due.body.as_str().to_owned()).await? {
            Committed::Done(loaded) => TableMetadata::parse(loaded.metadata.get().as_bytes())?,
            Committed::Lost(_) => continue,
            Committed::Unknown(error) => return Err(JobError::OutcomeUnknown(error)),
        };
        let deleted = clean_up(&before, &after, &mut tell)?;
        report.committed = true;
        report.numbers = vec![
            ("snapshots-expired", i64::try_from(due.snapshot_ids.len()).unwrap_or(i64::MAX)),
            ("references-expired", i64::try_from(due.references.len()).unwrap_or(i64::MAX)),
            ("files-deleted", deleted),
        ];
        return Ok(report);
    }
    Err(JobError::LostRaces(ATTEMPTS_MAX))
}

/// Deletes what only the snapshots needed that are gone.
fn clean_up(
    before: &TableMetadata,
    after: &TableMetadata,
    tell: &mut impl FnMut(&str),
) -> Result<i64, JobError> {
    let mut cleanup = Cleanup::new(before, after, PATHS_MAX)?;
    let mut deleted = 0;
    let mut take = |cleanup: &mut Cleanup| {
        let found = cleanup.take_found();
        deleted += delete_all(found.iter().map(|found| found.path.as_str()));
    };
    show(&mut cleanup, Cleanup::wanted, |cleanup, shown| {
        match shown {
            Shown::List(path, Ok(lines)) => cleanup.give_list(path, lines),
            Shown::Manifest(path, Ok(manifest)) => cleanup.give_manifest(path, &manifest),
            // What is gone already needs no cleaning; what stays has to be readable.
            Shown::List(path, Err(error)) | Shown::Manifest(path, Err(error)) => {
                if !is_missing(&error) {
                    return Err(error);
                }
                cleanup.give_missing(path)?;
            }
        }
        take(cleanup);
        Ok(())
    })?;
    take(&mut cleanup);
    tell(&format!("{deleted} files deleted"));
    Ok(deleted)
}

fn is_missing(error: &JobError) -> bool {
    matches!(error, JobError::Storage { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}
