//! Google Cloud Storage as simulated by fake-gcs-server and a front of our own, which issues tokens and
//! enforces the access boundaries of downscoped ones.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::start_script::StartScript;
use crate::http::{self, encode};

/// Form of a token exchange, without its parameters.
const TOKEN_EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Running emulator of Google Cloud Storage.
#[derive(Debug)]
pub struct GcsEmulator {
    endpoint: String,
    service_account: PathBuf,
    _script: StartScript,
}

impl GcsEmulator {
    /// Starts a server without buckets.
    ///
    /// # Errors
    ///
    /// Fails if fake-gcs-server is not installed, or the server is not ready within three minutes.
    pub async fn start() -> Result<Self> {
        let script = StartScript::run("gcs").await?;
        let (endpoint, service_account) = (script.text("endpoint")?, script.path("service_account")?);
        Ok(Self { endpoint, service_account, _script: script })
    }

    /// Returns the server that all tests of this process share; each creates its own bucket.
    ///
    /// # Errors
    ///
    /// Fails if the server has to be started and [`GcsEmulator::start`] fails.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<GcsEmulator> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// URL without a path, such as `http://127.0.0.1:20480`, of both the JSON and the XML API. Tokens are
    /// issued at `/token`, and exchanged for downscoped ones at `/v1/token`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// File with the key of a service account, which may do everything. It names the addresses of the server,
    /// for clients that read them.
    pub fn service_account(&self) -> &Path {
        &self.service_account
    }

    /// Creates a bucket.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        let bearer = format!("Bearer {}", self.access_token().await?);
        let body = json!({ "name": name }).to_string();
        self.post("/storage/v1/b", body, &[("authorization", &bearer)]).await?;
        Ok(())
    }

    /// Returns a new token that may do everything, valid for an hour.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached.
    pub async fn access_token(&self) -> Result<String> {
        token_of(&self.post("/token", String::new(), &[FORM]).await?)
    }

    /// Returns a new token that is limited by a Credential Access Boundary: rules as in
    /// `accessBoundaryRules`.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, or does not understand a rule: conditions may only compare
    /// names of objects and prefixes of lists.
    pub async fn downscoped_token(&self, rules: &Value) -> Result<String> {
        let subject = self.access_token().await?;
        let options = json!({ "accessBoundary": { "accessBoundaryRules": rules } }).to_string();
        let form =
            format!("{TOKEN_EXCHANGE}&subject_token={}&options={}", encode(&subject), encode(&options));
        token_of(&self.post("/v1/token", form, &[FORM]).await?)
    }

    async fn post(&self, path: &str, body: String, headers: &[(&str, &str)]) -> Result<Value> {
        let reply = http::try_send("POST", &format!("{}{path}", self.endpoint), Some(body), headers).await?;
        ensure!(reply.status == 200, "POST {path}: {}: {}", reply.status, reply.text());
        Ok(reply.json())
    }
}

fn token_of(answer: &Value) -> Result<String> {
    let token = answer["access_token"].as_str();
    Ok(token.with_context(|| format!("no token in {answer}"))?.to_owned())
}
