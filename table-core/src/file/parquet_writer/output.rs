//! Output of the Parquet encoder.

use std::io::{self, Write};

use crate::file::error::FileError;

/// Output of the encoder, which can be taken back when the file is finished; the encoder itself does not
/// return it.
pub(crate) struct OutputBuffer<W>(Option<W>);

impl<W> OutputBuffer<W> {
    pub(crate) fn new(output: W) -> OutputBuffer<W> {
        OutputBuffer(Some(output))
    }

    pub(crate) fn take(&mut self) -> Result<W, FileError> {
        self.0.take().ok_or_else(|| FileError::Io("the file has no output".to_owned()))
    }
}

impl<W: Write> Write for OutputBuffer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |output| output.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}
