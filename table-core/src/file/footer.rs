//! The footer of a Parquet file: where it is, and its metadata, decoded.
//!
//! The decoder descends into a schema as deep as it goes, and a few kilobytes can say that it goes deeper than any stack. So
//! the depth is counted first, in the Thrift bytes themselves (the compact protocol, and `FileMetaData` and `SchemaElement`
//! of Parquet's definition). Nothing else of them is looked at here.

use bytes::Bytes;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;

use super::error::{FileError, guarded};
use crate::metadata::types::TYPE_DEPTH_MAX;

/// How many bytes at the end of a file say how long its metadata is.
pub const TAIL_BYTES: usize = 8;

/// Every level of types is one or two of Parquet's, and the values of a map are a third.
const DEPTH_MAX: usize = 3 * TYPE_DEPTH_MAX;

/// How deep structures may nest that are skipped; Parquet's have three levels.
const SKIPPED_DEPTH_MAX: usize = 16;

/// How long the metadata is that ends where the last [`TAIL_BYTES`] of a file begin.
pub fn length(tail: [u8; TAIL_BYTES]) -> Result<usize, FileError> {
    let [a, b, c, d, magic @ ..] = tail;
    match &magic {
        b"PAR1" => usize::try_from(u32::from_le_bytes([a, b, c, d]))
            .map_err(|_| FileError::malformed("the metadata of the file is too long")),
        b"PARE" => Err(FileError::unsupported("the file is encrypted, which cannot be read")),
        _ => Err(FileError::malformed("the file does not end as a Parquet file does")),
    }
}

/// Decodes the metadata of a file.
pub fn decode(metadata: &[u8]) -> Result<ParquetMetaData, FileError> {
    check_depth(metadata)?;
    guarded(|| ParquetMetaDataReader::decode_metadata(metadata).map_err(FileError::reading))
}

/// Reads the metadata of a file that is at hand.
pub fn read<R: ChunkReader>(source: &R) -> Result<ParquetMetaData, FileError> {
    let short = || FileError::malformed("the file is too short for a Parquet file");
    let tail = TAIL_BYTES as u64;
    let start = source.len().checked_sub(tail).ok_or_else(short)?;
    let bytes: Bytes = source.get_bytes(start, TAIL_BYTES).map_err(FileError::reading)?;
    let length = length(bytes.as_ref().try_into().map_err(|_| short())?)?;
    let start = start.checked_sub(length as u64).ok_or_else(short)?;
    decode(&source.get_bytes(start, length).map_err(FileError::reading)?)
}

/// Adds to the metadata of a file where its pages are and what is in them, if the file says so.
pub fn with_page_index<R: ChunkReader>(
    metadata: ParquetMetaData,
    source: &R,
) -> Result<ParquetMetaData, FileError> {
    guarded(|| {
        let mut reader = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_page_index_policy(PageIndexPolicy::Optional);
        reader.read_page_indexes(source).map_err(FileError::reading)?;
        reader.finish().map_err(FileError::reading)
    })
}

/// Fails if the schema in the metadata is too deep to be decoded, or cannot be found.
fn check_depth(metadata: &[u8]) -> Result<(), FileError> {
    let mut thrift = Thrift { rest: metadata };
    let is_shallow = thrift
        .find_field(2)
        .and_then(|kind| (kind == LIST).then(|| thrift.list())?)
        .and_then(|(kind, elements)| (kind == STRUCT).then(|| is_shallow(&mut thrift, elements))?);
    match is_shallow {
        Some(true) => Ok(()),
        Some(false) => Err(FileError::unsupported(format!(
            "the columns of the file nest deeper than {DEPTH_MAX} levels"
        ))),
        None => Err(FileError::malformed("the metadata of the file has no schema")),
    }
}

/// Whether the elements of a schema, each followed by its children, nest no deeper than they may.
fn is_shallow(thrift: &mut Thrift<'_>, elements: u64) -> Option<bool> {
    // How many children are still to come, of each element around the next one.
    let mut open: Vec<u64> = Vec::new();
    for _ in 0..elements {
        let children = thrift.children()?;
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(siblings) = open.last_mut() {
            *siblings -= 1;
        }
        if children > 0 {
            open.push(children);
        }
        if open.len() > DEPTH_MAX {
            return Some(false);
        }
    }
    Some(true)
}

const STOP: u8 = 0;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Bytes in Thrift's compact protocol. Everything is `None` where they are not.
struct Thrift<'a> {
    rest: &'a [u8],
}

impl Thrift<'_> {
    /// How many children an element of a schema has.
    fn children(&mut self) -> Option<u64> {
        let (mut id, mut children) = (0, 0);
        loop {
            let (next, kind) = self.field(id)?;
            id = next;
            match (id, kind) {
                (_, STOP) => return Some(children),
                // A whole number in zigzag form; a negative one has none.
                (5, 5) => {
                    let zigzag = self.varint()?;
                    children = if zigzag & 1 == 0 { zigzag >> 1 } else { 0 };
                }
                _ => self.skip(kind, 0)?,
            }
        }
    }

    /// Goes to a field of the structure at hand, and gives back its kind.
    fn find_field(&mut self, wanted: i64) -> Option<u8> {
        let mut id = 0;
        loop {
            let (next, kind) = self.field(id)?;
            id = next;
            match kind {
                STOP => return None,
                kind if id == wanted => return Some(kind),
                kind => self.skip(kind, 0)?,
            }
        }
    }

    /// The id and the kind of the field after the one with an id; the kind is [`STOP`] at the end of the structure.
    fn field(&mut self, last: i64) -> Option<(i64, u8)> {
        let head = self.byte()?;
        match (head >> 4, head & 0x0f) {
            (_, STOP) => Some((last, STOP)),
            (0, kind) => {
                let zigzag = self.varint()?;
                Some(((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed(), kind))
            }
            (step, kind) => Some((last.checked_add(i64::from(step))?, kind)),
        }
    }

    /// The kind and the number of a list's elements.
    fn list(&mut self) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        Some((head & 0x0f, count))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > SKIPPED_DEPTH_MAX {
            return None;
        }
        match kind {
            // Truth is in the kind.
            1 | 2 => Some(()),
            3 => self.advance(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.advance(8),
            8 => {
                let length = self.varint()?;
                self.advance(length)
            }
            LIST | 10 => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_element(kind, depth))
            }
            STRUCT => {
                let mut id = 0;
                loop {
                    let (next, kind) = self.field(id)?;
                    id = next;
                    if kind == STOP {
                        return Some(());
                    }
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => None,
        }
    }

    /// In a list, truth has a byte of its own.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if matches!(kind, 1 | 2) { self.advance(1) } else { self.skip(kind, depth + 1) }
    }

    fn advance(&mut self, length: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}
