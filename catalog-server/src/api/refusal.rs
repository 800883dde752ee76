//! Responses to requests that are rejected before they reach a handler: by the listener or by the HTTP
//! parser.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::measure;

/// Name of the header with the id of a request. It is on every response of a handler, but on no rejection of
/// this module.
pub const REQUEST_ID: &str = "x-request-id";
/// Maximum size of the headers of a request, in bytes: eight times the size of the longest credentials in
/// use.
pub const HEADERS_BYTES_MAX: usize = 64 << 10;

/// Reason why a connection or request is rejected before it is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The input is not HTTP.
    NotHttp,
    /// The head of the request did not arrive in time.
    HeadTimeout,
    /// The request target is too long.
    TargetTooLong,
    /// The headers are too long or too many.
    HeadTooLarge,
    /// The maximum number of connections is open.
    Connections,
    /// The maximum number of concurrent requests over HTTP/2 is in progress.
    Requests,
    /// The process has no file descriptors left.
    Descriptors,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::NotHttp,
        Self::HeadTimeout,
        Self::TargetTooLong,
        Self::HeadTooLarge,
        Self::Connections,
        Self::Requests,
        Self::Descriptors,
    ];

    /// Returns the first refusal with an HTTP status, if there is one.
    pub fn of_status(status: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.status().as_u16() == status)
    }

    /// Returns the HTTP status code and its reason phrase.
    pub fn status_line(self) -> (u16, &'static str) {
        (self.status().as_u16(), self.status().canonical_reason().unwrap_or_default())
    }

    /// Returns the body of the response, in Iceberg's error format.
    pub fn body(self) -> String {
        self.error().body()
    }

    /// Returns the response, for HTTP libraries that write it themselves.
    pub fn response(self) -> Response {
        self.error().into_response()
    }

    /// Returns the error for a parsed request that is rejected for the same reason.
    pub(super) fn error(self) -> ApiError {
        let kind = match self {
            Self::Connections | Self::Requests | Self::Descriptors => "ServiceUnavailableException",
            _ => "BadRequestException",
        };
        ApiError::new(self.status(), kind, self.message())
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NotHttp => StatusCode::BAD_REQUEST,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Connections | Self::Requests | Self::Descriptors => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::NotHttp => {
                "the request cannot be understood as HTTP; check its request line and its headers"
            }
            Self::HeadTimeout => {
                "the request's headers did not arrive in time; `limits.header-ms` limits the time"
            }
            Self::TargetTooLong => "the request's path and query together exceed 65,534 bytes",
            Self::HeadTooLarge => {
                "the request's headers exceed 64 KiB together, or there are more than 100 of them"
            }
            Self::Connections => {
                "the server has reached its limit of connections; try again in a moment, or raise \
                 `limits.connections`"
            }
            Self::Requests => {
                "the server has reached its limit of concurrent requests over HTTP/2; try again in a moment, or use HTTP/1.1"
            }
            Self::Descriptors => {
                "the server has no file descriptor left for this connection; try again in a moment, or raise its limit of open files (`ulimit -n`)"
            }
        }
    }
}

/// Records a rejected request in the metrics and the log.
pub fn count_refused(refusal: Refusal) {
    let status = refusal.status();
    measure::count(measure::UNKNOWN_METHOD, measure::UNMATCHED, status);
    tracing::info!(status = status.as_u16(), reason = refusal.message(), "request refused");
}

/// Records a rejected connection in the metrics, with the reason `limit` or `descriptors`.
pub fn count_refused_connection(refusal: Refusal) {
    let reason = if refusal == Refusal::Descriptors { "descriptors" } else { "limit" };
    metrics::counter!("firn_connections_refused_total", "reason" => reason).increment(1);
}
