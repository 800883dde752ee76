//! Table and view properties: the names of those that the catalog interprets, and their parsing.

use super::error::MetadataError;
use super::json::Fields;
use super::map::OrderedMap;

/// Properties by name, in the order of the document.
pub type Properties = OrderedMap<String>;

/// `format-version`: format version of a table to be created; never stored.
pub const FORMAT_VERSION: &str = "format-version";
/// `write.data.path`: folder of data files, if not under the table's location.
pub const WRITE_DATA_PATH: &str = "write.data.path";
/// `write.metadata.path`: folder of metadata files, if not under the table's location.
pub const WRITE_METADATA_PATH: &str = "write.metadata.path";
/// Old name of [`WRITE_DATA_PATH`] with the object store layout.
pub const OBJECT_STORE_PATH: &str = "write.object-storage.path";
/// Old name of [`WRITE_DATA_PATH`].
pub const FOLDER_STORAGE_PATH: &str = "write.folder-storage.path";
/// `write.metadata.compression-codec`: compression of metadata files, `none` or `gzip`.
pub const METADATA_COMPRESSION: &str = "write.metadata.compression-codec";
/// `write.metadata.previous-versions-max`: number of previous metadata files in `metadata-log`.
pub const PREVIOUS_VERSIONS_MAX: &str = "write.metadata.previous-versions-max";
/// Properties that control how clients retry commits.
pub const COMMIT_RETRY: [&str; 4] = [
    "commit.retry.num-retries",
    "commit.retry.min-wait-ms",
    "commit.retry.max-wait-ms",
    "commit.retry.total-timeout-ms",
];
/// `write.metadata.delete-after-commit.enabled`: if `true`, metadata files that drop out of `metadata-log`
/// are deleted after a commit.
pub const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";
/// `gc.enabled`: if not `true`, files of the table must not be deleted, for example because other tables
/// share them.
pub const GC_ENABLED: &str = "gc.enabled";
/// `version.history.num-entries`: number of view versions retained.
pub const VERSION_HISTORY_SIZE: &str = "version.history.num-entries";
/// `replace.drop-dialect.allowed`: if `true`, replacing a view may remove a SQL dialect.
pub const REPLACE_DROP_DIALECT: &str = "replace.drop-dialect.allowed";
/// `replace.append-dialect.allowed`: if `true`, replacing a view retains the SQL dialects that the new
/// version lacks.
pub const REPLACE_APPEND_DIALECT: &str = "replace.append-dialect.allowed";

/// Reserved names: they are derived from the rest of the metadata, so that a stored value would become stale.
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

/// Properties that place files outside of the table's location.
pub const PATHS: [&str; 4] = [WRITE_DATA_PATH, WRITE_METADATA_PATH, OBJECT_STORE_PATH, FOLDER_STORAGE_PATH];

/// Returns `true` if files of the table may be deleted: `gc.enabled` is absent or `true`. As in Java, any
/// other value disables deletion.
pub fn allows_deletion(properties: &Properties) -> bool {
    properties.get(GC_ENABLED).is_none_or(|value| value.eq_ignore_ascii_case("true"))
}

/// Returns the properties that Java's clients parse as numbers with every commit and could not parse, with
/// their values. A table with one of them cannot be changed by these clients, not even to remove it.
pub(crate) fn impossible(properties: &Properties) -> impl Iterator<Item = (&'static str, &str)> {
    let names = std::iter::once(PREVIOUS_VERSIONS_MAX).chain(COMMIT_RETRY);
    let values = names.filter_map(|name| Some((name, properties.get(name)?.as_str())));
    values.filter(|(_, value)| value.parse::<i32>().is_err())
}

/// Returns a property as a number, or `default` if it is not set or not a number.
///
/// A value that is not a number is ignored rather than refused: it would otherwise make every later commit
/// fail, including the one that corrects it.
pub fn number(properties: &Properties, name: &str, default: i64) -> i64 {
    properties.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
}

/// Returns a property as a boolean: `true` if its value is `true` in any case.
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
