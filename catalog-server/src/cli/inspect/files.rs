//! Number and size of the files of a snapshot, by partition and by size.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use storage::files::Files;
use storage::local::LocalStore;
use storage::scope::{Reads, Scope};
use storage::stores::Stores;
use table_core::manifest::entry::{File, FileContent};
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{self, ManifestFile};
use table_core::metadata::partition::PartitionSpec;
use table_core::metadata::table::TableMetadata;

use maintenance::client::Client;
use maintenance::client::table_name::TableName;

/// Upper limits of the classes of the histogram, in bytes: powers of four from 64 KiB, inclusive.
const CLASSES: [u64; 9] =
    [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30, u64::MAX];

/// Maximum duration of reading one file.
const DEADLINE: Duration = Duration::from_secs(30);
/// Number of threads that read, one file at a time.
const THREADS_MAX: usize = 1;

/// Maximum size of a manifest list or manifest, in bytes, read or decoded.
const MANIFEST_BYTES_MAX: usize = 1 << 30;

/// Files of a snapshot.
#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileCounts {
    /// Total of all data files.
    pub data: Sum,
    /// Number of data files that at least one delete file applies to. 0 if the files were counted from the
    /// manifests, which do not state it.
    pub data_files_with_deletes: u64,
    /// Delete files by kind: `position-deletes`, `equality-deletes`, `deletion-vectors`.
    pub deletes: BTreeMap<&'static str, Sum>,
    /// Data files by partition spec and partition, in descending order of size.
    pub partitions: Vec<Partition>,
    /// Data files by size, in ascending classes.
    pub histogram: Vec<Class>,
    #[serde(skip)]
    by_partition: BTreeMap<(i64, String), Partition>,
    #[serde(skip)]
    seen: HashSet<(String, i64)>,
}

/// Total of some files.
#[derive(Clone, Copy, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sum {
    /// Number of files; a deletion vector counts as one.
    pub files: u64,
    /// Number of rows of data files, or of deletes of delete files.
    pub records: u64,
    /// Size in bytes. Size of a deletion vector: of its blob if counted by a scan plan, of its Puffin file if
    /// counted from manifests.
    pub bytes: u64,
}

/// Data files of one partition.
#[derive(Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Partition {
    /// Id of the partition spec.
    pub spec_id: i64,
    /// Partition tuple: values by the names of the partition fields.
    #[serde(rename = "partition")]
    pub values: Value,
    /// Total of its data files.
    pub data: Sum,
    /// Number of its data files that at least one delete file applies to.
    pub data_files_with_deletes: u64,
}

/// Class of the histogram of file sizes.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Class {
    /// Largest size in the class, in bytes, inclusive; `None` for the last class.
    pub up_to_bytes: Option<u64>,
    /// Number of data files in the class.
    pub files: u64,
    /// Total size of these files in bytes.
    pub bytes: u64,
}

/// Counts the files of a snapshot: by a scan plan of the catalog, or, if the catalog plans no scans, from the
/// manifests, which then have to be local files.
///
/// # Errors
///
/// Fails if the catalog refuses or fails the scan plan; or, without scan planning, if the snapshot has no
/// manifest list, or if a manifest list or manifest is not accessible as a local file or cannot be decoded.
pub async fn count(
    client: &Client,
    name: &TableName,
    metadata: &TableMetadata,
    snapshot_id: i64,
) -> anyhow::Result<FileCounts> {
    let mut files = FileCounts {
        histogram: CLASSES
            .iter()
            .map(|end| Class { up_to_bytes: Some(*end).filter(|end| *end < u64::MAX), files: 0, bytes: 0 })
            .collect(),
        ..FileCounts::default()
    };
    if client.plans {
        client.plan(name, snapshot_id, |part| files.add_plan(&part, metadata)).await?;
    } else {
        files.add_local(metadata, snapshot_id).await?;
    }
    files.partitions = std::mem::take(&mut files.by_partition).into_values().collect();
    files.partitions.sort_by_key(|partition| std::cmp::Reverse(partition.data.bytes));
    Ok(files)
}

impl FileCounts {
    /// Returns the number of data files whose histogram class ends at or below `bytes`.
    pub fn below(&self, bytes: u64) -> u64 {
        let small = self.histogram.iter().filter(|class| class.up_to_bytes.is_some_and(|end| end <= bytes));
        small.map(|class| class.files).sum()
    }

    fn add_plan(&mut self, part: &Value, metadata: &TableMetadata) {
        for task in part["file-scan-tasks"].as_array().into_iter().flatten() {
            let file = &task["data-file"];
            let has_deletes = task["delete-file-references"].as_array().is_some_and(|all| !all.is_empty());
            let spec_id = file["spec-id"].as_i64().unwrap_or(0);
            let sum = Sum {
                files: 1,
                records: file["record-count"].as_u64().unwrap_or(0),
                bytes: file["file-size-in-bytes"].as_u64().unwrap_or(0),
            };
            self.add_data(spec_id, &named(metadata, spec_id, &file["partition"]), sum, has_deletes);
        }
        for file in part["delete-files"].as_array().into_iter().flatten() {
            let place = (
                file["file-path"].as_str().unwrap_or_default().to_owned(),
                file["content-offset"].as_i64().unwrap_or(-1),
            );
            // A delete file may be referenced by several parts of a plan.
            if !self.seen.insert(place) {
                continue;
            }
            let is_vector =
                file["file-format"].as_str().is_some_and(|format| format.eq_ignore_ascii_case("puffin"));
            let kind = match file["content"].as_str() {
                Some("equality-deletes") => "equality-deletes",
                _ if is_vector => "deletion-vectors",
                _ => "position-deletes",
            };
            let size = if is_vector { &file["content-size-in-bytes"] } else { &file["file-size-in-bytes"] };
            let sum = Sum {
                files: 1,
                records: file["record-count"].as_u64().unwrap_or(0),
                bytes: size.as_u64().unwrap_or(0),
            };
            self.deletes.entry(kind).or_default().add(sum);
        }
    }

    /// Counts the files from the manifests, for a catalog that plans no scans. They have to be local files.
    async fn add_local(&mut self, metadata: &TableMetadata, snapshot_id: i64) -> anyhow::Result<()> {
        let snapshot = metadata.snapshot(snapshot_id).context("the snapshot does not exist any more")?;
        let location = snapshot.manifest_list()?.context("the snapshot has no manifest list")?;
        for listed in list::decode(&read(&location).await?, MANIFEST_BYTES_MAX)? {
            let manifest = Manifest::decode(&read(&listed.path).await?, MANIFEST_BYTES_MAX)
                .with_context(|| format!("cannot use the manifest `{}`", listed.path))?;
            self.add_manifest(metadata, &manifest, &listed)?;
        }
        Ok(())
    }

    fn add_manifest(
        &mut self,
        metadata: &TableMetadata,
        manifest: &Manifest,
        listed: &ManifestFile,
    ) -> anyhow::Result<()> {
        let spec_id = i64::from(listed.spec_id);
        let spec = metadata.partition_specs().iter().find(|spec| spec.id() == listed.spec_id);
        let ids =
            spec.map(|spec| spec.fields().iter().filter_map(|field| field.field_id).collect::<Vec<_>>());
        let types = ids.unwrap_or_default().into_iter().map(|id| (id, None)).collect();
        let tuples = manifest.partitions(&types)?;
        for file in manifest.files(listed).filter(File::is_live) {
            let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
            let sum =
                Sum { files: 1, records: unsigned(file.record_count()), bytes: unsigned(file.size_bytes()) };
            let kind = match file.content() {
                FileContent::Data => {
                    let tuple = tuples.get(file.partition_number());
                    let values = tuple.into_iter().flatten();
                    let values: Value = values
                        .map(|value| json!(value.as_ref().map(table_core::expr::value::Value::to_json)))
                        .collect();
                    self.add_data(spec_id, &named(metadata, spec_id, &values), sum, false);
                    continue;
                }
                FileContent::EqualityDeletes => "equality-deletes",
                FileContent::PositionDeletes if file.format().eq_ignore_ascii_case("puffin") => {
                    "deletion-vectors"
                }
                FileContent::PositionDeletes => "position-deletes",
            };
            self.deletes.entry(kind).or_default().add(sum);
        }
        Ok(())
    }

    fn add_data(&mut self, spec_id: i64, partition: &Value, sum: Sum, has_deletes: bool) {
        self.data.add(sum);
        self.data_files_with_deletes += u64::from(has_deletes);
        if let Some(class) =
            self.histogram.iter_mut().find(|class| class.up_to_bytes.is_none_or(|end| sum.bytes <= end))
        {
            class.files += 1;
            class.bytes += sum.bytes;
        }
        let entry = self.by_partition.entry((spec_id, partition.to_string()));
        let of_partition = entry.or_insert_with(|| Partition {
            spec_id,
            values: partition.clone(),
            data: Sum::default(),
            data_files_with_deletes: 0,
        });
        of_partition.data.add(sum);
        of_partition.data_files_with_deletes += u64::from(has_deletes);
    }
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.files += other.files;
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// Converts a partition tuple to an object with the names of the partition fields.
fn named(metadata: &TableMetadata, spec_id: i64, values: &Value) -> Value {
    let spec = metadata.partition_specs().iter().find(|spec| i64::from(spec.id()) == spec_id);
    let names = spec.into_iter().flat_map(PartitionSpec::fields).map(|field| field.name.clone());
    Value::Object(names.zip(values.as_array().cloned().unwrap_or_default()).collect())
}

async fn read(location: &str) -> anyhow::Result<Bytes> {
    // The user reads with their own permissions.
    let anywhere = Scope::new(Vec::new(), Vec::new(), Reads::Anywhere);
    let files = Files::new(Arc::new(Stores::new(LocalStore::new(THREADS_MAX, DEADLINE))), anywhere);
    let reading = files.read(location, MANIFEST_BYTES_MAX).await;
    reading.context("the catalog does not plan scans, so its manifests are read locally")
}
