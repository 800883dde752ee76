//! Minimal client of the Iceberg REST protocol: configuration, tables, scan planning, commits.
//!
//! ```text
//! let client = Client::connect(&CatalogAddress::new("http://127.0.0.1:8181"), "main").await?;
//! let table = TableName::parse("main.sales.orders")?;
//! let loaded = client.load(&table).await?;
//! ```

use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use address::CatalogAddress;
use error::ClientError;
use fence::Fence;
use table_name::{TableName, encode};
use transport::{RequestLimits, Transport};

pub mod address;
pub mod error;
pub mod fence;
mod proxy;
mod resolver;
pub mod table_name;
mod tls;
mod transport;

/// Maximum number of polls for the result of a submitted scan plan, one second apart.
const POLLS_MAX: usize = 600;

const PLAN: &str = "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan";

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

/// Connection to a catalog. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    prefix: String,
    /// `true` if the catalog supports scan planning.
    pub plans: bool,
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

impl Client {
    /// Connects to a catalog, for the tables of a warehouse, and requests its configuration.
    ///
    /// # Errors
    ///
    /// Fails for the reasons of [`Client::new`] and [`Client::of_warehouse`].
    pub async fn connect(address: &CatalogAddress, warehouse: &str) -> Result<Client, ClientError> {
        Client::new(address)?.of_warehouse(warehouse).await
    }

    /// Creates a client without a warehouse. No request is sent yet.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Name`] if the address, its file with certificates, or the proxy that the
    /// environment names for it cannot be used; with [`ClientError::Unreachable`] if TLS cannot be set up.
    pub fn new(address: &CatalogAddress) -> Result<Client, ClientError> {
        let transport = Transport::new(address, RequestLimits::default(), &Matcher::from_env())?;
        Ok(Client { transport, prefix: String::new(), plans: false })
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
        let config = client.transport.send(Method::GET, &path, None, None).await?;
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
        let answer = self.transport.send(Method::GET, &self.path(name, "")?, None, None).await?;
        decode(&answer, "the response of the catalog is not a table")
    }

    /// Sends a commit of a table. A lost race is not an error but [`Committed::Lost`].
    ///
    /// # Errors
    ///
    /// Fails only if the commit certainly was not made, for another reason than a conflict with a concurrent
    /// commit: with [`ClientError::Refused`] and a status of 400 to 499 except 409, or with
    /// [`ClientError::Name`], before it was sent.
    pub async fn commit(
        &self,
        name: &TableName,
        body: String,
        fence: Option<&Fence>,
    ) -> Result<Committed, ClientError> {
        match self.transport.send(Method::POST, &self.path(name, "")?, Some(body), fence).await {
            Ok(answer) => match decode(&answer, "the response of the catalog is not a table") {
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
                let message = format!("the catalog has not finished the plan after {POLLS_MAX} seconds");
                return Err(ClientError::Unexpected(message));
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let path = self.path(name, &format!("/plan/{}", encode(&id)))?;
            plan = decode(
                &self.transport.send(Method::GET, &path, None, None).await?,
                "the catalog's plan is not JSON",
            )?;
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
        let answer =
            self.transport.send(Method::POST, &self.path(name, rest)?, Some(body.to_string()), None).await?;
        decode(&answer, "the response of the catalog is not JSON")
    }

    fn path(&self, name: &TableName, rest: &str) -> Result<String, ClientError> {
        Ok(format!("v1/{}{}{rest}", self.prefix, name.path()?))
    }

    /// Sends JSON to a path below the catalog's root. Returns the body of the response, which may be empty.
    pub(crate) async fn call(&self, path: &str, body: &impl serde::Serialize) -> Result<Bytes, ClientError> {
        let body = serde_json::to_string(body).map_err(|error| ClientError::Unexpected(error.to_string()))?;
        self.transport.send(Method::POST, path, Some(body), None).await
    }

    /// Requests a path below the catalog's root. Returns the body of the response.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        self.transport.send(Method::GET, path, None, None).await
    }
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(answer: &'a [u8], otherwise: &str) -> Result<T, ClientError> {
    serde_json::from_slice(answer).map_err(|error| ClientError::Unexpected(format!("{otherwise}: {error}")))
}

fn unexpected(what: &str) -> ClientError {
    ClientError::Unexpected(what.to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
