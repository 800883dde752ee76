//! View metadata: one document, with the same rule as for tables that nothing that was read is lost.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::error::MetadataError;
use super::json::{Fields, Object, Raw, push_array, push_string};
use super::layout::Layout;
use super::properties::{self, Properties};
use super::schema::Schema;
use super::table_write::push_properties;

/// The metadata of a view.
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

/// Every field we understand, in the order of a new document.
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
    /// Reads a document, uncompressed.
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

    /// A view without anything: where building a new one starts.
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

    /// The document as JSON.
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

    /// Whether any field is another one than in `base`.
    pub(crate) fn differs_from(&self, base: &ViewMetadata) -> bool {
        FIELDS.iter().any(|name| self.differs(base, name))
    }

    /// Marks what is to be written anew: what differs from `base`, or everything in a new document.
    pub(crate) fn mark_changes(&mut self, base: Option<&ViewMetadata>) {
        for name in FIELDS {
            if base.is_none_or(|base| self.differs(base, name)) {
                self.layout.renew(name);
            }
        }
    }

    /// Which of the fields are absent or `null`.
    pub(crate) fn absent_fields(&self, names: &[&'static str]) -> Vec<&'static str> {
        names.iter().copied().filter(|name| self.layout.lacks(name)).collect()
    }

    /// Whether a field is there and `null`.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.layout.is_null(name)
    }

    /// The identity of the view.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The format version.
    pub fn format_version(&self) -> i32 {
        self.format_version
    }

    /// The base location, without a trailing slash.
    pub fn location(&self) -> &str {
        self.location.trim_end_matches('/')
    }

    /// The properties in order.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// One property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// All schemas.
    pub fn schemas(&self) -> &[Schema] {
        &self.schemas
    }

    /// All versions.
    pub fn versions(&self) -> &[ViewVersion] {
        &self.versions
    }

    /// Which version has been current since when.
    pub fn version_log(&self) -> &[VersionLogEntry] {
        &self.version_log
    }

    /// The id of the current version.
    pub fn current_version_id(&self) -> i32 {
        self.current_version_id
    }

    /// The current version. Parsing made sure that it exists.
    pub fn current_version(&self) -> Result<&ViewVersion, MetadataError> {
        self.versions.iter().find(|version| version.id() == self.current_version_id).ok_or_else(|| {
            MetadataError::inconsistent(format!("the current version {} is missing", self.current_version_id))
        })
    }
}

/// One version of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewVersion {
    raw: Raw,
    id: i32,
    timestamp_ms: i64,
    schema_id: i32,
    representations: Vec<Representation>,
}

/// One way to say what a view is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Representation {
    /// A query.
    Sql {
        /// The SQL dialect, as written.
        dialect: String,
        /// The query.
        sql: String,
    },
    /// Of a type we do not know.
    Other {
        /// The type.
        kind: String,
    },
}

impl ViewVersion {
    /// Reads a version.
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

    /// The version id.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// When it was made, in milliseconds since 1970, by the clock of the writer.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// Its schema; -1 in a request means the one added last.
    pub fn schema_id(&self) -> i32 {
        self.schema_id
    }

    /// What the view is, in all languages it is said in.
    pub fn representations(&self) -> &[Representation] {
        &self.representations
    }

    /// The text as it was read.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// The SQL dialects, in lower case.
    pub(crate) fn dialects(&self) -> BTreeSet<String> {
        let dialects = self.representations.iter().filter_map(|representation| match representation {
            Representation::Sql { dialect, .. } => Some(dialect.to_lowercase()),
            Representation::Other { .. } => None,
        });
        dialects.collect()
    }

    /// The same version under other ids.
    pub(crate) fn with_ids(&self, id: i32, schema_id: i32) -> Result<ViewVersion, MetadataError> {
        let mut object = Object::parse(self.raw.as_str(), "view version")?;
        object.set("version-id", Raw::number(i64::from(id)));
        object.set("schema-id", Raw::number(i64::from(schema_id)));
        ViewVersion::parse(object.to_raw())
    }

    /// What the version does, apart from its id and its time.
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
    // In any case, as Java reads it.
    if kind.eq_ignore_ascii_case("sql") {
        return Ok(Representation::Sql {
            dialect: fields.required("dialect")?,
            sql: fields.required("sql")?,
        });
    }
    Ok(Representation::Other { kind })
}

/// An entry of the version log: since when a version was the current one.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionLogEntry {
    raw: Raw,
    /// Since when, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Which version.
    pub version_id: i32,
}

impl VersionLogEntry {
    /// Reads an entry.
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
