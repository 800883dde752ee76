//! Ledger of the changes that writers requested, and of the outcomes that they know.

use std::collections::BTreeMap;

/// Outcome of a change, as far as its writer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Success response: the change must be visible, exactly once.
    Acknowledged,
    /// Refusal: the change must not be visible.
    Refused,
    /// No response, or one that reports an unknown outcome: the change may be visible, at most once.
    Unknown,
}

/// Change that a writer requested. Times are in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    /// Time before which the change did not happen: when the request was first sent.
    pub(super) started_ms: i64,
    /// Time by which an acknowledged change had happened: when the response was received.
    pub(super) ended_ms: i64,
    /// Number of repetitions of the request.
    pub(super) repeats: u32,
}

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Snapshot of the table that all writers append to, with the marker in its summary.
    Append,
    /// Property of the same table, with the marker as its key.
    Property,
    /// Property on both tables of the pair, set in one transaction.
    Transaction,
    /// Creation of a table whose name is the marker.
    Create,
    /// Renaming of that table to `renamed-…`.
    Rename,
    /// Dropping of that table.
    Drop,
}

/// All changes, by kind and unique marker.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) changes: BTreeMap<(Kind, String), Change>,
}

impl Ledger {
    pub(super) fn record(&mut self, marker: &str, change: Change) {
        self.changes.insert((change.kind, marker.to_owned()), change);
    }

    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = (&str, &Change)> {
        let all = self.changes.iter();
        all.filter(move |((of, _), _)| *of == kind).map(|((_, marker), change)| (marker.as_str(), change))
    }

    pub(super) fn find(&self, kind: Kind, marker: &str) -> Option<Change> {
        self.changes.get(&(kind, marker.to_owned())).copied()
    }

    pub(super) fn counts(&self) -> Vec<(String, u64)> {
        let mut counts = BTreeMap::new();
        let mut repeats = 0;
        for change in self.changes.values() {
            *counts.entry(format!("{:?} {:?}", change.kind, change.outcome).to_lowercase()).or_insert(0) += 1;
            repeats += u64::from(change.repeats);
        }
        counts.insert("requests repeated under their Idempotency-Key".to_owned(), repeats);
        counts.into_iter().collect()
    }
}
