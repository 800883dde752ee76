"""Columns and nested fields that one engine adds, drops, renames, moves or widens, with files from before and
after.
"""

from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.types import DecimalType, DoubleType, IntegerType, LongType, StringType


@pytest.fixture
def people(place):
    """Creates a table with one file: id, a nested struct, a list of structs and a map of structs."""
    place.spark("""
        CREATE TABLE @t (id INT NOT NULL, f FLOAT, de DECIMAL(5, 2), s STRING,
                         st STRUCT<a: INT, b: STRING>, li ARRAY<STRUCT<x: INT>>, ma MAP<STRING, STRUCT<y: INT>>)""")
    place.spark("""
        INSERT INTO @t VALUES (1, 1.5, 1.25, 'old', named_struct('a', 1, 'b', 'p'), array(named_struct('x', 1)),
                               map('k', named_struct('y', 1)))""")
    return place


# No NULL lists or maps of structs: PyIceberg 0.12 reads them as empty.
OLD = (1, 1.5, Decimal("1.25"), "old", {"a": 1, "b": "p"}, [{"x": 1}], [("k", {"y": 1})])


@pytest.mark.parametrize("writer", ["pyiceberg", "duckdb", "spark"])
def test_an_added_column_is_null_in_old_files(people, writer):
    if writer == "pyiceberg":
        with people.table("t").update_schema() as update:
            update.add_column("n", LongType())
    elif writer == "duckdb":
        people.duckdb("ALTER TABLE @t ADD COLUMN n BIGINT")
    else:
        people.spark("ALTER TABLE @t ADD COLUMN n BIGINT")
    people.check("t", [(*OLD, None)])
    people.duckdb("INSERT INTO @t (id, li, ma, n) VALUES (2, [], MAP {}, 7)")
    people.check("t", [(*OLD, None), (2, None, None, None, None, [], [], 7)])


@pytest.mark.parametrize("writer", ["pyiceberg", "duckdb", "spark"])
def test_a_column_dropped_and_added_again_has_no_values(people, writer):
    if writer == "pyiceberg":
        with people.table("t").update_schema() as update:
            update.delete_column("s")
        people.check("t", [OLD[:3] + OLD[4:]])
        with people.table("t").update_schema() as update:
            update.add_column("s", StringType())
    else:
        run = getattr(people, writer)
        run("ALTER TABLE @t DROP COLUMN s")
        people.check("t", [OLD[:3] + OLD[4:]])
        run("ALTER TABLE @t ADD COLUMN s " + {"duckdb": "VARCHAR", "spark": "STRING"}[writer])
    people.check("t", [OLD[:3] + OLD[4:] + (None,)])


@pytest.mark.parametrize("writer", ["pyiceberg", "duckdb", "spark"])
def test_a_renamed_column_keeps_its_values(people, writer):
    if writer == "pyiceberg":
        with people.table("t").update_schema() as update:
            update.rename_column("s", "label")
    else:
        getattr(people, writer)("ALTER TABLE @t RENAME COLUMN s TO label")
    people.check("t", [OLD])
    for engine in ("pyiceberg", "duckdb", "spark"):
        assert [name for name, _ in people.columns(engine, "t")][3] == "label"


@pytest.mark.parametrize("writer", ["pyiceberg", "spark"])
def test_columns_and_nested_fields_are_reordered(people, writer):
    """DuckDB cannot move columns."""
    if writer == "pyiceberg":
        with people.table("t").update_schema() as update:
            update.move_first("s")
            update.move_after("de", "id")
            update.move_first(("st", "b"))
    else:
        people.spark("ALTER TABLE @t ALTER COLUMN s FIRST")
        people.spark("ALTER TABLE @t ALTER COLUMN de AFTER id")
        people.spark("ALTER TABLE @t ALTER COLUMN st.b FIRST")
    people.check("t", [("old", 1, Decimal("1.25"), 1.5, {"b": "p", "a": 1}, [{"x": 1}], [("k", {"y": 1})])])


@pytest.mark.parametrize("writer", ["pyiceberg", "duckdb", "spark"])
def test_types_are_widened(people, writer):
    if writer == "pyiceberg":
        with people.table("t").update_schema() as update:
            update.update_column("id", LongType())
            update.update_column("f", DoubleType())
            update.update_column("de", DecimalType(9, 2))
            update.update_column(("st", "a"), LongType())
            update.update_column(("li", "element", "x"), LongType())
    elif writer == "duckdb":
        # DuckDB changes only top-level columns, and no decimals.
        people.duckdb("ALTER TABLE @t ALTER COLUMN id TYPE BIGINT")
        people.duckdb("ALTER TABLE @t ALTER COLUMN f TYPE DOUBLE")
    else:
        people.spark("ALTER TABLE @t ALTER COLUMN id TYPE BIGINT")
        people.spark("ALTER TABLE @t ALTER COLUMN f TYPE DOUBLE")
        people.spark("ALTER TABLE @t ALTER COLUMN de TYPE DECIMAL(9, 2)")
        people.spark("ALTER TABLE @t ALTER COLUMN st.a TYPE BIGINT")
        people.spark("ALTER TABLE @t ALTER COLUMN li.element.x TYPE BIGINT")
    people.duckdb(f"INSERT INTO @t (id, f, li, ma) VALUES ({2**40}, 0.1, [], MAP {{}})")
    people.check("t", [OLD, (2**40, 0.1, None, None, None, [], [])])
    schema = people.table("t").schema()
    assert isinstance(schema.find_type("id"), LongType)
    assert isinstance(schema.find_type("f"), DoubleType)


def test_narrowing_is_refused(people):
    with pytest.raises(Exception, match="(?i)not supported"):
        people.spark("ALTER TABLE @t ALTER COLUMN f TYPE INT")
    people.check("t", [OLD])


@pytest.mark.parametrize("writer", ["pyiceberg", "spark"])
def test_nested_fields_are_added_renamed_and_dropped(people, writer):
    """DuckDB changes only top-level columns."""
    if writer == "pyiceberg":
        with people.table("t").update_schema() as update:
            update.add_column(("st", "c"), IntegerType())
            update.rename_column(("st", "a"), "first")
            update.delete_column(("st", "b"))
            update.add_column(("li", "element", "z"), StringType())
            update.add_column(("ma", "value", "w"), StringType())
    else:
        people.spark("ALTER TABLE @t ADD COLUMN st.c INT")
        people.spark("ALTER TABLE @t RENAME COLUMN st.a TO first")
        people.spark("ALTER TABLE @t DROP COLUMN st.b")
        people.spark("ALTER TABLE @t ADD COLUMN li.element.z STRING")
        people.spark("ALTER TABLE @t ADD COLUMN ma.value.w STRING")
    people.check(
        "t",
        [(*OLD[:4], {"first": 1, "c": None}, [{"x": 1, "z": None}], [("k", {"y": 1, "w": None})])],
    )


@pytest.mark.parametrize("writer", ["pyiceberg", "spark"])
def test_a_required_column_becomes_optional(people, writer):
    """For DROP NOT NULL, DuckDB 1.5 sends the unchanged schema, and still refuses nulls itself."""
    with pytest.raises(Exception, match="(?i)null"):
        people.duckdb("INSERT INTO @t (s, li, ma) VALUES ('new', [], MAP {})")
    if writer == "pyiceberg":
        with people.table("t").update_schema() as update:
            update.update_column("id", required=False)
    else:
        people.spark("ALTER TABLE @t ALTER COLUMN id DROP NOT NULL")
    people.duckdb("INSERT INTO @t (s, li, ma) VALUES ('new', [], MAP {})")
    people.check("t", [OLD, (None, None, None, "new", None, [], [])])


def test_pyiceberg_adds_columns_by_name(people):
    """union_by_name: missing columns are added, narrower ones are widened."""
    wider = pa.schema([("id", pa.int64()), ("extra", pa.string()), ("st", pa.struct([("deep", pa.int32())]))])
    with people.table("t").update_schema() as update:
        update.union_by_name(wider)
    people.check("t", [(*OLD[:4], {"a": 1, "b": "p", "deep": None}, *OLD[5:], None)])


def test_comments_and_identifier_fields_change(people):
    with people.table("t").update_schema() as update:
        update.update_column("s", doc="from PyIceberg")
        update.set_identifier_fields("id")
    described = {row["col_name"]: row["comment"] for row in people.spark("DESCRIBE TABLE @t").to_pylist()}
    assert described["s"] == "from PyIceberg"
    people.spark("ALTER TABLE @t ALTER COLUMN s COMMENT 'from Spark'")
    people.spark("ALTER TABLE @t DROP IDENTIFIER FIELDS id")
    schema = people.table("t").schema()
    assert schema.find_field("s").doc == "from Spark"
    assert schema.identifier_field_ids == []


def test_a_stale_schema_change_is_refused(people):
    stale = people.table("t")
    people.spark("ALTER TABLE @t ADD COLUMN n BIGINT")
    with pytest.raises(CommitFailedException):
        with stale.update_schema() as update:
            update.add_column("m", LongType())
