//! Bodies of requests and responses as the protocol spells them.
//!
//! Schemas, specs, updates and whole documents stay raw JSON here: `table-core` reads them without loss.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Names a table or a view.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct TableIdentifier {
    /// The levels of the namespace, outermost first.
    pub namespace: Vec<String>,
    /// The name in the namespace.
    pub name: String,
}

/// What a client must know before anything else.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CatalogConfig {
    /// Applied before the client's own settings.
    pub defaults: BTreeMap<String, String>,
    /// Applied after the client's own settings.
    pub overrides: BTreeMap<String, String>,
    /// What is served, as `VERB /path`.
    pub endpoints: Vec<String>,
    /// How long an `Idempotency-Key` is remembered, as an ISO-8601 duration.
    #[schema(example = "PT24H")]
    pub idempotency_key_lifetime: String,
}

/// Asks for a new namespace.
#[derive(Deserialize, ToSchema)]
pub struct CreateNamespaceRequest {
    /// The levels, outermost first; all but the last must exist.
    pub namespace: Vec<String>,
    /// Properties to store on it.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub properties: Option<IndexMap<String, String>>,
}

/// A namespace and its properties.
#[derive(Serialize, ToSchema)]
pub struct NamespaceResponse {
    /// The levels, outermost first.
    pub namespace: Vec<String>,
    /// Its properties.
    #[schema(value_type = BTreeMap<String, String>)]
    pub properties: IndexMap<String, String>,
}

/// A part of the namespaces below one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ListNamespacesResponse {
    /// Send it as `pageToken` to read on; `null` at the end.
    pub next_page_token: Option<String>,
    /// The namespaces.
    pub namespaces: Vec<Vec<String>>,
}

/// A part of the tables or views in a namespace.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ListTablesResponse {
    /// Send it as `pageToken` to read on; `null` at the end.
    pub next_page_token: Option<String>,
    /// The tables or views.
    pub identifiers: Vec<TableIdentifier>,
}

/// Changes to a namespace's properties.
#[derive(Deserialize, ToSchema)]
pub struct UpdateNamespacePropertiesRequest {
    /// Keys to remove.
    #[serde(default)]
    pub removals: Option<Vec<String>>,
    /// Keys to set.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub updates: Option<IndexMap<String, String>>,
}

/// What changed on a namespace.
#[derive(Serialize, ToSchema)]
pub struct UpdateNamespacePropertiesResponse {
    /// Keys that were set.
    pub updated: Vec<String>,
    /// Keys that were removed.
    pub removed: Vec<String>,
    /// Keys that were to be removed but were not there.
    pub missing: Vec<String>,
}

/// Asks for a new table.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CreateTableRequest {
    /// The name in the namespace.
    pub name: String,
    /// Where its files go; chosen by the server if absent.
    #[serde(default)]
    pub location: Option<String>,
    /// The schema; its field ids are assigned anew.
    #[schema(value_type = Object)]
    pub schema: Box<RawValue>,
    /// The partition spec; unpartitioned if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub partition_spec: Option<Box<RawValue>>,
    /// The sort order; unsorted if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub write_order: Option<Box<RawValue>>,
    /// Whether only to prepare the table; a commit with `assert-create` then creates it.
    #[serde(default)]
    pub stage_create: Option<bool>,
    /// Table properties.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub properties: Option<IndexMap<String, String>>,
}

/// Asks to take an existing metadata file into the catalog.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RegisterTableRequest {
    /// The name in the namespace.
    pub name: String,
    /// The metadata file; it must lie in the warehouse.
    pub metadata_location: String,
    /// Whether to replace the metadata of a table that is there already.
    #[serde(default)]
    pub overwrite: Option<bool>,
}

/// A table's metadata, and where it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LoadTableResult {
    /// The metadata file; `null` while a table is only staged.
    pub metadata_location: Option<String>,
    /// The table metadata document.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// Settings for clients of this table.
    pub config: BTreeMap<String, String>,
}

/// Asks for a table or a view under another name.
#[derive(Deserialize, ToSchema)]
pub struct RenameTableRequest {
    /// Its name now.
    pub source: TableIdentifier,
    /// Its name then.
    pub destination: TableIdentifier,
}

/// Changes to a table, and what must hold for them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documentation; `table-core` reads the body without loss")]
pub struct CommitTableRequest {
    /// The table; required in a transaction.
    pub identifier: Option<TableIdentifier>,
    /// What must hold, else nothing changes.
    #[schema(value_type = Vec<Object>)]
    pub requirements: Vec<Box<RawValue>>,
    /// What to change, in order.
    #[schema(value_type = Vec<Object>)]
    pub updates: Vec<Box<RawValue>>,
}

/// Changes to several tables that are made together or not at all.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "documentation; `table-core` reads the body without loss")]
pub struct CommitTransactionRequest {
    /// One entry for each table.
    pub table_changes: Vec<CommitTableRequest>,
}

/// Asks for a new view.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CreateViewRequest {
    /// The name in the namespace.
    pub name: String,
    /// Where its metadata goes; chosen by the server if absent.
    #[serde(default)]
    pub location: Option<String>,
    /// The schema of the view's result.
    #[schema(value_type = Object)]
    pub schema: Box<RawValue>,
    /// The view's first version.
    #[schema(value_type = Object)]
    pub view_version: Box<RawValue>,
    /// View properties.
    #[schema(value_type = BTreeMap<String, String>)]
    pub properties: IndexMap<String, String>,
}

/// Changes to a view, and what must hold for them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documentation; `table-core` reads the body without loss")]
pub struct CommitViewRequest {
    /// The view.
    pub identifier: Option<TableIdentifier>,
    /// What must hold, else nothing changes.
    #[schema(value_type = Option<Vec<Object>>)]
    pub requirements: Option<Vec<Box<RawValue>>>,
    /// What to change, in order.
    #[schema(value_type = Vec<Object>)]
    pub updates: Vec<Box<RawValue>>,
}

/// Asks to take an existing view metadata file into the catalog.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RegisterViewRequest {
    /// The name in the namespace.
    pub name: String,
    /// The metadata file; it must lie in the warehouse.
    pub metadata_location: String,
}

/// A view's metadata, and where it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LoadViewResult {
    /// The metadata file.
    pub metadata_location: String,
    /// The view metadata document.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// Settings for clients of this view.
    pub config: BTreeMap<String, String>,
}

/// Asks which files a scan has to read.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "documentation; `table-core` reads the body")]
pub struct PlanTableScanRequest {
    /// The snapshot to scan; the current one of the main branch if absent.
    pub snapshot_id: Option<i64>,
    /// The columns to be read. Has no effect on the plan.
    pub select: Option<Vec<String>>,
    /// An expression that rows have to match.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Box<RawValue>>,
    /// Rows after which the client stops reading.
    #[schema(minimum = 0)]
    pub min_rows_requested: Option<i64>,
    /// Whether names have to match in case as well; they do if absent.
    pub case_sensitive: Option<bool>,
    /// Whether names are those of the schema that the snapshot was written with.
    pub use_snapshot_schema: Option<bool>,
    /// For an incremental scan, the snapshot after which it starts.
    pub start_snapshot_id: Option<i64>,
    /// For an incremental scan, the last snapshot of it.
    pub end_snapshot_id: Option<i64>,
    /// Columns whose metrics are wanted.
    pub stats_fields: Option<Vec<String>>,
}

/// A scan plan, a part of it, or where it is.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "documentation; `table-core` writes the body")]
pub struct PlanningResult {
    /// `completed`, `submitted`, `cancelled` or `failed`.
    pub status: String,
    /// The plan's id. A submitted plan is asked for by it; one that is completed may be cancelled, which does nothing.
    pub plan_id: Option<String>,
    /// Why the plan failed.
    pub error: Option<crate::api::error::ErrorModel>,
    /// Parts of the plan that are still to be fetched.
    pub plan_tasks: Option<Vec<String>>,
    /// The files to read.
    #[schema(value_type = Option<Vec<Object>>)]
    pub file_scan_tasks: Option<Vec<Box<RawValue>>>,
    /// The delete files they refer to.
    #[schema(value_type = Option<Vec<Object>>)]
    pub delete_files: Option<Vec<Box<RawValue>>>,
}

/// A part of a scan plan.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "documentation; `table-core` writes the body")]
pub struct FetchScanTasksResult {
    /// Parts of the plan that are still to be fetched.
    pub plan_tasks: Vec<String>,
    /// The files to read.
    #[schema(value_type = Vec<Object>)]
    pub file_scan_tasks: Vec<Box<RawValue>>,
    /// The delete files they refer to.
    #[schema(value_type = Option<Vec<Object>>)]
    pub delete_files: Option<Vec<Box<RawValue>>>,
}
