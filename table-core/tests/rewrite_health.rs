//! How healthy a table is.

use proptest::prelude::*;
use table_core::rewrite::health::{TableFacts, TableHealth};

/// A table that nothing is wrong with.
fn healthy() -> TableFacts {
    TableFacts {
        files: 200,
        bytes: 100 << 30,
        rows: 1_000_000,
        manifests: 2,
        manifest_bytes: 9 << 20,
        snapshots: 100,
        metadata_bytes: 1 << 20,
        ..TableFacts::default()
    }
}

/// The score, and what was deducted.
#[track_caller]
fn check(facts: TableFacts, expected: &str) {
    let health = TableHealth::of(&facts);
    let deductions = health.deductions.iter().map(|of| format!("{:?}-{}", of.fault, of.points));
    let shown: Vec<_> = std::iter::once(health.score.to_string()).chain(deductions).collect();
    assert_eq!(shown.join(" "), expected, "{facts:?}");
}

#[test]
fn a_healthy_table_has_all_points() {
    check(healthy(), "100");
    check(TableFacts::default(), "100");
}

#[test]
fn each_fault_takes_its_points() {
    check(TableFacts { small_files: 200, small_files_merged: 1, ..healthy() }, "60 SmallFiles-40");
    check(TableFacts { small_files: 100, small_files_merged: 50, ..healthy() }, "95 SmallFiles-5");
    check(TableFacts { deleted_rows: 300_000, ..healthy() }, "70 DeletedRows-30");
    check(TableFacts { deleted_rows: 100_000, ..healthy() }, "90 DeletedRows-10");
    check(TableFacts { equality_delete_files: 50, ..healthy() }, "90 EqualityDeletes-10");
    check(TableFacts { manifests: 52, ..healthy() }, "95 Manifests-5");
    check(TableFacts { snapshots: 550, ..healthy() }, "95 Snapshots-5");
    check(TableFacts { metadata_bytes: 6 << 20, ..healthy() }, "95 Metadata-5");
}

#[test]
fn small_files_that_cannot_be_saved_are_no_fault() {
    check(TableFacts { small_files: 200, small_files_merged: 200, ..healthy() }, "100");
    // A table with five files is none the worse for it.
    check(TableFacts { files: 5, small_files: 5, small_files_merged: 1, ..healthy() }, "99 SmallFiles-1");
}

#[test]
fn what_takes_most_comes_first() {
    let facts = TableFacts { deleted_rows: 60_000, equality_delete_files: 35, snapshots: 700, ..healthy() };
    check(facts, "80 EqualityDeletes-7 Snapshots-7 DeletedRows-6");
    let facts = TableFacts {
        small_files: 20,
        small_files_merged: 0,
        deleted_rows: 60_000,
        equality_delete_files: 32,
        ..healthy()
    };
    check(facts, "87 DeletedRows-6 EqualityDeletes-6 SmallFiles-1");
    let facts =
        TableFacts { metadata_bytes: 5 << 20, snapshots: 550, equality_delete_files: 40, ..healthy() };
    check(facts, "83 EqualityDeletes-8 Snapshots-5 Metadata-4");
}

#[test]
fn a_deduction_says_why() {
    let health = TableHealth::of(&TableFacts { small_files: 120, small_files_merged: 4, ..healthy() });
    assert_eq!(
        health.deductions[0].reason,
        "120 of 200 data files are small; a rewrite would save 116 of them (the average file has 524288 KiB)"
    );
    let told = serde_json::to_value(&health).unwrap();
    assert_eq!(told["deductions"][0]["fault"], "small-files");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_facts_points_add_up(numbers in prop::collection::vec(prop_oneof![0..2000_u64, any::<u64>()], 11)) {
        let names = [
            "files", "bytes", "rows", "small-files", "small-files-merged", "deleted-rows", "equality-delete-files",
            "manifests", "manifest-bytes", "snapshots", "metadata-bytes",
        ];
        let facts: serde_json::Map<_, _> =
            names.iter().zip(&numbers).map(|(name, number)| ((*name).to_owned(), (*number).into())).collect();
        let health = TableHealth::of(&serde_json::from_value(facts.into()).unwrap());
        let lost: u32 = health.deductions.iter().map(|deduction| deduction.points).sum();
        prop_assert_eq!(health.score, 100_u32.saturating_sub(lost));
        for deduction in &health.deductions {
            prop_assert!(deduction.points > 0 && deduction.points <= deduction.fault.points_max());
        }
    }
}
