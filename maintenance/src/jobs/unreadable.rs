//! Files that cannot be read. They are skipped, so that other files can be rewritten, until they change or
//! have been skipped for a day.

use std::collections::HashSet;

use arrow_array::RecordBatch;
use openapi::worker::UnreadableFile;
use roaring::RoaringTreemap;
use table_core::file::equality_columns;
use table_core::file::position_deletes::PositionDeletes;
use table_core::manifest::entry::FileContent;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::live::LiveFiles;

use crate::context::JobContext;
use crate::error::JobError;
use crate::execute::columns;
use crate::execute::deletes::{Targets, is_vector, read_vector};
use crate::execute::input::{OpenFile, open_data, open_delete};

/// Maximum number of files that are remembered. A table with more of them has another problem, and its
/// compaction fails.
pub const UNREADABLE_MAX: usize = 500;
/// Time after which a file that has not changed is tried again, in milliseconds, because a newer release may
/// be able to read it.
const RETRY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Maximum length of a stored reason, in bytes.
const REASON_BYTES_MAX: usize = 300;

/// Returns the known files that have not changed since they could not be read.
///
/// Fails if their file system does not answer, because then it is unknown whether they have changed.
pub(super) fn unchanged(job: &JobContext<'_>) -> Result<Vec<UnreadableFile>, JobError> {
    let now_ms = (job.environment.now_ms)();
    let is_recent = |file: &&UnreadableFile| now_ms.saturating_sub(file.since_ms) < RETRY_MS;
    let mut unchanged = Vec::new();
    for file in job.unreadable.iter().take(UNREADABLE_MAX).filter(is_recent) {
        job.control.check()?;
        if version(job, &file.path)? == file.version {
            unchanged.push(file.clone());
        }
    }
    Ok(unchanged)
}

/// Returns the version of a file, which differs from that of a later file of the same name; `None` if the
/// file does not exist or its version cannot be determined.
fn version(job: &JobContext<'_>, path: &str) -> Result<Option<String>, JobError> {
    match job.files.version(path) {
        Ok(version) => Ok(Some(version)),
        Err(error) if error.is_passing() => Err(error),
        Err(_) => Ok(None),
    }
}

/// Returns the files that are data files or delete files of a snapshot.
pub(super) fn of_snapshot(files: Vec<UnreadableFile>, live: &LiveFiles) -> Vec<UnreadableFile> {
    if files.is_empty() {
        return files;
    }
    let data = live.files.iter().map(|file| file.path.as_str());
    let all: HashSet<&str> = data.chain(live.deletes.iter().map(|delete| delete.path.as_str())).collect();
    files.into_iter().filter(|file| all.contains(file.path.as_str())).collect()
}

/// Finds the files that cannot be read, after `error` has occurred for one of them. They are read completely,
/// but nothing is written.
///
/// Returns an error that is not about one of the files.
pub(super) fn find(
    job: &JobContext<'_>,
    metadata: &TableMetadata,
    targets: Targets<'_>,
    error: JobError,
) -> Result<Vec<UnreadableFile>, JobError> {
    let mut found = Vec::new();
    let mut keep = |result: Result<(), JobError>| match result {
        Err(error) if error.is_of_files() && error.location().is_some() => {
            found.extend(describe(job, &error)?);
            Ok(())
        }
        other => other,
    };
    let rows = columns::rewritten(metadata)?.columns()?.root.clone();
    for input in targets.inputs {
        job.control.check()?;
        let source = job.files.open(&input.path, input.size_bytes);
        let file = source.and_then(|file| open_data(file, metadata, input, &rows, RoaringTreemap::new()));
        keep(file.and_then(|file| read(&file)))?;
    }
    for delete in targets.deletes {
        job.control.check()?;
        keep(if is_vector(delete) {
            read_vector(job.files, delete).map(drop)
        } else {
            let columns = match delete.content {
                FileContent::EqualityDeletes => equality_columns::columns(metadata, &delete.equality_ids)?,
                _ => PositionDeletes::columns(),
            };
            let source = job.files.open(&delete.path, delete.size_bytes);
            source.and_then(|file| open_delete(file, delete, &columns)).and_then(|file| read(&file))
        })?;
    }
    if found.is_empty() {
        // The file can be read by now, or fails in another way than by being read.
        let paths = targets.inputs.iter().map(|input| &input.path);
        let mut paths = paths.chain(targets.deletes.iter().map(|delete| &delete.path));
        if !paths.any(|path| error.location() == Some(path)) {
            return Err(error);
        }
        found.extend(describe(job, &error)?);
    }
    Ok(found)
}

/// Reads all rows of a file, and discards them.
fn read(file: &OpenFile) -> Result<(), JobError> {
    let take = |batch: RecordBatch| drop(batch);
    file.rows().try_for_each(|batch| batch.map(take))
}

/// Returns the description of an unreadable file.
///
/// Fails if its file system does not answer at all, because then the file is not the cause.
fn describe(job: &JobContext<'_>, error: &JobError) -> Result<Option<UnreadableFile>, JobError> {
    let Some(path) = error.location().map(str::to_owned) else { return Ok(None) };
    let reason = match error {
        JobError::File { reason, .. } => reason.to_string(),
        JobError::Vector { reason, .. } => reason.to_string(),
        JobError::Storage { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let reason = openapi::text::shorten(&reason, REASON_BYTES_MAX).into_owned();
    let version = version(job, &path)?;
    Ok(Some(UnreadableFile { path, version, reason, since_ms: (job.environment.now_ms)() }))
}

/// Adds the files that are not known yet.
pub(super) fn add(known: &mut Vec<UnreadableFile>, found: Vec<UnreadableFile>) {
    for file in found {
        if known.iter().all(|other| other.path != file.path) {
            known.push(file);
        }
    }
}
