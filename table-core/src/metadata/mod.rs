//! The document model: table and view metadata that are read, judged and written without losing anything.
//!
//! This module knows single documents. How one document becomes the next is in [`crate::commit`].
//!
//! The rule of the model: text that was read is text that is written. Every element of a document (a schema, a
//! snapshot, a reference, …) keeps the JSON it came from beside the few decoded values we decide on, so fields
//! nobody here has heard of survive any number of commits.

pub mod clock;
pub mod error;
pub mod file_name;
pub mod json;
pub mod map;
pub mod partition;
pub mod properties;
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
