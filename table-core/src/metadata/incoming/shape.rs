//! Shapes of JSON objects: the members they have, and the types of these. The meaning of values is not
//! checked here.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::origin::PartOrigin;
use crate::metadata::error::MetadataError;
use crate::metadata::json::{Fields, Object, Raw, push_array};

/// Type of a JSON value.
#[derive(Debug, Clone, Copy)]
pub(super) enum JsonShape {
    /// `true` or `false`.
    Boolean,
    /// Whole number of 32 bits.
    Int,
    /// Whole number of 64 bits.
    Long,
    /// String.
    Text,
    /// Object whose values are strings.
    Texts,
    /// Array of values of this shape.
    List(&'static JsonShape),
    /// Object with these members; the text names it in messages.
    Object(&'static str, &'static [Member]),
}

/// Member of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    name: &'static str,
    shape: JsonShape,
    presence: Presence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    /// May be absent; Java's parser refuses `null`.
    Optional,
    /// May be absent; Java's parser treats `null` as absent.
    Nullable,
}

impl Member {
    pub(super) const fn required(name: &'static str, shape: JsonShape) -> Member {
        Member { name, shape, presence: Presence::Required }
    }

    pub(super) const fn optional(name: &'static str, shape: JsonShape) -> Member {
        Member { name, shape, presence: Presence::Optional }
    }

    pub(super) const fn nullable(name: &'static str, shape: JsonShape) -> Member {
        Member { name, shape, presence: Presence::Nullable }
    }
}

/// Checks an object, named `what` in messages, against its members.
///
/// In a request, where clients send `null` for an absent value, members that are `null` are removed. Text
/// without such members is returned unchanged.
pub(super) fn conform(
    raw: Raw,
    what: &'static str,
    members: &[Member],
    origin: PartOrigin,
) -> Result<Raw, MetadataError> {
    let changed = conform_object(raw.as_str(), what, members, origin)?;
    Ok(changed.unwrap_or(raw))
}

fn conform_object(
    text: &str,
    what: &'static str,
    members: &[Member],
    origin: PartOrigin,
) -> Result<Option<Raw>, MetadataError> {
    let fields = Fields::parse(text, what)?;
    let mut changes: Vec<(&str, Option<Raw>)> = Vec::new();
    for member in members {
        match fields.raw(member.name).map(RawValue::get) {
            None | Some("null") if member.presence == Presence::Required => {
                return Err(fields.missing(member.name));
            }
            Some("null") => match (origin, member.presence) {
                (PartOrigin::Request, _) => changes.push((member.name, None)),
                (PartOrigin::Document, Presence::Nullable) => {}
                (PartOrigin::Document, _) => {
                    let message = format!(
                        "`{}` of the {what} is `null`; it must have a value or be absent",
                        member.name
                    );
                    return Err(MetadataError::malformed(message));
                }
            },
            None => {}
            Some(value) => {
                let conformed = conform_value(value, &member.shape, &fields, member.name, origin)?;
                changes.extend(conformed.map(|value| (member.name, Some(value))));
            }
        }
    }
    if changes.is_empty() {
        return Ok(None);
    }
    let mut object = Object::parse(text, what)?;
    for (name, value) in changes {
        match value {
            Some(value) => object.set(name, value),
            None => object.remove(name),
        }
    }
    Ok(Some(object.to_raw()))
}

fn conform_value(
    text: &str,
    shape: &JsonShape,
    fields: &Fields<'_>,
    name: &str,
    origin: PartOrigin,
) -> Result<Option<Raw>, MetadataError> {
    match shape {
        JsonShape::Boolean => fields.required::<bool>(name).map(|_| None),
        JsonShape::Int => fields.required::<i32>(name).map(|_| None),
        JsonShape::Long => fields.required::<i64>(name).map(|_| None),
        // A string with an escape cannot be borrowed from the text.
        JsonShape::Text => fields.required::<Cow<'_, str>>(name).map(|_| None),
        JsonShape::Texts => check_texts(text, name).map(|()| None),
        JsonShape::List(shape) => {
            let elements: Vec<&RawValue> = fields.required(name)?;
            conform_list(&elements, shape, name, origin)
        }
        JsonShape::Object(what, members) => conform_object(text, what, members, origin),
    }
}

fn conform_list(
    elements: &[&RawValue],
    shape: &JsonShape,
    name: &str,
    origin: PartOrigin,
) -> Result<Option<Raw>, MetadataError> {
    let wrong = |error: serde_json::Error| {
        MetadataError::malformed(format!("an element of `{name}` has a wrong value: {error}"))
    };
    let mut is_changed = false;
    let mut conformed = Vec::with_capacity(elements.len());
    for element in elements {
        let text = element.get();
        let changed = match shape {
            JsonShape::Boolean => serde_json::from_str::<bool>(text).map(|_| None).map_err(wrong)?,
            JsonShape::Int => serde_json::from_str::<i32>(text).map(|_| None).map_err(wrong)?,
            JsonShape::Long => serde_json::from_str::<i64>(text).map(|_| None).map_err(wrong)?,
            JsonShape::Text => serde_json::from_str::<Cow<'_, str>>(text).map(|_| None).map_err(wrong)?,
            JsonShape::Texts => check_texts(text, name).map(|()| None)?,
            JsonShape::List(shape) => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
                conform_list(&elements, shape, name, origin)?
            }
            JsonShape::Object(what, members) => conform_object(text, what, members, origin)?,
        };
        is_changed |= changed.is_some();
        conformed.push(changed.unwrap_or_else(|| Raw::from(*element)));
    }
    if !is_changed {
        return Ok(None);
    }
    let mut text = String::new();
    push_array(&mut text, conformed.iter().map(Raw::as_str));
    Ok(Some(Raw::joined(text)))
}

fn check_texts(text: &str, name: &str) -> Result<(), MetadataError> {
    for (key, value) in Fields::parse(text, name.to_owned())?.entries {
        if serde_json::from_str::<Cow<'_, str>>(value.get()).is_err() {
            return Err(MetadataError::malformed(format!("`{key}` of `{name}` is not a string")));
        }
    }
    Ok(())
}
