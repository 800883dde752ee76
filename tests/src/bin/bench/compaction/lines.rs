//! The table that is printed: a line for each contender, with how many times Firn's it took.

use super::measure::{Cost, Outcome};

/// What a contender left behind.
#[derive(Default)]
pub struct Extra {
    /// Requests for files, if it tells.
    pub requests: Option<u64>,
    /// Bytes read, if it tells.
    pub read: Option<u64>,
    /// Bytes written, as it tells or as they are there.
    pub written: Option<u64>,
    /// Files that it wrote.
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

/// Prints a contender's line; its ratios are its cost over Firn's.
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
