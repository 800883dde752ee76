//! Cache of metadata documents by their immutable location: each is read and parsed once and served as read.
//!
//! A metadata file never changes, so entries are only evicted for space. If a file was changed on disk
//! nevertheless, it is read again, and it is rejected if it is no longer usable. Documents of older writers
//! are completed to the form that current readers expect, and times in the future are moved back to the
//! current time (`table_core::metadata::completion`).

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use storage::error::StorageError;
use storage::file::{FileState, Stamp};
use storage::place::Place;
use table_core::metadata::clock::CLOCK_SKEW_MAX_MS;
use table_core::metadata::error::MetadataError;
use table_core::metadata::file_name;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::clock::Clock;

use super::turns::Turns;
use super::{ENTRY_BYTES, WarehouseFiles};

/// Fixed part of the memory of a document, in bytes.
const DOCUMENT_BYTES: usize = 3 << 9;
/// Maximum number of copies of the text in a document: the text, the parts of its parsed form, and the text
/// with fewer snapshots.
const TEXTS: usize = 3;
/// Size of the text in bytes up to which a document keeps a derived text.
pub const DERIVED_BYTES_MAX: usize = 64 << 10;
/// Memory for each column of a decoded schema, in bytes.
const COLUMN_BYTES: usize = 400;
/// Memory for each property of the table or view in addition to its text, in bytes.
const PROPERTY_BYTES: usize = 200;
/// Marker that the JSON of every column, field, element and value contains.
const COLUMN_MARK: &[u8] = b"required\"";
/// Size of documents in bytes above which eviction is run when they are inserted.
const LARGE_BYTES: usize = 1 << 20;

/// Size in bytes above which documents are decoded in limited concurrency, like all compressed ones (a
/// megabyte takes about 5 ms).
const WITHOUT_TURN_BYTES_MAX: usize = 1 << 20;

/// Cache of the documents of tables and views.
pub struct Documents {
    files: WarehouseFiles,
    clock: Clock,
    limit_bytes: usize,
    turns: Turns,
    tables: Cache<TableMetadata>,
    views: Cache<ViewMetadata>,
}

type Cache<T> = moka::future::Cache<String, Arc<Document<T>>>;

/// Metadata file that was read: its text and its parsed form.
pub struct Document<T> {
    location: String,
    version: String,
    /// Text of the document.
    json: Bytes,
    parsed: Arc<T>,
    /// Latest time in the document, in milliseconds since 1970.
    latest_ms: i64,
    /// Resolved place of the file, whose state is checked with every load.
    place: OnceLock<Place>,
    /// State of the file when it was read or written.
    stamp: OnceLock<Stamp>,
    /// Text with only those snapshots that branches and tags refer to; computed on demand.
    refs_only: OnceLock<Bytes>,
    /// Result of [`Document::derived`].
    derived: OnceLock<Bytes>,
    memory_bytes: usize,
}

/// Content of a document: table or view metadata.
pub trait Content: Sized + Send + Sync + 'static {
    /// Parses a document. If a different text has to be served in its place, it is returned, too.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a valid document of this kind.
    fn read(json: &[u8], now_ms: i64) -> Result<(Self, Option<Vec<u8>>), MetadataError>;

    /// Returns the latest time in the document, by which readers validate later times; `i64::MIN` if it is
    /// irrelevant.
    fn latest_ms(&self) -> i64;

    /// Returns the number of properties.
    fn properties_count(&self) -> usize;
}

impl Content for TableMetadata {
    fn read(json: &[u8], now_ms: i64) -> Result<(Self, Option<Vec<u8>>), MetadataError> {
        let metadata = TableMetadata::parse(json)?;
        Ok(match metadata.completed(now_ms) {
            Some(completed) => {
                let json = completed.to_bytes();
                (completed, Some(json))
            }
            None => (metadata, None),
        })
    }

    fn latest_ms(&self) -> i64 {
        TableMetadata::latest_ms(self)
    }

    fn properties_count(&self) -> usize {
        self.properties().len()
    }
}

impl Content for ViewMetadata {
    fn read(json: &[u8], _now_ms: i64) -> Result<(Self, Option<Vec<u8>>), MetadataError> {
        Ok((ViewMetadata::parse(json)?, None))
    }

    fn latest_ms(&self) -> i64 {
        i64::MIN
    }

    fn properties_count(&self) -> usize {
        self.properties().len()
    }
}

/// Error of loading a document.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DocumentError {
    /// The file could not be read.
    #[error(transparent)]
    File(Arc<StorageError>),
    /// The file is not a usable metadata document.
    #[error("the metadata file `{location}` cannot be used: {reason}")]
    Malformed {
        /// Location of the file.
        location: String,
        /// Reason why it cannot be used.
        reason: String,
    },
}

impl Documents {
    /// Creates a cache of at most `cache_bytes`. Files larger than `limit_bytes` are rejected.
    pub fn new(files: WarehouseFiles, clock: Clock, cache_bytes: u64, limit_bytes: usize) -> Self {
        // Tables get most of the memory: they are read and written constantly, while views are few and small.
        Self {
            files,
            clock,
            limit_bytes,
            turns: Turns::per_core(),
            tables: cache(cache_bytes - cache_bytes / 8),
            views: cache(cache_bytes / 8),
        }
    }

    /// Returns the table document at `location`.
    ///
    /// # Errors
    ///
    /// Fails if the file does not exist, may not be read or is too large ([`DocumentError::File`]), or if it
    /// is not valid table metadata ([`DocumentError::Malformed`]).
    pub async fn table(&self, location: &str) -> Result<Arc<Document<TableMetadata>>, DocumentError> {
        self.find(&self.tables, location).await
    }

    /// Returns the view document at `location`.
    ///
    /// # Errors
    ///
    /// Fails if the file does not exist, may not be read or is too large ([`DocumentError::File`]), or if it
    /// is not valid view metadata ([`DocumentError::Malformed`]).
    pub async fn view(&self, location: &str) -> Result<Arc<Document<ViewMetadata>>, DocumentError> {
        self.find(&self.views, location).await
    }

    /// Inserts a table document that was just written into the cache.
    pub async fn insert_table(&self, document: Arc<Document<TableMetadata>>) {
        self.note_stamp(&document).await;
        keep(&self.tables, document).await;
    }

    /// Inserts a view document that was just written into the cache.
    pub async fn insert_view(&self, document: Arc<Document<ViewMetadata>>) {
        self.note_stamp(&document).await;
        keep(&self.views, document).await;
    }

    async fn note_stamp<T: Content>(&self, document: &Document<T>) {
        if let FileState::Present(stamp) = self.state(document).await {
            document.stamp.get_or_init(|| stamp);
        }
    }

    /// Returns the state of the file of a document.
    async fn state<T>(&self, document: &Document<T>) -> FileState {
        if let Some(place) = document.place.get() {
            return self.files.state_at(place).await;
        }
        match self.files.readable(&document.location) {
            Ok(place) => self.files.state_at(document.place.get_or_init(|| place)).await,
            Err(_) => FileState::Unknown,
        }
    }

    /// Returns the approximate memory used by the caches, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.tables.weighted_size() + self.views.weighted_size()
    }

    async fn find<T: Content>(
        &self,
        cache: &Cache<T>,
        location: &str,
    ) -> Result<Arc<Document<T>>, DocumentError> {
        let Some(document) = cache.get(location).await else {
            return self.read(cache, location).await;
        };
        // If the files of a table were deleted or damaged, every load must report it, not only one that
        // misses the cache.
        let is_current = match self.state(&document).await {
            FileState::Unknown => true,
            FileState::Present(stamp) => match document.stamp.get() {
                Some(known) => *known == stamp,
                None => *document.stamp.get_or_init(|| stamp.clone()) == stamp,
            },
            FileState::Gone => {
                cache.invalidate(location).await;
                return Err(DocumentError::File(Arc::new(StorageError::NotFound(location.to_owned()))));
            }
        };
        // Only possible if the server's own clock was ahead and has been set back since.
        let is_ahead = document.latest_ms.saturating_sub(self.clock.now_ms()) > CLOCK_SKEW_MAX_MS;
        if is_current && !is_ahead {
            return Ok(document);
        }
        cache.invalidate(location).await;
        self.read(cache, location).await
    }

    async fn read<T: Content>(
        &self,
        cache: &Cache<T>,
        location: &str,
    ) -> Result<Arc<Document<T>>, DocumentError> {
        metrics::counter!("firn_metadata_cache_misses_total").increment(1);
        // Concurrent requests for the same document share one read.
        let document = cache.try_get_with_by_ref(location, async {
            let before = self.files.state(location).await;
            let bytes = self.files.read(location, self.limit_bytes).await.map_err(Arc::new)?;
            let document = self.decoded(location, bytes).await?;
            if let FileState::Present(stamp) = before {
                document.stamp.get_or_init(|| stamp);
            }
            Ok::<_, DocumentError>(Arc::new(document))
        });
        let document = document.await.map_err(|error| (*error).clone())?;
        cache.run_pending_tasks().await;
        Ok(document)
    }
}

async fn keep<T: Content>(cache: &Cache<T>, document: Arc<Document<T>>) {
    let is_large = document.memory_bytes > LARGE_BYTES;
    cache.insert(document.location.clone(), document).await;
    // The cache only evicts after 64 entries or 300 ms.
    if is_large {
        cache.run_pending_tasks().await;
    }
}

impl Documents {
    /// Decodes a document outside of the request threads. Large and compressed ones are decoded in limited
    /// concurrency.
    async fn decoded<T: Content>(&self, location: &str, bytes: Bytes) -> Result<Document<T>, DocumentError> {
        let is_light = bytes.len() <= WITHOUT_TURN_BYTES_MAX && !file_name::is_compressed(location, &bytes);
        let _turn = if is_light { None } else { self.turns.take().await };
        let (limit_bytes, now_ms, name) = (self.limit_bytes, self.clock.now_ms(), location.to_owned());
        match tokio::task::spawn_blocking(move || Document::read(&name, &bytes, limit_bytes, now_ms)).await {
            Ok(decoded) => decoded,
            Err(error) => {
                let location = location.to_owned();
                Err(DocumentError::Malformed { location, reason: error.to_string() })
            }
        }
    }
}

impl From<Arc<StorageError>> for DocumentError {
    fn from(error: Arc<StorageError>) -> Self {
        Self::File(error)
    }
}

impl Document<TableMetadata> {
    /// Returns the text with only those snapshots that branches and tags refer to. It is computed by the
    /// first call.
    pub fn json_refs_only(&self) -> Bytes {
        self.refs_only.get_or_init(|| self.parsed.to_bytes_refs_only().into()).clone()
    }
}

impl<T: Content> Document<T> {
    /// Creates a document that is to be written to `location`.
    pub fn new_unwritten(location: &str, json: &[u8], metadata: Arc<T>) -> Arc<Self> {
        Arc::new(Self::new(location, json, metadata))
    }

    fn read(location: &str, bytes: &Bytes, limit_bytes: usize, now_ms: i64) -> Result<Self, DocumentError> {
        let json = decode(location, bytes, limit_bytes)?;
        let (metadata, completed) = T::read(&json, now_ms).map_err(|error| malformed(location, &error))?;
        Ok(Self::new(location, completed.as_deref().unwrap_or(&json), Arc::new(metadata)))
    }

    fn new(location: &str, json: &[u8], metadata: Arc<T>) -> Self {
        let (location, latest_ms) = (location.to_owned(), metadata.latest_ms());
        let (place, stamp) = (OnceLock::new(), OnceLock::new());
        let (refs_only, derived) = (OnceLock::new(), OnceLock::new());
        let columns = memchr::memmem::find_iter(json, COLUMN_MARK).count();
        let memory_bytes = DOCUMENT_BYTES
            + TEXTS * json.len()
            + json.len().min(DERIVED_BYTES_MAX)
            + COLUMN_BYTES * columns
            + PROPERTY_BYTES * metadata.properties_count();
        Self {
            version: version(&location),
            location,
            json: Bytes::copy_from_slice(json),
            parsed: metadata,
            latest_ms,
            place,
            stamp,
            refs_only,
            derived,
            memory_bytes,
        }
    }

    /// Returns the parsed metadata.
    pub fn parsed(&self) -> &Arc<T> {
        &self.parsed
    }

    /// Returns the location of the file.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Returns what `make` made at the first call, of at most about [`DERIVED_BYTES_MAX`]: a text that
    /// follows from the document alone.
    pub fn derived(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        self.derived.get_or_init(make).clone()
    }

    /// Returns the version of the table or view that this is the document of; see [`version`].
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the text of the document.
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// Returns the content of the document's file: compressed if its name requires it.
    ///
    /// # Errors
    ///
    /// Fails if the text cannot be compressed ([`DocumentError::Malformed`]).
    pub fn file_content(&self) -> Result<Bytes, DocumentError> {
        match file_name::encode(&self.location, &self.json()) {
            Ok(Cow::Borrowed(_)) => Ok(self.json()),
            Ok(Cow::Owned(compressed)) => Ok(Bytes::from(compressed)),
            Err(error) => Err(malformed(&self.location, &error)),
        }
    }
}

/// Returns the version of a table or view whose metadata file is at `location`, in hexadecimal: another one
/// for every location.
pub fn version(location: &str) -> String {
    format!("{:x}", Sha256::digest(location))
}

fn cache<T: Content>(bytes: u64) -> Cache<T> {
    moka::future::Cache::builder()
        .max_capacity(bytes)
        // LFU eviction would retain frequently used former documents at the expense of the one that each
        // commit inserts.
        .eviction_policy(moka::policy::EvictionPolicy::lru())
        .weigher(|key: &String, document: &Arc<Document<T>>| {
            u32::try_from(ENTRY_BYTES + key.len() + document.memory_bytes).unwrap_or(u32::MAX)
        })
        .build()
}

fn decode(location: &str, bytes: &Bytes, limit_bytes: usize) -> Result<Vec<u8>, DocumentError> {
    file_name::decode(location, bytes, limit_bytes).map_err(|error| malformed(location, &error))
}

fn malformed(location: &str, error: &MetadataError) -> DocumentError {
    DocumentError::Malformed { location: location.to_owned(), reason: error.to_string() }
}
