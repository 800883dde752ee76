//! Parts of a folder, which are the files and folders directly in it, and their uses of each other.

use std::collections::{BTreeMap, BTreeSet};

use super::modules;
use super::scan;
use super::source::Source;

/// Uses of parts by parts: the user, what it uses, and the places, each as path and line.
pub type Uses = BTreeMap<(String, String), Vec<String>>;

/// Name of the part of a folder that a path is in; `None` if it is elsewhere.
pub fn part<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
    let name = rest.split('/').next()?;
    Some(name.strip_suffix(".rs").unwrap_or(name))
}

/// Names of the parts of a folder that some files are in.
pub fn parts<'a>(sources: &[&'a Source], folder: &str) -> BTreeSet<&'a str> {
    sources.iter().filter_map(|source| part(folder, &source.path)).collect()
}

/// Uses of the parts of a folder by each other: by paths, by macros that are in scope by their order
/// (`macro_rules!`), and, where a program is beside its library, by the name `library` of that.
pub fn uses(sources: &[&Source], folder: &str, library: &str) -> Uses {
    let mut uses = Uses::new();
    let mut add = |from: &str, to: Option<&str>, line: usize| {
        if let (Some(user), Some(used)) = (part(folder, from), to)
            && user != used
        {
            uses.entry((user.to_owned(), used.to_owned())).or_default().push(format!("{from}:{line}"));
        }
    };
    for import in modules::imports(sources.iter().copied()) {
        add(&import.from, part(folder, &import.to), import.line);
    }
    for used in modules::crate_uses(sources.iter().copied(), library) {
        add(&used.from, used.path.first().map(String::as_str), used.line);
    }
    for (name, definer) in sources.iter().flat_map(|source| macros(source)) {
        for source in sources {
            if let Some(at) = calls_of_macro(&source.code, name).next() {
                add(&source.path, part(folder, definer), source.line_of(at));
            }
        }
    }
    uses
}

/// Names of the macros that a file defines, and its path.
fn macros(source: &Source) -> impl Iterator<Item = (&str, &str)> {
    let code = source.code.as_str();
    let name = |at: usize| scan::identifier(code, scan::skip_space(code, at + "macro_rules!".len()));
    scan::words(code, "macro_rules").map(move |at| (name(at), source.path.as_str()))
}

/// Offsets of the calls of a macro by its name alone.
fn calls_of_macro<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_call = |at: &usize| code[at + name.len()..].starts_with("!(") && !code[..*at].ends_with("::");
    scan::words(code, name).filter(is_call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_use_each_other_by_paths_macros_and_the_library_s_name() {
        let files = [
            ("a/src/lib.rs", "mod m;\npub mod b;\npub mod c;\n"),
            ("a/src/main.rs", "mod d;\nuse a::b::B;\n"),
            ("a/src/m.rs", "macro_rules! again {}\n"),
            ("a/src/b/mod.rs", "mod e;\n"),
            ("a/src/b/e.rs", "use super::super::c;\nuse super::B;\nfn f() { again!(1) }\n"),
            ("a/src/c.rs", "fn f() { tokio::again!(1) }\n"),
            ("a/src/d.rs", "fn f() { a::c::f() }\n"),
        ];
        let sources = files.map(|(path, text)| Source::product(path, text));
        let sources: Vec<&Source> = sources.iter().collect();
        let found: Vec<_> = uses(&sources, "a/src", "a")
            .into_iter()
            .map(|((user, used), places)| format!("{user} {used} {}", places.join(",")))
            .collect();
        assert_eq!(
            found,
            ["b c a/src/b/e.rs:1", "b m a/src/b/e.rs:3", "d c a/src/d.rs:1", "main b a/src/main.rs:2"]
        );
        assert_eq!(part("a/src", "a/src/b/e.rs"), Some("b"));
        assert_eq!(part("a/src", "a/srcs/b.rs"), None);
        assert_eq!(parts(&sources, "a/src").len(), 6);
    }
}
