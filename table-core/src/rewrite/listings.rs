//! Data files that a table lists more than once.
//!
//! Engines read such a file as often as it is listed, each time with the deletes that apply to that entry: its rows are there
//! twice. But deletes by position are for the file, and so for all of its entries, and a commit removes all of them at once. So
//! a rewrite reads all entries or none, and deletes by value become positions only where they take the same rows from each.

use std::collections::HashMap;

use super::live::LiveFile;

/// The data files among some that are listed more than once.
#[derive(Debug, Default)]
pub struct Listings<'a> {
    files: &'a [LiveFile],
    /// By path, the places of all entries.
    repeated: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Listings<'a> {
    /// Looks through all live data files of a table.
    pub fn new(files: &'a [LiveFile]) -> Listings<'a> {
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(files.len());
        let mut repeated: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, file) in files.iter().enumerate() {
            let before = *first.entry(&file.path).or_insert(place);
            if before != place {
                repeated.entry(&file.path).or_insert_with(|| vec![before]).push(place);
            }
        }
        Listings { files, repeated }
    }

    /// All entries of a file that is listed more than once, in their order; `None` for other files.
    pub fn entries(&self, path: &str) -> Option<Vec<&'a LiveFile>> {
        let places = self.repeated.get(path)?;
        Some(places.iter().filter_map(|place| self.files.get(*place)).collect())
    }

    /// Whether a file at a place among all files is an entry of a file that another entry stands before.
    pub fn is_repetition(&self, place: usize) -> bool {
        let path = self.files.get(place).map(|file| file.path.as_str());
        let places = path.and_then(|path| self.repeated.get(path));
        places.is_some_and(|places| places.first() != Some(&place))
    }
}

/// Whether all entries of a file are in one partition, with the same deletes.
pub fn are_alike(entries: &[&LiveFile]) -> bool {
    let is_like = |one: &LiveFile, other: &LiveFile| {
        one.spec_id == other.spec_id && one.partition == other.partition && one.deletes == other.deletes
    };
    entries.array_windows::<2>().all(|[one, other]| is_like(one, other))
}

/// Whether two entries of a file are in different partitions of one spec, at least one of which is wrong. Engines differ in
/// which values such rows have.
pub fn contradict_each_other(entries: &[&LiveFile]) -> bool {
    entries.iter().enumerate().any(|(place, one)| {
        let others = entries.iter().skip(place + 1);
        others.into_iter().any(|other| one.spec_id == other.spec_id && one.partition != other.partition)
    })
}
