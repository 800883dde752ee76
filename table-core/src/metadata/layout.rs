//! The top level of a document: its fields in order, as they were read or to be made anew.

use std::sync::Arc;

use super::json::{Fields, Raw, push_string};

/// The fields of a document in order, each with its text, or without one where the text is to be made from what
/// has been decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    entries: Vec<(Arc<str>, Option<Raw>)>,
}

impl Layout {
    /// Keeps the text of every field except the arrays named in `lists`, whose elements are kept one by one.
    pub(crate) fn read(fields: &Fields<'_>, lists: &[&str]) -> Layout {
        let is_kept = |name: &str, text: &str| text == "null" || !lists.contains(&name);
        let entries = fields.entries.iter().map(|(name, value)| {
            let text = is_kept(name, value.get()).then(|| Raw::from(*value));
            (name.as_ref().into(), text)
        });
        Layout { entries: entries.collect() }
    }

    /// Whether a field is absent or `null`.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        let entry = self.entries.iter().find(|(existing, _)| &**existing == name);
        entry.is_none_or(|(_, text)| text.as_ref().is_some_and(Raw::is_null))
    }

    /// Whether a field is there and `null`.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        let is_null = |text: &Option<Raw>| text.as_ref().is_some_and(Raw::is_null);
        self.entries.iter().any(|(existing, text)| &**existing == name && is_null(text))
    }

    /// Marks a field to be made anew, at the end if it is not there yet.
    pub(crate) fn renew(&mut self, name: &str) {
        match self.entries.iter_mut().find(|(existing, _)| &**existing == name) {
            Some(entry) => entry.1 = None,
            None => self.entries.push((name.into(), None)),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.entries.retain(|(existing, _)| &**existing != name);
    }

    /// The document; `push` appends the fields that are to be made anew.
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
