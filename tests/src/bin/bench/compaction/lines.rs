//! Output of the compaction benchmark: a row for each contender, with its cost as a multiple of Firn's.

use super::measure::{Cost, Outcome};

/// Further results of a contender.
#[derive(Default)]
pub struct Extra {
    /// Number of file requests, if reported.
    pub requests: Option<u64>,
    /// Bytes read, if reported.
    pub read: Option<u64>,
    /// Bytes written, as reported or measured from the files.
    pub written: Option<u64>,
    /// Number of data files written.
    pub files: Option<u64>,
}

/// Prints the heading of a case.
pub fn heading(title: &str) {
    println!("\n{title}\n");
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>6} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "", "CPU s", "wall s", "peak MiB", "files", "requests", "read MB", "write MB", "CPU ×", "wall ×"
    );
}

/// Prints the row of a contender. Ratios are its cost divided by Firn's.
pub fn print(name: &str, outcome: &Outcome, extra: &Extra, firn: Option<&Cost>) {
    let cost = match outcome {
        Outcome::Done(cost) => cost,
        Outcome::OutOfMemory => return println!("{name:<28} out of memory"),
        Outcome::Late => return println!("{name:<28} did not end in time"),
    };
    let count = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    let megabytes =
        |bytes: Option<u64>| bytes.map_or("-".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1e6));
    let ratio =
        |theirs: f64, ours: Option<f64>| ours.map_or("-".to_owned(), |ours| format!("{:.2}", theirs / ours));
    println!(
        "{name:<28} {:>9.2} {:>9.2} {:>9.0} {:>6} {:>9} {:>9} {:>9} {:>7} {:>7}",
        cost.cpu_seconds,
        cost.wall_seconds,
        cost.peak_bytes / f64::from(1 << 20),
        count(extra.files),
        count(extra.requests),
        megabytes(extra.read),
        megabytes(extra.written),
        ratio(cost.cpu_seconds, firn.map(|firn| firn.cpu_seconds)),
        ratio(cost.wall_seconds, firn.map(|firn| firn.wall_seconds)),
    );
}
