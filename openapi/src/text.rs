//! Limits on the length of texts that clients send. The texts are stored in a database that all clients
//! share, and sent back, so that none of them may be arbitrarily long.
//!
//! There are two ways to read a field. [`bounded`] refuses a longer text, for texts that the sender can
//! choose to be shorter. [`shortened`] truncates it, for messages of a file, a library or an operating
//! system.
//!
//! ```text
//! #[serde(deserialize_with = "text::bounded::<_, REASON_BYTES_MAX>")]
//! reason: String,
//! ```

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// Maximum length of a reason stated by a user, in bytes.
pub const REASON_BYTES_MAX: usize = 1_000;
/// Maximum length of the name of a worker, in bytes.
pub const WORKER_BYTES_MAX: usize = 200;
/// Maximum length of a stored message of a worker, in bytes: an error with its causes.
pub const MESSAGE_BYTES_MAX: usize = 4_096;
/// Maximum length of the progress of a job, in bytes of JSON. It is sent every few seconds.
pub const PROGRESS_BYTES_MAX: usize = 16 << 10;
/// Maximum length of the result of a job, in bytes of JSON. It may name the files that were skipped, at about
/// a hundred bytes each.
pub const RESULT_BYTES_MAX: usize = 256 << 10;
/// Maximum length of the path of an output file that a worker announces, in bytes. No location may be longer.
pub const PATH_BYTES_MAX: usize = 2_048;
/// Maximum number of paths in one announcement of output files.
pub const PATHS_MAX: usize = 10_000;
/// Maximum number of follow-up jobs that one job may report.
pub const NEXT_MAX: usize = 100;
/// Replacement for the part of a text that was cut off.
const ELLIPSIS: &str = "…";

/// Deserialises a text of at most `BYTES_MAX` bytes of UTF-8.
///
/// # Errors
///
/// Fails if the value is not a text, if it is longer, or if it contains the character 0x00, which PostgreSQL
/// cannot store.
pub fn bounded<'de, D: Deserializer<'de>, const BYTES_MAX: usize>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > BYTES_MAX {
        let bytes = text.len();
        return Err(D::Error::custom(format!(
            "a text of {bytes} bytes where at most {BYTES_MAX} bytes are stored"
        )));
    }
    if text.contains('\0') {
        return Err(D::Error::custom("a text that contains the character 0x00"));
    }
    Ok(text)
}

/// Deserialises a text, and truncates it to at most `BYTES_MAX` bytes of UTF-8. Characters 0x00 are removed,
/// because PostgreSQL cannot store them.
///
/// # Errors
///
/// Fails only if the value is not a text.
pub fn shortened<'de, D: Deserializer<'de>, const BYTES_MAX: usize>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let text = if text.contains('\0') { text.replace('\0', "") } else { text };
    Ok(shorten(&text, BYTES_MAX).into_owned())
}

/// Deserialises a list of at most [`PATHS_MAX`] paths of files.
///
/// # Errors
///
/// Fails if the value is not a list of texts, if there are more of them, or if one is longer than
/// [`PATH_BYTES_MAX`] or contains the character 0x00.
pub fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let paths = Vec::<String>::deserialize(deserializer)?;
    if paths.len() > PATHS_MAX {
        return Err(D::Error::custom(format!(
            "{} paths where at most {PATHS_MAX} are accepted",
            paths.len()
        )));
    }
    match paths.iter().find(|path| path.len() > PATH_BYTES_MAX || path.contains('\0')) {
        None => Ok(paths),
        Some(path) => Err(D::Error::custom(format!(
            "a path of {} bytes; paths have at most {PATH_BYTES_MAX} bytes, none of them zero",
            path.len()
        ))),
    }
}

/// Deserialises any JSON value of at most `BYTES_MAX` bytes, serialised without white space; `None` for
/// `null`.
///
/// # Errors
///
/// Fails if the value is longer, or is not valid JSON.
pub fn json<'de, D: Deserializer<'de>, const BYTES_MAX: usize>(
    deserializer: D,
) -> Result<Option<Value>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    let bytes = value.as_ref().map_or(0, |value| value.to_string().len());
    if bytes > BYTES_MAX {
        return Err(D::Error::custom(format!(
            "JSON of {bytes} bytes where at most {BYTES_MAX} bytes are stored"
        )));
    }
    Ok(value)
}

/// Returns `text` if it has at most `bytes_max` bytes, otherwise as many of its first characters as fit into
/// that limit together with an ellipsis.
pub fn shorten(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let room = bytes_max.saturating_sub(ELLIPSIS.len());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Cow::Owned(format!("{}{ELLIPSIS}", text.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Texts {
        #[serde(default, deserialize_with = "bounded::<_, 4>")]
        reason: String,
        #[serde(default, deserialize_with = "shortened::<_, 5>")]
        error: String,
        #[serde(default, deserialize_with = "json::<_, 10>")]
        progress: Option<Value>,
        #[serde(default, deserialize_with = "paths")]
        add: Vec<String>,
    }

    fn read(json: &str) -> Result<Texts, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_cut_is_whole_characters_and_fits() {
        for (text, bytes_max, expected) in [
            ("", 5, ""),
            ("abcde", 5, "abcde"),
            ("abcdef", 5, "ab…"),
            ("aüüü", 6, "aü…"),
            ("😀😀😀", 9, "😀…"),
            ("😀😀", 7, "😀…"),
            ("😀😀", 6, "…"),
        ] {
            assert_eq!(shorten(text, bytes_max), expected, "{text}");
        }
    }

    #[test]
    fn what_the_sender_can_change_is_refused_with_its_bound() {
        assert_eq!(read(r#"{"reason":"üü"}"#).unwrap().reason, "üü");
        assert!(read(r#"{"reason":"12345"}"#).unwrap_err().contains("5 bytes where at most 4"));
        assert!(read(r#"{"reason":"\u0000"}"#).unwrap_err().contains("0x00"));
        assert!(read(r#"{"progress":{"a":[1,2]}}"#).unwrap_err().contains("11 bytes where at most 10"));
        assert_eq!(read(r#"{"progress":null}"#).unwrap().progress, None);
        let long = "x".repeat(PATH_BYTES_MAX + 1);
        assert!(read(&format!(r#"{{"add":["{long}"]}}"#)).unwrap_err().contains("at most 2048"));
        let many = format!("[{}\"\"]", r#""","#.repeat(PATHS_MAX));
        assert!(read(&format!(r#"{{"add":{many}}}"#)).unwrap_err().contains("at most 10000"));
        assert_eq!(read(r#"{"add":["a"]}"#).unwrap().add, ["a"]);
    }

    #[test]
    fn what_a_library_said_is_cut() {
        assert_eq!(read(r#"{"error":"a\u0000b"}"#).unwrap().error, "ab");
        assert_eq!(read(r#"{"error":"abcdefgh"}"#).unwrap().error, "ab…");
    }
}
