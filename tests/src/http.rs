//! Requests and what came back, whole: status, headers, body. It judges nothing unless asked to.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;

/// Nothing that is asked of a server here takes longer, except on a machine that is out of breath.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Talks to one server about one warehouse.
#[derive(Clone, Debug)]
pub struct Client {
    root: String,
    prefix: String,
}

impl Reply {
    /// The body as JSON; fails the test if it is not.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}), status {}: {}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Fails the test unless the answer is an error in the protocol's form, of this status and type, whose
    /// message contains `text`.
    #[track_caller]
    pub fn refused(&self, status: u16, kind: &str, text: &str) {
        let message = self.error_message(status, kind);
        assert!(message.contains(text), "the message `{message}` does not say `{text}`");
    }

    /// Fails the test unless the answer is an error of this status and type; gives its message.
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
    /// A client of the server at `root`, such as `http://127.0.0.1:8181`, and of the warehouse `prefix`.
    pub fn new(root: &str, prefix: &str) -> Self {
        Self { root: root.to_owned(), prefix: encode(prefix) }
    }

    /// The same server, another warehouse: `main@…` for the past.
    pub fn at(&self, prefix: &str) -> Self {
        Self::new(&self.root, prefix)
    }

    /// The server's root.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The URL of a path in the warehouse.
    pub fn url(&self, path: &str) -> String {
        format!("{}/v1/{}/{path}", self.root, self.prefix)
    }

    /// `GET` of a path in the warehouse.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None, &[]).await
    }

    /// `HEAD` of a path in the warehouse; the status.
    pub async fn head(&self, path: &str) -> u16 {
        self.send("HEAD", path, None, &[]).await.status
    }

    /// `DELETE` of a path in the warehouse.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None, &[]).await
    }

    /// `POST` of JSON to a path in the warehouse.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(body.to_string()), &[]).await
    }

    /// Any request to a path in the warehouse; a body is sent as JSON unless `headers` say otherwise.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Reply {
        send(method, &self.url(path), body, headers).await
    }

    /// Any request to a path of the server.
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

/// Any request; the test fails if no answer comes.
pub async fn send(method: &str, url: &str, body: Option<String>, headers: &[(&str, &str)]) -> Reply {
    match try_send(method, url, body, headers).await {
        Ok(reply) => reply,
        Err(error) => panic!("{method} {url}: {error:?}"),
    }
}

/// Any request; an error if no answer comes.
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

/// A name as a segment of a path or a value of a query: everything but letters, digits, `-`, `_` encoded.
pub fn encode(name: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'@');
    let encode = |byte: u8| if fits(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(encode).collect()
}

/// One set of connections for the whole process, as in a client that runs for long.
fn connections() -> &'static reqwest::Client {
    static CONNECTIONS: OnceLock<reqwest::Client> = OnceLock::new();
    CONNECTIONS.get_or_init(|| {
        let builder = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
        builder.build().expect("a client")
    })
}
