//! Source files with their tests cut out. Whatever is measured of a file is measured of [`Source::text`] and
//! [`Source::code`], in which the tests are blank.

use std::ops::Range;

use super::scan;

/// Attribute that makes an item part of the tests.
const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// Keywords with which an item starts that is cut out; fields, variants and statements stay.
const ITEMS: [&str; 12] =
    ["async", "const", "enum", "fn", "impl", "mod", "static", "struct", "trait", "type", "unsafe", "use"];

/// Keywords of items that end with a semicolon even when they contain braces.
const ENDED_BY_SEMICOLON: [&str; 4] = ["const", "static", "type", "use"];

/// Rust source file.
pub struct Source {
    /// Path from the workspace's root, with `/`.
    pub path: String,
    /// Text of the file, its test items overwritten with spaces.
    pub text: String,
    /// [`Source::text`], comments and literals masked as by [`scan::mask`].
    pub code: String,
    /// Lines outside of test items.
    pub lines: usize,
    /// Lines of test items.
    pub test_lines: usize,
    /// Names of modules that are declared for tests only: `#[cfg(test)] mod name;`.
    pub test_modules: Vec<String>,
}

impl Source {
    /// Source of a product: items under `#[cfg(test)]` are cut out.
    pub fn product(path: &str, text: &str) -> Self {
        let code = scan::mask(text);
        let items = test_items(&code);
        let test_lines = items.iter().map(|range| text[range.clone()].lines().count()).sum();
        let declared = items.iter().filter_map(|range| declared_module(&code[range.clone()]));
        Self {
            path: path.to_owned(),
            lines: text.lines().count() - test_lines,
            test_lines,
            test_modules: declared.collect(),
            text: scan::blank(text, &items),
            code: scan::blank(&code, &items),
        }
    }

    /// Source of a test, a benchmark or a harness: nothing is cut out.
    pub fn test(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: scan::mask(text),
            lines: text.lines().count(),
            test_lines: 0,
            test_modules: Vec::new(),
        }
    }

    /// Path of the folder that the file is in.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Name of the file without its folder and extension.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name);
        name.strip_suffix(".rs").unwrap_or(name)
    }

    /// Number of the line that an offset into the text is in.
    pub fn line_of(&self, at: usize) -> usize {
        scan::line_of(&self.code, at)
    }
}

/// Ranges of items under `#[cfg(test)]` in masked text, in whole lines without the last line break.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in code.match_indices(TEST_ATTRIBUTE) {
        if found.last().is_none_or(|last| last.end <= at)
            && let Some(end) = item_end(code, at)
        {
            found.push(scan::line_start(code, at)..end);
        }
    }
    found
}

/// End of the item whose first attribute starts at `at`.
fn item_end(code: &str, at: usize) -> Option<usize> {
    let start = skip_attributes(code, at)?;
    let (_, keyword) = keyword(code, start);
    if !ITEMS.contains(&keyword) {
        return None;
    }
    let end_bytes: &[u8] = if ENDED_BY_SEMICOLON.contains(&keyword) { b";" } else { b"{;" };
    let end = scan::find_outside(code, start, end_bytes)?;
    if code.as_bytes()[end] == b'{' { Some(scan::closing(code, end)? + 1) } else { Some(end + 1) }
}

/// Offset of the item whose first attribute starts at `at`.
fn skip_attributes(code: &str, at: usize) -> Option<usize> {
    let mut at = at;
    while code[at..].starts_with("#[") {
        at = scan::skip_space(code, scan::closing(code, at + 1)? + 1);
    }
    Some(at)
}

/// Keyword of the item that starts at `at`, without its visibility, and the keyword's offset.
fn keyword(code: &str, at: usize) -> (usize, &str) {
    let first = scan::identifier(code, at);
    if first != "pub" {
        return (at, first);
    }
    let mut next = scan::skip_space(code, at + first.len());
    if code[next..].starts_with('(') {
        next = scan::closing(code, next).map_or(code.len(), |end| scan::skip_space(code, end + 1));
    }
    (next, scan::identifier(code, next))
}

/// Name of the module that an item declares without a body.
fn declared_module(item: &str) -> Option<String> {
    let start = skip_attributes(item, scan::skip_space(item, 0))?;
    let (at, keyword) = keyword(item, start);
    let name = scan::identifier(item, scan::skip_space(item, at + keyword.len()));
    (keyword == "mod" && item.ends_with(';')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, product: &str) {
        let source = Source::product("a.rs", text);
        let left: Vec<&str> =
            source.text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        assert_eq!(left.join("\n"), product);
        assert_eq!(source.lines + source.test_lines, text.lines().count());
        assert_eq!(source.text.len(), text.len());
    }

    #[test]
    fn test_modules_are_cut_out() {
        check("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() { \"}\" }\n}\n", "fn a() {}");
        check("#[cfg(test)]\n#[path = \"x\"]\npub(crate) mod tests {}\nfn a() {}\n", "fn a() {}");
        let source = Source::product("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n");
        assert_eq!((source.lines, source.test_lines), (1, 3));
    }

    #[test]
    fn test_items_other_than_modules_are_cut_out() {
        check("#[cfg(test)]\nuse a::{b, c};\nfn a() {}\n", "fn a() {}");
        check("#[cfg(test)]\nconst A: [u8; 2] = { [1, 2] };\nfn a() {}\n", "fn a() {}");
        check("impl A {\n    #[cfg(test)]\n    fn b(x: [u8; 2]) {}\n}\n", "impl A {\n}");
    }

    #[test]
    fn attributes_in_texts_and_comments_are_ignored() {
        let text = "// #[cfg(test)]\nfn a() { \"#[cfg(test)]\" }\n#[cfg(unix)]\nmod b {}";
        check(text, text);
    }

    #[test]
    fn test_modules_in_files_of_their_own_are_known() {
        let source = Source::product("a.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod other {}\nmod b;");
        assert_eq!(source.test_modules, ["tests"]);
        assert_eq!(source.text.trim(), "mod b;");
    }

    #[test]
    fn test_files_are_not_cut() {
        let source = Source::test("a/b.rs", "#[cfg(test)]\nmod tests {}");
        assert_eq!((source.lines, source.test_lines), (2, 0));
        assert_eq!((source.folder(), source.stem()), ("a", "b"));
    }
}
