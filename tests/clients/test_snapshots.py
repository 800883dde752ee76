"""Snapshots, branches and tags: the engines that create and read them, and the effects of procedures."""

from datetime import datetime, timezone

import pyarrow as pa
import pytest
from harness import ENGINES, arrow, arrow_rows, exact_rows

COLUMNS = pa.schema([("id", pa.int32())])


@pytest.fixture
def history(place):
    """Creates a table with three appends: 1, 2, 3."""
    place.create("t", COLUMNS)
    for key, writer in enumerate(ENGINES, start=1):
        if writer == "pyiceberg":
            place.table("t").append(arrow([(key,)], COLUMNS))
        else:
            getattr(place, writer)(f"INSERT INTO @t VALUES ({key})")
    return place


def ids(place, table="t"):
    return [snapshot.snapshot_id for snapshot in sorted(place.table(table).snapshots(), key=lambda s: s.sequence_number)]


def read_at(place, engine, snapshot_id=None, timestamp_ms=None, ref=None):
    """Returns the ids at a snapshot, a timestamp or a ref."""
    if engine == "pyiceberg":
        table = place.table("t")
        if timestamp_ms is not None:
            snapshot_id = table.snapshot_as_of_timestamp(timestamp_ms).snapshot_id
        scan = table.scan(snapshot_id=snapshot_id) if ref is None else table.scan().use_ref(ref)
        answer = scan.to_arrow()
    elif engine == "duckdb":
        instant = f"TIMESTAMP => TIMESTAMP '{utc(timestamp_ms)}'" if timestamp_ms is not None else f"VERSION => {snapshot_id}"
        answer = place.duckdb(f"SELECT * FROM @t AT ({instant})")
    elif timestamp_ms is not None:
        answer = place.spark(f"SELECT * FROM @t TIMESTAMP AS OF '{utc(timestamp_ms)}'")
    else:
        version = snapshot_id if ref is None else f"'{ref}'"
        answer = place.spark(f"SELECT * FROM @t VERSION AS OF {version}")
    return sorted(key for (key,) in arrow_rows(answer))


def utc(timestamp_ms):
    instant = datetime.fromtimestamp(timestamp_ms / 1000, timezone.utc)
    return instant.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


@pytest.mark.parametrize("engine", ENGINES)
def test_time_travel_by_snapshot(history, engine):
    rows = [read_at(history, engine, snapshot_id=snapshot) for snapshot in ids(history)]
    assert rows == [[1], [1, 2], [1, 2, 3]]


@pytest.mark.parametrize("engine", ENGINES)
def test_time_travel_by_timestamp(history, engine):
    timestamps = [entry.timestamp_ms for entry in history.table("t").history()]
    assert [read_at(history, engine, timestamp_ms=instant) for instant in timestamps] == [[1], [1, 2], [1, 2, 3]]


def test_a_timestamp_before_the_first_snapshot_has_no_rows(history):
    before = history.table("t").history()[0].timestamp_ms - 60_000
    assert history.table("t").snapshot_as_of_timestamp(before) is None
    assert read_at(history, "duckdb", timestamp_ms=before) == []
    with pytest.raises(Exception, match="(?i)snapshot"):
        read_at(history, "spark", timestamp_ms=before)


@pytest.mark.parametrize("maker", ["pyiceberg", "spark"])
def test_tags(history, maker):
    """DuckDB cannot create, name or read refs."""
    first, second, _ = ids(history)
    if maker == "pyiceberg":
        history.table("t").manage_snapshots().create_tag(second, "v2", max_ref_age_ms=86_400_000).commit()
    else:
        history.spark(f"ALTER TABLE @t CREATE TAG v2 AS OF VERSION {second} RETAIN 1 DAYS")
    ref = history.table("t").refs()["v2"]
    assert (ref.snapshot_id, ref.snapshot_ref_type, ref.max_ref_age_ms) == (second, "tag", 86_400_000)
    for engine in ("pyiceberg", "spark"):
        assert read_at(history, engine, ref="v2") == [1, 2]
    history.spark(f"ALTER TABLE @t REPLACE TAG v2 AS OF VERSION {first}")
    assert read_at(history, "pyiceberg", ref="v2") == [1]
    if maker == "pyiceberg":
        history.table("t").manage_snapshots().remove_tag("v2").commit()
    else:
        history.spark("ALTER TABLE @t DROP TAG v2")
    assert list(history.table("t").refs()) == ["main"]


@pytest.mark.parametrize("maker", ["pyiceberg", "spark"])
@pytest.mark.parametrize("writer", ["pyiceberg", "spark"])
def test_branches_are_written_apart_from_main_and_fast_forwarded(history, maker, writer):
    head = ids(history)[-1]
    if maker == "pyiceberg":
        history.table("t").manage_snapshots().create_branch(
            head, "dev", max_ref_age_ms=86_400_000, max_snapshot_age_ms=3_600_000, min_snapshots_to_keep=2
        ).commit()
    else:
        history.spark("ALTER TABLE @t CREATE BRANCH dev RETAIN 1 DAYS WITH SNAPSHOT RETENTION 2 SNAPSHOTS 1 HOURS")
    ref = history.table("t").refs()["dev"]
    retention = (ref.max_ref_age_ms, ref.max_snapshot_age_ms, ref.min_snapshots_to_keep)
    assert (ref.snapshot_id, ref.snapshot_ref_type, retention) == (head, "branch", (86_400_000, 3_600_000, 2))

    if writer == "pyiceberg":
        history.table("t").append(arrow([(4,)], COLUMNS), branch="dev")
    else:
        history.spark("INSERT INTO @t.branch_dev VALUES (4)")
    history.check("t", [(1,), (2,), (3,)])
    for engine in ("pyiceberg", "spark"):
        assert read_at(history, engine, ref="dev") == [1, 2, 3, 4]

    history.spark_call("fast_forward", f"table => '{history.name}.t', branch => 'main', to => 'dev'")
    history.check("t", [(1,), (2,), (3,), (4,)])
    history.spark("ALTER TABLE @t DROP BRANCH dev")
    assert list(history.table("t").refs()) == ["main"]


def test_a_branch_that_diverged_cannot_be_fast_forwarded(history):
    history.spark("ALTER TABLE @t CREATE BRANCH dev")
    history.spark("INSERT INTO @t.branch_dev VALUES (4)")
    history.duckdb("INSERT INTO @t VALUES (5)")
    with pytest.raises(Exception, match="(?i)ancestor"):
        history.spark_call("fast_forward", f"table => '{history.name}.t', branch => 'main', to => 'dev'")
    history.check("t", [(1,), (2,), (3,), (5,)])


def test_rollback_and_set_current_snapshot(history):
    first, second, third = ids(history)
    history.spark_call("rollback_to_snapshot", f"'{history.name}.t', {first}")
    history.check("t", [(1,)])
    history.spark_call("set_current_snapshot", f"'{history.name}.t', {third}")
    history.check("t", [(1,), (2,), (3,)])
    history.table("t").manage_snapshots().set_current_snapshot(snapshot_id=second).commit()
    history.check("t", [(1,), (2,)])
    log = [entry.snapshot_id for entry in history.table("t").history()]
    assert log[-4:] == [third, first, third, second]


def test_rollback_to_timestamp(history):
    instant = history.table("t").history()[1].timestamp_ms
    history.spark_call("rollback_to_timestamp", f"'{history.name}.t', TIMESTAMP '{utc(instant + 1)}'")
    history.check("t", [(1,), (2,)])


def test_a_staged_write_is_published_by_cherry_pick(history):
    """Write-audit-publish: the snapshot exists, but no ref refers to it before the cherry-pick."""
    history.spark("ALTER TABLE @t SET TBLPROPERTIES ('write.wap.enabled' = 'true')")
    history.spark("SET spark.wap.id = audit-1")
    try:
        history.spark("INSERT INTO @t VALUES (4)")
    finally:
        history.spark("RESET spark.wap.id")
    history.check("t", [(1,), (2,), (3,)])
    staged = next(s for s in history.table("t").snapshots() if s.summary.additional_properties.get("wap.id") == "audit-1")
    assert read_at(history, "pyiceberg", snapshot_id=staged.snapshot_id) == [1, 2, 3, 4]
    history.duckdb("INSERT INTO @t VALUES (5)")
    history.spark_call("cherrypick_snapshot", f"'{history.name}.t', {staged.snapshot_id}")
    history.check("t", [(1,), (2,), (3,), (4,), (5,)])
    with pytest.raises(Exception, match="(?i)duplicate|already"):
        history.spark_call("cherrypick_snapshot", f"'{history.name}.t', {staged.snapshot_id}")


def test_expired_snapshots_are_gone_for_every_engine(history):
    first, second, third = ids(history)
    history.spark(f"ALTER TABLE @t CREATE TAG keep AS OF VERSION {first}")
    history.spark_call(
        "expire_snapshots", f"table => '{history.name}.t', older_than => TIMESTAMP '2999-01-01 00:00:00', retain_last => 1"
    )
    assert ids(history) == [first, third]
    history.check("t", [(1,), (2,), (3,)])
    assert read_at(history, "spark", ref="keep") == [1]
    for engine in ("duckdb", "spark"):
        with pytest.raises(Exception, match="(?i)snapshot"):
            read_at(history, engine, snapshot_id=second)


def test_pyiceberg_expires_snapshots(history):
    _, second, third = ids(history)
    history.table("t").maintenance.expire_snapshots().by_id(second).commit()
    assert second not in ids(history) and third in ids(history)
    history.check("t", [(1,), (2,), (3,)])


def test_rewritten_data_and_manifests_contain_the_same_rows(history):
    history.spark("DELETE FROM @t WHERE id = 2")
    history.spark_call("rewrite_data_files", f"table => '{history.name}.t', options => map('rewrite-all', 'true')")
    history.spark_call("rewrite_manifests", f"'{history.name}.t'")
    history.check("t", [(1,), (3,)])
    assert len(history.table("t").inspect.files()) == 1


def test_metadata_tables_agree(history):
    snapshots = ids(history)
    assert sorted(history.table("t").inspect.snapshots()["snapshot_id"].to_pylist()) == sorted(snapshots)
    assert sorted(history.spark("SELECT snapshot_id FROM @t.snapshots")["snapshot_id"].to_pylist()) == sorted(snapshots)
    assert sorted(
        history.duckdb("SELECT snapshot_id FROM iceberg_snapshots(@t)")["snapshot_id"].to_pylist()
    ) == sorted(snapshots)

    files = sorted(path_of(path) for path in history.table("t").inspect.files()["file_path"].to_pylist())
    assert len(files) == 3
    assert sorted(path_of(path) for path in history.spark("SELECT file_path FROM @t.files")["file_path"].to_pylist()) == files
    answer = history.duckdb("SELECT file_path FROM iceberg_metadata(@t) WHERE manifest_content = 'DATA'")
    assert sorted(path_of(path) for path in answer["file_path"].to_pylist()) == files

    for name in ("history", "refs", "manifests", "partitions", "metadata_log_entries", "all_data_files", "entries"):
        assert history.spark(f"SELECT count(*) AS n FROM @t.{name}")["n"].to_pylist() > [0]
    log = history.table("t").inspect.metadata_log_entries()
    assert log.num_rows == history.spark("SELECT file FROM @t.metadata_log_entries").num_rows == 4


def path_of(location):
    """Normalises the location, which engines write in different forms: file:/a, file:///a and /a."""
    return "/" + location.split(":", 1)[-1].lstrip("/")


def test_statistics_files_survive_other_engines_commits(history):
    answer = history.spark_call("compute_table_stats", f"table => '{history.name}.t'")
    current = ids(history)[-1]
    [statistics] = history.table("t").metadata.statistics
    assert statistics.snapshot_id == current
    assert answer["statistics_file"] == statistics.statistics_path
    assert [blob.type for blob in statistics.blob_metadata] == ["apache-datasketches-theta-v1"]
    history.duckdb("INSERT INTO @t VALUES (4)")
    assert history.table("t").metadata.statistics == [statistics]
    with history.table("t").update_statistics() as update:
        update.remove_statistics(current)
    assert history.table("t").metadata.statistics == []


def test_partition_statistics(place):
    place.spark("CREATE TABLE @t (id INT, s STRING) PARTITIONED BY (s)")
    place.spark("INSERT INTO @t VALUES (1, 'a'), (2, 'b')")
    answer = place.spark_call("compute_partition_stats", f"'{place.name}.t'")
    [statistics] = place.table("t").metadata.partition_statistics
    assert answer["partition_statistics_file"] == statistics.statistics_path
    place.check("t", [(1, "a"), (2, "b")])


def test_changelog_of_spark_sees_other_engines_changes(history):
    history.duckdb("DELETE FROM @t WHERE id = 1")
    first = ids(history)[0]
    history.spark_call(
        "create_changelog_view",
        f"table => '{history.name}.t', changelog_view => 'changes', options => map('start-snapshot-id', '{first}', "
        f"'end-snapshot-id', '{ids(history)[2]}')",
    )
    rows = history.spark("SELECT id, _change_type FROM changes ORDER BY id")
    history.spark("DROP VIEW changes")
    assert exact_rows(arrow_rows(rows)) == exact_rows([(2, "INSERT"), (3, "INSERT")])
