//! Single values of `table-core` and of the crate `iceberg`: their binary and their JSON form, each written by
//! one side and read by the other.

use iceberg::spec::{Datum, Literal, PrimitiveLiteral, Type};
use table_core::expr::value::Value;
use tests::fixture;

use crate::values::{BothTypes, Disagreements, Outcome, catch_panic, datum, kind, types, values};

/// Disagreements over the binary form; explained in `docs/compatibility.md`.
const KNOWN_BINARY: [&str; 0] = [];
/// Disagreements over the JSON form.
const KNOWN_JSON: [&str; 13] = [
    "date of ours: ours a value, theirs an error",
    "date of theirs: ours a value, theirs a panic",
    "double of ours: ours a value, theirs an error",
    "double of theirs: ours a value, theirs null",
    "float of ours: ours a value, theirs an error",
    "float of theirs: ours a value, theirs null",
    "timestamp of ours: ours a value, theirs an error",
    "timestamp of theirs: ours a value, theirs a panic",
    "timestamp_ns of ours: ours a value, theirs an error",
    "timestamptz of ours: ours a value, theirs an error",
    "timestamptz of theirs: ours a value, theirs a panic",
    "timestamptz_ns of ours: ours a value, theirs an error",
    "timestamptz_ns of theirs: ours a value, theirs a panic",
];

#[test]
fn the_binary_form_is_the_same() {
    let mut random = fixture::random("binary single values");
    let mut disagreements = Disagreements::default();
    for value_type in types() {
        for value in values(&value_type.ours, &mut random) {
            let bytes = value.encode();
            let theirs = catch_panic(|| match Datum::try_from_bytes(&bytes, value_type.theirs.clone()) {
                Ok(read) => read.to_bytes().map_or(Outcome::Refused, |bytes| Outcome::Value(bytes.to_vec())),
                Err(_) => Outcome::Refused,
            });
            disagreements.compare(&kind(&value_type.ours), &value, &Outcome::Value(bytes.clone()), &theirs);
            let read = Value::decode(&bytes, &value_type.ours).map(|read| read.encode());
            assert_eq!(read, Some(bytes), "{value:?}");
        }
    }
    disagreements.check(&KNOWN_BINARY);
}

/// Returns the binary form of a literal of the crate.
fn bytes(literal: &Literal, value_type: &BothTypes) -> Outcome {
    let Some(literal) = literal.as_primitive_literal() else { return Outcome::Null };
    Outcome::Value(match literal {
        PrimitiveLiteral::Boolean(value) => vec![u8::from(value)],
        PrimitiveLiteral::Int(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::Long(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::Float(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::Double(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::String(value) => value.into_bytes(),
        PrimitiveLiteral::Binary(value) => value,
        PrimitiveLiteral::UInt128(value) => value.to_be_bytes().to_vec(),
        PrimitiveLiteral::Int128(value) => {
            let table_core::metadata::types::Primitive::Decimal { scale, .. } = value_type.ours else {
                return Outcome::Refused;
            };
            Value::Decimal(table_core::expr::decimal::Decimal { unscaled: value, scale }).encode()
        }
        PrimitiveLiteral::AboveMax | PrimitiveLiteral::BelowMin => return Outcome::Refused,
    })
}

#[test]
fn each_side_reads_the_json_form_that_the_other_writes() {
    let mut random = fixture::random("JSON single values");
    let mut disagreements = Disagreements::default();
    for value_type in types() {
        let their_type = Type::Primitive(value_type.theirs.clone());
        for value in values(&value_type.ours, &mut random) {
            let expected = Outcome::Value(value.encode());
            let json = value.to_json();
            let read = catch_panic(|| match Literal::try_from_json(json.clone(), &their_type) {
                Ok(Some(literal)) => bytes(&literal, &value_type),
                Ok(None) => Outcome::Null,
                Err(_) => Outcome::Refused,
            });
            disagreements.compare(&format!("{} of ours", kind(&value_type.ours)), &json, &expected, &read);
            let literal = Literal::Primitive(datum(&value, &value_type).literal().clone());
            let mut written = None;
            let read = catch_panic(|| match literal.try_into_json(&their_type) {
                Ok(json) => {
                    let read = Value::from_json(&json, &value_type.ours);
                    written = Some(json);
                    read.map_or(Outcome::Null, |read| Outcome::Value(read.encode()))
                }
                Err(_) => Outcome::Refused,
            });
            disagreements.compare(
                &format!("{} of theirs", kind(&value_type.ours)),
                &(written, &value),
                &expected,
                &read,
            );
        }
    }
    disagreements.check(&KNOWN_JSON);
}
