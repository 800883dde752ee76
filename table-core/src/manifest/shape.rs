//! Avro schemas of writers, reduced to what is needed to skip values and to find fields by id.
//!
//! Iceberg's readers identify fields by field id; names are needed only for fields without one.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::avro::Cursor;
use super::error::{ManifestError, malformed};

/// Maximum nesting of type declarations; those of Iceberg are four deep.
const DEPTH_MAX: usize = 32;

/// Maximum number of parts of a schema with all references to named types expanded. A manifest has about 60,
/// and two more for every partition field.
const PARTS_MAX: usize = 20_000;

/// Maximum number of array items that take no bytes, because the size of the file does not bound them.
const EMPTY_ITEMS_MAX: u64 = 1_000;

/// Declared type.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the Avro specification")]
pub enum Shape {
    Null,
    Boolean,
    /// `int`, `long` and `enum` have the same encoding.
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Array(Arc<Shape>),
    /// The keys are strings.
    Map(Arc<Shape>),
    Union(Arc<[Shape]>),
    Record(Arc<[ShapeField]>),
}

/// Encoding of values of `fixed` types without a logical type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainFixed {
    /// Encoding as declared.
    Fixed,
    /// Encoding with a length prefix, which is that of Java's library, up to at least 1.11
    /// (`ValueWriters.FixedByteBufferWriter`).
    Bytes,
}

/// Field of a record.
#[derive(Clone, Debug)]
pub struct ShapeField {
    /// Iceberg field id (`field-id`), if declared.
    pub id: Option<i32>,
    /// Name of the field in the schema.
    pub name: String,
    /// Type of the field.
    pub shape: Shape,
}

impl Shape {
    /// Parses the JSON of an Avro schema.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an Avro schema, nests deeper than 32 types, or expands to more than 20,000
    /// parts ([`ManifestError::Malformed`]).
    pub fn parse(schema: &Value) -> Result<Shape, ManifestError> {
        Shape::parse_with(schema, PlainFixed::Fixed)
    }

    /// Parses the JSON of an Avro schema, with a choice for the encoding of plain `fixed` types.
    ///
    /// # Errors
    ///
    /// Fails as [`Shape::parse`] does ([`ManifestError::Malformed`]).
    pub fn parse_with(schema: &Value, plain_fixed: PlainFixed) -> Result<Shape, ManifestError> {
        let mut reader = Declarations { named: HashMap::new(), plain_fixed };
        let (shape, _) = reader.read(schema, DEPTH_MAX)?;
        Ok(shape)
    }

    /// Returns the fields of a record.
    ///
    /// # Errors
    ///
    /// Fails if the type is not a record ([`ManifestError::Malformed`]).
    pub fn fields(&self) -> Result<&[ShapeField], ManifestError> {
        match self {
            Shape::Record(fields) => Ok(fields),
            _ => Err(malformed("its schema has something else where a record belongs")),
        }
    }

    /// Returns the other type of a union of null and one type, and the index of its null branch; `None` for
    /// other types.
    pub fn optional(&self) -> Option<(&Shape, i64)> {
        match self {
            Shape::Union(branches) => match &branches[..] {
                [Shape::Null, shape] => Some((shape, 0)),
                [shape, Shape::Null] => Some((shape, 1)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Reads the branch of a union, and returns the type of the value at the cursor; `None` if the value is
    /// null.
    ///
    /// # Errors
    ///
    /// Fails if the union has no such branch, or the bytes end ([`ManifestError::Malformed`]).
    pub fn enter<'s>(&'s self, cursor: &mut Cursor<'_>) -> Result<Option<&'s Shape>, ManifestError> {
        let branches = match self {
            Shape::Union(branches) => branches,
            Shape::Null => return Ok(None),
            _ => return Ok(Some(self)),
        };
        let branch = usize::try_from(cursor.long()?).ok().and_then(|branch| branches.get(branch));
        match branch {
            Some(Shape::Null) => Ok(None),
            Some(shape) => Ok(Some(shape)),
            None => Err(malformed("a value is of a type its union does not have")),
        }
    }

    /// Skips a value.
    ///
    /// # Errors
    ///
    /// Fails if the bytes end within the value, or the value is damaged ([`ManifestError::Malformed`]).
    pub fn skip(&self, cursor: &mut Cursor<'_>) -> Result<(), ManifestError> {
        match self {
            Shape::Null => Ok(()),
            Shape::Boolean => cursor.take(1).map(drop),
            Shape::Long => cursor.skip_long(),
            Shape::Float => cursor.take(4).map(drop),
            Shape::Double => cursor.take(8).map(drop),
            Shape::Bytes | Shape::String => cursor.bytes().map(drop),
            Shape::Fixed(size) => cursor.take(*size).map(drop),
            Shape::Array(item) => skip_items(cursor, |cursor| item.skip(cursor)),
            Shape::Map(value) => skip_items(cursor, |cursor| {
                cursor.bytes()?;
                value.skip(cursor)
            }),
            Shape::Union(_) => match self.enter(cursor)? {
                Some(shape) => shape.skip(cursor),
                None => Ok(()),
            },
            Shape::Record(fields) => fields.iter().try_for_each(|field| field.shape.skip(cursor)),
        }
    }
}

/// Identifies each field of a record, in the writer's order: by its field id, or by its name if it has none.
pub(super) fn identify<T: Copy>(
    fields: &[ShapeField],
    known: &[(i32, &str, T)],
    other: T,
) -> Vec<(T, Shape)> {
    let meaning = |field: &ShapeField| {
        known
            .iter()
            .find(|(id, name, _)| field.id.map_or(field.name == *name, |given| given == *id))
            .map_or(other, |(_, _, meaning)| *meaning)
    };
    fields.iter().map(|field| (meaning(field), field.shape.clone())).collect()
}

pub(super) fn number(shape: &Shape, cursor: &mut Cursor<'_>) -> Result<i64, ManifestError> {
    match shape {
        Shape::Long => cursor.long(),
        _ => Err(malformed("its schema has something else where a number belongs")),
    }
}

fn skip_items<'a>(
    cursor: &mut Cursor<'a>,
    skip: impl Fn(&mut Cursor<'a>) -> Result<(), ManifestError>,
) -> Result<(), ManifestError> {
    while let Some(count) = cursor.block_count()? {
        let start = cursor.position();
        for number in 0..count {
            skip(cursor)?;
            if number >= EMPTY_ITEMS_MAX && cursor.position() == start {
                return Err(malformed("an array has too many items that hold nothing"));
            }
        }
    }
    Ok(())
}

struct Declarations {
    /// Named types declared so far, with their number of parts.
    named: HashMap<String, (Shape, usize)>,
    plain_fixed: PlainFixed,
}

impl Declarations {
    /// Parses a type, and returns it with its number of parts.
    fn read(&mut self, schema: &Value, depth: usize) -> Result<(Shape, usize), ManifestError> {
        if depth == 0 {
            return Err(malformed(format!("its schema nests deeper than {DEPTH_MAX} types")));
        }
        let (shape, parts) = match schema {
            Value::String(name) => self.named(name)?,
            Value::Array(branches) => {
                let (shapes, parts) = self.read_all(branches, depth - 1)?;
                (Shape::Union(shapes.into()), parts + 1)
            }
            Value::Object(declared) => {
                let kind =
                    declared.get("type").ok_or_else(|| malformed("its schema has a type without `type`"))?;
                match kind.as_str() {
                    Some("record" | "error") => self.record(schema, depth)?,
                    Some("array") => {
                        let (item, parts) = self.read(part(schema, "items")?, depth - 1)?;
                        (Shape::Array(Arc::new(item)), parts + 1)
                    }
                    Some("map") => {
                        let (value, parts) = self.read(part(schema, "values")?, depth - 1)?;
                        (Shape::Map(Arc::new(value)), parts + 1)
                    }
                    Some("enum") => self.declare(schema, Shape::Long, 1),
                    Some("fixed") => {
                        let size = part(schema, "size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                        let size =
                            size.ok_or_else(|| malformed("its schema has a fixed type without a size"))?;
                        let is_plain = declared.get("logicalType").is_none();
                        if is_plain && self.plain_fixed == PlainFixed::Bytes {
                            self.declare(schema, Shape::Bytes, 1)
                        } else {
                            self.declare(schema, Shape::Fixed(size), 1)
                        }
                    }
                    _ => self.read(kind, depth - 1)?,
                }
            }
            _ => return Err(malformed("its schema is not an Avro schema")),
        };
        if parts > PARTS_MAX {
            return Err(malformed(format!("its schema has more than {PARTS_MAX} parts")));
        }
        Ok((shape, parts))
    }

    fn read_all(&mut self, schemas: &[Value], depth: usize) -> Result<(Vec<Shape>, usize), ManifestError> {
        let mut shapes = Vec::with_capacity(schemas.len());
        let mut total = 0;
        for schema in schemas {
            let (shape, parts) = self.read(schema, depth)?;
            shapes.push(shape);
            total += parts;
        }
        Ok((shapes, total))
    }

    fn named(&self, name: &str) -> Result<(Shape, usize), ManifestError> {
        Ok(match name {
            "null" => (Shape::Null, 1),
            "boolean" => (Shape::Boolean, 1),
            "int" | "long" => (Shape::Long, 1),
            "float" => (Shape::Float, 1),
            "double" => (Shape::Double, 1),
            "bytes" => (Shape::Bytes, 1),
            "string" => (Shape::String, 1),
            _ => {
                let found = self.named.get(name).or_else(|| self.named.get(last_part(name)));
                found.cloned().ok_or_else(|| {
                    malformed(format!("its schema uses `{name}` before, or without, declaring it"))
                })?
            }
        })
    }

    fn record(&mut self, schema: &Value, depth: usize) -> Result<(Shape, usize), ManifestError> {
        let declared = part(schema, "fields")?.as_array();
        let declared =
            declared.ok_or_else(|| malformed("its schema has a record whose fields are no list"))?;
        let mut fields = Vec::with_capacity(declared.len());
        let mut total = 1;
        for field in declared {
            let (shape, parts) = self.read(part(field, "type")?, depth - 1)?;
            let id = field.get("field-id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok());
            let name = field.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            fields.push(ShapeField { id, name, shape });
            total += parts + 1;
        }
        Ok(self.declare(schema, Shape::Record(fields.into()), total))
    }

    /// Registers a type under its name, with and without its namespace.
    fn declare(&mut self, schema: &Value, shape: Shape, parts: usize) -> (Shape, usize) {
        if let Some(name) = schema.get("name").and_then(Value::as_str) {
            let namespace = schema.get("namespace").and_then(Value::as_str);
            if let Some(namespace) = namespace.filter(|_| !name.contains('.')) {
                self.named.insert(format!("{namespace}.{name}"), (shape.clone(), parts));
            }
            self.named.insert(last_part(name).to_owned(), (shape.clone(), parts));
            self.named.insert(name.to_owned(), (shape.clone(), parts));
        }
        (shape, parts)
    }
}

fn part<'a>(schema: &'a Value, name: &str) -> Result<&'a Value, ManifestError> {
    schema.get(name).ok_or_else(|| malformed(format!("its schema has a type without `{name}`")))
}

fn last_part(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}
