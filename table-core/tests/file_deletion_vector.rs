//! Deletion vectors: Java's own, ours, and what only looks like one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use table_core::expr::value::Value;
use table_core::file::deletion_vector::{BLOB_TYPE, DeletionVector, POSITION_MAX, VectorOf, write};
use table_core::file::puffin::Footer;
use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::FileContent;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The vector of ranges such as `5 7 65537..66536`.
fn vector(ranges: &str) -> DeletionVector {
    DeletionVector::from_sorted(ranges.split_whitespace().flat_map(|range| {
        let (first, end) = range.split_once("..").unwrap_or((range, ""));
        let first: u64 = first.parse().unwrap();
        first..end.parse().unwrap_or(first + 1)
    }))
    .unwrap()
}

/// The blob of these bitmaps, each with its key in front; or of whatever else, with the right frame around
/// it.
fn framed(bitmaps: &[u8]) -> Vec<u8> {
    let content = [&[0xD1, 0xD3, 0x39, 0x64], bitmaps].concat();
    let length = i32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], &content, &crc32fast::hash(&content).to_be_bytes()].concat()
}

#[track_caller]
fn check(blob: &str, ranges: &str) {
    let (blob, vector) = (hex(blob), vector(ranges));
    assert_eq!(DeletionVector::decode(&blob).unwrap(), vector, "{ranges}");
    assert_eq!(vector.encode().unwrap(), blob, "{ranges}");
}

#[track_caller]
fn refuse(blob: &[u8], part: &str) {
    let message = DeletionVector::decode(blob).unwrap_err().to_string();
    assert!(message.contains(part), "{message}");
}

/// The resources of Java's `TestBitmapPositionDeleteIndex`, to the byte.
#[test]
fn we_read_and_write_what_java_does() {
    check("0000000cd1d339640000000000000000bf18480c", "");
    check(
        "0000002ad1d339640100000000000000000000003a30000001000000000004001000000001000300050007000900b3fb20be",
        "1 3 5 7 9",
    );
    check(
        "00000030d1d339640100000000000000000000003a300000020000000000010000800100180000001c0000006400650063006400\
         15eb1c7c",
        "100 101 2147483747 2147483748",
    );
    // An array, a bitmap and a run under each of two keys.
    check(
        "00000056d1d339640200000000000000000000003b30020006000001000100e6030200fdff0500070001000100e60301000100fdff\
         010000003b30020006000001000100e9010200fdff0a00140001000a00e90101000100fdffc89be397",
        "5 7 65537..66536 131073..196607 4294967306 4294967316 4295032842..4295033332 4295098369..4295163903",
    );
}

#[test]
fn empty_bitmaps_that_java_writes_for_keys_in_between_are_read() {
    let empty = hex("3a30000000000000");
    let one = hex("3a30000001000000070000001000000003 00".replace(' ', "").as_str());
    let bitmaps = [&[2, 0, 0, 0, 0, 0, 0, 0], &[0; 4][..], &empty, &[1, 0, 0, 0], &one].concat();
    let read = DeletionVector::decode(&framed(&bitmaps)).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), [(1 << 32) + (7 << 16) + 3]);
}

#[test]
fn positions_are_ascending_and_no_greater_than_java_accepts() {
    assert_eq!(DeletionVector::from_sorted([0, 1, POSITION_MAX]).unwrap().cardinality(), 3);
    for positions in [vec![1, 0], vec![1, 1], vec![POSITION_MAX + 1], vec![u64::MAX]] {
        assert!(DeletionVector::from_sorted(positions.clone()).is_err(), "{positions:?}");
    }
    let mut vector = DeletionVector::default();
    assert!(vector.insert(POSITION_MAX + 1).is_err());
    vector.insert(9).unwrap();
    vector.insert(4).unwrap();
    vector.insert(9).unwrap();
    assert_eq!(vector.iter().collect::<Vec<_>>(), [4, 9]);
    assert_eq!((vector.last(), vector.contains(9), vector.contains(5)), (Some(9), true, false));
}

#[test]
fn long_runs_are_short() {
    assert!(vector("0..10000000").encode().unwrap().len() < 4000);
}

#[test]
fn what_is_damaged_is_refused() {
    let good = vector("1 3 5").encode().unwrap();
    for length in 0..good.len() {
        assert!(DeletionVector::decode(&good[..length]).is_err());
    }
    let changed = |at: usize| {
        let mut blob = good.clone();
        blob[at] ^= 1;
        blob
    };
    refuse(&changed(3), "its length differs from the length that it states");
    refuse(&changed(4), "its magic number is wrong");
    refuse(&changed(30), "its checksum is wrong");
    refuse(&changed(good.len() - 1), "its checksum is wrong");
    refuse(&[&good[..], &[0]].concat(), "its length");
    refuse(&framed(&[1, 0, 0, 0, 0, 0, 0, 0]), "fewer bitmaps than it states");
    refuse(&framed(&[0xff; 8]), "fewer bitmaps than it states");
    refuse(&framed(&[0; 9]), "more data than its bitmaps");
}

#[test]
fn keys_are_ascending_and_no_greater_than_java_accepts() {
    let empty = hex("3a30000000000000");
    let of_keys = |keys: &[u32]| {
        let bitmaps = keys.iter().flat_map(|key| [&key.to_le_bytes()[..], &empty].concat());
        framed(&(keys.len() as u64).to_le_bytes().into_iter().chain(bitmaps).collect::<Vec<_>>())
    };
    assert!(DeletionVector::decode(&of_keys(&[0, 5, 0x7fff_fffe])).is_ok());
    for keys in [&[1, 0][..], &[1, 1], &[0x7fff_ffff], &[u32::MAX]] {
        refuse(&of_keys(keys), "not in order");
    }
}

#[test]
fn bitmaps_that_contradict_themselves_are_refused() {
    let one = |bitmap: &str| framed(&[&[1, 0, 0, 0, 0, 0, 0, 0][..], &[0; 4], &hex(bitmap)[..]].concat());
    for bitmap in [
        // No runs; overlapping runs; a run beyond the end; values that descend; containers that descend; a
        // million of them.
        "3b300000010000000000000000",
        "3b30000001000002000000050003000400",
        "3b3000000100000100ffff0100",
        "3a300000010000000000010010000000 0500 0400",
        "3a30000002000000010000000000000018000000 1a000000 0100 0100",
        "3a30000040420f00",
        "00000000",
    ] {
        assert!(DeletionVector::decode(&one(&bitmap.replace(' ', ""))).is_err(), "{bitmap}");
    }
}

fn of(path: &str, partition: &str, ranges: &str) -> VectorOf {
    VectorOf {
        data_file: path.to_owned(),
        spec_id: 1,
        partition: vec![Some(Value::String(partition.to_owned()))],
        vector: vector(ranges),
    }
}

#[test]
fn one_file_holds_the_vectors_of_several() {
    let vectors = [of("s3://b/a", "x", "0 2 4"), of("s3://b/b", "y", "7..1000"), of("c", "x", "5000000000")];
    let (file, entries) = write("s3://b/d.puffin", "Firn 1", &vectors).unwrap();
    let footer = Footer::read(&file, file.len() as u64, 1 << 16).unwrap();
    assert_eq!(footer.properties["created-by"], "Firn 1");
    for ((of, entry), blob) in vectors.iter().zip(&entries).zip(&footer.blobs) {
        assert_eq!(blob.kind, BLOB_TYPE);
        assert_eq!(blob.fields, [i32::MAX - 2]);
        assert_eq!((blob.snapshot_id, blob.sequence_number, &blob.compression_codec), (-1, -1, &None));
        assert_eq!(blob.properties["referenced-data-file"], of.data_file);
        assert_eq!(blob.properties["cardinality"], of.vector.cardinality().to_string());
        assert_eq!((entry.content, entry.format.as_str()), (FileContent::PositionDeletes, "PUFFIN"));
        assert_eq!(
            (entry.path.as_str(), entry.size_bytes),
            ("s3://b/d.puffin", i64::try_from(file.len()).unwrap())
        );
        assert_eq!((entry.spec_id, &entry.partition), (of.spec_id, &of.partition));
        assert_eq!(entry.referenced_data_file.as_deref(), Some(of.data_file.as_str()));
        assert_eq!(entry.record_count, i64::try_from(of.vector.cardinality()).unwrap());
        assert_eq!(DeletionVector::decode_entry(slice(&file, entry), entry).unwrap(), of.vector);
    }
}

/// What a manifest tells of a vector is enough to read it.
fn slice<'a>(file: &'a [u8], entry: &DataFile) -> &'a [u8] {
    let at = usize::try_from(entry.content_offset.unwrap()).unwrap();
    &file[at..at + usize::try_from(entry.content_size_bytes.unwrap()).unwrap()]
}

#[test]
fn a_vector_that_is_not_the_listed_one_is_refused() {
    let (file, entries) = write("d", "x", &[of("a", "x", "1 2"), of("b", "x", "3")]).unwrap();
    let message =
        DeletionVector::decode_entry(slice(&file, &entries[1]), &entries[0]).unwrap_err().to_string();
    assert!(message.contains("differs from the manifest entry"), "{message}");
    let other = DataFile { record_count: 3, ..entries[0].clone() };
    let message = DeletionVector::decode_entry(slice(&file, &other), &other).unwrap_err().to_string();
    assert!(message.contains("has 2 positions, but the manifest entry has 3"), "{message}");
}

#[test]
fn a_data_file_has_one_vector_and_it_deletes_something() {
    assert!(write("d", "x", &[of("a", "x", "1"), of("a", "x", "2")]).is_err());
    assert!(write("d", "x", &[of("a", "x", "")]).is_err());
}

/// Positions close together and far apart, in runs and alone.
fn positions() -> impl Strategy<Value = BTreeSet<u64>> {
    let start = prop_oneof![0..100_000_u64, 0..1_u64 << 40, Just((1 << 32) - 50)];
    let piece = (start, 1..3000_u64, 1..4_u64).prop_map(|(start, count, step)| {
        (0..count).map(move |number| start + number * step).collect::<Vec<_>>()
    });
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.into_iter().flatten().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn positions_come_back(positions in positions()) {
        let vector = DeletionVector::from_sorted(positions.iter().copied()).unwrap();
        let read = DeletionVector::decode(&vector.encode().unwrap()).unwrap();
        prop_assert_eq!(read.cardinality(), positions.len() as u64);
        prop_assert!(read.iter().eq(positions.iter().copied()));
        prop_assert_eq!(&read, &vector);
        // What was read is written as before, runs and all.
        prop_assert_eq!(read.encode(), vector.encode());
    }

    #[test]
    fn a_union_has_the_positions_of_both(left in positions(), right in positions()) {
        let mut vector = DeletionVector::from_sorted(left.iter().copied()).unwrap();
        vector.union_with(&DeletionVector::from_sorted(right.iter().copied()).unwrap());
        prop_assert!(vector.iter().eq(left.union(&right).copied()));
        prop_assert_eq!(vector.is_empty(), left.is_empty() && right.is_empty());
    }
}

/// Containers of each kind.
static BLOBS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let ranges = ["5 7 65537..66536 131073..196607 4294967306", "0..9000", "1 3 5"];
    let even = DeletionVector::from_sorted((0..9000).map(|number| number * 2)).unwrap();
    ranges.map(vector).into_iter().chain([even]).map(|vector| vector.encode().unwrap()).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    /// With the checksum made right again, so that the bitmaps are looked at. What is read can be written.
    #[test]
    fn changed_bitmaps_are_refused_or_read(
        blob in prop::sample::select(BLOBS.clone()),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<Index>()),
    ) {
        let mut bitmaps = blob[8..blob.len() - 4].to_vec();
        for (at, byte) in changes {
            let at = at.index(bitmaps.len().min(60));
            bitmaps[at] = byte;
        }
        if let Some(cut) = cut {
            bitmaps.truncate(cut.index(bitmaps.len()));
        }
        look_at(&framed(&bitmaps))?;
    }

    #[test]
    fn arbitrary_bitmaps_are_refused_or_read(rest in prop::collection::vec(any::<u8>(), 0..200), cookie in 0..3_usize) {
        let cookies: [&[u8]; 3] = [b"", b"\x3a\x30\0\0", b"\x3b\x30"];
        look_at(&framed(&[&[1, 0, 0, 0, 0, 0, 0, 0][..], &[0; 4], cookies[cookie], &rest].concat()))?;
        look_at(&rest)?;
    }
}

fn look_at(blob: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(vector) = DeletionVector::decode(blob) {
        let (mut count, mut last) = (0, None);
        for position in vector.iter().take(20_000) {
            prop_assert!(last.is_none_or(|last| last < position));
            (count, last) = (count + 1, Some(position));
        }
        prop_assert!(count == vector.cardinality().min(20_000), "{count} of {}", vector.cardinality());
        prop_assert_eq!(DeletionVector::decode(&vector.encode().unwrap()).unwrap(), vector);
    }
    Ok(())
}
