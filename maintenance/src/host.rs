//! Interface between a job and its requester, which receives the progress, records the output files, and may
//! stop the job.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use table_core::text::count;

use crate::error::JobError;
use crate::files::Files;

/// Progress of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// Current activity, for users.
    pub doing: String,
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
    pub fn how_far(&self) -> String {
        let Unit(one, many) = self.unit;
        match (self.done, self.total) {
            (0, 0) => String::new(),
            (done, 0) => count(done, one, many),
            (done, total) => format!("{done} of {}", count(total, one, many)),
        }
    }
}

/// Requester of a job. The functions are called from the thread of the job.
pub trait Host {
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
    fn announce(&self, locations: &[String]) -> Result<(), JobError>;

    /// Removes files from the record, because they are part of the table or were deleted.
    ///
    /// # Errors
    ///
    /// Fails if the record cannot be changed.
    fn settle(&self, locations: &[String]) -> Result<(), JobError>;

    /// Returns `true` if another worker continues a job that is interrupted.
    fn has_successors(&self) -> bool;

    /// Stores a note durably for the worker that continues the job if it is interrupted.
    ///
    /// # Errors
    ///
    /// Fails if the note cannot be stored.
    fn note(&self, note: &serde_json::Value) -> Result<(), JobError>;
}

/// Output files of a job whose state is not settled: neither part of the table nor deleted.
pub struct Outputs<'a> {
    host: &'a dyn Host,
    files: &'a Files,
    open: RefCell<BTreeSet<String>>,
}

impl<'a> Outputs<'a> {
    /// Creates an empty record.
    pub fn new(host: &'a dyn Host, files: &'a Files) -> Outputs<'a> {
        Outputs { host, files, open: RefCell::default() }
    }

    /// Records files that are about to be written. Not all of them have to be written.
    ///
    /// # Errors
    ///
    /// Fails if the host cannot record the files; they must not be written then.
    pub fn announce(&self, locations: &[String]) -> Result<(), JobError> {
        self.host.announce(locations)?;
        self.open.borrow_mut().extend(locations.iter().cloned());
        Ok(())
    }

    /// Marks files as part of the table, because they were committed. If the host cannot be informed, the
    /// next attempt looks them up in the table.
    pub fn settle<'l>(&self, locations: impl IntoIterator<Item = &'l String>) {
        let locations: Vec<String> = locations.into_iter().cloned().collect();
        self.leave(&locations);
        if let Err(error) = self.host.settle(&locations) {
            tracing::warn!(%error, "cannot tell that files are part of their table; the next worker looks them up");
        }
    }

    /// Stops tracking files that may or may not be part of the table. They are not deleted, and remain in the
    /// record of the host.
    pub fn leave<'l>(&self, locations: impl IntoIterator<Item = &'l String>) {
        let mut open = self.open.borrow_mut();
        for location in locations {
            open.remove(location);
        }
    }

    /// Deletes files that nothing refers to. Files that cannot be deleted now remain in the record of the
    /// host.
    pub fn discard<'l>(&self, locations: impl IntoIterator<Item = &'l String>) {
        let mut locations = locations.into_iter().cloned();
        let (mut deleted, mut kept) = (Vec::new(), Vec::new());
        for location in locations.by_ref() {
            match delete(self.files, &location) {
                Ok(true) => deleted.push(location),
                Ok(false) => kept.push(location),
                Err(error) => {
                    tracing::warn!(%error, "files that are not needed stay behind");
                    kept.push(location);
                    break;
                }
            }
        }
        kept.extend(locations);
        self.leave(&kept);
        self.settle(&deleted);
    }

    /// Deletes all files that are not settled.
    pub fn discard_all(&self) {
        let open = std::mem::take(&mut *self.open.borrow_mut());
        self.discard(&open);
    }
}

/// Deletes a file that is not needed. Returns `false` if the file remains, which is only logged.
///
/// Fails if the file system does not answer, so that an attempt to delete more files is useless.
pub(crate) fn delete(files: &Files, location: &str) -> Result<bool, JobError> {
    match files.delete(location) {
        Ok(()) => Ok(true),
        Err(JobError::NotAllowed { reason: error, .. }) => {
            // Such files are counted, and reported at the end.
            tracing::debug!(location, %error, "a file stays that is not the table's own");
            Ok(false)
        }
        Err(error) if error.is_passing() => Err(error),
        Err(error) => {
            tracing::warn!(location, %error, "a file that is not needed stays behind");
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_is_agrees_with_its_noun() {
        let far = |done, total| {
            Progress { done, total, unit: Unit("group", "groups"), ..Progress::default() }.how_far()
        };
        assert_eq!([far(0, 0), far(1, 0), far(2, 0)], ["", "1 group", "2 groups"]);
        assert_eq!([far(0, 1), far(1, 1), far(1, 3)], ["0 of 1 group", "1 of 1 group", "1 of 3 groups"]);
    }
}
