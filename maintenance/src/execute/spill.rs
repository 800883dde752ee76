//! Rows that do not fit into memory, in temporary files that are not visible to other processes and are
//! deleted with the process.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;

use crate::budget::Budget;
use crate::error::JobError;

/// Disk space for the rows of a job.
pub(super) struct Spill<'a> {
    budget: &'a Budget,
    used_bytes: Cell<u64>,
}

/// Rows on disk, in the order in which they were written.
pub(super) struct Run(File);

/// Iterator over the rows of a run, which can be read only once.
pub(super) struct RunRows(StreamReader<BufReader<File>>);

impl<'a> Spill<'a> {
    pub(super) fn new(budget: &'a Budget) -> Spill<'a> {
        Spill { budget, used_bytes: Cell::new(0) }
    }

    /// Writes rows to a new run. Fails with [`JobError::Budget`] if the rows of the job exceed the permitted
    /// disk space.
    pub(super) fn write(&self, batches: impl IntoIterator<Item = RecordBatch>) -> Result<Run, JobError> {
        // Error messages of jobs do not disclose the folders of the machine to their readers.
        let folder = "the folder for temporary files (`spill-dir`)";
        let refused = |error: io::Error| {
            let folder_here = self.budget.spill_folder.display();
            tracing::warn!(folder = %folder_here, %error, "rows that do not fit into memory cannot be written");
            JobError::storage("write", folder)(error)
        };
        let failed = |error: &dyn std::fmt::Display| refused(io::Error::other(error.to_string()));
        let file = temporary_file(&self.budget.spill_folder).map_err(refused)?;
        let mut batches = batches.into_iter().peekable();
        let Some(first) = batches.peek() else { return Ok(Run(file)) };
        let mut writer =
            StreamWriter::try_new(BufWriter::new(file), &first.schema()).map_err(|error| failed(&error))?;
        for batch in batches {
            writer.write(&batch).map_err(|error| failed(&error))?;
        }
        writer.finish().map_err(|error| failed(&error))?;
        let mut buffered = writer.into_inner().map_err(|error| failed(&error))?;
        buffered.flush().map_err(|error| failed(&error))?;
        let mut file = buffered.into_inner().map_err(|error| failed(&error))?;
        let bytes = file.stream_position().map_err(|error| failed(&error))?;
        let used_bytes = self.used_bytes.get().saturating_add(bytes);
        self.used_bytes.set(used_bytes);
        if used_bytes > self.budget.spill_bytes {
            return Err(JobError::Budget {
                what: "sorting the rows of one group on disk".to_owned(),
                wanted_bytes: used_bytes,
                allowed_bytes: self.budget.spill_bytes,
                setting: "spill-bytes",
            });
        }
        Ok(Run(file))
    }
}

impl Run {
    /// Returns the rows from the first one on.
    pub(super) fn rows(mut self) -> Result<RunRows, JobError> {
        let broken = |error: &dyn std::fmt::Display| {
            JobError::Internal(format!("rows on disk cannot be read again: {error}"))
        };
        self.0.rewind().map_err(|error| broken(&error))?;
        StreamReader::try_new(BufReader::new(self.0), None).map(RunRows).map_err(|error| broken(&error))
    }
}

impl Iterator for RunRows {
    type Item = Result<RecordBatch, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.0.next()?;
        Some(next.map_err(|error| JobError::Internal(format!("rows on disk cannot be read again: {error}"))))
    }
}

/// Creates an unnamed temporary file in a folder, and the folder if it does not exist. The file is deleted when it is
/// closed, also if the process crashes.
fn temporary_file(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    tempfile::tempfile_in(folder)
}
