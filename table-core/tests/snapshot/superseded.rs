//! What goes out of use with a document, and that expiry which goes by it keeps whatever a reader of the past
//! may be led to.

use std::collections::{BTreeSet, HashMap};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value as Json, json};
use table_core::commit::apply;
use table_core::commit::request::TableCommit;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::age::{AgeSource, LastUse};
use table_core::snapshot::expire::{ExpirySettings, plan};
use table_core::snapshot::superseded::Superseded;

const AGE_MS: i64 = 100;

fn document() -> TableMetadata {
    let schema = json!({"type": "struct", "schema-id": 0, "fields": []});
    let document = json!({
        "format-version": 2, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2", "location": "file:///t",
        "last-sequence-number": 0, "last-updated-ms": 0, "last-column-id": 0, "current-schema-id": 0,
        "schemas": [schema], "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
        "last-partition-id": 999, "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
        "properties": {}, "snapshots": [], "refs": {},
    });
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

fn commit(metadata: &TableMetadata, updates: &[Json], now_ms: i64) -> Option<TableMetadata> {
    let body = json!({"requirements": [], "updates": updates}).to_string();
    let commit = TableCommit::parse(body.as_bytes()).unwrap();
    apply(metadata, "m", &commit.updates, now_ms).ok().map(|applied| applied.metadata)
}

fn heads(metadata: &TableMetadata) -> BTreeSet<i64> {
    metadata.refs().iter().map(|(_, reference)| reference.snapshot_id).collect()
}

fn add(id: i64, parent: Option<i64>, made_ms: i64) -> Json {
    json!({"action": "add-snapshot", "snapshot": {
        "snapshot-id": id, "parent-snapshot-id": parent, "sequence-number": id, "timestamp-ms": made_ms,
        "manifest-list": format!("l{id}"), "summary": {"operation": "append"}, "schema-id": 0,
    }})
}

fn point(name: &str, id: i64) -> Json {
    let kind = if name.starts_with('t') { "tag" } else { "branch" };
    json!({"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": id})
}

#[test]
fn heads_that_no_reference_names_any_more_go_out_of_use() {
    let first = commit(&document(), &[add(1, None, 0), point("main", 1), point("tag", 1)], 1).unwrap();
    let second = commit(&first, &[add(2, Some(1), 0), add(3, Some(2), 0), point("main", 3)], 2).unwrap();
    let third = commit(&second, &[json!({"action": "remove-snapshot-ref", "ref-name": "tag"})], 3).unwrap();
    let between =
        |before: &TableMetadata, after: &TableMetadata| Superseded::between(before, after).snapshots;
    assert_eq!(between(&document(), &first), [0; 0]);
    assert_eq!(between(&first, &second), [2], "the tag still names 1, and 2 never was a head");
    assert_eq!(between(&second, &third), [1]);
    assert_eq!(between(&third, &commit(&third, &[point("main", 1)], 4).unwrap()), [3], "a rollback");
    let text = Superseded::between(&second, &third).to_json();
    assert_eq!(text, r#"{"snapshots":[1]}"#);
    assert_eq!(Superseded::parse(&text).unwrap(), Superseded::between(&second, &third));
    assert_eq!(Superseded::between(&third, &third).to_json(), "{}");
}

#[test]
fn former_and_unused_schemas_go_out_of_use() {
    let schema = |name: &str| json!({"type": "struct", "fields": [{"id": 1, "name": name, "required": false, "type": "int"}]});
    let add = |name: &str| json!({"action": "add-schema", "schema": schema(name)});
    let current = |id: i32| json!({"action": "set-current-schema", "schema-id": id});
    let first = document();
    let second = commit(&first, &[add("a"), add("b"), current(-1)], 1).unwrap();
    assert_eq!(Superseded::between(&first, &second).schemas, [0, 1]);
    let third = commit(&second, &[current(1)], 2).unwrap();
    assert_eq!(Superseded::between(&second, &third).schemas, [2]);
}

#[test]
fn a_table_inherits_what_was_made_before_it_was_there() {
    let updates = [add(1, None, 1_000), add(2, Some(1), 9_000_000), point("main", 2)];
    let metadata = commit(&document(), &updates, 9_000_000).unwrap();
    assert_eq!(Superseded::by_registration(&metadata).inherited, [1, 2]);
    assert_eq!(Superseded::by_creation(&metadata, 9_000_000).inherited, [1]);
}

/// A table's documents, each from when on it was the current one.
struct Past {
    documents: Vec<(i64, TableMetadata)>,
}

impl Past {
    fn current(&self) -> &TableMetadata {
        &self.documents.last().unwrap().1
    }

    /// What the catalog recorded since an instant.
    fn last_use(&self, since_ms: i64) -> LastUse {
        let mut snapshots = HashMap::new();
        for pair in self.documents.windows(2) {
            let at_ms = pair[1].0;
            if at_ms >= since_ms {
                snapshots.extend(
                    Superseded::between(&pair[0].1, &pair[1].1).snapshots.into_iter().map(|id| (id, at_ms)),
                );
            }
        }
        LastUse { snapshots, schemas: HashMap::new(), others_ms: since_ms - 1 }
    }

    /// The heads of all documents that were current at some instant since then.
    fn heads_since(&self, since_ms: i64) -> BTreeSet<i64> {
        let ends = self.documents.iter().skip(1).map(|(from_ms, _)| *from_ms).chain([i64::MAX]);
        let seen = self.documents.iter().zip(ends).filter(|(_, end_ms)| *end_ms > since_ms);
        seen.flat_map(|((_, document), _)| heads(document)).collect()
    }
}

/// A random change, or none if it cannot be made.
fn change(random: &mut StdRng, metadata: &TableMetadata, next_id: &mut i64) -> Vec<Json> {
    const NAMES: [&str; 5] = ["main", "main", "b1", "b2", "t1"];
    let name = NAMES[random.random_range(0..NAMES.len())];
    let known: Vec<i64> =
        metadata.snapshots().iter().map(table_core::metadata::snapshot::Snapshot::id).collect();
    let any = |random: &mut StdRng| known.get(random.random_range(0..known.len().max(1))).copied();
    let head = metadata.refs().get(name).map(|reference| reference.snapshot_id);
    let mut new = |parent: Option<i64>, random: &mut StdRng| {
        *next_id += 1;
        (*next_id, add(*next_id, parent, random.random_range(0..1_000)))
    };
    match random.random_range(0..8) {
        0..3 => {
            let (id, added) = new(head, random);
            vec![added, point(name, id)]
        }
        3 => vec![new(head, random).1],
        4 => any(random).map(|id| point(name, id)).into_iter().collect(),
        5 => vec![
            json!({"action": "remove-snapshot-ref", "ref-name": if name == "main" { "b1" } else { name }}),
        ],
        6 => {
            let (one, added) = new(head, random);
            let (two, more) = new(Some(one), random);
            vec![added, more, point(name, two)]
        }
        // As clients expire.
        _ => {
            let named = heads(metadata);
            let gone = any(random).filter(|id| !named.contains(id));
            gone.map(|id| json!({"action": "remove-snapshots", "snapshot-ids": [id]})).into_iter().collect()
        }
    }
}

#[test]
fn whatever_happened_no_head_of_the_promised_time_is_due() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut past = Past { documents: vec![(0, document())] };
        let (mut now_ms, mut next_id, mut expired) = (0, 0, 0);
        for _ in 0..150 {
            now_ms += random.random_range(0..12);
            let updates = change(&mut random, past.current(), &mut next_id);
            if let Some(next) = commit(past.current(), &updates, now_ms).filter(|_| !updates.is_empty()) {
                past.documents.push((now_ms, next));
            }
            if random.random_range(0..10) != 0 {
                continue;
            }
            let since_ms = now_ms - AGE_MS;
            let policy = ExpirySettings {
                age_source: AgeSource::Catalog(past.last_use(since_ms)),
                // Whatever a table, a branch or a policy says, the promise comes first.
                older_than_ms: Some(i64::MAX),
                age_min_ms: AGE_MS,
                ref_age_ms: Some(random.random_range(0..2_000)),
                ..ExpirySettings::default()
            };
            let Some(expiry) = plan(past.current(), now_ms, &policy).unwrap() else { continue };
            let promised = past.heads_since(since_ms);
            let lost: Vec<_> = expiry.snapshot_ids.iter().filter(|id| promised.contains(id)).collect();
            assert!(lost.is_empty(), "seed {seed}, at {now_ms}: {lost:?}");
            expired += expiry.snapshot_ids.len();
            let next = apply(past.current(), "m", &expiry.commit.updates, now_ms).unwrap().metadata;
            past.documents.push((now_ms, next));
        }
        assert!(expired > 5, "seed {seed}: hardly anything was due");
    }
}
