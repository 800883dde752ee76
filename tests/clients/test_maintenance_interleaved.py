"""Writers at certain stages of a compaction, and compactions at certain stages of a writer.

A gate in front of the catalog delays the one until the other is complete, so that each interleaving is
deterministic; the snapshots then show the order of the commits.
"""

import functools
import itertools
import os
import signal
import subprocess
import uuid

import duckdb
import harness
import keyed
import pytest
from sync_gate import SyncGate
from keyed import ids, row, values
from pyiceberg.exceptions import CommitFailedException

POLICY = {"compact": {"inputs-min": 2, "delete-ratio": 0.001}}
# Data files are not rewritten, and equality deletes are converted to position deletes.
CONVERT = {"compact": {"inputs-min": 1_000, "delete-ratio": 1, "equality-deletes-min": 1}}
EXPIRE_ALL = {"compact": {"enabled": False}, "rewrite-manifests": {"enabled": False}, "expire-snapshots": {"snapshots-min": 1}}
# A property of the table has precedence over a policy, in which the age may not be so short.
EXPIRY_AT_ONCE = {"history.expire.max-snapshot-age-ms": 1}


@pytest.fixture(scope="module")
def keyed_place(engines, catalog):
    """One namespace for all tests, and connections that remain open: each test has its own table."""
    name = f"interleaved_{uuid.uuid4().hex[:12]}"
    catalog.create_namespace(name)
    yield keyed.Keyed(name, harness.URI, harness.WAREHOUSE, engines["spark"]())
    for table in catalog.list_tables(name):
        catalog.drop_table(table)
    catalog.drop_namespace(name)


TABLE_NUMBERS = itertools.count()


def prepare(keyed_place, version, partitioned=""):
    """Creates a table with files and equality deletes; returns its name, its rows, and the lineage that Spark
    reads.
    """
    table = f"t{next(TABLE_NUMBERS)}"
    keyed_place.create_keyed(table, version, partitioned, EXPIRY_AT_ONCE)
    keys = [key for start in (0, 10, 20) for key in range(start, start + 7)]
    for start in (0, 7, 14):
        keyed_place.sink.append(table, [row(key, 0) for key in keys[start : start + 7]])
    keyed_place.sink.upsert(table, [row(5, 1), row(15, 1)], [row(6, 0), row(16, 0)])
    rows = {key: row(key, 0) for key in keys if key not in (6, 16)} | {key: row(key, 1) for key in (5, 15)}
    return table, rows, keyed_place.rows_by_key(table) if version == 3 else {}


def name_of(keyed_place, table):
    return f"{keyed_place.warehouse}.{keyed_place.name}.{table}"


def compact(keyed_place, table, uri=None, policy=POLICY):
    [report] = keyed.maintain(uri or keyed_place.uri, name_of(keyed_place, table), "--action", "compact", policy=policy)
    return report


def convert(keyed_place, table, uri=None):
    return compact(keyed_place, table, uri, CONVERT)


def check(keyed_place, table, expected, before):
    """Asserts that Spark and DuckDB read the expected rows, and that unchanged rows have the same row ids."""
    found = keyed_place.rows_by_key(table)
    assert {key: row for key, (row, _, _) in found.items()} == expected
    if keyed_place.version(table) == 3:
        for key in found.keys() & before.keys():
            if found[key][0] == before[key][0]:
                assert found[key] == before[key], f"the row of {key} has other row ids"
        assert len({row_id for _, row_id, _ in found.values()}) == len(found)
    duckdb_rows = harness.exact_rows(harness.arrow_rows(keyed_place.duckdb(f"SELECT * FROM @{table}")))
    assert duckdb_rows == harness.exact_rows(expected.values())
    # PyIceberg does not support equality deletes.
    if not keyed.has_equality_deletes(keyed_place.table(table)):
        assert harness.exact_rows(keyed_place.rows("pyiceberg", table)) == duckdb_rows


# --- Writers ----------------------------------------------------------------

# Each changes rows 1, 11 and 21, which are in different files, and returns the changed rows: `None` if
# deleted.
KEYS = (1, 11, 21)
ALL_DELETED = dict.fromkeys(KEYS)


def append(keyed_place, table):
    keyed_place.sink.append(table, [row(100, 0), row(101, 0)])
    return {100: row(100, 0), 101: row(101, 0)}


def delete_by_equality(keyed_place, table):
    keyed_place.sink.upsert(table, [], [row(key, 0) for key in KEYS])
    return ALL_DELETED


def upsert(keyed_place, table):
    rows = [row(key, 2) for key in (*KEYS, 6)]
    keyed_place.sink.upsert(table, rows)
    return dict(zip((*KEYS, 6), rows, strict=True))


def upsert_twice(keyed_place, table):
    """The sink receives two rows for each key in one commit, and deletes the first of them by position."""
    rows = [row(key, 2) for key in (*KEYS, 6)]
    keyed_place.sink.upsert(table, rows, superseded=[row(key, 1) for key in (*KEYS, 6)])
    return dict(zip((*KEYS, 6), rows, strict=True))


def delete_by_position(keyed_place, table):
    keyed_place.spark(f"DELETE FROM @{table} WHERE id IN ({ids(KEYS)})")
    return ALL_DELETED


def delete_by_position_in_one_file(keyed_place, table):
    """One delete file for the whole partition; in version 3 these are deletion vectors nevertheless."""
    keyed_place.spark(f"ALTER TABLE @{table} SET TBLPROPERTIES ('write.delete.granularity' = 'partition')")
    return delete_by_position(keyed_place, table)


def update(keyed_place, table):
    keyed_place.spark(f"UPDATE @{table} SET v = 7, s = 'new' WHERE id IN ({ids(KEYS)})")
    return {key: (*row(key, 0)[:1], 7, row(key, 0)[2], "new", row(key, 0)[4]) for key in KEYS}


def merge(keyed_place, table):
    """Updates, deletes and inserts."""
    source = f"VALUES {values([row(1, 3), row(11, -1), row(16, 3), row(200, 3)])} AS s (id, v, day, s, n)"
    keyed_place.spark(f"""
        MERGE INTO @{table} AS t USING (SELECT * FROM {source}) AS s ON t.id = s.id
        WHEN MATCHED AND s.v = -1 THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *""")
    return {1: row(1, 3), 11: None, 16: row(16, 3), 200: row(200, 3)}


def replace_files(keyed_place, table):
    """Replaces data files by a copy-on-write MERGE."""
    keyed_place.spark(f"ALTER TABLE @{table} SET TBLPROPERTIES ('write.merge.mode' = 'copy-on-write')")
    return merge(keyed_place, table)


def delete_in_duckdb(keyed_place, table):
    keyed_place.duckdb(f"DELETE FROM @{table} WHERE id IN ({ids(KEYS)})")
    return ALL_DELETED


def delete_twice(keyed_place, table):
    """Position deletes or vectors, then equality deletes of the same and other rows, one of which is inserted
    again.
    """
    keyed_place.spark(f"DELETE FROM @{table} WHERE id IN ({ids((1, 11))})")
    keyed_place.sink.upsert(table, [row(1, 9)], [row(11, 0), row(21, 0)])
    return {1: row(1, 9), 11: None, 21: None}


def expire(keyed_place, table):
    """Expires all possible snapshots, so that the snapshot that the compaction read is removed, with its
    files.
    """
    keyed_place.sink.append(table, [row(100, 0)])
    [report] = keyed.maintain(keyed_place.uri, name_of(keyed_place, table), policy=EXPIRE_ALL)
    assert report["committed"]
    return {100: row(100, 0)}


def delete_and_expire(keyed_place, table):
    """The snapshot of the delete is expired as well."""
    keyed_place.spark(f"DELETE FROM @{table} WHERE id IN ({ids(KEYS)})")
    return expire(keyed_place, table) | ALL_DELETED


def compact_again(keyed_place, table):
    assert compact(keyed_place, table)["committed"]
    return {}


def compact_again_and_delete(keyed_place, table):
    return compact_again(keyed_place, table) | delete_by_position(keyed_place, table)


def roll_back(keyed_place, table):
    """Reverts the previous upsert."""
    first = keyed_place.table(table).metadata.snapshots[2]
    keyed_place.spark_call("rollback_to_snapshot", f"'{keyed_place.name}.{table}', {first.snapshot_id}")
    return {key: row(key, 0) for key in (5, 6, 15, 16)}


def change_partitions(keyed_place, table):
    """Equality deletes are written with the new partition spec."""
    keyed_place.spark(f"ALTER TABLE @{table} ADD PARTITION FIELD bucket(2, id)")
    return delete_by_equality(keyed_place, table)


def change_partitions_and_delete_by_old_spec(keyed_place, table):
    """Equality deletes are written with the old partition spec, by a sink that does not know the new one."""
    keyed_place.spark(f"ALTER TABLE @{table} ADD PARTITION FIELD day")
    return delete_by_old_spec(keyed_place, table)


def delete_by_old_spec(keyed_place, table):
    keyed_place.sink.upsert(table, [], [row(key, 0) for key in KEYS], spec_ids=[0])
    return ALL_DELETED


# The compaction must succeed, because its result is still valid after the change.
ALWAYS_COMPATIBLE = {append, delete_by_equality, upsert, upsert_twice, change_partitions, change_partitions_and_delete_by_old_spec}
# The compaction must not succeed, because the snapshot that it read is no ancestor, or its files were
# replaced.
NEVER_COMPATIBLE = {replace_files, compact_again, compact_again_and_delete, roll_back}
# No equality delete remains to be converted. If a writer replaced the files, equality deletes that apply to
# no file are removed.
NEVER_COMPATIBLE_WITH_CONVERSION = {compact_again, roll_back}
# Changes between plan and commit. The compaction may map the deletes, or leave the files for the next time.
WRITERS = [
    append, delete_by_equality, upsert, upsert_twice, delete_by_position, delete_by_position_in_one_file, update, merge, replace_files,
    delete_in_duckdb, delete_twice, expire, delete_and_expire, compact_again, compact_again_and_delete, roll_back, change_partitions,
]  # fmt: skip
# As for a compaction; a conversion has no conflict with removed files if any equality delete remains.
WRITERS_DURING_CONVERSION = [
    append, upsert, delete_by_position, merge, replace_files, delete_in_duckdb, delete_twice, expire, compact_again, roll_back,
]  # fmt: skip
WRITERS_AROUND_COMPACTION = [
    append, delete_by_equality, upsert, upsert_twice, delete_by_position, update, merge, replace_files, delete_in_duckdb,
]  # fmt: skip

# Stages at which the compaction waits: before it loads the table for the commit, or during the commit.
STAGES = {"work": ("GET", 2), "commit": ("POST", 1)}


def cases(writers, *stages):
    """Returns each writer with one stage in one version.

    In a suite on the other database, each is tested with the other version and another stage.
    """
    other = "FIRN_DATABASE_URL" in os.environ
    versions = [(number, writer, 2 + (number + other) % 2) for number, writer in enumerate(writers)]
    return [
        pytest.param(writer, version, *stages[(number // 2 + version) % 2 :][:1], id=f"{writer.__name__}-v{version}")
        for number, writer, version in versions
    ]


def writer_name(writer):
    return getattr(writer, "__name__", str(writer))


def snapshots_since(keyed_place, table, start):
    """Returns the snapshots after `start`, in their order, as far as they still exist."""
    metadata = keyed_place.table(table).metadata
    parents = {snapshot.snapshot_id: snapshot.parent_snapshot_id for snapshot in metadata.snapshots}
    found, at = [], metadata.current_snapshot_id
    while at in parents and at != start:
        found.append(at)
        at = parents[at]
    return found[::-1]


def interleave(keyed_place, writer, version, stage, partitioned="", job=compact):
    table, expected, before = prepare(keyed_place, version, partitioned)
    start, changed, commits_of_writer = keyed_place.table(table).metadata.current_snapshot_id, [], []

    def run_writer():
        changed.append(writer(keyed_place, table))
        commits_of_writer.extend(snapshots_since(keyed_place, table, start))

    with SyncGate(keyed_place.uri) as gate:
        gate.before(*STAGES[stage], run_writer)
        report = job(keyed_place, table, gate.uri)
        assert not gate.pending(), "the job ended before the writer ran"
    for key, after in changed[0].items():
        expected[key] = after
        if after is None:
            del expected[key]
    check(keyed_place, table, expected, before)
    if writer in ALWAYS_COMPATIBLE:
        assert report["committed"] and not report["skipped"], report
    elif writer in (NEVER_COMPATIBLE if job is compact else NEVER_COMPATIBLE_WITH_CONVERSION):
        assert not report["committed"], report
    if report["committed"]:
        # One commit for each partition, all of them after the writer's.
        assert commits_of_writer and snapshots_since(keyed_place, table, start) == [*commits_of_writer, *map(int, report["snapshot-ids"])]
    else:
        assert report["skipped"], report
    # Remaining work is done the next time, and no row changes.
    job(keyed_place, table)
    check(keyed_place, table, expected, before)
    return table


@pytest.mark.parametrize("writer, version, stage", cases(WRITERS, "work", "commit"))
def test_a_writer_between_the_plan_of_a_compaction_and_its_commit(keyed_place, writer, version, stage):
    interleave(keyed_place, writer, version, stage)


@pytest.mark.parametrize("writer, version, stage", cases(WRITERS_DURING_CONVERSION, "work", "commit"))
def test_a_writer_during_a_conversion_of_equality_deletes(keyed_place, writer, version, stage):
    table = interleave(keyed_place, writer, version, stage, job=convert)
    assert not keyed.has_equality_deletes(keyed_place.table(table))


@pytest.mark.parametrize("writer", [change_partitions_and_delete_by_old_spec, delete_by_equality, delete_by_position], ids=writer_name)
def test_a_writer_during_a_compaction_of_a_partitioned_table(keyed_place, writer):
    interleave(keyed_place, writer, 2, "work", "PARTITIONED BY (bucket(2, id))")


@pytest.mark.parametrize("version", [2, 3])
def test_equality_deletes_of_partitions_that_a_compaction_rewrites(keyed_place, version):
    """They apply only to files of the old partitions: files that move to new ones must not contain these rows
    any more.
    """
    table, expected, before = prepare(keyed_place, version, "PARTITIONED BY (bucket(2, id))")
    deletes = []
    keyed_place.spark(f"ALTER TABLE @{table} DROP PARTITION FIELD bucket(2, id)")
    with SyncGate(keyed_place.uri) as gate:
        gate.before(*STAGES["work"], lambda: deletes.append(delete_by_old_spec(keyed_place, table)))
        report = compact(keyed_place, table, gate.uri)
    if not deletes:
        # The compaction had nothing to commit.
        assert report["skipped"] and not report["committed"]
        delete_by_old_spec(keyed_place, table)
    expected = {key: row for key, row in expected.items() if key not in KEYS}
    check(keyed_place, table, expected, before)
    compact(keyed_place, table)
    check(keyed_place, table, expected, before)


@pytest.mark.parametrize("writer, version", cases([upsert, delete_by_position, merge, delete_in_duckdb]))
def test_a_conversion_between_the_read_of_a_writer_and_its_commit(keyed_place, writer, version):
    """In version 3, both add a deletion vector to a data file, which may have only one."""
    run_job_before_commit(keyed_place, writer, version, convert)


@pytest.mark.parametrize("writer, version", cases(WRITERS_AROUND_COMPACTION))
def test_a_compaction_between_the_read_of_a_writer_and_its_commit(keyed_place, writer, version):
    """Engines must detect from the snapshots of the compaction that the files which they delete from were
    removed.
    """
    run_job_before_commit(keyed_place, writer, version, compact)


def run_job_before_commit(keyed_place, writer, version, job):
    table, expected, before = prepare(keyed_place, version)
    if writer is replace_files:
        keyed_place.spark(f"ALTER TABLE @{table} SET TBLPROPERTIES ('write.merge.mode' = 'copy-on-write')")
    is_independent_of_files = writer in (append, delete_by_equality, upsert, upsert_twice)
    if is_independent_of_files:
        # Without retries: a success of the next attempt would not prove that this one is valid.
        keyed_place.spark(f"ALTER TABLE @{table} SET TBLPROPERTIES ('commit.retry.num-retries' = '0')")
    reports = []
    with SyncGate(keyed_place.uri) as gate:
        gated_place = keyed_place.with_new_connections(gate.uri)
        gate.before("POST", 1, lambda: reports.append(job(keyed_place, table)))
        try:
            changed = (merge if writer is replace_files else writer)(gated_place, table)
        except (duckdb.TransactionException, CommitFailedException) as error:
            assert "409" in str(error) or "Conflict" in str(error), error
            changed = {}
        except Exception as error:  # Spark's exceptions have no common class.
            assert "ValidationException" in str(error) or "CommitFailedException" in str(error), error
            changed = {}
        assert not gate.pending()
    assert reports[0]["committed"] and len(reports[0]["snapshot-ids"]) == 1
    if is_independent_of_files:
        assert changed, "a change that does not depend on files must not fail"
    for key, after in changed.items():
        expected[key] = after
        if after is None:
            del expected[key]
    check(keyed_place, table, expected, before)
    history = keyed_place.table(table).metadata
    order = [snapshot.snapshot_id for snapshot in history.snapshots]
    assert order.index(int(reports[0]["snapshot-ids"][0])) == len(order) - (2 if changed else 1)
    compact(keyed_place, table)
    check(keyed_place, table, expected, before)


# --- Ends -------------------------------------------------------------------


@pytest.mark.parametrize("method, number, when", [("GET", 2, "before"), ("POST", 1, "before"), ("POST", 1, "after")])
@pytest.mark.parametrize("action", ["compact", "expire-snapshots"])
def test_a_job_that_is_killed_changes_no_row(keyed_place, action, method, number, when):
    """Before the commit, during the commit, and before the response is received."""
    if (action, method) == ("expire-snapshots", "GET"):
        number = 1
    table, expected, before = prepare(keyed_place, 3)
    policy = POLICY if action == "compact" else EXPIRE_ALL
    snapshots = {snapshot.snapshot_id for snapshot in keyed_place.table(table).metadata.snapshots}
    with SyncGate(keyed_place.uri) as gate:
        command, environment = keyed.maintain_command(gate.uri, name_of(keyed_place, table), "--action", action, policy=policy)
        job = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        getattr(gate, when)(method, number, functools.partial(kill, job))
        assert job.wait(timeout=60) == -signal.SIGKILL and not gate.pending()
        # The request of the killed job may still be in progress.
        check(keyed_place, table, expected, before)
    after = {snapshot.snapshot_id for snapshot in keyed_place.table(table).metadata.snapshots}
    assert (after == snapshots) == (method == "GET")
    keyed.maintain(keyed_place.uri, name_of(keyed_place, table), policy={**POLICY, **EXPIRE_ALL, "compact": POLICY["compact"]})
    check(keyed_place, table, expected, before)


def kill(job):
    job.kill()
    job.wait()


@pytest.mark.parametrize("version", [2, 3])
def test_a_commit_with_a_lost_response_is_detected(keyed_place, version):
    table, expected, before = prepare(keyed_place, version)
    with SyncGate(keyed_place.uri) as gate:
        gate.after("POST", 1, lambda: False)
        report = compact(keyed_place, table, gate.uri)
        assert not gate.pending()
    assert report["committed"] and keyed_place.table(table).metadata.current_snapshot_id == int(report["snapshot-ids"][0])
    check(keyed_place, table, expected, before)


@pytest.mark.parametrize("writer, version", [(append, 2), (upsert, 3), (delete_by_position, 3), (compact_again, 2)])
def test_a_writer_between_the_plan_of_an_expiry_and_its_commit(keyed_place, writer, version):
    """Files that the new snapshot added are not deleted, nor those of a snapshot that was tagged meanwhile.
    """
    table, expected, before = prepare(keyed_place, version)
    changed = []
    tagged = keyed_place.table(table).metadata.snapshots[1].snapshot_id

    def run_writer():
        changed.append(writer(keyed_place, table))
        keyed_place.spark(f"ALTER TABLE @{table} CREATE TAG kept AS OF VERSION {tagged}")

    with SyncGate(keyed_place.uri) as gate:
        gate.before("POST", 1, run_writer)
        [report] = keyed.maintain(gate.uri, name_of(keyed_place, table), policy=EXPIRE_ALL)
        assert not gate.pending()
    for key, after in changed[0].items():
        expected[key] = after
        if after is None:
            del expected[key]
    check(keyed_place, table, expected, before)
    assert report["committed"]
    tagged_rows = keyed_place.spark(f"SELECT count(*) AS n FROM @{table} VERSION AS OF 'kept'").to_pylist()
    assert tagged_rows == [{"n": 14}]
