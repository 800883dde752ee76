//! Puffin files: blobs of any kind, and a footer that tells of them. What the blobs mean is not known here.
//!
//! Source: the Puffin specification, version 1.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};

use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 4] = *b"PFA1";
/// The end of a footer, whose length does not vary: the payload's size, flags, magic.
const TRAILER_BYTES: usize = 12;
/// The only flag there is, in the first of the four bytes.
const PAYLOAD_IS_COMPRESSED: u8 = 1;
/// zstd's own default, which Java's writers use too.
const ZSTD_LEVEL: i32 = 3;
/// What zstd decompresses without being told to take more memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const ZSTD_WINDOW_LOG_MIN: u32 = 10;
/// The flag of an LZ4 frame that tells the size of its content.
const LZ4_HAS_SIZE: u8 = 8;

/// What is wrong with a Puffin file or a blob. Who knows its location adds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PuffinError {
    /// The bytes are damaged, or were never what they are read as; or what is to be written contradicts itself.
    #[error("{0}")]
    Malformed(String),
    /// The bytes are whole, but use something this reader does not know.
    #[error("{0}")]
    Unsupported(String),
    /// What the bytes hold takes more memory than the reader may use.
    #[error("it takes more than {limit_bytes} bytes of memory; raise the limit to read it")]
    TooLarge {
        /// The limit it exceeds.
        limit_bytes: usize,
    },
}

pub(super) fn malformed(what: impl Into<String>) -> PuffinError {
    PuffinError::Malformed(what.into())
}

/// What the footer tells of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// The blobs, in the order they are told.
    pub blobs: Vec<BlobMetadata>,
    /// Of the whole file, such as `created-by`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// What the footer tells of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlobMetadata {
    /// What it is, such as `deletion-vector-v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The columns it was computed for.
    pub fields: Vec<i32>,
    /// The snapshot it was computed from; -1 if that is not known when the file is written.
    pub snapshot_id: i64,
    /// That snapshot's sequence number; -1 if it is not known.
    pub sequence_number: i64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// How long it is in the file, in bytes.
    pub length: u64,
    /// How it is compressed; `None` if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_codec: Option<Codec>,
    /// Of the blob.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// How a blob is compressed. One that is unknown is kept, so that the file's other blobs can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// One LZ4 frame. Java and `PyIceberg` cannot read it.
    Lz4,
    /// One Zstandard frame.
    Zstd,
    /// Something that cannot be read here.
    #[serde(untagged)]
    Other(String),
}

/// A blob to be written.
#[derive(Debug, Clone)]
pub struct Blob<'a> {
    /// What it is.
    pub kind: &'a str,
    /// The columns it was computed for.
    pub fields: Vec<i32>,
    /// The snapshot it was computed from, or -1.
    pub snapshot_id: i64,
    /// That snapshot's sequence number, or -1.
    pub sequence_number: i64,
    /// What is told of it.
    pub properties: BTreeMap<String, String>,
    /// What it holds, not compressed.
    pub content: &'a [u8],
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// All of it.
    pub bytes: Vec<u8>,
    /// How much of it is the footer, its magic included: the `file-footer-size-in-bytes` of table metadata.
    pub footer_bytes: u64,
    /// What the footer tells.
    pub footer: Footer,
}

/// Writes one file.
pub struct Writer {
    bytes: Vec<u8>,
    footer: Footer,
}

impl Footer {
    /// How many bytes the footer takes, read from the last 12 bytes of a file, or more of its end.
    pub fn size_bytes(end: &[u8]) -> Result<u64, PuffinError> {
        let (payload_bytes, _) = trailer(end)?;
        Ok((MAGIC.len() + payload_bytes + TRAILER_BYTES) as u64)
    }

    /// Reads the footer from the end of a file of `file_bytes`, which may be more than the footer, or all of the file.
    /// A payload that decompresses to more than `limit_bytes` is refused.
    ///
    /// Every blob it tells of lies between the file's beginning and the footer.
    pub fn read(end: &[u8], file_bytes: u64, limit_bytes: usize) -> Result<Footer, PuffinError> {
        let (payload_bytes, is_compressed) = trailer(end)?;
        let footer_bytes = MAGIC.len() + payload_bytes + TRAILER_BYTES;
        let blobs_end = file_bytes.checked_sub(footer_bytes as u64);
        let blobs_end = blobs_end.filter(|end| *end >= MAGIC.len() as u64);
        let (Some(blobs_end), Some(start)) = (blobs_end, end.len().checked_sub(footer_bytes)) else {
            return Err(malformed("its footer is cut short"));
        };
        let footer = end.get(start..end.len() - TRAILER_BYTES).unwrap_or_default();
        let Some(payload) = footer.strip_prefix(&MAGIC) else {
            return Err(malformed("its footer does not begin as one does"));
        };
        let payload = match is_compressed {
            true => Cow::Owned(unlz4(payload, limit_bytes)?),
            false if payload.len() > limit_bytes => return Err(PuffinError::TooLarge { limit_bytes }),
            false => Cow::Borrowed(payload),
        };
        let footer: Footer = serde_json::from_slice(&payload)
            .map_err(|error| malformed(format!("its footer is not what it should be: {error}")))?;
        for blob in &footer.blobs {
            let end = blob.offset.checked_add(blob.length);
            if blob.offset < MAGIC.len() as u64 || end.is_none_or(|end| end > blobs_end) {
                return Err(malformed(format!("its blob `{}` lies outside of the file", blob.kind)));
            }
        }
        Ok(footer)
    }
}

impl BlobMetadata {
    /// The blob as it is stored, out of the whole file.
    pub fn stored<'a>(&self, file: &'a [u8]) -> Result<&'a [u8], PuffinError> {
        let start = usize::try_from(self.offset).ok();
        let length = usize::try_from(self.length).ok();
        let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
        let stored = start.zip(end).and_then(|(start, end)| file.get(start..end));
        stored.ok_or_else(|| malformed(format!("its blob `{}` is cut short", self.kind)))
    }

    /// What a blob holds, given how it is stored. Fails rather than decompress more than `limit_bytes`.
    pub fn content<'a>(&self, stored: &'a [u8], limit_bytes: usize) -> Result<Cow<'a, [u8]>, PuffinError> {
        match &self.compression_codec {
            None => Ok(Cow::Borrowed(stored)),
            Some(Codec::Lz4) => unlz4(stored, limit_bytes).map(Cow::Owned),
            Some(Codec::Zstd) => unzstd(stored, limit_bytes).map(Cow::Owned),
            Some(Codec::Other(name)) => Err(PuffinError::Unsupported(format!(
                "its blob `{}` is compressed with `{name}`; lz4, zstd and none can be read",
                self.kind
            ))),
        }
    }
}

impl Writer {
    /// A file that says which application writes it: its name and version.
    pub fn new(created_by: &str) -> Writer {
        let properties = BTreeMap::from([("created-by".to_owned(), created_by.to_owned())]);
        Writer { bytes: MAGIC.to_vec(), footer: Footer { blobs: Vec::new(), properties } }
    }

    /// Sets a property of the file.
    pub fn set_property(&mut self, key: &str, value: &str) {
        self.footer.properties.insert(key.to_owned(), value.to_owned());
    }

    /// Writes a blob, and gives what the footer will tell of it.
    pub fn add(&mut self, blob: Blob<'_>, codec: Option<Codec>) -> Result<&BlobMetadata, PuffinError> {
        let stored = match &codec {
            None => Cow::Borrowed(blob.content),
            Some(Codec::Lz4) => Cow::Owned(lz4(blob.content)?),
            Some(Codec::Zstd) => Cow::Owned(zstd::bulk::compress(blob.content, ZSTD_LEVEL).map_err(failed)?),
            Some(Codec::Other(name)) => {
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
        self.footer.blobs.last().ok_or_else(|| malformed("a blob that was written is not there"))
    }

    /// Writes the footer, not compressed: neither Java nor `PyIceberg` can read one that is.
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

/// The size of the footer's payload, and whether it is compressed.
fn trailer(end: &[u8]) -> Result<(usize, bool), PuffinError> {
    let trailer: Option<&[u8; TRAILER_BYTES]> = end.last_chunk();
    let Some([p0, p1, p2, p3, flags, rest @ .., m0, m1, m2, m3]) = trailer else {
        return Err(malformed("it is too short to be a Puffin file"));
    };
    if [*m0, *m1, *m2, *m3] != MAGIC {
        return Err(malformed("it does not end as a Puffin file does"));
    }
    if flags & !PAYLOAD_IS_COMPRESSED != 0 || *rest != [0; 3] {
        return Err(PuffinError::Unsupported("its footer has flags that are not known".to_owned()));
    }
    let payload_bytes = usize::try_from(i32::from_le_bytes([*p0, *p1, *p2, *p3]));
    let payload_bytes = payload_bytes.map_err(|_| malformed("its footer has a negative size"))?;
    Ok((payload_bytes, flags & PAYLOAD_IS_COMPRESSED != 0))
}

fn unlz4(stored: &[u8], limit_bytes: usize) -> Result<Vec<u8>, PuffinError> {
    // Magic, flags, a byte more, and the size of the content, which the Puffin specification asks for.
    let size = match stored {
        [_, _, _, _, flags, _, s0, s1, s2, s3, s4, s5, s6, s7, ..] if flags & LZ4_HAS_SIZE != 0 => {
            u64::from_le_bytes([*s0, *s1, *s2, *s3, *s4, *s5, *s6, *s7])
        }
        _ => return Err(malformed("what is compressed in it does not tell its size")),
    };
    let content = read_all(FrameDecoder::new(stored), limit_bytes)?;
    // The decoder takes an end between two blocks for the end of the frame.
    if content.len() as u64 != size {
        return Err(malformed("what is compressed in it is cut short"));
    }
    Ok(content)
}

fn unzstd(stored: &[u8], limit_bytes: usize) -> Result<Vec<u8>, PuffinError> {
    if stored.is_empty() {
        return Err(malformed("what is compressed in it is cut short"));
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(stored).map_err(failed)?.single_frame();
    // The window is allocated as a frame's header asks for it.
    let window_log = limit_bytes.max(1).ilog2() + 1;
    decoder.window_log_max(window_log.clamp(ZSTD_WINDOW_LOG_MIN, ZSTD_WINDOW_LOG_MAX)).map_err(failed)?;
    read_all(decoder, limit_bytes)
}

fn read_all(decoder: impl Read, limit_bytes: usize) -> Result<Vec<u8>, PuffinError> {
    let mut content = Vec::new();
    // One byte more than allowed tells what is too large.
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
    malformed(format!("what is compressed in it is damaged: {error}"))
}
