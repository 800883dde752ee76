//! Locations are one place or two, whatever their spelling.

use proptest::prelude::*;
use table_core::location::Location;

fn check(text: &str, expected: &str) {
    let normal = Location::parse(text).map_or_else(|error| error.to_string(), |it| it.normal().to_owned());
    assert!(
        normal == expected || (expected.starts_with('!') && normal.contains(&expected[1..])),
        "{text}: {normal}"
    );
}

#[test]
fn spellings_of_one_place_are_one_place() {
    for text in ["s3://b/x", "s3a://b/x", "S3N://b/x/", "s3://b/x/"] {
        check(text, "s3://b/x");
    }
    for text in ["/tmp/x", "file:/tmp/x", "file:///tmp/x", "file://localhost/tmp/x/", "FILE:///tmp/x"] {
        check(text, "file:///tmp/x");
    }
    check("s3://b", "s3://b");
    check("s3://b/", "s3://b");
    check("/", "file://");
    check("gs://b/a b/é", "gs://b/a b/é");
    // Percent signs stand for themselves.
    check("s3://b/a%20b", "s3://b/a%20b");
    check("/tmp/%78", "file:///tmp/%78");
    check("/tmp/100%/x%zz", "file:///tmp/100%/x%zz");
    check("/tmp/%ff", "file:///tmp/%ff");
    check("s3://b/ns.tbl-1/_x~@$&+,;=:", "s3://b/ns.tbl-1/_x~@$&+,;=:");
    check("abfs://c@Acc.dfs.core.windows.net/x", "abfss://c@acc.dfs.core.windows.net/x");
    assert_eq!(Location::parse("s3a://b/x").unwrap(), Location::parse("s3://b/x/").unwrap());
    assert_eq!(Location::parse("s3a://b/x/").unwrap().as_str(), "s3a://b/x/");
}

#[test]
fn what_could_be_understood_in_two_ways_is_refused() {
    for (text, reason) in [
        ("", "!empty"),
        ("x/y", "!relative"),
        ("file:x", "!relative"),
        ("1s3://b/x", "!scheme"),
        ("s3:/b/x", "!`//` is missing"),
        ("s3:///x", "!no bucket"),
        ("s3://b//x", "!`//` inside"),
        ("s3://b/x//", "!`//` inside"),
        ("s3://b/./x", "!`.` or `..`"),
        ("s3://b/x/..", "!`.` or `..`"),
        ("s3://b/%2e%2E/x", "!encoded `.` or `..`"),
        ("s3://b/.%2e/x", "!encoded `.` or `..`"),
        ("s3://b/%252e%252e/x", "!encoded `.` or `..`"),
        ("s3://b/a%252fb", "!encoded separator"),
        ("s3://b/a%25252Fb", "!encoded separator"),
        ("s3://../x", "!bucket is `.`"),
        ("s3://b/a%2fb", "!encoded separator"),
        ("s3://b/a%5Cb", "!encoded separator"),
        ("s3://b/a%00b", "!encoded separator"),
        ("s3://b/a%3Fb", "!encoded separator"),
        ("s3://b/a\\b", "!backslash"),
        ("s3://b/a\nb", "!control"),
        ("s3://b/x?y", "!query"),
        ("s3://b/x#y", "!query"),
        ("s3://u@b/x", "!user name"),
        ("s3://u:p@b/x", "!user name"),
        ("s3://b%2f/x", "!encoded character"),
        ("abfss://u:p@c/x", "!user name"),
        ("file://host/x", "!host"),
        ("file://x", "!no path"),
    ] {
        check(text, reason);
    }
    check(&format!("s3://b/{}", "x".repeat(2000)), "!longer");
}

#[test]
fn a_place_contains_what_is_inside_it_and_nothing_beside_it() {
    let contains =
        |outer: &str, inner: &str| Location::parse(outer).unwrap().contains(&Location::parse(inner).unwrap());
    assert!(contains("s3://b/orders", "s3a://b/orders/"));
    assert!(contains("s3://b/orders", "s3://b/orders/data/x"));
    assert!(contains("s3://b", "s3://b/orders"));
    assert!(contains("/", "/tmp"));
    assert!(!contains("s3://b/orders", "s3://b/orders2"));
    assert!(!contains("s3://b/orders", "s3://b"));
    assert!(!contains("s3://b", "s3://b2/orders"));
    assert!(!contains("s3://b/orders", "gs://b/orders"));
    assert!(!contains("s3://b/orders", "s3://b/Orders/x"));
}

#[test]
fn ancestors_run_from_the_root_to_the_place() {
    let ancestors = |text: &str| Location::parse(text).unwrap().ancestors();
    assert_eq!(ancestors("s3a://b/x/y/"), ["s3://b/", "s3://b/x/", "s3://b/x/y/"]);
    assert_eq!(ancestors("s3://b"), ["s3://b/"]);
    assert_eq!(ancestors("/tmp/x"), ["file:///", "file:///tmp/", "file:///tmp/x/"]);
    assert_eq!(Location::parse("/tmp/x").unwrap().prefix(), "file:///tmp/x/");
}

#[test]
fn files_may_have_encoded_partition_values_and_doubled_slashes() {
    let normal = |text: &str| Location::parse_file(text).map(|location| location.normal().to_owned());
    assert_eq!(normal("/w/t/data/city=a%2Fb/x?").ok(), None);
    assert_eq!(normal("/w/t//data/city=a%2Fb%00/x").unwrap(), "file:///w/t/data/city=a%2Fb%00/x");
    assert_eq!(normal("file:////w/t/x").unwrap(), "file:///w/t/x");
    for text in ["/w/t/../x", "/w/./t", "s3://b//x", "/w/a\\b", "/w/a\nb", "/w/a#b", "x", "file://host/x"] {
        assert!(normal(text).is_err(), "{text}");
    }
    assert_eq!(table_core::location::file_key("s3a://b/x"), "s3://b/x");
    assert_eq!(table_core::location::file_key("no location"), "no location");
}

proptest! {
    #[test]
    fn what_contains_a_file_is_a_folder_above_its_path(
        outer in "(file:|file://|file://localhost|)(/[ab%.][a4%1.é ]{0,2}){1,3}/?",
        inner in "(file:|file://|file://localhost|)(/[ab%.][a4%1.é ]{0,2}){1,4}/?",
    ) {
        if let (Ok(outer), Ok(inner)) = (Location::parse(&outer), Location::parse_file(&inner)) {
            let (folder, file) = (outer.local_path().unwrap(), inner.local_path().unwrap());
            prop_assert_eq!(outer.contains(&inner), std::path::Path::new(file).starts_with(folder));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        drop(Location::parse(&text));
    }

    #[test]
    fn containment_is_what_the_ancestors_say(
        outer in "(s3|gs)://[ab](/[xy%4]{1,2}){0,3}/?", inner in "(s3a|gs)://[ab](/[xy%4]{1,2}){0,3}/?"
    ) {
        if let (Ok(outer), Ok(inner)) = (Location::parse(&outer), Location::parse(&inner)) {
            prop_assert_eq!(outer.contains(&inner), inner.ancestors().contains(&outer.prefix()));
            prop_assert_eq!(outer.overlaps(&inner), inner.overlaps(&outer));
        }
    }

    #[test]
    fn the_normal_form_of_plain_locations_is_their_own(text in "s3://[a-z]{1,5}(/[a-z0-9._ -]{1,6}[a-z]){0,4}") {
        if let Ok(location) = Location::parse(&text) {
            prop_assert_eq!(location.normal(), text.as_str());
        }
    }
}
