//! Index of the delete files of a scan, which finds those that apply to a data file, according to "Scan
//! Planning" of the specification and Java's `DeleteFileIndex`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::error::ScanError;
use super::json;
use super::table_scan::{Scan, ScanColumn};
use crate::expr::inclusive_metrics;
use crate::expr::metrics::FileMetrics;
use crate::expr::partition;
use crate::expr::value::{Value, ValueRef};
use crate::expr::weight::Weight;
use crate::manifest::entry::{File, FileContent};
use crate::manifest::file::Manifest;
use crate::manifest::list::ManifestFile;
use crate::manifest::partition::PartitionTuple;
use crate::metadata::types::Primitive;

/// Index of the delete files that are relevant to a scan.
#[derive(Default)]
pub struct DeleteIndex {
    manifests: Vec<(Arc<Manifest>, ManifestFile)>,
    files: Vec<Indexed>,
    /// Partition tuples in the JSON form of the response.
    partitions: Vec<String>,
    /// Equality deletes of unpartitioned specs, which apply to all partitions.
    global_equality: Vec<usize>,
    by_partition: BTreeMap<(i32, PartitionTuple), PartitionDeletes>,
    positions_by_path: HashMap<String, Vec<usize>>,
    vectors_by_path: HashMap<String, usize>,
    sole_data_file: SoleDataFile,
}

/// Method of determining the single data file that position deletes apply to.
#[derive(Clone, Copy, Default)]
enum SoleDataFile {
    /// The method of Java.
    #[default]
    AsSpecified,
    /// Additionally, what is known of files of other writers.
    AsWritten,
}

/// Deletes that apply to the data files of one partition: numbers of delete files, ordered by sequence
/// number.
#[derive(Default)]
pub(crate) struct PartitionDeletes {
    equality: Vec<usize>,
    positions: Vec<usize>,
}

/// Indexed delete file: its manifest entry, and what is needed to match it with data files.
struct Indexed {
    manifest: usize,
    entry: usize,
    /// Number of its partition in `DeleteIndex::partitions`.
    partition: usize,
    sequence_number: i64,
    /// Compared columns, for equality deletes.
    keys: Vec<Key>,
}

/// Metrics of one compared column of an equality delete file.
struct Key {
    id: i32,
    primitive: Option<Primitive>,
    required: bool,
    null_count: Option<i64>,
    value_count: Option<i64>,
    nan_count: Option<i64>,
    lower: Option<Value>,
    upper: Option<Value>,
}

impl DeleteIndex {
    /// Indexes the delete files of manifests, except those that the scan's filter excludes.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Damaged`] if two deletion vectors apply to one data file (unless the same
    /// vector is listed twice), if a delete manifest lists a data file, if an equality delete file has no
    /// `equality_ids` or a deletion vector no `referenced_data_file`, if a file lacks its sequence number, or
    /// if the partition spec of a manifest does not exist. Fails with [`ScanError::Manifest`] if the
    /// partition tuples of a manifest cannot be decoded.
    pub fn build(
        scan: &Scan,
        manifests: Vec<(Arc<Manifest>, ManifestFile)>,
    ) -> Result<DeleteIndex, ScanError> {
        DeleteIndex::default().fill(scan, manifests)
    }

    /// Builds the index for a rewrite of data files, which recognises more position deletes as applying to a
    /// single data file.
    pub(crate) fn build_to_rewrite(
        scan: &Scan,
        manifests: Vec<(Arc<Manifest>, ManifestFile)>,
    ) -> Result<DeleteIndex, ScanError> {
        let index = DeleteIndex { sole_data_file: SoleDataFile::AsWritten, ..DeleteIndex::default() };
        index.fill(scan, manifests)
    }

    fn fill(
        self,
        scan: &Scan,
        manifests: Vec<(Arc<Manifest>, ManifestFile)>,
    ) -> Result<DeleteIndex, ScanError> {
        let mut index = self;
        for (number, (manifest, manifest_file)) in manifests.into_iter().enumerate() {
            index.manifests.push((Arc::clone(&manifest), manifest_file.clone()));
            index.add_manifest(scan, number, &manifest, &manifest_file)?;
        }
        let files = &index.files;
        let by_sequence =
            |numbers: &mut Vec<usize>| numbers.sort_by_key(|number| files[*number].sequence_number);
        by_sequence(&mut index.global_equality);
        for deletes in index.by_partition.values_mut() {
            by_sequence(&mut deletes.equality);
            by_sequence(&mut deletes.positions);
        }
        index.positions_by_path.values_mut().for_each(by_sequence);
        Ok(index)
    }

    /// Returns the size of the index in memory, in bytes. Manifests are included, although they may be
    /// shared.
    pub fn memory_bytes(&self) -> usize {
        let mut weight = Weight::default();
        weight.add(self.manifests.capacity() * size_of::<(Arc<Manifest>, ManifestFile)>());
        for (manifest, manifest_file) in &self.manifests {
            weight.add(manifest.memory_bytes() + manifest_file.memory_bytes());
        }
        weight.add(self.files.capacity() * size_of::<Indexed>());
        for file in &self.files {
            file.weigh(&mut weight);
        }
        weight.add(self.partitions.capacity() * size_of::<String>());
        for text in &self.partitions {
            weight.add(text.capacity());
        }
        weight.add(self.global_equality.capacity() * size_of::<usize>());
        for ((_, tuple), deletes) in &self.by_partition {
            // The nodes of a B-tree are about two thirds full.
            weight.add((size_of::<(i32, PartitionTuple)>() + size_of::<PartitionDeletes>()) * 3 / 2);
            weight.add(tuple.capacity() * size_of::<Option<Value>>());
            for value in tuple.iter().flatten() {
                weight.add(value.heap_bytes());
            }
            weight.add(deletes.equality.capacity() * size_of::<usize>());
            weight.add(deletes.positions.capacity() * size_of::<usize>());
        }
        // A hash table is at most seven eighths full, and has one control byte per bucket.
        weight.add(self.positions_by_path.capacity() * (size_of::<(String, Vec<usize>)>() + 1) * 8 / 7);
        for (path, numbers) in &self.positions_by_path {
            weight.add(path.capacity());
            weight.add(numbers.capacity() * size_of::<usize>());
        }
        weight.add(self.vectors_by_path.capacity() * (size_of::<(String, usize)>() + 1) * 8 / 7);
        for path in self.vectors_by_path.keys() {
            weight.add(path.capacity());
        }
        weight.bytes()
    }

    /// Returns the number of delete files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns `true` if there are no delete files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the manifest entry of a delete file by its number.
    pub(crate) fn file(&self, number: usize) -> Option<File<'_>> {
        let indexed = self.files.get(number)?;
        let (manifest, manifest_file) = self.manifests.get(indexed.manifest)?;
        manifest.file(indexed.entry, manifest_file)
    }

    /// Returns the manifests that the index was built from, and for each delete file, in order, the number of
    /// its manifest.
    pub(crate) fn manifests(&self) -> (&[(Arc<Manifest>, ManifestFile)], impl Iterator<Item = usize>) {
        (&self.manifests, self.files.iter().map(|file| file.manifest))
    }

    /// Returns the partition of a delete file in the JSON form of the response.
    pub(super) fn partition_json(&self, number: usize) -> &str {
        let partition = self.files.get(number).and_then(|file| self.partitions.get(file.partition));
        partition.map_or("[]", String::as_str)
    }

    /// Returns the deletes that apply only to the data files of a partition.
    pub(crate) fn of_partition(&self, spec_id: i32, tuple: &PartitionTuple) -> Option<&PartitionDeletes> {
        if self.by_partition.is_empty() {
            return None;
        }
        self.by_partition.get(&(spec_id, tuple.clone()))
    }

    /// Appends the numbers of the deletes that apply to a data file; `of_partition` are the deletes of its
    /// partition.
    pub(crate) fn find(
        &self,
        file: &File<'_>,
        of_partition: Option<&PartitionDeletes>,
        found: &mut Vec<usize>,
    ) -> Result<(), ScanError> {
        if self.files.is_empty() {
            return Ok(());
        }
        let sequence_number = sequence_number(file)?;
        let newer = |numbers: &[usize], least: i64| {
            numbers.partition_point(|number| self.files[*number].sequence_number < least)
        };
        let equality = [Some(&self.global_equality), of_partition.map(|deletes| &deletes.equality)];
        for numbers in equality.into_iter().flatten() {
            // An equality delete applies only to data files of earlier commits, not of its own.
            let from = newer(numbers, sequence_number.saturating_add(1));
            found.extend(numbers[from..].iter().filter(|number| self.may_delete_from(**number, file)));
        }
        if let Some(vector) = self.vectors_by_path.get(file.path()) {
            let vector_number = self.files[*vector].sequence_number;
            if vector_number < sequence_number {
                return Err(ScanError::Damaged(format!(
                    "the deletion vector of `{}` has sequence number {vector_number}, which is less than {sequence_number} of the file",
                    file.path()
                )));
            }
            // A deletion vector contains all deleted positions: earlier position deletes were merged into it.
            found.push(*vector);
            return Ok(());
        }
        let positions =
            [of_partition.map(|deletes| &deletes.positions), self.positions_by_path.get(file.path())];
        for numbers in positions.into_iter().flatten() {
            found.extend(&numbers[newer(numbers, sequence_number)..]);
        }
        Ok(())
    }

    /// Returns `true` if a data file may contain keys of an equality delete file, according to the metrics of
    /// both.
    fn may_delete_from(&self, number: usize, file: &File<'_>) -> bool {
        self.files[number].keys.iter().all(|key| key.may_be_in(file))
    }

    fn add_manifest(
        &mut self,
        scan: &Scan,
        manifest_number: usize,
        manifest: &Manifest,
        manifest_file: &ManifestFile,
    ) -> Result<(), ScanError> {
        let spec = scan.spec(manifest_file)?;
        let tuples = scan.tuples(manifest, manifest_file)?;
        let matches: Vec<_> =
            tuples.iter().map(|tuple| partition::might_match(&spec.partitions, tuple.as_slice())).collect();
        let first_partition = self.partitions.len();
        self.partitions.extend(tuples.iter().map(|tuple| json::partition(tuple, &spec.has_sources)));
        for (entry, file) in manifest.files(manifest_file).enumerate() {
            let partition = file.partition_number();
            if !file.is_live() || !matches.get(partition).is_some_and(|matches| *matches) {
                continue;
            }
            let indexed = Indexed {
                manifest: manifest_number,
                entry,
                partition: first_partition + partition,
                sequence_number: sequence_number(&file)?,
                keys: Vec::new(),
            };
            let tuple = || tuples.get(partition).cloned().unwrap_or_default();
            match file.content() {
                FileContent::Data => {
                    return Err(ScanError::Damaged(format!(
                        "the manifest `{}` of delete files lists the data file `{}`",
                        manifest_file.path,
                        file.path()
                    )));
                }
                FileContent::PositionDeletes => self.add_positions(indexed, &file, tuple),
                FileContent::EqualityDeletes => {
                    self.add_equality(scan, indexed, &file, tuple, spec.is_unpartitioned)
                }
            }?;
        }
        Ok(())
    }

    fn add_positions(
        &mut self,
        indexed: Indexed,
        file: &File<'_>,
        tuple: impl FnOnce() -> PartitionTuple,
    ) -> Result<(), ScanError> {
        let number = self.files.len();
        let of_one = match self.sole_data_file {
            SoleDataFile::AsSpecified => file.deleted_file(),
            SoleDataFile::AsWritten => file.sole_data_file(),
        };
        if file.format().eq_ignore_ascii_case("puffin") {
            let path = of_one.ok_or_else(|| {
                ScanError::Damaged(format!(
                    "the deletion vector in `{}` does not name its data file",
                    file.path()
                ))
            })?;
            match self.vectors_by_path.get(path).copied() {
                None => {
                    self.vectors_by_path.insert(path.to_owned(), number);
                }
                // One vector may be listed several times: then the newest entry applies to all data files
                // that the others apply to.
                Some(before) if self.file(before).is_some_and(|before| is_same_vector(&before, file)) => {
                    let is_older = |before: &Indexed| before.sequence_number < indexed.sequence_number;
                    if self.files.get(before).is_some_and(is_older) {
                        self.vectors_by_path.insert(path.to_owned(), number);
                    }
                }
                Some(_) => return Err(ScanError::Damaged(format!("`{path}` has two deletion vectors"))),
            }
        } else if let Some(path) = of_one {
            self.positions_by_path.entry(path.to_owned()).or_default().push(number);
        } else {
            let key = (file.spec_id(), tuple());
            self.by_partition.entry(key).or_default().positions.push(number);
        }
        self.files.push(indexed);
        Ok(())
    }

    fn add_equality(
        &mut self,
        scan: &Scan,
        mut indexed: Indexed,
        file: &File<'_>,
        tuple: impl FnOnce() -> PartitionTuple,
        is_global: bool,
    ) -> Result<(), ScanError> {
        let ids: Vec<_> =
            file.equality_ids().into_iter().flatten().filter_map(|id| i32::try_from(id).ok()).collect();
        if ids.is_empty() {
            return Err(ScanError::Damaged(format!(
                "the equality delete file `{}` does not name the columns that it compares",
                file.path()
            )));
        }
        // Only the compared columns determine which rows are deleted; other columns may differ from the
        // deleted rows.
        if !inclusive_metrics::might_match(&scan.filter, &Only { file, ids: &ids }) {
            return Ok(());
        }
        indexed.keys = ids.iter().map(|id| Key::new(file, *id, scan.columns.get(id))).collect();
        let number = self.files.len();
        if is_global {
            self.global_equality.push(number);
        } else {
            let key = (file.spec_id(), tuple());
            self.by_partition.entry(key).or_default().equality.push(number);
        }
        self.files.push(indexed);
        Ok(())
    }
}

impl Indexed {
    fn weigh(&self, weight: &mut Weight) {
        weight.add(self.keys.capacity() * size_of::<Key>());
        for value in self.keys.iter().flat_map(|key| [&key.lower, &key.upper]).flatten() {
            weight.add(value.heap_bytes());
        }
    }
}

impl Key {
    fn new(file: &File<'_>, id: i32, column: Option<&ScanColumn>) -> Key {
        let primitive = column.and_then(|column| column.primitive.as_ref());
        let bound =
            |bytes: Option<&[u8]>| primitive.zip(bytes).and_then(|(kind, bytes)| Value::decode(bytes, kind));
        Key {
            id,
            primitive: primitive.cloned(),
            required: column.is_some_and(|column| column.required),
            null_count: file.null_count(id),
            value_count: file.value_count(id),
            nan_count: file.nan_count(id),
            lower: bound(file.lower(id)),
            upper: bound(file.upper(id)),
        }
    }

    /// Returns `true` if a data file may contain one of the values, including null.
    fn may_be_in(&self, file: &File<'_>) -> bool {
        let (data_nulls, data_values) = (file.null_count(self.id), file.value_count(self.id));
        let may_have_nulls = |nulls: Option<i64>| !self.required && nulls.is_none_or(|nulls| nulls > 0);
        let has_only_nulls =
            |nulls: Option<i64>, values: Option<i64>| !self.required && nulls.is_some() && nulls == values;
        if may_have_nulls(data_nulls) && may_have_nulls(self.null_count) {
            return true;
        }
        // Bounds do not include NaN, which Java does not consider here.
        let is_float = matches!(self.primitive, Some(Primitive::Float | Primitive::Double));
        let may_have_nans = |nans: Option<i64>| is_float && nans.is_none_or(|nans| nans > 0);
        if may_have_nans(file.nan_count(self.id)) && may_have_nans(self.nan_count) {
            return true;
        }
        if has_only_nulls(data_nulls, data_values) && !may_have_nulls(self.null_count) {
            return false;
        }
        if has_only_nulls(self.null_count, self.value_count) && !may_have_nulls(data_nulls) {
            return false;
        }
        self.ranges_overlap(file).unwrap_or(true)
    }

    /// Returns `true` if the value ranges of both files overlap; `None` if one of them is unknown.
    fn ranges_overlap(&self, file: &File<'_>) -> Option<bool> {
        let primitive = self.primitive.as_ref()?;
        // Java orders UUIDs as pairs of signed integers, other writers by bytes: ranges in different orders
        // are not comparable.
        if *primitive == Primitive::Uuid {
            return None;
        }
        let (lower, upper) = (self.lower.as_ref()?.as_ref(), self.upper.as_ref()?.as_ref());
        let data_lower = ValueRef::decode(file.lower_bounds()?.find(self.id)?, primitive)?;
        let data_upper = ValueRef::decode(file.upper_bounds()?.find(self.id)?, primitive)?;
        if [lower, upper, data_lower, data_upper].iter().any(|bound| bound.is_nan()) {
            return None;
        }
        let overlap = data_lower.with_lesser_zero() <= upper.with_greater_zero()
            && lower.with_lesser_zero() <= data_upper.with_greater_zero();
        Some(overlap)
    }
}

fn is_same_vector(one: &File<'_>, other: &File<'_>) -> bool {
    let place = |file: &File<'_>| (file.content_offset(), file.content_size_bytes());
    one.path() == other.path() && place(one) == place(other)
}

pub(crate) fn sequence_number(file: &File<'_>) -> Result<i64, ScanError> {
    file.sequence_number().ok_or_else(|| {
        ScanError::Damaged(format!("the file `{}` was carried over without its sequence number", file.path()))
    })
}

/// Column metrics of a file, restricted to some columns.
struct Only<'a, 'b> {
    file: &'a File<'b>,
    ids: &'a [i32],
}

impl Only<'_, '_> {
    fn knows(&self, id: i32) -> Option<&File<'_>> {
        self.ids.contains(&id).then_some(self.file)
    }
}

impl FileMetrics for Only<'_, '_> {
    fn record_count(&self) -> i64 {
        self.file.record_count()
    }

    fn value_count(&self, field_id: i32) -> Option<i64> {
        self.knows(field_id)?.value_count(field_id)
    }

    fn null_count(&self, field_id: i32) -> Option<i64> {
        self.knows(field_id)?.null_count(field_id)
    }

    fn nan_count(&self, field_id: i32) -> Option<i64> {
        self.knows(field_id)?.nan_count(field_id)
    }

    fn lower(&self, field_id: i32) -> Option<&[u8]> {
        self.knows(field_id)?.lower(field_id)
    }

    fn upper(&self, field_id: i32) -> Option<&[u8]> {
        self.knows(field_id)?.upper(field_id)
    }
}
