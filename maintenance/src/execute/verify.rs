//! Verification of a rewrite: the new files are read again, and the checksum of their rows is compared with
//! that of the rows that were read.

use table_core::file::checksum::RowChecksum;
use table_core::file::parquet_reader::context::FileContext;
use table_core::manifest::data_file::DataFile;
use table_core::metadata::types::StructType;

use super::input::OpenFile;
use crate::context::JobContext;
use crate::error::JobError;
use crate::files::input::InputFile;

/// Reads the new files. Fails unless the checksum of their rows is `expected`. `again` is an empty checksum
/// with the same [`table_core::file::checksum::Order`].
pub(super) fn check(
    job: &JobContext<'_>,
    written: &[DataFile],
    columns: &StructType,
    expected: &RowChecksum,
    mut again: RowChecksum,
) -> Result<(), JobError> {
    let sources = job.files.open_all(written.iter().map(|file| (&*file.path, file.size_bytes)));
    for (file, source) in written.iter().zip(sources) {
        job.control.check()?;
        source
            .and_then(|source| read(source, file, columns, &mut again))
            .map_err(|error| unverified(&file.path, &error))?;
    }
    if *expected == again {
        return Ok(());
    }
    let paths: Vec<_> = written.iter().map(|file| file.path.as_str()).collect();
    Err(JobError::Verification(format!(
        "the new files do not contain the rows that were read: {}",
        paths.join(", ")
    )))
}

fn read(
    source: InputFile,
    file: &DataFile,
    columns: &StructType,
    again: &mut RowChecksum,
) -> Result<(), JobError> {
    for batch in OpenFile::new(&file.path, source, columns, FileContext::new(&*file.path))?.rows() {
        again.add(&batch?).map_err(|error| JobError::Internal(error.to_string()))?;
    }
    Ok(())
}

/// Returns the error of a new file that cannot be read again. It is an error of the rewrite, not of a file of
/// the table.
pub(super) fn unverified(location: &str, error: &JobError) -> JobError {
    JobError::Verification(format!("the new file `{location}` cannot be read again: {error}"))
}
