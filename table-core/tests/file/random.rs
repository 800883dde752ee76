//! Random schemas, rows and evolutions, all of them a function of one seed.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use table_core::expr::decimal::Decimal;
use table_core::expr::value::Value;
use table_core::metadata::schema::Field;
use table_core::metadata::types::{ListType, MapType, Primitive, StructType, Type};
use uuid::Uuid;

use crate::model::{Cell, Row, default_of, promote};

/// Numbers that follow from a seed (`SplitMix64`).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

const NAMES: [&str; 12] =
    ["id", "pos", "a.b", "", "ünï", "数据", "🦀", "1st", "with space", "a-b", "_file", "key_value"];

/// Makes schemas whose ids never occur twice.
pub(crate) struct Maker {
    pub(crate) random: Random,
    next_id: i32,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Maker {
        Maker { random: Random(seed), next_id: 1 }
    }

    pub(crate) fn columns(&mut self) -> StructType {
        let columns = self.structure(0);
        // Otherwise there is nothing to write.
        let is_written = |field: &Field| field.field_type == Type::Primitive(Primitive::Int);
        if columns.fields.iter().any(is_written) {
            return columns;
        }
        let mut columns = columns;
        columns.fields.push(self.field("some int", Type::Primitive(Primitive::Int)));
        columns
    }

    fn structure(&mut self, depth: usize) -> StructType {
        let count = 1 + self.random.below(5);
        let fields = (0..count).map(|place| self.any_field(depth, place)).collect();
        StructType { fields, other: Vec::new() }
    }

    fn any_field(&mut self, depth: usize, place: usize) -> Field {
        let name = format!("{}{place}", self.random.pick(&NAMES));
        let field_type = self.any_type(depth, Place::Column);
        self.field(&name, field_type)
    }

    fn field(&mut self, name: &str, field_type: Type) -> Field {
        let id = self.next_id;
        self.next_id += 1;
        let required = self.random.one_in(4) && field_type != Type::Primitive(Primitive::Unknown);
        Field {
            id,
            name: name.to_owned(),
            required,
            field_type,
            doc: None,
            initial_default: None,
            write_default: None,
            other: Vec::new(),
        }
    }

    fn any_type(&mut self, depth: usize, place: Place) -> Type {
        let choice = if depth >= 3 { 3 } else { self.random.below(8) };
        match choice {
            0 => {
                let mut parts = self.structure(depth + 1);
                let part = self.field("known", Type::Primitive(Primitive::Long));
                parts.fields.push(part);
                Type::Struct(parts)
            }
            1 => {
                let element_type = self.any_type(depth + 1, Place::Element);
                let element = self.field("element", element_type);
                Type::List(Box::new(ListType { element, other: Vec::new() }))
            }
            2 => {
                let key_type = Type::Primitive(self.primitive(Place::Element));
                let value_type = self.any_type(depth + 1, Place::Element);
                let key = Field { required: true, ..self.field("key", key_type) };
                let value = self.field("value", value_type);
                Type::Map(Box::new(MapType { key, value, other: Vec::new() }))
            }
            _ => Type::Primitive(self.primitive(place)),
        }
    }

    fn primitive(&mut self, place: Place) -> Primitive {
        let precision = u32::try_from(1 + self.random.below(38)).unwrap();
        let scale = u32::try_from(self.random.below(usize::try_from(precision).unwrap() + 1)).unwrap();
        let choices = [
            Primitive::Boolean,
            Primitive::Int,
            Primitive::Long,
            Primitive::Float,
            Primitive::Double,
            Primitive::Decimal { precision, scale },
            Primitive::Date,
            Primitive::Time,
            Primitive::Timestamp,
            Primitive::Timestamptz,
            Primitive::TimestampNs,
            Primitive::TimestamptzNs,
            Primitive::String,
            Primitive::Uuid,
            Primitive::Fixed(1 + u64::from(scale)),
            Primitive::Binary,
            Primitive::Unknown,
        ];
        let unknown = usize::from(place == Place::Element);
        self.random.pick(&choices[..choices.len() - unknown])
    }

    /// Changes a schema as a table's owner may.
    pub(crate) fn evolve(&mut self, parts: &StructType, depth: usize) -> StructType {
        let mut fields: Vec<Field> = Vec::new();
        for field in &parts.fields {
            // A struct has to keep a part that is written.
            if self.random.one_in(6) && field.name != "known" {
                continue;
            }
            let mut field = field.clone();
            if self.random.one_in(4) {
                field.name = format!("renamed {}", field.id);
            }
            let default = field.initial_default.is_some().then(|| default_of(&field));
            field.field_type = self.evolve_type(&field.field_type, depth);
            if let Some(Cell::Value(value)) = default.map(|default| promote(&default, &field.field_type)) {
                field.initial_default = Some(value.to_json());
            }
            fields.push(field);
        }
        for place in 0..self.random.below(3) {
            let added = self.any_field(depth + 1, place + 100);
            fields.push(self.with_default(added));
        }
        for place in (1..fields.len()).rev() {
            if self.random.one_in(2) {
                let other = self.random.below(place + 1);
                fields.swap(place, other);
            }
        }
        StructType { fields, other: Vec::new() }
    }

    fn evolve_type(&mut self, field_type: &Type, depth: usize) -> Type {
        match field_type {
            Type::Struct(parts) => Type::Struct(self.evolve(parts, depth + 1)),
            Type::List(list) => {
                let mut list = list.clone();
                list.element.field_type = self.evolve_type(&list.element.field_type, depth + 1);
                Type::List(list)
            }
            Type::Map(map) => {
                let mut map = map.clone();
                map.value.field_type = self.evolve_type(&map.value.field_type, depth + 1);
                Type::Map(map)
            }
            Type::Primitive(primitive) if self.random.one_in(2) => Type::Primitive(self.widen(primitive)),
            other => other.clone(),
        }
    }

    fn widen(&mut self, primitive: &Primitive) -> Primitive {
        match primitive {
            Primitive::Int => Primitive::Long,
            Primitive::Float => Primitive::Double,
            Primitive::Decimal { precision, scale } => {
                let more = u32::try_from(self.random.below(5)).unwrap();
                Primitive::Decimal { precision: (precision + more).min(38), scale: *scale }
            }
            Primitive::Date => self.random.pick(&[Primitive::Timestamp, Primitive::TimestampNs]),
            other => other.clone(),
        }
    }

    /// An added field: optional, or with a default.
    fn with_default(&mut self, field: Field) -> Field {
        let mut field = field;
        match &field.field_type {
            Type::Primitive(Primitive::Unknown) => {}
            Type::Primitive(primitive) if self.random.one_in(2) => {
                let value = self.value(&primitive.clone());
                field.initial_default = Some(value.to_json());
            }
            Type::Struct(parts)
                if self.random.one_in(2) && parts.fields.iter().all(|part| !part.required) =>
            {
                field.initial_default = Some(json!({}));
            }
            _ => {}
        }
        // Floats that JSON cannot say have no default.
        if field.initial_default.as_ref().is_some_and(Json::is_string)
            && matches!(field.field_type, Type::Primitive(Primitive::Float | Primitive::Double))
        {
            field.initial_default = None;
        }
        field.required &= field.initial_default.is_some();
        field
    }

    pub(crate) fn rows(&mut self, columns: &StructType, count: usize) -> Vec<Row> {
        (0..count).map(|_| self.row(&columns.fields)).collect()
    }

    fn row(&mut self, fields: &[Field]) -> Row {
        let mut row = BTreeMap::new();
        for field in fields {
            let cell = if !field.required && self.random.one_in(4) {
                Cell::Null
            } else {
                self.cell(&field.field_type)
            };
            row.insert(field.id, cell);
        }
        row
    }

    fn cell(&mut self, field_type: &Type) -> Cell {
        match field_type {
            Type::Primitive(Primitive::Unknown) => Cell::Null,
            Type::Primitive(primitive) => Cell::Value(self.value(primitive)),
            Type::Struct(parts) => Cell::Struct(self.row(&parts.fields)),
            Type::List(list) => {
                let element = std::slice::from_ref(&list.element);
                let count = self.random.below(4);
                Cell::List((0..count).map(|_| self.row(element)[&list.element.id].clone()).collect())
            }
            Type::Map(map) => {
                let count = self.random.below(4);
                let mut entries = Vec::new();
                for _ in 0..count {
                    let key = self.cell(&map.key.field_type);
                    let value = self.row(std::slice::from_ref(&map.value))[&map.value.id].clone();
                    if entries.iter().all(|(other, _)| *other != key) {
                        entries.push((key, value));
                    }
                }
                Cell::Map(entries)
            }
            Type::Other(_) => unreachable!(),
        }
    }

    pub(crate) fn value(&mut self, primitive: &Primitive) -> Value {
        let bits = self.random.next();
        // Few different values, so that some are equal; and sometimes any.
        let long = if bits.is_multiple_of(8) { bits.cast_signed() } else { (bits % 100).cast_signed() - 50 };
        // All of them within the years that nanoseconds reach.
        let days = i32::try_from(long % 100_000).unwrap();
        match primitive {
            Primitive::Boolean => Value::Boolean(bits.is_multiple_of(2)),
            Primitive::Int => Value::Int(i32::try_from(long % (1 << 31)).unwrap()),
            Primitive::Long => Value::Long(long),
            Primitive::Float => {
                Value::Float(self.random.pick(&[0.0, -0.0, 1.5, -7.25, f32::NAN, f32::INFINITY]))
            }
            Primitive::Double => {
                Value::Double(self.random.pick(&[0.0, -0.0, 1.1, -2e300, f64::NAN, f64::NEG_INFINITY]))
            }
            Primitive::Decimal { precision, scale } => {
                let wide = i128::from(long) * i128::from(bits);
                Value::Decimal(Decimal { unscaled: wide % 10_i128.pow(*precision), scale: *scale })
            }
            Primitive::Date => Value::Date(days),
            Primitive::Time => Value::Time(i64::try_from(bits % 86_400_000_000).unwrap()),
            Primitive::Timestamp => Value::Timestamp(long / 1000),
            Primitive::Timestamptz => Value::Timestamptz(long / 1000),
            Primitive::TimestampNs => Value::TimestampNs(long),
            Primitive::TimestamptzNs => Value::TimestamptzNs(long),
            Primitive::String => Value::String(self.text()),
            Primitive::Uuid => Value::Uuid(Uuid::from_u128(u128::from(bits) << 64 | 7)),
            Primitive::Fixed(length) => {
                let length = usize::try_from(*length).unwrap();
                Value::Fixed((0..length).map(|_| self.random.pick(&[0, 1, 127, 128, 255])).collect())
            }
            Primitive::Binary => {
                let length = self.random.below(40);
                Value::Binary((0..length).map(|_| self.random.pick(&[0, 1, 127, 128, 255])).collect())
            }
            other => panic!("{other}"),
        }
    }

    fn text(&mut self) -> String {
        let characters = ['a', 'b', 'ü', '\u{d7ff}', '\u{e000}', '🦀', '\u{10ffff}', '\0'];
        let length = self.random.below(40);
        (0..length).map(|_| self.random.pick(&characters)).collect()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Column,
    Element,
}
