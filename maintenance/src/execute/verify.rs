//! Whether what was written is what was read: the new files are read again, and their rows compared by a checksum.

use roaring::RoaringTreemap;
use table_core::file::checksum::RowChecksum;
use table_core::file::parquet_reader::{FileContext, FileReader};
use table_core::manifest::data_file::DataFile;
use table_core::metadata::types::StructType;

use crate::error::JobError;
use crate::jobs::Work;

/// Reads new files, and fails unless they hold the rows of `expected`; `again` is empty, and of the same order.
pub(super) fn check(
    work: &Work<'_>,
    written: &[DataFile],
    columns: &StructType,
    expected: &RowChecksum,
    mut again: RowChecksum,
) -> Result<(), JobError> {
    for file in written {
        work.host.check()?;
        read(work, file, columns, &mut again).map_err(|error| unverified(&file.path, &error))?;
    }
    if *expected == again {
        return Ok(());
    }
    let paths: Vec<_> = written.iter().map(|file| file.path.as_str()).collect();
    Err(JobError::Verification(format!(
        "the rows of the new files are not those that were read: {}",
        paths.join(", ")
    )))
}

fn read(
    work: &Work<'_>,
    file: &DataFile,
    columns: &StructType,
    again: &mut RowChecksum,
) -> Result<(), JobError> {
    let source = work.files.open(&file.path, file.size_bytes)?;
    let mut context = FileContext::new(&*file.path);
    context.deleted = RoaringTreemap::new();
    let reader = FileReader::open(&source, columns, context).map_err(JobError::file(&file.path))?;
    for batch in reader.read(&source) {
        let batch = batch.map_err(JobError::file(&file.path))?;
        again.add(&batch).map_err(|error| JobError::Internal(error.to_string()))?;
    }
    Ok(())
}

/// For a new file that cannot be read again. It is the rewrite that failed, not a file of the table.
pub(super) fn unverified(location: &str, error: &JobError) -> JobError {
    JobError::Verification(format!("the new file `{location}` cannot be read again: {error}"))
}
