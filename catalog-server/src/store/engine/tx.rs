//! Write transaction on either database. It knows no table.

use std::any::Any;
use std::sync::Arc;

use sqlx::{Transaction, query_scalar};

use super::attachment::Attachment;
use super::error::StoreError;
use super::target::{ConnectionTarget, DbKind, Target, bounded};

/// Write transaction; rolled back when dropped.
///
/// Only store functions may be awaited while a transaction is open: on SQLite, all other writers wait for it.
pub struct Tx {
    transaction: Open,
    at_ms: i64,
    after_commit: Vec<Hook>,
    attachment: Attachment,
}

/// Function that is called after COMMIT, with `true` if it is certain that the transaction took effect.
type Hook = Box<dyn FnOnce(bool) + Send>;

pub(super) enum Open {
    Sqlite(Transaction<'static, sqlx::Sqlite>),
    Postgres(Transaction<'static, sqlx::Postgres>),
}

impl Open {
    async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => bounded(transaction.commit()).await,
        }
    }
}

impl Tx {
    pub(super) fn new(transaction: Open, at_ms: i64, attachment: Attachment) -> Self {
        Self { transaction, at_ms, after_commit: Vec::new(), attachment }
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
        let Self { transaction, after_commit, .. } = self;
        // The commit has a task of its own: if the future of the caller is dropped during COMMIT, the hooks
        // must still be called afterwards.
        let committing = tokio::spawn(async move {
            let committed = transaction.commit().await;
            for hook in after_commit {
                hook(committed.is_ok());
            }
            committed
        });
        match committing.await {
            Ok(committed) => committed.map_err(StoreError::from_commit),
            Err(_) => Err(StoreError::OutcomeUnknown(sqlx::Error::WorkerCrashed)),
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

    /// Calls `hook` after COMMIT, before the caller of [`Tx::commit`] learns the outcome: with `true` if COMMIT
    /// succeeded; with `false` if it failed, because then the transaction may have taken effect or not. A
    /// transaction that is rolled back drops its hooks.
    pub(in crate::store) fn after_commit(&mut self, hook: impl FnOnce(bool) + Send + 'static) {
        self.after_commit.push(Box::new(hook));
    }

    /// Returns the value that is kept with the database, if it is a `T`.
    pub(in crate::store) fn attachment<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.attachment.shared()
    }

    pub(in crate::store) fn kind(&self) -> DbKind {
        match self.transaction {
            Open::Sqlite(_) => DbKind::Sqlite,
            Open::Postgres(_) => DbKind::Postgres,
        }
    }

    pub(in crate::store) fn target(&mut self) -> ConnectionTarget<'_> {
        match &mut self.transaction {
            Open::Sqlite(transaction) => Target::Sqlite(&mut **transaction),
            Open::Postgres(transaction) => Target::Postgres(&mut **transaction),
        }
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
