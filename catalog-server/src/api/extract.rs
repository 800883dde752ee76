//! Extractors of handlers for names, query parameters, bodies and headers. Rejections are Iceberg error
//! responses.

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
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::{JobAttempt, Request};
use crate::schedule::error::ScheduleError;
use crate::work::{Allowance, CpuSlots, INLINE_BYTES_MAX, Share};

use super::App;
use super::error::ApiError;

/// Name of the header with the idempotency key of a request.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Name of the header by which a worker states the maintenance job, and the attempt at it, that it commits
/// for.
const JOB: &str = "firn-job";

/// Extractor of the warehouse named by the prefix of the path.
pub struct InWarehouse {
    /// Request of the use case.
    pub request: Request,
    /// Warehouse named by the prefix.
    pub warehouse: Warehouse,
}

/// Extractor of the namespace named by the path.
pub struct AtNamespace {
    /// Request of the use case.
    pub request: Request,
    /// Warehouse named by the prefix.
    pub warehouse: Warehouse,
    /// Namespace named by the path.
    pub namespace: Namespace,
}

/// Extractor of the table or view named by the path.
pub struct AtObject {
    /// Request of the use case.
    pub request: Request,
    /// Warehouse named by the prefix.
    pub warehouse: Warehouse,
    /// Namespace and name of the table or view.
    pub identifier: Identifier,
}

/// Extractor of the scan plan named by the path.
pub struct AtPlan {
    /// Request of the use case.
    pub request: Request,
    /// Warehouse named by the prefix.
    pub warehouse: Warehouse,
    /// Namespace and name of the table.
    pub identifier: Identifier,
    /// Id of the scan plan, as in the path (decoded, not validated).
    pub plan_id: String,
}

/// Extractor of the job id of a path `/governance/v1/maintenance/jobs/{job-id}/…`.
pub struct AtJob(pub Uuid);

/// Iterator over the decoded names of a path `/v1/{prefix}/namespaces/{namespace}/tables/{table}` or a part
/// of it.
struct Names<'a> {
    segments: std::str::Split<'a, char>,
}

impl<'a> Names<'a> {
    /// Creates the iterator, positioned at the prefix.
    fn of(uri: &'a Uri) -> Self {
        let mut segments = uri.path().split('/');
        // The first segment, before the first slash, is empty; the second is `v1`.
        segments.nth(1);
        Self { segments }
    }

    /// Returns the next name and skips the fixed segment after it.
    fn next(&mut self) -> Result<String, ApiError> {
        let segment = self.segments.next().unwrap_or_default();
        self.segments.next();
        decode(segment)
    }
}

/// Decodes a segment of a path. Iceberg's Java client encodes names like form fields, with a space as `+`;
/// all clients encode a plus sign as `%2B`.
fn decode(segment: &str) -> Result<String, ApiError> {
    let spaced = segment.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(name) => Ok(name.into_owned()),
        Err(_) => {
            Err(ApiError::bad_request(format!("Invalid path: `{segment}` is not UTF-8 after decoding")))
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
            Err(_) => Err(ScheduleError::NoSuchJob(decode(segment)?).into()),
        }
    }
}

/// Extractor of the query parameters.
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

/// Extractor of a request that changes something: the request and its body, which is read under limits of
/// size and time.
pub struct Mutation {
    /// HTTP method, for example `POST` or `DELETE`.
    pub method: String,
    /// Path and query as received, except that a missing prefix was added.
    pub resource: String,
    /// Request body; empty if there is none.
    pub body: Bytes,
    /// Value of the `Idempotency-Key` header.
    pub idempotency_key: Option<Uuid>,
    /// Request of the use case, including the maintenance job from the `Firn-Job` header.
    pub request: Request,
    turns: CpuSlots,
    /// Share of the memory for large bodies, reserved while the request is processed.
    _memory: Share,
}

impl Mutation {
    /// Parses the body as JSON. Large bodies are parsed outside of the request threads.
    ///
    /// # Errors
    ///
    /// Fails with 400 if the body is not JSON or does not have the form of `T`.
    pub async fn json<T: DeserializeOwned + Send + 'static>(&self) -> Result<T, ApiError> {
        let body = self.body.clone();
        let read = self.turns.run(body.len(), move || serde_json::from_slice(&body)).await;
        read.map_err(|error| ApiError::bad_request(format!("Malformed request body: {error}")))
    }

    /// Runs work that reads the whole body. For large bodies it runs outside of the request threads.
    pub async fn read<T: Send + 'static>(&self, work: impl FnOnce(&[u8]) -> T + Send + 'static) -> T {
        let body = self.body.clone();
        self.turns.run(body.len(), move || work(&body)).await
    }
}

/// Reason why a body could not be read.
enum BodyError {
    TooLarge,
    /// The memory for large bodies is in use by other requests.
    Busy,
    Broken(String),
}

/// Reads a body. A large body reserves its share of the memory for large bodies while it arrives.
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
        // Most bodies arrive in one frame and are not copied.
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

impl Mutation {
    /// Rejects a request with an `Idempotency-Key`, for endpoints that do not support it and would repeat the
    /// change.
    ///
    /// # Errors
    ///
    /// Fails with 400 if the request has an `Idempotency-Key` header.
    pub fn refuse_key(&self) -> Result<(), ApiError> {
        match self.idempotency_key {
            None => Ok(()),
            Some(_) => Err(keyless()),
        }
    }
}

/// Rejects requests with an `Idempotency-Key`: middleware for routers whose endpoints do not support it.
///
/// # Errors
///
/// Fails with 400 if the request has an `Idempotency-Key` header.
pub async fn refuse_keys(request: axum::extract::Request, next: Next) -> Result<Response, ApiError> {
    if request.headers().contains_key(IDEMPOTENCY_KEY) {
        return Err(keyless());
    }
    Ok(next.run(request).await)
}

fn keyless() -> ApiError {
    ApiError::bad_request(
        "this endpoint does not support Idempotency-Key: a repeated request is carried out again; remove the header",
    )
}

impl FromRequest<App> for Mutation {
    type Rejection = ApiError;

    async fn from_request(sent: axum::extract::Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = sent.into_parts();
        let limit_bytes = app.limits.body_bytes;
        // Half of the time limit of the request is reserved for processing.
        let patience = Duration::from_millis(app.limits.request_ms / 2);
        let collected = tokio::time::timeout(patience, collect(body, limit_bytes, &app.bodies)).await;
        let (body, memory) = match collected {
            Ok(Ok(collected)) => collected,
            Ok(Err(BodyError::TooLarge)) => {
                return Err(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "BadRequestException",
                    format!(
                        "the request body exceeds {limit_bytes} bytes; raise `limits.body-bytes` to permit it"
                    ),
                ));
            }
            Ok(Err(BodyError::Busy)) => {
                return Err(ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ServiceUnavailableException",
                    "the server is busy with large requests; nothing was changed, try again in a moment, or \
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

/// Returns the request that [`super::layers::observe`] attached. Every endpoint is behind that layer.
fn request(parts: &Parts) -> Result<Request, ApiError> {
    parts
        .extensions
        .get::<Request>()
        .cloned()
        .ok_or_else(|| ApiError::internal("the request was not authenticated"))
}

/// Returns the warehouse of the next name of a path. Fails unless the caller may use the warehouse.
async fn warehouse(app: &App, request: &Request, names: &mut Names<'_>) -> Result<Warehouse, ApiError> {
    Ok(app.catalog.warehouses.require(request, &names.next()?, Action::UseWarehouse).await?)
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
