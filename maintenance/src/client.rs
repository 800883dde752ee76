//! Minimal client of the Iceberg REST protocol: configuration, tables, scan planning, commits.
//!
//! ```text
//! let client = Client::connect("http://127.0.0.1:8181", None, "main").await?;
//! let table = TableName::parse("main.sales.orders")?;
//! let loaded = client.load(&table).await?;
//! ```

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Time after which an unused connection is closed. Servers close idle connections themselves; a request sent
/// at that moment would be lost.
const IDLE_MAX: std::time::Duration = std::time::Duration::from_secs(2);
/// Maximum time to wait for a response.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);
/// Maximum number of polls for the result of a submitted scan plan, one second apart.
const POLLS_MAX: usize = 600;

const PLAN: &str = "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan";

/// Error of a request to a catalog.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The catalog refused the request.
    #[error("{message} ({status})")]
    Refused {
        /// HTTP status of the response.
        status: u16,
        /// Error message of the catalog.
        message: String,
    },
    /// The catalog did not respond, or the connection was interrupted.
    #[error("{0}")]
    Unreachable(String),
    /// The response does not conform to the protocol.
    #[error("{0}")]
    Unexpected(String),
    /// The name of a table or the address of the catalog is not valid.
    #[error("{0}")]
    Name(String),
}

impl ClientError {
    /// Returns `true` if the catalog has no such endpoint. A catalog that refuses a caller or is overloaded may have it.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 404 | 405 | 501, .. })
    }
}

/// Outcome of a commit.
#[derive(Debug)]
pub enum Committed {
    /// The commit was made.
    Done(Loaded),
    /// The commit was not made, because a requirement failed after a concurrent commit.
    Lost(ClientError),
    /// Unknown outcome: the commit may or may not have been made.
    Unknown(ClientError),
}

/// Identity of an attempt at a job. A worker sends it with its commits, so that they fail once the job was
/// leased again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence(String);

/// Header with the id of the job and the number of the attempt.
const FENCE: &str = "firn-job";

impl Fence {
    /// Creates the identity of an attempt.
    pub fn new(job_id: uuid::Uuid, attempt: i64) -> Fence {
        Fence(format!("{job_id}/{attempt}"))
    }
}

/// Connection to a catalog. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    root: String,
    token: Option<String>,
    prefix: String,
    /// `true` if the catalog supports scan planning.
    pub plans: bool,
}

/// Name of a table, with its warehouse and the levels of its namespace.
#[derive(Debug, Clone)]
pub struct TableName {
    /// Name of the warehouse.
    pub warehouse: String,
    namespace: Vec<String>,
    table: String,
}

/// Response of the catalog to loading a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Loaded {
    /// Location of the current metadata file.
    #[serde(default)]
    pub metadata_location: Option<String>,
    /// Table metadata, as JSON.
    pub metadata: Box<RawValue>,
}

impl TableName {
    /// Creates the name of a table from its parts.
    pub fn new(warehouse: String, namespace: Vec<String>, table: String) -> TableName {
        TableName { warehouse, namespace, table }
    }

    /// Returns the name as query parameters of the governance API.
    pub(crate) fn query(&self) -> String {
        let (warehouse, table) = (encode(&self.warehouse), encode(&self.table));
        format!("warehouse={warehouse}&namespace={}&table={table}", encode(&self.namespace.join("\u{1f}")))
    }

    /// Parses `warehouse.namespace.table`. Levels may be in double quotes, with a quote inside doubled.
    ///
    /// ```text
    /// main.sales.orders    warehouse main, namespace sales, table orders
    /// main.a."b.c".t       warehouse main, namespace levels a and b.c, table t
    /// ```
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Name`] if there are fewer than three levels, if one of them is empty, or if
    /// a double quote is not closed.
    pub fn parse(text: &str) -> Result<TableName, ClientError> {
        let mut levels = vec![String::new()];
        let mut quoted = false;
        let mut rest = text.chars().peekable();
        while let Some(next) = rest.next() {
            let Some(level) = levels.last_mut() else { break };
            match next {
                '"' if quoted && rest.peek() == Some(&'"') => {
                    level.push('"');
                    rest.next();
                }
                '"' => quoted = !quoted,
                '.' if !quoted => levels.push(String::new()),
                other => level.push(other),
            }
        }
        if quoted {
            return Err(ClientError::Name(format!("`{text}` has a double quote without its end")));
        }
        if levels.len() < 3 || levels.iter().any(String::is_empty) {
            return Err(ClientError::Name(format!(
                "`{text}` is not a table's name; write `warehouse.namespace.table`, as in `main.sales.orders`"
            )));
        }
        let table = levels.pop().unwrap_or_default();
        Ok(TableName { warehouse: levels.remove(0), namespace: levels, table })
    }
}

impl Client {
    /// Connects to a catalog, for the tables of a warehouse, and requests its configuration.
    ///
    /// # Errors
    ///
    /// Fails for the reasons of [`Client::new`] and [`Client::of_warehouse`].
    pub async fn connect(uri: &str, token: Option<&str>, warehouse: &str) -> Result<Client, ClientError> {
        Client::new(uri, token)?.of_warehouse(warehouse).await
    }

    /// Creates a client without a warehouse. No request is sent yet.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Name`] if `uri` is not an HTTP or HTTPS address, and with
    /// [`ClientError::Unreachable`] if TLS cannot be set up.
    pub fn new(uri: &str, token: Option<&str>) -> Result<Client, ClientError> {
        let is_address = uri.parse::<hyper::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !is_address {
            let told =
                format!("`{uri}` is not a catalog's address; write one such as `http://127.0.0.1:8181`");
            return Err(ClientError::Name(told));
        }
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(provider)
            .map_err(|error| ClientError::Unreachable(format!("cannot set up TLS: {error}")))?
            .https_or_http()
            .enable_http1()
            .build();
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let root = uri.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let token = token.map(str::to_owned);
        Ok(Client { http, root, token, prefix: String::new(), plans: false })
    }

    /// Returns a client for the tables of a warehouse on the same connection. Requests the configuration of
    /// the catalog.
    ///
    /// # Errors
    ///
    /// Fails if the catalog cannot be reached, if it refuses the request, or if its configuration is not
    /// JSON.
    pub async fn of_warehouse(&self, warehouse: &str) -> Result<Client, ClientError> {
        let mut client = self.clone();
        let path = format!("v1/config?warehouse={}", encode(warehouse));
        let config = client.send(Method::GET, &path, None, None).await?;
        let config: Value = decode(&config, "the catalog's configuration is not JSON")?;
        let setting = |name: &str| {
            let found = config["overrides"].get(name).or_else(|| config["defaults"].get(name));
            found.and_then(Value::as_str).map(str::to_owned)
        };
        if let Some(prefix) = setting("prefix").filter(|prefix| !prefix.is_empty()) {
            client.prefix = format!("{prefix}/");
        }
        client.plans = config["endpoints"].as_array().is_some_and(|all| all.iter().any(|one| one == PLAN));
        Ok(client)
    }

    /// Loads a table.
    ///
    /// # Errors
    ///
    /// Fails if the catalog cannot be reached, if it refuses the request, as with status 404 if there is no
    /// such table, or if its response is not a table.
    pub async fn load(&self, name: &TableName) -> Result<Loaded, ClientError> {
        let answer = self.send(Method::GET, &self.path(name, ""), None, None).await?;
        decode(&answer, "the catalog's answer is not a table")
    }

    /// Sends a commit of a table. A lost race is not an error but [`Committed::Lost`].
    ///
    /// # Errors
    ///
    /// Fails only with [`ClientError::Refused`] and a status of 400 to 499 except 409, that is, if the commit
    /// certainly was not made, for another reason than a conflict with a concurrent commit.
    pub async fn commit(
        &self,
        name: &TableName,
        body: String,
        fence: Option<&Fence>,
    ) -> Result<Committed, ClientError> {
        match self.send(Method::POST, &self.path(name, ""), Some(body), fence).await {
            Ok(answer) => match decode(&answer, "the catalog's answer is not a table") {
                Ok(loaded) => Ok(Committed::Done(loaded)),
                Err(error) => Ok(Committed::Unknown(error)),
            },
            Err(error @ ClientError::Refused { status: 409, .. }) => Ok(Committed::Lost(error)),
            Err(error @ ClientError::Refused { status: 400..=499, .. }) => Err(error),
            Err(error) => Ok(Committed::Unknown(error)),
        }
    }

    /// Lets the catalog plan a scan of all files of a snapshot, and passes each part of the plan to `take`:
    /// the response to the plan request, and those to its plan tasks.
    ///
    /// # Errors
    ///
    /// Fails if a request fails, if the catalog does not complete the plan, or if it takes longer than ten
    /// minutes.
    pub async fn plan(
        &self,
        name: &TableName,
        snapshot_id: i64,
        mut take: impl FnMut(Value),
    ) -> Result<(), ClientError> {
        let mut plan = self.post(name, "/plan", &json!({ "snapshot-id": snapshot_id })).await?;
        let mut polls = 0;
        while plan["status"] == "submitted" {
            let id = plan["plan-id"].as_str().ok_or_else(|| unexpected("a submitted plan has no id"))?;
            let id = id.to_owned();
            polls += 1;
            if polls > POLLS_MAX {
                let told = format!("the catalog has not finished the plan after {POLLS_MAX} seconds");
                return Err(ClientError::Unexpected(told));
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let path = self.path(name, &format!("/plan/{}", encode(&id)));
            plan =
                decode(&self.send(Method::GET, &path, None, None).await?, "the catalog's plan is not JSON")?;
            if plan.get("plan-id").is_none() {
                plan["plan-id"] = id.into();
            }
        }
        if plan["status"] != "completed" {
            return Err(ClientError::Unexpected(format!("the catalog did not plan the scan: {plan}")));
        }
        let mut waiting = vec![plan];
        while let Some(part) = waiting.pop() {
            for task in part["plan-tasks"].as_array().into_iter().flatten() {
                let fetched = self.post(name, "/tasks", &json!({ "plan-task": task })).await?;
                // A task may be divided into more tasks. These are rare enough to be stored.
                if fetched["plan-tasks"].as_array().is_some_and(|tasks| !tasks.is_empty()) {
                    waiting.push(fetched);
                } else {
                    take(fetched);
                }
            }
            take(part);
        }
        Ok(())
    }

    async fn post(&self, name: &TableName, rest: &str, body: &Value) -> Result<Value, ClientError> {
        let answer = self.send(Method::POST, &self.path(name, rest), Some(body.to_string()), None).await?;
        decode(&answer, "the catalog's answer is not JSON")
    }

    fn path(&self, name: &TableName, rest: &str) -> String {
        let namespace = encode(&name.namespace.join("\u{1f}"));
        format!("v1/{}namespaces/{namespace}/tables/{}{rest}", self.prefix, encode(&name.table))
    }

    /// Sends JSON to a path below the catalog's root. Returns the body of the response, which may be empty.
    pub(crate) async fn call(&self, path: &str, body: &impl serde::Serialize) -> Result<Bytes, ClientError> {
        let body = serde_json::to_string(body).map_err(|error| ClientError::Unexpected(error.to_string()))?;
        self.send(Method::POST, path, Some(body), None).await
    }

    /// Requests a path below the catalog's root. Returns the body of the response.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        self.send(Method::GET, path, None, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        fence: Option<&Fence>,
    ) -> Result<Bytes, ClientError> {
        let url = format!("{}/{path}", self.root);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(Fence(fence)) = fence {
            request = request.header(FENCE, fence);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::from(body.unwrap_or_default()))
            .map_err(|_| ClientError::Name(format!("`{}` is not a catalog's address", self.root)))?;
        let answer = async {
            let response = self.http.request(request).await?;
            let status = response.status();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((
                status,
                response.into_body().collect().await?.to_bytes(),
            ))
        };
        let (status, body) = tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .map_err(|_| {
                let seconds = ANSWER_TIMEOUT.as_secs();
                ClientError::Unreachable(format!("`{}` did not answer within {seconds} s", self.root))
            })?
            .map_err(|error| {
                let told = format!("cannot reach a catalog at `{}`; is it running? See `--uri`", self.root);
                ClientError::Unreachable(format!("{told}: {error}"))
            })?;
        if status.is_success() {
            return Ok(body);
        }
        let told = serde_json::from_slice::<Value>(&body).ok();
        let message = told.as_ref().and_then(|told| told["error"]["message"].as_str());
        let message = message.unwrap_or("the catalog refused the request without a reason").to_owned();
        Err(ClientError::Refused { status: status.as_u16(), message })
    }
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(answer: &'a [u8], otherwise: &str) -> Result<T, ClientError> {
    serde_json::from_slice(answer).map_err(|error| ClientError::Unexpected(format!("{otherwise}: {error}")))
}

fn unexpected(what: &str) -> ClientError {
    ClientError::Unexpected(what.to_owned())
}

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_catalog_without_the_endpoint_does_not_support_it() {
        let refused = |status| ClientError::Refused { status, message: String::new() };
        assert!([400, 404, 405, 501].map(refused).iter().all(ClientError::is_unsupported));
        assert!(![401, 403, 408, 429, 500, 503].map(refused).iter().any(ClientError::is_unsupported));
        assert!(!ClientError::Unreachable(String::new()).is_unsupported());
    }

    #[test]
    fn names_fall_into_levels() {
        for (text, expected) in [
            ("main.a.t", "main|a|t"),
            ("main.a.b.t", "main|a,b|t"),
            ("main.\"a.b\".\"t\"\"1\"", "main|a.b|t\"1"),
        ] {
            let name = TableName::parse(text).unwrap();
            assert_eq!(format!("{}|{}|{}", name.warehouse, name.namespace.join(","), name.table), expected);
        }
        for text in ["", "t", "a.t", "main..t", "main.a.", "main.\"a.t"] {
            assert!(TableName::parse(text).is_err(), "{text}");
        }
    }
}
