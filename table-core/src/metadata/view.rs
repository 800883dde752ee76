//! View metadata: the JSON document of a view, preserved without loss as in [`super::table`].

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::error::MetadataError;
use super::json::{Fields, Object, Raw, push_array, push_string};
use super::layout::Layout;
use super::properties::{self, Properties};
use super::schema::Schema;
use super::table_write::push_properties;

/// Metadata of a view (view spec, "View Metadata").
///
/// Parsing and writing yields the same JSON value, unknown fields included. A parsed value is consistent: see
/// [`ViewMetadata::check`].
#[derive(Debug, Clone)]
pub struct ViewMetadata {
    layout: Layout,
    pub(crate) uuid: Uuid,
    pub(crate) format_version: i32,
    pub(crate) location: String,
    pub(crate) properties: Properties,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) current_version_id: i32,
    pub(crate) versions: Vec<ViewVersion>,
    pub(crate) version_log: Vec<VersionLogEntry>,
}

/// Fields that are decoded, in the order of a new document.
const FIELDS: [&str; 8] = [
    "view-uuid",
    "format-version",
    "location",
    "properties",
    "schemas",
    "current-version-id",
    "versions",
    "version-log",
];

impl ViewMetadata {
    /// Parses an uncompressed metadata document.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not UTF-8 or not a JSON object, or a field is missing, of a wrong type, or
    /// occurs twice ([`MetadataError::Malformed`]); and as [`ViewMetadata::check`] does.
    pub fn parse(bytes: &[u8]) -> Result<ViewMetadata, MetadataError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| MetadataError::malformed("the view metadata is not UTF-8 text"))?;
        let fields = Fields::parse(text, "view metadata")?;
        let uuid: String = fields.required("view-uuid")?;
        let uuid = Uuid::parse_str(&uuid)
            .map_err(|_| MetadataError::malformed(format!("the `view-uuid` `{uuid}` is not a UUID")))?;
        let metadata = ViewMetadata {
            layout: Layout::read(&fields, &["schemas", "versions", "version-log"]),
            uuid,
            format_version: fields.required("format-version")?,
            location: fields.required("location")?,
            properties: properties::read(&fields, "properties")?,
            schemas: fields.list("schemas", Schema::parse)?.ok_or_else(|| fields.missing("schemas"))?,
            current_version_id: fields.required("current-version-id")?,
            versions: fields
                .list("versions", ViewVersion::parse)?
                .ok_or_else(|| fields.missing("versions"))?,
            version_log: fields.list("version-log", VersionLogEntry::parse)?.unwrap_or_default(),
        };
        metadata.check()?;
        Ok(metadata)
    }

    /// Returns view metadata without content, from which a new view is built.
    pub(crate) fn empty(uuid: Uuid) -> ViewMetadata {
        ViewMetadata {
            layout: Layout::default(),
            uuid,
            format_version: 1,
            location: String::new(),
            properties: Properties::default(),
            schemas: Vec::new(),
            // Version ids start at 1, so no version is current yet.
            current_version_id: 0,
            versions: Vec::new(),
            version_log: Vec::new(),
        }
    }

    /// Checks that the parts of the document agree with each other.
    ///
    /// # Errors
    ///
    /// Fails if two versions or two schemas have the same id, the current version does not exist, or its
    /// schema does not exist ([`MetadataError::Inconsistent`]).
    pub fn check(&self) -> Result<(), MetadataError> {
        let mut versions = HashSet::new();
        if let Some(twice) = self.versions.iter().find(|version| !versions.insert(version.id())) {
            return Err(MetadataError::inconsistent(format!("the view version {} occurs twice", twice.id())));
        }
        let mut schemas = HashSet::new();
        if let Some(twice) = self.schemas.iter().find(|schema| !schemas.insert(schema.id())) {
            return Err(MetadataError::inconsistent(format!("the schema id {} occurs twice", twice.id())));
        }
        let current = self.current_version()?;
        if !schemas.contains(&current.schema_id()) {
            let message = format!("the schema {} of the current version is missing", current.schema_id());
            return Err(MetadataError::inconsistent(message));
        }
        Ok(())
    }

    /// Returns the document as JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.layout.write(|out, name| self.push_field(out, name))
    }

    fn push_field(&self, out: &mut String, name: &str) {
        match name {
            "view-uuid" => push_string(out, &self.uuid.to_string()),
            "format-version" => out.push_str(&self.format_version.to_string()),
            "location" => push_string(out, &self.location),
            "properties" => push_properties(out, &self.properties),
            "schemas" => push_array(out, self.schemas.iter().map(|schema| schema.raw().as_str())),
            "current-version-id" => out.push_str(&self.current_version_id.to_string()),
            "versions" => push_array(out, self.versions.iter().map(|version| version.raw.as_str())),
            "version-log" => push_array(out, self.version_log.iter().map(|entry| entry.raw.as_str())),
            // Only fields of the list above are ever without text.
            _ => out.push_str("null"),
        }
    }

    fn differs(&self, base: &ViewMetadata, name: &str) -> bool {
        match name {
            "view-uuid" => self.uuid != base.uuid,
            "format-version" => self.format_version != base.format_version,
            "location" => self.location != base.location,
            "properties" => self.properties != base.properties,
            "schemas" => self.schemas != base.schemas,
            "current-version-id" => self.current_version_id != base.current_version_id,
            "versions" => self.versions != base.versions,
            "version-log" => self.version_log != base.version_log,
            _ => false,
        }
    }

    /// Returns `true` if the value of any field differs from that in `base`.
    pub(crate) fn differs_from(&self, base: &ViewMetadata) -> bool {
        FIELDS.iter().any(|name| self.differs(base, name))
    }

    /// Marks the fields whose text has to be written again: those that differ from `base`, or all in a new
    /// document.
    pub(crate) fn mark_changes(&mut self, base: Option<&ViewMetadata>) {
        for name in FIELDS {
            if base.is_none_or(|base| self.differs(base, name)) {
                self.layout.renew(name);
            }
        }
    }

    /// Returns those of the fields that are absent or `null`.
    pub(crate) fn absent_fields(&self, names: &[&'static str]) -> Vec<&'static str> {
        names.iter().copied().filter(|name| self.layout.lacks(name)).collect()
    }

    /// Returns `true` if a field is present and `null`.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.layout.is_null(name)
    }

    /// Returns the UUID of the view (`view-uuid`).
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Returns the format version (`format-version`).
    pub fn format_version(&self) -> i32 {
        self.format_version
    }

    /// Returns the base location (`location`), without a trailing slash.
    pub fn location(&self) -> &str {
        self.location.trim_end_matches('/')
    }

    /// Returns the properties, in the order of the document.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Returns the value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// Returns all schemas (`schemas`).
    pub fn schemas(&self) -> &[Schema] {
        &self.schemas
    }

    /// Returns all versions (`versions`).
    pub fn versions(&self) -> &[ViewVersion] {
        &self.versions
    }

    /// Returns the version log (`version-log`): the history of the current version, oldest entry first.
    pub fn version_log(&self) -> &[VersionLogEntry] {
        &self.version_log
    }

    /// Returns the id of the current version (`current-version-id`).
    pub fn current_version_id(&self) -> i32 {
        self.current_version_id
    }

    /// Returns the current version.
    ///
    /// # Errors
    ///
    /// Fails if the version does not exist ([`MetadataError::Inconsistent`]), which cannot happen after
    /// [`ViewMetadata::parse`].
    pub fn current_version(&self) -> Result<&ViewVersion, MetadataError> {
        self.versions.iter().find(|version| version.id() == self.current_version_id).ok_or_else(|| {
            MetadataError::inconsistent(format!("the current version {} is missing", self.current_version_id))
        })
    }
}

/// Version of a view (view spec, "Versions").
///
/// The JSON text is preserved; the id, timestamp, schema and representations are decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewVersion {
    raw: Raw,
    id: i32,
    timestamp_ms: i64,
    schema_id: i32,
    representations: Vec<Representation>,
}

/// Definition of a view in one language (view spec, "Representations").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Representation {
    /// SQL query.
    Sql {
        /// SQL dialect, in the case of the document.
        dialect: String,
        /// Text of the query.
        sql: String,
    },
    /// Representation of an unknown type.
    Other {
        /// Value of `type`.
        kind: String,
    },
}

impl ViewVersion {
    /// Parses an element of `versions`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, or a field that the specification requires is missing or of a
    /// wrong type ([`MetadataError::Malformed`]).
    pub fn parse(raw: Raw) -> Result<ViewVersion, MetadataError> {
        let fields = raw.fields("view version")?;
        let representations = fields.list("representations", |raw| read_representation(&raw))?;
        fields.required::<Vec<String>>("default-namespace")?;
        fields.required_raw("summary")?;
        properties::read(&fields, "summary")?;
        fields.optional::<String>("default-catalog")?;
        Ok(ViewVersion {
            id: fields.required("version-id")?,
            timestamp_ms: fields.required("timestamp-ms")?,
            schema_id: fields.required("schema-id")?,
            representations: representations.ok_or_else(|| fields.missing("representations"))?,
            raw,
        })
    }

    /// Returns the version id (`version-id`).
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the creation time (`timestamp-ms`), in milliseconds since 1970, by the clock of the writer.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// Returns the id of the schema of the version (`schema-id`); -1 in a request means the schema added
    /// last.
    pub fn schema_id(&self) -> i32 {
        self.schema_id
    }

    /// Returns the definitions of the view, one for each SQL dialect.
    pub fn representations(&self) -> &[Representation] {
        &self.representations
    }

    /// Returns the JSON text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// Returns the SQL dialects of the representations, in lower case.
    pub(crate) fn dialects(&self) -> BTreeSet<String> {
        let dialects = self.representations.iter().filter_map(|representation| match representation {
            Representation::Sql { dialect, .. } => Some(dialect.to_lowercase()),
            Representation::Other { .. } => None,
        });
        dialects.collect()
    }

    /// Returns the same version with other ids.
    pub(crate) fn with_ids(&self, id: i32, schema_id: i32) -> Result<ViewVersion, MetadataError> {
        let mut object = Object::parse(self.raw.as_str(), "view version")?;
        object.set("version-id", Raw::number(i64::from(id)));
        object.set("schema-id", Raw::number(i64::from(schema_id)));
        ViewVersion::parse(object.to_raw())
    }

    /// Returns the content of the version: everything apart from its id and its timestamp.
    pub(crate) fn content(&self) -> Result<Value, MetadataError> {
        let mut object = Object::parse(self.raw.as_str(), "view version")?;
        object.remove("version-id");
        object.remove("timestamp-ms");
        if object.get("default-catalog").is_some_and(Raw::is_null) {
            object.remove("default-catalog");
        }
        object.to_raw().decode("view version")
    }
}

fn read_representation(raw: &Raw) -> Result<Representation, MetadataError> {
    let fields = raw.fields("view representation")?;
    let kind: String = fields.required("type")?;
    // Case does not matter, as in Java's library.
    if kind.eq_ignore_ascii_case("sql") {
        return Ok(Representation::Sql {
            dialect: fields.required("dialect")?,
            sql: fields.required("sql")?,
        });
    }
    Ok(Representation::Other { kind })
}

/// Entry of `version-log`: the time at which a version became the current one.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionLogEntry {
    raw: Raw,
    /// Time of the change, in milliseconds since 1970 (`timestamp-ms`).
    pub timestamp_ms: i64,
    /// Id of the version that became current (`version-id`).
    pub version_id: i32,
}

impl VersionLogEntry {
    /// Parses an element of `version-log`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an object, or `timestamp-ms` or `version-id` is missing or of a wrong type
    /// ([`MetadataError::Malformed`]).
    pub fn parse(raw: Raw) -> Result<VersionLogEntry, MetadataError> {
        let (timestamp_ms, version_id) = {
            let fields = raw.fields("version log entry")?;
            (fields.required("timestamp-ms")?, fields.required("version-id")?)
        };
        Ok(VersionLogEntry { raw, timestamp_ms, version_id })
    }

    pub(crate) fn new(timestamp_ms: i64, version_id: i32) -> VersionLogEntry {
        let text = format!("{{\"timestamp-ms\":{timestamp_ms},\"version-id\":{version_id}}}");
        VersionLogEntry { raw: Raw::joined(text), timestamp_ms, version_id }
    }
}
