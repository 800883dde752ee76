//! A small client of the Iceberg REST protocol: configuration, tables, plans.

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// How long one answer is waited for.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);
/// How often a submitted plan is asked for, a second apart.
const POLLS_MAX: usize = 600;

const PLAN: &str = "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan";

/// A connection to a catalog.
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    root: String,
    token: Option<String>,
    prefix: String,
    /// Whether it plans scans.
    pub plans: bool,
}

/// A table's name, level by level.
pub struct TableName {
    /// The warehouse.
    pub warehouse: String,
    namespace: Vec<String>,
    table: String,
}

/// A table as the catalog gives it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Loaded {
    /// Its current metadata file.
    #[serde(default)]
    pub metadata_location: Option<String>,
    /// The document in it.
    pub metadata: Box<RawValue>,
}

impl TableName {
    /// Reads `warehouse.namespace.table`; levels may stand in double quotes, a quote in them doubled.
    pub fn parse(text: &str) -> anyhow::Result<TableName> {
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
            bail!("`{text}` has a double quote without its end");
        }
        if levels.len() < 3 || levels.iter().any(String::is_empty) {
            bail!(
                "`{text}` is not a table's name; write `warehouse.namespace.table`, as in `main.sales.orders`"
            );
        }
        let table = levels.pop().unwrap_or_default();
        Ok(TableName { warehouse: levels.remove(0), namespace: levels, table })
    }
}

impl Client {
    /// Asks a catalog for its configuration.
    pub async fn connect(uri: &str, token: Option<&str>, warehouse: &str) -> anyhow::Result<Client> {
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(provider)
            .context("cannot set up TLS")?
            .https_or_http()
            .enable_http1()
            .build();
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        let root = uri.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let token = token.map(str::to_owned);
        let mut client = Client { http, root, token, prefix: String::new(), plans: false };
        let config =
            client.send(Method::GET, &format!("config?warehouse={}", encode(warehouse)), None).await?;
        let config: Value =
            serde_json::from_slice(&config).context("the catalog's configuration is not JSON")?;
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
    pub async fn load(&self, name: &TableName) -> anyhow::Result<Loaded> {
        let answer = self.send(Method::GET, &self.path(name, ""), None).await?;
        serde_json::from_slice(&answer).context("the catalog's answer is not a table")
    }

    /// Plans a scan of all files of a snapshot, and hands over each part of the plan.
    pub async fn plan(
        &self,
        name: &TableName,
        snapshot_id: i64,
        mut take: impl FnMut(Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut plan = self.post(name, "/plan", &json!({ "snapshot-id": snapshot_id })).await?;
        let mut polls = 0;
        while plan["status"] == "submitted" {
            let id = plan["plan-id"].as_str().context("a submitted plan has no id")?.to_owned();
            polls += 1;
            if polls > POLLS_MAX {
                bail!("the catalog has not finished the plan after {POLLS_MAX} seconds");
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let path = self.path(name, &format!("/plan/{}", encode(&id)));
            plan = serde_json::from_slice(&self.send(Method::GET, &path, None).await?)?;
            if plan.get("plan-id").is_none() {
                plan["plan-id"] = id.into();
            }
        }
        if plan["status"] != "completed" {
            bail!("the catalog did not plan the scan: {plan}");
        }
        let mut waiting = vec![plan];
        while let Some(part) = waiting.pop() {
            for task in part["plan-tasks"].as_array().into_iter().flatten() {
                let fetched = self.post(name, "/tasks", &json!({ "plan-task": task })).await?;
                // A task may fall into more tasks, which are rare enough to be kept.
                if fetched["plan-tasks"].as_array().is_some_and(|tasks| !tasks.is_empty()) {
                    waiting.push(fetched);
                } else {
                    take(fetched)?;
                }
            }
            take(part)?;
        }
        Ok(())
    }

    async fn post(&self, name: &TableName, rest: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.send(Method::POST, &self.path(name, rest), Some(body)).await?;
        serde_json::from_slice(&answer).context("the catalog's answer is not JSON")
    }

    fn path(&self, name: &TableName, rest: &str) -> String {
        let namespace = encode(&name.namespace.join("\u{1f}"));
        format!("{}namespaces/{namespace}/tables/{}{rest}", self.prefix, encode(&name.table))
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Bytes> {
        let url = format!("{}/v1/{path}", self.root);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = request
            .body(Full::from(body))
            .with_context(|| format!("`{}` is not a catalog's address", self.root))?;
        let answer = async {
            let response = self.http.request(request).await?;
            let status = response.status();
            Ok::<_, anyhow::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .map_err(|_| anyhow!("`{}` did not answer within {} s", self.root, ANSWER_TIMEOUT.as_secs()))?
            .with_context(|| {
                format!("cannot reach a catalog at `{}`; is it running? See `--uri`", self.root)
            })?;
        if status.is_success() {
            return Ok(body);
        }
        let told = serde_json::from_slice::<Value>(&body).ok();
        let message = told.as_ref().and_then(|told| told["error"]["message"].as_str());
        bail!("{} ({status})", message.unwrap_or("the catalog refused the request without a reason"));
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

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
