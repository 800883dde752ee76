//! Errors as clients see them: the one place that knows status codes and Iceberg's error types.

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use openapi::text::shorten;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use crate::catalog::error::CatalogError;

/// Longest message of an error, in bytes. Messages name what clients sent, which may be of any length; they are sent
/// back, recorded under idempotency keys, and logged.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// An error on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

/// The body of every error response.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct IcebergErrorResponse {
    /// What went wrong.
    pub error: ErrorModel,
}

/// What went wrong.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ErrorModel {
    /// For people: what is wrong and what would fix it.
    pub message: String,
    /// For programs: the name of Java's exception.
    #[schema(example = "NoSuchTableException")]
    pub r#type: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 600)]
    pub code: u16,
}

/// Errors that any operation may answer with.
#[derive(IntoResponses)]
pub enum CommonErrors {
    /// The request is malformed, or asks for what cannot be.
    #[response(status = 400)]
    BadRequest(IcebergErrorResponse),
    /// The caller is not known.
    #[response(status = 401)]
    Unauthorized(IcebergErrorResponse),
    /// The caller may not do this here.
    #[response(status = 403)]
    Forbidden(IcebergErrorResponse),
    /// The object, or what should hold it, does not exist.
    #[response(status = 404)]
    NotFound(IcebergErrorResponse),
    /// The body took too long to arrive.
    #[response(status = 408)]
    RequestTimeout(IcebergErrorResponse),
    /// The body is larger than allowed.
    #[response(status = 413)]
    PayloadTooLarge(IcebergErrorResponse),
    /// The body is compressed.
    #[response(status = 415)]
    UnsupportedMediaType(IcebergErrorResponse),
    /// The headers are larger than allowed.
    #[response(status = 431)]
    HeadersTooLarge(IcebergErrorResponse),
    /// The server failed; for a commit, its outcome is unknown if the type says so.
    #[response(status = 500)]
    Internal(IcebergErrorResponse),
    /// The database or the store cannot be reached; try again later.
    #[response(status = 503)]
    Unavailable(IcebergErrorResponse),
}

/// Errors of operations that change something, besides [`CommonErrors`].
#[derive(IntoResponses)]
pub enum MutationErrors {
    /// The operation is not supported on this object.
    #[response(status = 406)]
    Unsupported(IcebergErrorResponse),
    /// The name is taken, the namespace is not empty, or a requirement does not hold.
    #[response(status = 409)]
    Conflict(IcebergErrorResponse),
    /// The request contradicts itself, or its `Idempotency-Key` was used for another one.
    #[response(status = 422)]
    Unprocessable(IcebergErrorResponse),
    /// The request took too long; a change may or may not have been made.
    #[response(status = 504)]
    Timeout(IcebergErrorResponse),
}

impl ApiError {
    /// An error of any kind.
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let message = match shorten(&message, MESSAGE_BYTES_MAX) {
            Cow::Borrowed(_) => message,
            Cow::Owned(shorter) => shorter,
        };
        Self { status, kind, message }
    }

    /// 400: the request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
    }

    /// 403: the caller may not do this here.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "ForbiddenException", message)
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response's body.
    pub fn body(&self) -> String {
        let error = ErrorModel {
            message: self.message.clone(),
            r#type: self.kind.to_owned(),
            code: self.status.as_u16(),
        };
        // Strings and a number always serialise.
        serde_json::to_string(&IcebergErrorResponse { error }).unwrap_or_default()
    }

    /// Whether trying the same request again would end the same way.
    pub fn is_final(&self) -> bool {
        self.status.is_client_error() && self.status != StatusCode::REQUEST_TIMEOUT
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
            // Not 409, which says that trying again may help.
            E::JobLost { .. } => (StatusCode::PRECONDITION_FAILED, "CommitFailedException"),
            E::Conflict(_) => (StatusCode::CONFLICT, "ConflictException"),
            E::FileMissing(_) => (StatusCode::NOT_FOUND, "NotFoundException"),
            E::NamespaceExists(_) | E::NameTaken { .. } => (StatusCode::CONFLICT, "AlreadyExistsException"),
            E::NamespaceNotEmpty(_) => (StatusCode::CONFLICT, "NamespaceNotEmptyException"),
            E::CommitFailed(_) | E::LostRace(_) => (StatusCode::CONFLICT, "CommitFailedException"),
            E::Malformed(_) => (StatusCode::BAD_REQUEST, "BadRequestException"),
            // Java's client throws what it would have thrown without a server in between.
            E::Invalid(_) => (StatusCode::BAD_REQUEST, "IllegalArgumentException"),
            E::Unprocessable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntityException"),
            E::Unsupported(_) => (StatusCode::NOT_ACCEPTABLE, "UnsupportedOperationException"),
            E::Forbidden(_) => (StatusCode::FORBIDDEN, "ForbiddenException"),
            // Nothing else keeps a client from taking back what it has done.
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

/// Whether the process, or the system, can open no more files for now.
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
