//! Names of namespaces, tables and views, as they are stored.

use crate::store::ids::NamespaceId;

/// Separator of the levels in the path of a namespace. No level may contain it or be empty.
pub const LEVEL_SEPARATOR: char = '\u{1f}';

/// Name in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameInNamespace<'a> {
    /// Id of the namespace.
    pub namespace_id: NamespaceId,
    /// Name of the table or view.
    pub name: &'a str,
}

/// Full name of a table or view.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct QualifiedName {
    /// Name of the warehouse.
    pub warehouse: String,
    /// Path of the namespace: the levels, joined by [`LEVEL_SEPARATOR`].
    pub namespace_path: String,
    /// Name in the namespace.
    pub name: String,
}
