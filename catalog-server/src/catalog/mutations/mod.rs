//! Mutations: their responses, and what each of them records in its transaction. Making the change is the
//! matter of its subject.

pub mod audit;
pub mod error;
pub mod idempotency;

use std::sync::Arc;

use bytes::Bytes;
use table_core::metadata::table::TableMetadata;
use table_core::metadata::view::ViewMetadata;

use crate::storage::documents::Document;

/// Response to a change.
#[derive(Clone)]
pub enum MutationResponse {
    /// Empty response.
    Nothing,
    /// Small JSON body.
    Body(Bytes),
    /// Metadata of a table, with all of its snapshots.
    Table(Arc<Document<TableMetadata>>),
    /// Metadata of a view.
    View(Arc<Document<ViewMetadata>>),
}
