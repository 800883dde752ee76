//! Which snapshots and references of a table are due, and the commit that removes them. As Java's `RemoveSnapshots`, but for the
//! time from which age counts, see [`super::age`]. What becomes unreachable by it is found by [`super::cleanup`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::age::{AgeSource, Ages};
use super::commit::request;
use super::error::SnapshotError;
use super::history::History;
use super::{sinks, unused};
use crate::commit::request::TableCommit;
use crate::metadata::json::{Object, Raw, push_array};
use crate::metadata::properties;
use crate::metadata::schema::Schema;
use crate::metadata::snapshot::{MAIN_BRANCH, RefKind, Snapshot, SnapshotRef};
use crate::metadata::table::TableMetadata;

/// `history.expire.max-snapshot-age-ms`: five days.
pub const SNAPSHOT_AGE_MS_DEFAULT: i64 = 5 * 24 * 60 * 60 * 1000;
/// `history.expire.min-snapshots-to-keep`.
const SNAPSHOTS_MIN_DEFAULT: i64 = 1;
/// `history.expire.max-ref-age-ms`: for ever.
const REF_AGE_MS_DEFAULT: i64 = i64::MAX;

/// What to expire, where it is not what the table's properties say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// From when the age of snapshots and schemas counts.
    pub age_source: AgeSource,
    /// Snapshots, schemas and the ends of references stay at least so long, in milliseconds, whatever the other settings say.
    pub age_min_ms: i64,
    /// Snapshots that stay whatever their age.
    pub retained: HashSet<i64>,
    /// How long the newest snapshot stays that tells how far a streaming writer was, in milliseconds; at least.
    pub sink_progress_ms: Option<i64>,
    /// Snapshots whose age counts from before this are due, in milliseconds since 1970; in place of `history.expire.max-snapshot-age-ms`.
    pub older_than_ms: Option<i64>,
    /// How many snapshots of a branch are kept in any case; in place of `history.expire.min-snapshots-to-keep`.
    pub retain_last: Option<i64>,
    /// Branches and tags whose snapshot is older than this, in milliseconds, are due; in place of
    /// `history.expire.max-ref-age-ms`.
    pub ref_age_ms: Option<i64>,
    /// Snapshots that are due whatever their age. One that a reference names is refused.
    pub snapshot_ids: Vec<i64>,
    /// Snapshots that running jobs began from. They are kept, with everything between them and the heads of branches: a job
    /// has to see what happened since.
    pub pinned: Vec<i64>,
    /// Whether schemas are due as well that nothing needs any more, and partition specs if it is known which are in use.
    pub clean_metadata: bool,
    /// The partition specs of all manifests of all snapshots; `None` if nobody looked, and then no spec is due.
    pub specs_in_use: Option<BTreeSet<i32>>,
}

/// What is due.
#[derive(Debug, Clone)]
pub struct Expiry {
    /// Snapshots, in the order of the document.
    pub snapshot_ids: Vec<i64>,
    /// Branches and tags.
    pub references: Vec<String>,
    /// Schemas, in the order of the document.
    pub schema_ids: Vec<i32>,
    /// Partition specs, in the order of the document.
    pub spec_ids: Vec<i32>,
    /// The commit that removes them, provided that it is the same table and that no reference moved: a branch may have been
    /// set back to a snapshot that is due. If schemas or specs go, the current schema or the default spec must be the same too.
    pub commit: TableCommit,
    /// The same as the body of a request.
    pub body: Raw,
}

/// Finds out what is due at a time, in milliseconds since 1970; `None` if nothing is.
///
/// Branches and tags have their own settings before the table's. `main` is never removed, and a reference never outlives its
/// snapshot. Snapshots that no reference leads to are due by age alone. Schemas and partition specs can be due where no snapshot
/// is.
///
/// Fails with [`SnapshotError::Invalid`] if the table does not allow it (`gc.enabled`), or if a snapshot that is to go is
/// named by a reference that stays.
pub fn plan(metadata: &TableMetadata, now_ms: i64, policy: &Policy) -> Result<Option<Expiry>, SnapshotError> {
    check_allowed(metadata)?;
    let retention = Retention::new(metadata, now_ms, policy);
    let staying = retention.references();
    let named = |id: i64| staying.iter().find(|(_, reference)| reference.snapshot_id == id);
    if let Some((id, (name, _))) = policy.snapshot_ids.iter().find_map(|id| Some((id, named(*id)?))) {
        return Err(SnapshotError::Invalid(format!(
            "snapshot {id} cannot expire: `{name}` names it; remove the reference first"
        )));
    }
    let mut kept = retention.snapshots(&staying);
    kept.extend(&policy.retained);
    for id in &policy.snapshot_ids {
        kept.remove(id);
    }
    kept.extend(retention.pinned(&staying, &policy.pinned));
    let all = metadata.snapshots().iter().map(Snapshot::id);
    let snapshot_ids: Vec<_> = all.filter(|id| !kept.contains(id)).collect();
    let leaving = metadata.refs().iter().map(|(name, _)| name).filter(|name| !staying.contains_key(name));
    let references: Vec<_> = leaving.map(str::to_owned).collect();
    let (mut schema_ids, mut spec_ids) = (Vec::new(), Vec::new());
    if policy.clean_metadata {
        let is_old = |schema: &Schema| retention.ages.of_schema(schema) < retention.older_than_ms;
        schema_ids = unused::schemas(metadata, |snapshot| kept.contains(&snapshot.id()), is_old);
        spec_ids =
            policy.specs_in_use.as_ref().map(|in_use| unused::specs(metadata, in_use)).unwrap_or_default();
    }
    let due = Due { snapshot_ids, references, schema_ids, spec_ids };
    if due.is_empty() {
        return Ok(None);
    }
    let body = due.request(metadata);
    let commit = TableCommit::parse(body.as_str().as_bytes())
        .map_err(|error| SnapshotError::Invalid(error.to_string()))?;
    let Due { snapshot_ids, references, schema_ids, spec_ids } = due;
    Ok(Some(Expiry { snapshot_ids, references, schema_ids, spec_ids, commit, body }))
}

/// Fails with [`SnapshotError::Invalid`] if no files of the table may be deleted at all (`gc.enabled`).
pub fn check_allowed(metadata: &TableMetadata) -> Result<(), SnapshotError> {
    if properties::allows_deletion(metadata.properties()) {
        return Ok(());
    }
    Err(SnapshotError::invalid(
        "snapshots of this table do not expire: its property `gc.enabled` is not `true`, because other tables may have its files",
    ))
}

type References<'a> = BTreeMap<&'a str, &'a SnapshotRef>;

/// The settings that hold where a reference has none of its own.
struct Retention<'a> {
    metadata: &'a TableMetadata,
    history: History<'a>,
    ages: Ages<'a>,
    now_ms: i64,
    age_min_ms: i64,
    sink_progress_ms: Option<i64>,
    older_than_ms: i64,
    snapshots_min: i64,
    ref_age_ms: i64,
}

impl<'a> Retention<'a> {
    fn new(metadata: &'a TableMetadata, now_ms: i64, policy: &'a Policy) -> Retention<'a> {
        let number = |name: &str, default: i64| properties::number(metadata.properties(), name, default);
        let age_ms = number("history.expire.max-snapshot-age-ms", SNAPSHOT_AGE_MS_DEFAULT);
        let snapshots_min = number("history.expire.min-snapshots-to-keep", SNAPSHOTS_MIN_DEFAULT);
        let ref_age_ms = number("history.expire.max-ref-age-ms", REF_AGE_MS_DEFAULT);
        Retention {
            metadata,
            history: History::new(metadata),
            ages: Ages::new(metadata, &policy.age_source),
            now_ms,
            age_min_ms: policy.age_min_ms,
            sink_progress_ms: policy.sink_progress_ms,
            older_than_ms: policy
                .older_than_ms
                .unwrap_or(now_ms.saturating_sub(age_ms))
                .min(now_ms.saturating_sub(policy.age_min_ms)),
            snapshots_min: policy.retain_last.unwrap_or(snapshots_min),
            ref_age_ms: policy.ref_age_ms.unwrap_or(ref_age_ms),
        }
    }

    /// The references that stay.
    fn references(&self) -> References<'a> {
        let stays = |name: &str, reference: &SnapshotRef| {
            let is_young = |snapshot: &Snapshot| {
                let age_ms = self.now_ms.saturating_sub(snapshot.timestamp_ms());
                age_ms <= reference.max_ref_age_ms.unwrap_or(self.ref_age_ms)
            };
            name == MAIN_BRANCH || self.history.get(reference.snapshot_id).is_some_and(is_young)
        };
        self.metadata.refs().iter().filter(|(name, reference)| stays(name, reference)).collect()
    }

    /// The snapshots that stay, given the references that do.
    fn snapshots(&self, references: &References<'_>) -> HashSet<i64> {
        let mut kept: HashSet<i64> = references.values().map(|reference| reference.snapshot_id).collect();
        if matches!(self.ages.source(), AgeSource::Catalog(_)) {
            // They stop being heads by this very commit, if they do not stay.
            kept.extend(self.metadata.refs().iter().map(|(_, reference)| reference.snapshot_id));
        }
        let mut reached = kept.clone();
        for branch in references.values().filter(|reference| reference.kind == RefKind::Branch) {
            kept.extend(self.of_branch(branch));
            if let Some(progress_ms) = self.sink_progress_ms {
                let since_ms = self.now_ms.saturating_sub(progress_ms);
                let is_young = |snapshot: &Snapshot| {
                    snapshot.id() == branch.snapshot_id || self.ages.of_snapshot(snapshot) >= since_ms
                };
                kept.extend(sinks::needed(&self.history, branch.snapshot_id, is_young));
            }
            reached.extend(self.history.ancestors(branch.snapshot_id).map(Snapshot::id));
        }
        let young = self.metadata.snapshots().iter().filter(|snapshot| {
            !reached.contains(&snapshot.id()) && self.ages.of_snapshot(snapshot) >= self.older_than_ms
        });
        kept.extend(young.map(Snapshot::id));
        // A branch that lets go of its snapshots early does not let go of what everybody is promised.
        let promised_ms = self.now_ms.saturating_sub(self.age_min_ms);
        let promised = self.metadata.snapshots().iter();
        let promised =
            promised.filter(|snapshot| self.age_min_ms > 0 && self.ages.of_snapshot(snapshot) >= promised_ms);
        kept.extend(promised.map(Snapshot::id));
        kept
    }

    /// The pinned snapshots, and what leads from them to the heads of branches.
    fn pinned(&self, references: &References<'_>, pins: &[i64]) -> HashSet<i64> {
        let mut kept: HashSet<i64> = pins.iter().copied().collect();
        for reference in references.values() {
            let line: Vec<_> = self.history.ancestors(reference.snapshot_id).map(Snapshot::id).collect();
            let oldest = line.iter().rposition(|id| pins.contains(id));
            kept.extend(line.iter().take(oldest.map_or(0, |oldest| oldest + 1)));
        }
        kept
    }

    /// The newest snapshots of a branch, as many as are kept in any case, and those behind them that are young.
    ///
    /// As in Java, they are young up to the first that is not, if age counts since they were made. Otherwise one may be younger than
    /// a newer one: it was gone back to.
    fn of_branch(&self, branch: &SnapshotRef) -> Vec<i64> {
        let older_than_ms = branch
            .max_snapshot_age_ms
            .map_or(self.older_than_ms, |age_ms| self.now_ms.saturating_sub(age_ms));
        let least = branch.min_snapshots_to_keep.unwrap_or(self.snapshots_min);
        let least = usize::try_from(least).unwrap_or(0);
        let stays = |(place, snapshot): &(usize, &Snapshot)| {
            *place < least || self.ages.of_snapshot(snapshot) >= older_than_ms
        };
        let line = self.history.ancestors(branch.snapshot_id).enumerate();
        let staying: Vec<_> = match self.ages.source() {
            AgeSource::Creation => line.take_while(stays).collect(),
            AgeSource::Document | AgeSource::Catalog(_) => line.filter(stays).collect(),
        };
        staying.into_iter().map(|(_, snapshot)| snapshot.id()).collect()
    }
}

/// What goes.
struct Due {
    snapshot_ids: Vec<i64>,
    references: Vec<String>,
    schema_ids: Vec<i32>,
    spec_ids: Vec<i32>,
}

impl Due {
    fn is_empty(&self) -> bool {
        self.snapshot_ids.is_empty()
            && self.references.is_empty()
            && self.schema_ids.is_empty()
            && self.spec_ids.is_empty()
    }

    fn request(&self, metadata: &TableMetadata) -> Raw {
        request(metadata.uuid(), &self.requirements(metadata), &self.updates())
    }

    /// What must not have changed. For schemas and specs it is what Java requires, and that no `main` was made: whoever writes
    /// to a branch may do so with what was current when the writing began.
    fn requirements(&self, metadata: &TableMetadata) -> Vec<Raw> {
        let same = |name: &str, id: Raw| {
            tagged("type", "assert-ref-snapshot-id", [("ref", Raw::string(name)), ("snapshot-id", id)])
        };
        let heads = metadata.refs().iter();
        let mut requirements: Vec<_> =
            heads.map(|(name, reference)| same(name, Raw::number(reference.snapshot_id))).collect();
        let number = |id: i32| Raw::number(i64::from(id));
        if !self.schema_ids.is_empty() {
            let id = number(metadata.current_schema_id());
            requirements.push(tagged("type", "assert-current-schema-id", [("current-schema-id", id)]));
        }
        if !self.spec_ids.is_empty() {
            let id = number(metadata.default_spec_id());
            requirements.push(tagged("type", "assert-default-spec-id", [("default-spec-id", id)]));
        }
        let is_clean_up = !self.schema_ids.is_empty() || !self.spec_ids.is_empty();
        if is_clean_up && metadata.refs().get(MAIN_BRANCH).is_none() {
            requirements.push(same(MAIN_BRANCH, Raw::joined("null".to_owned())));
        }
        requirements
    }

    /// Schemas and specs go after the snapshots that need them.
    fn updates(&self) -> Vec<Raw> {
        let remove_reference =
            |name: &String| tagged("action", "remove-snapshot-ref", [("ref-name", Raw::string(name))]);
        let mut updates: Vec<_> = self.references.iter().map(remove_reference).collect();
        let mut remove = |action: &str, key: &str, ids: Vec<String>| {
            if !ids.is_empty() {
                let mut array = String::new();
                push_array(&mut array, ids.iter().map(String::as_str));
                updates.push(tagged("action", action, [(key, Raw::joined(array))]));
            }
        };
        let texts = |ids: &[i32]| ids.iter().map(i32::to_string).collect();
        remove("remove-snapshots", "snapshot-ids", self.snapshot_ids.iter().map(i64::to_string).collect());
        remove("remove-partition-specs", "spec-ids", texts(&self.spec_ids));
        remove("remove-schemas", "schema-ids", texts(&self.schema_ids));
        updates
    }
}

/// A requirement or update: what it is under `key`, then its parts.
fn tagged<const N: usize>(key: &str, tag: &str, parts: [(&str, Raw); N]) -> Raw {
    let mut object = Object::default();
    object.set(key, Raw::string(tag));
    for (name, value) in parts {
        object.set(name, value);
    }
    object.to_raw()
}
