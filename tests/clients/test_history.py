"""Undoing of mistakes with Spark, after maintenance has run since."""

import time
from unittest import mock

import harness
import pyarrow as pa
from test_rewrites import maintain

DAYS_S = 24 * 60 * 60


def expire(place):
    [report] = maintain(f"{harness.WAREHOUSE}.{place.name}.t", "--action", "expire-snapshots")
    return report


def rows(place, sql="SELECT * FROM @t ORDER BY id"):
    return harness.exact_rows(harness.arrow_rows(place.spark(sql)))


def test_an_overwrite_by_mistake_is_rolled_back_after_maintenance(place):
    place.spark("CREATE TABLE @t (id BIGINT, name STRING)")
    now = time.time
    # Ten days ago, according to the writer's clock.
    with mock.patch("time.time", lambda: now() - 10 * DAYS_S):
        place.table("t").append(pa.table({"id": [1, 2, 3], "name": ["a", "b", "c"]}))
    good_snapshot = place.table("t").current_snapshot()
    assert good_snapshot.timestamp_ms < (now() - 9 * DAYS_S) * 1000
    rows_before = rows(place)
    place.spark("INSERT OVERWRITE @t VALUES (9, 'mistake')")
    assert not expire(place)["committed"]
    assert rows(place, f"SELECT * FROM @t VERSION AS OF {good_snapshot.snapshot_id} ORDER BY id") == rows_before
    place.spark_call("rollback_to_snapshot", f"'{place.name}.t', {good_snapshot.snapshot_id}")
    assert rows(place) == rows_before


def test_a_column_gets_its_old_name_back_after_maintenance(place):
    place.spark("CREATE TABLE @t (id BIGINT, n STRING)")
    place.spark("INSERT INTO @t VALUES (1, 'a')")
    for _ in range(2):
        place.spark("ALTER TABLE @t RENAME COLUMN n TO m")
        place.spark("INSERT INTO @t VALUES (2, 'b')")
        expire(place)
        place.spark("ALTER TABLE @t RENAME COLUMN m TO n")
    place.spark("INSERT INTO @t VALUES (3, 'c')")
    assert len(rows(place, "SELECT n FROM @t")) == 4
