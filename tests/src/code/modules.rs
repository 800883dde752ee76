//! Modules of crates and the imports between their files. Modules are found by their declarations, from the
//! root files down; `#[path]` and modules that macros declare are not followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::imports::{self, Place, UsedPath};
use super::scan;
use super::source::Source;

/// Folders whose files are roots of crates of their own.
const ROOT_FOLDERS: [&str; 4] = ["bin", "benches", "examples", "tests"];

/// Use of one file by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// Path of the file that imports.
    pub from: String,
    /// Path of the file that is imported.
    pub to: String,
    /// Line of the first such import, counted from 1.
    pub line: usize,
}

/// Use of another crate by a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateUse {
    /// Path of the file that uses it.
    pub from: String,
    /// Segments of the path behind the name of the crate.
    pub path: Vec<String>,
    /// Line, counted from 1.
    pub line: usize,
}

/// Path of a module from its crate's root, without `crate`.
type ModulePath = Vec<String>;

/// One crate: its modules that have a file of their own.
struct Tree<'a> {
    files: BTreeMap<ModulePath, &'a Source>,
}

/// Imports between some files, one for each pair, by their paths.
///
/// A path leads to the file of the longest module it names. A `mod` declaration is no import, and neither is
/// a path in a module's code that starts with its own child (`child::f()`); `use child::f` is one.
pub fn imports<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Vec<Import> {
    let sources: BTreeMap<&str, &Source> =
        sources.into_iter().map(|source| (source.path.as_str(), source)).collect();
    let mut lines: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for root in sources.values().filter(|source| is_root(source)) {
        let tree = Tree::of(root, &sources);
        for (module, source) in &tree.files {
            for (to, line) in tree.imports_of(module, source) {
                let first = lines.entry((source.path.as_str(), to)).or_insert(line);
                *first = line.min(*first);
            }
        }
    }
    let import =
        |((from, to), line): ((&str, &str), usize)| Import { from: from.to_owned(), to: to.to_owned(), line };
    lines.into_iter().map(import).collect()
}

/// Uses of the crate `name` (as in paths, with `_`) by some files, in their order.
///
/// In a file that declares a module of this name, or imports one, the name stands for the module. A path with
/// `::` before the name is found only in `use`.
pub fn crate_uses<'a>(sources: impl IntoIterator<Item = &'a Source>, name: &str) -> Vec<CrateUse> {
    let mut found = Vec::new();
    for source in sources {
        let paths = imports::used_paths(&source.code);
        let imports_module = |path: &UsedPath| {
            let is_name = path.segments.len() > 1 && path.segments.last().is_some_and(|last| last == name);
            path.place == Place::Use && is_name && !path.segments[0].is_empty()
        };
        let is_module = declared_modules(&source.code).contains(name) || paths.iter().any(imports_module);
        for path in paths {
            let inside = match path.segments.as_slice() {
                [first, rest @ ..] if first == name && !is_module => rest,
                [first, second, rest @ ..] if first.is_empty() && second == name => rest,
                _ => continue,
            };
            let line = source.line_of(path.at);
            found.push(CrateUse { from: source.path.clone(), path: inside.to_vec(), line });
        }
    }
    found
}

/// Returns whether a file is the root of a crate.
fn is_root(source: &Source) -> bool {
    let folder = source.folder().rsplit('/').next().unwrap_or_default();
    matches!(source.stem(), "lib" | "main") || (source.stem() != "mod" && ROOT_FOLDERS.contains(&folder))
}

impl<'a> Tree<'a> {
    /// The crate of a root file.
    fn of(root: &'a Source, sources: &BTreeMap<&str, &'a Source>) -> Self {
        let mut files = BTreeMap::new();
        let mut open = vec![(ModulePath::new(), root)];
        while let Some((module, source)) = open.pop() {
            let folder = if is_root(source) || source.stem() == "mod" {
                source.folder().to_owned()
            } else {
                format!("{}/{}", source.folder(), source.stem())
            };
            for child in declared_modules(&source.code) {
                let paths = [format!("{folder}/{child}.rs"), format!("{folder}/{child}/mod.rs")];
                let file = paths.iter().find_map(|path| sources.get(path.as_str()));
                open.extend(file.map(|file| (joined(&module, child), *file)));
            }
            files.insert(module, source);
        }
        Self { files }
    }

    /// Paths of the files that a module imports, and the lines.
    fn imports_of(&self, module: &ModulePath, source: &Source) -> Vec<(&'a str, usize)> {
        let inline = inline_modules(&source.code);
        let mut found = Vec::new();
        for path in imports::used_paths(&source.code) {
            let mut current = module.clone();
            let enclosing = inline.iter().filter(|(range, _)| range.contains(&path.at));
            current.extend(enclosing.map(|(_, name)| (*name).to_owned()));
            if let Some(to) = self.resolve(&current, &path).filter(|to| to.path != source.path) {
                found.push((to.path.as_str(), source.line_of(path.at)));
            }
        }
        found
    }

    /// The file that a path leads to, seen from a module; `None` if it leads out of the crate or to what is
    /// no module.
    fn resolve(&self, current: &ModulePath, path: &UsedPath) -> Option<&'a Source> {
        let (first, rest) = path.segments.split_first()?;
        let mut target = match first.as_str() {
            "crate" => ModulePath::new(),
            "self" => current.clone(),
            "super" => current.split_last()?.1.to_vec(),
            child => {
                let child = joined(current, child);
                let is_import = path.place == Place::Use && self.files.contains_key(&child);
                is_import.then_some(child)?
            }
        };
        for segment in rest {
            if segment == "super" {
                target.pop()?;
            } else {
                target.push(segment.clone());
            }
        }
        (0..=target.len()).rev().find_map(|length| self.files.get(&target[..length]).copied())
    }
}

fn joined(module: &ModulePath, child: &str) -> ModulePath {
    let mut path = module.clone();
    path.push(child.to_owned());
    path
}

/// Names of the modules that masked text declares without a body.
fn declared_modules(code: &str) -> BTreeSet<&str> {
    let name = |at: usize| {
        let name = scan::identifier(code, scan::skip_space(code, at + 3));
        let end = scan::skip_space(code, at + 3) + name.len();
        (code[end..].starts_with(';') && !name.is_empty()).then_some(name)
    };
    scan::words(code, "mod").filter_map(name).collect()
}

/// Modules that masked text declares with their bodies: the outer before the inner.
fn inline_modules(code: &str) -> Vec<(Range<usize>, &str)> {
    let module = |at: usize| {
        let name = scan::identifier(code, scan::skip_space(code, at + 3));
        let open = scan::skip_space(code, scan::skip_space(code, at + 3) + name.len());
        let end = code[open..].starts_with('{').then(|| scan::closing(code, open))??;
        Some((open..end, name))
    };
    scan::words(code, "mod").filter_map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::product(path, text)).collect();
        let found: Vec<_> = imports(&sources)
            .into_iter()
            .map(|import| format!("{} {} {}", import.from, import.line, import.to))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_lead_to_the_longest_module_they_name() {
        check(
            &[
                ("a/src/lib.rs", "mod b;\nmod c;\n"),
                ("a/src/b/mod.rs", "pub mod d;\npub struct B;\n"),
                ("a/src/b/d.rs", "use super::B;\nuse super::super::c;\n"),
                ("a/src/c.rs", "use std::fmt;\nuse crate::b::{B, d::D};\nfn f() { crate::g() }\n"),
            ],
            &[
                "a/src/b/d.rs 1 a/src/b/mod.rs",
                "a/src/b/d.rs 2 a/src/c.rs",
                "a/src/c.rs 2 a/src/b/d.rs",
                "a/src/c.rs 2 a/src/b/mod.rs",
                "a/src/c.rs 3 a/src/lib.rs",
            ],
        );
    }

    #[test]
    fn a_parent_imports_its_children_with_use_only() {
        let child = ("a/src/b.rs", "");
        check(&[("a/src/lib.rs", "mod b;\nfn f() { b::g() }\n"), child], &[]);
        check(&[("a/src/lib.rs", "mod b;\nuse b::g;\n"), child], &["a/src/lib.rs 2 a/src/b.rs"]);
        check(&[("a/src/lib.rs", "mod b;\nuse self::b::g;\n"), child], &["a/src/lib.rs 2 a/src/b.rs"]);
    }

    #[test]
    fn modules_without_a_file_belong_to_the_file_around_them() {
        check(
            &[
                ("a/src/lib.rs", "mod b;\nmod c;\n"),
                ("a/src/b.rs", "mod x {\n    use super::super::c::C;\n    use super::Y;\n}\nuse x::Z;\n"),
                ("a/src/c.rs", "use crate::b::x::Z;\n"),
            ],
            &["a/src/b.rs 2 a/src/c.rs", "a/src/c.rs 1 a/src/b.rs"],
        );
    }

    #[test]
    fn a_library_and_a_program_in_one_folder_are_two_crates() {
        check(
            &[
                ("a/src/lib.rs", "mod b;\n"),
                ("a/src/main.rs", "mod c;\nuse a::b;\n"),
                ("a/src/b.rs", "use crate::B;\n"),
                ("a/src/c.rs", "use crate::C;\nuse crate::b::B;\n"),
            ],
            &["a/src/b.rs 1 a/src/lib.rs", "a/src/c.rs 1 a/src/main.rs"],
        );
    }

    #[test]
    fn a_name_is_that_of_a_crate_unless_a_module_has_it() {
        let uses = |text: &str| -> Vec<String> {
            let source = Source::product("a/src/b.rs", text);
            crate_uses([&source], "other").into_iter().map(|used| used.path.join("::")).collect()
        };
        assert_eq!(uses("use other::{a::B, c};\nfn f() { other::d::e() }"), ["a::B", "c", "d::e"]);
        assert_eq!(uses("use crate::others::A;\nuse a::other::B;\nuse ::other::C;"), ["C"]);
        assert!(uses("mod other;\nuse other::A;").is_empty());
        assert!(uses("use super::other;\nfn f() { other::a() }").is_empty());
        assert!(uses("// other::a\nconst A: &str = \"other::a\";").is_empty());
    }

    #[test]
    fn tests_and_texts_import_nothing() {
        check(
            &[
                ("a/src/lib.rs", "mod b;\nmod c;\n"),
                (
                    "a/src/b.rs",
                    "// use crate::c;\nconst X: &str = \"crate::c::d\";\n\
                     #[cfg(test)]\nmod t { use crate::c; }\n",
                ),
                ("a/src/c.rs", ""),
            ],
            &[],
        );
    }
}
