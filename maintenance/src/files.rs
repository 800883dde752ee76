//! Files of tables, by their location: on local disks so far. What is written survives a power cut before anybody is told of it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::JobError;

/// Reads a whole file.
pub fn read(location: &str) -> Result<Bytes, JobError> {
    Ok(fs::read(path(location)?).map_err(JobError::storage("read", location))?.into())
}

/// Reads a part of a file.
pub fn read_range(location: &str, offset: u64, length: usize) -> Result<Bytes, JobError> {
    let failed = || JobError::storage("read", location);
    let mut file = File::open(path(location)?).map_err(failed())?;
    file.seek(SeekFrom::Start(offset)).map_err(failed())?;
    let mut content = Vec::new();
    file.take(length as u64).read_to_end(&mut content).map_err(failed())?;
    if content.len() < length {
        return Err(failed()(ErrorKind::UnexpectedEof.into()));
    }
    Ok(content.into())
}

/// Opens a file for a reader that fetches what it needs.
pub fn open(location: &str) -> Result<File, JobError> {
    File::open(path(location)?).map_err(JobError::storage("read", location))
}

/// A new file that is being written.
pub struct NewFile {
    file: File,
    location: String,
}

impl NewFile {
    /// Makes the file survive a power cut, with the entry in its folder.
    pub fn sync(&self) -> Result<(), JobError> {
        let path = path(&self.location)?;
        self.file
            .sync_all()
            .and_then(|()| path.parent().map_or(Ok(()), sync_folder))
            .map_err(JobError::storage("write", &self.location))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Creates a file, with its folder, to be written and then synced.
pub fn create(location: &str) -> Result<NewFile, JobError> {
    let path = path(location)?;
    let create = || File::options().write(true).create_new(true).open(&path);
    let created = match create() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| create())
        }
        created => created,
    };
    let file = created.map_err(JobError::storage("write", location))?;
    Ok(NewFile { file, location: location.to_owned() })
}

/// Writes a whole new file.
pub fn write(location: &str, content: &[u8]) -> Result<(), JobError> {
    let mut file = create(location)?;
    file.write_all(content).map_err(JobError::storage("write", location))?;
    file.sync()
}

/// Deletes a file. One that is gone is no error.
pub fn delete(location: &str) -> Result<(), JobError> {
    match fs::remove_file(path(location)?) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(JobError::storage("delete", location)(error))
        }
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// `file:///a/b`, `file:/a/b` and `/a/b` are one place.
fn path(location: &str) -> Result<PathBuf, JobError> {
    let path = match location.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
            None => rest,
        },
        None => location,
    };
    if path.starts_with('/') { Ok(PathBuf::from(path)) } else { Err(JobError::Scheme(location.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_local_file_are_one() {
        for location in ["file:///a/b", "file:/a/b", "/a/b", "file://localhost/a/b"] {
            assert_eq!(path(location).unwrap(), Path::new("/a/b"));
        }
        for location in ["s3://a/b", "a/b", "file://host/a"] {
            assert!(matches!(path(location), Err(JobError::Scheme(_))), "{location}");
        }
    }

    #[test]
    fn a_file_is_written_once_read_in_parts_and_deleted_as_often_as_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let location = format!("file://{}/x/y", folder.path().display());
        write(&location, b"hello").unwrap();
        assert!(write(&location, b"other").is_err());
        assert_eq!(read(&location).unwrap(), "hello");
        assert_eq!(read_range(&location, 1, 3).unwrap(), "ell");
        assert!(read_range(&location, 3, 3).is_err());
        delete(&location).unwrap();
        delete(&location).unwrap();
        assert!(read(&location).is_err());
    }
}
