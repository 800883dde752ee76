//! Records of requests and changes.

mod idempotency;
mod records;
