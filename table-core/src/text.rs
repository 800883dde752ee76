//! Formatting of numbers in messages for people.

/// Formats a count with its noun: `1 file`, `3 files`.
pub fn count(number: impl Into<u64>, one: &str, many: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

/// Formats a part of a whole, with the noun of the whole and the verb of the part: `1 of 3 files is small`.
pub fn part(number: u64, whole: u64, noun: (&str, &str), verb: (&str, &str)) -> String {
    let verb = if number == 1 { verb.0 } else { verb.1 };
    format!("{number} of {} {verb}", count(whole, noun.0, noun.1))
}

/// Formats the counts that are not zero as a list: `2 snapshots, 1 branch and 3 schemas`. Empty if all are
/// zero.
pub fn counts(all: &[(u64, &str, &str)]) -> String {
    let words: Vec<String> = all
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| count(*number, one, many))
        .collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Formats a duration in milliseconds in its largest whole unit: `5 days`, `90 minutes`.
pub fn span(ms: u64) -> String {
    const UNITS: [(u64, &str, &str); 4] = [
        (86_400_000, "day", "days"),
        (3_600_000, "hour", "hours"),
        (60_000, "minute", "minutes"),
        (1_000, "second", "seconds"),
    ];
    let whole = UNITS.into_iter().find(|(unit, ..)| ms >= *unit && ms.is_multiple_of(*unit));
    let (unit, one, many) = whole.unwrap_or((1, "millisecond", "milliseconds"));
    count(ms / unit, one, many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_their_nouns_and_zeros_are_left_out() {
        assert_eq!(count(1_u32, "entry", "entries"), "1 entry");
        assert_eq!(count(0_u32, "entry", "entries"), "0 entries");
        let small = |number, whole| part(number, whole, ("file", "files"), ("is small", "are small"));
        assert_eq!(small(1, 1), "1 of 1 file is small");
        assert_eq!(small(1, 3), "1 of 3 files is small");
        assert_eq!(small(2, 3), "2 of 3 files are small");
        let list = |snapshots, branches, schemas| {
            counts(&[
                (snapshots, "snapshot", "snapshots"),
                (branches, "branch", "branches"),
                (schemas, "schema", "schemas"),
            ])
        };
        assert_eq!(list(0, 0, 0), "");
        assert_eq!(list(1, 0, 0), "1 snapshot");
        assert_eq!(list(2, 0, 1), "2 snapshots and 1 schema");
        assert_eq!(list(2, 1, 3), "2 snapshots, 1 branch and 3 schemas");
    }

    #[test]
    fn spans_are_told_in_whole_units() {
        let texts = [432_000_000, 86_400_000, 5_400_000, 1_500, 0].map(span);
        assert_eq!(texts, ["5 days", "1 day", "90 minutes", "1500 milliseconds", "0 milliseconds"]);
    }
}
