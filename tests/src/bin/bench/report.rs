//! Output of the benchmarks of catalog and planning: a row for each measurement.

/// Result of one measurement: Firn against a reference.
pub struct Line {
    /// Name of the measurement.
    pub name: String,
    /// Result of Firn, with its unit.
    pub firn: String,
    /// Result of the reference, with its unit.
    pub reference: String,
    /// Ratio of both results; see the constructors.
    pub ratio: f64,
    /// Target for the ratio.
    pub aim: Aim,
}

/// Target for a ratio.
#[derive(Clone, Copy)]
pub enum Aim {
    /// Minimum.
    AtLeast(f64),
    /// Maximum.
    AtMost(f64),
}

impl Line {
    /// Creates a line for rates per second: more is better. The ratio is Firn's rate divided by the
    /// reference's.
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

    /// Creates a line for times or sizes: less is better. The ratio is Firn's cost divided by the
    /// reference's.
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

    /// Creates a line for times in milliseconds in which both do the same work. The ratio is the speed-up:
    /// the reference's time divided by Firn's.
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

/// Prints a heading.
pub fn heading(title: &str) {
    println!("\n{title}\n");
    println!("{:<52} {:>14} {:>14} {:>7} {:>8}", "", "Firn", "reference", "ratio", "aim");
}

/// Prints a line as soon as its result is known.
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

/// Returns the median of the values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
