//! Limits of JSON text beyond which Java's parser (Jackson) refuses a whole document, and with it the table.

use crate::metadata::error::MetadataError;

/// Maximum nesting of objects and arrays in a request. Jackson allows 1,000 levels in the whole document.
const NESTING_MAX: usize = 900;
/// Maximum length of a member name, in bytes; Jackson allows 50,000 characters.
const NAME_BYTES_MAX: usize = 50_000;
/// Maximum length of a number, in characters; the limit of Jackson.
const NUMBER_BYTES_MAX: usize = 1_000;
/// Maximum length of a string, in bytes; Jackson allows 20,000,000 characters.
const STRING_BYTES_MAX: usize = 20_000_000;

/// Checks valid JSON text against the limits. Linear, and without recursion.
///
/// Fails with the first part that is too long or nested too deeply.
pub(crate) fn check(text: &str) -> Result<(), MetadataError> {
    let refuse =
        |reason: String| Err(MetadataError::malformed(format!("{reason}; Java clients could not read it")));
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = end_of_string(bytes, at);
                let length = end.saturating_sub(at + 2);
                if length > STRING_BYTES_MAX {
                    return refuse(format!("a string is longer than {STRING_BYTES_MAX} bytes"));
                }
                if length > NAME_BYTES_MAX && is_name(bytes, end) {
                    return refuse(format!("a name is longer than {NAME_BYTES_MAX} bytes"));
                }
                at = end;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > NESTING_MAX {
                    return refuse(format!("objects and arrays nest deeper than {NESTING_MAX} levels"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let is_part = |byte: &&u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = rest.iter().take_while(is_part).count();
                if length > NUMBER_BYTES_MAX {
                    return refuse(format!("a number is longer than {NUMBER_BYTES_MAX} characters"));
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Checks the length of a member name that is yet to be written.
pub(crate) fn check_name(name: &str) -> Result<(), MetadataError> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(MetadataError::malformed(format!(
        "a name is longer than {NAME_BYTES_MAX} bytes; Java clients could not read it"
    )))
}

/// Returns the position after the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return bytes.len(),
            Some(found) if rest.get(found) == Some(&b'"') => return at + found + 1,
            // The character after a backslash is part of the string.
            Some(found) => at += found + 2,
        }
    }
}

/// Returns `true` if the string that ends before `end` is the name of a member.
fn is_name(bytes: &[u8], end: usize) -> bool {
    let rest = bytes.get(end..).unwrap_or_default();
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jackson_reads_passes_and_what_it_refuses_does_not() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let named = |length: usize| format!("{{\"{}\" : 1}}", "n".repeat(length));
        for text in [nested(900), named(50_000), "1".repeat(1000), format!("\"{}\\\\\"", "x".repeat(60_000))]
        {
            check(&text).unwrap();
        }
        for text in [nested(901), named(50_001), format!("[-{}]", "1".repeat(1000))] {
            check(&text).unwrap_err();
        }
        check(&format!("\"{}\"", "[".repeat(2000))).unwrap();
    }
}
