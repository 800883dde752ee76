//! Rows of tables and views, and the outcomes of changes to them. It contains no statements.

use super::names::NameInNamespace;
use crate::store::ids::{NamespaceId, TabularId, WarehouseId};

/// Kind of an object in a namespace. Tables and views share one set of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TabularKind {
    /// Iceberg table.
    Table,
    /// Iceberg view.
    View,
}

impl TabularKind {
    /// Returns the name of the kind in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
        }
    }
}

/// Error for a kind in the database that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither `table` nor `view`")]
pub struct UnknownKind(String);

impl TryFrom<String> for TabularKind {
    type Error = UnknownKind;

    fn try_from(text: String) -> Result<Self, UnknownKind> {
        match text.as_str() {
            "table" => Ok(Self::Table),
            "view" => Ok(Self::View),
            _ => Err(UnknownKind(text)),
        }
    }
}

/// Table or view of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Tabular {
    /// Id of the table or view.
    pub tabular_id: TabularId,
    /// Warehouse that contains it.
    pub warehouse_id: WarehouseId,
    /// Namespace that contains it.
    pub namespace_id: NamespaceId,
    /// Kind: table or view.
    #[sqlx(try_from = "String")]
    pub kind: TabularKind,
    /// Name in the namespace.
    pub name: String,
    /// Location of its current metadata file (the metadata pointer).
    pub metadata_location: String,
    /// UUID in that file (`table-uuid` or `view-uuid`).
    pub table_uuid: uuid::Uuid,
    /// Base location in that file (`location`).
    pub location: String,
    /// Time at which it was created in, or registered with, this catalog, in milliseconds since 1970.
    pub created_ms: i64,
    /// Time at which it was created, renamed or last committed to, in milliseconds since 1970.
    pub updated_ms: i64,
}

/// Metadata pointer of a table or view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer<'a> {
    /// Location of the metadata file.
    pub metadata_location: &'a str,
    /// UUID in that file (`table-uuid` or `view-uuid`).
    pub table_uuid: uuid::Uuid,
    /// Base location in that file (`location`).
    pub location: &'a str,
    /// Snapshots and schemas of a table that go out of use with this metadata file, as JSON; `None` if they
    /// were not determined.
    pub superseded: Option<&'a str>,
}

/// Table or view to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewTabular<'a> {
    /// Id of the table or view.
    pub tabular_id: TabularId,
    /// Kind: table or view.
    pub kind: TabularKind,
    /// Namespace and name.
    pub place: NameInNamespace<'a>,
    /// Metadata pointer.
    pub pointer: Pointer<'a>,
}

/// Outcome of creating a table or view. Unless it was created, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateTabular {
    /// The table or view was created.
    Created,
    /// The name is in use by an object of this kind.
    NameTaken(TabularKind),
    /// The namespace does not exist.
    NamespaceMissing,
}

/// Outcome of renaming a table or view. Unless it was renamed, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameTabular {
    /// The table or view was renamed.
    Renamed,
    /// The new name is in use by an object of this kind.
    NameTaken(TabularKind),
    /// The new namespace does not exist in the warehouse.
    NamespaceMissing,
    /// The table or view does not exist, or no longer under the old name.
    Missing,
}
