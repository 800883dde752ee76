//! Files on local file systems. Data is synced before a write returns, so that it survives a power failure.
//! Every call blocks until the file system answers; see [`super::threads`].

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::folders;
use super::path::{self, LocalPath, SEARCH, open_folder, open_regular, open_root};
use super::tree;
use crate::error::StorageError;
use crate::file::{FileState, Listed, Stamp};
use crate::place::Place;

/// Maximum number of attempts to create a file whose folder is concurrently removed.
const FOLDER_ATTEMPTS_MAX: usize = 8;
/// Maximum number of folders that are known to be durable. Beyond that, the set is cleared, and folders are
/// synced again.
const SYNCED_MAX: usize = 100_000;
/// Maximum nesting depth of folders in a recursive deletion. No engine nests folders more deeply.
const DEPTH_MAX: usize = 128;

/// Local file systems. Clones share the set of folders that are known to be durable.
#[derive(Debug, Clone, Default)]
pub struct LocalFiles {
    /// Folders whose entry in their parent was synced by this process, by path and inode.
    synced: Arc<Mutex<HashSet<(PathBuf, u64)>>>,
}

/// New file that is being written. Dropping it leaves the file as it is: incomplete, and possibly not
/// durable.
#[derive(Debug)]
pub struct NewLocalFile {
    file: File,
    folder: OwnedFd,
    place: Place,
    files: LocalFiles,
    /// Folders above the file whose entries are not known to be durable.
    unsynced: Vec<Unsynced>,
}

/// Folder whose entry in its parent is not known to be durable.
#[derive(Debug)]
struct Unsynced {
    parent: OwnedFd,
    parent_inode: u64,
    path: PathBuf,
    inode: u64,
    is_created: bool,
}

impl LocalFiles {
    /// Reads a whole file of at most `limit_bytes`.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::TooLarge`] if the file is larger, with [`StorageError::NotFound`] if there
    /// is no file, with [`StorageError::Link`] if the path contains a symbolic link below its root, with
    /// [`StorageError::NotRegular`] if it is a pipe, device or socket, and with [`StorageError::Io`] if the
    /// file cannot be read.
    pub fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        let failed = |error| convert("read", place, error);
        let file = open(place).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let too_large = || StorageError::TooLarge { location: place.as_str().to_owned(), limit_bytes };
        if size > limit_bytes as u64 {
            return Err(too_large());
        }
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // One byte more than permitted, to detect a file that has grown or whose reported size is wrong.
        file.take(limit_bytes as u64 + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() > limit_bytes { Err(too_large()) } else { Ok(Bytes::from(content)) }
    }

    /// Reads a range of bytes of a file.
    ///
    /// # Errors
    ///
    /// Fails if the file ends before the end of the range, and for the same reasons as [`LocalFiles::read`].
    pub fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        let failed = |error| convert("read", place, error);
        let mut file = open(place).map_err(failed)?;
        let length = range.end.saturating_sub(range.start);
        // No more memory is reserved than the file has bytes, however long the range is.
        let there = file.metadata().map_err(failed)?.len().saturating_sub(range.start).min(length);
        let mut content = Vec::with_capacity(usize::try_from(there).unwrap_or(0));
        file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
        file.take(length).read_to_end(&mut content).map_err(failed)?;
        if (content.len() as u64) < length {
            return Err(failed(ErrorKind::UnexpectedEof.into()));
        }
        Ok(Bytes::from(content))
    }

    /// Returns the state of a file from the caches of the kernel. Never waits for a disk or the network; the
    /// state is [`FileState::Unknown`] if it is not cached.
    #[cfg(target_os = "linux")]
    pub fn state_in_memory(&self, place: &Place) -> FileState {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let Ok(path) = local(place) else { return FileState::Unknown };
        let found = fs::openat2(fs::CWD, path.path(), flags, Mode::empty(), fs::ResolveFlags::CACHED);
        let file = match found {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return FileState::Gone,
            Err(_) => return FileState::Unknown,
        };
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let wanted = fs::StatxFlags::SIZE | fs::StatxFlags::MTIME;
        match fs::statx(&file, "", flags, wanted) {
            Ok(found) => FileState::Present(Stamp {
                size_bytes: found.stx_size,
                modified: (found.stx_mtime.tv_sec, i64::from(found.stx_mtime.tv_nsec)),
                entity_tag: None,
            }),
            Err(_) => FileState::Unknown,
        }
    }

    /// Returns [`FileState::Unknown`], because only Linux answers without waiting.
    #[cfg(not(target_os = "linux"))]
    pub fn state_in_memory(&self, _: &Place) -> FileState {
        FileState::Unknown
    }

    /// Returns the state of a file; waits for the file system.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::Link`] if the path contains a symbolic link below its root, and with
    /// [`StorageError::Io`] if a folder cannot be searched.
    pub fn state(&self, place: &Place) -> Result<FileState, StorageError> {
        let found = local(place)
            .and_then(LocalPath::open_parent)
            .and_then(|(folder, name)| Ok(fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?));
        match found {
            Ok(found) => Ok(FileState::Present(Stamp {
                size_bytes: u64::try_from(found.st_size).unwrap_or(0),
                modified: (found.st_mtime, i64::try_from(found.st_mtime_nsec).unwrap_or(0)),
                entity_tag: None,
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(FileState::Gone),
            Err(error) => Err(convert("look for", place, error)),
        }
    }

    /// Creates a new file, and the folders above it that do not exist. An existing file is not changed.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::AlreadyExists`] if there is a file, with [`StorageError::Link`] if the path
    /// contains a symbolic link below its root, and with [`StorageError::Io`] if a folder or the file cannot
    /// be created or synced.
    pub fn create(&self, place: &Place) -> Result<NewLocalFile, StorageError> {
        let failed = |error| convert("write", place, error);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (folder, name, unsynced) = self.open_parent(local(place).map_err(failed)?).map_err(failed)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match fs::openat(&folder, name, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => {
                    let (file, place, files) = (File::from(file), place.clone(), self.clone());
                    return Ok(NewLocalFile { file, folder, place, files, unsynced });
                }
                // A concurrent purge may remove the empty folder before the file is created in it.
                Err(Errno::NOENT) if attempts < FOLDER_ATTEMPTS_MAX => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    /// Writes a whole new file and syncs it, together with folders that are created. If that fails, the
    /// incomplete file is deleted.
    ///
    /// # Errors
    ///
    /// Fails if a folder or the file cannot be created (see [`LocalFiles::create`]), written or synced.
    pub fn write_new(&self, place: &Place, content: &[u8], folders: &[Place]) -> Result<(), StorageError> {
        let mut beside = Vec::new();
        for folder in folders {
            beside.extend(self.make_folder(folder)?);
        }
        let mut file = self.create(place)?;
        file.unsynced.extend(beside);
        let written = file.write_at(0, content).and_then(|()| file.sync());
        if written.is_err() {
            // Nothing refers to the incomplete file, so that a failure to delete it only wastes space.
            drop(self.delete(place));
        }
        written
    }

    /// Deletes a file. A missing file is not an error. If the path is a symbolic link, the link itself is
    /// deleted.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::Link`] if a folder on the path is a symbolic link, and with
    /// [`StorageError::Io`] if the file cannot be deleted.
    pub fn delete(&self, place: &Place) -> Result<(), StorageError> {
        let parent = local(place).and_then(LocalPath::open_parent);
        let deleted = parent.and_then(|(folder, name)| Ok(unlink(&folder, name)?));
        match deleted {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(convert("delete", place, error)),
            _ => Ok(()),
        }
    }

    /// Deletes up to `files_max` files below a folder, and the folders that become empty. Symbolic links are
    /// deleted like files and not followed. Returns the number of deleted files; fewer than `files_max` means
    /// that none remains.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::Link`] if a folder on the path is a symbolic link, and with
    /// [`StorageError::Io`] if a folder cannot be read, if a file or folder cannot be deleted, or if folders
    /// are nested more deeply than any engine does.
    pub fn delete_below(&self, place: &Place, files_max: usize) -> Result<usize, StorageError> {
        let mut deleted = 0;
        let done = local(place)
            .and_then(LocalPath::open_parent)
            .and_then(|(parent, name)| tree::delete_tree(&parent, name, files_max, &mut deleted, DEPTH_MAX));
        match done {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(convert("delete below", place, error)),
            _ => Ok(deleted),
        }
    }

    /// Creates a folder durably, together with missing folders above it. An existing folder is not an error.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::Link`] if the path contains a symbolic link below its root, and with
    /// [`StorageError::Io`] if a folder cannot be created or synced.
    pub fn create_folder(&self, place: &Place) -> Result<(), StorageError> {
        let unsynced = self.make_folder(place)?;
        self.sync_entries(&unsynced).map_err(|error| convert("create the folder", place, error))
    }

    /// Creates a root folder if it does not exist, and checks that files can be written in it.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be created, synced or opened, or if a probe file cannot be created or
    /// deleted in it.
    pub fn prepare_root(&self, place: &Place) -> Result<(), StorageError> {
        let prepared = local(place).and_then(|path| prepare_root(path.path()));
        prepared.map_err(|error| convert("create the folder", place, error))
    }

    /// Lists up to `files_max` regular files that are directly in a folder. The result is empty if the folder
    /// does not exist.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::Link`] if the path contains a symbolic link below its root, and with
    /// [`StorageError::Io`] if the folder or the state of one of its files cannot be read.
    pub fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        let listed = local(place)
            .and_then(LocalPath::open_as_folder)
            .and_then(|folder| tree::list(&folder, files_max));
        match listed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(convert("list", place, error)),
            Ok(listed) => Ok(listed),
        }
    }

    /// Returns `true` if one of the first `entries_max` entries below a root is a regular file whose name
    /// ends with `suffix`. Symbolic links are not followed.
    ///
    /// # Errors
    ///
    /// Fails if the root or the type of an entry cannot be read, or if a folder below the root cannot be read
    /// for another reason than that it was removed or that this process lacks the permission.
    pub fn find_below(&self, place: &Place, suffix: &str, entries_max: usize) -> Result<bool, StorageError> {
        let found = local(place).and_then(|path| tree::find_below(path.path(), suffix, entries_max));
        found.map_err(|error| convert("look for tables in", place, error))
    }

    /// Returns `true` if a file is below a folder after all symbolic links are resolved; `false` if one of
    /// them does not exist.
    pub fn is_below(folder: &Path, file: &Path) -> bool {
        let (folder, file) = (std::fs::canonicalize(folder), std::fs::canonicalize(file));
        matches!((folder, file), (Ok(folder), Ok(file)) if file.starts_with(&folder))
    }

    /// Creates a folder. Returns the folders on its path that may not survive a power failure yet.
    fn make_folder(&self, place: &Place) -> Result<Vec<Unsynced>, StorageError> {
        let failed = |error| convert("create the folder", place, error);
        let path = local(place).map_err(failed)?;
        let root = self.durable_root(path).map_err(failed)?;
        let (_, unsynced) = self.descend(root, path.root(), path.names()).map_err(failed)?;
        Ok(unsynced)
    }

    /// Opens the folder of a file. Missing folders are created. Also returns the folders on the path that may
    /// not survive a power failure before [`LocalFiles::sync_entries`].
    fn open_parent<'p>(&self, path: &'p LocalPath) -> std::io::Result<(OwnedFd, &'p str, Vec<Unsynced>)> {
        let Some((name, above)) = path.names().split_last() else {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is the root itself"));
        };
        let root = self.durable_root(path)?;
        let (folder, unsynced) = self.descend(root, path.root(), above)?;
        Ok((folder, name, unsynced))
    }

    fn durable_root(&self, path: &LocalPath) -> std::io::Result<OwnedFd> {
        let root = match open_root(path.root()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                folders::create(path.root())?;
                open_root(path.root())?
            }
            opened => opened?,
        };
        let inode = fs::fstat(&root)?.st_ino;
        if self.is_news(path.root(), inode) {
            folders::create(path.root())?;
            self.remember(path.root().to_owned(), inode);
        }
        Ok(root)
    }

    fn descend(
        &self,
        root: OwnedFd,
        path: &Path,
        names: &[String],
    ) -> std::io::Result<(OwnedFd, Vec<Unsynced>)> {
        let mut folder = root;
        let mut folder_inode = fs::fstat(&folder)?.st_ino;
        let mut path = path.to_owned();
        let mut unsynced = Vec::new();
        for name in names {
            path.push(name);
            let (next, is_created) = match open_folder(&folder, name, SEARCH) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    match fs::mkdirat(&folder, name.as_str(), Mode::from_raw_mode(0o777)) {
                        Err(error) if error != Errno::EXIST => return Err(error.into()),
                        _ => {}
                    }
                    (open_folder(&folder, name, SEARCH)?, true)
                }
                opened => (opened?, false),
            };
            let inode = fs::fstat(&next)?.st_ino;
            let parent = std::mem::replace(&mut folder, next);
            let parent_inode = std::mem::replace(&mut folder_inode, inode);
            // Another process may have created the folder without syncing its entry.
            if is_created || self.is_news(&path, inode) {
                unsynced.push(Unsynced { parent, parent_inode, path: path.clone(), inode, is_created });
            }
        }
        Ok((folder, unsynced))
    }

    /// Syncs the entries of folders, so that they survive a power failure. They are synced together, and after
    /// the content below them, because the first sync usually writes all of them and the others find nothing
    /// left to write.
    fn sync_entries(&self, unsynced: &[Unsynced]) -> std::io::Result<()> {
        let mut synced = Vec::with_capacity(unsynced.len());
        for Unsynced { parent, parent_inode, path, inode, is_created } in unsynced.iter().rev() {
            let result = if synced.contains(parent_inode) { Ok(()) } else { sync_folder(parent) };
            synced.push(*parent_inode);
            match result {
                // A parent that this process is not permitted to open means that this process did not create
                // the folder.
                Err(error)
                    if !is_created
                        && matches!(
                            error.kind(),
                            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                        ) => {}
                synced => synced?,
            }
            self.remember(path.clone(), *inode);
        }
        Ok(())
    }

    fn is_news(&self, path: &Path, inode: u64) -> bool {
        // The set is in a valid state even if a thread panicked while it had the lock.
        !self.synced.lock().unwrap_or_else(PoisonError::into_inner).contains(&(path.to_owned(), inode))
    }

    fn remember(&self, path: PathBuf, inode: u64) {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if synced.len() >= SYNCED_MAX {
            synced.clear();
        }
        synced.insert((path, inode));
    }
}

impl NewLocalFile {
    /// Returns the place of the file.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Writes bytes to the file, from an offset on. Several threads may write at different offsets.
    ///
    /// # Errors
    ///
    /// Fails if the file system refuses the write.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|error| convert("write", &self.place, error))
    }

    /// Syncs the file, its entry in its folder, and those of the folders above it, so that everything written
    /// so far survives a power failure.
    ///
    /// # Errors
    ///
    /// Fails if the file or its folder cannot be synced.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.file
            .sync_all()
            .and_then(|()| sync_folder(&self.folder))
            .and_then(|()| self.files.sync_entries(&self.unsynced))
            .map_err(|error| convert("write", &self.place, error))
    }
}

fn prepare_root(path: &Path) -> std::io::Result<()> {
    folders::create(path)?;
    let root = open_root(path)?;
    let probe = format!(".firn-probe-{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    fs::openat(&root, probe.as_str(), flags, Mode::from_raw_mode(0o666))?;
    Ok(unlink(&root, &probe)?)
}

/// Converts an error of the file system to the error of a place.
fn convert(action: &'static str, place: &Place, error: std::io::Error) -> StorageError {
    path::error(action, place.as_str(), error)
}

/// Returns the path of a place. Fails for a place of another store, which never gets here.
fn local(place: &Place) -> std::io::Result<&LocalPath> {
    place.local().ok_or_else(|| ErrorKind::Unsupported.into())
}

fn open(place: &Place) -> std::io::Result<File> {
    let (folder, name) = local(place)?.open_parent()?;
    open_regular(&folder, name)
}

/// Syncs a folder, so that its entries survive a power failure.
fn sync_folder(folder: &OwnedFd) -> std::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::fsync(fs::openat(folder, ".", flags, Mode::empty())?)?)
}

fn unlink(folder: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    fs::unlinkat(folder, name, AtFlags::empty())
}
