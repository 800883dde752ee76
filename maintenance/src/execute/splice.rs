//! Fast path of a rewrite: files with large row groups and without deletes are concatenated without decoding
//! any row. The bytes of every column chunk in the new file are compared with the original by checksum.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use table_core::file::error::FileError;
use table_core::file::footer;
use table_core::file::parquet_reader::context::FileContext;
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
use crate::context::JobContext;
use crate::control::{Progress, Unit};
use crate::error::JobError;
use crate::files::NewFile;
use crate::files::input::InputFile;
use crate::table;

/// Minimum average size of the row groups of a file, in bytes. Smaller row groups are worth merging, which
/// requires decoding.
const ROW_GROUP_BYTES_MIN: i64 = 8 << 20;
/// First format version with row lineage.
const LINEAGE_VERSION: i32 = 3;
/// Maximum number of inputs, whose footers are all in memory. A group with more inputs is decoded.
const INPUTS_MAX: usize = 20_000;

/// Group whose files can be concatenated.
pub(super) struct Splicing<'a> {
    job: &'a JobContext<'a>,
    metadata: &'a TableMetadata,
    group: &'a Group,
    footers: Vec<Arc<ParquetMetaData>>,
    metrics: HashMap<String, ColumnMetrics>,
}

/// File that is being written, with the checksums of the column chunks that were copied into it.
struct Open {
    location: String,
    splice: Splice<NewFile>,
    bytes: i64,
    parts: Vec<ColumnMetrics>,
    checksums: Vec<u32>,
}

/// Returns the group prepared for concatenation; `None` if it has to be decoded.
pub(super) fn find<'a>(
    job: &'a JobContext<'a>,
    metadata: &'a TableMetadata,
    group: &'a Group,
) -> Result<Option<Splicing<'a>>, JobError> {
    // With a name mapping, the columns of the other files may differ from those of the first one.
    let is_mapped = metadata.property(NAME_MAPPING).is_some();
    if !group.may_splice || group.inputs.len() > INPUTS_MAX || is_mapped {
        return Ok(None);
    }
    let mut footers: Vec<Arc<ParquetMetaData>> = Vec::with_capacity(group.inputs.len());
    // Most groups have to be decoded, as their first file shows. The others are read ahead only if it does
    // not.
    let (first, others) = group.inputs.split_at(group.inputs.len().min(1));
    for (input, source) in group.inputs.iter().zip(open_all(job, first).chain(open_all(job, others))) {
        job.control.check()?;
        let footer = read_footer(&source?, &input.path)?;
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
    // If a file has several manifest entries with different metrics, the correct ones are unknown.
    if paths.len() < group.inputs.len() {
        return Ok(None);
    }
    let Some(snapshot) = metadata.current_snapshot() else { return Ok(None) };
    let metrics = table::metrics_of(job.files, snapshot, &paths)?;
    Ok(Some(Splicing { job, metadata, group, footers, metrics }))
}

impl Splicing<'_> {
    /// Concatenates the files.
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
        let mut row_groups = self.row_groups();
        for (input, footer) in self.group.inputs.iter().zip(&self.footers) {
            self.job.control.check()?;
            if let Some(full) =
                open.take_if(|open| open.bytes + input.size_bytes / 2 > self.group.split_bytes)
            {
                done.push(self.end(full, spec_id, partition)?);
            }
            let mut current = match open.take() {
                Some(current) => current,
                None => self.begin(footer, options, locations.next(partition)?)?,
            };
            self.append(&mut current, input, footer, &mut row_groups)?;
            open = Some(current);
            bytes_done += u64::try_from(input.size_bytes).unwrap_or(0);
            self.job.control.progress(Progress {
                activity: "copying row groups".to_owned(),
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
            if self.metadata.format_version() < LINEAGE_VERSION { Lineage::None } else { Lineage::Retained };
        let file = self.job.files.create(&location)?;
        let splice = Splice::new(file, first, options, lineage).map_err(JobError::file(&location))?;
        Ok(Open { location, splice, bytes: 0, parts: Vec::new(), checksums: Vec::new() })
    }

    /// Reads the row groups of all inputs in order, while the next ones are on their way.
    fn row_groups(&self) -> impl Iterator<Item = Result<Bytes, JobError>> {
        let files = self.group.inputs.iter().zip(&self.footers);
        self.job.files.read_ranges(files.flat_map(|(input, footer)| ranges(&input.path, footer)))
    }

    /// Appends the row groups of an input. Their bytes are the next ones of `row_groups`.
    fn append(
        &self,
        open: &mut Open,
        input: &Input,
        footer: &Arc<ParquetMetaData>,
        row_groups: &mut impl Iterator<Item = Result<Bytes, JobError>>,
    ) -> Result<(), JobError> {
        let context: FileContext = input::context(self.metadata, input)?;
        let broken = || JobError::file(&input.path);
        for row_group in 0..footer.num_row_groups() {
            let bytes = next(row_groups)?;
            let range = splice::range(footer, row_group).map_err(broken())?;
            let columns = splice::columns(footer, row_group).map_err(broken())?;
            open.checksums.extend(checksums(&bytes, range.start, &columns).map_err(broken())?);
            open.splice.append(footer, row_group, bytes, &context).map_err(broken())?;
        }
        open.bytes += input.size_bytes;
        open.parts.push(self.metrics.get(&input.path).cloned().unwrap_or_default());
        Ok(())
    }

    /// Completes a file, and verifies it by reading it again.
    fn end(&self, open: Open, spec_id: i32, partition: &PartitionTuple) -> Result<DataFile, JobError> {
        let Open { location, splice, parts, checksums: expected, .. } = open;
        let broken = || JobError::file(&location);
        let (file, spliced) = splice.finish().map_err(broken())?;
        file.finish()?;
        let again = self.checksums_again(&location, spliced.size_bytes);
        if again.map_err(|error| unverified(&location, &error))? != expected {
            let message = format!("the columns of `{location}` are not those that were copied");
            return Err(JobError::Verification(message));
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
    /// Returns the checksums of the column chunks of a new file.
    fn checksums_again(&self, location: &str, size_bytes: i64) -> Result<Vec<u32>, JobError> {
        let broken = || JobError::file(location);
        let source = self.job.files.open(location, size_bytes)?;
        let footer = read_footer(&source, location)?;
        let mut row_groups = self.job.files.read_ranges(ranges(location, &footer));
        let mut again = Vec::new();
        for row_group in 0..footer.num_row_groups() {
            let bytes = next(&mut row_groups)?;
            let range = splice::range(&footer, row_group).map_err(broken())?;
            let columns = splice::columns(&footer, row_group).map_err(broken())?;
            again.extend(checksums(&bytes, range.start, &columns).map_err(broken())?);
        }
        Ok(again)
    }
}

/// Opens inputs in order.
fn open_all<'a>(
    job: &'a JobContext<'a>,
    inputs: &'a [Input],
) -> impl Iterator<Item = Result<InputFile, JobError>> {
    job.files.open_all(inputs.iter().map(|input| (&*input.path, input.size_bytes)))
}

/// Returns the ranges of the row groups of a file.
fn ranges<'a>(
    location: &'a str,
    footer: &'a ParquetMetaData,
) -> impl Iterator<Item = Result<(&'a str, Range<u64>), JobError>> {
    (0..footer.num_row_groups()).map(move |row_group| {
        let range = splice::range(footer, row_group).map_err(JobError::file(location))?;
        Ok((location, range))
    })
}

/// Returns the next row group, of as many as were asked for.
fn next(row_groups: &mut impl Iterator<Item = Result<Bytes, JobError>>) -> Result<Bytes, JobError> {
    let ended = || Err(JobError::Internal("a row group was not read".to_owned()));
    row_groups.next().unwrap_or_else(ended)
}

/// Reads the footer of a file, with its page index if it has one.
fn read_footer(source: &InputFile, location: &str) -> Result<Arc<ParquetMetaData>, JobError> {
    let footer = footer::read(source).and_then(|footer| footer::with_page_index(footer, source));
    footer.map(Arc::new).map_err(JobError::file(location))
}

/// Returns the checksum of each column chunk of a row group. `start` is the offset of `bytes` in the file.
fn checksums(bytes: &Bytes, start: u64, columns: &[Range<u64>]) -> Result<Vec<u32>, FileError> {
    let outside = || FileError::Malformed("a column is outside its row group".to_owned());
    let place = |position: u64| position.checked_sub(start).and_then(|place| usize::try_from(place).ok());
    let checksum = |range: &Range<u64>| {
        let (start, end) = place(range.start).zip(place(range.end)).ok_or_else(outside)?;
        Ok(crc32fast::hash(bytes.get(start..end).ok_or_else(outside)?))
    };
    columns.iter().map(checksum).collect()
}
