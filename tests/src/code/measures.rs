//! Measures of some source files: sizes, docs, names and circles, each with the places behind it. Limits and
//! printing are left to the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::circles::{self, Circle};
use super::docs::{self, Doc, Subject};
use super::functions;
use super::items;
use super::modules;
use super::source::Source;
use super::stats::{Mean, Share, Spread};

/// Lines of a file above which it is long.
pub const FILE_LINES_MAX: usize = 500;

/// Lines of a function above which it is long.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Files in one folder above which it is wide.
pub const FOLDER_FILES_MAX: usize = 15;

/// Words of a doc block up to which it is short.
pub const SHORT_DOC_WORDS: usize = 4;

/// Place in the sources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path of the file or folder from the workspace's root.
    pub path: String,
    /// Line, counted from 1; `None` for a whole file or folder.
    pub line: Option<usize>,
    /// Content of the place: a name, a number, the first line of a comment.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.text),
            None => write!(f, "{}: {}", self.path, self.text),
        }
    }
}

/// Number of places that a rule applies to, and the places that break it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Number of places that the rule applies to.
    pub total: usize,
    /// Places that break the rule, in the order of their files.
    pub offenders: Vec<Finding>,
}

impl Findings {
    /// Share of the places that break the rule.
    pub fn share(&self) -> Share {
        Share { count: self.offenders.len(), total: self.total }
    }

    /// Share of the places that follow the rule.
    pub fn share_without(&self) -> Share {
        Share { count: self.total - self.offenders.len(), total: self.total }
    }

    fn add(&mut self, is_broken: bool, finding: impl FnOnce() -> Finding) {
        self.total += 1;
        if is_broken {
            self.offenders.push(finding());
        }
    }
}

/// Name of a type that is declared more than once.
#[derive(Debug, PartialEq, Eq)]
pub struct RepeatedName {
    /// The name.
    pub name: String,
    /// Its declarations.
    pub declarations: Vec<Finding>,
}

/// Sizes of files and functions.
#[derive(Debug, Default)]
pub struct Sizes {
    /// Number of files.
    pub files: usize,
    /// Lines outside of test items.
    pub lines: usize,
    /// Lines of test items in the files.
    pub test_lines: usize,
    /// Lines of comment.
    pub comment_lines: usize,
    /// Lines of a file.
    pub file_lines: Spread,
    /// Files of more than [`FILE_LINES_MAX`] lines.
    pub long_files: Findings,
    /// Lines of a function.
    pub function_lines: Spread,
    /// Functions of more than [`FUNCTION_LINES_MAX`] lines.
    pub long_functions: Findings,
    /// Rust files in a folder, those in folders inside of it apart.
    pub folder_files: Spread,
    /// Folders of more than [`FOLDER_FILES_MAX`] files.
    pub wide_folders: Findings,
}

impl Sizes {
    /// Share of the lines that are comment.
    pub fn comments(&self) -> Share {
        Share { count: self.comment_lines, total: self.lines }
    }
}

/// Sizes of some files.
pub fn sizes(sources: &[&Source]) -> Sizes {
    let mut sizes = Sizes { files: sources.len(), ..Sizes::default() };
    let mut function_lines = Vec::new();
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources {
        sizes.lines += source.lines;
        sizes.test_lines += source.test_lines;
        sizes.comment_lines += comment_lines(source);
        let text = || format!("{} lines", source.lines);
        sizes.long_files.add(source.lines > FILE_LINES_MAX, || finding(source, None, text()));
        *folders.entry(source.folder()).or_default() += 1;
        for function in functions::functions(source) {
            let Some(length) = function.length else { continue };
            function_lines.push(length);
            let text = || format!("{}, {length} lines", function.name);
            sizes.long_functions.add(length > FUNCTION_LINES_MAX, || finding(source, function.line, text()));
        }
    }
    for (folder, files) in &folders {
        let wide = || Finding { path: (*folder).to_owned(), line: None, text: format!("{files} files") };
        sizes.wide_folders.add(*files > FOLDER_FILES_MAX, wide);
    }
    sizes.file_lines = Spread::of(sources.iter().map(|source| source.lines).collect());
    sizes.function_lines = Spread::of(function_lines);
    sizes.folder_files = Spread::of(folders.into_values().collect());
    sizes
}

fn finding(source: &Source, line: impl Into<Option<usize>>, text: impl fmt::Display) -> Finding {
    Finding { path: source.path.clone(), line: line.into(), text: text.to_string() }
}

/// Number of lines that hold nothing but comment.
fn comment_lines(source: &Source) -> usize {
    let lines = source.text.lines().zip(source.code.lines());
    lines.filter(|(text, code)| code.trim().is_empty() && !text.trim().is_empty()).count()
}

/// Docs of files and public items.
#[derive(Debug, Default)]
pub struct Docs {
    /// Files that do not start with `//!`.
    pub files_without: Findings,
    /// Public items without a doc comment.
    pub items_without: Findings,
    /// Words of all blocks of `///`.
    pub words: usize,
    /// Blocks of `///` of at most [`SHORT_DOC_WORDS`] words.
    pub short: Findings,
    /// Blocks of `///` and `//!` that start with what, how, whether, where or who.
    pub questions: Findings,
    /// Blocks of `///` without a link to an item.
    pub without_link: Findings,
    /// Public functions that return a `Result` and have no section `# Errors`.
    pub without_errors: Findings,
    /// Public functions that return a `Result` and mention no failure in any words.
    pub silent_on_failure: Findings,
}

impl Docs {
    /// Words of a block of `///`.
    pub fn mean_words(&self) -> Mean {
        Mean { sum: self.words, count: self.short.total }
    }
}

/// Docs of some files.
pub fn docs(sources: &[&Source]) -> Docs {
    let mut counted = Docs::default();
    for source in sources {
        counted.files_without.add(!source.text.starts_with("//!"), || finding(source, None, "no `//!`"));
        let docs = docs::docs(source);
        for doc in &docs {
            add_block(&mut counted, source, doc);
        }
        let documented: BTreeMap<usize, &Doc> =
            docs.iter().filter_map(|doc| Some((line_of(doc)?, doc))).collect();
        for item in items::items(source).into_iter().filter(|item| item.is_public) {
            let text = || format!("{} {}", item.keyword, item.name);
            let is_missing = !documented.contains_key(&item.line);
            counted.items_without.add(is_missing, || finding(source, item.line, text()));
        }
        let functions = functions::functions(source);
        for function in functions.iter().filter(|function| function.is_public && function.returns_result) {
            let doc = documented.get(&function.line);
            let at = || finding(source, function.line, &function.name);
            counted.without_errors.add(!doc.is_some_and(|doc| doc.has_errors_section()), at);
            counted.silent_on_failure.add(!doc.is_some_and(|doc| doc.mentions_failure()), at);
        }
    }
    counted
}

fn add_block(counted: &mut Docs, source: &Source, doc: &Doc) {
    let first_line = || finding(source, doc.line, doc.text.lines().next().unwrap_or_default());
    counted.questions.add(doc.starts_with_question(), first_line);
    if doc.subject != Subject::Module {
        counted.words += doc.words();
        counted.short.add(doc.words() <= SHORT_DOC_WORDS, first_line);
        counted.without_link.add(!doc.has_item_link(), first_line);
    }
}

/// Line of the item that a doc comment describes.
fn line_of(doc: &Doc) -> Option<usize> {
    match doc.subject {
        Subject::Module => None,
        Subject::Line(line) => Some(line),
    }
}

/// Names of types that are `pub` or `pub(…)`.
#[derive(Debug, Default)]
pub struct Names {
    /// Number of different names.
    pub total: usize,
    /// Names that are declared more than once, in order.
    pub repeated: Vec<RepeatedName>,
}

impl Names {
    /// Share of the names that are declared more than once.
    pub fn share(&self) -> Share {
        Share { count: self.repeated.len(), total: self.total }
    }
}

/// Names of the types of some files that are `pub` or `pub(…)`.
pub fn names(sources: &[&Source]) -> Names {
    let mut declarations: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for source in sources {
        for item in items::items(source).into_iter().filter(items::Item::is_type) {
            let declared = finding(source, item.line, &item.keyword);
            declarations.entry(item.name).or_default().push(declared);
        }
    }
    let total = declarations.len();
    let repeated = declarations.into_iter().filter(|(_, found)| found.len() > 1);
    Names {
        total,
        repeated: repeated.map(|(name, declarations)| RepeatedName { name, declarations }).collect(),
    }
}

/// Circles of imports.
#[derive(Debug, Default)]
pub struct Circles {
    /// Circles between files.
    pub files: Vec<Circle>,
    /// Circles between folders.
    pub folders: Vec<Circle>,
}

impl Circles {
    /// Number of files that are in a circle.
    pub fn files_within(&self) -> usize {
        self.files.iter().flat_map(|circle| &circle.members).collect::<BTreeSet<_>>().len()
    }
}

/// Circles between some files, which may belong to several crates.
pub fn circles(sources: &[&Source]) -> Circles {
    let imports = modules::imports(sources.iter().copied());
    Circles { files: circles::file_circles(&imports), folders: circles::folder_circles(&imports) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! What it is.\n\nuse a::b;\n\n/// A thing.\npub struct A;\npub enum B {}\n\
                        /// Reads [`A`] or fails at it.\n\
                        pub fn c() -> Result<(), E> {\n    // Why.\n    d()\n}\n\
                        /// Does.\n///\n/// # Errors\n\
                        pub fn e() -> Result<(), E> {}\n#[cfg(test)]\nmod tests {\n    pub struct A;\n}\n";

    #[test]
    fn sizes_leave_tests_out() {
        let source = Source::product("s/a.rs", TEXT);
        let sizes = sizes(&[&source]);
        assert_eq!((sizes.files, sizes.lines, sizes.test_lines), (1, 16, 4));
        assert_eq!(sizes.comments(), Share { count: 7, total: 16 });
        assert_eq!(sizes.function_lines, Spread { median: 1, p95: 4, max: 4 });
        assert_eq!(sizes.folder_files, Spread { median: 1, p95: 1, max: 1 });
    }

    #[test]
    fn docs_are_checked_one_by_one() {
        let (first, second) = (Source::product("s/a.rs", TEXT), Source::product("s/b.rs", "fn a() {}\n"));
        let docs = docs(&[&first, &second]);
        let lines = |findings: &Findings| -> Vec<usize> {
            findings.offenders.iter().filter_map(|at| at.line).collect()
        };
        assert_eq!(docs.files_without.offenders, [finding(&second, None, "no `//!`")]);
        assert_eq!(docs.items_without.offenders, [finding(&first, 7, "enum B")]);
        assert_eq!(docs.mean_words(), Mean { sum: 11, count: 3 });
        assert_eq!((lines(&docs.short), docs.short.total), (vec![5, 13], 3));
        assert_eq!((lines(&docs.questions), docs.questions.total), (vec![1], 4));
        assert_eq!(lines(&docs.without_link), [5, 13]);
        assert_eq!((lines(&docs.without_errors), docs.without_errors.total), (vec![9], 2));
        assert_eq!(lines(&docs.silent_on_failure), [] as [usize; 0]);
    }

    #[test]
    fn names_are_repeated_across_files() {
        let (first, second) = (Source::product("a.rs", TEXT), Source::product("b.rs", "pub type A = u8;\n"));
        let names = names(&[&first, &second]);
        assert_eq!(names.share(), Share { count: 1, total: 2 });
        assert_eq!(names.repeated[0].name, "A");
        let declarations: Vec<String> =
            names.repeated[0].declarations.iter().map(Finding::to_string).collect();
        assert_eq!(declarations, ["a.rs:6: struct", "b.rs:1: type"]);
    }
}
