//! Folders that survive a power cut. It knows nothing of what lies in them.

use std::fs::{self, File};
use std::io::{ErrorKind, Result};
use std::path::Path;

/// Creates missing folders from the top, syncing the parent of each before the next: a folder whose entry is lost
/// takes everything in it along.
pub fn create(folder: &Path) -> Result<()> {
    let Some(parent) = parent(folder) else { return Ok(()) };
    if folder.is_dir() {
        // Whoever made it may not have come to this yet; it was not made by us where we may not look.
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

/// Makes the entries of a folder durable.
pub fn sync(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that holds the entry of this one; none for the root and for where we are.
fn parent(folder: &Path) -> Option<&Path> {
    match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => {
            (!folder.as_os_str().is_empty()).then(|| Path::new("."))
        }
        parent => parent,
    }
}
