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
use origin::Origin;
use shape::{Member, Shape, conform};

/// Valid values of `operation` in the summary of a snapshot (specification, "Snapshots").
const OPERATIONS: [&str; 4] = ["append", "replace", "overwrite", "delete"];

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const SNAPSHOT: [Member; 11] = [
    Member::required("snapshot-id", Shape::Long),
    Member::optional("parent-snapshot-id", Shape::Long),
    Member::optional("sequence-number", Shape::Long),
    Member::required("timestamp-ms", Shape::Long),
    Member::optional("manifest-list", Shape::Text),
    Member::optional("manifests", Shape::List(&Shape::Text)),
    Member::optional("summary", Shape::Texts),
    Member::nullable("schema-id", Shape::Int),
    Member::nullable("first-row-id", Shape::Long),
    Member::nullable("added-rows", Shape::Long),
    Member::nullable("key-id", Shape::Text),
];

const REFERENCE: [Member; 5] = [
    Member::required("snapshot-id", Shape::Long),
    Member::required("type", Shape::Text),
    Member::nullable("min-snapshots-to-keep", Shape::Int),
    Member::nullable("max-snapshot-age-ms", Shape::Long),
    Member::nullable("max-ref-age-ms", Shape::Long),
];

const BLOB: [Member; 5] = [
    Member::required("type", Shape::Text),
    Member::required("snapshot-id", Shape::Long),
    Member::required("sequence-number", Shape::Long),
    Member::required("fields", Shape::List(&Shape::Int)),
    Member::optional("properties", Shape::Texts),
];

const STATISTICS: [Member; 6] = [
    Member::required("snapshot-id", Shape::Long),
    Member::required("file-size-in-bytes", Shape::Long),
    Member::required("statistics-path", Shape::Text),
    Member::required("file-footer-size-in-bytes", Shape::Long),
    Member::nullable("key-metadata", Shape::Text),
    Member::required("blob-metadata", Shape::List(&Shape::Object("blob metadata", &BLOB))),
];

const PARTITION_STATISTICS: [Member; 3] = [
    Member::required("snapshot-id", Shape::Long),
    Member::required("statistics-path", Shape::Text),
    Member::required("file-size-in-bytes", Shape::Long),
];

const ENCRYPTION_KEY: [Member; 4] = [
    Member::required("key-id", Shape::Text),
    Member::required("encrypted-key-metadata", Shape::Text),
    Member::nullable("encrypted-by-id", Shape::Text),
    Member::optional("properties", Shape::Texts),
];

const PARTITION_FIELD: [Member; 5] = [
    Member::optional("source-id", Shape::Int),
    Member::optional("source-ids", Shape::List(&Shape::Int)),
    Member::optional("field-id", Shape::Int),
    Member::required("name", Shape::Text),
    Member::required("transform", Shape::Text),
];

const PARTITION_SPEC: [Member; 2] = [
    Member::optional("spec-id", Shape::Int),
    Member::required("fields", Shape::List(&Shape::Object("partition field", &PARTITION_FIELD))),
];

const SORT_FIELD: [Member; 5] = [
    Member::optional("source-id", Shape::Int),
    Member::optional("source-ids", Shape::List(&Shape::Int)),
    Member::required("transform", Shape::Text),
    Member::required("direction", Shape::Text),
    Member::required("null-order", Shape::Text),
];

const SORT_ORDER: [Member; 2] = [
    Member::optional("order-id", Shape::Int),
    Member::required("fields", Shape::List(&Shape::Object("sort field", &SORT_FIELD))),
];

const REPRESENTATION: [Member; 3] = [
    Member::required("type", Shape::Text),
    Member::optional("sql", Shape::Text),
    Member::optional("dialect", Shape::Text),
];

const VIEW_VERSION: [Member; 7] = [
    Member::required("version-id", Shape::Int),
    Member::required("timestamp-ms", Shape::Long),
    Member::required("schema-id", Shape::Int),
    Member::required("summary", Shape::Texts),
    Member::nullable("default-catalog", Shape::Text),
    Member::required("default-namespace", Shape::List(&Shape::Text)),
    Member::required("representations", Shape::List(&Shape::Object("view representation", &REPRESENTATION))),
];

/// Decodes a new schema: types, defaults, and members that may be `null`.
///
/// The consistency of its fields with each other and with the table is checked where the schema is added.
pub(crate) fn schema(raw: Raw, origin: Origin) -> Result<Schema, MetadataError> {
    let schema = Schema::parse(schema::normal(raw, origin)?)?;
    schema.columns()?;
    Ok(schema)
}

/// Decodes a new partition spec.
pub(crate) fn partition_spec(raw: Raw, origin: Origin) -> Result<PartitionSpec, MetadataError> {
    let raw = conform(raw, "partition spec", &PARTITION_SPEC, origin)?;
    if origin == Origin::Document {
        check_readable(&raw, "partition spec", "spec-id")?;
        return PartitionSpec::parse(raw);
    }
    PartitionSpec::parse(with_normal_fields(raw, "partition spec")?)
}

/// Decodes a new sort order.
pub(crate) fn sort_order(raw: Raw, origin: Origin) -> Result<SortOrder, MetadataError> {
    let raw = conform(raw, "sort order", &SORT_ORDER, origin)?;
    if origin == Origin::Document {
        check_readable(&raw, "sort order", "order-id")?;
        return SortOrder::parse(raw);
    }
    SortOrder::parse(with_normal_fields(raw, "sort order")?)
}

/// Decodes a new snapshot.
pub(crate) fn snapshot(raw: Raw, origin: Origin) -> Result<Snapshot, MetadataError> {
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
pub(crate) fn reference(raw: Raw, origin: Origin) -> Result<SnapshotRef, MetadataError> {
    SnapshotRef::parse(conform(raw, "snapshot reference", &REFERENCE, origin)?)
}

/// Decodes a new statistics file.
pub(crate) fn statistics(raw: Raw, origin: Origin) -> Result<StatisticsFile, MetadataError> {
    StatisticsFile::parse(conform(raw, "statistics file", &STATISTICS, origin)?)
}

/// Decodes a new partition statistics file.
pub(crate) fn partition_statistics(raw: Raw, origin: Origin) -> Result<StatisticsFile, MetadataError> {
    StatisticsFile::parse(conform(raw, "partition statistics file", &PARTITION_STATISTICS, origin)?)
}

/// Decodes a new encryption key.
pub(crate) fn encryption_key(raw: Raw, origin: Origin) -> Result<EncryptionKey, MetadataError> {
    let raw = conform(raw, "encryption key", &ENCRYPTION_KEY, origin)?;
    let wrapped: String = raw.fields("encryption key")?.required("encrypted-key-metadata")?;
    if let Err(error) = BASE64.decode(wrapped) {
        let message = format!("`encrypted-key-metadata` of the encryption key is not Base64: {error}");
        return Err(MetadataError::malformed(message));
    }
    EncryptionKey::parse(raw)
}

/// Decodes a new version of a view.
pub(crate) fn view_version(raw: Raw, origin: Origin) -> Result<ViewVersion, MetadataError> {
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
            "some fields of the {what} have a `field-id`, and some have not"
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
