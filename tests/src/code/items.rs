//! Items with a visibility in a source file. Fields, variants, modules, imports and items whose name a macro
//! makes are not among them.

use super::scan;
use super::source::Source;

/// Keywords of the items that are read.
const KEYWORDS: [&str; 8] = ["const", "enum", "fn", "static", "struct", "trait", "type", "union"];

/// Keywords that declare a type.
const TYPES: [&str; 5] = ["enum", "struct", "trait", "type", "union"];

/// Keywords that may stand before another.
const QUALIFIERS: [&str; 4] = ["async", "const", "extern", "unsafe"];

/// Item that is `pub` or `pub(…)`.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// Keyword: `fn`, `struct`, ….
    pub keyword: String,
    /// Identifier behind the keyword.
    pub name: String,
    /// Declared `pub` without restriction.
    pub is_public: bool,
    /// Line of the word `pub`, counted from 1.
    pub line: usize,
}

impl Item {
    /// Returns whether the item declares a type.
    pub fn is_type(&self) -> bool {
        TYPES.contains(&self.keyword.as_str())
    }
}

/// Items of a file that are `pub` or `pub(…)`, in their order.
pub fn items(source: &Source) -> Vec<Item> {
    let lines = source.code.lines().enumerate();
    lines.filter_map(|(index, line)| item(line.trim_start().strip_prefix("pub")?, index + 1)).collect()
}

/// The item that a line declares, without the `pub` at its start.
fn item(declaration: &str, line: usize) -> Option<Item> {
    let is_public = !declaration.starts_with('(');
    let declaration = if is_public { declaration } else { declaration.split_once(')')?.1 };
    if !declaration.starts_with(' ') {
        return None;
    }
    let mut words =
        declaration.split([' ', char::from(scan::LITERAL)]).filter(|word| !word.is_empty()).peekable();
    let mut keyword = words.next()?;
    while QUALIFIERS.contains(&keyword) {
        let is_last = words.peek().is_none_or(|next| !KEYWORDS.contains(next) && !QUALIFIERS.contains(next));
        if is_last {
            break;
        }
        keyword = words.next()?;
    }
    let name = scan::identifier(words.next()?, 0);
    (KEYWORDS.contains(&keyword) && !name.is_empty()).then(|| Item {
        keyword: keyword.to_owned(),
        name: name.to_owned(),
        is_public,
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_visibility_keyword_and_name() {
        let text = "pub struct A<T>(T);\npub const B: u8 = 1;\npub const fn c() {}\n\
                    pub async unsafe fn d() {}\npub extern \"C\" fn e() {}\n    pub type F = u8;\n\
                    pub(in a::b) enum G {}\npub mod h;\npub use i::I;\npub struct $name;\n\
                    pub field: u8,\npublic fn k() {}\n// pub fn j() {}\n";
        let found: Vec<_> = items(&Source::product("a.rs", text))
            .into_iter()
            .map(|item| format!("{} {} {} {}", item.line, item.keyword, item.name, item.is_public))
            .collect();
        assert_eq!(
            found,
            [
                "1 struct A true",
                "2 const B true",
                "3 fn c true",
                "4 fn d true",
                "5 fn e true",
                "6 type F true",
                "7 enum G false",
            ]
        );
    }
}
