//! Pages of names, and their cache. A page is current as long as the version of the names in its namespace is the
//! same.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::store::catalog::tabular::TabularKind;
use crate::store::ids::NamespaceId;

/// Memory for cached pages, in bytes.
const PAGES_BYTES: u64 = 32 << 20;
/// Memory of the largest page that is cached, in bytes, so that no list of a huge namespace displaces all others.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Memory that the cache needs for an entry in addition to its names: key, counters and queue positions.
const ENTRY_BYTES: usize = 512;

/// Length of the text that is derived from a page, in bytes for each name, in addition to twice the name.
const DERIVED_NAME_BYTES: usize = 128;

/// Page of names to read, in their order.
#[derive(Clone, Copy, Debug)]
pub struct NamePage<'a> {
    /// Name after which the page starts (exclusive); `None` for the first page.
    pub after: Option<&'a str>,
    /// Maximum number of names.
    pub limit: u32,
}

/// Names of a page that were read.
pub struct ListedNames {
    names: Vec<String>,
    /// Result of [`ListedNames::derived`].
    derived: OnceLock<Bytes>,
}

/// Pages that were read recently.
pub(in crate::catalog) struct NamePages(moka::sync::Cache<Key, Page>);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    namespace_id: NamespaceId,
    kind: TabularKind,
    after: Option<String>,
    limit: u32,
}

#[derive(Clone)]
struct Page {
    version: i64,
    names: Arc<ListedNames>,
}

impl ListedNames {
    /// Creates the page.
    pub(super) fn new(names: Vec<String>) -> Self {
        Self { names, derived: OnceLock::new() }
    }

    /// Returns the names, in their order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns what `make` made at the first call: a text that follows from the names and their namespace alone.
    /// It is kept if it is about as long as the names.
    ///
    /// # Errors
    ///
    /// Fails if `make` does.
    pub fn derived<E>(&self, make: impl FnOnce() -> Result<Bytes, E>) -> Result<Bytes, E> {
        if let Some(kept) = self.derived.get() {
            return Ok(kept.clone());
        }
        let text = make()?;
        if text.len() <= self.derived_bytes_max() {
            // Another request may have been faster with the same text.
            drop(self.derived.set(text.clone()));
        }
        Ok(text)
    }

    fn derived_bytes_max(&self) -> usize {
        DERIVED_NAME_BYTES * self.names.len() + 2 * self.names.iter().map(String::len).sum::<usize>()
    }

    fn memory_bytes(&self) -> usize {
        let names = self.names.iter().map(|name| size_of::<String>() + name.capacity());
        size_of::<Self>() + names.sum::<usize>() + self.derived_bytes_max()
    }
}

impl NamePages {
    /// Creates the empty cache.
    pub(in crate::catalog) fn new() -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(PAGES_BYTES)
            .weigher(|key: &Key, page: &Page| {
                let key_bytes = key.after.as_ref().map_or(0, String::len);
                u32::try_from(ENTRY_BYTES + key_bytes + page.names.memory_bytes()).unwrap_or(u32::MAX)
            })
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .build();
        Self(cache)
    }

    /// Returns a page as it was at `version` of the names in the namespace.
    pub(super) fn find(
        &self,
        namespace_id: NamespaceId,
        kind: TabularKind,
        page: NamePage<'_>,
        version: i64,
    ) -> Option<Arc<ListedNames>> {
        let found = self.0.get(&key(namespace_id, kind, page))?;
        (found.version == version).then_some(found.names)
    }

    /// Caches a page that was read after `version`, or at it.
    pub(super) fn insert(
        &self,
        namespace_id: NamespaceId,
        kind: TabularKind,
        page: NamePage<'_>,
        (version, names): (i64, Arc<ListedNames>),
    ) {
        if names.memory_bytes() <= PAGE_BYTES_MAX {
            self.0.insert(key(namespace_id, kind, page), Page { version, names });
        }
    }
}

fn key(namespace_id: NamespaceId, kind: TabularKind, page: NamePage<'_>) -> Key {
    Key { namespace_id, kind, after: page.after.map(str::to_owned), limit: page.limit }
}
