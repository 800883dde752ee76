//! Size of record batches in bytes, and splitting of batches by size: rows may have any length, but an Arrow
//! string array is limited to 2 GiB.

use arrow_array::cast::AsArray;
use arrow_array::types::GenericBinaryType;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;

/// Returns the number of bytes that the values of a batch take. Memory that its arrays share with other
/// arrays, or allocate beyond their values, is not counted.
pub fn bytes_of(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| size(column)).sum()
}

/// Splits a batch into pieces of at most `bytes_max` bytes, in order. A row longer than that becomes a piece
/// of its own. No data is copied.
pub fn pieces(batch: &RecordBatch, bytes_max: u64) -> Vec<RecordBatch> {
    let mut pieces = Vec::new();
    let mut rest = vec![batch.clone()];
    while let Some(piece) = rest.pop() {
        let rows = piece.num_rows();
        if rows <= 1 || bytes_of(&piece) <= bytes_max {
            pieces.push(piece);
        } else {
            rest.push(piece.slice(rows / 2, rows - rows / 2));
            rest.push(piece.slice(0, rows / 2));
        }
    }
    pieces
}

fn size(array: &dyn Array) -> u64 {
    let rows = array.len() as u64;
    let nulls = if array.nulls().is_some() { rows / 8 } else { 0 };
    let values = match array.data_type() {
        DataType::Null => 0,
        DataType::Boolean => rows / 8,
        DataType::Utf8 => of_text(array.as_string::<i32>().offsets()),
        DataType::Binary => of_text(array.as_bytes::<GenericBinaryType<i32>>().offsets()),
        DataType::FixedSizeBinary(length) => rows * u64::try_from(*length).unwrap_or(0),
        DataType::Struct(_) => array.as_struct().columns().iter().map(|part| size(part)).sum(),
        DataType::List(_) => {
            let array = array.as_list::<i32>();
            of_list(array.offsets(), array.values())
        }
        DataType::Map(..) => {
            let array = array.as_map();
            of_list(array.offsets(), array.entries())
        }
        other => rows * other.primitive_width().unwrap_or(16) as u64,
    };
    nulls + values
}

fn of_text(offsets: &OffsetBuffer<i32>) -> u64 {
    let (start, length) = extent(offsets);
    (length - start) as u64 + offsets_bytes(offsets)
}

fn of_list(offsets: &OffsetBuffer<i32>, values: &dyn Array) -> u64 {
    let (start, end) = extent(offsets);
    size(&values.slice(start, end - start)) + offsets_bytes(offsets)
}

fn offsets_bytes(offsets: &OffsetBuffer<i32>) -> u64 {
    4 * offsets.len() as u64
}

fn extent(offsets: &OffsetBuffer<i32>) -> (usize, usize) {
    let place = |offset: Option<&i32>| offset.and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    (place(offsets.first()), place(offsets.last()))
}
