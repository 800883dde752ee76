//! Deletion vectors: which rows of one data file are deleted, as the `deletion-vector-v1` blob of the Puffin
//! specification, and Puffin files that hold such blobs.

use std::collections::{BTreeMap, BTreeSet};

use roaring::{RoaringBitmap, RoaringTreemap};

use super::puffin::{Blob, PuffinError, Writer, malformed};
use crate::manifest::data_file::{ColumnMetrics, DataFile};
use crate::manifest::entry::Content;
use crate::manifest::partition::PartitionTuple;

/// The type of such blobs.
pub const BLOB_TYPE: &str = "deletion-vector-v1";

/// The greatest position Java accepts in `RoaringPositionBitmap`.
pub const POSITION_MAX: u64 = (KEY_MAX as u64) << 32 | 0x8000_0000;

/// Java keeps bitmaps in an array by their key.
const KEY_MAX: u32 = i32::MAX as u32 - 1;

const MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];
const LENGTH_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;

/// The reserved field id of a row's position, which the blob is said to be of, as Java does.
const ROW_POSITION_ID: i32 = i32::MAX - 2;

/// The positions of deleted rows, from 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeletionVector {
    positions: RoaringTreemap,
}

impl DeletionVector {
    /// The vector of these positions, which must be ascending and each only once.
    pub fn from_sorted(positions: impl IntoIterator<Item = u64>) -> Result<DeletionVector, PuffinError> {
        let mut checked = Ok(());
        let mut next = 0;
        let positions = positions.into_iter().map_while(|position| {
            if position > POSITION_MAX {
                checked =
                    Err(malformed(format!("no row has position {position}: {POSITION_MAX} is the last")));
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

    /// Adds a position. Fails if it is greater than [`POSITION_MAX`].
    pub fn insert(&mut self, position: u64) -> Result<(), PuffinError> {
        if position > POSITION_MAX {
            return Err(malformed(format!("no row has position {position}: {POSITION_MAX} is the last")));
        }
        self.positions.insert(position);
        Ok(())
    }

    /// Adds all positions of another vector.
    pub fn union_with(&mut self, other: &DeletionVector) {
        self.positions |= &other.positions;
    }

    /// Whether a position is deleted.
    pub fn contains(&self, position: u64) -> bool {
        self.positions.contains(position)
    }

    /// How many positions there are.
    pub fn cardinality(&self) -> u64 {
        self.positions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The greatest position.
    pub fn last(&self) -> Option<u64> {
        self.positions.max()
    }

    /// The positions, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.positions.iter()
    }

    /// The blob: length, magic, bitmaps with runs where these are shorter, checksum.
    ///
    /// Fails if it takes 2 GB, which no reader could address.
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

    /// The positions. Those of a range take next to no memory, so nobody should go through them one by one who need not.
    pub fn into_positions(self) -> RoaringTreemap {
        self.positions
    }

    /// Reads a blob: exactly the bytes that a manifest's `content_offset` and `content_size_in_bytes` tell.
    ///
    /// Memory is some small multiple of the blob's size. The checksum is verified first.
    pub fn decode(blob: &[u8]) -> Result<DeletionVector, PuffinError> {
        let damaged = |what: &str| malformed(format!("the deletion vector is damaged: {what}"));
        let Some((length, rest)) = blob.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(damaged("it is cut short"));
        };
        let Some((content, checksum)) = rest.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(damaged("it is cut short"));
        };
        if usize::try_from(i32::from_be_bytes(*length)) != Ok(content.len()) {
            return Err(damaged("its length is not the one that is told"));
        }
        let Some(bitmaps) = content.strip_prefix(&MAGIC) else {
            return Err(damaged("it does not begin as one does"));
        };
        if crc32fast::hash(content) != u32::from_be_bytes(*checksum) {
            return Err(damaged("its checksum is wrong"));
        }
        let positions = bitmaps_of(bitmaps).map_err(|error| damaged(&error))?;
        Ok(DeletionVector { positions })
    }

    /// Reads the blob that a manifest lists, and compares it with the number of rows that the manifest tells.
    pub fn decode_listed(blob: &[u8], listed: &DataFile) -> Result<DeletionVector, PuffinError> {
        if listed.content_size_bytes.is_some_and(|size| u64::try_from(size) != Ok(blob.len() as u64)) {
            return Err(malformed("the deletion vector is not as long as the manifest tells"));
        }
        let vector = DeletionVector::decode(blob)?;
        if u64::try_from(listed.record_count) != Ok(vector.cardinality()) {
            return Err(malformed(format!(
                "the deletion vector holds {} positions, but the manifest tells of {}",
                vector.cardinality(),
                listed.record_count
            )));
        }
        Ok(vector)
    }
}

/// The 64-bit extension of the Roaring format: 32-bit bitmaps in the order of their keys.
fn bitmaps_of(bytes: &[u8]) -> Result<RoaringTreemap, String> {
    let Some((count, mut rest)) = bytes.split_first_chunk::<8>() else {
        return Err("it is cut short".to_owned());
    };
    let mut bitmaps = BTreeMap::new();
    let mut last_key = None;
    for _ in 0..u64::from_le_bytes(*count) {
        let Some((key, bitmap)) = rest.split_first_chunk::<4>() else {
            return Err("it has fewer bitmaps than it tells".to_owned());
        };
        let key = u32::from_le_bytes(*key);
        if key > KEY_MAX || last_key.is_some_and(|last| last >= key) {
            return Err("its bitmaps are not in order".to_owned());
        }
        last_key = Some(key);
        rest = bitmap;
        let bitmap = RoaringBitmap::deserialize_from(&mut rest).map_err(|error| error.to_string())?;
        // Java writes an empty bitmap for every key below the last.
        if !bitmap.is_empty() {
            bitmaps.insert(key, bitmap);
        }
    }
    if !rest.is_empty() {
        return Err("it holds more than its bitmaps".to_owned());
    }
    Ok(RoaringTreemap::from_bitmaps(bitmaps))
}

/// A vector to be written, and the data file it is for.
#[derive(Debug, Clone)]
pub struct VectorOf {
    /// The data file's path, exactly as its manifest tells it.
    pub data_file: String,
    /// The data file's partition spec.
    pub spec_id: i32,
    /// The data file's partition.
    pub partition: PartitionTuple,
    /// Which of its rows are deleted: all of them, those that were deleted before too.
    pub vector: DeletionVector,
}

/// Writes vectors into one Puffin file that will be at `location`: its bytes, and an entry for each vector in their order.
///
/// Fails if a vector is empty, or if two are for one data file; the specification allows one.
pub fn write(
    location: &str,
    created_by: &str,
    vectors: &[VectorOf],
) -> Result<(Vec<u8>, Vec<DataFile>), PuffinError> {
    let mut writer = Writer::new(created_by);
    let mut entries = Vec::with_capacity(vectors.len());
    let mut seen = BTreeSet::new();
    for of in vectors {
        if of.vector.is_empty() || !seen.insert(&of.data_file) {
            let path = &of.data_file;
            return Err(malformed(format!(
                "a data file has one deletion vector that is not empty: `{path}`"
            )));
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

/// Writes one vector; the entry's file size is not known yet.
fn add(writer: &mut Writer, location: &str, of: &VectorOf) -> Result<DataFile, PuffinError> {
    let cardinality = of.vector.cardinality();
    let blob = Blob {
        kind: BLOB_TYPE,
        fields: vec![ROW_POSITION_ID],
        // Not known before the commit; readers go by the manifest.
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
        content: Content::PositionDeletes,
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
