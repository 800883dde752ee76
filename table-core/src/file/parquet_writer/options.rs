//! Options of written files, read from the properties of a table. Metrics modes are in [`super::modes`].
//!
//! A value that cannot be parsed is ignored instead of refused: files in the default form are better than no
//! files.

use std::collections::BTreeMap;

use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::modes::MetricsModes;
use crate::metadata::properties::{Properties, number};
use crate::metadata::schema::Columns;
use crate::metadata::sort::SortOrder;

/// Prefix of the properties of data files.
const DATA: &str = "write.parquet.";
/// Prefix of the properties of delete files, which take precedence over those of data files.
const DELETES: &str = "write.delete.parquet.";

const ROW_GROUP_BYTES: i64 = 128 << 20;
const PAGE_BYTES: i64 = 1 << 20;
const PAGE_ROWS: i64 = 20_000;
const DICTIONARY_BYTES: i64 = 2 << 20;
const BLOOM_FILTER_FPP: f64 = 0.01;
/// Compression level of Java's writer; the default of the encoder is lower.
const ZSTD_LEVEL: i32 = 3;

/// Options of a written file.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Compression codec and level of pages.
    pub compression: Compression,
    /// Encoded size, in bytes, at which a row group ends (`row-group-size-bytes`).
    pub row_group_bytes: usize,
    /// Size, in bytes, at which a page ends (`page-size-bytes`).
    pub page_bytes: usize,
    /// Number of rows at which a page ends (`page-row-limit`).
    pub page_rows: usize,
    /// Size, in bytes, at which the encoder stops using a dictionary for a column (`dict-size-bytes`).
    pub dictionary_bytes: usize,
    /// False-positive probability of bloom filters, by the full name of the column; other columns have no
    /// filter.
    pub bloom_filters: BTreeMap<String, f64>,
    /// Metrics modes of the columns.
    pub metrics: MetricsModes,
}

impl WriterOptions {
    /// Returns the options for a table's data files.
    pub fn of_data(properties: &Properties, columns: &Columns, order: Option<&SortOrder>) -> WriterOptions {
        read(&[DATA], properties, MetricsModes::new(properties, columns, order))
    }

    /// Returns the options for a table's equality delete files.
    pub fn of_equality_deletes(properties: &Properties, columns: &Columns) -> WriterOptions {
        read(&[DELETES, DATA], properties, MetricsModes::new(properties, columns, None))
    }

    /// Returns the options for a table's position delete files. They have full bounds, because readers find
    /// the deletes of a data file by the bounds of `file_path`.
    pub fn of_position_deletes(properties: &Properties) -> WriterOptions {
        read(&[DELETES, DATA], properties, MetricsModes::full())
    }

    /// Returns the settings of the encoder; `paths` are the columns of the file by their full names in the
    /// table.
    pub(crate) fn properties(&self, paths: &BTreeMap<String, ColumnPath>) -> WriterProperties {
        let mut builder = WriterProperties::builder()
            .set_compression(self.compression)
            .set_max_row_group_row_count(None)
            .set_max_row_group_bytes(Some(self.row_group_bytes))
            .set_data_page_size_limit(self.page_bytes)
            .set_data_page_row_count_limit(self.page_rows)
            .set_dictionary_page_size_limit(self.dictionary_bytes);
        for (name, probability) in &self.bloom_filters {
            if let Some(path) = paths.get(name) {
                builder = with_bloom_filter(builder, path, *probability);
            }
        }
        builder.build()
    }
}

fn with_bloom_filter(
    builder: WriterPropertiesBuilder,
    path: &ColumnPath,
    probability: f64,
) -> WriterPropertiesBuilder {
    builder
        .set_column_bloom_filter_enabled(path.clone(), true)
        .set_column_bloom_filter_fpp(path.clone(), probability)
}

/// Reads each property with the first of the prefixes for which it is set.
fn read(prefixes: &[&str], properties: &Properties, metrics: MetricsModes) -> WriterOptions {
    let name_of = |name: &str| {
        let set = prefixes.iter().find(|prefix| properties.get(&format!("{prefix}{name}")).is_some());
        format!("{}{name}", set.unwrap_or(&DATA))
    };
    let size = |name: &str, default: i64| {
        let value = number(properties, &name_of(name), default);
        usize::try_from(if value > 0 { value } else { default }).unwrap_or(usize::MAX)
    };
    let codec = properties.get(&name_of("compression-codec")).map(|codec| codec.trim().to_ascii_lowercase());
    let level = properties.get(&name_of("compression-level")).and_then(|level| level.trim().parse().ok());
    WriterOptions {
        compression: compression(codec.as_deref(), level),
        row_group_bytes: size("row-group-size-bytes", ROW_GROUP_BYTES),
        page_bytes: size("page-size-bytes", PAGE_BYTES),
        page_rows: size("page-row-limit", PAGE_ROWS),
        dictionary_bytes: size("dict-size-bytes", DICTIONARY_BYTES),
        bloom_filters: bloom_filters(prefixes, properties),
        metrics,
    }
}

/// Returns the codec with this name, at the given level if it supports that level. `lz4` is the variant that
/// all readers agree on, which Parquet calls `LZ4_RAW`.
fn compression(codec: Option<&str>, level: Option<i32>) -> Compression {
    let unsigned = level.and_then(|level| u32::try_from(level).ok());
    match codec {
        Some("uncompressed" | "none") => Compression::UNCOMPRESSED,
        Some("snappy") => Compression::SNAPPY,
        Some("lz4" | "lz4_raw") => Compression::LZ4_RAW,
        Some("gzip") => {
            Compression::GZIP(unsigned.and_then(|level| GzipLevel::try_new(level).ok()).unwrap_or_default())
        }
        Some("brotli") => Compression::BROTLI(
            unsigned.and_then(|level| BrotliLevel::try_new(level).ok()).unwrap_or_default(),
        ),
        _ => {
            let level = level.and_then(|level| ZstdLevel::try_new(level).ok());
            let usual = || ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
            Compression::ZSTD(level.unwrap_or_else(usual))
        }
    }
}

fn bloom_filters(prefixes: &[&str], properties: &Properties) -> BTreeMap<String, f64> {
    let mut filters = BTreeMap::new();
    // The first prefix takes precedence, so it is applied last.
    for prefix in prefixes.iter().rev() {
        let enabled = format!("{prefix}bloom-filter-enabled.column.");
        for (name, value) in properties.iter() {
            let Some(column) = name.strip_prefix(&enabled) else { continue };
            if value.eq_ignore_ascii_case("true") {
                let probability = properties.get(&format!("{prefix}bloom-filter-fpp.column.{column}"));
                let probability = probability.and_then(|value| value.trim().parse().ok());
                let possible = probability.filter(|value| *value > 0.0 && *value < 1.0);
                filters.insert(column.to_owned(), possible.unwrap_or(BLOOM_FILTER_FPP));
            }
        }
    }
    filters
}
