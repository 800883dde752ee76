//! Files that are read in ranges, with as few requests as possible: a small file is read as a whole, the tail of a
//! large one in one request, and neighbouring ranges together. What is needed next is on its way while the job
//! works on what it has.

use std::io::{Cursor, ErrorKind, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use storage::place::Place;
use storage::read_ahead::{ReadAhead, ReadRequest, coalesce};

use super::{JobFiles, failed};
use crate::error::JobError;

/// Size up to which a file is read as a whole, in bytes.
const SMALL_BYTES: u64 = 8 << 20;
/// Maximum size of a file that is read as a whole because its manifest says that it is small, in bytes.
const WHOLE_BYTES_MAX: usize = 64 << 20;
/// Size of the tail of a file, which usually contains its metadata, in bytes.
const TAIL_BYTES: u64 = 512 << 10;

/// Open file, with its tail in memory.
pub struct InputFile {
    files: JobFiles,
    place: Place,
    size_bytes: u64,
    tail: Piece,
    /// Ranges that were announced with [`InputFile::prefetch`].
    announced: Mutex<Option<Fetch>>,
}

/// Reads of some ranges of a file.
struct Fetch {
    ranges: Vec<Range<u64>>,
    /// Ranges that are requested: joined from `ranges`.
    joined: Vec<Range<u64>>,
    reads: Box<dyn Reads>,
}

/// Results of reads in order, which are begun by [`Reads::start`].
trait Reads: Iterator<Item = Result<Bytes, JobError>> + Send {
    fn start(&mut self);
}

struct FetchReads<I: Iterator>(ReadAhead<I>);

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
        (start <= end && end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

impl JobFiles {
    /// Opens a file of a known size for a reader that requests the ranges that it needs. A small file is read
    /// as a whole immediately.
    ///
    /// # Errors
    ///
    /// Fails for the same reasons as [`JobFiles::read`] and [`JobFiles::read_range`].
    pub fn open(&self, location: &str, size_bytes: i64) -> Result<InputFile, JobError> {
        let request = self.opening(location, size_bytes)?;
        let files = self.open_requests(std::iter::once(Ok(request))).next();
        files.unwrap_or_else(|| Err(JobError::Internal(format!("`{location}` was not opened"))))
    }

    /// Opens files in order like [`JobFiles::open`], while the next ones are on their way. Each of `files` is a
    /// location with its size in bytes.
    pub fn open_all<'f>(
        &'f self,
        files: impl IntoIterator<Item = (&'f str, i64)> + 'f,
    ) -> impl Iterator<Item = Result<InputFile, JobError>> + 'f {
        self.open_requests(files.into_iter().map(|(location, size_bytes)| self.opening(location, size_bytes)))
    }

    fn open_requests<'f>(
        &'f self,
        requests: impl Iterator<Item = Result<Opening, JobError>> + 'f,
    ) -> impl Iterator<Item = Result<InputFile, JobError>> + 'f {
        // The files of the requests that are on their way, in order.
        let openings = Arc::new(Mutex::new(std::collections::VecDeque::new()));
        let sent = openings.clone();
        let requests = requests.map(move |opening| {
            let opening = opening?;
            let request = opening.request.clone();
            sent.lock().unwrap_or_else(PoisonError::into_inner).push_back(opening);
            Ok(request)
        });
        self.send(requests).map(move |read| {
            let read = read?;
            let opening = openings.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(Opening { request, size_bytes }) = opening else {
                return Err(JobError::Internal("a file was read without being opened".to_owned()));
            };
            let bytes = read.map_err(failed)?;
            let start = request.range.map_or(0, |range| range.start);
            // The actual size of a small file takes precedence over the size in its manifest.
            let size_bytes = if start == 0 { bytes.len() as u64 } else { size_bytes };
            let (tail, announced) = (Piece { start, bytes }, Mutex::new(None));
            Ok(InputFile { files: self.clone(), place: request.place, size_bytes, tail, announced })
        })
    }

    /// Returns the first request for a file.
    fn opening(&self, location: &str, size_bytes: i64) -> Result<Opening, JobError> {
        let place = self.place(location)?;
        let size_bytes = u64::try_from(size_bytes).unwrap_or(0);
        let range = (size_bytes > SMALL_BYTES).then(|| size_bytes - TAIL_BYTES..size_bytes);
        let request = ReadRequest { place, range, expected_bytes: size_bytes, limit_bytes: WHOLE_BYTES_MAX };
        Ok(Opening { request, size_bytes })
    }
}

/// File that is being opened.
struct Opening {
    request: ReadRequest,
    size_bytes: u64,
}

impl InputFile {
    /// Returns the size of the file in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads a range of bytes, from memory if possible.
    ///
    /// # Errors
    ///
    /// Fails with [`JobError::Storage`] if the file ends before the end of the range or cannot be read.
    pub fn range(&self, range: Range<u64>) -> Result<Bytes, JobError> {
        let read = self.ranges(std::slice::from_ref(&range))?;
        read.into_iter().next().ok_or_else(|| self.too_short())
    }

    /// Reads ranges of bytes, from memory if possible. Neighbouring ones are read with one request, and several
    /// requests are in flight at the same time. Returns the bytes of each range.
    ///
    /// # Errors
    ///
    /// Fails for the same reasons as [`InputFile::range`].
    pub fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, JobError> {
        let in_memory: Option<Vec<Bytes>> = ranges.iter().map(|range| self.tail.slice(range)).collect();
        if let Some(bytes) = in_memory {
            return Ok(bytes);
        }
        let announced = self.announced().take().filter(|fetch| fetch.ranges == ranges);
        let fetch = announced.unwrap_or_else(|| self.fetch(ranges));
        let mut pieces = Vec::with_capacity(fetch.joined.len());
        for (range, bytes) in fetch.joined.iter().zip(fetch.reads) {
            pieces.push(Piece { start: range.start, bytes: bytes? });
        }
        let piece = |range: &Range<u64>| {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            // The pieces are in order and do not overlap.
            let next = pieces.partition_point(|piece| piece.start <= range.start);
            let piece = next.checked_sub(1).and_then(|number| pieces.get(number));
            piece.and_then(|piece| piece.slice(range)).ok_or_else(|| self.too_short())
        };
        ranges.iter().map(piece).collect()
    }

    /// Begins to read ranges of bytes, for the next call of [`InputFile::ranges`] with the same ranges. Does
    /// nothing for a file that is in memory, or if the first range is larger than the reads in flight may be
    /// together: it would double the memory of a caller who still has as much of the file.
    pub fn prefetch(&self, ranges: &[Range<u64>]) {
        if ranges.iter().all(|range| self.tail.slice(range).is_some()) {
            return;
        }
        let mut fetch = self.fetch(ranges);
        let first_bytes = fetch.joined.first().map_or(0, |first| first.end - first.start);
        if first_bytes <= self.files.concurrency.bytes_max {
            fetch.reads.start();
            *self.announced() = Some(fetch);
        }
    }

    fn fetch(&self, ranges: &[Range<u64>]) -> Fetch {
        let joined = coalesce(ranges);
        let place = self.place.clone();
        let requests = joined.clone().into_iter().map(move |range| {
            let (place, range) = (place.clone(), Some(range));
            Ok(ReadRequest { place, range, expected_bytes: 0, limit_bytes: 0 })
        });
        let reads = FetchReads(self.files.send(requests));
        Fetch { ranges: ranges.to_vec(), joined, reads: Box::new(reads) }
    }

    /// Returns the announced ranges, which are in a valid state even if a thread panicked while it had the lock.
    fn announced(&self) -> std::sync::MutexGuard<'_, Option<Fetch>> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn too_short(&self) -> JobError {
        JobError::storage("read", self.place.as_str())(ErrorKind::UnexpectedEof.into())
    }
}

impl<I: Iterator<Item = Result<ReadRequest, JobError>>> Iterator for FetchReads<I> {
    type Item = Result<Bytes, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.0.next()?;
        Some(read.and_then(|read| read.map_err(failed)))
    }
}

impl<I: Iterator<Item = Result<ReadRequest, JobError>> + Send> Reads for FetchReads<I> {
    fn start(&mut self) {
        self.0.start();
    }
}

impl Length for InputFile {
    fn len(&self) -> u64 {
        self.size_bytes
    }
}

impl ChunkReader for InputFile {
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
    use storage::read_ahead::Concurrency;
    use tokio::runtime::Runtime;

    use super::super::tests::in_memory;
    use super::*;

    const LARGE: usize = 20 << 20;

    fn content() -> Vec<u8> {
        (0..=250).cycle().take(LARGE).collect()
    }

    /// Returns the access to a file `memory://w/large` of 20 MiB, with counts of 0.
    fn with_large_file(runtime: &Runtime, concurrency: Concurrency) -> JobFiles {
        let files = in_memory(runtime, concurrency);
        files.write("memory://w/large", &content()).unwrap();
        files.with_new_counts()
    }

    fn large(files: &JobFiles) -> InputFile {
        files.open("memory://w/large", 20 << 20).unwrap()
    }

    #[test]
    fn neighbours_are_read_with_one_request() {
        let runtime = Runtime::new().unwrap();
        let content = content();
        let files = with_large_file(&runtime, Concurrency::default());
        let input = large(&files);
        let check = |ranges: &[(usize, usize)], requests: u64| {
            let asked: Vec<_> = ranges.iter().map(|(start, end)| *start as u64..*end as u64).collect();
            for (bytes, (start, end)) in input.ranges(&asked).unwrap().iter().zip(ranges) {
                assert!(*bytes == content[*start..*end], "{start}..{end}");
            }
            assert_eq!(files.usage().requests, requests, "{ranges:?}");
        };
        // The tail is in memory.
        check(&[(LARGE - 100, LARGE), (LARGE - 50, LARGE - 20)], 1);
        check(&[(100, 200), (5_000, 6_000), (100_000, 100_000), (200, 300)], 2);
        // In descending order, one inside of another, and one far away.
        check(&[(9 << 20, 10 << 20), (4_000, 5_000), (4_100, 4_200), (0, 100)], 4);
        assert_eq!(input.get_bytes(7, 5).unwrap(), content[7..12]);
        for beyond in [LARGE as u64 - 50..LARGE as u64 + 50, 1 << 40..(1 << 40) + 1] {
            let error = input.range(beyond).unwrap_err();
            assert!(matches!(error, JobError::Storage { .. }), "{error}");
        }
        assert_eq!(input.size_bytes(), LARGE as u64);
    }

    #[test]
    fn a_small_file_is_read_once_whatever_its_manifest_says_of_its_size() {
        let runtime = Runtime::new().unwrap();
        let files = in_memory(&runtime, Concurrency::default());
        files.write("memory://w/small", b"small").unwrap();
        for size_bytes in [5, 3, 0, -1, 1_000] {
            let files = files.with_new_counts();
            let input = files.open("memory://w/small", size_bytes).unwrap();
            assert_eq!(input.get_bytes(1, 3).unwrap(), "mal");
            assert!(input.get_bytes(3, 3).is_err());
            assert_eq!((input.size_bytes(), input.len()), (5, 5));
        }
        assert!(files.open("memory://w/small", 9 << 20).is_err());
        assert!(files.open("memory://w/none", 5).err().unwrap().is_missing());
        assert!(files.open("memory://other/x", 5).err().unwrap().is_not_readable());
    }

    #[test]
    fn files_are_opened_in_order_with_errors_in_their_place() {
        let runtime = Runtime::new().unwrap();
        for concurrency in [Concurrency::SEQUENTIAL, Concurrency::default()] {
            let files = with_large_file(&runtime, concurrency);
            let at: Vec<_> = (0..40).map(|number| format!("memory://w/{number}")).collect();
            for (number, at) in at.iter().enumerate().filter(|(number, _)| *number != 3) {
                files.write(at, number.to_string().as_bytes()).unwrap();
            }
            let files = files.with_new_counts();
            let wanted = at.iter().map(|at| (at.as_str(), 2));
            let wanted = wanted.chain([("memory://w/large", 20 << 20), ("memory://other/x", 1)]);
            let found: Vec<_> = files
                .open_all(wanted)
                .map(|input| match input {
                    Ok(input) if input.size_bytes() == LARGE as u64 => "large".to_owned(),
                    Ok(input) => {
                        let bytes = input.range(0..input.size_bytes()).unwrap();
                        String::from_utf8_lossy(&bytes).into_owned()
                    }
                    Err(error) if error.is_missing() => "missing".to_owned(),
                    Err(error) => {
                        assert!(error.is_not_readable(), "{error}");
                        "not readable".to_owned()
                    }
                })
                .collect();
            let number = |number: usize| if number == 3 { "missing".to_owned() } else { number.to_string() };
            let expected = (0..40).map(number).chain(["large".to_owned(), "not readable".to_owned()]);
            assert_eq!(found, expected.collect::<Vec<_>>());
            assert_eq!(files.usage().requests, 41);
        }
    }

    #[test]
    fn a_file_that_is_not_opened_is_not_read() {
        let runtime = Runtime::new().unwrap();
        let files = with_large_file(&runtime, Concurrency::default());
        drop(files.open_all([("memory://w/large", 20 << 20)]));
        assert_eq!(files.usage().requests, 0);
    }

    #[test]
    fn announced_ranges_are_read_once() {
        let runtime = Runtime::new().unwrap();
        let content = content();
        for concurrency in [Concurrency::SEQUENTIAL, Concurrency::default()] {
            let files = with_large_file(&runtime, concurrency);
            let input = large(&files);
            let announced = [0..1_000, 9 << 20..10 << 20];
            input.prefetch(&announced);
            let bytes = input.ranges(&announced).unwrap();
            assert!(bytes[0] == content[..1_000] && bytes[1] == content[9 << 20..10 << 20]);
            assert_eq!(files.usage().requests, 3);
            // Other ranges than the announced ones are read nevertheless.
            input.prefetch(std::slice::from_ref(&(0..10)));
            assert!(input.range(500..600).unwrap() == content[500..600]);
            // What is in memory is not announced.
            let before = files.usage().requests;
            input.prefetch(std::slice::from_ref(&(LARGE as u64 - 10..LARGE as u64)));
            assert!(input.announced().is_none());
            assert_eq!(files.usage().requests, before);
        }
    }

    #[test]
    fn a_range_that_is_larger_than_all_reads_in_flight_is_not_begun() {
        let runtime = Runtime::new().unwrap();
        let concurrency = Concurrency { bytes_max: 1 << 20, ..Concurrency::default() };
        let files = with_large_file(&runtime, concurrency);
        let input = large(&files);
        for (ranges, is_begun) in [
            (vec![0..1 << 20, 5 << 20..9 << 20], true),
            (vec![0..(1 << 20) + 1, 5 << 20..6 << 20], false),
            // Joined, they are larger.
            (vec![0..1 << 20, 1 << 20..2 << 20], false),
        ] {
            input.prefetch(&ranges);
            assert_eq!(input.announced().is_some(), is_begun, "{ranges:?}");
            let read = input.ranges(&ranges).unwrap();
            assert!(
                read.iter().zip(&ranges).all(|(bytes, range)| bytes.len() as u64 == range.end - range.start)
            );
        }
    }
}
