//! Documents and small functions that the tests of commits share.

#![allow(dead_code, reason = "every test binary uses another part")]

use serde_json::{Value, json};
use table_core::commit::error::CommitError;
use table_core::commit::request::TableCommit;
use table_core::commit::{Applied, apply, build};
use table_core::metadata::table::TableMetadata;
use uuid::Uuid;

pub(crate) const V1: &str = include_str!("../../fixtures/v1.metadata.json");
pub(crate) const V2: &str = include_str!("../../fixtures/v2.metadata.json");
pub(crate) const V3: &str = include_str!("../../fixtures/v3.metadata.json");

/// The server's clock in tests; later than everything in the fixtures.
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

/// Where the document before a commit is.
pub(crate) const BASE_LOCATION: &str = "file:///tmp/orchard/trees/metadata/00003-cc.metadata.json";

pub(crate) fn table(document: &str) -> TableMetadata {
    TableMetadata::parse(document.as_bytes()).unwrap()
}

pub(crate) fn document(metadata: &TableMetadata) -> Value {
    serde_json::from_slice(&metadata.to_bytes()).unwrap()
}

pub(crate) fn request(updates: &Value) -> TableCommit {
    TableCommit::parse(json!({"requirements": [], "updates": updates}).to_string().as_bytes()).unwrap()
}

/// Applies updates and checks that the result reads back as what it was written from.
pub(crate) fn commit(base: &str, updates: &Value) -> Result<Applied, CommitError> {
    let applied = apply(&table(base), BASE_LOCATION, &request(updates).updates, NOW_MS)?;
    assert_reads_back(&applied.metadata);
    Ok(applied)
}

pub(crate) fn create(updates: &Value) -> Result<TableMetadata, CommitError> {
    let metadata = build(&request(updates).updates, Uuid::from_u128(7), NOW_MS)?;
    assert_reads_back(&metadata);
    Ok(metadata)
}

pub(crate) fn assert_reads_back(metadata: &TableMetadata) {
    let bytes = metadata.to_bytes();
    let again = TableMetadata::parse(&bytes).unwrap();
    assert_eq!(String::from_utf8(again.to_bytes()).unwrap(), String::from_utf8(bytes).unwrap());
}

/// Commits and compares parts of the result, named by JSON pointers; `null` stands for a part that is not there.
pub(crate) fn check(base: &str, updates: &Value, expected: &[(&str, Value)]) {
    let applied = commit(base, updates).unwrap();
    assert!(applied.changed, "nothing changed");
    compare(&document(&applied.metadata), expected);
}

pub(crate) fn compare(document: &Value, expected: &[(&str, Value)]) {
    for (pointer, value) in expected {
        let actual = document.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(&actual, value, "at {pointer}");
    }
}

/// Commits and expects a refusal whose text contains `reason`.
pub(crate) fn refuse(base: &str, updates: &Value, reason: &str) {
    let error = commit(base, updates).unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
}
