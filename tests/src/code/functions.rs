//! Functions of a source file: names, lengths and signatures. Function pointers, closures and functions whose
//! name a macro makes are not among them.

use std::ops::Range;

use super::scan;
use super::source::Source;

/// Function as it stands in its file.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Identifier behind the keyword.
    pub name: String,
    /// Line of the keyword `fn`, counted from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace, both included; `None` without a body.
    pub length: Option<usize>,
    /// Declared `pub` without restriction, or directly in a trait that is.
    pub is_public: bool,
    /// The return type is a `Result`, whatever its path.
    pub returns_result: bool,
}

/// Functions of a file in their order, those inside of others included.
pub fn functions(source: &Source) -> Vec<Function> {
    let code = source.code.as_str();
    let traits = public_traits(code);
    scan::words(code, "fn").filter_map(|at| function(code, at, &traits)).collect()
}

/// The function whose keyword is at `at`.
fn function(code: &str, at: usize, traits: &[Range<usize>]) -> Option<Function> {
    let name_at = scan::skip_space(code, at + 2);
    let name = scan::identifier(code, name_at);
    if name.is_empty() {
        return None;
    }
    let end = scan::find_outside(code, name_at, b"{;")?;
    let line = scan::line_of(code, at);
    let body_end = if code.as_bytes()[end] == b'{' { scan::closing(code, end) } else { None };
    let start = scan::line_start(code, at);
    let indent = scan::skip_space(code, start) - start;
    let is_in_trait = |range: &Range<usize>| range.contains(&at) && indent == trait_indent(code, range) + 4;
    Some(Function {
        name: name.to_owned(),
        line,
        length: body_end.map(|end| scan::line_of(code, end) - line + 1),
        is_public: code[start..at].trim_start().starts_with("pub ") || traits.iter().any(is_in_trait),
        returns_result: return_type(&code[name_at + name.len()..end]).is_some_and(is_result),
    })
}

/// Ranges of the public traits, from their keyword to their closing brace.
fn public_traits(code: &str) -> Vec<Range<usize>> {
    let is_public = |at: &usize| code[scan::line_start(code, *at)..*at].trim_start().starts_with("pub ");
    let range = |at| {
        let open = scan::find_outside(code, at, b"{;")?;
        Some(at..scan::closing(code, open)?)
    };
    scan::words(code, "trait").filter(is_public).filter_map(range).collect()
}

fn trait_indent(code: &str, range: &Range<usize>) -> usize {
    let start = scan::line_start(code, range.start);
    scan::skip_space(code, start) - start
}

/// Return type in a signature without its name: generics, parameters, return type, bounds.
fn return_type(signature: &str) -> Option<&str> {
    let parameters = scan::skip_space(signature, generics_end(signature));
    let end = scan::closing(signature, parameters)?;
    let (_, returned) = signature[end..].split_once("->")?;
    let bounds = scan::words(returned, "where").next().unwrap_or(returned.len());
    Some(returned[..bounds].trim())
}

/// Offset behind the generics at the start of a signature; 0 if there are none.
fn generics_end(signature: &str) -> usize {
    let mut depth = 0_usize;
    let mut before = b' ';
    for (at, byte) in signature.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if before != b'-' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return if byte == b'>' { at + 1 } else { 0 };
        }
        before = byte;
    }
    0
}

/// Returns whether a type is `Result`, `io::Result<…>` or the like.
fn is_result(returned: &str) -> bool {
    let path = returned.split('<').next().unwrap_or_default();
    path.rsplit("::").next().is_some_and(|last| last.trim() == "Result")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Function> {
        functions(&Source::product("a.rs", text))
    }

    #[test]
    fn lengths_go_from_the_keyword_to_the_closing_brace() {
        let text = "#[inline]\npub fn a(\n    x: [u8; 2],\n) {\n    if x { \"}\" } // }\n}\nfn b() {}\n";
        let lengths: Vec<_> =
            parse(text).into_iter().map(|found| (found.name, found.line, found.length)).collect();
        assert_eq!(lengths, [("a".to_owned(), 2, Some(5)), ("b".to_owned(), 7, Some(1))]);
    }

    #[test]
    fn pointers_and_names_of_macros_are_no_functions() {
        assert_eq!(parse("type A = fn(u8) -> u8;\nmacro_rules! b { () => { fn $name() {} } }"), []);
    }

    #[test]
    fn functions_are_public_without_restriction_and_in_public_traits() {
        let text = "pub fn a() {}\npub(crate) fn b() {}\npub const fn c() {}\n\
                    pub trait D {\n    fn d(&self);\n}\ntrait E {\n    fn e(&self) {}\n}\n\
                    pub async fn f() {}\n";
        let public: Vec<_> =
            parse(text).into_iter().filter(|found| found.is_public).map(|found| found.name).collect();
        assert_eq!(public, ["a", "c", "d", "f"]);
    }

    #[test]
    fn results_are_found_behind_generics_and_paths() {
        let check =
            |text: &str, expected: bool| assert_eq!(parse(text)[0].returns_result, expected, "{text}");
        check("fn a() -> Result<(), E> {}", true);
        check("fn a<F: Fn(u8) -> u8>(f: F) -> io::Result<Vec<u8>>\nwhere\n    F: Copy,\n{}", true);
        check("fn a(f: impl Fn() -> Result<(), E>) -> u8 {}", false);
        check("fn a<F: Fn() -> Result<(), E>>(f: F) {}", false);
        check("fn a() -> Option<Result<(), E>> {}", false);
        check("fn a() -> impl Iterator<Item = Result<(), E>>;", false);
        check("fn a() -> anyhow::Result<()>;", true);
    }
}
