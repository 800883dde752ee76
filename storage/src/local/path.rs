//! Paths on the local file system, as the root that they are looked up from and the names below it. No symbolic
//! link below the root is followed.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::StorageError;

/// Flags for opening a folder only to look up names in it, which needs no permission to read the folder.
#[cfg(target_os = "linux")]
pub(crate) const SEARCH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
pub(crate) const SEARCH: OFlags = OFlags::RDONLY;

/// Path that is opened from its root, one name after the other.
///
/// Symbolic links that lead to its root are set up by an operator and are followed; links below the root are
/// not.
#[derive(Debug, Clone)]
pub(crate) struct LocalPath {
    root: PathBuf,
    /// Names of the path below the root, from the top.
    names: Vec<String>,
    /// Absolute path: the root and the names.
    path: PathBuf,
}

impl LocalPath {
    /// Splits a path at a root; `None` if the root does not contain it.
    pub(crate) fn below(root: &str, path: &str) -> Option<LocalPath> {
        let rest = path.strip_prefix(root)?;
        let names: Vec<_> = rest.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let root = if root.is_empty() { PathBuf::from("/") } else { PathBuf::from(root) };
        let path = [root.as_path()].into_iter().chain(names.iter().map(Path::new)).collect();
        Some(LocalPath { root, names, path })
    }

    /// Returns the absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the names of the path below the root, from the top.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Opens the folder that contains the last name of the path, and returns that name. Fails for the root
    /// itself, and if a folder on the path is a symbolic link.
    pub(crate) fn open_parent(&self) -> io::Result<(OwnedFd, &str)> {
        let Some((last, above)) = self.names.split_last() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is the root itself"));
        };
        let mut folder = open_root(&self.root)?;
        for name in above {
            folder = open_folder(&folder, name, SEARCH)?;
        }
        Ok((folder, last))
    }

    /// Opens the path itself as a folder that can be listed.
    pub(crate) fn open_as_folder(&self) -> io::Result<OwnedFd> {
        if self.names.is_empty() {
            return Ok(fs::openat(
                fs::CWD,
                &self.root,
                folder_flags(OFlags::RDONLY) - OFlags::NOFOLLOW,
                Mode::empty(),
            )?);
        }
        let (parent, name) = self.open_parent()?;
        open_folder(&parent, name, OFlags::RDONLY)
    }
}

/// Opens a root folder, following symbolic links that lead to it.
pub(crate) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::openat(fs::CWD, path, folder_flags(SEARCH) - OFlags::NOFOLLOW, Mode::empty())?)
}

/// Opens a folder in another folder, unless it is a symbolic link.
pub(crate) fn open_folder(parent: &OwnedFd, name: &str, access: OFlags) -> io::Result<OwnedFd> {
    match fs::openat(parent, name, folder_flags(access), Mode::empty()) {
        Ok(folder) => Ok(folder),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) if is_link(parent, name) => Err(link()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a regular file for reading. Does not block if the name is a pipe or device instead.
pub(crate) fn open_regular(parent: &OwnedFd, name: &str) -> io::Result<std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match fs::openat(parent, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::LOOP | Errno::MLINK) => return Err(link()),
        // Error of opening a socket.
        Err(Errno::NXIO) => return Err(not_regular()),
        Err(error) => return Err(error.into()),
    };
    match FileType::from_raw_mode(fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(std::fs::File::from(file)),
        // Object stores have no folders, so that a folder is treated as a missing file.
        FileType::Directory => Err(Errno::NOENT.into()),
        _ => Err(not_regular()),
    }
}

fn is_link(parent: &OwnedFd, name: &str) -> bool {
    fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
}

fn folder_flags(access: OFlags) -> OFlags {
    access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// The path contains a symbolic link. [`error`] recognises the type and converts it to
/// [`StorageError::Link`].
#[derive(Debug, thiserror::Error)]
#[error("links are not followed")]
struct Link;

/// The name is not a regular file. [`error`] converts the type to [`StorageError::NotRegular`].
#[derive(Debug, thiserror::Error)]
#[error("it is not a regular file")]
struct NotRegular;

fn link() -> io::Error {
    io::Error::other(Link)
}

fn not_regular() -> io::Error {
    io::Error::other(NotRegular)
}

/// Converts an error of the file system to the error of a location.
pub(super) fn error(action: &'static str, location: &str, source: io::Error) -> StorageError {
    match source.get_ref() {
        Some(inner) if inner.is::<Link>() => StorageError::Link(location.to_owned()),
        Some(inner) if inner.is::<NotRegular>() => StorageError::NotRegular(location.to_owned()),
        _ => StorageError::io(action, location, source),
    }
}
