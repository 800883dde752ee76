//! Creation of folders that survive a power failure, independent of their content.

use std::fs::{self, File};
use std::io::{ErrorKind, Result};
use std::path::Path;

/// Creates a folder and its missing parents durably, from the top.
///
/// The parent of each folder is synced before the next one is created, because a folder whose entry is lost
/// takes everything below it with it.
///
/// # Errors
///
/// Fails if a folder cannot be created, or if its parent cannot be opened or synced. If the folder exists
/// already, a missing permission to open its parent and a read-only file system are no errors.
pub fn create(folder: &Path) -> Result<()> {
    let Some(parent) = parent(folder) else { return Ok(()) };
    if folder.is_dir() {
        // Another process may have created the folder without having synced its parent yet. A parent that
        // this process is not permitted to open means that this process did not create the folder.
        return sync(parent).or_else(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Ok(()),
            _ => Err(error),
        });
    }
    create(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync(parent)
}

/// Syncs a folder, so that its entries survive a power failure.
///
/// # Errors
///
/// Fails if the folder cannot be opened or synced.
pub fn sync(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns the folder that contains the entry of this one; `None` for the root of the file system and for the
/// current directory.
fn parent(folder: &Path) -> Option<&Path> {
    match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => {
            (!folder.as_os_str().is_empty()).then(|| Path::new("."))
        }
        parent => parent,
    }
}
