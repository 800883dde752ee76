//! Document model: table and view metadata that are parsed, validated and written without loss.
//!
//! This module deals with single documents. The change from one document to the next is in [`crate::commit`].
//!
//! Invariant of the model: text that was read is written unchanged. Every element of a document (a schema, a
//! snapshot, a ref, …) stores the JSON it came from beside the few decoded values that decisions depend on,
//! so that unknown fields survive any number of commits.
//!
//! ```text
//! let json = file_name::decode("00003-….gz.metadata.json", bytes, limit_bytes)?;
//! let table = TableMetadata::parse(&json)?;
//! let schema = table.current_schema()?.columns()?;
//! ```

pub mod clock;
pub mod error;
pub mod file_name;
pub mod json;
pub mod map;
pub mod partition;
pub mod properties;
pub mod reserved;
pub mod schema;
pub mod snapshot;
pub mod sort;
pub mod statistics;
pub mod table;
pub mod transform;
pub mod types;
pub mod view;

pub(crate) mod incoming;
pub(crate) mod schema_index;

mod completion;
mod layout;
mod table_parse;
mod table_write;
