//! One history, here and with Java's library.

use std::collections::BTreeMap;
use std::fmt::Write;

use table_core::manifest::data_file::DataFile;
use table_core::manifest::entry::FileContent;
use table_core::manifest::list::ManifestContent;
use table_core::snapshot::change::{ChangeKind, FileChange};
use table_core::snapshot::rewrite::Clustering;

use super::lake::{Lake, append, data, delete, equality, p_is, positions, replace, row_delta, vector};

/// What Java's library 1.11.0 made of [`history`] with `newFastAppend`, `newRowDelta`, `newRewrite` (with a
/// data sequence number), `newDelete`, `newOverwrite` (by row filter) and `rewriteManifests`: each snapshot's
/// sequence number, row ids and summary, and the live files at the end as `path@sequence number#first row
/// id`.
const JAVA: &str = include_str!("../../fixtures/snapshots/java-1.11-history.txt");

fn history(version: i32) -> Lake {
    let mut lake = Lake::new(version);
    lake.commit(&append(&[data("a", "x"), data("b", "y")]));
    lake.commit(&append(&[data("d", "x")]));
    let deletes: Vec<DataFile> = match version {
        2 => vec![equality("eq", "x"), positions("pos", "y")],
        _ => vec![equality("eq", "x"), vector("v", 4, "a", "x"), vector("v", 50, "b", "y")],
    };
    if version > 1 {
        lake.commit(&row_delta(&[data("e", "x")], &deletes));
        let rewrite = replace(&[data("a", "x")], &[data("n", "x")], lake.head());
        lake.commit(&FileChange { data_sequence_number: Some(1), ..rewrite });
    }
    lake.commit(&delete(&["b"]));
    lake.commit(&append(&[data("f", "z")]));
    let overwrite = FileChange {
        removed_rows: p_is("x"),
        added_data: vec![data("g", "x")],
        ..FileChange::new(ChangeKind::Overwrite)
    };
    lake.commit(&overwrite);
    lake.rewrite(|line| line.content == ManifestContent::Data, Clustering::AsRead);
    lake
}

fn show(version: i32, lake: &Lake) -> String {
    let number = |number: Option<i64>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
    let mut text = String::new();
    for snapshot in lake.metadata.snapshots() {
        let summary: BTreeMap<_, _> = snapshot.summary().unwrap().into_iter().collect();
        let summary: Vec<_> = summary.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (first, added) = (number(snapshot.first_row_id()), number(snapshot.added_rows()));
        let sequence_number = snapshot.sequence_number();
        writeln!(text, "v{version} {sequence_number} first={first} added={added} {{{}}}", summary.join(", "))
            .unwrap();
    }
    let mut live: Vec<_> = lake
        .live()
        .iter()
        .map(|entry| {
            let path = format!("{}@{}", entry.file.path, entry.sequence_number.unwrap());
            let is_data = entry.file.content == FileContent::Data;
            if is_data { format!("{path}#{}", number(entry.file.first_row_id)) } else { path }
        })
        .collect();
    live.sort();
    writeln!(text, "v{version} [{}]", live.join(", ")).unwrap();
    text
}

#[test]
fn the_same_history_has_the_same_summaries_numbers_and_row_ids_as_with_java() {
    let ours: String = (1..=3).map(|version| show(version, &history(version))).collect();
    for (ours, java) in ours.lines().zip(JAVA.lines()) {
        assert_eq!(ours, java);
    }
    assert_eq!(ours.lines().count(), JAVA.lines().count());
}
