//! Avro schemas of writers, reduced to what is needed to skip values and to find fields by id.
//!
//! Iceberg's readers identify fields by field id; names are needed only for fields without one.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::avro::AvroCursor;
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
pub enum AvroShape {
    Null,
    Boolean,
    /// `int`, `long` and `enum` have the same encoding.
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Array(Arc<AvroShape>),
    /// The keys are strings.
    Map(Arc<AvroShape>),
    Union(Arc<[AvroShape]>),
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
    pub shape: AvroShape,
}

impl AvroShape {
    /// Parses the JSON of an Avro schema.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not an Avro schema, nests deeper than 32 types, or expands to more than 20,000
    /// parts ([`ManifestError::Malformed`]).
    pub fn parse(schema: &Value) -> Result<AvroShape, ManifestError> {
        AvroShape::parse_with(schema, PlainFixed::Fixed)
    }

    /// Parses the JSON of an Avro schema, with a choice for the encoding of plain `fixed` types.
    ///
    /// # Errors
    ///
    /// Fails as [`AvroShape::parse`] does ([`ManifestError::Malformed`]).
    pub fn parse_with(schema: &Value, plain_fixed: PlainFixed) -> Result<AvroShape, ManifestError> {
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
            AvroShape::Record(fields) => Ok(fields),
            _ => Err(malformed("its schema has another type than a record for a record")),
        }
    }

    /// Returns the other type of a union of null and one type, and the index of its null branch; `None` for
    /// other types.
    pub fn optional(&self) -> Option<(&AvroShape, i64)> {
        match self {
            AvroShape::Union(branches) => match &branches[..] {
                [AvroShape::Null, shape] => Some((shape, 0)),
                [shape, AvroShape::Null] => Some((shape, 1)),
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
    pub fn enter<'s>(&'s self, cursor: &mut AvroCursor<'_>) -> Result<Option<&'s AvroShape>, ManifestError> {
        let branches = match self {
            AvroShape::Union(branches) => branches,
            AvroShape::Null => return Ok(None),
            _ => return Ok(Some(self)),
        };
        let branch = usize::try_from(cursor.long()?).ok().and_then(|branch| branches.get(branch));
        match branch {
            Some(AvroShape::Null) => Ok(None),
            Some(shape) => Ok(Some(shape)),
            None => Err(malformed("a value is of a type its union does not have")),
        }
    }

    /// Skips a value.
    ///
    /// # Errors
    ///
    /// Fails if the bytes end within the value, or the value is damaged ([`ManifestError::Malformed`]).
    pub fn skip(&self, cursor: &mut AvroCursor<'_>) -> Result<(), ManifestError> {
        match self {
            AvroShape::Null => Ok(()),
            AvroShape::Boolean => cursor.take(1).map(drop),
            AvroShape::Long => cursor.skip_long(),
            AvroShape::Float => cursor.take(4).map(drop),
            AvroShape::Double => cursor.take(8).map(drop),
            AvroShape::Bytes | AvroShape::String => cursor.bytes().map(drop),
            AvroShape::Fixed(size) => cursor.take(*size).map(drop),
            AvroShape::Array(item) => skip_items(cursor, |cursor| item.skip(cursor)),
            AvroShape::Map(value) => skip_items(cursor, |cursor| {
                cursor.bytes()?;
                value.skip(cursor)
            }),
            AvroShape::Union(_) => match self.enter(cursor)? {
                Some(shape) => shape.skip(cursor),
                None => Ok(()),
            },
            AvroShape::Record(fields) => fields.iter().try_for_each(|field| field.shape.skip(cursor)),
        }
    }
}

/// Identifies each field of a record, in the writer's order: by its field id, or by its name if it has none.
pub(super) fn identify<T: Copy>(
    fields: &[ShapeField],
    known: &[(i32, &str, T)],
    other: T,
) -> Vec<(T, AvroShape)> {
    let meaning = |field: &ShapeField| {
        known
            .iter()
            .find(|(id, name, _)| field.id.map_or(field.name == *name, |given| given == *id))
            .map_or(other, |(_, _, meaning)| *meaning)
    };
    fields.iter().map(|field| (meaning(field), field.shape.clone())).collect()
}

pub(super) fn number(shape: &AvroShape, cursor: &mut AvroCursor<'_>) -> Result<i64, ManifestError> {
    match shape {
        AvroShape::Long => cursor.long(),
        _ => Err(malformed("its schema has another type than a number for a number")),
    }
}

fn skip_items<'a>(
    cursor: &mut AvroCursor<'a>,
    skip: impl Fn(&mut AvroCursor<'a>) -> Result<(), ManifestError>,
) -> Result<(), ManifestError> {
    while let Some(count) = cursor.block_count()? {
        let start = cursor.position();
        for number in 0..count {
            skip(cursor)?;
            if number >= EMPTY_ITEMS_MAX && cursor.position() == start {
                return Err(malformed("an array has too many empty items"));
            }
        }
    }
    Ok(())
}

struct Declarations {
    /// Named types declared so far, with their number of parts.
    named: HashMap<String, (AvroShape, usize)>,
    plain_fixed: PlainFixed,
}

impl Declarations {
    /// Parses a type, and returns it with its number of parts.
    fn read(&mut self, schema: &Value, depth: usize) -> Result<(AvroShape, usize), ManifestError> {
        if depth == 0 {
            return Err(malformed(format!("its schema nests deeper than {DEPTH_MAX} types")));
        }
        let (shape, parts) = match schema {
            Value::String(name) => self.named(name)?,
            Value::Array(branches) => {
                let (shapes, parts) = self.read_all(branches, depth - 1)?;
                (AvroShape::Union(shapes.into()), parts + 1)
            }
            Value::Object(declared) => {
                let kind =
                    declared.get("type").ok_or_else(|| malformed("its schema has a type without `type`"))?;
                match kind.as_str() {
                    Some("record" | "error") => self.record(schema, depth)?,
                    Some("array") => {
                        let (item, parts) = self.read(part(schema, "items")?, depth - 1)?;
                        (AvroShape::Array(Arc::new(item)), parts + 1)
                    }
                    Some("map") => {
                        let (value, parts) = self.read(part(schema, "values")?, depth - 1)?;
                        (AvroShape::Map(Arc::new(value)), parts + 1)
                    }
                    Some("enum") => self.declare(schema, AvroShape::Long, 1),
                    Some("fixed") => {
                        let size = part(schema, "size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                        let size =
                            size.ok_or_else(|| malformed("its schema has a fixed type without a size"))?;
                        let is_plain = declared.get("logicalType").is_none();
                        if is_plain && self.plain_fixed == PlainFixed::Bytes {
                            self.declare(schema, AvroShape::Bytes, 1)
                        } else {
                            self.declare(schema, AvroShape::Fixed(size), 1)
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

    fn read_all(
        &mut self,
        schemas: &[Value],
        depth: usize,
    ) -> Result<(Vec<AvroShape>, usize), ManifestError> {
        let mut shapes = Vec::with_capacity(schemas.len());
        let mut total = 0;
        for schema in schemas {
            let (shape, parts) = self.read(schema, depth)?;
            shapes.push(shape);
            total += parts;
        }
        Ok((shapes, total))
    }

    fn named(&self, name: &str) -> Result<(AvroShape, usize), ManifestError> {
        Ok(match name {
            "null" => (AvroShape::Null, 1),
            "boolean" => (AvroShape::Boolean, 1),
            "int" | "long" => (AvroShape::Long, 1),
            "float" => (AvroShape::Float, 1),
            "double" => (AvroShape::Double, 1),
            "bytes" => (AvroShape::Bytes, 1),
            "string" => (AvroShape::String, 1),
            _ => {
                let found = self.named.get(name).or_else(|| self.named.get(last_part(name)));
                found.cloned().ok_or_else(|| {
                    malformed(format!("its schema uses `{name}` before, or without, declaring it"))
                })?
            }
        })
    }

    fn record(&mut self, schema: &Value, depth: usize) -> Result<(AvroShape, usize), ManifestError> {
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
        Ok(self.declare(schema, AvroShape::Record(fields.into()), total))
    }

    /// Registers a type under its name, with and without its namespace.
    fn declare(&mut self, schema: &Value, shape: AvroShape, parts: usize) -> (AvroShape, usize) {
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
