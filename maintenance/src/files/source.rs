//! Reads of ranges of a file with as few requests as possible: a small file is read as a whole, the tail of a
//! large one in one request, and neighbouring ranges with read-ahead. A request to an object store takes as
//! long as the transfer of some megabytes.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::Files;
use crate::error::JobError;

/// Size up to which a file is read as a whole, in bytes.
const SMALL_BYTES: u64 = 8 << 20;
/// Maximum size of a file that is read as a whole because its manifest says that it is small, in bytes.
const WHOLE_BYTES_MAX: usize = 64 << 20;
/// Size of the tail of a file, which usually contains its metadata, in bytes.
const TAIL_BYTES: u64 = 512 << 10;
/// Minimum size of a read in bytes, including read-ahead: about as much as is transferred in the time of a
/// request.
const WINDOW_BYTES: u64 = 4 << 20;

/// Open file, with its tail and the last read-ahead window in memory.
pub struct Source {
    files: Files,
    location: String,
    size_bytes: u64,
    tail: Piece,
    /// Last read that included read-ahead.
    window: Mutex<Piece>,
}

/// Range of bytes of a file.
#[derive(Clone)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

impl Piece {
    fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

impl Files {
    /// Opens a file of a known size for a reader that requests the ranges that it needs. A small file is read
    /// as a whole immediately.
    ///
    /// # Errors
    ///
    /// Fails for the same reasons as [`Files::read`] and [`Files::read_range`].
    pub fn open(&self, location: &str, size_bytes: i64) -> Result<Source, JobError> {
        Source::open(self.clone(), location, size_bytes)
    }
}

impl Source {
    fn open(files: Files, location: &str, size_bytes: i64) -> Result<Source, JobError> {
        let size_bytes = u64::try_from(size_bytes).unwrap_or(0);
        let tail = if size_bytes <= SMALL_BYTES {
            Piece { start: 0, bytes: files.read_at_most(location, WHOLE_BYTES_MAX)? }
        } else {
            let start = size_bytes - TAIL_BYTES;
            Piece { start, bytes: files.read_range(location, start..size_bytes)? }
        };
        // The actual size of a small file takes precedence over the size in its manifest.
        let size_bytes = if tail.start == 0 { tail.bytes.len() as u64 } else { size_bytes };
        let window = Mutex::new(tail.clone());
        Ok(Source { files, location: location.to_owned(), size_bytes, tail, window })
    }

    /// Returns the size of the file in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads a range of bytes, from memory if possible.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Storage`] if the file ends before the end of the range or cannot be read, and
    /// with [`JobError::NotAllowed`] if the job must not read the file.
    pub fn range(&self, range: Range<u64>) -> Result<Bytes, JobError> {
        if let Some(bytes) = self.tail.slice(&range) {
            return Ok(bytes);
        }
        if let Ok(window) = self.window.lock()
            && let Some(bytes) = window.slice(&range)
        {
            return Ok(bytes);
        }
        let end = range.end.max(range.start.saturating_add(WINDOW_BYTES).min(self.size_bytes));
        let bytes = self.files.read_range(&self.location, range.start..end)?;
        let piece = Piece { start: range.start, bytes };
        let wanted = piece.slice(&range);
        if let Ok(mut window) = self.window.lock() {
            // A read without read-ahead is not stored, because the caller has the same bytes in memory.
            *window = if end > range.end { piece } else { Piece { start: 0, bytes: Bytes::new() } };
        }
        wanted.ok_or_else(|| {
            JobError::storage("read", &self.location)(std::io::ErrorKind::UnexpectedEof.into())
        })
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.size_bytes
    }
}

impl ChunkReader for Source {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let bytes = self.range(start..self.size_bytes).map_err(|error| external(&error))?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length as u64);
        self.range(start..end).map_err(|error| external(&error))
    }
}

fn external(error: &JobError) -> ParquetError {
    ParquetError::General(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use storage::scope::{Reads, Scope};
    use table_core::location::Location;

    use super::*;
    use crate::files::local::LocalDisk;

    #[test]
    fn neighbours_are_read_with_one_request() {
        let folder = tempfile::tempdir().unwrap();
        let location = format!("{}/file", folder.path().display());
        let own = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let scope = Scope::new(Vec::new(), vec![own], Reads::Own);
        let files = Files::new(Arc::new(LocalDisk::default()), None, Arc::new(|| 0)).within(scope);
        let content: Vec<u8> = (0..20_u32 << 20).map(|byte| (byte % 251) as u8).collect();
        files.write(&location, &content).unwrap();
        let files = files.counted_anew();
        let source = files.open(&location, 20 << 20).unwrap();
        let check = |start: usize, end: usize, requests: u64| {
            let got = source.get_bytes(start as u64, end - start).unwrap();
            assert!(got == content[start..end], "{start}..{end}");
            assert_eq!(files.usage().requests, requests, "{start}..{end}");
        };
        check((20 << 20) - 100, 20 << 20, 1);
        check(100, 200, 2);
        check(200, 4 << 20, 2);
        check(4 << 20, 9 << 20, 3);
        check((20 << 20) - 50, 20 << 20, 3);
        assert!(source.get_bytes((20 << 20) - 50, 100).is_err());

        let files = files.counted_anew();
        files.write(&format!("{location}-small"), b"small").unwrap();
        let source = files.open(&format!("{location}-small"), 5).unwrap();
        assert_eq!(source.get_bytes(1, 3).unwrap(), "mal");
        assert_eq!((source.size_bytes(), files.usage().requests), (5, 2));
    }
}
