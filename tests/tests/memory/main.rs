//! Comparison of the weights in caches with the memory that is actually used. Each case runs in its own
//! process, because freed memory that is reused from the allocator would not be measured.

#![expect(clippy::unwrap_used, reason = "a case fails if one of its assumptions is wrong")]

use std::fmt::Write as _;
use std::sync::Arc;

use catalog_server::clock::Clock;
use catalog_server::storage::documents::Documents;
use catalog_server::storage::{WarehouseFiles, local_store};
use serde_json::{Value as Json, json};
use storage::stores::Stores;
use table_core::expr::value::Value;
use table_core::location::Location;
use table_core::manifest::avro_write::AvroCodec;
use table_core::manifest::data_file::{ColumnMetrics, DataFile};
use table_core::manifest::entry::FileContent;
use table_core::manifest::file::Manifest;
use table_core::manifest::header::ManifestHeader;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::manifest::write::ManifestWriter;
use table_core::metadata::table::TableMetadata;
use table_core::scan::deletes::DeleteIndex;
use table_core::scan::request::ScanRequest;
use table_core::scan::table_scan::Scan;

/// Maximum difference between weight and memory, in bytes: the allocator retains some pages.
const SLACK_BYTES: usize = 6 << 20;
/// Limit in bytes; more than any file of these tests has.
const LIMIT_BYTES: usize = 1 << 28;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Creates many values, and compares the sum of their weights with the memory that they use.
fn check<T>(what: &str, count: usize, mut make: impl FnMut(usize) -> T, weight: impl Fn(&T) -> usize) {
    // Allocations that happen only once are made before the measurement.
    drop(make(0));
    let before = resident_bytes();
    let all: Vec<T> = (0..count).map(&mut make).collect();
    let real = resident_bytes().saturating_sub(before);
    let believed: usize = all.iter().map(weight).sum();
    println!("{what}: {believed} believed, {real} real");
    assert!(real > SLACK_BYTES, "{what}: {real} bytes are too little to be measured");
    assert!(real <= believed + believed / 4 + SLACK_BYTES, "{what}: {real} bytes, believed to be {believed}");
    assert!(believed <= 3 * real, "{what}: {real} bytes, believed to be {believed}");
}

/// Returns an empty table with several partition specs.
fn table() -> TableMetadata {
    let field =
        |transform: &str| json!([{ "source-id": 1, "field-id": 1000, "name": "p", "transform": transform }]);
    let specs = ["identity", "bucket[16]"].map(field).into_iter().chain([json!([])]).zip(0..);
    let specs: Vec<_> = specs.map(|(fields, id)| json!({ "spec-id": id, "fields": fields })).collect();
    let columns = [(1, "id", "long"), (2, "s", "string")];
    let fields =
        columns.map(|(id, name, kind)| json!({ "id": id, "name": name, "required": false, "type": kind }));
    parse(&json!({
        "format-version": 2, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2", "location": "file:///t",
        "last-sequence-number": 1, "last-updated-ms": 9, "last-column-id": 2, "current-schema-id": 0,
        "schemas": [{ "type": "struct", "schema-id": 0, "fields": fields }], "default-spec-id": 0,
        "partition-specs": specs, "last-partition-id": 1000, "default-sort-order-id": 0,
        "sort-orders": [{ "order-id": 0, "fields": [] }], "properties": {},
    }))
}

fn parse(document: &Json) -> TableMetadata {
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

fn scans(case: &str) {
    let metadata = table();
    let list = |column: &str, element: &dyn Fn(usize) -> String| {
        let elements: Vec<_> = (0..200_000).map(element).collect();
        format!(r#"{{"type":"in","term":"{column}","values":[{}]}}"#, elements.join(","))
    };
    let leaf = |number: usize| format!(r#"{{"type":"eq","term":"id","value":{number}}}"#);
    let chain = (0..20_000).fold(leaf(0), |chain, number| {
        if number == 0 { chain } else { chain + &format!(r#","right":{}}}"#, leaf(number)) }
    });
    let chain = r#"{"type":"or","left":"#.repeat(19_999) + &chain;
    let filter = match case {
        "lists of numbers" => list("id", &|number| number.to_string()),
        "lists of texts" => list("s", &|number| format!("\"{number:06}\"")),
        _ => chain,
    };
    let body = format!(r#"{{"filter":{filter}}}"#);
    let scan = |_| Scan::new(&metadata, ScanRequest::parse(body.as_bytes()).unwrap()).unwrap().0;
    check(case, 8, scan, Scan::memory_bytes);
}

fn delete_file(number: usize, content: FileContent) -> DataFile {
    let bound = |text: String| [(2, text.into_bytes())].into();
    DataFile {
        content,
        path: format!("file:///warehouse/a/table/data/delete-file-{number:010}.parquet"),
        format: "PARQUET".to_owned(),
        spec_id: 0,
        partition: vec![Some(Value::Long(i64::try_from(number % 1000).unwrap()))],
        record_count: 10,
        size_bytes: 1000,
        metrics: ColumnMetrics {
            lower_bounds: bound(format!("a value of this column {number}")),
            upper_bounds: bound(format!("the greatest value of it {number}")),
            ..ColumnMetrics::default()
        },
        split_offsets: vec![4],
        equality_ids: if content == FileContent::EqualityDeletes { vec![2] } else { Vec::new() },
        sort_order_id: None,
        first_row_id: None,
        referenced_data_file: (content == FileContent::PositionDeletes)
            .then(|| format!("file:///warehouse/a/table/data/data-file-{number:010}.parquet")),
        content_offset: None,
        content_size_bytes: None,
        key_metadata: None,
    }
}

fn manifest_of(metadata: &TableMetadata, content: FileContent, files: usize) -> (Vec<u8>, ManifestFile) {
    let spec = &metadata.partition_specs()[0];
    let header = ManifestHeader::new(2, ManifestContent::Deletes, spec, metadata.schemas().iter()).unwrap();
    let mut writer = ManifestWriter::new(&header, "file:///m".to_owned(), 1, AvroCodec::Null, [7; 16]);
    for number in 0..files {
        writer.added(&delete_file(number, content), Some(1)).unwrap();
    }
    let written = writer.finish().unwrap();
    (written.bytes, written.manifest_file)
}

fn manifests(case: &str, content: FileContent) {
    let metadata = table();
    let (bytes, line) = manifest_of(&metadata, content, 10_000);
    if case.starts_with("manifests") {
        return check(case, 10, |_| Manifest::decode(&bytes, LIMIT_BYTES).unwrap(), Manifest::memory_bytes);
    }
    if case.starts_with("lists") {
        let lines = |_| {
            let line = |number| ManifestFile {
                path: format!("file:///table/metadata/{number}.avro"),
                ..line.clone()
            };
            (0..10_000).map(line).collect::<Vec<_>>()
        };
        return check(case, 8, lines, |lines| lines.iter().map(ManifestFile::memory_bytes).sum());
    }
    let index = |_| {
        let manifest = Arc::new(Manifest::decode(&bytes, LIMIT_BYTES).unwrap());
        let (scan, _) = Scan::new(&metadata, ScanRequest::parse(b"{}").unwrap()).unwrap();
        DeleteIndex::build(&scan, vec![(manifest, line.clone())]).unwrap()
    };
    check(case, 8, index, DeleteIndex::memory_bytes);
}

/// Returns table metadata of about a megabyte.
fn document(kind: &str) -> Json {
    let mut document: Json = serde_json::from_slice(&table().to_bytes()).unwrap();
    match kind {
        "snapshots" => {
            let snapshot = |id: i64| {
                json!({ "snapshot-id": id, "sequence-number": id, "timestamp-ms": id, "schema-id": 0,
                    "manifest-list": format!("file:///t/metadata/snap-{id}.avro"), "summary": { "operation": "append",
                    "added-data-files": "1", "total-records": "1000", "total-files-size": "1234567" } })
            };
            document["snapshots"] = (1..=3_000).map(snapshot).collect();
            document["current-snapshot-id"] = json!(3_000);
            document["refs"] = json!({ "main": { "snapshot-id": 3_000, "type": "branch" } });
            document["last-sequence-number"] = json!(3_000);
        }
        "columns" => {
            let column = |id: usize| json!({ "id": id, "name": format!("column {id}"), "required": false, "type": "string" });
            document["schemas"][0]["fields"] = (1..=12_000).map(column).collect();
            document["last-column-id"] = json!(12_000);
        }
        _ => {
            let mut properties = serde_json::Map::new();
            for number in 0..15_000 {
                properties.insert(
                    format!("a property of the table {number}"),
                    json!(format!("its value {number}")),
                );
            }
            document["properties"] = Json::Object(properties);
        }
    }
    document
}

async fn documents(kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let text = document(kind).to_string();
    let mut paths = Vec::new();
    for number in 0..20 {
        let mut path = folder.path().display().to_string();
        write!(path, "/{kind}-{number}.metadata.json").unwrap();
        std::fs::write(&path, &text).unwrap();
        paths.push(path);
    }
    let files = WarehouseFiles::new(Stores::new(local_store()));
    files.add_root(&Location::parse(folder.path().to_str().unwrap()).unwrap());
    let documents = Documents::new(files, Clock::system(), 1 << 30, LIMIT_BYTES);
    let load = async |path: &String| {
        let document = documents.table(path).await.unwrap();
        // Loads all derived forms that a document may cache.
        document.parsed().current_schema().unwrap().columns().unwrap();
        document.json_refs_only();
    };
    load(&paths[0]).await;
    let (before, believed_before) = (resident_bytes(), documents.memory_bytes());
    for path in &paths[1..] {
        load(path).await;
    }
    let real = resident_bytes().saturating_sub(before);
    let believed = usize::try_from(documents.memory_bytes() - believed_before).unwrap();
    println!("documents of many {kind}: {believed} believed, {real} real");
    assert!(real <= believed + believed / 4 + SLACK_BYTES, "{kind}: {real} bytes, believed to be {believed}");
    assert!(believed <= 4 * real, "{kind}: {real} bytes, believed to be {believed}");
}

const CASES: [&str; 11] = [
    "lists of numbers",
    "lists of texts",
    "chains",
    "manifests of equality deletes",
    "indexes of equality deletes",
    "manifests of position deletes",
    "indexes of position deletes",
    "lists of manifests",
    "documents of many snapshots",
    "documents of many columns",
    "documents of many properties",
];

fn weigh(case: &str) {
    if let Some(kind) = case.strip_prefix("documents of many ") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
        return runtime.block_on(documents(kind));
    }
    match case {
        "lists of numbers" | "lists of texts" | "chains" => scans(case),
        _ if case.contains("position") => manifests(case, FileContent::PositionDeletes),
        _ => manifests(case, FileContent::EqualityDeletes),
    }
}

#[test]
fn weights_equal_the_used_memory() {
    const CASE: &str = "FIRN_TEST_WEIGHT";

    if let Ok(case) = std::env::var(CASE) {
        return weigh(&case);
    }
    for case in CASES {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", "weights_equal_the_used_memory", "--nocapture"]).env(CASE, case);
        assert!(alone.status().unwrap().success(), "{case}");
    }
}
