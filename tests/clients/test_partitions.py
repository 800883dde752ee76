"""Partition specs and sort orders, changed between files; each engine reads the files of all of them."""

from datetime import datetime

import pyarrow as pa
import pytest
from harness import ENGINES, arrow
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)

COLUMNS = pa.schema([("id", pa.int32()), ("s", pa.string()), ("ts", pa.timestamp("us"))])

# Also before 1970, where truncation must round down, and null.
ROWS = [
    (1, "abcdef", datetime(2024, 2, 29, 23, 59, 59, 999999)),
    (-7, "ab", datetime(1969, 12, 31, 23, 59, 59)),
    (None, None, None),
    (2**31 - 1, "日本語", datetime(1960, 1, 1)),
]

TRANSFORMS = {
    "identity(s)": ("s", IdentityTransform(), "s", "s"),
    "bucket(id)": ("id", BucketTransform(4), "bucket(4, id)", "bucket(4, id)"),
    "bucket(s)": ("s", BucketTransform(8), "bucket(8, s)", "bucket(8, s)"),
    "truncate(id)": ("id", TruncateTransform(10), "truncate(10, id)", "truncate(10, id)"),
    "truncate(s)": ("s", TruncateTransform(2), "truncate(2, s)", "truncate(2, s)"),
    "year(ts)": ("ts", YearTransform(), "year(ts)", "years(ts)"),
    "month(ts)": ("ts", MonthTransform(), "month(ts)", "months(ts)"),
    "day(ts)": ("ts", DayTransform(), "day(ts)", "days(ts)"),
    "hour(ts)": ("ts", HourTransform(), "hour(ts)", "hours(ts)"),
}


def insert(place, writer, rows=ROWS):
    if writer == "pyiceberg":
        place.table("t").append(arrow(rows, COLUMNS))
        return
    timestamp = {"duckdb": "TIMESTAMP", "spark": "TIMESTAMP_NTZ"}[writer]

    def literal(value):
        match value:
            case None:
                return "NULL"
            case datetime():
                return f"{timestamp} '{value}'"
        return repr(value)

    getattr(place, writer)("INSERT INTO @t VALUES " + ", ".join(f"({', '.join(map(literal, row))})" for row in rows))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_transform_creates_the_same_partitions_in_every_engine(place, transform):
    column, pyiceberg_transform, duckdb_transform, spark_transform = TRANSFORMS[transform]
    partitions_by_writer = {}
    for writer in ENGINES:
        if writer == "pyiceberg":
            table = place.create("t", COLUMNS)
            with table.update_spec() as update:
                update.add_field(column, pyiceberg_transform, "p")
        elif writer == "duckdb":
            place.duckdb("CREATE TABLE @t (id INTEGER, s VARCHAR, ts TIMESTAMP)")
            place.duckdb(f"ALTER TABLE @t SET PARTITIONED BY ({duckdb_transform})")
        else:
            place.spark(f"CREATE TABLE @t (id INT, s STRING, ts TIMESTAMP_NTZ) PARTITIONED BY ({spark_transform})")
        insert(place, writer)
        place.check("t", ROWS)
        assert str(place.table("t").spec().fields[0].transform) == str(pyiceberg_transform)
        files = place.table("t").inspect.files()
        partitions_by_writer[writer] = sorted(str(list(row["partition"].values())) for row in files.to_pylist())
        place.catalog().drop_table(place.identifier("t"))
    assert partitions_by_writer["duckdb"] == partitions_by_writer["pyiceberg"] == partitions_by_writer["spark"]


@pytest.mark.parametrize("evolver", ["pyiceberg", "spark", "duckdb"])
def test_files_of_every_spec_are_read_after_evolution(place, evolver):
    place.spark("CREATE TABLE @t (id INT, s STRING, ts TIMESTAMP_NTZ) PARTITIONED BY (s)")
    expected = list(ROWS)
    insert(place, "spark")
    steps = {
        "pyiceberg": [
            lambda update: (update.remove_field("s"), update.add_field("id", BucketTransform(4), "id_bucket")),
            lambda update: update.add_field("ts", DayTransform(), "ts_day"),
            lambda update: update.rename_field("ts_day", "on_day"),
            lambda update: (update.remove_field("id_bucket"), update.remove_field("on_day")),
        ],
        "spark": [
            "REPLACE PARTITION FIELD s WITH bucket(4, id) AS id_bucket",
            "ADD PARTITION FIELD days(ts) AS ts_day",
            "REPLACE PARTITION FIELD ts_day WITH days(ts) AS on_day",
            "DROP PARTITION FIELD id_bucket",
        ],
        "duckdb": ["SET PARTITIONED BY (bucket(4, id))", "SET PARTITIONED BY (bucket(4, id), day(ts))"],
    }[evolver]
    for step, writer in zip(steps, ENGINES + ("spark",)):
        if evolver == "pyiceberg":
            with place.table("t").update_spec() as update:
                step(update)
        else:
            getattr(place, evolver)(f"ALTER TABLE @t {step}")
        insert(place, writer)
        expected += ROWS
        place.check("t", expected)
    place.spark("DELETE FROM @t WHERE id = 1")
    place.check("t", [row for row in expected if row[0] != 1])


def test_a_dropped_field_of_a_v1_table_becomes_void(place):
    place.spark("CREATE TABLE @t (id INT, s STRING, ts TIMESTAMP_NTZ) PARTITIONED BY (s) TBLPROPERTIES ('format-version' = '1')")
    insert(place, "spark")
    place.spark("ALTER TABLE @t DROP PARTITION FIELD s")
    insert(place, "pyiceberg")
    place.check("t", ROWS * 2)
    assert [str(field.transform) for field in place.table("t").spec().fields] == ["void"]


@pytest.mark.parametrize("setter", ["pyiceberg", "spark"])
def test_sort_orders_are_kept_and_shared(place, setter):
    """DuckDB cannot set a sort order; it writes to tables that have one."""
    place.create("t", COLUMNS)
    if setter == "pyiceberg":
        with place.table("t").update_sort_order() as update:
            update.desc("id", IdentityTransform())
            update.asc("s", TruncateTransform(2))
    else:
        place.spark("ALTER TABLE @t WRITE ORDERED BY id DESC NULLS LAST, truncate(2, s)")
    order = place.table("t").sort_order()
    assert [(str(field.transform), str(field.direction)) for field in order.fields] == [
        ("identity", "DESC"),
        ("truncate[2]", "ASC"),
    ]
    for writer in ("pyiceberg", "spark"):
        insert(place, writer)
    place.check("t", ROWS * 2)
    place.spark("ALTER TABLE @t WRITE UNORDERED")
    assert place.table("t").sort_order().fields == []
    insert(place, "duckdb")
    place.check("t", ROWS * 3)


def test_spark_writes_sorted_files(place):
    place.spark("CREATE TABLE @t (id INT, s STRING, ts TIMESTAMP_NTZ)")
    place.spark("ALTER TABLE @t WRITE ORDERED BY id DESC")
    insert(place, "spark")
    assert place.table("t").scan().to_arrow()["id"].to_pylist() == [2**31 - 1, 1, -7, None]
    assert {file["sort_order_id"] for file in place.table("t").inspect.files().to_pylist()} == {1}


def test_distribution_mode_is_a_table_property(place):
    place.spark("CREATE TABLE @t (id INT, s STRING, ts TIMESTAMP_NTZ) PARTITIONED BY (s)")
    place.spark("ALTER TABLE @t WRITE DISTRIBUTED BY PARTITION LOCALLY ORDERED BY id")
    assert place.table("t").properties["write.distribution-mode"] == "hash"
    insert(place, "spark")
    place.check("t", ROWS)
