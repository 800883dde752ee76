//! Ceph's S3 gateway (radosgw), the S3 server here with the most of S3: storage classes, lifecycle rules and
//! encryption with keys of a KMS. Its conditional updates do not work.

use std::ops::Deref;

use anyhow::Result;
use tokio::sync::OnceCell;

use super::start_script::StartScript;
use super::sts_server::StsServer;

/// Running radosgw, with a cluster of its own. Dereferences to an [`StsServer`].
#[derive(Debug)]
pub struct RadosGateway {
    server: StsServer,
}

impl RadosGateway {
    /// Starts a server without buckets.
    ///
    /// # Errors
    ///
    /// Fails if Ceph is not installed, or the server is not ready within three minutes.
    pub async fn start() -> Result<Self> {
        Ok(Self { server: StsServer::new(StartScript::run("radosgw").await?)? })
    }

    /// Returns the server that all tests of this process share; each creates its own bucket.
    ///
    /// # Errors
    ///
    /// Fails if the server has to be started and [`RadosGateway::start`] fails.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<RadosGateway> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }
}

impl Deref for RadosGateway {
    type Target = StsServer;

    fn deref(&self) -> &StsServer {
        &self.server
    }
}
