//! Paths that the code of a source file uses: the leaves of its `use` trees and the qualified paths
//! elsewhere. They are resolved to files by [`modules`](super::modules).

use super::scan;

/// Path used in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct UsedPath {
    /// Segments: `crate`, `store`, `db`, `Db`. A glob and a `self` at the end are left out.
    pub segments: Vec<String>,
    /// Offset of the path in its file; of the keyword for all paths of a `use` tree.
    pub at: usize,
    /// Kind of code that the path stands in.
    pub place: Place,
}

/// Kind of code that a path stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a `use` declaration.
    Use,
    /// In an expression, a type, a pattern or an attribute.
    Code,
}

/// Paths of at least two segments, and single segments that a `use` names, in masked text.
///
/// Visibilities (`pub(in crate::a)`) are no uses. Paths that start with `$crate` belong to the file in which
/// a macro is expanded, which cannot be seen here.
pub fn used_paths(code: &str) -> Vec<UsedPath> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if !scan::is_identifier(code.as_bytes()[at]) {
            at += 1;
            continue;
        }
        let start = at;
        let word = scan::identifier(code, at);
        at += word_length(code, at);
        if word == "use" && code[at..].starts_with(char::is_whitespace) {
            let end = code[at..].find(';').map_or(code.len(), |length| at + length);
            let mut leaves = Vec::new();
            add_leaves(&code[at..end], &[], &mut leaves);
            found.extend(leaves.into_iter().map(|segments| UsedPath {
                segments,
                at: start,
                place: Place::Use,
            }));
            at = end;
        } else if code[at..].starts_with("::") && !word.is_empty() {
            let mut segments = vec![word.to_owned()];
            at = add_segments(code, at, &mut segments);
            if starts_path(&code[..start]) {
                found.push(UsedPath { segments, at: start, place: Place::Code });
            }
        }
    }
    found
}

fn word_length(code: &str, at: usize) -> usize {
    code.as_bytes()[at..].iter().take_while(|byte| scan::is_identifier(**byte)).count()
}

/// Adds the segments that follow a segment's end at `at`; returns the end of the last.
fn add_segments(code: &str, at: usize, segments: &mut Vec<String>) -> usize {
    let mut at = at;
    while let Some(rest) = code[at..].strip_prefix("::") {
        let segment = scan::identifier(rest, 0);
        if segment.is_empty() {
            break;
        }
        segments.push(segment.to_owned());
        at += 2 + segment.len();
    }
    at
}

/// Returns whether a path directly behind this text is complete and no visibility.
fn starts_path(before: &str) -> bool {
    !before.ends_with("::") && !before.ends_with('$') && !before.ends_with("(in ")
}

/// Adds the leaves of a `use` tree below a path.
fn add_leaves(tree: &str, path: &[&str], leaves: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some(list) = tree.strip_prefix('{') {
        for branch in branches(list.strip_suffix('}').unwrap_or(list)) {
            add_leaves(branch, path, leaves);
        }
        return;
    }
    if let Some((segment, rest)) = tree.split_once("::") {
        add_leaves(rest, &[path, &[segment.trim()]].concat(), leaves);
        return;
    }
    let Some(name) = tree.split_whitespace().next() else { return };
    let last: &[&str] = if name == "*" || name == "self" { &[] } else { &[name] };
    leaves.push([path, last].concat().into_iter().map(str::to_owned).collect());
}

/// Parts between the commas of a list that are not inside of braces.
fn branches(list: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    list.split(|letter: char| {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, expected: &[&str]) {
        let found: Vec<_> = used_paths(code).into_iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(found, expected, "{code}");
    }

    #[test]
    fn use_trees_are_taken_apart() {
        check("use crate::a::B;", &["crate::a::B"]);
        check("pub(crate) use a::{B as C, d::*, self};", &["a::B", "a::d", "a"]);
        check(
            "use crate::{\n    a::{self, b::{C, D}},\n    e,\n};\nuse super::*;",
            &["crate::a", "crate::a::b::C", "crate::a::b::D", "crate::e", "super"],
        );
        check("use {super::a::B, crate::c};", &["super::a::B", "crate::c"]);
        check("use ::std::fmt;", &["::std::fmt"]);
        check("fn f() {\n    use Kind::{A, B};\n}", &["Kind::A", "Kind::B"]);
    }

    #[test]
    fn qualified_paths_are_found_in_code() {
        check("let a = crate::b::c(super::super::D::new());", &["crate::b::c", "super::super::D::new"]);
        check("fn f(x: &crate::a::B<super::c::D>) -> Vec::<u8> {}", &["crate::a::B", "super::c::D", "Vec"]);
        check("#[serde(with = crate::a::b)]", &["crate::a::b"]);
        check("0u8::x; <A as B>::C; self.a; r#type::b", &["type::b"]);
    }

    #[test]
    fn visibilities_and_paths_of_macros_are_not_uses() {
        check("pub(in crate::a) fn f() {}\n$crate::b::c();\n$a::b();", &[]);
        check("fn f() -> impl Fn() + use<'a> {}", &[]);
    }

    #[test]
    fn paths_have_their_place() {
        let found = used_paths("use a::b;\n  c::d();");
        let places: Vec<_> = found.iter().map(|path| (path.at, path.place)).collect();
        assert_eq!(places, [(0, Place::Use), (12, Place::Code)]);
    }
}
