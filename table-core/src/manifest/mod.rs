//! Manifests and manifest lists: Avro files that list the data files and delete files of a snapshot.
//!
//! The reader is optimised for scan planning, which visits very many entries and selects few. A manifest is
//! decompressed once and traversed once; values that every scan needs (status, path, sizes) are decoded, and
//! the others remain in the decompressed bytes, as positions that were checked during the traversal, and are
//! decoded on access.
//!
//! The writer takes complete descriptions of files ([`data_file`]) and produces bytes in the form of Java's
//! library. Nothing in this module performs I/O.
//!
//! ```text
//! for listed in list::decode(&list_bytes, limit_bytes)? {
//!     let manifest = Manifest::decode(&read(&listed.path)?, limit_bytes)?;
//!     for file in manifest.files(&listed).filter(File::is_live) { /* file.path(), file.record_count() */ }
//! }
//! ```

pub mod avro;
pub mod avro_write;
pub mod data_file;
pub mod entry;
mod entry_layout;
pub mod error;
pub mod file;
pub mod header;
pub mod list;
pub mod list_write;
pub mod metrics;
pub mod partition;
pub mod partition_fields;
pub mod shape;
pub mod snapshot_manifests;
pub mod write;

mod body;
mod schema;
