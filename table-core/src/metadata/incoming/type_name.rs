//! Names of types as Iceberg's libraries parse them: no spaces except where the grammar of the specification
//! has them, and parameters of 32 bits.

use crate::metadata::types::Primitive;

/// Edge interpolation algorithms of `geography` (specification, "Primitive Types").
const EDGE_ALGORITHMS: [&str; 5] = ["spherical", "vincenty", "thomas", "andoyer", "karney"];

/// Result of parsing the name of a new type.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TypeName {
    /// Type that every reader of its format version knows, with the spelling that all of them parse.
    Known(Primitive, String),
    /// Unknown type.
    Unknown,
    /// Known type in a spelling that readers refuse, with the spelling to use instead if there is one.
    Misspelled(Option<String>),
}

/// Parses the name of a new type.
pub(super) fn read(text: &str) -> TypeName {
    let primitive = Primitive::parse(text);
    let is_readable = match &primitive {
        Primitive::Other(_) => {
            return if starts_like_known(text) { TypeName::Misspelled(None) } else { TypeName::Unknown };
        }
        Primitive::Decimal { scale, .. } => {
            let Some((precision, written_scale)) = decimal_parameters(text) else {
                return TypeName::Misspelled(Some(primitive.to_string()));
            };
            if i32::try_from(*scale).is_err() {
                return TypeName::Misspelled(None);
            }
            is_number(precision) && is_number(written_scale)
        }
        Primitive::Fixed(length) => {
            if i32::try_from(*length).is_err() {
                return TypeName::Misspelled(None);
            }
            let length = text.get("fixed".len()..).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
            length.is_some_and(|length| is_number(length.trim_ascii()))
        }
        Primitive::Geometry(_) => match parameters(text, "geometry") {
            Ok(None) => true,
            Ok(Some(system)) => !system.contains(')') && !system.trim_ascii().is_empty(),
            Err(()) => false,
        },
        Primitive::Geography(_) => match parameters(text, "geography") {
            Ok(None) => true,
            Ok(Some(parameters)) => is_geography(parameters),
            Err(()) => false,
        },
        _ => text == text.trim_ascii(),
    };
    let normal = primitive.to_string();
    if !is_readable {
        return TypeName::Misspelled((normal != text).then_some(normal));
    }
    // PyIceberg accepts the parameters of decimals with no space or with one, and nothing else.
    let name = if text == normal.replace(", ", ",") { text.to_owned() } else { normal };
    TypeName::Known(primitive, name)
}

/// Returns `true` if a name looks like a type with parameters but cannot be parsed as one.
fn starts_like_known(text: &str) -> bool {
    let lower = text.trim_ascii().to_ascii_lowercase();
    ["decimal", "fixed", "geometry", "geography"].iter().any(|name| {
        lower
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.trim_ascii_start().starts_with(['(', '[']))
    })
}

fn decimal_parameters(text: &str) -> Option<(&str, &str)> {
    let (precision, scale) =
        text.get("decimal".len()..)?.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some((precision.trim_ascii(), scale.trim_ascii()))
}

/// Returns the text in the parentheses after `name`, if there are any. Fails if anything else follows the
/// name.
fn parameters<'t>(text: &'t str, name: &str) -> Result<Option<&'t str>, ()> {
    let starts_with_name = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let rest = text.get(name.len()..).filter(|_| starts_with_name).ok_or(())?.trim_ascii_start();
    if rest.is_empty() {
        return Ok(None);
    }
    rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).map(Some).ok_or(())
}

fn is_geography(parameters: &str) -> bool {
    let (system, algorithm) = match parameters.split_once(',') {
        Some((system, algorithm)) => (system, Some(algorithm.trim_ascii().to_ascii_lowercase())),
        None => (parameters, None),
    };
    !system.trim_ascii().is_empty()
        && algorithm.is_none_or(|algorithm| EDGE_ALGORITHMS.contains(&algorithm.as_str()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_java_reads_them() {
        for (text, name) in [
            ("int", "int"),
            ("BOOLEAN", "boolean"),
            ("decimal(5,2)", "decimal(5,2)"),
            ("decimal(5, 2)", "decimal(5, 2)"),
            ("DECIMAL( 05 , 2 )", "decimal(5, 2)"),
            ("fixed[ 4 ]", "fixed[4]"),
            ("geometry", "geometry"),
            ("geometry(a,b)", "geometry(a,b)"),
            ("geography(a, Karney)", "geography(a, Karney)"),
        ] {
            let TypeName::Known(_, read) = read(text) else { panic!("{text}") };
            assert_eq!(read, name);
        }
        for text in [
            " int",
            "int ",
            "decimal (5,2)",
            "decimal(5,2) ",
            "decimal(+5,2)",
            "decimal(39,2)",
            "decimal(5,2147483648)",
            "decimal",
            "fixed [4]",
            "fixed[2147483648]",
            "fixed[]",
            "fixed[-1]",
            "geometry()",
            "geometry(\n)",
            "geography()",
            "geography(,)",
            "geography(a, flat)",
            "geography(a,)",
        ] {
            assert!(matches!(read(text), TypeName::Misspelled(_)), "{text}");
        }
        assert_eq!(read("interval"), TypeName::Unknown);
    }
}
