"""Writers at certain moments of a compaction, and compactions at certain moments of a writer.

A gate in front of the catalog delays the one until the other is done, so that each interleaving is
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
AT_ONCE = {"history.expire.max-snapshot-age-ms": 1}


@pytest.fixture(scope="module")
def here(engines, catalog):
    """One namespace for all tests, and connections that remain open: each test has its own table."""
    name = f"interleaved_{uuid.uuid4().hex[:12]}"
    catalog.create_namespace(name)
    yield keyed.Keyed(name, harness.URI, harness.WAREHOUSE, engines["spark"]())
    for table in catalog.list_tables(name):
        catalog.drop_table(table)
    catalog.drop_namespace(name)


NUMBERS = itertools.count()


def prepare(here, version, partitioned=""):
    """Creates a table with files and equality deletes; returns its name, its rows, and the lineage that Spark
    reads.
    """
    table = f"t{next(NUMBERS)}"
    here.create_keyed(table, version, partitioned, AT_ONCE)
    keys = [key for start in (0, 10, 20) for key in range(start, start + 7)]
    for start in (0, 7, 14):
        here.sink.append(table, [row(key, 0) for key in keys[start : start + 7]])
    here.sink.upsert(table, [row(5, 1), row(15, 1)], [row(6, 0), row(16, 0)])
    rows = {key: row(key, 0) for key in keys if key not in (6, 16)} | {key: row(key, 1) for key in (5, 15)}
    return table, rows, here.rows_by_key(table) if version == 3 else {}


def name_of(here, table):
    return f"{here.warehouse}.{here.name}.{table}"


def compact(here, table, uri=None, policy=POLICY):
    [report] = keyed.maintain(uri or here.uri, name_of(here, table), "--action", "compact", policy=policy)
    return report


def convert(here, table, uri=None):
    return compact(here, table, uri, CONVERT)


def check(here, table, expected, before):
    """Asserts that Spark and DuckDB read the expected rows, and that unchanged rows have the same row ids."""
    found = here.rows_by_key(table)
    assert {key: row for key, (row, _, _) in found.items()} == expected
    if here.version(table) == 3:
        for key in found.keys() & before.keys():
            if found[key][0] == before[key][0]:
                assert found[key] == before[key], f"the row of {key} is taken for another one"
        assert len({row_id for _, row_id, _ in found.values()}) == len(found)
    in_duckdb = harness.exact_rows(harness.arrow_rows(here.duckdb(f"SELECT * FROM @{table}")))
    assert in_duckdb == harness.exact_rows(expected.values())
    # PyIceberg does not support equality deletes.
    if not keyed.has_equality_deletes(here.table(table)):
        assert harness.exact_rows(here.rows("pyiceberg", table)) == in_duckdb


# --- Writers ----------------------------------------------------------------

# Each changes rows 1, 11 and 21, which are in different files, and returns the changed rows: `None` if
# deleted.
KEYS = (1, 11, 21)
GONE = dict.fromkeys(KEYS)


def append(here, table):
    here.sink.append(table, [row(100, 0), row(101, 0)])
    return {100: row(100, 0), 101: row(101, 0)}


def delete_by_value(here, table):
    here.sink.upsert(table, [], [row(key, 0) for key in KEYS])
    return GONE


def upsert(here, table):
    rows = [row(key, 2) for key in (*KEYS, 6)]
    here.sink.upsert(table, rows)
    return dict(zip((*KEYS, 6), rows, strict=True))


def upsert_twice(here, table):
    """The sink receives two rows for each key in one commit, and deletes the first of them by position."""
    rows = [row(key, 2) for key in (*KEYS, 6)]
    here.sink.upsert(table, rows, superseded=[row(key, 1) for key in (*KEYS, 6)])
    return dict(zip((*KEYS, 6), rows, strict=True))


def delete_by_position(here, table):
    here.spark(f"DELETE FROM @{table} WHERE id IN ({ids(KEYS)})")
    return GONE


def delete_by_position_in_one_file(here, table):
    """One delete file for the whole partition; in version 3 these are deletion vectors nevertheless."""
    here.spark(f"ALTER TABLE @{table} SET TBLPROPERTIES ('write.delete.granularity' = 'partition')")
    return delete_by_position(here, table)


def update(here, table):
    here.spark(f"UPDATE @{table} SET v = 7, s = 'new' WHERE id IN ({ids(KEYS)})")
    return {key: (*row(key, 0)[:1], 7, row(key, 0)[2], "new", row(key, 0)[4]) for key in KEYS}


def merge(here, table):
    """Updates, deletes and inserts."""
    source = f"VALUES {values([row(1, 3), row(11, -1), row(16, 3), row(200, 3)])} AS s (id, v, day, s, n)"
    here.spark(f"""
        MERGE INTO @{table} AS t USING (SELECT * FROM {source}) AS s ON t.id = s.id
        WHEN MATCHED AND s.v = -1 THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *""")
    return {1: row(1, 3), 11: None, 16: row(16, 3), 200: row(200, 3)}


def replace_files(here, table):
    """Replaces data files by a copy-on-write MERGE."""
    here.spark(f"ALTER TABLE @{table} SET TBLPROPERTIES ('write.merge.mode' = 'copy-on-write')")
    return merge(here, table)


def delete_in_duckdb(here, table):
    here.duckdb(f"DELETE FROM @{table} WHERE id IN ({ids(KEYS)})")
    return GONE


def delete_twice(here, table):
    """Position deletes or vectors, then equality deletes of the same and other rows, one of which is inserted
    again.
    """
    here.spark(f"DELETE FROM @{table} WHERE id IN ({ids((1, 11))})")
    here.sink.upsert(table, [row(1, 9)], [row(11, 0), row(21, 0)])
    return {1: row(1, 9), 11: None, 21: None}


def expire(here, table):
    """Expires all possible snapshots, so that the snapshot that the compaction read is removed, with its
    files.
    """
    here.sink.append(table, [row(100, 0)])
    [report] = keyed.maintain(here.uri, name_of(here, table), policy=EXPIRE_ALL)
    assert report["committed"]
    return {100: row(100, 0)}


def delete_and_expire(here, table):
    """The snapshot of the delete is expired as well."""
    here.spark(f"DELETE FROM @{table} WHERE id IN ({ids(KEYS)})")
    return expire(here, table) | GONE


def compact_too(here, table):
    assert compact(here, table)["committed"]
    return {}


def compact_too_and_delete(here, table):
    return compact_too(here, table) | delete_by_position(here, table)


def roll_back(here, table):
    """Reverts the previous upsert."""
    first = here.table(table).metadata.snapshots[2]
    here.spark_call("rollback_to_snapshot", f"'{here.name}.{table}', {first.snapshot_id}")
    return {key: row(key, 0) for key in (5, 6, 15, 16)}


def change_partitions(here, table):
    """Equality deletes are written with the new partition spec."""
    here.spark(f"ALTER TABLE @{table} ADD PARTITION FIELD bucket(2, id)")
    return delete_by_value(here, table)


def change_partitions_and_delete_by_old_ones(here, table):
    """Equality deletes are written with the old partition spec, by a sink that has not seen the new one."""
    here.spark(f"ALTER TABLE @{table} ADD PARTITION FIELD day")
    return delete_by_old_partitions(here, table)


def delete_by_old_partitions(here, table):
    here.sink.upsert(table, [], [row(key, 0) for key in KEYS], spec_ids=[0])
    return GONE


# The compaction must succeed, because its result is still valid after the change.
APPLY_STILL = {append, delete_by_value, upsert, upsert_twice, change_partitions, change_partitions_and_delete_by_old_ones}
# The compaction must not succeed, because the snapshot that it read is no ancestor, or its files were
# replaced.
MUST_NOT = {replace_files, compact_too, compact_too_and_delete, roll_back}
# Nothing is left to convert. Where a writer replaced the files, equality deletes that apply to no file are
# removed.
MUST_NOT_CONVERT = {compact_too, roll_back}
# Changes between plan and commit. The compaction may map the deletes, or leave the files for the next time.
BETWEEN = [
    append, delete_by_value, upsert, upsert_twice, delete_by_position, delete_by_position_in_one_file, update, merge, replace_files,
    delete_in_duckdb, delete_twice, expire, delete_and_expire, compact_too, compact_too_and_delete, roll_back, change_partitions,
]  # fmt: skip
# As for a compaction; a conversion has no conflict with removed files if anything is left to convert.
BETWEEN_CONVERTING = [append, upsert, delete_by_position, merge, replace_files, delete_in_duckdb, delete_twice, expire, compact_too, roll_back]
WHILE = [append, delete_by_value, upsert, upsert_twice, delete_by_position, update, merge, replace_files, delete_in_duckdb]

# Moments at which the compaction waits: before it loads the table for the commit, or during the commit.
MOMENTS = {"work": ("GET", 2), "commit": ("POST", 1)}


def cases(writers, *moments):
    """Returns each writer with one moment in one version.

    In a suite on the other database, each is tested with the other version and another moment.
    """
    other = "FIRN_DATABASE_URL" in os.environ
    versions = [(number, writer, 2 + (number + other) % 2) for number, writer in enumerate(writers)]
    return [
        pytest.param(writer, version, *moments[(number // 2 + version) % 2 :][:1], id=f"{writer.__name__}-v{version}")
        for number, writer, version in versions
    ]


def with_name(writer):
    return getattr(writer, "__name__", str(writer))


def since(here, table, start):
    """Returns the snapshots after `start`, in their order, as far as they still exist."""
    metadata = here.table(table).metadata
    parents = {snapshot.snapshot_id: snapshot.parent_snapshot_id for snapshot in metadata.snapshots}
    found, at = [], metadata.current_snapshot_id
    while at in parents and at != start:
        found.append(at)
        at = parents[at]
    return found[::-1]


def interleave(here, writer, version, moment, partitioned="", job=compact):
    table, expected, before = prepare(here, version, partitioned)
    start, changed, made = here.table(table).metadata.current_snapshot_id, [], []

    def act():
        changed.append(writer(here, table))
        made.extend(since(here, table, start))

    with SyncGate(here.uri) as gate:
        gate.before(*MOMENTS[moment], act)
        report = job(here, table, gate.uri)
        assert not gate.pending(), "the job was over before the writer came"
    for key, after in changed[0].items():
        expected[key] = after
        if after is None:
            del expected[key]
    check(here, table, expected, before)
    if writer in APPLY_STILL:
        assert report["committed"] and not report["skipped"], report
    elif writer in (MUST_NOT if job is compact else MUST_NOT_CONVERT):
        assert not report["committed"], report
    if report["committed"]:
        # One commit for each partition, all of them after the writer's.
        assert made and since(here, table, start) == [*made, *map(int, report["snapshot-ids"])]
    else:
        assert report["skipped"], report
    # Remaining work is done the next time, and no row changes.
    job(here, table)
    check(here, table, expected, before)
    return table


@pytest.mark.parametrize("writer, version, moment", cases(BETWEEN, "work", "commit"))
def test_a_writer_between_the_plan_of_a_compaction_and_its_commit(here, writer, version, moment):
    interleave(here, writer, version, moment)


@pytest.mark.parametrize("writer, version, moment", cases(BETWEEN_CONVERTING, "work", "commit"))
def test_a_writer_between_the_look_at_equality_deletes_and_their_conversion(here, writer, version, moment):
    table = interleave(here, writer, version, moment, job=convert)
    assert not keyed.has_equality_deletes(here.table(table))


@pytest.mark.parametrize("writer", [change_partitions_and_delete_by_old_ones, delete_by_value, delete_by_position], ids=with_name)
def test_a_writer_between_in_a_table_with_partitions(here, writer):
    interleave(here, writer, 2, "work", "PARTITIONED BY (bucket(2, id))")


@pytest.mark.parametrize("version", [2, 3])
def test_deletes_by_value_for_partitions_that_a_compaction_leaves(here, version):
    """They apply only to files of the old partitions: files that move to new ones must not contain these rows
    any more.
    """
    table, expected, before = prepare(here, version, "PARTITIONED BY (bucket(2, id))")
    done = []
    here.spark(f"ALTER TABLE @{table} DROP PARTITION FIELD bucket(2, id)")
    with SyncGate(here.uri) as gate:
        gate.before(*MOMENTS["work"], lambda: done.append(delete_by_old_partitions(here, table)))
        report = compact(here, table, gate.uri)
    if not done:
        # The compaction had nothing to commit.
        assert report["skipped"] and not report["committed"]
        delete_by_old_partitions(here, table)
    expected = {key: row for key, row in expected.items() if key not in KEYS}
    check(here, table, expected, before)
    compact(here, table)
    check(here, table, expected, before)


@pytest.mark.parametrize("writer, version", cases([upsert, delete_by_position, merge, delete_in_duckdb]))
def test_a_conversion_between_the_look_of_a_writer_and_its_commit(here, writer, version):
    """In version 3, both add a deletion vector to a data file, which may have only one."""
    between(here, writer, version, convert)


@pytest.mark.parametrize("writer, version", cases(WHILE))
def test_a_compaction_between_the_look_of_a_writer_and_its_commit(here, writer, version):
    """Engines must detect from the snapshots of the compaction that the files which they delete from were
    removed.
    """
    between(here, writer, version, compact)


def between(here, writer, version, job):
    table, expected, before = prepare(here, version)
    if writer is replace_files:
        here.spark(f"ALTER TABLE @{table} SET TBLPROPERTIES ('write.merge.mode' = 'copy-on-write')")
    is_safe = writer in (append, delete_by_value, upsert, upsert_twice)
    if is_safe:
        # Without retries: a success of the next attempt would say nothing about this one.
        here.spark(f"ALTER TABLE @{table} SET TBLPROPERTIES ('commit.retry.num-retries' = '0')")
    done = []
    with SyncGate(here.uri) as gate:
        gated = here.beside(gate.uri)
        gate.before("POST", 1, lambda: done.append(job(here, table)))
        try:
            changed = (merge if writer is replace_files else writer)(gated, table)
        except (duckdb.TransactionException, CommitFailedException) as error:
            assert "409" in str(error) or "Conflict" in str(error), error
            changed = {}
        except Exception as error:  # Spark's exceptions have no common class.
            assert "ValidationException" in str(error) or "CommitFailedException" in str(error), error
            changed = {}
        assert not gate.pending()
    assert done[0]["committed"] and len(done[0]["snapshot-ids"]) == 1
    if is_safe:
        assert changed, "what does not depend on files has no reason to fail"
    for key, after in changed.items():
        expected[key] = after
        if after is None:
            del expected[key]
    check(here, table, expected, before)
    history = here.table(table).metadata
    order = [snapshot.snapshot_id for snapshot in history.snapshots]
    assert order.index(int(done[0]["snapshot-ids"][0])) == len(order) - (2 if changed else 1)
    compact(here, table)
    check(here, table, expected, before)


# --- Ends -------------------------------------------------------------------


@pytest.mark.parametrize("method, number, when", [("GET", 2, "before"), ("POST", 1, "before"), ("POST", 1, "after")])
@pytest.mark.parametrize("action", ["compact", "expire-snapshots"])
def test_a_job_that_is_killed_changes_no_row(here, action, method, number, when):
    """Before the commit, during the commit, and before the response is received."""
    if (action, method) == ("expire-snapshots", "GET"):
        number = 1
    table, expected, before = prepare(here, 3)
    policy = POLICY if action == "compact" else EXPIRE_ALL
    snapshots = {snapshot.snapshot_id for snapshot in here.table(table).metadata.snapshots}
    with SyncGate(here.uri) as gate:
        command, environment = keyed.maintain_command(gate.uri, name_of(here, table), "--action", action, policy=policy)
        job = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        getattr(gate, when)(method, number, functools.partial(kill, job))
        assert job.wait(timeout=60) == -signal.SIGKILL and not gate.pending()
        # The request of the killed job may still be in progress.
        check(here, table, expected, before)
    after = {snapshot.snapshot_id for snapshot in here.table(table).metadata.snapshots}
    assert (after == snapshots) == (method == "GET")
    keyed.maintain(here.uri, name_of(here, table), policy={**POLICY, **EXPIRE_ALL, "compact": POLICY["compact"]})
    check(here, table, expected, before)


def kill(job):
    job.kill()
    job.wait()


@pytest.mark.parametrize("version", [2, 3])
def test_an_answer_that_is_lost_is_asked_for(here, version):
    table, expected, before = prepare(here, version)
    with SyncGate(here.uri) as gate:
        gate.after("POST", 1, lambda: False)
        report = compact(here, table, gate.uri)
        assert not gate.pending()
    assert report["committed"] and here.table(table).metadata.current_snapshot_id == int(report["snapshot-ids"][0])
    check(here, table, expected, before)


@pytest.mark.parametrize("writer, version", [(append, 2), (upsert, 3), (delete_by_position, 3), (compact_too, 2)])
def test_a_writer_between_the_plan_of_an_expiry_and_its_commit(here, writer, version):
    """Files that the new snapshot added are not deleted, nor those of a snapshot that was tagged meanwhile.
    """
    table, expected, before = prepare(here, version)
    changed = []
    tagged = here.table(table).metadata.snapshots[1].snapshot_id

    def act():
        changed.append(writer(here, table))
        here.spark(f"ALTER TABLE @{table} CREATE TAG kept AS OF VERSION {tagged}")

    with SyncGate(here.uri) as gate:
        gate.before("POST", 1, act)
        [report] = keyed.maintain(gate.uri, name_of(here, table), policy=EXPIRE_ALL)
        assert not gate.pending()
    for key, after in changed[0].items():
        expected[key] = after
        if after is None:
            del expected[key]
    check(here, table, expected, before)
    assert report["committed"]
    kept = here.spark(f"SELECT count(*) AS n FROM @{table} VERSION AS OF 'kept'").to_pylist()
    assert kept == [{"n": 14}]
