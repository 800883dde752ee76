//! Metadata documents by their immutable location: read once, parsed at most once, served as they are.
//!
//! A metadata file never changes, so an entry never goes stale; it only makes room.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use table_core::metadata::file_name;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::config::ScanPlanningMode;

use super::{FileError, Files};

/// Documents above this many bytes are parsed away from the request threads (a megabyte takes about 5 ms).
const PARSE_INLINE_BYTES_MAX: usize = 64 << 10;

/// Reads and keeps the documents of tables and views.
pub struct Documents {
    files: Files,
    limit_bytes: usize,
    tables: Cache<TableMetadata>,
    views: Cache<ViewMetadata>,
}

type Cache<T> = moka::future::Cache<String, Arc<Document<T>>>;

/// A metadata file that was read: its bytes, and what they mean once somebody asked.
pub struct Document<T> {
    location: String,
    served: Served,
    /// Where the document itself stands in the response's body.
    start: usize,
    end: usize,
    parsed: OnceLock<Arc<T>>,
    refs_only: OnceLock<Served>,
}

/// The body of a response, ready to be sent, and its entity tag.
#[derive(Clone, Debug)]
pub struct Served {
    /// `{"metadata-location": …, "metadata": …, "config": …}`.
    pub body: Bytes,
    /// A strong tag that differs for every version and every form of a document.
    pub etag: String,
}

/// Why a document could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DocumentError {
    /// The file could not be read.
    #[error(transparent)]
    File(Arc<FileError>),
    /// The file is not a document that can be used.
    #[error("the metadata file `{location}` cannot be used: {reason}")]
    Malformed {
        /// Where the file is.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Documents {
    /// Caches documents of at most `cache_bytes` together; files above `limit_bytes` are refused.
    pub fn new(files: Files, cache_bytes: u64, limit_bytes: usize) -> Self {
        // Tables are what is read and written all day; views are few and small.
        Self {
            files,
            limit_bytes,
            tables: cache(cache_bytes - cache_bytes / 8),
            views: cache(cache_bytes / 8),
        }
    }

    /// The table document at `location`.
    pub async fn table(&self, location: &str) -> Result<Arc<Document<TableMetadata>>, DocumentError> {
        self.find(&self.tables, location).await
    }

    /// The view document at `location`.
    pub async fn view(&self, location: &str) -> Result<Arc<Document<ViewMetadata>>, DocumentError> {
        self.find(&self.views, location).await
    }

    /// Keeps a table document that was just written.
    pub async fn keep_table(&self, document: Arc<Document<TableMetadata>>) {
        self.tables.insert(document.location.clone(), document).await;
    }

    /// Keeps a view document that was just written.
    pub async fn keep_view(&self, document: Arc<Document<ViewMetadata>>) {
        self.views.insert(document.location.clone(), document).await;
    }

    /// Bytes held by the caches, about.
    pub fn held_bytes(&self) -> u64 {
        self.tables.weighted_size() + self.views.weighted_size()
    }

    async fn find<T: Send + Sync + 'static>(
        &self,
        cache: &Cache<T>,
        location: &str,
    ) -> Result<Arc<Document<T>>, DocumentError> {
        let Some(document) = cache.get(location).await else {
            return self.read(cache, location).await;
        };
        // Somebody who deletes a table's files by hand must hear of it from every load, not only from cold ones.
        if self.files.is_gone(location) {
            cache.invalidate(location).await;
            return Err(DocumentError::File(Arc::new(FileError::NotFound(location.to_owned()))));
        }
        Ok(document)
    }

    async fn read<T: Send + Sync + 'static>(
        &self,
        cache: &Cache<T>,
        location: &str,
    ) -> Result<Arc<Document<T>>, DocumentError> {
        metrics::counter!("firn_metadata_cache_misses_total").increment(1);
        // Requests for the same document wait for one read.
        let document = cache.try_get_with_by_ref(location, async {
            let bytes = self.files.read(location, self.limit_bytes).await.map_err(Arc::new)?;
            let json = decode(location, &bytes, self.limit_bytes)?;
            Ok::<_, DocumentError>(Arc::new(Document::new(location, &json)))
        });
        document.await.map_err(|error| (*error).clone())
    }
}

impl From<Arc<FileError>> for DocumentError {
    fn from(error: Arc<FileError>) -> Self {
        Self::File(error)
    }
}

impl Document<TableMetadata> {
    /// What the document means.
    pub async fn parsed(self: &Arc<Self>) -> Result<Arc<TableMetadata>, DocumentError> {
        self.parse_with(TableMetadata::parse).await
    }

    /// The response with only those snapshots that branches and tags point to.
    pub async fn served_refs_only(self: &Arc<Self>) -> Result<Served, DocumentError> {
        if let Some(served) = self.refs_only.get() {
            return Ok(served.clone());
        }
        let metadata = self.parsed().await?;
        let json = metadata.to_bytes_refs_only();
        let (body, _, _) = splice(Some(&self.location), &json);
        let served = Served { body, etag: etag(&self.location, "refs") };
        Ok(self.refs_only.get_or_init(|| served).clone())
    }
}

impl Document<ViewMetadata> {
    /// What the document means.
    pub async fn parsed(self: &Arc<Self>) -> Result<Arc<ViewMetadata>, DocumentError> {
        self.parse_with(ViewMetadata::parse).await
    }
}

impl<T: Send + Sync + 'static> Document<T> {
    /// A document that is about to be written to `location`.
    pub fn made(location: &str, json: &[u8], metadata: Arc<T>) -> Arc<Self> {
        let document = Self::new(location, json);
        // A fresh cell always takes its first value.
        drop(document.parsed.set(metadata));
        Arc::new(document)
    }

    fn new(location: &str, json: &[u8]) -> Self {
        let (body, start, end) = splice(Some(location), json);
        let served = Served { body, etag: etag(location, "all") };
        let location = location.to_owned();
        Self { location, served, start, end, parsed: OnceLock::new(), refs_only: OnceLock::new() }
    }

    /// Where the document is.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The response that carries it.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// The document itself.
    pub fn json(&self) -> Bytes {
        self.served.body.slice(self.start..self.end)
    }

    /// What stands in the document's file: compressed if its name says so.
    pub fn file_content(&self) -> Result<Bytes, DocumentError> {
        match file_name::encode(&self.location, &self.json()) {
            Ok(Cow::Borrowed(_)) => Ok(self.json()),
            Ok(Cow::Owned(compressed)) => Ok(Bytes::from(compressed)),
            Err(error) => {
                Err(DocumentError::Malformed { location: self.location.clone(), reason: error.to_string() })
            }
        }
    }

    async fn parse_with<E: std::fmt::Display + 'static>(
        self: &Arc<Self>,
        parse: fn(&[u8]) -> Result<T, E>,
    ) -> Result<Arc<T>, DocumentError> {
        if let Some(parsed) = self.parsed.get() {
            return Ok(parsed.clone());
        }
        let this = self.clone();
        let work = move || {
            parse(&this.json()).map(Arc::new).map_err(|error| DocumentError::Malformed {
                location: this.location.clone(),
                reason: error.to_string(),
            })
        };
        let parsed = if self.end - self.start <= PARSE_INLINE_BYTES_MAX {
            work()?
        } else {
            match tokio::task::spawn_blocking(work).await {
                Ok(result) => result?,
                Err(error) => {
                    let location = self.location.clone();
                    return Err(DocumentError::Malformed { location, reason: error.to_string() });
                }
            }
        };
        Ok(self.parsed.get_or_init(|| parsed).clone())
    }
}

/// The response for a document that is nowhere yet: a staged table.
pub fn staged(json: &[u8]) -> Bytes {
    splice(None, json).0
}

/// The entity tag of the document at `location`, without reading it.
pub fn etag(location: &str, form: &str) -> String {
    let hash = Sha256::new().chain_update(form).chain_update([0]).chain_update(location).finalize();
    format!("\"{hash:x}\"")
}

fn cache<T: Send + Sync + 'static>(bytes: u64) -> Cache<T> {
    moka::future::Cache::builder()
        .max_capacity(bytes)
        // A parsed form keeps the text of its parts once more, and costs about as much again in structure.
        .weigher(|key: &String, document: &Arc<Document<T>>| {
            u32::try_from(key.len() + 3 * document.served.body.len() + 512).unwrap_or(u32::MAX)
        })
        .build()
}

fn decode(location: &str, bytes: &Bytes, limit_bytes: usize) -> Result<Vec<u8>, DocumentError> {
    file_name::decode(location, bytes, limit_bytes).map_err(|error| DocumentError::Malformed {
        location: location.to_owned(),
        reason: error.to_string(),
    })
}

/// Settings for clients of a table: where its property tells them to plan their scans.
fn config_of(json: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Properties {
        #[serde(default)]
        properties: std::collections::HashMap<String, String>,
    }

    let property = ScanPlanningMode::TABLE_PROPERTY;
    // Almost no table has it, and looking for its name costs less than reading the document.
    let mode = memchr::memmem::find(json, property.as_bytes())
        .and_then(|_| serde_json::from_slice::<Properties>(json).ok())
        .and_then(|document| ScanPlanningMode::parse(document.properties.get(property)?)?.word());
    match mode {
        Some(word) => format!("{{\"scan-planning-mode\":\"{word}\"}}"),
        None => "{}".to_owned(),
    }
}

fn splice(location: Option<&str>, json: &[u8]) -> (Bytes, usize, usize) {
    // A string always serialises.
    let location = serde_json::to_string(&location).unwrap_or_default();
    let head = format!("{{\"metadata-location\":{location},\"metadata\":");
    let tail = format!(",\"config\":{}}}", config_of(json));
    let mut body = Vec::with_capacity(head.len() + json.len() + tail.len());
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(json);
    body.extend_from_slice(tail.as_bytes());
    (Bytes::from(body), head.len(), head.len() + json.len())
}
