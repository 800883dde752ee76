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
}

/// A client's key, and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub key: Uuid,
    /// SHA-256 over method, resource and body, in hex.
    pub fingerprint: String,
}
