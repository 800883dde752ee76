//! Simple reader of tables, written directly from the specification with independent libraries: manifests,
//! data files, and all three kinds of deletes. Files are immutable, so each is read only once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::sync::Arc;

use apache_avro::types::Value as Avro;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::RoaringTreemap;
use serde_json::Value as Json;

use crate::fixture::local;

/// Reader with a cache of the files it has read.
#[derive(Default)]
pub(super) struct Reader {
    records: HashMap<String, Arc<Vec<Avro>>>,
    data: HashMap<String, Arc<Vec<Stored>>>,
    positions: HashMap<String, Arc<HashSet<(String, u64)>>>,
    vectors: HashMap<(String, u64), Arc<RoaringTreemap>>,
    keys: HashMap<String, Arc<HashSet<i64>>>,
    /// Contents of snapshots, by the location of the manifest list.
    snapshots: HashMap<String, Arc<Contents>>,
}

/// Row of a data file.
struct Stored {
    id: i64,
    version: i64,
    row_id: Option<i64>,
    updated: Option<i64>,
}

/// Live row of a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) version: i64,
    /// Row id and last updated sequence number, from format version 3 on.
    pub(super) lineage: Option<(i64, i64)>,
    /// Data file of the row, as an index into [`Contents::data`]; `position` is the position in that file.
    pub(super) file: usize,
    pub(super) position: u64,
}

/// Live entry of a manifest, with inherited values.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) partition: Option<String>,
    pub(super) rows: i64,
    content: i64,
    format: String,
    sequence_number: i64,
    first_row_id: Option<i64>,
    spec_id: i64,
    target: Option<String>,
    offset: i64,
    length: i64,
}

/// Content of a snapshot.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) rows: Vec<Row>,
    pub(super) data: Vec<Entry>,
    pub(super) deletes: Vec<Entry>,
    /// Locations of the manifest list, the manifests and the files.
    pub(super) locations: BTreeSet<String>,
}

impl Contents {
    /// Returns the deletion vector of a data file.
    pub(super) fn vector_of(&self, path: &str) -> Option<&Entry> {
        self.deletes.iter().find(|entry| entry.is_vector() && entry.target.as_deref() == Some(path))
    }
}

impl Entry {
    /// Offset of a deletion vector in its file (`content_offset`).
    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    fn is_vector(&self) -> bool {
        self.format.eq_ignore_ascii_case("puffin")
    }

    /// Returns `true` if a delete file may apply to a data file: one of the same partition, or any if the
    /// delete file is not partitioned.
    fn may_apply_to(&self, data: &Entry) -> bool {
        self.partition.is_none() || (self.spec_id == data.spec_id && self.partition == data.partition)
    }
}

impl Reader {
    /// Reads a snapshot. Fails if a file is missing or a rule of the specification is violated.
    pub(super) fn read(&mut self, snapshot: &Json) -> Result<Arc<Contents>, String> {
        let list = snapshot["manifest-list"].as_str().ok_or("a snapshot has no manifest list")?;
        let contents = match self.snapshots.get(list) {
            Some(known) => known.clone(),
            None => Arc::new(self.read_new(list)?),
        };
        for location in &contents.locations {
            if !fs::exists(local(location)).unwrap_or(false) {
                return Err(format!("`{location}` is not there"));
            }
        }
        self.snapshots.insert(list.to_owned(), contents.clone());
        Ok(contents)
    }

    fn read_new(&mut self, list: &str) -> Result<Contents, String> {
        let mut contents = Contents::default();
        contents.locations.insert(list.to_owned());
        for line in self.records(list)?.iter() {
            let path = text(line, "manifest_path").ok_or("a manifest without path")?;
            contents.locations.insert(path.clone());
            let mut next_row_id = long(line, "first_row_id");
            for entry in self.records(&path)?.iter() {
                let Some(entry) = live(entry, line, &mut next_row_id)? else { continue };
                contents.locations.insert(entry.path.clone());
                let files = if entry.content == 0 { &mut contents.data } else { &mut contents.deletes };
                files.push(entry);
            }
        }
        Reader::check_no_duplicates(&contents)?;
        for (number, file) in contents.data.iter().enumerate() {
            let deleted = self.deletes_of(file, &contents.deletes)?;
            let stored = self.data(&file.path)?;
            if i64::try_from(stored.len()) != Ok(file.rows) {
                return Err(format!("`{}` has {} rows, not {}", file.path, stored.len(), file.rows));
            }
            for (position, row) in (0_u64..).zip(stored.iter()) {
                if deleted(position, row.id) {
                    continue;
                }
                let at = i64::try_from(position).unwrap_or(i64::MAX);
                let lineage = file.first_row_id.map(|first| {
                    (row.row_id.unwrap_or(first + at), row.updated.unwrap_or(file.sequence_number))
                });
                let (id, version) = (row.id, row.version);
                contents.rows.push(Row { id, version, lineage, file: number, position });
            }
        }
        Ok(contents)
    }

    /// Reads the positions of a deletion vector.
    pub(super) fn vector(&mut self, entry: &Entry) -> Result<Arc<RoaringTreemap>, String> {
        let key = (entry.path.clone(), entry.offset.unsigned_abs());
        if let Some(known) = self.vectors.get(&key) {
            return Ok(known.clone());
        }
        let file = fs::read(local(&entry.path)).map_err(|error| format!("`{}`: {error}", entry.path))?;
        let start = usize::try_from(entry.offset).map_err(|_| "a vector before its file")?;
        let length = usize::try_from(entry.length).map_err(|_| "a vector of no length")?;
        let blob = file.get(start..start + length).ok_or("a vector beyond its file")?;
        // The blob consists of length, magic, bitmaps and checksum.
        let bitmaps = blob.get(8..length - 4).ok_or("a vector that is too short")?;
        if blob[4..8] != [0xD1, 0xD3, 0x39, 0x64] {
            return Err(format!("no vector begins at {start} of `{}`", entry.path));
        }
        let found = RoaringTreemap::deserialize_from(bitmaps).map_err(|error| error.to_string())?;
        let found = Arc::new(found);
        self.vectors.insert(key, found.clone());
        Ok(found)
    }

    /// Checks that no data file is listed twice and that none has two deletion vectors.
    fn check_no_duplicates(contents: &Contents) -> Result<(), String> {
        let mut unique = BTreeSet::new();
        if let Some(twice) = contents.data.iter().find(|file| !unique.insert(&file.path)) {
            return Err(format!("the data file `{}` is listed twice", twice.path));
        }
        let mut unique = BTreeSet::new();
        let mut vectors = contents.deletes.iter().filter(|entry| entry.is_vector());
        match vectors.find(|entry| !unique.insert(&entry.target)) {
            Some(twice) => Err(format!("{:?} has two deletion vectors", twice.target)),
            None => Ok(()),
        }
    }

    fn deletes_of(
        &mut self,
        file: &Entry,
        deletes: &[Entry],
    ) -> Result<impl Fn(u64, i64) -> bool + use<>, String> {
        let mut vectors = Vec::new();
        let mut positions = Vec::new();
        let mut keys = Vec::new();
        for delete in deletes.iter().filter(|delete| delete.may_apply_to(file)) {
            if delete.content == 2 {
                // An equality delete does not apply to rows with the same data sequence number.
                if delete.sequence_number > file.sequence_number {
                    keys.push(self.keys(&delete.path)?);
                }
            } else if delete.sequence_number >= file.sequence_number {
                if !delete.is_vector() {
                    positions.push(self.positions(&delete.path)?);
                } else if delete.target.as_deref() == Some(&file.path) {
                    vectors.push(self.vector(delete)?);
                }
            }
        }
        let path = file.path.clone();
        Ok(move |position: u64, id: i64| {
            vectors.iter().any(|vector| vector.contains(position))
                || keys.iter().any(|keys| keys.contains(&id))
                || positions.iter().any(|positions| positions.contains(&(path.clone(), position)))
        })
    }

    fn records(&mut self, location: &str) -> Result<Arc<Vec<Avro>>, String> {
        if let Some(known) = self.records.get(location) {
            return Ok(known.clone());
        }
        let bytes = fs::read(local(location)).map_err(|error| format!("`{location}`: {error}"))?;
        let reader = apache_avro::Reader::new(bytes.as_slice()).map_err(|error| error.to_string())?;
        let records: Result<Vec<_>, _> = reader.collect();
        let records = Arc::new(records.map_err(|error| format!("`{location}`: {error}"))?);
        self.records.insert(location.to_owned(), records.clone());
        Ok(records)
    }

    fn data(&mut self, location: &str) -> Result<Arc<Vec<Stored>>, String> {
        if let Some(known) = self.data.get(location) {
            return Ok(known.clone());
        }
        let mut rows = Vec::new();
        for batch in batches(location)? {
            let column = |name: &str| longs(&batch, name);
            let (ids, versions) = (column("id"), column("version"));
            let (row_ids, updated) = (column("_row_id"), column("_last_updated_sequence_number"));
            for row in 0..batch.num_rows() {
                let at = |column: &Option<Vec<Option<i64>>>| column.as_ref().and_then(|column| column[row]);
                rows.push(Stored {
                    id: at(&ids).ok_or("a row has no id")?,
                    version: at(&versions).ok_or("a row has no version")?,
                    row_id: at(&row_ids),
                    updated: at(&updated),
                });
            }
        }
        let rows = Arc::new(rows);
        self.data.insert(location.to_owned(), rows.clone());
        Ok(rows)
    }

    fn positions(&mut self, location: &str) -> Result<Arc<HashSet<(String, u64)>>, String> {
        if let Some(known) = self.positions.get(location) {
            return Ok(known.clone());
        }
        let mut found = HashSet::new();
        for batch in batches(location)? {
            let paths = batch.column_by_name("file_path").ok_or("position deletes without paths")?;
            let paths = paths.as_string_opt::<i32>().ok_or("paths that are no text")?;
            let positions = longs(&batch, "pos").ok_or("position deletes without positions")?;
            for (path, position) in paths.iter().zip(positions) {
                let (path, position) = path.zip(position).ok_or("a position delete of nothing")?;
                found.insert((path.to_owned(), u64::try_from(position).map_err(|error| error.to_string())?));
            }
        }
        let found = Arc::new(found);
        self.positions.insert(location.to_owned(), found.clone());
        Ok(found)
    }

    fn keys(&mut self, location: &str) -> Result<Arc<HashSet<i64>>, String> {
        if let Some(known) = self.keys.get(location) {
            return Ok(known.clone());
        }
        let mut found = HashSet::new();
        for batch in batches(location)? {
            found.extend(longs(&batch, "id").ok_or("equality deletes without ids")?.into_iter().flatten());
        }
        let found = Arc::new(found);
        self.keys.insert(location.to_owned(), found.clone());
        Ok(found)
    }
}

/// Reads a manifest entry with its inherited values; `None` if the file is deleted.
fn live(entry: &Avro, line: &Avro, next_row_id: &mut Option<i64>) -> Result<Option<Entry>, String> {
    if long(entry, "status") == Some(2) {
        return Ok(None);
    }
    let file = field(entry, "data_file").ok_or("an entry without file")?;
    let rows = long(file, "record_count").ok_or("a file without count")?;
    let content = long(file, "content").unwrap_or(0);
    let mut first_row_id = long(file, "first_row_id");
    if content == 0 && first_row_id.is_none() {
        first_row_id = *next_row_id;
        *next_row_id = next_row_id.map(|next| next + rows);
    }
    let sequence_number = long(entry, "sequence_number").or_else(|| long(line, "sequence_number"));
    Ok(Some(Entry {
        path: text(file, "file_path").ok_or("a file without path")?,
        partition: field(file, "partition").and_then(|partition| text(partition, "p")),
        rows,
        content,
        format: text(file, "file_format").unwrap_or_default(),
        sequence_number: sequence_number.ok_or("a file without sequence number")?,
        first_row_id,
        spec_id: long(line, "partition_spec_id").unwrap_or(0),
        target: text(file, "referenced_data_file"),
        offset: long(file, "content_offset").unwrap_or(0),
        length: long(file, "content_size_in_bytes").unwrap_or(0),
    }))
}

/// Returns a field; `None` if it is null or absent.
fn field<'a>(record: &'a Avro, name: &str) -> Option<&'a Avro> {
    let Avro::Record(fields) = record else { return None };
    let (_, value) = fields.iter().find(|(known, _)| known == name)?;
    let value = if let Avro::Union(_, value) = value { value } else { value };
    (*value != Avro::Null).then_some(value)
}

fn long(record: &Avro, name: &str) -> Option<i64> {
    match field(record, name)? {
        Avro::Long(number) => Some(*number),
        Avro::Int(number) => Some(i64::from(*number)),
        _ => None,
    }
}

fn text(record: &Avro, name: &str) -> Option<String> {
    if let Avro::String(text) = field(record, name)? { Some(text.clone()) } else { None }
}

fn batches(location: &str) -> Result<Vec<RecordBatch>, String> {
    let with_context = |error: &dyn std::fmt::Display| format!("`{location}`: {error}");
    let bytes = Bytes::from(fs::read(local(location)).map_err(|error| with_context(&error))?);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| with_context(&error))?;
    let batches: Result<Vec<_>, _> = reader.build().map_err(|error| with_context(&error))?.collect();
    batches.map_err(|error| with_context(&error))
}

fn longs(batch: &RecordBatch, name: &str) -> Option<Vec<Option<i64>>> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
    Some((0..column.len()).map(|row| column.is_valid(row).then(|| column.value(row))).collect())
}

/// Returns the versions of rows, by id. Fails if an id occurs twice.
pub(super) fn by_id(rows: &[Row]) -> Result<BTreeMap<i64, i64>, String> {
    let mut found = BTreeMap::new();
    for row in rows {
        if let Some(other) = found.insert(row.id, row.version) {
            return Err(format!("row {} is there twice: version {other} and {}", row.id, row.version));
        }
    }
    Ok(found)
}
