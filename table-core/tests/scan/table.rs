//! A table with columns of every kind, and plans of scans of it.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{ManifestContent, ManifestFile};
use table_core::metadata::table::TableMetadata;
use table_core::scan::deletes::DeleteIndex;
use table_core::scan::error::ScanError;
use table_core::scan::plan::ScanPage;
use table_core::scan::request::ScanRequest;
use table_core::scan::table_scan::{Scan, ScanSource};

/// More than any test needs.
pub(crate) const LIMIT_BYTES: usize = 1 << 24;

/// A table of format version 3 with these partition specs, by their position; each a list of fields.
pub(crate) fn table(specs: &[Json]) -> TableMetadata {
    let columns = [
        (1, "id", "int"),
        (2, "s", "string"),
        (3, "u", "uuid"),
        (4, "d", "decimal(9, 2)"),
        (5, "f", "fixed[3]"),
        (6, "odd name.x", "string"),
        (7, "x", "double"),
    ];
    let fields =
        columns.map(|(id, name, kind)| json!({"id": id, "name": name, "required": false, "type": kind}));
    let specs: Vec<_> =
        specs.iter().enumerate().map(|(id, fields)| json!({"spec-id": id, "fields": fields})).collect();
    let snapshot = |id: i64, operation: &str| {
        let parent = (id > 1).then_some(id - 1);
        json!({
            "snapshot-id": id, "parent-snapshot-id": parent, "sequence-number": id, "timestamp-ms": id,
            "manifest-list": format!("file:///t/{id}.avro"), "summary": {"operation": operation}, "schema-id": 0,
        })
    };
    let document = json!({
        "format-version": 2, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2", "location": "file:///t",
        "last-sequence-number": 4, "last-updated-ms": 9, "last-column-id": 7, "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": fields}],
        "default-spec-id": 0, "partition-specs": specs, "last-partition-id": 1999,
        "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
        "current-snapshot-id": 4,
        "snapshots": [snapshot(1, "append"), snapshot(2, "overwrite"), snapshot(3, "append"), snapshot(4, "append")],
    });
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

/// A partition field of a spec.
pub(crate) fn field(source: i32, id: i32, name: &str, transform: &str) -> Json {
    json!({"source-id": source, "field-id": id, "name": name, "transform": transform})
}

/// A manifest as its list tells of it.
pub(crate) fn listed(spec_id: i32, content: ManifestContent) -> ManifestFile {
    ManifestFile { content, sequence_number: 1, ..ManifestFile::embedded("m".to_owned(), spec_id, 1) }
}

/// The plan of a scan, as it is sent.
pub(crate) fn plan(
    metadata: &TableMetadata,
    request: &Json,
    manifests: Vec<(ManifestFile, Vec<u8>)>,
) -> Result<Json, ScanError> {
    let request = ScanRequest::parse(request.to_string().as_bytes())?;
    let (scan, source) = Scan::new(metadata, request)?;
    let (mut data, mut deletes) = (Vec::new(), Vec::new());
    for (listed, bytes) in manifests.into_iter().filter(|_| source != ScanSource::Nothing) {
        if !scan.needs_manifest(&listed)? {
            continue;
        }
        let manifest = Arc::new(Manifest::decode(&bytes, LIMIT_BYTES).unwrap());
        match listed.content {
            ManifestContent::Data => data.push((manifest, listed)),
            ManifestContent::Deletes => deletes.push((manifest, listed)),
        }
    }
    let deletes = DeleteIndex::build(&scan, deletes)?;
    let mut page = ScanPage::default();
    for (manifest, listed) in &data {
        page.add(&scan, &deletes, manifest, listed, 0..usize::MAX)?;
        if page.is_satisfied(&scan) {
            break;
        }
    }
    Ok(serde_json::from_slice(&page.into_json("", &[])).unwrap())
}

/// The files of a plan, each with its deletes: `a: e p; b`.
pub(crate) fn show(plan: &Json) -> String {
    let path = |file: &Json| file["file-path"].as_str().unwrap().to_owned();
    let tasks = plan["file-scan-tasks"].as_array().unwrap().iter().map(|task| {
        let references = task["delete-file-references"].as_array().cloned().unwrap_or_default();
        let deletes = references
            .iter()
            .map(|number| path(&plan["delete-files"][usize::try_from(number.as_u64().unwrap()).unwrap()]));
        let words: Vec<_> = std::iter::once(path(&task["data-file"])).chain(deletes).collect();
        words.join(" ").replacen(' ', ": ", 1)
    });
    tasks.collect::<Vec<_>>().join("; ")
}
