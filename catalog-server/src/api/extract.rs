//! What handlers take out of a request, with every refusal in Iceberg's error form.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::authz::action::Action;
use crate::catalog::error::CatalogError;
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::Warehouse;
use crate::request::{JobAttempt, Request};
use crate::work::{Allowance, INLINE_BYTES_MAX, Share, Turns};

use super::App;
use super::error::ApiError;

/// The name of the header that makes a request safe to repeat.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Tells for which maintenance job, and which attempt at it, a worker commits.
const JOB: &str = "firn-job";

/// The warehouse of the path's prefix.
pub struct InWarehouse {
    /// The request.
    pub request: Request,
    /// Where the request goes.
    pub warehouse: Warehouse,
}

/// A namespace of the path.
pub struct AtNamespace {
    /// The request.
    pub request: Request,
    /// Where the request goes.
    pub warehouse: Warehouse,
    /// The namespace that the path names.
    pub namespace: Namespace,
}

/// A table or view of the path.
pub struct AtObject {
    /// The request.
    pub request: Request,
    /// Where the request goes.
    pub warehouse: Warehouse,
    /// The table or view that the path names.
    pub identifier: Identifier,
}

/// A scan plan of the path.
pub struct AtPlan {
    /// The request.
    pub request: Request,
    /// Where the request goes.
    pub warehouse: Warehouse,
    /// The table that the path names.
    pub identifier: Identifier,
    /// The plan that the path names.
    pub plan_id: String,
}

/// A maintenance job of the path `/governance/v1/maintenance/jobs/{job-id}`.
pub struct AtJob(pub Uuid);

/// The decoded names of a path `/v1/{prefix}/namespaces/{namespace}/tables/{table}`, or of a part of it.
struct Names<'a> {
    segments: std::str::Split<'a, char>,
}

impl<'a> Names<'a> {
    /// Positioned at the prefix.
    fn of(uri: &'a Uri) -> Self {
        let mut segments = uri.path().split('/');
        // Nothing stands before the first slash; then comes `v1`.
        segments.nth(1);
        Self { segments }
    }

    /// The next name, and past the fixed word that follows it.
    fn next(&mut self) -> Result<String, ApiError> {
        let segment = self.segments.next().unwrap_or_default();
        self.segments.next();
        decode(segment)
    }
}

/// Decodes a segment of a path. Java's client encodes names as a form does, a space as `+`; a plus sign comes as
/// `%2B` from every client.
fn decode(segment: &str) -> Result<String, ApiError> {
    let spaced = segment.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(name) => Ok(name.into_owned()),
        Err(_) => {
            Err(ApiError::bad_request(format!("Invalid path: `{segment}` is not UTF-8 once it is decoded")))
        }
    }
}

impl FromRequestParts<App> for InWarehouse {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let request = request(parts)?;
        let warehouse = warehouse(app, &request, &mut Names::of(&parts.uri)).await?;
        Ok(Self { request, warehouse })
    }
}

impl FromRequestParts<App> for AtNamespace {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let mut names = Names::of(&parts.uri);
        let request = request(parts)?;
        let warehouse = warehouse(app, &request, &mut names).await?;
        Ok(Self { request, warehouse, namespace: Namespace::from_path(&names.next()?)? })
    }
}

impl FromRequestParts<App> for AtObject {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let mut names = Names::of(&parts.uri);
        let request = request(parts)?;
        let warehouse = warehouse(app, &request, &mut names).await?;
        let namespace = Namespace::from_path(&names.next()?)?;
        Ok(Self { request, warehouse, identifier: Identifier::new(namespace, names.next()?)? })
    }
}

impl FromRequestParts<App> for AtPlan {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let mut names = Names::of(&parts.uri);
        let request = request(parts)?;
        let warehouse = warehouse(app, &request, &mut names).await?;
        let namespace = Namespace::from_path(&names.next()?)?;
        let identifier = Identifier::new(namespace, names.next()?)?;
        Ok(Self { request, warehouse, identifier, plan_id: names.next()? })
    }
}

impl FromRequestParts<App> for AtJob {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let segment = parts.uri.path().split('/').nth(5).unwrap_or_default();
        match Uuid::try_parse(segment) {
            Ok(job_id) => Ok(Self(job_id)),
            Err(_) => Err(CatalogError::NoSuchJob(decode(segment)?).into()),
        }
    }
}

/// Query parameters.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(ApiError::bad_request(format!("Invalid query: {}", rejection.body_text()))),
        }
    }
}

/// A request that changes something: its facts and its body, read under the limits of size and time.
pub struct Change {
    /// `POST`, `DELETE`.
    pub method: String,
    /// Path and query as they were sent.
    pub resource: String,
    /// The body, empty if there is none.
    pub body: Bytes,
    /// The client's key against doing it twice.
    pub idempotency_key: Option<Uuid>,
    /// The request, with the maintenance job that a worker does it for.
    pub request: Request,
    turns: Turns,
    /// The memory that the body takes, as long as the request is worked on.
    _memory: Share,
}

impl Change {
    /// Reads the body as JSON, away from the request threads if it is large.
    pub async fn json<T: DeserializeOwned + Send + 'static>(&self) -> Result<T, ApiError> {
        let body = self.body.clone();
        let read = self.turns.run(body.len(), move || serde_json::from_slice(&body)).await;
        read.map_err(|error| ApiError::bad_request(format!("Malformed request body: {error}")))
    }

    /// Does work that goes through the whole body, away from the request threads if it is large.
    pub async fn read<T: Send + 'static>(&self, work: impl FnOnce(&[u8]) -> T + Send + 'static) -> T {
        let body = self.body.clone();
        self.turns.run(body.len(), move || work(&body)).await
    }
}

/// Why a body could not be had.
enum BodyError {
    TooLarge,
    /// There is no memory for it beside the bodies of others.
    Busy,
    Broken(String),
}

/// Collects a body. One that is large takes its part of the memory for such as it comes in.
async fn collect(body: Body, limit_bytes: usize, memory: &Allowance) -> Result<(Bytes, Share), BodyError> {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| {
        if error.is::<LengthLimitError>() {
            BodyError::TooLarge
        } else {
            BodyError::Broken(error.to_string())
        }
    };
    let mut body = Limited::new(body, limit_bytes);
    let (mut first, mut content, mut share) = (Bytes::new(), Vec::new(), Share::none());
    let mut taken = INLINE_BYTES_MAX;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        // Most bodies come in one piece, and are not copied.
        if first.is_empty() && content.is_empty() {
            first = data;
        } else {
            if content.is_empty() {
                content = std::mem::take(&mut first).into();
            }
            content.extend_from_slice(&data);
        }
        let bytes = first.len() + content.capacity();
        if bytes > taken {
            share.add(memory.try_take(bytes - taken).ok_or(BodyError::Busy)?);
            taken = bytes;
        }
    }
    Ok((if content.is_empty() { first } else { content.into() }, share))
}

impl Change {
    /// Refuses an `Idempotency-Key`, for endpoints that would do the same twice.
    pub fn refuse_key(&self) -> Result<(), ApiError> {
        match self.idempotency_key {
            None => Ok(()),
            Some(_) => Err(keyless()),
        }
    }
}

/// Refuses requests with an `Idempotency-Key`, where no endpoint of a router knows them.
pub async fn refuse_keys(request: axum::extract::Request, next: Next) -> Result<Response, ApiError> {
    if request.headers().contains_key(IDEMPOTENCY_KEY) {
        return Err(keyless());
    }
    Ok(next.run(request).await)
}

fn keyless() -> ApiError {
    ApiError::bad_request(
        "this endpoint takes no Idempotency-Key: repeating the request does what it says once more; leave the header away",
    )
}

impl FromRequest<App> for Change {
    type Rejection = ApiError;

    async fn from_request(sent: axum::extract::Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = sent.into_parts();
        let limit_bytes = app.limits.body_bytes;
        // Half of the request's time is for the body, the rest for the work.
        let patience = Duration::from_millis(app.limits.request_ms / 2);
        let collected = tokio::time::timeout(patience, collect(body, limit_bytes, &app.bodies)).await;
        let (body, memory) = match collected {
            Ok(Ok(collected)) => collected,
            Ok(Err(BodyError::TooLarge)) => {
                return Err(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "BadRequestException",
                    format!(
                        "the request body exceeds {limit_bytes} bytes; raise `limits.body-bytes` if it is meant"
                    ),
                ));
            }
            Ok(Err(BodyError::Busy)) => {
                return Err(ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ServiceUnavailableException",
                    "the server is busy with the large requests of others; nothing was changed, try again in a moment, or \
                     raise `limits.bodies-bytes`",
                ));
            }
            Ok(Err(BodyError::Broken(error))) => {
                return Err(ApiError::bad_request(format!("cannot read the request body: {error}")));
            }
            Err(_) => {
                return Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "BadRequestException",
                    format!("the request body did not arrive within {} ms", patience.as_millis()),
                ));
            }
        };
        let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| {
            let value = value.to_str().unwrap_or_default();
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
        });
        if !body.is_empty() && !is_json {
            return Err(ApiError::bad_request(
                "a request body must be sent as `Content-Type: application/json`",
            ));
        }
        let resource = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        Ok(Self {
            method: parts.method.to_string(),
            resource,
            body,
            idempotency_key: idempotency_key(&parts.headers)?,
            request: Request { job: job(&parts.headers)?, ..request(&parts)? },
            turns: app.turns.clone(),
            _memory: memory,
        })
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match value.to_str().ok().and_then(|text| Uuid::try_parse(text).ok()) {
        Some(key) => Ok(Some(key)),
        None => {
            Err(ApiError::bad_request("Invalid Idempotency-Key: it must be a UUID such as one of version 7"))
        }
    }
}

fn job(headers: &HeaderMap) -> Result<Option<JobAttempt>, ApiError> {
    let Some(value) = headers.get(JOB) else { return Ok(None) };
    let parse = |text: &str| {
        let (job_id, attempt) = text.split_once('/')?;
        Some(JobAttempt { job_id: Uuid::try_parse(job_id).ok()?, attempt: attempt.parse().ok()? })
    };
    let job = value.to_str().ok().and_then(parse);
    job.map(Some).ok_or_else(|| {
        ApiError::bad_request("Invalid Firn-Job: it must be a job's id and its attempt, separated by a slash")
    })
}

impl FromRequestParts<App> for Request {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        request(parts)
    }
}

/// Returns the request that [`super::layers::observe`] made of what was sent. No endpoint is reached without one.
fn request(parts: &Parts) -> Result<Request, ApiError> {
    parts
        .extensions
        .get::<Request>()
        .cloned()
        .ok_or_else(|| CatalogError::Internal("the request was not authenticated".to_owned()).into())
}

/// Returns the warehouse that the next name of a path means, if the caller may use it.
async fn warehouse(app: &App, request: &Request, names: &mut Names<'_>) -> Result<Warehouse, ApiError> {
    Ok(app.catalog.require_warehouse(request, &names.next()?, Action::UseWarehouse).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_arrive_whatever_they_contain() {
        let uri = Uri::from_static("/v1/main/namespaces/a+b%1Fc%2Fd/tables/100%25%2B%20%F0%9F%98%80.%2E");
        let mut names = Names::of(&uri);
        assert_eq!(names.next().unwrap(), "main");
        assert_eq!(names.next().unwrap(), "a b\u{1f}c/d");
        assert_eq!(names.next().unwrap(), "100%+ 😀..");
        assert_eq!(names.next().unwrap(), "");
        assert!(decode("%FF").is_err());
    }
}
