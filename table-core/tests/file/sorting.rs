//! Rows are in the order of a look at each of them.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch};
use serde_json::{Value as Json, json};
use table_core::file::arrow_schema::to_arrow;
use table_core::file::sort_rows::RowOrder;
use table_core::metadata::json::Raw;
use table_core::metadata::sort::SortOrder;

use crate::common::{columns, refuse};
use crate::model::{Row, to_batch};
use crate::partitions::{any_fields, any_rows, result, seed};
use crate::random::Maker;

fn order(fields: &Json) -> SortOrder {
    let text = json!({"order-id": 1, "fields": fields}).to_string();
    SortOrder::parse(Raw::parse(&text).unwrap()).unwrap()
}

fn field(transform: &str, id: i32, direction: &str, null_order: &str) -> Json {
    json!({"transform": transform, "source-id": id, "direction": direction, "null-order": null_order})
}

/// A field of a sort order: the path to its column and the transform; whether it descends; whether nulls are first.
type Sorted = ((Vec<i32>, String), bool, bool);

fn compare(fields: &[Sorted], left: &Row, right: &Row) -> Ordering {
    let compare = |(field, descends, nulls_first): &Sorted| {
        let nulls = |first: bool| if first { Ordering::Less } else { Ordering::Greater };
        match (result(left, field), result(right, field)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => nulls(*nulls_first),
            (Some(_), None) => nulls(!*nulls_first),
            (Some(left), Some(right)) if *descends => right.cmp(&left),
            (Some(left), Some(right)) => left.cmp(&right),
        }
    };
    fields.iter().map(compare).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[test]
fn keys_compare_as_their_rows_do() {
    let seed = seed();
    let mut unequal = 0;
    for round in 0..300 {
        let mut maker = Maker::new(seed.wrapping_mul(1000).wrapping_add(round));
        let columns = maker.columns();
        let fields = any_fields(&mut maker, &columns).into_iter();
        let fields: Vec<Sorted> =
            fields.map(|field| (field, maker.random.one_in(2), maker.random.one_in(2))).collect();
        let text = fields.iter().map(|((path, transform), descends, nulls_first)| {
            let direction = if *descends { "desc" } else { "ASC" };
            let null_order = if *nulls_first { "nulls-first" } else { "nulls-last" };
            field(transform, *path.last().unwrap(), direction, null_order)
        });
        let rows = any_rows(&mut maker, &columns);
        let start = maker.random.below(rows.len() + 1);
        let order = RowOrder::new(&columns, &order(&text.collect())).unwrap();
        let batch = to_batch(&rows, &columns);
        let (head, tail) = (batch.slice(0, start), batch.slice(start, rows.len() - start));
        // From two batches, because they are compared across batches.
        let (head, tail) = (order.keys(&head).unwrap(), order.keys(&tail).unwrap());
        let keys: Vec<_> = head.iter().chain(tail.iter()).collect();
        assert_eq!(keys.len(), rows.len());
        for (left, left_key) in rows.iter().zip(&keys) {
            for (right, right_key) in rows.iter().zip(&keys) {
                let expected = compare(&fields, left, right);
                assert_eq!(left_key.cmp(right_key), expected, "round {round}: {fields:?} {left:?} {right:?}");
                assert_eq!(left_key.data().cmp(right_key.data()), expected, "round {round}");
                unequal += usize::from(expected.is_ne());
            }
        }
    }
    assert!(unequal > 10_000, "{unequal} pairs were not equal");
}

#[test]
fn floats_are_in_the_order_of_the_specification() {
    let columns = columns(&json!([
        {"id": 1, "name": "d", "required": false, "type": "double"},
        {"id": 2, "name": "i", "required": true, "type": "int"},
    ]));
    let negative_nan = f64::from_bits(0xfff8_0000_0000_0000);
    let ascending = [negative_nan, f64::NEG_INFINITY, -1.5, -0.0, 0.0, 5e-324, 1.5, f64::INFINITY, f64::NAN];
    let floats: Float64Array = ascending.into_iter().map(Some).chain([None]).collect();
    let numbers = Int32Array::from(vec![0; floats.len()]);
    let arrays: Vec<ArrayRef> = vec![Arc::new(floats), Arc::new(numbers)];
    let batch = RecordBatch::try_new(to_arrow(&columns).unwrap(), arrays).unwrap();
    let places = |direction: &str, null_order: &str| -> Vec<usize> {
        let fields =
            json!([field("identity", 1, direction, null_order), field("identity", 2, "asc", "nulls-first")]);
        let keys = RowOrder::new(&columns, &order(&fields)).unwrap().keys(&batch).unwrap();
        let mut places: Vec<usize> = (0..keys.num_rows()).collect();
        places.sort_by_key(|place| keys.row(*place));
        places
    };
    assert_eq!(places("asc", "nulls-last"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(places("asc", "nulls-first"), [9, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(places("desc", "nulls-last"), [8, 7, 6, 5, 4, 3, 2, 1, 0, 9]);
    assert_eq!(places("desc", "nulls-first"), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
}

#[test]
fn all_nan_are_equal_so_that_the_next_field_decides() {
    let columns = columns(&json!([
        {"id": 1, "name": "d", "required": true, "type": "double"},
        {"id": 2, "name": "i", "required": true, "type": "int"},
    ]));
    let other_nan = f64::from_bits(0x7ff8_0000_0000_0001);
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![f64::NAN, other_nan, f64::NAN])),
        Arc::new(Int32Array::from(vec![2, 1, 0])),
    ];
    let batch = RecordBatch::try_new(to_arrow(&columns).unwrap(), arrays).unwrap();
    let fields =
        json!([field("identity", 1, "asc", "nulls-first"), field("identity", 2, "asc", "nulls-first")]);
    let keys = RowOrder::new(&columns, &order(&fields)).unwrap().keys(&batch).unwrap();
    assert!(keys.row(2) < keys.row(1) && keys.row(1) < keys.row(0));
}

#[test]
fn rows_without_an_order_are_equal() {
    let columns = columns(&json!([{"id": 1, "name": "i", "required": true, "type": "int"}]));
    let array: ArrayRef = Arc::new(Int32Array::from(vec![2, 1, 3]));
    let batch = RecordBatch::try_new(to_arrow(&columns).unwrap(), vec![array]).unwrap();
    for fields in [json!([]), json!([field("void", 1, "asc", "nulls-first")])] {
        let keys = RowOrder::new(&columns, &order(&fields)).unwrap().keys(&batch).unwrap();
        assert_eq!(keys.num_rows(), 3);
        assert!(keys.row(0) == keys.row(1) && keys.row(1) == keys.row(2));
    }
}

#[test]
fn an_order_that_is_not_known_is_refused() {
    let columns = columns(&json!([{"id": 1, "name": "i", "required": true, "type": "int"}]));
    let refused =
        |field: Json, reason: &str| refuse(RowOrder::new(&columns, &order(&json!([field]))), reason);
    refused(field("identity", 1, "up", "nulls-first"), "the sort field `up` is unknown");
    refused(field("identity", 1, "asc", "nulls-away"), "the sort field `nulls-away` is unknown");
    refused(field("zorder", 1, "asc", "nulls-first"), "the transform `zorder` is unknown");
    refused(field("identity", 2, "asc", "nulls-first"), "no column 2");
}
