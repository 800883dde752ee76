//! Whoever wants a job done: hears how far it is, keeps a record of its files, and may stop it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use table_core::text::count;

use crate::error::JobError;
use crate::files::Files;

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// What it is at, for people.
    pub doing: String,
    /// How much is done, and how much there is to do.
    pub done: u64,
    /// See [`Progress::done`].
    pub total: u64,
    /// What is counted.
    pub unit: Unit,
}

/// What is counted: the word for one, and for several. As JSON it is the latter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unit(pub &'static str, pub &'static str);

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.1)
    }
}

impl Progress {
    /// How far it is, in a few words; empty if nothing is counted.
    pub fn how_far(&self) -> String {
        let Unit(one, many) = self.unit;
        match (self.done, self.total) {
            (0, 0) => String::new(),
            (done, 0) => count(done, one, many),
            (done, total) => format!("{done} of {}", count(total, one, many)),
        }
    }
}

/// Whoever wants a job done. Called from the job's own thread.
pub trait Host {
    /// Hears how far it is.
    fn progress(&self, progress: Progress);

    /// Fails if the job is to stop.
    fn check(&self) -> Result<(), JobError>;

    /// Hears which files are about to be written, before any of them is.
    fn announce(&self, locations: &[String]) -> Result<(), JobError>;

    /// Hears that files are part of the table by now, or deleted.
    fn settle(&self, locations: &[String]) -> Result<(), JobError>;

    /// Whether there is somebody to take over a job that is broken off.
    fn has_successors(&self) -> bool;

    /// Keeps a note for whoever takes the job over, should it be broken off; it is safe when this returns.
    fn note(&self, note: &serde_json::Value) -> Result<(), JobError>;
}

/// The files that a job has begun, until it is known what becomes of them.
pub struct Outputs<'a> {
    host: &'a dyn Host,
    files: &'a Files,
    open: RefCell<BTreeSet<String>>,
}

impl<'a> Outputs<'a> {
    /// None so far.
    pub fn new(host: &'a dyn Host, files: &'a Files) -> Outputs<'a> {
        Outputs { host, files, open: RefCell::default() }
    }

    /// Tells of files before they are written. Not every one of them has to be.
    pub fn announce(&self, locations: &[String]) -> Result<(), JobError> {
        self.host.announce(locations)?;
        self.open.borrow_mut().extend(locations.iter().cloned());
        Ok(())
    }

    /// These are part of the table: they were committed. If nobody can be told, the next worker finds out.
    pub fn settle<'l>(&self, locations: impl IntoIterator<Item = &'l String>) {
        let locations: Vec<String> = locations.into_iter().cloned().collect();
        self.leave(&locations);
        if let Err(error) = self.host.settle(&locations) {
            tracing::warn!(%error, "cannot tell that files are part of their table; the next worker looks them up");
        }
    }

    /// Nobody knows whether these are part of the table: they stay as they are, and so does the record of them.
    pub fn leave<'l>(&self, locations: impl IntoIterator<Item = &'l String>) {
        let mut open = self.open.borrow_mut();
        for location in locations {
            open.remove(location);
        }
    }

    /// Deletes files that nothing names. What cannot be deleted now stays in the record.
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

    /// Deletes whatever is still open.
    pub fn discard_all(&self) {
        let open = std::mem::take(&mut *self.open.borrow_mut());
        self.discard(&open);
    }
}

/// Deletes a file that is not needed; `false` if it stays, which is only told of.
///
/// Fails if the file system does not answer, so that it is no use to try others.
pub(crate) fn delete(files: &Files, location: &str) -> Result<bool, JobError> {
    match files.delete(location) {
        Ok(()) => Ok(true),
        Err(JobError::NotAllowed { reason: error, .. }) => {
            // They are counted, and told at the end.
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
