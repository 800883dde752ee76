//! Deletion vectors: the positions of the deleted rows of one data file, stored as a `deletion-vector-v1`
//! blob of the Puffin specification, and Puffin files with such blobs.

use std::collections::{BTreeMap, BTreeSet};

use roaring::{RoaringBitmap, RoaringTreemap};

use super::puffin::{Blob, PuffinError, PuffinWriter, malformed};
use crate::manifest::data_file::{ColumnMetrics, DataFile};
use crate::manifest::entry::FileContent;
use crate::manifest::partition::PartitionTuple;

/// Blob type of deletion vectors in Puffin files.
pub const BLOB_TYPE: &str = "deletion-vector-v1";

/// Greatest position that Java accepts in `RoaringPositionBitmap`.
pub const POSITION_MAX: u64 = (KEY_MAX as u64) << 32 | 0x8000_0000;

/// Greatest key of a 32-bit bitmap; Java stores the bitmaps in an array indexed by key.
const KEY_MAX: u32 = i32::MAX as u32 - 1;

const MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];
const LENGTH_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;

/// Reserved field id of `_pos`, which Java lists in the `fields` of the blob.
const ROW_POSITION_ID: i32 = i32::MAX - 2;

/// Set of positions of deleted rows in a data file, starting at 0 and at most [`POSITION_MAX`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeletionVector {
    positions: RoaringTreemap,
}

impl DeletionVector {
    /// Creates a vector from positions, which must be strictly ascending.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if a position is greater than [`POSITION_MAX`] or not greater
    /// than the one before.
    pub fn from_sorted(positions: impl IntoIterator<Item = u64>) -> Result<DeletionVector, PuffinError> {
        let mut checked = Ok(());
        let mut next = 0;
        let positions = positions.into_iter().map_while(|position| {
            if position > POSITION_MAX {
                checked =
                    Err(malformed(format!("the position {position} exceeds the maximum of {POSITION_MAX}")));
                return None;
            }
            if position < next {
                checked = Err(malformed(format!("position {position} comes after a greater or equal one")));
                return None;
            }
            next = position + 1;
            Some(position)
        });
        let vector = RoaringTreemap::from_sorted_iter(positions);
        checked?;
        let positions = vector.map_err(|_| malformed("the positions are not ascending"))?;
        Ok(DeletionVector { positions })
    }

    /// Adds a position.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if the position is greater than [`POSITION_MAX`].
    pub fn insert(&mut self, position: u64) -> Result<(), PuffinError> {
        if position > POSITION_MAX {
            return Err(malformed(format!("the position {position} exceeds the maximum of {POSITION_MAX}")));
        }
        self.positions.insert(position);
        Ok(())
    }

    /// Adds all positions of another vector.
    pub fn union_with(&mut self, other: &DeletionVector) {
        self.positions |= &other.positions;
    }

    /// Returns `true` if the position is deleted.
    pub fn contains(&self, position: u64) -> bool {
        self.positions.contains(position)
    }

    /// Returns the number of positions.
    pub fn cardinality(&self) -> u64 {
        self.positions.len()
    }

    /// Returns `true` if there are no positions.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Returns the greatest position; `None` if the vector is empty.
    pub fn last(&self) -> Option<u64> {
        self.positions.max()
    }

    /// Returns the positions in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.positions.iter()
    }

    /// Encodes the vector as a blob: length, magic, bitmaps (run-length encoded where that is shorter),
    /// checksum.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if the blob would be larger than 2 GB, which no reader could
    /// address.
    pub fn encode(&self) -> Result<Vec<u8>, PuffinError> {
        let mut blob = vec![0; LENGTH_BYTES];
        blob.extend_from_slice(&MAGIC);
        let bitmaps = self.positions.bitmaps().filter(|(_, bitmap)| !bitmap.is_empty());
        blob.extend_from_slice(&(bitmaps.clone().count() as u64).to_le_bytes());
        for (key, bitmap) in bitmaps {
            let mut bitmap = bitmap.clone();
            bitmap.optimize();
            blob.extend_from_slice(&key.to_le_bytes());
            bitmap
                .serialize_into(&mut blob)
                .map_err(|error| malformed(format!("the deletion vector cannot be written: {error}")))?;
        }
        let length = i32::try_from(blob.len() - LENGTH_BYTES)
            .map_err(|_| malformed("the deletion vector takes more than 2 GB"))?;
        blob.splice(..LENGTH_BYTES, length.to_be_bytes());
        let checksum = crc32fast::hash(blob.get(LENGTH_BYTES..).unwrap_or_default());
        blob.extend_from_slice(&checksum.to_be_bytes());
        Ok(blob)
    }

    /// Returns the bitmap of the positions. A range of positions takes almost no memory in it, so callers
    /// should avoid iterating over single positions where they can.
    pub fn into_positions(self) -> RoaringTreemap {
        self.positions
    }

    /// Decodes a blob: exactly the bytes that `content_offset` and `content_size_in_bytes` of the manifest
    /// entry describe.
    ///
    /// The checksum is verified first. The memory needed is a small multiple of the size of the blob.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if the blob is truncated, has the wrong length, magic or
    /// checksum, or contains bitmaps that cannot be decoded or are not in order.
    pub fn decode(blob: &[u8]) -> Result<DeletionVector, PuffinError> {
        let damaged = |what: &str| malformed(format!("the deletion vector is damaged: {what}"));
        let Some((length, rest)) = blob.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(damaged("it is truncated"));
        };
        let Some((content, checksum)) = rest.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(damaged("it is truncated"));
        };
        if usize::try_from(i32::from_be_bytes(*length)) != Ok(content.len()) {
            return Err(damaged("its length differs from the length that it states"));
        }
        let Some(bitmaps) = content.strip_prefix(&MAGIC) else {
            return Err(damaged("its magic number is wrong"));
        };
        if crc32fast::hash(content) != u32::from_be_bytes(*checksum) {
            return Err(damaged("its checksum is wrong"));
        }
        let positions = bitmaps_of(bitmaps).map_err(|error| damaged(&error))?;
        Ok(DeletionVector { positions })
    }

    /// Decodes the blob that a manifest entry describes, and compares its size and cardinality with
    /// `content_size_in_bytes` and `record_count` of the entry.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if the size or the cardinality differs, and as
    /// [`DeletionVector::decode`] does.
    pub fn decode_entry(blob: &[u8], entry: &DataFile) -> Result<DeletionVector, PuffinError> {
        if entry.content_size_bytes.is_some_and(|size| u64::try_from(size) != Ok(blob.len() as u64)) {
            return Err(malformed("the length of the deletion vector differs from the manifest entry"));
        }
        let vector = DeletionVector::decode(blob)?;
        if u64::try_from(entry.record_count) != Ok(vector.cardinality()) {
            return Err(malformed(format!(
                "the deletion vector has {} positions, but the manifest entry has {}",
                vector.cardinality(),
                entry.record_count
            )));
        }
        Ok(vector)
    }
}

/// Decodes the 64-bit extension of the Roaring format: 32-bit bitmaps in ascending order of their keys.
fn bitmaps_of(bytes: &[u8]) -> Result<RoaringTreemap, String> {
    let Some((count, mut rest)) = bytes.split_first_chunk::<8>() else {
        return Err("it is truncated".to_owned());
    };
    let mut bitmaps = BTreeMap::new();
    let mut last_key = None;
    for _ in 0..u64::from_le_bytes(*count) {
        let Some((key, bitmap)) = rest.split_first_chunk::<4>() else {
            return Err("it has fewer bitmaps than it states".to_owned());
        };
        let key = u32::from_le_bytes(*key);
        if key > KEY_MAX || last_key.is_some_and(|last| last >= key) {
            return Err("its bitmaps are not in order".to_owned());
        }
        last_key = Some(key);
        rest = bitmap;
        let bitmap = RoaringBitmap::deserialize_from(&mut rest).map_err(|error| error.to_string())?;
        // Java writes an empty bitmap for every missing key below the last.
        if !bitmap.is_empty() {
            bitmaps.insert(key, bitmap);
        }
    }
    if !rest.is_empty() {
        return Err("it has more data than its bitmaps".to_owned());
    }
    Ok(RoaringTreemap::from_bitmaps(bitmaps))
}

/// Deletion vector to be written, with the data file that it applies to.
#[derive(Debug, Clone)]
pub struct VectorOf {
    /// Path of the data file, exactly as in its manifest (`referenced-data-file`).
    pub data_file: String,
    /// Id of the partition spec of the data file.
    pub spec_id: i32,
    /// Partition tuple of the data file.
    pub partition: PartitionTuple,
    /// Positions of all deleted rows of the data file, including those deleted by earlier commits.
    pub vector: DeletionVector,
}

/// Writes deletion vectors into one Puffin file. Returns the bytes of the file and a manifest entry for each
/// vector, in the order of `vectors`; `location` is the location that the file will have.
///
/// # Errors
///
/// Fails with [`PuffinError::Malformed`] if a vector is empty, if two vectors are for the same data file (the
/// specification allows only one), or if the blobs or the footer are too large.
pub fn write(
    location: &str,
    created_by: &str,
    vectors: &[VectorOf],
) -> Result<(Vec<u8>, Vec<DataFile>), PuffinError> {
    let mut writer = PuffinWriter::new(created_by);
    let mut entries = Vec::with_capacity(vectors.len());
    let mut seen = BTreeSet::new();
    for of in vectors {
        if of.vector.is_empty() || !seen.insert(&of.data_file) {
            let path = &of.data_file;
            return Err(malformed(format!("the deletion vector for `{path}` is empty, or a second one")));
        }
        entries.push(add(&mut writer, location, of)?);
    }
    let written = writer.finish()?;
    let size_bytes = length(written.bytes.len() as u64)?;
    for entry in &mut entries {
        entry.size_bytes = size_bytes;
    }
    Ok((written.bytes, entries))
}

/// Writes one vector; `size_bytes` of the returned entry is not known yet.
fn add(writer: &mut PuffinWriter, location: &str, of: &VectorOf) -> Result<DataFile, PuffinError> {
    let cardinality = of.vector.cardinality();
    let blob = Blob {
        kind: BLOB_TYPE,
        fields: vec![ROW_POSITION_ID],
        // Not known before the commit; readers use the values in the manifest.
        snapshot_id: -1,
        sequence_number: -1,
        properties: BTreeMap::from([
            ("referenced-data-file".to_owned(), of.data_file.clone()),
            ("cardinality".to_owned(), cardinality.to_string()),
        ]),
        content: &of.vector.encode()?,
    };
    let blob = writer.add(blob, None)?;
    Ok(DataFile {
        content: FileContent::PositionDeletes,
        path: location.to_owned(),
        format: "PUFFIN".to_owned(),
        spec_id: of.spec_id,
        partition: of.partition.clone(),
        record_count: length(cardinality)?,
        size_bytes: 0,
        metrics: ColumnMetrics::default(),
        split_offsets: Vec::new(),
        equality_ids: Vec::new(),
        sort_order_id: None,
        first_row_id: None,
        referenced_data_file: Some(of.data_file.clone()),
        content_offset: Some(length(blob.offset)?),
        content_size_bytes: Some(length(blob.length)?),
        key_metadata: None,
    })
}

fn length(number: u64) -> Result<i64, PuffinError> {
    i64::try_from(number).map_err(|_| malformed("a number does not fit into a manifest"))
}
