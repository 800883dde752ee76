//! Bounds as manifests keep them: their binary form, cut to a length without ceasing to bound. Not the search for the least
//! and greatest value; see [`super::statistics`].

use super::modes::MetricsMode;
use crate::metadata::types::Primitive;

/// The lower bound that is kept of the least value, both in binary form.
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

/// The upper bound that is kept of the greatest value; `None` if no short one is great enough.
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

/// Where the first `length` characters end.
fn end_of(text: &str, length: usize) -> usize {
    text.char_indices().nth(length).map_or(text.len(), |(end, _)| end)
}

/// The shortest text after everything that begins with `prefix`.
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

/// The next character, beyond the gap of the surrogates.
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
