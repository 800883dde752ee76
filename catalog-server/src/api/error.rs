//! Mapping of catalog errors to HTTP: the only module that knows status codes and Iceberg's error types.

use std::borrow::Cow;
use std::fmt::Display;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use openapi::text::shorten;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use table_core::commit::error::CommitError;
use table_core::scan::error::ScanError;
use utoipa::{IntoResponses, ToSchema};

use crate::catalog::access::Forbidden;
use crate::catalog::backend::{BackendError, with_causes};
use crate::catalog::locations::error::OwnershipError;
use crate::catalog::mutations::error::MutationError;
use crate::catalog::names::NameError;
use crate::catalog::namespaces::error::NamespaceError;
use crate::catalog::reports::ReportError;
use crate::catalog::scans::error::PlanError;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::error::WarehouseError;
use crate::schedule::error::ScheduleError;

/// Maximum length of an error message, in bytes. Messages quote client input, which may be of any length;
/// they are returned, recorded under idempotency keys, and logged.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// Error response of an endpoint: status, Iceberg error type and message.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    /// `true` if a concurrent request with the same idempotency key was executed, so that its recorded
    /// response is to be returned.
    is_replayed: bool,
}

/// Body of every error response.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct IcebergErrorResponse {
    /// Details of the error.
    pub error: ErrorModel,
}

/// Details of an error.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ErrorModel {
    /// Human-readable description of the problem and, where possible, of its solution.
    pub message: String,
    /// Machine-readable error type: the name of the exception class in Iceberg's Java implementation.
    #[schema(example = "NoSuchTableException")]
    pub r#type: String,
    /// HTTP status code of the response.
    #[schema(minimum = 400, maximum = 600)]
    pub code: u16,
}

/// Error responses that every operation may return.
#[derive(IntoResponses)]
pub enum CommonErrors {
    /// The request is malformed or invalid.
    #[response(status = 400)]
    BadRequest(IcebergErrorResponse),
    /// The caller could not be authenticated.
    #[response(status = 401)]
    Unauthorized(IcebergErrorResponse),
    /// The caller is not authorised for the operation.
    #[response(status = 403)]
    Forbidden(IcebergErrorResponse),
    /// The object, or its parent namespace or warehouse, does not exist.
    #[response(status = 404)]
    NotFound(IcebergErrorResponse),
    /// The request body did not arrive in time.
    #[response(status = 408)]
    RequestTimeout(IcebergErrorResponse),
    /// The request body exceeds the maximum size.
    #[response(status = 413)]
    PayloadTooLarge(IcebergErrorResponse),
    /// The request body is compressed.
    #[response(status = 415)]
    UnsupportedMediaType(IcebergErrorResponse),
    /// The request headers exceed the maximum size.
    #[response(status = 431)]
    HeadersTooLarge(IcebergErrorResponse),
    /// The server failed. If the type is `CommitStateUnknownException`, the change may or may not have been
    /// made.
    #[response(status = 500)]
    Internal(IcebergErrorResponse),
    /// The database or the file system is unavailable or overloaded. Retry later.
    #[response(status = 503)]
    Unavailable(IcebergErrorResponse),
}

/// Error responses of operations that mutation the catalog, besides [`CommonErrors`].
#[derive(IntoResponses)]
pub enum MutationErrors {
    /// The operation is not supported for this object.
    #[response(status = 406)]
    Unsupported(IcebergErrorResponse),
    /// The name is in use, the namespace is not empty, or a commit requirement failed.
    #[response(status = 409)]
    Conflict(IcebergErrorResponse),
    /// The request contradicts itself, or its `Idempotency-Key` was used for a different request.
    #[response(status = 422)]
    Unprocessable(IcebergErrorResponse),
    /// The request timed out. The change may or may not have been made.
    #[response(status = 504)]
    Timeout(IcebergErrorResponse),
}

impl ApiError {
    /// Creates an error with a status, an Iceberg error type and a message, which is truncated to the maximum
    /// length.
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let message = match shorten(&message, MESSAGE_BYTES_MAX) {
            Cow::Borrowed(_) => message,
            Cow::Owned(shorter) => shorter,
        };
        Self { status, kind, message, is_replayed: false }
    }

    /// Creates a 400 `BadRequestException`: the request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
    }

    /// Creates a 403 `ForbiddenException`: the caller is not authorised for the operation.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "ForbiddenException", message)
    }

    /// Creates a 400 `IllegalArgumentException`: Iceberg's Java client throws the same exception when it
    /// validates without a server.
    fn invalid(error: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "IllegalArgumentException", error.to_string())
    }

    fn not_found(kind: &'static str, error: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, kind, error.to_string())
    }

    fn conflict(kind: &'static str, error: impl Display) -> Self {
        Self::new(StatusCode::CONFLICT, kind, error.to_string())
    }

    fn unprocessable(error: impl Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntityException", error.to_string())
    }

    /// Creates a 500 for a failure of the server, and logs it with its causes.
    fn failed(kind: &'static str, error: &dyn std::error::Error) -> Self {
        tracing::error!(error = with_causes(error), "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, kind, error.to_string())
    }

    /// Creates the error of a defect of the server.
    pub fn internal(message: impl Into<String>) -> Self {
        BackendError::Internal(message.into()).into()
    }

    /// Returns `true` if a concurrent request with the same idempotency key was executed, so that its
    /// recorded response is to be returned.
    pub fn is_replayed(&self) -> bool {
        self.is_replayed
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the body of the response: an [`IcebergErrorResponse`] as JSON.
    pub fn body(&self) -> String {
        let error = ErrorModel {
            message: self.message.clone(),
            r#type: self.kind.to_owned(),
            code: self.status.as_u16(),
        };
        // Serialisation cannot fail: the body consists of strings and a number.
        serde_json::to_string(&IcebergErrorResponse { error }).unwrap_or_default()
    }

    /// Returns `true` if the same request would fail in the same way if it were repeated.
    pub fn is_final(&self) -> bool {
        self.status.is_client_error() && self.status != StatusCode::REQUEST_TIMEOUT
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::invalid(error)
    }
}

impl From<Forbidden> for ApiError {
    fn from(error: Forbidden) -> Self {
        Self::forbidden(error.to_string())
    }
}

impl From<WarehouseError> for ApiError {
    fn from(error: WarehouseError) -> Self {
        match error {
            WarehouseError::NoSuchWarehouse(_) => Self::not_found("NoSuchWarehouseException", error),
            WarehouseError::Invalid(_) | WarehouseError::UnusableStorage(_) => Self::invalid(error),
            WarehouseError::AlreadyExists(_) => Self::conflict("AlreadyExistsException", error),
            WarehouseError::Secret(_) => Self::internal(error.to_string()),
            WarehouseError::Forbidden(error) => error.into(),
            WarehouseError::Backend(error) => error.into(),
        }
    }
}

impl From<OwnershipError> for ApiError {
    fn from(error: OwnershipError) -> Self {
        match error {
            OwnershipError::Invalid(_) => Self::invalid(error),
            OwnershipError::Backend(error) => error.into(),
        }
    }
}

impl From<NamespaceError> for ApiError {
    fn from(error: NamespaceError) -> Self {
        use NamespaceError as E;
        match error {
            E::NoSuchNamespace(_) => Self::not_found("NoSuchNamespaceException", error),
            E::NamespaceExists(_) => Self::conflict("AlreadyExistsException", error),
            E::NamespaceNotEmpty(_) => Self::conflict("NamespaceNotEmptyException", error),
            E::ChangedMeanwhile(_) => Self::conflict("CommitFailedException", error),
            E::Invalid(_) => Self::invalid(error),
            E::Contradiction(_) => Self::unprocessable(error),
            E::Name(error) => error.into(),
            E::Ownership(error) => error.into(),
            E::Forbidden(error) => error.into(),
            E::Warehouse(error) => error.into(),
            E::Mutation(error) => error.into(),
            E::Backend(error) => error.into(),
        }
    }
}

impl From<TabularError> for ApiError {
    fn from(error: TabularError) -> Self {
        use TabularError as E;
        match error {
            E::NoSuchTable(_) => Self::not_found("NoSuchTableException", error),
            E::NoSuchView(_) => Self::not_found("NoSuchViewException", error),
            E::NameTaken { .. } => Self::conflict("AlreadyExistsException", error),
            E::CommitFailed(_) | E::LostRace(_) => Self::conflict("CommitFailedException", error),
            // 412 instead of 409, because 409 suggests that a retry may succeed.
            E::JobLost { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "CommitFailedException", error.to_string())
            }
            E::Invalid(_) => Self::invalid(error),
            E::Commit(error) => error.into(),
            E::Name(error) => error.into(),
            E::Namespace(error) => error.into(),
            E::Ownership(error) => error.into(),
            E::Forbidden(error) => error.into(),
            E::Mutation(error) => error.into(),
            E::Backend(error) => error.into(),
        }
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::RequirementFailed(_) | CommitError::Stale(_) => {
                Self::conflict("CommitFailedException", error)
            }
            CommitError::Malformed(_) => Self::bad_request(error.to_string()),
            CommitError::Invalid(_) | CommitError::Unsupported(_) => Self::invalid(error),
            CommitError::Metadata(_) => Self::unprocessable(error),
        }
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        use PlanError as E;
        match error {
            E::NoSuchPlanId(_) => Self::not_found("NoSuchPlanIdException", error),
            E::NoSuchPlanTask(_) => Self::not_found("NoSuchPlanTaskException", error),
            E::TooManyDeletes(_) | E::Scan(ScanError::Invalid(_) | ScanError::Filter(_)) => {
                Self::invalid(error)
            }
            E::Scan(ScanError::Metadata(_) | ScanError::Manifest { .. } | ScanError::Damaged(_)) => {
                BackendError::Damaged(error.to_string()).into()
            }
            E::Ownership(error) => error.into(),
            E::Tabular(error) => error.into(),
            E::Backend(error) => error.into(),
        }
    }
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Invalid(_) => Self::invalid(error),
            ReportError::Tabular(error) => error.into(),
            ReportError::Backend(error) => error.into(),
        }
    }
}

impl From<ScheduleError> for ApiError {
    fn from(error: ScheduleError) -> Self {
        use ScheduleError as E;
        match error {
            E::NoSuchPolicy(_) => Self::not_found("NoSuchPolicyException", error),
            E::NoSuchJob(_) => Self::not_found("NoSuchJobException", error),
            E::Conflict(_) => Self::conflict("ConflictException", error),
            E::Invalid(_) => Self::invalid(error),
            E::Name(error) => error.into(),
            E::Forbidden(error) => error.into(),
            E::Warehouse(error) => error.into(),
            E::Namespace(error) => error.into(),
            E::Tabular(error) => error.into(),
            E::Ownership(error) => error.into(),
            E::Backend(error) => error.into(),
        }
    }
}

impl From<MutationError> for ApiError {
    fn from(error: MutationError) -> Self {
        match error {
            MutationError::KeyReused(_) => Self::unprocessable(error),
            MutationError::ResponseGone(_) => Self::failed("CommitStateUnknownException", &error),
            MutationError::Replayed => {
                let internal = StatusCode::INTERNAL_SERVER_ERROR;
                Self { is_replayed: true, ..Self::new(internal, "InternalServerError", error.to_string()) }
            }
            MutationError::Backend(error) => error.into(),
        }
    }
}

impl From<BackendError> for ApiError {
    fn from(error: BackendError) -> Self {
        use BackendError as E;
        let unavailable = match &error {
            E::FileMissing(_) => return Self::not_found("NotFoundException", error),
            E::UnusableFile(_) => return Self::invalid(error),
            // With any other type, the client would conclude that the commit failed and delete the files that
            // it wrote.
            E::OutcomeUnknown(_) => return Self::failed("CommitStateUnknownException", &error),
            E::Store(store) if store.is_unavailable() => {
                "the catalog's database cannot be reached or is too busy; nothing was changed, try again in a moment"
            }
            _ if error.is_file_system_silent() => {
                "the file system of the warehouse does not answer; nothing was changed, try again in a moment"
            }
            E::File(_) | E::Document(_) if is_exhausted(&error) => {
                "the server has reached its limit of open files; try again in a moment, or raise it (`ulimit -n`)"
            }
            E::Store(_) | E::File(_) | E::Document(_) | E::Damaged(_) | E::Internal(_) => {
                return Self::failed("InternalServerError", &error);
            }
        };
        tracing::error!(error = with_causes(&error), "request failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", unavailable)
    }
}

/// Returns `true` if the cause is that the process or the system cannot open more files at the moment.
fn is_exhausted(error: &BackendError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let code = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if [Errno::MFILE, Errno::NFILE].iter().any(|errno| code == Some(errno.raw_os_error())) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let headers = [(axum::http::header::CONTENT_TYPE, "application/json")];
        (self.status, headers, self.body()).into_response()
    }
}
