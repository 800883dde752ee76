//! Files: what is written is read, by whatever schema the table has by then, and metrics hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checksum;
mod common;
mod damage;
mod deleted_keys;
mod deletes;
mod foreign;
mod metrics;
mod model;
mod random;
mod rounds;
mod splice;
mod writer;
