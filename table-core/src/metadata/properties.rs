//! Table and view properties: their names, and the reading of those we act on.

use super::error::MetadataError;
use super::json::Fields;
use super::map::OrderedMap;

/// Properties in the order of the document.
pub type Properties = OrderedMap<String>;

/// The format version of a table to be created; never stored.
pub const FORMAT_VERSION: &str = "format-version";
/// Where data files go instead of under the table's location.
pub const WRITE_DATA_PATH: &str = "write.data.path";
/// Where metadata files go instead of under the table's location.
pub const WRITE_METADATA_PATH: &str = "write.metadata.path";
/// Old name of [`WRITE_DATA_PATH`] with the object store layout.
pub const OBJECT_STORE_PATH: &str = "write.object-storage.path";
/// Old name of [`WRITE_DATA_PATH`].
pub const FOLDER_STORAGE_PATH: &str = "write.folder-storage.path";
/// Compression of metadata files: `none` or `gzip`.
pub const METADATA_COMPRESSION: &str = "write.metadata.compression-codec";
/// How many previous metadata files the log keeps.
pub const PREVIOUS_VERSIONS_MAX: &str = "write.metadata.previous-versions-max";
/// How clients repeat commits.
pub const COMMIT_RETRY: [&str; 4] = [
    "commit.retry.num-retries",
    "commit.retry.min-wait-ms",
    "commit.retry.max-wait-ms",
    "commit.retry.total-timeout-ms",
];
/// Whether metadata files that leave the log are deleted after a commit.
pub const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";
/// Whether files of the table may be deleted; off where other tables have them, too.
pub const GC_ENABLED: &str = "gc.enabled";
/// How many versions of a view are kept.
pub const VERSION_HISTORY_SIZE: &str = "version.history.num-entries";
/// Whether replacing a view may lose a SQL dialect.
pub const REPLACE_DROP_DIALECT: &str = "replace.drop-dialect.allowed";
/// Whether replacing a view keeps the dialects the new version lacks.
pub const REPLACE_APPEND_DIALECT: &str = "replace.append-dialect.allowed";

/// Names that describe the table and are derived from it, so that a stored value would only ever be stale.
pub const RESERVED: [&str; 9] = [
    FORMAT_VERSION,
    "uuid",
    "snapshot-count",
    "current-snapshot-summary",
    "current-snapshot-id",
    "current-snapshot-timestamp-ms",
    "current-schema",
    "default-partition-spec",
    "default-sort-order",
];

/// The properties that move files away from the table's location.
pub const PATHS: [&str; 4] = [WRITE_DATA_PATH, WRITE_METADATA_PATH, OBJECT_STORE_PATH, FOLDER_STORAGE_PATH];

/// Whether files of the table may be deleted: `gc.enabled`. As in Java, everything but `true` says no.
pub fn allows_deletion(properties: &Properties) -> bool {
    properties.get(GC_ENABLED).is_none_or(|value| value.eq_ignore_ascii_case("true"))
}

/// The properties that Java's clients parse with every commit, as far as they could not: their names and values. A table with one
/// cannot be changed by these clients, not even to remove it.
pub(crate) fn impossible(properties: &Properties) -> impl Iterator<Item = (&'static str, &str)> {
    let names = std::iter::once(PREVIOUS_VERSIONS_MAX).chain(COMMIT_RETRY);
    let values = names.filter_map(|name| Some((name, properties.get(name)?.as_str())));
    values.filter(|(_, value)| value.parse::<i32>().is_err())
}

/// A property as a number, or `default` if it is not set or not a number.
///
/// A value that is no number is ignored rather than refused: it would otherwise make every later commit fail,
/// the one that mends it included.
pub fn number(properties: &Properties, name: &str, default: i64) -> i64 {
    properties.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
}

/// A property as a switch: true if it says `true` in any case.
pub fn switch(properties: &Properties, name: &str) -> bool {
    properties.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

pub(crate) fn read(fields: &Fields<'_>, key: &'static str) -> Result<Properties, MetadataError> {
    let mut properties = Properties::default();
    let Some(value) = fields.present(key) else { return Ok(properties) };
    for (name, value) in Fields::parse(value.get(), key)?.entries {
        let value: String = serde_json::from_str(value.get())
            .map_err(|_| MetadataError::malformed(format!("the property `{name}` is not a string")))?;
        properties.set(&name, value);
    }
    Ok(properties)
}
