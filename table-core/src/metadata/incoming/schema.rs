//! New schemas: every field, type and default is validated as strictly as by the strictest reader.

use serde_json::value::RawValue;

use super::default_value;
use super::origin::PartOrigin;
use super::shape::{JsonShape, Member, conform};
use super::type_name::{self, TypeName};
use crate::metadata::error::MetadataError;
use crate::metadata::json::{Object, Raw, decode, nesting, push_array};
use crate::metadata::schema::SCHEMA_NESTING_MAX;
use crate::metadata::types::{Primitive, TYPE_DEPTH_MAX};

const SCHEMA: [Member; 3] = [
    Member::required("type", JsonShape::Text),
    Member::nullable("schema-id", JsonShape::Int),
    Member::nullable("identifier-field-ids", JsonShape::List(&JsonShape::Int)),
];

/// Members of a field. Defaults are not among them, because `null` means no default in requests, which Java's
/// parser does not accept.
const FIELD: [Member; 4] = [
    Member::required("id", JsonShape::Int),
    Member::required("name", JsonShape::Text),
    Member::required("required", JsonShape::Boolean),
    Member::nullable("doc", JsonShape::Text),
];

const DEFAULTS: [&str; 2] = ["initial-default", "write-default"];

const LIST: [Member; 2] = [
    Member::required("element-id", JsonShape::Int),
    Member::required("element-required", JsonShape::Boolean),
];

const MAP: [Member; 3] = [
    Member::required("key-id", JsonShape::Int),
    Member::required("value-id", JsonShape::Int),
    Member::required("value-required", JsonShape::Boolean),
];

/// Result of validating a type.
enum Checked {
    Primitive(Primitive),
    /// Struct, list or map.
    Nested,
    /// Unknown type, which is accepted only if the table already has it.
    Other,
}

/// Validates a schema, and returns its text with types in the spelling that all readers accept.
pub(super) fn normal(raw: Raw, origin: PartOrigin) -> Result<Raw, MetadataError> {
    if nesting(raw.as_str()) > SCHEMA_NESTING_MAX {
        return Err(MetadataError::malformed(format!("types nest deeper than {TYPE_DEPTH_MAX} levels")));
    }
    let raw = conform(raw, "schema", &SCHEMA, origin)?;
    Ok(normal_struct(raw.as_str(), 0, origin)?.unwrap_or(raw))
}

/// Returns the normalised text of a struct, or `None` if it is normal already.
fn normal_struct(text: &str, depth: usize, origin: PartOrigin) -> Result<Option<Raw>, MetadataError> {
    let mut object = Object::parse(text, "struct")?;
    let Some(list) = object.get("fields") else {
        return Err(MetadataError::malformed("the schema has no `fields`"));
    };
    let elements: Vec<&RawValue> = list.decode("fields")?;
    let mut is_changed = false;
    let mut fields = Vec::with_capacity(elements.len());
    for element in elements {
        let field = normal_field(Raw::from(element), depth, origin)?;
        is_changed |= field.as_str() != element.get();
        fields.push(field);
    }
    if !is_changed {
        return Ok(None);
    }
    let mut text = String::new();
    push_array(&mut text, fields.iter().map(Raw::as_str));
    object.set("fields", Raw::joined(text));
    Ok(Some(object.to_raw()))
}

fn normal_field(raw: Raw, depth: usize, origin: PartOrigin) -> Result<Raw, MetadataError> {
    let raw = conform(raw, "field", &FIELD, origin)?;
    let mut object = Object::parse(raw.as_str(), "field")?;
    let name: String = decode(object.get("name").map_or("null", Raw::as_str), "name")?;
    let is_required = object.get("required").is_some_and(|required| required.as_str() == "true");
    let Some(written) = object.get("type").cloned() else {
        return Err(MetadataError::malformed(format!("the field `{name}` has no `type`")));
    };
    let (checked, changed) = normal_type(written.as_str(), &name, depth + 1, origin)?;
    check_required(&checked, is_required, &name)?;
    let mut is_changed = changed.is_some();
    if let Some(changed) = changed {
        object.set("type", changed);
    }
    for key in DEFAULTS {
        match object.get(key) {
            None => {}
            Some(default) if default.is_null() && origin == PartOrigin::Document => {
                let message =
                    format!("`{key}` of the field `{name}` is `null`; it must have a value or be absent");
                return Err(MetadataError::malformed(message));
            }
            Some(default) if default.is_null() => {
                object.remove(key);
                is_changed = true;
            }
            Some(default) => check_default(&checked, default, key, &name)?,
        }
    }
    Ok(if is_changed { object.to_raw() } else { raw })
}

fn check_default(checked: &Checked, default: &Raw, key: &str, name: &str) -> Result<(), MetadataError> {
    let expected = match checked {
        Checked::Primitive(primitive) => match default_value::check(default.as_str(), primitive) {
            Ok(()) => return Ok(()),
            Err(expected) => expected,
        },
        Checked::Nested => "`null`: structs, lists and maps have no default of their own",
        Checked::Other => return Ok(()),
    };
    Err(MetadataError::malformed(format!("the `{key}` of the field `{name}` must be {expected}")))
}

/// Refuses a required field of the type `unknown`, whose values are always null.
fn check_required(checked: &Checked, is_required: bool, name: &str) -> Result<(), MetadataError> {
    if is_required && matches!(checked, Checked::Primitive(Primitive::Unknown)) {
        let message = format!("`{name}` is of the type `unknown`, which has only nulls; make it optional");
        return Err(MetadataError::malformed(message));
    }
    Ok(())
}

/// Validates the type of the field `name`. Returns its kind, and its normalised text if that differs.
fn normal_type(
    text: &str,
    name: &str,
    depth: usize,
    origin: PartOrigin,
) -> Result<(Checked, Option<Raw>), MetadataError> {
    if depth > TYPE_DEPTH_MAX {
        return Err(MetadataError::malformed(format!("types nest deeper than {TYPE_DEPTH_MAX} levels")));
    }
    if text.starts_with('"') {
        let written: String = decode(text, "type")?;
        return match type_name::read(&written) {
            TypeName::Known(primitive, normal) => {
                let changed = (normal != written).then(|| Raw::string(&normal));
                Ok((Checked::Primitive(primitive), changed))
            }
            TypeName::Unknown => Ok((Checked::Other, None)),
            TypeName::Misspelled(normal) => {
                let advice = normal.map(|normal| format!("; write `{normal}`")).unwrap_or_default();
                let message =
                    format!("the type `{written}` of `{name}` cannot be read by all clients{advice}");
                Err(MetadataError::malformed(message))
            }
        };
    }
    let object = Object::parse(text, "type")?;
    let kind: String = decode(object.get("type").map_or("null", Raw::as_str), "type")?;
    match kind.as_str() {
        "struct" => Ok((Checked::Nested, normal_struct(text, depth, origin)?)),
        "list" => {
            let parts = [Part { key: "element", required: Some("element-required") }];
            Ok((Checked::Nested, normal_parts(object, &LIST, &parts, depth, origin)?))
        }
        "map" => {
            let parts = [
                Part { key: "key", required: None },
                Part { key: "value", required: Some("value-required") },
            ];
            Ok((Checked::Nested, normal_parts(object, &MAP, &parts, depth, origin)?))
        }
        _ => Ok((Checked::Other, None)),
    }
}

/// Element type of a list, or key or value type of a map.
struct Part {
    key: &'static str,
    /// Member with the `required` flag of this part; `None` if it is always required.
    required: Option<&'static str>,
}

fn normal_parts(
    mut object: Object,
    members: &[Member],
    parts: &[Part],
    depth: usize,
    origin: PartOrigin,
) -> Result<Option<Raw>, MetadataError> {
    conform(object.to_raw(), "type", members, origin)?;
    let mut is_changed = false;
    for part in parts {
        let Some(written) = object.get(part.key).cloned() else {
            return Err(MetadataError::malformed(format!("a type has no `{}`", part.key)));
        };
        let (checked, changed) = normal_type(written.as_str(), part.key, depth + 1, origin)?;
        let is_required =
            part.required.is_none_or(|key| object.get(key).is_some_and(|value| value.as_str() == "true"));
        check_required(&checked, is_required, part.key)?;
        if let Some(changed) = changed {
            object.set(part.key, changed);
            is_changed = true;
        }
    }
    Ok(is_changed.then(|| object.to_raw()))
}
