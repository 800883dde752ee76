//! What writers were told: acknowledged, refused, or nothing.

use std::collections::BTreeMap;

/// What became of one change, as far as its writer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered with success.
    Acknowledged,
    /// Answered with a refusal: it must not be there.
    Refused,
    /// No answer, or one that says that nobody knows: it may be there, once.
    Unknown,
}

/// One change. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    /// It did not happen before this.
    pub(super) begun_ms: i64,
    /// If acknowledged, it had happened by then.
    pub(super) ended_ms: i64,
    /// How often it was sent again.
    pub(super) repeats: u32,
}

/// What was to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A snapshot of the hot table with the marker in its summary.
    Append,
    /// A property of the hot table named by the marker.
    Property,
    /// The same property on both tables of the pair.
    Transaction,
    /// A table named by the marker.
    Create,
    /// The table of that name, renamed to `renamed-…`.
    Rename,
    /// The table, dropped.
    Drop,
}

/// All changes, by their unique marker and kind.
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
