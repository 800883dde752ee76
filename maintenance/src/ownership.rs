//! Permissions of a job: the folders that the catalog reports as the table's own, and the files outside of
//! them that the catalog permits to read. If the catalog reports no folders, the table's location and the
//! folders that the user names.

use std::io;
use std::sync::Arc;

use openapi::worker::{ReadableResponse, TableFolders};
use storage::error::StorageError;
use storage::scope::{Ask, Asked, Reads, Scope};
use table_core::location::Location;
use table_core::metadata::table::TableMetadata;

use crate::client::error::ClientError;
use crate::client::table_name::{TableName, encode};
use crate::client::{Client, decode};
use crate::error::JobError;

/// Folders that the user names for a table whose catalog reports no folders.
#[derive(Debug, Clone, Default)]
pub struct NamedFolders {
    /// Folders of the table, in addition to its location.
    pub own: Vec<Location>,
    /// Folders whose files may be read only.
    pub readable: Vec<Location>,
}

/// Requests the folders of a table.
///
/// Fails with [`ClientError::Refused`] if the catalog does not record them.
pub(crate) async fn of(client: &Client, table: &TableName) -> Result<TableFolders, ClientError> {
    let answer = client.get(&format!("governance/v1/maintenance/folders?{}", table.query())).await?;
    decode(&answer, "the response of the catalog is not a list of folders")
}

/// Requests permission to read a file that is outside of the table's own folders. Returns a folder that
/// contains the file and may be read as a whole, or the location of the file itself; `None` if the file must
/// not be read.
pub(crate) async fn readable(
    client: &Client,
    table: &TableName,
    file: &str,
) -> Result<Option<String>, ClientError> {
    let path = format!("governance/v1/maintenance/readable?{}&location={}", table.query(), encode(file));
    let ReadableResponse { folder } =
        decode(&client.get(&path).await?, "the response of the catalog is not a folder")?;
    Ok(folder)
}

/// Returns the permissions that correspond to the folders reported by a catalog. `ask` requests permission
/// for files outside of the table's own folders.
pub(crate) fn scope(
    folders: &TableFolders,
    ask: impl Fn(&str) -> Result<Option<String>, ClientError> + Send + Sync + 'static,
) -> Result<Scope, JobError> {
    let own = folders.own.iter().map(|folder| parse(folder)).collect::<Result<_, _>>()?;
    let ask = move |file: &Location| {
        let refused = |error: ClientError| {
            StorageError::io("ask whether it may read", file.normal(), io::Error::other(error.to_string()))
        };
        ask(file.normal()).map_err(refused)?.map(|folder| parse(&folder)).transpose()
    };
    let reads = Reads::Asked(Asked::new(Vec::new(), Arc::new(ask)));
    Ok(Scope::new(vec![parse(&folders.warehouse)?], own, reads))
}

/// Returns the permissions for a table whose catalog reports no folders: files in its location and in the
/// folders `named.own` may be written, those in `named.readable` read.
///
/// Folders in table properties (`write.*.path`) are not included unless they are in the location: in most
/// catalogs any client that may write to a table can set its properties to any value.
pub(crate) fn by_location(metadata: &TableMetadata, named: &NamedFolders) -> Result<Scope, JobError> {
    let mut own = vec![parse(metadata.location())?];
    own.extend(named.own.iter().cloned());
    // The root of the file system cannot be a table's own folder.
    own.retain(|folder| folder.local_path() != Some(""));
    let nothing: Arc<Ask> = Arc::new(|_| Ok(None));
    let reads = Reads::Asked(Asked::new(named.readable.clone(), nothing));
    Ok(Scope::new(named.readable.clone(), own, reads))
}

fn parse(folder: &str) -> Result<Location, StorageError> {
    Ok(Location::parse_file(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &str) -> Location {
        Location::parse(folder).unwrap()
    }

    fn table(location: &str, properties: &serde_json::Value) -> TableMetadata {
        let document = serde_json::json!({
            "format-version": 2, "table-uuid": "0d2c1f6b-6a52-4d59-9c3e-6f3f8c4ad2a2", "location": location,
            "last-sequence-number": 0, "last-updated-ms": 9, "last-column-id": 0, "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": []}], "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}], "properties": properties,
        });
        TableMetadata::parse(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn where_no_catalog_says_so_a_table_has_its_location_and_what_is_named() {
        let properties =
            serde_json::json!({"write.data.path": "/w/other/data", "write.metadata.path": "/w/t/m"});
        let metadata = table("file:///w/t", &properties);
        let scope = by_location(&metadata, &NamedFolders::default()).unwrap();
        for own in ["/w/t/data/x", "file:/w/t/m/x"] {
            assert!(scope.read(own).is_ok() && scope.write(own).is_ok(), "{own}");
        }
        for other in ["/w/other/data/x", "/w/t2/x", "/w/x", "/etc/passwd", "/w/t/../other/data/x"] {
            assert!(scope.read(other).is_err() && scope.write(other).is_err(), "{other}");
        }
        let named = NamedFolders { own: vec![at("/w/other/data")], readable: vec![at("/imported")] };
        let scope = by_location(&metadata, &named).unwrap();
        assert!(scope.write("/w/other/data/x").is_ok() && scope.read("/w/other/data/x").is_ok());
        assert!(scope.read("/imported/a/x").is_ok() && scope.write("/imported/a/x").is_err());
        assert!(scope.read("/w/other/x").is_err());
    }

    #[test]
    fn nobody_owns_a_whole_machine() {
        let properties = serde_json::json!({});
        for location in ["file:///", "/", "file:", ""] {
            assert!(
                by_location(&table(location, &properties), &NamedFolders::default()).is_err(),
                "{location}"
            );
        }
        let named = NamedFolders { own: vec![at("/")], readable: Vec::new() };
        let scope = by_location(&table("/w/t", &properties), &named).unwrap();
        assert!(
            scope.write("/w/t/x").is_ok() && scope.write("/tmp/x").is_err() && scope.read("/tmp/x").is_err()
        );
    }
}
