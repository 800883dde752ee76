//! Sizes of the decoded values of a column. A dictionary stores a long string only once, and delta encodings
//! store only the difference to the previous value. Batches are therefore sized by the decoded values instead
//! of the size of the file, so that they fit into memory.

use parquet::basic::{Encoding, Type as Physical};
use parquet::column::page::{Page as Decompressed, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescriptor;

use super::delta::longest;
use crate::file::error::FileError;
use crate::file::pages::{PageKind, Pages};

/// Size of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueSizes {
    /// Average number of bytes per value, at the place where values are longest.
    pub(super) value_bytes: u64,
    /// `true` if values may be larger.
    pub(super) is_estimate: bool,
}

/// Bytes of the entry of each value in the array of offsets.
const OFFSET_BYTES: u64 = 4;

// Numbers of the encodings in `parquet.thrift`.
const PLAIN: i32 = 0;
const PLAIN_DICTIONARY: i32 = 2;
const DELTA_LENGTH: i32 = 6;
const DELTA_BYTES: i32 = 7;
const DICTIONARY: i32 = 8;

impl ValueSizes {
    /// Returns the size of the values of a fixed-size type.
    pub(super) fn of_fixed(column: &ColumnChunkMetaData) -> ValueSizes {
        let value_bytes = match column.column_type() {
            Physical::FIXED_LEN_BYTE_ARRAY => {
                u64::try_from(column.column_descr().type_length()).unwrap_or(0).max(16)
            }
            // Covers decimals and times of any kind.
            _ => 16,
        };
        ValueSizes { value_bytes, is_estimate: false }
    }

    /// Determines the size of strings or binary values from their pages; `decompressed` returns the pages
    /// whose content has to be inspected.
    pub(super) fn of_bytes<R: PageReader>(
        pages: Pages<'_>,
        column: &ColumnDescriptor,
        decompressed: impl Fn() -> Result<R, ParquetError>,
    ) -> Result<ValueSizes, FileError> {
        let (mut has_dictionary, mut has_deltas) = (false, false);
        let mut value_bytes = 0;
        for page in pages {
            let page = page?;
            match (page.kind, page.encoding) {
                (PageKind::Data, PLAIN | DELTA_LENGTH) => {
                    value_bytes = value_bytes.max(page.uncompressed_bytes.div_ceil(page.values.max(1)));
                }
                (PageKind::Data, PLAIN_DICTIONARY | DICTIONARY) => has_dictionary = true,
                (PageKind::Data, DELTA_BYTES) => has_deltas = true,
                _ => {}
            }
        }
        if has_dictionary || has_deltas {
            let mut pages = decompressed().map_err(FileError::reading)?;
            // The dictionary page comes before all pages that refer to it.
            while let Some(page) = pages.get_next_page().map_err(FileError::reading)? {
                value_bytes = value_bytes.max(longest_in(&page, column).unwrap_or(0));
                if !has_deltas {
                    break;
                }
            }
        }
        Ok(ValueSizes { value_bytes: value_bytes.saturating_add(OFFSET_BYTES), is_estimate: true })
    }
}

/// Returns the length of the longest value of a dictionary page or a page in `DELTA_BYTE_ARRAY` encoding;
/// `None` if the page is of another kind or damaged, which the decoder will report.
fn longest_in(page: &Decompressed, column: &ColumnDescriptor) -> Option<u64> {
    match page {
        Decompressed::DictionaryPage { buf, .. } => longest_plain(buf),
        _ if page.encoding() != Encoding::DELTA_BYTE_ARRAY => None,
        Decompressed::DataPage { buf, num_values, .. } => {
            let mut values: &[u8] = buf;
            let levels = [column.max_rep_level(), column.max_def_level()];
            for _ in levels.iter().filter(|level| **level > 0) {
                let (length, rest) = values.split_first_chunk::<4>()?;
                values = rest.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
            }
            longest(values, usize::try_from(*num_values).ok()?)
        }
        Decompressed::DataPageV2 { buf, num_values, def_levels_byte_len, rep_levels_byte_len, .. } => {
            let levels = def_levels_byte_len.checked_add(*rep_levels_byte_len)?;
            let values = buf.get(usize::try_from(levels).ok()?..)?;
            longest(values, usize::try_from(*num_values).ok()?)
        }
    }
}

/// Returns the length of the longest of several values, each of which follows its length (`PLAIN` encoding).
fn longest_plain(mut rest: &[u8]) -> Option<u64> {
    let mut longest = 0;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(u64::from(length));
        rest = after.get(usize::try_from(length).ok()?..)?;
    }
    Some(longest)
}
