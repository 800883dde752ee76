"""Tables for tests of scan planning: all partition transforms and kinds of deletes, and data that is
difficult to prune.

Each function creates one table with its own name; the decorator names the engine that writes the files. Every
table has several data files, so that a plan can omit some of them.
"""

import math
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform, VoidTransform
from pyiceberg.types import IntegerType, LongType, NestedField, StringType, StructType

from harness import REFERENCE, arrow

# By name: the engine that writes, and the function that creates the table in a place.
TABLES = {}

ONE_VECTOR = "takes all deletion vectors of a Puffin file for one"
# By name of the table: what Iceberg's reference server cannot do with it.
REFERENCE_GAPS = {
    "deletion_vectors": ONE_VECTOR,
    "deletion_vectors_of_duckdb": ONE_VECTOR,
    "upgraded_from_v1_to_v3": ONE_VECTOR,
    "nested_lists_and_maps": "fails scans that select fields inside of lists and maps, which Java's client names",
    "dropped_partition_source": "cannot write the value of a partition field whose column was dropped",
    "void_after_dropping_a_field_of_v1": "cannot write partition values if all fields of the spec are void",
}

MERGE_ON_READ = ", ".join(f"'write.{kind}.mode' = 'merge-on-read'" for kind in ("delete", "update", "merge"))


def written_by(engine, **repeated):
    """Registers a table; with `name=[…]`, one table for each item of the list, named after the first
    argument.
    """

    def register(make):
        ((_, cases),) = repeated.items() or ((None, None),)
        if cases is None:
            TABLES[make.__name__] = (engine, make)
        else:
            for case in cases:
                TABLES[f"{make.__name__}_{case[0]}"] = (engine, lambda place, t, case=case: make(place, t, *case))
        return make

    return register


def reference_gap(name):
    """Returns the parameter of a test for a table with which it may fail on Iceberg's reference server."""
    gap = pytest.mark.xfail(REFERENCE, reason=f"reference server: {REFERENCE_GAPS[name]}", strict=False)
    return pytest.param(name, marks=gap)


def build(place, names=None):
    """Creates the tables."""
    for name in names or TABLES:
        TABLES[name][1](place, name)


def properties(version, *others):
    settings = ", ".join([f"'format-version' = '{version}'", *others])
    return f"TBLPROPERTIES ({settings})"


def insert(place, engine, t, *batches):
    """Inserts batches of rows, each with a statement of its own, so that each has at least one file."""
    for rows in batches:
        getattr(place, engine)(f"INSERT INTO @{t} VALUES {rows}")


def append(place, t, schema, *batches):
    for rows in batches:
        place.table(t).append(arrow(rows, schema))


def partition(place, t, *fields):
    with place.table(t).update_spec() as update:
        for source, transform, name in fields:
            update.add_field(source, transform, name)


# --- Without partitions -----------------------------------------------------


@written_by("spark")
def v1_overwritten(place, t):
    """Deleted and replaced files of v1 remain in the manifests as deleted entries."""
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) {properties(1)}")
    insert(place, "spark", t, "(1, 'a'), (2, 'b')", "(3, 'c'), (4, NULL)", "(5, 'e'), (6, 'f')")
    place.spark(f"DELETE FROM @{t} WHERE id IN (1, 6)")
    place.spark(f"INSERT OVERWRITE @{t} SELECT id, upper(s) FROM @{t}")
    insert(place, "spark", t, "(7, 'g')")


PRIMITIVES = """(bo BOOLEAN, i INT, l BIGINT, f FLOAT, d DOUBLE, de DECIMAL(9, 2), wide DECIMAL(38, 10), da DATE,
                 ts TIMESTAMP_NTZ, tz TIMESTAMP, s STRING, b BINARY)"""


@written_by("spark")
def v2_primitives(place, t):
    place.spark(f"CREATE TABLE @{t} {PRIMITIVES} {properties(2)}")
    insert(
        place,
        "spark",
        t,
        """(true, 1, 10, float('1.5'), 0.1D, 1.10, 0.0000000001, DATE '2024-02-29', TIMESTAMP_NTZ '2024-02-29 23:59:59.999999',
            TIMESTAMP '2024-02-29 23:59:59.999999Z', 'snö', X'00FF10'),
           (false, 5, 50, float('-2.5'), 100.25D, -1.10, 7, DATE '2023-12-31', TIMESTAMP_NTZ '2023-12-31 00:00:00',
            TIMESTAMP '2023-12-31 00:00:00Z', 'abc', X'')""",
        """(true, 2147483647, 9223372036854775807, float('inf'), double('inf'), 9999999.99, 1234567890123456789012345678.0123456789,
            DATE '9999-12-31', TIMESTAMP_NTZ '9999-12-31 00:00:00', TIMESTAMP '9999-12-31 00:00:00Z', 'zz', X'FFFF'),
           (true, -2147483648, -9223372036854775808L, float('-inf'), double('-inf'), -9999999.99, -1234567890123456789012345678,
            DATE '0001-01-01', TIMESTAMP_NTZ '0001-01-01 00:00:00', TIMESTAMP '0001-01-01 00:00:00Z', '', X'00')""",
        """(NULL, NULL, NULL, float('nan'), double('nan'), NULL, NULL, NULL, NULL, NULL, NULL, NULL),
           (false, 0, 0, float('nan'), double('nan'), 0, 0, DATE '1970-01-01', TIMESTAMP_NTZ '1970-01-01 00:00:00',
            TIMESTAMP '1970-01-01 00:00:00Z', 'x', X'27')""",
        "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        """(false, 0, 0, float('-0.0'), double('-0.0'), 0, 0, DATE '1969-12-31', TIMESTAMP_NTZ '1969-12-31 23:59:59.999999',
            TIMESTAMP '1969-12-31 23:59:59.999999Z', 'abc', X'27')""",
        """(NULL, 3, NULL, float('nan'), double('nan'), NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
    )


@written_by("spark", formats=[("avro",), ("orc",)])
def files_in(place, t, file_format):
    """Avro files have no bounds."""
    option = f"'write.format.default' = '{file_format}'"
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) PARTITIONED BY (s) {properties(2, option)}")
    insert(place, "spark", t, "(1, 'a'), (2, 'b'), (3, NULL)", "(4, 'a'), (NULL, 'c')")


@written_by("spark", modes=[("none",), ("counts",), ("full",), ("truncate(4)",)])
def metrics(place, t, mode):
    option = f"'write.metadata.metrics.default' = '{mode}', 'write.metadata.metrics.column.exact' = 'full'"
    place.spark(f"CREATE TABLE @{{{t}}} (id INT, s STRING, exact STRING) {properties(2, option)}")
    for rows in (
        "(1, 'abcdefgh', 'abcdefgh'), (2, 'abcdefzz', 'abcdefzz')",
        "(NULL, NULL, NULL)",
        "(30, 'x', repeat('x', 40)), (40, NULL, '')",
    ):
        place.spark(f"INSERT INTO @{{{t}}} VALUES {rows}")


STRINGS = pa.schema([("id", pa.int32()), ("s", pa.string()), ("b", pa.binary())])


@written_by("spark")
def long_strings(place, t):
    """Bounds are truncated to 16 characters, where a surrogate pair is one; the highest characters have no
    upper bound.
    """
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING, b BINARY) {properties(2)}")
    insert(
        place,
        "spark",
        t,
        "(1, repeat('a', 20), CAST(repeat('a', 20) AS BINARY)), (2, concat(repeat('a', 16), 'z'), X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF')",
        "(3, repeat('😀', 20), CAST(repeat('😀', 20) AS BINARY)), (4, concat(repeat('😀', 15), 'ab'), NULL)",
        "(5, repeat('\U0010ffff', 20), X'00'), (6, '\ue000', X'')",
        "(7, concat(repeat('b', 15), '😀', '😀'), NULL), (8, concat(repeat('b', 15), '\uffff', 'x'), NULL)",
        "(9, '', NULL), (10, NULL, NULL)",
    )


@written_by("pyiceberg")
def long_strings_of_pyiceberg(place, t):
    """PyIceberg truncates bounds by code points as well, but compares them in its own order."""
    place.create(t, STRINGS)
    append(
        place,
        t,
        STRINGS,
        [(1, "a" * 20, b"a" * 20), (2, "a" * 16 + "z", b"\xff" * 19)],
        [(3, "😀" * 20, b""), (4, "😀" * 15 + "ab", None)],
        [(6, "\ue000" * 17, b"\x00")],
        [(7, "b" * 15 + "😀😀", None), (8, "b" * 15 + "\uffff", None)],
        [(9, "", None), (10, None, None)],
    )


@written_by("pyiceberg")
def empty_without_snapshot(place, t):
    place.create(t, STRINGS)


@written_by("spark")
def empty_with_snapshots(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) PARTITIONED BY (s) {properties(2)}")
    insert(place, "spark", t, "(1, 'a'), (2, 'b')")
    place.spark(f"DELETE FROM @{t}")


NUMBERS = pa.schema([("id", pa.int64()), ("s", pa.string())])


@written_by("pyiceberg")
def many_small_manifests(place, t):
    place.create(t, NUMBERS)
    append(place, t, NUMBERS, *([(n * 10 + digit, f"s{n:02}") for digit in range(3)] for n in range(25)))


@written_by("pyiceberg")
def rewritten_manifests(place, t):
    place.create(t, NUMBERS)
    partition(place, t, ("s", IdentityTransform(), "s"))
    append(place, t, NUMBERS, *([(n, f"s{n % 3}"), (n + 100, f"s{(n + 1) % 3}")] for n in range(8)))
    place.spark_call("rewrite_manifests", f"'{place.name}.{t}'")
    append(place, t, NUMBERS, [(1000, "s0")])


@written_by("spark")
def all_null_and_all_nan(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, n INT, d DOUBLE, s STRING) {properties(2)}")
    insert(
        place,
        "spark",
        t,
        "(1, NULL, double('nan'), NULL), (2, NULL, double('nan'), NULL)",
        "(3, 1, double('nan'), ''), (4, NULL, 1.0D, 'x')",
        "(5, 1, NULL, 'y'), (6, 2, NULL, 'y')",
        "(7, 1, double('nan'), 'y'), (8, 2, NULL, 'y')",
    )


# --- Partitions -------------------------------------------------------------

IDENTITIES = [
    ("boolean", "BOOLEAN", ["true", "false"]),
    ("int", "INT", ["-2147483648", "0", "7"]),
    ("long", "BIGINT", ["9223372036854775807", "0", "-1"]),
    ("float", "FLOAT", ["float('nan')", "float('-0.0')", "float('0.0')", "float('1.5')", "float('inf')"]),
    ("double", "DOUBLE", ["double('nan')", "1.0D", "double('-inf')", "0.1D"]),
    ("decimal", "DECIMAL(9, 2)", ["1.10", "-9999999.99", "0"]),
    ("wide_decimal", "DECIMAL(38, 10)", ["1234567890123456789012345678.0123456789", "-0.0000000001"]),
    ("date", "DATE", ["DATE '2024-02-29'", "DATE '1969-12-31'", "DATE '1970-01-01'"]),
    ("timestamp", "TIMESTAMP_NTZ", ["TIMESTAMP_NTZ '2024-02-29 23:59:59.999999'", "TIMESTAMP_NTZ '1969-12-31 23:59:59'"]),
    ("timestamptz", "TIMESTAMP", ["TIMESTAMP '2024-02-29 23:59:59.999999Z'", "TIMESTAMP '1600-01-01 00:00:00Z'"]),
    ("string", "STRING", ["''", "'a/b'", "'%20 =?'", "'😀'", "'__HIVE_DEFAULT_PARTITION__'"]),
    ("binary", "BINARY", ["X''", "X'00FF'", "X'27'"]),
]


@written_by("spark", cases=IDENTITIES)
def identity(place, t, _, sql_type, values):
    place.spark(f"CREATE TABLE @{t} (id INT, p {sql_type}) PARTITIONED BY (p) {properties(2)}")
    rows = [f"({key}, {value})" for key, value in enumerate(values)]
    insert(place, "spark", t, ", ".join([*rows, "(100, NULL)"]), f"(NULL, {values[0]})")


EXOTIC = [
    ("uuid", "UUID", ["00112233-4455-6677-8899-aabbccddeeff", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
    ("time", "TIME", ["12:34:56.789012", "00:00:00"]),
]


@written_by("duckdb", cases=EXOTIC)
def identity_in_duckdb(place, t, _, sql_type, values):
    """Types that Spark does not have.

    DuckDB omits the bounds of such partitions in the manifest list, which then says that all values are null:
    Java and PyIceberg find no rows.
    """
    place.duckdb(f"CREATE TABLE @{t} (id INTEGER, p {sql_type})")
    place.duckdb(f"ALTER TABLE @{t} SET PARTITIONED BY (p)")
    for key, value in enumerate(values):
        insert(place, "duckdb", t, f"({key}, '{value}'), ({key + 10}, '{value}')")


@written_by("duckdb")
def nanoseconds(place, t):
    place.duckdb(f"CREATE TABLE @{t} (id INTEGER, n TIMESTAMP_NS) WITH ('format-version' = '3')")
    insert(
        place,
        "duckdb",
        t,
        "(1, '2024-02-29 23:59:59.123456789'), (2, '2024-02-29 23:59:59.123456790')",
        "(3, '1969-12-31 23:59:59.999999999'), (4, NULL)",
        "(5, '2024-02-29 23:59:59.123457')",
    )


@written_by("spark")
def buckets(place, t):
    place.spark(f"""
        CREATE TABLE @{t} (i INT, l BIGINT, de DECIMAL(9, 2), da DATE, ts TIMESTAMP_NTZ, tz TIMESTAMP, s STRING, b BINARY)
        PARTITIONED BY (bucket(3, i), bucket(2, l), bucket(2, de), bucket(2, da), bucket(2, ts), bucket(2, tz), bucket(3, s),
                        bucket(2, b)) {properties(2)}""")
    rows = [
        f"({key}, {key * 7919}, {key}.25, DATE '2024-01-01' + {key}, TIMESTAMP_NTZ '2024-01-01 00:00:{key:02}', "
        f"TIMESTAMP '2024-01-01 00:{key:02}:00Z', 's{key}', CAST('b{key}' AS BINARY))"
        for key in range(8)
    ]
    insert(place, "spark", t, ", ".join(rows[:5]), ", ".join([*rows[5:], f"({', '.join(['NULL'] * 8)})"]))


@written_by("spark")
def truncated(place, t):
    place.spark(f"""
        CREATE TABLE @{t} (i INT, l BIGINT, de DECIMAL(9, 2), s STRING, b BINARY)
        PARTITIONED BY (truncate(10, i), truncate(100, l), truncate(50, de), truncate(2, s), truncate(1, b)) {properties(2)}""")
    insert(
        place,
        "spark",
        t,
        "(-7, -100, -0.01, '', X''), (0, 0, 0, 'a', X'00'), (9, 99, 0.49, 'abc', X'00FF'), (10, 100, 0.50, 'ab', X'01')",
        "(-10, -101, -10.25, '😀😀😀', X'FF00'), (NULL, NULL, NULL, NULL, NULL), (2147483647, 1, 1, '日本語', X'FF')",
    )


@written_by("spark")
def times(place, t):
    place.spark(f"""
        CREATE TABLE @{t} (da DATE, ts TIMESTAMP_NTZ, tz TIMESTAMP, d2 DATE)
        PARTITIONED BY (years(da), months(ts), hours(tz), days(d2)) {properties(2)}""")
    insert(
        place,
        "spark",
        t,
        """(DATE '2024-02-29', TIMESTAMP_NTZ '2024-02-29 23:59:59.999999', TIMESTAMP '2024-02-29 23:59:59.999999Z', DATE '2024-02-29'),
           (DATE '1969-12-31', TIMESTAMP_NTZ '1969-12-31 23:59:59.999999', TIMESTAMP '1969-12-31 23:00:00Z', DATE '1969-12-31'),
           (DATE '1970-01-01', TIMESTAMP_NTZ '1970-01-01 00:00:00', TIMESTAMP '1970-01-01 00:00:00Z', DATE '1970-01-01')""",
        """(DATE '2024-12-31', TIMESTAMP_NTZ '2024-03-01 00:00:00', TIMESTAMP '2024-03-01 00:00:00Z', DATE '2024-03-01'),
           (DATE '0001-01-01', TIMESTAMP_NTZ '1600-06-15 12:00:00', TIMESTAMP '1600-06-15 12:30:00Z', NULL),
           (NULL, NULL, NULL, DATE '2024-03-01')""",
    )


@written_by("pyiceberg")
def days_of_timestamps(place, t):
    schema = pa.schema([("id", pa.int32()), ("ts", pa.timestamp("us")), ("tz", pa.timestamp("us", tz="UTC"))])
    place.create(t, schema)
    partition(place, t, ("ts", DayTransform(), "ts_day"), ("tz", DayTransform(), "tz_day"))
    start = datetime(1969, 12, 30, 12)
    rows = [(n, start + timedelta(hours=n * 7), (start + timedelta(hours=n * 11)).replace(tzinfo=timezone.utc)) for n in range(10)]
    append(place, t, schema, rows[:5], [*rows[5:], (99, None, None)])


@written_by("spark")
def void_after_dropping_a_field_of_v1(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING, da DATE) PARTITIONED BY (s, days(da)) {properties(1)}")
    insert(place, "spark", t, "(1, 'a', DATE '2024-01-01'), (2, 'b', NULL)")
    place.spark(f"ALTER TABLE @{t} DROP PARTITION FIELD s")
    insert(place, "spark", t, "(3, 'a', DATE '2024-01-01'), (4, NULL, DATE '2024-01-02')")
    place.spark(f"ALTER TABLE @{t} DROP PARTITION FIELD days(da)")
    insert(place, "spark", t, "(5, 'c', DATE '2024-01-01')")


@written_by("pyiceberg")
def void_from_the_start(place, t):
    place.create(t, NUMBERS)
    partition(place, t, ("id", VoidTransform(), "id_void"), ("s", TruncateTransform(1), "s_1"))
    append(place, t, NUMBERS, [(1, "a"), (2, "b")], [(3, "ab"), (4, None)])


@written_by("spark")
def three_specs(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING, ts TIMESTAMP_NTZ) PARTITIONED BY (s) {properties(2)}")
    rows = "(1, 'a', TIMESTAMP_NTZ '2024-01-01 01:00:00'), (-7, 'b', TIMESTAMP_NTZ '1969-12-31 23:59:59'), (NULL, NULL, NULL)"
    insert(place, "spark", t, rows)
    place.spark(f"ALTER TABLE @{t} REPLACE PARTITION FIELD s WITH bucket(4, id) AS id_bucket")
    insert(place, "spark", t, rows)
    place.spark(f"ALTER TABLE @{t} ADD PARTITION FIELD days(ts) AS on_day")
    insert(place, "spark", t, rows)


@written_by("spark")
def day_instead_of_month(place, t):
    """Two specs that project the same column differently."""
    place.spark(f"CREATE TABLE @{t} (id INT, ts TIMESTAMP) PARTITIONED BY (months(ts)) {properties(2)}")
    rows = ", ".join(f"({n}, TIMESTAMP '2024-0{1 + n % 3}-1{n}T0{n}:00:00Z')" for n in range(8))
    insert(place, "spark", t, rows)
    place.spark(f"ALTER TABLE @{t} REPLACE PARTITION FIELD months(ts) WITH days(ts)")
    insert(place, "spark", t, rows)
    place.spark(f"ALTER TABLE @{t} DROP PARTITION FIELD days(ts)")
    insert(place, "spark", t, rows)


@written_by("spark")
def dropped_partition_source(place, t):
    """The field of the old spec refers to a column that no longer exists."""
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING, old STRING) PARTITIONED BY (s, old) {properties(2)}")
    insert(place, "spark", t, "(1, 'a', 'x'), (2, 'b', NULL)")
    place.spark(f"ALTER TABLE @{t} DROP PARTITION FIELD old")
    place.spark(f"ALTER TABLE @{t} DROP COLUMN old")
    insert(place, "spark", t, "(3, 'a'), (4, 'c')")


@written_by("spark")
def overwritten_partitions(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) PARTITIONED BY (s) {properties(2)}")
    insert(place, "spark", t, "(1, 'a'), (2, 'b'), (3, 'c')", "(4, 'a'), (5, 'b')")
    place.spark_frame(f"SELECT 6 AS id, 'a' AS s").writeTo(f"{place.name}.{t}").overwritePartitions()
    place.spark(f"DELETE FROM @{t} WHERE s = 'c'")
    insert(place, "spark", t, "(7, 'c'), (8, NULL)")


# --- Schemas ----------------------------------------------------------------


@written_by("spark")
def evolved_schema(place, t):
    """Columns widened, renamed, dropped, moved, and added again with an old name, with files of each schema.
    """
    place.spark(f"""
        CREATE TABLE @{t} (id INT, i INT, f FLOAT, de DECIMAL(9, 2), dropped STRING, renamed STRING,
                           nested STRUCT<a: INT, gone: STRING>) {properties(2)}""")
    place.spark(f"""INSERT INTO @{t} VALUES
        (1, 10, float('1.5'), 1.10, 'old', 'r1', named_struct('a', 1, 'gone', 'g')), (2, 20, float('nan'), 2.20, NULL, NULL, NULL)""")
    for change in (
        "ALTER COLUMN i TYPE BIGINT",
        "ALTER COLUMN f TYPE DOUBLE",
        "ALTER COLUMN de TYPE DECIMAL(18, 2)",
        "DROP COLUMN dropped",
        "RENAME COLUMN renamed TO `new name`",
        "ALTER COLUMN nested.a TYPE BIGINT",
        "DROP COLUMN nested.gone",
        "ADD COLUMN nested.added STRING",
        "ALTER COLUMN i FIRST",
    ):
        place.spark(f"ALTER TABLE @{t} {change}")
    place.spark(f"""INSERT INTO @{t} (i, id, f, de, `new name`, nested) VALUES
        (3000000000, 3, 1.5D, 9999999999.99, 'r3', named_struct('a', 5000000000, 'added', 'x')),
        (-1, 4, double('inf'), -1.10, 'r4', NULL)""")
    place.spark(f"ALTER TABLE @{t} ADD COLUMN dropped INT")
    place.spark(f"ALTER TABLE @{t} ADD COLUMN nested.gone INT")
    place.spark(f"""INSERT INTO @{t} (i, id, f, de, `new name`, nested, dropped) VALUES
        (7, 5, 2.5D, 3.30, 'r5', named_struct('a', 7, 'added', NULL, 'gone', 8), 9)""")


@written_by("spark")
def widened_partition_source(place, t):
    """Older files have bounds and partition values of the former, narrower type."""
    place.spark(f"""
        CREATE TABLE @{t} (id INT, b INT, tr INT, de DECIMAL(5, 2))
        PARTITIONED BY (id, bucket(4, b), truncate(10, tr), de) {properties(2)}""")
    insert(place, "spark", t, "(1, 1, 15, 1.50), (-1, -1, -15, -1.50), (2147483647, 2147483647, 2147483647, 999.99)")
    for change in ("id TYPE BIGINT", "b TYPE BIGINT", "tr TYPE BIGINT", "de TYPE DECIMAL(12, 2)"):
        place.spark(f"ALTER TABLE @{t} ALTER COLUMN {change}")
    insert(place, "spark", t, "(1, 1, 15, 1.50), (3000000000, 3000000000, 3000000000, 1000000.01), (NULL, NULL, NULL, NULL)")


@written_by("pyiceberg")
def evolved_in_pyiceberg(place, t):
    place.create(
        t,
        Schema(
            NestedField(1, "id", LongType(), required=True),
            NestedField(2, "s", StringType(), required=False),
            NestedField(
                3,
                "p",
                StructType(
                    NestedField(4, "x", IntegerType(), required=False),
                    NestedField(5, "y", StructType(NestedField(6, "z", StringType(), required=False)), required=False),
                ),
                required=False,
            ),
        ),
    )

    def rows(*values):
        place.table(t).append(pa.Table.from_pylist(list(values), schema=place.table(t).schema().as_arrow()))

    rows({"id": 1, "s": "a", "p": {"x": 1, "y": {"z": "deep"}}}, {"id": 2, "s": None, "p": {"x": None, "y": None}})
    with place.table(t).update_schema() as update:
        update.rename_column("s", "t")
        update.update_column(("p", "x"), LongType())
        update.add_column(("p", "y", "w"), IntegerType())
    rows({"id": 3, "t": "b", "p": {"x": 2**40, "y": {"z": None, "w": 5}}}, {"id": 4, "t": "", "p": None})
    with place.table(t).update_schema() as update:
        update.add_column("s", LongType())
    rows({"id": 5, "t": "c", "p": None, "s": 50})


@written_by("duckdb")
def defaults_for_older_files(place, t):
    """Rows of older files have the initial default, which is not contained in the bounds."""
    place.duckdb(f"CREATE TABLE @{t} (id INTEGER) WITH ('format-version' = '3')")
    insert(place, "duckdb", t, "(1), (2)")
    place.duckdb(f"ALTER TABLE @{t} ADD COLUMN n INTEGER DEFAULT 7")
    place.duckdb(f"ALTER TABLE @{t} ADD COLUMN s VARCHAR DEFAULT 'old'")
    insert(place, "duckdb", t, "(3, 7, 'new'), (4, 8, NULL)", "(5, NULL, 'x')")


ODD = pa.schema(
    [
        ("a b", pa.int32()),
        ("a.b", pa.int32()),
        ('quo"te`s', pa.string()),
        ("ünï😀", pa.string()),
        ("per%cent/slash", pa.string()),
        ("id", pa.int32()),
        ("ID", pa.int32()),
    ]
)


@written_by("pyiceberg")
def odd_names(place, t):
    place.create(t, ODD)
    partition(place, t, ("per%cent/slash", IdentityTransform(), "per%cent/slash"), ("a b", BucketTransform(2), "a b/bucket"))
    append(
        place,
        t,
        ODD,
        [(1, 10, "q", "ü", "x/y", 1, 100), (2, 20, None, "", "%", 2, 200)],
        [(3, 30, '"', "😀", "x/y", 3, 300), (None, None, "`", None, None, 4, 400)],
    )


@written_by("pyiceberg")
def nested_lists_and_maps(place, t):
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("person", pa.struct([("name", pa.string()), ("address", pa.struct([("city", pa.string()), ("zip", pa.int32())]))])),
            ("tags", pa.list_(pa.string())),
            ("scores", pa.map_(pa.string(), pa.float64())),
        ]
    )
    place.create(t, schema)
    append(
        place,
        t,
        schema,
        [
            (1, {"name": "Ada", "address": {"city": "London", "zip": 1}}, ["a", None], [("x", 1.5)]),
            (2, {"name": None, "address": None}, [], []),
        ],
        [(3, None, None, None)],
        [
            (4, {"name": "Zoë", "address": {"city": "", "zip": -5}}, ["z"], [("y", math.nan)]),
            (5, {"name": "Bob", "address": {"city": None, "zip": 99}}, ["z"], [("y", None)]),
        ],
    )


@written_by("spark")
def partitioned_by_nested(place, t):
    place.spark(f"""
        CREATE TABLE @{t} (id INT, person STRUCT<name: STRING, born: DATE>)
        PARTITIONED BY (person.name, years(person.born)) {properties(2)}""")
    insert(
        place,
        "spark",
        t,
        """(1, named_struct('name', 'Ada', 'born', DATE '1815-12-10')), (2, named_struct('name', 'Alan', 'born', DATE '1912-06-23'))""",
        "(3, NULL), (4, named_struct('name', NULL, 'born', DATE '1912-01-01'))",
    )


# --- Deletes ----------------------------------------------------------------


@written_by("spark")
def position_deletes(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) PARTITIONED BY (bucket(3, id)) {properties(2, MERGE_ON_READ)}")
    place.spark(f"INSERT INTO @{t} SELECT CAST(id AS INT), concat('s', id % 5) FROM range(30) AS r(id)")
    place.spark(f"DELETE FROM @{t} WHERE id % 7 = 3")
    place.spark(f"INSERT INTO @{t} SELECT CAST(id AS INT), concat('s', id % 5) FROM range(30, 40) AS r(id)")
    place.spark(f"UPDATE @{t} SET s = 'changed' WHERE id IN (1, 31)")
    place.spark(f"DELETE FROM @{t} WHERE s = 's2'")


@written_by("spark")
def position_deletes_by_partition(place, t):
    """Delete files for many data files of a partition, which apply to a data file at most according to their
    bounds.
    """
    option = "'write.delete.granularity' = 'partition'"
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) PARTITIONED BY (s) {properties(2, MERGE_ON_READ, option)}")
    for start in (0, 10, 20):
        place.spark(f"INSERT INTO @{t} SELECT CAST(id AS INT), concat('s', id % 2) FROM range({start}, {start + 10}) AS r(id)")
    place.spark(f"DELETE FROM @{t} WHERE id IN (1, 2, 11, 12, 21)")
    place.spark(f"INSERT INTO @{t} VALUES (100, 's0'), (101, 's1')")
    place.spark(f"DELETE FROM @{t} WHERE id IN (0, 100)")


@written_by("spark")
def deletes_across_specs(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) {properties(2, MERGE_ON_READ)}")
    place.spark(f"INSERT INTO @{t} SELECT CAST(id AS INT), concat('s', id % 3) FROM range(12) AS r(id)")
    place.spark(f"DELETE FROM @{t} WHERE id = 1")
    place.spark(f"ALTER TABLE @{t} ADD PARTITION FIELD s")
    place.spark(f"INSERT INTO @{t} SELECT CAST(id AS INT), concat('s', id % 3) FROM range(12, 24) AS r(id)")
    place.spark(f"DELETE FROM @{t} WHERE id IN (2, 14)")
    place.spark(f"ALTER TABLE @{t} REPLACE PARTITION FIELD s WITH bucket(2, id)")
    place.spark(f"INSERT INTO @{t} SELECT CAST(id AS INT), concat('s', id % 3) FROM range(24, 30) AS r(id)")
    place.spark(f"DELETE FROM @{t} WHERE id IN (3, 15, 25)")


@written_by("duckdb")
def position_deletes_of_duckdb(place, t):
    place.duckdb(f"CREATE TABLE @{t} (id INTEGER, s VARCHAR)")
    for start in (0, 10, 20):
        place.duckdb(f"INSERT INTO @{t} SELECT i, 's' || i FROM range({start}, {start + 10}) AS r(i)")
    place.duckdb(f"DELETE FROM @{t} WHERE id IN (3, 13, 14)")
    place.duckdb(f"UPDATE @{t} SET s = 'u' WHERE id = 25")


@written_by("spark")
def deletion_vectors(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, ts TIMESTAMP_NTZ) PARTITIONED BY (days(ts)) {properties(3, MERGE_ON_READ)}")
    for start in (0, 24):
        place.spark(f"""
            INSERT INTO @{t} SELECT CAST(id AS INT), timestampadd(HOUR, CAST(id AS INT), TIMESTAMP_NTZ '2024-02-28 12:00:00')
            FROM range({start}, {start + 24}) AS r(id)""")
    place.spark(f"DELETE FROM @{t} WHERE id IN (1, 2, 30)")
    place.spark(f"DELETE FROM @{t} WHERE id = 31")
    insert(place, "spark", t, "(100, TIMESTAMP_NTZ '2024-02-29 00:00:00')")


@written_by("duckdb")
def deletion_vectors_of_duckdb(place, t):
    place.duckdb(f"CREATE TABLE @{t} (id INTEGER, s VARCHAR) WITH ('format-version' = '3')")
    for start in (0, 10):
        place.duckdb(f"INSERT INTO @{t} SELECT i, 's' || i FROM range({start}, {start + 10}) AS r(i)")
    place.duckdb(f"DELETE FROM @{t} WHERE id IN (3, 13, 14)")
    place.duckdb(f"DELETE FROM @{t} WHERE id = 4")


@written_by("spark")
def upgraded_from_v1_to_v3(place, t):
    """Files without sequence numbers, and position deletes beside deletion vectors."""
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) PARTITIONED BY (s) {properties(1, MERGE_ON_READ)}")
    insert(place, "spark", t, "(1, 'a'), (2, 'b'), (3, 'a'), (4, 'b')")
    place.spark(f"ALTER TABLE @{t} SET TBLPROPERTIES ('format-version' = '2')")
    place.spark(f"DELETE FROM @{t} WHERE id = 1")
    insert(place, "spark", t, "(5, 'a'), (6, 'b'), (7, 'c'), (8, 'c')")
    place.spark(f"ALTER TABLE @{t} SET TBLPROPERTIES ('format-version' = '3')")
    place.spark(f"DELETE FROM @{t} WHERE id IN (2, 5)")
    place.spark(f"DELETE FROM @{t} WHERE id = 3")


@written_by("spark")
def compacted(place, t):
    """Data files that were rewritten, with deletes that refer to the previous files."""
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) {properties(2, MERGE_ON_READ)}")
    for start in (0, 10):
        place.spark(f"INSERT INTO @{t} SELECT CAST(id AS INT), 's' FROM range({start}, {start + 10}) AS r(id)")
    place.spark(f"DELETE FROM @{t} WHERE id IN (2, 12)")
    place.spark_call("rewrite_data_files", f"table => '{place.name}.{t}', options => map('min-input-files', '2')")
    insert(place, "spark", t, "(20, 's'), (21, 's')")
    place.spark(f"DELETE FROM @{t} WHERE id IN (3, 20)")


@written_by("java")
def equality_deletes(place, t):
    """An unpartitioned table; each delete applies only to rows of older snapshots."""
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING, n BIGINT) {properties(2)}")
    insert(place, "spark", t, "(1, 'a', 1), (2, 'b', 2), (3, NULL, 3)", "(100, 'y', 100), (101, 'z', NULL)")
    place.delete_equal(t, ["id"], [[1], [101]])
    insert(place, "spark", t, "(1, 'again', 1), (4, 'd', NULL)")
    place.delete_equal(t, ["s", "n"], [[None, 3], ["d", None], ["y", 99]])
    place.delete_equal(t, ["s"], [[None]])
    insert(place, "spark", t, "(5, NULL, 5)")


@written_by("java")
def equality_deletes_by_partition(place, t):
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING, de DECIMAL(9, 2)) PARTITIONED BY (s, bucket(2, id)) {properties(2)}")
    insert(place, "spark", t, "(1, 'a', 1.10), (2, 'b', 2.20), (3, NULL, NULL), (4, 'a', 4.40)")
    for bucket in (0, 1):
        place.delete_equal(t, ["id"], [[1], [2]], partition=["a", bucket])
        place.delete_equal(t, ["id", "de"], [[3, None]], partition=[None, bucket])
    insert(place, "spark", t, "(1, 'a', 1.10), (3, NULL, NULL)")


@written_by("java")
def equality_deletes_of_every_partition(place, t):
    """An equality delete file of an unpartitioned spec applies to all partitions of all specs."""
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) {properties(2, MERGE_ON_READ)}")
    insert(place, "spark", t, "(1, 'a'), (2, 'b')")
    place.spark(f"ALTER TABLE @{t} ADD PARTITION FIELD s")
    insert(place, "spark", t, "(1, 'a'), (3, 'b'), (4, NULL)")
    place.delete_equal(t, ["id"], [[1], [4]], spec=0)
    place.delete_equal(t, ["id"], [[3]], spec=1, partition=["b"])
    insert(place, "spark", t, "(1, 'a'), (3, 'b')")
    place.spark(f"DELETE FROM @{t} WHERE id = 2")


@written_by("java")
def equality_deletes_after_evolution(place, t):
    """The column that the deletes compare was renamed and widened, and another one was dropped."""
    place.spark(f"CREATE TABLE @{t} (id INT, key INT, old STRING) {properties(2)}")
    insert(place, "spark", t, "(1, 1, 'x'), (2, 2, 'y')", "(50, 50, 'x')")
    place.delete_equal(t, ["key"], [[2]])
    place.spark(f"ALTER TABLE @{t} RENAME COLUMN key TO k")
    place.spark(f"ALTER TABLE @{t} ALTER COLUMN k TYPE BIGINT")
    place.spark(f"ALTER TABLE @{t} DROP COLUMN old")
    insert(place, "spark", t, "(3, 3000000000)", "(4, 1)")
    place.delete_equal(t, ["k"], [[1], [3000000000]])


# --- Branches ---------------------------------------------------------------


@written_by("spark")
def branched(place, t):
    """A branch that diverges, read with the current schema; a tag, read with the schema of its snapshot."""
    place.spark(f"CREATE TABLE @{t} (id INT, s STRING) PARTITIONED BY (s) {properties(2, MERGE_ON_READ)}")
    insert(place, "spark", t, "(1, 'a'), (2, 'b')")
    place.spark(f"ALTER TABLE @{t} CREATE TAG first")
    insert(place, "spark", t, "(3, 'a'), (4, 'c')")
    place.spark(f"ALTER TABLE @{t} CREATE BRANCH side")
    qualified = f"@{t}.branch_side"
    place.spark(f"INSERT INTO {qualified} VALUES (5, 'side'), (6, 'a')")
    place.spark(f"DELETE FROM {qualified} WHERE id = 1")
    place.spark(f"ALTER TABLE @{t} RENAME COLUMN id TO key")
    place.spark(f"ALTER TABLE @{t} ADD COLUMN extra INT")
    insert(place, "spark", t, "(7, 'b', 70)")


@written_by("pyiceberg")
def overwritten_in_pyiceberg(place, t):
    place.create(t, NUMBERS)
    append(place, t, NUMBERS, [(1, "a"), (2, "b")], [(3, "c"), (4, None)])
    place.table(t).delete("id = 1")
    place.table(t).overwrite(arrow([(5, "e")], NUMBERS), overwrite_filter="s = 'c'")
    append(place, t, NUMBERS, [(6, "f")])


@written_by("pyiceberg")
def fixed_and_uuid(place, t):
    from pyiceberg.types import FixedType, UUIDType

    schema = Schema(
        NestedField(1, "id", IntegerType(), required=False),
        NestedField(2, "u", UUIDType(), required=False),
        NestedField(3, "f", FixedType(4), required=False),
    )
    place.create(t, schema)
    columns = pa.schema([("id", pa.int32()), ("u", pa.uuid()), ("f", pa.binary(4))])
    for start in (0, 2):
        raw = [uuid.UUID(int=start).bytes, uuid.UUID(int=2**127 + start).bytes, None]
        uuids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array(raw, pa.binary(16)))
        fixed = pa.array([bytes([start, 0, 0, 0]), b"\xff\xff\xff\xff", None], pa.binary(4))
        place.table(t).append(pa.table([pa.array([start, start + 1, None], pa.int32()), uuids, fixed], schema=columns))


@written_by("pyiceberg")
def decimals_and_times(place, t):
    schema = pa.schema([("id", pa.int32()), ("de", pa.decimal128(20, 4)), ("at", pa.time64("us")), ("on", pa.date32())])
    place.create(t, schema)
    partition(place, t, ("de", TruncateTransform(100), "de_100"), ("on", IdentityTransform(), "on"))
    append(
        place,
        t,
        schema,
        [(1, Decimal("1.2345"), time(12, 0), date(2024, 1, 1)), (2, Decimal("-0.0001"), time(0), date(2024, 1, 1))],
        [(3, Decimal("9999999999999999.9999"), time(23, 59, 59, 999999), date(1970, 1, 1)), (4, None, None, None)],
    )
