"""Format versions 1 to 3, and features of version 3: deletion vectors, row lineage, variant, nanoseconds,
defaults.
"""

import pyarrow as pa
import pytest
from harness import ENGINES, arrow, exact_rows

COLUMNS = pa.schema([("id", pa.int32()), ("s", pa.string())])


def upgrade(place, upgrader, version):
    if upgrader == "pyiceberg":
        with place.table("t").transaction() as transaction:
            transaction.upgrade_table_version(format_version=version)
    else:
        place.spark(f"ALTER TABLE @t SET TBLPROPERTIES ('format-version' = '{version}')")
    assert place.table("t").format_version == version


@pytest.mark.parametrize("upgrader", ["pyiceberg", "spark"])
def test_upgrades_keep_rows_and_deletes(place, upgrader):
    """Rows written in v1, deleted by position delete files in v2 and by vectors in v3. DuckDB cannot upgrade
    tables.
    """
    modes = {f"write.{kind}.mode": "merge-on-read" for kind in ("delete", "update", "merge")}
    place.create("t", COLUMNS, properties={"format-version": "1", **modes})
    place.spark("INSERT INTO @t VALUES (1, 'v1'), (2, 'v1'), (3, 'v1'), (4, 'v1')")
    place.check("t", [(key, "v1") for key in (1, 2, 3, 4)])

    upgrade(place, upgrader, 2)
    place.spark("DELETE FROM @t WHERE id = 1")
    place.duckdb("INSERT INTO @t VALUES (5, 'v2')")
    place.check("t", [(2, "v1"), (3, "v1"), (4, "v1"), (5, "v2")])

    upgrade(place, "spark", 3)
    expected = [(2, "v1"), (3, "v1"), (4, "v1"), (5, "v2")]
    place.check("t", expected)
    place.spark("DELETE FROM @t WHERE id = 2")
    place.duckdb("DELETE FROM @t WHERE id = 5")
    place.spark("INSERT INTO @t VALUES (6, 'v3')")
    expected = [(3, "v1"), (4, "v1"), (6, "v3")]
    assert exact_rows(place.rows("spark", "t")) == exact_rows(expected)
    assert exact_rows(place.rows("duckdb", "t")) == exact_rows(expected)
    assert exact_rows(place.rows("pyiceberg", "t")) == exact_rows(expected)


def test_a_downgrade_is_refused(place):
    place.create("t", COLUMNS, properties={"format-version": "2"})
    with pytest.raises(Exception, match="(?i)downgrade"):
        place.spark("ALTER TABLE @t SET TBLPROPERTIES ('format-version' = '1')")
    assert place.table("t").format_version == 2


@pytest.mark.parametrize("writer", ["duckdb", "spark"])
def test_deletion_vectors_are_read_by_every_engine(place, writer):
    place.spark("""CREATE TABLE @t (id INT, s STRING) TBLPROPERTIES ('format-version' = '3',
        'write.delete.mode' = 'merge-on-read', 'write.update.mode' = 'merge-on-read')""")
    place.spark("INSERT INTO @t SELECT id, 's' FROM range(100) AS r(id)")
    run = getattr(place, writer)
    run("DELETE FROM @t WHERE id >= 10")
    run("DELETE FROM @t WHERE id = 3")
    run("UPDATE @t SET s = 'changed' WHERE id = 5")
    deletes = place.spark("SELECT file_format, content FROM @t.files WHERE content <> 0").to_pylist()
    assert {row["file_format"] for row in deletes} == {"PUFFIN"}
    place.check("t", [(key, "changed" if key == 5 else "s") for key in range(10) if key != 3])


def test_row_lineage_is_assigned_and_kept(place):
    place.spark("CREATE TABLE @t (id INT, s STRING) TBLPROPERTIES ('format-version' = '3')")
    place.spark("INSERT INTO @t VALUES (1, 'a')")
    place.duckdb("INSERT INTO @t VALUES (2, 'b')")
    rows = place.spark("SELECT id, _row_id, _last_updated_sequence_number AS n FROM @t ORDER BY id").to_pylist()
    assert rows == [{"id": 1, "_row_id": 0, "n": 1}, {"id": 2, "_row_id": 1, "n": 2}]
    place.spark("UPDATE @t SET s = 'c' WHERE id = 1")
    rows = place.spark("SELECT id, _row_id, _last_updated_sequence_number AS n FROM @t ORDER BY id").to_pylist()
    assert rows == [{"id": 1, "_row_id": 0, "n": 3}, {"id": 2, "_row_id": 1, "n": 2}]


def test_variant_is_shared_by_duckdb_and_spark(place):
    """PyIceberg 0.12 does not support the type, and cannot load such a table."""
    place.spark("CREATE TABLE @t (id INT, v VARIANT) TBLPROPERTIES ('format-version' = '3')")
    place.spark("""INSERT INTO @t SELECT 1, parse_json('{"a": 1, "b": ["x", null, 2.5]}')""")
    place.duckdb("INSERT INTO @t VALUES (2, {'a': 2}::VARIANT)")
    rows = place.spark("SELECT id, to_json(v) AS v, variant_get(v, '$.a', 'int') AS a FROM @t ORDER BY id").to_pylist()
    assert rows == [
        {"id": 1, "v": '{"a":1,"b":["x",null,2.5]}', "a": 1},
        {"id": 2, "v": '{"a":2}', "a": 2},
    ]
    rows = place.duckdb("SELECT id, v.a::INTEGER AS a FROM @t ORDER BY id").to_pylist()
    assert rows == [{"id": 1, "a": 1}, {"id": 2, "a": 2}]


def test_nanoseconds_are_shared_by_duckdb_and_pyiceberg(place):
    """Spark has no timestamps more precise than microseconds."""
    place.duckdb("CREATE TABLE @t (id INTEGER, n TIMESTAMP_NS) WITH ('format-version' = '3')")
    place.duckdb("INSERT INTO @t VALUES (1, '2024-02-29 23:59:59.123456789'), (2, NULL)")
    answers = {engine: place.read(engine, "t") for engine in ("pyiceberg", "duckdb")}
    for answer in answers.values():
        assert answer.schema.field("n").type == pa.timestamp("ns")
        assert sorted(answer["n"].cast(pa.int64()).to_pylist(), key=str) == [1709251199123456789, None]


def test_default_values(place):
    """DuckDB sets them; existing rows have the initial default, new rows the write default."""
    place.duckdb("CREATE TABLE @t (id INTEGER) WITH ('format-version' = '3')")
    place.duckdb("INSERT INTO @t VALUES (1)")
    place.duckdb("ALTER TABLE @t ADD COLUMN n INTEGER DEFAULT 7")
    field = place.table("t").schema().find_field("n")
    assert field.initial_default == 7 and field.write_default == 7
    place.duckdb("INSERT INTO @t (id) VALUES (2)")
    place.spark("INSERT INTO @t VALUES (3, 30)")
    place.check("t", [(1, 7), (2, 7), (3, 30)])


# DuckDB 1.5 numbers snapshots of v1 tables, which is not permitted; PyIceberg 0.12 writes no v3 manifests.
WRITERS = {1: ("pyiceberg", "spark"), 2: ENGINES, 3: ("duckdb", "spark")}


@pytest.mark.parametrize("version", WRITERS)
def test_engines_append_to_every_version_and_read_it(place, version):
    if version == 3:
        place.spark("CREATE TABLE @t (id INT, s STRING) TBLPROPERTIES ('format-version' = '3')")
    else:
        place.create("t", COLUMNS, properties={"format-version": str(version)})
    for key, writer in enumerate(WRITERS[version]):
        if writer == "pyiceberg":
            place.table("t").append(arrow([(key, writer)], COLUMNS))
        else:
            getattr(place, writer)(f"INSERT INTO @t VALUES ({key}, '{writer}')")
    place.check("t", list(enumerate(WRITERS[version])))
    assert place.table("t").format_version == version
