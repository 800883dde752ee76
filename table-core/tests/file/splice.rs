//! Files put together from others: the rows of all of them in order, each with its lineage, and metrics that
//! hold.

use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use proptest::prelude::*;
use serde_json::json;
use table_core::expr::value::Value;
use table_core::file::error::FileError;
use table_core::file::footer;
use table_core::file::parquet_reader::context::FileContext;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::splice::metrics::merge;
use table_core::file::splice::{Lineage, Splice, SplicedFile, check, is_alike, range};
use table_core::manifest::data_file::ColumnMetrics;
use table_core::metadata::reserved;
use table_core::metadata::schema::Schema;
use table_core::metadata::types::StructType;

use crate::common::{full, options, read, refuse, schema, schema_of, write};
use crate::model::{Cell, Row};
use crate::random::Maker;

fn metadata(file: &Bytes) -> Arc<ParquetMetaData> {
    Arc::new(footer::with_page_index(footer::read(file).unwrap(), file).unwrap())
}

fn splice(files: &[(Bytes, FileContext)], lineage: Lineage) -> Result<(Bytes, SplicedFile), FileError> {
    let all: Vec<_> = files.iter().map(|(file, _)| metadata(file)).collect();
    let one = schema(&json!([{"id": 1, "name": "c", "required": true, "type": "int"}]));
    let mut output = Splice::new(Vec::new(), &all[0], &options(&json!({}), &one), lineage)?;
    for (metadata, (file, context)) in all.iter().zip(files) {
        for group in 0..metadata.num_row_groups() {
            let range = range(metadata, group)?;
            let bytes =
                file.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
            output.append(metadata, group, bytes, context)?;
        }
    }
    let (bytes, file) = output.finish()?;
    assert_eq!(i64::try_from(bytes.len()).unwrap(), file.size_bytes);
    Ok((bytes.into(), file))
}

fn plain(file: &Bytes) -> (Bytes, FileContext) {
    (file.clone(), FileContext::new(""))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spliced_file_holds_the_rows_of_its_parts(seed in any::<u64>()) {
        let mut maker = Maker::new(seed);
        let columns = maker.columns();
        let schema = schema_of(&columns);
        let (mut files, mut rows, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..=maker.random.below(3) {
            let count = 1 + maker.random.below(30);
            let part = maker.rows(&columns, count);
            let options = WriterOptions { row_group_bytes: 1 + maker.random.below(3000), page_rows: 5, ..full(&schema) };
            let (file, written) = write(&schema, &options, &[&part]).unwrap();
            files.push(plain(&file));
            parts.push(written.metrics);
            rows.extend(part);
        }
        let (file, spliced) = splice(&files, Lineage::None).unwrap();
        prop_assert_eq!(spliced.record_count, i64::try_from(rows.len()).unwrap());
        prop_assert_eq!(&read(&file, &columns).unwrap(), &rows);
        let entries = |file| metadata(file).file_metadata().key_value_metadata().cloned();
        prop_assert_eq!(entries(&file), entries(&files[0].0));
        let mut pages = files.iter().flat_map(|(file, _)| metadata(file).column_index().cloned().unwrap());
        prop_assert!(metadata(&file).column_index().unwrap().iter().cloned().eq(pages.by_ref()));
        // As if all rows had been written to one file, but for its size.
        let merged = merge(&parts.iter().collect::<Vec<_>>(), schema.columns().unwrap()).unwrap();
        let whole = write(&schema, &full(&schema), &[&rows]).unwrap().1.metrics;
        prop_assert_eq!(ColumnMetrics { column_sizes: whole.column_sizes.clone(), ..merged }, whole);
    }
}

fn numbers() -> Schema {
    schema(&json!([{"id": 1, "name": "c", "required": true, "type": "int"}]))
}

fn with_lineage() -> Schema {
    let mut columns = numbers().columns().unwrap().root.clone();
    columns.fields.extend([reserved::row_id(), reserved::last_updated_sequence_number()]);
    schema_of(&columns)
}

fn long(value: Option<i64>) -> Cell {
    value.map_or(Cell::Null, |value| Cell::Value(Value::Long(value)))
}

fn row(number: i32, row_id: Option<i64>, sequence: Option<i64>) -> Row {
    let (first, second) = (reserved::ROW_ID, reserved::LAST_UPDATED_SEQUENCE_NUMBER);
    Row::from([(1, Cell::Value(Value::Int(number))), (first, long(row_id)), (second, long(sequence))])
}

#[test]
fn rows_keep_their_lineage() {
    let plain_rows: Vec<Row> = (0..3).map(|number| row(number, None, None)).collect();
    let bare: Vec<Row> = plain_rows.iter().map(|row| Row::from([(1, row[&1].clone())])).collect();
    let small = WriterOptions { row_group_bytes: 1, ..full(&numbers()) };
    let (new, _) = write(&numbers(), &small, &[&bare[..2], &bare[2..]]).unwrap();
    let moved = [row(7, Some(50), Some(2)), row(8, None, None)];
    let (old, _) = write(&with_lineage(), &full(&with_lineage()), &[&moved]).unwrap();
    assert!(is_alike(&metadata(&new), &metadata(&old)));
    let context = |first, sequence| FileContext {
        first_row_id: first,
        sequence_number: Some(sequence),
        ..FileContext::new("")
    };
    let files =
        [(new, context(Some(100), 5)), (old.clone(), context(Some(200), 6)), (old.clone(), context(None, 7))];
    let (file, _) = splice(&files, Lineage::Retained).unwrap();
    let columns: StructType = with_lineage().columns().unwrap().root.clone();
    let expected = [
        row(0, Some(100), Some(5)),
        row(1, Some(101), Some(5)),
        row(2, Some(102), Some(5)),
        row(7, Some(50), Some(2)),
        row(8, Some(201), Some(6)),
        row(7, Some(50), Some(2)),
        row(8, None, Some(7)),
    ];
    assert_eq!(read(&file, &columns).unwrap(), expected);
    refuse(splice(&[plain(&old)], Lineage::None), "row ids of the file would be lost");
}

#[test]
fn files_with_and_without_an_index_of_their_pages_are_kept_apart() {
    let int = |value| Row::from([(1, Cell::Value(Value::Int(value)))]);
    let (file, _) = write(&numbers(), &full(&numbers()), &[&[int(1)]]).unwrap();
    let indexed = metadata(&file);
    let bare = Arc::new(footer::read(&file).unwrap());
    assert!(!is_alike(&indexed, &bare));
    let range = range(&bare, 0).unwrap();
    let bytes = file.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
    let put_together = |first: &Arc<ParquetMetaData>, second: &Arc<ParquetMetaData>| {
        let options = options(&json!({}), &numbers());
        let mut output = Splice::new(Vec::new(), first, &options, Lineage::Retained)?;
        output.append(first, 0, bytes.clone(), &FileContext::new(""))?;
        output.append(second, 0, bytes.clone(), &FileContext::new(""))?;
        output.finish().map(|(bytes, _)| Bytes::from(bytes))
    };
    refuse(put_together(&indexed, &bare), "no index of its pages");
    for (first, second) in [(&bare, &indexed), (&indexed, &indexed)] {
        let file = put_together(first, second).unwrap();
        assert_eq!(read(&file, &numbers().columns().unwrap().root).unwrap(), [int(1), int(1)]);
        assert!(is_alike(&metadata(&file), first));
    }
}

#[test]
fn what_would_lose_something_is_refused() {
    let int = |value| Row::from([(1, Cell::Value(Value::Int(value)))]);
    let write_as = |schema: &Schema, table| write(schema, &options(&table, schema), &[&[int(1)]]).unwrap().0;
    let renamed = schema(&json!([{"id": 1, "name": "d", "required": true, "type": "int"}]));
    let (file, other) = (write_as(&numbers(), json!({})), write_as(&renamed, json!({})));
    assert!(!is_alike(&metadata(&file), &metadata(&other)));
    refuse(splice(&[plain(&file), plain(&other)], Lineage::None), "same columns");
    let filtered = write_as(&numbers(), json!({"write.parquet.bloom-filter-enabled.column.c": "true"}));
    refuse(check(&metadata(&filtered)), "bloom filters");
    let deleted = FileContext { deleted: [0].into_iter().collect(), ..FileContext::new("") };
    refuse(splice(&[(file.clone(), deleted)], Lineage::None), "only whole files");
    let options = options(&json!({}), &numbers());
    let mut output = Splice::new(Vec::new(), &metadata(&file), &options, Lineage::None).unwrap();
    refuse(
        output.append(&metadata(&file), 0, file.clone(), &FileContext::new("")),
        "not those of the row group",
    );
    refuse(output.append(&metadata(&file), 1, file, &FileContext::new("")), "row group does not exist");
}

#[test]
fn what_is_not_known_of_a_part_is_not_known_of_the_whole() {
    let schema = schema(&json!([{"id": 1, "name": "c", "required": false, "type": "long"}]));
    let part = |values, nulls, bounds: Option<(&[u8], &[u8])>| ColumnMetrics {
        value_counts: [(1, values)].into(),
        null_value_counts: [(1, nulls)].into(),
        lower_bounds: bounds.iter().map(|(lower, _)| (1, lower.to_vec())).collect(),
        upper_bounds: bounds.iter().map(|(_, upper)| (1, upper.to_vec())).collect(),
        ..ColumnMetrics::default()
    };
    // A bound from before the column was promoted has four bytes.
    let (seven, minus_two) = (7_i32.to_le_bytes(), (-2_i64).to_le_bytes());
    let bounded = part(5, 1, Some((&seven, &seven)));
    let lower = part(3, 0, Some((&minus_two, &minus_two)));
    let columns = schema.columns().unwrap();
    let merged = merge(&[&bounded, &lower, &part(2, 2, None)], columns).unwrap();
    assert_eq!((merged.value_counts[&1], merged.null_value_counts[&1]), (10, 3));
    assert_eq!(merged.lower_bounds[&1], minus_two);
    assert_eq!(merged.upper_bounds[&1], 7_i64.to_le_bytes());
    let unknown = merge(&[&bounded, &part(2, 1, None)], columns).unwrap();
    assert!(unknown.lower_bounds.is_empty() && unknown.upper_bounds.is_empty());
    let nothing = merge(&[&bounded, &ColumnMetrics::default()], columns).unwrap();
    assert_eq!(nothing, ColumnMetrics::default());
}
