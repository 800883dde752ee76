//! Bodies of commit requests (REST specification: `CommitTableRequest`, `CommitTransactionRequest`,
//! `CommitViewRequest`).

use crate::metadata::incoming;
use crate::metadata::json::{Fields, Raw};

use super::error::CommitError;
use super::requirement::{TableRequirement, ViewRequirement};
use super::update::{TableUpdate, ViewUpdate};

/// Name of a table or view in a request, with its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableIdent {
    /// Levels of the namespace, outermost first.
    pub namespace: Vec<String>,
    /// Name in the namespace.
    pub name: String,
}

/// Commit to one table.
#[derive(Debug, Clone)]
pub struct TableCommit {
    /// Identifier of the table, if the body contains it.
    pub identifier: Option<TableIdent>,
    /// Assertions about the current metadata that must be true for the updates to be applied.
    pub requirements: Vec<TableRequirement>,
    /// Changes, to be applied in order.
    pub updates: Vec<TableUpdate>,
    /// Length of the JSON text of the commit, in bytes.
    pub size_bytes: usize,
}

/// Commit to several tables that is applied atomically.
#[derive(Debug, Clone)]
pub struct TransactionCommit {
    /// Commits, each with the identifier of its table.
    pub table_changes: Vec<(TableIdent, TableCommit)>,
}

/// Commit to one view.
#[derive(Debug, Clone)]
pub struct ViewCommit {
    /// Identifier of the view, if the body contains it.
    pub identifier: Option<TableIdent>,
    /// Assertions about the current metadata that must be true for the updates to be applied.
    pub requirements: Vec<ViewRequirement>,
    /// Changes, to be applied in order.
    pub updates: Vec<ViewUpdate>,
}

impl TableCommit {
    /// Parses the body of a commit to a table.
    ///
    /// # Errors
    ///
    /// Fails if the body is not UTF-8 or not a JSON object, has neither `requirements` nor `updates`, has a
    /// requirement or update that is unknown or not well-formed, or exceeds the limits of Java's JSON parser
    /// ([`CommitError::Malformed`]).
    pub fn parse(body: &[u8]) -> Result<TableCommit, CommitError> {
        let commit = TableCommit::read(&body_fields(body)?, body.len())?;
        check_text(body)?;
        Ok(commit)
    }

    /// Returns `true` if this is a create transaction, which [`super::build`] applies.
    pub fn is_create(&self) -> bool {
        self.requirements.contains(&TableRequirement::AssertCreate)
    }

    fn read(fields: &Fields<'_>, size_bytes: usize) -> Result<TableCommit, CommitError> {
        require_lists(fields)?;
        Ok(TableCommit {
            identifier: read_identifier(fields)?,
            requirements: read_list(fields, "requirements", TableRequirement::parse)?,
            updates: read_list(fields, "updates", TableUpdate::parse)?,
            size_bytes,
        })
    }
}

impl TransactionCommit {
    /// Parses the body of a commit to several tables.
    ///
    /// # Errors
    ///
    /// Fails as [`TableCommit::parse`] does, and if one of the `table-changes` has no `identifier`
    /// ([`CommitError::Malformed`]).
    pub fn parse(body: &[u8]) -> Result<TransactionCommit, CommitError> {
        let fields = body_fields(body)?;
        let table_changes = read_list(&fields, "table-changes", |change| {
            let fields = change.fields("table change").map_err(|error| CommitError::malformed(&error))?;
            let commit = TableCommit::read(&fields, change.as_str().len())?;
            let identifier = commit.identifier.clone();
            let identifier =
                identifier.ok_or_else(|| CommitError::malformed(&fields.missing("identifier")))?;
            Ok((identifier, commit))
        })?;
        check_text(body)?;
        Ok(TransactionCommit { table_changes })
    }
}

impl ViewCommit {
    /// Parses the body of a commit to a view.
    ///
    /// # Errors
    ///
    /// Fails if the body is not UTF-8 or not a JSON object, has neither `requirements` nor `updates`, has a
    /// requirement or update that is unknown or not well-formed, or exceeds the limits of Java's JSON parser
    /// ([`CommitError::Malformed`]).
    pub fn parse(body: &[u8]) -> Result<ViewCommit, CommitError> {
        let fields = body_fields(body)?;
        require_lists(&fields)?;
        let commit = ViewCommit {
            identifier: read_identifier(&fields)?,
            requirements: read_list(&fields, "requirements", ViewRequirement::parse)?,
            updates: read_list(&fields, "updates", ViewUpdate::parse)?,
        };
        check_text(body)?;
        Ok(commit)
    }
}

fn body_fields(body: &[u8]) -> Result<Fields<'_>, CommitError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| CommitError::Malformed("the request is not UTF-8 text".to_owned()))?;
    Fields::parse(text, "request").map_err(|error| CommitError::malformed(&error))
}

/// Refuses text that Java's clients could not read once it is part of a metadata document.
fn check_text(body: &[u8]) -> Result<(), CommitError> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    incoming::limits::check(text).map_err(|error| CommitError::malformed(&error))
}

fn read_identifier(fields: &Fields<'_>) -> Result<Option<TableIdent>, CommitError> {
    let Some(identifier) = fields.present("identifier") else { return Ok(None) };
    let read = || {
        let fields = Fields::parse(identifier.get(), "identifier")?;
        Ok(TableIdent { namespace: fields.required("namespace")?, name: fields.required("name")? })
    };
    read().map(Some).map_err(|error| CommitError::malformed(&error))
}

/// Refuses a body that is no commit at all: its sender would take a success for a sign that something was
/// changed.
fn require_lists(fields: &Fields<'_>) -> Result<(), CommitError> {
    if ["requirements", "updates"].iter().any(|key| fields.present(key).is_some()) {
        return Ok(());
    }
    Err(CommitError::Malformed(
        "the request has neither `requirements` nor `updates`; a commit needs at least one of them"
            .to_owned(),
    ))
}

/// Reads a list; an absent one is empty, because clients omit empty lists.
fn read_list<T>(
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&Raw) -> Result<T, CommitError>,
) -> Result<Vec<T>, CommitError> {
    let elements = fields.list(key, Ok).map_err(|error| CommitError::malformed(&error))?;
    let numbered = elements.unwrap_or_default().into_iter().enumerate();
    let read_numbered = |(position, element): (usize, Raw)| {
        read(&element).map_err(|error| match error {
            CommitError::Malformed(reason) => {
                CommitError::Malformed(format!("`{key}` [{position}]: {reason}"))
            }
            other => other,
        })
    };
    numbered.map(read_numbered).collect()
}
