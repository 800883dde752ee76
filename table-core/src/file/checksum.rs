//! A checksum of rows, by which a rewrite makes sure that it wrote what it read. It finds mistakes, not attacks: whoever wants
//! to can make other rows with the same checksum. It is not stored, and may be another one in the next release.

use std::hash::BuildHasher;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, types::ArrowPrimitiveType};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, TimeUnit};
use foldhash::quality::FixedState;

use super::error::FileError;

/// Whether the order of rows counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The same rows in another order have another checksum.
    Kept,
    /// Only which rows there are counts, and how often.
    Any,
}

/// A checksum of all values of all rows added so far. How rows are cut into batches and files does not matter, nor do the
/// names and ids of columns; their order does.
///
/// All NaNs are one, `-0.0` is not `0.0`, and what lies under a null is not looked at. The order of a map's entries counts, as
/// for whoever reads it.
///
/// Two checksums are equal if the rows are. Of different rows they are equal about once in 10¹⁹ times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChecksum {
    order: Order,
    rows: u64,
    /// The sum of the rows' hashes. It is large enough never to wrap.
    sum: u128,
}

impl RowChecksum {
    /// Of no rows.
    pub fn new(order: Order) -> RowChecksum {
        RowChecksum { order, rows: 0, sum: 0 }
    }

    /// Adds the rows of a batch, which has the columns and types of those before.
    ///
    /// Fails if a column is of a type that [`super::arrow_schema::to_arrow`] does not give.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        let mut hashes = vec![START; batch.num_rows()];
        for column in batch.columns() {
            mix_each(&mut hashes, &hashes_of(column)?);
        }
        for hash in hashes {
            let hash = match self.order {
                Order::Kept => mix(hash, self.rows),
                Order::Any => hash,
            };
            self.sum = self.sum.wrapping_add(u128::from(hash));
            self.rows += 1;
        }
        Ok(())
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The checksum, of which the number of rows is no part.
    pub fn finish(&self) -> u128 {
        self.sum
    }
}

/// Where a hash of several values begins: the fraction of the golden ratio.
const START: u64 = 0x9e37_79b9_7f4a_7c15;
/// What stands for a null: the fraction of the square root of two. A value has the same hash by chance alone.
const NULL: u64 = 0x6a09_e667_f3bc_c908;
/// An odd number, so that multiplying by it loses nothing: the fraction of the square root of three.
const FACTOR: u64 = 0xbb67_ae85_84ca_a73b;

/// Mixes a value into a hash. Of two different values the results are different, and so they are of two different hashes.
fn mix(hash: u64, value: u64) -> u64 {
    let mixed = hash.wrapping_mul(FACTOR).rotate_left(23) ^ value;
    // The finish of MurmurHash3: every bit of the result depends on all of them, and nothing is lost.
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

fn mix_each(hashes: &mut [u64], values: &[u64]) {
    for (hash, value) in hashes.iter_mut().zip(values) {
        *hash = mix(*hash, *value);
    }
}

/// A hash for each value of an array.
fn hashes_of(array: &ArrayRef) -> Result<Vec<u64>, FileError> {
    let mut hashes = match array.data_type() {
        DataType::Null => return Ok(vec![NULL; array.len()]),
        DataType::Boolean => {
            let array = array.as_boolean();
            array.values().iter().map(|value| mix(START, u64::from(value))).collect()
        }
        DataType::Int32 => integers(array.as_primitive::<Int32Type>(), i64::from),
        DataType::Date32 => integers(array.as_primitive::<Date32Type>(), i64::from),
        DataType::Int64 => integers(array.as_primitive::<Int64Type>(), |value| value),
        DataType::Time64(TimeUnit::Microsecond) => {
            integers(array.as_primitive::<Time64MicrosecondType>(), |value| value)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            integers(array.as_primitive::<TimestampMicrosecondType>(), |value| value)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            integers(array.as_primitive::<TimestampNanosecondType>(), |value| value)
        }
        DataType::Float32 => integers(array.as_primitive::<Float32Type>(), |value| {
            i64::from(if value.is_nan() { f32::NAN } else { value }.to_bits())
        }),
        DataType::Float64 => integers(array.as_primitive::<Float64Type>(), |value| {
            if value.is_nan() { f64::NAN } else { value }.to_bits().cast_signed()
        }),
        DataType::Decimal128(..) => decimals(array.as_primitive::<Decimal128Type>()),
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            (0..array.len()).map(|row| bytes(array.value(row).as_bytes())).collect()
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            (0..array.len()).map(|row| bytes(array.value(row))).collect()
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            (0..array.len()).map(|row| bytes(array.value(row))).collect()
        }
        DataType::Struct(_) => {
            let mut hashes = vec![START; array.len()];
            for part in array.as_struct().columns() {
                mix_each(&mut hashes, &hashes_of(part)?);
            }
            hashes
        }
        DataType::List(_) => {
            let array = array.as_list::<i32>();
            lists(array.offsets(), array.nulls(), array.values())?
        }
        DataType::Map(..) => {
            let array = array.as_map();
            let entries: ArrayRef = std::sync::Arc::new(array.entries().clone());
            lists(array.offsets(), array.nulls(), &entries)?
        }
        other => return Err(FileError::unsupported(format!("there is no checksum of {other}"))),
    };
    if let Some(nulls) = array.nulls() {
        for (row, hash) in hashes.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *hash = NULL;
            }
        }
    }
    Ok(hashes)
}

fn integers<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, bits: impl Fn(T::Native) -> i64) -> Vec<u64> {
    array.values().iter().map(|value| mix(START, bits(*value).cast_unsigned())).collect()
}

fn decimals(array: &PrimitiveArray<Decimal128Type>) -> Vec<u64> {
    let hash_of = |value: &i128| {
        let [low, high] = [value.cast_unsigned(), value.cast_unsigned() >> u64::BITS];
        mix(mix(START, low_bits(low)), low_bits(high))
    };
    array.values().iter().map(hash_of).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the rest is taken apart")]
fn low_bits(bits: u128) -> u64 {
    bits as u64
}

fn bytes(value: &[u8]) -> u64 {
    mix(START, FixedState::with_seed(START).hash_one(value))
}

/// The hashes of lists: of how many elements they have, and of each in turn.
fn lists(
    offsets: &OffsetBuffer<i32>,
    nulls: Option<&NullBuffer>,
    elements: &ArrayRef,
) -> Result<Vec<u64>, FileError> {
    let place = |offset: &i32| usize::try_from(*offset).unwrap_or(0);
    let (first, last) = (offsets.first().map_or(0, place), offsets.last().map_or(0, place));
    // A slice has the elements of its lists and of all others too.
    let elements = hashes_of(&elements.slice(first, last - first))?;
    let hash_of = |(row, border): (usize, &[i32])| {
        let [start, end] = border else { return NULL };
        let (start, end) = (place(start) - first, place(end) - first);
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return NULL;
        }
        let elements = elements.get(start..end).unwrap_or_default();
        elements.iter().fold(mix(START, elements.len() as u64), |hash, element| mix(hash, *element))
    };
    Ok(offsets.windows(2).enumerate().map(hash_of).collect())
}
