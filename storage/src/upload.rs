//! Files that are written by a caller on a thread of its own, while earlier parts are on their way to the store.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::error::StorageError;
use crate::place::Place;
use crate::read_ahead::Concurrency;
use crate::store::{Store, Upload};

/// New file that is being written. A file that is smaller than a part is written with one request when it is
/// finished. If the writer is dropped before [`Uploader::finish`], an incomplete file may remain, and the
/// parts in flight continue to their end: a store of local files counts a write that is cancelled as one that
/// the file system does not answer.
pub struct Uploader {
    store: Arc<dyn Store>,
    runtime: Handle,
    place: Place,
    parts_max: usize,
    part_bytes: usize,
    /// Part that is being filled, in addition to those in flight.
    buffer: BytesMut,
    /// `None` before the first part.
    upload: Option<Box<dyn Upload>>,
    parts: VecDeque<JoinHandle<Result<(), StorageError>>>,
    has_failed: bool,
}

impl Uploader {
    /// Creates the writer of a new file. Nothing is written before a part is full.
    pub fn new(store: Arc<dyn Store>, runtime: Handle, concurrency: Concurrency, place: Place) -> Uploader {
        let part_bytes = store.part_bytes(&place).max(1);
        let (buffer, upload, parts) = (BytesMut::new(), None, VecDeque::new());
        let parts_max = concurrency.parts_max;
        Uploader { store, runtime, place, parts_max, part_bytes, buffer, upload, parts, has_failed: false }
    }

    /// Completes the file, so that it survives a power failure.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::AlreadyExists`] if there is a file, and with another error if a part cannot be
    /// written or the file cannot be completed, or if an earlier write failed.
    pub fn finish(mut self) -> Result<(), StorageError> {
        if self.has_failed {
            return Err(self.broken());
        }
        let rest = self.buffer.split().freeze();
        if self.upload.is_none() {
            return self.runtime.block_on(self.store.write_new(&self.place, rest));
        }
        self.end(rest).inspect_err(|_| self.give_up())
    }

    fn end(&mut self, rest: Bytes) -> Result<(), StorageError> {
        if !rest.is_empty() {
            self.write_part(rest)?;
        }
        while let Some(part) = self.parts.pop_front() {
            self.wait(part)?;
        }
        match &mut self.upload {
            Some(upload) => self.runtime.block_on(upload.finish()),
            None => Err(self.broken()),
        }
    }

    /// Gives up the file, after the parts in flight have ended: a part must not arrive after the end.
    fn give_up(&mut self) {
        for part in std::mem::take(&mut self.parts) {
            // The file has failed already, whatever becomes of its other parts.
            drop(self.wait(part));
        }
        if let Some(mut upload) = self.upload.take() {
            self.runtime.block_on(upload.abort());
        }
    }

    fn write_part(&mut self, part: Bytes) -> Result<(), StorageError> {
        while self.parts.len() >= self.parts_max
            && let Some(oldest) = self.parts.pop_front()
        {
            self.wait(oldest)?;
        }
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => self.upload.insert(self.runtime.block_on(self.store.create(&self.place))?),
        };
        let written = upload.write_part(part);
        if self.parts_max <= 1 {
            return self.runtime.block_on(written);
        }
        self.parts.push_back(self.runtime.spawn(written));
        Ok(())
    }

    fn wait(&self, part: JoinHandle<Result<(), StorageError>>) -> Result<(), StorageError> {
        let unfinished = |error| StorageError::unfinished("write", self.place.as_str(), error);
        self.runtime.block_on(part).unwrap_or_else(|error| Err(unfinished(error)))
    }

    fn broken(&self) -> StorageError {
        let earlier = io::Error::new(ErrorKind::BrokenPipe, "an earlier write failed");
        StorageError::io("write", self.place.as_str(), earlier)
    }
}

impl Write for Uploader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_failed {
            return Err(self.broken().into_io());
        }
        if self.upload.is_some() && self.buffer.is_empty() {
            // Without it, the buffer of each part would be copied several times while it grows.
            self.buffer.reserve(self.part_bytes);
        }
        let size = bytes.len().min(self.part_bytes - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..size]);
        if self.buffer.len() == self.part_bytes {
            let part = self.buffer.split().freeze();
            if let Err(error) = self.write_part(part) {
                self.has_failed = true;
                self.give_up();
                return Err(error.into_io());
            }
        }
        Ok(size)
    }

    /// Does nothing: the file is written in parts of a fixed size.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
