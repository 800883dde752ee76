//! Walks through folders: listing, searching and recursive deletion. Symbolic links are never followed.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::file::Listed;

/// Returns `true` if one of the first `entries_max` entries below a root is a file whose name ends with `suffix`.
pub(super) fn find_below(root: &Path, suffix: &str, entries_max: usize) -> std::io::Result<bool> {
    let mut folders = VecDeque::from([root.to_owned()]);
    let mut seen = 0;
    while let Some(folder) = folders.pop_front() {
        let entries = match std::fs::read_dir(&folder) {
            // A folder that was removed meanwhile, or that belongs to another user, contains no tables of
            // this server.
            Err(error) if folder != root && is_not_ours(&error) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            seen += 1;
            if seen > entries_max {
                return Ok(false);
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push_back(entry.path());
            } else if kind.is_file() && entry.file_name().to_string_lossy().ends_with(suffix) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Lists up to `files_max` regular files in a folder.
pub(super) fn list(folder: &OwnedFd, files_max: usize) -> std::io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if listed.len() == files_max {
            break;
        }
        let found = match fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            // The file was removed since the folder was read.
            Err(Errno::NOENT) => continue,
            found => found?,
        };
        // Names that are not UTF-8 are not written by this server or by any engine.
        if let Ok(name) = entry.file_name().to_str()
            && FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
        {
            let millis = i64::try_from(found.st_mtime_nsec).unwrap_or(0) / 1_000_000;
            let modified_ms = found.st_mtime.saturating_mul(1_000).saturating_add(millis);
            listed.push(Listed { name: name.to_owned(), modified_ms });
        }
    }
    Ok(listed)
}

/// Deletes a folder and everything in it. Returns `true` if the folder was emptied and removed. Symbolic
/// links are deleted, never followed.
pub(super) fn delete_tree(
    parent: &OwnedFd,
    name: impl rustix::path::Arg + Copy,
    files_max: usize,
    deleted: &mut usize,
    depth: usize,
) -> std::io::Result<bool> {
    if depth == 0 {
        return Err(std::io::Error::other("its folders are nested too deeply"));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match fs::openat(parent, name, flags, Mode::empty()) {
        // The name is a file or a symbolic link, not a folder.
        Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
            if *deleted == files_max {
                return Ok(false);
            }
            match fs::unlinkat(parent, name, AtFlags::empty()) {
                Err(Errno::NOENT) => {}
                removed => {
                    removed?;
                    *deleted += 1;
                }
            }
            return Ok(true);
        }
        folder => folder?,
    };
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        match delete_tree(&folder, entry.file_name(), files_max, deleted, depth - 1) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            gone => {
                if !gone? {
                    return Ok(false);
                }
            }
        }
    }
    match fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        // A writer that does not know yet that the table was dropped may have added a file meanwhile; the
        // next call deletes it.
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(Errno::NOENT) => Ok(true),
        removed => Ok(removed.map(|()| true)?),
    }
}

fn is_not_ours(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
}
