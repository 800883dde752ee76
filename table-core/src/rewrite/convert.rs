//! Planning of conversions from equality deletes to position deletes. Converted equality deletes can be
//! removed afterwards, so there is nothing left to plan once a plan was carried out.

use std::collections::HashSet;

use super::cost::{OPEN_FILE_BYTES, total};
use super::live::{LiveDelete, LiveFile, LiveFiles};
use super::plan::{Conversion, Delete, Input, Reason};
use crate::manifest::entry::FileContent;

/// Treatment of a data file by a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Rewritten without its deleted rows, so that the equality deletes do not apply to it any more.
    Rewritten,
    /// Not rewritten, so that its equality deletes may be converted to position deletes.
    Convertible,
    /// Not rewritten, for reasons that rule out a conversion, too.
    Untouched,
}

/// Plans conversions: sets of data files that share equality deletes, where at least `files_min` of these
/// delete files apply to one of the data files.
///
/// Only deletes that apply to no untouched data file count: others cannot be removed, so that converting them
/// gains nothing.
pub fn plan(
    live: &LiveFiles,
    treatments: impl Fn(&LiveFile) -> Treatment,
    files_min: usize,
) -> Vec<Conversion> {
    let treatments: Vec<_> = live.files.iter().map(treatments).collect();
    let mut deletes = removable(live, &treatments);
    let mut is_taken = vec![false; live.files.len()];
    let mut conversions = Vec::new();
    for first in 0..live.files.len() {
        let mut shared = Shared::default();
        shared.add_file(first, &treatments, &mut is_taken);
        let mut at = 0;
        while let Some(number) = shared.files.get(at).copied() {
            at += 1;
            let of_file = live.files.get(number).map_or_else(Default::default, |file| &file.deletes[..]);
            shared.most =
                shared.most.max(of_file.iter().filter(|delete| deletes.is_removable(**delete)).count());
            for delete in of_file {
                // Each delete is expanded only once.
                for other in deletes.take(*delete) {
                    shared.add_file(other, &treatments, &mut is_taken);
                }
            }
        }
        if shared.most >= files_min.max(1) {
            conversions.push(conversion(live, &shared.files, &deletes));
        }
    }
    conversions
}

/// Returns the deletes that apply to no data file, without duplicates. The deletes found by
/// [`super::dangling`] are among them; this function also takes into account which values a data file may
/// contain. A delete with several manifest entries is returned only if none of them applies to a data file.
pub fn dangling(live: &LiveFiles) -> Vec<&LiveDelete> {
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
    let mut returned: HashSet<_> = needed.map(|(delete, _)| key(&delete)).collect();
    unneeded.into_iter().filter(|delete| returned.insert(key(delete))).collect()
}

/// Data files that share deletes, directly or indirectly.
#[derive(Default)]
struct Shared {
    files: Vec<usize>,
    /// Greatest number of removable deletes that apply to one of the files.
    most: usize,
}

impl Shared {
    fn add_file(&mut self, file: usize, treatments: &[Treatment], is_taken: &mut [bool]) {
        if treatments.get(file) == Some(&Treatment::Convertible)
            && let Some(is_taken) = is_taken.get_mut(file)
            && !*is_taken
        {
            *is_taken = true;
            self.files.push(file);
        }
    }
}

/// Convertible data files of each delete; `None` for deletes that cannot be removed.
struct Removable(Vec<Option<Vec<usize>>>);

impl Removable {
    fn is_removable(&self, delete: usize) -> bool {
        self.0.get(delete).is_some_and(Option::is_some)
    }

    fn take(&mut self, delete: usize) -> Vec<usize> {
        self.0.get_mut(delete).and_then(Option::as_mut).map(std::mem::take).unwrap_or_default()
    }
}

fn removable(live: &LiveFiles, treatments: &[Treatment]) -> Removable {
    let can_be_read = |delete: &LiveDelete| {
        delete.content == FileContent::EqualityDeletes && delete.format.eq_ignore_ascii_case("PARQUET")
    };
    let mut files: Vec<_> = live.deletes.iter().map(|delete| can_be_read(delete).then(Vec::new)).collect();
    for (number, (file, treatments)) in live.files.iter().zip(treatments).enumerate() {
        for delete in &file.deletes {
            let Some(of_delete) = files.get_mut(*delete) else { continue };
            match treatments {
                Treatment::Untouched => *of_delete = None,
                Treatment::Rewritten => {}
                Treatment::Convertible => of_delete.iter_mut().for_each(|files| files.push(number)),
            }
        }
    }
    Removable(files)
}

fn conversion(live: &LiveFiles, files: &[usize], removable: &Removable) -> Conversion {
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
    // A scan opens each delete once per data file, and after the conversion only the position deletes.
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
