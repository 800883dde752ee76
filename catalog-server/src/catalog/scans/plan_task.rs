//! Plan tasks: units of planning work in the form of tokens that the client stores, so that any replica can
//! execute them without shared state.
//!
//! A task contains everything that its execution needs. It is signed, so that clients can neither change nor
//! forge it, and bound to the table, the caller and an expiry time.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use table_core::scan::request::UnparsedRequest;
use uuid::Uuid;

use super::scan_text::ScanText;

/// Version of the task format. It is incremented when the meaning of a task changes, so that older tasks are
/// rejected instead of misinterpreted.
const VERSION: u32 = 2;
const TAG_BYTES: usize = 32;
/// Size of the weight that precedes the content of a task, so that memory can be reserved before the content
/// is decompressed.
const WEIGHT_BYTES: usize = 8;

/// Part of a scan to be planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct PlanTask {
    /// Id of the table.
    pub(in crate::catalog) table: Uuid,
    /// Id of the caller that requested the scan.
    pub(in crate::catalog) caller: String,
    /// Expiry time, in milliseconds since 1970.
    pub(in crate::catalog) expires_ms: i64,
    /// Scan to be planned.
    pub(in crate::catalog) scan: ScanText,
    /// Range of the manifests to read, by their number in the scan (end exclusive).
    pub(in crate::catalog) manifests: (usize, usize),
    /// Range of the entries to read in each manifest (end exclusive).
    pub(in crate::catalog) entries: (usize, usize),
}

/// Serialised form of a task.
#[derive(Deserialize, Serialize)]
struct Content<'a> {
    version: u32,
    table: Uuid,
    caller: Cow<'a, str>,
    expires_ms: i64,
    metadata_location: Cow<'a, str>,
    request: Cow<'a, str>,
    manifests: (usize, usize),
    entries: (usize, usize),
}

/// Task returned by a client, whose signature was verified.
pub(in crate::catalog) struct SealedTask {
    weight_bytes: usize,
    content: Vec<u8>,
}

/// Common content of all plan tasks of one scan.
pub(super) struct TaskSource<'a> {
    /// Id of the table.
    pub(super) table: Uuid,
    /// Id of the caller that requested the scan.
    pub(super) caller: &'a str,
    /// Expiry time, in milliseconds since 1970.
    pub(super) expires_ms: i64,
    /// Scan to be planned.
    pub(super) scan: &'a ScanText,
}

impl TaskSource<'_> {
    /// Creates the token of a task for a range of manifests and entries of the scan.
    pub(in crate::catalog) fn seal(
        &self,
        key: &[u8],
        manifests: (usize, usize),
        entries: (usize, usize),
    ) -> String {
        let content = Content {
            version: VERSION,
            table: self.table,
            caller: Cow::Borrowed(self.caller),
            expires_ms: self.expires_ms,
            metadata_location: Cow::Borrowed(&self.scan.metadata_location),
            request: Cow::Borrowed(self.scan.request.text()),
            manifests,
            entries,
        };
        let mut sealed = Vec::new();
        sealed.extend_from_slice(&(self.scan.weight_bytes() as u64).to_be_bytes());
        let mut encoder = DeflateEncoder::new(sealed, Compression::fast());
        // Serialisation cannot fail for a structure of strings and numbers, and neither can writing to
        // memory.
        drop(serde_json::to_writer(&mut encoder, &content));
        let mut sealed = encoder.finish().unwrap_or_default();
        let tag = mac(key, &sealed).finalize().into_bytes();
        sealed.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(sealed)
    }
}

impl SealedTask {
    /// Verifies the signature of a token. Returns `None` if this catalog did not issue it.
    pub(in crate::catalog) fn check(token: &str, key: &[u8]) -> Option<SealedTask> {
        let mut content = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, tag) = content.split_at_checked(content.len().checked_sub(TAG_BYTES)?)?;
        mac(key, signed).verify_slice(tag).ok()?;
        let weight = signed.first_chunk::<WEIGHT_BYTES>()?;
        let weight_bytes = usize::try_from(u64::from_be_bytes(*weight)).ok()?;
        content.truncate(content.len() - TAG_BYTES);
        Some(SealedTask { weight_bytes, content })
    }

    /// Returns the same weight as [`ScanText::weight_bytes`].
    pub(in crate::catalog) fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    /// Decodes the task. Returns `None` if it has another version.
    pub(in crate::catalog) fn open(self) -> Option<PlanTask> {
        let mut json = Vec::new();
        DeflateDecoder::new(self.content.get(WEIGHT_BYTES..)?).read_to_end(&mut json).ok()?;
        drop(self.content);
        let task: Content<'_> = serde_json::from_slice(&json).ok()?;
        if task.version != VERSION {
            return None;
        }
        Some(PlanTask {
            table: task.table,
            caller: task.caller.into_owned(),
            expires_ms: task.expires_ms,
            scan: ScanText::new(
                task.metadata_location.into_owned(),
                UnparsedRequest::from_text(task.request.into()),
            ),
            manifests: task.manifests,
            entries: task.entries,
        })
    }
}

fn mac(key: &[u8], content: &[u8]) -> Hmac<Sha256> {
    // HMAC accepts keys of any length.
    #[expect(clippy::expect_used, reason = "cannot fail for HMAC")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(content);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan() -> ScanText {
        ScanText::read("file:///t/1.metadata.json".to_owned(), b"{\"filter\":true}").unwrap()
    }

    fn sealed() -> String {
        let source = TaskSource { table: Uuid::from_u128(1), caller: "alice", expires_ms: 5, scan: &scan() };
        source.seal(b"key", (2, 3), (4, 5))
    }

    fn open(token: &str, key: &[u8]) -> Option<PlanTask> {
        SealedTask::check(token, key)?.open()
    }

    #[test]
    fn what_was_sealed_opens() {
        let expected = PlanTask {
            table: Uuid::from_u128(1),
            caller: "alice".to_owned(),
            expires_ms: 5,
            scan: scan(),
            manifests: (2, 3),
            entries: (4, 5),
        };
        assert_eq!(open(&sealed(), b"key"), Some(expected));
    }

    #[test]
    fn nothing_else_opens() {
        let sealed = sealed();
        assert_eq!(open(&sealed, b"other"), None);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(open(&changed, b"key"), None, "position {position}");
        }
        for text in ["", "A", "!", &sealed[..sealed.len() - 1], &sealed[1..]] {
            assert_eq!(open(text, b"key"), None, "{text}");
        }
    }
}
