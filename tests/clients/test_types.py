"""Types that all three engines support, written by each engine and read by the others."""

import math
from datetime import date, datetime, time, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from harness import ENGINES, arrow
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    FixedType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
    UUIDType,
)

PRIMITIVES = pa.schema(
    [
        ("bo", pa.bool_()),
        ("i", pa.int32()),
        ("l", pa.int64()),
        ("f", pa.float32()),
        ("d", pa.float64()),
        ("de", pa.decimal128(9, 2)),
        ("wide", pa.decimal128(38, 10)),
        ("da", pa.date32()),
        ("ts", pa.timestamp("us")),
        ("tz", pa.timestamp("us", tz="UTC")),
        ("s", pa.string()),
        ("b", pa.binary()),
    ]
)

PRIMITIVE_ROWS = [
    (
        True, 2**31 - 1, 2**63 - 1, 1.5, 0.1, Decimal("1.10"), Decimal("1234567890123456789012345678.0123456789"),
        date(2024, 2, 29), datetime(2024, 2, 29, 23, 59, 59, 999999),
        datetime(2024, 2, 29, 23, 59, 59, 999999, timezone.utc), "snö ❄ 雪", b"\x00\xff\x10",
    ),
    (
        False, -(2**31), -(2**63), -math.inf, math.nan, Decimal("-9999999.99"), Decimal("-0.0000000001"),
        date(1969, 12, 31), datetime(1969, 12, 31, 23, 59, 59, 1), datetime(1600, 1, 1, tzinfo=timezone.utc), "", b"",
    ),
    (
        True, 0, 0, -0.0, math.inf, Decimal("0.00"), Decimal("0E-10"),
        date(1970, 1, 1), datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=timezone.utc), "a'b\"c\\d\n", b"'",
    ),
    (None,) * 12,
]  # fmt: skip

PRIMITIVE_SQL = {
    "duckdb": """
        CREATE TABLE @t (bo BOOLEAN, i INTEGER, l BIGINT, f FLOAT, d DOUBLE, de DECIMAL(9, 2), wide DECIMAL(38, 10),
                         da DATE, ts TIMESTAMP, tz TIMESTAMPTZ, s VARCHAR, b BLOB)""",
    "spark": """
        CREATE TABLE @t (bo BOOLEAN, i INT, l BIGINT, f FLOAT, d DOUBLE, de DECIMAL(9, 2), wide DECIMAL(38, 10),
                         da DATE, ts TIMESTAMP_NTZ, tz TIMESTAMP, s STRING, b BINARY)""",
}

PRIMITIVE_VALUES = {
    "duckdb": r"""
        (true, 2147483647, 9223372036854775807, 1.5, 0.1, 1.10, 1234567890123456789012345678.0123456789,
         '2024-02-29', '2024-02-29 23:59:59.999999', '2024-02-29 23:59:59.999999+00', 'snö ❄ 雪', '\x00\xFF\x10'::BLOB),
        (false, -2147483648, -9223372036854775808, '-inf', 'nan', -9999999.99, -0.0000000001,
         '1969-12-31', '1969-12-31 23:59:59.000001', '1600-01-01 00:00:00+00', '', ''::BLOB),
        (true, 0, 0, '-0.0', 'inf', 0, 0,
         '1970-01-01', '1970-01-01 00:00:00', '1970-01-01 02:00:00+02', E'a\'b"c\\d\n', ''''::BLOB),
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
    "spark": r"""
        (true, 2147483647, 9223372036854775807, float('1.5'), 0.1D, 1.10, 1234567890123456789012345678.0123456789,
         DATE '2024-02-29', TIMESTAMP_NTZ '2024-02-29 23:59:59.999999', TIMESTAMP '2024-02-29 23:59:59.999999Z',
         'snö ❄ 雪', X'00FF10'),
        (false, -2147483648, -9223372036854775808L, float('-inf'), double('nan'), -9999999.99, -0.0000000001,
         DATE '1969-12-31', TIMESTAMP_NTZ '1969-12-31 23:59:59.000001', TIMESTAMP '1600-01-01 00:00:00Z', '', X''),
        (true, 0, 0, float('-0.0'), double('inf'), 0, 0,
         DATE '1970-01-01', TIMESTAMP_NTZ '1970-01-01 00:00:00', TIMESTAMP '1970-01-01 02:00:00+02:00',
         'a\'b"c\\d\n', X'27'),
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
}


def write_primitives(place, writer):
    if writer == "pyiceberg":
        place.create("t", PRIMITIVES).append(arrow(PRIMITIVE_ROWS, PRIMITIVES))
    else:
        run = getattr(place, writer)
        run(PRIMITIVE_SQL[writer])
        run(f"INSERT INTO @t VALUES {PRIMITIVE_VALUES[writer]}")


@pytest.mark.parametrize("writer", ENGINES)
def test_primitive_values_are_read_as_written(place, writer):
    write_primitives(place, writer)
    place.check("t", PRIMITIVE_ROWS)
    assert place.columns("pyiceberg", "t") == [
        ("bo", "boolean"), ("i", "int"), ("l", "long"), ("f", "float"), ("d", "double"), ("de", "decimal(9, 2)"),
        ("wide", "decimal(38, 10)"), ("da", "date"), ("ts", "timestamp"), ("tz", "timestamptz"), ("s", "string"),
        ("b", "binary"),
    ]  # fmt: skip


@pytest.mark.parametrize("writer", ["duckdb", "spark"])
def test_create_table_as_select_keeps_types_and_values(place, writer):
    write_primitives(place, "pyiceberg")
    getattr(place, writer)("CREATE TABLE @copy AS SELECT * FROM @t")
    place.check("copy", PRIMITIVE_ROWS)


def test_time_of_day_is_shared_by_the_engines_that_have_it(place):
    """Spark has no such type, so it cannot read the table."""
    place.duckdb("CREATE TABLE @t (id INTEGER, clock TIME)")
    place.duckdb("INSERT INTO @t VALUES (1, '12:34:56.789012'), (2, '00:00:00'), (3, NULL)")
    schema = pa.schema([("id", pa.int32()), ("clock", pa.time64("us"))])
    place.table("t").append(arrow([(4, time(23, 59, 59, 999999))], schema))
    expected = [(1, time(12, 34, 56, 789012)), (2, time(0)), (3, None), (4, time(23, 59, 59, 999999))]
    place.check("t", expected, engines=("pyiceberg", "duckdb"))


def test_uuid_and_fixed_are_readable_everywhere(place):
    """PyIceberg writes: Spark has neither type, and DuckDB has no `fixed` (it would write files that
    PyIceberg refuses).
    """
    place.create(
        "t",
        Schema(
            NestedField(1, "id", IntegerType(), required=False),
            NestedField(2, "u", UUIDType(), required=False),
            NestedField(3, "f", FixedType(4), required=False),
        ),
    )
    first = "00112233-4455-6677-8899-aabbccddeeff"
    schema = pa.schema([("id", pa.int32()), ("u", pa.uuid()), ("f", pa.binary(4))])
    uuids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes.fromhex(first.replace("-", "")), None], pa.binary(16)))
    place.table("t").append(
        pa.table([pa.array([1, 2], pa.int32()), uuids, pa.array([b"\x00\x01\xfe\xff", None], pa.binary(4))], schema=schema)
    )
    place.check("t", [(1, first, b"\x00\x01\xfe\xff"), (2, None, None)])


def test_uuids_from_duckdb_are_readable_everywhere(place):
    place.duckdb("CREATE TABLE @t (id INTEGER, u UUID)")
    place.duckdb("INSERT INTO @t VALUES (1, '00112233-4455-6677-8899-aabbccddeeff'), (2, NULL)")
    place.check("t", [(1, "00112233-4455-6677-8899-aabbccddeeff"), (2, None)])


NESTED = Schema(
    NestedField(1, "id", LongType(), required=False),
    NestedField(
        2,
        "person",
        StructType(
            NestedField(5, "name", StringType(), required=False),
            NestedField(
                6,
                "address",
                StructType(
                    NestedField(7, "city", StringType(), required=False),
                    NestedField(8, "zip", IntegerType(), required=False),
                ),
                required=False,
            ),
        ),
        required=False,
    ),
    NestedField(3, "tags", ListType(9, StringType(), element_required=False), required=False),
    NestedField(
        4,
        "orders",
        MapType(
            10,
            StringType(),
            11,
            ListType(
                12,
                StructType(
                    NestedField(13, "amount", DecimalType(9, 2), required=False),
                    NestedField(14, "seen", TimestamptzType(), required=False),
                ),
                element_required=False,
            ),
            value_required=False,
        ),
        required=False,
    ),
)

NESTED_ROWS = [
    (
        1,
        {"name": "Ada", "address": {"city": "London", "zip": 1}},
        ["a", None, ""],
        [
            ("x", [{"amount": Decimal("1.50"), "seen": datetime(2024, 1, 1, tzinfo=timezone.utc)}, None]),
            ("y", None),
            ("z", []),
        ],
    ),
    (2, {"name": None, "address": None}, [], []),
    (3, None, None, None),
]

NESTED_SQL = {
    "duckdb": (
        """CREATE TABLE @t (id BIGINT, person STRUCT(name VARCHAR, address STRUCT(city VARCHAR, zip INTEGER)),
                            tags VARCHAR[], orders MAP(VARCHAR, STRUCT(amount DECIMAL(9, 2), seen TIMESTAMPTZ)[]))""",
        """INSERT INTO @t VALUES
             (1, {'name': 'Ada', 'address': {'city': 'London', 'zip': 1}}, ['a', NULL, ''],
              MAP {'x': [{'amount': 1.50, 'seen': '2024-01-01 00:00:00+00'::TIMESTAMPTZ}, NULL], 'y': NULL, 'z': []}),
             (2, {'name': NULL, 'address': NULL}, [], MAP {}),
             (3, NULL, NULL, NULL)""",
    ),
    "spark": (
        """CREATE TABLE @t (id BIGINT, person STRUCT<name: STRING, address: STRUCT<city: STRING, zip: INT>>,
                            tags ARRAY<STRING>, orders MAP<STRING, ARRAY<STRUCT<amount: DECIMAL(9, 2), seen: TIMESTAMP>>>)""",
        """INSERT INTO @t VALUES
             (1, named_struct('name', 'Ada', 'address', named_struct('city', 'London', 'zip', 1)), array('a', NULL, ''),
              map('x', array(named_struct('amount', CAST(1.50 AS DECIMAL(9, 2)), 'seen', TIMESTAMP '2024-01-01 00:00:00Z'),
                             NULL),
                  'y', NULL, 'z', array())),
             (2, named_struct('name', NULL, 'address', NULL), array(), map()),
             (3, NULL, NULL, NULL)""",
    ),
}


@pytest.mark.parametrize("writer", ENGINES)
def test_nested_values_are_read_as_written(place, writer):
    if writer == "pyiceberg":
        table = place.create("t", NESTED)
        table.append(arrow(NESTED_ROWS, table.schema().as_arrow()))
    else:
        for statement in NESTED_SQL[writer]:
            getattr(place, writer)(statement)
    place.check("t", NESTED_ROWS)
    assert place.table("t").schema().find_type("orders.value.element.amount") == DecimalType(9, 2)


@pytest.mark.parametrize("writer", ENGINES)
def test_required_columns_and_comments_reach_the_other_engines(place, writer):
    if writer == "pyiceberg":
        place.create(
            "t",
            Schema(
                NestedField(1, "id", LongType(), required=True, doc="the key"),
                NestedField(2, "s", StringType(), required=False),
            ),
        )
    elif writer == "duckdb":
        place.duckdb("CREATE TABLE @t (id BIGINT NOT NULL, s VARCHAR)")
    else:
        place.spark("CREATE TABLE @t (id BIGINT NOT NULL COMMENT 'the key', s STRING)")

    fields = place.table("t").schema().fields
    assert [(field.name, field.required) for field in fields] == [("id", True), ("s", False)]
    if writer != "duckdb":  # DuckDB's CREATE TABLE has no comments.
        assert fields[0].doc == "the key"
        described = {row["col_name"]: row["comment"] for row in place.spark("DESCRIBE TABLE @t").to_pylist()}
        assert described["id"] == "the key"
    with pytest.raises(Exception, match="(?i)null"):
        place.duckdb("INSERT INTO @t VALUES (NULL, 'x')")
    with pytest.raises(Exception, match="(?i)null"):
        place.spark("INSERT INTO @t VALUES (NULL, 'x')")
    place.check("t", [])
