//! Files and folders that a caller may access. Nothing is opened here.

use table_core::location::Location;

use crate::error::StorageError;
use crate::local::path::LocalPath;

/// Scheme of the locations in the memory of this process.
pub const MEMORY_SCHEME: &str = "memory://";
/// Scheme of the locations of S3 in their normal form.
pub const S3_SCHEME: &str = "s3://";

/// Schemes of the locations of objects in their normal form.
const OBJECT_SCHEMES: [&str; 2] = [MEMORY_SCHEME, S3_SCHEME];

/// Location that a [`crate::scope::Scope`] permits to access. Every operation on a store takes one, so that no
/// location reaches a store without a permission.
#[derive(Debug, Clone)]
pub struct Place {
    location: Location,
    /// Path on the local file system; `None` for other stores.
    local: Option<LocalPath>,
}

impl Place {
    /// Creates a place below a root that contains it. Only a scope may call this.
    pub(crate) fn below(root: &Location, location: &Location) -> Result<Place, StorageError> {
        let outside = || StorageError::NotReadable(location.to_string());
        if !root.contains(location) {
            return Err(outside());
        }
        let local = match (root.local_path(), location.local_path()) {
            (Some(root), Some(path)) => Some(LocalPath::below(root, path).ok_or_else(outside)?),
            _ if OBJECT_SCHEMES.iter().any(|scheme| location.normal().starts_with(scheme)) => None,
            _ => return Err(StorageError::UnsupportedScheme(location.to_string())),
        };
        Ok(Place { location: location.clone(), local })
    }

    /// Returns the location as it was passed to the scope.
    pub fn as_str(&self) -> &str {
        self.location.as_str()
    }

    /// Returns the location.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Returns the path on the local file system; `None` for other stores.
    pub(crate) fn local(&self) -> Option<&LocalPath> {
        self.local.as_ref()
    }
}
