//! Doc comments of a source file, with the lines of what they describe. `#[doc]` attributes are not read.

use std::ops::Range;

use super::scan;
use super::source::Source;

/// First words of docs that start with a question instead of a name.
const QUESTION_WORDS: [&str; 5] = ["how", "what", "where", "whether", "who"];

/// Texts that mention a failure, in any case and also as parts of words.
const FAILURE_WORDS: [&str; 4] = ["error", "fail", "panic", "refuse"];

/// Block of doc comments.
#[derive(Debug, PartialEq, Eq)]
pub struct Doc {
    /// Line on which the block starts, counted from 1.
    pub line: usize,
    /// Text without `///` and `//!`.
    pub text: String,
    /// Described thing.
    pub subject: Subject,
}

/// Thing that a doc comment describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Enclosing module (`//!`).
    Module,
    /// Item, field or variant that starts on this line, behind its attributes (`///`).
    Line(usize),
}

impl Doc {
    /// Number of words, separated by white space.
    pub fn words(&self) -> usize {
        self.text.split_whitespace().count()
    }

    /// Returns whether the first word is one of what, how, whether, where and who.
    pub fn starts_with_question(&self) -> bool {
        let text = self.text.trim_start_matches(|first: char| !first.is_alphanumeric());
        let word = text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
        QUESTION_WORDS.contains(&word.to_lowercase().as_str())
    }

    /// Returns whether there is a section `# Errors`.
    pub fn has_errors_section(&self) -> bool {
        self.text.lines().any(|line| line.trim() == "# Errors")
    }

    /// Returns whether a failure is mentioned in any words.
    pub fn mentions_failure(&self) -> bool {
        let text = self.text.to_lowercase();
        FAILURE_WORDS.iter().any(|word| text.contains(word))
    }

    /// Returns whether there is a link to an item.
    pub fn has_item_link(&self) -> bool {
        let text = without_code(&self.text);
        text.match_indices('[').any(|(at, _)| is_item_link(&text[at + 1..]))
    }
}

/// Doc comments of a file in their order.
pub fn docs(source: &Source) -> Vec<Doc> {
    let items = scan::blank(&source.code, &attributes(&source.code));
    let lines = source.text.lines().zip(source.code.lines()).zip(items.lines());
    let mut found: Vec<Doc> = Vec::new();
    let mut pending: Option<Doc> = None;
    for (index, ((text, code), item)) in lines.enumerate() {
        let line = index + 1;
        if code.trim().is_empty() {
            add_comment(text.trim(), line, &mut pending, &mut found);
        } else if !item.trim().is_empty()
            && let Some(mut doc) = pending.take()
        {
            doc.subject = Subject::Line(line);
            found.push(doc);
        }
    }
    found
}

/// Ranges of the attributes in masked text.
fn attributes(code: &str) -> Vec<Range<usize>> {
    let hashes = code.match_indices('#').map(|(at, _)| at);
    let range = |at: usize| {
        let open = at + 1 + usize::from(code[at + 1..].starts_with('!'));
        let end = code[open..].starts_with('[').then(|| scan::closing(code, open))??;
        Some(at..end + 1)
    };
    hashes.filter_map(range).collect()
}

/// Adds a line of comment to the block that it continues or starts, if it is a doc comment.
fn add_comment(comment: &str, line: usize, pending: &mut Option<Doc>, found: &mut Vec<Doc>) {
    let text_of =
        |prefix: &str| comment.strip_prefix(prefix).map(|text| text.strip_prefix(' ').unwrap_or(text));
    if let Some(text) = text_of("//!") {
        match found.last_mut().filter(|doc| doc.subject == Subject::Module && last_line(doc) + 1 == line) {
            Some(doc) => push_line(doc, text),
            None => found.push(Doc { line, text: text.to_owned(), subject: Subject::Module }),
        }
    } else if let Some(text) = text_of("///").filter(|_| !comment.starts_with("////")) {
        match pending {
            Some(doc) => push_line(doc, text),
            None => *pending = Some(Doc { line, text: text.to_owned(), subject: Subject::Line(line) }),
        }
    }
}

fn push_line(doc: &mut Doc, text: &str) {
    doc.text.push('\n');
    doc.text.push_str(text);
}

fn last_line(doc: &Doc) -> usize {
    doc.line + doc.text.matches('\n').count()
}

/// Text without code spans and code blocks, but for those directly in brackets.
fn without_code(text: &str) -> String {
    let mut is_in_block = false;
    let mut left = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_in_block = !is_in_block;
        } else if !is_in_block {
            for (number, part) in line.split('`').enumerate() {
                let is_code = number % 2 == 1;
                if !is_code || left.ends_with('[') {
                    left.push_str(part);
                }
            }
            left.push('\n');
        }
    }
    left
}

/// Returns whether the text behind a `[` makes a link to an item: `Item]`, `text](path)`, `text][path]`.
fn is_item_link(text: &str) -> bool {
    let Some((label, rest)) = text.split_once(']') else { return false };
    let target =
        |open: char, close: char| rest.strip_prefix(open)?.split_once(close).map(|(target, _)| target);
    is_item_path(target('(', ')').or_else(|| target('[', ']')).unwrap_or(label))
}

/// Returns whether a link's target is the path of an item, not an address, a file or a section.
fn is_item_path(target: &str) -> bool {
    let path = target.rsplit('@').next().unwrap_or_default();
    let path = path.trim_end_matches("()").trim_end_matches('!');
    path.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && path
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ':' | '<' | '>' | '#'))
        && !path.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Doc> {
        docs(&Source::product("a.rs", text))
    }

    fn doc(text: &str) -> Doc {
        Doc { line: 1, text: text.to_owned(), subject: Subject::Module }
    }

    #[test]
    fn blocks_belong_to_the_item_behind_their_attributes() {
        let text = "//! File.\n//! More.\n\n/// One.\n///\n/// Two.\n#[derive(Debug)]\n\
                    #[error(\n    \"x\"\n)]\n// Why.\n\
                    pub struct A {\n    /// Field.\n    pub b: u8,\n    c: u8,\n#[a] d: u8,\n}\n";
        let found: Vec<_> = parse(text).into_iter().map(|doc| (doc.line, doc.text, doc.subject)).collect();
        let expected = [
            (1, "File.\nMore.", Subject::Module),
            (4, "One.\n\nTwo.", Subject::Line(12)),
            (13, "Field.", Subject::Line(14)),
        ];
        assert_eq!(found, expected.map(|(line, text, subject)| (line, text.to_owned(), subject)));
    }

    #[test]
    fn attributes_may_stand_on_the_line_of_their_item() {
        let found = parse("/// A.\n#[a] b: u8,\n/// C.\n#[c(\n    1\n)] d: u8,\n");
        let subjects: Vec<_> = found.iter().map(|doc| doc.subject).collect();
        assert_eq!(subjects, [Subject::Line(2), Subject::Line(6)]);
    }

    #[test]
    fn comments_texts_and_tests_are_no_docs() {
        assert_eq!(
            parse(
                "// A.\n//// B.\nconst C: &str = \"\n/// D.\n\";\n#[cfg(test)]\nmod tests {\n    //! E.\n}"
            ),
            []
        );
    }

    #[test]
    fn the_first_word_makes_a_question() {
        for text in ["What it is.", "**How** so", "where", "Whether it's", "Who's there"] {
            assert!(doc(text).starts_with_question(), "{text}");
        }
        for text in ["Whatever", "The `what`", "", "However"] {
            assert!(!doc(text).starts_with_question(), "{text}");
        }
    }

    #[test]
    fn links_lead_to_items() {
        for text in
            ["a [`B`] c", "[B::c]", "[b](crate::C)", "[`b`](C::d)", "[b][`C`]", "[fn@a]", "[`a()`]", "[m!]"]
        {
            assert!(doc(text).has_item_link(), "{text}");
        }
        for text in
            ["[b](https://c)", "`a[b]`", "[0]", "[1, 2)", "[b](#c)", "[b](c.md)", "```\n[a]\n```", "[a b]"]
        {
            assert!(!doc(text).has_item_link(), "{text}");
        }
    }

    #[test]
    fn failures_are_mentioned_in_any_words_or_in_a_section() {
        assert!(doc("Does it.\n\n# Errors\n\nNever.").has_errors_section());
        assert!(!doc("Errors").has_errors_section());
        assert!(doc("Refused if late.").mentions_failure());
        assert!(doc("An [`IoError`].").mentions_failure());
        assert!(!doc("Does it.").mentions_failure());
    }
}
