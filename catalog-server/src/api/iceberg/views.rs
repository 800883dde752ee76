//! View endpoints: list, create, load, replace, drop, register, rename.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{AtNamespace, AtObject, InWarehouse, Mutation, Params};
use crate::api::page::PageParams;
use crate::api::{App, idempotent, load_result};
use crate::authz::action::Action;
use crate::catalog::names::Identifier;
use crate::catalog::views::create::NewView;

use super::tabulars::{self, Rename};
use super::wire::{
    CommitViewRequest, CreateViewRequest, ListTablesResponse, LoadViewResult, RegisterViewRequest,
    RenameTableRequest,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_views, create_view))
        .routes(routes!(load_view, view_exists, replace_view, drop_view))
        .routes(routes!(register_view))
        .routes(routes!(rename_view))
}

/// Lists the views of a namespace.
#[utoipa::path(get, path = "/v1/{prefix}/namespaces/{namespace}/views", tag = "Views", operation_id = "listViews",
    params(("prefix" = String, Path), ("namespace" = String, Path), PageParams),
    responses((status = 200, body = ListTablesResponse), CommonErrors))]
async fn list_views(
    State(app): State<App>,
    at: AtNamespace,
    Params(page): Params<PageParams>,
) -> Result<Response, ApiError> {
    let page = page.decode(app.limits.page_entries)?;
    let names = app.catalog.views.list(&at.request, &at.warehouse, &at.namespace, page.names()).await?;
    tabulars::page(&at, &page, &names)
}

/// Creates a view.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/views", tag = "Views",
    operation_id = "createView",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CreateViewRequest,
    responses((status = 200, body = LoadViewResult), CommonErrors, MutationErrors))]
async fn create_view(
    State(app): State<App>,
    AtNamespace { warehouse, namespace, .. }: AtNamespace,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let body: CreateViewRequest = mutation.json().await?;
    let identifier = Identifier::new(namespace, body.name)?;
    let new = NewView {
        location: body.location,
        schema: body.schema,
        version: body.view_version,
        properties: body.properties.into_iter().collect(),
        size_bytes: mutation.body.len(),
    };
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.views.create(&request, &warehouse, &identifier, new).await
    })
    .await
}

/// Loads the metadata of a view.
#[utoipa::path(get, path = "/v1/{prefix}/namespaces/{namespace}/views/{view}", tag = "Views",
    operation_id = "loadView",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("view" = String, Path)),
    responses((status = 200, body = LoadViewResult), CommonErrors))]
async fn load_view(
    State(app): State<App>,
    AtObject { request, warehouse, identifier }: AtObject,
) -> Result<Response, ApiError> {
    Ok(load_result::view(&app.catalog.views.load(&request, &warehouse, &identifier).await?))
}

/// Checks that a view exists.
#[utoipa::path(head, path = "/v1/{prefix}/namespaces/{namespace}/views/{view}", tag = "Views",
    operation_id = "viewExists",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("view" = String, Path)),
    responses((status = 204), CommonErrors))]
async fn view_exists(
    State(app): State<App>,
    AtObject { request, warehouse, identifier }: AtObject,
) -> Result<StatusCode, ApiError> {
    app.catalog.views.require(&request, &warehouse, &identifier, Action::LoadView).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Commits updates to a view.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/views/{view}", tag = "Views",
    operation_id = "replaceView",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("view" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = CommitViewRequest,
    responses((status = 200, body = LoadViewResult), CommonErrors, MutationErrors))]
async fn replace_view(
    State(app): State<App>,
    AtObject { warehouse, identifier, .. }: AtObject,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let catalog = app.catalog.clone();
    let body = mutation.body.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.views.commit(&request, &warehouse, &identifier, body).await
    })
    .await
}

/// Drops a view.
#[utoipa::path(delete, path = "/v1/{prefix}/namespaces/{namespace}/views/{view}", tag = "Views",
    operation_id = "dropView",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("view" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), CommonErrors, MutationErrors))]
async fn drop_view(
    State(app): State<App>,
    AtObject { warehouse, identifier, .. }: AtObject,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.views.drop_view(&request, &warehouse, &identifier).await
    })
    .await
}

/// Registers a view from an existing metadata file.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/register-view", tag = "Views",
    operation_id = "registerView",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RegisterViewRequest,
    responses((status = 200, body = LoadViewResult), CommonErrors, MutationErrors))]
async fn register_view(
    State(app): State<App>,
    AtNamespace { warehouse, namespace, .. }: AtNamespace,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let body: RegisterViewRequest = mutation.json().await?;
    let identifier = Identifier::new(namespace, body.name)?;
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.views.register(&request, &warehouse, &identifier, &body.metadata_location).await
    })
    .await
}

/// Renames a view, within its namespace or to another namespace.
#[utoipa::path(post, path = "/v1/{prefix}/views/rename", tag = "Views", operation_id = "renameView",
    params(("prefix" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RenameTableRequest,
    responses((status = 204), CommonErrors, MutationErrors))]
async fn rename_view(
    State(app): State<App>,
    InWarehouse { warehouse, .. }: InWarehouse,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let Rename { source, destination } = Rename::of(&mutation).await?;
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.views.rename(&request, &warehouse, &source, &destination).await
    })
    .await
}
