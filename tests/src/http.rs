//! HTTP client of the tests. Responses are returned completely (status, headers, body) and are checked only
//! by the methods of [`Reply`] that say so.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;

/// Timeout of a request. No request of the tests takes longer, except on a heavily loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Complete HTTP response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// Response headers.
    pub headers: HeaderMap,
    /// Response body, as received.
    pub body: Vec<u8>,
}

/// Client of one warehouse of one server.
#[derive(Clone, Debug)]
pub struct Client {
    root: String,
    prefix: String,
}

impl Reply {
    /// Parses the body as JSON; panics if it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}), status {}: {}", self.status, self.text()))
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the value of a header; empty if the header is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts the status, and returns the response.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Asserts that the response is an error in the form of the REST specification (`ErrorModel`), with this
    /// status and type, and that its message contains `text`.
    #[track_caller]
    pub fn expect_error(&self, status: u16, kind: &str, text: &str) {
        let message = self.error_message(status, kind);
        assert!(message.contains(text), "the message `{message}` does not say `{text}`");
    }

    /// Asserts that the response is an error in the form of the REST specification, with this status and
    /// type, and returns its message.
    #[track_caller]
    pub fn error_message(&self, status: u16, kind: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json", "{}", self.text());
        let body = self.json();
        let fields: BTreeSet<_> =
            body["error"].as_object().expect("an error object").keys().cloned().collect();
        assert_eq!(fields, ["code", "message", "type"].map(String::from).into(), "{body}");
        assert_eq!(body["error"]["code"], status, "{body}");
        assert_eq!(body["error"]["type"], kind, "{body}");
        body["error"]["message"].as_str().expect("a message").to_owned()
    }
}

impl Client {
    /// Creates a client of the server at `root`, such as `http://127.0.0.1:8181`, with the warehouse
    /// `prefix`.
    pub fn new(root: &str, prefix: &str) -> Self {
        Self { root: root.to_owned(), prefix: encode(prefix) }
    }

    /// Returns a client of the same server with another warehouse prefix, such as `main@…` for catalog time
    /// travel.
    pub fn at(&self, prefix: &str) -> Self {
        Self::new(&self.root, prefix)
    }

    /// Root URL of the server.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Returns the URL of a path below the warehouse prefix.
    pub fn url(&self, path: &str) -> String {
        format!("{}/v1/{}/{path}", self.root, self.prefix)
    }

    /// Sends `GET` for a path below the warehouse prefix.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None, &[]).await
    }

    /// Sends `HEAD` for a path below the warehouse prefix, and returns the status.
    pub async fn head(&self, path: &str) -> u16 {
        self.send("HEAD", path, None, &[]).await.status
    }

    /// Sends `DELETE` for a path below the warehouse prefix.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None, &[]).await
    }

    /// Sends `POST` with a JSON body to a path below the warehouse prefix.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(body.to_string()), &[]).await
    }

    /// Sends a request to a path below the warehouse prefix. A body is sent as JSON unless `headers` contain
    /// another content type.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Reply {
        send(method, &self.url(path), body, headers).await
    }

    /// Sends a request to a path of the server, without the warehouse prefix.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Reply {
        send(method, &format!("{}{path}", self.root), body, headers).await
    }
}

/// Sends a request; panics if there is no response.
pub async fn send(method: &str, url: &str, body: Option<String>, headers: &[(&str, &str)]) -> Reply {
    match try_send(method, url, body, headers).await {
        Ok(reply) => reply,
        Err(error) => panic!("{method} {url}: {error:?}"),
    }
}

/// Sends a request.
///
/// # Errors
///
/// Fails if no complete response is received: no connection, a connection that breaks, or a timeout.
pub async fn try_send(
    method: &str,
    url: &str,
    body: Option<String>,
    headers: &[(&str, &str)],
) -> Result<Reply, reqwest::Error> {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = connections().request(method, url);
    let mut sent = HeaderMap::new();
    if body.is_some() {
        sent.insert("content-type", HeaderValue::from_static("application/json"));
    }
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        sent.insert(name, HeaderValue::from_str(value).expect("a header value"));
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    read(request.headers(sent).send().await?).await
}

async fn read(response: Response) -> Result<Reply, reqwest::Error> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, body: response.bytes().await?.to_vec() })
}

/// Percent-encodes a name for a path segment or a query value: all bytes except ASCII letters, digits, `-`,
/// `_` and `@`.
pub fn encode(name: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'@');
    let encode = |byte: u8| if fits(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(encode).collect()
}

/// Connection pool of the whole process, as in a long-running client.
fn connections() -> &'static reqwest::Client {
    static CONNECTIONS: OnceLock<reqwest::Client> = OnceLock::new();
    CONNECTIONS.get_or_init(|| {
        // Servers are reached without TLS, but the client looks for a provider of cryptography unless it gets one.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider);
        let tls = tls.with_safe_default_protocol_versions().expect("versions of TLS");
        let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
        let builder = builder.timeout(PATIENCE).no_proxy().no_gzip();
        builder.build().expect("a client")
    })
}
