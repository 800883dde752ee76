//! Which manifests are rewritten.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::rewrite::manifests::{ManifestGroup, ManifestPolicy, plan};

const KB: i64 = 1 << 10;

/// A manifest below 75 KB is too small, above about 180 KB too large.
fn policy() -> ManifestPolicy {
    ManifestPolicy { target_size_bytes: 100 * KB, min_count_to_merge: 5 }
}

/// Manifests such as `a:40` in kilobytes; `/1` behind it is its spec, and `d` that it is of delete files.
fn manifests(text: &str) -> Vec<ManifestFile> {
    let manifests = text.split_whitespace().map(|word| {
        let (path, rest) = word.split_once(':').unwrap();
        let digits = rest.trim_end_matches('d');
        let (size, spec_id) = digits.split_once('/').unwrap_or((digits, "0"));
        let content = if rest.ends_with('d') { ManifestContent::Deletes } else { ManifestContent::Data };
        ManifestFile {
            length_bytes: size.parse::<i64>().unwrap() * KB,
            content,
            added_files: Some(7),
            existing_files: Some(3),
            ..ManifestFile::embedded(path.to_owned(), spec_id.parse().unwrap(), 1)
        }
    });
    manifests.collect()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let shown: Vec<_> = plan(&manifests(text), &policy())
        .iter()
        .map(|group| format!("{} > {}", group.paths.join(" "), group.outputs))
        .collect();
    assert_eq!(shown.join(", "), expected, "{text}");
}

#[test]
fn small_manifests_are_merged_once_they_are_many_or_make_up_a_whole_one() {
    check("a:1 b:1 c:1 d:1", "");
    check("a:1 b:1 c:1 d:1 e:1", "a b c d e > 1");
    check("a:60 b:60", "a b > 1");
    check("a:50 b:50", "");
    check("a:70 b:70 c:70 d:70 e:70 f:70", "a b c d e f > 4");
}

#[test]
fn manifests_of_the_right_size_are_left() {
    check("a:100 b:75 c:179 d:100 e:100 f:100 g:1", "");
    check("a:1000", "");
    check("a:1000 b:1", "a b > 10");
}

#[test]
fn specs_and_contents_are_kept_apart() {
    check("a:60 b:60/1 c:60d d:60/1d", "");
    check("a:60/1 b:60 c:60/1d d:60d e:60/1 f:60 g:60/1d h:60d", "b f > 1, d h > 1, a e > 1, c g > 1");
}

#[test]
fn a_group_tells_how_many_entries_go_where() {
    let groups = plan(&manifests("a:100 b:70 c:70 d:70"), &policy());
    let expected = ManifestGroup {
        spec_id: 0,
        is_of_deletes: false,
        paths: ["b", "c", "d"].map(str::to_owned).to_vec(),
        input_bytes: 210 * KB,
        outputs: 2,
        entries_per_output: Some(15),
    };
    assert_eq!(groups, [expected]);
    let mut unknown = manifests("a:60 b:60");
    unknown[1].existing_files = None;
    assert_eq!(plan(&unknown, &policy())[0].entries_per_output, None);
    let told = serde_json::to_string(&groups).unwrap();
    assert_eq!(serde_json::from_str::<Vec<ManifestGroup>>(&told).unwrap(), groups);
}

#[test]
fn the_defaults_are_those_of_the_table_properties() {
    let policy: ManifestPolicy = serde_json::from_str("{}").unwrap();
    assert_eq!((policy.target_size_bytes, policy.min_count_to_merge), (8 << 20, 100));
    assert!(plan(&manifests(""), &policy).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_plan(
        sizes in prop::collection::vec((prop_oneof![0..80_i64, 0..400_i64], 0..2_i32), 0..60),
        min_count_to_merge in 0..20_usize, target_size_bytes in any::<i64>(),
    ) {
        let target_size_bytes = if target_size_bytes % 2 == 0 { 100 * KB } else { target_size_bytes };
        let policy = ManifestPolicy { target_size_bytes, min_count_to_merge };
        let words = sizes.iter().enumerate().map(|(number, (size, spec))| format!("{number}:{size}/{spec}"));
        let mut manifests = manifests(&words.collect::<Vec<_>>().join(" "));
        for group in plan(&manifests, &policy) {
            let before: i64 = manifests.iter().map(|manifest| manifest.length_bytes).sum();
            manifests.retain(|manifest| !group.paths.contains(&manifest.path));
            let kept: i64 = manifests.iter().map(|manifest| manifest.length_bytes).sum();
            prop_assert_eq!(before - kept, group.input_bytes);
            for number in 0..group.outputs {
                manifests.push(ManifestFile {
                    length_bytes: group.input_bytes / group.outputs,
                    ..ManifestFile::embedded(format!("new {number} {}", group.spec_id), group.spec_id, 2)
                });
            }
        }
        prop_assert_eq!(plan(&manifests, &policy), []);
    }
}
