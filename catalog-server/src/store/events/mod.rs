//! Records of requests and changes, and the positions of their readers. It knows of other subjects only ids.

pub mod audit;
pub mod cursors;
pub mod idempotency;
pub mod outbox;
pub mod reports;
