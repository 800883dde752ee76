//! Identity of an attempt at a job, in requests. Whether it is current is decided by the catalog.

/// Identity of an attempt at a job. A worker sends it with its commits, so that they fail once the job was
/// leased again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence(String);

impl Fence {
    /// Creates the identity of an attempt.
    pub fn new(job_id: uuid::Uuid, attempt: i64) -> Fence {
        Fence(format!("{job_id}/{attempt}"))
    }

    /// Returns the value of the header.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
