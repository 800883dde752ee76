//! JSON form of files and partitions in scan plans: appendix "Content File Serialization" of the
//! specification, and the REST specification.
//!
//! The JSON is written directly into the response, because a plan may contain a hundred thousand files.

use serde::Serialize;

use crate::manifest::entry::{File, FileContent};
use crate::manifest::metrics::{Bounds, Counts};
use crate::manifest::partition::PartitionTuple;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Returns the JSON of a partition tuple: values in the order of the spec's fields, with null for fields that
/// are not `has_sources`.
pub(super) fn partition(tuple: &PartitionTuple, has_sources: &[bool]) -> String {
    let values = tuple.iter().zip(has_sources).map(|(value, has_source)| match value {
        Some(value) if *has_source => value.to_json(),
        _ => serde_json::Value::Null,
    });
    serde_json::Value::Array(values.collect()).to_string()
}

pub(super) fn push_strings(out: &mut Vec<u8>, strings: &[String]) {
    out.push(b'[');
    for (number, text) in strings.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        push_string(out, text);
    }
    out.push(b']');
}

pub(super) fn push_number(out: &mut Vec<u8>, number: impl Serialize) {
    // A number can always be serialised, and writing to memory does not fail. This is faster than `write!`.
    drop(serde_json::to_writer(out, &number));
}

/// Writes a data file or delete file, with the metrics of the columns `stats_ids`.
pub(super) fn push_file(out: &mut Vec<u8>, file: &File<'_>, partition: &str, stats_ids: &[i32]) {
    out.extend_from_slice(match file.content() {
        FileContent::Data => b"{\"content\":\"data\",\"file-path\":".as_slice(),
        FileContent::PositionDeletes => b"{\"content\":\"position-deletes\",\"file-path\":",
        FileContent::EqualityDeletes => b"{\"content\":\"equality-deletes\",\"file-path\":",
    });
    push_string(out, file.path());
    out.extend_from_slice(b",\"file-format\":");
    push_string(out, &file.format().to_ascii_lowercase());
    push_field(out, "spec-id", Some(file.spec_id()));
    out.extend_from_slice(b",\"partition\":");
    out.extend_from_slice(partition.as_bytes());
    push_field(out, "file-size-in-bytes", Some(file.size_bytes()));
    push_field(out, "record-count", Some(file.record_count()));
    push_field(out, "sort-order-id", file.sort_order_id());
    push_list(out, "split-offsets", file.split_offsets());
    match file.content() {
        FileContent::Data => push_field(out, "first-row-id", file.first_row_id()),
        FileContent::PositionDeletes => {
            if let Some(path) = file.referenced_data_file() {
                out.extend_from_slice(b",\"referenced-data-file\":");
                push_string(out, path);
            }
            push_field(out, "content-offset", file.content_offset());
            push_field(out, "content-size-in-bytes", file.content_size_bytes());
        }
        FileContent::EqualityDeletes => push_list(out, "equality-ids", file.equality_ids()),
    }
    if let Some(key) = file.key_metadata() {
        out.extend_from_slice(b",\"key-metadata\":");
        push_hex(out, key);
    }
    if file.content() == FileContent::Data && !stats_ids.is_empty() {
        push_stats(out, file, stats_ids);
    }
    out.push(b'}');
}

fn push_stats(out: &mut Vec<u8>, file: &File<'_>, ids: &[i32]) {
    push_counts(out, "column-sizes", file.column_sizes(), ids);
    push_counts(out, "value-counts", file.value_counts(), ids);
    push_counts(out, "null-value-counts", file.null_value_counts(), ids);
    push_counts(out, "nan-value-counts", file.nan_value_counts(), ids);
    push_bounds(out, "lower-bounds", file.lower_bounds(), ids);
    push_bounds(out, "upper-bounds", file.upper_bounds(), ids);
}

fn push_counts(out: &mut Vec<u8>, name: &str, counts: Option<Counts<'_>>, ids: &[i32]) {
    let Some(counts) = counts else { return };
    let counts: Vec<_> = counts.filter(|(id, _)| ids.contains(id)).collect();
    push_map(out, name, &counts, push_number);
}

/// Writes bounds as hexadecimal digits of their binary form, as clients expect.
fn push_bounds(out: &mut Vec<u8>, name: &str, bounds: Option<Bounds<'_>>, ids: &[i32]) {
    let Some(bounds) = bounds else { return };
    let bounds: Vec<_> = bounds.filter(|(id, _)| ids.contains(id)).collect();
    push_map(out, name, &bounds, push_hex);
}

fn push_map<T: Copy>(out: &mut Vec<u8>, name: &str, items: &[(i32, T)], push: impl Fn(&mut Vec<u8>, T)) {
    push_name(out, name);
    out.extend_from_slice(b"{\"keys\":[");
    for (number, (id, _)) in items.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        push_number(out, id);
    }
    out.extend_from_slice(b"],\"values\":[");
    for (number, (_, value)) in items.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        push(out, *value);
    }
    out.extend_from_slice(b"]}");
}

fn push_field(out: &mut Vec<u8>, name: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        push_name(out, name);
        push_number(out, value);
    }
}

fn push_list(out: &mut Vec<u8>, name: &str, items: Option<impl Iterator<Item = i64>>) {
    let Some(items) = items else { return };
    push_name(out, name);
    out.push(b'[');
    for (number, item) in items.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        push_number(out, item);
    }
    out.push(b']');
}

/// Writes the name of a field that is not the first one.
fn push_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    // A string can always be serialised, and writing to memory does not fail.
    drop(serde_json::to_writer(out, text));
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        let digit = |half: u8| HEX[usize::from(half & 0xf)];
        out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
    out.push(b'"');
}
