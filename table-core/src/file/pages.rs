//! Pages of a column chunk as stored in a file: their positions, sizes and checksums (`PageHeader` of
//! `parquet.thrift`). The contents are left to the decoder.

use bytes::Bytes;
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;

use super::error::FileError;
use super::shapes::PAGE_HEADER;
use super::thrift::{Thrift, broken, code, push_zigzag};

/// Kind of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    Data,
    Dictionary,
    /// An index page, or a kind introduced by a later version of the format.
    Other,
}

/// One page of a column chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnPage<'a> {
    /// Offset of the header in the bytes of the chunk, followed by the offset of the body.
    pub(crate) start: usize,
    pub(crate) body_start: usize,
    /// Compressed content of the page.
    pub(crate) body: &'a [u8],
    pub(crate) kind: PageKind,
    /// Size of the uncompressed content in bytes.
    pub(crate) uncompressed_bytes: u64,
    /// Number of values, including nulls.
    pub(crate) values: u64,
    /// Number of the encoding in `parquet.thrift`.
    pub(crate) encoding: i32,
    checksum: Option<u32>,
    /// Offset in the chunk at which the `crc` field belongs if the header does not have one.
    checksum_place: usize,
}

/// Iterator over the pages of a column chunk, in order, up to the last of its values.
pub(crate) struct Pages<'a> {
    bytes: &'a [u8],
    at: usize,
    values_left: u64,
}

/// Bytes of a column chunk in which every page has a checksum.
pub(crate) struct Checked {
    pub(crate) bytes: Bytes,
    pub(crate) close: ColumnCloseResult,
}

const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;
const DATA_PAGE_V2: i32 = 3;
/// Thrift field header of an `i32` field whose id is one more than the previous one.
const NEXT_I32: u8 = 1 << 4 | code::I32;

impl<'a> Pages<'a> {
    /// Creates an iterator over the pages in the bytes of a column chunk.
    pub(crate) fn new(bytes: &'a [u8], column: &ColumnChunkMetaData) -> Pages<'a> {
        Pages { bytes, at: 0, values_left: u64::try_from(column.num_values()).unwrap_or(0) }
    }

    fn page(&mut self) -> Result<ColumnPage<'a>, FileError> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let (header, header_bytes) = Header::read(rest)?;
        let body_start = start + header_bytes;
        let body_end = body_start.checked_add(size(header.compressed)?).ok_or_else(broken)?;
        let cut = || FileError::malformed("a page ends beyond its column");
        let body = self.bytes.get(body_start..body_end).ok_or_else(cut)?;
        self.at = body_end;
        let kind = match header.kind {
            Some(DATA_PAGE | DATA_PAGE_V2) => PageKind::Data,
            Some(DICTIONARY_PAGE) => PageKind::Dictionary,
            _ => PageKind::Other,
        };
        let values = u64::try_from(header.values).map_err(|_| broken())?;
        if kind == PageKind::Data {
            self.values_left = self.values_left.saturating_sub(values);
        }
        Ok(ColumnPage {
            start,
            body_start,
            body,
            kind,
            uncompressed_bytes: size(header.uncompressed)? as u64,
            values,
            encoding: header.encoding,
            checksum: header.checksum.map(i32::cast_unsigned),
            checksum_place: start + header.checksum_place,
        })
    }
}

impl<'a> Iterator for Pages<'a> {
    type Item = Result<ColumnPage<'a>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Bytes after the last value belong to no page.
        if self.values_left == 0 || self.at >= self.bytes.len() {
            return None;
        }
        let page = self.page();
        if page.is_err() {
            self.values_left = 0;
        }
        Some(page)
    }
}

impl ColumnPage<'_> {
    /// Returns the offset of the end of the page in the bytes of the chunk.
    pub(crate) fn end(&self) -> usize {
        self.body_start + self.body.len()
    }

    /// Fails if the page has a checksum that does not match its content.
    pub(crate) fn verify(&self) -> Result<(), FileError> {
        match self.checksum {
            Some(checksum) if checksum != crc32fast::hash(self.body) => {
                Err(FileError::malformed("a page is damaged: its checksum is wrong"))
            }
            _ => Ok(()),
        }
    }
}

/// Fails if a page of a column chunk has a checksum that does not match its content.
pub(crate) fn verify(bytes: &[u8], column: &ColumnChunkMetaData) -> Result<(), FileError> {
    Pages::new(bytes, column).try_for_each(|page| page?.verify())
}

/// Adds a checksum to every page of a column chunk that has none; the encoder writes none. `close` is the
/// encoder's description of the chunk, which is adjusted to the new positions and sizes.
pub(crate) fn with_checksums(bytes: &[u8], mut close: ColumnCloseResult) -> Result<Checked, FileError> {
    let mut new: Vec<u8> = Vec::with_capacity(bytes.len() + bytes.len() / 64);
    // Start of each page before and after the insertion of checksums.
    let mut moved: Vec<(usize, usize)> = Vec::new();
    let mut end = 0;
    for page in Pages::new(bytes, &close.metadata) {
        let page = page?;
        moved.push((page.start, new.len()));
        end = page.end();
        let (Some(before), Some(after)) =
            (bytes.get(page.start..page.checksum_place), bytes.get(page.checksum_place..page.body_start))
        else {
            return Err(broken());
        };
        new.extend_from_slice(before);
        if page.checksum.is_none() {
            new.push(NEXT_I32);
            push_zigzag(&mut new, crc32fast::hash(page.body).cast_signed());
            // Thrift encodes field ids as differences, and the distance to the next field has become smaller
            // by one.
            let (next, after) = after.split_first().ok_or_else(broken)?;
            new.push(if *next >> 4 == 0 { *next } else { next - (1 << 4) });
            new.extend_from_slice(after);
        } else {
            new.extend_from_slice(after);
        }
        new.extend_from_slice(page.body);
    }
    new.extend_from_slice(bytes.get(end..).unwrap_or_default());
    let grown = new.len() - bytes.len();
    let place = |old: i64| {
        let found = usize::try_from(old).ok().and_then(|old| {
            moved.binary_search_by_key(&old, |(old, _)| *old).ok().and_then(|place| moved.get(place))
        });
        found.and_then(|(_, new)| i64::try_from(*new).ok()).ok_or_else(broken)
    };
    let grown_by = i64::try_from(grown).map_err(|_| broken())?;
    let metadata = &close.metadata;
    let (data, dictionary) = (metadata.data_page_offset(), metadata.dictionary_page_offset());
    let builder = metadata
        .clone()
        .into_builder()
        .set_total_compressed_size(metadata.compressed_size() + grown_by)
        .set_total_uncompressed_size(metadata.uncompressed_size() + grown_by)
        .set_data_page_offset(place(data)?)
        .set_dictionary_page_offset(dictionary.map(place).transpose()?);
    close.metadata = builder.build().map_err(FileError::writing)?;
    if let Some(index) = close.offset_index.as_mut() {
        let ends: Vec<usize> = moved.iter().skip(1).map(|(_, new)| *new).chain([new.len()]).collect();
        for location in &mut index.page_locations {
            location.offset = place(location.offset)?;
            let number = moved.iter().position(|(_, new)| i64::try_from(*new) == Ok(location.offset));
            let page_end = number.and_then(|number| ends.get(number)).copied().ok_or_else(broken)?;
            let page_end = i64::try_from(page_end).map_err(|_| broken())?;
            location.compressed_page_size =
                i32::try_from(page_end - location.offset).map_err(|_| broken())?;
        }
    }
    close.bytes_written += grown as u64;
    Ok(Checked { bytes: new.into(), close })
}

/// Header of a page, limited to the fields that are used here.
#[derive(Default)]
struct Header {
    kind: Option<i32>,
    uncompressed: i32,
    compressed: i32,
    checksum: Option<i32>,
    checksum_place: usize,
    values: i32,
    encoding: i32,
}

impl Header {
    /// Parses a header. Returns it with its length in bytes.
    fn read(bytes: &[u8]) -> Result<(Header, usize), FileError> {
        let mut thrift = Thrift::new(bytes);
        let mut header = Header::default();
        let mut last = 0;
        loop {
            let place = bytes.len() - thrift.left();
            if last <= 3 {
                header.checksum_place = place;
            }
            let Some((id, field_code)) = thrift.field(&mut last)? else { break };
            match (id, field_code) {
                (1, code::I32) => header.kind = Some(thrift.i32()?),
                (2, code::I32) => header.uncompressed = thrift.i32()?,
                (3, code::I32) => header.compressed = thrift.i32()?,
                (4, code::I32) => header.checksum = Some(thrift.i32()?),
                (5 | 7, code::STRUCT) => header.content(&mut thrift, id, 2)?,
                (8, code::STRUCT) => header.content(&mut thrift, id, 4)?,
                _ => thrift.field_of(&PAGE_HEADER, id, field_code)?,
            }
        }
        if thrift.is_odd() { Err(broken()) } else { Ok((header, bytes.len() - thrift.left())) }
    }

    /// Parses the structure that is specific to a kind of page.
    fn content(&mut self, thrift: &mut Thrift<'_>, kind_id: i16, encoding_id: i16) -> Result<(), FileError> {
        let mut last = 0;
        while let Some((id, field_code)) = thrift.field(&mut last)? {
            match (id, field_code) {
                (1, code::I32) => self.values = thrift.i32()?,
                (id, code::I32) if id == encoding_id => self.encoding = thrift.i32()?,
                _ => thrift.field_of(shape_of(kind_id), id, field_code)?,
            }
        }
        Ok(())
    }
}

fn shape_of(kind_id: i16) -> &'static super::thrift::ThriftShape {
    match kind_id {
        5 => &super::shapes::DATA_PAGE,
        7 => &super::shapes::DICTIONARY_PAGE,
        _ => &super::shapes::DATA_PAGE_V2,
    }
}

fn size(bytes: i32) -> Result<usize, FileError> {
    usize::try_from(bytes).map_err(|_| broken())
}
