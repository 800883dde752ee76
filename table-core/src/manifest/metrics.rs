//! Arrays and maps of a manifest entry, decoded in place. Their layout was checked and their bytes were
//! traversed when the manifest was decoded, so an unreadable item can only be the end.

use super::avro::AvroCursor;
use super::error::{ManifestError, malformed};
use super::shape::AvroShape;

/// Layout of a metrics map: an array of records with a key and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PairShape {
    /// Column id first.
    KeyFirst,
    /// Value first.
    ValueFirst,
}

/// Kind of the values of a metrics map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PairValue {
    /// Numbers.
    Count,
    /// Bytes.
    Bound,
}

impl PairShape {
    /// Returns the layout of a map from column ids, and checks that its values are of the kind `value`.
    pub(super) fn of(shape: &AvroShape, value: PairValue, key_id: i32) -> Result<PairShape, ManifestError> {
        let unexpected = || malformed("its schema has a map of metrics in a form that is not Iceberg's");
        let AvroShape::Array(item) = shape else { return Err(unexpected()) };
        let AvroShape::Record(fields) = &**item else { return Err(unexpected()) };
        let [first, second] = &fields[..] else { return Err(unexpected()) };
        let is_key = |id: Option<i32>, name: &str| id.map_or(name == "key", |id| id == key_id);
        let (order, key, held) = if is_key(second.id, &second.name) {
            (PairShape::ValueFirst, &second.shape, &first.shape)
        } else {
            (PairShape::KeyFirst, &first.shape, &second.shape)
        };
        match (key, held, value) {
            (AvroShape::Long, AvroShape::Long, PairValue::Count)
            | (AvroShape::Long, AvroShape::Bytes, PairValue::Bound) => Ok(order),
            _ => Err(unexpected()),
        }
    }
}

/// Skips a map of counts.
pub(super) fn skip_counts(cursor: &mut AvroCursor<'_>) -> Result<(), ManifestError> {
    while let Some(count) = cursor.block_count()? {
        for _ in 0..count {
            cursor.skip_long()?;
            cursor.skip_long()?;
        }
    }
    Ok(())
}

/// Skips a map of bounds.
pub(super) fn skip_bounds(cursor: &mut AvroCursor<'_>, shape: PairShape) -> Result<(), ManifestError> {
    while let Some(count) = cursor.block_count()? {
        for _ in 0..count {
            match shape {
                PairShape::KeyFirst => {
                    cursor.skip_long()?;
                    cursor.bytes()?;
                }
                PairShape::ValueFirst => {
                    cursor.bytes()?;
                    cursor.skip_long()?;
                }
            }
        }
    }
    Ok(())
}

/// Iterator over the counts of a metrics map, as (column id, count).
#[derive(Clone)]
pub struct Counts<'a> {
    items: Items<'a>,
    shape: PairShape,
}

/// Iterator over the bounds of a metrics map, as (column id, bound in binary single-value serialization).
#[derive(Clone)]
pub struct Bounds<'a> {
    items: Items<'a>,
    shape: PairShape,
}

/// Iterator over an array of numbers.
#[derive(Clone)]
pub struct Longs<'a> {
    items: Items<'a>,
}

impl<'a> Counts<'a> {
    pub(super) fn new(cursor: AvroCursor<'a>, shape: PairShape) -> Self {
        Self { items: Items::new(cursor), shape }
    }

    /// Returns the count of a column.
    pub fn find(mut self, field_id: i32) -> Option<i64> {
        self.find_map(|(id, count)| (id == field_id).then_some(count))
    }
}

impl Iterator for Counts<'_> {
    type Item = (i32, i64);

    fn next(&mut self) -> Option<(i32, i64)> {
        let shape = self.shape;
        self.items.next(|cursor| {
            Ok(match shape {
                PairShape::KeyFirst => (cursor.int()?, cursor.long()?),
                PairShape::ValueFirst => {
                    let count = cursor.long()?;
                    (cursor.int()?, count)
                }
            })
        })
    }
}

impl<'a> Bounds<'a> {
    pub(super) fn new(cursor: AvroCursor<'a>, shape: PairShape) -> Self {
        Self { items: Items::new(cursor), shape }
    }

    /// Returns the bound of a column.
    pub fn find(mut self, field_id: i32) -> Option<&'a [u8]> {
        self.find_map(|(id, bound)| (id == field_id).then_some(bound))
    }
}

impl<'a> Iterator for Bounds<'a> {
    type Item = (i32, &'a [u8]);

    fn next(&mut self) -> Option<(i32, &'a [u8])> {
        let shape = self.shape;
        self.items.next(|cursor| {
            Ok(match shape {
                PairShape::KeyFirst => (cursor.int()?, cursor.bytes()?),
                PairShape::ValueFirst => {
                    let bound = cursor.bytes()?;
                    (cursor.int()?, bound)
                }
            })
        })
    }
}

impl<'a> Longs<'a> {
    pub(super) fn new(cursor: AvroCursor<'a>) -> Self {
        Self { items: Items::new(cursor) }
    }
}

impl Iterator for Longs<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        self.items.next(AvroCursor::long)
    }
}

/// Items of an array, block by block.
#[derive(Clone)]
struct Items<'a> {
    cursor: AvroCursor<'a>,
    left: u64,
    is_over: bool,
}

impl<'a> Items<'a> {
    fn new(cursor: AvroCursor<'a>) -> Self {
        Self { cursor, left: 0, is_over: false }
    }

    #[inline]
    fn next<T>(&mut self, read: impl FnOnce(&mut AvroCursor<'a>) -> Result<T, ManifestError>) -> Option<T> {
        if self.is_over {
            return None;
        }
        if self.left == 0 {
            self.left = self.cursor.block_count().ok().flatten().unwrap_or(0);
            if self.left == 0 {
                self.is_over = true;
                return None;
            }
        }
        self.left -= 1;
        let item = read(&mut self.cursor).ok();
        self.is_over = item.is_none();
        item
    }
}
