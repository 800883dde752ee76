//! Whatever the bytes: they are decoded or refused, and take no more memory than allowed.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use table_core::manifest::file::Manifest;
use table_core::manifest::list::{self, ManifestContent};
use table_core::metadata::types::Primitive;

use crate::table::listed;
use crate::writer::{codecs, entry, line, list_schema, manifest_schema, optional, write};

const LIMIT_BYTES: usize = 1 << 16;

/// A manifest and a manifest list for each codec.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let counts = json!({"1": 10, "2": 10});
    let bounds = json!({"1": [1, 0, 0, 0], "2": "text"});
    let entries: Vec<_> = (0..20)
        .map(|number| {
            entry(json!({
                "file_path": format!("file {number}"), "partition": {"s": format!("p{}", number % 3), "u": null},
                "content": number % 3, "column_sizes": counts, "value_counts": counts, "null_value_counts": counts,
                "nan_value_counts": counts, "lower_bounds": bounds, "upper_bounds": bounds, "key_metadata": [1, 2],
                "split_offsets": [4, 5000], "equality_ids": [1], "sort_order_id": 1, "first_row_id": 5,
                "referenced_data_file": "a", "content_offset": 4, "content_size_in_bytes": 40,
            }))
        })
        .collect();
    let summary =
        json!({"contains_null": true, "contains_nan": false, "lower_bound": [1], "upper_bound": "z"});
    let lines: Vec<_> = (0..20)
        .map(|number| {
            line(json!({"manifest_path": format!("m {number}"), "partitions": [summary, summary], "first_row_id": 1}))
        })
        .collect();
    let uuid = json!({"type": "fixed", "name": "uuid_fixed", "size": 16});
    let schema = manifest_schema(&[optional(1000, "s", "string"), optional(1001, "u", uuid)]);
    let manifests = codecs().map(|codec| write(&schema, &entries, codec));
    let lists = codecs().map(|codec| write(&list_schema(), &lines, codec));
    manifests.into_iter().chain(lists).collect()
});

/// Decodes bytes as a manifest and as a list, and looks at everything that is in them.
fn look_at(bytes: &[u8]) -> Result<(), TestCaseError> {
    drop(list::decode(bytes, LIMIT_BYTES));
    let Ok(manifest) = Manifest::decode(bytes, LIMIT_BYTES) else { return Ok(()) };
    prop_assert!(manifest.memory_bytes() <= LIMIT_BYTES + 4096, "it takes {} bytes", manifest.memory_bytes());
    let types = vec![(1000, Some(Primitive::String)), (1001, Some(Primitive::Uuid))];
    drop(manifest.partitions(&types));
    drop(manifest.partitions(&Vec::new()));
    let listed = listed(0, ManifestContent::Data);
    for file in manifest.files(&listed) {
        let _texts = (file.path(), file.format(), file.referenced_data_file(), file.key_metadata());
        let _numbers = (file.sequence_number(), file.first_row_id(), file.snapshot_id());
        let counts =
            [file.column_sizes(), file.value_counts(), file.null_value_counts(), file.nan_value_counts()];
        let counted: usize = counts.into_iter().flatten().map(Iterator::count).sum();
        let bounded: usize =
            [file.lower_bounds(), file.upper_bounds()].into_iter().flatten().map(Iterator::count).sum();
        let lists: usize =
            [file.split_offsets(), file.equality_ids()].into_iter().flatten().map(Iterator::count).sum();
        prop_assert!(counted + bounded + lists <= 8 * LIMIT_BYTES);
    }
    Ok(())
}

#[test]
fn what_is_damaged_below_was_whole() {
    let (manifests, lists) = FILES.split_at(4);
    for bytes in manifests {
        assert_eq!(Manifest::decode(bytes, LIMIT_BYTES).map(|manifest| manifest.len()), Ok(20));
    }
    for bytes in lists {
        assert_eq!(list::decode(bytes, LIMIT_BYTES).map(|manifests| manifests.len()), Ok(20));
    }
}

#[test]
fn every_truncation_is_refused_or_read() {
    for bytes in FILES.iter() {
        for length in 0..bytes.len() {
            look_at(&bytes[..length]).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_refused_or_read(file in select(FILES.clone()), at in any::<Index>(), byte in any::<u8>()) {
        let mut bytes = file;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        look_at(&bytes)?;
    }

    #[test]
    fn changed_numbers_are_refused_or_read(
        file in select(FILES.clone()), changes in prop::collection::vec((any::<Index>(), select(vec![0, 1, 2, 127, 128, 254, 255])), 1..4),
    ) {
        let mut bytes = file;
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        look_at(&bytes)?;
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read(rest in prop::collection::vec(any::<u8>(), 0..200), begins in any::<bool>()) {
        let mut bytes = if begins { b"Obj\x01".to_vec() } else { Vec::new() };
        bytes.extend(rest);
        look_at(&bytes)?;
    }

    /// Behind a whole header, so that blocks and records are reached.
    #[test]
    fn arbitrary_blocks_are_refused_or_read(
        file in select(FILES.clone()), count in 0..200_i64, content in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let marker: [u8; 16] = *file.last_chunk().unwrap();
        let header = file.windows(16).position(|window| window == marker).unwrap() + 16;
        let mut bytes = file[..header].to_vec();
        for number in [count, i64::try_from(content.len()).unwrap()] {
            let mut rest = (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned();
            while rest > 127 {
                bytes.push(u8::try_from(rest & 127).unwrap() | 128);
                rest >>= 7;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
        bytes.extend(&content);
        bytes.extend(marker);
        look_at(&bytes)?;
    }
}
