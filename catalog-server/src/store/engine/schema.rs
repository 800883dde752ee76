//! Schema of a database, as the subjects of the store define it. The engine applies it without knowing its
//! tables.

use sqlx::migrate::Migrator;

/// Schema of a database.
pub(in crate::store) struct DbSchema {
    /// Migrations for SQLite.
    pub(in crate::store) sqlite: Migrator,
    /// Migrations for PostgreSQL.
    pub(in crate::store) postgres: Migrator,
    /// Query on SQLite for the latest timestamp in any table, in milliseconds since 1970; 0 if there is none.
    /// Later transactions are not earlier than that.
    pub(in crate::store) latest_ms: &'static str,
}
