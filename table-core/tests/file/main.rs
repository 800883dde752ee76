//! Files: what is written is read, by whatever schema the table has by then, and metrics hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checksum;
mod common;
mod damage;
mod deleted_keys;
mod deletes;
mod equality_columns;
mod foreign;
mod locations;
mod long_values;
mod metrics;
mod model;
mod partitions;
mod random;
mod rounds;
mod sorting;
mod splice;
mod writer;
