//! Data files with more than one manifest entry in a table.
//!
//! Engines read such a file once per entry, each time with the deletes that apply to the entry, so its rows
//! are duplicated. Position deletes, however, apply to the file and thus to all of its entries, and a commit
//! removes all of them at once. Therefore a rewrite reads either all entries or none, and equality deletes
//! are converted to position deletes only where they delete the same rows from every entry.

use std::collections::HashMap;

use super::live::LiveFile;

/// Index of the data files with more than one manifest entry.
#[derive(Debug, Default)]
pub struct Listings<'a> {
    files: &'a [LiveFile],
    /// Indexes of all entries, by path.
    repeated: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Listings<'a> {
    /// Builds the index from all live data files of a table.
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

    /// Returns all entries of a file with more than one, in their order; `None` for other files.
    pub fn entries(&self, path: &str) -> Option<Vec<&'a LiveFile>> {
        let places = self.repeated.get(path)?;
        Some(places.iter().filter_map(|place| self.files.get(*place)).collect())
    }

    /// Returns `true` if the entry at an index is not the first one of its file.
    pub fn is_repetition(&self, place: usize) -> bool {
        let path = self.files.get(place).map(|file| file.path.as_str());
        let places = path.and_then(|path| self.repeated.get(path));
        places.is_some_and(|places| places.first() != Some(&place))
    }
}

/// Returns `true` if all entries of a file have the same partition and the same deletes.
pub fn are_alike(entries: &[&LiveFile]) -> bool {
    let is_like = |one: &LiveFile, other: &LiveFile| {
        one.spec_id == other.spec_id && one.partition == other.partition && one.deletes == other.deletes
    };
    entries.array_windows::<2>().all(|[one, other]| is_like(one, other))
}

/// Returns `true` if two entries of a file have different partitions of the same spec, at least one of which
/// must be wrong. Engines differ in the values that they read from such rows.
pub fn contradict_each_other(entries: &[&LiveFile]) -> bool {
    entries.iter().enumerate().any(|(place, one)| {
        let others = entries.iter().skip(place + 1);
        others.into_iter().any(|other| one.spec_id == other.spec_id && one.partition != other.partition)
    })
}
