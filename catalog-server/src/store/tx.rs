//! A write transaction on either database.

use sqlx::{Transaction, query_scalar};

use super::db::{ConnectionTarget, Db, DbKind, Target, bounded};
use super::error::StoreError;
use super::ids::TabularId;
use super::pointer_cache::{Moved, Touched};

/// A write transaction; rolled back when dropped.
///
/// Nothing but store functions may be awaited while one is held: on SQLite everybody else who
/// wants to write is waiting for it.
pub struct Tx {
    transaction: Open,
    at_ms: i64,
    /// Tables and views whose remembered pointers stop being true at COMMIT.
    touched: Vec<Touched>,
    db: Db,
}

enum Open {
    Sqlite(Transaction<'static, sqlx::Sqlite>),
    Postgres(Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    pub(super) fn sqlite(db: Db, transaction: Transaction<'static, sqlx::Sqlite>, at_ms: i64) -> Self {
        Self { transaction: Open::Sqlite(transaction), at_ms, touched: Vec::new(), db }
    }

    pub(super) fn postgres(db: Db, transaction: Transaction<'static, sqlx::Postgres>, at_ms: i64) -> Self {
        Self { transaction: Open::Postgres(transaction), at_ms, touched: Vec::new(), db }
    }

    /// When, by the catalog's history, this transaction happens: milliseconds since 1970.
    ///
    /// On SQLite the process' clock at the begin, moved so that it never runs backwards
    /// ([`super::timeline`]); on PostgreSQL the server's clock. The functions that change an object
    /// move it forward if the object was last changed later, so that no history runs backwards;
    /// read it after the changes it should describe.
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// Commits.
    ///
    /// Fails with [`StoreError::OutcomeUnknown`] if nobody knows whether the commit took effect,
    /// and with [`StoreError::Serialization`] if it certainly did not.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.transaction {
            Open::Sqlite(transaction) => commit_sqlite(self.db, transaction, self.touched).await,
            Open::Postgres(transaction) => {
                bounded(transaction.commit()).await.map_err(StoreError::from_commit)
            }
        }
    }

    /// Undoes everything, and waits until it is undone. Dropping does the same in the background.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.transaction {
            Open::Sqlite(transaction) => Ok(transaction.rollback().await?),
            Open::Postgres(transaction) => Ok(bounded(transaction.rollback()).await?),
        }
    }

    pub(super) fn kind(&self) -> DbKind {
        self.db.kind()
    }

    pub(super) fn target(&mut self) -> ConnectionTarget<'_> {
        match &mut self.transaction {
            Open::Sqlite(transaction) => Target::Sqlite(&mut **transaction),
            Open::Postgres(transaction) => Target::Postgres(&mut **transaction),
        }
    }

    /// Whether anybody wants to know what became of a pointer.
    pub(super) fn remembers_pointers(&self) -> bool {
        self.db.pointer_cache().is_some()
    }

    /// Says that a table or view is not what readers remember of it.
    pub(super) fn touch(&mut self, tabular_id: TabularId) {
        self.touched.push(Touched { tabular_id, moved: None });
    }

    /// Says that a table's or view's pointer moved, and nothing else of it changed.
    pub(super) fn touch_moved(&mut self, tabular_id: TabularId, moved: Moved) {
        self.touched.push(Touched { tabular_id, moved: Some(moved) });
    }

    /// Moves the transaction's time to `at_ms` unless it is already later.
    pub(super) fn advance_to(&mut self, at_ms: i64) {
        self.at_ms = self.at_ms.max(at_ms);
    }

    /// Moves the transaction's time to now, after it may have waited for locks: what the
    /// transactions it waited for did then lies before all that this one does.
    pub(super) async fn advance_to_now(&mut self) -> Result<(), StoreError> {
        const SQL: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

        // On SQLite the write lock, once held, leaves nothing to wait for.
        if let Open::Postgres(transaction) = &mut self.transaction {
            let now_ms: i64 = bounded(query_scalar(SQL).fetch_one(&mut **transaction)).await?;
            self.advance_to(now_ms);
        }
        Ok(())
    }
}

/// Commits in a task of its own: if the caller goes away during COMMIT, the pointers it moved must
/// still be forgotten after it, or readers would be told of the old ones forever.
async fn commit_sqlite(
    db: Db,
    transaction: Transaction<'static, sqlx::Sqlite>,
    touched: Vec<Touched>,
) -> Result<(), StoreError> {
    let committing = tokio::spawn(async move {
        let committed = transaction.commit().await;
        if let Some(pointers) = db.pointer_cache() {
            pointers.update(&touched);
        }
        committed
    });
    match committing.await {
        Ok(committed) => committed.map_err(StoreError::from_commit),
        Err(_) => Err(StoreError::OutcomeUnknown(sqlx::Error::WorkerCrashed)),
    }
}
