//! Planning compaction: what is grouped, what is left, and that it comes to an end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rewrite_common;

use proptest::prelude::*;
use rewrite_common::{files, live, partition, table};
use serde_json::json;
use table_core::rewrite::compact::{PlannedTable, Planner};
use table_core::rewrite::live::{LiveFile, LiveFiles, partition_from_json, partition_to_json};
use table_core::rewrite::options::CompactOptions;
use table_core::rewrite::plan::{CompactionPlan, Group, Reason, SkipReason};
use table_core::rewrite::size_classes::SizeClasses;

/// Files below 75 are too small, above 180 too large, and a group writes 1000 at most.
fn policy() -> CompactOptions {
    CompactOptions {
        target_file_size_bytes: Some(100),
        max_file_group_size_bytes: 1000,
        ..CompactOptions::default()
    }
}

fn plan(live: &LiveFiles, policy: &CompactOptions) -> CompactionPlan {
    Planner::new(live, &table(), policy).unwrap().plan()
}

fn shown(plan: &CompactionPlan) -> String {
    let groups = plan.groups.iter().map(|group| {
        let paths: Vec<_> = group.inputs.iter().map(|input| input.path.as_str()).collect();
        format!("{} > {}", paths.join(" "), group.outputs)
    });
    groups.collect::<Vec<_>>().join(", ")
}

/// Groups of files, `> ` and into how many they are written.
#[track_caller]
fn check(files: &str, expected: &str) {
    assert_eq!(shown(&plan(&live(files), &policy())), expected, "{files}");
}

/// Why all of the files are left.
#[track_caller]
fn check_left(files: &str, expected: &[(SkipReason, i64)]) {
    let plan = plan(&live(files), &policy());
    assert_eq!(shown(&plan), "", "{files}");
    assert_eq!(plan.skipped.iter().map(|(why, tally)| (*why, tally.files)).collect::<Vec<_>>(), expected);
}

#[test]
fn small_neighbours_are_written_together() {
    check("p/a:20 p/b:20 p/c:20 p/d:20 p/e:20", "p/a p/b p/c p/d p/e > 1");
    check("p/a:20 q/x:20 p/b:20 q/y:20 p/c:20 p/d:20 p/e:20", "p/a p/b p/c p/d p/e > 1");
    check("p/a:70 p/b:70 p/c:70 p/d:70", "p/a p/b p/c p/d > 3");
}

#[test]
fn a_few_small_files_are_left_until_they_make_up_a_whole_one() {
    check_left("p/a:20 p/b:20 p/c:20 p/d:20", &[(SkipReason::BelowMinimum, 4)]);
    check_left("p/a:50 p/b:50", &[(SkipReason::BelowMinimum, 2)]);
    check("p/a:50 p/b:51", "p/a p/b > 1");
    check_left("p/a:20 q/b:20 r/c:20 s/d:20 t/e:20 u/f:20", &[(SkipReason::Single, 6)]);
}

#[test]
fn files_of_the_right_size_are_left() {
    check_left("p/a:75 p/b:180 p/c:100 p/d:100 p/e:100 p/f:100", &[(SkipReason::WellSized, 6)]);
}

#[test]
fn large_files_are_divided_only_together_with_others() {
    check_left("p/a:500", &[(SkipReason::Single, 1)]);
    check("p/a:200 p/b:200", "p/a p/b > 4");
    check("p/a:190 p/b:10", "p/a p/b > 2");
}

#[test]
fn a_file_with_many_deletes_is_rewritten_alone() {
    check("p/a:100-30", "p/a > 1");
    check_left("p/a:100-29", &[(SkipReason::WellSized, 1)]);
    check("p/a:500-30", "p/a > 3");
    // Others that are worth a rewrite go with it.
    check("p/a:100-30 p/b:10 p/c:100", "p/a p/b > 1");
}

#[test]
fn a_file_without_rows_leaves_nothing() {
    check("p/a:100-100", "p/a > 0");
    check("p/a:100-100 p/b:30-100 p/c:20-50", "p/a p/b p/c > 1");
}

#[test]
fn deletes_that_may_be_for_other_files_do_not_count() {
    check_left("p/a:100~90", &[(SkipReason::WellSized, 1)]);
}

#[test]
fn what_cannot_or_must_not_be_rewritten_is_left() {
    let several = |name: &str| {
        let files: Vec<_> = (0..6).map(|number| format!("{name}{number}:10")).collect();
        files.join(" ")
    };
    check_left(&several("hot/a"), &[(SkipReason::ActivePartition, 6)]);
    check_left(&several("p/orc-"), &[(SkipReason::Format, 6)]);
    check_left(&several("p/encrypted-"), &[(SkipReason::Encrypted, 6)]);
}

#[test]
fn the_others_are_rewritten_without_a_file_that_cannot_be_read() {
    let files = live("p/a:20 p/b:20 p/c:20 p/d:20 p/e:20 p/f:20");
    let table = PlannedTable { unreadable: ["p/b".to_owned()].into(), ..table() };
    let plan = Planner::new(&files, &table, &policy()).unwrap().plan();
    assert_eq!(shown(&plan), "p/a p/c p/d p/e p/f > 1");
    assert_eq!(plan.skipped[&SkipReason::Unreadable].files, 1);
}

#[test]
fn files_of_older_specs_are_written_to_the_current_one() {
    let files = live("old1/a:30 old2/b:30 old1/c:30 old2/d:30 p/x:30");
    let plan = plan(&files, &policy());
    assert_eq!(shown(&plan), "old1/a old2/b old1/c old2/d > 1");
    let group = &plan.groups[0];
    assert_eq!((&group.partition, group.keeps_order, plan.output_spec_id), (&None, false, 1));
    assert_eq!((group.inputs[0].spec_id, &group.inputs[0].partition), (0, &vec![json!("old1")]));
    // One of the right size stays where it is.
    check_left("old1/a:100 old1/b:100", &[(SkipReason::WellSized, 2)]);
}

#[test]
fn a_file_is_read_as_often_as_it_is_listed() {
    check("p/a:20 p/b:20 p/a:20 p/c:20 p/d:20", "p/a p/a p/b p/c p/d > 1");
    check_left("p/a:20 p/a:20", &[(SkipReason::BelowMinimum, 2)]);
    check_left("p/a:100 p/a:100", &[(SkipReason::WellSized, 2)]);
    // Deletes of one entry alone are reason enough.
    let plan = plan(&live("p/a:100 p/a:100-30"), &policy());
    assert_eq!(shown(&plan), "p/a p/a > 2");
    let deletes: Vec<_> = plan.groups[0].inputs.iter().map(|input| input.deletes.len()).collect();
    assert_eq!(deletes, [0, 1]);
    // Bins are not filled beyond their limit by what cannot be divided.
    let files: Vec<_> = (0..20).map(|number| format!("p/{number:02}:70 p/{number:02}:70")).collect();
    let groups = plan_of(&files.join(" ")).groups;
    let mut inputs: Vec<_> = groups.iter().map(|group| group.inputs.len()).collect();
    inputs.sort_unstable();
    assert_eq!(inputs, [12, 14, 14]);
}

fn plan_of(files: &str) -> CompactionPlan {
    plan(&live(files), &policy())
}

#[test]
fn entries_of_a_file_go_one_way() {
    let with = |change: &dyn Fn(&mut LiveFile)| {
        let mut files = live("p/a:20 p/a:20 p/b:20 p/c:20 p/d:20 p/e:20 p/f:20");
        change(&mut files.files[1]);
        plan(&files, &policy())
    };
    // Where one is of another spec, all rows go wherever they belong to.
    let plan = with(&|file| file.spec_id = 0);
    assert_eq!(shown(&plan), "p/b p/c p/d p/e p/f > 1");
    assert_eq!(plan.skipped[&SkipReason::BelowMinimum].files, 2);
    // One is in a partition that is being changed.
    let plan = with(&|file| (file.spec_id, file.partition) = (1, partition("hot")));
    assert_eq!(
        (shown(&plan).as_str(), plan.skipped[&SkipReason::Contradictory].files),
        ("p/b p/c p/d p/e p/f > 1", 2)
    );
    let plan = with(&|file| file.is_encrypted = true);
    assert_eq!(
        (shown(&plan).as_str(), plan.skipped[&SkipReason::Encrypted].files),
        ("p/b p/c p/d p/e p/f > 1", 2)
    );
}

#[test]
fn groups_are_as_large_as_the_policy_allows() {
    let files: Vec<_> = (0..25).map(|number| format!("p/{number:02}:70")).collect();
    let plan = plan(&live(&files.join(" ")), &policy());
    let sizes = plan.groups.iter().map(|group| (group.inputs.len(), group.outputs)).collect::<Vec<_>>();
    assert_eq!(sizes, [(14, 10), (11, 8)]);
    assert_eq!(plan.groups[0].split_bytes, 98);
    // Neighbours are together.
    assert_eq!(plan.groups[1].inputs[0].path, "p/14");
}

#[test]
fn a_giant_does_not_come_between_others() {
    check("p/a:20 p/b:900 p/c:20 p/d:20 p/e:20 p/f:20", "p/a p/c p/d p/e p/f > 1");
    check("p/b:900-30 p/a:20", "p/b > 6");
}

#[test]
fn what_saves_most_for_its_cost_comes_first() {
    let few = "p/a:60 p/b:60";
    let many = "q/a:5 q/b:5 q/c:5 q/d:5 q/e:5";
    check(&format!("{few} {many}"), "q/a q/b q/c q/d q/e > 1, p/a p/b > 1");
    check(&format!("{few} r/c:120-99"), "r/c > 1, p/a p/b > 1");
}

#[test]
fn groups_tell_their_numbers() {
    let group = plan(&live("p/a:60-50 p/b:60-50 p/c:80"), &policy()).groups.remove(0);
    assert_eq!((group.input_bytes, group.output_bytes, group.outputs, group.split_bytes), (120, 60, 1, 60));
    // Two files and two vectors are opened, instead of one file.
    assert_eq!(group.benefit_bytes, 3 * (4 << 20) + 60);
    assert_eq!(group.cost_bytes, 120 + 60 + 2 * 40);
    assert_eq!(group.inputs[0].reason, Reason::Deletes { deleted_rows: 50, limit_ratio: 0.3 });
    assert_eq!(group.inputs[1].deletes, [1]);
    assert_eq!(group.deletes[1].data_file.as_deref(), Some("p/b"));
    assert_eq!((group.keeps_order, group.may_splice, group.partition), (true, false, Some(vec![json!("p")])));
}

#[test]
fn row_groups_may_be_copied_where_nothing_changes_in_them() {
    let splices = |change: &dyn Fn(&mut Vec<LiveFile>)| {
        let mut files = live("p/a:30 p/b:30 p/c:30");
        for file in &mut files.files {
            file.size_bytes <<= 20;
        }
        change(&mut files.files);
        let policy = CompactOptions { target_file_size_bytes: Some(80 << 20), ..CompactOptions::default() };
        plan(&files, &policy).groups[0].may_splice
    };
    assert!(splices(&|_| ()));
    assert!(!splices(&|files| files[0].row_groups = 0));
    assert!(!splices(&|files| files[0].row_groups = 20));
    assert!(!splices(&|files| files.iter_mut().for_each(|file| file.spec_id = 0)));
}

#[test]
fn a_small_table_has_smaller_files() {
    let target = |bytes: i64| CompactOptions::default().size_classes(bytes).unwrap().target_bytes();
    assert_eq!(target((10 << 30) - 1), 128 << 20);
    assert_eq!(target(10 << 30), 512 << 20);
    assert_eq!(policy().size_classes(0).unwrap().target_bytes(), 100);
}

#[test]
fn a_table_that_shrinks_is_not_divided_again() {
    let large = CompactOptions::default().size_classes(10 << 30).unwrap();
    let small = CompactOptions::default().size_classes(1).unwrap();
    assert_eq!(large.large_bytes(), small.large_bytes());
}

#[test]
fn policies_that_would_never_end_are_refused() {
    let refuse = |policy: CompactOptions, part: &str| {
        let message = policy.size_classes(0).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refuse(CompactOptions { small_ratio: 0.0, ..policy() }, "`small-ratio`");
    refuse(CompactOptions { small_ratio: 1.1, ..policy() }, "`small-ratio`");
    refuse(CompactOptions { small_ratio: 0.95, ..policy() }, "`large-ratio`");
    refuse(CompactOptions { small_ratio: 0.1, large_ratio: 0.9, ..policy() }, "`large-ratio`");
    refuse(CompactOptions { small_ratio: f64::NAN, ..policy() }, "`small-ratio`");
    refuse(CompactOptions { delete_ratio: 0.0, ..policy() }, "`delete-ratio`");
    refuse(CompactOptions { target_file_size_bytes: Some(-5), ..policy() }, "`small-ratio`");
    refuse(CompactOptions { max_file_group_size_bytes: 199, ..policy() }, "`group-bytes-max`");
}

#[test]
fn a_plan_travels_as_json() {
    let plan = plan(&live("p/a:20-50 p/b:20 p/c:100 old1/a:60 old1/b:60"), &policy());
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<CompactionPlan>(&text).unwrap(), plan);
    let told = serde_json::to_value(&plan).unwrap();
    assert_eq!(told["size-classes"], json!({"target-bytes": 100, "small-bytes": 75, "large-bytes": 180}));
    assert_eq!(told["skipped"], json!({"well-sized": {"files": 1, "bytes": 100}}));
    let with_deletes =
        told["groups"].as_array().unwrap().iter().find(|group| group["deletes"] != json!([])).unwrap();
    assert_eq!(
        with_deletes["inputs"][0]["reason"],
        json!({"type": "deletes", "deleted-rows": 50, "limit-ratio": 0.3})
    );
    assert_eq!(with_deletes["deletes"][0]["content"], "position-deletes");
    // Sizes that would divide by nothing are refused.
    let mut told = told;
    told["size-classes"]["large-bytes"] = json!(0);
    assert!(serde_json::from_value::<CompactionPlan>(told).is_err());
    let policy = CompactOptions { delete_ratio: 0.5, ..CompactOptions::default() };
    assert_eq!(serde_json::from_str::<CompactOptions>(r#"{"delete-ratio":0.5}"#).unwrap(), policy);
    assert!(serde_json::from_str::<CompactOptions>(r#"{"delete-raito":0.5}"#).is_err());
}

#[test]
fn partitions_come_back_from_json() {
    use table_core::expr::value::Value;
    use table_core::metadata::types::Primitive;
    let tuple = vec![Some(Value::Date(5)), None, Some(Value::String("x".to_owned()))];
    let types = [Primitive::Date, Primitive::Int, Primitive::String].map(|kind| (1000, Some(kind))).to_vec();
    let told = partition_to_json(&tuple);
    assert_eq!(told, [json!("1970-01-06"), json!(null), json!("x")]);
    assert_eq!(partition_from_json(&told, &types), Some(tuple));
    assert_eq!(partition_from_json(&told[1..], &types), None);
    assert_eq!(partition_from_json(&[json!("x")], &vec![(1000, None)]), None);
}

// --- It comes to an end -----------------------------------------------------

/// The table after a group was rewritten, into files of these sizes.
fn commit(live: &mut LiveFiles, group: &Group, round: usize, sizes: impl IntoIterator<Item = i64>) {
    let inputs: Vec<_> = group.inputs.iter().map(|input| input.path.as_str()).collect();
    let rows: i64 = live
        .files
        .iter()
        .filter(|file| inputs.contains(&file.path.as_str()))
        .map(|file| file.record_count)
        .sum();
    live.files.retain(|file| !inputs.contains(&file.path.as_str()));
    for (number, size_bytes) in sizes.into_iter().enumerate() {
        let into = group.partition.as_ref().map_or("from-old", |partition| partition[0].as_str().unwrap());
        live.files.push(LiveFile {
            size_bytes,
            record_count: rows.max(1),
            ..files(&format!("{into}/{round}-{}-{number}:1", inputs[0].replace('/', "-"))).files.remove(0)
        });
    }
}

/// What a writer makes of a group that comes to so many bytes: it fills one file after the other.
fn filled(mut bytes: i64, group: &Group) -> Vec<i64> {
    let mut sizes = Vec::new();
    while bytes > 0 && group.outputs > 0 {
        sizes.push(bytes.min(group.split_bytes.max(1)));
        bytes -= sizes[sizes.len() - 1];
    }
    if sizes.is_empty() && group.outputs > 0 {
        sizes.push(0);
    }
    sizes
}

/// Files of some partitions, one of them of an older spec; some with deletes.
fn any_files() -> impl Strategy<Value = String> {
    let size = prop_oneof![0..80_i64, 0..300_i64, 0..6000_i64];
    let file = (
        prop::sample::select(vec!["p", "q", "old1", "old2", "hot"]),
        size,
        prop::option::weighted(0.2, 0..=100_i64),
    );
    prop::collection::vec(file, 0..60).prop_map(|files| {
        let files = files.into_iter().enumerate().map(|(number, (partition, size, deleted))| {
            let deleted = deleted.map_or(String::new(), |rows| format!("-{rows}"));
            format!("{partition}/{number}:{size}{deleted}")
        });
        files.collect::<Vec<_>>().join(" ")
    })
}

fn any_policy() -> impl Strategy<Value = CompactOptions> {
    (1..=100_i32, 0..300_i32, 1..8_usize, 200..6000_i64, 1..=10_i32).prop_map(
        |(small, wider, min_input_files, max_file_group_size_bytes, delete)| CompactOptions {
            target_file_size_bytes: Some(100),
            small_ratio: f64::from(small) / 100.0,
            large_ratio: f64::from((2 * small).max(100) + wider) / 100.0,
            delete_ratio: f64::from(delete) / 10.0,
            min_input_files,
            max_file_group_size_bytes,
            ..CompactOptions::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_plan(files in any_files(), policy in any_policy()) {
        let mut live = live(&files);
        let first = plan(&live, &policy);
        for group in &first.groups {
            let parts = group.outputs;
            let even = (0..parts).map(|part| group.output_bytes / parts + i64::from(part < group.output_bytes % parts));
            commit(&mut live, group, 0, even);
        }
        let second = plan(&live, &policy);
        prop_assert!(second.groups.is_empty(), "{} and then {}", shown(&first), shown(&second));
    }

    /// Outputs are never quite as large as expected, so there may be a next time; but not for ever.
    #[test]
    fn it_comes_to_an_end_whatever_is_written(
        files in any_files(), policy in any_policy(), factors in prop::collection::vec(20..130_i64, 20),
    ) {
        let mut live = live(&files);
        for (round, factor) in factors.iter().enumerate() {
            let next = plan(&live, &policy);
            if next.groups.is_empty() {
                return Ok(());
            }
            for (number, group) in next.groups.iter().enumerate() {
                let bytes = group.output_bytes * (factor + i64::try_from(number).unwrap() % 7) / 100;
                commit(&mut live, group, round, filled(bytes, group));
            }
        }
        prop_assert!(false, "still {}", shown(&plan(&live, &policy)));
    }

    #[test]
    fn every_file_is_planned_once_or_left(files in any_files(), policy in any_policy()) {
        let live = live(&files);
        let plan = plan(&live, &policy);
        let mut paths: Vec<_> = plan.groups.iter().flat_map(|group| &group.inputs).map(|input| &input.path).collect();
        let planned = paths.len();
        paths.sort();
        paths.dedup();
        prop_assert_eq!(paths.len(), planned);
        let left: i64 = plan.skipped.values().map(|tally| tally.files).sum();
        prop_assert_eq!(planned + usize::try_from(left).unwrap(), live.files.len());
        for group in &plan.groups {
            let places: Vec<_> = group
                .inputs
                .iter()
                .map(|input| live.files.iter().position(|file| file.path == input.path).unwrap())
                .collect();
            prop_assert!(places.is_sorted(), "rows keep their order");
            let has_deletes = matches!(group.inputs[0].reason, Reason::Deletes { .. });
            prop_assert!(group.inputs.len() > 1 || has_deletes);
            prop_assert!(group.output_bytes <= policy.max_file_group_size_bytes || group.inputs.len() == 1);
            for input in &group.inputs {
                let file = live.files.iter().find(|file| file.path == input.path).unwrap();
                prop_assert_eq!(group.partition.is_some(), file.spec_id == 1);
                if let Some(partition) = &group.partition {
                    prop_assert_eq!(partition, &input.partition);
                }
                let told: Vec<_> = input.deletes.iter().map(|number| &group.deletes[*number].path).collect();
                let known: Vec<_> = file.deletes.iter().map(|number| &live.deletes[*number].path).collect();
                prop_assert_eq!(told, known);
            }
        }
        let text = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<CompactionPlan>(&text).unwrap(), plan);
    }

    #[test]
    fn a_file_that_is_listed_several_times_is_planned_as_a_whole(
        files in any_files(),
        again in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize), 0..10),
        policy in any_policy(),
    ) {
        let mut live = live(&files);
        for (which, partition_of) in again {
            if live.files.is_empty() {
                break;
            }
            let mut entry = which.get(&live.files).clone();
            match partition_of {
                0 => entry.partition = partition("elsewhere"),
                1 => entry.spec_id = 1 - entry.spec_id,
                2 => entry.deletes.clear(),
                _ => {}
            }
            live.files.push(entry);
        }
        let first = plan(&live, &policy);
        let count = |path: &str| live.files.iter().filter(|file| file.path == path).count();
        let mut planned = 0;
        for group in &first.groups {
            planned += group.inputs.len();
            for input in &group.inputs {
                let read = group.inputs.iter().filter(|other| other.path == input.path).count();
                prop_assert_eq!(read, count(&input.path), "{}", &input.path);
                let stays = |file: &LiveFile| Some(partition_to_json(&file.partition)) == group.partition && file.spec_id == 1;
                let mut entries = live.files.iter().filter(|file| file.path == input.path);
                prop_assert!(group.partition.is_none() || entries.all(stays));
            }
        }
        let left: i64 = first.skipped.values().map(|tally| tally.files).sum();
        prop_assert_eq!(planned + usize::try_from(left).unwrap(), live.files.len());
        for group in &first.groups {
            let parts = group.outputs;
            let even = (0..parts).map(|part| group.output_bytes / parts + i64::from(part < group.output_bytes % parts));
            commit(&mut live, group, 0, even);
        }
        let second = plan(&live, &policy);
        prop_assert!(second.groups.is_empty(), "{} and then {}", shown(&first), shown(&second));
    }

    #[test]
    fn parts_are_of_the_right_size(
        bytes in prop_oneof![0..1000_i64, any::<i64>()], target in 1..500_i64, small in 1..500_i64, wider in 0..500_i64,
    ) {
        let small = small.min(target);
        let sizes = SizeClasses::new(target, small, (2 * small).max(target) + wider).unwrap();
        let parts = sizes.parts(bytes);
        prop_assert_eq!(parts == 0, bytes <= 0);
        if parts > 0 {
            prop_assert!(bytes / parts + i64::from(bytes % parts != 0) <= sizes.large_bytes(), "{parts}");
            prop_assert!(bytes / parts >= small.min(bytes), "{parts}");
        }
    }
}
