//! Parts that the endpoints of tables and views share: pages of names, and the request to rename.

use crate::api::error::ApiError;
use crate::api::extract::{AtNamespace, Mutation};
use crate::api::page::Page;
use crate::catalog::names::{Identifier, Namespace};

use super::wire::{ListTablesResponse, RenameTableRequest, TableIdentifier};

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
pub(super) fn page(at: &AtNamespace, page: &Page, mut names: Vec<String>) -> axum::Json<ListTablesResponse> {
    let next_page_token = page.cut(&mut names, String::as_str);
    let in_namespace = |name| TableIdentifier { namespace: at.namespace.levels().to_vec(), name };
    let identifiers = names.into_iter().map(in_namespace).collect();
    axum::Json(ListTablesResponse { next_page_token, identifiers })
}

fn identifier(wire: TableIdentifier) -> Result<Identifier, ApiError> {
    Ok(Identifier::new(Namespace::new(wire.namespace)?, wire.name)?)
}
