//! In-memory cache of metadata pointers, so that repeated loads of a table need no SQLite query.
//!
//! It is correct only if this process is the only writer. Entries are not removed when a pointer moves; they
//! become invalid by a logical clock, which ticks at every commit that touched a table. An entry records the
//! tick at which its reader *began* to read; a commit records its own tick for each table that it touched. An
//! entry is valid if its tick is not before that of the table, because then its reader began after the commit
//! was in effect. This needs no locks, and no order between readers and commits.
//!
//! A commit that only moved a pointer replaces the entry that was valid until then, so that the next commit
//! or load does not have to read what this process has just written. A commit whose outcome is unknown only
//! makes entries invalid.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use uuid::Uuid;

use super::tabular::{Pointer, Tabular};
use crate::store::engine::db::Db;
use crate::store::engine::tx::Tx;
use crate::store::ids::{TabularId, WarehouseId};

/// Number of slots for ticks. A table shares its slot with one in 4096 other tables on average; a shared slot
/// causes unnecessary reads, but no incorrect ones.
const SLOTS: usize = 4096;

/// Number of tables and views with names of ordinary length that the cache has memory for.
const ENTRIES: u64 = 100_000;

/// Memory of an entry with names of ordinary length, in bytes: its key, the state of the table, and its
/// places in two caches.
const ENTRY_BYTES: u64 = 1 << 10;

pub(in crate::store) struct PointerCache {
    entries: Cache<Key, Arc<Entry>>,
    /// Key under which the entry of a table was last inserted.
    names: Cache<TabularId, Key>,
    clock: AtomicU64,
    /// Tick of the last commit that touched a table of the slot; the slot of a table is determined by a hash
    /// of its id.
    slots: Vec<AtomicU64>,
    hasher: RandomState,
}

/// Key of an entry: warehouse, namespace and name of a table or view.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) warehouse_id: WarehouseId,
    pub(super) namespace_path: String,
    pub(super) name: String,
}

/// Time of the logical clock: number of changes of tables committed so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

struct Entry {
    tick: Tick,
    tabular: Tabular,
}

/// Memory of a cache entry in addition to key and value, in bytes.
const CACHE_BYTES: usize = 320;

fn weight(held_bytes: usize) -> u32 {
    u32::try_from(CACHE_BYTES + held_bytes).unwrap_or(u32::MAX)
}

impl Key {
    /// Returns the memory of the key in bytes. It is counted for both caches, because each of them may own
    /// the strings.
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

/// Table or view that was changed by a transaction.
struct Change {
    tabular_id: TabularId,
    /// New pointer, if nothing else of the table changed.
    moved: Option<PointerMove>,
}

impl Change {
    /// Returns what is known of the change after COMMIT: if that failed, the transaction may have taken effect
    /// or not, so that the new pointer is not known.
    fn after(self, committed: bool) -> Self {
        Self { moved: self.moved.filter(|_| committed), ..self }
    }
}

/// Move of a metadata pointer, from the previous location to the next pointer.
struct PointerMove {
    previous: String,
    metadata_location: String,
    table_uuid: Uuid,
    location: String,
    updated_ms: i64,
}

impl PointerMove {
    fn new(previous: &str, next: &Pointer<'_>, updated_ms: i64) -> Self {
        Self {
            previous: previous.to_owned(),
            metadata_location: next.metadata_location.to_owned(),
            table_uuid: next.table_uuid,
            location: next.location.to_owned(),
            updated_ms,
        }
    }

    /// Returns the state of `tabular` after the move; `None` if `tabular` is not the state that the move
    /// started from.
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

impl Default for PointerCache {
    fn default() -> Self {
        Self::new(ENTRIES)
    }
}

impl PointerCache {
    /// Creates a cache for about `entries` tables with names of ordinary length; fewer if their names are
    /// long.
    fn new(entries: u64) -> Self {
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

    /// Returns the cache of a database. Only SQLite has one, where this process is the only one that moves
    /// pointers.
    pub(super) fn of(db: &Db) -> Option<&Self> {
        db.attachment()
    }

    /// Returns the valid entry of `key`. If there is none, returns the tick with which the result of a read
    /// should be inserted; the database must be read after this call, not before.
    pub(super) fn find(&self, key: &Key) -> Result<Tabular, Tick> {
        let tick = Tick(self.clock.load(Ordering::SeqCst));
        match self.entries.get(key) {
            Some(entry) if entry.tick >= self.touched(entry.tabular.tabular_id) => Ok(entry.tabular.clone()),
            _ => Err(tick),
        }
    }

    /// Inserts the result of a read that began at `tick`.
    pub(super) fn remember(&self, key: Key, tick: Tick, tabular: &Tabular) {
        self.names.insert(tabular.tabular_id, key.clone());
        self.entries.insert(key, Arc::new(Entry { tick, tabular: tabular.clone() }));
    }

    /// Invalidates or replaces the entry of a changed table. It must be called after COMMIT and before the
    /// commit is acknowledged to the client.
    fn update(&self, Change { tabular_id, moved }: &Change) {
        let tick = Tick(self.clock.fetch_add(1, Ordering::SeqCst) + 1);
        let before = Tick(self.slot(*tabular_id).fetch_max(tick.0, Ordering::SeqCst));
        if let Some(moved) = moved {
            self.replace(*tabular_id, moved, before, tick);
        }
    }

    /// Replaces the entry that was valid until this commit, which was made at `tick`. Does nothing if another
    /// commit on the table came in between, perhaps one that renamed it.
    fn replace(&self, tabular_id: TabularId, moved: &PointerMove, before: Tick, tick: Tick) {
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
        // The remainder is less than `SLOTS`, so nothing is truncated.
        &self.slots[usize::try_from(hash % SLOTS as u64).unwrap_or(0)]
    }
}

/// Makes the cached entry of a table or view invalid when the transaction is committed, whether COMMIT succeeds
/// or not.
pub(super) fn invalidate_after_commit(tx: &mut Tx, tabular_id: TabularId) {
    update_after_commit(tx, |_| Change { tabular_id, moved: None });
}

/// Replaces the cached entry of a table or view when the transaction is committed, which moves its pointer
/// from `previous` to `next` and changes nothing else of it. If COMMIT fails, the entry becomes invalid.
pub(super) fn move_after_commit(tx: &mut Tx, tabular_id: TabularId, previous: &str, next: &Pointer<'_>) {
    update_after_commit(tx, |updated_ms| Change {
        tabular_id,
        moved: Some(PointerMove::new(previous, next, updated_ms)),
    });
}

/// Applies what is known of the change at [`Tx::at_ms`] to the cache, if there is one, after COMMIT.
fn update_after_commit(tx: &mut Tx, change: impl FnOnce(i64) -> Change) {
    if let Some(pointers) = tx.attachment::<PointerCache>() {
        let change = change(tx.at_ms());
        tx.after_commit(move |committed| pointers.update(&change.after(committed)));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::catalog::tabular::TabularKind;
    use crate::store::ids::NamespaceId;

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

    fn touched() -> Change {
        Change { tabular_id: tabular("v0").tabular_id, moved: None }
    }

    fn moved(previous: &str, next: &str) -> Change {
        let next = Pointer {
            metadata_location: next,
            table_uuid: tabular("v0").table_uuid,
            location: "file:///t",
            superseded: None,
        };
        Change { tabular_id: tabular("v0").tabular_id, moved: Some(PointerMove::new(previous, &next, 0)) }
    }

    /// Returns a cache with an entry for `v0`.
    fn remembering() -> PointerCache {
        let pointers = PointerCache::new(10);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.remember(key(), tick, &tabular("v0"));
        pointers
    }

    #[test]
    fn a_change_makes_it_forgotten() {
        let pointers = remembering();
        pointers.update(&touched());
        let tick = pointers.find(&key()).unwrap_err();
        pointers.remember(key(), tick, &tabular("v1"));
        assert_eq!(pointers.find(&key()), Ok(tabular("v1")));
    }

    #[test]
    fn where_a_commit_moves_a_pointer_is_known_without_reading() {
        let pointers = remembering();
        pointers.update(&moved("v0", "v1"));
        pointers.update(&moved("v1", "v2"));
        assert_eq!(pointers.find(&key()), Ok(tabular("v2")));
    }

    #[test]
    fn a_move_whose_outcome_is_unknown_makes_the_table_forgotten() {
        let pointers = remembering();
        pointers.update(&moved("v0", "v1").after(false));
        assert!(pointers.find(&key()).is_err());
        // What is read afterwards is believed again.
        let tick = pointers.find(&key()).unwrap_err();
        pointers.remember(key(), tick, &tabular("v0"));
        pointers.update(&moved("v0", "v1").after(true));
        assert_eq!(pointers.find(&key()), Ok(tabular("v1")));
    }

    #[test]
    fn a_move_from_elsewhere_is_not_applied() {
        let pointers = remembering();
        pointers.update(&moved("v7", "v8"));
        assert!(pointers.find(&key()).is_err());
    }

    #[test]
    fn a_move_after_a_rename_does_not_revive_the_old_name() {
        let pointers = remembering();
        pointers.update(&touched());
        pointers.update(&moved("v0", "v1"));
        assert!(pointers.find(&key()).is_err());
    }

    #[test]
    fn a_table_touched_twice_in_one_transaction_is_forgotten() {
        let pointers = remembering();
        pointers.update(&moved("v0", "v1"));
        pointers.update(&touched());
        pointers.update(&touched());
        pointers.update(&moved("v0", "v1"));
        assert!(pointers.find(&key()).is_err());
    }

    #[test]
    fn a_reader_slower_than_a_commit_is_not_believed() {
        let pointers = PointerCache::new(10);
        let tick = pointers.find(&key()).unwrap_err();
        pointers.update(&touched());
        pointers.remember(key(), tick, &tabular("v0"));
        assert!(pointers.find(&key()).is_err());
    }
}
