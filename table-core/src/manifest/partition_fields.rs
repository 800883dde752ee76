//! Fields of a partition spec in manifests: types, Avro declarations, encoding of partition tuples, and
//! partition summaries. Counterpart of [`super::partition`].

use std::collections::{HashMap, HashSet};

use serde_json::{Value as Json, json};

use super::avro_write::Encoder;
use super::error::{ManifestError, unwritable};
use super::list::PartitionSummary;
use super::partition::PartitionType;
use crate::expr::decimal::Decimal;
use crate::expr::value::Value;
use crate::metadata::error::MetadataError;
use crate::metadata::partition::PartitionSpec;
use crate::metadata::schema::Schema;
use crate::metadata::schema_index::SchemaIndex;
use crate::metadata::types::Primitive;

/// Fields of a partition spec, with the types of their values.
#[derive(Debug, Clone)]
pub struct PartitionFields {
    fields: Vec<PartitionFieldType>,
}

/// Field of a partition spec.
#[derive(Debug, Clone)]
struct PartitionFieldType {
    id: i32,
    name: String,
    /// Type of the values; `None` if unknown, in which case only null can be written.
    value_type: Option<Primitive>,
}

impl PartitionFields {
    /// Returns the fields of a partition spec.
    ///
    /// Their types follow from the source columns, which are looked up in `schemas` in order, so that a
    /// column that was dropped from the current schema is found in an older one.
    ///
    /// # Errors
    ///
    /// Fails if a schema cannot be decoded ([`MetadataError::Malformed`]), or has field ids or names that
    /// occur twice ([`MetadataError::Inconsistent`]).
    pub fn of<'a>(
        spec: &PartitionSpec,
        schemas: impl Iterator<Item = &'a Schema> + Clone,
    ) -> Result<PartitionFields, MetadataError> {
        let mut sources: HashMap<i32, Primitive> = HashMap::new();
        for schema in schemas {
            let index = SchemaIndex::new(schema.columns()?)?;
            for id in spec.fields().iter().flat_map(|field| &field.source_ids) {
                if let Some(primitive) = index.get(*id).and_then(|column| column.primitive()) {
                    sources.entry(*id).or_insert_with(|| primitive.clone());
                }
            }
        }
        let fields = spec.fields().iter().enumerate().map(|(position, field)| {
            let source = match &field.source_ids[..] {
                [id] => sources.get(id),
                _ => None,
            };
            PartitionFieldType {
                id: field.id_at(position),
                name: field.name.clone(),
                value_type: source
                    .and_then(|source| field.transform.result_type(source))
                    .filter(|value_type| avro_type(value_type) != "null"),
            }
        });
        Ok(PartitionFields { fields: fields.collect() })
    }

    /// Returns the field ids and types, for reading partition tuples.
    pub fn types(&self) -> PartitionType {
        self.fields.iter().map(|field| (field.id, field.value_type.clone())).collect()
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns `true` if there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns the declarations of the fields in the Avro schema.
    pub(super) fn declarations(&self) -> Vec<Json> {
        let (mut names, mut declared) = (HashSet::new(), HashSet::new());
        let mut declarations = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let mut name = avro_name(&field.name);
            // Two names may become equal when they are sanitised.
            if !names.insert(name.clone()) {
                name = format!("{name}_{}", field.id);
                names.insert(name.clone());
            }
            let mut kind = field.value_type.as_ref().map_or_else(|| json!("null"), avro_type);
            // Java declares a named type once and refers to it by name afterwards, which other readers do not
            // support for types with a logical type. Java's reader accepts any name.
            if let Some(type_name) = kind.get("name").and_then(Json::as_str).map(str::to_owned)
                && !declared.insert(type_name.clone())
            {
                kind["name"] = json!(format!("{type_name}_{}", field.id));
            }
            let kind = if kind == "null" { kind } else { json!(["null", kind]) };
            let mut declaration = json!({"name": name, "type": kind, "default": null});
            if name != field.name {
                declaration["iceberg-field-name"] = json!(field.name);
            }
            declaration["field-id"] = json!(field.id);
            declarations.push(declaration);
        }
        declarations
    }

    /// Appends a partition tuple.
    pub(super) fn write(&self, out: &mut Encoder, tuple: &[Option<Value>]) -> Result<(), ManifestError> {
        if tuple.len() != self.fields.len() {
            let (actual, expected) = (tuple.len(), self.fields.len());
            return Err(unwritable(format!(
                "a partition has {actual} values for the {expected} fields of its spec"
            )));
        }
        for (field, value) in self.fields.iter().zip(tuple) {
            let Some(value_type) = &field.value_type else {
                if value.is_some() {
                    return Err(unwritable(format!(
                        "the type of partition field `{}` is unknown",
                        field.name
                    )));
                }
                continue;
            };
            out.is_present(value.is_some());
            if let Some(value) = value {
                write_value(out, value, value_type).ok_or_else(|| field.refuse(value, value_type))?;
            }
        }
        Ok(())
    }
}

impl PartitionFieldType {
    fn refuse(&self, value: &Value, value_type: &Primitive) -> ManifestError {
        unwritable(format!(
            "the partition field `{}` of type `{value_type}` cannot hold {value:?}",
            self.name
        ))
    }
}

fn write_value(out: &mut Encoder, value: &Value, value_type: &Primitive) -> Option<()> {
    if !value.is_of(value_type) {
        return None;
    }
    match value {
        Value::Boolean(value) => out.boolean(*value),
        Value::Int(value) | Value::Date(value) => out.long(i64::from(*value)),
        Value::Long(value)
        | Value::Time(value)
        | Value::Timestamp(value)
        | Value::Timestamptz(value)
        | Value::TimestampNs(value)
        | Value::TimestamptzNs(value) => out.long(*value),
        Value::Float(value) => out.fixed(&value.to_le_bytes()),
        Value::Double(value) => out.fixed(&value.to_le_bytes()),
        Value::Decimal(value) => {
            let Primitive::Decimal { precision, .. } = value_type else { return None };
            out.fixed(wide_decimal(*value, decimal_bytes(*precision))?.as_slice());
        }
        Value::String(value) => out.string(value),
        Value::Uuid(value) => out.fixed(value.as_bytes()),
        Value::Fixed(value) | Value::Binary(value) => out.bytes(value),
        Value::Number(_) => return None,
    }
    Some(())
}

/// Returns a decimal in big-endian two's complement of exactly this length; `None` if it does not fit.
fn wide_decimal(value: Decimal, length: usize) -> Option<Vec<u8>> {
    let short = value.to_bytes();
    let fill = if value.unscaled < 0 { 0xff } else { 0 };
    let mut wide = vec![fill; length.checked_sub(short.len())?];
    wide.extend_from_slice(&short);
    Some(wide)
}

/// Returns the minimum number of bytes for all numbers with this many digits, as Java's
/// `decimalRequiredBytes`.
fn decimal_bytes(precision: u32) -> usize {
    let largest = 10_i128.checked_pow(precision).map_or(i128::MAX, |power| power - 1);
    Decimal { unscaled: largest, scale: 0 }.to_bytes().len()
}

/// Returns the Avro type, as Java's `TypeToSchema`, except for `fixed`.
fn avro_type(value_type: &Primitive) -> Json {
    let timestamp = |unit: &str, utc: bool| json!({"type": "long", "logicalType": format!("timestamp-{unit}"), "adjust-to-utc": utc});
    match value_type {
        Primitive::Boolean => json!("boolean"),
        Primitive::Int => json!("int"),
        Primitive::Long => json!("long"),
        Primitive::Float => json!("float"),
        Primitive::Double => json!("double"),
        Primitive::Date => json!({"type": "int", "logicalType": "date"}),
        Primitive::Time => json!({"type": "long", "logicalType": "time-micros"}),
        Primitive::Timestamp => timestamp("micros", false),
        Primitive::Timestamptz => timestamp("micros", true),
        Primitive::TimestampNs => timestamp("nanos", false),
        Primitive::TimestamptzNs => timestamp("nanos", true),
        Primitive::String => json!("string"),
        Primitive::Uuid => json!({"type": "fixed", "name": "uuid_fixed", "size": 16, "logicalType": "uuid"}),
        // Java declares `fixed`, but writes and reads `bytes` (1.11; see `Shape::parse_with`). Declared as
        // `bytes`, all readers can read it.
        Primitive::Fixed(_) | Primitive::Binary => json!("bytes"),
        Primitive::Decimal { precision, scale } => json!({
            "type": "fixed", "name": format!("decimal_{precision}_{scale}"), "size": decimal_bytes(*precision),
            "logicalType": "decimal", "precision": precision, "scale": scale,
        }),
        // Values of these types cannot be represented, so only null is written.
        Primitive::Variant
        | Primitive::Unknown
        | Primitive::Geometry(_)
        | Primitive::Geography(_)
        | Primitive::Other(_) => json!("null"),
    }
}

/// Returns a name that Avro accepts: as Java's `AvroSchemaUtil.sanitize`, except for letters and digits
/// beyond ASCII. Java retains these, although the Avro specification, and readers that follow it, do not
/// allow them.
fn avro_name(name: &str) -> String {
    let mut fitting = String::with_capacity(name.len());
    for (position, unit) in name.encode_utf16().enumerate() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphabetic() || byte == b'_' => fitting.push(char::from(byte)),
            Ok(byte) if byte.is_ascii_digit() => {
                if position == 0 {
                    fitting.push('_');
                }
                fitting.push(char::from(byte));
            }
            _ => fitting.push_str(format!("_x{unit:X}").as_str()),
        }
    }
    if fitting.is_empty() { "_".to_owned() } else { fitting }
}

/// Values of a partition field so far: range, and presence of null and NaN.
#[derive(Debug, Clone, Default)]
struct FieldSummary {
    has_null: bool,
    has_nan: bool,
    range: Option<(Value, Value)>,
}

/// Values of all fields of a partition spec so far.
#[derive(Debug, Clone)]
pub(super) struct Summaries {
    fields: Vec<FieldSummary>,
}

impl Summaries {
    pub(super) fn new(fields: &PartitionFields) -> Summaries {
        Summaries { fields: vec![FieldSummary::default(); fields.len()] }
    }

    pub(super) fn add(&mut self, tuple: &[Option<Value>]) {
        for (field, value) in self.fields.iter_mut().zip(tuple) {
            match (value, &mut field.range) {
                (None, _) => field.has_null = true,
                (Some(value), _) if value.is_nan() => field.has_nan = true,
                (Some(value), None) => field.range = Some((value.clone(), value.clone())),
                (Some(value), Some((lower, upper))) => {
                    if value < lower {
                        *lower = value.clone();
                    } else if value > upper {
                        *upper = value.clone();
                    }
                }
            }
        }
    }

    pub(super) fn finish(self) -> Vec<PartitionSummary> {
        let summary = |field: FieldSummary| PartitionSummary {
            contains_null: field.has_null,
            contains_nan: Some(field.has_nan),
            lower_bound: field.range.as_ref().map(|(lower, _)| lower.encode()),
            upper_bound: field.range.as_ref().map(|(_, upper)| upper.encode()),
        };
        self.fields.into_iter().map(summary).collect()
    }
}
