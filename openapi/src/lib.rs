//! Types of the requests and responses of the governance API, shared by the server and its clients. The crate
//! depends on no other part of Firn.
//!
//! The doc comments of the types become the descriptions in the document that the server returns at
//! `/openapi.json`.

pub mod action;
pub mod maintenance;
pub mod text;
pub mod warehouse;
pub mod worker;
