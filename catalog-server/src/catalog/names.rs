//! Names of namespaces, tables and views, validated once at the interface.

use std::fmt;

use crate::store::catalog::names::LEVEL_SEPARATOR;

/// Maximum length of a name, in bytes of UTF-8.
const NAME_BYTES_MAX: usize = 512;
/// Maximum length of a namespace path in bytes, because PostgreSQL cannot index more than 2,704 bytes.
const NAMESPACE_BYTES_MAX: usize = 2_048;
/// Maximum number of levels of a namespace.
const LEVELS_MAX: usize = 32;

/// Namespace of one or more levels, validated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace {
    levels: Vec<String>,
    path: String,
}

/// Identifier of a table or a view, validated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identifier {
    /// Namespace of the table or view.
    pub namespace: Namespace,
    /// Name within the namespace.
    pub name: String,
}

/// Reason why a name is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(String);

impl Namespace {
    /// Creates a namespace from its levels, outermost first.
    ///
    /// # Errors
    ///
    /// Fails if there is no level or there are too many levels, if a level is empty, too long, `.` or `..`,
    /// or contains 0x00 or 0x1F, or if all levels together are too long ([`NameError`]).
    pub fn new(levels: Vec<String>) -> Result<Self, NameError> {
        if levels.is_empty() {
            return Err(NameError("Invalid namespace: it must have at least one level".to_owned()));
        }
        if levels.len() > LEVELS_MAX {
            return Err(NameError(format!(
                "Invalid namespace: it has {} levels, at most {LEVELS_MAX} are allowed",
                levels.len()
            )));
        }
        for level in &levels {
            check_name("namespace level", level)?;
            if level.contains(LEVEL_SEPARATOR) {
                return Err(NameError(
                    "Invalid namespace level: it contains the character 0x1F, which separates levels"
                        .to_owned(),
                ));
            }
        }
        let path = levels.join("\u{1f}");
        if path.len() > NAMESPACE_BYTES_MAX {
            return Err(NameError(format!(
                "Invalid namespace: all levels together are {} bytes, at most {NAMESPACE_BYTES_MAX} are allowed",
                path.len()
            )));
        }
        Ok(Self { levels, path })
    }

    /// Parses a namespace from a decoded URL segment, its levels separated by 0x1F.
    ///
    /// # Errors
    ///
    /// Fails like [`Namespace::new`].
    pub fn from_path(path: &str) -> Result<Self, NameError> {
        Self::new(path.split(LEVEL_SEPARATOR).map(str::to_owned).collect())
    }

    /// Returns the levels, outermost first.
    pub fn levels(&self) -> &[String] {
        &self.levels
    }

    /// Returns the levels joined by 0x1F, as stored in the database.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path of the parent namespace; `None` for a top-level namespace.
    pub fn parent_path(&self) -> Option<&str> {
        self.path.rsplit_once(LEVEL_SEPARATOR).map(|(parent, _)| parent)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.levels.join("."))
    }
}

impl Identifier {
    /// Creates an identifier from a namespace and a name.
    ///
    /// # Errors
    ///
    /// Fails if the name is empty, too long, `.` or `..`, or contains 0x00 ([`NameError`]).
    pub fn new(namespace: Namespace, name: String) -> Result<Self, NameError> {
        check_name("name", &name)?;
        Ok(Self { namespace, name })
    }
}

impl Identifier {
    /// Returns the name with its warehouse, in the notation of the `firn` command: levels that contain a dot
    /// or a quote are in double quotes.
    ///
    /// ```text
    /// main/sales."eu.west".orders
    /// ```
    pub fn in_warehouse(&self, warehouse: &str) -> String {
        let levels = self.namespace.levels().iter().chain([&self.name]).map(|level| quoted(level));
        format!("{warehouse}/{}", levels.collect::<Vec<_>>().join("."))
    }
}

fn quoted(level: &str) -> String {
    if level.contains(['.', '"']) { format!("\"{}\"", level.replace('"', "\"\"")) } else { level.to_owned() }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.namespace, self.name)
    }
}

fn check_name(what: &str, name: &str) -> Result<(), NameError> {
    let problem = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("it is {} bytes long, at most {NAME_BYTES_MAX} are allowed", name.len())
    } else if name.contains('\0') {
        "it contains the character 0x00".to_owned()
    } else if name == "." || name == ".." {
        // Clients and proxies remove such path segments from URLs, so the object could not be addressed.
        format!("`{name}` cannot be part of a URL")
    } else {
        return Ok(());
    };
    Err(NameError(format!("Invalid {what}: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(levels: &[&str]) -> Result<Namespace, NameError> {
        Namespace::new(levels.iter().map(|&level| level.to_owned()).collect())
    }

    #[test]
    fn any_unicode_dots_slashes_and_percent_signs_are_names() {
        for name in ["a.b", "a/b", "100%", " ", "ü", "数据", "…", "😀", "\u{1}"] {
            let namespace = levels(&["ns", name]).unwrap();
            assert_eq!(Namespace::from_path(namespace.path()).unwrap(), namespace);
            assert_eq!(namespace.parent_path(), Some("ns"));
        }
    }

    #[test]
    fn what_no_client_could_address_is_refused() {
        let long = "x".repeat(513);
        for name in ["", "\0", "a\u{1f}b", ".", "..", &long] {
            assert!(levels(&[name]).is_err(), "{name:?}");
        }
        assert!(levels(&[]).is_err());
        assert!(levels(&["x"; 33]).is_err());
        assert!(levels(&[long.get(..500).unwrap(); 5]).is_err());
    }
}
