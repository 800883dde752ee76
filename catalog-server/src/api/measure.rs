//! Measurements of requests. Their labels come from closed sets, whatever clients send: each distinct value is a time
//! series that is held for as long as the process runs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use metrics::SharedString;

/// The method of requests whose method is none of HTTP's own, or was not understood.
pub const UNKNOWN_METHOD: &str = "OTHER";
/// The route of requests that no route is for.
pub const UNMATCHED: &str = "unmatched";

/// A method as measurements and log lines name it.
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

/// A route as measurements and log lines name it: its template, never a path that a client sent.
pub fn route_label(route: Option<&MatchedPath>) -> &str {
    route.map_or(UNMATCHED, MatchedPath::as_str)
}

/// Counts an answer, and how long it took.
pub fn record(method: &'static str, route: &str, status: StatusCode, elapsed: Duration) {
    count(method, route, status);
    let route = SharedString::from_shared(Arc::from(route));
    metrics::histogram!("firn_http_request_seconds", "method" => method, "route" => route)
        .record(elapsed.as_secs_f64());
}

/// Counts an answer.
pub fn count(method: &'static str, route: &str, status: StatusCode) {
    let route = SharedString::from_shared(Arc::from(route));
    let status = SharedString::from_shared(Arc::from(status.as_str()));
    metrics::counter!("firn_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
}
