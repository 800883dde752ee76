"""Rewrites of tables whose deletes are easily lost.

Files that are listed twice, columns that were dropped, and deletes for removed files.
"""

import uuid

import harness
import keyed
import pytest

MERGE = {"compact": {"inputs-min": 2, "delete-ratio": 0.001}}
# Data files are not rewritten, and equality deletes are converted to position deletes.
CONVERT = {"compact": {"inputs-min": 100_000, "delete-ratio": 1, "equality-deletes-min": 1}}


@pytest.fixture(scope="module")
def keyed_place(engines, catalog):
    name = f"deletes_{uuid.uuid4().hex[:12]}"
    catalog.create_namespace(name)
    yield keyed.Keyed(name, harness.URI, harness.WAREHOUSE, engines["spark"]())
    for table in catalog.list_tables(name):
        catalog.drop_table(table)
    catalog.drop_namespace(name)


def compact(keyed_place, table, policy=MERGE):
    [report] = keyed.maintain(keyed_place.uri, f"{keyed_place.warehouse}.{keyed_place.name}.{table}", "--action", "compact", policy=policy)
    return report


def read(keyed_place, engine, table):
    try:
        return harness.exact_rows(keyed_place.rows(engine, table))
    except Exception as error:  # Every exception is an error of the engine.
        return f"{type(error).__name__}: {error}"


def read_all(keyed_place, table):
    return {engine: read(keyed_place, engine, table) for engine in harness.ENGINES}


def check_unchanged(keyed_place, table, before):
    """Engines that could not read the table before are not compared."""
    for engine, after in read_all(keyed_place, table).items():
        assert after == before[engine] or isinstance(before[engine], str), f"{engine}: {before[engine]} became {after}"


def summary(keyed_place, table):
    return keyed_place.table(table).current_snapshot().summary


@pytest.mark.parametrize("version", [2, 3])
def test_rows_of_a_file_that_is_listed_twice(keyed_place, version):
    """Every engine reads them twice, and rows that were deleted from both entries remain deleted."""
    name = f"twice_{version}"
    properties = f"'format-version' = '{version}', 'write.delete.mode' = 'merge-on-read'"
    keyed_place.spark(f"CREATE TABLE @{name} (id BIGINT, name STRING) TBLPROPERTIES ({properties})")
    keyed_place.spark(f"INSERT INTO @{name} VALUES (-1, 'row -1')")
    sink = keyed_place.sink
    for number in range(4):
        sink.append(name, [(keyed.LONG + number * 3 + place, f"row {place}") for place in range(3)])
    rows = [(keyed.LONG + 100 + place, f"row {place}") for place in range(3)]
    table = sink.load(name)
    [again] = sink.write(table, table.spec(), rows)
    for _ in range(2):
        sink.load(name).newFastAppend().appendFile(again).commit()
    deleted = ", ".join(str(keyed.LONG + key) for key in (0, 1, 3, 4, 6, 7, 9, 10, 101))
    keyed_place.spark(f"DELETE FROM @{name} WHERE id IN ({deleted})")
    before = read_all(keyed_place, name)
    assert len(before["spark"]) == 1 + 4 + 2 * 2, before
    assert compact(keyed_place, name)["committed"]
    check_unchanged(keyed_place, name, before)
    totals = summary(keyed_place, name)
    assert (totals["total-records"], totals["total-data-files"], totals["total-delete-files"]) == ("9", "1", "0")
    assert not compact(keyed_place, name)["committed"]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("policy", [MERGE, CONVERT], ids=["merge", "convert"])
def test_equality_deletes_of_a_file_added_again_later(keyed_place, version, policy):
    """The later entry is newer than the delete, so its rows are not deleted."""
    name = f"later_{version}_{uuid.uuid4().hex[:6]}"
    keyed_place.spark(f"CREATE TABLE @{name} (id BIGINT, name STRING) TBLPROPERTIES ('format-version' = '{version}')")
    sink = keyed_place.sink
    rows = [(keyed.LONG + key, "x") for key in range(4)]
    table = sink.load(name)
    [again] = sink.write(table, table.spec(), rows)
    sink.load(name).newFastAppend().appendFile(again).commit()
    sink.append(name, [(keyed.LONG + key, "y") for key in range(4, 8)])
    sink.upsert(name, [], deleted=[rows[1], (keyed.LONG + 5, "")])
    sink.load(name).newFastAppend().appendFile(again).commit()
    before = read(keyed_place, "spark", name)
    assert len(before) == 3 + 3 + 4
    compact(keyed_place, name, policy)
    assert read(keyed_place, "spark", name) == before
    compact(keyed_place, name)
    assert read(keyed_place, "spark", name) == before
    assert summary(keyed_place, name)["total-records"] == "10"


@pytest.mark.parametrize("policy", [MERGE, CONVERT], ids=["merge", "convert"])
def test_deletes_by_a_column_that_was_dropped(keyed_place, policy):
    """Rows older than the column have its initial default, which the deletes compare."""
    name = f"dropped_{uuid.uuid4().hex[:6]}"
    keyed_place.spark(f"CREATE TABLE @{name} (id BIGINT, name STRING) TBLPROPERTIES ('format-version' = '3')")
    sink = keyed_place.sink
    for start in (0, 2):
        sink.append(name, [(keyed.LONG + start + place, "old") for place in range(2)])
    iceberg = sink.iceberg
    integer = iceberg.types.Types.IntegerType.get()
    sink.load(name).updateSchema().addColumn("k", integer, None, iceberg.expressions.Expressions.lit(7)).commit()
    sink.append(name, [(keyed.LONG + 10, "seven", 7), (keyed.LONG + 11, "eight", 8)])
    sink.delete_by(name, "k", [7])
    sink.load(name).updateSchema().updateColumn("k", iceberg.types.Types.LongType.get()).commit()
    keyed_place.spark(f"ALTER TABLE @{name} RENAME COLUMN k TO gone")
    keyed_place.spark(f"ALTER TABLE @{name} DROP COLUMN gone")
    report = compact(keyed_place, name, policy)
    assert report["committed"], report
    expected = harness.exact_rows([(keyed.LONG + 11, "eight")])
    assert {engine: read(keyed_place, engine, name) for engine in ("duckdb", "spark")} == {"duckdb": expected, "spark": expected}
    assert not keyed.has_equality_deletes(keyed_place.table(name))


def test_position_deletes_of_removed_files_are_removed(keyed_place):
    """As written by DuckDB in version 2: the path of the data file is contained only in bounds with another
    field id.
    """
    keyed_place.spark("CREATE TABLE @dangling (id BIGINT, name STRING) TBLPROPERTIES ('format-version' = '2')")
    for start in (0, 10):
        keyed_place.duckdb(f"INSERT INTO @dangling SELECT range + {start}, 'x' FROM range(10)")
    keyed_place.duckdb("UPDATE @dangling SET name = 'y' WHERE id = 3")
    assert summary(keyed_place, "dangling")["total-delete-files"] == "1"
    before = read_all(keyed_place, "dangling")
    # Removed by the rewrite itself.
    assert compact(keyed_place, "dangling")["committed"]
    assert summary(keyed_place, "dangling")["total-delete-files"] == "0"
    check_unchanged(keyed_place, "dangling", before)
    keyed_place.duckdb("UPDATE @dangling SET name = 'z' WHERE id = 4")
    before = read_all(keyed_place, "dangling")
    # Removed after a rewrite by Spark, which does not remove them.
    keyed_place.spark_call("rewrite_data_files", f"table => '{keyed_place.name}.dangling', options => map('rewrite-all', 'true')")
    assert summary(keyed_place, "dangling")["total-delete-files"] == "1"
    report = compact(keyed_place, "dangling")
    assert report["numbers"]["dangling-deletes-removed"] == 1, report
    assert summary(keyed_place, "dangling")["total-delete-files"] == "0"
    check_unchanged(keyed_place, "dangling", before)
    assert not compact(keyed_place, "dangling")["committed"]
