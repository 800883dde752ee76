//! Names, folders and compression of metadata files. Reading and writing of files is left to the caller.

use std::borrow::Cow;
use std::io::{Read, Write};

use uuid::Uuid;

use super::error::MetadataError;
use super::properties::{self, Properties};
use crate::location::file_key;

/// Compression of a metadata file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataCodec {
    /// Uncompressed JSON.
    None,
    /// JSON compressed with gzip.
    Gzip,
}

impl MetadataCodec {
    /// Returns the codec of `write.metadata.compression-codec`; an unknown value means uncompressed, which
    /// every reader supports.
    pub fn of_properties(properties: &Properties) -> MetadataCodec {
        match properties.get(properties::METADATA_COMPRESSION) {
            Some(name) if name.eq_ignore_ascii_case("gzip") => MetadataCodec::Gzip,
            _ => MetadataCodec::None,
        }
    }

    /// Returns the codec that a file name indicates. Gzip has the suffix `.gz.metadata.json`, or
    /// `.metadata.json.gz` in files of the first writers.
    pub fn of_file_name(file_name: &str) -> MetadataCodec {
        if file_name.ends_with(".gz.metadata.json") || file_name.ends_with(".metadata.json.gz") {
            MetadataCodec::Gzip
        } else {
            MetadataCodec::None
        }
    }
}

/// Returns the location of the first metadata file of a table or view:
/// `…/metadata/00000-<file_id>.metadata.json`.
pub fn first_location(table_location: &str, properties: &Properties, file_id: Uuid) -> String {
    location(table_location, properties, 0, file_id)
}

/// Returns the location of the metadata file that follows `current`.
///
/// The version is one more than that of `current`: the digits at the start of its name
/// (`00003-….metadata.json`), or after a `v` as in `v12.metadata.json`. If the name has another form, the
/// version of the successor is 0.
pub fn next_location(current: &str, table_location: &str, properties: &Properties, file_id: Uuid) -> String {
    let next = version_of(current).and_then(|version| version.checked_add(1)).unwrap_or(0);
    location(table_location, properties, next, file_id)
}

/// Returns the folder of a table's metadata files, without a trailing slash: `write.metadata.path`, or the
/// folder `metadata` in the table's location.
pub fn folder(table_location: &str, properties: &Properties) -> String {
    match properties.get(properties::WRITE_METADATA_PATH) {
        Some(path) if !path.is_empty() => path.trim_end_matches('/').to_owned(),
        _ => format!("{}/metadata", table_location.trim_end_matches('/')),
    }
}

fn location(table_location: &str, properties: &Properties, version: u64, file_id: Uuid) -> String {
    let directory = folder(table_location, properties);
    let extension = match MetadataCodec::of_properties(properties) {
        MetadataCodec::None => ".metadata.json",
        MetadataCodec::Gzip => ".gz.metadata.json",
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

/// Returns `true` if a location has the suffix of a metadata file, in any spelling of the location. Only the
/// catalog writes and deletes such files.
pub fn is_metadata_file(location: &str) -> bool {
    let key = file_key(location);
    [".metadata.json", ".metadata.json.gz"].into_iter().any(|ending| key.ends_with(ending))
}

/// Returns `true` if a metadata file is compressed, so that its JSON may be much larger than the file.
pub fn is_compressed(file_name: &str, bytes: &[u8]) -> bool {
    // JSON can start with neither byte of the gzip signature.
    bytes.starts_with(&[0x1f, 0x8b]) || MetadataCodec::of_file_name(file_name) == MetadataCodec::Gzip
}

/// Returns the JSON in a metadata file. `file_name` may be a complete location.
///
/// Compression is recognised by content as well as by name, because some writers compress without the suffix.
/// The output is limited to `limit_bytes`, independent of the expansion ratio of the file.
///
/// # Errors
///
/// Fails if the JSON is larger than `limit_bytes` ([`MetadataError::TooLarge`]), or if a file that is gzip by
/// its name or signature cannot be decompressed ([`MetadataError::Malformed`]).
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

/// Returns the bytes of a metadata file with this name, compressed if the name says so.
///
/// # Errors
///
/// Fails if compression fails ([`MetadataError::Malformed`]).
pub fn encode<'a>(file_name: &str, json: &'a [u8]) -> Result<Cow<'a, [u8]>, MetadataError> {
    if MetadataCodec::of_file_name(file_name) == MetadataCodec::None {
        return Ok(Cow::Borrowed(json));
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let finished = encoder.write_all(json).and_then(|()| encoder.finish()).map(Cow::Owned);
    finished
        .map_err(|error| MetadataError::malformed(format!("the metadata file cannot be compressed: {error}")))
}
