//! The fast way: files whose row groups are large, and from which nothing is deleted, are put together without decoding a row.
//! The bytes of every column are compared by checksum with what then stands in the new file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use table_core::file::error::FileError;
use table_core::file::footer;
use table_core::file::parquet_reader::FileContext;
use table_core::file::parquet_reader::name_mapping::NAME_MAPPING;
use table_core::file::parquet_writer::WrittenFile;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::splice::{self, Lineage, Splice, metrics};
use table_core::manifest::data_file::{ColumnMetrics, DataFile};
use table_core::manifest::partition::PartitionTuple;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::plan::{Group, Input};

use super::input;
use super::output::{Locations, data_file};
use super::verify::unverified;
use crate::error::JobError;
use crate::files::NewFile;
use crate::files::source::Source;
use crate::host::{Progress, Unit};
use crate::jobs::Work;
use crate::table;

/// Row groups below this are worth merging, which means decoding them.
const ROW_GROUP_BYTES_MIN: i64 = 8 << 20;
/// Format versions before this one have no lineage.
const LINEAGE_VERSION: i32 = 3;
/// So many footers are held at most; with more files, a group is decoded.
const INPUTS_MAX: usize = 20_000;

/// Files that can be put together.
pub(super) struct Splicing<'a> {
    work: &'a Work<'a>,
    metadata: &'a TableMetadata,
    group: &'a Group,
    footers: Vec<Arc<ParquetMetaData>>,
    metrics: HashMap<String, ColumnMetrics>,
}

/// A file in the making, with the checksums of the columns that went into it.
struct Open {
    location: String,
    splice: Splice<NewFile>,
    bytes: i64,
    parts: Vec<ColumnMetrics>,
    checksums: Vec<u32>,
}

/// Whether a group can be put together without decoding; `None` if not, which is no failure.
pub(super) fn find<'a>(
    work: &'a Work<'a>,
    metadata: &'a TableMetadata,
    group: &'a Group,
) -> Result<Option<Splicing<'a>>, JobError> {
    // Whoever reads by names may not find the columns of several files by those of the first.
    let is_mapped = metadata.property(NAME_MAPPING).is_some();
    if !group.may_splice || group.inputs.len() > INPUTS_MAX || is_mapped {
        return Ok(None);
    }
    let mut footers: Vec<Arc<ParquetMetaData>> = Vec::with_capacity(group.inputs.len());
    for input in &group.inputs {
        work.host.check()?;
        let footer = read_footer(&work.files.open(&input.path, input.size_bytes)?, &input.path)?;
        let is_small = footer.num_row_groups() > 0
            && input.size_bytes / i64::try_from(footer.num_row_groups()).unwrap_or(1) < ROW_GROUP_BYTES_MIN;
        let fits = splice::check(&footer).is_ok()
            && footers.first().is_none_or(|first| splice::is_alike(first, &footer));
        if is_small || !fits {
            return Ok(None);
        }
        let rows = footer.file_metadata().num_rows();
        if rows != input.record_count {
            return Err(input::miscounted(input, rows));
        }
        footers.push(footer);
    }
    let paths: HashSet<&str> = group.inputs.iter().map(|input| input.path.as_str()).collect();
    // Where a file is listed several times, with metrics of several kinds, nobody knows which of them are right.
    if paths.len() < group.inputs.len() {
        return Ok(None);
    }
    let Some(snapshot) = metadata.current_snapshot() else { return Ok(None) };
    let metrics = table::metrics_of(work.files, snapshot, &paths)?;
    Ok(Some(Splicing { work, metadata, group, footers, metrics }))
}

impl Splicing<'_> {
    /// Puts the files together.
    pub(super) fn run(
        &self,
        spec_id: i32,
        partition: &PartitionTuple,
        options: &WriterOptions,
        locations: &mut Locations<'_>,
    ) -> Result<Vec<DataFile>, JobError> {
        let mut open: Option<Open> = None;
        let mut done = Vec::new();
        let mut bytes_done = 0_u64;
        for (input, footer) in self.group.inputs.iter().zip(&self.footers) {
            self.work.host.check()?;
            if let Some(full) =
                open.take_if(|open| open.bytes + input.size_bytes / 2 > self.group.split_bytes)
            {
                done.push(self.end(full, spec_id, partition)?);
            }
            let mut current = match open.take() {
                Some(current) => current,
                None => self.begin(footer, options, locations.next(partition)?)?,
            };
            self.append(&mut current, input, footer)?;
            open = Some(current);
            bytes_done += u64::try_from(input.size_bytes).unwrap_or(0);
            self.work.host.progress(Progress {
                doing: "copying row groups".to_owned(),
                done: bytes_done,
                total: u64::try_from(self.group.input_bytes).unwrap_or(0),
                unit: Unit("byte", "bytes"),
            });
        }
        if let Some(last) = open {
            done.push(self.end(last, spec_id, partition)?);
        }
        Ok(done)
    }

    fn begin(
        &self,
        first: &ParquetMetaData,
        options: &WriterOptions,
        location: String,
    ) -> Result<Open, JobError> {
        let lineage =
            if self.metadata.format_version() < LINEAGE_VERSION { Lineage::None } else { Lineage::Kept };
        let file = self.work.files.create(&location)?;
        let splice = Splice::new(file, first, options, lineage).map_err(JobError::file(&location))?;
        Ok(Open { location, splice, bytes: 0, parts: Vec::new(), checksums: Vec::new() })
    }

    fn append(&self, open: &mut Open, input: &Input, footer: &Arc<ParquetMetaData>) -> Result<(), JobError> {
        let context: FileContext = input::context(self.metadata, input)?;
        let broken = || JobError::file(&input.path);
        // Row groups follow each other: a small file comes in one request, and so does each row group of a large one.
        let source = self.work.files.open(&input.path, input.size_bytes)?;
        for row_group in 0..footer.num_row_groups() {
            let range = splice::range(footer, row_group).map_err(broken())?;
            let bytes: Bytes = source.range(range.clone())?;
            let columns = splice::columns(footer, row_group).map_err(broken())?;
            open.checksums.extend(checksums(&bytes, range.start, &columns).map_err(broken())?);
            open.splice.append(footer, row_group, bytes, &context).map_err(broken())?;
        }
        open.bytes += input.size_bytes;
        open.parts.push(self.metrics.get(&input.path).cloned().unwrap_or_default());
        Ok(())
    }

    /// Ends a file, and reads it again.
    fn end(&self, open: Open, spec_id: i32, partition: &PartitionTuple) -> Result<DataFile, JobError> {
        let Open { location, splice, parts, checksums: expected, .. } = open;
        let broken = || JobError::file(&location);
        let (file, spliced) = splice.finish().map_err(broken())?;
        file.finish()?;
        let again = self.checksums_again(&location, spliced.size_bytes);
        if again.map_err(|error| unverified(&location, &error))? != expected {
            let told = format!("the columns of `{location}` are not those that were copied");
            return Err(JobError::Verification(told));
        }
        let schema = self.metadata.current_schema()?.columns()?;
        let parts: Vec<&ColumnMetrics> = parts.iter().collect();
        let metrics = metrics::merge(&parts, schema)?;
        let written = WrittenFile {
            record_count: spliced.record_count,
            size_bytes: spliced.size_bytes,
            split_offsets: spliced.split_offsets,
            metrics,
        };
        Ok(data_file(location, spec_id, partition.clone(), written))
    }
}

impl Splicing<'_> {
    /// The checksums of the columns of a file that was written.
    fn checksums_again(&self, location: &str, size_bytes: i64) -> Result<Vec<u32>, JobError> {
        let broken = || JobError::file(location);
        let source = self.work.files.open(location, size_bytes)?;
        let footer = read_footer(&source, location)?;
        let mut again = Vec::new();
        for row_group in 0..footer.num_row_groups() {
            let range = splice::range(&footer, row_group).map_err(broken())?;
            let columns = splice::columns(&footer, row_group).map_err(broken())?;
            let bytes = source.range(range.clone())?;
            again.extend(checksums(&bytes, range.start, &columns).map_err(broken())?);
        }
        Ok(again)
    }
}

/// With the index of pages, if the file has one.
fn read_footer(source: &Source, location: &str) -> Result<Arc<ParquetMetaData>, JobError> {
    let footer = footer::read(source).and_then(|footer| footer::with_page_index(footer, source));
    footer.map(Arc::new).map_err(JobError::file(location))
}

/// The checksum of each column of a row group whose bytes begin at `start`.
fn checksums(bytes: &Bytes, start: u64, columns: &[std::ops::Range<u64>]) -> Result<Vec<u32>, FileError> {
    let outside = || FileError::Malformed("a column is outside its row group".to_owned());
    let place = |position: u64| position.checked_sub(start).and_then(|place| usize::try_from(place).ok());
    let checksum = |range: &std::ops::Range<u64>| {
        let (start, end) = place(range.start).zip(place(range.end)).ok_or_else(outside)?;
        Ok(crc32fast::hash(bytes.get(start..end).ok_or_else(outside)?))
    };
    columns.iter().map(checksum).collect()
}
