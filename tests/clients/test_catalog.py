"""Namespaces, names and tables: transactions, renames, purges, registration, unusual names, races."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from harness import ENGINES, URI, WAREHOUSE, arrow, arrow_rows, reference_gap
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceNotEmptyError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.types import StringType

COLUMNS = pa.schema([("id", pa.int32())])


def one_table(place, name="t", rows=((1,),)):
    table = place.create(name, COLUMNS)
    table.append(arrow(rows, COLUMNS))
    return table


# --- Transactions -----------------------------------------------------------


def test_duckdb_commits_two_tables_and_a_new_one_at_once(place):
    one_table(place, "a")
    one_table(place, "b")
    place.duckdb("BEGIN")
    place.duckdb("INSERT INTO @a VALUES (2)")
    place.duckdb("DELETE FROM @b WHERE id = 1")
    place.duckdb("CREATE TABLE @c (id INTEGER)")
    place.duckdb("INSERT INTO @c VALUES (3)")
    assert place.rows("pyiceberg", "a") == [(1,)]
    assert not place.catalog().table_exists(place.identifier("c"))
    place.duckdb("COMMIT")
    place.check("a", [(1,), (2,)])
    place.check("b", [])
    place.check("c", [(3,)])


def test_duckdb_rolls_back(place):
    one_table(place, "a")
    place.duckdb("BEGIN")
    place.duckdb("INSERT INTO @a VALUES (2)")
    place.duckdb("CREATE TABLE @c (id INTEGER)")
    place.duckdb("ROLLBACK")
    place.check("a", [(1,)])
    assert place.catalog().list_tables(place.name) == [place.identifier("a")]


def test_a_transaction_with_one_lost_race_changes_no_table(place):
    one_table(place, "a")
    one_table(place, "b")
    place.duckdb("BEGIN")
    place.duckdb("INSERT INTO @a VALUES (2)")
    place.duckdb("INSERT INTO @b VALUES (2)")
    place.spark("INSERT INTO @b VALUES (7)")
    with pytest.raises(Exception, match="(?i)changed|conflict|requirement"):
        place.duckdb("COMMIT")
    place.check("a", [(1,)])
    place.check("b", [(1,), (7,)])


def test_pyiceberg_commits_schema_rows_and_properties_at_once(place):
    table = one_table(place)
    before = table.metadata_location
    with table.transaction() as transaction:
        with transaction.update_schema() as update:
            update.add_column("s", StringType())
        transaction.set_properties({"k": "v"})
        transaction.append(pa.table({"id": pa.array([2], pa.int32()), "s": ["x"]}))
    place.check("t", [(1, None), (2, "x")])
    table = place.table("t")
    assert table.properties["k"] == "v"
    assert [entry.metadata_file for entry in table.metadata.metadata_log][-1] == before


def test_pyiceberg_creates_a_table_with_rows_at_once(place):
    with place.catalog().create_table_transaction(place.identifier("t"), COLUMNS) as transaction:
        transaction.append(arrow([(1,)], COLUMNS))
        assert not place.catalog().table_exists(place.identifier("t"))
    place.check("t", [(1,)])


def test_spark_replaces_a_table_and_keeps_its_history(place):
    one_table(place)
    uuid_before = place.table("t").metadata.table_uuid
    place.spark("CREATE OR REPLACE TABLE @t USING iceberg AS SELECT 'a' AS s")
    place.check("t", [("a",)])
    table = place.table("t")
    assert table.metadata.table_uuid == uuid_before
    assert len(table.metadata.snapshots) == 2


def test_a_second_creation_is_refused_by_every_engine(place):
    one_table(place)
    with pytest.raises(TableAlreadyExistsError):
        place.create("t", COLUMNS)
    for engine, sql in (("duckdb", "CREATE TABLE @t (id INTEGER)"), ("spark", "CREATE TABLE @t (id INT)")):
        with pytest.raises(Exception, match="(?i)exist"):
            getattr(place, engine)(sql)
        getattr(place, engine)(sql.replace("TABLE", "TABLE IF NOT EXISTS"))
    place.check("t", [(1,)])


# --- Names ------------------------------------------------------------------


@pytest.mark.parametrize("renamer", ENGINES)
def test_a_renamed_table_keeps_its_rows_and_frees_its_name(place, renamer):
    one_table(place)
    if renamer == "pyiceberg":
        place.catalog().rename_table(place.identifier("t"), place.identifier("u"))
    elif renamer == "duckdb":
        place.duckdb("ALTER TABLE @t RENAME TO u")
    else:
        place.spark(f"ALTER TABLE @t RENAME TO `{place.name}`.`u`")
    place.check("u", [(1,)])
    one_table(place, "t", [(9,)])
    assert place.table("t").location() != place.table("u").location()
    place.check("t", [(9,)])
    place.catalog().drop_table(place.identifier("t"))
    place.check("u", [(1,)])


@pytest.mark.parametrize("renamer", ["pyiceberg", "spark"])
def test_a_table_moves_to_another_namespace(place, renamer):
    """DuckDB renames tables only within a schema."""
    other = f"{place.name}_other"
    place.catalog().create_namespace(other)
    one_table(place)
    if renamer == "pyiceberg":
        place.catalog().rename_table(place.identifier("t"), (other, "moved"))
    else:
        place.spark(f"ALTER TABLE @t RENAME TO `{other}`.`moved`")
    assert place.catalog().list_tables(place.name) == []
    assert arrow_rows(place.duckdb(f'SELECT * FROM firn."{other}".moved')) == [(1,)]
    with pytest.raises(NamespaceNotEmptyError):
        place.catalog().drop_namespace(other)
    place.catalog().drop_table((other, "moved"))
    place.catalog().drop_namespace(other)


@pytest.mark.parametrize("dropper", ENGINES)
def test_a_dropped_table_is_gone_and_its_files_stay(place, dropper):
    table = one_table(place)
    if dropper == "pyiceberg":
        place.catalog().drop_table(place.identifier("t"))
    else:
        getattr(place, dropper)("DROP TABLE @t")
    with pytest.raises(NoSuchTableError):
        place.table("t")
    for engine in ("duckdb", "spark"):
        getattr(place, engine)("DROP TABLE IF EXISTS @t")
        with pytest.raises(Exception, match="(?i)exist|found"):
            getattr(place, engine)("SELECT * FROM @t")
    assert table.io.new_input(table.metadata_location).exists()


@pytest.mark.parametrize("dropper", ["pyiceberg", "spark"])
def test_purge_removes_the_table(place, dropper):
    """Files are deleted at once or by a job, which is left to the catalog."""
    one_table(place)
    if dropper == "pyiceberg":
        place.catalog().purge_table(place.identifier("t"))
    else:
        place.spark("DROP TABLE @t PURGE")
    assert not place.catalog().table_exists(place.identifier("t"))
    one_table(place, "t", [(2,)])
    place.check("t", [(2,)])


ODD_NAMES = ["with space", "with.dot", "with-dash", "Üñïçødé 表 ❄", "UPPER and lower", "100%", "a+b&c=d", "semi;colon", "q'uote"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_unusual_table_names(place, name):
    place.create(name, COLUMNS)
    place.table(name).append(arrow([(1,)], COLUMNS))
    place.duckdb(f"INSERT INTO @{{{name}}} VALUES (2)")
    place.spark(f"INSERT INTO @{{{name}}} VALUES (3)")
    place.check(name, [(1,), (2,), (3,)])
    assert place.catalog().list_tables(place.name) == [place.identifier(name)]


@pytest.mark.parametrize("name", ["a/b", "a/../b", "%2F", "x\u001fy"])
def test_names_with_separators(place, name):
    """The names test how the server splits paths."""
    place.create(name, COLUMNS)
    place.table(name).append(arrow([(1,)], COLUMNS))
    place.spark(f"INSERT INTO @{{{name}}} VALUES (2)")
    place.duckdb(f"INSERT INTO @{{{name}}} VALUES (3)")
    assert place.catalog().list_tables(place.name) == [place.identifier(name)]
    place.check(name, [(1,), (2,), (3,)])


def test_names_differ_by_case(place):
    """DuckDB does not distinguish case, so it is left out."""
    one_table(place, "t", [(1,)])
    one_table(place, "T", [(2,)])
    place.check("t", [(1,)], engines=("pyiceberg", "spark"))
    place.check("T", [(2,)], engines=("pyiceberg", "spark"))


def test_nested_namespaces(place):
    catalog = place.catalog()
    catalog.create_namespace((place.name, "b"))
    catalog.create_namespace((place.name, "b", "c"))
    catalog.create_table((place.name, "b", "c", "t"), COLUMNS).append(arrow([(1,)], COLUMNS))
    assert catalog.list_namespaces((place.name,)) == [(place.name, "b")]
    assert catalog.list_namespaces((place.name, "b")) == [(place.name, "b", "c")]
    assert (place.name, "b") not in catalog.list_namespaces()
    rows = place.spark(f"SELECT * FROM `firn`.`{place.name}`.`b`.`c`.`t`")
    assert arrow_rows(rows) == [(1,)]


@reference_gap("its namespaces exist as long as something is below them")
def test_a_namespace_with_a_child_is_not_dropped(place):
    place.catalog().create_namespace((place.name, "b"))
    place.catalog().create_namespace((place.name, "b", "c"))
    with pytest.raises(NamespaceNotEmptyError):
        place.catalog().drop_namespace((place.name, "b"))


def test_namespace_properties(place):
    catalog = place.catalog()
    place.spark(f"ALTER NAMESPACE firn.`{place.name}` SET PROPERTIES ('team' = 'a', 'k' = 'v')")
    summary = catalog.update_namespace_properties(place.name, removals={"k", "absent"}, updates={"team": "b"})
    assert (summary.removed, summary.updated, summary.missing) == (["k"], ["team"], ["absent"])
    properties = catalog.load_namespace_properties(place.name)
    assert properties["team"] == "b" and "k" not in properties


def test_namespaces_are_created_and_dropped_by_every_engine(place):
    for engine, statement in (
        ("duckdb", 'CREATE SCHEMA firn."{}"'),
        ("spark", "CREATE NAMESPACE firn.`{}`"),
    ):
        name = f"{place.name}_{engine}"
        getattr(place, engine)(statement.format(name))
        assert place.catalog().namespace_exists(name)
        getattr(place, engine)(statement.replace("CREATE", "DROP").format(name))
        assert not place.catalog().namespace_exists(name)


# --- Registration and races -------------------------------------------------


@pytest.mark.parametrize("registrar", ["pyiceberg", "spark"])
def test_a_dropped_table_is_registered_again_with_its_history(place, registrar):
    table = one_table(place)
    location = place.table("t").metadata_location
    place.catalog().drop_table(place.identifier("t"))
    if registrar == "pyiceberg":
        place.catalog().register_table(place.identifier("back"), location)
    else:
        place.spark_call("register_table", f"table => '{place.name}.back', metadata_file => '{location}'")
    place.check("back", [(1,)])
    assert place.table("back").metadata.table_uuid == table.metadata.table_uuid
    place.duckdb("INSERT INTO @back VALUES (2)")
    place.check("back", [(1,), (2,)])


def test_a_commit_on_a_moved_branch_is_refused_or_retried(place):
    """A schema change from a stale client is refused; an append from one is retried on the new snapshot."""
    stale = one_table(place)
    place.spark("ALTER TABLE @t ADD COLUMN s STRING")
    with pytest.raises(CommitFailedException):
        with stale.update_schema() as update:
            update.add_column("other", StringType())
    place.duckdb("INSERT INTO @t VALUES (2, 'x')")
    stale.append(arrow([(3,)], COLUMNS))
    place.check("t", [(1, None), (2, "x"), (3, None)])


APPENDER = """
import sys
import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
uri, warehouse, namespace, worker, appends = sys.argv[1:]
catalog = RestCatalog("firn", uri=uri, warehouse=warehouse)
table = catalog.load_table((namespace, "t"))
for append in range(int(appends)):
    table.append(pa.table({"id": pa.array([int(worker) * 1000 + append], pa.int32())}))
"""


def test_appends_from_four_processes_are_all_kept(place):
    """PyIceberg retries a lost race; no append may be lost or duplicated, and no snapshot may lack its
    parent.
    """
    properties = {"commit.retry.num-retries": "50", "commit.retry.min-wait-ms": "10", "commit.retry.max-wait-ms": "500"}
    place.create("t", COLUMNS, properties=properties)
    workers, appends = 4, 5
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, URI, WAREHOUSE, place.name, str(worker), str(appends)], stderr=subprocess.PIPE
        )
        for worker in range(workers)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-2000:]
    place.check("t", [(worker * 1000 + append,) for worker in range(workers) for append in range(appends)])
    snapshots = sorted(place.table("t").snapshots(), key=lambda snapshot: snapshot.sequence_number)
    assert [s.sequence_number for s in snapshots] == list(range(1, workers * appends + 1))
    assert [s.parent_snapshot_id for s in snapshots] == [None, *(s.snapshot_id for s in snapshots[:-1])]


def test_table_properties_are_set_and_removed_by_every_engine(place):
    one_table(place)
    with place.table("t").transaction() as transaction:
        transaction.set_properties({"a": "1", "b": "2", "c": "3"})
    place.spark("ALTER TABLE @t SET TBLPROPERTIES ('a' = '10')")
    place.spark("ALTER TABLE @t UNSET TBLPROPERTIES ('b')")
    place.duckdb("CALL set_iceberg_table_properties(@t, {'d': '4'})")
    place.duckdb("CALL remove_iceberg_table_properties(@t, ['c'])")
    properties = place.table("t").properties
    assert {key: properties.get(key) for key in "abcd"} == {"a": "10", "b": None, "c": None, "d": "4"}


def test_a_specified_location(place):
    base = place.create("probe", COLUMNS).location()
    location = f"{base}-elsewhere-{uuid.uuid4().hex[:8]}"
    if location.startswith("file:"):
        os.makedirs(Path("/" + location.removeprefix("file:").lstrip("/")) / "metadata", exist_ok=True)
    place.create("t", COLUMNS, location=location).append(arrow([(1,)], COLUMNS))
    assert place.table("t").location().rstrip("/") == location
    place.check("t", [(1,)])
