//! The table that is printed.

/// One line: Firn against a reference.
pub struct Line {
    /// What was measured.
    pub name: String,
    /// What Firn reached, with its unit.
    pub firn: String,
    /// What the reference reached, with its unit.
    pub reference: String,
    /// Firn over the reference.
    pub ratio: f64,
    /// What the ratio should be.
    pub aim: Aim,
}

/// What a ratio should be.
#[derive(Clone, Copy)]
pub enum Aim {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Line {
    /// Rates per second: more is better.
    pub fn rate(name: &str, firn: f64, reference: f64, aim: f64) -> Self {
        let text = |rate: f64| format!("{rate:.0}/s");
        Self {
            name: name.to_owned(),
            firn: text(firn),
            reference: text(reference),
            ratio: firn / reference,
            aim: Aim::AtLeast(aim),
        }
    }

    /// Times or sizes: less is better.
    pub fn cost(name: &str, firn: f64, reference: f64, unit: &str, aim: f64) -> Self {
        let text = |cost: f64| format!("{cost:.2} {unit}");
        Self {
            name: name.to_owned(),
            firn: text(firn),
            reference: text(reference),
            ratio: firn / reference,
            aim: Aim::AtMost(aim),
        }
    }

    /// Times where the reference does the same work: what counts is how many times faster it is done.
    pub fn speed(name: &str, firn_ms: f64, reference_ms: f64, aim: f64) -> Self {
        let text = |time_ms: f64| format!("{time_ms:.1} ms");
        Self {
            name: name.to_owned(),
            firn: text(firn_ms),
            reference: text(reference_ms),
            ratio: reference_ms / firn_ms,
            aim: Aim::AtLeast(aim),
        }
    }

    fn is_met(&self) -> bool {
        match self.aim {
            Aim::AtLeast(aim) => self.ratio >= aim,
            Aim::AtMost(aim) => self.ratio <= aim,
        }
    }
}

/// Prints the heading.
pub fn heading(title: &str) {
    println!("\n{title}\n");
    println!("{:<52} {:>14} {:>14} {:>7} {:>8}", "", "Firn", "reference", "ratio", "aim");
}

/// Prints a line as soon as it is known.
pub fn print(line: &Line) {
    let aim = match line.aim {
        Aim::AtLeast(aim) => format!("≥ {aim}"),
        Aim::AtMost(aim) => format!("≤ {aim}"),
    };
    let missed = if line.is_met() { "" } else { "  missed" };
    println!(
        "{:<52} {:>14} {:>14} {:>7.2} {:>8}{missed}",
        line.name, line.firn, line.reference, line.ratio, aim
    );
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
