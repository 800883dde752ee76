//! Top level of a metadata document: its fields in order, with their original text where they have not
//! changed.

use std::sync::Arc;

use super::json::{Fields, Raw, push_string};

/// Fields of a document in order. Each has its text, or `None` if the text has to be made from the decoded
/// value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    entries: Vec<(Arc<str>, Option<Raw>)>,
}

impl Layout {
    /// Stores the text of every field except the arrays named in `lists`, whose elements are stored
    /// separately.
    pub(crate) fn read(fields: &Fields<'_>, lists: &[&str]) -> Layout {
        let is_kept = |name: &str, text: &str| text == "null" || !lists.contains(&name);
        let entries = fields.entries.iter().map(|(name, value)| {
            let text = is_kept(name, value.get()).then(|| Raw::from(*value));
            (name.as_ref().into(), text)
        });
        Layout { entries: entries.collect() }
    }

    /// Returns `true` if a field is absent or `null`.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        let entry = self.entries.iter().find(|(existing, _)| &**existing == name);
        entry.is_none_or(|(_, text)| text.as_ref().is_some_and(Raw::is_null))
    }

    /// Returns `true` if a field is present and `null`.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        let is_null = |text: &Option<Raw>| text.as_ref().is_some_and(Raw::is_null);
        self.entries.iter().any(|(existing, text)| &**existing == name && is_null(text))
    }

    /// Marks a field to be written from its decoded value; a new field is appended.
    pub(crate) fn renew(&mut self, name: &str) {
        match self.entries.iter_mut().find(|(existing, _)| &**existing == name) {
            Some(entry) => entry.1 = None,
            None => self.entries.push((name.into(), None)),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.entries.retain(|(existing, _)| &**existing != name);
    }

    /// Returns the document as JSON; `push` appends the fields that have to be written from their decoded
    /// values.
    pub(crate) fn write(&self, push: impl Fn(&mut String, &str)) -> Vec<u8> {
        let mut out = String::new();
        out.push('{');
        for (position, (name, text)) in self.entries.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            push_string(&mut out, name);
            out.push(':');
            match text {
                Some(raw) => out.push_str(raw.as_str()),
                None => push(&mut out, name),
            }
        }
        out.push('}');
        out.into_bytes()
    }
}
