//! Metadata files: how they are named, where they go, and how they are compressed. Not reading or writing them.

use std::borrow::Cow;
use std::io::{Read, Write};

use uuid::Uuid;

use super::error::MetadataError;
use super::properties::{self, Properties};
use crate::location::file_key;

/// How a metadata file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
}

impl Codec {
    /// What `write.metadata.compression-codec` asks for; anything unknown is written uncompressed, because that
    /// can be read by everyone.
    pub fn of_properties(properties: &Properties) -> Codec {
        match properties.get(properties::METADATA_COMPRESSION) {
            Some(name) if name.eq_ignore_ascii_case("gzip") => Codec::Gzip,
            _ => Codec::None,
        }
    }

    /// What a file name says: `.gz.metadata.json`, or `.metadata.json.gz` of the first writers.
    pub fn of_file_name(file_name: &str) -> Codec {
        if file_name.ends_with(".gz.metadata.json") || file_name.ends_with(".metadata.json.gz") {
            Codec::Gzip
        } else {
            Codec::None
        }
    }
}

/// The location of the first metadata file of a table or view.
pub fn first_location(table_location: &str, properties: &Properties, file_id: Uuid) -> String {
    location(table_location, properties, 0, file_id)
}

/// The location of the metadata file that follows `current`.
///
/// The version is one more than that of `current`: the digits its name starts with (`00003-….metadata.json`),
/// after a `v` as in `v12.metadata.json`. A name of another form counts as unknown, and its successor is 0.
pub fn next_location(current: &str, table_location: &str, properties: &Properties, file_id: Uuid) -> String {
    let next = version_of(current).and_then(|version| version.checked_add(1)).unwrap_or(0);
    location(table_location, properties, next, file_id)
}

/// The folder of a table's metadata files, without a slash at the end.
pub fn folder(table_location: &str, properties: &Properties) -> String {
    match properties.get(properties::WRITE_METADATA_PATH) {
        Some(path) if !path.is_empty() => path.trim_end_matches('/').to_owned(),
        _ => format!("{}/metadata", table_location.trim_end_matches('/')),
    }
}

fn location(table_location: &str, properties: &Properties, version: u64, file_id: Uuid) -> String {
    let directory = folder(table_location, properties);
    let extension = match Codec::of_properties(properties) {
        Codec::None => ".metadata.json",
        Codec::Gzip => ".gz.metadata.json",
    };
    format!("{directory}/{version:05}-{file_id}{extension}")
}

fn version_of(location: &str) -> Option<u64> {
    let name = location.rsplit('/').next()?;
    let (digits, separators) = match name.strip_prefix('v') {
        Some(rest) => (rest, ".-"),
        None => (name, "-"),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = digits.split_at_checked(end)?;
    rest.starts_with(|c| separators.contains(c)).then(|| digits.parse().ok())?
}

/// Whether a location has the name of a metadata file, in whichever spelling. Only the catalog writes and deletes those.
pub fn is_metadata_file(location: &str) -> bool {
    let key = file_key(location);
    [".metadata.json", ".metadata.json.gz"].into_iter().any(|ending| key.ends_with(ending))
}

/// Whether a metadata file is compressed: it may become much larger than it is.
pub fn is_compressed(file_name: &str, bytes: &[u8]) -> bool {
    // JSON can start with neither byte of the gzip signature.
    bytes.starts_with(&[0x1f, 0x8b]) || Codec::of_file_name(file_name) == Codec::Gzip
}

/// The JSON in a metadata file. `file_name` may be a whole location.
///
/// Files are recognised by their content as well as by their name: some writers compress without saying so.
/// At most `limit_bytes` are produced, however far the file would expand.
pub fn decode(file_name: &str, bytes: &[u8], limit_bytes: usize) -> Result<Vec<u8>, MetadataError> {
    if !is_compressed(file_name, bytes) {
        if bytes.len() > limit_bytes {
            return Err(MetadataError::TooLarge { limit_bytes });
        }
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::new();
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut out).map_err(|error| {
        MetadataError::malformed(format!("the metadata file cannot be decompressed: {error}"))
    })?;
    if out.len() > limit_bytes {
        return Err(MetadataError::TooLarge { limit_bytes });
    }
    Ok(out)
}

/// The bytes of a metadata file of this name.
pub fn encode<'a>(file_name: &str, json: &'a [u8]) -> Result<Cow<'a, [u8]>, MetadataError> {
    if Codec::of_file_name(file_name) == Codec::None {
        return Ok(Cow::Borrowed(json));
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let finished = encoder.write_all(json).and_then(|()| encoder.finish()).map(Cow::Owned);
    finished
        .map_err(|error| MetadataError::malformed(format!("the metadata file cannot be compressed: {error}")))
}
