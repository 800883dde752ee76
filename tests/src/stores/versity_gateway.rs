//! The S3 server versitygw: of the S3 servers here the one whose conditional writes are those of S3. It has
//! neither temporary keys nor storage classes.

use std::ops::Deref;

use anyhow::Result;
use tokio::sync::OnceCell;

use super::s3_server::S3Server;
use super::start_script::StartScript;

/// Running versitygw. Dereferences to an [`S3Server`].
#[derive(Debug)]
pub struct VersityGateway {
    server: S3Server,
}

impl VersityGateway {
    /// Starts a server without buckets.
    ///
    /// # Errors
    ///
    /// Fails if versitygw is not installed, or the server is not ready within three minutes.
    pub async fn start() -> Result<Self> {
        Ok(Self { server: S3Server::new(StartScript::run("versitygw").await?)? })
    }

    /// Returns the server that all tests of this process share; each creates its own bucket.
    ///
    /// # Errors
    ///
    /// Fails if the server has to be started and [`VersityGateway::start`] fails.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<VersityGateway> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }
}

impl Deref for VersityGateway {
    type Target = S3Server;

    fn deref(&self) -> &S3Server {
        &self.server
    }
}
