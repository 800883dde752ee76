//! Namespace endpoints: list, create, load, drop, and update properties.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::error::{ApiError, CommonErrors, MutationErrors};
use crate::api::extract::{AtNamespace, InWarehouse, Mutation, Params};
use crate::api::page::PageParams;
use crate::api::{App, idempotent};
use crate::authz::action::Action;
use crate::catalog::names::Namespace;

use super::wire::{
    CreateNamespaceRequest, ListNamespacesResponse, NamespaceResponse, UpdateNamespacePropertiesRequest,
    UpdateNamespacePropertiesResponse,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_namespaces, create_namespace))
        .routes(routes!(load_namespace, namespace_exists, drop_namespace))
        .routes(routes!(update_properties))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ParentParams {
    /// Parent namespace, its levels separated by 0x1F. If absent, the top-level namespaces are listed.
    parent: Option<String>,
}

/// Lists the namespaces directly below a parent namespace.
#[utoipa::path(get, path = "/v1/{prefix}/namespaces", tag = "Namespaces", operation_id = "listNamespaces",
    params(("prefix" = String, Path), ParentParams, PageParams),
    responses((status = 200, body = ListNamespacesResponse), CommonErrors))]
async fn list_namespaces(
    State(app): State<App>,
    InWarehouse { request, warehouse }: InWarehouse,
    Params(parent): Params<ParentParams>,
    Params(page): Params<PageParams>,
) -> Result<axum::Json<ListNamespacesResponse>, ApiError> {
    let parent = match parent.parent.as_deref() {
        None | Some("") => None,
        Some(path) => Some(Namespace::from_path(path)?),
    };
    let page = page.decode(app.limits.page_entries)?;
    let paths = app
        .catalog
        .namespaces
        .list(&request, &warehouse, parent.as_ref(), page.after.as_deref(), page.fetch_limit())
        .await?;
    let (paths, next_page_token) = page.cut(&paths);
    let namespaces = paths.iter().map(|path| path.split('\u{1f}').map(str::to_owned).collect()).collect();
    Ok(axum::Json(ListNamespacesResponse { next_page_token, namespaces }))
}

/// Creates a namespace.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces", tag = "Namespaces", operation_id = "createNamespace",
    params(("prefix" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CreateNamespaceRequest,
    responses((status = 200, body = NamespaceResponse), CommonErrors, MutationErrors))]
async fn create_namespace(
    State(app): State<App>,
    InWarehouse { warehouse, .. }: InWarehouse,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let body: CreateNamespaceRequest = mutation.json().await?;
    let namespace = Namespace::new(body.namespace)?;
    let properties = body.properties.unwrap_or_default();
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.namespaces.create(&request, &warehouse, &namespace, properties).await
    })
    .await
}

/// Loads the properties of a namespace.
///
/// They include `location`: the value that was set or, if none was set, the default that the server chose.
#[utoipa::path(get, path = "/v1/{prefix}/namespaces/{namespace}", tag = "Namespaces",
    operation_id = "loadNamespaceMetadata",
    params(("prefix" = String, Path), ("namespace" = String, Path)),
    responses((status = 200, body = NamespaceResponse), CommonErrors))]
async fn load_namespace(
    State(app): State<App>,
    AtNamespace { request, warehouse, namespace }: AtNamespace,
) -> Result<axum::Json<NamespaceResponse>, ApiError> {
    let properties = app.catalog.namespaces.load(&request, &warehouse, &namespace).await?;
    Ok(axum::Json(NamespaceResponse { namespace: namespace.levels().to_vec(), properties }))
}

/// Checks that a namespace exists.
#[utoipa::path(head, path = "/v1/{prefix}/namespaces/{namespace}", tag = "Namespaces",
    operation_id = "namespaceExists",
    params(("prefix" = String, Path), ("namespace" = String, Path)),
    responses((status = 204), CommonErrors))]
async fn namespace_exists(
    State(app): State<App>,
    AtNamespace { request, warehouse, namespace }: AtNamespace,
) -> Result<StatusCode, ApiError> {
    app.catalog.namespaces.require(&request, &warehouse, &namespace, Action::LoadNamespace).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Drops an empty namespace.
#[utoipa::path(delete, path = "/v1/{prefix}/namespaces/{namespace}", tag = "Namespaces",
    operation_id = "dropNamespace",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), CommonErrors, MutationErrors))]
async fn drop_namespace(
    State(app): State<App>,
    AtNamespace { warehouse, namespace, .. }: AtNamespace,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.namespaces.drop_namespace(&request, &warehouse, &namespace).await
    })
    .await
}

/// Sets and removes properties of a namespace.
#[utoipa::path(post, path = "/v1/{prefix}/namespaces/{namespace}/properties", tag = "Namespaces",
    operation_id = "updateProperties",
    params(("prefix" = String, Path), ("namespace" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = UpdateNamespacePropertiesRequest,
    responses((status = 200, body = UpdateNamespacePropertiesResponse), CommonErrors, MutationErrors))]
async fn update_properties(
    State(app): State<App>,
    AtNamespace { warehouse, namespace, .. }: AtNamespace,
    mutation: Mutation,
) -> Result<Response, ApiError> {
    let body: UpdateNamespacePropertiesRequest = mutation.json().await?;
    let removals = body.removals.unwrap_or_default();
    let updates = body.updates.unwrap_or_default();
    let catalog = app.catalog.clone();
    idempotent::run(&app, &mutation, async move |request| {
        catalog.namespaces.update(&request, &warehouse, &namespace, removals, updates).await
    })
    .await
}
