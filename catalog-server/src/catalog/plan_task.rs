//! Plan tasks: units of planning work that a client carries, so that any replica can do them and none has to remember.
//!
//! A task says all that is needed to do it. It is signed, so that nobody can change it or make one, and bound to the
//! table, the caller and a time.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

/// Raised when the meaning of a task changes, so that an older one is refused instead of misunderstood.
const VERSION: u32 = 1;
const TAG_BYTES: usize = 32;

/// A part of a scan to be planned.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(super) struct PlanTask {
    version: u32,
    /// The table it is for.
    pub(super) table: Uuid,
    /// Who asked for the scan.
    pub(super) caller: String,
    /// When it expires, in milliseconds since 1970.
    pub(super) expires_ms: i64,
    /// The metadata file that says what the table was.
    pub(super) metadata_location: String,
    /// What was asked for: JSON.
    pub(super) request: String,
    /// The manifests to go through, by their number in the scan: from the first to before the second.
    pub(super) manifests: (usize, usize),
    /// Which entries of them.
    pub(super) entries: (usize, usize),
}

impl PlanTask {
    pub(super) fn new(
        table: Uuid,
        caller: &str,
        expires_ms: i64,
        metadata_location: &str,
        request: &str,
    ) -> PlanTask {
        PlanTask {
            version: VERSION,
            table,
            caller: caller.to_owned(),
            expires_ms,
            metadata_location: metadata_location.to_owned(),
            request: request.to_owned(),
            manifests: (0, 0),
            entries: (0, usize::MAX),
        }
    }

    /// The task as a client carries it.
    pub(super) fn seal(&self, key: &[u8]) -> String {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        // A structure of strings and numbers always serialises, and memory takes all that is written.
        drop(encoder.write_all(&serde_json::to_vec(self).unwrap_or_default()));
        let mut sealed = encoder.finish().unwrap_or_default();
        let tag = mac(key, &sealed).finalize().into_bytes();
        sealed.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The task that a client sent back; `None` if it is not one of ours.
    pub(super) fn open(token: &str, key: &[u8]) -> Option<PlanTask> {
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
        mac(key, content).verify_slice(tag).ok()?;
        let mut json = Vec::new();
        DeflateDecoder::new(content).read_to_end(&mut json).ok()?;
        let task: PlanTask = serde_json::from_slice(&json).ok()?;
        (task.version == VERSION).then_some(task)
    }
}

fn mac(key: &[u8], content: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    #[expect(clippy::expect_used, reason = "cannot fail for HMAC")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(content);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> PlanTask {
        PlanTask::new(Uuid::from_u128(1), "alice", 5, "file:///t/1.metadata.json", "{\"filter\":true}")
    }

    #[test]
    fn what_was_sealed_opens() {
        assert_eq!(PlanTask::open(&task().seal(b"key"), b"key"), Some(task()));
    }

    #[test]
    fn nothing_else_opens() {
        let sealed = task().seal(b"key");
        assert_eq!(PlanTask::open(&sealed, b"other"), None);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(PlanTask::open(&changed, b"key"), None, "position {position}");
        }
        for text in ["", "A", "!", &sealed[..sealed.len() - 1], &sealed[1..]] {
            assert_eq!(PlanTask::open(text, b"key"), None, "{text}");
        }
    }
}
