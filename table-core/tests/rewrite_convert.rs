//! Planning which equality deletes are turned into positions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rewrite_common;

use proptest::prelude::*;
use rewrite_common::{delete, files, table};
use table_core::manifest::entry::FileContent;
use table_core::rewrite::compact::Planner;
use table_core::rewrite::live::{LiveDelete, LiveFiles};
use table_core::rewrite::options::CompactOptions;
use table_core::rewrite::plan::{CompactionPlan, Conversion, Reason};

/// Files of [`files`], and deletes with the files that they are for: `e1:p/a,p/b` by value; `d1:p/a` by
/// position.
fn live(data: &str, deletes: &str) -> LiveFiles {
    let mut live = files(data);
    for word in deletes.split_whitespace() {
        let (name, paths) = word.split_once(':').unwrap();
        let vector = name.starts_with('d').then(|| paths.to_owned());
        let format = if name.contains("avro") { "AVRO" } else { "PARQUET" }.to_owned();
        live.deletes.push(LiveDelete { format, ..delete(name, vector.as_deref(), 5) });
        for path in paths.split(',').filter(|path| !path.is_empty()) {
            let file = live.files.iter_mut().find(|file| file.path == path).unwrap();
            file.deletes.push(live.deletes.len() - 1);
        }
    }
    live
}

/// Files below 75 are too small; two equality deletes are too many.
fn plan(live: &LiveFiles, min_equality_deletes: usize) -> CompactionPlan {
    let options = CompactOptions {
        target_file_size_bytes: Some(100),
        max_file_group_size_bytes: 1000,
        min_equality_deletes,
        ..CompactOptions::default()
    };
    Planner::new(live, &table(), &options).unwrap().plan()
}

fn shown(conversion: &Conversion) -> String {
    let inputs = conversion.inputs.iter().map(|input| {
        let deletes = input.deletes.iter().map(|number| conversion.deletes[*number].path.as_str());
        format!("{}({})", input.path, deletes.collect::<Vec<_>>().join(","))
    });
    let deletes = conversion.deletes.iter().map(|delete| delete.path.as_str());
    format!("{} -{}", inputs.collect::<Vec<_>>().join(" "), deletes.collect::<Vec<_>>().join(","))
}

#[track_caller]
fn check(data: &str, deletes: &str, expected: &[&str]) {
    let plan = plan(&live(data, deletes), 2);
    let found: Vec<_> = plan.conversions.iter().map(shown).collect();
    assert_eq!(found, expected, "{data} with {deletes}");
    let told = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<CompactionPlan>(&told).unwrap(), plan);
}

#[test]
fn many_deletes_by_value_become_positions() {
    check("p/a:100", "e1:p/a e2:p/a", &["p/a(e1,e2) -e1,e2"]);
    check("p/a:100", "e1:p/a", &[]);
    check("p/a:100", "d1:p/a", &[]);
    check("p/a:100", "e1:p/a d1:p/a", &[]);
}

#[test]
fn files_that_share_deletes_are_converted_together() {
    check(
        "p/a:100 q/b:100 p/c:100 p/d:100",
        "e1:p/a,p/c e2:p/a e3:p/c,p/d",
        &["p/a(e1,e2) p/c(e1,e3) p/d(e3) -e1,e2,e3"],
    );
    // Each for itself; what saves more comes first.
    check(
        "p/a:100 q/b:100",
        "e1:p/a e2:p/a e3:q/b e4:q/b e5:q/b",
        &["q/b(e3,e4,e5) -e3,e4,e5", "p/a(e1,e2) -e1,e2"],
    );
    check("p/a:100 q/b:100", "e1:p/a e2:p/a e3:q/b", &["p/a(e1,e2) -e1,e2"]);
}

#[test]
fn deletes_that_have_to_stay_are_not_looked_at() {
    check("p/a:100 hot/b:100", "e1:p/a,hot/b e2:p/a e3:p/a", &["p/a(e2,e3) -e2,e3"]);
    check("p/a:100 hot/b:100", "e1:p/a,hot/b e2:p/a", &[]);
    check("p/a:100 p/orc-b:100", "e1:p/a,p/orc-b e2:p/a,p/orc-b", &[]);
    check("p/a:100 p/encrypted-b:100", "e1:p/a,p/encrypted-b e2:p/a", &[]);
    check("p/a:100", "e1:p/a e-avro:p/a", &[]);
}

#[test]
fn files_that_are_rewritten_need_no_conversion() {
    let small = "p/a:20 p/b:20 p/c:20 p/d:20 p/e:20";
    check(small, "e1:p/a,p/b e2:p/a,p/b e3:p/a", &[]);
    // The deletes go, once those are rewritten.
    check(&format!("{small} p/z:100"), "e1:p/a,p/z e2:p/b,p/z", &["p/z(e1,e2) -e1,e2"]);
    // What is too small, but left, is converted.
    check("p/a:20", "e1:p/a e2:p/a", &["p/a(e1,e2) -e1,e2"]);
}

#[test]
fn deletes_that_are_for_nothing_are_counted_if_there_are_enough() {
    let count = |deletes: &str| plan(&live("p/a:100", deletes), 2).dangling;
    assert_eq!(count("e1:p/a e2:"), 0);
    assert_eq!(count("e1:p/a e2: e3:"), 2);
    assert_eq!(count("e1:p/a e2:p/a d3:p/a"), 0);
    // Listed twice, of which one entry is for a file.
    assert_eq!(count("e1:p/a e1: e2: e2: e3:"), 2);
    assert_eq!(count("e1:p/a e1: e2: e2:"), 0);
}

#[test]
fn few_deletes_that_are_for_nothing_are_removed_once_they_are_old_or_name_a_file_that_is_gone() {
    let count = |deletes: &str, sequence_number: i64| {
        let mut live = live("p/a:100", deletes);
        for delete in &mut live.deletes {
            delete.sequence_number = sequence_number;
        }
        plan(&live, 10).dangling
    };
    assert_eq!((count("e1:", 2), count("e1:", 1)), (0, 1));
    // They go along with a position delete of a file that is gone, too.
    let gone = LiveDelete { data_file: Some("p/gone".to_owned()), ..delete("d1", Some("p/gone"), 5) };
    let mut live = live("p/a:100", "e1: e2:p/a");
    assert_eq!(plan(&live, 10).dangling, 0);
    live.deletes.push(gone);
    assert_eq!(plan(&live, 10).dangling, 2);
}

#[test]
fn a_file_that_is_listed_twice_is_converted_if_both_entries_lose_the_same_rows() {
    // Entries of `a` with these deletes.
    let twice = |deletes: [&[usize]; 2]| {
        let mut live = live("p/a:100 p/a:100 p/b:100", "e1:p/b e2:p/b e3:");
        for (file, deletes) in live.files.iter_mut().zip(deletes) {
            file.deletes = deletes.to_vec();
        }
        plan(&live, 2).conversions.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(twice([&[0, 1], &[0, 1]]), ["p/a(e1,e2) p/a(e1,e2) p/b(e1,e2) -e1,e2"]);
    // The newer entry would lose what `e1` deletes; so `e1` stays, and is for `b`, too.
    assert!(twice([&[0, 1], &[1]]).is_empty());
    assert!(twice([&[0, 1], &[]]).is_empty());
    assert_eq!(twice([&[2], &[]]), ["p/b(e1,e2) -e1,e2"]);
}

#[test]
fn conversions_tell_their_numbers() {
    let plan = plan(&live("p/a:100 p/b:150", "e1:p/a,p/b e2:p/a,p/b e3:p/a"), 2);
    let [conversion] = &plan.conversions[..] else { panic!("{plan:?}") };
    assert_eq!(conversion.input_bytes, 250);
    // Five times a delete is opened with its file, instead of two vectors.
    assert_eq!(conversion.benefit_bytes, 3 * (4 << 20));
    assert_eq!(conversion.cost_bytes, 250 + 3 * 1000);
    assert_eq!(conversion.inputs[1].reason, Reason::EqualityDeletes { files: 2 });
}

/// Files with any deletes; which must not be shared between what lies in different partitions.
fn any_live() -> impl Strategy<Value = LiveFiles> {
    let data = prop::collection::vec((prop::sample::select(vec!["p", "q", "hot"]), 0..200_i64), 1..20);
    let deletes = prop::collection::vec((0..5_usize, prop::collection::vec(0..20_usize, 1..5)), 0..20);
    (data, deletes).prop_map(|(data, deletes)| {
        let paths: Vec<_> =
            data.iter().enumerate().map(|(number, (name, _))| format!("{name}/{number}")).collect();
        let words: Vec<_> =
            paths.iter().zip(&data).map(|(path, (_, size))| format!("{path}:{size}")).collect();
        let deletes = deletes.iter().enumerate().map(|(number, (kind, of))| {
            let mut of: Vec<_> = of.iter().map(|at| paths[at % paths.len()].as_str()).collect();
            of.sort_unstable();
            of.dedup();
            if *kind == 0 { format!("d{number}:{}", of[0]) } else { format!("e{number}:{}", of.join(",")) }
        });
        live(&words.join(" "), &deletes.collect::<Vec<_>>().join(" "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_converted_can_be_removed_and_leaves_nothing_to_convert(live in any_live(), min in 1..4_usize) {
        let first = plan(&live, min);
        let rewritten: Vec<&str> =
            first.groups.iter().flat_map(|group| &group.inputs).map(|input| input.path.as_str()).collect();
        let mut after = live.clone();
        after.files.retain(|file| !rewritten.contains(&file.path.as_str()));
        let mut seen = Vec::new();
        for conversion in &first.conversions {
            for input in &conversion.inputs {
                prop_assert!(!seen.contains(&&input.path), "{} is converted twice", input.path);
                seen.push(&input.path);
                prop_assert!(!input.path.starts_with("hot") && !rewritten.contains(&input.path.as_str()));
                let file = after.files.iter_mut().find(|file| file.path == input.path).unwrap();
                let converted: Vec<_> = input.deletes.iter().map(|at| &conversion.deletes[*at].path).collect();
                file.deletes.retain(|number| !converted.contains(&&live.deletes[*number].path));
            }
        }
        for delete in first.conversions.iter().flat_map(|conversion| &conversion.deletes) {
            prop_assert_eq!(delete.content, FileContent::EqualityDeletes);
            let is_needed = after.files.iter().any(|file| {
                file.deletes.iter().any(|number| live.deletes[*number].path == delete.path)
            });
            prop_assert!(!is_needed, "{} is needed still", delete.path);
        }
        let second = plan(&after, min);
        prop_assert!(second.conversions.is_empty(), "{:?}", second.conversions.iter().map(shown).collect::<Vec<_>>());
    }
}
