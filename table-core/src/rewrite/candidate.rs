//! Data files that are worth rewriting, before they are assigned to groups.

use std::collections::HashMap;

use super::cost::total;
use super::live::LiveFile;
use super::plan::{Input, Reason};

/// Data file worth rewriting, or one of several manifest entries of it.
pub(super) struct RewriteCandidate<'a> {
    pub(super) file: &'a LiveFile,
    pub(super) reason: Reason,
    /// Estimated size of the file without its deleted rows, in bytes.
    pub(super) output_bytes: i64,
}

/// Entries that are rewritten together or not at all: a file, once per manifest entry in the table.
pub(super) struct RewriteUnit<'a> {
    pub(super) first: RewriteCandidate<'a>,
    pub(super) repetitions: Vec<RewriteCandidate<'a>>,
}

impl<'a> RewriteUnit<'a> {
    pub(super) fn output_bytes(&self) -> i64 {
        let entries = std::iter::once(&self.first).chain(&self.repetitions);
        total(entries.map(|candidate| candidate.output_bytes))
    }

    pub(super) fn entries(self) -> impl Iterator<Item = RewriteCandidate<'a>> {
        std::iter::once(self.first).chain(self.repetitions)
    }
}

impl RewriteCandidate<'_> {
    /// Returns the input of a group; `numbers` maps indexes in
    /// [`Live::deletes`](super::live::LiveFiles::deletes) to indexes in the group.
    pub(super) fn input(&self, numbers: &HashMap<usize, usize>) -> Input {
        let deletes = self.file.deletes.iter().filter_map(|number| numbers.get(number).copied());
        Input::of(self.file, deletes.collect(), self.reason)
    }
}
