//! Answers to what is refused before any handler sees it, by whoever accepts connections or takes requests apart.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::measure;

/// The header with a request's id. Every answer of a handler has it, and nothing that is refused here.
pub const REQUEST_ID: &str = "x-request-id";
/// What the headers of a request may take together: eight times the longest credentials that are about.
pub const HEADERS_BYTES_MAX: usize = 64 << 10;

/// Why there is no request to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What was sent is not HTTP.
    NotHttp,
    /// The head of the request did not arrive in time.
    HeadTimeout,
    /// The request's target is too long.
    TargetTooLong,
    /// The request's headers are too long, or too many.
    HeadTooLarge,
    /// As many connections are open as may be.
    Connections,
    /// As many requests are under way on the connections of HTTP/2 as may be.
    Requests,
    /// The process has no file descriptor left.
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

    /// The refusal with this HTTP status, if there is one.
    pub fn of_status(status: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.status().as_u16() == status)
    }

    /// The HTTP status and its name.
    pub fn status_line(self) -> (u16, &'static str) {
        (self.status().as_u16(), self.status().canonical_reason().unwrap_or_default())
    }

    /// The body of the answer, in Iceberg's error form.
    pub fn body(self) -> String {
        self.error().body()
    }

    /// The answer, for a library that writes it.
    pub fn response(self) -> Response {
        self.error().into_response()
    }

    /// The answer to a request that was taken apart, but is refused for the same reason.
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
                "the request's headers did not arrive in time; `limits.header-ms` says how long they may take"
            }
            Self::TargetTooLong => "the request's path and query together exceed 65,534 bytes",
            Self::HeadTooLarge => {
                "the request's headers exceed 64 KiB together, or there are more than 100 of them"
            }
            Self::Connections => {
                "the server has as many connections as it may have; try again in a moment, or raise \
                 `limits.connections`"
            }
            Self::Requests => {
                "the server works on as many requests over HTTP/2 as it may; try again in a moment, or use HTTP/1.1"
            }
            Self::Descriptors => {
                "the server has no file descriptor left for this connection; try again in a moment, or raise the \
                 server's limit of open files"
            }
        }
    }
}

/// Counts a request that was refused before it was one.
pub fn count_refused(refusal: Refusal) {
    let status = refusal.status();
    measure::count(measure::UNKNOWN_METHOD, measure::UNMATCHED, status);
    tracing::info!(status = status.as_u16(), reason = refusal.message(), "request refused");
}

/// Counts a connection that was not accepted, because of `limit` or of `descriptors`.
pub fn count_refused_connection(refusal: Refusal) {
    let reason = if refusal == Refusal::Descriptors { "descriptors" } else { "limit" };
    metrics::counter!("firn_connections_refused_total", "reason" => reason).increment(1);
}
