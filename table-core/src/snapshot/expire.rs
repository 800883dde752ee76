//! Expiration of snapshots, branches and tags: selects those that are due and creates the commit that removes
//! them. It follows Java's `RemoveSnapshots`, except for the time from which age is measured, see
//! [`super::age`]. The files that become unreachable are found by [`super::cleanup`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::age::{AgeSource, Ages};
use super::commit::request;
use super::error::SnapshotError;
use super::history::SnapshotHistory;
use super::{sinks, unused};
use crate::commit::request::TableCommit;
use crate::metadata::json::{Object, Raw, push_array};
use crate::metadata::properties;
use crate::metadata::schema::Schema;
use crate::metadata::snapshot::{MAIN_BRANCH, RefKind, Snapshot, SnapshotRef};
use crate::metadata::table::TableMetadata;

/// Default of `history.expire.max-snapshot-age-ms` in milliseconds: five days.
pub const SNAPSHOT_AGE_MS_DEFAULT: i64 = 5 * 24 * 60 * 60 * 1000;
/// Default of `history.expire.min-snapshots-to-keep`.
const SNAPSHOTS_MIN_DEFAULT: i64 = 1;
/// Default of `history.expire.max-ref-age-ms` in milliseconds: branches and tags never expire.
const REF_AGE_MS_DEFAULT: i64 = i64::MAX;

/// Expiration settings that override or supplement the table's properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpirySettings {
    /// Source of the age of snapshots and schemas.
    pub age_source: AgeSource,
    /// Minimum age, in milliseconds, of snapshots that expire, including the heads of removed references, and
    /// of schemas that are removed. It takes precedence over all other settings except `snapshot_ids`.
    pub age_min_ms: i64,
    /// Ids of snapshots that are retained regardless of their age.
    pub retained: HashSet<i64>,
    /// Minimum time, in milliseconds, for which the newest snapshot with the progress of a streaming writer
    /// is retained.
    pub sink_progress_ms: Option<i64>,
    /// Time, in milliseconds since 1970, before which the age of a snapshot must begin for it to expire;
    /// overrides `history.expire.max-snapshot-age-ms`.
    pub older_than_ms: Option<i64>,
    /// Number of snapshots of a branch that are always retained; overrides
    /// `history.expire.min-snapshots-to-keep`.
    pub retain_last: Option<i64>,
    /// Age, in milliseconds, of the snapshot of a branch or tag above which the reference is removed;
    /// overrides `history.expire.max-ref-age-ms`.
    pub ref_age_ms: Option<i64>,
    /// Ids of snapshots to expire regardless of their age. A snapshot that a remaining reference points to is
    /// refused.
    pub snapshot_ids: Vec<i64>,
    /// Ids of snapshots that running jobs started from. They are retained, even if in `snapshot_ids`, and so
    /// are all snapshots between them and the heads of branches and tags: a job has to see what was committed
    /// since.
    pub pinned: Vec<i64>,
    /// `true` to also remove schemas that are not in use, and partition specs if `specs_in_use` is known.
    pub clean_metadata: bool,
    /// Ids of the partition specs of all manifests of all snapshots; `None` if unknown, and then no spec is
    /// removed.
    pub specs_in_use: Option<BTreeSet<i32>>,
}

/// Result of expiration: what is removed.
#[derive(Debug, Clone)]
pub struct Expiry {
    /// Ids of the expired snapshots, in the order of table metadata.
    pub snapshot_ids: Vec<i64>,
    /// Names of the expired branches and tags.
    pub references: Vec<String>,
    /// Ids of the removed schemas, in the order of table metadata.
    pub schema_ids: Vec<i32>,
    /// Ids of the removed partition specs, in the order of table metadata.
    pub spec_ids: Vec<i32>,
    /// Commit that removes them. Its requirements assert the identity of the table and the heads of all
    /// references, because a branch may have been set to an expired snapshot in the meantime. If schemas or
    /// specs are removed, they also assert the current schema or the default spec.
    pub commit: TableCommit,
    /// The commit as the body of a request.
    pub body: Raw,
}

/// Plans what expires at `now_ms` (milliseconds since 1970); `None` if there is nothing to remove.
///
/// The settings of a branch or tag take precedence over those of the table. `main` is never removed, and a
/// reference is removed if its snapshot does not exist. Snapshots that are not reachable from a reference
/// expire by age alone. Schemas and partition specs may be removed even if no snapshot expires.
///
/// ```text
/// let settings = ExpirySettings { retain_last: Some(10), ..ExpirySettings::default() };
/// if let Some(expiry) = expire::plan(&metadata, now_ms, &settings)? {
///     commit(expiry.body);
/// }
/// ```
///
/// # Errors
///
/// Fails with [`SnapshotError::Invalid`] if the table does not permit deleting files (`gc.enabled`), or if a
/// snapshot in [`ExpirySettings::snapshot_ids`] is the head of a reference that is not removed.
pub fn plan(
    metadata: &TableMetadata,
    now_ms: i64,
    settings: &ExpirySettings,
) -> Result<Option<Expiry>, SnapshotError> {
    check_allowed(metadata)?;
    let retention = Retention::new(metadata, now_ms, settings);
    let retained_refs = retention.references();
    let named = |id: i64| retained_refs.iter().find(|(_, reference)| reference.snapshot_id == id);
    if let Some((id, (name, _))) = settings.snapshot_ids.iter().find_map(|id| Some((id, named(*id)?))) {
        return Err(SnapshotError::Invalid(format!(
            "snapshot {id} cannot expire: `{name}` refers to it; remove the reference first"
        )));
    }
    let mut retained = retention.snapshots(&retained_refs);
    retained.extend(&settings.retained);
    for id in &settings.snapshot_ids {
        retained.remove(id);
    }
    retained.extend(retention.pinned(&retained_refs, &settings.pinned));
    let all = metadata.snapshots().iter().map(Snapshot::id);
    let snapshot_ids: Vec<_> = all.filter(|id| !retained.contains(id)).collect();
    let removed =
        metadata.refs().iter().map(|(name, _)| name).filter(|name| !retained_refs.contains_key(name));
    let references: Vec<_> = removed.map(str::to_owned).collect();
    let (mut schema_ids, mut spec_ids) = (Vec::new(), Vec::new());
    if settings.clean_metadata {
        let is_old = |schema: &Schema| retention.ages.of_schema(schema) < retention.older_than_ms;
        schema_ids = unused::schemas(metadata, |snapshot| retained.contains(&snapshot.id()), is_old);
        spec_ids =
            settings.specs_in_use.as_ref().map(|in_use| unused::specs(metadata, in_use)).unwrap_or_default();
    }
    let expired = ExpiredItems { snapshot_ids, references, schema_ids, spec_ids };
    if expired.is_empty() {
        return Ok(None);
    }
    let body = expired.request(metadata);
    let commit = TableCommit::parse(body.as_str().as_bytes())
        .map_err(|error| SnapshotError::Invalid(error.to_string()))?;
    let ExpiredItems { snapshot_ids, references, schema_ids, spec_ids } = expired;
    Ok(Some(Expiry { snapshot_ids, references, schema_ids, spec_ids, commit, body }))
}

/// Checks that the table permits deleting files.
///
/// # Errors
///
/// Fails with [`SnapshotError::Invalid`] if the table property `gc.enabled` is not `true`.
pub fn check_allowed(metadata: &TableMetadata) -> Result<(), SnapshotError> {
    if properties::allows_deletion(metadata.properties()) {
        return Ok(());
    }
    Err(SnapshotError::invalid(
        "snapshots of this table cannot expire: `gc.enabled` is not `true`, so that other tables may share its files",
    ))
}

type References<'a> = BTreeMap<&'a str, &'a SnapshotRef>;

/// Settings for references that have none of their own.
struct Retention<'a> {
    metadata: &'a TableMetadata,
    history: SnapshotHistory<'a>,
    ages: Ages<'a>,
    now_ms: i64,
    age_min_ms: i64,
    sink_progress_ms: Option<i64>,
    older_than_ms: i64,
    snapshots_min: i64,
    ref_age_ms: i64,
}

impl<'a> Retention<'a> {
    fn new(metadata: &'a TableMetadata, now_ms: i64, settings: &'a ExpirySettings) -> Retention<'a> {
        let number = |name: &str, default: i64| properties::number(metadata.properties(), name, default);
        let age_ms = number("history.expire.max-snapshot-age-ms", SNAPSHOT_AGE_MS_DEFAULT);
        let snapshots_min = number("history.expire.min-snapshots-to-keep", SNAPSHOTS_MIN_DEFAULT);
        let ref_age_ms = number("history.expire.max-ref-age-ms", REF_AGE_MS_DEFAULT);
        Retention {
            metadata,
            history: SnapshotHistory::new(metadata),
            ages: Ages::new(metadata, &settings.age_source),
            now_ms,
            age_min_ms: settings.age_min_ms,
            sink_progress_ms: settings.sink_progress_ms,
            older_than_ms: settings
                .older_than_ms
                .unwrap_or(now_ms.saturating_sub(age_ms))
                .min(now_ms.saturating_sub(settings.age_min_ms)),
            snapshots_min: settings.retain_last.unwrap_or(snapshots_min),
            ref_age_ms: settings.ref_age_ms.unwrap_or(ref_age_ms),
        }
    }

    /// Returns the references that are retained.
    fn references(&self) -> References<'a> {
        let is_retained = |name: &str, reference: &SnapshotRef| {
            let is_young = |snapshot: &Snapshot| {
                let age_ms = self.now_ms.saturating_sub(snapshot.timestamp_ms());
                age_ms <= reference.max_ref_age_ms.unwrap_or(self.ref_age_ms)
            };
            name == MAIN_BRANCH || self.history.get(reference.snapshot_id).is_some_and(is_young)
        };
        self.metadata.refs().iter().filter(|(name, reference)| is_retained(name, reference)).collect()
    }

    /// Returns the ids of the snapshots that are retained, given the retained references.
    fn snapshots(&self, references: &References<'_>) -> HashSet<i64> {
        let mut retained: HashSet<i64> = references.values().map(|reference| reference.snapshot_id).collect();
        if matches!(self.ages.source(), AgeSource::Catalog(_)) {
            // Heads of removed references go out of use by this very commit, so their age begins now.
            retained.extend(self.metadata.refs().iter().map(|(_, reference)| reference.snapshot_id));
        }
        let mut reached = retained.clone();
        for branch in references.values().filter(|reference| reference.kind == RefKind::Branch) {
            retained.extend(self.of_branch(branch));
            if let Some(progress_ms) = self.sink_progress_ms {
                let since_ms = self.now_ms.saturating_sub(progress_ms);
                let is_young = |snapshot: &Snapshot| {
                    snapshot.id() == branch.snapshot_id || self.ages.of_snapshot(snapshot) >= since_ms
                };
                retained.extend(sinks::needed(&self.history, branch.snapshot_id, is_young));
            }
            reached.extend(self.history.ancestors(branch.snapshot_id).map(Snapshot::id));
        }
        let young_snapshots = self.metadata.snapshots().iter().filter(|snapshot| {
            !reached.contains(&snapshot.id()) && self.ages.of_snapshot(snapshot) >= self.older_than_ms
        });
        retained.extend(young_snapshots.map(Snapshot::id));
        // A branch with a shorter retention does not shorten the minimum age.
        let protected_since_ms = self.now_ms.saturating_sub(self.age_min_ms);
        let protected = self.metadata.snapshots().iter();
        let protected = protected
            .filter(|snapshot| self.age_min_ms > 0 && self.ages.of_snapshot(snapshot) >= protected_since_ms);
        retained.extend(protected.map(Snapshot::id));
        retained
    }

    /// Returns the ids of the pinned snapshots and of those between them and the heads of references.
    fn pinned(&self, references: &References<'_>, pins: &[i64]) -> HashSet<i64> {
        let mut retained: HashSet<i64> = pins.iter().copied().collect();
        for reference in references.values() {
            let ancestors: Vec<_> = self.history.ancestors(reference.snapshot_id).map(Snapshot::id).collect();
            let oldest = ancestors.iter().rposition(|id| pins.contains(id));
            retained.extend(ancestors.iter().take(oldest.map_or(0, |oldest| oldest + 1)));
        }
        retained
    }

    /// Returns the ids of the newest snapshots of a branch, as many as are always retained, and of older ones
    /// that are young enough.
    ///
    /// If age is measured from creation, the first snapshot that is too old ends the list, as in Java.
    /// Otherwise a snapshot may be younger than its descendants, because the branch was rolled back to it.
    fn of_branch(&self, branch: &SnapshotRef) -> Vec<i64> {
        let older_than_ms = branch
            .max_snapshot_age_ms
            .map_or(self.older_than_ms, |age_ms| self.now_ms.saturating_sub(age_ms));
        let least = branch.min_snapshots_to_keep.unwrap_or(self.snapshots_min);
        let least = usize::try_from(least).unwrap_or(0);
        let is_retained = |(place, snapshot): &(usize, &Snapshot)| {
            *place < least || self.ages.of_snapshot(snapshot) >= older_than_ms
        };
        let ancestors = self.history.ancestors(branch.snapshot_id).enumerate();
        let retained: Vec<_> = match self.ages.source() {
            AgeSource::Creation => ancestors.take_while(is_retained).collect(),
            AgeSource::Document | AgeSource::Catalog(_) => ancestors.filter(is_retained).collect(),
        };
        retained.into_iter().map(|(_, snapshot)| snapshot.id()).collect()
    }
}

/// Everything that is removed.
struct ExpiredItems {
    snapshot_ids: Vec<i64>,
    references: Vec<String>,
    schema_ids: Vec<i32>,
    spec_ids: Vec<i32>,
}

impl ExpiredItems {
    fn is_empty(&self) -> bool {
        self.snapshot_ids.is_empty()
            && self.references.is_empty()
            && self.schema_ids.is_empty()
            && self.spec_ids.is_empty()
    }

    fn request(&self, metadata: &TableMetadata) -> Raw {
        request(metadata.uuid(), &self.requirements(metadata), &self.updates())
    }

    /// Returns the requirements of the commit. For schemas and specs they are those of Java, and that `main`
    /// was not created: a writer to a new branch may use the schema and spec that were current when it began
    /// to write.
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

    /// Returns the updates of the commit. Schemas and specs are removed after the snapshots that use them.
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

/// Returns a requirement or update with its type in `key`, followed by its fields.
fn tagged<const N: usize>(key: &str, tag: &str, parts: [(&str, Raw); N]) -> Raw {
    let mut object = Object::default();
    object.set(key, Raw::string(tag));
    for (name, value) in parts {
        object.set(name, value);
    }
    object.to_raw()
}
