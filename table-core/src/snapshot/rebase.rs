//! Rebase of appends and upserts that were refused only because of a concurrent commit to the branch: the
//! same new manifests are committed on top of the other commits.
//!
//! This is correct only if the client has read nothing but its own rows: its manifests contain only added
//! files, which inherit all their sequence numbers and row ids from the commit. A table has to enable it,
//! because a sink with exactly-once semantics relies on the refused commit to detect that another instance
//! has replaced it.
//!
//! It is enabled by default if the concurrent commits only rewrote files without changing rows, which is
//! nothing that sinks do. Compaction therefore does not make a writer's commit fail, unless the table
//! property is `false`. The same applies to upserts: their equality deletes apply to all older rows,
//! regardless of the files these are in, and their position deletes apply to their own new files. The latter
//! follows from the manifest, or else the delete file has to be read.

use std::collections::HashSet;

use uuid::Uuid;

use super::error::SnapshotError;
use super::history::{SnapshotHistory, operation};
use crate::commit::request::TableCommit;
use crate::commit::requirement::{TableRequirement, check_requirements};
use crate::commit::update::TableUpdate;
use crate::manifest::avro_write::AvroCodec;
use crate::manifest::entry::{File, FileContent, Status};
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::manifest::list_write::{self, ListHeader, WrittenList};
use crate::manifest::write::UNASSIGNED_SEQUENCE_NUMBER;
use crate::metadata::json::{Object, Raw};
use crate::metadata::snapshot::{MAIN_BRANCH, RefKind, Snapshot};
use crate::metadata::table::TableMetadata;

/// Table property that enables rebasing on top of any commit (`true`), or disables it completely (`false`).
pub const PROPERTY: &str = "firn.rebase-appends";

/// Values of a snapshot's `operation`, in addition to `append`, for commits of rows and equality deletes.
const UPSERTS: [&str; 2] = ["overwrite", "delete"];

/// Sequence number and row id that no table reaches: a file that inherits them from the manifest has at least
/// this value.
const INHERITED: i64 = 1 << 61;

/// Refused append or upsert that may be rebased onto the head of its branch.
pub struct Rebase<'a> {
    metadata: &'a TableMetadata,
    commit: &'a TableCommit,
    appended: &'a Snapshot,
    /// Snapshot that the client assumed to be the head of the branch; `None` if there was none.
    base: Option<&'a Snapshot>,
    /// Current head of the branch.
    head: &'a Snapshot,
    /// `true` if only rewrites were committed in between, so that deletes apply to the rows that the client
    /// intended.
    may_delete: bool,
}

/// Rebase whose manifest lists were read.
pub struct PreparedRebase<'a> {
    rebase: Rebase<'a>,
    head_manifest_files: Vec<ManifestFile>,
    /// Manifests that the commit adds, which have to be read next.
    pub manifests: Vec<ManifestFile>,
}

/// Files of a commit that is rebased.
#[derive(Debug)]
pub struct AddedFiles {
    /// Paths of its data files.
    pub data: HashSet<String>,
    /// Paths of position delete files whose manifest entry does not prove that they apply to one of these
    /// data files, because writers truncate bounds and may put deletes of several data files into one file.
    /// They have to be read.
    pub unclear_deletes: Vec<String>,
}

/// Result of a rebase.
#[derive(Debug, Clone)]
pub struct Rebased {
    /// Path and contents of the new manifest list.
    pub list: (String, Vec<u8>),
    /// Commit with requirements that are satisfied by the current table.
    pub commit: TableCommit,
}

impl<'a> Rebase<'a> {
    /// Returns the rebase for a refused commit; `None` if the table does not permit rebasing it on top of the
    /// concurrent commits, if the commit is not an append or upsert, or if it would be refused for another
    /// reason as well.
    pub fn of(metadata: &'a TableMetadata, commit: &'a TableCommit) -> Option<Rebase<'a>> {
        let setting = metadata.property(PROPERTY);
        let is_enabled = setting.is_some_and(|setting| setting.eq_ignore_ascii_case("true"));
        if setting.is_some_and(|setting| setting.eq_ignore_ascii_case("false")) {
            return None;
        }
        let [TableUpdate::AddSnapshot { snapshot }, TableUpdate::SetSnapshotRef { name, reference }] =
            &commit.updates[..]
        else {
            return None;
        };
        let moves = reference.kind == RefKind::Branch && reference.snapshot_id == snapshot.id();
        let is_new = metadata.snapshot(snapshot.id()).is_none();
        let kind = operation(snapshot).ok()??;
        let is_append = kind == "append";
        if !moves || !is_new || !(is_append || UPSERTS.contains(&kind.as_str())) {
            return None;
        }
        let (of_head, others): (Vec<_>, Vec<_>) = commit.requirements.iter().cloned().partition(
            |requirement| matches!(requirement, TableRequirement::AssertRefSnapshotId { name: asserted, .. } if asserted == name),
        );
        let [TableRequirement::AssertRefSnapshotId { snapshot_id: base, .. }] = of_head[..] else {
            return None;
        };
        check_requirements(Some(metadata), &others).ok()?;
        let branch = metadata.refs().get(name).filter(|branch| branch.kind == RefKind::Branch)?;
        let head = metadata.snapshot(branch.snapshot_id)?;
        // The commit missed only snapshots after its base; after a rollback of the branch there is no such
        // sequence.
        if base.is_none() && name != MAIN_BRANCH {
            return None;
        }
        let is_rewrite =
            |snapshot: &&Snapshot| operation(snapshot).is_ok_and(|kind| kind.as_deref() == Some("replace"));
        let may_delete = match SnapshotHistory::new(metadata).since(head.id(), base) {
            Ok(missed) => missed.iter().all(is_rewrite),
            // The first snapshots of the branch have expired.
            Err(_) if is_enabled && is_append && base.is_none() => false,
            Err(_) => return None,
        };
        let base = match base {
            Some(base) => Some(metadata.snapshot(base)?),
            None => None,
        };
        let may_append = is_enabled && is_append;
        if !may_append && !may_delete {
            return None;
        }
        let is_on_base = snapshot.parent_id() == base.map(Snapshot::id);
        is_on_base.then_some(Rebase { metadata, commit, appended: snapshot, base, head, may_delete })
    }

    /// Returns the paths of the manifest lists to read: that of the commit, that of the head, and that of the
    /// base if there is one. `None` if one of the snapshots has no manifest list.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Metadata`] if a snapshot is malformed.
    pub fn lists(&self) -> Result<Option<(String, String, Option<String>)>, SnapshotError> {
        let base = match self.base {
            Some(base) => match base.manifest_list()? {
                Some(list) => Some(list),
                // The oldest snapshots have no manifest list.
                None => return Ok(None),
            },
            None => None,
        };
        Ok(self
            .appended
            .manifest_list()?
            .zip(self.head.manifest_list()?)
            .map(|(own, head)| (own, head, base)))
    }

    /// Returns the next step if the manifest list of the commit consists of that of its base and new
    /// manifests with only added files.
    pub fn fresh(
        self,
        own: &[ManifestFile],
        head: &[ManifestFile],
        base: &[ManifestFile],
    ) -> Option<PreparedRebase<'a>> {
        let base_paths: HashSet<&str> =
            base.iter().map(|manifest_file| manifest_file.path.as_str()).collect();
        let (carried, manifests): (Vec<_>, Vec<_>) =
            own.iter().cloned().partition(|manifest_file| base_paths.contains(manifest_file.path.as_str()));
        let carried: HashSet<&str> =
            carried.iter().map(|manifest_file| manifest_file.path.as_str()).collect();
        let carries_all = base.iter().all(|manifest_file| {
            !manifest_file.may_have_live_files() || carried.contains(manifest_file.path.as_str())
        });
        let id = self.appended.id();
        // Rewrites move rows to the current default spec, where deletes of another spec would not apply to
        // them.
        let spec_id = self.metadata.default_spec_id();
        let reaches_all = |manifest_file: &ManifestFile| {
            manifest_file.content == ManifestContent::Data || manifest_file.spec_id == spec_id
        };
        let only_adds = |manifest_file: &ManifestFile| {
            manifest_file.added_snapshot_id == id
                && manifest_file.existing_files == Some(0)
                && manifest_file.deleted_files == Some(0)
        };
        let may_be =
            |manifest_file: &ManifestFile| manifest_file.content == ManifestContent::Data || self.may_delete;
        let is_pure = carries_all
            && !manifests.is_empty()
            && manifests.iter().all(|manifest_file| {
                only_adds(manifest_file) && reaches_all(manifest_file) && may_be(manifest_file)
            });
        is_pure.then(|| PreparedRebase { rebase: self, head_manifest_files: head.to_vec(), manifests })
    }
}

impl AddedFiles {
    /// Returns `true` if position deletes apply to one of the data files, or possibly do.
    fn accepts(&mut self, deletes: &File<'_>) -> bool {
        match deletes.sole_data_file() {
            Some(path) => self.data.contains(path),
            None if deletes.format().eq_ignore_ascii_case("parquet") => {
                self.unclear_deletes.push(deletes.path().to_owned());
                true
            }
            None => false,
        }
    }
}

impl PreparedRebase<'_> {
    /// Checks the added files. `None` if one of them does not inherit its sequence numbers and row ids from
    /// the commit, or if deletes apply to other files.
    pub fn check_files(&self, manifests: &[(&Manifest, &ManifestFile)]) -> Option<AddedFiles> {
        let of_data =
            manifests.iter().filter(|(_, manifest_file)| manifest_file.content == ManifestContent::Data);
        let data = of_data.flat_map(|(manifest, manifest_file)| {
            manifest.files(manifest_file).map(|file| file.path().to_owned())
        });
        let mut own = AddedFiles { data: data.collect(), unclear_deletes: Vec::new() };
        for (manifest, manifest_file) in manifests {
            if !inherits_all_numbers(manifest, manifest_file, &mut own) {
                return None;
            }
        }
        Some(own)
    }

    /// Creates the rebased commit, provided that [`PreparedRebase::check_files`] permits it. `uuid` makes the
    /// name of the manifest list unique. `None` if the appended snapshot has no manifest list.
    ///
    /// # Errors
    ///
    /// Fails with [`SnapshotError::Manifest`] if the manifest list cannot be written, and with
    /// [`SnapshotError::Metadata`] if a snapshot is malformed.
    pub fn finish(self, uuid: Uuid) -> Result<Option<Rebased>, SnapshotError> {
        let Rebase { metadata, appended, head, .. } = self.rebase;
        let Some(own_path) = appended.manifest_list()? else { return Ok(None) };
        let path = format!("{}{uuid}.avro", list_prefix(&own_path, appended.id()));
        let header = ListHeader {
            format_version: metadata.format_version(),
            snapshot_id: appended.id(),
            parent_id: Some(head.id()),
            sequence_number: if metadata.format_version() > 1 {
                metadata.last_sequence_number() + 1
            } else {
                0
            },
            next_row_id: metadata.next_row_id(),
        };
        let fresh = self.manifests.into_iter().map(|manifest_file| ManifestFile {
            sequence_number: UNASSIGNED_SEQUENCE_NUMBER,
            min_sequence_number: UNASSIGNED_SEQUENCE_NUMBER,
            first_row_id: None,
            ..manifest_file
        });
        let manifest_files = fresh.chain(self.head_manifest_files).collect();
        let list = list_write::write(&header, manifest_files, AvroCodec::Deflate(6), uuid.into_bytes())
            .map_err(SnapshotError::manifest(&path))?;
        let snapshot = rebased_snapshot(appended, head, &header, &list, &path)?;
        let commit = rebased_commit(self.rebase.commit, &snapshot, head.id());
        Ok(Some(Rebased { list: (path, list.bytes), commit }))
    }
}

/// Returns `true` if `list` is the manifest list of the rebased form of a snapshot whose original manifest
/// list is `own`.
pub fn is_list_of(list: &str, own: &str, snapshot_id: i64) -> bool {
    list.starts_with(&list_prefix(own, snapshot_id))
}

/// Returns the prefix of the path of the manifest list for the rebased form of a snapshot whose original
/// manifest list is `own`.
fn list_prefix(own: &str, snapshot_id: i64) -> String {
    let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/snap-{snapshot_id}-rebased-")
}

/// Returns `true` if all files of a manifest are added, inherit their sequence numbers and row ids, and do
/// not depend on existing files: data files, equality deletes, or position deletes of the new files `own`, as
/// far as the manifest shows.
fn inherits_all_numbers(manifest: &Manifest, manifest_file: &ManifestFile, own: &mut AddedFiles) -> bool {
    let of_data = manifest_file.content == ManifestContent::Data;
    let inheriting =
        ManifestFile { sequence_number: INHERITED, first_row_id: Some(INHERITED), ..manifest_file.clone() };
    let mut depends_on_none = |file: &File<'_>| match file.content() {
        FileContent::Data => of_data && file.first_row_id().is_some_and(|id| id >= INHERITED),
        FileContent::EqualityDeletes => !of_data,
        FileContent::PositionDeletes => !of_data && own.accepts(file),
    };
    manifest.files(&inheriting).all(|file| {
        file.status() == Status::Added
            && file.snapshot_id() == manifest_file.added_snapshot_id
            && file.sequence_number() == Some(INHERITED)
            && file.file_sequence_number() == Some(INHERITED)
            && depends_on_none(&file)
    })
}

/// Returns the snapshot with another parent and everything that depends on it.
fn rebased_snapshot(
    appended: &Snapshot,
    head: &Snapshot,
    header: &ListHeader,
    list: &WrittenList,
    path: &str,
) -> Result<Snapshot, SnapshotError> {
    let mut object = Object::parse(appended.raw().as_str(), "snapshot")?;
    object.set("parent-snapshot-id", Raw::number(head.id()));
    if header.format_version > 1 {
        object.set("sequence-number", Raw::number(header.sequence_number));
    }
    // Timestamps along a branch must not decrease.
    object.set("timestamp-ms", Raw::number(appended.timestamp_ms().max(head.timestamp_ms())));
    object.set("manifest-list", Raw::string(path));
    if header.format_version > 2 {
        object.set("first-row-id", Raw::number(header.next_row_id));
        object.set("added-rows", Raw::number(list.assigned_rows));
    }
    let before = head.summary()?;
    let mut summary = Object::default();
    for (name, value) in with_totals(appended.summary()?, &before) {
        summary.set(&name, Raw::string(&value));
    }
    object.set("summary", summary.to_raw());
    Ok(Snapshot::parse(object.to_raw())?)
}

/// Replaces the totals of a summary by those of the head plus what was added. Unknown totals are omitted.
fn with_totals(own: Vec<(String, String)>, before: &[(String, String)]) -> Vec<(String, String)> {
    const TOTALS: [(&str, &str); 6] = [
        ("total-records", "added-records"),
        ("total-files-size", "added-files-size"),
        ("total-data-files", "added-data-files"),
        ("total-delete-files", "added-delete-files"),
        ("total-position-deletes", "added-position-deletes"),
        ("total-equality-deletes", "added-equality-deletes"),
    ];
    let number = |entries: &[(String, String)], name: &str| {
        let entry = entries.iter().find(|(key, _)| key == name)?;
        entry.1.parse::<i64>().ok()
    };
    let totals: Vec<_> = TOTALS
        .iter()
        .filter_map(|(total, added)| {
            let added = number(&own, added).unwrap_or(0);
            Some(((*total).to_owned(), number(before, total)?.checked_add(added)?.to_string()))
        })
        .collect();
    let others = own.into_iter().filter(|(name, _)| !name.starts_with("total-"));
    others.chain(totals).collect()
}

fn rebased_commit(commit: &TableCommit, snapshot: &Snapshot, head: i64) -> TableCommit {
    let requirements = commit.requirements.iter().cloned().map(|requirement| match requirement {
        TableRequirement::AssertRefSnapshotId { name, .. } => {
            TableRequirement::AssertRefSnapshotId { name, snapshot_id: Some(head) }
        }
        other => other,
    });
    let updates = commit.updates.iter().cloned().map(|update| match update {
        TableUpdate::AddSnapshot { .. } => TableUpdate::AddSnapshot { snapshot: snapshot.clone() },
        other => other,
    });
    TableCommit {
        identifier: commit.identifier.clone(),
        requirements: requirements.collect(),
        updates: updates.collect(),
        size_bytes: commit.size_bytes,
    }
}
