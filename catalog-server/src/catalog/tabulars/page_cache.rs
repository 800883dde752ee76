//! Pages of names, and a cache of them. A page is current as long as the version of the names in its namespace is the same.

use std::sync::Arc;

use crate::store::catalog::tabular::TabularKind;
use crate::store::ids::NamespaceId;

/// Memory for cached pages, in bytes.
const PAGES_BYTES: u64 = 16 << 20;
/// Memory of the largest page that is cached, in bytes, so that no list of a huge namespace displaces all others.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Memory that the cache needs for an entry in addition to its names: key, counters and queue positions.
const ENTRY_BYTES: usize = 512;

/// Page of names, in their order.
#[derive(Clone, Copy, Debug)]
pub struct NamePage<'a> {
    /// Name after which the page starts (exclusive); `None` for the first page.
    pub after: Option<&'a str>,
    /// Maximum number of names.
    pub limit: u32,
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
    names: Arc<[String]>,
}

impl NamePages {
    /// Creates the empty cache.
    pub(in crate::catalog) fn new() -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(PAGES_BYTES)
            .weigher(|key: &Key, page: &Page| {
                let key_bytes = key.after.as_ref().map_or(0, String::len);
                u32::try_from(ENTRY_BYTES + key_bytes + memory_bytes(&page.names)).unwrap_or(u32::MAX)
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
    ) -> Option<Arc<[String]>> {
        let found = self.0.get(&key(namespace_id, kind, page))?;
        (found.version == version).then_some(found.names)
    }

    /// Caches a page that was read after `version`, or at it.
    pub(super) fn insert(
        &self,
        namespace_id: NamespaceId,
        kind: TabularKind,
        page: NamePage<'_>,
        (version, names): (i64, Arc<[String]>),
    ) {
        if memory_bytes(&names) <= PAGE_BYTES_MAX {
            self.0.insert(key(namespace_id, kind, page), Page { version, names });
        }
    }
}

fn key(namespace_id: NamespaceId, kind: TabularKind, page: NamePage<'_>) -> Key {
    Key { namespace_id, kind, after: page.after.map(str::to_owned), limit: page.limit }
}

fn memory_bytes(names: &[String]) -> usize {
    names.iter().map(|name| size_of::<String>() + name.capacity()).sum()
}
