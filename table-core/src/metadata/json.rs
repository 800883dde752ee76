//! JSON values that preserve their original text, and objects that preserve the order of their fields.
//!
//! Parsing is done by `serde_json`. It skips raw values iteratively, so that text of any nesting can be
//! preserved without recursion; only decoded parts are limited in depth.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::MetadataError;

/// Text of one valid JSON value. Clones share the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(Arc<str>);

impl Raw {
    /// Parses one JSON value.
    ///
    /// # Errors
    ///
    /// Fails if `text` is not exactly one JSON value ([`MetadataError::Malformed`]).
    pub fn parse(text: &str) -> Result<Raw, MetadataError> {
        let value: &RawValue = serde_json::from_str(text)
            .map_err(|error| MetadataError::malformed(format!("not JSON: {error}")))?;
        Ok(Raw::from(value))
    }

    /// Returns a JSON string with this content.
    pub fn string(content: &str) -> Raw {
        let mut text = String::with_capacity(content.len() + 2);
        push_string(&mut text, content);
        Raw(text.into())
    }

    /// Returns a JSON number.
    pub fn number(value: i64) -> Raw {
        Raw(value.to_string().into())
    }

    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if the value is `null`.
    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }

    /// Decodes the value; `what` names it in the error message.
    ///
    /// # Errors
    ///
    /// Fails if the value is not of the type `T` ([`MetadataError::Malformed`]).
    pub fn decode<'a, T: Deserialize<'a>>(&'a self, what: &str) -> Result<T, MetadataError> {
        decode(&self.0, what)
    }

    /// Wraps text that this crate has just assembled from valid values.
    pub(crate) fn joined(text: String) -> Raw {
        debug_assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "not JSON: {text}");
        Raw(text.into())
    }

    pub(crate) fn fields(&self, what: impl Into<Cow<'static, str>>) -> Result<Fields<'_>, MetadataError> {
        Fields::parse(&self.0, what)
    }
}

impl From<&RawValue> for Raw {
    fn from(value: &RawValue) -> Raw {
        Raw(value.get().into())
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// JSON object whose fields preserve their order and their text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    entries: Vec<(String, Raw)>,
}

impl Object {
    /// Parses an object; `what` names it in the error message.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a JSON object, or a field occurs twice ([`MetadataError::Malformed`]).
    pub fn parse(text: &str, what: &'static str) -> Result<Object, MetadataError> {
        let fields = Fields::parse(text, what)?;
        let entries = fields.entries.into_iter().map(|(key, value)| (key.into_owned(), Raw::from(value)));
        Ok(Object { entries: entries.collect() })
    }

    /// Returns the value of a field.
    pub fn get(&self, key: &str) -> Option<&Raw> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets a field: in its place if it exists, else at the end.
    pub fn set(&mut self, key: &str, value: Raw) {
        match self.entries.iter_mut().find(|(name, _)| name == key) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key.to_owned(), value)),
        }
    }

    /// Removes a field.
    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|(name, _)| name != key);
    }

    /// Returns the fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Raw)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Returns the object as one JSON value.
    pub fn to_raw(&self) -> Raw {
        let mut text = String::new();
        push_object(&mut text, self.iter().map(|(key, value)| (key, value.as_str())));
        Raw::joined(text)
    }
}

/// JSON object whose fields are slices of the text that is being read.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    what: Cow<'static, str>,
    pub(crate) entries: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    pub(crate) fn parse(
        text: &'a str,
        what: impl Into<Cow<'static, str>>,
    ) -> Result<Fields<'a>, MetadataError> {
        let what = what.into();
        let Entries(entries) = decode(text, &what)?;
        Ok(Fields { what, entries })
    }

    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// Returns the field, unless it is absent or `null`.
    pub(crate) fn present(&self, key: &str) -> Option<&'a RawValue> {
        self.raw(key).filter(|value| value.get() != "null")
    }

    pub(crate) fn optional<T: Deserialize<'a>>(&self, key: &str) -> Result<Option<T>, MetadataError> {
        let Some(value) = self.present(key) else { return Ok(None) };
        serde_json::from_str(value.get()).map(Some).map_err(|error| {
            MetadataError::malformed(format!(
                "`{key}` of the {} has a wrong value: {}",
                self.what,
                plain(&error)
            ))
        })
    }

    pub(crate) fn required<T: Deserialize<'a>>(&self, key: &str) -> Result<T, MetadataError> {
        self.optional(key)?.ok_or_else(|| self.missing(key))
    }

    pub(crate) fn required_raw(&self, key: &str) -> Result<Raw, MetadataError> {
        self.present(key).map(Raw::from).ok_or_else(|| self.missing(key))
    }

    /// Returns the elements of an array field; `None` if it is absent or `null`.
    pub(crate) fn list<T>(
        &self,
        key: &str,
        read: impl Fn(Raw) -> Result<T, MetadataError>,
    ) -> Result<Option<Vec<T>>, MetadataError> {
        let Some(elements) = self.optional::<Vec<&RawValue>>(key)? else { return Ok(None) };
        elements.into_iter().map(|element| read(Raw::from(element))).collect::<Result<_, _>>().map(Some)
    }

    pub(crate) fn missing(&self, key: &str) -> MetadataError {
        MetadataError::malformed(format!("the {} has no `{key}`", self.what))
    }
}

/// Decodes a value from text; `what` names it in the error message.
pub(crate) fn decode<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, MetadataError> {
    serde_json::from_str(text)
        .map_err(|error| MetadataError::malformed(format!("the {what} cannot be read: {}", plain(&error))))
}

/// Returns the message of `serde_json` without its position, which would be relative to a part that the
/// reader of the message does not see.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// Parses the text of a JSON number exactly, which `serde_json` does not do; `None` for other JSON.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let starts = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    starts.then(|| text.parse().ok()).flatten()
}

/// Appends a JSON string with this content.
pub(crate) fn push_string(out: &mut String, content: &str) {
    // `Value`'s `Display` cannot fail, unlike `serde_json::to_string`.
    out.push_str(&serde_json::Value::from(content).to_string());
}

/// Appends a JSON object.
pub(crate) fn push_object<'a>(out: &mut String, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    for (position, (key, value)) in entries.enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_string(out, key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
}

/// Appends a JSON array.
pub(crate) fn push_array<'a>(out: &mut String, elements: impl Iterator<Item = &'a str>) {
    out.push('[');
    for (position, element) in elements.enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(element);
    }
    out.push(']');
}

/// Returns the nesting depth of objects and arrays in valid JSON text.
pub(crate) fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                if let Some(key) = find_duplicate(&entries) {
                    return Err(serde::de::Error::custom(format_args!("`{key}` occurs twice in one object")));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// Maximum number of fields for which names are compared pairwise, which is faster than hashing.
const SMALL_OBJECT: usize = 12;

/// Returns a name that occurs twice.
pub(crate) fn find_duplicate<'e, T>(entries: &'e [(Cow<'_, str>, T)]) -> Option<&'e str> {
    if entries.len() <= SMALL_OBJECT {
        let mut later = entries;
        while let Some(((key, _), rest)) = later.split_first() {
            if rest.iter().any(|(other, _)| other == key) {
                return Some(key);
            }
            later = rest;
        }
        return None;
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().map(|(key, _)| key.as_ref()).find(|key| !seen.insert(*key))
}

/// Field name, borrowed from the text unless it contains escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}
