//! Counts over the workspace's own sources, which are read as text: nothing is compiled and no macro
//! expanded.
//!
//! The results are in [`measures`]; most modules beside it parse one aspect of a source file. They rely on
//! rustfmt's layout: each item and each attribute starts a line.

pub mod circles;
pub mod docs;
pub mod frames;
pub mod functions;
pub mod imports;
pub mod items;
pub mod measures;
pub mod modules;
pub mod parts;
pub mod scan;
pub mod source;
pub mod stats;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use source::Source;

/// Name of the crate that holds harness and suites.
const TESTS: &str = "tests";

/// Folders of a crate that hold tests and the like.
const TEST_FOLDERS: [&str; 3] = ["benches", "examples", "tests"];

/// Sources of the workspace.
pub struct Workspace {
    /// Crates that are shipped, in the order of the workspace's manifest.
    pub crates: Vec<Crate>,
    /// All other sources: the crate `tests`, and the tests, benches and examples of the crates that are
    /// shipped.
    pub tests: Vec<Source>,
}

/// Crate that is shipped.
pub struct Crate {
    /// Name of its folder.
    pub name: String,
    /// Sources below `src`.
    pub sources: Vec<Source>,
}

impl Workspace {
    /// Sources of the workspace whose manifest is in a folder.
    ///
    /// # Errors
    ///
    /// If a file or folder cannot be read, or the manifest names no members.
    pub fn read(root: &Path) -> io::Result<Self> {
        let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
        let mut workspace = Self { crates: Vec::new(), tests: Vec::new() };
        for member in members(&manifest).ok_or_else(|| io::Error::other("the manifest names no members"))? {
            for folder in TEST_FOLDERS {
                read_folder(root, &format!("{member}/{folder}"), Source::test, &mut workspace.tests)?;
            }
            if member == TESTS {
                read_folder(root, "tests/src", Source::test, &mut workspace.tests)?;
                continue;
            }
            let mut sources = Vec::new();
            read_folder(root, &format!("{member}/src"), Source::product, &mut sources)?;
            let (sources, tests) = split_tests(sources);
            workspace.tests.extend(tests);
            workspace.crates.push(Crate { name: member.to_owned(), sources });
        }
        Ok(workspace)
    }

    /// Sources of all crates that are shipped.
    pub fn product(&self) -> Vec<&Source> {
        self.crates.iter().flat_map(|shipped| &shipped.sources).collect()
    }
}

/// Members that a workspace's manifest lists.
fn members(manifest: &str) -> Option<Vec<&str>> {
    let (_, rest) = manifest.split_once("\nmembers = [")?;
    let (list, _) = rest.split_once(']')?;
    Some(list.split('"').skip(1).step_by(2).collect())
}

/// Reads the Rust files below a folder, in the order of their paths. A folder that does not exist has none.
fn read_folder(
    root: &Path,
    folder: &str,
    parse: fn(&str, &str) -> Source,
    sources: &mut Vec<Source>,
) -> io::Result<()> {
    let path = root.join(folder);
    if !path.is_dir() {
        return Ok(());
    }
    let mut entries =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    entries.sort();
    for entry in entries {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
        let path = format!("{folder}/{name}");
        if entry.is_dir() {
            read_folder(root, &path, parse, sources)?;
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            sources.push(parse(&path, &fs::read_to_string(&entry)?));
        }
    }
    Ok(())
}

/// Splits the files of modules that are declared for tests only from the others.
fn split_tests(sources: Vec<Source>) -> (Vec<Source>, Vec<Source>) {
    let mut tests = Vec::new();
    for source in &sources {
        let folder = match source.stem() {
            "lib" | "main" | "mod" => source.folder().to_owned(),
            stem => format!("{}/{stem}", source.folder()),
        };
        tests.extend(source.test_modules.iter().map(|name| format!("{folder}/{name}")));
    }
    let is_test = |source: &Source| {
        let below = |module: &String| source.path.strip_prefix(module.as_str());
        tests.iter().filter_map(below).any(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    sources.into_iter().partition(|source| !is_test(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_in_the_manifest_s_order() {
        assert_eq!(members("[workspace]\nmembers = [\"b\",\n  \"a\"]\nx = [\"c\"]\n"), Some(vec!["b", "a"]));
        assert_eq!(members("[package]\n"), None);
    }

    #[test]
    fn modules_for_tests_are_no_product() {
        let sources = [
            ("a/src/lib.rs", "#[cfg(test)]\nmod tests;\nmod b;"),
            ("a/src/tests.rs", ""),
            ("a/src/tests/c.rs", ""),
            ("a/src/b.rs", "#[cfg(test)]\nmod d;"),
            ("a/src/b/d/mod.rs", ""),
            ("a/src/d.rs", ""),
        ];
        let sources = sources.map(|(path, text)| Source::product(path, text));
        let (product, tests) = split_tests(Vec::from(sources));
        let paths =
            |sources: Vec<Source>| -> Vec<String> { sources.into_iter().map(|source| source.path).collect() };
        assert_eq!(paths(product), ["a/src/lib.rs", "a/src/b.rs", "a/src/d.rs"]);
        assert_eq!(paths(tests), ["a/src/tests.rs", "a/src/tests/c.rs", "a/src/b/d/mod.rs"]);
    }

    #[test]
    fn this_workspace_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let workspace = Workspace::read(root).unwrap();
        assert!(workspace.crates.len() >= 5);
        assert!(workspace.crates.iter().all(|shipped| !shipped.sources.is_empty()));
        assert!(workspace.tests.iter().any(|source| source.path == "tests/src/code/mod.rs"));
    }
}
