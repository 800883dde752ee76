//! Creation of a table in one step, from a schema whose field ids are provisional.

use std::collections::{BTreeSet, HashMap};

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::metadata::error::MetadataError;
use crate::metadata::incoming;
use crate::metadata::incoming::origin::PartOrigin;
use crate::metadata::json::{Object, Raw, push_array};
use crate::metadata::partition::PartitionSpec;
use crate::metadata::properties;
use crate::metadata::schema::Schema;
use crate::metadata::schema_index::SchemaIndex;
use crate::metadata::sort::SortOrder;
use crate::metadata::table::TableMetadata;

use super::builder::Builder;
use super::error::CommitError;
use super::update::{LAST_ADDED, TableUpdate};
use super::version::{FORMAT_VERSION_DEFAULT, supported_version};

/// Prefix of the properties that configure column metrics by column name.
const METRICS_COLUMN: &str = "write.metadata.metrics.column.";

/// Request to create a table (`CreateTableRequest` of the REST specification).
#[derive(Debug, Clone)]
pub struct CreateTable<'a> {
    /// Schema, as JSON. Its field ids are provisional: they only connect the partition spec and the sort
    /// order to its columns, and fresh ids replace them.
    pub schema: &'a RawValue,
    /// Partition spec, as JSON; `None` means unpartitioned.
    pub partition_spec: Option<&'a RawValue>,
    /// Sort order, as JSON; `None` means unsorted.
    pub write_order: Option<&'a RawValue>,
    /// Base location of the table; a trailing slash is removed.
    pub location: String,
    /// Properties, as (name, value). `format-version` chooses the format version and is not stored, and
    /// neither are the other names of [`properties::RESERVED`].
    pub properties: Vec<(String, String)>,
}

/// Creates the first metadata document of a table.
///
/// `uuid` becomes the `table-uuid`; `now_ms` is the server's clock, in milliseconds since 1970. The field ids
/// of the schema are assigned from 1, as in Java's library.
///
/// # Errors
///
/// Fails if schema, partition spec or sort order is not valid JSON of its kind or exceeds the limits of
/// Java's JSON parser ([`CommitError::Malformed`]); if one of them uses a type or transform that is unknown,
/// or a transform of several columns ([`CommitError::Unsupported`]); and if the table would not be valid:
/// field ids or names that occur twice, source columns that do not exist or whose type the transform does not
/// accept, an unsupported format version, an empty location, or properties that are not the numbers they must
/// be or name no column ([`CommitError::Invalid`]).
pub fn create(request: &CreateTable<'_>, uuid: Uuid, now_ms: i64) -> Result<TableMetadata, CommitError> {
    check_text(request)?;
    let requested = incoming::schema(Raw::from(request.schema), PartOrigin::Request);
    let requested = requested.map_err(|error| CommitError::malformed(&error))?;
    let columns = requested.columns().map_err(|error| CommitError::malformed(&error))?;
    let index = SchemaIndex::new(columns).map_err(|error| CommitError::invalid_part(&error))?;
    let (schema, fresh_ids) = with_fresh_ids(&requested)?;
    let version = requested_version(&request.properties)?;
    check_properties(&request.properties, &index)?;

    let mut builder = Builder::new(version, now_ms);
    let mut run = |update: TableUpdate| builder.apply(&update);
    run(TableUpdate::AddSchema { schema })?;
    run(TableUpdate::SetCurrentSchema { schema_id: LAST_ADDED })?;
    let spec = match request.partition_spec {
        Some(spec) => rebound_spec(spec, &fresh_ids)?,
        None => PartitionSpec::unpartitioned(),
    };
    run(TableUpdate::AddSpec { spec })?;
    run(TableUpdate::SetDefaultSpec { spec_id: LAST_ADDED })?;
    let sort_order = match request.write_order {
        Some(order) => rebound_order(order, &fresh_ids)?,
        None => SortOrder::unsorted(),
    };
    run(TableUpdate::AddSortOrder { sort_order })?;
    run(TableUpdate::SetDefaultSortOrder { sort_order_id: LAST_ADDED })?;
    run(TableUpdate::SetLocation { location: request.location.clone() })?;
    run(TableUpdate::SetProperties { updates: stored_properties(&request.properties) })?;
    builder.finish_new(uuid)
}

/// Refuses text that Java's clients could not read.
fn check_text(request: &CreateTable<'_>) -> Result<(), CommitError> {
    let parts = [Some(request.schema), request.partition_spec, request.write_order];
    let parts = parts.into_iter().flatten().try_for_each(|part| incoming::limits::check(part.get()));
    let properties = request.properties.iter().try_for_each(|(name, _)| incoming::limits::check_name(name));
    parts.and(properties).map_err(|error| CommitError::malformed(&error))
}

fn requested_version(properties: &[(String, String)]) -> Result<i32, CommitError> {
    let value = properties.iter().rev().find(|(name, _)| name == properties::FORMAT_VERSION);
    let Some((_, value)) = value else { return Ok(FORMAT_VERSION_DEFAULT) };
    let version = value.trim().parse();
    let version = version.map_err(|_| {
        CommitError::invalid(format!("the property `format-version` is `{value}`; it must be a number"))
    })?;
    supported_version(version)
}

fn stored_properties(requested: &[(String, String)]) -> properties::Properties {
    let mut stored = properties::Properties::default();
    // Java's library sets this property for new tables, and only for new ones, so all engines compress alike.
    stored.set("write.parquet.compression-codec", "zstd".to_owned());
    let kept = requested.iter().filter(|(name, _)| !properties::RESERVED.contains(&name.as_str()));
    kept.for_each(|(name, value)| stored.set(name, value.clone()));
    stored
}

fn check_properties(properties: &[(String, String)], index: &SchemaIndex<'_>) -> Result<(), CommitError> {
    for (name, value) in properties {
        if properties::COMMIT_RETRY.contains(&name.as_str())
            && !value.parse::<i32>().is_ok_and(|number| number >= 0)
        {
            return Err(CommitError::invalid(format!(
                "Table property {name} must have non negative integer value"
            )));
        }
        if let Some(column) = name.strip_prefix(METRICS_COLUMN).filter(|column| index.find(column).is_none())
        {
            return Err(CommitError::invalid(format!(
                "Invalid metrics config, could not find column {column} from table prop {name} in the schema"
            )));
        }
    }
    Ok(())
}

fn rebound_spec(spec: &RawValue, fresh_ids: &HashMap<i32, i32>) -> Result<PartitionSpec, CommitError> {
    let spec = incoming::partition_spec(Raw::from(spec), PartOrigin::Request)
        .map_err(|error| CommitError::malformed(&error))?;
    let sources = spec.fields().iter().map(|field| {
        rebound_source(&format!("partition field: {}", field.name), &field.source_ids, fresh_ids)
    });
    Ok(spec.rebound(&sources.collect::<Result<Vec<_>, _>>()?)?)
}

fn rebound_order(order: &RawValue, fresh_ids: &HashMap<i32, i32>) -> Result<SortOrder, CommitError> {
    let order = incoming::sort_order(Raw::from(order), PartOrigin::Request)
        .map_err(|error| CommitError::malformed(&error))?;
    let sources =
        order.fields().iter().map(|field| rebound_source("sort field", &field.source_ids, fresh_ids));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let id = i32::from(!order.fields().is_empty());
    Ok(order.rebound(id, &sources)?)
}

fn rebound_source(what: &str, sources: &[i32], fresh_ids: &HashMap<i32, i32>) -> Result<i32, CommitError> {
    let [source] = sources else {
        return Err(CommitError::Unsupported(format!("{what}: there must be exactly one source column")));
    };
    fresh_ids.get(source).copied().ok_or_else(|| {
        CommitError::invalid(format!(
            "Cannot find source column for {what}; the schema has no field {source}"
        ))
    })
}

/// Returns the schema with ids assigned from 1, and a map from each old id to its new one.
///
/// The fields of a struct are numbered before the fields nested inside them, as Java does, so that the same
/// schema gets the same ids from every catalog.
pub(crate) fn with_fresh_ids(schema: &Schema) -> Result<(Schema, HashMap<i32, i32>), CommitError> {
    let mut ids = FreshIds::default();
    let mut object = Object::parse(schema.raw().as_str(), "schema")?;
    ids.renumber_struct(&mut object)?;
    object.set("schema-id", Raw::number(0));

    let old = schema.columns()?.identifier_field_ids.iter();
    let identifiers = old.map(|id| {
        ids.new_by_old.get(id).copied().ok_or_else(|| {
            CommitError::invalid(format!("the identifier field {id} does not exist in the schema"))
        })
    });
    let identifiers = identifiers.collect::<Result<BTreeSet<i32>, CommitError>>()?;
    if object.get("identifier-field-ids").is_some() {
        let texts: Vec<String> = identifiers.iter().map(i32::to_string).collect();
        object.set("identifier-field-ids", array(texts.iter().map(String::as_str)));
    }
    let schema = Schema::parse(object.to_raw())?;
    schema.columns()?;
    Ok((schema, ids.new_by_old))
}

#[derive(Default)]
struct FreshIds {
    last: i32,
    new_by_old: HashMap<i32, i32>,
}

impl FreshIds {
    /// Assigns the next id to the field whose id is in `key`.
    fn renumber(&mut self, object: &mut Object, key: &str) -> Result<(), MetadataError> {
        let old: i32 = match object.get(key) {
            Some(id) => id.decode(key)?,
            None => return Err(MetadataError::malformed(format!("a field has no `{key}`"))),
        };
        self.last += 1;
        self.new_by_old.insert(old, self.last);
        object.set(key, Raw::number(i64::from(self.last)));
        Ok(())
    }

    fn renumber_struct(&mut self, object: &mut Object) -> Result<(), MetadataError> {
        let Some(fields) = object.get("fields") else { return Ok(()) };
        let texts: Vec<&RawValue> = fields.decode("fields")?;
        let mut fields = Vec::with_capacity(texts.len());
        for text in texts {
            let mut field = Object::parse(text.get(), "field")?;
            self.renumber(&mut field, "id")?;
            fields.push(field);
        }
        for field in &mut fields {
            self.renumber_inside(field, "type")?;
        }
        let fields: Vec<Raw> = fields.iter().map(Object::to_raw).collect();
        object.set("fields", array(fields.iter().map(Raw::as_str)));
        Ok(())
    }

    /// Renumbers the type in `key`. The schema was decoded before, which limits the depth of the recursion.
    fn renumber_inside(&mut self, object: &mut Object, key: &str) -> Result<(), MetadataError> {
        let Some(text) = object.get(key).filter(|text| text.as_str().starts_with('{')) else { return Ok(()) };
        let mut parts = Object::parse(text.as_str(), "type")?;
        let name = parts.get("type").map(Raw::as_str).unwrap_or_default().to_owned();
        match name.as_str() {
            "\"struct\"" => self.renumber_struct(&mut parts)?,
            "\"list\"" => {
                self.renumber(&mut parts, "element-id")?;
                self.renumber_inside(&mut parts, "element")?;
            }
            "\"map\"" => {
                self.renumber(&mut parts, "key-id")?;
                self.renumber(&mut parts, "value-id")?;
                self.renumber_inside(&mut parts, "key")?;
                self.renumber_inside(&mut parts, "value")?;
            }
            _ => {}
        }
        object.set(key, parts.to_raw());
        Ok(())
    }
}

fn array<'a>(elements: impl Iterator<Item = &'a str>) -> Raw {
    let mut text = String::new();
    push_array(&mut text, elements);
    Raw::joined(text)
}
