//! Mapping of catalog errors to HTTP: the only module that knows status codes and Iceberg's error types.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use openapi::text::shorten;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use crate::catalog::error::CatalogError;
use crate::catalog::names::NameError;

/// Maximum length of an error message, in bytes. Messages quote client input, which may be of any length;
/// they are returned, recorded under idempotency keys, and logged.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// Error response of an endpoint: status, Iceberg error type and message.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
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
        Self { status, kind, message }
    }

    /// Creates a 400 `BadRequestException`: the request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
    }

    /// Creates a 403 `ForbiddenException`: the caller is not authorised for the operation.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "ForbiddenException", message)
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
        CatalogError::from(error).into()
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        use CatalogError as E;
        let (status, kind) = match &error {
            E::NoSuchWarehouse(_) => (StatusCode::NOT_FOUND, "NoSuchWarehouseException"),
            E::NoSuchNamespace(_) => (StatusCode::NOT_FOUND, "NoSuchNamespaceException"),
            E::NoSuchTable(_) => (StatusCode::NOT_FOUND, "NoSuchTableException"),
            E::NoSuchView(_) => (StatusCode::NOT_FOUND, "NoSuchViewException"),
            E::NoSuchPlanId(_) => (StatusCode::NOT_FOUND, "NoSuchPlanIdException"),
            E::NoSuchPlanTask(_) => (StatusCode::NOT_FOUND, "NoSuchPlanTaskException"),
            E::NoSuchPolicy(_) => (StatusCode::NOT_FOUND, "NoSuchPolicyException"),
            E::NoSuchJob(_) => (StatusCode::NOT_FOUND, "NoSuchJobException"),
            // 412 instead of 409, because 409 suggests that a retry may succeed.
            E::JobLost { .. } => (StatusCode::PRECONDITION_FAILED, "CommitFailedException"),
            E::Conflict(_) => (StatusCode::CONFLICT, "ConflictException"),
            E::FileMissing(_) => (StatusCode::NOT_FOUND, "NotFoundException"),
            E::NamespaceExists(_) | E::NameTaken { .. } => (StatusCode::CONFLICT, "AlreadyExistsException"),
            E::NamespaceNotEmpty(_) => (StatusCode::CONFLICT, "NamespaceNotEmptyException"),
            E::CommitFailed(_) | E::LostRace(_) => (StatusCode::CONFLICT, "CommitFailedException"),
            E::Malformed(_) => (StatusCode::BAD_REQUEST, "BadRequestException"),
            // Iceberg's Java client throws the same exception when it validates without a server.
            E::Invalid(_) => (StatusCode::BAD_REQUEST, "IllegalArgumentException"),
            E::Unprocessable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntityException"),
            E::Unsupported(_) => (StatusCode::NOT_ACCEPTABLE, "UnsupportedOperationException"),
            E::Forbidden(_) => (StatusCode::FORBIDDEN, "ForbiddenException"),
            // With any other type, the client would conclude that the commit failed and delete the files that
            // it wrote.
            E::OutcomeUnknown(_) | E::AnswerGone(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "CommitStateUnknownException")
            }
            E::Store(error) if error.is_unavailable() => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException")
            }
            _ if error.is_file_system_silent() => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException")
            }
            E::File(_) | E::Document(_) if is_exhausted(&error) => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException")
            }
            E::Store(_) | E::File(_) | E::Document(_) | E::Damaged(_) | E::Internal(_) | E::Replayed => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
            }
        };
        if status.is_server_error() {
            tracing::error!(error = error.for_log(), "request failed");
        }
        let message = match (status, &error) {
            _ if error.is_file_system_silent() => {
                "the file system of the warehouse does not answer; nothing was changed, try again in a moment".to_owned()
            }
            (StatusCode::SERVICE_UNAVAILABLE, E::File(_) | E::Document(_)) => {
                "the server has as many files open as it may have; try again in a moment, or raise its limit (`ulimit -n`)"
                    .to_owned()
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) => {
                "the catalog's database cannot be reached or is too busy; nothing was changed, try again in a moment"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        Self::new(status, kind, message)
    }
}

/// Returns `true` if the cause is that the process or the system cannot open more files at the moment.
fn is_exhausted(error: &CatalogError) -> bool {
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
