//! SeaweedFS, the S3 server here whose permissions and conditional writes both are those of S3.

use std::ops::Deref;

use anyhow::Result;
use tokio::sync::OnceCell;

use super::start_script::StartScript;
use super::sts_server::StsServer;

/// Running SeaweedFS. Dereferences to an [`StsServer`].
#[derive(Debug)]
pub struct SeaweedFs {
    server: StsServer,
}

impl SeaweedFs {
    /// Starts a server without buckets.
    ///
    /// # Errors
    ///
    /// Fails if SeaweedFS is not installed, or the server is not ready within three minutes.
    pub async fn start() -> Result<Self> {
        Ok(Self { server: StsServer::new(StartScript::run("seaweedfs").await?)? })
    }

    /// Returns the server that all tests of this process share; each creates its own bucket.
    ///
    /// # Errors
    ///
    /// Fails if the server has to be started and [`SeaweedFs::start`] fails.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<SeaweedFs> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }
}

impl Deref for SeaweedFs {
    type Target = StsServer;

    fn deref(&self) -> &StsServer {
        &self.server
    }
}
