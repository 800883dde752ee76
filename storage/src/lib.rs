//! Files of tables, for the server and for maintenance: durable writes, bounded reads, within what their holder may touch.
//!
//! A location reaches a file system only as a [`place::Place`], which only a [`scope::Scope`] makes, and only for what its
//! holder may read or write. What the scope compares is what is opened. It knows neither catalogs nor tables.

pub mod error;
pub mod folders;
pub mod local;
pub mod place;
pub mod scope;
pub mod threads;
