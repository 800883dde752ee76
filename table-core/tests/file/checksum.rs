//! The checksum of rows: the same for the same rows however they are cut, and another one for any others.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Float32Array, Float64Array, Int32Array, LargeStringArray, ListArray, RecordBatch, StringArray,
    StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field as ArrowField};
use proptest::prelude::*;
use table_core::file::checksum::{Order, RowChecksum};
use table_core::metadata::types::{StructType, Type};

use crate::common::refuse;
use crate::model::{Cell, Row, to_batch};
use crate::random::{Maker, Random};

fn checksum(order: Order, batches: &[RecordBatch]) -> RowChecksum {
    let mut checksum = RowChecksum::new(order);
    for batch in batches {
        checksum.add(batch).unwrap();
    }
    assert_eq!(checksum.rows(), batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
    checksum
}

fn of_arrays(arrays: Vec<(&str, ArrayRef)>) -> u128 {
    checksum(Order::Retained, &[RecordBatch::try_from_iter(arrays).unwrap()]).finish()
}

fn of_array(array: impl arrow_array::Array + 'static) -> u128 {
    of_arrays(vec![("a", Arc::new(array))])
}

fn all_differ(checksums: &[u128]) {
    for (at, checksum) in checksums.iter().enumerate() {
        assert!(!checksums[..at].contains(checksum), "{at}");
    }
}

/// Changes a cell a little, or not at all: some part of it becomes that of another cell.
fn graft(cell: &mut Cell, other: &Cell, random: &mut Random) {
    match (cell, other) {
        (Cell::Struct(parts), Cell::Struct(others)) if !random.one_in(4) => {
            let at = random.below(parts.len());
            let (id, part) = parts.iter_mut().nth(at).unwrap();
            graft(part, &others[id], random);
        }
        (Cell::List(elements), Cell::List(others)) if !elements.is_empty() && !random.one_in(4) => {
            let at = random.below(elements.len());
            match (random.below(4), others.first()) {
                (0, _) => {
                    elements.remove(at);
                }
                (1, Some(other)) => elements.insert(at, other.clone()),
                (2, _) => elements.swap(0, at),
                (_, other) => graft(&mut elements[at], other.unwrap_or(&Cell::Null), random),
            }
        }
        (Cell::Map(entries), Cell::Map(others)) if !entries.is_empty() && !random.one_in(4) => {
            let at = random.below(entries.len());
            match others.first() {
                Some((_, other)) => graft(&mut entries[at].1, other, random),
                None => {
                    entries.remove(at);
                }
            }
        }
        (cell, other) => *cell = other.clone(),
    }
}

fn changed(rows: &[Row], columns: &StructType, maker: &mut Maker) -> Vec<Row> {
    let mut rows = rows.to_vec();
    let (one, two) = (maker.random.below(rows.len()), maker.random.below(rows.len()));
    match maker.random.below(8) {
        0 => {}
        1 => rows.swap(one, two),
        2 => {
            rows.remove(one);
        }
        3 => rows[one] = rows[two].clone(),
        4 => rows.rotate_left(one),
        _ => {
            let field = &columns.fields[maker.random.below(columns.fields.len())];
            let others = maker.rows(columns, 1);
            graft(rows[one].get_mut(&field.id).unwrap(), &others[0][&field.id], &mut maker.random);
        }
    }
    rows
}

/// The columns without those that are required: changes put nulls anywhere.
fn nullable(columns: &StructType) -> StructType {
    fn relax(field_type: &Type) -> Type {
        match field_type {
            Type::Struct(parts) => Type::Struct(nullable(parts)),
            Type::List(list) => {
                let mut list = list.clone();
                list.element.required = false;
                list.element.field_type = relax(&list.element.field_type);
                Type::List(list)
            }
            Type::Map(map) => {
                let mut map = map.clone();
                map.value.required = false;
                map.value.field_type = relax(&map.value.field_type);
                Type::Map(map)
            }
            other => other.clone(),
        }
    }
    let mut columns = columns.clone();
    for field in &mut columns.fields {
        field.required = false;
        field.field_type = relax(&field.field_type);
    }
    columns
}

fn cut(rows: &[Row], columns: &StructType, random: &mut Random) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let (taken, left) = rest.split_at(1 + random.below(rest.len()));
        let whole = to_batch(taken, columns);
        let border = random.below(taken.len() + 1);
        batches.extend([whole.slice(0, border), whole.slice(border, taken.len() - border)]);
        rest = left;
    }
    batches
}

fn same_rows(left: &[Row], right: &[Row]) -> bool {
    let count = |rows: &[Row], row: &Row| rows.iter().filter(|other| *other == row).count();
    left.len() == right.len() && left.iter().all(|row| count(left, row) == count(right, row))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn checksums_are_equal_if_and_only_if_the_rows_are(seed in any::<u64>()) {
        let mut maker = Maker::new(seed);
        let columns = nullable(&maker.columns());
        let count = 1 + maker.random.below(12);
        let before = maker.rows(&columns, count);
        for _ in 0..4 {
            let after = changed(&before, &columns, &mut maker);
            let before_cut = cut(&before, &columns, &mut maker.random);
            let after_cut = cut(&after, &columns, &mut maker.random);
            let are_equal = |order| checksum(order, &before_cut) == checksum(order, &after_cut);
            prop_assert_eq!(are_equal(Order::Retained), before == after);
            prop_assert_eq!(are_equal(Order::Any), same_rows(&before, &after));
        }
    }
}

#[test]
fn every_bit_of_a_number_counts() {
    let ones = (0..32).map(|bit| of_array(Int32Array::from(vec![7, 1 << bit, 9])));
    let zero = of_array(Int32Array::from(vec![7, 0, 9]));
    all_differ(&ones.chain([zero]).collect::<Vec<_>>());
    let wide = (0..128).map(|bit| of_array(arrow_array::Decimal128Array::from(vec![1_i128 << bit])));
    all_differ(&wide.collect::<Vec<_>>());
}

#[test]
fn every_byte_of_a_text_counts() {
    let texts = (0..300).flat_map(|length| {
        let text = |last: &str| format!("{}{last}", "x".repeat(length));
        [text("y"), text("z"), text("\0")]
    });
    all_differ(&texts.map(|text| of_array(StringArray::from(vec![text]))).collect::<Vec<_>>());
}

#[test]
fn a_null_is_neither_zero_nor_empty() {
    let numbers = |value: Option<i32>| of_array(Int32Array::from(vec![value]));
    let texts = |value: Option<&str>| of_array(StringArray::from(vec![value]));
    let lists = |value| of_array(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![value]));
    all_differ(&[numbers(None), numbers(Some(0)), numbers(Some(-1))]);
    all_differ(&[texts(None), texts(Some("")), texts(Some("\0"))]);
    all_differ(&[lists(None), lists(Some(vec![])), lists(Some(vec![None])), lists(Some(vec![None, None]))]);
    let part = Arc::new(ArrowField::new("x", DataType::Int32, true));
    let parts = |is_valid: bool| {
        let part_array: ArrayRef = Arc::new(Int32Array::from(vec![None]));
        of_array(StructArray::new(
            vec![part.clone()].into(),
            vec![part_array],
            Some(NullBuffer::from(vec![is_valid])),
        ))
    };
    all_differ(&[parts(true), parts(false)]);
}

#[test]
fn where_lists_begin_and_end_counts() {
    let lists = |lists: [&[i32]; 3]| {
        let lists = lists.map(|list| Some(list.iter().copied().map(Some).collect::<Vec<_>>()));
        of_array(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))
    };
    all_differ(&[
        lists([&[1, 2], &[3], &[]]),
        lists([&[1], &[2, 3], &[]]),
        lists([&[1, 2, 3], &[], &[]]),
        lists([&[], &[1, 2, 3], &[]]),
        lists([&[1], &[2], &[3]]),
        lists([&[2, 1], &[3], &[]]),
    ]);
}

#[test]
fn what_lies_under_a_null_does_not_count() {
    let nulls = || Some(NullBuffer::from(vec![true, false, true]));
    let numbers = |under| Int32Array::new(ScalarBuffer::from(vec![1, under, 3]), nulls());
    assert_eq!(of_array(numbers(0)), of_array(numbers(99)));

    let part = Arc::new(ArrowField::new("x", DataType::Int32, false));
    let structs = |under| {
        let values: ArrayRef = Arc::new(Int32Array::from(vec![1, under, 3]));
        StructArray::new(vec![part.clone()].into(), vec![values], nulls())
    };
    assert_eq!(of_array(structs(0)), of_array(structs(99)));

    let lists = |borders: Vec<i32>, values: Vec<i32>| {
        let element = Arc::new(ArrowField::new("element", DataType::Int32, false));
        let values: ArrayRef = Arc::new(Int32Array::from(values));
        ListArray::new(element, OffsetBuffer::new(borders.into()), values, nulls())
    };
    let plain = of_array(lists(vec![0, 1, 1, 2], vec![1, 3]));
    assert_eq!(of_array(lists(vec![0, 1, 3, 4], vec![1, 8, 9, 3])), plain);
    // Nor does what no list has.
    assert_eq!(of_array(lists(vec![1, 2, 2, 3], vec![7, 1, 3, 7])), plain);
}

#[test]
fn every_nan_is_the_same_and_the_zeros_are_not() {
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    assert_eq!(of_array(Float64Array::from(vec![f64::NAN])), of_array(Float64Array::from(vec![-other_nan])));
    all_differ(&[0.0, -0.0, f64::NAN, 1.0].map(|value| of_array(Float64Array::from(vec![value]))));
    let other_nan = f32::from_bits(f32::NAN.to_bits() | 1);
    assert_eq!(of_array(Float32Array::from(vec![f32::NAN])), of_array(Float32Array::from(vec![-other_nan])));
    all_differ(&[0.0, -0.0, f32::NAN, 1.0].map(|value| of_array(Float32Array::from(vec![value]))));
}

#[test]
fn the_order_of_columns_counts() {
    let array = |value| -> ArrayRef { Arc::new(Int32Array::from(vec![value])) };
    all_differ(&[
        of_arrays(vec![("a", array(1)), ("b", array(2))]),
        of_arrays(vec![("a", array(2)), ("b", array(1))]),
    ]);
    assert_eq!(of_arrays(vec![("a", array(1))]), of_arrays(vec![("b", array(1))]));
}

#[test]
fn repeated_rows_do_not_cancel_out() {
    for order in [Order::Any, Order::Retained] {
        let of = |values: &[i32]| {
            let array: ArrayRef = Arc::new(Int32Array::from(values.to_vec()));
            checksum(order, &[RecordBatch::try_from_iter([("a", array)]).unwrap()]).finish()
        };
        all_differ(&[of(&[]), of(&[1]), of(&[1, 1]), of(&[1, 1, 1]), of(&[1, 1, 2]), of(&[1, 2, 2])]);
    }
}

#[test]
fn a_type_that_no_table_has_is_refused() {
    let array: ArrayRef = Arc::new(LargeStringArray::from(vec!["a"]));
    let batch = RecordBatch::try_from_iter([("a", array)]).unwrap();
    refuse(RowChecksum::new(Order::Any).add(&batch), "are not supported");
}
