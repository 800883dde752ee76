//! Files on local disks. No operation is waited for longer than a deadline.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use storage::error::StorageError;
use storage::local::{FileState, LocalFiles, NewFile};
use storage::place::Place;
use storage::threads::{About, Threads};

use super::{Disk, Upload};

/// Maximum duration of one operation: transferring a part of a file, or syncing a large file.
const DEADLINE: Duration = Duration::from_secs(120);
/// Maximum number of threads that wait for the file system, for all jobs of this process.
const THREADS_MAX: usize = 64;
/// Size of the write buffer, in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// File systems of this machine, for locations such as `file:///srv/warehouse/…`. Clones share their threads.
#[derive(Debug, Clone)]
pub struct LocalDisk {
    local: LocalFiles,
    threads: Threads,
}

struct LocalUpload {
    disk: LocalDisk,
    location: String,
    /// File being written; `None` after a failure.
    file: Option<NewFile>,
    buffer: Vec<u8>,
}

impl Default for LocalDisk {
    fn default() -> Self {
        LocalDisk { local: LocalFiles::default(), threads: Threads::new(THREADS_MAX, DEADLINE) }
    }
}

impl LocalDisk {
    fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        place: &Place,
        work: impl FnOnce(&LocalFiles, &Place) -> Result<T, StorageError> + Send + 'static,
    ) -> io::Result<T> {
        let (local, of_work) = (self.local.clone(), place.clone());
        let about = About { action, location: place.as_str() };
        self.threads.run_blocking(about, move || work(&local, &of_work)).map_err(StorageError::into_io)
    }
}

impl Disk for LocalDisk {
    fn read(&self, place: &Place, limit_bytes: usize) -> io::Result<Bytes> {
        self.run("read", place, move |local, place| local.read(place, limit_bytes))
    }

    fn read_range(&self, place: &Place, range: Range<u64>) -> io::Result<Bytes> {
        self.run("read", place, move |local, place| local.read_range(place, range))
    }

    fn create(&self, place: &Place) -> io::Result<Box<dyn Upload>> {
        let file = self.run("write", place, LocalFiles::create)?;
        let location = place.as_str().to_owned();
        Ok(Box::new(LocalUpload { disk: self.clone(), location, file: Some(file), buffer: Vec::new() }))
    }

    fn version(&self, place: &Place) -> io::Result<String> {
        match self.run("look at", place, |local, place| Ok(local.state(place)))? {
            FileState::Present(stamp) => Ok(stamp.to_string()),
            FileState::Gone => Err(io::Error::new(ErrorKind::NotFound, "no such file")),
            FileState::Unknown => Err(io::Error::other("it cannot be looked at")),
        }
    }

    fn delete(&self, place: &Place) -> io::Result<()> {
        self.run("delete", place, LocalFiles::delete)
    }
}

impl LocalUpload {
    /// Writes the buffer to the file, and then calls `then` with the file.
    fn hand_over(
        &mut self,
        then: impl FnOnce(&NewFile) -> Result<(), StorageError> + Send + 'static,
    ) -> io::Result<()> {
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::new(ErrorKind::BrokenPipe, "an earlier write failed"));
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let about = About { action: "write", location: &self.location };
        let work = move || {
            file.append(&buffer)?;
            then(&file)?;
            buffer.clear();
            Ok((file, buffer))
        };
        let (file, buffer) = self.disk.threads.run_blocking(about, work).map_err(StorageError::into_io)?;
        self.file = Some(file);
        self.buffer = buffer;
        Ok(())
    }
}

impl Upload for LocalUpload {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.hand_over(NewFile::sync)
    }
}

impl Write for LocalUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.hand_over(|_| Ok(()))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Unnamed temporary file, for rows that do not fit into memory. It is deleted when it is closed, also if the
/// process crashes.
pub type ScratchFile = File;

/// Creates an unnamed temporary file in a folder, and the folder if it does not exist.
///
/// # Errors
///
/// Fails if the folder or the file cannot be created.
pub fn scratch(folder: &Path) -> io::Result<ScratchFile> {
    fs::create_dir_all(folder)?;
    tempfile::tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use storage::scope::{Reads, Scope};
    use table_core::location::Location;

    use super::*;
    use crate::files::{Files, Usage};

    #[test]
    fn a_file_is_written_once_read_in_parts_and_deleted_as_often_as_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let location = format!("file://{}/x/y", folder.path().display());
        let own = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let scope = Scope::new(Vec::new(), vec![own], Reads::Own);
        let files = Files::new(Arc::new(LocalDisk::default()), None, Arc::new(|| 0)).within(scope);
        files.write(&location, b"hello").unwrap();
        assert!(files.write(&location, b"other").is_err());
        assert_eq!(files.read(&location).unwrap(), "hello");
        assert_eq!(files.read_range(&location, 1..4).unwrap(), "ell");
        assert!(files.read_range(&location, 3..6).is_err());
        assert_eq!(files.usage(), Usage { requests: 5, bytes_read: 8, bytes_written: 5 });
        files.delete(&location).unwrap();
        files.delete(&location).unwrap();
        assert!(files.read(&location).is_err());
        let other = format!("file://{}-other/x", folder.path().display());
        assert!(
            files.write(&other, b"").is_err() && files.delete(&other).is_err() && files.read(&other).is_err()
        );
        assert_eq!(files.not_own(), 1);
    }

    #[test]
    fn a_large_file_is_handed_over_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let location = format!("{}/large", folder.path().display());
        let own = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let scope = Scope::new(Vec::new(), vec![own], Reads::Own);
        let files = Files::new(Arc::new(LocalDisk::default()), None, Arc::new(|| 0)).within(scope);
        let content: Vec<u8> = (0..5_u32 << 20).map(|byte| (byte % 251) as u8).collect();
        let mut file = files.create(&location).unwrap();
        for part in content.chunks(100_001) {
            file.write_all(part).unwrap();
        }
        file.finish().unwrap();
        assert!(files.read(&location).unwrap() == content);
    }
}
