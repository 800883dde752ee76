//! Parts that the endpoints of tables and views share: pages of names, and the request to rename.

use axum::response::Response;
use bytes::Bytes;
use serde_json::value::to_raw_value;

use crate::api::error::ApiError;
use crate::api::extract::{AtNamespace, Mutation};
use crate::api::json;
use crate::api::page::Page;
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::tabulars::pages::ListedNames;

use super::wire::{ListTablesResponse, ListedIdentifier, RenameTableRequest, TableIdentifier};

/// Request to rename a table or view.
pub(super) struct Rename {
    /// Current name.
    pub(super) source: Identifier,
    /// New name.
    pub(super) destination: Identifier,
}

impl Rename {
    /// Parses the request.
    ///
    /// # Errors
    ///
    /// Fails with 400 if the body is malformed or a name cannot be used.
    pub(super) async fn of(mutation: &Mutation) -> Result<Self, ApiError> {
        let body: RenameTableRequest = mutation.json().await?;
        Ok(Self { source: identifier(body.source)?, destination: identifier(body.destination)? })
    }
}

/// Returns the response with a page of names, of which one more was read than the page has.
///
/// # Errors
///
/// Fails if the namespace cannot be written as JSON, which does not happen.
pub(super) fn page(at: &AtNamespace, page: &Page, listed: &ListedNames) -> Result<Response, ApiError> {
    let body = listed.derived(|| {
        let (names, next_page_token) = page.cut(listed.names());
        // Written once, and not with each of the names.
        let namespace = to_raw_value(at.namespace.levels())?;
        let identifiers = names.iter().map(|name| ListedIdentifier { namespace: &namespace, name }).collect();
        serde_json::to_vec(&ListTablesResponse { next_page_token, identifiers }).map(Bytes::from)
    });
    Ok(json(body.map_err(|error| ApiError::internal(error.to_string()))?))
}

fn identifier(wire: TableIdentifier) -> Result<Identifier, ApiError> {
    Ok(Identifier::new(Namespace::new(wire.namespace)?, wire.name)?)
}
