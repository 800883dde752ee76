"""Rows that one engine appends, replaces, changes or deletes are read by the other two."""

import pyarrow as pa
import pytest
from harness import ENGINES, arrow
from pyiceberg.expressions import And, EqualTo, GreaterThan, In
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, NestedField, StringType

COLUMNS = pa.schema([("id", pa.int32()), ("s", pa.string())])
KEYED = pa.schema([pa.field("id", pa.int32(), nullable=False), ("s", pa.string())])

# Modes in which each engine changes rows: PyIceberg always uses copy-on-write; DuckDB does not support it.
MODES = [
    ("pyiceberg", "copy-on-write"),
    ("duckdb", "merge-on-read"),
    ("spark", "copy-on-write"),
    ("spark", "merge-on-read"),
]

BASE = [(1, "one"), (2, "two"), (3, "three"), (4, None)]


def values(rows):
    return ", ".join(f"({key}, {'NULL' if text is None else repr(text)})" for key, text in rows)


def create(place, creator, properties=None):
    if creator == "pyiceberg":
        place.create("t", COLUMNS, properties=properties or {})
    elif creator == "duckdb":
        assert not properties
        place.duckdb("CREATE TABLE @t (id INTEGER, s VARCHAR)")
    else:
        pairs = ", ".join(f"'{key}' = '{value}'" for key, value in (properties or {}).items())
        place.spark("CREATE TABLE @t (id INT, s STRING)" + (f" TBLPROPERTIES ({pairs})" if pairs else ""))


def append(place, writer, rows):
    if writer == "pyiceberg":
        place.table("t").append(arrow(rows, COLUMNS))
    else:
        getattr(place, writer)(f"INSERT INTO @t VALUES {values(rows)}")


@pytest.mark.parametrize("creator", ENGINES)
@pytest.mark.parametrize("writer", ENGINES)
def test_appends_by_any_engine_to_a_table_of_any_other(place, creator, writer):
    create(place, creator)
    append(place, writer, BASE[:2])
    append(place, writer, BASE[2:])
    place.check("t", BASE)
    assert len(place.table("t").metadata.snapshots) == 2


def test_three_engines_append_in_turn(place):
    create(place, "spark")
    expected = []
    for turn, writer in enumerate(ENGINES * 2):
        rows = [(turn, writer)]
        append(place, writer, rows)
        expected += rows
        place.check("t", expected)


@pytest.mark.parametrize("writer", ["pyiceberg", "spark"])
def test_overwrite_replaces_all_rows(place, writer):
    """DuckDB has no INSERT OVERWRITE."""
    create(place, "pyiceberg")
    append(place, "duckdb", BASE)
    if writer == "pyiceberg":
        place.table("t").overwrite(arrow([(9, "nine")], COLUMNS))
    else:
        place.spark("INSERT OVERWRITE @t VALUES (9, 'nine')")
    place.check("t", [(9, "nine")])


def test_pyiceberg_overwrites_by_filter(place):
    create(place, "spark")
    append(place, "spark", BASE)
    place.table("t").overwrite(arrow([(2, "zwei")], COLUMNS), overwrite_filter=EqualTo("id", 2))
    place.check("t", [(1, "one"), (2, "zwei"), (3, "three"), (4, None)])


@pytest.mark.parametrize("writer", ["pyiceberg", "spark"])
def test_dynamic_overwrite_replaces_only_the_partitions_it_writes(place, writer):
    place.spark("CREATE TABLE @t (id INT, s STRING) PARTITIONED BY (s)")
    append(place, "spark", [(1, "a"), (2, "a"), (3, "b")])
    if writer == "pyiceberg":
        place.table("t").dynamic_partition_overwrite(arrow([(9, "a")], COLUMNS))
    else:
        place.spark_frame("SELECT 9 AS id, 'a' AS s").writeTo(place.sql_for("spark", "@t")).overwritePartitions()
    place.check("t", [(9, "a"), (3, "b")])


@pytest.mark.parametrize(("writer", "mode"), MODES)
def test_delete(place, writer, mode):
    create(place, "pyiceberg", {"write.delete.mode": mode})
    append(place, "spark", BASE)
    if writer == "pyiceberg":
        place.table("t").delete(In("id", [1, 4]))
    else:
        getattr(place, writer)("DELETE FROM @t WHERE id IN (1, 4)")
    place.check("t", [(2, "two"), (3, "three")])
    append(place, "duckdb", [(1, "again")])
    place.check("t", [(2, "two"), (3, "three"), (1, "again")])


@pytest.mark.parametrize("writer", ENGINES)
def test_deleting_every_row_leaves_an_empty_table(place, writer):
    create(place, "spark")
    append(place, "pyiceberg", BASE)
    if writer == "pyiceberg":
        place.table("t").delete()
    else:
        getattr(place, writer)("DELETE FROM @t")
    place.check("t", [])


@pytest.mark.parametrize(("writer", "mode"), MODES[1:])
def test_update(place, writer, mode):
    """PyIceberg has no update by expression; its upsert is tested together with MERGE."""
    create(place, "pyiceberg", {"write.update.mode": mode})
    append(place, "pyiceberg", BASE)
    getattr(place, writer)("UPDATE @t SET s = s || '!' WHERE id > 2 OR s = 'one'")
    place.check("t", [(1, "one!"), (2, "two"), (3, "three!"), (4, None)])


@pytest.mark.parametrize(("writer", "mode"), MODES)
def test_merge(place, writer, mode):
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=True),
        NestedField(2, "s", StringType(), required=False),
        identifier_field_ids=[1],
    )
    place.create("t", schema, properties={"write.merge.mode": mode})
    place.table("t").append(arrow(BASE, KEYED))
    changes = [(2, "zwei"), (5, "fünf")]
    if writer == "pyiceberg":
        result = place.table("t").upsert(arrow(changes, KEYED))
        assert (result.rows_updated, result.rows_inserted) == (1, 1)
        expected = [(1, "one"), (2, "zwei"), (3, "three"), (4, None), (5, "fünf")]
    else:
        # DuckDB permits only one kind of action for matched rows, so the row with 4 is deleted by another
        # statement.
        source = "(SELECT 2 AS id, 'zwei' AS s UNION ALL SELECT 5, 'fünf')"
        getattr(place, writer)(f"""
            MERGE INTO @t AS t USING {source} AS c ON t.id = c.id
            WHEN MATCHED THEN UPDATE SET s = c.s
            WHEN NOT MATCHED THEN INSERT (id, s) VALUES (c.id, c.s)""")
        getattr(place, writer)("""
            MERGE INTO @t AS t USING (SELECT 4 AS id) AS c ON t.id = c.id
            WHEN MATCHED THEN DELETE""")
        expected = [(1, "one"), (2, "zwei"), (3, "three"), (5, "fünf")]
    place.check("t", expected)


def test_filters_are_pushed_down_to_the_same_rows(place):
    place.spark("CREATE TABLE @t (id INT, s STRING) PARTITIONED BY (bucket(4, id))")
    append(place, "spark", [(key, f"v{key % 3}") for key in range(30)])
    scan = place.table("t").scan(row_filter=And(GreaterThan("id", 20), EqualTo("s", "v1")))
    assert sorted(scan.to_arrow()["id"].to_pylist()) == [22, 25, 28]
    for engine in ("duckdb", "spark"):
        answer = getattr(place, engine)("SELECT id FROM @t WHERE id > 20 AND s = 'v1' ORDER BY id")
        assert answer["id"].to_pylist() == [22, 25, 28]
