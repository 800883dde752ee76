//! Files that are broken: an error, never a panic, and never rows that were not there.

use std::panic::catch_unwind;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use table_core::expr::value::Value;
use table_core::file::footer;
use table_core::file::parquet_reader::FileReader;
use table_core::file::parquet_reader::context::FileContext;
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::metadata::types::StructType;

use crate::common::{columns, full, read, refuse, schema_of, write};
use crate::model::{Cell, Row};
use crate::random::Maker;

fn try_to_read(file: &Bytes, columns: &StructType) {
    let Ok(reader) = FileReader::open(file, columns, FileContext::new("")) else { return };
    for batch in reader.read(file) {
        if batch.is_err() {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_do_not_panic(seed in any::<u64>()) {
        let mut maker = Maker::new(seed);
        let columns = maker.columns();
        let rows = maker.rows(&columns, 30);
        let schema = schema_of(&columns);
        let options = WriterOptions { compression: parquet::basic::Compression::UNCOMPRESSED, ..full(&schema) };
        let (file, _) = write(&schema, &options, &[&rows]).unwrap();
        let mut damaged = file.to_vec();
        for _ in 0..=maker.random.below(3) {
            let place = maker.random.below(damaged.len());
            damaged[place] = u8::try_from(maker.random.next() & 0xff).unwrap();
        }
        let damaged = Bytes::from(damaged);
        prop_assert!(catch_unwind(|| try_to_read(&damaged, &columns)).is_ok());
    }
}

#[test]
fn files_that_end_early_are_refused() {
    let mut maker = Maker::new(7);
    let columns = maker.columns();
    let rows = maker.rows(&columns, 30);
    let schema = schema_of(&columns);
    let (file, _) = write(&schema, &full(&schema), &[&rows]).unwrap();
    for end in 0..file.len() {
        refuse(read(&file.slice(..end), &columns), "file");
    }
    // Bytes that are fewer than were asked for.
    let reader = FileReader::open(&file, &columns, FileContext::new("")).unwrap();
    let short = reader.ranges(0).unwrap().iter().map(|_| Bytes::new()).collect();
    assert!(reader.batches(0, short).and_then(|mut batches| batches.next().unwrap()).is_err());
    assert!(reader.batches(0, Vec::new()).is_err());
    assert!(reader.batches(1, Vec::new()).is_err());
}

/// Bytes of Thrift's compact protocol.
fn varint(number: u64) -> Vec<u8> {
    let mut rest = number;
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A number in zigzag form.
fn zigzag(number: i64) -> Vec<u8> {
    varint(((number << 1) ^ (number >> 63)).cast_unsigned())
}

/// The metadata of a file whose columns nest so deep; `children` is how each says that it has one child.
fn nested_with(depth: usize, children: &[u8]) -> Vec<u8> {
    // A version, a list of elements, no rows, no row groups.
    let mut metadata = vec![0x15, 2, 0x19, 0xfc];
    metadata.extend(varint(depth as u64 + 2));
    metadata.extend([0x48, 1, b'm', 0x15, 2, 0]);
    for _ in 0..depth {
        metadata.extend([0x35, 2, 0x18, 1, b'a']);
        metadata.extend(children);
        metadata.push(0);
    }
    metadata.extend([0x15, 2, 0x25, 2, 0x18, 1, b'x', 0]);
    metadata.extend([0x16, 0, 0x19, 0x0c, 0]);
    metadata
}

fn nested(depth: usize) -> Vec<u8> {
    nested_with(depth, &[0x15, 2])
}

/// Metadata that says to a decoder what it does not say to somebody who counts in another way.
fn forged() -> Vec<(&'static str, Vec<u8>)> {
    let deep = 100_000;
    // Field 5 by an id that is 5 in 16 bits, and one child by a number that is 1 in 32 bits.
    let wide_id: Vec<u8> = [vec![5], zigzag(5 + (1 << 16)), zigzag(1)].concat();
    let wide_number: Vec<u8> = [vec![0x15], zigzag(1 + (1 << 32))].concat();
    // An id so far back that the next one is 5 again.
    let negative_id: Vec<u8> = [vec![5], zigzag(-32_763), zigzag(7), vec![5], zigzag(5), zigzag(1)].concat();
    let twice: Vec<u8> = [vec![0x15], zigzag(0), vec![5], zigzag(5), zigzag(1)].concat();
    let honest = nested(deep);
    let schema = &honest[2..honest.len() - 5];
    let count = |head: u8, number: u64| [vec![head, 0xfc], varint(number)].concat();
    let flat = &nested(0)[..nested(0).len() - 5];
    let huge = u64::from(i32::MAX.cast_unsigned());
    let hidden = varint(schema.len() as u64);
    vec![
        ("an id of more than 16 bits", nested_with(deep, &wide_id)),
        ("a number of more than 32 bits", nested_with(deep, &wide_number)),
        ("an id below zero", nested_with(deep, &negative_id)),
        ("a field that comes twice", nested_with(deep, &twice)),
        // To a decoder the version is a number, whatever the type of the field: the schema is what follows.
        (
            "a version that is text",
            [&[0x18][..], &hidden, schema, &flat[2..], &[0x16, 0, 0x19, 0x0c, 0]].concat(),
        ),
        ("elements that are numbers", {
            let mut metadata = honest.clone();
            metadata[3] = 0xf5;
            metadata
        }),
        ("row groups that are not there", [flat, &[0x16, 0], &count(0x19, huge), &[0]].concat()),
        ("elements that are not there", [&[0x15, 2][..], &count(0x19, huge), &[0]].concat()),
        ("entries that are not there", [flat, &[0x16, 0, 0x19, 0x0c], &count(0x19, huge), &[0]].concat()),
        ("children that are not there", {
            let mut metadata = vec![0x15, 2, 0x19, 0x1c, 0x48, 1, b'm', 0x15];
            metadata.extend(zigzag(i64::from(i32::MAX)));
            metadata.extend([0, 0x16, 0, 0x19, 0x0c, 0]);
            metadata
        }),
        ("a list of truth", [&[0xd9, 0xf1][..], &varint(9), &nested(deep)].concat()),
        ("too many elements", {
            let mut metadata = [vec![0x15, 2], count(0x19, 400_001), vec![0x48, 1, b'm', 0x15]].concat();
            metadata.extend(zigzag(400_000));
            metadata.push(0);
            metadata.extend([0x15, 2, 0x25, 2, 0x18, 1, b'x', 0].repeat(400_000));
            metadata.extend([0x16, 0, 0x19, 0x0c, 0]);
            metadata
        }),
        ("names that are long", {
            // Every column's full name has the long one in it.
            let mut metadata = [vec![0x15, 2], count(0x19, 50_002), vec![0x48, 1, b'm', 0x15, 2, 0]].concat();
            metadata.extend([0x35, 2, 0x18]);
            metadata.extend(varint(1 << 20));
            metadata.extend(vec![b'n'; 1 << 20]);
            metadata.push(0x15);
            metadata.extend(zigzag(50_000));
            metadata.push(0);
            metadata.extend([0x15, 2, 0x25, 2, 0x18, 1, b'x', 0].repeat(50_000));
            metadata.extend([0x16, 0, 0x19, 0x0c, 0]);
            metadata
        }),
    ]
}

/// Set for the process that does what might end it.
const FORGED: &str = "FIRN_TEST_FORGED_FOOTERS";

#[test]
fn forged_metadata_does_not_end_the_process() {
    if std::env::var_os(FORGED).is_some() {
        for (what, metadata) in forged() {
            assert!(footer::decode(&metadata).is_err(), "{what}");
        }
        return;
    }
    let name = "damage::forged_metadata_does_not_end_the_process";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name, "--nocapture"]).env(FORGED, "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}

#[test]
fn columns_that_nest_deeper_than_the_stack_are_refused() {
    let deepest = footer::decode(&nested(190)).unwrap();
    assert_eq!(deepest.file_metadata().schema_descr().num_columns(), 1);
    let wanted = columns(&json!([{"id": 1, "name": "a", "required": false, "type": "int"}]));
    drop(FileReader::new(Arc::new(deepest), &wanted, FileContext::new("")));
    refuse(footer::decode(&nested(100_000)), "nest deeper");
    refuse(footer::decode(&nested(10)[..40]), "damaged");
    refuse(footer::decode(&[]), "damaged");
    refuse(footer::decode(&[0]), "no schema");
    refuse(footer::length(*b"\x01\0\0\0PARE"), "encrypted");
    refuse(footer::length(*b"\x01\0\0\0PAR2"), "does not end like");
}

#[test]
fn a_page_that_becomes_very_large_is_not_decompressed() {
    let columns = columns(&json!([{"id": 1, "name": "a", "required": true, "type": "string"}]));
    let schema = schema_of(&columns);
    let row = Row::from([(1, Cell::Value(Value::String("a".to_owned())))]);
    let (file, _) = write(&schema, &full(&schema), &[&[row]]).unwrap();
    let reader = FileReader::open(&file, &columns, FileContext::new("")).unwrap();
    let page = |uncompressed_bytes: i64| {
        let sizes = [&[0x15, 0, 0x15][..], &zigzag(uncompressed_bytes), &[0x15], &zigzag(1)].concat();
        // One value, plain; levels that nobody looks at.
        Bytes::from([&sizes[..], &[0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0, b'x']].concat())
    };
    refuse(reader.batches(0, vec![page((512 << 20) + 1)]).map(drop), "larger than 512 MiB");
    reader.batches(0, vec![page(512 << 20)]).map(drop).unwrap();
}

#[test]
fn a_page_that_is_not_that_of_its_checksum_is_refused() {
    let mut maker = Maker::new(11);
    let columns = maker.columns();
    let rows = maker.rows(&columns, 300);
    let schema = schema_of(&columns);
    let options = WriterOptions { compression: parquet::basic::Compression::UNCOMPRESSED, ..full(&schema) };
    let (file, _) = write(&schema, &options, &[&rows]).unwrap();
    let metadata = footer::read(&file).unwrap();
    let end = usize::try_from(metadata.row_group(0).columns().last().unwrap().byte_range().1).unwrap();
    let last = usize::try_from(metadata.row_group(0).columns().last().unwrap().byte_range().0).unwrap() + end;
    let mut refused = 0;
    for place in (4..last).step_by(5) {
        let mut damaged = file.to_vec();
        damaged[place] ^= 0x10;
        match read(&damaged.into(), &columns) {
            Err(error) => refused += usize::from(error.to_string().contains("checksum")),
            // A header says some things that nobody needs.
            Ok(found) => assert_eq!(found, rows, "a changed byte at {place} is read"),
        }
    }
    assert!(refused > (last - 4) / 10, "{refused} of {last} changes were found by their checksum");
}
