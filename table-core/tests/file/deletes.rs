//! Position deletes: what is written is read. Deletes by value are [`super::deleted_keys`].

use bytes::Bytes;
use roaring::RoaringTreemap;
use serde_json::json;
use table_core::expr::value::Value;
use table_core::file::parquet_reader::FileReader;
use table_core::file::parquet_reader::context::FileContext;
use table_core::file::parquet_writer::WrittenFile;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::position_deletes::PositionDeletes;
use table_core::metadata::reserved;

use crate::common::{full, properties, read, refuse, schema, schema_of, write};
use crate::model::{Cell, Row};

fn deletes(files: &[(&str, &[u64])]) -> PositionDeletes {
    let by_path =
        files.iter().map(|(path, positions)| ((*path).to_owned(), positions.iter().copied().collect()));
    PositionDeletes { by_path: by_path.collect() }
}

fn written(deletes: &PositionDeletes) -> (Bytes, WrittenFile) {
    let options = WriterOptions::of_position_deletes(&properties(&json!({})));
    let (bytes, file) = deletes.write(Vec::new(), &options).unwrap();
    (bytes.into(), file)
}

#[test]
fn position_deletes_are_written_in_order_with_full_bounds() {
    let long = format!("s3://bucket/{}", "x".repeat(200));
    let all = deletes(&[("s3://b/b", &[7, 5_000_000_000]), (&long, &[0, 3])]);
    let (bytes, file) = written(&all);
    assert_eq!(file.record_count, 4);
    let (path, position) = (reserved::DELETE_FILE_PATH, reserved::DELETE_POSITION);
    assert_eq!(file.metrics.lower_bounds[&path], b"s3://b/b");
    assert_eq!(file.metrics.upper_bounds[&path], long.as_bytes());
    assert_eq!(file.metrics.lower_bounds[&position], 0_i64.to_le_bytes());
    assert_eq!(file.metrics.upper_bounds[&position], 5_000_000_000_i64.to_le_bytes());
    let rows = read(&bytes, &PositionDeletes::columns()).unwrap();
    let positions = rows.iter().map(|row| row[&position].clone()).collect::<Vec<_>>();
    assert_eq!(positions, [7, 5_000_000_000, 0, 3].map(|value| Cell::Value(Value::Long(value))));
    let mut again = PositionDeletes::default();
    again.read(&bytes).unwrap();
    assert_eq!(again, all);
}

#[test]
fn deletes_of_other_files_are_left_alone() {
    let (bytes, _) = written(&deletes(&[("a", &[1]), ("b", &[2]), ("c", &[3])]));
    let reader = FileReader::open(&bytes, &PositionDeletes::columns(), FileContext::new("")).unwrap();
    let mut found = deletes(&[("b", &[9])]);
    for batch in reader.read(&bytes) {
        found.add(&batch.unwrap(), |path| path == "b").unwrap();
    }
    assert_eq!(found, deletes(&[("b", &[2, 9])]));
}

#[test]
fn deletes_are_for_some_files_alone_or_not() {
    let (bytes, _) = written(&deletes(&[("a", &[1]), ("b", &[2, 3])]));
    let are_all_for = |files: &[&str], rows_max| {
        PositionDeletes::are_all_for(&bytes, |path| files.contains(&path), rows_max).unwrap()
    };
    assert!(are_all_for(&["a", "b", "c"], 3));
    assert!(!are_all_for(&["a", "b", "c"], 2), "no more is read");
    assert!(!are_all_for(&["a"], 3) && !are_all_for(&["b"], 3) && !are_all_for(&[], 3));
    let other = schema(&json!([{"id": 1, "name": "file_path", "required": true, "type": "string"}]));
    let row = Row::from([(1, Cell::Value(Value::String("a".to_owned())))]);
    let (bytes, _) = write(&other, &full(&other), &[&[row]]).unwrap();
    assert!(PositionDeletes::are_all_for(&bytes, |_| true, 9).is_err());
}

#[test]
fn a_position_below_zero_is_refused() {
    let schema = schema_of(&PositionDeletes::columns());
    let row = Row::from([
        (reserved::DELETE_FILE_PATH, Cell::Value(Value::String("a".to_owned()))),
        (reserved::DELETE_POSITION, Cell::Value(Value::Long(-1))),
    ]);
    let (bytes, _) = write(&schema, &full(&schema), &[&[row]]).unwrap();
    refuse(PositionDeletes::default().read(&bytes), "-1 is not a position");
}

#[test]
fn row_groups_without_rows_are_not_read() {
    let schema = schema(&json!([{"id": 1, "name": "c", "required": true, "type": "long"}]));
    let rows: Vec<Row> = (0..100).map(|value| Row::from([(1, Cell::Value(Value::Long(value)))])).collect();
    let options = WriterOptions { row_group_bytes: 1, ..full(&schema) };
    let halves: Vec<&[Row]> = rows.chunks(10).collect();
    let (bytes, file) = write(&schema, &options, &halves).unwrap();
    assert_eq!(file.split_offsets.len(), 10);
    assert_eq!(file.split_offsets[0], 4);
    let context = FileContext { deleted: (10..95).collect::<RoaringTreemap>(), ..FileContext::new("") };
    let reader = FileReader::open(&bytes, &schema.columns().unwrap().root, context).unwrap();
    assert_eq!(reader.row_groups().collect::<Vec<_>>(), [0, 9]);
    assert_eq!(reader.read(&bytes).map(|batch| batch.unwrap().num_rows()).collect::<Vec<_>>(), [10, 5]);
}
