//! Partition tuples: conversion of the writer's record to the values of a partition spec's fields.

use uuid::Uuid;

use super::avro::AvroCursor;
use super::error::{ManifestError, malformed};
use super::shape::AvroShape;
use crate::expr::decimal::Decimal;
use crate::expr::value::Value;
use crate::metadata::types::Primitive;

/// Partition tuple: the values of a partition spec's fields, in the order of the spec; `None` is null.
pub type PartitionTuple = Vec<Option<Value>>;

/// Partition type: field id and value type of the fields of a partition spec. A value of an unknown type
/// (`None`) is read as the type that its writer declared.
pub type PartitionType = Vec<(i32, Option<Primitive>)>;

/// Reader of the partition tuples of one manifest.
pub(super) struct PartitionReader<'a> {
    steps: Vec<Step<'a>>,
    width: usize,
}

struct Step<'a> {
    shape: &'a AvroShape,
    /// Index and type of the value in the tuple; `None` if the partition spec has no such field.
    place: Option<(usize, Option<&'a Primitive>)>,
}

impl<'a> PartitionReader<'a> {
    /// Matches the writer's fields to those of the partition spec: by field id, or by position if a field has
    /// no id.
    pub(super) fn new(partition: &'a AvroShape, types: &'a PartitionType) -> Result<Self, ManifestError> {
        let fields = partition.fields()?;
        let has_ids = fields.iter().all(|field| field.id.is_some());
        let mut steps = Vec::with_capacity(fields.len());
        for (order, field) in fields.iter().enumerate() {
            let place = match field.id.filter(|_| has_ids) {
                Some(id) => types.iter().position(|(known, _)| *known == id),
                None => Some(order).filter(|order| *order < types.len()),
            };
            let place = place.map(|place| (place, types[place].1.as_ref()));
            steps.push(Step { shape: &field.shape, place });
        }
        let width = types.len();
        let found =
            |place: usize| steps.iter().any(|step| step.place.is_some_and(|(known, _)| known == place));
        if let Some(missing) = (0..width).find(|place| !found(*place)) {
            let id = types[missing].0;
            return Err(malformed(format!(
                "its entries have no value for partition field {id} of their partition spec"
            )));
        }
        Ok(Self { steps, width })
    }

    pub(super) fn read(&self, tuple: &[u8]) -> Result<PartitionTuple, ManifestError> {
        let mut cursor = AvroCursor::new(tuple);
        let mut values = vec![None; self.width];
        for step in &self.steps {
            let Some(shape) = step.shape.enter(&mut cursor)? else { continue };
            match step.place {
                Some((place, value_type)) => values[place] = Some(value(shape, value_type, &mut cursor)?),
                None => shape.skip(&mut cursor)?,
            }
        }
        Ok(values)
    }
}

fn value(
    shape: &AvroShape,
    value_type: Option<&Primitive>,
    cursor: &mut AvroCursor<'_>,
) -> Result<Value, ManifestError> {
    let Some(value_type) = value_type else { return as_written(shape, cursor) };
    Ok(match (value_type, shape) {
        (Primitive::Boolean, AvroShape::Boolean) => Value::Boolean(cursor.boolean()?),
        (Primitive::Int, AvroShape::Long) => Value::Int(cursor.int()?),
        (Primitive::Long, AvroShape::Long) => Value::Long(cursor.long()?),
        (Primitive::Float, AvroShape::Float) => Value::Float(f32::from_le_bytes(array(cursor)?)),
        // Written before the column was promoted to `double`.
        (Primitive::Double, AvroShape::Float) => Value::Double(f64::from(f32::from_le_bytes(array(cursor)?))),
        (Primitive::Double, AvroShape::Double) => Value::Double(f64::from_le_bytes(array(cursor)?)),
        (Primitive::Decimal { scale, .. }, AvroShape::Bytes) => {
            Value::Decimal(decimal(cursor.bytes()?, *scale)?)
        }
        (Primitive::Decimal { scale, .. }, AvroShape::Fixed(size)) => {
            Value::Decimal(decimal(cursor.take(*size)?, *scale)?)
        }
        (Primitive::Date, AvroShape::Long) => Value::Date(cursor.int()?),
        (Primitive::Time, AvroShape::Long) => Value::Time(cursor.long()?),
        (Primitive::Timestamp, AvroShape::Long) => Value::Timestamp(cursor.long()?),
        (Primitive::Timestamptz, AvroShape::Long) => Value::Timestamptz(cursor.long()?),
        (Primitive::TimestampNs, AvroShape::Long) => Value::TimestampNs(cursor.long()?),
        (Primitive::TimestamptzNs, AvroShape::Long) => Value::TimestamptzNs(cursor.long()?),
        (Primitive::String, AvroShape::String) => Value::String(cursor.string()?.to_owned()),
        (Primitive::Uuid, AvroShape::Fixed(16)) => Value::Uuid(Uuid::from_bytes(array(cursor)?)),
        (Primitive::Uuid, AvroShape::String) => {
            let text = cursor.string()?;
            Value::Uuid(Uuid::parse_str(text).map_err(|_| malformed(format!("`{text}` is not a UUID")))?)
        }
        (Primitive::Fixed(_), AvroShape::Fixed(size)) => Value::Fixed(cursor.take(*size)?.to_vec()),
        (Primitive::Fixed(_), AvroShape::Bytes) => Value::Fixed(cursor.bytes()?.to_vec()),
        (Primitive::Binary, AvroShape::Bytes) => Value::Binary(cursor.bytes()?.to_vec()),
        (Primitive::Binary, AvroShape::Fixed(size)) => Value::Binary(cursor.take(*size)?.to_vec()),
        (other, _) => {
            return Err(malformed(format!("a partition value of type `{other}` is written as another type")));
        }
    })
}

/// Reads a value of an unknown type, such as that of an unknown transform, as the type that its writer
/// declared.
fn as_written(shape: &AvroShape, cursor: &mut AvroCursor<'_>) -> Result<Value, ManifestError> {
    Ok(match shape {
        AvroShape::Boolean => Value::Boolean(cursor.boolean()?),
        AvroShape::Long => Value::Long(cursor.long()?),
        AvroShape::Float => Value::Float(f32::from_le_bytes(array(cursor)?)),
        AvroShape::Double => Value::Double(f64::from_le_bytes(array(cursor)?)),
        AvroShape::String => Value::String(cursor.string()?.to_owned()),
        AvroShape::Bytes => Value::Binary(cursor.bytes()?.to_vec()),
        AvroShape::Fixed(size) => Value::Fixed(cursor.take(*size)?.to_vec()),
        _ => return Err(malformed("a partition value is not of a primitive type")),
    })
}

fn array<const N: usize>(cursor: &mut AvroCursor<'_>) -> Result<[u8; N], ManifestError> {
    cursor.take(N)?.try_into().map_err(|_| malformed("it ends within a value"))
}

/// Reads a decimal in big-endian two's complement, of any length that fits.
fn decimal(bytes: &[u8], scale: u32) -> Result<Decimal, ManifestError> {
    Decimal::from_bytes(bytes, scale).ok_or_else(|| malformed("a decimal partition value is too long"))
}
