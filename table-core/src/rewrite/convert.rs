//! Planning which equality deletes are turned into positions. What is turned can be removed afterwards, so a plan that was carried
//! out leaves nothing to plan.

use std::collections::HashSet;

use super::compact::{OPEN_FILE_BYTES, total};
use super::live::{Live, LiveDelete, LiveFile};
use super::plan::{Conversion, Delete, Input, Reason};
use crate::manifest::entry::Content;

/// What a compaction makes of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// Rewritten without the rows that are deleted by now: such deletes are not for it any more.
    Rewritten,
    /// Left, so that what is deleted of it may be told by positions.
    Convertible,
    /// Left for reasons that forbid this too.
    Untouched,
}

/// Files that share equality deletes, where one of them has at least `files_min` files of such deletes.
///
/// Only deletes count that are for no file which is left untouched: others have to stay, so that nothing is gained.
pub fn plan(live: &Live, becomes: impl Fn(&LiveFile) -> Becomes, files_min: usize) -> Vec<Conversion> {
    let becomes: Vec<_> = live.files.iter().map(becomes).collect();
    let mut deletes = removable(live, &becomes);
    let mut is_taken = vec![false; live.files.len()];
    let mut conversions = Vec::new();
    for first in 0..live.files.len() {
        let mut shared = Shared::default();
        shared.reach(first, &becomes, &mut is_taken);
        let mut at = 0;
        while let Some(number) = shared.files.get(at).copied() {
            at += 1;
            let of_file = live.files.get(number).map_or_else(Default::default, |file| &file.deletes[..]);
            shared.most =
                shared.most.max(of_file.iter().filter(|delete| deletes.is_removable(**delete)).count());
            for delete in of_file {
                // Each is looked through once.
                for other in deletes.take(*delete) {
                    shared.reach(other, &becomes, &mut is_taken);
                }
            }
        }
        if shared.most >= files_min.max(1) {
            conversions.push(conversion(live, &shared.files, &deletes));
        }
    }
    conversions
}

/// The deletes that are for no file, each once. What [`super::dangling`] finds is among them; but here it is known, too, which values
/// a file may hold. A delete that is listed several times is among them if none of its entries is for a file.
pub fn dangling(live: &Live) -> Vec<&LiveDelete> {
    let key = |delete: &&LiveDelete| (delete.path.clone(), delete.content_offset);
    let mut is_needed = vec![false; live.deletes.len()];
    for number in live.files.iter().flat_map(|file| &file.deletes) {
        if let Some(is_needed) = is_needed.get_mut(*number) {
            *is_needed = true;
        }
    }
    let unneeded: Vec<&LiveDelete> = live
        .deletes
        .iter()
        .zip(&is_needed)
        .filter_map(|(delete, is_needed)| (!is_needed).then_some(delete))
        .collect();
    if unneeded.is_empty() {
        return unneeded;
    }
    let needed = live.deletes.iter().zip(&is_needed).filter(|(_, is_needed)| **is_needed);
    let mut seen: HashSet<_> = needed.map(|(delete, _)| key(&delete)).collect();
    unneeded.into_iter().filter(|delete| seen.insert(key(delete))).collect()
}

/// Files that share deletes, directly or through others.
#[derive(Default)]
struct Shared {
    files: Vec<usize>,
    /// How many deletes one of them has.
    most: usize,
}

impl Shared {
    fn reach(&mut self, file: usize, becomes: &[Becomes], is_taken: &mut [bool]) {
        if becomes.get(file) == Some(&Becomes::Convertible)
            && let Some(is_taken) = is_taken.get_mut(file)
            && !*is_taken
        {
            *is_taken = true;
            self.files.push(file);
        }
    }
}

/// Deletes, with the files that they are for; `None` for those that have to stay.
struct Removable(Vec<Option<Vec<usize>>>);

impl Removable {
    fn is_removable(&self, delete: usize) -> bool {
        self.0.get(delete).is_some_and(Option::is_some)
    }

    fn take(&mut self, delete: usize) -> Vec<usize> {
        self.0.get_mut(delete).and_then(Option::as_mut).map(std::mem::take).unwrap_or_default()
    }
}

fn removable(live: &Live, becomes: &[Becomes]) -> Removable {
    let can_be_read = |delete: &LiveDelete| {
        delete.content == Content::EqualityDeletes && delete.format.eq_ignore_ascii_case("PARQUET")
    };
    let mut files: Vec<_> = live.deletes.iter().map(|delete| can_be_read(delete).then(Vec::new)).collect();
    for (number, (file, becomes)) in live.files.iter().zip(becomes).enumerate() {
        for delete in &file.deletes {
            let Some(of_delete) = files.get_mut(*delete) else { continue };
            match becomes {
                Becomes::Untouched => *of_delete = None,
                Becomes::Rewritten => {}
                Becomes::Convertible => of_delete.iter_mut().for_each(|files| files.push(number)),
            }
        }
    }
    Removable(files)
}

fn conversion(live: &Live, files: &[usize], removable: &Removable) -> Conversion {
    let mut files = files.to_vec();
    files.sort_unstable();
    let files: Vec<&LiveFile> = files.iter().filter_map(|number| live.files.get(*number)).collect();
    let mut numbers: Vec<usize> = files.iter().flat_map(|file| file.deletes.iter().copied()).collect();
    numbers.retain(|number| removable.is_removable(*number));
    numbers.sort_unstable();
    numbers.dedup();
    let inputs: Vec<Input> = files
        .iter()
        .map(|file| {
            let deletes = file.deletes.iter().filter_map(|number| numbers.binary_search(number).ok());
            let deletes: Vec<usize> = deletes.collect();
            let reason = Reason::EqualityDeletes { files: i64::try_from(deletes.len()).unwrap_or(i64::MAX) };
            Input::of(file, deletes, reason)
        })
        .collect();
    let deletes: Vec<Delete> =
        numbers.iter().filter_map(|number| live.deletes.get(*number)).map(Delete::of).collect();
    let input_bytes = total(inputs.iter().map(|input| input.size_bytes));
    // A scan opens each delete for each of its files, and then the positions instead.
    let opened = total(inputs.iter().map(|input| i64::try_from(input.deletes.len()).unwrap_or(i64::MAX)));
    let saved = opened.saturating_sub(i64::try_from(inputs.len()).unwrap_or(i64::MAX)).max(0);
    Conversion {
        benefit_bytes: saved.saturating_mul(OPEN_FILE_BYTES),
        cost_bytes: input_bytes.saturating_add(total(deletes.iter().map(|delete| delete.size_bytes))),
        input_bytes,
        inputs,
        deletes,
    }
}
