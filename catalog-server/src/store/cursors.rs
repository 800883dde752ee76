//! How far readers have come who go through something bit by bit. A cursor is moved in the transaction that does what was read,
//! and only from where it was read: of two replicas, one is too late and does nothing.

use sqlx::{query, query_as};
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::tx::Tx;

/// A place in an order of instants and ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Cursor {
    /// The instant.
    pub at_ms: i64,
    /// The id.
    pub id: Uuid,
}

/// How far the reader of this name has come; `None` before [`create`].
pub async fn find(db: &Db, name: &str) -> Result<Option<Cursor>, StoreError> {
    const SQL: &str = "SELECT at_ms, id FROM maintenance_cursors WHERE name = $1";

    fetch_optional!(db, query_as::<_, Cursor>(SQL).bind(name))
}

/// Starts a reader. One that was started before stays where it is.
pub async fn create(tx: &mut Tx, name: &str, start: Cursor) -> Result<(), StoreError> {
    const SQL: &str = "
        INSERT INTO maintenance_cursors (name, at_ms, id) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";

    execute!(tx, query(SQL).bind(name).bind(start.at_ms).bind(start.id)).map(drop)
}

/// Moves a reader. Returns `false`, changing nothing, if it is not at `from` any more.
pub async fn advance(tx: &mut Tx, name: &str, from: Cursor, to: Cursor) -> Result<bool, StoreError> {
    const SQL: &str = "
        UPDATE maintenance_cursors SET at_ms = $4, id = $5 WHERE name = $1 AND at_ms = $2 AND id = $3";

    let moved =
        execute!(tx, query(SQL).bind(name).bind(from.at_ms).bind(from.id).bind(to.at_ms).bind(to.id))?;
    Ok(moved == 1)
}
