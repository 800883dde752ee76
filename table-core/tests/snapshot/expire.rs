//! Which snapshots and references are due.

use serde_json::{Value as Json, json};
use table_core::commit::apply;
use table_core::commit::requirement::check_requirements;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::age::{AgeSource, LastUse};
use table_core::snapshot::error::SnapshotError;
use table_core::snapshot::expire::{ExpirySettings, plan};

const NOW_MS: i64 = 1_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A table whose snapshots are `id<parent@days`, days being their age, and whose references are `name=id`
/// with retention.
fn table(snapshots: &str, refs: &Json, properties: &Json) -> TableMetadata {
    let snapshots: Vec<_> = snapshots
        .split_whitespace()
        .enumerate()
        .map(|(number, word)| {
            let (ids, days) = word.split_once('@').unwrap();
            let (id, parent) = ids.split_once('<').unwrap_or((ids, ""));
            let made_ms = NOW_MS - days.parse::<i64>().unwrap() * DAY_MS;
            json!({
                "snapshot-id": id.parse::<i64>().unwrap(), "parent-snapshot-id": parent.parse::<i64>().ok(),
                "sequence-number": number + 1, "timestamp-ms": made_ms, "manifest-list": format!("l{id}"),
                "summary": {"operation": "append"},
            })
        })
        .collect();
    let schema = json!({"type": "struct", "schema-id": 0, "fields": []});
    let document = json!({
        "format-version": 2, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2", "location": "file:///t",
        "last-sequence-number": 99_999, "last-updated-ms": 9, "last-column-id": 0, "current-schema-id": 0,
        "schemas": [schema], "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
        "last-partition-id": 999, "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
        "properties": properties, "snapshots": snapshots, "refs": refs,
        "current-snapshot-id": refs["main"]["snapshot-id"],
    });
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

fn branch(id: i64) -> Json {
    json!({"snapshot-id": id, "type": "branch"})
}

fn tag(id: i64) -> Json {
    json!({"snapshot-id": id, "type": "tag"})
}

fn with(mut reference: Json, name: &str, value: i64) -> Json {
    reference[name] = value.into();
    reference
}

/// What is due, snapshots before references; committing it leaves the others.
fn due(metadata: &TableMetadata, policy: &ExpirySettings) -> String {
    let Some(expiry) = plan(metadata, NOW_MS, policy).unwrap() else { return String::new() };
    check_requirements(Some(metadata), &expiry.commit.requirements).unwrap();
    let after = apply(metadata, "m", &expiry.commit.updates, NOW_MS).unwrap().metadata;
    let left: Vec<_> = after.snapshots().iter().map(table_core::metadata::snapshot::Snapshot::id).collect();
    let all = metadata.snapshots().iter().map(table_core::metadata::snapshot::Snapshot::id);
    let expected: Vec<_> = all.filter(|id| !expiry.snapshot_ids.contains(id)).collect();
    assert_eq!(left, expected);
    assert_eq!(after.refs().len() + expiry.references.len(), metadata.refs().len());
    assert_eq!(after.current_snapshot_id(), metadata.current_snapshot_id());
    let ids = expiry.snapshot_ids.iter().map(i64::to_string);
    ids.chain(expiry.references).collect::<Vec<_>>().join(" ")
}

fn check(snapshots: &str, refs: &Json, policy: &ExpirySettings, expected: &str) {
    assert_eq!(due(&table(snapshots, refs, &json!({})), policy), expected, "{snapshots} {refs}");
}

fn default() -> ExpirySettings {
    ExpirySettings::default()
}

#[test]
fn snapshots_older_than_five_days_are_due() {
    check("1@9 2<1@6 3<2@5 4<3@1", &json!({"main": branch(4)}), &default(), "1 2");
    check("1@5 2<1@1", &json!({"main": branch(2)}), &default(), "");
}

#[test]
fn the_head_is_never_due() {
    check("1@90 2<1@80", &json!({"main": branch(2)}), &default(), "1");
    let none = ExpirySettings { retain_last: Some(0), ..default() };
    check("1@90 2<1@80", &json!({"main": branch(2)}), &none, "1");
}

#[test]
fn as_many_as_the_property_says_are_kept() {
    let properties = json!({
        "history.expire.min-snapshots-to-keep": "3", "history.expire.max-snapshot-age-ms": DAY_MS.to_string(),
    });
    let metadata = table("1@9 2<1@8 3<2@7 4<3@6", &json!({"main": branch(4)}), &properties);
    assert_eq!(due(&metadata, &default()), "1");
    assert_eq!(due(&metadata, &ExpirySettings { retain_last: Some(1), ..default() }), "1 2 3");
    let old = ExpirySettings { older_than_ms: Some(NOW_MS - 8 * DAY_MS), retain_last: Some(1), ..default() };
    assert_eq!(due(&metadata, &old), "1");
}

#[test]
fn a_branch_ends_at_its_first_snapshot_that_is_due() {
    // The second was made with a slow clock: what is behind it is due, however young.
    check("1@1 2<1@9 3<2@1", &json!({"main": branch(3)}), &default(), "1 2");
}

#[test]
fn branches_have_their_own_settings() {
    let keep = with(branch(3), "min-snapshots-to-keep", 2);
    check("1@90 2<1@80 3<2@70", &json!({"main": keep}), &default(), "1");
    let young = with(branch(3), "max-snapshot-age-ms", 85 * DAY_MS);
    check("1@90 2<1@80 3<2@70", &json!({"main": young}), &default(), "1");
    let both = json!({"main": branch(3), "audit": with(branch(2), "min-snapshots-to-keep", 2)});
    check("1@90 2<1@80 3<2@70", &both, &default(), "");
}

#[test]
fn references_are_due_by_the_age_of_their_snapshot() {
    let refs = json!({
        "main": branch(4),
        "old-tag": with(tag(1), "max-ref-age-ms", 5 * DAY_MS),
        "old-branch": with(branch(2), "max-ref-age-ms", 5 * DAY_MS),
        "tag": with(tag(3), "max-ref-age-ms", 50 * DAY_MS),
    });
    check("1@9 2<1@8 3<2@7 4<3@1", &refs, &default(), "1 2 old-tag old-branch");
}

#[test]
fn main_is_never_due() {
    let main = with(branch(1), "max-ref-age-ms", DAY_MS);
    check("1@9", &json!({"main": main}), &default(), "");
}

#[test]
fn references_are_kept_for_ever_unless_a_property_says_otherwise() {
    let refs = json!({"main": branch(2), "tag": tag(1)});
    check("1@900 2<1@1", &refs, &default(), "");
    let properties = json!({"history.expire.max-ref-age-ms": (5 * DAY_MS).to_string()});
    assert_eq!(due(&table("1@900 2<1@1", &refs, &properties), &default()), "1 tag");
}

#[test]
fn the_age_of_references_can_be_said_in_place_of_the_property() {
    let refs = json!({
        "main": branch(3), "tag": tag(1), "branch": branch(2), "kept": with(tag(1), "max-ref-age-ms", 999 * DAY_MS),
    });
    let young = ExpirySettings { ref_age_ms: Some(5 * DAY_MS), ..default() };
    check("1@9 2<1@8 3<2@1", &refs, &young, "2 tag branch");
    let never = ExpirySettings { ref_age_ms: Some(i64::MAX), ..default() };
    let properties = json!({"history.expire.max-ref-age-ms": (5 * DAY_MS).to_string()});
    assert_eq!(due(&table("1@9 2<1@8 3<2@1", &refs, &properties), &never), "");
}

#[test]
fn a_tag_keeps_its_snapshot_and_not_the_ancestors() {
    check("1@9 2<1@8 3<2@1", &json!({"main": branch(3), "tag": tag(2)}), &default(), "1");
}

#[test]
fn snapshots_that_no_reference_leads_to_are_due_by_age() {
    // 3 and 4 were staged or rolled back.
    check("1@9 2<1@1 3<1@9 4<1@1", &json!({"main": branch(2)}), &default(), "1 3");
}

#[test]
fn ancestors_of_a_branch_that_are_too_old_for_it_are_due_even_if_young_for_the_table() {
    let main = with(branch(2), "max-snapshot-age-ms", DAY_MS);
    check("1@3 2<1@1", &json!({"main": main}), &default(), "1");
}

#[test]
fn a_snapshot_asked_for_is_due_whatever_its_age() {
    let ask = |id: i64| ExpirySettings { snapshot_ids: vec![id], ..default() };
    let refs = json!({"main": branch(3), "tag": tag(1)});
    check("1@1 2<1@1 3<2@1", &refs, &ask(2), "2");
    check("1@1 2<1@1 3<2@1", &refs, &ask(77), "");
    for named in [1, 3] {
        let error = plan(&table("1@1 2<1@1 3<2@1", &refs, &json!({})), NOW_MS, &ask(named)).unwrap_err();
        assert!(matches!(error, SnapshotError::Invalid(_)), "{error:?}");
    }
}

#[test]
fn what_a_running_job_began_from_is_kept_with_all_that_came_since() {
    let pin = |id: i64| ExpirySettings { pinned: vec![id], ..default() };
    let refs = json!({"main": branch(4)});
    check("1@9 2<1@8 3<2@7 4<3@1", &refs, &pin(2), "1");
    check("1@9 2<1@8 3<2@7 4<3@1", &refs, &pin(77), "1 2 3");
    check("1@9 2<1@8 3<1@9 4<2@1", &refs, &pin(3), "1 2");
    let asked = ExpirySettings { snapshot_ids: vec![2], ..pin(2) };
    check("1@9 2<1@8 3<2@7 4<3@1", &refs, &asked, "1");
}

#[test]
fn a_table_that_shares_its_files_does_not_expire() {
    let metadata = table("1@9 2<1@1", &json!({"main": branch(2)}), &json!({"gc.enabled": "false"}));
    assert!(matches!(plan(&metadata, NOW_MS, &default()), Err(SnapshotError::Invalid(_))));
}

#[test]
fn the_commit_fails_if_a_branch_was_moved() {
    let snapshots = "1@9 2<1@8 3<2@1";
    let expiry = plan(&table(snapshots, &json!({"main": branch(3)}), &json!({})), NOW_MS, &default());
    let requirements = expiry.unwrap().unwrap().commit.requirements;
    let rolled_back = table(snapshots, &json!({"main": branch(1)}), &json!({}));
    assert!(check_requirements(Some(&rolled_back), &requirements).is_err());
}

/// By what the document itself tells.
fn by_document() -> ExpirySettings {
    ExpirySettings { age_source: AgeSource::Document, ..default() }
}

#[test]
fn a_snapshot_counts_from_when_it_was_replaced() {
    // The good one is ten days old and was overwritten a moment ago.
    check("1@10 2<1@0", &json!({"main": branch(2)}), &default(), "1");
    check("1@10 2<1@0", &json!({"main": branch(2)}), &by_document(), "");
    check("1@10 2<1@6 3<2@0", &json!({"main": branch(3)}), &by_document(), "1");
}

#[test]
fn the_snapshot_log_tells_of_a_rollback() {
    let rolled_back = |days: i64| {
        let mut document: Json =
            serde_json::from_slice(&table("1@10 2<1@9", &json!({"main": branch(1)}), &json!({})).to_bytes())
                .unwrap();
        let entry = |id: i64, days: i64| json!({"snapshot-id": id, "timestamp-ms": NOW_MS - days * DAY_MS});
        document["snapshot-log"] = json!([entry(1, 10), entry(2, 9), entry(1, days)]);
        TableMetadata::parse(document.to_string().as_bytes()).unwrap()
    };
    assert_eq!(due(&rolled_back(1), &by_document()), "");
    assert_eq!(due(&rolled_back(6), &by_document()), "2");
}

#[test]
fn what_the_catalog_recorded_counts_and_no_timestamp() {
    let recorded = |days: &[(i64, i64)]| {
        let snapshots = days.iter().map(|(id, days)| (*id, NOW_MS - days * DAY_MS)).collect();
        let others_ms = NOW_MS - 30 * DAY_MS;
        let last_use = LastUse { snapshots, others_ms, ..LastUse::default() };
        ExpirySettings { age_source: AgeSource::Catalog(last_use), ..default() }
    };
    let main = json!({"main": branch(3)});
    check("1@0 2<1@0 3<2@0", &main, &recorded(&[]), "1 2");
    check("1@90 2<1@90 3<2@90", &main, &recorded(&[(1, 1), (2, 0)]), "");
    check("1@90 2<1@90 3<2@90", &main, &recorded(&[(1, 9), (2, 4)]), "1");
    // The first was gone back to, and stopped being the head after the second had.
    check("1@90 2<1@90 3<2@90", &main, &recorded(&[(1, 1), (2, 9)]), "2");
    // A branch that lets go early does not let go of what everybody is promised.
    let early = json!({"main": with(branch(3), "max-snapshot-age-ms", 1)});
    check("1@90 2<1@90 3<2@90", &early, &recorded(&[(1, 9), (2, 4)]), "1 2");
    let promised = ExpirySettings { age_min_ms: 5 * DAY_MS, ..recorded(&[(1, 9), (2, 4)]) };
    check("1@90 2<1@90 3<2@90", &early, &promised, "1");
    let retained = ExpirySettings { retained: [1].into(), ..recorded(&[]) };
    check("1@0 2<1@0 3<2@0", &main, &retained, "2");
    // The head of a branch that goes is one until then.
    let leaving = json!({"main": branch(3), "b": with(branch(1), "max-ref-age-ms", 1)});
    check("1@90 2<1@90 3<2@90", &leaving, &recorded(&[]), "2 b");
}

/// Random tables, and what Java's library 1.11.0 removes from them (`RemoveSnapshots`): snapshots as in
/// [`table`], references, properties, and the snapshots and references that go. The snapshots are half a day
/// older than they say.
const JAVA: &str = include_str!("../../fixtures/snapshots/java-1.11-expire.txt");

#[test]
fn the_same_is_due_as_with_java() {
    for line in JAVA.lines() {
        let parts: Vec<_> = line.split(" | ").collect();
        let [snapshots, refs, properties, expected] = parts[..] else { panic!("four parts in {line}") };
        let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let metadata = table(snapshots, &json(refs), &json(properties));
        let expiry = plan(&metadata, NOW_MS + DAY_MS / 2, &default()).unwrap().unwrap();
        let ids = expiry.snapshot_ids.iter().map(i64::to_string);
        let mut due: Vec<_> = ids.chain(expiry.references).collect();
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        due.sort();
        expected.sort_unstable();
        assert_eq!(due, expected, "{line}");
    }
    assert_eq!(JAVA.lines().count(), 120);
}

#[test]
fn an_empty_table_has_nothing_to_expire() {
    check("", &json!({}), &default(), "");
}

#[test]
fn a_circle_of_ancestors_ends() {
    check("1<2@9 2<1@9", &json!({"main": branch(2)}), &default(), "1");
}

#[test]
fn a_long_history_is_planned_quickly() {
    use std::fmt::Write;
    let mut snapshots = "1@9".to_owned();
    for id in 2..=20_000 {
        write!(snapshots, " {id}<{}@9", id - 1).unwrap();
    }
    let refs: serde_json::Map<_, _> = (1..20)
        .map(|number| (format!("b{number}"), branch(1000 * number)))
        .chain([("main".to_owned(), branch(20_000))])
        .collect();
    let metadata = table(&snapshots, &Json::Object(refs), &json!({}));
    let expiry = plan(&metadata, NOW_MS, &default()).unwrap().unwrap();
    assert_eq!(expiry.snapshot_ids.len(), 20_000 - 20);
}
