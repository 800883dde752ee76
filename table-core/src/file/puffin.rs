//! Puffin files: blobs of any type, and a footer that describes them. The contents of the blobs are opaque to
//! this module.
//!
//! Source: the Puffin specification, version 1.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};

use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 4] = *b"PFA1";
/// Length, in bytes, of the fixed end of a footer: the size of the payload, flags, magic.
const TRAILER_BYTES: usize = 12;
/// Flag of a compressed footer payload, the only one defined, in the first of the four flag bytes.
const PAYLOAD_IS_COMPRESSED: u8 = 1;
/// Default compression level of zstd, which Java's writers use, too.
const ZSTD_LEVEL: i32 = 3;
/// Largest window, as a power of two, that zstd accepts by default when decompressing.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const ZSTD_WINDOW_LOG_MIN: u32 = 10;
/// Flag of an LZ4 frame that contains the size of its content.
const LZ4_HAS_SIZE: u8 = 8;

/// Error of reading or writing a Puffin file or a blob. The message does not contain the location, which the
/// caller adds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PuffinError {
    /// Bytes that are damaged or in another format, or input of a writer that contradicts itself.
    #[error("{0}")]
    Malformed(String),
    /// Well-formed bytes that use a feature this reader does not know.
    #[error("{0}")]
    Unsupported(String),
    /// Contents that take more memory than the caller allows.
    #[error("it takes more than {limit_bytes} bytes of memory; raise the limit to read it")]
    TooLarge {
        /// The exceeded limit, in bytes.
        limit_bytes: usize,
    },
}

pub(super) fn malformed(what: impl Into<String>) -> PuffinError {
    PuffinError::Malformed(what.into())
}

/// Footer payload of a Puffin file (`FileMetadata` of the specification).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// Descriptions of the blobs, in the order of the footer.
    pub blobs: Vec<BlobMetadata>,
    /// Properties of the file, such as `created-by`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// Description of a blob in the footer (`BlobMetadata` of the specification).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlobMetadata {
    /// Blob type, such as `deletion-vector-v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Field ids of the columns that the blob was computed for.
    pub fields: Vec<i32>,
    /// Id of the snapshot that the blob was computed from; -1 if it is not known when the file is written.
    pub snapshot_id: i64,
    /// Sequence number of that snapshot; -1 if it is not known.
    pub sequence_number: i64,
    /// Offset of the blob in the file, in bytes.
    pub offset: u64,
    /// Length of the stored blob, in bytes.
    pub length: u64,
    /// Compression codec; `None` if the blob is not compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_codec: Option<BlobCodec>,
    /// Properties of the blob.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// Compression codec of a blob. Unknown codecs are preserved, so that the other blobs of the file can be
/// read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobCodec {
    /// One LZ4 frame, which neither Java nor `PyIceberg` can read.
    Lz4,
    /// One Zstandard frame.
    Zstd,
    /// Name of a codec that cannot be read here.
    #[serde(untagged)]
    Other(String),
}

/// Blob to be written.
#[derive(Debug, Clone)]
pub struct Blob<'a> {
    /// Blob type.
    pub kind: &'a str,
    /// Field ids of the columns that the blob was computed for.
    pub fields: Vec<i32>,
    /// Id of the snapshot that the blob was computed from, or -1.
    pub snapshot_id: i64,
    /// Sequence number of that snapshot, or -1.
    pub sequence_number: i64,
    /// Properties of the blob.
    pub properties: BTreeMap<String, String>,
    /// Uncompressed content.
    pub content: &'a [u8],
}

/// Finished Puffin file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the whole file.
    pub bytes: Vec<u8>,
    /// Size of the footer in bytes, including its leading magic: the `file-footer-size-in-bytes` of table
    /// metadata.
    pub footer_bytes: u64,
    /// Footer payload.
    pub footer: Footer,
}

/// Writer of one Puffin file.
///
/// ```text
/// let mut writer = PuffinWriter::new("firn 1.0");
/// let offset = writer.add(blob, None)?.offset;
/// let file = writer.finish()?;
/// ```
pub struct PuffinWriter {
    bytes: Vec<u8>,
    footer: Footer,
}

impl Footer {
    /// Returns the size of the footer in bytes, given the last 12 or more bytes of a file.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if `end` is too short or is not the end of a Puffin file, and
    /// with [`PuffinError::Unsupported`] if the footer has unknown flags.
    pub fn size_bytes(end: &[u8]) -> Result<u64, PuffinError> {
        let (payload_bytes, _) = trailer(end)?;
        Ok((MAGIC.len() + payload_bytes + TRAILER_BYTES) as u64)
    }

    /// Parses the footer, given the end of a file of `file_bytes` bytes: at least the footer, at most the
    /// whole file. All blobs of the returned footer are between the beginning of the file and the footer.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if the footer is truncated or damaged, or if a blob is outside
    /// of the file, with [`PuffinError::Unsupported`] if the footer has unknown flags, and with
    /// [`PuffinError::TooLarge`] if its uncompressed payload is larger than `limit_bytes`.
    pub fn read(end: &[u8], file_bytes: u64, limit_bytes: usize) -> Result<Footer, PuffinError> {
        let (payload_bytes, is_compressed) = trailer(end)?;
        let footer_bytes = MAGIC.len() + payload_bytes + TRAILER_BYTES;
        let blobs_end = file_bytes.checked_sub(footer_bytes as u64);
        let blobs_end = blobs_end.filter(|end| *end >= MAGIC.len() as u64);
        let (Some(blobs_end), Some(start)) = (blobs_end, end.len().checked_sub(footer_bytes)) else {
            return Err(malformed("its footer is truncated"));
        };
        let footer = end.get(start..end.len() - TRAILER_BYTES).unwrap_or_default();
        let Some(payload) = footer.strip_prefix(&MAGIC) else {
            return Err(malformed("the magic number of its footer is wrong"));
        };
        let payload = match is_compressed {
            true => Cow::Owned(unlz4(payload, limit_bytes)?),
            false if payload.len() > limit_bytes => return Err(PuffinError::TooLarge { limit_bytes }),
            false => Cow::Borrowed(payload),
        };
        let footer: Footer = serde_json::from_slice(&payload)
            .map_err(|error| malformed(format!("its footer is malformed: {error}")))?;
        for blob in &footer.blobs {
            let end = blob.offset.checked_add(blob.length);
            if blob.offset < MAGIC.len() as u64 || end.is_none_or(|end| end > blobs_end) {
                return Err(malformed(format!("its blob `{}` is outside of the file", blob.kind)));
            }
        }
        Ok(footer)
    }
}

impl BlobMetadata {
    /// Returns the stored bytes of the blob, given the whole file.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if the file is too short.
    pub fn stored<'a>(&self, file: &'a [u8]) -> Result<&'a [u8], PuffinError> {
        let start = usize::try_from(self.offset).ok();
        let length = usize::try_from(self.length).ok();
        let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
        let stored = start.zip(end).and_then(|(start, end)| file.get(start..end));
        stored.ok_or_else(|| malformed(format!("its blob `{}` is truncated", self.kind)))
    }

    /// Returns the uncompressed content of the blob, given its stored bytes.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::TooLarge`] if the blob is compressed and its content is larger than
    /// `limit_bytes`, with [`PuffinError::Unsupported`] if the codec is unknown, and with
    /// [`PuffinError::Malformed`] if the compressed data is damaged.
    pub fn content<'a>(&self, stored: &'a [u8], limit_bytes: usize) -> Result<Cow<'a, [u8]>, PuffinError> {
        match &self.compression_codec {
            None => Ok(Cow::Borrowed(stored)),
            Some(BlobCodec::Lz4) => unlz4(stored, limit_bytes).map(Cow::Owned),
            Some(BlobCodec::Zstd) => unzstd(stored, limit_bytes).map(Cow::Owned),
            Some(BlobCodec::Other(name)) => Err(PuffinError::Unsupported(format!(
                "its blob `{}` is compressed with `{name}`; lz4, zstd and none can be read",
                self.kind
            ))),
        }
    }
}

impl PuffinWriter {
    /// Begins a file; `created_by` is the name and version of the application that writes it.
    pub fn new(created_by: &str) -> PuffinWriter {
        let properties = BTreeMap::from([("created-by".to_owned(), created_by.to_owned())]);
        PuffinWriter { bytes: MAGIC.to_vec(), footer: Footer { blobs: Vec::new(), properties } }
    }

    /// Sets a property of the file.
    pub fn set_property(&mut self, key: &str, value: &str) {
        self.footer.properties.insert(key.to_owned(), value.to_owned());
    }

    /// Writes a blob and returns its description for the footer.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Unsupported`] if `codec` is [`BlobCodec::Other`], and with
    /// [`PuffinError::Malformed`] if the content cannot be compressed.
    pub fn add(&mut self, blob: Blob<'_>, codec: Option<BlobCodec>) -> Result<&BlobMetadata, PuffinError> {
        let stored = match &codec {
            None => Cow::Borrowed(blob.content),
            Some(BlobCodec::Lz4) => Cow::Owned(lz4(blob.content)?),
            Some(BlobCodec::Zstd) => {
                Cow::Owned(zstd::bulk::compress(blob.content, ZSTD_LEVEL).map_err(failed)?)
            }
            Some(BlobCodec::Other(name)) => {
                return Err(PuffinError::Unsupported(format!(
                    "a blob cannot be compressed with `{name}`; use lz4, zstd or none"
                )));
            }
        };
        self.footer.blobs.push(BlobMetadata {
            kind: blob.kind.to_owned(),
            fields: blob.fields,
            snapshot_id: blob.snapshot_id,
            sequence_number: blob.sequence_number,
            offset: self.bytes.len() as u64,
            length: stored.len() as u64,
            compression_codec: codec,
            properties: blob.properties,
        });
        self.bytes.extend_from_slice(&stored);
        self.footer.blobs.last().ok_or_else(|| malformed("a written blob is missing"))
    }

    /// Writes the footer and returns the file. The payload is not compressed, because neither Java nor
    /// `PyIceberg` can read one that is.
    ///
    /// # Errors
    ///
    /// Fails with [`PuffinError::Malformed`] if the payload of the footer is larger than 2 GB.
    pub fn finish(mut self) -> Result<Written, PuffinError> {
        let payload = serde_json::to_vec(&self.footer)
            .map_err(|error| malformed(format!("its footer cannot be written: {error}")))?;
        let payload_bytes = i32::try_from(payload.len())
            .map_err(|_| malformed("its footer takes more than 2 GB; put fewer blobs into one file"))?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&MAGIC);
        self.bytes.extend_from_slice(&payload);
        self.bytes.extend_from_slice(&payload_bytes.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&MAGIC);
        let footer_bytes = (self.bytes.len() - start) as u64;
        Ok(Written { bytes: self.bytes, footer_bytes, footer: self.footer })
    }
}

/// Returns the size in bytes of the footer's payload, and whether it is compressed.
fn trailer(end: &[u8]) -> Result<(usize, bool), PuffinError> {
    let trailer: Option<&[u8; TRAILER_BYTES]> = end.last_chunk();
    let Some([p0, p1, p2, p3, flags, rest @ .., m0, m1, m2, m3]) = trailer else {
        return Err(malformed("it is too short to be a Puffin file"));
    };
    if [*m0, *m1, *m2, *m3] != MAGIC {
        return Err(malformed("it does not end like a Puffin file"));
    }
    if flags & !PAYLOAD_IS_COMPRESSED != 0 || *rest != [0; 3] {
        return Err(PuffinError::Unsupported("its footer has unknown flags".to_owned()));
    }
    let payload_bytes = usize::try_from(i32::from_le_bytes([*p0, *p1, *p2, *p3]));
    let payload_bytes = payload_bytes.map_err(|_| malformed("its footer has a negative size"))?;
    Ok((payload_bytes, flags & PAYLOAD_IS_COMPRESSED != 0))
}

fn unlz4(stored: &[u8], limit_bytes: usize) -> Result<Vec<u8>, PuffinError> {
    // Magic, flags, one more byte, and the size of the content, which the Puffin specification requires.
    let size = match stored {
        [_, _, _, _, flags, _, s0, s1, s2, s3, s4, s5, s6, s7, ..] if flags & LZ4_HAS_SIZE != 0 => {
            u64::from_le_bytes([*s0, *s1, *s2, *s3, *s4, *s5, *s6, *s7])
        }
        _ => return Err(malformed("its compressed data does not contain its size")),
    };
    let content = read_all(FrameDecoder::new(stored), limit_bytes)?;
    // The decoder treats an end of input between two blocks as the end of the frame.
    if content.len() as u64 != size {
        return Err(malformed("its compressed data is truncated"));
    }
    Ok(content)
}

fn unzstd(stored: &[u8], limit_bytes: usize) -> Result<Vec<u8>, PuffinError> {
    if stored.is_empty() {
        return Err(malformed("its compressed data is truncated"));
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(stored).map_err(failed)?.single_frame();
    // The decoder allocates a window of the size that the frame header asks for.
    let window_log = limit_bytes.max(1).ilog2() + 1;
    decoder.window_log_max(window_log.clamp(ZSTD_WINDOW_LOG_MIN, ZSTD_WINDOW_LOG_MAX)).map_err(failed)?;
    read_all(decoder, limit_bytes)
}

fn read_all(decoder: impl Read, limit_bytes: usize) -> Result<Vec<u8>, PuffinError> {
    let mut content = Vec::new();
    // Reading one byte more than allowed reveals contents that are too large.
    decoder.take((limit_bytes as u64).saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
    if content.len() > limit_bytes { Err(PuffinError::TooLarge { limit_bytes }) } else { Ok(content) }
}

fn lz4(content: &[u8]) -> Result<Vec<u8>, PuffinError> {
    let frame = FrameInfo::new().content_size(Some(content.len() as u64));
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(content).map_err(failed)?;
    encoder.finish().map_err(|error| malformed(format!("a blob cannot be compressed: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function that maps an error")]
fn failed(error: std::io::Error) -> PuffinError {
    malformed(format!("its compressed data is damaged: {error}"))
}
