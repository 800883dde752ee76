//! Transforms of `table-core` and of the crate `iceberg`, compared over all types.

use iceberg::spec::Type;
use iceberg::transform::create_transform_function;
use table_core::expr::value::Value;
use table_core::metadata::transform::Transform;
use table_core::metadata::types::Primitive;
use tests::fixture;

use crate::values::{BothTypes, Disagreements, Outcome, catch_panic, datum, kind, types, values};

const TRANSFORMS: [&str; 12] = [
    "identity",
    "bucket[1]",
    "bucket[16]",
    "bucket[2147483647]",
    "truncate[1]",
    "truncate[10]",
    "truncate[2147483647]",
    "year",
    "month",
    "day",
    "hour",
    "void",
];

/// Disagreements over values that both sides accept; explained in `docs/compatibility.md`.
const KNOWN: [&str; 17] = [
    "bucket of timestamp_ns: other values",
    "bucket of timestamptz_ns: other values",
    "day of timestamp: other values",
    "day of timestamp_ns: other values",
    "day of timestamptz: other values",
    "day of timestamptz_ns: other values",
    "hour of timestamp: ours null, theirs a value",
    "hour of timestamptz: ours null, theirs a value",
    "month of date: ours a value, theirs a panic",
    "month of timestamp: ours a value, theirs an error",
    "month of timestamptz: ours a value, theirs an error",
    "truncate of binary: ours a value, theirs an error",
    "truncate of int: ours a value, theirs a panic",
    "truncate of long: ours a value, theirs a panic",
    "year of date: ours a value, theirs a panic",
    "year of timestamp: ours a value, theirs an error",
    "year of timestamptz: ours a value, theirs an error",
];

fn ours(transform: &Transform, value: &Value) -> Outcome {
    transform.apply(value).map_or(Outcome::Null, |result| Outcome::Value(result.encode()))
}

fn theirs(transform: iceberg::spec::Transform, value: &Value, value_type: &BothTypes) -> Outcome {
    catch_panic(|| {
        let function = create_transform_function(&transform).unwrap();
        match function.transform_literal(&datum(value, value_type)) {
            Ok(Some(result)) => Outcome::Value(result.to_bytes().unwrap().to_vec()),
            Ok(None) => Outcome::Null,
            Err(_) => Outcome::Refused,
        }
    })
}

fn both(name: &str) -> (Transform, iceberg::spec::Transform) {
    (Transform::parse(name), name.parse().unwrap())
}

fn result_types(name: &str, value_type: &BothTypes) -> (Option<String>, Option<String>) {
    let (ours, theirs) = both(name);
    let their_type = theirs.result_type(&Type::Primitive(value_type.theirs.clone())).ok();
    // `decimal(9,2)` and `fixed[5]` here, `decimal(9, 2)` and `fixed(5)` there.
    let plain = |name: String| name.replace(' ', "").replace('[', "(").replace(']', ")");
    (
        ours.result_type(&value_type.ours).map(|value_type| plain(value_type.to_string())),
        their_type.map(|value_type| plain(value_type.to_string())),
    )
}

#[test]
fn transforms_have_the_same_sources_and_result_types() {
    let mut disagreements = Vec::new();
    for value_type in types() {
        for name in TRANSFORMS {
            let (ours, theirs) = result_types(name, &value_type);
            if ours != theirs {
                disagreements
                    .push(format!("{name} of {}: ours {ours:?}, theirs {theirs:?}", value_type.ours));
            }
        }
    }
    assert_eq!(disagreements, [""; 0]);
}

#[test]
fn transforms_have_the_same_results() {
    let mut random = fixture::random("transforms");
    let mut disagreements = Disagreements::default();
    for value_type in types() {
        let values = values(&value_type.ours, &mut random);
        for name in TRANSFORMS {
            let (our_transform, their_transform) = both(name);
            if our_transform.result_type(&value_type.ours).is_none() {
                continue;
            }
            let what = format!("{} of {}", name.split('[').next().unwrap_or(name), kind(&value_type.ours));
            for value in &values {
                let (ours, theirs) =
                    (ours(&our_transform, value), theirs(their_transform, value, &value_type));
                disagreements.compare(&what, &(name, value), &ours, &theirs);
            }
        }
    }
    disagreements.check(&KNOWN);
}

/// The test values of the specification, appendix B. They are constants, so that both sides cannot be wrong in
/// the same way.
#[test]
fn hashes_are_those_of_the_specification() {
    let bucket = |value: &Value| ours(&Transform::Bucket(i32::MAX.unsigned_abs()), value);
    let decimal = table_core::expr::decimal::Decimal { unscaled: 1420, scale: 2 };
    for (value, hash) in [
        (Value::Int(34), 2_017_239_379),
        (Value::Long(34), 2_017_239_379),
        (Value::Decimal(decimal), -500_754_589),
        (Value::Date(17_486), -653_330_422),
        (Value::Time(81_068_000_000), -662_762_989),
        (Value::Timestamp(1_510_871_468_000_000), -2_047_944_441),
        (Value::TimestampNs(1_510_871_468_000_001_001), -1_207_196_810),
        (Value::String("iceberg".to_owned()), 1_210_000_089),
        (Value::Binary(vec![0, 1, 2, 3]), -188_683_207),
    ] {
        let expected = (hash & i32::MAX) % i32::MAX;
        assert_eq!(bucket(&value), Outcome::Value(expected.to_le_bytes().to_vec()), "{value:?}");
    }
    assert!(Transform::Bucket(4).result_type(&Primitive::Double).is_none());
}
