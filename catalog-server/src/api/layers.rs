//! Middleware of every request: request id, authentication, log entry, metrics, the guard of local mode, time
//! limit.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use openapi::text::shorten;
use uuid::Uuid;

use crate::clock::Stopwatch;
use crate::id;
use crate::request;

use super::App;
use super::error::ApiError;
use super::refusal::{HEADERS_BYTES_MAX, REQUEST_ID, Refusal};
use super::{measure, token};

/// Assigns a request id, authenticates the caller, records metrics and a log entry, and turns a panic into an
/// error response that discloses no details.
pub async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let stopwatch = Stopwatch::start();
    let request_id = incoming_id(request.headers()).unwrap_or_else(id::ordered);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let authenticated = authenticated(&app, request.headers(), request_id);
    request.extensions_mut().insert(authenticated);
    app.in_flight.increment(1.0);

    let mut response = match guard(request.method(), request.uri(), request.headers()) {
        Ok(()) => run(&app, &method, request_id, request, next).await,
        Err(error) => error.into_response(),
    };

    app.in_flight.decrement(1.0);
    let status = response.status();
    let elapsed = stopwatch.elapsed();
    let route = measure::route_label(route.as_ref());
    measure::record(measure::method_label(&method), route, status, elapsed);
    log(&method, route, status, elapsed, request_id);
    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Returns the request of the use cases: everything known from the headers, before the path is examined.
fn authenticated(app: &App, headers: &HeaderMap, request_id: Uuid) -> request::Request {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let caller = app.authenticator.authenticate(authorization);
    request::Request::new(caller, request_id, app.clock.now_ms())
}

async fn run(app: &App, method: &Method, request_id: Uuid, request: Request, next: Next) -> Response {
    let limit = Duration::from_millis(app.limits.request_ms);
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            tracing::error!(request.id = %request_id, "a request handler panicked; this is a defect of the server");
            let message = format!("the server failed unexpectedly; its log has request id {request_id}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message).into_response()
        }
        Err(_elapsed) => timed_out(method, limit).into_response(),
    }
}

fn timed_out(method: &Method, limit: Duration) -> ApiError {
    let message = format!("the request took longer than {} ms", limit.as_millis());
    if method.is_safe() {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
    } else {
        let message = format!(
            "{message}; the outcome of its change is unknown, load the object to see whether it was made"
        );
        ApiError::new(StatusCode::GATEWAY_TIMEOUT, "CommitStateUnknownException", message)
    }
}

/// Rejects requests that do not come from a program on this machine.
///
/// Local mode trusts every client that can reach the loopback address. A browser on the same machine can
/// reach it, too, on behalf of any page that it displays. Such a page can neither forge `Host` (DNS rebinding
/// changes the resolution of a name, not the header) nor omit `Origin`, nor send JSON to another origin
/// without a preflight request.
fn guard(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.get_all(header::HOST).iter().nth(1).is_some() {
        return Err(ApiError::bad_request("the request names more than one `Host`"));
    }
    // A request line with an absolute URL names a host, too, which takes precedence over the header.
    let named = uri.authority().map(Authority::as_str);
    let header = headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    let hosts = [named, header];
    let foreign = hosts.into_iter().flatten().find(|host| !is_local(host));
    if let Some(host) = foreign.or(if hosts == [None, None] { Some("") } else { None }) {
        return Err(ApiError::forbidden(format!(
            "this server accepts only requests to the local machine, not to host `{host}`"
        )));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        if !is_local(host) {
            return Err(ApiError::forbidden(format!("requests from web pages of `{origin}` are refused")));
        }
    }
    if headers_bytes(headers) > HEADERS_BYTES_MAX {
        return Err(Refusal::HeadTooLarge.error());
    }
    if let Some(encoding) = headers.get_all(header::CONTENT_ENCODING).iter().find(|value| !is_identity(value))
    {
        return Err(encoded(encoding));
    }
    // Token requests are forms; they are always rejected by [`token::unsupported`].
    if *method == Method::POST && uri.path() != token::PATH && !has_json_type(headers) && has_body(headers) {
        return Err(ApiError::bad_request("a request body must be sent as `Content-Type: application/json`"));
    }
    Ok(())
}

/// Returns the size of the headers as HTTP/2 counts it (RFC 9113, section 6.5.2).
fn headers_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

fn is_identity(encoding: &HeaderValue) -> bool {
    encoding.as_bytes().eq_ignore_ascii_case(b"identity") || encoding.is_empty()
}

/// Creates the error for a compressed body. No client of the protocol compresses its requests, so support
/// would gain nothing, and a small compressed body may expand to a large one.
fn encoded(encoding: &HeaderValue) -> ApiError {
    let encoding = String::from_utf8_lossy(encoding.as_bytes());
    let encoding = shorten(&encoding, 100);
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "BadRequestException",
        format!(
            "request bodies with `Content-Encoding: {encoding}` are not supported; send them uncompressed"
        ),
    )
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => return rest.split_once(']').is_some_and(|(ip, port)| ip == "::1" && is_port(port)),
        None => host.split_once(':'),
    };
    let (name, port) = name.map_or((host, ""), |(name, _)| (name, &host[name.len()..]));
    let is_loopback_ip = name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    is_port(port) && (is_loopback_ip || name.eq_ignore_ascii_case("localhost"))
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

fn has_json_type(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    })
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

fn incoming_id(headers: &HeaderMap) -> Option<Uuid> {
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).and_then(|text| Uuid::try_parse(text).ok())
}

/// Routes that workers call frequently. Their successful requests are logged at debug level only.
const FREQUENT: [&str; 3] = [
    "/governance/v1/maintenance/jobs/lease",
    "/governance/v1/maintenance/jobs/{job-id}/heartbeat",
    "/governance/v1/maintenance/jobs/{job-id}/outputs",
];

fn log(method: &Method, route: &str, status: StatusCode, elapsed: Duration, request_id: Uuid) {
    let duration_ms = elapsed.as_secs_f64() * 1_000.0;
    let is_safe = method.is_safe();
    let (status, method) = (status.as_u16(), measure::method_label(method));
    if status >= 500 {
        tracing::warn!(request.id = %request_id, method, route, status, duration_ms, "request failed");
    } else if is_safe || (status < 400 && FREQUENT.contains(&route)) {
        tracing::debug!(request.id = %request_id, method, route, status, duration_ms, "request answered");
    } else {
        tracing::info!(request.id = %request_id, method, route, status, duration_ms, "request answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, headers: &[(&'static str, &'static str)], expected: Result<(), u16>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let result = guard(method, &Uri::from_static("/v1/config"), &map);
        assert_eq!(result.map_err(|error| error.status().as_u16()), expected, "{headers:?}");
    }

    #[test]
    fn only_local_hosts_are_answered() {
        for host in ["localhost", "LOCALHOST:8181", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:8181"] {
            check(&Method::GET, &[("host", host)], Ok(()));
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"]
        {
            check(&Method::GET, &[("host", host)], Err(403));
        }
        for host in ["localhost:evil", "[::1]evil", "[::1", "127.0.0.1:80:80"] {
            check(&Method::GET, &[("host", host)], Err(403));
        }
        check(&Method::GET, &[], Err(403));
    }

    #[test]
    fn a_page_of_another_origin_cannot_drive_the_catalog() {
        let local = ("host", "localhost:8181");
        check(&Method::POST, &[local, ("origin", "https://evil.example")], Err(403));
        check(&Method::DELETE, &[local, ("origin", "null")], Err(403));
        check(&Method::POST, &[local, ("origin", "http://localhost:3000")], Ok(()));
        check(&Method::POST, &[local, ("content-length", "2"), ("content-type", "text/plain")], Err(400));
        check(&Method::POST, &[local, ("transfer-encoding", "chunked")], Err(400));
        check(
            &Method::POST,
            &[local, ("content-length", "2"), ("content-type", "application/json; charset=utf-8")],
            Ok(()),
        );
        check(&Method::POST, &[local, ("content-length", "0")], Ok(()));
    }
}
