//! Footer of a Parquet file: locating it and decoding its metadata.
//!
//! The decoder of the `parquet` crate recurses as deep as a schema nests and allocates as much as the input
//! announces; the process aborts if it runs out of stack or memory. Therefore the bytes are first parsed by
//! [`super::thrift`], which accepts nothing that the decoder could read differently, and which measures the
//! schema on the way.

use std::thread;

use bytes::Bytes;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use super::error::{FileError, guarded};
use super::parquet_reader::row_group::Chunk;
use super::shapes::{COLUMN_INDEX, FILE_METADATA, OFFSET_INDEX, SCHEMA_ELEMENT, SCHEMA_ELEMENTS};
use super::thrift::{Thrift, ThriftShape, broken, code, without_odd_fields};
use crate::metadata::types::TYPE_DEPTH_MAX;

/// Length, in bytes, of the end of a file: the length of the metadata and the magic.
pub const TAIL_BYTES: usize = 8;

/// Maximum size, in bytes, of the metadata and of the page indexes that are decoded. A thousand columns in a
/// thousand row groups take about as much; decoded, it is several times larger, which has to fit into the
/// memory of a job.
const METADATA_BYTES_MAX: usize = 128 << 20;

/// Maximum depth of a Parquet schema: each level of an Iceberg type is one or two levels in Parquet, and the
/// values of a map are on a third.
const DEPTH_MAX: usize = 3 * TYPE_DEPTH_MAX;

/// Maximum depth of a schema that is decoded on the stack of the caller; deeper ones are rare and get a stack
/// of their own.
const SHALLOW_DEPTH_MAX: usize = 16;

/// Stack size, in bytes, that is more than enough for [`DEPTH_MAX`] levels: a level takes a few kilobytes.
const STACK_BYTES: usize = 16 << 20;

/// Maximum number of elements of a schema, including groups.
const ELEMENTS_MAX: usize = 200_000;

/// Maximum total memory, in bytes, for the full names of all columns, which the decoder materialises.
const NAMES_BYTES_MAX: usize = 256 << 20;

/// Memory, in bytes, that a part of a name takes in addition to its text.
const NAME_BYTES: usize = 48;

/// Returns the length, in bytes, of the metadata, given the last [`TAIL_BYTES`] of a file. The metadata ends
/// where these begin.
///
/// # Errors
///
/// Fails with [`FileError::Unsupported`] if the file is encrypted (`PARE`), and with [`FileError::Malformed`]
/// if it does not end with the magic of a Parquet file.
pub fn length(tail: [u8; TAIL_BYTES]) -> Result<usize, FileError> {
    let [a, b, c, d, magic @ ..] = tail;
    match &magic {
        b"PAR1" => usize::try_from(u32::from_le_bytes([a, b, c, d]))
            .map_err(|_| FileError::malformed("the metadata of the file is too long")),
        b"PARE" => Err(FileError::unsupported("the file is encrypted, which cannot be read")),
        _ => Err(FileError::malformed("the file does not end like a Parquet file")),
    }
}

/// Decodes the metadata of a file.
///
/// # Errors
///
/// Fails with [`FileError::Malformed`] if the metadata is damaged, and with [`FileError::Unsupported`] if it
/// is larger, or its schema larger or more deeply nested, than this module decodes. Fails with
/// [`FileError::Io`] if the thread that decodes a deeply nested schema cannot be started.
pub fn decode(metadata: &[u8]) -> Result<ParquetMetaData, FileError> {
    if metadata.len() > METADATA_BYTES_MAX {
        return Err(too_large("the metadata of the file"));
    }
    let Checked { depth, is_odd } = check(metadata)?;
    if !is_odd {
        return decode_checked(metadata, depth);
    }
    let plain = without_odd_fields(metadata, &FILE_METADATA)?;
    let Checked { depth, .. } = check(&plain)?;
    decode_checked(&plain, depth)
}

fn decode_checked(metadata: &[u8], depth: usize) -> Result<ParquetMetaData, FileError> {
    let decode = || guarded(|| ParquetMetaDataReader::decode_metadata(metadata).map_err(FileError::reading));
    if depth <= SHALLOW_DEPTH_MAX { decode() } else { on_own_stack(decode)? }
}

/// Reads the metadata of a file that is available as a [`ChunkReader`].
///
/// # Errors
///
/// Fails with [`FileError::Malformed`] if the file is too short, with [`FileError::Io`] if it cannot be read,
/// and as [`length()`] and [`decode`] do.
pub fn read<R: ChunkReader>(source: &R) -> Result<ParquetMetaData, FileError> {
    let short = || FileError::malformed("the file is too short for a Parquet file");
    let tail = TAIL_BYTES as u64;
    let start = source.len().checked_sub(tail).ok_or_else(short)?;
    let bytes: Bytes = source.get_bytes(start, TAIL_BYTES).map_err(FileError::reading)?;
    let length = length(bytes.as_ref().try_into().map_err(|_| short())?)?;
    let start = start.checked_sub(length as u64).ok_or_else(short)?;
    decode(&source.get_bytes(start, length).map_err(FileError::reading)?)
}

/// Adds the page indexes (`OffsetIndex` and `ColumnIndex`) to the metadata of a file, if the file has them.
///
/// # Errors
///
/// Fails with [`FileError::Malformed`] if the page indexes are damaged, with [`FileError::Unsupported`] if
/// they are larger than this module decodes, and with [`FileError::Io`] if they cannot be read.
pub fn with_page_index<R: ChunkReader>(
    metadata: ParquetMetaData,
    source: &R,
) -> Result<ParquetMetaData, FileError> {
    let chunk = index_chunk(&metadata, source)?;
    if chunk.bytes.is_empty() {
        return Ok(metadata);
    }
    guarded(|| {
        let mut reader = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_page_index_policy(PageIndexPolicy::Optional);
        reader.read_page_indexes(&chunk).map_err(FileError::reading)?;
        reader.finish().map_err(FileError::reading)
    })
}

/// Reads and checks the bytes from the first page index to the last.
fn index_chunk<R: ChunkReader>(metadata: &ParquetMetaData, source: &R) -> Result<Chunk, FileError> {
    let mut indexes: Vec<(u64, u64, &'static ThriftShape)> = Vec::new();
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let places = [
            (column.offset_index_offset(), column.offset_index_length(), &OFFSET_INDEX),
            (column.column_index_offset(), column.column_index_length(), &COLUMN_INDEX),
        ];
        for (offset, length, shape) in places {
            let Some((offset, length)) = offset.zip(length) else { continue };
            let start = u64::try_from(offset).map_err(|_| broken())?;
            let end = start.saturating_add(u64::try_from(length).map_err(|_| broken())?);
            // The metadata always follows the page indexes.
            if end >= source.len() {
                return Err(broken());
            }
            indexes.push((start, end, shape));
        }
    }
    let start = indexes.iter().map(|(start, _, _)| *start).min().unwrap_or(0);
    let end = indexes.iter().map(|(_, end, _)| *end).max().unwrap_or(0);
    let length = usize::try_from(end - start).unwrap_or(usize::MAX);
    if length > METADATA_BYTES_MAX {
        return Err(too_large("the index of the file's pages"));
    }
    let bytes = match length {
        0 => Bytes::new(),
        // The library requires at least one byte after the indexes.
        length => source.get_bytes(start, length + 1).map_err(FileError::reading)?,
    };
    for (index_start, index_end, shape) in indexes {
        let place = |position: u64| usize::try_from(position - start).unwrap_or(usize::MAX);
        let index = bytes.get(place(index_start)..place(index_end)).ok_or_else(broken)?;
        let mut thrift = Thrift::new(index);
        thrift.structure(shape)?;
        if thrift.is_odd() {
            return Err(broken());
        }
    }
    Ok(Chunk { start, bytes })
}

fn too_large(what: &str) -> FileError {
    FileError::unsupported(format!("{what} is larger than {} MiB", METADATA_BYTES_MAX >> 20))
}

/// Runs work that may recurse deeply on a stack that is large enough for it.
fn on_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, FileError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| FileError::Io(format!("cannot start a thread: {error}")))?;
        thread.join().map_err(|_| broken())
    })
}

/// Result of checking the metadata before it is passed to the decoder.
struct Checked {
    /// Nesting depth of the schema.
    depth: usize,
    /// `true` if the metadata has fields that the decoder must not see.
    is_odd: bool,
}

/// Checks that the metadata of a file is safe to decode.
fn check(metadata: &[u8]) -> Result<Checked, FileError> {
    let mut thrift = Thrift::new(metadata);
    let (mut last, mut depth) = (0, None);
    while let Some((id, field_code)) = thrift.field(&mut last)? {
        if id == 2 && field_code == code::LIST {
            depth = Some(check_schema(&mut thrift)?);
        } else {
            thrift.field_of(&FILE_METADATA, id, field_code)?;
        }
    }
    let depth = depth.ok_or_else(|| FileError::malformed("the metadata of the file has no schema"))?;
    Ok(Checked { depth, is_odd: thrift.is_odd() })
}

/// Group of a schema whose children have not all been read yet.
struct Group {
    children: usize,
    names_bytes: usize,
}

/// Skips a schema: its elements, each followed by its children. Returns the nesting depth.
fn check_schema(thrift: &mut Thrift<'_>) -> Result<usize, FileError> {
    let elements = thrift.list(&SCHEMA_ELEMENTS)?;
    if elements > ELEMENTS_MAX {
        return Err(FileError::unsupported(format!(
            "the file has more than {ELEMENTS_MAX} columns and parts of columns"
        )));
    }
    let mut open: Vec<Group> = Vec::new();
    let (mut depth, mut names_bytes) = (0, 0_usize);
    for number in 0..elements {
        let (children, own_name) = check_element(thrift)?;
        // The decoder allocates memory for the announced children before it reads them.
        if children >= elements - number {
            return Err(broken());
        }
        while open.last().is_some_and(|group| group.children == 0) {
            open.pop();
        }
        let parent = open.last_mut();
        let own_bytes = own_name + NAME_BYTES + parent.as_ref().map_or(0, |group| group.names_bytes);
        if let Some(parent) = parent {
            parent.children -= 1;
        }
        names_bytes = names_bytes.saturating_add(own_bytes);
        if names_bytes > NAMES_BYTES_MAX {
            return Err(FileError::unsupported("the names of the file's columns are too long"));
        }
        if children > 0 {
            open.push(Group { children, names_bytes: own_bytes });
        }
        depth = depth.max(open.len());
        if depth > DEPTH_MAX {
            return Err(FileError::unsupported(format!(
                "the columns of the file nest deeper than {DEPTH_MAX} levels"
            )));
        }
    }
    Ok(depth)
}

/// Skips an element of a schema. Returns the number of its children and the length of its name in bytes.
fn check_element(thrift: &mut Thrift<'_>) -> Result<(usize, usize), FileError> {
    let (mut last, mut children, mut name_bytes) = (0, 0, 0);
    while let Some((id, field_code)) = thrift.field(&mut last)? {
        match (id, field_code) {
            (4, code::BINARY) => name_bytes = thrift.binary()?.len(),
            (5, code::I32) => children = usize::try_from(thrift.i32()?).map_err(|_| broken())?,
            _ => thrift.field_of(&SCHEMA_ELEMENT, id, field_code)?,
        }
    }
    Ok((children, name_bytes))
}
