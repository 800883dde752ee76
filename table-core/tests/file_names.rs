//! Metadata files are named so that they sort, and read whatever they are called.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{V2, commit};
use serde_json::json;
use table_core::metadata::error::MetadataError;
use table_core::metadata::file_name::{MetadataCodec, decode, encode, first_location, next_location};
use table_core::metadata::properties::Properties;
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(0xab);
const NAME: &str = "00000000-0000-0000-0000-0000000000ab";

fn properties(updates: &serde_json::Value) -> Properties {
    let updates = json!([{"action": "set-properties", "updates": updates}]);
    commit(V2, &updates).unwrap().metadata.properties().clone()
}

fn check(current: &str, version: &str) {
    let expected = format!("s3://b/t/metadata/{version}-{NAME}.metadata.json");
    assert_eq!(next_location(current, "s3://b/t/", &Properties::default(), ID), expected, "{current}");
}

#[test]
fn the_next_version_follows_the_digits_of_the_current_name() {
    check("s3://b/t/metadata/00003-aa-bb.metadata.json", "00004");
    check("s3://b/t/metadata/00009-aa.gz.metadata.json", "00010");
    check("s3://b/t/metadata/99999-aa.metadata.json", "100000");
    check("s3://b/t/metadata/v12.metadata.json", "00013");
    check("v7.gz.metadata.json", "00008");
    check("12-x", "00013");
}

#[test]
fn a_name_without_a_version_starts_anew() {
    for name in [
        "s3://b/t/metadata/aa.metadata.json",
        "",
        "version.json",
        "12.metadata.json",
        "3a-x.metadata.json",
        "99999999999999999999-x",
    ] {
        check(name, "00000");
    }
    assert_eq!(
        first_location("s3://b/t", &Properties::default(), ID),
        format!("s3://b/t/metadata/00000-{NAME}.metadata.json")
    );
}

#[test]
fn properties_choose_directory_and_compression() {
    let chosen =
        properties(&json!({"write.metadata.path": "s3://c/m/", "write.metadata.compression-codec": "GZIP"}));
    assert_eq!(first_location("s3://b/t", &chosen, ID), format!("s3://c/m/00000-{NAME}.gz.metadata.json"));
    let unknown = properties(&json!({"write.metadata.path": "", "write.metadata.compression-codec": "zstd"}));
    assert_eq!(
        first_location("s3://b/t", &unknown, ID),
        format!("s3://b/t/metadata/00000-{NAME}.metadata.json")
    );
}

#[test]
fn files_are_read_as_they_were_written() {
    let json = br#"{"a": 1}"#.to_vec();
    for name in ["s3://b/x.metadata.json", "x.gz.metadata.json", "x.metadata.json.gz"] {
        let file = encode(name, &json).unwrap();
        assert_eq!(file != json, MetadataCodec::of_file_name(name) == MetadataCodec::Gzip);
        assert_eq!(decode(name, &file, 8).unwrap(), json);
        assert_eq!(decode(name, &file, 7), Err(MetadataError::TooLarge { limit_bytes: 7 }));
        // Some writers compress without saying so.
        assert_eq!(decode("x.json", &file, 100).unwrap(), json);
    }
    assert!(matches!(decode("x.gz.metadata.json", &json, 100), Err(MetadataError::Malformed(_))));
}

#[test]
fn a_file_that_expands_without_end_is_cut_short() {
    let blanks = vec![b' '; 50_000_000];
    let file = encode("x.gz.metadata.json", &blanks).unwrap();
    assert!(file.len() < 100_000);
    assert_eq!(decode("x.gz.metadata.json", &file, 1000), Err(MetadataError::TooLarge { limit_bytes: 1000 }));
}
