//! Requests to object stores that are no operation on an object, such as the creation of a bucket. They are
//! signed by their caller, with the crate `object_store`.

use anyhow::{Result, ensure};
use object_store::ClientOptions;
use object_store::client::{HttpConnector, HttpRequest, ReqwestConnector};
use reqwest::Method;

/// Creates a request with this body, without headers.
///
/// # Errors
///
/// Fails if `url` is not a URL.
pub(super) fn new(method: Method, url: &str, body: String) -> Result<HttpRequest> {
    let mut request = HttpRequest::new(body.into());
    *request.method_mut() = method;
    *request.uri_mut() = url.parse()?;
    Ok(request)
}

/// Sends a request, and returns the body of the response.
///
/// # Errors
///
/// Fails if there is no response, or its status is not a success; the error then includes status and body.
pub(super) async fn send(request: HttpRequest, options: ClientOptions) -> Result<String> {
    let what = format!("{} {}", request.method(), request.uri());
    let client = ReqwestConnector::default().connect(&options.with_allow_http(true))?;
    let response = client.execute(request).await?;
    let status = response.status();
    let body = String::from_utf8_lossy(&response.into_body().bytes().await?).into_owned();
    ensure!(status.is_success(), "{what}: {status}: {body}");
    Ok(body)
}
