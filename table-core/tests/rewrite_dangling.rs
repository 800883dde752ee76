//! Which deletes are for nothing any more.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rewrite_common;

use std::collections::BTreeSet;

use proptest::prelude::*;
use rewrite_common::{delete, partition};
use table_core::manifest::entry::FileContent;
use table_core::manifest::partition::PartitionTuple;
use table_core::rewrite::dangling::{Dangling, DanglingReason, DataFileKey, Finder};
use table_core::rewrite::live::LiveDelete;

/// A name such as `p/a`: in partition `p` of spec 1. Without a slash, it is of spec 0, which has no fields;
/// and in partition `null`, of spec 1.
fn place(name: &str) -> (i32, PartitionTuple) {
    match name.split_once('/') {
        None => (0, Vec::new()),
        Some(("null", _)) => (1, vec![None]),
        Some((name, _)) => (1, partition(name)),
    }
}

/// Deletes such as `p/d 3 equality`: name, sequence number, kind; `positions` and `vector` may be `of` a data
/// file.
fn deletes(text: &str) -> Vec<LiveDelete> {
    let deletes = text.split(", ").filter(|text| !text.is_empty()).map(|text| {
        let words: Vec<_> = text.split(' ').collect();
        let (spec_id, partition) = place(words[0]);
        let data_file = words.get(4).copied();
        let content =
            if words[2] == "equality" { FileContent::EqualityDeletes } else { FileContent::PositionDeletes };
        let sequence_number = words[1].parse().unwrap();
        LiveDelete { content, spec_id, partition, sequence_number, ..delete(words[0], data_file, 10) }
    });
    deletes.collect()
}

/// The dangling among `deletes`, given data files such as `p/a 2`.
fn find(data: &str, deletes: &[LiveDelete]) -> Vec<Dangling> {
    let mut finder = Finder::new(deletes);
    for text in data.split(", ").filter(|text| !text.is_empty()) {
        let (path, sequence_number) = text.split_once(' ').unwrap();
        let (spec_id, partition) = place(path);
        let sequence_number = sequence_number.parse().unwrap();
        finder.add(DataFileKey { path, spec_id, partition: &partition, sequence_number });
    }
    finder.finish()
}

#[track_caller]
fn check(data: &str, of: &str, expected: &str) {
    let found = find(data, &deletes(of));
    let paths: Vec<_> = found.iter().map(|dangling| dangling.path.as_str()).collect();
    assert_eq!(paths.join(" "), expected, "{data}; {of}");
}

#[test]
fn position_deletes_go_once_all_files_of_their_partition_are_newer() {
    check("p/a 3, q/b 1", "p/d 2 positions, p/e 3 positions, q/f 1 positions", "p/d");
    check("p/a 3, p/b 1", "p/d 2 positions", "");
}

#[test]
fn equality_deletes_go_once_no_file_of_their_partition_is_older() {
    check("p/a 3, q/b 1", "p/d 2 equality, p/e 3 equality, p/f 4 equality, q/g 2 equality", "p/d p/e");
}

#[test]
fn deletes_of_a_partition_without_files_go() {
    check("p/a 1", "q/d 9 equality, q/e 9 positions, null/f 9 positions", "q/d q/e null/f");
    check("", "p/d 9 equality, e 9 equality", "p/d e");
}

#[test]
fn equality_deletes_without_a_partition_are_for_the_files_of_all_specs() {
    // Java takes them for dangling when no data file of their own spec is left, and brings rows back.
    check("p/a 1", "d 2 equality", "");
    check("p/a 2, q/b 3", "d 2 equality, e 3 equality", "d");
    // Position deletes are not.
    check("p/a 1", "d 2 positions", "d");
}

#[test]
fn nothing_that_may_be_for_all_is_taken_for_one_partition() {
    check("p/a 1, null/b 5", "null/d 4 equality", "");
}

#[test]
fn deletes_for_one_file_go_with_it() {
    check("p/a 1", "p/v 2 vector of p/a, p/w 2 vector of p/gone, p/x 2 positions of p/gone", "p/w p/x");
    check("p/a 3, p/b 1", "p/x 2 positions of p/a", "p/x");
    let found = find("", &deletes("p/v 2 vector of p/a"));
    assert_eq!(found[0].content_offset, Some(4));
}

#[test]
fn new_files_of_a_rewrite_keep_the_deletes_that_came_meanwhile() {
    // Planned at 5, committed at 8: the file takes 5, and what was deleted by value at 6 is still in it.
    check("p/new 5", "p/old 4 equality, p/same 5 equality, p/meanwhile 6 equality", "p/old p/same");
    // As the file would have it that took the number of the commit, the delete would be lost.
    check("p/new 8", "p/meanwhile 6 equality", "p/meanwhile");
}

#[test]
fn a_delete_that_is_listed_twice_stays_as_long_as_one_of_its_entries_applies() {
    check("p/a 1", "p/d 1 equality, p/d 2 equality", "");
    check("p/a 2", "p/d 1 equality, p/d 2 equality", "p/d");
    check("p/a 1", "p/d 0 positions, p/d 1 positions, q/e 1 positions, q/e 2 positions", "q/e");
    let one = LiveDelete { content_offset: Some(9), ..deletes("p/v 2 vector of p/gone").remove(0) };
    let of_others = [deletes("p/v 2 vector of p/a"), vec![one]].concat();
    let found = find("p/a 1", &of_others);
    assert_eq!(found.iter().map(|found| found.content_offset).collect::<Vec<_>>(), [Some(9)]);
}

#[test]
fn it_is_told_why() {
    let reason = |data: &str| find(data, &deletes("p/d 2 equality"))[0].reason;
    assert_eq!(
        (reason("q/a 1"), reason("p/a 2")),
        (DanglingReason::NoDataFile, DanglingReason::NewerDataFiles)
    );
    let told = serde_json::to_string(&find("", &deletes("p/d 2 equality"))).unwrap();
    assert_eq!(told, r#"[{"path":"p/d","content-offset":null,"reason":"no-data-file"}]"#);
}

fn any_place() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["p/", "q/", "null/", ""])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// By the specification's rules for each pair of a data file and a delete file.
    #[test]
    fn a_delete_that_applies_to_any_file_stays(
        data in prop::collection::vec((any_place(), 0..6_i64), 0..6),
        written in prop::collection::vec((any_place(), 0..6_i64, 0..3_u8, prop::option::of(0..6_usize)), 0..6),
    ) {
        let path = |number: usize| data.get(number).map_or("gone".to_owned(), |(place, _)| format!("{place}{number}"));
        let shown: Vec<_> = data.iter().enumerate().map(|(number, (_, sequence))| format!("{} {sequence}", path(number))).collect();
        let mut needed = BTreeSet::new();
        let mut found = Vec::new();
        let deletes: Vec<_> = written.iter().enumerate().flat_map(|(number, (place, sequence, kind, of))| {
            // Some are listed twice, with other numbers, of other partitions.
            let name = number / 2;
            let text = match (kind, of) {
                (0, _) => format!("{place}d {sequence} equality"),
                (_, Some(of)) => format!("{place}d {sequence} vector of {}", path(*of)),
                (_, None) => format!("{place}d {sequence} positions"),
            };
            let read = deletes(&text);
            read.into_iter().map(move |delete| LiveDelete { path: format!("d{name}"), content_offset: None, ..delete })
        }).collect();
        for delete in &deletes {
            let applies = data.iter().enumerate().any(|(number, (place_of, sequence))| {
                let is_here = place(&path(number)) == (delete.spec_id, delete.partition.clone());
                match (&delete.content, &delete.data_file) {
                    (FileContent::EqualityDeletes, _) => {
                        // Java's scans take a spec of nothing but null fields for none.
                        *sequence < delete.sequence_number && (is_here || delete.partition.iter().all(Option::is_none))
                    }
                    (_, Some(of)) => *sequence <= delete.sequence_number && *of == format!("{place_of}{number}"),
                    (_, None) => *sequence <= delete.sequence_number && is_here,
                }
            });
            if applies {
                needed.insert(&delete.path);
            }
        }
        for delete in &deletes {
            if !needed.contains(&delete.path) && !found.contains(&delete.path) {
                found.push(delete.path.clone());
            }
        }
        let dangling: Vec<_> = find(&shown.join(", "), &deletes).into_iter().map(|dangling| dangling.path).collect();
        prop_assert_eq!(dangling, found);
    }
}
