//! Ownership of files by location prefix. No two owners may own the same prefix, nor may a prefix of one be
//! inside that of another. Therefore vended credentials, the removal of orphan files and purges reach the
//! files that they should, and no others.
//!
//! Prefixes are normalised and end with `/`, so that `orders/` is not a prefix of `orders2/`.
//!
//! On PostgreSQL, two concurrent transactions could each claim one of two nested prefixes without seeing the
//! other. Therefore a claim is a function of the schema, `claim_locations`, which first takes an exclusive
//! advisory lock on the hash of its prefix, and a shared one on that of each ancestor, until the transaction
//! ends. Of two nested claims, one then waits for the other; claims of siblings do not conflict.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::target::{DbKind, Target, bounded};
use crate::store::engine::tx::Tx;
use crate::store::ids::WarehouseId;

/// Outcome of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The owner owns all prefixes.
    Claimed,
    /// Another owner owns `prefix`, which is equal to, contains or is inside one of the claimed prefixes.
    /// Some of the others may have been claimed, so the transaction must be dropped.
    Overlaps {
        /// Prefix of the other owner.
        prefix: String,
        /// Id of the other owner.
        owner_id: Uuid,
    },
}

/// Statement for the other owners of a prefix itself, of one of its ancestors, or of a prefix inside it.
pub const OVERLAPPING: &str = "
    SELECT prefix, owner_id FROM locations
    WHERE warehouse_id = $1 AND owner_id <> $2 AND prefix IN (SELECT value FROM json_each($3))
    UNION ALL
    SELECT prefix, owner_id FROM locations
    WHERE warehouse_id = $1 AND owner_id <> $2 AND prefix >= $4 AND prefix < $5
    LIMIT 1";
/// Statement [`OVERLAPPING`] for PostgreSQL.
pub const OVERLAPPING_POSTGRES: &str = r#"
    SELECT o.prefix, o.owner_id FROM json_array_elements_text($3::json) AS a(prefix), LATERAL (
        SELECT l.prefix, l.owner_id FROM locations l
        WHERE l.warehouse_id = $1 AND l.prefix = a.prefix COLLATE "C" LIMIT 1
    ) AS o WHERE o.owner_id <> $2
    UNION ALL
    SELECT prefix, owner_id FROM locations
    WHERE warehouse_id = $1 AND owner_id <> $2 AND prefix >= $4 AND prefix < $5
    LIMIT 1"#;

/// Statements that claim prefixes on SQLite, and return a claim of another owner that overlaps with one of them.
/// No other transaction can write meanwhile.
const CLAIM: &str = "
    INSERT INTO locations (warehouse_id, prefix, owner_id) SELECT $1, value, $2 FROM json_each($4) WHERE true
    ON CONFLICT (warehouse_id, prefix) DO NOTHING;
    SELECT prefix, owner_id FROM locations
    WHERE warehouse_id = $1 AND owner_id <> $2 AND prefix IN (SELECT value FROM json_each($3))
    UNION ALL
    SELECT l.prefix, l.owner_id FROM json_each($4) p CROSS JOIN locations l
    WHERE l.warehouse_id = $1 AND l.owner_id <> $2 AND l.prefix >= p.value
        AND l.prefix < substr(p.value, 1, length(p.value) - 1) || '0'
    LIMIT 1";

/// Statement for the other owners of some prefixes.
pub const HOLDING: &str = "
    SELECT prefix FROM locations
    WHERE warehouse_id = $1 AND owner_id <> $2 AND prefix IN (SELECT value FROM json_each($3)) LIMIT 1";
/// Statement [`HOLDING`] for PostgreSQL. It makes one look-up for each prefix, whatever the statistics are: the
/// inner LIMIT keeps it from being joined otherwise.
pub const HOLDING_POSTGRES: &str = r#"
    SELECT o.prefix FROM json_array_elements_text($3::json) AS a(prefix), LATERAL (
        SELECT l.prefix, l.owner_id FROM locations l
        WHERE l.warehouse_id = $1 AND l.prefix = a.prefix COLLATE "C" LIMIT 1
    ) AS o WHERE o.owner_id <> $2 LIMIT 1"#;

/// Prefixes to be claimed, with what is compared with the claims of other owners.
pub(in crate::store) struct Claims<'a> {
    pub(in crate::store) prefixes: &'a [&'a str],
    /// Prefixes that contain one of `prefixes`.
    pub(in crate::store) ancestors: Vec<&'a str>,
    /// Smallest string for each prefix that is greater than all strings that start with it.
    pub(in crate::store) ends: Vec<String>,
}

impl<'a> Claims<'a> {
    pub(in crate::store) fn new(prefixes: &'a [&'a str]) -> Self {
        let ancestors = prefixes.iter().flat_map(|prefix| ancestors(prefix)).collect();
        Self { prefixes, ancestors, ends: prefixes.iter().map(|prefix| successor(prefix)).collect() }
    }
}

/// Claims `prefixes` for `owner_id`, which may own some of them already. The cost does not depend on the
/// number of siblings of a prefix.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn claim(
    tx: &mut Tx,
    warehouse_id: WarehouseId,
    prefixes: &[&str],
    owner_id: Uuid,
) -> Result<Claim, StoreError> {
    const CLAIM_POSTGRES: &str = "SELECT prefix, owner_id FROM claim_locations($1, $2, $3, $4, $5)";

    if let Target::Postgres(on) = tx.target() {
        let claims = Claims::new(prefixes);
        let statement = query_as::<_, (String, Uuid)>(CLAIM_POSTGRES)
            .bind(warehouse_id)
            .bind(owner_id)
            .bind(claims.prefixes)
            .bind(claims.ancestors)
            .bind(claims.ends);
        let overlap = bounded(statement.fetch_optional(on)).await?;
        return Ok(overlap.map_or(Claim::Claimed, |(prefix, owner_id)| Claim::Overlaps { prefix, owner_id }));
    }
    let (ancestors, prefixes) = (to_json(&Claims::new(prefixes).ancestors), to_json(prefixes));
    let overlap = fetch_optional!(
        tx,
        query_as::<_, (String, Uuid)>(CLAIM)
            .bind(warehouse_id)
            .bind(owner_id)
            .bind(&ancestors)
            .bind(&prefixes)
    )?;
    Ok(overlap.map_or(Claim::Claimed, |(prefix, owner_id)| Claim::Overlaps { prefix, owner_id }))
}

/// Releases all prefixes of an owner.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn release(tx: &mut Tx, owner_id: Uuid) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM locations WHERE owner_id = $1";

    execute!(tx, query(SQL).bind(owner_id)).map(drop)
}

/// Transfers all prefixes of `from` to `to` and returns them, so that a purge excludes other owners until the
/// files are deleted.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn transfer(tx: &mut Tx, from: Uuid, to: Uuid) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "UPDATE locations SET owner_id = $2 WHERE owner_id = $1 RETURNING prefix";

    fetch_all!(tx, query_scalar::<_, String>(SQL).bind(from).bind(to))
}

/// Returns the prefix of another owner than `owner_id` that is equal to `prefix` or contains it.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn find_holder(
    db: &Db,
    warehouse_id: WarehouseId,
    prefix: &str,
    owner_id: Uuid,
) -> Result<Option<String>, StoreError> {
    let sql = if db.kind() == DbKind::Postgres { HOLDING_POSTGRES } else { HOLDING };
    let mut folders: Vec<&str> = ancestors(prefix).collect();
    folders.push(prefix);
    let folders = to_json(&folders);
    fetch_optional!(db, query_scalar::<_, String>(sql).bind(warehouse_id).bind(owner_id).bind(&folders))
}

/// Returns `true` if another owner than `owner_id` owns the prefix, an ancestor of it, or a prefix inside it.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn is_shared(
    db: &Db,
    warehouse_id: WarehouseId,
    prefix: &str,
    owner_id: Uuid,
) -> Result<bool, StoreError> {
    let sql = if db.kind() == DbKind::Postgres { OVERLAPPING_POSTGRES } else { OVERLAPPING };
    let above: Vec<&str> = ancestors(prefix).collect();
    let above = to_json(&above);
    let end = successor(prefix);
    let found = fetch_optional!(
        db,
        query_as::<_, (String, Uuid)>(sql)
            .bind(warehouse_id)
            .bind(owner_id)
            .bind(&above)
            .bind(prefix)
            .bind(&end)
    )?;
    Ok(found.is_some())
}

/// Changes the spelling of a prefix from `from` to `to`. Does nothing if `owner_id` does not own `from`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn respell(tx: &mut Tx, owner_id: Uuid, from: &str, to: &str) -> Result<(), StoreError> {
    const COPY: &str = "
        INSERT INTO locations (warehouse_id, prefix, owner_id)
        SELECT warehouse_id, $3, owner_id FROM locations WHERE owner_id = $1 AND prefix = $2
        ON CONFLICT (warehouse_id, prefix) DO NOTHING";
    const FORGET: &str = "DELETE FROM locations WHERE owner_id = $1 AND prefix = $2";

    execute!(tx, query(COPY).bind(owner_id).bind(from).bind(to))?;
    execute!(tx, query(FORGET).bind(owner_id).bind(from)).map(drop)
}

/// Returns the tables and views whose location contains a percent sign, with that location.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list_encoded(db: &Db) -> Result<Vec<(Uuid, String)>, StoreError> {
    const SQL: &str = "SELECT tabular_id, location FROM tabulars WHERE location LIKE '%!%%' ESCAPE '!'";

    fetch_all!(db, query_as::<_, (Uuid, String)>(SQL))
}

/// Returns the prefixes of an owner, in ascending order.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list(db: &Db, owner_id: Uuid) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "SELECT prefix FROM locations WHERE owner_id = $1 ORDER BY prefix";

    fetch_all!(db, query_scalar::<_, String>(SQL).bind(owner_id))
}

/// Returns the prefixes that contain `prefix`, without itself.
fn ancestors(prefix: &str) -> impl Iterator<Item = &str> {
    let inner = prefix.len().saturating_sub(1);
    prefix.match_indices('/').map(move |(at, _)| &prefix[..=at]).take_while(move |it| it.len() <= inner)
}

/// Returns the smallest string greater than all strings that start with `prefix`: `0` is the byte after `/`.
fn successor(prefix: &str) -> String {
    format!("{}0", prefix.strip_suffix('/').unwrap_or(prefix))
}

fn to_json(prefixes: &[&str]) -> String {
    serde_json::json!(prefixes).to_string()
}
