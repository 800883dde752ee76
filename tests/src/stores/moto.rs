//! moto, which simulates services of AWS at one address: S3 with storage classes, KMS, Glue, Lake Formation
//! and others. It grants every request, so nothing about permissions can be tested with it.

use std::ops::Deref;

use anyhow::Result;
use tokio::sync::OnceCell;

use super::s3_server::S3Server;
use super::start_script::StartScript;

/// Running moto. Dereferences to an [`S3Server`].
#[derive(Debug)]
pub struct Moto {
    server: S3Server,
}

impl Moto {
    /// Starts a server without buckets.
    ///
    /// # Errors
    ///
    /// Fails if moto is not installed, or the server is not ready within three minutes.
    pub async fn start() -> Result<Self> {
        Ok(Self { server: S3Server::new(StartScript::run("moto").await?)? })
    }

    /// Returns the server that all tests of this process share; each creates its own bucket.
    ///
    /// # Errors
    ///
    /// Fails if the server has to be started and [`Moto::start`] fails.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Moto> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }
}

impl Deref for Moto {
    type Target = S3Server;

    fn deref(&self) -> &S3Server {
        &self.server
    }
}
