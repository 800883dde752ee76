//! Reading of the manifests of a scan ahead of their use, within limits on the memory that they take in
//! addition to the cache. Their locations were checked before.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use table_core::manifest::file::Manifest;
use table_core::manifest::list::ManifestFile;

use crate::work::Share;

use super::Scans;
use super::error::PlanError;

/// Maximum memory for the delete manifests of one scan, which are in memory together while they are indexed.
/// The manifests of three thousand equality delete files take about 2 MiB, so a table that exceeds this limit
/// was made to exhaust memory.
const DELETE_MANIFESTS_BYTES_MAX: usize = 512 << 20;

/// Manifest that was read ahead, with its share of the memory for reading ahead.
pub(super) type Ahead = (Arc<Manifest>, Share);

impl Scans {
    /// Returns decoded delete manifests and the memory that they take, in bytes.
    pub(super) async fn decoded(
        &self,
        deletes: Vec<ManifestFile>,
    ) -> Result<(Vec<(Arc<Manifest>, ManifestFile)>, usize), PlanError> {
        let mut reading = std::pin::pin!(self.read_ahead(deletes));
        let (mut decoded, mut bytes) = (Vec::new(), 0_usize);
        while let Some((ahead, file)) = reading.try_next().await? {
            let (manifest, _share) = self.manifest_of(ahead, &file).await?;
            bytes = bytes.saturating_add(manifest.memory_bytes());
            if bytes > DELETE_MANIFESTS_BYTES_MAX {
                return Err(PlanError::TooManyDeletes(DELETE_MANIFESTS_BYTES_MAX >> 20));
            }
            decoded.push((manifest, file));
        }
        Ok((decoded, bytes))
    }

    /// Returns a stream of manifests in order. Some are read ahead as far as the memory permits.
    pub(super) fn read_ahead(
        &self,
        listed: Vec<ManifestFile>,
    ) -> impl Stream<Item = Result<(Option<Ahead>, ManifestFile), PlanError>> {
        let reading = stream::iter(listed).map(move |file| async move {
            let manifest = self.manifests.cache.manifest(&file.path).await?;
            let share = self.ahead.try_take(manifest.memory_bytes());
            Ok((share.map(|share| (manifest, share)), file))
        });
        reading.buffered(self.settings.parallel_manifests)
    }

    /// Returns a manifest, which is read unless it was read ahead, with its share of the memory for reading
    /// ahead.
    pub(super) async fn manifest_of(
        &self,
        ahead: Option<Ahead>,
        file: &ManifestFile,
    ) -> Result<(Arc<Manifest>, Share), PlanError> {
        match ahead {
            Some(ahead) => Ok(ahead),
            None => Ok((self.manifests.cache.manifest(&file.path).await?, Share::none())),
        }
    }
}
