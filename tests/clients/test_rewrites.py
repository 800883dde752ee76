"""`firn maintain` merges files, applies deletes and expires snapshots; all engines read the same rows
afterwards.
"""

import json
import os
import subprocess
from pathlib import Path

import duckdb
import harness
import plan_tables
import pytest


def maintain(table, *flags, policy=None):
    # The settings of the test suite must not affect the command.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRN_")}
    command = [os.environ["FIRN_BINARY"], "maintain", "--once", "--table", table, "--uri", harness.URI, "--json", *flags]
    if policy is not None:
        command += ["--policy", json.dumps(policy)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def compact(place, table, **settings):
    [report] = maintain(f"{harness.WAREHOUSE}.{place.name}.{table}", "--action", "compact", policy={"compact": {"inputs-min": 2, **settings}})
    return report


class DuckDB:
    """Connection that is replaced after a failure: some tables make it unusable."""

    connection = None

    def rows(self, place, sql):
        self.connection = self.connection or harness.open_duckdb()
        try:
            return self.connection.execute(place.sql_for("duckdb", sql)).to_arrow_table()
        except duckdb.FatalException:
            self.connection = None
            raise


DUCKDB = DuckDB()


def read(place, engine, table, columns="*"):
    """Returns rows that can be compared, or the error if the engine cannot read the table."""
    sql = f"SELECT {columns} FROM @{{{table}}}"
    try:
        match engine:
            case "pyiceberg":
                found = place.table(table).scan().to_arrow()
            case "duckdb":
                found = DUCKDB.rows(place, sql)
            case "spark":
                found = place.spark(sql)
        return harness.exact_rows(harness.arrow_rows(found))
    except Exception as error:  # Every exception is an error of the engine.
        return f"{type(error).__name__}: {error}"


def create(place, table, version):
    place.spark(f"CREATE TABLE @{table} (id BIGINT, region STRING, price DOUBLE) TBLPROPERTIES ('format-version' = '{version}')")


def append(place, table, start, count):
    columns = "id, element_at(array('eu', NULL, 'us'), CAST(id % 3 AS INT) + 1), IF(id % 5 = 0, NULL, id / 7)"
    place.spark(f"INSERT INTO @{table} SELECT {columns} FROM range({start}, {start + count}, 1, 1)")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_small_files_become_one_with_the_same_rows(place, version):
    create(place, "t", version)
    for number in range(6):
        append(place, "t", number * 100, 100)
    before = {engine: read(place, engine, "t") for engine in harness.ENGINES}
    report = compact(place, "t")
    assert report["committed"] and report["numbers"]["files-rewritten"] == 6
    assert {engine: read(place, engine, "t") for engine in harness.ENGINES} == before
    summary = place.table("t").current_snapshot().summary
    assert (summary["total-data-files"], summary["total-records"], summary.operation.value) == ("1", "600", "replace")
    # A second run has nothing to do.
    assert not compact(place, "t")["committed"]
    assert maintain(f"{harness.WAREHOUSE}.{place.name}.t", policy={"compact": {"enabled": False}, "expire-snapshots": {"enabled": False}, "rewrite-manifests": {"enabled": False}}) == []
    # Column bounds are still right.
    for condition, count in [("id = 5", 1), ("id >= 595", 5), ("price IS NULL AND id < 40", 8), ("id > 599", 0)]:
        for engine in ("duckdb", "spark"):
            [found] = getattr(place, engine)(f"SELECT count(*) AS n FROM @t WHERE {condition}").to_pylist()
            assert found == {"n": count}, f"{engine}: {condition}"


def files_below(place, table):
    folder = place.table(table).location().removeprefix("file://")
    return {path.name for path in Path(folder, "data").rglob("*.parquet")}


def test_old_snapshots_are_expired_with_their_files(place):
    create(place, "t", 2)
    for number in range(4):
        append(place, "t", number * 10, 10)
    place.spark("ALTER TABLE @t CREATE TAG kept AS OF VERSION " + str(place.table("t").metadata.snapshots[1].snapshot_id))
    compact(place, "t")
    place.spark("ALTER TABLE @t SET TBLPROPERTIES ('history.expire.max-snapshot-age-ms' = '1')")
    before = {engine: read(place, engine, "t") for engine in harness.ENGINES}
    tagged = harness.exact_rows(harness.arrow_rows(place.spark("SELECT * FROM @t VERSION AS OF 'kept'")))
    table = f"{harness.WAREHOUSE}.{place.name}.t"
    planned = maintain(table, "--action", "expire-snapshots", "--dry-run")["expire-snapshots"]
    assert len(planned["snapshot-ids"]) == 3 and len(place.table("t").metadata.snapshots) == 5
    assert len(files_below(place, "t")) == 5
    [report] = maintain(table, "--action", "expire-snapshots")
    assert report["numbers"]["snapshots-expired"] == 3
    # The compacted file, and the two that the tag needs.
    assert len(place.table("t").metadata.snapshots) == 2 and len(files_below(place, "t")) == 3
    assert {engine: read(place, engine, "t") for engine in harness.ENGINES} == before
    assert harness.exact_rows(harness.arrow_rows(place.spark("SELECT * FROM @t VERSION AS OF 'kept'"))) == tagged
    [again] = maintain(table, "--action", "expire-snapshots")
    assert not again["committed"]


@pytest.mark.parametrize("flags, message", [
    (["--table", "{place}.none"], "Table does not exist"),
    (["--table", "none"], "is not a table name"),
    (["--table", "{place}.t", "--policy", '{{"compact": {{"inputs-min": 0}}}}'], "`compact.inputs-min` is 0"),
    (["--table", "{place}.t", "--uri", "http://127.0.0.1:9"], "is it running?"),
])  # fmt: skip
def test_errors_are_reported(place, flags, message):
    create(place, "t", 2)
    flags = [flag.format(place=f"{harness.WAREHOUSE}.{place.name}") for flag in flags]
    if "--uri" not in flags:
        flags += ["--uri", harness.URI]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRN_")}
    result = subprocess.run([os.environ["FIRN_BINARY"], "maintain", "--once", *flags], env=environment, capture_output=True, text=True)
    assert result.returncode == 1 and message in result.stderr, result.stderr


def test_a_damaged_file_is_skipped_and_reported(place):
    create(place, "t", 2)
    for number in range(6):
        append(place, "t", number * 10, 10)
    location = place.table("t").inspect.data_files().to_pylist()[2]["file_path"]
    victim = "/" + location.removeprefix("file:").lstrip("/")
    content = Path(victim).read_bytes()
    for damaged in (content[: len(content) // 2], None):
        Path(victim).unlink()
        if damaged is not None:
            Path(victim).write_bytes(damaged)
        command = [os.environ["FIRN_BINARY"], "maintain", "--once", "--uri", harness.URI, "--table", f"{harness.WAREHOUSE}.{place.name}.t"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        if damaged is not None:
            assert victim in result.stdout, (result.stdout, result.stderr)
        # The others are merged once; then nothing is left to merge.
        files = [file["file_path"] for file in place.table("t").inspect.data_files().to_pylist()]
        assert len(files) == 2 and location in files, files
        Path(victim).write_bytes(content)
    assert sorted(place.table("t").scan().to_arrow()["id"].to_pylist()) == list(range(60))


# Data files are not rewritten, and equality deletes are converted to position deletes.
CONVERT = {"compact": {"inputs-min": 100_000, "delete-ratio": 1, "equality-deletes-min": 1}}


@pytest.mark.parametrize("name", plan_tables.TABLES)
def test_no_row_is_lost_or_changed_by_a_rewrite(planning, name):
    """Tables of all kinds that engines write: versions, specs, deletes, nested columns, unusual names."""
    place = planning.place
    before = {engine: read(place, engine, name) for engine in harness.ENGINES}
    lineage = "_row_id, _last_updated_sequence_number, *"
    ids = read(place, "spark", name, lineage) if place.table(name).format_version == 3 else None
    table = ".".join([harness.WAREHOUSE, place.name, '"' + name.replace('"', '""') + '"'])
    merge = {"compact": {"inputs-min": 2, "delete-ratio": 0.001}}
    # On PostgreSQL, equality deletes are converted before the files are rewritten.
    policies = [merge] * 3 if "FIRN_DATABASE_URL" not in os.environ else [CONVERT, merge, merge, merge]
    planning.unread += [(name, engine, rows_before) for engine, rows_before in before.items() if isinstance(rows_before, str)]
    # A first run writes rows of former partition specs with the current one; a second run merges them with
    # other files.
    for policy in policies:
        [report] = maintain(table, "--action", "compact", policy=policy)
        planning.rewrites.append((name, report))
        if not report["committed"]:
            if policy is CONVERT:
                continue
            break
        for engine, rows_before in before.items():
            if not isinstance(rows_before, str):  # Some engines cannot read some tables.
                after = read(place, engine, name)
                missing, extra = harness.difference(rows_before, after), harness.difference(after, rows_before)
                assert after == rows_before, f"{engine}: {missing} became {extra}"
        if ids is not None:
            assert read(place, "spark", name, lineage) == ids
    assert not report["committed"], report


def test_most_tables_were_rewritten_and_read(planning):
    """Otherwise the previous test would show little."""
    result = {name for name, report in planning.rewrites if "files-rewritten" in report["numbers"]}
    assert len(result) > len(plan_tables.TABLES) // 2, sorted(result)
    converted = {name for name, report in planning.rewrites if "equality-deletes-converted" in report["numbers"]}
    assert len(converted) >= 4 or "FIRN_DATABASE_URL" not in os.environ, sorted(converted)
    for engine, count in (("spark", 4), ("duckdb", 10), ("pyiceberg", 10)):
        unread = [(name, why) for name, by, why in planning.unread if by == engine]
        # Spark has neither times nor nanoseconds.
        assert len(unread) < count, f"{engine} could not read {len(unread)} of {len(plan_tables.TABLES)}: {unread}"
