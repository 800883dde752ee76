//! Write-audit-publish: commits on other branches that become `main` by a fast-forward after an audit. The
//! fast-forward fails as soon as `main` has advanced, so maintenance has to wait for it, but not
//! indefinitely.
//!
//! Such commits are on a branch that descends from the head of `main`, or staged (`wap.id`) without a branch.
//! Staged appends are ignored: they are published by adding their files to the then current `main`
//! (cherry-pick).

use std::collections::{HashMap, HashSet};

use crate::expr::value::Value;
use crate::metadata::error::MetadataError;
use crate::metadata::snapshot::{MAIN_BRANCH, RefKind, Snapshot};
use crate::metadata::table::TableMetadata;

/// Default time, in milliseconds, during which `main` is not rewritten after the last unpublished commit.
pub const WAIT_MAX_MS: i64 = 24 * 60 * 60 * 1000;

/// Summary property of staged snapshots.
const STAGED: &str = "wap.id";

/// Commits that wait to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpublished {
    /// Description of the commits, such as "the branch `audit`".
    pub description: String,
    /// Time until which `main` is not rewritten, in milliseconds since 1970.
    pub until_ms: i64,
}

/// Returns the unpublished commits that prevent `main` from being rewritten at `now_ms`; of several, those
/// that do so for the longest time. A `wait_max_ms` of 0 disables the protection.
///
/// # Errors
///
/// Fails with a [`MetadataError`] if the summary of a snapshot cannot be parsed.
pub fn unpublished(
    metadata: &TableMetadata,
    wait_max_ms: i64,
    now_ms: i64,
) -> Result<Option<Unpublished>, MetadataError> {
    let Some(head) = metadata.current_snapshot() else { return Ok(None) };
    // A timestamp from a clock that is ahead does not extend the wait.
    let until = |snapshot: &Snapshot| snapshot.timestamp_ms().min(now_ms).saturating_add(wait_max_ms);
    let is_young = |snapshot: &Snapshot| until(snapshot) > now_ms;
    let mut descent = Descent::new(metadata, head.id());
    let mut found: Vec<Unpublished> = Vec::new();
    let mut heads = HashSet::from([head.id()]);
    for (name, reference) in metadata.refs().iter() {
        let Some(snapshot) = metadata.snapshot(reference.snapshot_id) else { continue };
        let is_other_branch = reference.kind == RefKind::Branch && name != MAIN_BRANCH;
        heads.insert(snapshot.id());
        if is_other_branch && is_young(snapshot) && descent.is_below(snapshot) {
            let description = format!("the branch `{name}`");
            found.push(Unpublished { description, until_ms: until(snapshot) });
        }
    }
    for snapshot in metadata.snapshots().iter().filter(|snapshot| is_young(snapshot)) {
        if !heads.contains(&snapshot.id())
            && descent.is_below(snapshot)
            && let Some(id) = staged(snapshot)?
        {
            let description = format!("the staged snapshot {} (`wap.id` {id})", snapshot.id());
            found.push(Unpublished { description, until_ms: until(snapshot) });
        }
    }
    Ok(found.into_iter().max_by_key(|unpublished| unpublished.until_ms))
}

impl Unpublished {
    /// Returns an explanation as a sentence.
    pub fn explain(&self) -> String {
        let instant =
            Value::Timestamptz(self.until_ms.saturating_div(1000).saturating_mul(1_000_000)).to_json();
        let instant = instant.as_str().unwrap_or_default().replace(".000000+00:00", "Z");
        let description = &self.description;
        format!(
            "{description} descends from the head of `main` and waits to be published by a fast-forward; `main` is not rewritten until {instant} \
             (`write-audit-publish.wait-max-ms`)"
        )
    }
}

/// Returns the id under which a snapshot is staged, if a fast-forward is the only safe way to publish it.
fn staged(snapshot: &Snapshot) -> Result<Option<String>, MetadataError> {
    let summary = snapshot.summary()?;
    let find = |name: &str| summary.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    Ok(find(STAGED).filter(|_| find("operation").is_none_or(|kind| kind != "append")).cloned())
}

/// Descendants of one snapshot. Each snapshot is visited only once.
struct Descent<'a> {
    snapshots: HashMap<i64, &'a Snapshot>,
    is_descendant: HashMap<i64, bool>,
}

impl<'a> Descent<'a> {
    fn new(metadata: &'a TableMetadata, from: i64) -> Descent<'a> {
        let snapshots = metadata.snapshots().iter();
        Descent {
            snapshots: snapshots.map(|snapshot| (snapshot.id(), snapshot)).collect(),
            is_descendant: HashMap::from([(from, true)]),
        }
    }

    /// Returns `true` if a snapshot is a proper descendant.
    fn is_below(&mut self, snapshot: &Snapshot) -> bool {
        let mut visited = Vec::new();
        let mut next = snapshot.parent_id();
        let is_below = loop {
            let Some(id) = next else { break false };
            if let Some(is_descendant) = self.is_descendant.get(&id) {
                break *is_descendant;
            }
            // The entry also ends the loop if parents form a cycle.
            self.is_descendant.insert(id, false);
            visited.push(id);
            next = self.snapshots.get(&id).and_then(|snapshot| snapshot.parent_id());
        };
        self.is_descendant.extend(visited.into_iter().map(|id| (id, is_below)));
        is_below
    }
}
