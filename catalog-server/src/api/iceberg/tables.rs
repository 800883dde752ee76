//! Table endpoints: list, create, load, commit, drop, register, unregister, rename.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{AtNamespace, AtObject, InWarehouse, Mutation, Params};
use crate::api::page::PageParams;
use crate::api::{App, idempotent, load_result};
use crate::authz::action::Action;
use crate::catalog::names::Identifier;
use crate::catalog::tables::Snapshots;
use crate::catalog::tables::change::TableChange;
use crate::catalog::tables::create::NewTable;
use crate::catalog::tables::prepared::CommitSource;
use crate::storage::documents;

use super::tabulars::{self, Rename};
use super::wire::{
    CommitTableRequest, CreateTableRequest, ListTablesResponse, LoadTableResult, RegisterTableRequest,
    RenameTableRequest,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_tables, create_table))
        .routes(routes!(load_table, table_exists, commit_table, drop_table))
        .routes(routes!(register_table))
        .routes(routes!(unregister_table))
        .routes(routes!(rename_table))
}

/// Lists the tables of a namespace.
#[utoipa::path(get, path = "/v1/{prefix}/namespaces/{namespace}/tables", tag = "Tables",
    operation_id = "listTables",
    params(("prefix" = String, Path), ("namespace" = String, Path), PageParams),
    responses((status = 200, body = ListTablesResponse), CommonErrors))]
async fn list_tables(
    State(app): State<App>,
    at: AtNamespace,
    Params(page): Params<PageParams>,
) -> Result<Response, ApiError> {
    let page = page.decode(app.limits.page_entries)?;
    let names = app.catalog.tables.list(&at.request, &at.warehouse, &at.namespace, page.names()).await?;
    tabulars::page(&at, &page, &names)
}

/// Creates or stages a table.
///
/// A staged table is created by a later commit with the requirement `assert-create`.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/tables", tag = "Tables",
    operation_id = "createTable",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CreateTableRequest,
    responses((status = 200, body = LoadTableResult), CommonErrors, MutationErrors))]
async fn create_table(
    State(app): State<App>,
    AtNamespace { warehouse, namespace, .. }: AtNamespace,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let body: CreateTableRequest = mutation.json().await?;
    let identifier = Identifier::new(namespace, body.name)?;
    let is_staged = body.stage_create.unwrap_or_default();
    let new = NewTable {
        location: body.location,
        schema: body.schema,
        partition_spec: body.partition_spec,
        write_order: body.write_order,
        properties: body.properties.unwrap_or_default().into_iter().collect(),
        size_bytes: mutation.body.len(),
    };
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        if is_staged {
            catalog.tables.stage(&request, &warehouse, &identifier, new, load_result::staged_table).await
        } else {
            catalog.tables.create(&request, &warehouse, &identifier, new).await
        }
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LoadParams {
    /// Snapshots to include in the metadata: `all`, or only those referenced by branches and tags (`refs`).
    #[param(example = "all")]
    snapshots: Option<String>,
}

/// Loads the metadata of a table.
#[utoipa::path(get, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}", tag = "Tables",
    operation_id = "loadTable",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path), LoadParams,
        ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = LoadTableResult), (status = 304), CommonErrors))]
async fn load_table(
    State(app): State<App>,
    AtObject { request, warehouse, identifier }: AtObject,
    Params(params): Params<LoadParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let snapshots = match params.snapshots.as_deref() {
        None | Some("" | "all" | "ALL") => Snapshots::All,
        Some("refs" | "REFS") => Snapshots::Refs,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "Invalid snapshots `{other}`: it must be `all` or `refs`"
            )));
        }
    };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let version = app.catalog.tables.require(&request, &warehouse, &identifier, Action::LoadTable).await?;
    if let Some(known) = known {
        let etag = load_result::etag(&documents::version(&version.metadata_location), snapshots);
        if load_result::matches(known, &etag) {
            // A cache may contain several representations of the table; the entity tag identifies the one that
            // is current (RFC 9110, section 15.4.5).
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
        }
    }
    Ok(load_result::table(&app.catalog.tables.load(&version, snapshots).await?))
}

/// Checks that a table exists.
#[utoipa::path(head, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}", tag = "Tables",
    operation_id = "tableExists",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path)),
    responses((status = 204), CommonErrors))]
async fn table_exists(
    State(app): State<App>,
    AtObject { request, warehouse, identifier }: AtObject,
) -> Result<StatusCode, ApiError> {
    app.catalog.tables.require(&request, &warehouse, &identifier, Action::LoadTable).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Commits updates to a table.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}", tag = "Tables",
    operation_id = "updateTable",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = CommitTableRequest,
    responses((status = 200, body = LoadTableResult), CommonErrors, MutationErrors))]
async fn commit_table(
    State(app): State<App>,
    AtObject { warehouse, identifier, .. }: AtObject,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let catalog = app.catalog.clone();
    let (turns, body) = (app.turns.clone(), mutation.body.clone());
    idempotent::run(&app, &mutation, async move |request| {
        let change = turns.run(body.len(), move || TableChange::of_table(identifier, &body)).await?;
        catalog.tables.commit(&request, &warehouse, &[change], CommitSource::Table).await
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct DropParams {
    /// `true` to delete the files of the table, too.
    #[param(value_type = Option<bool>)]
    purge_requested: Option<String>,
}

/// Drops a table.
///
/// With `purgeRequested=true`, its files are deleted afterwards.
#[utoipa::path(delete, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}", tag = "Tables",
    operation_id = "dropTable",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path), DropParams,
        ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), CommonErrors, MutationErrors))]
async fn drop_table(
    State(app): State<App>,
    AtObject { warehouse, identifier, .. }: AtObject,
    Params(params): Params<DropParams>,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    // Python clients send `True`.
    let is_purge = match params.purge_requested.unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "false" => false,
        "true" => true,
        other => {
            return Err(ApiError::bad_request(format!(
                "Invalid purgeRequested `{other}`: it must be true or false"
            )));
        }
    };
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        if is_purge {
            catalog.tables.purge_table(&request, &warehouse, &identifier).await
        } else {
            catalog.tables.drop_table(&request, &warehouse, &identifier).await
        }
    })
    .await
}

/// Registers a table from an existing metadata file.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/register", tag = "Tables",
    operation_id = "registerTable",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RegisterTableRequest,
    responses((status = 200, body = LoadTableResult), CommonErrors, MutationErrors))]
async fn register_table(
    State(app): State<App>,
    AtNamespace { warehouse, namespace, .. }: AtNamespace,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let body: RegisterTableRequest = mutation.json().await?;
    let identifier = Identifier::new(namespace, body.name)?;
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        let location = &body.metadata_location;
        if body.overwrite.unwrap_or_default() {
            catalog.tables.overwrite(&request, &warehouse, &identifier, location).await
        } else {
            catalog.tables.register(&request, &warehouse, &identifier, location).await
        }
    })
    .await
}

/// Unregisters a table.
///
/// The table is removed from the catalog. All of its files are retained.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}/unregister", tag = "Tables",
    operation_id = "unregisterTable",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("table" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = LoadTableResult), CommonErrors, MutationErrors))]
async fn unregister_table(
    State(app): State<App>,
    AtObject { warehouse, identifier, .. }: AtObject,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.tables.unregister(&request, &warehouse, &identifier).await
    })
    .await
}

/// Renames a table, within its namespace or to another namespace.
#[utoipa::path(post, path = "/v1/{prefix}/tables/rename", tag = "Tables", operation_id = "renameTable",
    params(("prefix" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RenameTableRequest,
    responses((status = 204), CommonErrors, MutationErrors))]
async fn rename_table(
    State(app): State<App>,
    InWarehouse { warehouse, .. }: InWarehouse,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let Rename { source, destination } = Rename::of(&mutation).await?;
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.tables.rename(&request, &warehouse, &source, &destination).await
    })
    .await
}
