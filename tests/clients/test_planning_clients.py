"""Rows that engines read with server-side scan planning, compared with those of their own planning.

Spark and PyIceberg support it; DuckDB 1.5 does not.
"""

import re
import urllib.request

import harness
import plan_filters
import plan_tables
import plans
import pyarrow as pa
import pytest
import test_rewrites
from harness import REFERENCE, arrow_rows, exact_rows
from pydantic import ValidationError
from pyiceberg.catalog.rest import RestCatalog

pytestmark = pytest.mark.timeout(900)

SERVER = {"scan-planning-mode": "server"}
FILTERS = max(2, plans.FILTERS // 4)


def count_plans():
    """Returns the number of plans that the server has made, from its metrics."""
    with urllib.request.urlopen(f"{harness.URI}/metrics") as response:
        text = response.read().decode()
    pattern = r'^firn_http_requests_total\{method="POST",route="[^"]*/plan",status="200"\} (\d+)$'
    return sum(int(count) for count in re.findall(pattern, text, re.MULTILINE))


@pytest.fixture
def planned_by_the_server(request):
    """Fails a test during which the server made no plan, except on the reference server.

    Spark does not plan a table without a snapshot.
    """
    counts = not REFERENCE and "empty_without_snapshot" not in request.node.name
    before = count_plans() if counts else 0
    yield
    if counts:
        assert count_plans() > before, "the client planned by itself"


# --- Spark ------------------------------------------------------------------

# By name of the table: why Spark cannot read it.
UNSUPPORTED_BY_SPARK = {
    "identity_in_duckdb_time": "Spark has no type for a time of day",
    "decimals_and_times": "Spark has no type for a time of day",
    "nanoseconds": "Spark has no type for nanoseconds",
    "odd_names": "Spark does not distinguish two columns whose names differ only by case",
}
# By name of the table: why Java's client cannot read its plan.
UNSUPPORTED_BY_JAVA = {
    "identity_float": "Java's client cannot read a partition value that is NaN or infinite",
    "identity_double": "Java's client cannot read a partition value that is NaN or infinite",
}


@pytest.fixture(scope="session")
def spark_planned(planning, engines):
    """Returns a place with the tables in a second catalog of the same session, for which the server plans."""
    spark = engines["spark"]()
    for key, value in harness.spark_catalog_settings("planned").items():
        spark.conf.set(key, value)
    spark.conf.set("spark.sql.catalog.planned.scan-planning-mode", "server")
    return harness.Place(planning.place.name, engines["pyiceberg"], engines["duckdb"], engines["spark"], "planned")


def check_spark(planning, spark_planned, sql, may_lose=False):
    try:
        expected = exact_rows(arrow_rows(planning.place.spark(sql)))
    except Exception:
        # Spark's own errors: Java's residuals fail on null partition values, its pushdown on some constants.
        # Without rows there is nothing to compare.
        planning.tally.count("Spark breaks by itself")
        return
    found = exact_rows(arrow_rows(spark_planned.spark(sql)))
    missing, extra = harness.difference(expected, found), harness.difference(found, expected)
    # Java prunes files with NaN, which Spark considers greater than every number.
    forgiven = [row for row in extra if may_lose or ("float", "nan") in row]
    if forgiven:
        planning.tally.count("Spark loses rows by itself")
        extra = harness.difference(extra, forgiven)
    assert not missing and not extra, f"seed {plans.SEED}, {sql}: planned by the server, Spark does not read {missing}, but {extra}"


def spark_table(name):
    if name in UNSUPPORTED_BY_JAVA:
        return pytest.param(name, marks=pytest.mark.xfail(reason=UNSUPPORTED_BY_JAVA[name], strict=True))
    return plan_tables.reference_gap(name) if name in plan_tables.REFERENCE_GAPS else name


def spark_tables():
    """Returns parameters for all tables except those in BEYOND_SPARK."""
    names = [name for name in plan_tables.TABLES if name not in UNSUPPORTED_BY_SPARK]
    assert plan_tables.TABLES.keys() - set(names) == UNSUPPORTED_BY_SPARK.keys(), "a table that is left out does not exist"
    assert set(names) >= {*UNSUPPORTED_BY_JAVA, *plan_tables.REFERENCE_GAPS}
    return [spark_table(name) for name in names]


@pytest.mark.parametrize("name", spark_tables())
def test_spark_reads_the_same_rows(planning, spark_planned, planned_by_the_server, name):
    filters, types = planning.filters(name, FILTERS)
    for filter in filters:
        try:
            condition = plan_filters.for_spark(filter, types)
        except plan_filters.NoCounterpart:
            continue
        # Java relies on DuckDB's partition summaries (see plan_tables.py), and distinguishes the zeros, which
        # are equal in Spark. Spark evaluates every row that it reads.
        may_lose = name.startswith("identity_in_duckdb") or name in ("v2_primitives", "identity_float", "identity_double")
        check_spark(planning, spark_planned, f"SELECT * FROM @{{{name}}} WHERE {condition}", may_lose)


def test_spark_finds_nan_above_every_number(planning, spark_planned, planned_by_the_server):
    """With its own planning it does not, because Java's planning does not order NaN."""
    for condition in ("d > 5.0D", "NOT (d <= 5.0D)", "d >= 5.0D"):
        found = arrow_rows(spark_planned.spark(f"SELECT id FROM @all_null_and_all_nan WHERE {condition}"))
        assert sorted(row[0] for row in found) == [1, 2, 3, 7], condition


def test_spark_finds_nan_above_every_number_after_a_compaction(planning, spark_planned, planned_by_the_server):
    """The statistics of a column with NaN would make Java skip the whole file."""
    planning.place.spark("CREATE TABLE @compacted_nan (id BIGINT, d DOUBLE, s STRUCT<f: FLOAT>)")
    for start in (1, 4):
        values = ", ".join(f"({number}, {number}, struct({number}))" for number in range(start, start + 3))
        planning.place.spark(f"INSERT INTO @compacted_nan VALUES {values}, ({start + 10}, double('NaN'), struct(float('NaN')))")
    if not REFERENCE:
        assert test_rewrites.compact(planning.place, "compacted_nan")["committed"]
    for condition in ("d > 7.0D", "s.f > 7.0F"):
        found = arrow_rows(spark_planned.spark(f"SELECT id FROM @compacted_nan WHERE {condition}"))
        assert sorted(row[0] for row in found) == [11, 14], condition


AGGREGATED = ("v2_primitives", "three_specs", "evolved_schema", "position_deletes", "equality_deletes", "many_small_manifests")


@pytest.mark.parametrize("name", AGGREGATED)
def test_spark_aggregates_the_same(planning, spark_planned, planned_by_the_server, name):
    """Spark computes minima and maxima from the statistics in a plan, if there are any."""
    columns = [field.name for field in planning.place.table(name).schema().fields if field.field_type.is_primitive]
    terms = ", ".join(f"{function}(`{column}`)" for column in columns for function in ("min", "max", "count"))
    check_spark(planning, spark_planned, f"SELECT count(*), {terms} FROM @{name}")
    check_spark(planning, spark_planned, f"SELECT count(*) FROM @{name}")


@pytest.mark.parametrize("name", ["evolved_schema", "three_specs", "branched", "position_deletes"])
@pytest.mark.xfail(REFERENCE, reason="reference server: reads every snapshot with that snapshot's schema", strict=False)
def test_spark_reads_past_snapshots(planning, spark_planned, planned_by_the_server, name):
    metadata = planning.place.table(name).metadata
    for snapshot in metadata.snapshots:
        check_spark(planning, spark_planned, f"SELECT * FROM @{name} VERSION AS OF {snapshot.snapshot_id} WHERE id > 1")
    for ref in metadata.refs:
        check_spark(planning, spark_planned, f"SELECT * FROM @{name} VERSION AS OF '{ref}'")


@pytest.mark.parametrize("name", ["many_small_manifests", "position_deletes", "equality_deletes", "rewritten_manifests"])
@pytest.mark.xfail(REFERENCE, reason="reference server: takes a file for a row", strict=False)
def test_spark_stops_at_a_limit(planning, spark_planned, planned_by_the_server, name):
    for limit in (1, 3, 10_000):
        found = len(arrow_rows(spark_planned.spark(f"SELECT * FROM @{name} LIMIT {limit}")))
        assert found == len(arrow_rows(planning.place.spark(f"SELECT * FROM @{name} LIMIT {limit}")))


@pytest.mark.parametrize("name", ["three_specs", "position_deletes", "v1_overwritten", "deletion_vectors"])
def test_spark_reads_metadata_columns(planning, spark_planned, planned_by_the_server, name):
    lineage = ", _row_id" if name == "deletion_vectors" else ""
    check_spark(planning, spark_planned, f"SELECT id, _file, _pos, _spec_id, _partition{lineage} FROM @{name} WHERE id > 2")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("mode", ["copy-on-write", "merge-on-read"])
@pytest.mark.xfail(REFERENCE, reason="reference server: knows one vector a file", strict=False)
def test_spark_writes_what_it_planned_by_the_server(place, engines, spark_planned, planned_by_the_server, version, mode):
    """DELETE, UPDATE and MERGE plan before they write; a DELETE of whole files uses the statistics of the
    plan.
    """
    planned = harness.Place(place.name, engines["pyiceberg"], engines["duckdb"], engines["spark"], "planned")
    modes = ", ".join(f"'write.{kind}.mode' = '{mode}'" for kind in ("delete", "update", "merge"))
    planned.spark(f"CREATE TABLE @t (id INT, s STRING) PARTITIONED BY (s) TBLPROPERTIES ('format-version' = '{version}', {modes})")
    planned.spark("INSERT INTO @t SELECT CAST(id AS INT), concat('s', id % 3) FROM range(12) AS r(id)")
    planned.spark("DELETE FROM @t WHERE s = 's0'")
    planned.spark("DELETE FROM @t WHERE id = 1")
    planned.spark("UPDATE @t SET id = id + 100 WHERE s = 's2' AND id > 4")
    planned.spark("""
        MERGE INTO @t AS target USING (SELECT 4 AS id UNION ALL SELECT 50) AS source ON target.id = source.id
        WHEN MATCHED THEN UPDATE SET s = 'merged' WHEN NOT MATCHED THEN INSERT (id, s) VALUES (source.id, 'new')""")
    expected = [(4, "merged"), (7, "s1"), (10, "s1"), (2, "s2"), (105, "s2"), (108, "s2"), (111, "s2"), (50, "new")]
    place.check("t", expected)
    assert exact_rows(planned.rows("spark", "t")) == exact_rows(expected)


# --- PyIceberg --------------------------------------------------------------

# Errors with zeros, doubles in partitions and DuckDB's partition summaries, see test_plans.py.
LOSSY_IN_PYICEBERG = {"identity_float", "v2_primitives", "identity_double"}
LOSSY_IN_PYICEBERG |= {name for name in plan_tables.TABLES if name.startswith("identity_in_duckdb")}


IS_ASYNC = "async" in plans.PLANNING
waits = pytest.mark.xfail(IS_ASYNC, reason="PyIceberg 0.12 does not wait for plans", raises=NotImplementedError, strict=True)


@pytest.fixture(scope="session")
def pyiceberg_planned():
    return RestCatalog("firn", uri=harness.URI, warehouse=harness.WAREHOUSE, **SERVER)


@pytest.mark.parametrize("name", plan_tables.TABLES)
@pytest.mark.xfail(REFERENCE, reason="reference server: writes file references that it does not send", strict=False)
def test_pyiceberg_reads_the_same_rows(planning, pyiceberg_planned, planned_by_the_server, name):
    """PyIceberg refuses plans with null partition values or equality deletes, and asynchronous plans, with an
    error.

    If its own planning loses rows, the number of rows is compared with Java's.
    """
    identifier = planning.place.identifier(name)
    by_server, by_client = pyiceberg_planned.load_table(identifier), planning.place.table(name)
    filters, types = planning.filters(name, FILTERS)
    for filter in filters:
        try:
            expression = plan_filters.for_pyiceberg(filter, types)
            expected_rows = exact_rows(arrow_rows(by_client.scan(expression).to_arrow()))
        except plan_filters.NoCounterpart:
            continue
        except (TypeError, OverflowError, ValueError, pa.ArrowNotImplementedError) as error:
            expected_rows = error  # An error of its own planning, see test_plans.py; pyarrow does not order UUIDs.
        expected = NotImplementedError if IS_ASYNC else None
        for answer in planning.planner.responses(identifier, {"filter": filter}):
            if any(None in task["data-file"]["partition"] for task in answer.get("file-scan-tasks", [])):
                expected = expected or ValidationError
            elif any(file["content"] == "equality-deletes" for file in answer.get("delete-files", [])):
                expected = expected or NotImplementedError
        if expected:
            with pytest.raises(expected):
                by_server.scan(expression).to_arrow()
        elif not isinstance(expected_rows, Exception):
            scan = by_server.scan(expression)
            found = exact_rows(arrow_rows(scan.to_arrow()))
            if found != expected_rows and name in LOSSY_IN_PYICEBERG:
                matches = planning.java.call("match", identifier, filter=filter)
                assert not harness.difference(expected_rows, found), f"seed {plans.SEED}, {filter}"
                assert sum(matches["rows"].values()) <= len(found) <= sum(matches["possible"].values()), f"seed {plans.SEED}, {filter}"
                planning.tally.count("PyIceberg loses rows by itself")
                continue
            assert found == expected_rows, f"seed {plans.SEED}, {filter}"
            assert scan.count() == len(expected_rows), f"seed {plans.SEED}, {filter}"


@waits
@pytest.mark.parametrize("name", ["evolved_in_pyiceberg", "deletion_vectors", "position_deletes"])
def test_pyiceberg_reads_a_snapshot(planning, pyiceberg_planned, planned_by_the_server, name):
    table = pyiceberg_planned.load_table(planning.place.identifier(name))
    for snapshot in table.metadata.snapshots:
        rows = [arrow_rows(each.scan(snapshot_id=snapshot.snapshot_id).to_arrow()) for each in (table, planning.place.table(name))]
        assert exact_rows(rows[0]) == exact_rows(rows[1])


@waits
def test_pyiceberg_selects_columns_in_any_case(planning, pyiceberg_planned, planned_by_the_server):
    for catalog in (pyiceberg_planned, planning.place.catalog()):
        table = catalog.load_table(planning.place.identifier("nested_lists_and_maps"))
        scan = table.scan("PERSON.name = 'Ada'", selected_fields=("ID", "Tags"), case_sensitive=False)
        assert arrow_rows(scan.to_arrow()) == [(1, ["a", None])]
