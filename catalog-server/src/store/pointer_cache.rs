//! Pointers remembered in memory, so that loading a table again asks SQLite nothing.
//!
//! Right only where this process is the one that writes. Entries are never removed when a pointer
//! moves; they stop counting. A clock ticks at every commit that touched a table. An entry
//! remembers the tick at which its reader *began* to read; a commit remembers, for each table it
//! touched, its own tick. An entry counts if its tick is not before the table's: its reader began
//! after the commit was in place. No lock is held and no order between the two is needed.
//!
//! A commit that only moved a pointer replaces the entry that counted until then, so that the next
//! commit or load need not read what this process has just written.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use uuid::Uuid;

use super::ids::{TabularId, WarehouseId};
use super::tabulars::{Pointer, Tabular};

/// Tables share a slot with about one in as many others; sharing costs a needless read, no more.
const SLOTS: usize = 4096;

/// What an entry of ordinary names takes, in bytes: its key, what the table is, and its places in two caches.
const ENTRY_BYTES: u64 = 1 << 10;

pub(super) struct PointerCache {
    entries: Cache<Key, Arc<Entry>>,
    /// Under which name an entry was remembered last.
    names: Cache<TabularId, Key>,
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

/// What a cache takes beside key and value.
const CACHE_BYTES: usize = 320;

fn weight(held_bytes: usize) -> u32 {
    u32::try_from(CACHE_BYTES + held_bytes).unwrap_or(u32::MAX)
}

impl Key {
    /// Both caches may hold texts of their own.
    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.namespace_path.capacity() + self.name.capacity()
    }
}

impl Entry {
    fn held_bytes(&self) -> usize {
        let Tabular { name, metadata_location, location, .. } = &self.tabular;
        size_of::<Self>() + name.capacity() + metadata_location.capacity() + location.capacity()
    }
}

/// A table or view that a transaction changed.
pub(super) struct Touched {
    pub(super) tabular_id: TabularId,
    /// What became of its pointer, if nothing else of it changed.
    pub(super) moved: Option<Moved>,
}

/// A pointer that moved.
pub(super) struct Moved {
    previous: String,
    metadata_location: String,
    table_uuid: Uuid,
    location: String,
    updated_ms: i64,
}

impl Moved {
    pub(super) fn new(previous: &str, next: &Pointer<'_>, updated_ms: i64) -> Self {
        Self {
            previous: previous.to_owned(),
            metadata_location: next.metadata_location.to_owned(),
            table_uuid: next.table_uuid,
            location: next.location.to_owned(),
            updated_ms,
        }
    }

    /// What `tabular` is after the move; `None` if it is not what moved.
    fn applied(&self, tabular: &Tabular) -> Option<Tabular> {
        (tabular.metadata_location == self.previous).then(|| Tabular {
            metadata_location: self.metadata_location.clone(),
            table_uuid: self.table_uuid,
            location: self.location.clone(),
            updated_ms: self.updated_ms,
            ..tabular.clone()
        })
    }
}

impl PointerCache {
    /// A cache with room for so many tables of ordinary names; fewer if their names are long.
    pub(super) fn new(entries: u64) -> Self {
        Self {
            entries: Cache::builder()
                .max_capacity(entries.saturating_mul(ENTRY_BYTES))
                .weigher(|key: &Key, entry: &Arc<Entry>| weight(key.held_bytes() + entry.held_bytes()))
                .build(),
            names: Cache::builder()
                .max_capacity(entries.saturating_mul(ENTRY_BYTES))
                .weigher(|_, key: &Key| weight(key.held_bytes()))
                .build(),
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
        self.names.insert(tabular.tabular_id, key.clone());
        self.entries.insert(key, Arc::new(Entry { tick, tabular: tabular.clone() }));
    }

    /// To be called after COMMIT and before it is answered.
    pub(super) fn update(&self, touched: &[Touched]) {
        for Touched { tabular_id, moved } in touched {
            let tick = Tick(self.clock.fetch_add(1, Ordering::SeqCst) + 1);
            let before = Tick(self.slot(*tabular_id).fetch_max(tick.0, Ordering::SeqCst));
            if let Some(moved) = moved {
                self.replace(*tabular_id, moved, before, tick);
            }
        }
    }

    /// Replaces the entry that counted until this commit, made at `tick`. Where another commit on the table came
    /// between, perhaps one that renamed it, there is none.
    fn replace(&self, tabular_id: TabularId, moved: &Moved, before: Tick, tick: Tick) {
        let Some(key) = self.names.get(&tabular_id) else {
            return;
        };
        let known = self
            .entries
            .get(&key)
            .filter(|entry| entry.tabular.tabular_id == tabular_id && entry.tick >= before && before < tick);
        if let Some(tabular) = known.and_then(|entry| moved.applied(&entry.tabular)) {
            self.entries.insert(key, Arc::new(Entry { tick, tabular }));
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

    fn touched() -> Touched {
        Touched { tabular_id: tabular("v0").tabular_id, moved: None }
    }

    fn moved(previous: &str, next: &str) -> Touched {
        let next = Pointer {
            metadata_location: next,
            table_uuid: tabular("v0").table_uuid,
            location: "file:///t",
            superseded: None,
        };
        Touched { tabular_id: tabular("v0").tabular_id, moved: Some(Moved::new(previous, &next, 0)) }
    }

    /// A cache that remembers `v0`.
    fn remembering() -> PointerCache {
        let pointers = PointerCache::new(10);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.remember(key(), tick, &tabular("v0"));
        pointers
    }

    #[test]
    fn a_change_makes_it_forgotten() {
        let pointers = remembering();
        pointers.update(&[touched()]);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.remember(key(), tick, &tabular("v1"));
        assert_eq!(pointers.find(&key()), Ok(tabular("v1")));
    }

    #[test]
    fn where_a_commit_moves_a_pointer_is_known_without_reading() {
        let pointers = remembering();
        pointers.update(&[moved("v0", "v1")]);
        pointers.update(&[moved("v1", "v2")]);
        assert_eq!(pointers.find(&key()), Ok(tabular("v2")));
    }

    #[test]
    fn a_move_from_elsewhere_is_not_applied() {
        let pointers = remembering();
        pointers.update(&[moved("v7", "v8")]);
        assert!(pointers.find(&key()).is_err());
    }

    #[test]
    fn a_move_after_a_rename_does_not_revive_the_old_name() {
        let pointers = remembering();
        pointers.update(&[touched()]);
        pointers.update(&[moved("v0", "v1")]);
        assert!(pointers.find(&key()).is_err());
    }

    #[test]
    fn a_table_touched_twice_in_one_transaction_is_forgotten() {
        let pointers = remembering();
        pointers.update(&[moved("v0", "v1"), touched()]);
        pointers.update(&[touched(), moved("v0", "v1")]);
        assert!(pointers.find(&key()).is_err());
    }

    #[test]
    fn a_reader_slower_than_a_commit_is_not_believed() {
        let pointers = PointerCache::new(10);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.update(&[touched()]);
        pointers.remember(key(), tick, &tabular("v0"));
        assert!(pointers.find(&key()).is_err());
    }
}
