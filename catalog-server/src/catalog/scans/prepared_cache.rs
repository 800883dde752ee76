//! Cache of prepared scans, which the plan tasks of one plan share. It prepares none.

use std::sync::Arc;
use std::time::Duration;

use table_core::manifest::list::ManifestFile;
use table_core::scan::deletes::DeleteIndex;
use table_core::scan::table_scan::Scan;

/// Memory for prepared scans, in bytes. A prepared scan contains the index of the delete files, which the
/// tasks of one plan share.
const PREPARED_BYTES: u64 = 64 << 20;
/// Memory that the cache needs for an entry in addition to its value: key, counters and queue positions.
const ENTRY_BYTES: usize = 256;
const PREPARED_IDLE: Duration = Duration::from_mins(2);

/// Prepared scans that were used recently, by the key of their text.
pub(super) struct PreparedScans(moka::future::Cache<[u8; 32], Arc<Prepared>>);

/// Scan with its manifests and the index of its delete files.
pub(super) struct Prepared {
    pub(super) scan: Scan,
    /// Data manifests, each with its number among all manifests of the scan's snapshots. Plan tasks refer to
    /// these numbers. They do not depend on pruning, so replicas of different versions agree on them.
    pub(super) manifests: Vec<(usize, ManifestFile)>,
    pub(super) deletes: DeleteIndex,
}

impl Prepared {
    fn memory_bytes(&self) -> usize {
        let manifests = self.manifests.iter().map(|(_, file)| size_of::<usize>() + file.memory_bytes());
        size_of::<Self>() + self.scan.memory_bytes() + self.deletes.memory_bytes() + manifests.sum::<usize>()
    }
}

impl PreparedScans {
    /// Creates the empty cache.
    pub(super) fn new() -> Self {
        let cache = moka::future::Cache::builder()
            .max_capacity(PREPARED_BYTES)
            .weigher(|_, prepared: &Arc<Prepared>| {
                u32::try_from(ENTRY_BYTES + prepared.memory_bytes()).unwrap_or(u32::MAX)
            })
            .time_to_idle(PREPARED_IDLE)
            // The tasks of a plan are requested right after it, independent of how often other scans were
            // used.
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .build();
        Self(cache)
    }

    /// Returns the scan whose text has this key.
    pub(super) async fn find(&self, key: &[u8; 32]) -> Option<Arc<Prepared>> {
        self.0.get(key).await
    }

    /// Caches the scan whose text has this key.
    pub(super) async fn insert(&self, key: &[u8; 32], prepared: Arc<Prepared>) {
        self.0.insert(*key, prepared).await;
        // The cache only evicts after 64 entries or 300 ms, and one entry may take megabytes.
        self.0.run_pending_tasks().await;
    }
}
