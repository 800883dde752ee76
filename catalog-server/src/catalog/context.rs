//! Who asks, and under which request.

use uuid::Uuid;

/// The caller of a use case, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever reaches the loopback address of a server without authentication.
    LocalAdministrator,
    /// The server itself, for work it does on its own.
    System,
}

impl Caller {
    /// The name under which the caller appears in the audit trail.
    pub fn id(self) -> &'static str {
        match self {
            Self::LocalAdministrator => "local-administrator",
            Self::System => "system",
        }
    }
}

/// One request: who asks, its id in logs, and the client's key against doing it twice.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks.
    pub caller: Caller,
    /// The id of the request in logs and in the audit trail.
    pub request_id: Uuid,
    /// Present when the client sent an `Idempotency-Key`.
    pub idempotency: Option<IdempotencyKey>,
    /// Present when a maintenance worker commits: nothing is done unless the job is still this attempt's.
    pub job: Option<JobAttempt>,
}

/// A worker's attempt at a maintenance job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobAttempt {
    /// The job.
    pub job_id: Uuid,
    /// Counts the workers that have had it.
    pub attempt: i64,
}

/// A client's key, and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub key: Uuid,
    /// SHA-256 over method, resource and body, in hex.
    pub fingerprint: String,
}
