//! Requests and responses within limits of time and size. What they mean is for the callers to know.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Method, Response, Url, header};
use serde_json::Value;

use super::address::CatalogAddress;
use super::error::ClientError;
use super::fence::Fence;
use super::proxy::{self, ChosenProxy};
use super::resolver::SystemResolver;
use super::tls;

/// Time after which an unused connection is closed. Servers close idle connections themselves; a request sent
/// at that moment would be lost.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// Maximum size of the response to a refused request, which is only read for its message.
const REFUSAL_BYTES_MAX: usize = 1 << 20;
/// Header with the id of the job and the number of the attempt.
const FENCE: &str = "firn-job";

/// Limits of requests to a catalog.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Maximum time to connect, with TLS and through a proxy.
    pub connect: Duration,
    /// Maximum time without a byte of the response. A catalog that makes a large commit or plan sends nothing
    /// for a while.
    pub silence: Duration,
    /// Maximum time of a request with its complete response.
    pub total: Duration,
    /// Maximum size of a response in bytes, after it is decompressed.
    pub response_bytes: usize,
}

impl Default for RequestLimits {
    fn default() -> RequestLimits {
        RequestLimits {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(120),
            total: Duration::from_secs(600),
            // Twice the largest metadata file that Firn accepts unless it is configured to.
            response_bytes: 512 << 20,
        }
    }
}

/// Sender of requests to one catalog. Clones share its connections.
#[derive(Clone)]
pub struct Transport {
    http: reqwest::Client,
    root: String,
    token: Option<String>,
    limits: RequestLimits,
}

impl Transport {
    /// Creates a sender of requests. No request is sent yet.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Name`] if the address, the file with certificates, or the proxy of the
    /// environment cannot be used; with [`ClientError::Unreachable`] if TLS cannot be set up.
    pub fn new(
        address: &CatalogAddress,
        limits: RequestLimits,
        environment: &Matcher,
    ) -> Result<Transport, ClientError> {
        let url = address.parse()?;
        let chosen = proxy::choose(&url, address.route, environment)?;
        let is_encrypted = url.scheme() == "https" || chosen.as_ref().is_some_and(|proxy| proxy.is_https);
        let tls =
            if is_encrypted { tls::trusting(address.ca_file.as_deref()) } else { tls::trusting_nobody() }?;
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .dns_resolver(SystemResolver)
            .pool_idle_timeout(IDLE_MAX)
            .connect_timeout(limits.connect)
            .read_timeout(limits.silence);
        let builder = match chosen {
            Some(ChosenProxy { proxy, .. }) => builder.proxy(proxy),
            None => builder,
        };
        let http = builder
            .build()
            .map_err(|error| ClientError::Unreachable(format!("cannot set up HTTP: {error}")))?;
        Ok(Transport { http, root: address.root().to_owned(), token: address.token.clone(), limits })
    }

    /// Sends a request to a path below the root of the catalog. Returns the body of a successful response.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Refused`] if the response has a status other than 200 to 299, redirects
    /// included; with [`ClientError::Unreachable`] if there is no complete response within the limits of
    /// time; with [`ClientError::Unexpected`] if it is too large; with [`ClientError::Name`] if the address or
    /// the token cannot be part of a request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        fence: Option<&Fence>,
    ) -> Result<Bytes, ClientError> {
        let url = Url::parse(&format!("{}/{path}", self.root))
            .map_err(|_| ClientError::Name(format!("`{}` is not a catalog's address", self.root)))?;
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(fence) = fence {
            request = request.header(FENCE, fence.as_str());
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let answer = async {
            let response = request.send().await.map_err(|error| self.unreachable(error))?;
            self.receive(response).await
        };
        tokio::time::timeout(self.limits.total, answer).await.map_err(|_| {
            let seconds = self.limits.total.as_secs_f32();
            ClientError::Unreachable(format!("`{}` did not answer within {seconds} s", self.root))
        })?
    }

    async fn receive(&self, response: Response) -> Result<Bytes, ClientError> {
        let status = response.status();
        if status.is_success() {
            let body = self.body(response, self.limits.response_bytes).await?;
            return body.ok_or_else(|| {
                let most = self.limits.response_bytes;
                let error = format!("the response of `{}` exceeds the limit of {most} bytes", self.root);
                ClientError::Unexpected(error)
            });
        }
        let moved_to = response.headers().get(header::LOCATION).filter(|_| status.is_redirection());
        let moved_to = moved_to.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
        let body = self.body(response, REFUSAL_BYTES_MAX).await?;
        let refusal = body.and_then(|body| serde_json::from_slice::<Value>(&body).ok());
        let message = refusal.as_ref().and_then(|refusal| refusal["error"]["message"].as_str());
        let message = match (message, moved_to) {
            (Some(message), _) => message.to_owned(),
            (None, Some(location)) => {
                format!("`{}` redirects to `{location}`; redirects are not followed, see `--uri`", self.root)
            }
            (None, None) => "the catalog refused the request without a reason".to_owned(),
        };
        Err(ClientError::Refused { status: status.as_u16(), message })
    }

    /// Returns the body of a response, or `None` if it has more than `bytes_max` bytes.
    async fn body(&self, mut response: Response, bytes_max: usize) -> Result<Option<Bytes>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if body.len() + chunk.len() > bytes_max {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.into()))
    }

    fn unreachable(&self, error: reqwest::Error) -> ClientError {
        let error = error.without_url();
        if error.is_builder() {
            return ClientError::Name(format!(
                "the request to `{}` is not valid: {}",
                self.root,
                causes(&error)
            ));
        }
        if error.is_timeout() {
            let limit = if error.is_connect() { self.limits.connect } else { self.limits.silence };
            let seconds = limit.as_secs_f32();
            return ClientError::Unreachable(format!("`{}` did not answer within {seconds} s", self.root));
        }
        let hint = format!("cannot reach a catalog at `{}`; is it running? See `--uri`", self.root);
        ClientError::Unreachable(format!("{hint}: {}", causes(&error)))
    }
}

/// Returns the messages of an error and of its causes.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}
