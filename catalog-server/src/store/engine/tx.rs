//! Write transaction on either database.

use sqlx::{Transaction, query_scalar};

use super::db::{ConnectionTarget, Db, DbKind, Target, bounded};
use super::error::StoreError;
use crate::store::catalog::pointer_cache::{Invalidation, PointerMove};
use crate::store::ids::TabularId;

/// Write transaction; rolled back when dropped.
///
/// Only store functions may be awaited while a transaction is open: on SQLite, all other writers wait for it.
pub struct Tx {
    transaction: Open,
    at_ms: i64,
    /// Tables and views whose cached metadata pointers become outdated at COMMIT.
    touched: Vec<Invalidation>,
    db: Db,
}

enum Open {
    Sqlite(Transaction<'static, sqlx::Sqlite>),
    Postgres(Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    pub(in crate::store) fn sqlite(
        db: Db,
        transaction: Transaction<'static, sqlx::Sqlite>,
        at_ms: i64,
    ) -> Self {
        Self { transaction: Open::Sqlite(transaction), at_ms, touched: Vec::new(), db }
    }

    pub(in crate::store) fn postgres(
        db: Db,
        transaction: Transaction<'static, sqlx::Postgres>,
        at_ms: i64,
    ) -> Self {
        Self { transaction: Open::Postgres(transaction), at_ms, touched: Vec::new(), db }
    }

    /// Returns the time of this transaction in the catalog's history, in milliseconds since 1970.
    ///
    /// On SQLite it is the clock of the process at the start of the transaction, corrected so that it never
    /// runs backwards; on PostgreSQL it is the clock of the server. The functions that change an object move
    /// the time forward if the object was last changed later, so that no history runs backwards. Therefore it
    /// should be read after the changes that it describes.
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreError::OutcomeUnknown`] if it is not known whether the commit took effect, because
    /// the connection failed before the answer; with [`StoreError::Serialization`] if the database reported
    /// that it has rolled the transaction back in favour of a concurrent one.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.transaction {
            Open::Sqlite(transaction) => commit_sqlite(self.db, transaction, self.touched).await,
            Open::Postgres(transaction) => {
                bounded(transaction.commit()).await.map_err(StoreError::from_commit)
            }
        }
    }

    /// Rolls the transaction back and waits until that is done. Dropping it does the same in the background.
    ///
    /// # Errors
    ///
    /// Fails if the database does not answer or fails the rollback ([`StoreError::Database`]).
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.transaction {
            Open::Sqlite(transaction) => Ok(transaction.rollback().await?),
            Open::Postgres(transaction) => Ok(bounded(transaction.rollback()).await?),
        }
    }

    pub(in crate::store) fn kind(&self) -> DbKind {
        self.db.kind()
    }

    pub(in crate::store) fn target(&mut self) -> ConnectionTarget<'_> {
        match &mut self.transaction {
            Open::Sqlite(transaction) => Target::Sqlite(&mut **transaction),
            Open::Postgres(transaction) => Target::Postgres(&mut **transaction),
        }
    }

    /// Returns `true` if metadata pointers are cached, so that changes of them have to be reported.
    pub(in crate::store) fn remembers_pointers(&self) -> bool {
        self.db.pointer_cache().is_some()
    }

    /// Reports that the cached entry of a table or view becomes outdated.
    pub(in crate::store) fn touch(&mut self, tabular_id: TabularId) {
        self.touched.push(Invalidation { tabular_id, moved: None });
    }

    /// Reports that the metadata pointer of a table or view moved, and nothing else of it changed.
    pub(in crate::store) fn touch_moved(&mut self, tabular_id: TabularId, moved: PointerMove) {
        self.touched.push(Invalidation { tabular_id, moved: Some(moved) });
    }

    /// Moves the time of the transaction to `at_ms`, unless it is already later.
    pub(in crate::store) fn advance_to(&mut self, at_ms: i64) {
        self.at_ms = self.at_ms.max(at_ms);
    }

    /// Moves the time of the transaction to the current time, after it may have waited for locks, so that it
    /// is later than everything done by the transactions that it waited for.
    pub(in crate::store) async fn advance_to_now(&mut self) -> Result<(), StoreError> {
        const SQL: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

        // On SQLite there is nothing left to wait for once the write lock is held.
        if let Open::Postgres(transaction) = &mut self.transaction {
            let now_ms: i64 = bounded(query_scalar(SQL).fetch_one(&mut **transaction)).await?;
            self.advance_to(now_ms);
        }
        Ok(())
    }
}

/// Commits in a task of its own: if the future of the caller is dropped during COMMIT, the cached entries of
/// the moved pointers must still be invalidated afterwards. Otherwise readers would receive outdated pointers
/// from then on.
async fn commit_sqlite(
    db: Db,
    transaction: Transaction<'static, sqlx::Sqlite>,
    touched: Vec<Invalidation>,
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
