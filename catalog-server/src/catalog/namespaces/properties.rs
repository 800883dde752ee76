//! Properties of namespaces as they are stored, and the locations that follow from them.

use indexmap::IndexMap;

use crate::catalog::backend::BackendError;
use crate::catalog::locations::default::{default_location, of_namespace, own_folder};
use crate::catalog::locations::ownership::inside;
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::store::catalog::namespaces::NamespaceRow;

use super::error::NamespaceError;

/// Maximum size of the properties of a namespace, in bytes of JSON.
pub(super) const PROPERTIES_BYTES_MAX: usize = 1 << 20;

/// Property with the folder below which the tables of a namespace are created by default. Trino, Sail and dbt
/// create no table in a namespace without it.
pub(super) const LOCATION: &str = "location";

/// Properties of a namespace, in order.
pub type Properties = IndexMap<String, String>;

/// Adds the default location for tables of the namespace, unless the properties have a location. It is
/// derived from the names and never stored.
pub(super) fn report_location(warehouse: &Warehouse, namespace: &Namespace, properties: &mut Properties) {
    if !properties.contains_key(LOCATION) {
        let location = of_namespace(&warehouse.location.to_string(), namespace);
        properties.insert(LOCATION.to_owned(), location);
    }
}

/// Serialises properties for the database.
pub(super) fn encode(properties: &Properties) -> Result<String, NamespaceError> {
    let text =
        serde_json::to_string(properties).map_err(|error| NamespaceError::Invalid(error.to_string()))?;
    if text.len() > PROPERTIES_BYTES_MAX {
        return Err(NamespaceError::Invalid(format!(
            "the namespace's properties are {} bytes together, at most {PROPERTIES_BYTES_MAX} are allowed",
            text.len()
        )));
    }
    // PostgreSQL's text type can store any character but this one.
    if text.contains("\\u0000") {
        return Err(NamespaceError::Invalid("a property contains the character 0x00; remove it".to_owned()));
    }
    Ok(text)
}

/// Parses the stored properties of a namespace.
pub(super) fn decode(namespace: &Namespace, text: &str) -> Result<Properties, NamespaceError> {
    serde_json::from_str(text).map_err(|error| {
        BackendError::Internal(format!("stored properties of `{namespace}`: {error}")).into()
    })
}

/// Returns the default base location of a new table or view: below the `location` of the namespace or, if it
/// has none, below that of the warehouse.
pub(in crate::catalog) fn base_location(
    warehouse: &Warehouse,
    namespace: &NamespaceRow,
    identifier: &Identifier,
) -> Result<String, NamespaceError> {
    let properties = decode(&identifier.namespace, &namespace.properties)?;
    match properties.get("location") {
        Some(base) => {
            inside(warehouse, "namespace property `location`", base)?;
            Ok(own_folder(base, &identifier.name, id::random()))
        }
        None => Ok(default_location(&warehouse.location.to_string(), identifier, id::random())),
    }
}
