//! Object stores as child processes: a type for each server, which starts it with its script in
//! `tests/stores/`. `README.md` there says what each of them is able to do. This module uses nothing of the
//! product.
//!
//! Servers listen on loopback only. They end, and their data is removed, when their value is dropped or this
//! process exits for any reason.

pub mod azurite;
pub mod gcs_emulator;
pub mod moto;
pub mod rados_gateway;
pub mod s3_server;
pub mod seaweed_fs;
mod signed_request;
mod start_script;
pub mod sts_server;
