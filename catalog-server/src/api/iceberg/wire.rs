//! Request and response bodies of the Iceberg REST protocol.
//!
//! Schemas, partition specs, sort orders, updates and whole metadata documents remain raw JSON here;
//! `table-core` parses them without loss.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Identifier of a table or a view.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct TableIdentifier {
    /// Levels of the namespace, outermost first.
    pub namespace: Vec<String>,
    /// Name of the table or view within its namespace.
    pub name: String,
}

/// Configuration of a client for a warehouse.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CatalogConfig {
    /// Properties that the client's own properties override.
    pub defaults: BTreeMap<String, String>,
    /// Properties that override the client's own properties.
    pub overrides: BTreeMap<String, String>,
    /// Supported endpoints, as `VERB /path`.
    pub endpoints: Vec<String>,
    /// Lifetime of an `Idempotency-Key`, as an ISO 8601 duration.
    #[schema(example = "PT24H")]
    pub idempotency_key_lifetime: String,
}

/// Request to create a namespace.
#[derive(Deserialize, ToSchema)]
pub struct CreateNamespaceRequest {
    /// Levels of the namespace, outermost first. All but the last must exist.
    pub namespace: Vec<String>,
    /// Properties of the namespace.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub properties: Option<IndexMap<String, String>>,
}

/// Namespace with its properties.
#[derive(Serialize, ToSchema)]
pub struct NamespaceResponse {
    /// Levels of the namespace, outermost first.
    pub namespace: Vec<String>,
    /// Properties of the namespace.
    #[schema(value_type = BTreeMap<String, String>)]
    pub properties: IndexMap<String, String>,
}

/// Page of a list of namespaces.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ListNamespacesResponse {
    /// Value of `pageToken` for the next page; `null` on the last page.
    pub next_page_token: Option<String>,
    /// Namespaces, each as its levels from the outermost.
    pub namespaces: Vec<Vec<String>>,
}

/// Page of a list of tables or views.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ListTablesResponse<'a> {
    /// Value of `pageToken` for the next page; `null` on the last page.
    pub next_page_token: Option<String>,
    /// Identifiers of the tables or views.
    #[schema(value_type = Vec<TableIdentifier>)]
    pub identifiers: Vec<ListedIdentifier<'a>>,
}

/// Identifier of a table or view in a list, all of which are in the same namespace.
#[derive(Serialize)]
pub struct ListedIdentifier<'a> {
    /// Levels of the namespace, as JSON.
    pub namespace: &'a RawValue,
    /// Name of the table or view within its namespace.
    pub name: &'a str,
}

/// Request to update the properties of a namespace.
#[derive(Deserialize, ToSchema)]
pub struct UpdateNamespacePropertiesRequest {
    /// Keys of the properties to remove.
    #[serde(default)]
    pub removals: Option<Vec<String>>,
    /// Properties to set.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub updates: Option<IndexMap<String, String>>,
}

/// Result of an update of the properties of a namespace.
#[derive(Serialize, ToSchema)]
pub struct UpdateNamespacePropertiesResponse {
    /// Keys of the properties that were set.
    pub updated: Vec<String>,
    /// Keys of the properties that were removed.
    pub removed: Vec<String>,
    /// Keys in `removals` of properties that did not exist.
    pub missing: Vec<String>,
}

/// Request to create or stage a table.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CreateTableRequest {
    /// Name of the table within its namespace.
    pub name: String,
    /// Base location of the table, an absolute URI. If absent, the server chooses it.
    #[serde(default)]
    pub location: Option<String>,
    /// Schema of the table. Its field ids are reassigned.
    #[schema(value_type = Object)]
    pub schema: Box<RawValue>,
    /// Partition spec of the table; unpartitioned if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub partition_spec: Option<Box<RawValue>>,
    /// Sort order of the table; unsorted if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub write_order: Option<Box<RawValue>>,
    /// `true` to stage the table only, so that a commit with the requirement `assert-create` creates it.
    #[serde(default)]
    pub stage_create: Option<bool>,
    /// Properties of the table.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub properties: Option<IndexMap<String, String>>,
}

/// Request to register a table from an existing metadata file.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RegisterTableRequest {
    /// Name of the table within its namespace.
    pub name: String,
    /// Location of the table metadata file, which must be in the warehouse.
    pub metadata_location: String,
    /// `true` to replace the metadata of an existing table.
    #[serde(default)]
    pub overwrite: Option<bool>,
}

/// Metadata of a table, with its location and configuration.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LoadTableResult {
    /// Location of the metadata file; `null` for a staged table.
    pub metadata_location: Option<String>,
    /// Table metadata.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// Configuration properties for clients of this table.
    pub config: BTreeMap<String, String>,
}

/// Request to rename a table or a view.
#[derive(Deserialize, ToSchema)]
pub struct RenameTableRequest {
    /// Current identifier.
    pub source: TableIdentifier,
    /// New identifier.
    pub destination: TableIdentifier,
}

/// Commit to a table: updates, and the requirements for them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documentation; `table-core` reads the body without loss")]
pub struct CommitTableRequest {
    /// Identifier of the table; required in a transaction.
    pub identifier: Option<TableIdentifier>,
    /// Requirements that must be met; otherwise, nothing is changed.
    #[schema(value_type = Vec<Object>)]
    pub requirements: Vec<Box<RawValue>>,
    /// Updates to the table metadata, in order.
    #[schema(value_type = Vec<Object>)]
    pub updates: Vec<Box<RawValue>>,
}

/// Transaction: commits to several tables that are made atomically.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "documentation; `table-core` reads the body without loss")]
pub struct CommitTransactionRequest {
    /// Commits, one for each table.
    pub table_changes: Vec<CommitTableRequest>,
}

/// Request to create a view.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CreateViewRequest {
    /// Name of the view within its namespace.
    pub name: String,
    /// Base location of the view, an absolute URI. If absent, the server chooses it.
    #[serde(default)]
    pub location: Option<String>,
    /// Schema of the result of the view.
    #[schema(value_type = Object)]
    pub schema: Box<RawValue>,
    /// First version of the view.
    #[schema(value_type = Object)]
    pub view_version: Box<RawValue>,
    /// Properties of the view.
    #[schema(value_type = BTreeMap<String, String>)]
    pub properties: IndexMap<String, String>,
}

/// Commit to a view: updates, and the requirements for them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documentation; `table-core` reads the body without loss")]
pub struct CommitViewRequest {
    /// Identifier of the view.
    pub identifier: Option<TableIdentifier>,
    /// Requirements that must be met; otherwise, nothing is changed.
    #[schema(value_type = Option<Vec<Object>>)]
    pub requirements: Option<Vec<Box<RawValue>>>,
    /// Updates to the view metadata, in order.
    #[schema(value_type = Vec<Object>)]
    pub updates: Vec<Box<RawValue>>,
}

/// Request to register a view from an existing metadata file.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RegisterViewRequest {
    /// Name of the view within its namespace.
    pub name: String,
    /// Location of the view metadata file, which must be in the warehouse.
    pub metadata_location: String,
}

/// Metadata of a view, with its location and configuration.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LoadViewResult {
    /// Location of the metadata file.
    pub metadata_location: String,
    /// View metadata.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// Configuration properties for clients of this view.
    pub config: BTreeMap<String, String>,
}

/// Request to plan a scan of a table.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "documentation; `table-core` reads the body")]
pub struct PlanTableScanRequest {
    /// Id of the snapshot to scan. If absent, it is the current snapshot of the main branch.
    pub snapshot_id: Option<i64>,
    /// Columns to read. It has no effect on the plan.
    pub select: Option<Vec<String>>,
    /// Filter expression that the rows must match.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Box<RawValue>>,
    /// Number of rows after which the client stops reading.
    #[schema(minimum = 0)]
    pub min_rows_requested: Option<i64>,
    /// `true` if column names are case-sensitive, which is the default.
    pub case_sensitive: Option<bool>,
    /// `true` to resolve column names in the schema of the snapshot instead of the current schema of the
    /// table.
    pub use_snapshot_schema: Option<bool>,
    /// Id of the snapshot at which an incremental scan starts (exclusive).
    pub start_snapshot_id: Option<i64>,
    /// Id of the snapshot at which an incremental scan ends (inclusive).
    pub end_snapshot_id: Option<i64>,
    /// Columns whose metrics are to be returned.
    pub stats_fields: Option<Vec<String>>,
}

/// Scan plan, or the state of one.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "documentation; `table-core` writes the body")]
pub struct PlanningResult {
    /// State of the plan: `completed`, `submitted`, `cancelled` or `failed`.
    pub status: String,
    /// Id of the plan, with which a submitted plan is fetched. Cancelling a completed plan has no effect.
    pub plan_id: Option<String>,
    /// Error of a failed plan.
    pub error: Option<crate::api::error::ErrorModel>,
    /// Plan tasks whose file scan tasks are still to be fetched.
    pub plan_tasks: Option<Vec<String>>,
    /// File scan tasks: the data files to read.
    #[schema(value_type = Option<Vec<Object>>)]
    pub file_scan_tasks: Option<Vec<Box<RawValue>>>,
    /// Delete files that the file scan tasks refer to.
    #[schema(value_type = Option<Vec<Object>>)]
    pub delete_files: Option<Vec<Box<RawValue>>>,
}

/// Part of a scan plan.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "documentation; `table-core` writes the body")]
pub struct FetchScanTasksResult {
    /// Plan tasks whose file scan tasks are still to be fetched.
    pub plan_tasks: Vec<String>,
    /// File scan tasks: the data files to read.
    #[schema(value_type = Vec<Object>)]
    pub file_scan_tasks: Vec<Box<RawValue>>,
    /// Delete files that the file scan tasks refer to.
    #[schema(value_type = Option<Vec<Object>>)]
    pub delete_files: Option<Vec<Box<RawValue>>>,
}
