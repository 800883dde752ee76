//! Files that are broken: an error, never a panic, and never rows that were not there.

use std::panic::catch_unwind;

use bytes::Bytes;
use proptest::prelude::*;
use table_core::file::footer;
use table_core::file::parquet_reader::{FileContext, FileReader};
use table_core::file::parquet_writer::options::WriterOptions;
use table_core::metadata::types::StructType;

use crate::common::{full, read, refuse, schema_of, write};
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

/// The metadata of a file whose columns nest so deep.
fn nested(depth: usize) -> Vec<u8> {
    let varint = |number: usize| {
        let mut rest = number;
        let mut bytes = Vec::new();
        while rest > 0x7f {
            bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes
    };
    // A version, a list of elements, no rows, no row groups.
    let mut metadata = vec![0x15, 2, 0x19, 0xfc];
    metadata.extend(varint(depth + 2));
    metadata.extend([0x48, 1, b'm', 0x15, 2, 0]);
    for _ in 0..depth {
        metadata.extend([0x35, 2, 0x18, 1, b'a', 0x15, 2, 0]);
    }
    metadata.extend([0x15, 2, 0x25, 2, 0x18, 1, b'x', 0]);
    metadata.extend([0x16, 0, 0x19, 0x0c, 0]);
    metadata
}

#[test]
fn columns_that_nest_deeper_than_the_stack_are_refused() {
    assert_eq!(footer::decode(&nested(100)).unwrap().file_metadata().schema_descr().num_columns(), 1);
    refuse(footer::decode(&nested(100_000)), "nest deeper");
    refuse(footer::decode(&nested(10)[..40]), "no schema");
    refuse(footer::decode(&[]), "no schema");
    refuse(footer::length(*b"\x01\0\0\0PARE"), "encrypted");
    refuse(footer::length(*b"\x01\0\0\0PAR2"), "does not end as");
}
