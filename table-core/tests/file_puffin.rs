//! Puffin files: Java's own, ours, and what only looks like one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use table_core::file::puffin::{Blob, BlobCodec, Footer, PuffinError, PuffinWriter, Written};

const LIMIT_BYTES: usize = 1 << 16;

/// `sample-metric-data-uncompressed.bin` of Java's tests.
const SAMPLE: &[u8] = "PFA1abcdefghisome blob \0 binary data 🤯 that is not very very very very very very long, is it?PFA1\
    {\"blobs\":[{\"type\":\"some-blob\",\"fields\":[1],\"snapshot-id\":2,\"sequence-number\":1,\"offset\":4,\"length\":9},\
    {\"type\":\"some-other-blob\",\"fields\":[2],\"snapshot-id\":2,\"sequence-number\":1,\"offset\":13,\"length\":83}],\
    \"properties\":{\"created-by\":\"Test 1234\"}}\u{7f}\0\0\0\0\0\0\0PFA1"
    .as_bytes();

/// The blobs of `sample-metric-data-compressed-zstd.bin`.
const ZSTD_BLOBS: [&[u8]; 2] = [
    b"(\xb5/\xfd$\x09I\0\0abcdefghi\x13^\xb9\xdb",
    b"(\xb5/\xfd$S\x05\x02\0\x94\x03some blob \0 binary data \xf0\x9f\xa4\xaf that is not verylong, is it?\x01\0\x85]\xca#\xdcI\x8e",
];

const TEXTS: [&str; 2] =
    ["abcdefghi", "some blob \0 binary data 🤯 that is not very very very very very very long, is it?"];

/// The sample, whose footer takes 0xf3 bytes: not a character of its own in UTF-8.
fn sample() -> Vec<u8> {
    let mut bytes = SAMPLE.to_vec();
    let at = bytes.len() - 12;
    bytes[at] = 0xf3;
    bytes
}

fn read(file: &[u8]) -> Result<Footer, PuffinError> {
    Footer::read(file, file.len() as u64, LIMIT_BYTES)
}

/// What a file holds: every blob, and its properties.
fn contents(file: &[u8]) -> Result<Vec<Vec<u8>>, PuffinError> {
    let footer = read(file)?;
    let blobs = footer.blobs.iter().map(|blob| {
        let stored = blob.stored(file)?;
        blob.content(stored, LIMIT_BYTES).map(std::borrow::Cow::into_owned)
    });
    blobs.collect()
}

fn blob<'a>(kind: &'a str, field: i32, content: &'a [u8]) -> Blob<'a> {
    Blob {
        kind,
        fields: vec![field],
        snapshot_id: 2,
        sequence_number: 1,
        properties: BTreeMap::new(),
        content,
    }
}

fn written(codec: Option<&BlobCodec>) -> Written {
    let mut writer = PuffinWriter::new("Test 1234");
    writer.add(blob("some-blob", 1, TEXTS[0].as_bytes()), codec.cloned()).unwrap();
    writer.add(blob("some-other-blob", 2, TEXTS[1].as_bytes()), codec.cloned()).unwrap();
    writer.finish().unwrap()
}

/// A file with these bytes as its footer's payload.
fn with_payload(payload: &[u8], flags: u8) -> Vec<u8> {
    let size = i32::try_from(payload.len()).unwrap().to_le_bytes();
    [b"PFA1PFA1", payload, &size, &[flags, 0, 0, 0], b"PFA1"].concat()
}

#[track_caller]
fn refuse(file: &[u8], part: &str) {
    let message = contents(file).unwrap_err().to_string();
    assert!(message.contains(part), "{message}");
}

#[test]
fn what_java_wrote_is_read() {
    let file = sample();
    let footer = read(&file).unwrap();
    assert_eq!(footer.properties, BTreeMap::from([("created-by".to_owned(), "Test 1234".to_owned())]));
    assert_eq!(footer.blobs[1].kind, "some-other-blob");
    assert_eq!(footer.blobs[1].fields, [2]);
    assert_eq!((footer.blobs[1].snapshot_id, footer.blobs[1].sequence_number), (2, 1));
    assert_eq!(contents(&file).unwrap(), TEXTS.map(|text| text.as_bytes().to_vec()));
}

#[test]
fn we_write_what_java_writes() {
    let ours = written(None);
    assert_eq!(ours.bytes, sample());
    assert_eq!(ours.footer_bytes, 4 + 0xf3 + 12);
    let empty = PuffinWriter::new("x").finish().unwrap();
    assert_eq!(contents(&empty.bytes), Ok(Vec::new()));
}

#[test]
fn a_footer_is_read_without_the_rest_of_the_file() {
    let file = sample();
    let size = Footer::size_bytes(&file[file.len() - 12..]).unwrap();
    assert_eq!(size, written(None).footer_bytes);
    let end = &file[file.len() - usize::try_from(size).unwrap()..];
    assert_eq!(Footer::read(end, file.len() as u64, LIMIT_BYTES), read(&file));
    assert!(Footer::read(&end[1..], file.len() as u64, LIMIT_BYTES).is_err());
}

#[test]
fn what_java_compressed_is_read() {
    let footer = r#"{"blobs":[
        {"type":"a","fields":[1],"snapshot-id":2,"sequence-number":1,"offset":4,"length":22,"compression-codec":"zstd"},
        {"type":"b","fields":[2],"snapshot-id":2,"sequence-number":1,"offset":26,"length":77,"compression-codec":"zstd"}
    ]}"#;
    let rest = with_payload(footer.as_bytes(), 0);
    let file = [b"PFA1", ZSTD_BLOBS[0], ZSTD_BLOBS[1], &rest[4..]].concat();
    assert_eq!(contents(&file).unwrap(), TEXTS.map(|text| text.as_bytes().to_vec()));
}

#[test]
fn what_is_compressed_comes_out_as_it_went_in() {
    for codec in [BlobCodec::Zstd, BlobCodec::Lz4] {
        let file = written(Some(&codec));
        assert_eq!(file.footer.blobs[0].compression_codec, Some(codec));
        assert_eq!(contents(&file.bytes).unwrap(), TEXTS.map(|text| text.as_bytes().to_vec()));
    }
    let other =
        PuffinWriter::new("x").add(blob("b", 1, b"x"), Some(BlobCodec::Other("gzip".to_owned()))).cloned();
    assert!(matches!(other, Err(PuffinError::Unsupported(_))));
}

/// Content size in the frame's header, which the specification asks for.
#[test]
fn compressed_blobs_tell_their_size() {
    let stored = |codec| {
        let file = written(Some(&codec));
        file.footer.blobs[1].stored(&file.bytes).unwrap().to_vec()
    };
    let size = u8::try_from(TEXTS[1].len()).unwrap();
    // Magic, then a descriptor whose bit 0x20 is "single segment" for zstd, and 0x08 "content size" for LZ4.
    let zstd = stored(BlobCodec::Zstd);
    assert_eq!((zstd[4] & 0x20, zstd[5]), (0x20, size));
    let lz4 = stored(BlobCodec::Lz4);
    assert_eq!((lz4[4] & 0x08, lz4[6]), (0x08, size));
}

#[test]
fn a_compressed_footer_is_read() {
    let mut writer = PuffinWriter::new("x");
    let payload = r#"{"blobs":[],"properties":{"a":"b"}}"#.as_bytes();
    let blob = writer.add(blob("b", 1, payload), Some(BlobCodec::Lz4)).cloned().unwrap();
    let file = writer.finish().unwrap().bytes;
    let file = with_payload(blob.stored(&file).unwrap(), 1);
    assert_eq!(read(&file).unwrap().properties, BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    assert!(Footer::read(&file, file.len() as u64, 10).is_err());
}

#[test]
fn properties_and_what_is_not_known_survive() {
    let mut writer = PuffinWriter::new("x");
    writer.set_property("é", "\"\n");
    let properties = BTreeMap::from([("ndv".to_owned(), "10".to_owned())]);
    writer.add(Blob { properties: properties.clone(), ..blob("b", -5, b"") }, None).unwrap();
    let file = writer.finish().unwrap();
    let footer = read(&file.bytes).unwrap();
    assert_eq!(footer, file.footer);
    assert_eq!(footer.properties["é"], "\"\n");
    assert_eq!(footer.blobs[0].properties, properties);
    let payload = r#"{"blobs":[{"type":"t","fields":[],"snapshot-id":-1,"sequence-number":-1,"offset":4,"length":0,
        "compression-codec":"snappy","new":[{}]}],"more":1}"#;
    let footer = read(&with_payload(payload.as_bytes(), 0)).unwrap();
    assert_eq!(footer.blobs[0].compression_codec, Some(BlobCodec::Other("snappy".to_owned())));
    refuse(&with_payload(payload.as_bytes(), 0), "compressed with `snappy`");
}

#[test]
fn what_is_no_puffin_file_is_refused() {
    refuse(b"", "too short");
    refuse(b"PFA1PFA1PFA2", "does not end like a Puffin file");
    refuse(&with_payload(b"{}", 2), "unknown flags");
    refuse(&with_payload(b"{}", 0), "missing field `blobs`");
    refuse(&with_payload(b"PFA1", 1), "does not contain its size");
    refuse(&with_payload(b"PFA1\x48PFA1PFA1PFA1", 1), "damaged");
    let mut file = sample();
    let at = file.len() - 9;
    file[at] = 0xff;
    refuse(&file, "negative size");
    file[at] = 0x7f;
    refuse(&file, "truncated");
    // A footer alone has no magic in front of it.
    refuse(&with_payload(b"{\"blobs\":[]}", 0)[4..], "truncated");
}

#[test]
fn a_blob_lies_between_the_magic_and_the_footer() {
    for (offset, length) in [(0, 4), (4, 1), (5, 0), (4, u64::MAX), (u64::MAX, 4)] {
        let payload = format!(
            r#"{{"blobs":[{{"type":"t","fields":[],"snapshot-id":1,"sequence-number":1,"offset":{offset},"length":{length}}}]}}"#
        );
        refuse(&with_payload(payload.as_bytes(), 0), "is outside of the file");
    }
}

#[test]
fn nothing_is_decompressed_beyond_the_limit() {
    let zeros = vec![0; 1 << 20];
    for codec in [BlobCodec::Zstd, BlobCodec::Lz4] {
        let mut writer = PuffinWriter::new("x");
        let told = writer.add(blob("zeros", 1, &zeros), Some(codec)).cloned().unwrap();
        let file = writer.finish().unwrap().bytes;
        let stored = told.stored(&file).unwrap();
        assert_eq!(told.content(stored, zeros.len()).unwrap().len(), zeros.len());
        assert!(told.content(stored, LIMIT_BYTES).is_err());
    }
}

#[test]
fn what_is_compressed_is_whole() {
    for codec in [BlobCodec::Zstd, BlobCodec::Lz4] {
        let file = written(Some(&codec));
        let blob = &file.footer.blobs[1];
        let stored = blob.stored(&file.bytes).unwrap();
        // Behind the last block, an LZ4 frame has only a mark of four zeros.
        let end = if codec == BlobCodec::Lz4 { stored.len() - 4 } else { stored.len() };
        for length in 0..end {
            assert!(blob.content(&stored[..length], LIMIT_BYTES).is_err(), "{codec:?} {length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_refused_or_read(codec in 0..3_usize, at in any::<Index>(), byte in any::<u8>()) {
        let codecs = [None, Some(BlobCodec::Lz4), Some(BlobCodec::Zstd)];
        let mut file = written(codecs[codec].as_ref()).bytes;
        let at = at.index(file.len());
        file[at] = byte;
        for content in contents(&file).into_iter().flatten() {
            prop_assert!(content.len() <= LIMIT_BYTES);
        }
    }

    #[test]
    fn arbitrary_payloads_are_refused_or_read(payload in prop::collection::vec(any::<u8>(), 0..100), flags in 0..2_u8) {
        drop(contents(&with_payload(&payload, flags)));
        drop(contents(&payload));
    }

    #[test]
    fn truncations_are_refused(length in any::<Index>()) {
        let file = sample();
        prop_assert!(contents(&file[..length.index(file.len())]).is_err());
    }
}
