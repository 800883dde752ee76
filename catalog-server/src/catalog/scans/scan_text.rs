//! Text of a scan: the version of the table and the request of the client. It is what plan tasks and submitted
//! plans carry, and by what prepared scans are cached.

use sha2::{Digest as _, Sha256};
use table_core::scan::error::ScanError;
use table_core::scan::request::UnparsedRequest;

/// Maximum length of requests that are processed without reserving memory. There are at most as many as
/// connections.
const LIGHT_BYTES: usize = 16 << 10;
/// Memory for each element of a list in a request, in bytes: the parsed value, temporarily stored twice.
const ELEMENT_BYTES: usize = 64;
/// Memory for each string in a request in addition to its characters, in bytes: its own allocations.
const TEXT_BYTES: usize = 40;

/// Request for a scan of one version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanText {
    /// Location of the metadata file, which identifies the version of the table.
    pub(super) metadata_location: String,
    /// Scan request, reduced to the parts that affect the plan.
    pub(super) request: UnparsedRequest,
    key: [u8; 32],
    weight_bytes: usize,
}

impl ScanText {
    /// Creates the scan of a request body, without the parts that have no effect on the plan. Fails if the
    /// body is not a JSON object; the values of its fields are not decoded.
    pub(super) fn read(metadata_location: String, body: &[u8]) -> Result<ScanText, ScanError> {
        Ok(ScanText::new(metadata_location, UnparsedRequest::read(body)?))
    }

    /// Creates the scan of a request.
    pub(super) fn new(metadata_location: String, request: UnparsedRequest) -> ScanText {
        let mut hash = Sha256::new();
        hash.update((metadata_location.len() as u64).to_be_bytes());
        hash.update(&metadata_location);
        hash.update(request.text());
        let weight_bytes = weight(request.text().as_bytes());
        ScanText { metadata_location, request, key: hash.finalize().into(), weight_bytes }
    }

    /// Returns the key of the scan in caches: a hash of the metadata location and the request.
    pub(super) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Returns the approximate memory that processing the scan needs, in bytes; 0 if it is small.
    pub(super) fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }
}

/// Estimates the memory for a request: a parsed filter takes far more memory than its text, depending on its
/// elements.
fn weight(request: &[u8]) -> usize {
    if request.len() <= LIGHT_BYTES {
        return 0;
    }
    let elements = memchr::memchr_iter(b',', request).count();
    let texts = memchr::memchr_iter(b'"', request).count() / 2;
    3 * request.len() + ELEMENT_BYTES * elements + TEXT_BYTES * texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_of_a_scan_grows_with_what_its_text_becomes() {
        assert_eq!(weight("1,".repeat(100).as_bytes()), 0);
        assert!(weight("1,".repeat(1 << 20).as_bytes()) > 64 << 20);
        assert!(weight("\"a\",".repeat(1 << 20).as_bytes()) > 100 << 20);
        assert!(weight(" ".repeat(1 << 20).as_bytes()) < 4 << 20);
    }
}
