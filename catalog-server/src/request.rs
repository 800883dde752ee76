//! Request to a use case: its caller, its id, its time, and the facts that make it safe to repeat. It knows no HTTP.

use std::sync::Arc;

use uuid::Uuid;

use crate::id;

/// Request to a use case. Every use case takes one, reads included.
#[derive(Clone, Debug)]
pub struct Request {
    /// Authenticated caller.
    pub caller: Caller,
    /// Id of the request in logs, in the audit trail and in the `x-request-id` header.
    pub request_id: Uuid,
    /// Time at which the request arrived, in milliseconds since 1970.
    ///
    /// Access is decided by it. Changes are recorded with the time of their transaction, which may be later.
    pub time_ms: i64,
    /// Maintenance job for which a worker sends the request. No metadata pointer is moved or created unless this
    /// attempt still holds the lease; other use cases ignore it.
    pub job: Option<JobAttempt>,
    /// Idempotency key of the client, if it sent one and the endpoint supports it.
    pub idempotency: Option<IdempotencyKey>,
}

/// Caller of a use case, as established by authentication. Clones share the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Arc<Identity>);

/// Facts about a caller.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// Stable id, by which the caller appears in the audit trail and owns plans and idempotency keys.
    pub id: String,
    /// Kind of the caller.
    pub kind: CallerKind,
    /// Names of the groups that the caller is a member of.
    pub groups: Vec<String>,
    /// Id of the client application that acts for the caller, if authentication names one.
    pub client: Option<String>,
    /// Way in which the caller was authenticated.
    pub authentication: Authentication,
}

/// Kind of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// Administrator of a server in local mode, which answers on the loopback address only.
    LocalAdministrator,
    /// The server itself, for its background work.
    System,
}

/// Way in which a caller was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Access to the loopback address of the machine.
    Loopback,
    /// None: the request does not come from outside of the process.
    Internal,
}

/// Attempt of a worker at a maintenance job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobAttempt {
    /// Id of the job.
    pub job_id: Uuid,
    /// Number of the attempt, from 1; every lease of the job to a worker increments it.
    pub attempt: i64,
}

/// Idempotency key of a client and the request that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Value of the `Idempotency-Key` header.
    pub key: Uuid,
    /// SHA-256 of method, resource and body, in hexadecimal.
    pub fingerprint: String,
}

impl Request {
    /// Creates a request of a caller, without a job and an idempotency key.
    pub fn new(caller: Caller, request_id: Uuid, time_ms: i64) -> Self {
        Self { caller, request_id, time_ms, job: None, idempotency: None }
    }

    /// Creates a request of the server itself, for its background work.
    pub fn of_system(time_ms: i64) -> Self {
        Self::new(Caller::system(), id::ordered(), time_ms)
    }
}

impl Caller {
    /// Creates the caller of an identity.
    pub fn new(identity: Identity) -> Self {
        Self(Arc::new(identity))
    }

    /// Creates the administrator of a server in local mode.
    pub fn local_administrator() -> Self {
        Self::new(Identity {
            id: "local-administrator".to_owned(),
            kind: CallerKind::LocalAdministrator,
            groups: Vec::new(),
            client: None,
            authentication: Authentication::Loopback,
        })
    }

    /// Creates the caller of the server's own work.
    pub fn system() -> Self {
        Self::new(Identity {
            id: "system".to_owned(),
            kind: CallerKind::System,
            groups: Vec::new(),
            client: None,
            authentication: Authentication::Internal,
        })
    }

    /// Returns the stable id of the caller.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns everything that authentication established.
    pub fn identity(&self) -> &Identity {
        &self.0
    }
}
