//! Reader of Avro object container files: header, codec, blocks, and the encoding of primitive types.
//! Independent of the meaning of the records.
//!
//! Source: the Avro 1.12 specification, sections "Object Container Files" and "Binary Encoding".

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};
use serde_json::Value;

use super::error::{ManifestError, malformed};

const MAGIC: &[u8] = b"Obj\x01";
const SYNC_BYTES: usize = 16;
/// Maximum length of the encoding of a number, in bytes.
const LONG_BYTES_MAX: usize = 10;
/// Minimum number of bytes that are allocated for a decompressed block.
const INFLATED_MIN: usize = 1 << 10;
/// Number of bytes that are decompressed at a time if the decoder does not write directly to its destination.
const PIECE_BYTES: usize = 64 << 10;
/// Maximum length of a schema, in bytes. A schema becomes many times as large in memory; writers produce some
/// ten kilobytes.
const SCHEMA_BYTES_MAX: usize = 4 << 20;

/// Maximum number of entries in a header. Writers produce about six.
const METADATA_MAX: usize = 1_000;

/// Avro object container file, read up to the end of its header.
pub struct Container<'a> {
    /// Schema of the writer (`avro.schema`), as JSON.
    pub schema: Value,
    /// Metadata of the file, including schema and codec, in the order of the file.
    pub metadata: Vec<(String, &'a [u8])>,
    codec: Codec,
    sync: [u8; SYNC_BYTES],
    blocks: AvroCursor<'a>,
}

enum Codec {
    Null,
    /// The state is about 40 KB, so one is used for all blocks.
    Deflate(Decompress),
    Snappy,
    Zstandard,
}

impl<'a> Container<'a> {
    /// Reads the header of a container file.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a container file, the header is cut short or has too many entries, or its
    /// schema is missing, longer than 4 MiB or not JSON ([`ManifestError::Malformed`]); and if the codec is
    /// not one of null, deflate, snappy and zstandard ([`ManifestError::Unsupported`]).
    pub fn open(bytes: &'a [u8]) -> Result<Container<'a>, ManifestError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(malformed("it does not begin like an Avro object container file"));
        };
        let mut cursor = AvroCursor::new(rest);
        let mut metadata = Vec::new();
        while let Some(count) = cursor.block_count()? {
            for _ in 0..count {
                if metadata.len() == METADATA_MAX {
                    return Err(malformed(format!("its header has more than {METADATA_MAX} entries")));
                }
                let key = cursor.string()?.to_owned();
                metadata.push((key, cursor.bytes()?));
            }
        }
        let sync =
            *cursor.take(SYNC_BYTES)?.first_chunk().ok_or_else(|| malformed("its header is truncated"))?;
        let find = |key: &str| metadata.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
        let schema = find("avro.schema").ok_or_else(|| malformed("its header has no schema"))?;
        if schema.len() > SCHEMA_BYTES_MAX {
            return Err(malformed(format!(
                "the schema in its header is longer than {} MiB",
                SCHEMA_BYTES_MAX >> 20
            )));
        }
        let schema = serde_json::from_slice(schema)
            .map_err(|error| malformed(format!("the schema in its header is not JSON: {error}")))?;
        let codec = match find("avro.codec") {
            None | Some(b"null" | b"") => Codec::Null,
            Some(b"deflate") => Codec::Deflate(Decompress::new(false)),
            Some(b"snappy") => Codec::Snappy,
            Some(b"zstandard") => Codec::Zstandard,
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                return Err(ManifestError::Unsupported(format!(
                    "it is compressed with `{other}`; deflate, snappy, zstandard and null can be read"
                )));
            }
        };
        Ok(Container { schema, metadata, codec, sync, blocks: cursor })
    }

    /// Decompresses the next block, appends its records to `records`, and returns their number. `None` at the
    /// end of the file.
    ///
    /// # Errors
    ///
    /// Fails if `records` would become longer than `limit_bytes` ([`ManifestError::TooLarge`]); and if the
    /// block is cut short, does not end with the sync marker, cannot be decompressed, or has a wrong checksum
    /// ([`ManifestError::Malformed`]).
    pub fn next_block(
        &mut self,
        records: &mut Vec<u8>,
        limit_bytes: usize,
    ) -> Result<Option<u64>, ManifestError> {
        if self.blocks.is_at_end() {
            return Ok(None);
        }
        let count =
            u64::try_from(self.blocks.long()?).map_err(|_| malformed("a block has a negative count"))?;
        let block = self.blocks.bytes()?;
        if self.blocks.take(SYNC_BYTES)? != self.sync {
            return Err(malformed("a block does not end with the file's marker"));
        }
        let room = limit_bytes.saturating_sub(records.len());
        let too_large = ManifestError::TooLarge { limit_bytes };
        match &mut self.codec {
            Codec::Null if block.len() > room => return Err(too_large),
            Codec::Null => {
                make_room(records, block.len(), records.len().saturating_add(room));
                records.extend_from_slice(block);
            }
            Codec::Deflate(state) => inflate(state, block, records, room, too_large)?,
            Codec::Snappy => unsnap(block, records, room, too_large)?,
            Codec::Zstandard => {
                let decoder = zstd::stream::read::Decoder::with_buffer(block)
                    .map_err(|error| malformed(format!("a block does not decompress: {error}")))?;
                read_all(decoder, records, room, too_large)?;
            }
        }
        Ok(Some(count))
    }

    /// Returns the number of bytes of the file that are not yet read.
    pub fn left_bytes(&self) -> usize {
        self.blocks.bytes.len().saturating_sub(self.blocks.at)
    }
}

/// Decompresses into the spare capacity of `records`, which is not zeroed first.
fn inflate(
    state: &mut Decompress,
    block: &[u8],
    records: &mut Vec<u8>,
    room: usize,
    too_large: ManifestError,
) -> Result<(), ManifestError> {
    state.reset(false);
    let end = records.len().saturating_add(room);
    let mut rest = block;
    loop {
        if records.len() == records.capacity() {
            // One byte more than the limit allows is enough to detect an excess.
            let left = end.saturating_add(1).saturating_sub(records.len());
            let more = (4 * block.len()).max(INFLATED_MIN).min(left.max(1));
            make_room(records, more, end.saturating_add(1));
        }
        let before = state.total_in();
        let status = state
            .decompress_vec(rest, records, FlushDecompress::Finish)
            .map_err(|error| malformed(format!("a block does not decompress: {error}")))?;
        if records.len() > end {
            return Err(too_large);
        }
        let read = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(read..).unwrap_or_default();
        // With capacity left over, the input was exhausted.
        if status == Status::StreamEnd || records.len() < records.capacity() {
            return Ok(());
        }
    }
}

fn read_all(
    mut decoder: impl Read,
    records: &mut Vec<u8>,
    room: usize,
    too_large: ManifestError,
) -> Result<(), ManifestError> {
    let end = records.len().saturating_add(room);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = decoder
            .read(&mut piece)
            .map_err(|error| malformed(format!("a block does not decompress: {error}")))?;
        let read = piece.get(..read).unwrap_or_default();
        if read.is_empty() {
            return Ok(());
        }
        if records.len() + read.len() > end {
            return Err(too_large);
        }
        make_room(records, read.len(), end);
        records.extend_from_slice(read);
    }
}

/// Reserves space for `more` elements in a list that never has more than `all`, which bounds its memory.
///
/// Small lists grow by doubling. Memory that a list has outgrown stays in use for a while, by the list while
/// it is copied and by the allocator afterwards; so large lists reserve their maximum at once, which occupies
/// no physical memory before it is used.
pub(super) fn make_room<T>(list: &mut Vec<T>, more: usize, all: usize) {
    if list.capacity() - list.len() >= more {
        return;
    }
    let needed = list.len().saturating_add(more);
    let doubled = list.capacity().saturating_mul(2).max(needed);
    let room = if doubled > all / 8 { all.max(needed) } else { doubled };
    list.reserve_exact(room - list.len());
}

/// Decompresses a raw snappy block, which is followed by the big-endian CRC-32 of its decompressed content.
fn unsnap(
    block: &[u8],
    records: &mut Vec<u8>,
    room: usize,
    too_large: ManifestError,
) -> Result<(), ManifestError> {
    let failed = |error: snap::Error| malformed(format!("a block does not decompress: {error}"));
    let Some((compressed, checksum)) = block.split_last_chunk::<4>() else {
        return Err(malformed("a block is truncated"));
    };
    let length = snap::raw::decompress_len(compressed).map_err(failed)?;
    if length > room {
        return Err(too_large);
    }
    let start = records.len();
    make_room(records, length, start.saturating_add(room));
    records.resize(start + length, 0);
    let content = records.get_mut(start..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(compressed, content).map_err(failed)?;
    if crc32fast::hash(content) != u32::from_be_bytes(*checksum) {
        return Err(malformed("a block's checksum is wrong"));
    }
    Ok(())
}

/// Position in encoded bytes. Every read is bounds-checked.
#[derive(Clone, Copy)]
pub struct AvroCursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> AvroCursor<'a> {
    /// Returns a cursor at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns a cursor at the position `at` in `bytes`.
    pub fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Returns the number of bytes before the cursor.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns `true` if no bytes are left.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Reads the next `count` bytes.
    ///
    /// # Errors
    ///
    /// Fails if fewer bytes are left ([`ManifestError::Malformed`]).
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], ManifestError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(malformed("it ends within a value"));
        };
        self.at += count;
        Ok(taken)
    }

    /// Reads an `int` or `long`: zig-zag, seven bits per byte, least significant first.
    ///
    /// # Errors
    ///
    /// Fails if the bytes end within the number, or it is longer than ten bytes
    /// ([`ManifestError::Malformed`]).
    #[inline]
    pub fn long(&mut self) -> Result<i64, ManifestError> {
        // Fast path: most numbers (lengths, ids, branches of unions) fit into one byte.
        if let Some(byte) = self.bytes.get(self.at).filter(|byte| **byte < 0x80) {
            self.at += 1;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        let mut encoded = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.bytes.get(self.at) else {
                return Err(malformed("it ends within a number"));
            };
            self.at += 1;
            encoded |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((encoded >> 1).cast_signed() ^ -(encoded & 1).cast_signed());
            }
        }
        Err(malformed("a number is longer than ten bytes"))
    }

    /// Skips an `int` or `long`.
    ///
    /// # Errors
    ///
    /// Fails if the bytes end within the number, or it is longer than ten bytes
    /// ([`ManifestError::Malformed`]).
    #[inline]
    pub fn skip_long(&mut self) -> Result<(), ManifestError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(last) = rest.iter().take(LONG_BYTES_MAX).position(|byte| byte & 0x80 == 0) else {
            return Err(malformed("a number is not terminated"));
        };
        self.at += last + 1;
        Ok(())
    }

    /// Reads an `int`.
    ///
    /// # Errors
    ///
    /// Fails as [`AvroCursor::long`] does, and if the number does not fit into 32 bits
    /// ([`ManifestError::Malformed`]).
    pub fn int(&mut self) -> Result<i32, ManifestError> {
        i32::try_from(self.long()?).map_err(|_| malformed("a number does not fit into an int"))
    }

    /// Reads a `boolean`.
    ///
    /// # Errors
    ///
    /// Fails if no byte is left, or the byte is neither 0 nor 1 ([`ManifestError::Malformed`]).
    pub fn boolean(&mut self) -> Result<bool, ManifestError> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(malformed("a boolean is neither 0 nor 1")),
        }
    }

    /// Reads a `bytes` value.
    ///
    /// # Errors
    ///
    /// Fails if the length is negative or exceeds the bytes that are left ([`ManifestError::Malformed`]).
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], ManifestError> {
        let length = usize::try_from(self.long()?).map_err(|_| malformed("a length is negative"))?;
        self.take(length)
    }

    /// Reads a `string`.
    ///
    /// # Errors
    ///
    /// Fails as [`AvroCursor::bytes`] does, and if the value is not UTF-8 ([`ManifestError::Malformed`]).
    pub fn string(&mut self) -> Result<&'a str, ManifestError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| malformed("a text is not UTF-8"))
    }

    /// Reads the number of items in the next block of an array or map; `None` at the end of the array or map.
    ///
    /// # Errors
    ///
    /// Fails as [`AvroCursor::long`] does ([`ManifestError::Malformed`]).
    #[inline]
    pub fn block_count(&mut self) -> Result<Option<u64>, ManifestError> {
        let count = self.long()?;
        if count < 0 {
            // A negative count is followed by the size of the block in bytes, which only helps to skip the
            // block.
            self.long()?;
        }
        Ok(if count == 0 { None } else { Some(count.unsigned_abs()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_by_doubling_and_then_at_once_to_the_most_that_may_be() {
        let mut list: Vec<u64> = Vec::new();
        let mut rooms = vec![0];
        for number in 0..1000 {
            make_room(&mut list, 1, 1000);
            list.push(number);
            if rooms.last() != Some(&list.capacity()) {
                rooms.push(list.capacity());
            }
        }
        assert_eq!(rooms, [0, 1, 2, 4, 8, 16, 32, 64, 1000]);
        make_room(&mut list, 5, 1000);
        assert!(list.capacity() >= 1005, "what is needed is given");
    }
}
