//! SQL access to the catalog database, on SQLite or PostgreSQL. No other module knows its tables and
//! statements.
//!
//! The store generates no ids, reads no clock of its own and makes no policy decisions: all of these are
//! passed in by the caller.
//!
//! [`engine::db::Db`] is the open database. A function that reads with one statement takes `&Db`; one that
//! writes takes `&mut Tx`, a write transaction begun by [`engine::db::Db::write`]; only the function of
//! [`commits`] is a whole transaction by itself. Every function that changes a namespace, a table or
//! a view also writes its history, so that a past instant can be read through [`catalog::as_of`].
//!
//! One SQL text runs on both databases: `$1` placeholders, `ON CONFLICT`, `RETURNING`, keyset pages. Where
//! the databases need different statements, both full texts are next to each other.
//!
//! The statements whose cost must not grow with the size of the catalog are public constants, so that tests
//! can check their query plans on both databases.
//!
//! After a store function has returned an error, its transaction must be dropped, not committed: PostgreSQL
//! has already aborted it.
//!
//! ```text
//! let db = database::open("sqlite:///srv/firn/firn.db", &DbOptions::default()).await?;
//! db.migrate().await?;
//! let mut tx = db.write(clock.now_ms()).await?;
//! namespaces::create(&mut tx, &new).await?;
//! audit::record(&mut tx, &entry).await?;
//! tx.commit().await?;
//! ```

#[macro_use]
pub mod engine;

pub mod catalog;
pub mod commits;
pub mod database;
pub mod events;
pub mod ids;
pub mod maintenance;
