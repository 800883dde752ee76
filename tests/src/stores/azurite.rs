//! Azurite, Microsoft's emulator of Azure Blob Storage, with TLS and OAuth. It has no hierarchical namespace,
//! so a shared access signature covers a container or a blob, but no folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::{Certificate, ClientOptions};
use reqwest::Method;
use tokio::sync::OnceCell;

use super::signed_request;
use super::start_script::StartScript;

/// Running Azurite, with one account.
#[derive(Debug)]
pub struct Azurite {
    endpoint: String,
    account: String,
    key: String,
    certificate: PathBuf,
    _script: StartScript,
}

impl Azurite {
    /// Starts a server without containers.
    ///
    /// # Errors
    ///
    /// Fails if Azurite is not installed, or the server is not ready within three minutes.
    pub async fn start() -> Result<Self> {
        let script = StartScript::run("azurite").await?;
        Ok(Self {
            endpoint: script.text("endpoint")?,
            account: script.text("account")?,
            key: script.text("key")?,
            certificate: script.path("certificate")?,
            _script: script,
        })
    }

    /// Returns the server that all tests of this process share; each creates its own container.
    ///
    /// # Errors
    ///
    /// Fails if the server has to be started and [`Azurite::start`] fails.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Azurite> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// URL of the account, such as `https://127.0.0.1:46371/devstoreaccount1`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Name of the account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Key of the account, in base 64. Besides, the server accepts every bearer token whose audience, issuer
    /// and times are right, whatever its signature.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Certificate of the authority that clients must trust, in PEM.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Creates a container.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses, as for a name with less than three letters.
    pub async fn create_container(&self, name: &str) -> Result<()> {
        let url = format!("{}/{name}?restype=container", self.endpoint);
        let mut request = signed_request::new(Method::PUT, &url, String::new())?;
        let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(&self.key)?);
        AzureAuthorizer::new(&credential, &self.account).authorize(&mut request);
        let certificate = Certificate::from_pem(&fs::read(&self.certificate)?)?;
        let options = ClientOptions::new().with_root_certificate(certificate);
        signed_request::send(request, options).await?;
        Ok(())
    }
}
