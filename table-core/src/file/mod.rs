//! The files that tables are made of: Parquet, read by field id and written with metrics that hold, Puffin, and the deletes in
//! either.
//!
//! No file is opened here. What is written goes to any [`std::io::Write`] or into memory; what is read comes as bytes that the
//! caller fetched, a row group at a time, or from what Parquet calls a `ChunkReader`, such as a file that is in memory.

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
pub mod reserved;
mod row_keys;
mod shapes;
pub mod sort_rows;
pub mod splice;
mod thrift;
mod transformed;
