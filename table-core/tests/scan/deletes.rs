//! Which deletes apply to which data files.

use serde_json::{Value as Json, json};
use table_core::manifest::list::ManifestContent;
use table_core::scan::error::ScanError;

use crate::table::{field, listed, plan, show, table};
use crate::writer::{entry, manifest, optional};

/// Plans files such as `x/a 1`: a data file `a` of partition `x` with sequence number 1, which may be `?`. Behind it may
/// stand `equality`, `positions` or `vector`, and `of a`: the file it references; `between a b`: the bounds of its paths;
/// `id=1..3`: bounds of the column `id`, and `nulls=2`: how many of its ten values are null; `gone`: the entry is deleted;
/// `plain`: the columns compared are not told.
fn plan_of(files: &str) -> Result<Json, ScanError> {
    let metadata = table(&[json!([]), json!([field(2, 1000, "s", "identity")])]);
    let mut manifests = Vec::new();
    for content in [ManifestContent::Data, ManifestContent::Deletes] {
        for spec_id in [0, 1] {
            let parsed = files.split(", ").map(parse);
            let entries: Vec<_> = parsed
                .filter(|file| file.content == content && file.spec_id == spec_id)
                .map(|file| file.entry)
                .collect();
            let fields = [optional(1000, "s", "string")];
            let fields = &fields[..usize::try_from(spec_id).unwrap()];
            if !entries.is_empty() {
                manifests.push((listed(spec_id, content), manifest(fields, &entries)));
            }
        }
    }
    plan(&metadata, &json!({}), manifests)
}

struct Listed {
    content: ManifestContent,
    spec_id: i32,
    entry: Json,
}

fn parse(text: &str) -> Listed {
    let mut words = text.split(' ');
    let (name, sequence) = (words.next().unwrap(), words.next().unwrap());
    let (partition, path) =
        name.split_once('/').map_or((None, name), |(partition, path)| (Some(partition), path));
    let mut file = json!({"file_path": path});
    file["partition"] = json!({"s": partition.filter(|partition| *partition != "null")});
    let mut outer = json!({"status": 0});
    if sequence != "?" {
        let number: i64 = sequence.parse().unwrap();
        outer["sequence_number"] = json!(number);
        outer["file_sequence_number"] = json!(number);
    }
    let mut content = ManifestContent::Deletes;
    match words.next() {
        None => content = ManifestContent::Data,
        Some("positions") => file["content"] = json!(1),
        Some("equality") => {
            file["content"] = json!(2);
            file["equality_ids"] = json!([1]);
        }
        Some("vector") => {
            file["content"] = json!(1);
            file["file_format"] = json!("PUFFIN");
            file["content_offset"] = json!(4);
            file["content_size_in_bytes"] = json!(40);
        }
        Some(first) => {
            content = ManifestContent::Data;
            say(&mut file, &mut outer, first, &mut words);
        }
    }
    while let Some(word) = words.next() {
        say(&mut file, &mut outer, word, &mut words);
    }
    file["entry"] = outer;
    Listed { content, spec_id: i32::from(partition.is_some()), entry: entry(file) }
}

fn say<'a>(file: &mut Json, outer: &mut Json, word: &str, words: &mut impl Iterator<Item = &'a str>) {
    let mut next = || words.next().unwrap();
    match word {
        "of" => file["referenced_data_file"] = json!(next()),
        // By the ids of `file_path`, `_file` and a column of the table.
        "between" | "between_files" | "between_rows" => {
            let id = match word {
                "between" => "2147483546",
                "between_files" => "2147483646",
                _ => "2",
            };
            file["lower_bounds"] = json!({ id: next() });
            file["upper_bounds"] = json!({ id: next() });
        }
        "gone" => outer["status"] = json!(2),
        "plain" => file["equality_ids"] = Json::Null,
        _ => {
            let (key, value) = word.split_once('=').unwrap();
            file["value_counts"] = json!({"1": 10});
            if key == "nulls" {
                file["null_value_counts"] = json!({"1": value.parse::<i64>().unwrap()});
                return;
            }
            assert_eq!(key, "id", "{word}");
            let (lower, upper) = value.split_once("..").unwrap();
            let bound = |text: &str| json!(text.parse::<i32>().unwrap().to_le_bytes());
            file["lower_bounds"] = json!({"1": bound(lower)});
            file["upper_bounds"] = json!({"1": bound(upper)});
            if file["null_value_counts"].is_null() {
                file["null_value_counts"] = json!({"1": 0});
            }
        }
    }
}

#[track_caller]
fn check(files: &str, expected: &str) {
    assert_eq!(show(&plan_of(files).unwrap()), expected, "{files}");
}

#[track_caller]
fn refuse(files: &str, part: &str) {
    let message = plan_of(files).unwrap_err().to_string();
    assert!(message.contains(part), "{files}: {message}");
}

#[test]
fn equality_deletes_are_for_older_files_only() {
    check("a 1, b 2, c 3, e 2 equality", "a: e; b; c");
    check("a 1, b 2, e 2 equality, f 3 equality", "a: e f; b: f");
}

#[test]
fn position_deletes_are_for_files_of_their_own_commit_too() {
    check("a 1, b 2, c 3, p 2 positions", "a: p; b: p; c");
    check("a 1, b 2, p 2 positions of b, q 1 positions of b", "a; b: p");
}

#[test]
fn equality_deletes_without_a_partition_are_for_all() {
    check("a 1, x/b 1, null/c 1, e 2 equality", "a: e; b: e; c: e");
}

/// As in Java: where all partition fields were dropped, a file is in no partition.
#[test]
fn equality_deletes_with_dropped_partition_fields_only_are_for_all() {
    let metadata =
        table(&[json!([field(2, 1000, "s", "identity")]), json!([field(2, 1001, "s_void", "void")])]);
    let at = |number: i64| json!({"status": 0, "sequence_number": number, "file_sequence_number": number});
    let data = entry(json!({"entry": at(1), "file_path": "a", "partition": {"s": "x"}}));
    let delete = json!({"entry": at(2), "file_path": "e", "content": 2, "equality_ids": [1]});
    let mut delete = entry(delete);
    delete["data_file"]["partition"] = json!({"s_void": null});
    let manifests = vec![
        (listed(0, ManifestContent::Data), manifest(&[optional(1000, "s", "string")], &[data])),
        (listed(1, ManifestContent::Deletes), manifest(&[optional(1001, "s_void", "string")], &[delete])),
    ];
    assert_eq!(show(&plan(&metadata, &json!({}), manifests).unwrap()), "a: e");
}

#[test]
fn other_deletes_are_for_their_partition() {
    check("a 1, x/b 1, y/c 1, null/d 1, x/e 2 equality", "a; b: e; c; d");
    check("a 1, x/b 1, y/c 1, null/d 1, null/e 2 equality", "a; b; c; d: e");
    check("a 1, x/b 1, y/c 1, null/d 1, x/p 2 positions", "a; b: p; c; d");
    // Without a partition is one partition for position deletes.
    check("a 1, x/b 1, p 2 positions", "a: p; b");
    check("x/a 1, e 2 equality, x/f 2 equality, x/p 2 positions", "a: e f p");
}

#[test]
fn position_deletes_may_be_for_one_file() {
    check("a 1, b 1, p 2 positions of a", "a: p; b");
    check("a 1, b 1, p 2 positions between a a", "a: p; b");
    check("a 1, b 1, c 1, p 2 positions between a b", "a: p; b: p; c: p");
    check("a 1, b 1, p 2 positions of b between a a", "a; b: p");
    // As DuckDB writes it, which Java does not know, and what rows hold.
    check("a 1, b 1, p 2 positions between_files a a", "a: p; b: p");
    check("a 1, b 1, p 2 positions between_rows a a", "a: p; b: p");
    // Whatever partition they are listed in.
    check("x/a 1, p 2 positions of a", "a: p");
    check("a 3, p 2 positions of a", "a");
}

#[test]
fn a_deletion_vector_takes_the_place_of_position_deletes() {
    check("a 1, b 1, p 2 positions of a, q 2 positions, v 3 vector of a", "a: v; b: q");
    check("a 1, e 3 equality, v 3 vector of a", "a: e v");
    check("a 2, v 2 vector of a", "a: v");
    check("a 1, v 2 vector of nowhere", "a");
}

#[test]
fn each_entry_of_a_file_that_is_listed_twice_has_the_deletes_for_its_age() {
    check("a 1, a 1, p 2 positions of a, e 2 equality", "a: e p; a: e p");
    check("a 1, a 3, p 2 positions, q 4 positions of a, e 2 equality", "a: e p q; a: q");
    check("x/a 1, y/a 1, x/e 2 equality", "a: e; a");
    check("a 1, a 2, v 2 vector of a", "a: v; a: v");
}

#[test]
fn a_delete_that_is_listed_twice_is_for_what_either_entry_is_for() {
    check("a 1, b 2, e 2 equality, e 3 equality", "a: e e; b: e");
    check("a 1, b 3, v 1 vector of a, v 2 vector of a", "a: v; b");
    check("a 2, v 2 vector of a, v 1 vector of a", "a: v");
}

#[test]
fn deletion_vectors_that_make_no_sense_are_damage() {
    refuse("a 1, v 2 vector of a, w 3 vector of a", "`a` has two deletion vectors");
    refuse("a 3, v 2 vector of a", "the deletion vector of `a` has sequence number 2");
    refuse("a 1, v 2 vector", "does not name its data file");
}

#[test]
fn equality_deletes_are_left_out_where_the_metrics_of_both_rule_them_out() {
    check("a 1 id=1..3, b 1 id=4..6, c 1, e 2 equality id=3..3", "a: e; b; c: e");
    check("a 1 id=1..3, b 1 id=4..6, e 2 equality", "a: e; b: e");
    // Null is equal to null, and to nothing else.
    check("a 1 nulls=10, b 1 nulls=3 id=1..9, c 1 id=1..9, e 2 equality id=20..30", "a; b; c");
    check("a 1 nulls=10, b 1 nulls=3 id=1..9, c 1 id=1..9, e 2 equality nulls=10", "a: e; b: e; c");
    check("a 1 nulls=10, c 1 id=1..9, e 2 equality nulls=1 id=20..30", "a: e; c");
}

/// Bounds do not tell of NaN, which is equal to NaN.
#[test]
fn a_delete_of_nan_is_for_files_that_may_hold_it() {
    let planned = |nans_of_data: Option<i64>, nans_of_delete: Option<i64>| {
        let of = |path: &str, number: i64, value: f64, nans: Option<i64>| {
            let bound = json!({"7": value.to_le_bytes()});
            let mut file = json!({
                "file_path": path, "lower_bounds": bound, "upper_bounds": bound, "value_counts": {"7": 10},
                "null_value_counts": {"7": 0},
                "entry": {"status": 0, "sequence_number": number, "file_sequence_number": number},
            });
            if let Some(nans) = nans {
                file["nan_value_counts"] = json!({"7": nans});
            }
            file
        };
        let data = entry(of("a", 1, 5.0, nans_of_data));
        let mut delete = of("e", 2, 1.0, nans_of_delete);
        delete["content"] = json!(2);
        delete["equality_ids"] = json!([7]);
        let manifests = vec![
            (listed(0, ManifestContent::Data), manifest(&[], &[data])),
            (listed(0, ManifestContent::Deletes), manifest(&[], &[entry(delete)])),
        ];
        show(&plan(&table(&[json!([])]), &json!({}), manifests).unwrap())
    };
    assert_eq!(planned(Some(1), Some(1)), "a: e");
    assert_eq!(planned(None, Some(1)), "a: e");
    assert_eq!(planned(Some(0), Some(1)), "a");
    assert_eq!(planned(Some(1), Some(0)), "a");
}

#[test]
fn what_was_removed_is_gone() {
    check("a 1 gone, b 1, e 2 equality gone, p 2 positions gone, f 2 equality", "b: f");
    check("a 1, v 2 vector of a gone, w 3 vector of a", "a: w");
}

#[test]
fn files_that_cannot_be_placed_are_damage() {
    refuse("a ?, e 2 equality", "`a` was carried over without its sequence number");
    refuse("a 1, e ? equality", "`e` was carried over without its sequence number");
    refuse("a 1, e 2 equality plain", "`e` does not name the columns that it compares");
    // Nobody asks for the number where there are no deletes.
    check("a ?", "a");
}

#[test]
fn a_delete_file_is_told_once() {
    let plan = plan_of("a 1, b 1, e 2 equality, v 2 vector of b").unwrap();
    let told: Vec<_> =
        plan["delete-files"].as_array().unwrap().iter().map(|file| file["file-path"].clone()).collect();
    assert_eq!(told, [json!("e"), json!("v")]);
    assert_eq!(plan["file-scan-tasks"][1]["delete-file-references"], json!([0, 1]));
    assert_eq!(
        plan["delete-files"],
        json!([
            {"content": "equality-deletes", "file-path": "e", "file-format": "parquet", "spec-id": 0, "partition": [],
                "file-size-in-bytes": 1000, "record-count": 10, "equality-ids": [1]},
            {"content": "position-deletes", "file-path": "v", "file-format": "puffin", "spec-id": 0, "partition": [],
                "file-size-in-bytes": 1000, "record-count": 10, "referenced-data-file": "b", "content-offset": 4,
                "content-size-in-bytes": 40},
        ])
    );
}

#[test]
fn manifests_that_hold_the_other_kind_are_damage() {
    let metadata = table(&[json!([])]);
    let data = manifest(&[], &[entry(json!({}))]);
    let deletes = manifest(&[], &[entry(json!({"content": 1}))]);
    for (content, bytes, part) in [
        (ManifestContent::Deletes, data, "of delete files lists the data file `a`"),
        (ManifestContent::Data, deletes, "of data files lists the delete file `a`"),
    ] {
        let message = plan(&metadata, &json!({}), vec![(listed(0, content), bytes)]).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}
