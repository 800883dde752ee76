//! Column bounds as stored in manifests: in binary form, and truncated such that they are still bounds. The
//! least and greatest values are determined in [`super::statistics`].

use super::modes::MetricsMode;
use crate::metadata::types::Primitive;

/// Returns the lower bound to store for the least value, both in binary form.
pub(super) fn lower(least: Vec<u8>, value_type: &Primitive, mode: MetricsMode) -> Vec<u8> {
    let MetricsMode::Truncate(length) = mode else { return least };
    let end = match value_type {
        Primitive::String => str::from_utf8(&least).map_or(least.len(), |text| end_of(text, length)),
        Primitive::Binary => length.min(least.len()),
        _ => least.len(),
    };
    let mut least = least;
    least.truncate(end);
    least
}

/// Returns the upper bound to store for the greatest value; `None` if no truncated value is an upper bound.
pub(super) fn upper(greatest: Vec<u8>, value_type: &Primitive, mode: MetricsMode) -> Option<Vec<u8>> {
    let MetricsMode::Truncate(length) = mode else { return Some(greatest) };
    match value_type {
        Primitive::String => {
            let text = str::from_utf8(&greatest).ok()?;
            let end = end_of(text, length);
            if end == text.len() {
                return Some(greatest);
            }
            next_text(text.get(..end)?).map(String::into_bytes)
        }
        Primitive::Binary if greatest.len() > length => next_bytes(greatest.get(..length)?),
        _ => Some(greatest),
    }
}

/// Returns the byte offset at which the first `length` characters end.
fn end_of(text: &str, length: usize) -> usize {
    text.char_indices().nth(length).map_or(text.len(), |(end, _)| end)
}

/// Returns the shortest string that is greater than every string beginning with `prefix`.
fn next_text(prefix: &str) -> Option<String> {
    let mut kept = prefix;
    while let Some(last) = kept.chars().next_back() {
        kept = kept.get(..kept.len() - last.len_utf8())?;
        if let Some(next) = next_character(last) {
            return Some(format!("{kept}{next}"));
        }
    }
    None
}

/// Returns the next character, skipping the surrogates.
fn next_character(character: char) -> Option<char> {
    match character {
        '\u{D7FF}' => Some('\u{E000}'),
        _ => char::from_u32(u32::from(character) + 1),
    }
}

fn next_bytes(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix.get(..=last)?.to_vec();
    *next.last_mut()? += 1;
    Some(next)
}
