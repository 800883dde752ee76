//! Selection of the `FIRN_*` environment variables that are settings of the server.
//!
//! Other variables share the prefix: those of the other subcommands, of tests, and those that a container
//! platform sets for a service called `firn`. They must not prevent the server from starting.

use std::collections::BTreeSet;

use figment::providers::Serialized;
use figment::value::{Dict, Value};
use figment::{Figment, Provider as _};

use super::Config;

const PREFIX: &str = "FIRN_";
/// Variables of this program, without prefix, that are not settings of the server: the path of the
/// configuration file, and the options of the other subcommands.
const OWN: [&str; 3] = ["CONFIG", "URI", "TOKEN"];

/// Converts the name of a variable, without prefix, to the name of its setting: `LIMITS__BODY_BYTES` becomes
/// `limits.body-bytes`.
pub(super) fn setting(variable: &str) -> String {
    variable.to_lowercase().replace("__", ".").replace('_', "-")
}

/// Returns the variables, without prefix, that are set and have to be read, and a warning for each variable
/// that is ignored.
///
/// A variable that starts with the name of a section (`LIMITS__…`) is always read, so that a misspelt setting
/// is an error.
pub(super) fn settings(defaults: &Config) -> (BTreeSet<String>, Vec<String>) {
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let set = set.filter_map(|name| name.strip_prefix(PREFIX).map(str::to_uppercase));
    sort(&paths(defaults), set)
}

fn sort(known: &BTreeSet<String>, set: impl Iterator<Item = String>) -> (BTreeSet<String>, Vec<String>) {
    let (mut read, mut ignored) = (BTreeSet::new(), Vec::new());
    for variable in set {
        let path = setting(&variable);
        let section = path.split_once('.').map(|(section, _)| format!("{section}."));
        let names_section =
            section.is_some_and(|section| known.iter().any(|path| path.starts_with(&section)));
        if known.contains(&path) || names_section {
            read.insert(variable);
        } else if !OWN.contains(&variable.as_str()) && !is_of_platform(&variable) {
            let is_section = |known: &&String| known.starts_with(&format!("{path}."));
            let meant = known.iter().find(|known| is_similar(known, &path) || is_section(known));
            let hint = meant.map(|known| {
                let variable = known.to_uppercase().replace('.', "__").replace('-', "_");
                format!("; did you mean `{PREFIX}{variable}`?")
            });
            ignored.push(format!(
                "`{PREFIX}{variable}` is not a setting and is ignored{}",
                hint.unwrap_or_default()
            ));
        }
    }
    ignored.sort();
    (read, ignored)
}

/// Returns the names of all settings, such as `listen` and `limits.body-bytes`.
fn paths(defaults: &Config) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let profile = Figment::from(Serialized::defaults(defaults)).data().unwrap_or_default();
    for dict in profile.into_values() {
        collect("", &dict, &mut found);
    }
    found
}

fn collect(section: &str, dict: &Dict, found: &mut BTreeSet<String>) {
    for (name, value) in dict {
        match value {
            Value::Dict(_, inner) => collect(&format!("{section}{name}."), inner, found),
            _ => {
                found.insert(format!("{section}{name}"));
            }
        }
    }
}

/// Returns `true` if Kubernetes or Docker set such a variable for every service, as `FIRN_SERVICE_HOST` or
/// `FIRN_PORT_8181_TCP_ADDR`.
fn is_of_platform(variable: &str) -> bool {
    variable == "PORT"
        || variable == "NAME"
        || variable.starts_with("SERVICE_")
        || variable.starts_with("PORT_")
}

/// Returns `true` if the edit distance (Levenshtein) of two names is so small that one may be the other
/// misspelt.
fn is_similar(one: &str, other: &str) -> bool {
    const SIMILAR: usize = 2;
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = number + 1;
        for (place, theirs) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *theirs);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row.last().is_some_and(|distance| *distance <= SIMILAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let (read, ignored) = sort(&paths(&Config::default()), names.iter().map(|name| (*name).to_owned()));
        (read.into_iter().collect(), ignored)
    }

    #[test]
    fn settings_and_misspelt_ones_of_a_section_are_read() {
        let names = [
            "DATABASE_URL",
            "DATA_DIR",
            "LIMITS__BODY_BITES",
            "LIMITS__BODY_BYTES",
            "MAINTENANCE__SPILL_DIR",
            "WAREHOUSE__LOCATION",
        ];
        assert_eq!(sorted(&names), (names.map(str::to_owned).to_vec(), Vec::new()));
    }

    #[test]
    fn what_others_set_is_not_told_of() {
        let names =
            ["CONFIG", "URI", "TOKEN", "PORT", "PORT_8181_TCP_ADDR", "SERVICE_HOST", "SERVICE_PORT_HTTP"];
        assert_eq!(sorted(&names), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_is_no_setting_is_told_of_and_a_misspelt_one_with_what_was_meant() {
        let (read, ignored) = sorted(&["BINARY", "LISTN", "LOG", "TESTS__KEEP"]);
        assert!(read.is_empty(), "{read:?}");
        assert_eq!(
            ignored,
            [
                "`FIRN_BINARY` is not a setting and is ignored",
                "`FIRN_LISTN` is not a setting and is ignored; did you mean `FIRN_LISTEN`?",
                "`FIRN_LOG` is not a setting and is ignored; did you mean `FIRN_LOG__FORMAT`?",
                "`FIRN_TESTS__KEEP` is not a setting and is ignored",
            ]
        );
    }
}
