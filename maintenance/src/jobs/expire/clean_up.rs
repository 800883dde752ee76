//! Clean-up after an expiry: deletion of the files that only removed snapshots referred to. It can be resumed
//! from a copy of the metadata from before the expiry.

use serde_json::json;
use table_core::location::file_key;
use table_core::metadata::file_name;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::cleanup::Cleanup;

use crate::context::JobContext;
use crate::control::{Progress, Unit};
use crate::error::JobError;
use crate::history::History;
use crate::output_ledger::{OutputLedger, delete_file};
use crate::report::JobReport;
use crate::table::{Fetched, feed};

/// Maximum number of paths in memory.
const PATHS_MAX: u64 = 1_000_000;
/// Maximum size of a metadata document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 30;

/// Prefix of the file name of a copy.
const COPY_PREFIX: &str = "expiring-";
/// Member of the checkpoint with the location of the copy.
pub(super) const COPY: &str = "expiring";

/// Copies a metadata file and stores the location of the copy in a checkpoint. The original may be deleted soon by
/// the catalog, if the table requests that.
pub(super) fn copy(
    job: &JobContext<'_>,
    outputs: &OutputLedger<'_>,
    metadata: &TableMetadata,
    location: &str,
) -> Result<String, JobError> {
    let document = job.files.read(location)?;
    let document = file_name::decode(location, &document, DOCUMENT_BYTES_MAX)?;
    let folder = file_name::folder(metadata.location(), metadata.properties());
    let copy = format!("{folder}/{COPY_PREFIX}{}.json", (job.environment.uuid)());
    outputs.register(std::slice::from_ref(&copy))?;
    job.files.write(&copy, &document)?;
    job.control.checkpoint(&json!({ COPY: copy }))?;
    // The copy has to outlive this worker.
    outputs.committed([&copy]);
    Ok(copy)
}

/// Resumes the clean-up of another job. If the copy does not exist, that job had completed it.
pub(super) fn take_up(job: &JobContext<'_>, copy: &str, report: &mut JobReport) -> Result<(), JobError> {
    // The checkpoint was stored by another worker. Its location must be that of a copy in the table's own folders.
    let key = file_key(copy);
    let is_copy = key.rsplit('/').next().is_some_and(|name| name.starts_with(COPY_PREFIX));
    if !is_copy || file_name::is_metadata_file(&key) || !job.files.owns(copy) {
        report.skip(
            "the checkpoint of an earlier job names a file outside of the table's folders; it is ignored",
        );
        return Ok(());
    }
    let document = match job.files.read(copy) {
        Err(error) if error.is_missing() => return Ok(()),
        document => document?,
    };
    let before = TableMetadata::parse(&document)?;
    let after = job.catalog.load()?.metadata;
    // Only a catalog that records the history directs readers to earlier versions.
    let history = job.catalog.history(&after, 0)?;
    clean_up(job, &before, &after, history.as_ref(), report)?;
    job.files.delete(copy)
}

/// Deletes the files that only the removed snapshots referred to. `report` also contains the files that were
/// deleted before a failure.
pub(super) fn clean_up(
    job: &JobContext<'_>,
    before: &TableMetadata,
    after: &TableMetadata,
    history: Option<&History>,
    report: &mut JobReport,
) -> Result<(), JobError> {
    let served = history.map(|history| history.served(job.files, before, after)).transpose()?;
    let mut cleanup = Cleanup::new(before, after, &served.unwrap_or_default(), PATHS_MAX)?;
    let mut deleted = 0_u64;
    report.add("files-deleted", deleted);
    let mut take = |cleanup: &mut Cleanup| {
        let found = cleanup.take_found();
        for found in &found {
            job.control.check()?;
            let is_deleted = delete_file(job.files, &found.path)?;
            deleted += u64::from(is_deleted);
            report.add("files-deleted", is_deleted);
        }
        if !found.is_empty() {
            let activity = "deleting files that only expired snapshots needed".to_owned();
            let unit = Unit("file deleted", "files deleted");
            job.control.progress(Progress { activity, done: deleted, total: 0, unit });
        }
        Ok::<_, JobError>(())
    };
    feed(job.files, &mut cleanup, Cleanup::needs, |cleanup, shown| {
        job.control.check()?;
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
