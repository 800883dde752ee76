//! Planning the rewriting of manifests: which of them are merged, because a scan reads every one that it cannot rule out.

use serde::{Deserialize, Serialize};

use super::sizes::Sizes;
use crate::manifest::list::{ManifestContent, ManifestFile};

/// When manifests are rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ManifestPolicy {
    /// The size to aim at: the table property `commit.manifest.target-size-bytes`.
    pub target_size_bytes: i64,
    /// So many manifests are merged even if they do not make up one of the target's size: the table property
    /// `commit.manifest.min-count-to-merge`.
    pub min_count_to_merge: usize,
}

/// Manifests that are rewritten together: their live entries go into new manifests of the same spec and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ManifestGroup {
    /// The partition spec of all of them.
    pub spec_id: i32,
    /// Whether they list delete files, rather than data files.
    pub is_of_deletes: bool,
    /// Where they are, in the order of the manifest list.
    pub paths: Vec<String>,
    /// What they take.
    pub input_bytes: i64,
    /// How many manifests come of them.
    pub outputs: i64,
    /// How many entries go into each of them, where the manifest list tells how many there are. Written in the order of
    /// their partitions, so that a scan can rule out most.
    pub entries_per_output: Option<i64>,
}

impl Default for ManifestPolicy {
    fn default() -> ManifestPolicy {
        ManifestPolicy { target_size_bytes: 8 << 20, min_count_to_merge: 100 }
    }
}

/// Which manifests of a snapshot are worth rewriting: none if they are few or of the right size.
///
/// Those of one spec and content are rewritten together if they are too small or too large (0.75 and 1.8 of the target, as
/// for data files), and either as many as the policy says, or more than fit into one. What comes of them is of the right
/// size, or a single one; so a plan that was carried out leaves nothing to plan.
pub fn plan(manifests: &[ManifestFile], policy: &ManifestPolicy) -> Vec<ManifestGroup> {
    // A manifest has a header of some kilobytes, and no list is so long that the greatest would matter.
    let target = policy.target_size_bytes.clamp(1 << 10, 1 << 40);
    let Some(sizes) = Sizes::new(target, target / 4 * 3, target + target / 5 * 4) else { return Vec::new() };
    let mut kinds: Vec<_> = manifests.iter().map(|manifest| (manifest.spec_id, manifest.content)).collect();
    kinds.sort_by_key(|(spec_id, content)| (*spec_id, *content == ManifestContent::Deletes));
    kinds.dedup();
    let groups = kinds.into_iter().filter_map(|kind| {
        let of_kind = manifests.iter().filter(|manifest| (manifest.spec_id, manifest.content) == kind);
        let wrong: Vec<_> = of_kind
            .filter(|manifest| sizes.is_small(manifest.length_bytes) || sizes.is_large(manifest.length_bytes))
            .collect();
        group(&wrong, sizes, policy)
    });
    groups.collect()
}

fn group(manifests: &[&ManifestFile], sizes: Sizes, policy: &ManifestPolicy) -> Option<ManifestGroup> {
    let first = manifests.first()?;
    let input_bytes =
        manifests.iter().map(|manifest| manifest.length_bytes.max(0)).fold(0, i64::saturating_add);
    let is_enough = manifests.len() >= policy.min_count_to_merge || input_bytes > sizes.target_bytes();
    if manifests.len() < 2 || !is_enough {
        return None;
    }
    let outputs = sizes.parts(input_bytes).max(1);
    let entries = manifests.iter().try_fold(0_i64, |sum, manifest| sum.checked_add(manifest.live_files()?));
    Some(ManifestGroup {
        spec_id: first.spec_id,
        is_of_deletes: first.content == ManifestContent::Deletes,
        paths: manifests.iter().map(|manifest| manifest.path.clone()).collect(),
        input_bytes,
        outputs,
        entries_per_output: entries.map(|entries| entries / outputs + i64::from(entries % outputs != 0)),
    })
}
