//! Local files, written so that an acknowledged write survives a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use bytes::Bytes;

use crate::folders;

use super::{FileError, FileState, Stamp};

/// How often a file's folder is made anew when somebody removes it meanwhile.
const FOLDER_ATTEMPTS_MAX: usize = 8;

pub(super) fn read(path: &Path, location: &str, limit_bytes: usize) -> Result<Bytes, FileError> {
    let failed = |source| failed("read", location, source);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?;
    if !size.is_file() {
        return Err(FileError::NotFound(location.to_owned()));
    }
    let mut content = Vec::with_capacity(usize::try_from(size.len()).unwrap_or(0).min(limit_bytes));
    // One byte more than allowed tells a file that grew or lied about its size.
    file.take(limit_bytes as u64 + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() > limit_bytes {
        return Err(FileError::TooLarge { location: location.to_owned(), limit_bytes });
    }
    Ok(Bytes::from(content))
}

pub(super) fn is_gone(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound)
}

pub(super) fn state(path: &Path) -> FileState {
    let found = fs::metadata(path).and_then(|found| Ok((found.len(), found.modified()?)));
    match found {
        Ok((size_bytes, modified)) => FileState::Present(Stamp { size_bytes, modified }),
        Err(error) if error.kind() == ErrorKind::NotFound => FileState::Gone,
        Err(_) => FileState::Unknown,
    }
}

pub(super) fn write_new(path: &Path, location: &str, content: &[u8]) -> Result<(), FileError> {
    let failed = |source| failed("write", location, source);
    let Some(folder) = path.parent() else {
        return Err(FileError::UnsupportedScheme(location.to_owned()));
    };
    let mut file = create_new_in(folder, path).map_err(failed)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| folders::sync(folder));
    if let Err(error) = written {
        // Half a file under a name that nothing points to: only space is lost if this fails, too.
        drop(fs::remove_file(path));
        return Err(failed(error));
    }
    Ok(())
}

pub(super) fn delete(path: &Path, location: &str) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("delete", location, error)),
        _ => Ok(()),
    }
}

pub(super) fn delete_below(path: &Path, location: &str, files_max: usize) -> Result<usize, FileError> {
    let mut deleted = 0;
    match delete_tree(path, files_max, &mut deleted) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("delete below", location, error)),
        _ => Ok(deleted),
    }
}

pub(super) fn prepare_folder(path: &Path, location: &str) -> Result<(), FileError> {
    let failed = |source| failed("create the folder", location, source);
    folders::create(path).map_err(failed)?;
    let probe = path.join(format!(".firn-probe-{}", std::process::id()));
    File::create(&probe).map_err(failed)?;
    fs::remove_file(&probe).map_err(failed)
}

pub(super) fn create_table_folders(path: &Path, location: &str) -> Result<(), FileError> {
    // A metadata file that is there later is lost with its folder. `data` need not be synced: an engine that finds it
    // gone after a power cut has nothing in it to lose.
    folders::create(&path.join("metadata"))
        .and_then(|()| fs::create_dir_all(path.join("data")))
        .map_err(|source| failed("create the folders of", location, source))
}

/// Creates the file, and its folder if that is missing. A purge may take an empty folder away again before the
/// file is in it, so this is tried a few times.
fn create_new_in(folder: &Path, path: &Path) -> std::io::Result<File> {
    for _ in 0..FOLDER_ATTEMPTS_MAX {
        match create_new(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => folders::create(folder)?,
            result => return result,
        }
    }
    create_new(path)
}

fn create_new(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Returns whether `folder` was emptied and removed. Links are removed, never followed.
fn delete_tree(folder: &Path, files_max: usize, deleted: &mut usize) -> std::io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if !delete_tree(&entry.path(), files_max, deleted)? {
                return Ok(false);
            }
            continue;
        }
        if *deleted == files_max {
            return Ok(false);
        }
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => *deleted += 1,
        }
    }
    match fs::remove_dir(folder) {
        // A writer that does not know of the drop yet may add a file meanwhile; the next round meets it.
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

fn failed(action: &'static str, location: &str, source: std::io::Error) -> FileError {
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => FileError::NotFound(location.to_owned()),
        ErrorKind::AlreadyExists => FileError::AlreadyExists(location.to_owned()),
        _ => FileError::Io { action, location: location.to_owned(), source },
    }
}
