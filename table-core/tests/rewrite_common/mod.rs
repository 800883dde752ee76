//! Live files of a table, written down shortly.

#![allow(dead_code, reason = "every test binary uses another part")]

use table_core::expr::value::Value;
use table_core::manifest::entry::FileContent;
use table_core::manifest::partition::PartitionTuple;
use table_core::rewrite::compact::PlannedTable;
use table_core::rewrite::live::{LiveDelete, LiveFile, LiveFiles};

/// The partition of a name.
pub(crate) fn partition(name: &str) -> PartitionTuple {
    vec![Some(Value::String(name.to_owned()))]
}

/// A table whose partition `hot` is left alone.
pub(crate) fn table() -> PlannedTable {
    PlannedTable {
        snapshot_id: 7,
        sequence_number: 5,
        bytes: 1000,
        output_spec_id: 1,
        settled_sequence_number: 1,
        active_partitions: [(1, [partition("hot")].into())].into(),
        unreadable: [].into(),
    }
}

/// As [`files`], by another name where tests call the files of a plan that.
pub(crate) fn live(text: &str) -> LiveFiles {
    files(text)
}

/// Files such as `p/a:40`: the file `p/a` of partition `p`, with 100 rows in 40 bytes. Behind it may stand
/// `-30`: a deletion vector of 30 rows; or `~30`: an equality delete file with 30 values. Partitions that
/// begin with `old` are of spec 0, others of spec 1. A file whose name begins with `orc` is one, and one that
/// begins with `encrypted` is encrypted.
pub(crate) fn files(text: &str) -> LiveFiles {
    let mut live = LiveFiles::default();
    for word in text.split_whitespace() {
        let (path, numbers) = word.split_once(':').unwrap();
        let (name, file) = path.split_once('/').unwrap();
        let spec_id = i32::from(!name.starts_with("old"));
        let at = numbers.find(['-', '~']).unwrap_or(numbers.len());
        let mut deletes = Vec::new();
        if let Ok(rows) = numbers[at..].trim_start_matches(['-', '~']).parse() {
            deletes.push(live.deletes.len());
            let vector = numbers[at..].starts_with('-').then_some(path);
            live.deletes.push(LiveDelete {
                spec_id,
                partition: partition(name),
                ..delete(word, vector, rows)
            });
        }
        live.files.push(LiveFile {
            path: path.to_owned(),
            format: if file.starts_with("orc") { "ORC" } else { "PARQUET" }.to_owned(),
            size_bytes: numbers[..at].parse().unwrap(),
            record_count: 100,
            spec_id,
            partition: partition(name),
            sequence_number: 1,
            first_row_id: None,
            row_groups: 1,
            is_encrypted: file.starts_with("encrypted"),
            deletes,
        });
    }
    live
}

/// A deletion vector if it is for one file, and an equality delete if not.
pub(crate) fn delete(path: &str, data_file: Option<&str>, rows: i64) -> LiveDelete {
    let (content, format) = match data_file {
        Some(_) => (FileContent::PositionDeletes, "PUFFIN"),
        None => (FileContent::EqualityDeletes, "PARQUET"),
    };
    LiveDelete {
        content,
        path: path.to_owned(),
        format: format.to_owned(),
        size_bytes: 1000,
        record_count: rows,
        spec_id: 1,
        partition: Vec::new(),
        sequence_number: 2,
        data_file: data_file.map(str::to_owned),
        content_offset: data_file.map(|_| 4),
        content_size_bytes: data_file.map(|_| 40),
        equality_ids: if data_file.is_none() { vec![1] } else { Vec::new() },
    }
}
