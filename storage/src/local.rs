//! Local files, written so that they survive a power cut before anybody is told of them. Every call waits for the file system;
//! see [`crate::threads`].

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

/// How often a file's folder is made anew when somebody removes it meanwhile.
const FOLDER_ATTEMPTS_MAX: usize = 8;
/// Folders known to survive a power cut; beyond that they are synced again.
const SYNCED_MAX: usize = 100_000;
/// Folders nested deeper than this are not made by any engine.
const DEPTH_MAX: usize = 128;

/// Local file systems. Clones share what is known of folders.
#[derive(Debug, Clone, Default)]
pub struct LocalFiles {
    /// Folders whose entry in the folder above was synced by this process, by path and inode.
    synced: Arc<Mutex<HashSet<(PathBuf, u64)>>>,
}

/// What there is to see of a file without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is there.
    Present(Stamp),
    /// It is known not to be there.
    Gone,
    /// Nobody can tell.
    Unknown,
}

/// What changes when a file is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    size_bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = self.modified;
        write!(formatter, "{} bytes of {seconds}.{nanoseconds:09}", self.size_bytes)
    }
}

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// When it was written last, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// A new file that is being written. One that is dropped before its end stays as it is.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    folder: OwnedFd,
    place: Place,
}

impl LocalFiles {
    /// Reads a file of at most `limit_bytes`.
    pub fn read(&self, place: &Place, limit_bytes: usize) -> Result<Bytes, StorageError> {
        let failed = |error| place::error("read", place, error);
        let file = open(place).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let too_large = || StorageError::TooLarge { location: place.as_str().to_owned(), limit_bytes };
        if size > limit_bytes as u64 {
            return Err(too_large());
        }
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // One byte more than allowed tells a file that grew or lied about its size.
        file.take(limit_bytes as u64 + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() > limit_bytes { Err(too_large()) } else { Ok(Bytes::from(content)) }
    }

    /// Reads a part of a file. Fails if it does not reach that far.
    pub fn read_range(&self, place: &Place, range: Range<u64>) -> Result<Bytes, StorageError> {
        let failed = |error| place::error("read", place, error);
        let mut file = open(place).map_err(failed)?;
        let length = range.end.saturating_sub(range.start);
        // Not more at once than there is, whatever was asked for.
        let there = file.metadata().map_err(failed)?.len().saturating_sub(range.start).min(length);
        let mut content = Vec::with_capacity(usize::try_from(there).unwrap_or(0));
        file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
        file.take(length).read_to_end(&mut content).map_err(failed)?;
        if (content.len() as u64) < length {
            return Err(failed(ErrorKind::UnexpectedEof.into()));
        }
        Ok(Bytes::from(content))
    }

    /// What there is to see of a file in the kernel's memory. Never waits for a disk or the network.
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

    /// What there is to see of a file without waiting: other systems cannot tell.
    #[cfg(not(target_os = "linux"))]
    pub fn state_in_memory(&self, _: &Place) -> FileState {
        FileState::Unknown
    }

    /// What there is to see of a file; waits for the file system.
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

    /// Begins a new file. A file that is already there is an error and stays as it was.
    pub fn create(&self, place: &Place) -> Result<NewFile, StorageError> {
        let failed = |error| place::error("write", place, error);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (folder, name) = self.durable_parent(place).map_err(failed)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match fs::openat(&folder, name, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => return Ok(NewFile { file: File::from(file), folder, place: place.clone() }),
                // A purge may take an empty folder away again before the file is in it.
                Err(Errno::NOENT) if attempts < FOLDER_ATTEMPTS_MAX => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    /// Writes a whole new file, or leaves nothing behind.
    pub fn write_new(&self, place: &Place, content: &[u8]) -> Result<(), StorageError> {
        let mut file = self.create(place)?;
        let written = file.append(content).and_then(|()| file.sync());
        if written.is_err() {
            // Half a file under a name that nothing points to: only space is lost if this fails, too.
            drop(self.delete(place));
        }
        written
    }

    /// Deletes a file; one that is already gone is no error. A link is deleted itself.
    pub fn delete(&self, place: &Place) -> Result<(), StorageError> {
        let deleted = place.open_parent().and_then(|(folder, name)| Ok(unlink(&folder, name)?));
        match deleted {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(place::error("delete", place, error)),
            _ => Ok(()),
        }
    }

    /// Deletes up to `files_max` files below a folder, and folders that this empties. Returns how many files went; fewer than
    /// `files_max` means that none is left.
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

    /// Makes a folder that survives a power cut, if it is not there.
    pub fn create_folder(&self, place: &Place) -> Result<(), StorageError> {
        let failed = |error| place::error("create the folder", place, error);
        let root = self.durable_root(place).map_err(failed)?;
        self.descend(root, place.root(), place.names()).map_err(failed).map(drop)
    }

    /// Makes a root, and checks that files can be written there.
    pub fn prepare_root(&self, path: &Path) -> std::io::Result<()> {
        folders::create(path)?;
        let root = open_root(path)?;
        let probe = format!(".firn-probe-{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        fs::openat(&root, probe.as_str(), flags, Mode::from_raw_mode(0o666))?;
        Ok(unlink(&root, &probe)?)
    }

    /// Up to `files_max` regular files in a folder, not below it. A folder that is not there has none.
    pub fn list(&self, place: &Place, files_max: usize) -> Result<Vec<Listed>, StorageError> {
        match list(place, files_max) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(place::error("list", place, error)),
            Ok(listed) => Ok(listed),
        }
    }

    /// Whether a file with such an ending lies below a root, as far as the first `entries_max` entries tell. Links are not
    /// followed.
    pub fn find_below(&self, root: &Path, suffix: &str, entries_max: usize) -> std::io::Result<bool> {
        let mut folders = VecDeque::from([root.to_owned()]);
        let mut seen = 0;
        while let Some(folder) = folders.pop_front() {
            let entries = match std::fs::read_dir(&folder) {
                // What is gone by now, or somebody else's, holds no tables of ours.
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

    /// Whether a file lies below a folder, once all links are resolved.
    pub fn is_below(folder: &Path, file: &Path) -> bool {
        let (folder, file) = (std::fs::canonicalize(folder), std::fs::canonicalize(file));
        matches!((folder, file), (Ok(folder), Ok(file)) if file.starts_with(&folder))
    }

    /// Opens the folder of a file; it and what is above it are made if need be, and survive a power cut from then on.
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
                    // Whoever made it may not have synced it; it was not made by us where we may not look.
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
        // What a thread that panicked has left is as good as any other.
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
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Writes bytes at its end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all(bytes).map_err(|error| place::error("write", &self.place, error))
    }

    /// Makes it survive a power cut, with what was written so far.
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

/// Makes the entries of a folder durable.
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
            // Gone since.
            Err(Errno::NOENT) => continue,
            found => found?,
        };
        // Names that are not UTF-8 are none of ours.
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

/// Returns whether the folder was emptied and removed. Links are removed, never followed.
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
        // A file or a link.
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
        // A writer that does not know of the drop yet may add a file meanwhile; the next round meets it.
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(Errno::NOENT) => Ok(true),
        removed => Ok(removed.map(|()| true)?),
    }
}
