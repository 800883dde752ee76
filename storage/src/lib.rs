//! Access to the files of tables, for the server and for maintenance: durable writes and bounded reads, restricted
//! to the files that the caller may access.
//!
//! A location reaches a store only as a [`place::Place`], which only a [`scope::Scope`] creates, and only for files
//! that the caller may read or write. The path that the scope has checked is the one that is opened. The crate
//! knows neither catalogs nor tables.
//!
//! ```text
//! files, read_ahead, upload  ->  store (interface)  <-  stores -> { local, objects }
//!          |                                        <-  metered, faults (wrappers)
//!          v
//!        scope -> place
//! ```

pub mod check;
pub mod endpoint;
pub mod error;
pub mod faults;
pub mod file;
pub mod files;
pub mod local;
pub mod metadata_service;
pub mod metered;
pub mod objects;
pub mod place;
pub mod read_ahead;
pub mod scope;
pub mod store;
pub mod stores;
pub mod upload;
