//! Collecting files that may be rewritten: with all deletes that apply to them, whatever the filter.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use table_core::expr::value::Value;
use table_core::manifest::entry::FileContent;
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::rewrite::live::{Collector, LiveFiles};
use table_core::scan::error::ScanError;
use table_core::scan::request::ScanRequest;
use table_core::scan::table_scan::Scan;

use crate::table::{LIMIT_BYTES, field, listed, table};
use crate::writer::{entry, manifest, optional};

/// The files of a table partitioned by `s`, from two data manifests with sequence numbers 3 and 1, and one of
/// deletes.
fn collect(filter: &Json, all: &Json) -> Result<LiveFiles, ScanError> {
    let metadata = table(&[json!([field(2, 1000, "s", "identity")])]);
    let scan =
        |request: &Json| Scan::new(&metadata, ScanRequest::parse(request.to_string().as_bytes()).unwrap());
    let fields = [optional(1000, "s", "string")];
    let read = |sequence_number, content, entries: &[Json]| {
        let listed = ManifestFile { sequence_number, first_row_id: Some(100), ..listed(0, content) };
        (Arc::new(Manifest::decode(&manifest(&fields, entries), LIMIT_BYTES).unwrap()), listed)
    };
    let bounds = |from: i32, to: i32| {
        json!({"lower_bounds": {"1": from.to_le_bytes()}, "upper_bounds": {"1": to.to_le_bytes()},
            "value_counts": {"1": 10}, "null_value_counts": {"1": 0}})
    };
    let with = |mut file: Json, more: Json| {
        let Json::Object(more) = more else { panic!("an object") };
        file.as_object_mut().unwrap().extend(more);
        entry(file)
    };
    let newer = read(
        3,
        ManifestContent::Data,
        &[
            with(
                json!({"file_path": "new", "partition": {"s": "x"}, "split_offsets": [4, 500]}),
                bounds(1, 9),
            ),
            entry(json!({"file_path": "gone", "partition": {"s": "x"}, "entry": {"status": 2}})),
            entry(json!({"file_path": "elsewhere", "partition": {"s": "y"}})),
        ],
    );
    let older = read(
        1,
        ManifestContent::Data,
        &[with(
            json!({"file_path": "old", "partition": {"s": "x"}, "key_metadata": [1], "file_format": "parquet"}),
            bounds(1, 9),
        )],
    );
    let vector = json!({"content": 1, "file_path": "v.puffin", "file_format": "puffin", "partition": {"s": "x"},
        "referenced_data_file": "old", "content_offset": 4, "content_size_in_bytes": 40, "record_count": 3});
    let outside = json!({"content": 2, "file_path": "e", "partition": {"s": "x"}, "equality_ids": [1]});
    let gone = json!({"content": 1, "file_path": "d", "partition": {"s": "x"}, "entry": {"status": 2}});
    let deletes =
        read(2, ManifestContent::Deletes, &[entry(gone), entry(vector), with(outside, bounds(8, 9))]);
    let mut collector = Collector::new(&scan(all)?.0, vec![deletes])?;
    let (wanted, _) = scan(filter)?;
    for (manifest, listed) in [newer, older] {
        collector.add(&wanted, &manifest, &listed)?;
    }
    Ok(collector.finish())
}

/// Files, each with its deletes.
fn shown(live: &LiveFiles) -> String {
    let files = live.files.iter().map(|file| {
        let deletes = file.deletes.iter().map(|number| live.deletes[*number].path.as_str());
        std::iter::once(file.path.as_str()).chain(deletes).collect::<Vec<_>>().join(" ")
    });
    files.collect::<Vec<_>>().join(", ")
}

#[test]
fn live_files_are_collected_with_their_deletes_oldest_first() {
    let live = collect(&json!({}), &json!({})).unwrap();
    assert_eq!(shown(&live), "old e v.puffin, new, elsewhere");
    let (old, new) = (&live.files[0], &live.files[1]);
    assert_eq!((old.sequence_number, old.first_row_id, old.is_encrypted), (1, Some(100), true));
    assert_eq!((old.format.as_str(), old.size_bytes, old.record_count), ("PARQUET", 1000, 10));
    assert_eq!((new.row_groups, old.row_groups, new.is_encrypted), (2, 0, false));
    assert_eq!(new.partition, [Some(Value::String("x".to_owned()))]);
    let vector = live.deletes.iter().find(|delete| delete.path == "v.puffin").unwrap();
    assert_eq!((vector.content, vector.format.as_str()), (FileContent::PositionDeletes, "PUFFIN"));
    assert_eq!(
        (vector.data_file.as_deref(), vector.record_count, vector.sequence_number),
        (Some("old"), 3, 2)
    );
    assert_eq!((vector.content_offset, vector.content_size_bytes), (Some(4), Some(40)));
    assert_eq!(vector.partition, new.partition);
    let values = live.deletes.iter().find(|delete| delete.path == "e").unwrap();
    assert_eq!(
        (values.content, &values.equality_ids, &values.data_file),
        (FileContent::EqualityDeletes, &vec![1], &None)
    );
}

#[test]
fn a_filter_chooses_files_but_not_their_deletes() {
    // A scan leaves out the equality deletes, which are for rows with 8 and 9: but the file is rewritten with
    // these rows too.
    let filter = json!({"filter": {"type": "eq", "term": "id", "value": 2}});
    assert_eq!(shown(&collect(&filter, &json!({})).unwrap()), "old e v.puffin, new, elsewhere");
    let filter = json!({"filter": {"type": "eq", "term": "id", "value": 20}});
    assert_eq!(shown(&collect(&filter, &json!({})).unwrap()), "elsewhere");
    let filter = json!({"filter": {"type": "eq", "term": "s", "value": "y"}});
    assert_eq!(shown(&collect(&filter, &json!({})).unwrap()), "elsewhere");
    let message = collect(&json!({}), &filter).unwrap_err().to_string();
    assert!(message.contains("collected without a filter"), "{message}");
}

/// As `DuckDB` writes it: in bounds of `_file`.
#[test]
fn position_deletes_of_one_file_are_for_it_alone_whichever_id_its_bounds_have() {
    let metadata = table(&[json!([])]);
    let request = ScanRequest::parse(b"{}").unwrap();
    let (all, _) = Scan::new(&metadata, request).unwrap();
    let at = |number: i64| json!({"status": 0, "sequence_number": number, "file_sequence_number": number});
    let read = |content, entries: &[Json]| {
        let manifest = Manifest::decode(&manifest(&[], entries), LIMIT_BYTES).unwrap();
        (Arc::new(manifest), listed(0, content))
    };
    let data = ["a", "b"].map(|path| entry(json!({"file_path": path, "entry": at(1)})));
    let deletes = [("2147483646", "a"), ("2147483546", "b"), ("2", "a")].map(|(id, path)| {
        entry(json!({"file_path": format!("d{id}"), "content": 1, "entry": at(2), "lower_bounds": {id: path},
            "upper_bounds": {id: path}}))
    });
    let (manifest, listed) = read(ManifestContent::Data, &data);
    let mut collector = Collector::new(&all, vec![read(ManifestContent::Deletes, &deletes)]).unwrap();
    collector.add(&all, &manifest, &listed).unwrap();
    let live = collector.finish();
    let found: Vec<Vec<usize>> =
        live.files.iter().map(|file| file.deletes.iter().copied().rev().collect()).collect();
    assert_eq!(found, [[0, 2], [1, 2]]);
    let sole: Vec<_> = live.deletes.iter().map(|delete| delete.data_file.as_deref()).collect();
    assert_eq!(sole, [Some("a"), Some("b"), None]);
}
