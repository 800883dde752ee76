//! Lexical scanning of Rust source: masking of comments and literals, brackets, words and line numbers. It is
//! no parser: its results are offsets into the text.

use std::ops::Range;

/// Byte that stands for every byte of a string or character literal in masked text.
pub const LITERAL: u8 = b'"';

/// Blanks comments with spaces and literals with [`LITERAL`].
///
/// Lengths and line breaks stay, so an offset into the result is an offset into `text`. A line that is blank
/// here but not in `text` is a line of comment.
pub fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (end, fill) = match (comment_end(bytes, at), literal_end(bytes, at)) {
            (Some(end), _) => (end, b' '),
            (None, Some(end)) => (end, LITERAL),
            (None, None) => (at + 1, bytes[at]),
        };
        fill_lines(&mut masked[at..end], fill);
        at = end;
    }
    String::from_utf8_lossy(&masked).into_owned()
}

/// Overwrites some ranges of a text with spaces, line breaks excepted.
pub fn blank(text: &str, ranges: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges {
        fill_lines(&mut bytes[range.clone()], b' ');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn fill_lines(bytes: &mut [u8], fill: u8) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = fill;
    }
}

/// End of the comment that starts at `at`: the line break, or what follows the last `*/`.
fn comment_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length));
    }
    if !rest.starts_with(b"/*") {
        return None;
    }
    let (mut depth, mut end) = (0_usize, at);
    while end < bytes.len() {
        if bytes[end..].starts_with(b"/*") {
            depth += 1;
            end += 2;
        } else if bytes[end..].starts_with(b"*/") {
            depth -= 1;
            end += 2;
            if depth == 0 {
                return Some(end);
            }
        } else {
            end += 1;
        }
    }
    Some(bytes.len())
}

/// End of the string or character literal that starts at `at`. A prefix (`b`, `c`) is not part of it, `r` is.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes[at] {
        b'"' => Some(quoted_end(bytes, at)),
        b'r' if !continues_identifier(bytes, at) => raw_end(bytes, at),
        b'\'' => character_end(bytes, at),
        _ => None,
    }
}

/// Returns whether the `r` at `at` is inside of an identifier. In `br"` and `cr"` it is not.
fn continues_identifier(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|index| bytes[index]);
    match before(1) {
        Some(b'b' | b'c') => before(2).is_some_and(is_identifier),
        Some(byte) => is_identifier(byte),
        None => false,
    }
}

fn quoted_end(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

fn raw_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let start = at + 1 + hashes;
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let closes = |index: &usize| {
        let rest = &bytes[*index..];
        rest[0] == b'"' && rest[1..].iter().take_while(|byte| **byte == b'#').count() >= hashes
    };
    Some((start + 1..bytes.len()).find(closes).map_or(bytes.len(), |quote| quote + 1 + hashes))
}

/// End of a character literal; `None` for a lifetime or a label.
fn character_end(bytes: &[u8], at: usize) -> Option<usize> {
    let first = *bytes.get(at + 1)?;
    if first == b'\\' {
        return Some(quoted_end(bytes, at));
    }
    let width = match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    };
    (bytes.get(at + 1 + width) == Some(&b'\'')).then_some(at + width + 2)
}

/// Returns whether a byte may be part of an identifier; bytes outside of ASCII count as letters.
pub fn is_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// The identifier or keyword that starts at `at`, or an empty text.
pub fn identifier(code: &str, at: usize) -> &str {
    let rest = code.get(at..).unwrap_or_default();
    let length = rest.bytes().take_while(|byte| is_identifier(*byte)).count();
    if rest.starts_with(|first: char| first.is_ascii_digit()) { "" } else { &rest[..length] }
}

/// Offsets at which `word` stands as a whole word in masked text.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let starts = at.checked_sub(1).is_none_or(|before| !is_identifier(bytes[before]));
        starts && bytes.get(at + word.len()).is_none_or(|after| !is_identifier(*after))
    })
}

/// Offset of the first byte at or after `at` that is no white space.
pub fn skip_space(code: &str, at: usize) -> usize {
    at + code.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Offset of the bracket that closes the one at `open` in masked text.
pub fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Offset of the first of some bytes at or after `at` in masked text, outside of the parentheses and square
/// brackets that open on the way.
pub fn find_outside(code: &str, at: usize, searched: &[u8]) -> Option<usize> {
    let bytes = code.as_bytes();
    let mut at = at;
    while let Some(byte) = bytes.get(at) {
        if searched.contains(byte) {
            return Some(at);
        }
        at = if matches!(byte, b'(' | b'[') { closing(code, at)? + 1 } else { at + 1 };
    }
    None
}

/// Number of the line that an offset is in, counted from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// Offset at which the line of an offset starts.
pub fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |line_break| line_break + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Masks a text; `~` stands for [`LITERAL`] in what is expected.
    fn check_mask(text: &str, expected: &str) {
        assert_eq!(mask(text).replace('"', "~"), expected, "{text}");
    }

    #[test]
    fn comments_become_spaces_and_literals_stay_visible() {
        check_mask("a // b \"c\"\nd", "a         \nd");
        check_mask("a /* b /* c */ d */ e", "a                   e");
        check_mask(r#"f("a // b", 'c')"#, "f(~~~~~~~~, ~~~)");
        check_mask("\"a\nb\" c", "~~\n~~ c");
    }

    #[test]
    fn quotes_in_literals_do_not_end_them() {
        check_mask(r#""a\"b" c"#, "~~~~~~ c");
        check_mask(r##"r#"a"b"# c"##, "~~~~~~~~ c");
        check_mask(r##"br#"""# c"##, "b~~~~~~ c");
        check_mask(r#"bar"{" c"#, "bar~~~ c");
        check_mask(r"'\'' c", "~~~~ c");
        check_mask("'\"' c", "~~~ c");
        check_mask("'é' c", "~~~~ c");
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        check_mask("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
        check_mask("'outer: loop { r#type }", "'outer: loop { r#type }");
    }

    #[test]
    fn closing_brackets_are_found() {
        assert_eq!(closing("a(b[c]{d})e", 1), Some(9));
        assert_eq!(closing("a(b", 1), None);
        assert_eq!(find_outside("fn f(x: [u8; 2]) -> T {", 0, b"{;"), Some(22));
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("fn refn fn_ fn", "fn").collect::<Vec<_>>(), [0, 12]);
        assert_eq!(identifier("a_1::b", 0), "a_1");
        assert_eq!(identifier("1a", 0), "");
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!((line_of("a\nb", 0), line_of("a\nb", 2)), (1, 2));
        assert_eq!((line_start("a\nbc", 0), line_start("a\nbc", 3)), (0, 2));
    }
}
