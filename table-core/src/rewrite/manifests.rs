//! Planning of manifest rewrites, which merge manifests, because a scan reads every manifest that it cannot
//! prune.

use serde::{Deserialize, Serialize};

use super::size_classes::SizeClasses;
use crate::manifest::list::{ManifestContent, ManifestFile};

/// Policy of manifest rewrites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ManifestPolicy {
    /// Target size of a manifest in bytes: the table property `commit.manifest.target-size-bytes`.
    pub target_size_bytes: i64,
    /// Number of manifests that are merged even if their total size is less than the target: the table
    /// property `commit.manifest.min-count-to-merge`.
    pub min_count_to_merge: usize,
}

/// Manifests that are rewritten together: their live entries are written to new manifests of the same spec
/// and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ManifestGroup {
    /// Partition spec id of the manifests.
    pub spec_id: i32,
    /// `true` for delete manifests, `false` for data manifests.
    pub is_of_deletes: bool,
    /// Paths of the manifests, in the order of the manifest list.
    pub paths: Vec<String>,
    /// Total size of the manifests in bytes.
    pub input_bytes: i64,
    /// Number of new manifests.
    pub outputs: i64,
    /// Number of entries of each new manifest, if the manifest list contains the counts. The entries are
    /// written in the order of their partitions, so that a scan can prune most manifests.
    pub entries_per_output: Option<i64>,
}

impl Default for ManifestPolicy {
    fn default() -> ManifestPolicy {
        ManifestPolicy { target_size_bytes: 8 << 20, min_count_to_merge: 100 }
    }
}

/// Plans which manifests of a snapshot are rewritten; there are none if the manifests are few or of the right
/// size.
///
/// Manifests of one spec and content that are too small or too large (below 0.75 or above 1.8 of the target,
/// as for data files) are rewritten together if they are as many as the policy requires, or too many to fit
/// into one. The new manifests have the right size, or there is a single one; so there is nothing left to
/// plan once a plan was carried out.
pub fn plan(manifests: &[ManifestFile], policy: &ManifestPolicy) -> Vec<ManifestGroup> {
    // The lower limit accounts for the header of a manifest, some kilobytes; the upper limit is larger than
    // any manifest list needs.
    let target = policy.target_size_bytes.clamp(1 << 10, 1 << 40);
    let Some(size_classes) = SizeClasses::new(target, target / 4 * 3, target + target / 5 * 4) else {
        return Vec::new();
    };
    let mut kinds: Vec<_> = manifests.iter().map(|manifest| (manifest.spec_id, manifest.content)).collect();
    kinds.sort_by_key(|(spec_id, content)| (*spec_id, *content == ManifestContent::Deletes));
    kinds.dedup();
    let groups = kinds.into_iter().filter_map(|kind| {
        let of_kind = manifests.iter().filter(|manifest| (manifest.spec_id, manifest.content) == kind);
        let wrong: Vec<_> = of_kind
            .filter(|manifest| {
                size_classes.is_small(manifest.length_bytes) || size_classes.is_large(manifest.length_bytes)
            })
            .collect();
        group(&wrong, size_classes, policy)
    });
    groups.collect()
}

fn group(
    manifests: &[&ManifestFile],
    size_classes: SizeClasses,
    policy: &ManifestPolicy,
) -> Option<ManifestGroup> {
    let first = manifests.first()?;
    let input_bytes =
        manifests.iter().map(|manifest| manifest.length_bytes.max(0)).fold(0, i64::saturating_add);
    let is_enough = manifests.len() >= policy.min_count_to_merge || input_bytes > size_classes.target_bytes();
    if manifests.len() < 2 || !is_enough {
        return None;
    }
    let outputs = size_classes.parts(input_bytes).max(1);
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
