//! Data files that are written: their locations, their sizes, and their manifest data.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use table_core::file::data_location::DataLocations;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::file::parquet_writer::{FileWriter, WrittenFile};
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::FileContent;
use table_core::manifest::partition::PartitionTuple;
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::schema::Schema;
use table_core::metadata::table::TableMetadata;
use uuid::Uuid;

use crate::error::JobError;
use crate::files::{JobFiles, NewFile};
use crate::output_ledger::OutputLedger;

/// Maximum number of locations that are announced at a time.
const AHEAD_MAX: i64 = 100;

/// Locations of the new files of a group. Each is announced before the file is created.
pub(super) struct Locations<'a> {
    places: DataLocations,
    spec: &'a PartitionSpec,
    outputs: &'a OutputLedger<'a>,
    job: Uuid,
    count: u32,
    /// Number of locations to announce at a time: the number of files that a partition is expected to get.
    ahead: i64,
    registered: BTreeMap<PartitionTuple, Vec<String>>,
}

impl<'a> Locations<'a> {
    pub(super) fn new(
        metadata: &'a TableMetadata,
        spec_id: i32,
        outputs: &'a OutputLedger<'a>,
        job: Uuid,
        ahead: i64,
    ) -> Result<Locations<'a>, JobError> {
        let spec = metadata.partition_specs().iter().find(|spec| spec.id() == spec_id);
        let spec =
            spec.ok_or_else(|| JobError::Internal(format!("the table has no partition spec {spec_id}")))?;
        let places = DataLocations::new(metadata).map_err(JobError::file(metadata.location()))?;
        let ahead = ahead.clamp(1, AHEAD_MAX);
        Ok(Locations { places, spec, outputs, job, count: 0, ahead, registered: BTreeMap::new() })
    }

    /// Returns the location of the next file of a partition.
    pub(super) fn next(&mut self, partition: &PartitionTuple) -> Result<String, JobError> {
        if let Some(registered) = self.registered.get_mut(partition).and_then(Vec::pop) {
            return Ok(registered);
        }
        let mut new = Vec::new();
        for _ in 0..self.ahead {
            self.count += 1;
            let name = format!("{:05}-{}.parquet", self.count, self.job);
            new.push(self.places.file(self.spec, partition, &name));
        }
        self.outputs.register(&new)?;
        new.reverse();
        let next = new.pop().unwrap_or_default();
        self.registered.insert(partition.clone(), new);
        Ok(next)
    }
}

/// Properties that all new files of a group have in common.
pub(super) struct Form<'a> {
    pub(super) files: &'a JobFiles,
    pub(super) schema: &'a Schema,
    pub(super) options: &'a WriterOptions,
    pub(super) spec_id: i32,
    pub(super) sort_order_id: Option<i32>,
    /// Number of rows after which a new file is begun. The size in bytes is known too late, only after a row
    /// group is compressed.
    pub(super) rows_max: usize,
}

/// Writer of data files, one at a time.
pub(super) struct Writer<'a> {
    form: Form<'a>,
    locations: Locations<'a>,
    open: Option<Open>,
    done: Vec<DataFile>,
}

struct Open {
    partition: PartitionTuple,
    location: String,
    writer: FileWriter<NewFile>,
    rows: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(form: Form<'a>, locations: Locations<'a>) -> Writer<'a> {
        Writer { form, locations, open: None, done: Vec::new() }
    }

    /// Appends rows of a partition.
    pub(super) fn write(&mut self, partition: &PartitionTuple, batch: &RecordBatch) -> Result<(), JobError> {
        if self.open.as_ref().is_some_and(|open| open.partition != *partition) {
            self.end_file()?;
        }
        let mut start = 0;
        while start < batch.num_rows() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin_file(partition)?,
            };
            let rows = (batch.num_rows() - start).min(self.form.rows_max - open.rows);
            open.writer.write(&batch.slice(start, rows)).map_err(JobError::file(&open.location))?;
            open.rows += rows;
            start += rows;
            let is_full = open.rows == self.form.rows_max;
            self.open = Some(open);
            if is_full {
                self.end_file()?;
            }
        }
        Ok(())
    }

    /// Returns the manifest data of the files, in the order in which their rows were written.
    pub(super) fn finish(mut self) -> Result<Vec<DataFile>, JobError> {
        self.end_file()?;
        Ok(self.done)
    }

    fn begin_file(&mut self, partition: &PartitionTuple) -> Result<Open, JobError> {
        let location = self.locations.next(partition)?;
        let file = self.form.files.create(&location)?;
        let writer =
            FileWriter::new(file, self.form.schema, self.form.options).map_err(JobError::file(&location))?;
        Ok(Open { partition: partition.clone(), location, writer, rows: 0 })
    }

    fn end_file(&mut self) -> Result<(), JobError> {
        let Some(Open { partition, location, writer, .. }) = self.open.take() else { return Ok(()) };
        let (file, written) = writer.finish().map_err(JobError::file(&location))?;
        file.finish()?;
        let file = data_file(location, self.form.spec_id, partition, written);
        self.done.push(DataFile { sort_order_id: self.form.sort_order_id, ..file });
        Ok(())
    }
}

/// Returns the manifest data of a new Parquet data file.
pub fn data_file(
    location: String,
    spec_id: i32,
    partition: PartitionTuple,
    written: WrittenFile,
) -> DataFile {
    DataFile {
        content: FileContent::Data,
        path: location,
        format: "PARQUET".to_owned(),
        spec_id,
        partition,
        record_count: written.record_count,
        size_bytes: written.size_bytes,
        metrics: written.metrics,
        split_offsets: written.split_offsets,
        equality_ids: Vec::new(),
        sort_order_id: None,
        first_row_id: None,
        referenced_data_file: None,
        content_offset: None,
        content_size_bytes: None,
        key_metadata: None,
    }
}
