//! Commits of one change as a single statement on PostgreSQL, which saves the round trips of a transaction with
//! several statements: a move of a pointer without new folders, and a creation.
//!
//! A statement sees the catalog at its start. What depends on transactions that it waits for is therefore decided
//! by the row that it waits for (the condition of an UPDATE and the conflict of an INSERT are evaluated on its
//! newest version) or by a function of the schema, whose statements see what was committed meanwhile.

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgArguments, PgDatabaseError, PgSeverity};
use sqlx::query::QueryAs;
use sqlx::{PgPool, Postgres, query_as};

use super::{Commit, CommitOutcome, PointerChange};
use crate::store::catalog::locations::Claims;
use crate::store::catalog::tabular::{Pointer, TabularKind};
use crate::store::engine::error::StoreError;
use crate::store::engine::postgres::WRITERS_LOCK;
use crate::store::engine::target::bounded;
use crate::store::events::audit::NewAuditEntry;
use crate::store::events::idempotency::NewAnswer;

/// Statement of a move. The clock is read after the writers' lock is taken, because `settle` waits for this lock.
const MOVE: &str = "
    WITH writer AS MATERIALIZED (
        SELECT pg_advisory_xact_lock_shared($1), floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at_ms
    ), moved AS (
        UPDATE tabulars SET metadata_location = $19, table_uuid = $20, location = $21, superseded = $22,
                            updated_ms = greatest(updated_ms, writer.at_ms)
        FROM writer WHERE tabular_id = $17 AND metadata_location = $18
        RETURNING kind, updated_ms AS at_ms
    ), audited AS (
        INSERT INTO audit (audit_id, at_ms, request_id, caller, action, object_kind, object_name, object_id, outcome,
                           detail)
        SELECT $2, at_ms, $3, $4, $5, $6, $7, $8, $9, $10 FROM moved
    ), answered AS (
        INSERT INTO idempotency (caller, key, fingerprint, status, body, metadata_location, created_ms)
        SELECT $11, $12, $13, $14, $15, $16, at_ms FROM moved WHERE $11 IS NOT NULL
    )
    SELECT true, kind FROM moved";

/// Statement of a creation. It returns no row if the namespace does not exist. On a conflict the update changes
/// nothing, but it locks and returns the row that has the name.
const CREATE: &str = "
    WITH writer AS MATERIALIZED (
        SELECT pg_advisory_xact_lock_shared($1), floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at_ms
    ), place AS MATERIALIZED (
        SELECT n.warehouse_id, n.namespace_id, greatest(n.created_ms, writer.at_ms) AS at_ms
        FROM writer, namespaces n WHERE n.namespace_id = $18 FOR KEY SHARE OF n
    ), created AS (
        INSERT INTO tabulars (tabular_id, warehouse_id, namespace_id, kind, name, metadata_location, table_uuid,
                              location, created_ms, updated_ms, superseded)
        SELECT $17, warehouse_id, namespace_id, $19, $20, $21, $22, $23, at_ms, at_ms, $24 FROM place
        ON CONFLICT (namespace_id, name) DO UPDATE SET name = excluded.name
        RETURNING tabulars AS tabular, tabulars.tabular_id = $17 AS is_new, kind
    ), opened AS MATERIALIZED (
        SELECT open_tabular(tabular) AS at_ms, require_locations($25, $17, $26, $27, $28) FROM created WHERE is_new
    ), audited AS (
        INSERT INTO audit (audit_id, at_ms, request_id, caller, action, object_kind, object_name, object_id, outcome,
                           detail)
        SELECT $2, at_ms, $3, $4, $5, $6, $7, $8, $9, $10 FROM opened
    ), answered AS (
        INSERT INTO idempotency (caller, key, fingerprint, status, body, metadata_location, created_ms)
        SELECT $11, $12, $13, $14, $15, $16, at_ms FROM opened WHERE $11 IS NOT NULL
    )
    SELECT is_new, kind FROM created";

/// Executes a commit as a single statement. Returns `None`, without executing it, if it has to be a transaction
/// of several statements.
///
/// # Errors
///
/// Fails as [`super::commit`] does.
pub(super) async fn commit(pool: &PgPool, commit: &Commit<'_>) -> Result<Option<CommitOutcome>, StoreError> {
    let ([change], None) = (commit.changes.as_slice(), commit.job) else { return Ok(None) };
    let claims = Claims::new(&change.claims);
    let (statement, nothing) = match &change.pointer {
        PointerChange::Move { .. } if !change.claims.is_empty() => return Ok(None),
        PointerChange::Move { tabular_id, previous, next } => {
            let statement = with_records(MOVE, &change.audit, commit.answer.as_ref());
            let statement = statement.bind(tabular_id).bind(previous);
            (with_pointer(statement, next), CommitOutcome::Lost { index: 0 })
        }
        PointerChange::Create(new) => {
            let statement = with_records(CREATE, &change.audit, commit.answer.as_ref());
            let statement = statement
                .bind(new.tabular_id)
                .bind(new.place.namespace_id)
                .bind(new.kind.as_str())
                .bind(new.place.name);
            let statement = with_pointer(statement, &new.pointer)
                .bind(commit.warehouse_id)
                .bind(claims.prefixes)
                .bind(claims.ancestors)
                .bind(claims.ends);
            (statement, CommitOutcome::NamespaceMissing { index: 0 })
        }
    };
    // The connection is acquired separately, because a failure to do so has certainly changed nothing.
    let mut connection = bounded(pool.acquire()).await?;
    match bounded(statement.fetch_optional(&mut *connection)).await {
        Ok(None) => Ok(Some(nothing)),
        Ok(Some((true, _))) => Ok(Some(CommitOutcome::Done)),
        Ok(Some((false, holder))) => match TabularKind::try_from(holder) {
            Ok(holder) => Ok(Some(CommitOutcome::NameTaken { index: 0, holder })),
            Err(error) => Err(sqlx::Error::Decode(error.into()).into()),
        },
        Err(error) => match error.as_database_error().and_then(DatabaseError::constraint) {
            Some("idempotency_pkey") => Ok(Some(CommitOutcome::Answered)),
            Some("locations_overlap") => Ok(Some(CommitOutcome::Overlaps { index: 0 })),
            _ if is_refusal(&error) => Err(StoreError::from(error)),
            _ => Err(StoreError::from_commit(error)),
        },
    }
}

/// Statement that returns no row, or whether the change was made and the kind of the object that has the name.
type Statement<'q> = QueryAs<'q, Postgres, (bool, String), PgArguments>;

/// Binds the lock of writers, the audit record and the response: the parameters 1 to 16.
fn with_records<'q>(
    sql: &'static str,
    audit: &NewAuditEntry<'q>,
    answer: Option<&NewAnswer<'q>>,
) -> Statement<'q> {
    query_as(sql)
        .bind(WRITERS_LOCK)
        .bind(audit.audit_id)
        .bind(audit.request_id)
        .bind(audit.caller)
        .bind(audit.action)
        .bind(audit.object_kind)
        .bind(audit.object_name)
        .bind(audit.object_id)
        .bind(audit.outcome)
        .bind(audit.detail)
        .bind(answer.map(|answer| answer.caller))
        .bind(answer.map(|answer| answer.key))
        .bind(answer.map(|answer| answer.fingerprint))
        .bind(answer.map(|answer| i64::from(answer.status)))
        .bind(answer.and_then(|answer| answer.body))
        .bind(answer.and_then(|answer| answer.metadata_location))
}

fn with_pointer<'q>(statement: Statement<'q>, pointer: &Pointer<'q>) -> Statement<'q> {
    statement
        .bind(pointer.metadata_location)
        .bind(pointer.table_uuid)
        .bind(pointer.location)
        .bind(pointer.superseded)
}

/// Returns `true` if the server reported that it has rolled back the statement. A FATAL error, such as a
/// shutdown, may also close the connection between the commit of the statement and its answer.
fn is_refusal(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
}
