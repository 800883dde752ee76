//! Opening of the catalog database: joins the engine with the parts of the subjects, which are the schema and
//! the cache of metadata pointers. It contains no queries of its own.

use super::catalog::pointer_cache::PointerCache;
use super::engine::db::Db;
use super::engine::error::StoreError;
use super::engine::options::DbOptions;
use super::engine::schema::DbSchema;
use super::engine::target::DbKind;

static SCHEMA: DbSchema = DbSchema {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
    // Each aggregate is answered from an index or a small table, so that the query remains fast with a long
    // history. The largest timestamp is the end of the validity of current states.
    latest_ms: "
        SELECT coalesce(max(at_ms), 0) FROM (
            SELECT max(max(valid_from_ms),
                       coalesce(max(valid_to_ms) FILTER (WHERE valid_to_ms < 9223372036854775807), 0)) AS at_ms
            FROM namespace_history
            UNION ALL
            SELECT max(max(valid_from_ms),
                       coalesce(max(valid_to_ms) FILTER (WHERE valid_to_ms < 9223372036854775807), 0))
            FROM tabular_history
            UNION ALL
            SELECT max(max(valid_from_ms),
                       coalesce(max(valid_to_ms) FILTER (WHERE valid_to_ms < 9223372036854775807), 0))
            FROM pointer_history
            UNION ALL SELECT max(at_ms) FROM audit
            UNION ALL SELECT max(at_ms) FROM maintenance_cursors)",
};

/// Opens the catalog database at `sqlite:///path/to/firn.db`, creating the file if it does not exist, or at
/// `postgres://…`.
///
/// The schema may be missing or outdated until [`Db::migrate`] has run.
///
/// # Errors
///
/// Fails as [`Db::connect`] does.
pub async fn open(url: &str, options: &DbOptions) -> Result<Db, StoreError> {
    let db = Db::connect(url, options, &SCHEMA).await?;
    Ok(match db.kind() {
        // Only this process moves pointers, so that it may answer from memory.
        DbKind::Sqlite => db.with_attachment(PointerCache::default()),
        DbKind::Postgres => db,
    })
}
