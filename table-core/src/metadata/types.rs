//! Column types: their JSON representation and their names. An unknown type is preserved, never refused.

use std::fmt;

use serde_json::Value;

use super::error::MetadataError;
use super::json::{Fields, decode};
use super::schema::{Field, decode_field, rest};

/// Maximum nesting of types. Every function on types recurses at most this deep, so the limit protects the
/// stack; engines fail at a much lower depth.
pub const TYPE_DEPTH_MAX: usize = 64;

/// First format version with nanosecond timestamps, `variant`, `unknown`, `geometry` and `geography`.
pub const VERSION_OF_NEW_TYPES: i32 = 3;

/// Type of a column, of a list element, or of the key or value of a map (specification, "Schemas and Data
/// Types").
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Primitive type.
    Primitive(Primitive),
    /// Struct.
    Struct(StructType),
    /// List.
    List(Box<ListType>),
    /// Map.
    Map(Box<MapType>),
    /// Unknown type that is written as a JSON object.
    Other(Value),
}

/// Struct type.
#[derive(Debug, Clone, PartialEq)]
pub struct StructType {
    /// Fields, in order.
    pub fields: Vec<Field>,
    /// Unknown attributes, sorted by name.
    pub other: Vec<(String, Value)>,
}

/// List type.
#[derive(Debug, Clone, PartialEq)]
pub struct ListType {
    /// Element, as a field named `element`.
    pub element: Field,
    /// Unknown attributes, sorted by name.
    pub other: Vec<(String, Value)>,
}

/// Map type.
#[derive(Debug, Clone, PartialEq)]
pub struct MapType {
    /// Key, as a required field named `key`.
    pub key: Field,
    /// Value, as a field named `value`.
    pub value: Field,
    /// Unknown attributes, sorted by name.
    pub other: Vec<(String, Value)>,
}

/// Primitive type, or `variant` (specification, "Primitive Types").
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum Primitive {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal {
        precision: u32,
        scale: u32,
    },
    Date,
    Time,
    Timestamp,
    Timestamptz,
    TimestampNs,
    TimestamptzNs,
    String,
    Uuid,
    Fixed(u64),
    Binary,
    Variant,
    Unknown,
    /// `geometry`, with its parameters as written, for example `(srid:4326)`, or an empty string.
    Geometry(String),
    /// `geography`, with its parameters as written, or an empty string.
    Geography(String),
    /// Unknown type name.
    Other(String),
}

impl Primitive {
    /// Parses a type name. Case does not matter, as in Java's library.
    pub fn parse(text: &str) -> Primitive {
        let lower = text.trim().to_ascii_lowercase();
        match lower.as_str() {
            "boolean" => Primitive::Boolean,
            "int" => Primitive::Int,
            "long" => Primitive::Long,
            "float" => Primitive::Float,
            "double" => Primitive::Double,
            "date" => Primitive::Date,
            "time" => Primitive::Time,
            "timestamp" => Primitive::Timestamp,
            "timestamptz" => Primitive::Timestamptz,
            "timestamp_ns" => Primitive::TimestampNs,
            "timestamptz_ns" => Primitive::TimestamptzNs,
            "string" => Primitive::String,
            "uuid" => Primitive::Uuid,
            "binary" => Primitive::Binary,
            "variant" => Primitive::Variant,
            "unknown" => Primitive::Unknown,
            _ => parse_with_parameters(text.trim(), &lower)
                .unwrap_or_else(|| Primitive::Other(text.to_owned())),
        }
    }

    /// Returns the first format version that has this type; `None` if the type is unknown.
    pub fn since(&self) -> Option<i32> {
        match self {
            Primitive::TimestampNs
            | Primitive::TimestamptzNs
            | Primitive::Variant
            | Primitive::Unknown
            | Primitive::Geometry(_)
            | Primitive::Geography(_) => Some(VERSION_OF_NEW_TYPES),
            Primitive::Other(_) => None,
            _ => Some(1),
        }
    }
}

fn parse_with_parameters(text: &str, lower: &str) -> Option<Primitive> {
    if let Some(parameters) = lower.strip_prefix("decimal") {
        let (precision, scale) = parameters.trim().strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        return (1..=38).contains(&precision).then_some(Primitive::Decimal { precision, scale });
    }
    if let Some(parameters) = lower.strip_prefix("fixed") {
        let length = parameters.trim().strip_prefix('[')?.strip_suffix(']')?;
        return Some(Primitive::Fixed(length.trim().parse().ok()?));
    }
    // The names of reference systems and algorithms stay as written, because case matters in some of them.
    let (name, parameters) = text.split_at_checked(text.find('(').unwrap_or(text.len()))?;
    if !parameters.is_empty() && !parameters.ends_with(')') {
        return None;
    }
    match name.trim().to_ascii_lowercase().as_str() {
        "geometry" => Some(Primitive::Geometry(parameters.to_owned())),
        "geography" => Some(Primitive::Geography(parameters.to_owned())),
        _ => None,
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Primitive::Boolean => "boolean",
            Primitive::Int => "int",
            Primitive::Long => "long",
            Primitive::Float => "float",
            Primitive::Double => "double",
            Primitive::Decimal { precision, scale } => return write!(f, "decimal({precision}, {scale})"),
            Primitive::Date => "date",
            Primitive::Time => "time",
            Primitive::Timestamp => "timestamp",
            Primitive::Timestamptz => "timestamptz",
            Primitive::TimestampNs => "timestamp_ns",
            Primitive::TimestamptzNs => "timestamptz_ns",
            Primitive::String => "string",
            Primitive::Uuid => "uuid",
            Primitive::Fixed(length) => return write!(f, "fixed[{length}]"),
            Primitive::Binary => "binary",
            Primitive::Variant => "variant",
            Primitive::Unknown => "unknown",
            Primitive::Geometry(parameters) => return write!(f, "geometry{parameters}"),
            Primitive::Geography(parameters) => return write!(f, "geography{parameters}"),
            Primitive::Other(text) => text,
        };
        f.write_str(name)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Primitive(primitive) => primitive.fmt(f),
            Type::Struct(_) => f.write_str("struct"),
            Type::List(_) => f.write_str("list"),
            Type::Map(_) => f.write_str("map"),
            Type::Other(_) => f.write_str("unrecognised type"),
        }
    }
}

/// Decodes a type from JSON, at a nesting of `depth`.
pub(crate) fn decode_type(text: &str, depth: usize) -> Result<Type, MetadataError> {
    if depth > TYPE_DEPTH_MAX {
        return Err(MetadataError::malformed(format!("types nest deeper than {TYPE_DEPTH_MAX} levels")));
    }
    if text.starts_with('"') {
        let name: String = decode(text, "type")?;
        return Ok(Type::Primitive(Primitive::parse(&name)));
    }
    let fields = Fields::parse(text, "type")?;
    match fields.required::<String>("type")?.as_str() {
        "struct" => decode_struct(&fields, depth).map(Type::Struct),
        "list" => {
            let element =
                decode_part(&fields, "element", "element-id", fields.required("element-required")?, depth)?;
            let other = rest(&fields, &["type", "element-id", "element", "element-required"])?;
            Ok(Type::List(Box::new(ListType { element, other })))
        }
        "map" => {
            let key = decode_part(&fields, "key", "key-id", true, depth)?;
            let value = decode_part(&fields, "value", "value-id", fields.required("value-required")?, depth)?;
            let known = ["type", "key-id", "key", "value-id", "value", "value-required"];
            Ok(Type::Map(Box::new(MapType { key, value, other: rest(&fields, &known)? })))
        }
        _ => Ok(Type::Other(decode(text, "type")?)),
    }
}

pub(crate) fn decode_struct(fields: &Fields<'_>, depth: usize) -> Result<StructType, MetadataError> {
    let elements = fields.required::<Vec<&serde_json::value::RawValue>>("fields")?;
    let columns =
        elements.into_iter().map(|element| decode_field(element.get(), depth)).collect::<Result<_, _>>()?;
    Ok(StructType { fields: columns, other: rest(fields, &["type", "fields"])? })
}

fn decode_part(
    fields: &Fields<'_>,
    name: &str,
    id_key: &str,
    required: bool,
    depth: usize,
) -> Result<Field, MetadataError> {
    let part = fields.raw(name).ok_or_else(|| fields.missing(name))?;
    Ok(Field {
        id: fields.required(id_key)?,
        name: name.to_owned(),
        required,
        field_type: decode_type(part.get(), depth + 1)?,
        doc: None,
        initial_default: None,
        write_default: None,
        other: Vec::new(),
    })
}
