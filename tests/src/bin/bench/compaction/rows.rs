//! Generated rows. All values of a row are computed from its number, so that tables with the same rows are
//! equal, and the rows left after deletes are known without reading them.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use serde_json::{Value, json};

/// 2025-01-01, in microseconds since 1970.
const FIRST_MICROS: i64 = 1_735_689_600_000_000;
const REGIONS: [&str; 8] = ["fra", "ams", "dub", "iad", "pdx", "nrt", "syd", "gru"];
const WORDS: [&str; 16] = [
    "order", "paid", "late", "parcel", "return", "north", "again", "signed", "door", "code", "gift",
    "fragile", "cash", "window", "second", "none",
];

/// Kind of rows.
#[derive(Clone, Copy, PartialEq)]
pub enum Rows {
    /// Events with seven columns, as they are scanned by analysts; about 30 bytes per row in Parquet.
    Events,
    /// Two keys and a name, as written by change data capture; the columns are those of a published benchmark
    /// of deletes. About 30 bytes per row in Parquet, of which the keys take 12.
    Keyed,
}

impl Rows {
    /// Columns that equality deletes compare: field ids and names.
    pub const KEYS: [(i32, &str); 2] = [(1, "k1"), (2, "k2")];

    /// Returns the table schema, as the catalog expects it in a request.
    pub fn schema(self) -> Value {
        let columns: &[(&str, &str)] = match self {
            Rows::Events => &[
                ("id", "long"),
                ("ts", "timestamptz"),
                ("region", "string"),
                ("quantity", "int"),
                ("amount", "double"),
                ("customer", "string"),
                ("note", "string"),
            ],
            Rows::Keyed => &[("k1", "int"), ("k2", "long"), ("name", "string")],
        };
        let fields = (1..)
            .zip(columns)
            .map(|(id, (name, kind))| json!({ "id": id, "name": name, "required": id <= 2, "type": kind }));
        json!({ "type": "struct", "schema-id": 0, "fields": fields.collect::<Vec<_>>() })
    }

    /// Returns the name of the column whose sum identifies the rows.
    pub fn summed(self) -> &'static str {
        match self {
            Rows::Events => "quantity",
            Rows::Keyed => "k1",
        }
    }

    /// Returns the value of that column in the row with this number.
    pub fn summand(self, number: u64) -> i32 {
        match self {
            Rows::Events => small(number, 4, 100),
            Rows::Keyed => first_key(number),
        }
    }

    /// Returns the columns of the rows with these numbers.
    pub fn columns(self, numbers: Range<u64>) -> Vec<ArrayRef> {
        match self {
            Rows::Events => events(numbers),
            Rows::Keyed => {
                let mut columns = keys(numbers.clone());
                columns.push(Arc::new(StringArray::from_iter_values(
                    numbers.map(|number| format!("{:020}", chance(number, 3))),
                )));
                columns
            }
        }
    }
}

/// Returns the key columns of [`Rows::Keyed`] for the rows with these numbers.
pub fn keys(numbers: impl Iterator<Item = u64> + Clone) -> Vec<ArrayRef> {
    vec![
        Arc::new(Int32Array::from_iter_values(numbers.clone().map(first_key))),
        Arc::new(Int64Array::from_iter_values(numbers.map(|number| chance(number, 2).cast_signed()))),
    ]
}

fn events(numbers: Range<u64>) -> Vec<ArrayRef> {
    let all = || numbers.clone();
    let timestamp =
        |number: u64| FIRST_MICROS + number.cast_signed() * 1_000 + i64::from(small(number, 2, 1_000));
    let note = |number: u64| {
        let words: Vec<_> = (10..16).map(|salt| WORDS[index(number, salt, WORDS.len())]).collect();
        words.join(" ")
    };
    vec![
        Arc::new(Int64Array::from_iter_values(all().map(u64::cast_signed))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(all().map(timestamp)).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(all().map(|number| REGIONS[index(number, 3, REGIONS.len())]))),
        Arc::new(Int32Array::from_iter_values(all().map(|number| small(number, 4, 100)))),
        Arc::new(Float64Array::from_iter_values(
            all().map(|number| f64::from(small(number, 5, 1_000_000)) / 100.0),
        )),
        Arc::new(StringArray::from_iter_values(all().map(|number| format!("{:016x}", chance(number, 6))))),
        Arc::new(StringArray::from_iter_values(all().map(note))),
    ]
}

fn first_key(number: u64) -> i32 {
    let [first, second, third, fourth, ..] = chance(number, 1).to_le_bytes();
    i32::from_le_bytes([first, second, third, fourth])
}

fn index(number: u64, salt: u64, length: usize) -> usize {
    usize::try_from(chance(number, salt) % length as u64).unwrap_or(0)
}

fn small(number: u64, salt: u64, end: u64) -> i32 {
    i32::try_from(chance(number, salt) % end).unwrap_or(0)
}

/// Returns a pseudorandom number; for each salt, a permutation of all numbers.
pub fn chance(number: u64, salt: u64) -> u64 {
    let mut mixed = number.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(1);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
