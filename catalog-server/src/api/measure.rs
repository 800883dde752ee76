//! Metrics of requests. Labels come from closed sets, independent of client input: each distinct value is a
//! time series that occupies memory until the process ends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use metrics::SharedString;

/// Label of requests with a non-standard or unparsable method.
pub const UNKNOWN_METHOD: &str = "OTHER";
/// Label of requests that match no route.
pub const UNMATCHED: &str = "unmatched";

/// Returns the label of a method in metrics and log entries.
pub fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => UNKNOWN_METHOD,
    }
}

/// Returns the label of a route in metrics and log entries: its template, never the path that a client sent.
pub fn route_label(route: Option<&MatchedPath>) -> &str {
    route.map_or(UNMATCHED, MatchedPath::as_str)
}

/// Counts a response and records its duration.
pub fn record(method: &'static str, route: &str, status: StatusCode, elapsed: Duration) {
    count(method, route, status);
    let route = SharedString::from_shared(Arc::from(route));
    metrics::histogram!("firn_http_request_seconds", "method" => method, "route" => route)
        .record(elapsed.as_secs_f64());
}

/// Counts a response.
pub fn count(method: &'static str, route: &str, status: StatusCode) {
    let route = SharedString::from_shared(Arc::from(route));
    let status = SharedString::from_shared(Arc::from(status.as_str()));
    metrics::counter!("firn_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
}
