//! Cursors: positions of background readers that process a sequence of rows in batches.
//!
//! A cursor is advanced in the transaction that processes the batch, by compare-and-swap from the position
//! that was read. If two replicas process the same batch, the later one fails to advance the cursor and
//! changes nothing.

use sqlx::{query, query_as};
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;

/// Position in a sequence of rows that is ordered by time and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Cursor {
    /// Time of the last row processed, in milliseconds since 1970.
    pub at_ms: i64,
    /// Id of the last row processed.
    pub id: Uuid,
}

/// Returns the position of a cursor; `None` before [`create`].
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find(db: &Db, name: &str) -> Result<Option<Cursor>, StoreError> {
    const SQL: &str = "SELECT at_ms, id FROM maintenance_cursors WHERE name = $1";

    fetch_optional!(db, query_as::<_, Cursor>(SQL).bind(name))
}

/// Creates a cursor. A cursor that exists remains at its position.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn create(tx: &mut Tx, name: &str, start: Cursor) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_cursors (name, at_ms, id) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";

    execute!(tx, query(SQL).bind(name).bind(start.at_ms).bind(start.id)).map(drop)
}

/// Advances a cursor. Returns `false`, changing nothing, if it is no longer at `from`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn advance(tx: &mut Tx, name: &str, from: Cursor, to: Cursor) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_cursors SET at_ms = $4, id = $5 WHERE name = $1 AND at_ms = $2 AND id = $3";

    let moved =
        execute!(tx, query(SQL).bind(name).bind(from.at_ms).bind(from.id).bind(to.at_ms).bind(to.id))?;
    Ok(moved == 1)
}
