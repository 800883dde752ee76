//! Where rows go in a rewrite that keeps their order.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use table_core::file::deletion_vector::DeletionVector;
use table_core::rewrite::remap::{InputRows, OutputRows, RemapError, RowMap};

fn vector(positions: impl IntoIterator<Item = u64>) -> DeletionVector {
    DeletionVector::from_sorted(positions).unwrap()
}

/// Inputs such as `a:10-2,3`: 10 rows, of which those at 2 and 3 were deleted; outputs such as `x:5`.
fn map(inputs: &str, outputs: &str) -> Result<RowMap, RemapError> {
    let inputs = inputs.split_whitespace().map(|word| {
        let (path, rest) = word.split_once(':').unwrap();
        let (rows, deleted) = rest.split_once('-').unwrap_or((rest, ""));
        let deleted = deleted.split(',').filter(|text| !text.is_empty()).map(|text| text.parse().unwrap());
        InputRows { path: path.to_owned(), rows: rows.parse().unwrap(), deleted: vector(deleted) }
    });
    let outputs = outputs.split_whitespace().map(|word| {
        let (path, rows) = word.split_once(':').unwrap();
        OutputRows { path: path.to_owned(), rows: rows.parse().unwrap() }
    });
    RowMap::new(inputs.collect(), outputs.collect())
}

/// Where deletes such as `a 0 5` go: `x 0, y 3 4`.
#[track_caller]
fn check(map: &RowMap, deletes: &str, expected: &str) {
    let (path, positions) = deletes.split_once(' ').unwrap();
    let positions = vector(positions.split(' ').map(|text| text.parse().unwrap()));
    let moved = map.translate(path, &positions).unwrap();
    let shown: Vec<_> = moved
        .iter()
        .map(|(path, vector)| {
            vector.iter().fold((*path).to_owned(), |text, position| format!("{text} {position}"))
        })
        .collect();
    assert_eq!(shown.join(", "), expected, "{deletes}");
}

#[test]
fn positions_are_counted_on_from_one_input_to_the_next() {
    let map = map("a:3 b:4 c:2", "x:5 y:4").unwrap();
    check(&map, "a 0 1 2", "x 0 1 2");
    check(&map, "b 0 1 2 3", "x 3 4, y 0 1");
    check(&map, "c 1", "y 3");
}

#[test]
fn rows_that_were_left_out_do_not_count() {
    let map = map("a:5-0,3 b:5-4", "x:4 y:3").unwrap();
    check(&map, "a 1 2 4", "x 0 1 2");
    check(&map, "b 0 1 2 3", "x 3, y 0 1 2");
}

#[test]
fn what_was_deleted_before_is_in_no_output() {
    let map = map("a:5-0,3", "x:3").unwrap();
    check(&map, "a 0 1 3", "x 0");
    check(&map, "a 0 3", "");
}

#[test]
fn files_without_rows_are_passed_over() {
    let map = map("a:0 b:2-0,1 c:2 d:0", "x:0 y:1 z:0 w:1 v:0").unwrap();
    check(&map, "c 0 1", "w 0, y 0");
    check(&map, "b 0 1", "");
}

#[test]
fn deletes_of_several_inputs_are_put_together() {
    let map = map("a:2 b:2", "x:3 y:1").unwrap();
    let (a, b) = (vector([1]), vector([0, 1]));
    let moved = map.translate_all([("b", &b), ("a", &a)]).unwrap();
    assert_eq!(moved, BTreeMap::from([("x", vector([1, 2])), ("y", vector([0]))]));
}

#[test]
fn a_rewrite_that_lost_or_doubled_rows_has_no_map() {
    assert_eq!(map("a:5-1 b:5", "x:10").unwrap_err(), RemapError::RowsDiffer { remaining: 9, written: 10 });
    assert_eq!(map("a:5", "").unwrap_err(), RemapError::RowsDiffer { remaining: 5, written: 0 });
    let no_row = |path: &str| RemapError::NoRow { path: path.to_owned(), rows: 5, position: 5 };
    assert_eq!(map("a:5-5", "x:5").unwrap_err(), no_row("a"));
    let huge = format!("a:{0} b:{0}", u64::MAX);
    assert_eq!(map(&huge, "x:1").unwrap_err(), RemapError::TooMany);
    let map = map("a:5", "x:5").unwrap();
    assert_eq!(map.translate("a", &vector([5])).unwrap_err(), no_row("a"));
    assert_eq!(map.translate("b", &vector([])).unwrap_err(), RemapError::Unknown("b".to_owned()));
}

#[test]
fn deletes_of_a_file_that_was_read_twice_go_to_both_of_its_rows() {
    let twice = map("a:5 b:2 a:5-1", "x:6 y:5").unwrap();
    check(&twice, "a 0", "x 0, y 1");
    // One of the readings was without that row.
    check(&twice, "a 1", "x 1");
    check(&twice, "a 4", "x 4, y 4");
    check(&twice, "b 0 1", "x 5, y 0");
}

/// Rows as identities: the n-th of an input.
type Row = (usize, u64);

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Reading the outputs with the moved deletes gives what reading the inputs with all deletes gives.
    #[test]
    fn it_makes_no_difference_when_a_row_was_deleted(
        // The first inputs may be readings of one file, which then has forty rows.
        readings in 0..3_usize,
        inputs in prop::collection::vec((0..40_u64, prop::collection::btree_set(0..40_u64, 0..20)), 1..6),
        later in prop::collection::vec(prop::collection::btree_set(0..40_u64, 0..20), 6),
        cuts in prop::collection::vec(0..30_u64, 0..8),
    ) {
        let rows_of = |number: usize, rows: u64| if number < readings { 40 } else { rows };
        let inputs: Vec<_> = inputs
            .into_iter()
            .enumerate()
            .map(|(number, (rows, deleted))| (rows_of(number, rows), deleted))
            .collect();
        let path = |number: usize| format!("in {}", if number < readings { 0 } else { number });
        let later: Vec<_> = (0..later.len())
            .map(|number| later[if number < readings { 0 } else { number }].clone())
            .collect();
        let below = |positions: &BTreeSet<u64>, rows: u64| -> BTreeSet<u64> {
            positions.iter().copied().filter(|position| *position < rows).collect()
        };
        let kept: Vec<Row> = inputs
            .iter()
            .enumerate()
            .flat_map(|(number, (rows, deleted))| {
                (0..*rows).filter(move |position| !deleted.contains(position)).map(move |position| (number, position))
            })
            .collect();
        // Written into files of whatever lengths, the last taking the rest.
        let mut outputs: Vec<Vec<Row>> = Vec::new();
        let mut rest = &kept[..];
        for cut in cuts {
            let (output, left) = rest.split_at(usize::try_from(cut).unwrap().min(rest.len()));
            outputs.push(output.to_vec());
            rest = left;
        }
        outputs.push(rest.to_vec());

        let map = RowMap::new(
            inputs.iter().enumerate().map(|(number, (rows, deleted))| InputRows {
                path: path(number), rows: *rows, deleted: vector(below(deleted, *rows)),
            }).collect(),
            outputs.iter().enumerate().map(|(number, rows)| OutputRows {
                path: format!("out {number}"), rows: rows.len() as u64,
            }).collect(),
        ).unwrap();
        let later: Vec<_> = inputs
            .iter()
            .zip(&later)
            .enumerate()
            .map(|(number, ((rows, _), later))| (path(number), vector(below(later, *rows))))
            .collect();
        let moved = map.translate_all(later.iter().map(|(path, vector)| (path.as_str(), vector))).unwrap();

        let expected: Vec<Row> =
            kept.iter().copied().filter(|(number, position)| !later[*number].1.contains(*position)).collect();
        let mut seen = Vec::new();
        for (number, rows) in outputs.iter().enumerate() {
            let deleted = moved.get(format!("out {number}").as_str()).cloned().unwrap_or_default();
            prop_assert!(deleted.last().is_none_or(|last| last < rows.len() as u64));
            let left = rows.iter().zip(0..).filter(|(_, position)| !deleted.contains(*position));
            seen.extend(left.map(|(row, _)| *row));
        }
        prop_assert_eq!(seen, expected);
    }
}
