//! Ledger of the output files of a job, from before they are written until they are part of the table or
//! deleted. It reads no table; what was committed is known to its callers.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::control::JobControl;
use crate::error::JobError;
use crate::files::JobFiles;

/// Output files of a job that are neither part of the table nor deleted.
pub struct OutputLedger<'a> {
    control: &'a dyn JobControl,
    files: &'a JobFiles,
    open: RefCell<BTreeSet<String>>,
}

impl<'a> OutputLedger<'a> {
    /// Creates an empty ledger.
    pub fn new(control: &'a dyn JobControl, files: &'a JobFiles) -> OutputLedger<'a> {
        OutputLedger { control, files, open: RefCell::default() }
    }

    /// Registers files that are about to be written. Not all of them have to be written.
    ///
    /// # Errors
    ///
    /// Fails if the requester of the job cannot record the files; they must not be written then.
    pub fn register(&self, locations: &[String]) -> Result<(), JobError> {
        self.control.register_outputs(locations)?;
        self.open.borrow_mut().extend(locations.iter().cloned());
        Ok(())
    }

    /// Marks files as part of the table, because they were committed. If the requester of the job cannot be
    /// informed, the next attempt looks them up in the table.
    pub fn committed<'l>(&self, locations: impl IntoIterator<Item = &'l String>) {
        self.release(&locations.into_iter().cloned().collect::<Vec<_>>());
    }

    /// Marks files as possibly part of the table, because the outcome of their commit is unknown. They are not
    /// deleted, and the next attempt looks them up in the table.
    pub fn unknown<'l>(&self, locations: impl IntoIterator<Item = &'l String>) {
        let mut open = self.open.borrow_mut();
        for location in locations {
            open.remove(location);
        }
    }

    /// Deletes files that nothing refers to. Files that cannot be deleted now are left to the next attempt.
    pub fn delete<'l>(&self, locations: impl IntoIterator<Item = &'l String>) {
        let mut locations = locations.into_iter().cloned();
        let (mut deleted, mut remaining) = (Vec::new(), Vec::new());
        for location in locations.by_ref() {
            match delete_file(self.files, &location) {
                Ok(true) => deleted.push(location),
                Ok(false) => remaining.push(location),
                Err(error) => {
                    tracing::warn!(%error, "cannot delete unused output files");
                    remaining.push(location);
                    break;
                }
            }
        }
        remaining.extend(locations);
        self.unknown(&remaining);
        self.release(&deleted);
    }

    /// Deletes all files that are neither part of the table nor deleted.
    pub fn delete_all(&self) {
        let open = std::mem::take(&mut *self.open.borrow_mut());
        self.delete(&open);
    }

    fn release(&self, locations: &[String]) {
        self.unknown(locations);
        if let Err(error) = self.control.release_outputs(locations) {
            tracing::warn!(%error, "cannot release output files; the next worker checks whether they are part of the table");
        }
    }
}

/// Deletes a file that is not needed. Returns `false` if the file remains, which is only logged.
///
/// # Errors
///
/// Fails if the file system does not answer, so that an attempt to delete more files is useless.
pub fn delete_file(files: &JobFiles, location: &str) -> Result<bool, JobError> {
    match files.delete(location) {
        Ok(()) => Ok(true),
        Err(JobError::NotAllowed { reason: error, .. }) => {
            // Such files are counted, and reported at the end.
            tracing::debug!(location, %error, "a file outside of the table's folders is not deleted");
            Ok(false)
        }
        Err(error) if error.is_passing() => Err(error),
        Err(error) => {
            tracing::warn!(location, %error, "cannot delete an unused output file");
            Ok(false)
        }
    }
}
