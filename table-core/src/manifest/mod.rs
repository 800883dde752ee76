//! Manifests and manifest lists: which files a snapshot consists of, read from the Avro files that say so.
//!
//! Reading is shaped by scan planning, which looks at very many entries and keeps few. A manifest is decompressed once
//! and walked once; what every scan needs (status, path, sizes) is kept decoded, and the rest stays where it is as a
//! position in the decompressed bytes, checked while walking, until somebody asks for it.
//!
//! Writing takes files told in full ([`data_file`]) and gives bytes, in the form that Java's library writes. No file is read
//! or written here.

pub mod avro;
pub mod avro_write;
pub mod data_file;
pub mod entry;
pub mod error;
pub mod file;
pub mod header;
pub mod list;
pub mod list_write;
pub mod metrics;
pub mod partition;
pub mod partition_fields;
pub mod shape;
pub mod write;

mod schema;
