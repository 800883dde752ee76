//! Response bodies with the metadata of a table or view, assembled for one request.
//!
//! A body consists of the metadata document, which is cached by its immutable location and the same for all
//! callers, and of the configuration, which may depend on the caller. The pieces are sent one after the
//! other, so that a large document is not copied for each response. The entity tag covers everything that a
//! body depends on.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use sha2::{Digest, Sha256};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::catalog::tables::{LoadedTable, Snapshots};
use crate::config::ScanPlanningMode;
use crate::storage::documents::Document;

/// Configuration of a client for a table or view: a JSON object.
type Config = &'static str;

/// Returns the response with a table: `LoadTableResult`.
pub fn table(loaded: &LoadedTable) -> Response {
    let location = loaded.document.location();
    let config = config(loaded.document.parsed());
    respond(Some(location), loaded.json.clone(), config, Some(&etag(location, loaded.snapshots)))
}

/// Returns the response with a view: `LoadViewResult`.
pub fn view(document: &Arc<Document<ViewMetadata>>) -> Response {
    let etag = tag(&["view", document.location()]);
    respond(Some(document.location()), document.json(), NO_CONFIG, Some(&etag))
}

/// Returns the body for a staged table, which does not exist yet, from its metadata.
pub fn staged_table(metadata: &TableMetadata) -> Bytes {
    let json = metadata.to_bytes();
    let [head, json, tail] = pieces(None, json.into(), config(metadata));
    [head, json, tail].concat().into()
}

/// Returns the entity tag of a response with the table whose metadata file is at `location`.
///
/// The configuration is determined by the metadata file, so the entity tag need not cover it separately.
pub fn etag(location: &str, snapshots: Snapshots) -> String {
    let form = match snapshots {
        Snapshots::All => "all",
        Snapshots::Refs => "refs",
    };
    tag(&[form, location])
}

/// Returns `true` if a value of `If-None-Match` matches an entity tag.
pub fn matches(if_none_match: &str, etag: &str) -> bool {
    let mut tags = if_none_match.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Configuration without a setting.
const NO_CONFIG: Config = "{}";

/// Returns the configuration of a client for a table: the scan planning mode, if the table has the property.
fn config(metadata: &TableMetadata) -> Config {
    let word = metadata.property(ScanPlanningMode::TABLE_PROPERTY);
    match word.and_then(ScanPlanningMode::parse) {
        Some(ScanPlanningMode::Client) => r#"{"scan-planning-mode":"client"}"#,
        Some(ScanPlanningMode::Server) => r#"{"scan-planning-mode":"server"}"#,
        Some(ScanPlanningMode::Unset) | None => NO_CONFIG,
    }
}

/// Returns a strong entity tag of the parts that a body depends on.
fn tag(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("\"{:x}\"", hash.finalize())
}

fn respond(location: Option<&str>, json: Bytes, config: Config, etag: Option<&str>) -> Response {
    let body = Body::new(Pieces::new(pieces(location, json, config)));
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// Returns the pieces of `{"metadata-location": …, "metadata": …, "config": …}`.
fn pieces(location: Option<&str>, json: Bytes, config: Config) -> [Bytes; 3] {
    // Serialisation of a string cannot fail.
    let location = serde_json::to_string(&location).unwrap_or_default();
    let head = format!("{{\"metadata-location\":{location},\"metadata\":");
    [head.into(), json, format!(",\"config\":{config}}}").into()]
}

/// Response body of pieces whose total size is known.
struct Pieces {
    pieces: std::array::IntoIter<Bytes, 3>,
    remaining_bytes: u64,
}

impl Pieces {
    fn new(pieces: [Bytes; 3]) -> Self {
        let remaining_bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: pieces.into_iter(), remaining_bytes }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(piece) = self.pieces.next() else { return Poll::Ready(None) };
        self.remaining_bytes -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_matches_lists_and_weak_tags() {
        for header in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(matches(header, "\"a\""), "{header}");
        }
        for header in ["", "a", "\"b\"", "\"aa\""] {
            assert!(!matches(header, "\"a\""), "{header}");
        }
    }

    #[test]
    fn every_part_counts_in_an_entity_tag() {
        let tags = [tag(&["all", "x"]), tag(&["refs", "x"]), tag(&["all", "y"]), tag(&["allx", ""])];
        let different: std::collections::HashSet<_> = tags.iter().collect();
        assert_eq!(different.len(), tags.len());
    }
}
