//! Whatever comes in: nothing panics, nothing is lost, and no commit breaks what must always hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BASE_LOCATION, NOW_MS, V1, V2, V3, document, table};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use table_core::commit::apply;
use table_core::commit::error::CommitError;
use table_core::commit::foreign::check_table;
use table_core::commit::request::{TableCommit, ViewCommit};
use table_core::commit::view::apply_view;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

const VIEW: &str = include_str!("../fixtures/view.metadata.json");

/// Any JSON value, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3_i64..5).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        select(vec![0.5, -1e300, 1e-7]).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        select(vec![
            "int",
            "struct",
            "list",
            "map",
            "main",
            "void",
            "branch",
            "decimal(99,1)",
            "fixed[x]",
            "bucket[-1]"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-z]{1,6}|type|fields|id|element", inner), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The place in a document that the steps lead to.
fn place<'v>(value: &'v mut Value, steps: &[usize]) -> &'v mut Value {
    let Some((step, rest)) = steps.split_first() else { return value };
    let is_leaf = match &*value {
        Value::Array(elements) => elements.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => true,
    };
    if is_leaf {
        return value;
    }
    match value {
        Value::Array(elements) => {
            let at = step % elements.len();
            place(&mut elements[at], rest)
        }
        Value::Object(entries) => {
            let at = step % entries.len();
            place(entries.values_mut().nth(at).unwrap(), rest)
        }
        _ => unreachable!(),
    }
}

fn any_steps() -> impl Strategy<Value = Vec<usize>> {
    vec(0_usize..40, 1..7)
}

/// Adds a field to every object that is a part of the format, as a later version of it would.
fn extend(value: &mut Value, extra: &Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| extend(element, extra)),
        Value::Object(entries) => {
            for (name, inner) in entries.iter_mut() {
                // The names in these are data.
                if !matches!(name.as_str(), "properties" | "refs" | "summary") {
                    extend(inner, extra);
                } else if name == "refs" {
                    inner
                        .as_object_mut()
                        .unwrap()
                        .values_mut()
                        .for_each(|reference| extend(reference, extra));
                }
            }
            entries.insert("x-later".to_owned(), extra.clone());
        }
        _ => {}
    }
}

fn any_column() -> impl Strategy<Value = Value> {
    let types = select(vec![
        json!("int"),
        json!("string"),
        json!("timestamptz"),
        json!("variant"),
        json!("vector[128]"),
        json!("decimal(9,2)"),
        json!({"type": "list", "element-id": 30, "element": "int", "element-required": false}),
        json!({"type": "struct", "fields": [{"id": 31, "name": "in", "required": false, "type": "date"}]}),
    ]);
    (1_i32..9, select(vec!["a", "b", "ship", "kind", "at", "p1", "berth"]), any::<bool>(), types).prop_map(
        |(id, name, required, kind)| json!({"id": id, "name": name, "required": required, "type": kind}),
    )
}

fn any_snapshot() -> impl Strategy<Value = Value> {
    (1_i64..8, proptest::option::of(1_i64..8), 0_i64..9, 0_i64..300).prop_map(|(id, parent, number, row)| {
        json!({"snapshot-id": id, "parent-snapshot-id": parent, "sequence-number": number, "timestamp-ms": 1_795_000_000_000_i64 - id,
            "manifest-list": "s3://m", "summary": {"operation": "append"}, "first-row-id": row, "added-rows": row / 2})
    })
}

fn any_update() -> impl Strategy<Value = Value> {
    let id = || -1_i64..8;
    let name = || select(vec!["main", "audit", "t", "b"]);
    let transform = select(vec!["identity", "void", "bucket[4]", "day", "zorder"]);
    let spec_field = (1_i32..9, transform, 0_usize..4, proptest::option::of(1000_i32..1004)).prop_map(
        |(source, transform, name, id)| json!({"source-id": source, "transform": transform, "name": format!("p{name}"), "field-id": id}),
    );
    let sort_field = (1_i32..9, select(vec!["asc", "desc"]))
        .prop_map(|(source, direction)| json!({"source-id": source, "transform": "identity", "direction": direction, "null-order": "nulls-last"}));
    prop_oneof![
        4 => any_snapshot().prop_map(|snapshot| json!({"action": "add-snapshot", "snapshot": snapshot})),
        4 => (name(), id(), select(vec!["branch", "tag"]), proptest::option::of(1..3))
            .prop_map(|(name, id, kind, age)| json!({"action": "set-snapshot-ref", "ref-name": name, "snapshot-id": id, "type": kind, "max-ref-age-ms": age})),
        1 => vec(id(), 0..3).prop_map(|ids| json!({"action": "remove-snapshots", "snapshot-ids": ids})),
        1 => name().prop_map(|name| json!({"action": "remove-snapshot-ref", "ref-name": name})),
        2 => vec(any_column(), 0..4).prop_map(|columns| json!({"action": "add-schema", "schema": {"type": "struct", "fields": columns}})),
        2 => id().prop_map(|id| json!({"action": "set-current-schema", "schema-id": id})),
        1 => vec(id(), 0..2).prop_map(|ids| json!({"action": "remove-schemas", "schema-ids": ids})),
        2 => vec(spec_field, 0..3).prop_map(|fields| json!({"action": "add-spec", "spec": {"fields": fields}})),
        2 => id().prop_map(|id| json!({"action": "set-default-spec", "spec-id": id})),
        1 => vec(id(), 0..2).prop_map(|ids| json!({"action": "remove-partition-specs", "spec-ids": ids})),
        1 => vec(sort_field, 0..2).prop_map(|fields| json!({"action": "add-sort-order", "sort-order": {"fields": fields}})),
        1 => id().prop_map(|id| json!({"action": "set-default-sort-order", "sort-order-id": id})),
        1 => (1_i32..5).prop_map(|version| json!({"action": "upgrade-format-version", "format-version": version})),
        1 => ("[a-c]", "[a-c]").prop_map(|(name, value)| json!({"action": "set-properties", "updates": {name: value}})),
        1 => "[a-c]".prop_map(|name| json!({"action": "remove-properties", "removals": [name]})),
        1 => id().prop_map(|id| json!({"action": "set-statistics", "statistics":
            {"snapshot-id": id, "statistics-path": "s", "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": []}})),
        1 => id().prop_map(|id| json!({"action": "remove-statistics", "snapshot-id": id})),
        1 => id().prop_map(|id| json!({"action": "set-partition-statistics", "partition-statistics": {"snapshot-id": id, "statistics-path": "s", "file-size-in-bytes": 1}})),
        1 => id().prop_map(|id| json!({"action": "remove-partition-statistics", "snapshot-id": id})),
        1 => "k[1-3]".prop_map(|id| json!({"action": "add-encryption-key", "encryption-key": {"key-id": id, "encrypted-key-metadata": ""}})),
        1 => "k[1-3]".prop_map(|id| json!({"action": "remove-encryption-key", "key-id": id})),
        1 => "[a-b]".prop_map(|name| json!({"action": "set-location", "location": format!("s3://{name}")})),
    ]
}

fn request(updates: &[Value]) -> Option<TableCommit> {
    TableCommit::parse(json!({"updates": updates}).to_string().as_bytes()).ok()
}

/// What no commit may break.
fn check_step(before: &TableMetadata, after: &TableMetadata) {
    after.check().unwrap();
    let bytes = after.to_bytes();
    let again = TableMetadata::parse(&bytes).unwrap();
    assert_eq!(String::from_utf8(again.to_bytes()).unwrap(), String::from_utf8(bytes).unwrap());
    assert_eq!(again.next_row_id(), after.next_row_id());
    assert_eq!(again.refs().len(), after.refs().len());

    assert!(after.format_version() >= before.format_version());
    assert!(after.last_column_id() >= before.last_column_id());
    assert!(after.last_partition_id() >= before.last_partition_id());
    assert!(after.last_sequence_number() >= before.last_sequence_number());
    assert!(after.next_row_id() >= before.next_row_id());
    assert!(after.last_updated_ms() >= before.last_updated_ms());
    assert_eq!(after.uuid(), before.uuid());
    assert_eq!(after.metadata_log().last().unwrap().metadata_file, BASE_LOCATION);
    let log = after.snapshot_log();
    assert!(log.windows(2).all(|pair| pair[0].timestamp_ms <= pair[1].timestamp_ms));
    for snapshot in after.snapshots() {
        if let Some(same) = before.snapshot(snapshot.id()) {
            assert_eq!(same.raw(), snapshot.raw());
        }
    }
    for schema in after.schemas() {
        if let Some(same) = before.schemas().iter().find(|it| it.id() == schema.id()) {
            assert_eq!(same.columns().unwrap(), schema.columns().unwrap());
        }
    }
    let (old, new) = (document(before), document(after));
    for (name, value) in old.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("x-")) {
        assert_eq!(value, &new[name]);
    }
}

/// Whether readers can load a document, as it would be served.
fn loads(metadata: &TableMetadata) -> Result<(), CommitError> {
    let completed = metadata.completed(NOW_MS).unwrap_or_else(|| metadata.clone());
    check_table(&completed, &completed.to_bytes())
}

#[test]
fn what_is_true_of_fixtures_is_worth_something() {
    loads(&table(V1)).unwrap();
    loads(&table(V2)).unwrap();
    loads(&table(V3)).unwrap_err();
}

proptest! {
    #[test]
    fn bytes_never_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        drop(TableMetadata::parse(&bytes));
        drop(ViewMetadata::parse(&bytes));
        drop(TableCommit::parse(&bytes));
    }

    #[test]
    fn damaged_text_never_makes_it_panic(
        base in select(vec![V1, V2, V3, VIEW]), at in 0_usize..8000, length in 0_usize..40, text in "[\\[\\]{}\",:0-9a-z-]{0,6}"
    ) {
        let start = at % base.len();
        let end = (start + length).min(base.len());
        let (Some(head), Some(tail)) = (base.get(..start), base.get(end..)) else { return Ok(()) };
        let damaged = format!("{head}{text}{tail}");
        if let Ok(metadata) = TableMetadata::parse(damaged.as_bytes()) {
            metadata.to_bytes_refs_only();
            let written: Value = serde_json::from_slice(&metadata.to_bytes()).unwrap();
            prop_assert_eq!(written, serde_json::from_str::<Value>(&damaged).unwrap());
        }
        drop(ViewMetadata::parse(damaged.as_bytes()));
    }

    #[test]
    fn strange_documents_are_refused_or_kept_and_can_be_committed_to_without_panic(
        base in select(vec![V1, V2, V3]), changes in vec((any_steps(), any_json()), 1..4), updates in vec(any_update(), 1..6)
    ) {
        let mut strange: Value = serde_json::from_str(base).unwrap();
        for (steps, value) in changes {
            *place(&mut strange, &steps) = value;
        }
        let text = strange.to_string();
        if let Ok(metadata) = TableMetadata::parse(text.as_bytes()) {
            prop_assert_eq!(document(&metadata), strange);
            metadata.to_bytes_refs_only();
            for schema in metadata.schemas() {
                drop(schema.columns());
            }
            for snapshot in metadata.snapshots() {
                drop(snapshot.summary());
            }
            if let Some(request) = request(&updates)
                && let Ok(applied) = apply(&metadata, BASE_LOCATION, &request.updates, NOW_MS)
                && loads(&metadata).is_ok()
            {
                prop_assert_eq!(loads(&applied.metadata), Ok(()), "{:?}", updates);
            }
        }
    }

    #[test]
    fn strange_views_and_requests_never_make_it_panic(
        changes in vec((any_steps(), any_json()), 1..4), request in any_json(), in_request in (any_steps(), any_json()), update in any_update()
    ) {
        let mut strange: Value = serde_json::from_str(VIEW).unwrap();
        for (steps, value) in changes {
            *place(&mut strange, &steps) = value;
        }
        let base = ViewMetadata::parse(strange.to_string().as_bytes());
        if let Ok(base) = &base {
            prop_assert_eq!(serde_json::from_slice::<Value>(&base.to_bytes()).unwrap(), strange.clone());
        }
        let mut update = json!({"updates": [update]});
        *place(&mut update, &in_request.0) = in_request.1;
        for body in [request.to_string(), update.to_string()] {
            if let Ok(request) = TableCommit::parse(body.as_bytes()) {
                drop(apply(&table(V2), BASE_LOCATION, &request.updates, NOW_MS));
            }
        }
        let version = strange.pointer("/versions/0").cloned().unwrap_or_default();
        let updates = json!({"updates": [{"action": "add-view-version", "view-version": version}, {"action": "set-current-view-version", "view-version-id": -1}]});
        if let (Ok(base), Ok(request)) = (&base, ViewCommit::parse(updates.to_string().as_bytes()))
            && let Ok(applied) = apply_view(base, &request.updates, NOW_MS) {
            prop_assert!(ViewMetadata::parse(&applied.metadata.to_bytes()).is_ok());
        }
    }

    #[test]
    fn unknown_fields_everywhere_survive_every_commit(
        base in select(vec![V1, V2, V3]), extra in any_json(), updates in vec(any_update(), 1..4)
    ) {
        let mut extended: Value = serde_json::from_str(base).unwrap();
        extend(&mut extended, &extra);
        let metadata = table(&extended.to_string());
        prop_assert_eq!(document(&metadata), extended.clone());
        let Some(request) = request(&updates) else { return Ok(()) };
        let Ok(applied) = apply(&metadata, BASE_LOCATION, &request.updates, NOW_MS) else { return Ok(()) };
        let after = document(&applied.metadata);
        prop_assert_eq!(&after["x-later"], &extra);
        // Every element that is still there is still itself.
        for (list, id) in [("snapshots", "snapshot-id"), ("partition-specs", "spec-id"), ("sort-orders", "order-id")] {
            let empty = Vec::new();
            let before = extended[list].as_array().unwrap_or(&empty);
            for element in after[list].as_array().unwrap_or(&empty) {
                if let Some(same) = before.iter().find(|it| it[id] == element[id]) {
                    prop_assert_eq!(same, element);
                }
            }
        }
    }

    #[test]
    fn commits_in_any_order_keep_what_must_hold(
        base in select(vec![V1, V2, V3]), commits in vec(vec(any_update(), 1..6), 1..8)
    ) {
        let mut current = table(base);
        for updates in commits {
            // A client that is refused tries the rest of its changes one by one.
            let attempts = std::iter::once(updates.clone()).chain(updates.into_iter().map(|update| vec![update]));
            for updates in attempts {
                let Some(request) = request(&updates) else { continue };
                let Ok(applied) = apply(&current, BASE_LOCATION, &request.updates, NOW_MS) else { continue };
                if applied.changed {
                    check_step(&current, &applied.metadata);
                    if loads(&current).is_ok() {
                        prop_assert_eq!(loads(&applied.metadata), Ok(()), "{:?}", updates);
                    }
                    current = applied.metadata;
                } else {
                    prop_assert_eq!(applied.metadata.to_bytes(), current.to_bytes());
                }
            }
        }
    }

    #[test]
    fn properties_of_any_text_survive(entries in vec(("\\PC{0,10}", "\\PC{0,10}"), 0..6)) {
        let updates: Map<String, Value> = entries.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        let request = request(&[json!({"action": "set-properties", "updates": updates})]).unwrap();
        let applied = apply(&table(V2), BASE_LOCATION, &request.updates, NOW_MS).unwrap();
        let again = TableMetadata::parse(&applied.metadata.to_bytes()).unwrap();
        for (name, value) in &updates {
            prop_assert_eq!(again.property(name), value.as_str());
        }
    }
}
