//! Which folders a job may touch: those of which the catalog says that they are the table's own, and what it lets be read beside. Of
//! a catalog that says nothing of that, the table's location alone, and what somebody names.

use std::io;
use std::sync::Arc;

use openapi::maintenance::{ReadableAnswer, TableFolders};
use storage::error::StorageError;
use storage::scope::{Ask, Asked, Reads, Scope};
use table_core::location::Location;
use table_core::metadata::table::TableMetadata;

use crate::client::{Client, ClientError, TableName, decode, encode};
use crate::error::JobError;

/// Folders that somebody names who maintains a table of a catalog that says nothing of folders.
#[derive(Debug, Clone, Default)]
pub struct NamedFolders {
    /// The table's own, beside its location.
    pub own: Vec<Location>,
    /// Others, whose files may be read.
    pub readable: Vec<Location>,
}

/// Asks a catalog which folders are a table's own.
///
/// Fails with [`ClientError::Refused`] where it keeps no record of that.
pub(crate) async fn of(client: &Client, table: &TableName) -> Result<TableFolders, ClientError> {
    let answer = client.get(&format!("governance/v1/maintenance/folders?{}", table.query())).await?;
    decode(&answer, "the catalog's answer is not a table's folders")
}

/// Asks whether a file may be read that lies in none of a table's own folders: with everything in which folder, if it may.
pub(crate) async fn readable(
    client: &Client,
    table: &TableName,
    file: &str,
) -> Result<Option<String>, ClientError> {
    let path = format!("governance/v1/maintenance/readable?{}&location={}", table.query(), encode(file));
    let ReadableAnswer { folder } = decode(&client.get(&path).await?, "the catalog's answer is no folder")?;
    Ok(folder)
}

/// What a catalog lets a job touch. `ask` is asked for files that lie in none of the table's own folders.
pub(crate) fn told(
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

/// What a job may touch of a table of which no catalog says whose folders are whose: its location is its own, and so is what `named`
/// says.
///
/// What its properties name (`write.*.path`) is not, unless it lies there: in most catalogs anybody who may write to a table
/// sets them to what they like.
pub(crate) fn by_location(metadata: &TableMetadata, named: &NamedFolders) -> Result<Scope, JobError> {
    let mut own = vec![parse(metadata.location())?];
    own.extend(named.own.iter().cloned());
    // Nobody owns a whole machine.
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
