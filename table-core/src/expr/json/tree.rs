//! Lookup of the members of nested JSON objects without parsing their content: one pass over the text records
//! the end of each object and array. A tree of any nesting is thus parsed in time linear in its text.

use std::borrow::Cow;
use std::ops::Range;

use crate::expr::error::ExpressionError;
use crate::metadata::json::{decode, find_duplicate};

/// Valid JSON text, with the ends of its objects and arrays.
pub(super) struct Tree<'a> {
    text: &'a str,
    /// Start and end of each object and array, ordered by start. Expressions are shorter than 4 GiB.
    containers: Vec<(u32, u32)>,
}

/// Members of an object, with their values as ranges of the text.
pub(super) struct Members<'a> {
    entries: Vec<(Cow<'a, str>, Range<usize>)>,
}

impl<'a> Tree<'a> {
    /// Scans the text of one JSON value, whose syntax the caller has checked.
    pub(super) fn new(text: &'a str) -> Tree<'a> {
        let mut containers = Vec::new();
        let mut open = Vec::new();
        let (mut in_string, mut is_escaped) = (false, false);
        for (position, byte) in (0_u32..).zip(text.bytes()) {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_string => is_escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => {
                    open.push(containers.len());
                    containers.push((position, position));
                }
                b'}' | b']' => {
                    if let Some(container) = open.pop().and_then(|number: usize| containers.get_mut(number)) {
                        container.1 = position + 1;
                    }
                }
                _ => {}
            }
        }
        Tree { text, containers }
    }

    /// Returns the text of a range.
    pub(super) fn text(&self, place: &Range<usize>) -> &'a str {
        self.text.get(place.clone()).unwrap_or_default()
    }

    /// Returns the range of the whole text.
    pub(super) fn whole(&self) -> Range<usize> {
        0..self.text.len()
    }

    /// Returns the members of the object at a range. Fails if a name occurs twice.
    pub(super) fn members(&self, object: &Range<usize>) -> Result<Members<'a>, ExpressionError> {
        let mut entries = Vec::new();
        let mut position = self.after_space(object.start + 1);
        while self.byte(position) == Some(b'"') {
            let name = self.text(&(position..self.after_string(position)));
            let colon = self.after_space(position + name.len());
            let start = self.after_space(colon + 1);
            let end = self.end_of_value(start);
            let plain = name.get(1..name.len() - 1).filter(|inner| !inner.contains('\\'));
            let name = match plain {
                Some(plain) => Cow::Borrowed(plain),
                None => Cow::Owned(decode::<String>(name, "name of a field")?),
            };
            entries.push((name, start..end));
            // Skips the comma, or the closing brace.
            position = self.after_space(self.after_space(end) + 1);
        }
        match find_duplicate(&entries) {
            Some(name) => Err(ExpressionError::malformed(format!(
                "`{name}` occurs twice in one object of the expression"
            ))),
            None => Ok(Members { entries }),
        }
    }

    fn byte(&self, position: usize) -> Option<u8> {
        self.text.as_bytes().get(position).copied()
    }

    fn after_space(&self, mut position: usize) -> usize {
        while matches!(self.byte(position), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            position += 1;
        }
        position
    }

    /// Returns the position after the string that begins at `start`.
    fn after_string(&self, start: usize) -> usize {
        let mut position = start + 1;
        loop {
            match self.byte(position) {
                Some(b'\\') => position += 2,
                Some(b'"') => return position + 1,
                Some(_) => position += 1,
                None => return self.text.len(),
            }
        }
    }

    fn end_of_value(&self, start: usize) -> usize {
        match self.byte(start) {
            Some(b'{' | b'[') => {
                let found = u32::try_from(start).ok().and_then(|start| {
                    let number = self.containers.binary_search_by_key(&start, |(start, _)| *start).ok()?;
                    self.containers.get(number)
                });
                found.and_then(|(_, end)| usize::try_from(*end).ok()).unwrap_or(self.text.len())
            }
            Some(b'"') => self.after_string(start),
            _ => {
                let mut position = start;
                while !matches!(
                    self.byte(position),
                    None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
                ) {
                    position += 1;
                }
                position
            }
        }
    }
}

impl Members<'_> {
    /// Returns the range of the value of a member; `None` if there is no such member.
    pub(super) fn get(&self, name: &str) -> Option<&Range<usize>> {
        self.entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}
