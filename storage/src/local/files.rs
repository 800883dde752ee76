//! Files on local file systems. Data is synced before a write returns, so that it survives a power failure.
//! Every call blocks until the file system answers; see [`crate::threads`].

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::StorageError;
use crate::folders;
use crate::place::{self, Place, SEARCH, open_folder, open_regular, open_root};

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

/// State of a file, determined without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// The file exists.
    Present(Stamp),
    /// The file does not exist.
    Gone,
    /// The state could not be determined.
    Unknown,
}

/// Size and modification time of a file, which change when the file is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    size_bytes: u64,
    /// Time of the last modification since 1970: seconds, and nanoseconds of the second.
    modified: (i64, i64),
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = self.modified;
        write!(formatter, "{} bytes of {seconds}.{nanoseconds:09}", self.size_bytes)
    }
}

/// File in a listed folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name of the file, without its folder.
    pub name: String,
    /// Time of the last modification, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// New file that is being written. Dropping it leaves the file as it is: incomplete, and possibly not
/// durable.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    folder: OwnedFd,
    place: Place,
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
        let failed = |error| place::error("read", place, error);
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
        let failed = |error| place::error("read", place, error);
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
        let found = fs::openat2(fs::CWD, place.path(), flags, Mode::empty(), fs::ResolveFlags::CACHED);
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
    pub fn state(&self, place: &Place) -> FileState {
        let found = place
            .open_parent()
            .and_then(|(folder, name)| Ok(fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?));
        match found {
            Ok(found) => FileState::Present(Stamp {
                size_bytes: u64::try_from(found.st_size).unwrap_or(0),
                modified: (found.st_mtime, i64::try_from(found.st_mtime_nsec).unwrap_or(0)),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => FileState::Gone,
            Err(_) => FileState::Unknown,
        }
    }

    /// Creates a new file, and the folders above it that do not exist. An existing file is not changed.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::AlreadyExists`] if there is a file, with [`StorageError::Link`] if the path
    /// contains a symbolic link below its root, and with [`StorageError::Io`] if a folder or the file cannot
    /// be created or synced.
    pub fn create(&self, place: &Place) -> Result<NewFile, StorageError> {
        let failed = |error| place::error("write", place, error);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (folder, name) = self.durable_parent(place).map_err(failed)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match fs::openat(&folder, name, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => return Ok(NewFile { file: File::from(file), folder, place: place.clone() }),
                // A concurrent purge may remove the empty folder before the file is created in it.
                Err(Errno::NOENT) if attempts < FOLDER_ATTEMPTS_MAX => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    /// Writes a whole new file and syncs it. If that fails, the incomplete file is deleted.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be created (see [`LocalFiles::create`]), written or synced.
    pub fn write_new(&self, place: &Place, content: &[u8]) -> Result<(), StorageError> {
        let mut file = self.create(place)?;
        let written = file.append(content).and_then(|()| file.sync());
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
        let deleted = place.open_parent().and_then(|(folder, name)| Ok(unlink(&folder, name)?));
        match deleted {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(place::error("delete", place, error)),
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
        let done = place
            .open_parent()
            .and_then(|(parent, name)| delete_tree(&parent, name, files_max, &mut deleted, DEPTH_MAX));
        match done {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(place::error("delete below", place, error))
            }
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
        let failed = |error| place::error("create the folder", place, error);
        let root = self.durable_root(place).map_err(failed)?;
        self.descend(root, place.root(), place.names()).map_err(failed).map(drop)
    }

    /// Creates a root folder if it does not exist, and checks that files can be written in it.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be created, synced or opened, or if a probe file cannot be created or
    /// deleted in it.
    pub fn prepare_root(&self, path: &Path) -> std::io::Result<()> {
        folders::create(path)?;
        let root = open_root(path)?;
        let probe = format!(".firn-probe-{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        fs::openat(&root, probe.as_str(), flags, Mode::from_raw_mode(0o666))?;
        Ok(unlink(&root, &probe)?)
    }

    /// Lists up to `files_max` regular files that are directly in a folder. The result is empty if the folder
    /// does not exist.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::Link`] if the path contains a symbolic link below its root, and with
    /// [`StorageError::Io`] if the folder or the state of one of its files cannot be read.
    pub fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        match list(place, files_max) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(place::error("list", place, error)),
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
    pub fn find_below(&self, root: &Path, suffix: &str, entries_max: usize) -> std::io::Result<bool> {
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

    /// Returns `true` if a file is below a folder after all symbolic links are resolved; `false` if one of
    /// them does not exist.
    pub fn is_below(folder: &Path, file: &Path) -> bool {
        let (folder, file) = (std::fs::canonicalize(folder), std::fs::canonicalize(file));
        matches!((folder, file), (Ok(folder), Ok(file)) if file.starts_with(&folder))
    }

    /// Opens the folder of a file. Missing folders are created; all folders on the path survive a power
    /// failure from then on.
    fn durable_parent<'p>(&self, place: &'p Place) -> std::io::Result<(OwnedFd, &'p str)> {
        let Some((name, above)) = place.names().split_last() else {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is the root itself"));
        };
        let root = self.durable_root(place)?;
        Ok((self.descend(root, place.root(), above)?, name))
    }

    fn durable_root(&self, place: &Place) -> std::io::Result<OwnedFd> {
        let root = match open_root(place.root()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                folders::create(place.root())?;
                open_root(place.root())?
            }
            opened => opened?,
        };
        if self.is_news(place.root().to_owned(), &root)? {
            folders::create(place.root())?;
            self.remember(place.root().to_owned(), &root)?;
        }
        Ok(root)
    }

    fn descend(&self, root: OwnedFd, path: &Path, names: &[String]) -> std::io::Result<OwnedFd> {
        let mut folder = root;
        let mut path = path.to_owned();
        for name in names {
            path.push(name);
            let next = match open_folder(&folder, name, SEARCH) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    match fs::mkdirat(&folder, name.as_str(), Mode::from_raw_mode(0o777)) {
                        Err(error) if error != Errno::EXIST => return Err(error.into()),
                        _ => {}
                    }
                    sync_folder(&folder)?;
                    open_folder(&folder, name, SEARCH)?
                }
                opened => {
                    let next = opened?;
                    // Another process may have created the folder without syncing its entry. A parent that
                    // this process is not permitted to open means that this process did not create the
                    // folder.
                    if self.is_news(path.clone(), &next)? {
                        sync_folder(&folder).or_else(|error| match error.kind() {
                            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Ok(()),
                            _ => Err(error),
                        })?;
                    }
                    next
                }
            };
            self.remember(path.clone(), &next)?;
            folder = next;
        }
        Ok(folder)
    }

    fn is_news(&self, path: PathBuf, folder: &OwnedFd) -> std::io::Result<bool> {
        let inode = fs::fstat(folder)?.st_ino;
        // The set is in a valid state even if a thread panicked while it had the lock.
        Ok(!self.synced.lock().unwrap_or_else(PoisonError::into_inner).contains(&(path, inode)))
    }

    fn remember(&self, path: PathBuf, folder: &OwnedFd) -> std::io::Result<()> {
        let inode = fs::fstat(folder)?.st_ino;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if synced.len() >= SYNCED_MAX {
            synced.clear();
        }
        synced.insert((path, inode));
        Ok(())
    }
}

impl NewFile {
    /// Returns the place of the file.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Appends bytes to the file.
    ///
    /// # Errors
    ///
    /// Fails if the file system refuses the write.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all(bytes).map_err(|error| place::error("write", &self.place, error))
    }

    /// Syncs the file and its entry in its folder, so that everything written so far survives a power
    /// failure.
    ///
    /// # Errors
    ///
    /// Fails if the file or its folder cannot be synced.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.file
            .sync_all()
            .and_then(|()| sync_folder(&self.folder))
            .map_err(|error| place::error("write", &self.place, error))
    }
}

fn is_not_ours(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
}

fn open(place: &Place) -> std::io::Result<File> {
    let (folder, name) = place.open_parent()?;
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

fn list(place: &Place, files_max: usize) -> std::io::Result<Vec<Listed>> {
    let folder = place.open_as_folder()?;
    let mut listed = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        if listed.len() == files_max {
            break;
        }
        let found = match fs::statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
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
fn delete_tree(
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
