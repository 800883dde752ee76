//! Long values that a file says in short: batches are as large as what they hold, not as what the file holds.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int32Array, ListArray, RecordBatch, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Encoding;
use parquet::file::properties::{WriterProperties, WriterVersion};
use serde_json::json;
use table_core::file::batch_bytes::{bytes_of, pieces};
use table_core::file::parquet_reader::FileReader;
use table_core::file::parquet_reader::context::FileContext;
use table_core::metadata::types::StructType;

use crate::common::columns;

/// What a batch takes that is as large as planned.
const BATCH_BYTES: u64 = 65 << 20;
const LONG: usize = 300_000;
const ROWS: usize = 8192;

fn text(length: usize) -> String {
    "firn".repeat(length / 4)
}

/// A file with a column `c` of these arrays.
fn file(properties: &WriterProperties, arrays: impl Iterator<Item = ArrayRef>) -> Bytes {
    let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
    for array in arrays {
        let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
        let writer = writer.get_or_insert_with(|| {
            ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties.clone())).unwrap()
        });
        writer.write(&RecordBatch::try_new(schema, vec![array]).unwrap()).unwrap();
    }
    writer.unwrap().into_inner().unwrap().into()
}

/// `ROWS` rows of one long text in batches of 64.
fn one_text() -> impl Iterator<Item = ArrayRef> {
    let text = text(LONG);
    let array: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); 64]));
    std::iter::repeat_n(array, ROWS / 64)
}

/// How many rows there are, and how many bytes the largest batch takes.
fn read(file: &Bytes, wanted: &StructType) -> (usize, u64) {
    let reader = FileReader::open(file, wanted, FileContext::new("")).unwrap();
    let (mut rows, mut largest) = (0, 0);
    for batch in reader.read(file) {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        largest = largest.max(bytes_of(&batch));
    }
    (rows, largest)
}

fn check(properties: &WriterProperties) {
    let file = file(properties, one_text());
    assert!(file.len() < 50 << 20, "{} bytes are not short", file.len());
    let wanted = columns(&json!([{"id": 1, "name": "c", "required": false, "type": "string"}]));
    let (rows, largest) = read(&file, &wanted);
    assert_eq!(rows, ROWS);
    assert!(largest <= BATCH_BYTES, "a batch takes {largest} bytes");
}

#[test]
fn a_dictionary_is_counted_as_often_as_it_is_used() {
    check(&WriterProperties::builder().set_dictionary_page_size_limit(4 << 20).build());
}

#[test]
fn texts_that_begin_alike_are_counted_whole() {
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let builder = WriterProperties::builder().set_dictionary_enabled(false).set_writer_version(version);
        check(&builder.set_encoding(Encoding::DELTA_BYTE_ARRAY).build());
    }
}

#[test]
fn rows_with_many_values_are_read_with_fewer_at_a_time() {
    // Long texts stand in the last rows alone, where on average there are few.
    let text = text(LONG);
    let list = |row: usize| {
        let values = StringArray::from(vec![text.as_str(); if row % 16 == 15 { 1024 } else { 1 }]);
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        Arc::new(ListArray::new(item, offsets, Arc::new(values), None)) as ArrayRef
    };
    let properties = WriterProperties::builder().set_dictionary_page_size_limit(4 << 20).build();
    let file = file(&properties, (0..32).map(list));
    let list = json!({"type": "list", "element-id": 2, "element-required": false, "element": "string"});
    let wanted = columns(&json!([{"id": 1, "name": "c", "required": false, "type": list}]));
    let mapping = r#"[{"field-id": 1, "names": ["c"], "fields": [{"field-id": 2, "names": ["element"]}]}]"#;
    let mut context = FileContext::new("");
    context.name_mapping =
        Some(table_core::file::parquet_reader::name_mapping::NameMapping::parse(mapping).unwrap());
    let reader = FileReader::open(&file, &wanted, context).unwrap();
    let rows: usize = reader.read(&file).map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 32);
}

#[test]
fn a_batch_is_cut_into_pieces_of_a_size() {
    let texts: StringArray = (0..100).map(|row| Some("x".repeat(10 * row))).collect();
    let schema =
        Schema::new(vec![Field::new("c", DataType::Utf8, true), Field::new("n", DataType::Int32, true)]);
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..100));
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts), numbers]).unwrap();
    assert!(bytes_of(&batch) > 49_500);
    let cut = pieces(&batch, 2_000);
    assert!(cut.iter().all(|piece| bytes_of(piece) <= 2_000 && piece.num_rows() > 0));
    let rows: Vec<RecordBatch> =
        cut.iter().flat_map(|piece| (0..piece.num_rows()).map(|row| piece.slice(row, 1))).collect();
    assert_eq!(rows, (0..100).map(|row| batch.slice(row, 1)).collect::<Vec<_>>());
    assert_eq!(pieces(&batch, 1).len(), 100);
    assert_eq!(pieces(&batch, u64::MAX).len(), 1);
}
