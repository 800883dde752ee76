//! Requests to commit to tables, as clients send them. They are parsed here and applied elsewhere.

use std::collections::HashSet;
use std::sync::Arc;

use table_core::commit::request::{TableCommit, TransactionCommit};
use table_core::commit::requirement::TableRequirement;

use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::tabulars::error::TabularError;

/// Maximum number of tables in one transaction.
const TRANSACTION_TABLES_MAX: usize = 1_000;

/// Requirements and updates of a client for one table.
#[derive(Clone)]
pub struct TableChange {
    /// Name of the table.
    pub(super) identifier: Identifier,
    /// Requirements and updates.
    pub(super) commit: Arc<TableCommit>,
}

impl TableChange {
    /// Parses the body of a commit to the table `identifier`.
    ///
    /// # Errors
    ///
    /// Fails if the body is malformed or its updates are invalid ([`TabularError::Commit`]), or if it names
    /// another table ([`TabularError::Invalid`]).
    pub fn of_table(identifier: Identifier, body: &[u8]) -> Result<Self, TabularError> {
        let commit = TableCommit::parse(body)?;
        if let Some(named) = &commit.identifier
            && (named.namespace != identifier.namespace.levels() || named.name != identifier.name)
        {
            return Err(TabularError::Invalid(format!(
                "the body names table `{}`, the path names `{identifier}`; send the commit to the path of its table",
                named.name
            )));
        }
        Ok(Self { identifier, commit: Arc::new(commit) })
    }

    /// Parses the body of a transaction over several tables.
    ///
    /// # Errors
    ///
    /// Fails if the body is malformed or its updates are invalid ([`TabularError::Commit`]), if a name cannot
    /// be used ([`TabularError::Name`]), or if the transaction has too many tables or names a table twice
    /// ([`TabularError::Invalid`]).
    pub fn of_transaction(body: &[u8]) -> Result<Vec<Self>, TabularError> {
        let transaction = TransactionCommit::parse(body)?;
        if transaction.table_changes.len() > TRANSACTION_TABLES_MAX {
            return Err(TabularError::Invalid(format!(
                "the transaction changes {} tables, at most {TRANSACTION_TABLES_MAX} are allowed",
                transaction.table_changes.len()
            )));
        }
        let mut changes: Vec<Self> = Vec::new();
        let mut seen = HashSet::new();
        for (named, commit) in transaction.table_changes {
            let identifier = Identifier::new(Namespace::new(named.namespace)?, named.name)?;
            if !seen.insert(identifier.clone()) {
                return Err(TabularError::Invalid(format!(
                    "table `{identifier}` appears twice in the transaction; combine its updates into one change"
                )));
            }
            changes.push(Self { identifier, commit: Arc::new(commit) });
        }
        Ok(changes)
    }

    /// Returns `true` if the commit creates its table: it has the requirement `assert-create`.
    pub(super) fn creates(&self) -> bool {
        let requirements = &self.commit.requirements;
        requirements.iter().any(|requirement| matches!(requirement, TableRequirement::AssertCreate))
    }
}
