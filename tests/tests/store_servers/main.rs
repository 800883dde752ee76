//! The object stores of the test harness, seen by a client that is not ours, the crate `object_store`: they
//! do what other suites rely on. Nothing here tests Firn.

#![expect(clippy::unwrap_used, reason = "a case fails if one of its assumptions is wrong")]

mod clients;
mod lifetime;
mod objects;
mod permissions;
