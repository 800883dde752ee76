//! Data files worth rewriting, before they are put into groups.

use std::collections::HashMap;

use super::compact::total;
use super::live::LiveFile;
use super::plan::{Input, Reason};

/// A file worth rewriting, or one entry of it.
pub(super) struct Candidate<'a> {
    pub(super) file: &'a LiveFile,
    pub(super) reason: Reason,
    /// About how large it would be without its deleted rows.
    pub(super) output_bytes: i64,
}

/// What is rewritten together or not at all: a file, as often as the table lists it.
pub(super) struct Unit<'a> {
    pub(super) first: Candidate<'a>,
    pub(super) repetitions: Vec<Candidate<'a>>,
}

impl<'a> Unit<'a> {
    pub(super) fn output_bytes(&self) -> i64 {
        let entries = std::iter::once(&self.first).chain(&self.repetitions);
        total(entries.map(|candidate| candidate.output_bytes))
    }

    pub(super) fn entries(self) -> impl Iterator<Item = Candidate<'a>> {
        std::iter::once(self.first).chain(self.repetitions)
    }
}

impl Candidate<'_> {
    /// As an input of a group in which deletes have other numbers.
    pub(super) fn input(&self, numbers: &HashMap<usize, usize>) -> Input {
        let deletes = self.file.deletes.iter().filter_map(|number| numbers.get(number).copied());
        Input::of(self.file, deletes.collect(), self.reason)
    }
}
