//! Strict decoding of the metadata parts in a request, before they are stored.
//!
//! A part that a table already has is preserved as text without validation. A new part is decoded with every
//! type and rule that Iceberg's Java library applies to it, because a document that one reader refuses is a
//! lost table to the users of that reader. Attributes that are not in the specification are preserved, within
//! the limits of JSON parsers.

mod default_value;
mod schema;
mod shape;
mod type_name;

pub(crate) mod limits;
pub(crate) mod origin;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::error::MetadataError;
use super::json::{Fields, Object, Raw, push_array};
use super::partition::PartitionSpec;
use super::schema::Schema;
use super::snapshot::{Snapshot, SnapshotRef};
use super::sort::SortOrder;
use super::statistics::{EncryptionKey, StatisticsFile};
use super::transform::Transform;
use super::view::ViewVersion;
use origin::PartOrigin;
use shape::{JsonShape, Member, conform};

/// Valid values of `operation` in the summary of a snapshot (specification, "Snapshots").
const OPERATIONS: [&str; 4] = ["append", "replace", "overwrite", "delete"];

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const SNAPSHOT: [Member; 11] = [
    Member::required("snapshot-id", JsonShape::Long),
    Member::optional("parent-snapshot-id", JsonShape::Long),
    Member::optional("sequence-number", JsonShape::Long),
    Member::required("timestamp-ms", JsonShape::Long),
    Member::optional("manifest-list", JsonShape::Text),
    Member::optional("manifests", JsonShape::List(&JsonShape::Text)),
    Member::optional("summary", JsonShape::Texts),
    Member::nullable("schema-id", JsonShape::Int),
    Member::nullable("first-row-id", JsonShape::Long),
    Member::nullable("added-rows", JsonShape::Long),
    Member::nullable("key-id", JsonShape::Text),
];

const REFERENCE: [Member; 5] = [
    Member::required("snapshot-id", JsonShape::Long),
    Member::required("type", JsonShape::Text),
    Member::nullable("min-snapshots-to-keep", JsonShape::Int),
    Member::nullable("max-snapshot-age-ms", JsonShape::Long),
    Member::nullable("max-ref-age-ms", JsonShape::Long),
];

const BLOB: [Member; 5] = [
    Member::required("type", JsonShape::Text),
    Member::required("snapshot-id", JsonShape::Long),
    Member::required("sequence-number", JsonShape::Long),
    Member::required("fields", JsonShape::List(&JsonShape::Int)),
    Member::optional("properties", JsonShape::Texts),
];

const STATISTICS: [Member; 6] = [
    Member::required("snapshot-id", JsonShape::Long),
    Member::required("file-size-in-bytes", JsonShape::Long),
    Member::required("statistics-path", JsonShape::Text),
    Member::required("file-footer-size-in-bytes", JsonShape::Long),
    Member::nullable("key-metadata", JsonShape::Text),
    Member::required("blob-metadata", JsonShape::List(&JsonShape::Object("blob metadata", &BLOB))),
];

const PARTITION_STATISTICS: [Member; 3] = [
    Member::required("snapshot-id", JsonShape::Long),
    Member::required("statistics-path", JsonShape::Text),
    Member::required("file-size-in-bytes", JsonShape::Long),
];

const ENCRYPTION_KEY: [Member; 4] = [
    Member::required("key-id", JsonShape::Text),
    Member::required("encrypted-key-metadata", JsonShape::Text),
    Member::nullable("encrypted-by-id", JsonShape::Text),
    Member::optional("properties", JsonShape::Texts),
];

const PARTITION_FIELD: [Member; 5] = [
    Member::optional("source-id", JsonShape::Int),
    Member::optional("source-ids", JsonShape::List(&JsonShape::Int)),
    Member::optional("field-id", JsonShape::Int),
    Member::required("name", JsonShape::Text),
    Member::required("transform", JsonShape::Text),
];

const PARTITION_SPEC: [Member; 2] = [
    Member::optional("spec-id", JsonShape::Int),
    Member::required("fields", JsonShape::List(&JsonShape::Object("partition field", &PARTITION_FIELD))),
];

const SORT_FIELD: [Member; 5] = [
    Member::optional("source-id", JsonShape::Int),
    Member::optional("source-ids", JsonShape::List(&JsonShape::Int)),
    Member::required("transform", JsonShape::Text),
    Member::required("direction", JsonShape::Text),
    Member::required("null-order", JsonShape::Text),
];

const SORT_ORDER: [Member; 2] = [
    Member::optional("order-id", JsonShape::Int),
    Member::required("fields", JsonShape::List(&JsonShape::Object("sort field", &SORT_FIELD))),
];

const REPRESENTATION: [Member; 3] = [
    Member::required("type", JsonShape::Text),
    Member::optional("sql", JsonShape::Text),
    Member::optional("dialect", JsonShape::Text),
];

const VIEW_VERSION: [Member; 7] = [
    Member::required("version-id", JsonShape::Int),
    Member::required("timestamp-ms", JsonShape::Long),
    Member::required("schema-id", JsonShape::Int),
    Member::required("summary", JsonShape::Texts),
    Member::nullable("default-catalog", JsonShape::Text),
    Member::required("default-namespace", JsonShape::List(&JsonShape::Text)),
    Member::required(
        "representations",
        JsonShape::List(&JsonShape::Object("view representation", &REPRESENTATION)),
    ),
];

/// Decodes a new schema: types, defaults, and members that may be `null`.
///
/// The consistency of its fields with each other and with the table is checked where the schema is added.
pub(crate) fn schema(raw: Raw, origin: PartOrigin) -> Result<Schema, MetadataError> {
    let schema = Schema::parse(schema::normal(raw, origin)?)?;
    schema.columns()?;
    Ok(schema)
}

/// Decodes a new partition spec.
pub(crate) fn partition_spec(raw: Raw, origin: PartOrigin) -> Result<PartitionSpec, MetadataError> {
    let raw = conform(raw, "partition spec", &PARTITION_SPEC, origin)?;
    if origin == PartOrigin::Document {
        check_readable(&raw, "partition spec", "spec-id")?;
        return PartitionSpec::parse(raw);
    }
    PartitionSpec::parse(with_normal_fields(raw, "partition spec")?)
}

/// Decodes a new sort order.
pub(crate) fn sort_order(raw: Raw, origin: PartOrigin) -> Result<SortOrder, MetadataError> {
    let raw = conform(raw, "sort order", &SORT_ORDER, origin)?;
    if origin == PartOrigin::Document {
        check_readable(&raw, "sort order", "order-id")?;
        return SortOrder::parse(raw);
    }
    SortOrder::parse(with_normal_fields(raw, "sort order")?)
}

/// Decodes a new snapshot.
pub(crate) fn snapshot(raw: Raw, origin: PartOrigin) -> Result<Snapshot, MetadataError> {
    Snapshot::parse(conform(raw, "snapshot", &SNAPSHOT, origin)?)
}

/// Checks `first-row-id`, `added-rows` and the `operation` of a snapshot.
///
/// Fails with the first value that no reader would accept.
pub(crate) fn check_snapshot(snapshot: &Snapshot) -> Result<(), MetadataError> {
    let refuse = |reason: String| {
        Err(MetadataError::inconsistent(format!("the snapshot {} cannot be used: {reason}", snapshot.id())))
    };
    if let Some(first) = snapshot.first_row_id().filter(|first| *first < 0) {
        return refuse(format!("its `first-row-id` {first} is negative"));
    }
    if let Some(added) = snapshot.added_rows().filter(|added| *added < 0) {
        return refuse(format!("added-rows is negative: {added}"));
    }
    if snapshot.first_row_id().is_some() && snapshot.added_rows().is_none() {
        return refuse("added-rows is null although there is a `first-row-id`".to_owned());
    }
    let summary = snapshot.summary()?;
    let operation = summary.iter().find(|(name, _)| name == "operation").map(|(_, value)| value.as_str());
    match operation {
        Some(operation) if !OPERATIONS.contains(&operation) => {
            refuse(format!("its `operation` is `{operation}`; it must be one of {}", OPERATIONS.join(", ")))
        }
        _ => Ok(()),
    }
}

/// Decodes a new ref.
pub(crate) fn reference(raw: Raw, origin: PartOrigin) -> Result<SnapshotRef, MetadataError> {
    SnapshotRef::parse(conform(raw, "snapshot reference", &REFERENCE, origin)?)
}

/// Decodes a new statistics file.
pub(crate) fn statistics(raw: Raw, origin: PartOrigin) -> Result<StatisticsFile, MetadataError> {
    StatisticsFile::parse(conform(raw, "statistics file", &STATISTICS, origin)?)
}

/// Decodes a new partition statistics file.
pub(crate) fn partition_statistics(raw: Raw, origin: PartOrigin) -> Result<StatisticsFile, MetadataError> {
    StatisticsFile::parse(conform(raw, "partition statistics file", &PARTITION_STATISTICS, origin)?)
}

/// Decodes a new encryption key.
pub(crate) fn encryption_key(raw: Raw, origin: PartOrigin) -> Result<EncryptionKey, MetadataError> {
    let raw = conform(raw, "encryption key", &ENCRYPTION_KEY, origin)?;
    let wrapped: String = raw.fields("encryption key")?.required("encrypted-key-metadata")?;
    if let Err(error) = BASE64.decode(wrapped) {
        let message = format!("`encrypted-key-metadata` of the encryption key is not Base64: {error}");
        return Err(MetadataError::malformed(message));
    }
    EncryptionKey::parse(raw)
}

/// Decodes a new version of a view.
pub(crate) fn view_version(raw: Raw, origin: PartOrigin) -> Result<ViewVersion, MetadataError> {
    let raw = conform(raw, "view version", &VIEW_VERSION, origin)?;
    let namespace: Vec<String> = raw.fields("view version")?.required("default-namespace")?;
    if namespace.iter().any(|level| level.contains('\0')) {
        return Err(MetadataError::malformed(
            "`default-namespace` of the view version has the character 0x00",
        ));
    }
    ViewVersion::parse(raw)
}

/// Checks that a partition spec or sort order has an id, and that each of its fields has one `source-id`.
fn check_readable(raw: &Raw, what: &'static str, id: &str) -> Result<(), MetadataError> {
    let object = raw.fields(what)?;
    object.required::<i32>(id)?;
    let elements: Vec<&serde_json::value::RawValue> = object.required("fields")?;
    let mut with_id = 0;
    for element in &elements {
        let field = Fields::parse(element.get(), "field")?;
        field.required::<i32>("source-id")?;
        with_id += usize::from(field.present("field-id").is_some());
    }
    if with_id != 0 && with_id != elements.len() {
        return Err(MetadataError::malformed(format!(
            "some fields of the {what} have a `field-id`, and others do not"
        )));
    }
    Ok(())
}

/// Returns the partition spec or sort order with fields in the form that every reader understands: one
/// `source-id`, and transforms in the spelling of the specification.
fn with_normal_fields(raw: Raw, what: &'static str) -> Result<Raw, MetadataError> {
    let mut object = Object::parse(raw.as_str(), what)?;
    let Some(list) = object.get("fields") else { return Ok(raw) };
    let elements: Vec<&serde_json::value::RawValue> = list.decode("fields")?;
    let mut is_changed = false;
    let mut fields = Vec::with_capacity(elements.len());
    for element in elements {
        let field = normal_field(element.get())?;
        is_changed |= field.is_some();
        fields.push(field.unwrap_or_else(|| Raw::from(element)));
    }
    if !is_changed {
        return Ok(raw);
    }
    let mut text = String::new();
    push_array(&mut text, fields.iter().map(Raw::as_str));
    object.set("fields", Raw::joined(text));
    Ok(object.to_raw())
}

/// Returns the field in its normal form, or `None` if it already has it.
fn normal_field(text: &str) -> Result<Option<Raw>, MetadataError> {
    let mut object = Object::parse(text, "field")?;
    let mut is_changed = false;
    let sources: Option<Vec<i32>> =
        object.get("source-ids").map(|sources| sources.decode("source-ids")).transpose()?;
    if let Some([only]) = sources.as_deref() {
        let source: Option<i32> = object.get("source-id").map(|id| id.decode("source-id")).transpose()?;
        if source.is_some_and(|source| source != *only) {
            return Err(MetadataError::malformed(
                "`source-id` and `source-ids` of a field name other columns",
            ));
        }
        object.set("source-id", Raw::number(i64::from(*only)));
        object.remove("source-ids");
        is_changed = true;
    }
    if let Some(written) = object.get("transform") {
        let written: String = written.decode("transform")?;
        let normal = Transform::parse(&written).to_string();
        if normal != written {
            object.set("transform", Raw::string(&normal));
            is_changed = true;
        }
    }
    Ok(is_changed.then(|| object.to_raw()))
}
