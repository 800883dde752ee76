//! Bodies of responses that carry the metadata of a table or view, put together for one request.
//!
//! A body consists of the metadata document, which is cached by its immutable location and the same for everybody, and
//! of what may depend on the caller: the configuration. The pieces are sent one after the other, so that a large
//! document is not copied for each response; the body of a small one is made once, as long as nothing of it depends on
//! the caller. The entity tag names everything that a body depends on.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::catalog::tables::{LoadedTable, Snapshots};
use crate::planning_mode::ScanPlanningMode;
use crate::storage::documents::{Content, DERIVED_BYTES_MAX, Document};

/// Configuration of a client for a table or view: a JSON object.
type Config = &'static str;

/// Returns the response with a table: `LoadTableResult`.
pub fn table(loaded: &LoadedTable) -> Response {
    let (document, snapshots) = (&loaded.document, loaded.snapshots);
    let config = config(document.parsed());
    let body = match snapshots {
        Snapshots::All => whole(document, config),
        Snapshots::Refs => pieces(document.location(), loaded.json.clone(), config),
    };
    respond(body, &etag(document.version(), snapshots))
}

/// Returns the response with a view: `LoadViewResult`.
pub fn view(document: &Arc<Document<ViewMetadata>>) -> Response {
    respond(whole(document, NO_CONFIG), &format!("\"{}-view\"", document.version()))
}

/// Returns the body for a table that is not created yet, from the document of its metadata.
pub fn staged_table(metadata: &TableMetadata) -> Bytes {
    let json = metadata.to_bytes();
    let (head, tail) = around(None, config(metadata));
    [head.as_bytes(), &json, tail.as_bytes()].concat().into()
}

/// Returns the strong entity tag of a response with a version of a table ([`documents::version`]).
///
/// The configuration follows from the version, so far.
///
/// [`documents::version`]: crate::storage::documents::version
pub fn etag(version: &str, snapshots: Snapshots) -> String {
    match snapshots {
        Snapshots::All => format!("\"{version}-all\""),
        Snapshots::Refs => format!("\"{version}-refs\""),
    }
}

/// Returns `true` if a value of `If-None-Match` matches an entity tag.
pub fn matches(if_none_match: &str, etag: &str) -> bool {
    let mut tags = if_none_match.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Configuration without a setting.
const NO_CONFIG: Config = "{}";

/// Returns the configuration of a client for a table: the place of scan planning, if the table has the property.
fn config(metadata: &TableMetadata) -> Config {
    let word = metadata.property(ScanPlanningMode::TABLE_PROPERTY);
    match word.and_then(ScanPlanningMode::parse) {
        Some(ScanPlanningMode::Client) => r#"{"scan-planning-mode":"client"}"#,
        Some(ScanPlanningMode::Server) => r#"{"scan-planning-mode":"server"}"#,
        Some(ScanPlanningMode::Unset) | None => NO_CONFIG,
    }
}

fn respond(body: Body, etag: &str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// Returns the body with a whole document. That of a small one is made once, as long as `config` follows from the
/// document.
fn whole<T: Content>(document: &Document<T>, config: Config) -> Body {
    let json = document.json();
    if json.len() > DERIVED_BYTES_MAX {
        return pieces(document.location(), json, config);
    }
    let make = || {
        let (head, tail) = around(Some(document.location()), config);
        [head.as_bytes(), &json, tail.as_bytes()].concat().into()
    };
    Body::from(document.derived(make))
}

/// Returns a body that is sent in pieces, without a copy of the document.
fn pieces(location: &str, json: Bytes, config: Config) -> Body {
    let (head, tail) = around(Some(location), config);
    Body::new(Pieces::new([head.into(), json, tail.into()]))
}

/// Returns what precedes and what follows the metadata in
/// `{"metadata-location": …, "metadata": …, "config": …}`.
fn around(location: Option<&str>, config: Config) -> (String, String) {
    // A string always serialises.
    let location = serde_json::to_string(&location).unwrap_or_default();
    (format!("{{\"metadata-location\":{location},\"metadata\":"), format!(",\"config\":{config}}}"))
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
}
