//! Types of the requests and responses of the governance API, shared by the server and its clients. The crate
//! depends on no other part of Firn.
//!
//! The documentation of the types becomes the descriptions in the OpenAPI document that the server serves at
//! `/openapi.json`.

pub mod maintenance;
pub mod text;
