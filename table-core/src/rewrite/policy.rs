//! Maintenance policies: settings for a warehouse, a namespace or a table, of which the most specific takes
//! precedence, individually for each setting. A policy contains settings only; it makes no decision about a
//! table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::options::{CompactOptions, OptionsError};
use super::publish::{self, Unpublished};
use crate::metadata::error::MetadataError;
use crate::metadata::table::TableMetadata;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Maintenance settings; missing ones are inherited. Example in JSON: `{"compact": {"target-bytes":
/// 134217728}}`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct MaintenancePolicy {
    /// Compaction: merging small data files, and applying deletes.
    #[serde(skip_serializing_if = "is_default")]
    pub compact: CompactPolicy,
    /// Expiration of old snapshots, with the files that only they refer to.
    #[serde(skip_serializing_if = "is_default")]
    pub expire_snapshots: ExpirePolicy,
    /// Merging of small manifests.
    #[serde(skip_serializing_if = "is_default")]
    pub rewrite_manifests: ManifestsPolicy,
    /// Limit of the metadata log, which bounds the size of table metadata.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata_log: MetadataLogPolicy,
    /// Protection of `main` while commits on other branches wait to be published.
    #[serde(skip_serializing_if = "is_default")]
    pub write_audit_publish: PublishPolicy,
}

/// Settings of [`MaintenancePolicy::compact`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct CompactPolicy {
    /// `true` to compact data files (default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Target size of data files in bytes (default: 512 MiB, and 128 MiB for tables under 10 GiB). The table
    /// property `write.target-file-size-bytes` takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_bytes: Option<u64>,
    /// Ratio of the target size below which files are merged (default: 0.75).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub small_ratio: Option<f64>,
    /// Multiple of the target size above which files are split (default: 1.8).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large_ratio: Option<f64>,
    /// Ratio of deleted rows from which files are rewritten (default: 0.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_ratio: Option<f64>,
    /// Number of small files in a partition from which they are merged (default: 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs_min: Option<u32>,
    /// Maximum size of the files rewritten in one commit, in bytes (default: 100 GiB).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_bytes_max: Option<u64>,
    /// Number of equality delete files from which they are converted to position deletes, for data files that
    /// are not rewritten (default: 10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equality_deletes_min: Option<u32>,
    /// Time, in minutes, during which a partition is not rewritten after rows in it were changed (default:
    /// 10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_minutes: Option<u32>,
    /// `true` to sort rows by the table's sort order, if it has one (default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<bool>,
}

/// Settings of [`MaintenancePolicy::expire_snapshots`]. The table properties `history.expire.*` take
/// precedence.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ExpirePolicy {
    /// `true` to expire snapshots (default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Age, in milliseconds, above which snapshots expire (default: 5 days).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_age_max_ms: Option<u64>,
    /// Number of snapshots of a branch that are retained regardless of their age (default: 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots_min: Option<u32>,
    /// Age, in milliseconds, above which branches and tags other than `main` are removed (default: never).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_age_max_ms: Option<u64>,
    /// `true` to expire also the snapshots that the table already had when it was registered or created
    /// (default: false, unless another setting of this section is made or the table has a property
    /// `history.expire.*`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited: Option<bool>,
}

/// Settings of [`MaintenancePolicy::rewrite_manifests`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ManifestsPolicy {
    /// `true` to rewrite manifests (default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Target size of manifests in bytes (default: 8 MiB). The table property
    /// `commit.manifest.target-size-bytes` takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_bytes: Option<u64>,
    /// Number of small manifests from which they are merged (default: 100).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests_min: Option<u32>,
}

/// Settings of [`MaintenancePolicy::metadata_log`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct MetadataLogPolicy {
    /// `true` to limit the metadata log (default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Number of previous metadata files that are retained (default: 100). The table property
    /// `write.metadata.previous-versions-max` takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_versions_max: Option<u32>,
}

/// Settings of [`MaintenancePolicy::write_audit_publish`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct PublishPolicy {
    /// Time, in milliseconds, during which `main` is not rewritten after the last commit on a branch to which
    /// it may be fast-forwarded (default: one day); 0 disables the protection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_max_ms: Option<u64>,
}

/// Error of a policy that is invalid.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The text is not a policy.
    #[error("this is not a maintenance policy: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Sizes that contradict each other.
    #[error(transparent)]
    Contradictory(#[from] OptionsError),
    /// Value that is out of range.
    #[error("`{name}` is {value}, but must be {wanted}")]
    Impossible {
        /// Name of the setting, such as `compact.target-bytes`.
        name: &'static str,
        /// Value of the setting in the policy.
        value: String,
        /// Description of the permitted range.
        wanted: &'static str,
    },
}

/// Effective setting with its origin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting<S> {
    /// Name of the setting, such as `compact.target-bytes`.
    pub name: String,
    /// Value of the setting.
    pub value: Value,
    /// Policy that contains the setting.
    pub source: S,
}

impl MaintenancePolicy {
    /// Parses and validates a policy.
    ///
    /// # Errors
    ///
    /// Fails with [`PolicyError::Malformed`] if the text is not a policy in JSON, with
    /// [`PolicyError::Impossible`] if a value is out of range, and with [`PolicyError::Contradictory`] if
    /// sizes contradict each other.
    pub fn parse(json: &[u8]) -> Result<MaintenancePolicy, PolicyError> {
        let sections: BTreeMap<String, serde_json::Map<String, Value>> = serde_json::from_slice(json)?;
        let sections = sections.into_iter().map(|(name, settings)| (name, Value::Object(settings)));
        let policy: MaintenancePolicy = serde_json::from_value(Value::Object(sections.collect()))?;
        policy.check()?;
        Ok(policy)
    }

    /// Returns the default policy. Sizes whose default depends on the table are absent.
    pub fn defaults() -> MaintenancePolicy {
        MaintenancePolicy {
            compact: CompactPolicy {
                enabled: Some(true),
                target_bytes: None,
                small_ratio: Some(0.75),
                large_ratio: Some(1.8),
                delete_ratio: Some(0.3),
                inputs_min: Some(5),
                group_bytes_max: Some(100 * GIB),
                equality_deletes_min: Some(10),
                settle_minutes: Some(10),
                sort: Some(true),
            },
            expire_snapshots: ExpirePolicy {
                enabled: Some(true),
                // The defaults of Java.
                snapshot_age_max_ms: Some(5 * 24 * 60 * 60 * 1000),
                snapshots_min: Some(1),
                ref_age_max_ms: None,
                inherited: Some(false),
            },
            rewrite_manifests: ManifestsPolicy {
                enabled: Some(true),
                target_bytes: Some(8 * MIB),
                manifests_min: Some(100),
            },
            metadata_log: MetadataLogPolicy { enabled: Some(true), previous_versions_max: Some(100) },
            write_audit_publish: PublishPolicy { wait_max_ms: Some(publish::WAIT_MAX_MS.unsigned_abs()) },
        }
    }

    /// Returns the defaults for maintenance that a user requests explicitly: partitions are rewritten even if
    /// rows in them were changed recently, because the user is waiting.
    pub fn by_hand() -> MaintenancePolicy {
        let compact = CompactPolicy { settle_minutes: Some(0), ..CompactPolicy::default() };
        MaintenancePolicy { compact, ..MaintenancePolicy::default() }
    }

    /// Sets [`ExpirePolicy::inherited`] to `true` if it is absent and any other setting of that section was
    /// made: a policy that says how long snapshots are retained applies to all of them, including those that
    /// the table already had.
    #[must_use]
    pub fn with_inherited(mut self) -> MaintenancePolicy {
        let ExpirePolicy { enabled, snapshot_age_max_ms, snapshots_min, ref_age_max_ms, inherited } =
            &mut self.expire_snapshots;
        let is_made = *enabled == Some(true)
            || snapshot_age_max_ms.is_some()
            || snapshots_min.is_some()
            || ref_age_max_ms.is_some();
        if is_made {
            inherited.get_or_insert(true);
        }
        self
    }

    /// Returns this policy, with missing settings taken from a more general one.
    pub fn over(self, general: &MaintenancePolicy) -> MaintenancePolicy {
        MaintenancePolicy {
            compact: CompactPolicy {
                enabled: self.compact.enabled.or(general.compact.enabled),
                target_bytes: self.compact.target_bytes.or(general.compact.target_bytes),
                small_ratio: self.compact.small_ratio.or(general.compact.small_ratio),
                large_ratio: self.compact.large_ratio.or(general.compact.large_ratio),
                delete_ratio: self.compact.delete_ratio.or(general.compact.delete_ratio),
                inputs_min: self.compact.inputs_min.or(general.compact.inputs_min),
                group_bytes_max: self.compact.group_bytes_max.or(general.compact.group_bytes_max),
                equality_deletes_min: self
                    .compact
                    .equality_deletes_min
                    .or(general.compact.equality_deletes_min),
                settle_minutes: self.compact.settle_minutes.or(general.compact.settle_minutes),
                sort: self.compact.sort.or(general.compact.sort),
            },
            expire_snapshots: ExpirePolicy {
                enabled: self.expire_snapshots.enabled.or(general.expire_snapshots.enabled),
                snapshot_age_max_ms: self
                    .expire_snapshots
                    .snapshot_age_max_ms
                    .or(general.expire_snapshots.snapshot_age_max_ms),
                snapshots_min: self.expire_snapshots.snapshots_min.or(general.expire_snapshots.snapshots_min),
                ref_age_max_ms: self
                    .expire_snapshots
                    .ref_age_max_ms
                    .or(general.expire_snapshots.ref_age_max_ms),
                inherited: self.expire_snapshots.inherited.or(general.expire_snapshots.inherited),
            },
            rewrite_manifests: ManifestsPolicy {
                enabled: self.rewrite_manifests.enabled.or(general.rewrite_manifests.enabled),
                target_bytes: self.rewrite_manifests.target_bytes.or(general.rewrite_manifests.target_bytes),
                manifests_min: self
                    .rewrite_manifests
                    .manifests_min
                    .or(general.rewrite_manifests.manifests_min),
            },
            metadata_log: MetadataLogPolicy {
                enabled: self.metadata_log.enabled.or(general.metadata_log.enabled),
                previous_versions_max: self
                    .metadata_log
                    .previous_versions_max
                    .or(general.metadata_log.previous_versions_max),
            },
            write_audit_publish: PublishPolicy {
                wait_max_ms: self.write_audit_publish.wait_max_ms.or(general.write_audit_publish.wait_max_ms),
            },
        }
    }

    /// Returns the setting `enabled` of a section, such as `compact`; `None` if it is absent, and if there is no
    /// such section.
    pub fn is_enabled(&self, section: &str) -> Option<bool> {
        // Numbers, booleans and strings can always be serialised.
        serde_json::to_value(self).ok()?.get(section)?.get("enabled")?.as_bool()
    }

    /// Returns every setting that is made in a chain of policies, ordered from the most specific to the most
    /// general one, with the policy that makes it; sorted by name.
    pub fn settings<S: Clone>(chain: &[(S, MaintenancePolicy)]) -> Vec<Setting<S>> {
        let mut found: Vec<Setting<S>> = Vec::new();
        for (source, policy) in chain {
            // Numbers, booleans and strings can always be serialised.
            let Ok(Value::Object(sections)) = serde_json::to_value(policy) else { continue };
            for (section, settings) in sections {
                for (name, value) in settings.as_object().into_iter().flatten() {
                    let name = format!("{section}.{name}");
                    if found.iter().all(|setting| setting.name != name) {
                        found.push(Setting { name, value: value.clone(), source: source.clone() });
                    }
                }
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// Returns the unpublished commits that prevent `main` from being rewritten at `now_ms` (milliseconds
    /// since 1970), if there are any.
    ///
    /// # Errors
    ///
    /// Fails with a [`MetadataError`] if the summary of a snapshot cannot be parsed.
    pub fn unpublished(
        &self,
        metadata: &TableMetadata,
        now_ms: i64,
    ) -> Result<Option<Unpublished>, MetadataError> {
        let wait_max_ms = self.write_audit_publish.wait_max_ms;
        let wait_max_ms =
            wait_max_ms.map_or(publish::WAIT_MAX_MS, |wait| i64::try_from(wait).unwrap_or(i64::MAX));
        publish::unpublished(metadata, wait_max_ms, now_ms)
    }

    /// Returns the options of compaction, with defaults for missing settings. `target_bytes` is the target
    /// size that the table itself specifies.
    ///
    /// # Errors
    ///
    /// Fails with [`OptionsError`] if sizes contradict each other, which is possible if they come from
    /// different policies.
    pub fn compact_options(&self, target_bytes: Option<u64>) -> Result<CompactOptions, OptionsError> {
        let defaults = CompactOptions::default();
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let compact = &self.compact;
        let options = CompactOptions {
            target_file_size_bytes: target_bytes.or(compact.target_bytes).map(bytes),
            small_ratio: compact.small_ratio.unwrap_or(defaults.small_ratio),
            large_ratio: compact.large_ratio.unwrap_or(defaults.large_ratio),
            delete_ratio: compact.delete_ratio.unwrap_or(defaults.delete_ratio),
            min_input_files: compact.inputs_min.map_or(defaults.min_input_files, |count| count as usize),
            max_file_group_size_bytes: compact
                .group_bytes_max
                .map_or(defaults.max_file_group_size_bytes, bytes),
            min_equality_deletes: compact
                .equality_deletes_min
                .map_or(defaults.min_equality_deletes, |count| count as usize),
        };
        // The options have to be valid for small and large tables.
        options.size_classes(0)?;
        options.size_classes(i64::MAX)?;
        Ok(options)
    }

    fn check(&self) -> Result<(), PolicyError> {
        let CompactPolicy { target_bytes, small_ratio, large_ratio, delete_ratio, inputs_min, .. } =
            self.compact;
        within("compact.target-bytes", target_bytes, MIB..=16 * GIB, "from 1 MiB to 16 GiB, in bytes")?;
        within("compact.small-ratio", small_ratio, 0.01..=0.99, "from 0.01 to 0.99")?;
        within("compact.large-ratio", large_ratio, 1.1..=100.0, "from 1.1 to 100")?;
        within("compact.delete-ratio", delete_ratio, 0.001..=1.0, "from 0.001 to 1")?;
        within("compact.inputs-min", inputs_min, 2..=100_000, "from 2 to 100000")?;
        let group_bytes_max = self.compact.group_bytes_max;
        within(
            "compact.group-bytes-max",
            group_bytes_max,
            16 * MIB..=1024 * GIB,
            "from 16 MiB to 1 TiB, in bytes",
        )?;
        let equality_deletes_min = self.compact.equality_deletes_min;
        within("compact.equality-deletes-min", equality_deletes_min, 1..=100_000, "from 1 to 100000")?;
        within("compact.settle-minutes", self.compact.settle_minutes, 0..=527_040, "at most a year")?;
        let ExpirePolicy { snapshot_age_max_ms, snapshots_min, ref_age_max_ms, .. } = self.expire_snapshots;
        within("expire-snapshots.snapshot-age-max-ms", snapshot_age_max_ms, 60_000..=AGE_MAX_MS, AGE)?;
        within("expire-snapshots.snapshots-min", snapshots_min, 1..=i32::MAX as u32, "at least 1")?;
        within("expire-snapshots.ref-age-max-ms", ref_age_max_ms, 60_000..=AGE_MAX_MS, AGE)?;
        let ManifestsPolicy { target_bytes, manifests_min, .. } = self.rewrite_manifests;
        within(
            "rewrite-manifests.target-bytes",
            target_bytes,
            64 * 1024..=GIB,
            "from 64 KiB to 1 GiB, in bytes",
        )?;
        within("rewrite-manifests.manifests-min", manifests_min, 2..=100_000, "from 2 to 100000")?;
        let previous = self.metadata_log.previous_versions_max;
        within("metadata-log.previous-versions-max", previous, 1..=100_000, "from 1 to 100000")?;
        let wait_max_ms = self.write_audit_publish.wait_max_ms;
        within("write-audit-publish.wait-max-ms", wait_max_ms, 0..=AGE_MAX_MS, "at most a thousand years")?;
        self.compact_options(None)?;
        Ok(())
    }
}

/// Maximum age in milliseconds, a thousand years.
const AGE_MAX_MS: u64 = 1_000 * 366 * 24 * 60 * 60 * 1_000;
const AGE: &str = "from a minute to a thousand years, in milliseconds";

fn within<T: PartialOrd + std::fmt::Display>(
    name: &'static str,
    value: Option<T>,
    range: std::ops::RangeInclusive<T>,
    wanted: &'static str,
) -> Result<(), PolicyError> {
    match value {
        Some(value) if !range.contains(&value) => {
            Err(PolicyError::Impossible { name, value: value.to_string(), wanted })
        }
        _ => Ok(()),
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
