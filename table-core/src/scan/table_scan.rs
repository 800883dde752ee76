//! Scan of one table: a request bound to the schema, partition specs and snapshots of the table.

use std::collections::{HashMap, HashSet};

use super::error::ScanError;
use super::request::{ScanRequest, SchemaChoice, SnapshotRange};
use crate::expr::bind::NameMatching;
use crate::expr::bound::{Bound, BoundColumn, BoundFilter, PartitionColumn, PartitionFilter};
use crate::expr::inclusive_metrics;
use crate::expr::manifest_evaluator;
use crate::expr::partition;
use crate::expr::residual::Residuals;
use crate::expr::weight::Weight;
use crate::manifest::entry::File;
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::manifest::partition::{PartitionTuple, PartitionType};
use crate::metadata::partition::{PARTITION_ID_START, PartitionSpec};
use crate::metadata::schema::Schema;
use crate::metadata::schema_index::SchemaIndex;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;
use crate::metadata::types::{Primitive, Type};

/// Scan of a table, which evaluates manifests and files.
pub struct Scan {
    pub(super) filter: BoundFilter,
    pub(super) specs: HashMap<i32, SpecScan>,
    pub(super) columns: HashMap<i32, ScanColumn>,
    /// Field ids of the columns whose metrics are returned.
    pub(super) stats_ids: Vec<i32>,
    /// For an incremental scan, the ids of the snapshots whose appended files are scanned.
    pub(super) appended: Option<HashSet<i64>>,
    pub(super) rows_min: Option<i64>,
}

/// Scan of the files of one partition spec.
pub(crate) struct SpecScan {
    pub(super) types: PartitionType,
    /// `true` if the spec is unpartitioned, so that its equality deletes apply to all files of the table.
    pub(super) is_unpartitioned: bool,
    /// For each partition field, `true` if clients know its type: Java reads a partition value only if the
    /// source column is in the current schema of the table.
    pub(super) has_sources: Vec<bool>,
    pub(super) partitions: PartitionFilter,
    pub(super) residuals: Residuals,
}

/// Column, as defined in all schemas of a table.
pub(super) struct ScanColumn {
    /// Type; `None` if the column is not primitive.
    pub(super) primitive: Option<Primitive>,
    /// `true` if the column and the structs around it were required in every schema.
    pub(super) required: bool,
}

/// Snapshots whose manifests a scan reads.
#[derive(Debug, Clone, PartialEq)]
pub enum ScanSource {
    /// No snapshot: the table is empty, or nothing was appended.
    Nothing,
    /// All manifests of this snapshot.
    Snapshot(Snapshot),
    /// Manifests that these snapshots added, newest first.
    Appends(Vec<Snapshot>),
}

impl Scan {
    /// Binds a request to a table.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Invalid`] if a snapshot or column does not exist or if there is nothing
    /// between the snapshots of an incremental scan, with [`ScanError::Filter`] if the filter does not match
    /// the schema, and with [`ScanError::Metadata`] or [`ScanError::Damaged`] if the table's metadata is
    /// damaged.
    pub fn new(metadata: &TableMetadata, request: ScanRequest) -> Result<(Scan, ScanSource), ScanError> {
        let source = source(metadata, request.range)?;
        let schema = schema(metadata, &source, request.schema)?;
        let columns = schema.columns()?;
        let filter = request.filter.bind(&columns.root, request.names)?;
        let stats_ids = stats_ids(&SchemaIndex::new(columns)?, &request.stats_fields, request.names)?;
        let columns = columns_of(metadata, schema)?;
        let current = SchemaIndex::new(metadata.current_schema()?.columns()?)?;
        let specs = metadata
            .partition_specs()
            .iter()
            .map(|spec| (spec.id(), SpecScan::new(spec, &filter, &columns, &current)))
            .collect();
        let appended = match &source {
            ScanSource::Appends(snapshots) => Some(snapshots.iter().map(Snapshot::id).collect()),
            ScanSource::Nothing | ScanSource::Snapshot(_) => None,
        };
        let scan = Scan { filter, specs, columns, stats_ids, appended, rows_min: request.rows_min };
        Ok((scan, source))
    }

    /// Returns the size of the scan in memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let mut weight = Weight::default();
        weight.add_bound(&self.filter, BoundColumn::heap_bytes);
        weight.add(self.specs.capacity() * (size_of::<i32>() + size_of::<SpecScan>() + 1));
        for spec in self.specs.values() {
            weight.add(spec.types.capacity() * size_of::<(i32, Option<Primitive>)>());
            weight.add(spec.has_sources.capacity());
            weight.add_bound(&spec.partitions, PartitionColumn::heap_bytes);
            spec.residuals.weigh(&mut weight);
        }
        weight.add(self.columns.capacity() * (size_of::<i32>() + size_of::<ScanColumn>() + 1));
        weight.add(self.stats_ids.capacity() * size_of::<i32>());
        weight.add(self.appended.as_ref().map_or(0, HashSet::capacity) * (size_of::<i64>() + 1));
        size_of::<Scan>() + weight.bytes()
    }

    /// Returns `true` if a manifest may list a file that the scan needs.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Damaged`] if the partition spec of the manifest does not exist.
    pub fn needs_manifest(&self, manifest_file: &ManifestFile) -> Result<bool, ScanError> {
        if let Some(appended) = &self.appended {
            // Appends contain no deletes, and files of another snapshot are listed in the manifests which
            // that snapshot added.
            return Ok(manifest_file.content == ManifestContent::Data
                && manifest_file.added_files != Some(0)
                && appended.contains(&manifest_file.added_snapshot_id)
                && self.partitions_match(manifest_file)?);
        }
        Ok(manifest_file.may_have_live_files() && self.partitions_match(manifest_file)?)
    }

    fn partitions_match(&self, manifest_file: &ManifestFile) -> Result<bool, ScanError> {
        Ok(manifest_evaluator::might_match(&self.spec(manifest_file)?.partitions, &manifest_file.summaries()))
    }

    /// Returns `true` if the scan has no filter and thus matches all rows.
    pub(crate) fn is_unfiltered(&self) -> bool {
        matches!(self.filter, Bound::True)
    }

    /// Returns `true` if a file of a partition may contain a matching row.
    pub(crate) fn might_match(&self, file: &File<'_>, spec: &SpecScan, tuple: &PartitionTuple) -> bool {
        partition::might_match(&spec.partitions, tuple.as_slice())
            && inclusive_metrics::might_match(&self.filter, file)
    }

    /// Returns the partition tuples of a manifest, by their number in it.
    pub(crate) fn tuples(
        &self,
        manifest: &Manifest,
        manifest_file: &ManifestFile,
    ) -> Result<Vec<PartitionTuple>, ScanError> {
        manifest
            .partitions(&self.spec(manifest_file)?.types)
            .map_err(|reason| ScanError::Manifest { path: manifest_file.path.clone(), reason })
    }

    pub(crate) fn spec(&self, manifest_file: &ManifestFile) -> Result<&SpecScan, ScanError> {
        self.specs.get(&manifest_file.spec_id).ok_or_else(|| {
            ScanError::Damaged(format!(
                "the manifest `{}` is of partition spec {}, which the table does not have",
                manifest_file.path, manifest_file.spec_id
            ))
        })
    }
}

impl SpecScan {
    fn new(
        spec: &PartitionSpec,
        filter: &BoundFilter,
        columns: &HashMap<i32, ScanColumn>,
        current: &SchemaIndex<'_>,
    ) -> SpecScan {
        let types = (PARTITION_ID_START..)
            .zip(spec.fields())
            .map(|(default_id, field)| {
                let source = match &field.source_ids[..] {
                    [source_id] => columns.get(source_id).and_then(|column| column.primitive.as_ref()),
                    _ => None,
                };
                let result = source.and_then(|source| field.transform.result_type(source));
                (field.field_id.unwrap_or(default_id), result)
            })
            .collect();
        let has_sources = spec
            .fields()
            .iter()
            .map(|field| field.source_ids.iter().all(|source_id| current.get(*source_id).is_some()))
            .collect();
        let residuals = Residuals::new(filter, spec);
        SpecScan {
            types,
            is_unpartitioned: spec.is_unpartitioned(),
            has_sources,
            partitions: residuals.inclusive(),
            residuals,
        }
    }
}

fn source(metadata: &TableMetadata, range: SnapshotRange) -> Result<ScanSource, ScanError> {
    match range {
        SnapshotRange::Current => {
            Ok(metadata.current_snapshot().cloned().map_or(ScanSource::Nothing, ScanSource::Snapshot))
        }
        SnapshotRange::At(id) => Ok(ScanSource::Snapshot(require_snapshot(metadata, id)?.clone())),
        SnapshotRange::Appended { after, up_to } => {
            let appends = appends(metadata, after, up_to)?;
            Ok(if appends.is_empty() { ScanSource::Nothing } else { ScanSource::Appends(appends) })
        }
    }
}

fn require_snapshot(metadata: &TableMetadata, id: i64) -> Result<&Snapshot, ScanError> {
    metadata.snapshot(id).ok_or_else(|| {
        ScanError::Invalid(format!(
            "the table has no snapshot {id}; it may have expired: load the table again to see its snapshots"
        ))
    })
}

/// Returns the snapshots after one and up to another that appended files. Other snapshots, such as
/// compactions, are skipped, as in Java's incremental append scan.
fn appends(metadata: &TableMetadata, after: Option<i64>, up_to: i64) -> Result<Vec<Snapshot>, ScanError> {
    if after == Some(up_to) {
        return Err(ScanError::Invalid(format!(
            "`start-snapshot-id` and `end-snapshot-id` are both {up_to}, so there is nothing between them; the start is \
             not part of the scan: send the parent of the first snapshot to scan"
        )));
    }
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut next = Some(up_to);
    while let Some(id) = next {
        if Some(id) == after {
            return Ok(found);
        }
        let snapshot = match metadata.snapshot(id) {
            Some(snapshot) => snapshot,
            // Earlier history has expired, which matters only if the start is in it.
            None if after.is_none() && id != up_to => return Ok(found),
            None => {
                require_snapshot(metadata, up_to)?;
                break;
            }
        };
        if !seen.insert(id) {
            return Err(ScanError::Damaged(format!("snapshot {id} is its own ancestor")));
        }
        let summary = snapshot.summary()?;
        if summary.iter().any(|(key, value)| key == "operation" && value == "append") {
            found.push(snapshot.clone());
        }
        next = snapshot.parent_id();
    }
    match after {
        None => Ok(found),
        Some(after) => Err(ScanError::Invalid(format!(
            "snapshot {after} is not an ancestor of snapshot {up_to}, so there is nothing between them; start from \
             an ancestor that has not expired"
        ))),
    }
}

fn schema<'a>(
    metadata: &'a TableMetadata,
    source: &ScanSource,
    choice: SchemaChoice,
) -> Result<&'a Schema, ScanError> {
    let written_with = match (choice, source) {
        (SchemaChoice::Snapshot, ScanSource::Snapshot(snapshot)) => snapshot.schema_id(),
        (SchemaChoice::Snapshot, ScanSource::Appends(snapshots)) => {
            snapshots.first().and_then(Snapshot::schema_id)
        }
        _ => None,
    };
    let found = written_with.and_then(|id| metadata.schemas().iter().find(|schema| schema.id() == id));
    match found {
        Some(schema) => Ok(schema),
        None => Ok(metadata.current_schema()?),
    }
}

fn stats_ids(
    index: &SchemaIndex<'_>,
    names: &[String],
    matching: NameMatching,
) -> Result<Vec<i32>, ScanError> {
    let find = |name: &String| match matching {
        NameMatching::CaseSensitive => index.id_of(name),
        NameMatching::IgnoreCase => {
            let lower = name.to_lowercase();
            let field = index.iter().find(|field| field.full_name.to_lowercase() == lower);
            field.map(|field| field.field.id)
        }
    };
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        ids.push(find(name).ok_or_else(|| {
            ScanError::Invalid(format!(
                "`stats-fields` names the column `{name}`, which the schema does not have"
            ))
        })?);
    }
    Ok(ids)
}

/// Returns the columns of all schemas, with the type in `preferred`, or else in the newest schema that has
/// the column.
fn columns_of(metadata: &TableMetadata, preferred: &Schema) -> Result<HashMap<i32, ScanColumn>, ScanError> {
    let mut columns: HashMap<i32, ScanColumn> = HashMap::new();
    for schema in std::iter::once(preferred).chain(metadata.schemas().iter().rev()) {
        let index = SchemaIndex::new(schema.columns()?)?;
        for field in index.iter() {
            let mut required = field.field.required;
            let mut parent = field.parent;
            while let Some(around) = parent.and_then(|id| index.get(id)) {
                required &= around.field.required;
                parent = around.parent;
            }
            let primitive = match &field.field.field_type {
                Type::Primitive(primitive) => Some(primitive.clone()),
                _ => None,
            };
            columns
                .entry(field.field.id)
                .and_modify(|column| column.required &= required)
                .or_insert(ScanColumn { primitive, required });
        }
    }
    Ok(columns)
}
