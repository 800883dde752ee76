//! The container of Avro's object files: header, codec, blocks; and the encoding of its primitive types. What the
//! records in it mean is not known here.
//!
//! Source: the Avro 1.12 specification, sections "Object Container Files" and "Binary Encoding".

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};
use serde_json::Value;

use super::error::{ManifestError, malformed};

const MAGIC: &[u8] = b"Obj\x01";
const SYNC_BYTES: usize = 16;
/// The longest encoding of a number.
const LONG_BYTES_MAX: usize = 10;
/// The least room that is made for what a block decompresses to.
const INFLATED_MIN: usize = 1 << 10;
/// How much is decompressed at a time where the decoder does not write straight to its destination.
const PIECE_BYTES: usize = 64 << 10;
/// The longest schema that is read. It becomes many times as large in memory; writers write some ten kilobytes.
const SCHEMA_BYTES_MAX: usize = 4 << 20;

/// Writers put about six things into a header.
const METADATA_MAX: usize = 1_000;

/// An object file, read up to the end of its header.
pub struct Container<'a> {
    /// The schema its writer used.
    pub schema: Value,
    /// The file's metadata, the schema and codec included, in its order.
    pub metadata: Vec<(String, &'a [u8])>,
    codec: Codec,
    sync: [u8; SYNC_BYTES],
    blocks: Cursor<'a>,
}

enum Codec {
    Null,
    /// Its state is some 40 KB, so one is used for all blocks.
    Deflate(Decompress),
    Snappy,
    Zstandard,
}

impl<'a> Container<'a> {
    /// Reads the header.
    pub fn open(bytes: &'a [u8]) -> Result<Container<'a>, ManifestError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(malformed("it does not begin as an Avro object file does"));
        };
        let mut cursor = Cursor::new(rest);
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
            *cursor.take(SYNC_BYTES)?.first_chunk().ok_or_else(|| malformed("its header is cut short"))?;
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

    /// Appends the next block's records to `records`, decompressed, and says how many there are. `None` at the end.
    ///
    /// Fails rather than let `records` grow over `limit_bytes`.
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

    /// How many bytes of the file are left to read.
    pub fn left_bytes(&self) -> usize {
        self.blocks.bytes.len().saturating_sub(self.blocks.at)
    }
}

/// Decompresses into the free room of `records`, which is not zeroed first.
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
            // One byte more than allowed tells what is too large.
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
        // With room left, there was nothing more to read.
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

/// Makes room for `more` elements in a list that never has more than `all`, whose memory is bounded by that.
///
/// What is small grows by doubling. But the memory that a list has grown out of is held on to for a while, by the list as it is
/// copied and by the allocator afterwards; so what is large gets room for all at once, which takes no memory before it is used.
pub(super) fn make_room<T>(list: &mut Vec<T>, more: usize, all: usize) {
    if list.capacity() - list.len() >= more {
        return;
    }
    let needed = list.len().saturating_add(more);
    let doubled = list.capacity().saturating_mul(2).max(needed);
    let room = if doubled > all / 8 { all.max(needed) } else { doubled };
    list.reserve_exact(room - list.len());
}

/// A raw snappy block with the big-endian CRC-32 of what it holds behind it.
fn unsnap(
    block: &[u8],
    records: &mut Vec<u8>,
    room: usize,
    too_large: ManifestError,
) -> Result<(), ManifestError> {
    let failed = |error: snap::Error| malformed(format!("a block does not decompress: {error}"));
    let Some((compressed, checksum)) = block.split_last_chunk::<4>() else {
        return Err(malformed("a block is cut short"));
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

/// A place in encoded bytes. Every read is checked; none goes beyond the end.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The place `at` in `bytes`.
    pub fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// How many bytes lie before it.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], ManifestError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(malformed("it ends in the middle of a value"));
        };
        self.at += count;
        Ok(taken)
    }

    /// An `int` or `long`: zig-zag, seven bits a byte, least significant first.
    #[inline]
    pub fn long(&mut self) -> Result<i64, ManifestError> {
        // Most numbers are small: lengths, ids, branches of unions.
        if let Some(byte) = self.bytes.get(self.at).filter(|byte| **byte < 0x80) {
            self.at += 1;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        let mut encoded = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.bytes.get(self.at) else {
                return Err(malformed("it ends in the middle of a number"));
            };
            self.at += 1;
            encoded |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((encoded >> 1).cast_signed() ^ -(encoded & 1).cast_signed());
            }
        }
        Err(malformed("a number is longer than ten bytes"))
    }

    /// Goes past an `int` or `long`.
    #[inline]
    pub fn skip_long(&mut self) -> Result<(), ManifestError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(last) = rest.iter().take(LONG_BYTES_MAX).position(|byte| byte & 0x80 == 0) else {
            return Err(malformed("a number has no end"));
        };
        self.at += last + 1;
        Ok(())
    }

    /// An `int`.
    pub fn int(&mut self) -> Result<i32, ManifestError> {
        i32::try_from(self.long()?).map_err(|_| malformed("a number does not fit into an int"))
    }

    /// A `boolean`.
    pub fn boolean(&mut self) -> Result<bool, ManifestError> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(malformed("a boolean is neither 0 nor 1")),
        }
    }

    /// A `bytes`.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], ManifestError> {
        let length = usize::try_from(self.long()?).map_err(|_| malformed("a length is negative"))?;
        self.take(length)
    }

    /// A `string`.
    pub fn string(&mut self) -> Result<&'a str, ManifestError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| malformed("a text is not UTF-8"))
    }

    /// How many items follow in an array or map, before the next count; `None` at its end.
    #[inline]
    pub fn block_count(&mut self) -> Result<Option<u64>, ManifestError> {
        let count = self.long()?;
        if count < 0 {
            // A negative count is followed by the block's size in bytes, which only matters to whoever skips it.
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
