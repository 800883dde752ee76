//! The footer of a Parquet file: where it is, and its metadata, decoded.
//!
//! The decoder descends into a schema as deep as it goes, makes room for whatever is announced, and a process does not survive
//! when either comes to an end. So the bytes are read by [`super::thrift`] first, which accepts nothing that the decoder could
//! read differently, and the schema is measured on the way.

use std::thread;

use bytes::Bytes;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use super::error::{FileError, guarded};
use super::parquet_reader::row_group::Chunk;
use super::shapes::{COLUMN_INDEX, FILE_METADATA, OFFSET_INDEX, SCHEMA_ELEMENT, SCHEMA_ELEMENTS};
use super::thrift::{Shape, Thrift, broken, code, without_odd_fields};
use crate::metadata::types::TYPE_DEPTH_MAX;

/// How many bytes at the end of a file say how long its metadata is.
pub const TAIL_BYTES: usize = 8;

/// The longest metadata, and the longest index of pages, that is decoded. A thousand columns in a thousand row groups take about
/// as much; decoded it is some times larger, which has to fit into the memory of a job.
const METADATA_BYTES_MAX: usize = 128 << 20;

/// Every level of types is one or two of Parquet's, and the values of a map are a third.
const DEPTH_MAX: usize = 3 * TYPE_DEPTH_MAX;

/// Up to this depth a schema is decoded on the stack of the caller; deeper ones are rare, and get a stack of their own.
const SHALLOW_DEPTH_MAX: usize = 16;

/// More than enough to decode [`DEPTH_MAX`] levels: one takes some kilobytes.
const STACK_BYTES: usize = 16 << 20;

/// How many elements a schema has at most, the groups included.
const ELEMENTS_MAX: usize = 200_000;

/// The decoder writes down the full name of every column; all of them together may take so much.
const NAMES_BYTES_MAX: usize = 256 << 20;

/// What a part of a name takes beside its bytes.
const NAME_BYTES: usize = 48;

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
///
/// Fails if it is damaged, or larger or deeper than what is read here.
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
///
/// Fails if what it says is damaged, or larger than what is read here.
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

/// The bytes from the first index of pages to the last, checked.
fn index_chunk<R: ChunkReader>(metadata: &ParquetMetaData, source: &R) -> Result<Chunk, FileError> {
    let mut indexes: Vec<(u64, u64, &'static Shape)> = Vec::new();
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let places = [
            (column.offset_index_offset(), column.offset_index_length(), &OFFSET_INDEX),
            (column.column_index_offset(), column.column_index_length(), &COLUMN_INDEX),
        ];
        for (offset, length, shape) in places {
            let Some((offset, length)) = offset.zip(length) else { continue };
            let start = u64::try_from(offset).map_err(|_| broken())?;
            let end = start.saturating_add(u64::try_from(length).map_err(|_| broken())?);
            // The metadata comes after it.
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
        // The library wants something to follow.
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

/// Does what may go deep where it is known how deep it can go.
fn on_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, FileError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| FileError::Io(format!("cannot start a thread: {error}")))?;
        thread.join().map_err(|_| broken())
    })
}

/// What is known of metadata that the decoder can be given.
struct Checked {
    /// How deep its schema is.
    depth: usize,
    /// Whether it has fields that the decoder must not see.
    is_odd: bool,
}

/// Fails unless the decoder can be given the metadata of a file.
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

/// An element of a schema that still has children to come.
struct Group {
    children: usize,
    names_bytes: usize,
}

/// Goes past a schema: its elements, each followed by its children. Gives back how deep they nest.
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
        // An announced child takes room before it is looked for.
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

/// Goes past an element of a schema. Gives back how many children it has, and how long its name is.
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
