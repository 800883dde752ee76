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
def here(engines, catalog):
    name = f"deletes_{uuid.uuid4().hex[:12]}"
    catalog.create_namespace(name)
    yield keyed.Keyed(name, harness.URI, harness.WAREHOUSE, engines["spark"]())
    for table in catalog.list_tables(name):
        catalog.drop_table(table)
    catalog.drop_namespace(name)


def compact(here, table, policy=MERGE):
    [report] = keyed.maintain(here.uri, f"{here.warehouse}.{here.name}.{table}", "--action", "compact", policy=policy)
    return report


def read(here, engine, table):
    try:
        return harness.exact_rows(here.rows(engine, table))
    except Exception as error:  # Every exception is an error of the engine.
        return f"{type(error).__name__}: {error}"


def seen(here, table):
    return {engine: read(here, engine, table) for engine in harness.ENGINES}


def check_seen(here, table, before):
    """Engines that could not read the table before are not compared."""
    for engine, after in seen(here, table).items():
        assert after == before[engine] or isinstance(before[engine], str), f"{engine}: {before[engine]} became {after}"


def summary(here, table):
    return here.table(table).current_snapshot().summary


@pytest.mark.parametrize("version", [2, 3])
def test_rows_of_a_file_that_is_listed_twice(here, version):
    """Every engine reads them twice, and rows that were deleted from both entries remain deleted."""
    name = f"twice_{version}"
    here.spark(f"CREATE TABLE @{name} (id BIGINT, name STRING) TBLPROPERTIES ('format-version' = '{version}', 'write.delete.mode' = 'merge-on-read')")
    here.spark(f"INSERT INTO @{name} VALUES (-1, 'row -1')")
    sink = here.sink
    for number in range(4):
        sink.append(name, [(keyed.LONG + number * 3 + place, f"row {place}") for place in range(3)])
    rows = [(keyed.LONG + 100 + place, f"row {place}") for place in range(3)]
    table = sink.load(name)
    [again] = sink.write(table, table.spec(), rows)
    for _ in range(2):
        sink.load(name).newFastAppend().appendFile(again).commit()
    gone = ", ".join(str(keyed.LONG + key) for key in (0, 1, 3, 4, 6, 7, 9, 10, 101))
    here.spark(f"DELETE FROM @{name} WHERE id IN ({gone})")
    before = seen(here, name)
    assert len(before["spark"]) == 1 + 4 + 2 * 2, before
    assert compact(here, name)["committed"]
    check_seen(here, name, before)
    told = summary(here, name)
    assert (told["total-records"], told["total-data-files"], told["total-delete-files"]) == ("9", "1", "0")
    assert not compact(here, name)["committed"]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("policy", [MERGE, CONVERT], ids=["merge", "convert"])
def test_deletes_by_value_of_a_file_that_was_added_again_later(here, version, policy):
    """The later entry is newer than the delete, so its rows are not deleted."""
    name = f"later_{version}_{uuid.uuid4().hex[:6]}"
    here.spark(f"CREATE TABLE @{name} (id BIGINT, name STRING) TBLPROPERTIES ('format-version' = '{version}')")
    sink = here.sink
    rows = [(keyed.LONG + key, "x") for key in range(4)]
    table = sink.load(name)
    [again] = sink.write(table, table.spec(), rows)
    sink.load(name).newFastAppend().appendFile(again).commit()
    sink.append(name, [(keyed.LONG + key, "y") for key in range(4, 8)])
    sink.upsert(name, [], gone=[rows[1], (keyed.LONG + 5, "")])
    sink.load(name).newFastAppend().appendFile(again).commit()
    before = read(here, "spark", name)
    assert len(before) == 3 + 3 + 4
    compact(here, name, policy)
    assert read(here, "spark", name) == before
    compact(here, name)
    assert read(here, "spark", name) == before
    assert summary(here, name)["total-records"] == "10"


@pytest.mark.parametrize("policy", [MERGE, CONVERT], ids=["merge", "convert"])
def test_deletes_by_a_column_that_was_dropped(here, policy):
    """Rows older than the column have its initial default, which the deletes compare."""
    name = f"dropped_{uuid.uuid4().hex[:6]}"
    here.spark(f"CREATE TABLE @{name} (id BIGINT, name STRING) TBLPROPERTIES ('format-version' = '3')")
    sink = here.sink
    for start in (0, 2):
        sink.append(name, [(keyed.LONG + start + place, "old") for place in range(2)])
    iceberg = sink.iceberg
    integer = iceberg.types.Types.IntegerType.get()
    sink.load(name).updateSchema().addColumn("k", integer, None, iceberg.expressions.Expressions.lit(7)).commit()
    sink.append(name, [(keyed.LONG + 10, "seven", 7), (keyed.LONG + 11, "eight", 8)])
    sink.delete_by(name, "k", [7])
    sink.load(name).updateSchema().updateColumn("k", iceberg.types.Types.LongType.get()).commit()
    here.spark(f"ALTER TABLE @{name} RENAME COLUMN k TO gone")
    here.spark(f"ALTER TABLE @{name} DROP COLUMN gone")
    report = compact(here, name, policy)
    assert report["committed"], report
    expected = harness.exact_rows([(keyed.LONG + 11, "eight")])
    assert {engine: read(here, engine, name) for engine in ("duckdb", "spark")} == {"duckdb": expected, "spark": expected}
    assert not keyed.has_equality_deletes(here.table(name))


def test_position_deletes_of_files_that_are_gone_are_removed(here):
    """As written by DuckDB in version 2: the path of the data file is contained only in bounds with another
    field id.
    """
    here.spark("CREATE TABLE @dangling (id BIGINT, name STRING) TBLPROPERTIES ('format-version' = '2')")
    for start in (0, 10):
        here.duckdb(f"INSERT INTO @dangling SELECT range + {start}, 'x' FROM range(10)")
    here.duckdb("UPDATE @dangling SET name = 'y' WHERE id = 3")
    assert summary(here, "dangling")["total-delete-files"] == "1"
    before = seen(here, "dangling")
    # Removed by the rewrite itself.
    assert compact(here, "dangling")["committed"]
    assert summary(here, "dangling")["total-delete-files"] == "0"
    check_seen(here, "dangling", before)
    here.duckdb("UPDATE @dangling SET name = 'z' WHERE id = 4")
    before = seen(here, "dangling")
    # Removed after a rewrite by Spark, which does not remove them.
    here.spark_call("rewrite_data_files", f"table => '{here.name}.dangling', options => map('rewrite-all', 'true')")
    assert summary(here, "dangling")["total-delete-files"] == "1"
    report = compact(here, "dangling")
    assert report["numbers"]["dangling-deletes-removed"] == 1, report
    assert summary(here, "dangling")["total-delete-files"] == "0"
    check_seen(here, "dangling", before)
    assert not compact(here, "dangling")["committed"]
