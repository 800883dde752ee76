//! Files on local disks. What is written survives a power cut before anybody is told of it.

use std::fs::{self, File};
use std::io::{self, Error, ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Disk, Upload};

/// The file systems of this machine, for locations such as `file:///srv/warehouse/…`.
#[derive(Debug, Clone, Copy)]
pub struct LocalDisk;

struct LocalFile {
    file: File,
    path: PathBuf,
}

impl Disk for LocalDisk {
    fn read(&self, location: &str, range: Option<Range<u64>>) -> io::Result<Bytes> {
        let path = path(location)?;
        let Some(range) = range else { return Ok(fs::read(path)?.into()) };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let length = range.end.saturating_sub(range.start);
        // Not more at once than there is, whatever was asked for.
        let there = file.metadata()?.len().saturating_sub(range.start).min(length);
        let mut content = Vec::with_capacity(usize::try_from(there).unwrap_or(0));
        file.take(length).read_to_end(&mut content)?;
        if (content.len() as u64) < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(content.into())
    }

    fn create(&self, location: &str) -> io::Result<Box<dyn Upload>> {
        let path = path(location)?;
        let create = || File::options().write(true).create_new(true).open(&path);
        let file = match create() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                create()?
            }
            created => created?,
        };
        Ok(Box::new(LocalFile { file, path }))
    }

    fn version(&self, location: &str) -> io::Result<String> {
        let metadata = fs::metadata(path(location)?)?;
        let (modified, nanos) = (metadata.mtime(), metadata.mtime_nsec());
        Ok(format!("{} bytes of {modified}.{nanos:09}", metadata.len()))
    }

    fn delete(&self, location: &str) -> io::Result<()> {
        fs::remove_file(path(location)?)
    }
}

impl Upload for LocalFile {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.file.sync_all()?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl Write for LocalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file without a name, for rows that do not fit into memory. It is gone with its handle, even if the process dies.
pub type ScratchFile = File;

/// Makes a file without a name in a folder, which is made if need be.
pub fn scratch(folder: &Path) -> io::Result<ScratchFile> {
    fs::create_dir_all(folder)?;
    tempfile::tempfile_in(folder)
}

/// `file:///a/b`, `file:/a/b` and `/a/b` are one place.
fn path(location: &str) -> io::Result<PathBuf> {
    let path = match location.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
            None => rest,
        },
        None => location,
    };
    if path.starts_with('/') {
        return Ok(Path::new(path).to_owned());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "it is not a local file, and only tables on local files (`file:`) can be maintained so far",
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::files::{Files, Usage};

    #[test]
    fn all_spellings_of_a_local_file_are_one() {
        for location in ["file:///a/b", "file:/a/b", "/a/b", "file://localhost/a/b"] {
            assert_eq!(path(location).unwrap(), Path::new("/a/b"));
        }
        for location in ["s3://a/b", "a/b", "file://host/a"] {
            assert_eq!(path(location).unwrap_err().kind(), ErrorKind::Unsupported, "{location}");
        }
    }

    #[test]
    fn a_file_is_written_once_read_in_parts_and_deleted_as_often_as_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let location = format!("file://{}/x/y", folder.path().display());
        let files = Files::new(Arc::new(LocalDisk), None, Arc::new(|| 0));
        files.write(&location, b"hello").unwrap();
        assert!(files.write(&location, b"other").is_err());
        assert_eq!(files.read(&location).unwrap(), "hello");
        assert_eq!(files.read_range(&location, 1..4).unwrap(), "ell");
        assert!(files.read_range(&location, 3..6).is_err());
        assert_eq!(files.usage(), Usage { requests: 5, bytes_read: 8, bytes_written: 5 });
        files.delete(&location).unwrap();
        files.delete(&location).unwrap();
        assert!(files.read(&location).is_err());
    }
}
