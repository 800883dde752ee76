//! An append, or an upsert, that lost only the race for its branch: the same new manifests, on top of what the others committed.
//!
//! Only sound where the client has seen nothing but its own rows: its manifests hold nothing but added files, which take all
//! their numbers from the commit. A table has to ask for it, because a sink that promises to write once relies on the lost
//! race to find out that somebody else has taken over.
//!
//! Not so where others only rewrote files, with the same rows in them: no sink does that. So whoever compacts a table is in no
//! writer's way, unless the table says `false`; nor in that of upserts, whose equality deletes are for all rows that are older,
//! whichever files these are in by then, and whose position deletes are for their own new files: the manifest says so, or the
//! delete file has to be looked into.

use std::collections::HashSet;

use uuid::Uuid;

use super::error::SnapshotError;
use super::history::{History, operation};
use crate::commit::request::TableCommit;
use crate::commit::requirement::{TableRequirement, check_requirements};
use crate::commit::update::TableUpdate;
use crate::manifest::avro_write::Codec;
use crate::manifest::entry::{Content, File, Status};
use crate::manifest::file::Manifest;
use crate::manifest::list::{ManifestContent, ManifestFile};
use crate::manifest::list_write::{self, ListHeader, WrittenList};
use crate::manifest::write::UNASSIGNED_SEQUENCE_NUMBER;
use crate::metadata::json::{Object, Raw};
use crate::metadata::snapshot::{MAIN_BRANCH, RefKind, Snapshot};
use crate::metadata::table::TableMetadata;

/// The table property that asks for it whatever others committed: `true`; or never: `false`.
pub const PROPERTY: &str = "firn.rebase-appends";

/// What a snapshot's `operation` may be that brings rows and equality deletes, beside `append`.
const UPSERTS: [&str; 2] = ["overwrite", "delete"];

/// Numbers that no table reaches: what a file of the manifest takes from it is at least this.
const INHERITED: i64 = 1 << 61;

/// An append that may be put on top of what was committed before it.
pub struct Rebase<'a> {
    metadata: &'a TableMetadata,
    commit: &'a TableCommit,
    appended: &'a Snapshot,
    /// The snapshot that the client took for the head; `None` if there was none.
    base: Option<&'a Snapshot>,
    /// The snapshot that is.
    head: &'a Snapshot,
    /// Whether nothing but rewrites was committed in between, so that deletes take the rows that the client meant.
    may_delete: bool,
}

/// The same, its manifest list seen.
pub struct Fresh<'a> {
    rebase: Rebase<'a>,
    head_lines: Vec<ManifestFile>,
    /// The manifests that it adds, to be seen next.
    pub manifests: Vec<ManifestFile>,
}

/// The files of an append.
#[derive(Debug)]
pub struct OwnFiles {
    /// Paths of its data files.
    pub data: HashSet<String>,
    /// Paths of position delete files of which the manifest does not tell that they are for one of these: writers cut bounds, and
    /// may have deletes of several files in one. They have to be looked into.
    pub unclear_deletes: Vec<String>,
}

/// An append on top of what was committed before it.
#[derive(Debug, Clone)]
pub struct Rebased {
    /// Where its new manifest list goes, and what it says.
    pub list: (String, Vec<u8>),
    /// The commit, whose requirements hold now.
    pub commit: TableCommit,
}

impl<'a> Rebase<'a> {
    /// The append that a refused commit is; `None` if the table does not want this over what others committed, if the commit is
    /// anything else, or if it would be refused for another reason, too.
    pub fn of(metadata: &'a TableMetadata, commit: &'a TableCommit) -> Option<Rebase<'a>> {
        let wish = metadata.property(PROPERTY);
        let is_wanted = wish.is_some_and(|wish| wish.eq_ignore_ascii_case("true"));
        if wish.is_some_and(|wish| wish.eq_ignore_ascii_case("false")) {
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
        // Only what is newer than the client's base was missed by it; after a rollback it is about something else.
        if base.is_none() && name != MAIN_BRANCH {
            return None;
        }
        let is_rewrite =
            |snapshot: &&Snapshot| operation(snapshot).is_ok_and(|kind| kind.as_deref() == Some("replace"));
        let may_delete = match History::new(metadata).since(head.id(), base) {
            Ok(missed) => missed.iter().all(is_rewrite),
            // What began the branch has expired.
            Err(_) if is_wanted && is_append && base.is_none() => false,
            Err(_) => return None,
        };
        let base = match base {
            Some(base) => Some(metadata.snapshot(base)?),
            None => None,
        };
        let may_append = is_wanted && is_append;
        if !may_append && !may_delete {
            return None;
        }
        let is_on_base = snapshot.parent_id() == base.map(Snapshot::id);
        is_on_base.then_some(Rebase { metadata, commit, appended: snapshot, base, head, may_delete })
    }

    /// The manifest lists that have to be seen: the append's own, the head's, and the base's if there is one.
    pub fn lists(&self) -> Result<Option<(String, String, Option<String>)>, SnapshotError> {
        let base = match self.base {
            Some(base) => match base.manifest_list()? {
                Some(list) => Some(list),
                // The oldest snapshots have none.
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

    /// The append, if its list is that of its base with new manifests of added data files.
    pub fn fresh(
        self,
        own: &[ManifestFile],
        head: &[ManifestFile],
        base: &[ManifestFile],
    ) -> Option<Fresh<'a>> {
        let known: HashSet<&str> = base.iter().map(|line| line.path.as_str()).collect();
        let (carried, manifests): (Vec<_>, Vec<_>) =
            own.iter().cloned().partition(|line| known.contains(line.path.as_str()));
        let carried: HashSet<&str> = carried.iter().map(|line| line.path.as_str()).collect();
        let carries_all =
            base.iter().all(|line| !line.may_have_live_files() || carried.contains(line.path.as_str()));
        let id = self.appended.id();
        // Rewrites bring rows into the table's present spec, where deletes for another one would miss them.
        let spec_id = self.metadata.default_spec_id();
        let reaches_all =
            |line: &ManifestFile| line.content == ManifestContent::Data || line.spec_id == spec_id;
        let only_adds = |line: &ManifestFile| {
            line.added_snapshot_id == id && line.existing_files == Some(0) && line.deleted_files == Some(0)
        };
        let may_be = |line: &ManifestFile| line.content == ManifestContent::Data || self.may_delete;
        let is_pure = carries_all
            && !manifests.is_empty()
            && manifests.iter().all(|line| only_adds(line) && reaches_all(line) && may_be(line));
        is_pure.then(|| Fresh { rebase: self, head_lines: head.to_vec(), manifests })
    }
}

impl OwnFiles {
    /// Whether position deletes are for one of the files, or may be.
    fn admit(&mut self, deletes: &File<'_>) -> bool {
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

impl Fresh<'_> {
    /// Looks at the added files: `None` if not all of them take their numbers from the commit, or deletes are for other files.
    pub fn look(&self, manifests: &[(&Manifest, &ManifestFile)]) -> Option<OwnFiles> {
        let of_data = manifests.iter().filter(|(_, line)| line.content == ManifestContent::Data);
        let data =
            of_data.flat_map(|(manifest, line)| manifest.files(line).map(|file| file.path().to_owned()));
        let mut own = OwnFiles { data: data.collect(), unclear_deletes: Vec::new() };
        for (manifest, line) in manifests {
            if !takes_all_numbers(manifest, line, &mut own) {
                return None;
            }
        }
        Some(own)
    }

    /// Puts the append on top of the head; [`Fresh::look`] has said that it may be. `uuid` makes the name of the list unique.
    ///
    /// Fails if the list of the head cannot be carried on.
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
        let fresh = self.manifests.into_iter().map(|line| ManifestFile {
            sequence_number: UNASSIGNED_SEQUENCE_NUMBER,
            min_sequence_number: UNASSIGNED_SEQUENCE_NUMBER,
            first_row_id: None,
            ..line
        });
        let lines = fresh.chain(self.head_lines).collect();
        let list = list_write::write(&header, lines, Codec::Deflate(6), uuid.into_bytes())
            .map_err(SnapshotError::manifest(&path))?;
        let snapshot = rebased_snapshot(appended, head, &header, &list, &path)?;
        let commit = rebased_commit(self.rebase.commit, &snapshot, head.id());
        Ok(Some(Rebased { list: (path, list.bytes), commit }))
    }
}

/// Whether a manifest list is that of a snapshot which was put on top of others, and had the list `own` before.
pub fn is_list_of(list: &str, own: &str, snapshot_id: i64) -> bool {
    list.starts_with(&list_prefix(own, snapshot_id))
}

/// How the path begins of the list of a snapshot that is put on top of others, and had the list `own` before.
fn list_prefix(own: &str, snapshot_id: i64) -> String {
    let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/snap-{snapshot_id}-rebased-")
}

/// Whether the files of a manifest are all added, have neither sequence number nor row ids of their own, and depend on no file
/// that was there before: data, values that are deleted, or deleted positions of the `own` new files, as far as the manifest
/// tells.
fn takes_all_numbers(manifest: &Manifest, line: &ManifestFile, own: &mut OwnFiles) -> bool {
    let of_data = line.content == ManifestContent::Data;
    let far = ManifestFile { sequence_number: INHERITED, first_row_id: Some(INHERITED), ..line.clone() };
    let mut depends_on_none = |file: &File<'_>| match file.content() {
        Content::Data => of_data && file.first_row_id().is_some_and(|id| id >= INHERITED),
        Content::EqualityDeletes => !of_data,
        Content::PositionDeletes => !of_data && own.admit(file),
    };
    manifest.files(&far).all(|file| {
        file.status() == Status::Added
            && file.snapshot_id() == line.added_snapshot_id
            && file.sequence_number() == Some(INHERITED)
            && file.file_sequence_number() == Some(INHERITED)
            && depends_on_none(&file)
    })
}

/// The snapshot with another parent, and what follows from that.
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
    // Branches go forward in time.
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

/// Totals are those of the head and what is added. One that is not known is left out.
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
