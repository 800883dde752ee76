//! Random histories against a model that is nothing but a list of files.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::list::ManifestFile;
use table_core::snapshot::change::{ChangeKind, Checks, FileChange};
use table_core::snapshot::rewrite::Clustering;

use super::lake::{Lake, append, data, equality, replace, row_delta};

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Delete(u8),
    Rewrite(u8),
    Equality(u8),
    Manifests(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..4_u8).prop_map(Step::Append),
        any::<u8>().prop_map(Step::Delete),
        any::<u8>().prop_map(Step::Rewrite),
        any::<u8>().prop_map(Step::Equality),
        any::<u8>().prop_map(Step::Manifests),
    ];
    prop::collection::vec(step, 1..14)
}

/// Live data files with their data sequence numbers and partitions.
type Model = BTreeMap<String, (i64, &'static str)>;

fn partition(seed: u8) -> &'static str {
    ["x", "y"][usize::from(seed % 2)]
}

fn chosen(model: &Model, seed: u8) -> Vec<String> {
    model
        .keys()
        .enumerate()
        .filter(|(place, _)| (seed >> (place % 8)) & 1 == 1)
        .map(|(_, path)| path.clone())
        .collect()
}

fn change(lake: &Lake, model: &mut Model, step: &Step, round: usize) -> Option<FileChange> {
    let version = lake.metadata.format_version();
    let next = if version == 1 { 0 } else { lake.metadata.last_sequence_number() + 1 };
    match step {
        Step::Append(count) => {
            let files: Vec<_> = (0..*count).map(|n| data(&format!("f{round}-{n}"), partition(n))).collect();
            model.extend((0..*count).map(|n| (format!("f{round}-{n}"), (next, partition(n)))));
            Some(append(&files))
        }
        Step::Delete(seed) => {
            let removed_paths = chosen(model, *seed);
            for path in &removed_paths {
                model.remove(path);
            }
            Some(FileChange { removed_paths, must_exist: true, ..FileChange::new(ChangeKind::Delete) })
        }
        Step::Rewrite(seed) => {
            let paths: Vec<_> =
                chosen(model, *seed).into_iter().filter(|path| model[path].1 == partition(*seed)).collect();
            if paths.is_empty() {
                return None;
            }
            let inputs: Vec<_> = paths.iter().map(|path| data(path, partition(*seed))).collect();
            let output = DataFile {
                record_count: 10 * i64::try_from(inputs.len()).unwrap(),
                ..data(&format!("r{round}"), partition(*seed))
            };
            for path in &paths {
                model.remove(path);
            }
            let keeps = version > 1 && seed % 3 == 0;
            let number = lake.metadata.last_sequence_number();
            model.insert(output.path.clone(), (if keeps { number } else { next }, partition(*seed)));
            let change = replace(&inputs, &[output], lake.head());
            Some(FileChange { data_sequence_number: keeps.then_some(number), ..change })
        }
        Step::Manifests(_) => None,
        Step::Equality(seed) => {
            let checks = Checks { since: None, ..Checks::default() };
            (version > 1).then(|| FileChange {
                checks,
                ..row_delta(&[], &[equality(&format!("e{round}"), partition(*seed))])
            })
        }
    }
}

fn check(lake: &Lake, model: &Model) -> Result<(), TestCaseError> {
    let live = lake.live();
    let (files, deletes): (Vec<_>, Vec<_>) =
        live.iter().partition(|entry| entry.file.equality_ids.is_empty());
    let found: BTreeMap<_, _> =
        files.iter().map(|entry| (entry.file.path.clone(), entry.sequence_number.unwrap())).collect();
    let expected: BTreeMap<_, _> = model.iter().map(|(path, (number, _))| (path.clone(), *number)).collect();
    prop_assert_eq!(found, expected);
    let rows: i64 = files.iter().map(|entry| entry.file.record_count).sum();
    let total = |name: &str| lake.summary(name).unwrap().parse::<i64>().unwrap();
    prop_assert_eq!(total("total-data-files"), i64::try_from(files.len()).unwrap());
    prop_assert_eq!(total("total-delete-files"), i64::try_from(deletes.len()).unwrap());
    prop_assert_eq!(total("total-records"), rows);
    // No delete that still has a file to apply to may be gone: every step makes at most one, numbered by its
    // commit.
    let kept: BTreeSet<_> = deletes.iter().map(|entry| entry.sequence_number.unwrap()).collect();
    let least = model.values().map(|(number, _)| *number).min();
    for number in DeletesMade::of(lake) {
        prop_assert!(
            kept.contains(&number) || least.is_none_or(|least| least >= number),
            "{} is gone",
            number
        );
    }
    Ok(())
}

/// The sequence numbers of the equality deletes that were ever added.
struct DeletesMade;

impl DeletesMade {
    fn of(lake: &Lake) -> Vec<i64> {
        let snapshots = lake.metadata.snapshots().iter();
        let adding = snapshots.filter(|snapshot| {
            snapshot.summary().unwrap().iter().any(|(name, _)| name == "added-equality-delete-files")
        });
        adding.map(table_core::metadata::snapshot::Snapshot::sequence_number).collect()
    }
}

fn check_row_ids(lake: &Lake, known: &mut BTreeMap<String, i64>) -> Result<(), TestCaseError> {
    let live = lake.live();
    let mut ranges = Vec::new();
    for entry in live.iter().filter(|entry| entry.file.equality_ids.is_empty()) {
        let first = entry.file.first_row_id.unwrap();
        prop_assert_eq!(*known.entry(entry.file.path.clone()).or_insert(first), first);
        ranges.push((first, first + entry.file.record_count));
    }
    ranges.sort_unstable();
    prop_assert!(ranges.array_windows::<2>().all(|[left, right]| left.1 <= right.0), "{:?}", ranges);
    prop_assert!(ranges.last().is_none_or(|last| last.1 <= lake.metadata.next_row_id()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_history_leaves_the_files_it_should(version in 1..=3_i32, steps in steps()) {
        let mut lake = Lake::new(version);
        lake.commit(&append(&[data("first", "x")]));
        let mut model = Model::new();
        model.insert("first".to_owned(), (i64::from(version > 1), "x"));
        let mut row_ids = BTreeMap::new();
        for (round, step) in steps.iter().enumerate() {
            if let Step::Manifests(seed) = step {
                let clustering = [Clustering::AsRead, Clustering::ByPartition][usize::from(seed % 2)];
                let is_chosen = |line: &ManifestFile| seed % 3 > 0 || line.added_files == Some(1);
                lake.rewrite(is_chosen, clustering);
            } else if let Some(change) = change(&lake, &mut model, step, round) {
                lake.commit(&change);
            }
            check(&lake, &model)?;
            if version > 2 {
                check_row_ids(&lake, &mut row_ids)?;
            }
        }
    }
}
