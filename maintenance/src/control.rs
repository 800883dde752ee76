//! Control of a job by its requester: progress, records of output files, checkpoints and cancellation. Which
//! output files are part of the table is decided in `output_ledger`.

use serde::{Serialize, Serializer};
use table_core::text::count;

use crate::error::JobError;
use crate::report::JobReport;

/// Progress of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// Current activity, for users.
    pub activity: String,
    /// Number of units that are done.
    pub done: u64,
    /// Total number of units; 0 if it is unknown.
    pub total: u64,
    /// Unit of both numbers.
    pub unit: Unit,
}

/// Noun for the counted units, in singular and plural. Serialised as the plural.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unit(pub &'static str, pub &'static str);

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.1)
    }
}

impl Progress {
    /// Returns the progress as a short text, such as `1 of 3 groups`; empty if nothing is counted.
    pub fn describe(&self) -> String {
        let Unit(one, many) = self.unit;
        match (self.done, self.total) {
            (0, 0) => String::new(),
            (done, 0) => count(done, one, many),
            (done, total) => format!("{done} of {}", count(total, one, many)),
        }
    }
}

/// Control of a job by its requester, called from the thread of the job.
pub trait JobControl {
    /// Receives the progress of the job.
    fn progress(&self, progress: Progress);

    /// Checks that the job may continue.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Cancelled`], [`JobError::Stopped`] or [`JobError::LeaseLost`] if the job has to
    /// stop.
    fn check(&self) -> Result<(), JobError>;

    /// Records output files before any of them is written, so that they can be deleted if the job is
    /// interrupted.
    ///
    /// # Errors
    ///
    /// Fails if the record cannot be made; the files must not be written then.
    fn register_outputs(&self, locations: &[String]) -> Result<(), JobError>;

    /// Removes files from the record, because they are part of the table or were deleted.
    ///
    /// # Errors
    ///
    /// Fails if the record cannot be changed.
    fn release_outputs(&self, locations: &[String]) -> Result<(), JobError>;

    /// Returns `true` if another worker continues a job that is interrupted.
    fn is_resumable(&self) -> bool;

    /// Stores the report of what the job has done so far durably, so that it is not lost if the job is
    /// interrupted.
    ///
    /// # Errors
    ///
    /// Fails if the report cannot be stored.
    fn save_report(&self, report: &JobReport) -> Result<(), JobError>;

    /// Replaces a report that was stored before, because it contains a commit that was not made, or the
    /// outcome of one that was not known. The report is stored with the next heartbeat, or at the end of the
    /// job. If none was stored, there is nothing to correct.
    fn correct_report(&self, report: &JobReport);

    /// Stores a JSON object durably for the worker that continues the job if it is interrupted. It replaces
    /// the previous one.
    ///
    /// # Errors
    ///
    /// Fails if the object cannot be stored.
    fn checkpoint(&self, checkpoint: &serde_json::Value) -> Result<(), JobError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_of_progress_agrees_with_its_unit() {
        let far = |done, total| {
            Progress { done, total, unit: Unit("group", "groups"), ..Progress::default() }.describe()
        };
        assert_eq!([far(0, 0), far(1, 0), far(2, 0)], ["", "1 group", "2 groups"]);
        assert_eq!([far(0, 1), far(1, 1), far(1, 3)], ["0 of 1 group", "1 of 1 group", "1 of 3 groups"]);
    }
}
