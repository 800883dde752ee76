//! Writer of Avro object container files: primitive types, blocks, codecs. Counterpart of [`super::avro`];
//! independent of the meaning of the records.
//!
//! Source: the Avro 1.12 specification, sections "Object Container Files" and "Binary Encoding".

use flate2::{Compress, Compression, FlushCompress, Status};

use super::error::ManifestError;

/// Number of bytes of records at which a block ends; the value of Avro's Java library.
const BLOCK_BYTES: usize = 64_000;
const SYNC_BYTES: usize = 16;

/// Compression of the blocks of a container file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AvroCodec {
    /// No compression.
    Null,
    /// Deflate with a level of 0 to 9; Iceberg's name for it is `gzip`.
    Deflate(u32),
    /// Zstandard with a level of 1 to 22.
    Zstandard(i32),
}

impl AvroCodec {
    /// Returns the codec of `write.manifest.compression-codec` and its level; as in Java, the default is
    /// `gzip`. `None` for a codec that cannot be written.
    pub fn of_property(name: Option<&str>, level: Option<i32>) -> Option<AvroCodec> {
        // The default levels are those of Java's library.
        match name.unwrap_or("gzip").to_ascii_lowercase().as_str() {
            "uncompressed" => Some(AvroCodec::Null),
            "gzip" => Some(AvroCodec::Deflate(u32::try_from(level.unwrap_or(9)).unwrap_or(9).min(9))),
            "zstd" => Some(AvroCodec::Zstandard(level.unwrap_or(1).clamp(1, 22))),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            AvroCodec::Null => "null",
            AvroCodec::Deflate(_) => "deflate",
            AvroCodec::Zstandard(_) => "zstandard",
        }
    }
}

/// Buffer of encoded values.
#[derive(Default)]
pub(super) struct Encoder {
    pub(super) bytes: Vec<u8>,
}

impl Encoder {
    /// Appends an `int` or `long`: zig-zag, seven bits per byte, least significant first.
    #[inline]
    pub(super) fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.bytes.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest.to_le_bytes()[0]);
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.length(value.len());
        self.fixed(value);
    }

    pub(super) fn string(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(super) fn fixed(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// Appends the branch of a union of null and another type: the value, which the caller appends, or null.
    pub(super) fn is_present(&mut self, value: bool) {
        self.long(i64::from(value));
    }

    pub(super) fn optional_long(&mut self, value: Option<i64>) {
        self.is_present(value.is_some());
        if let Some(value) = value {
            self.long(value);
        }
    }

    pub(super) fn optional_bytes(&mut self, value: Option<&[u8]>) {
        self.is_present(value.is_some());
        if let Some(value) = value {
            self.bytes(value);
        }
    }

    /// Appends an optional array as one block, or null if it is empty.
    pub(super) fn optional_array<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        write: impl FnMut(&mut Self, T),
    ) {
        self.is_present(items.len() > 0);
        if items.len() > 0 {
            self.array(items, write);
        }
    }

    /// Appends an array as one block.
    pub(super) fn array<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        if items.len() > 0 {
            self.length(items.len());
            items.for_each(|item| write(self, item));
        }
        self.long(0);
    }

    fn length(&mut self, length: usize) {
        self.long(i64::try_from(length).unwrap_or(i64::MAX));
    }
}

/// Container file under construction.
pub(super) struct ContainerWriter {
    /// Records of the current block. Call [`ContainerWriter::end_record`] after each record.
    pub(super) record: Encoder,
    file: Encoder,
    records: i64,
    codec: AvroCodec,
    deflate: Option<Compress>,
    sync: [u8; SYNC_BYTES],
}

impl ContainerWriter {
    /// Writes the header. `sync` ends every block; it should not occur in the file by chance.
    pub(super) fn new(
        schema: &str,
        metadata: &[(&str, &str)],
        codec: AvroCodec,
        sync: [u8; SYNC_BYTES],
    ) -> Self {
        let mut file = Encoder { bytes: b"Obj\x01".to_vec() };
        let own = [("avro.schema", schema), ("avro.codec", codec.name())];
        let entries: Vec<_> = own.iter().chain(metadata).collect();
        file.array(entries.into_iter(), |file, (key, value)| {
            file.string(key);
            file.string(value);
        });
        file.fixed(&sync);
        let deflate = match codec {
            AvroCodec::Deflate(level) => Some(Compress::new(Compression::new(level), false)),
            AvroCodec::Null | AvroCodec::Zstandard(_) => None,
        };
        Self { record: Encoder::default(), file, records: 0, codec, deflate, sync }
    }

    /// Returns the size of the file so far; records that are not yet compressed count in full.
    pub(super) fn size_bytes(&self) -> usize {
        self.file.bytes.len() + self.record.bytes.len()
    }

    pub(super) fn end_record(&mut self) -> Result<(), ManifestError> {
        self.records += 1;
        if self.record.bytes.len() < BLOCK_BYTES { Ok(()) } else { self.end_block() }
    }

    /// Returns the complete file.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, ManifestError> {
        self.end_block()?;
        Ok(self.file.bytes)
    }

    fn end_block(&mut self) -> Result<(), ManifestError> {
        if self.records == 0 {
            return Ok(());
        }
        self.file.long(self.records);
        let records = &self.record.bytes;
        match (self.codec, &mut self.deflate) {
            (AvroCodec::Zstandard(level), _) => {
                let compressed = zstd::stream::encode_all(records.as_slice(), level).map_err(|error| {
                    ManifestError::Unwritable(format!("a block cannot be compressed: {error}"))
                })?;
                self.file.bytes(&compressed);
            }
            (_, Some(state)) => self.file.bytes(&deflated(state, records)?),
            (_, None) => self.file.bytes(records),
        }
        self.file.fixed(&self.sync);
        self.record.bytes.clear();
        self.records = 0;
        Ok(())
    }
}

fn deflated(state: &mut Compress, block: &[u8]) -> Result<Vec<u8>, ManifestError> {
    state.reset();
    let mut compressed = Vec::with_capacity(block.len() / 2 + 64);
    loop {
        let read = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
        let rest = block.get(read..).unwrap_or_default();
        let status = state
            .compress_vec(rest, &mut compressed, FlushCompress::Finish)
            .map_err(|error| ManifestError::Unwritable(format!("a block cannot be compressed: {error}")))?;
        if status == Status::StreamEnd {
            return Ok(compressed);
        }
        compressed.reserve(block.len() / 2 + 64);
    }
}
