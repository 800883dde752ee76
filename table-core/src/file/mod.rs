//! File formats of tables: Parquet files, read by field id and written with column metrics, Puffin files, and
//! the deletes in both (position delete files, equality delete files, deletion vectors).
//!
//! No file is opened in this module. Output is written to any [`std::io::Write`] or into memory; input is
//! passed in as bytes that the caller has fetched, one row group at a time, or read from what the `parquet`
//! crate calls a `ChunkReader`, such as a file in memory.

pub mod arrow_schema;
pub mod batch_bytes;
pub mod checksum;
pub mod data_location;
pub mod deleted_keys;
pub mod deletion_vector;
pub mod equality_columns;
pub mod error;
pub mod footer;
mod pages;
pub mod parquet_reader;
pub mod parquet_schema;
pub mod parquet_writer;
pub mod partition_path;
pub mod partition_rows;
pub mod position_deletes;
pub mod puffin;
mod row_keys;
mod shapes;
pub mod sort_rows;
pub mod splice;
mod thrift;
mod transformed;
