//! Pointers remembered in memory, so that loading a table again asks SQLite nothing.
//!
//! Right only where this process is the one that writes. Entries are never removed when a pointer
//! moves; they stop counting. A clock ticks at every commit that touched a table. An entry
//! remembers the tick at which its reader *began* to read; a commit remembers, for each table it
//! touched, its own tick. An entry counts if its tick is not before the table's: its reader began
//! after the commit was in place. No lock is held and no order between the two is needed.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;

use super::ids::{TabularId, WarehouseId};
use super::tabulars::Tabular;

/// Tables share a slot with about one in as many others; sharing costs a needless read, no more.
const SLOTS: usize = 4096;

pub(super) struct PointerCache {
    entries: Cache<Key, Arc<Entry>>,
    clock: AtomicU64,
    /// The tick of the last commit that touched a table hashed here.
    slots: Vec<AtomicU64>,
    hasher: RandomState,
}

/// Which table or view is looked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) warehouse_id: WarehouseId,
    pub(super) namespace_path: String,
    pub(super) name: String,
}

/// How many commits that touched a table had been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

struct Entry {
    tick: Tick,
    tabular: Tabular,
}

impl PointerCache {
    pub(super) fn new(entries: u64) -> Self {
        Self {
            entries: Cache::new(entries),
            clock: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// What was read under `key`; or, if nothing was or a commit has touched it since, the tick to
    /// remember the answer by. The database must be read after this, not before.
    pub(super) fn find(&self, key: &Key) -> Result<Tabular, Tick> {
        let tick = Tick(self.clock.load(Ordering::SeqCst));
        match self.entries.get(key) {
            Some(entry) if entry.tick >= self.touched(entry.tabular.tabular_id) => Ok(entry.tabular.clone()),
            _ => Err(tick),
        }
    }

    /// Remembers what a reader found that began at `tick`.
    pub(super) fn remember(&self, key: Key, tick: Tick, tabular: &Tabular) {
        self.entries.insert(key, Arc::new(Entry { tick, tabular: tabular.clone() }));
    }

    /// To be called after COMMIT and before it is answered.
    pub(super) fn forget(&self, touched: &[TabularId]) {
        if touched.is_empty() {
            return;
        }
        let tick = self.clock.fetch_add(1, Ordering::SeqCst) + 1;
        for tabular_id in touched {
            self.slot(*tabular_id).fetch_max(tick, Ordering::SeqCst);
        }
    }

    fn touched(&self, tabular_id: TabularId) -> Tick {
        Tick(self.slot(tabular_id).load(Ordering::SeqCst))
    }

    fn slot(&self, tabular_id: TabularId) -> &AtomicU64 {
        let hash = self.hasher.hash_one(tabular_id);
        // The remainder is below `SLOTS`, so nothing is truncated.
        &self.slots[usize::try_from(hash % SLOTS as u64).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::ids::NamespaceId;
    use crate::store::tabulars::TabularKind;

    fn key() -> Key {
        let warehouse_id = WarehouseId(Uuid::from_u128(1));
        Key { warehouse_id, namespace_path: "a".to_owned(), name: "t".to_owned() }
    }

    fn tabular(metadata_location: &str) -> Tabular {
        Tabular {
            tabular_id: TabularId(Uuid::from_u128(3)),
            warehouse_id: key().warehouse_id,
            namespace_id: NamespaceId(Uuid::from_u128(2)),
            kind: TabularKind::Table,
            name: key().name,
            metadata_location: metadata_location.to_owned(),
            table_uuid: Uuid::from_u128(4),
            location: "file:///t".to_owned(),
            created_ms: 0,
            updated_ms: 0,
        }
    }

    #[test]
    fn what_was_read_is_remembered() {
        let pointers = PointerCache::new(10);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.remember(key(), tick, &tabular("v0"));
        assert_eq!(pointers.find(&key()), Ok(tabular("v0")));
    }

    #[test]
    fn a_commit_makes_it_forgotten() {
        let pointers = PointerCache::new(10);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.remember(key(), tick, &tabular("v0"));
        pointers.forget(&[tabular("v0").tabular_id]);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.remember(key(), tick, &tabular("v1"));
        assert_eq!(pointers.find(&key()), Ok(tabular("v1")));
    }

    #[test]
    fn a_reader_slower_than_a_commit_is_not_believed() {
        let pointers = PointerCache::new(10);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.forget(&[tabular("v0").tabular_id]);
        pointers.remember(key(), tick, &tabular("v0"));
        assert!(pointers.find(&key()).is_err());
    }
}
