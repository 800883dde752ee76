//! Equality deletes by fingerprint: the same rows are deleted as by comparing values, whatever the number of
//! passes.

use arrow_array::Array;
use proptest::prelude::*;
use serde_json::json;
use table_core::expr::value::Value;
use table_core::file::deleted_keys::{DeletedKeys, KeyPart};
use table_core::metadata::schema::Field;
use table_core::metadata::types::{StructType, Type};

use crate::common::{columns, refuse};
use crate::model::{Cell, Row, to_batch};
use crate::random::{Maker, Random};

const HASH_KEY: (u64, u64) = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);

fn whole(field_ids: Vec<i32>) -> DeletedKeys {
    DeletedKeys::new(field_ids, HASH_KEY, KeyPart::WHOLE)
}

fn numbers(from: i64, to: i64) -> Vec<Row> {
    (from..to).map(|value| Row::from([(1, Cell::Value(Value::Long(value)))])).collect()
}

fn one_column() -> StructType {
    columns(&json!([{"id": 1, "name": "c", "required": false, "type": "long"}]))
}

/// The rows of a batch that are deleted.
fn deleted(keys: &DeletedKeys, rows: &[Row], columns: &StructType, sequence_number: i64) -> Vec<bool> {
    let found = keys.deleted(&to_batch(rows, columns), sequence_number).unwrap();
    assert_eq!(found.nulls(), None);
    found.values().iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_deleted_is_what_the_values_and_numbers_say(seed in any::<u64>(), count in 1_u32..5) {
        let mut maker = Maker::new(seed);
        let columns = maker.columns();
        let rows = maker.rows(&columns, 40);
        let is_deletable = |field: &&Field| matches!(field.field_type, Type::Primitive(_));
        let compared: Vec<Field> = columns.fields.iter().filter(is_deletable).cloned().collect();
        let compared = compared[maker.random.below(compared.len())..].to_vec();
        let compared = StructType { fields: compared, other: Vec::new() };
        let ids: Vec<i32> = compared.fields.iter().map(|field| field.id).collect();
        let key = |row: &Row| -> Row { ids.iter().map(|id| (*id, row[id].clone())).collect() };
        let made = maker.rows(&compared, 4);
        let gone: Vec<(Row, i64)> = rows.iter().take(8).map(key).chain(made)
            .map(|row| (row, i64::try_from(maker.random.below(5)).unwrap())).collect();

        let parts = (0..count).map(|number| {
            let mut keys = DeletedKeys::new(ids.clone(), HASH_KEY, KeyPart { number, count });
            for (row, sequence_number) in &gone {
                keys.add(&to_batch(std::slice::from_ref(row), &compared), *sequence_number).unwrap();
            }
            keys
        });
        let parts: Vec<DeletedKeys> = parts.collect();
        let distinct = gone.iter().enumerate().filter(|(at, (row, _))| !gone[..*at].iter().any(|(other, _)| other == row));
        prop_assert_eq!(parts.iter().map(DeletedKeys::len).sum::<usize>(), distinct.count());

        for sequence_number in 0..5 {
            let expected: Vec<bool> = rows.iter()
                .map(|row| gone.iter().any(|(gone, number)| *number > sequence_number && *gone == key(row))).collect();
            let mut together = vec![false; rows.len()];
            for part in &parts {
                let found = deleted(part, &rows, &columns, sequence_number);
                for (is_deleted, is_here) in together.iter_mut().zip(found) {
                    prop_assert!(!(*is_deleted && is_here), "a row is of one part alone");
                    *is_deleted |= is_here;
                }
            }
            prop_assert_eq!(together, expected);
        }
    }
}

#[test]
fn a_delete_takes_rows_that_are_older_and_no_others() {
    let columns = one_column();
    let mut keys = whole(vec![1]);
    keys.add(&to_batch(&numbers(0, 2), &columns), 7).unwrap();
    // What was deleted late stays so, whatever is read after it.
    keys.add(&to_batch(&numbers(1, 3), &columns), 5).unwrap();
    keys.add(&to_batch(&numbers(2, 3), &columns), 6).unwrap();
    assert_eq!(keys.len(), 3);
    let rows = numbers(0, 4);
    assert_eq!(deleted(&keys, &rows, &columns, 4), [true, true, true, false]);
    assert_eq!(deleted(&keys, &rows, &columns, 5), [true, true, true, false]);
    assert_eq!(deleted(&keys, &rows, &columns, 6), [true, true, false, false]);
    assert_eq!(deleted(&keys, &rows, &columns, 7), [false; 4]);
}

#[test]
fn neighbouring_values_and_nulls_are_not_taken_for_each_other() {
    let columns = columns(&json!([
        {"id": 1, "name": "a", "required": false, "type": "string"},
        {"id": 2, "name": "b", "required": false, "type": "binary"},
        {"id": 3, "name": "c", "required": false, "type": "int"},
    ]));
    let text = |text: &str| Cell::Value(Value::String(text.to_owned()));
    let bytes = |text: &str| Cell::Value(Value::Binary(text.as_bytes().to_vec()));
    let row = |a, b, c| Row::from([(1, a), (2, b), (3, c)]);
    let zero = Cell::Value(Value::Int(0));
    let rows = [
        row(text("ab"), bytes("c"), zero.clone()),
        row(text("a"), bytes("bc"), zero.clone()),
        row(text(""), Cell::Null, zero.clone()),
        row(Cell::Null, bytes(""), zero.clone()),
        row(Cell::Null, Cell::Null, zero),
        row(Cell::Null, Cell::Null, Cell::Null),
        row(text("\0\0\0\0\0\0\0\0\0"), Cell::Null, Cell::Null),
    ];
    for gone in 0..rows.len() {
        let mut keys = whole(vec![1, 2, 3]);
        keys.add(&to_batch(&rows[gone..=gone], &columns), 1).unwrap();
        let expected: Vec<bool> = (0..rows.len()).map(|row| row == gone).collect();
        assert_eq!(deleted(&keys, &rows, &columns, 0), expected);
    }
}

#[test]
fn rows_are_deleted_by_parts_of_structs_but_not_of_lists() {
    let columns = columns(&json!([
        {"id": 1, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 2, "name": "x", "required": false, "type": "string"}]}},
        {"id": 3, "name": "l", "required": false,
            "type": {"type": "list", "element-id": 4, "element-required": false, "element": "int"}},
    ]));
    let text = |text: &str| Cell::Value(Value::String(text.to_owned()));
    let part = |cell| Cell::Struct(Row::from([(2, cell)]));
    let row = |cell| Row::from([(1, cell), (3, Cell::Null)]);
    let rows = [row(part(text("a"))), row(part(Cell::Null)), row(Cell::Null), row(part(text("b")))];
    let mut keys = whole(vec![2]);
    keys.add(&to_batch(&rows[..2], &columns), 1).unwrap();
    assert_eq!(deleted(&keys, &rows, &columns, 0), [true, true, true, false]);
    let batch = to_batch(&rows, &columns);
    refuse(whole(vec![4]).deleted(&batch, 0), "no column with the id 4");
    refuse(whole(vec![3]).add(&batch, 0), "cannot be deleted by `l`");
}

#[test]
fn a_column_that_is_missing_is_told_even_if_nothing_is_deleted() {
    let batch = to_batch(&numbers(0, 1), &one_column());
    refuse(whole(vec![1, 9]).add(&batch, 1), "no column with the id 9");
    refuse(whole(vec![1, 9]).deleted(&batch, 1), "no column with the id 9");
    refuse(whole(Vec::new()).add(&batch, 1), "no columns");
    refuse(whole(Vec::new()).deleted(&batch, 1), "no columns");
}

#[test]
fn a_slice_has_the_keys_of_its_rows() {
    let columns = one_column();
    let rows = [numbers(0, 3), vec![Row::from([(1, Cell::Null)])], numbers(4, 6)].concat();
    let batch = to_batch(&rows, &columns);
    let mut keys = whole(vec![1]);
    keys.add(&batch.slice(2, 2), 1).unwrap();
    let found = keys.deleted(&batch.slice(1, 4), 0).unwrap();
    assert_eq!(found.values().iter().collect::<Vec<_>>(), [false, true, true, false]);
}

#[test]
fn parts_are_of_one_size_and_within_the_memory_that_was_foretold() {
    let columns = one_column();
    let batch = to_batch(&numbers(0, 20_000), &columns);
    for count in [1, 3, 8] {
        let mut total = 0;
        for number in 0..count {
            let mut keys = DeletedKeys::new(vec![1], HASH_KEY, KeyPart { number, count });
            keys.add(&batch, 1).unwrap();
            let share = 20_000 / usize::try_from(count).unwrap();
            assert!(keys.len().abs_diff(share) < share / 10, "{} of {share}", keys.len());
            assert!(keys.memory_bytes() <= DeletedKeys::bytes_of(20_000_u64.div_ceil(count.into())));
            total += keys.len();
        }
        assert_eq!(total, 20_000);
    }
}

#[test]
fn the_memory_foretold_is_enough_for_any_number_of_keys() {
    let columns = one_column();
    let mut keys = whole(vec![1]);
    assert_eq!(keys.memory_bytes(), 0);
    for count in 0..3000 {
        assert!(keys.memory_bytes() <= DeletedKeys::bytes_of(u64::try_from(count).unwrap()), "{count}");
        assert!(keys.memory_bytes() >= 24 * keys.len() as u64, "{count}");
        keys.add(&to_batch(&numbers(count, count + 1), &columns), 1).unwrap();
    }
    assert!(DeletedKeys::bytes_of(1_000_000) < 86_000_000 + 1_000_000);
    assert_eq!(DeletedKeys::bytes_of(u64::MAX), u64::MAX / 2);
}

#[test]
fn there_are_as_many_parts_as_the_memory_asks_for() {
    assert_eq!(KeyPart::count(0, 0), 1);
    assert_eq!(KeyPart::count(5, 0), 5);
    assert_eq!(KeyPart::count(1000, 1 << 20), 1);
    assert_eq!(KeyPart::count(u64::MAX, 0), u32::MAX);
    let mut random = Random(7);
    for _ in 0..200 {
        let keys = random.next() % 10_000_000_000;
        let memory_bytes = (1 << 20) + random.next() % (1 << 32);
        let count = u64::from(KeyPart::count(keys, memory_bytes));
        assert!(DeletedKeys::bytes_of(keys.div_ceil(count)) <= memory_bytes, "{keys} {memory_bytes}");
        // A part more than needed in eight, and the steps of the map.
        assert!(count <= 1 + keys * 86 * 9 / 8 / memory_bytes + keys / 1000, "{keys} {memory_bytes} {count}");
    }
}

#[test]
fn another_key_of_the_hash_makes_other_parts() {
    let columns = one_column();
    let batch = to_batch(&numbers(0, 64), &columns);
    let held = |hash_key| {
        let mut keys = DeletedKeys::new(vec![1], hash_key, KeyPart { number: 0, count: 2 });
        keys.add(&batch, 1).unwrap();
        keys.deleted(&batch, 0).unwrap()
    };
    assert_eq!(held(HASH_KEY), held(HASH_KEY));
    assert_ne!(held(HASH_KEY), held((1, 2)));
}
