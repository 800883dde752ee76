"""Appends of concurrent writers: with `firn.rebase-appends` all succeed.

Without it the later one fails, unless the other commits only rewrote files.
"""

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException

COLUMNS = pa.schema([("id", pa.int64())])
# PyIceberg would retry on the current state of the table.
ONCE = {"commit.retry.num-retries": "0"}


def rows(*ids):
    return pa.table([list(ids)], schema=COLUMNS)


def create(place, **properties):
    return place.create("t", COLUMNS, properties={"format-version": "2", **ONCE, **properties})


def check(place, *ids):
    place.check("t", [(id,) for id in ids])


def test_a_later_append_is_refused_by_default(place):
    """A sink with exactly-once semantics detects in this way that another has replaced it: a zombie's append
    is refused.
    """
    create(place).append(rows(1))
    writer, zombie = place.table("t"), place.table("t")
    writer.append(rows(2))
    with pytest.raises(CommitFailedException, match="branch main has changed"):
        zombie.append(rows(3))
    check(place, 1, 2)


@pytest.mark.parametrize("setting, succeeds", [(None, True), ("false", False)])
def test_rewrites_of_files_do_not_conflict_with_appends(place, setting, succeeds):
    """A sink does not rewrite files, so a rewrite does not mean that another sink has taken over."""
    create(place, **({"firn.rebase-appends": setting} if setting else {})).append(rows(1))
    place.table("t").append(rows(2))
    stale, third = place.table("t"), place.table("t")
    place.spark_call("rewrite_data_files", f"table => '{place.name}.t', options => map('min-input-files', '2')")
    if not succeeds:
        with pytest.raises(CommitFailedException, match="branch main has changed"):
            stale.append(rows(3))
        return check(place, 1, 2)
    stale.append(rows(3))
    check(place, 1, 2, 3)
    # Now there is an append of another writer in between.
    with pytest.raises(CommitFailedException, match="branch main has changed"):
        third.append(rows(4))
    check(place, 1, 2, 3)


def test_concurrent_appends_all_succeed(place):
    create(place, **{"firn.rebase-appends": "true"}).append(rows(1))
    writers = [place.table("t") for _ in range(4)]
    for id, writer in enumerate(writers, start=2):
        writer.append(rows(id))
    check(place, 1, 2, 3, 4, 5)
    metadata = place.table("t").metadata
    assert [snapshot.sequence_number for snapshot in metadata.snapshots] == [1, 2, 3, 4, 5]
    assert [snapshot.parent_snapshot_id for snapshot in metadata.snapshots[1:]] == [
        snapshot.snapshot_id for snapshot in metadata.snapshots[:-1]
    ]
    assert metadata.snapshots[-1].summary["total-records"] == "5"
    assert metadata.snapshots[-1].summary["total-data-files"] == "5"


def test_appends_to_an_empty_table_all_succeed(place):
    create(place, **{"firn.rebase-appends": "true"})
    one, other = place.table("t"), place.table("t")
    one.append(rows(1))
    other.append(rows(2))
    check(place, 1, 2)


def test_an_append_survives_concurrent_deletes_and_rewrites(place):
    """A concurrent delete is older than the rows, so it does not apply to them."""
    create(place, **{"firn.rebase-appends": "true"}).append(rows(1, 2, 3))
    place.spark("ALTER TABLE @t SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')")
    late, later = place.table("t"), place.table("t")
    place.spark("DELETE FROM @t WHERE id = 2")
    late.append(rows(2, 4))
    check(place, 1, 2, 3, 4)
    place.spark_call("rewrite_data_files", f"table => '{place.name}.t', options => map('min-input-files', '2')")
    later.append(rows(5))
    check(place, 1, 2, 3, 4, 5)


def test_only_appends_are_rebased(place):
    create(place, **{"firn.rebase-appends": "true"}).append(rows(1))
    stale, other = place.table("t"), place.table("t")
    other.append(rows(2))
    with pytest.raises(CommitFailedException, match="branch main has changed"):
        stale.overwrite(rows(9))
    check(place, 1, 2)


def test_spark_and_duckdb_append_at_once(place):
    create(place, **{"firn.rebase-appends": "true"}).append(rows(0))
    stale = [place.table("t") for _ in range(3)]
    for number, writer in enumerate(stale):
        place.spark(f"INSERT INTO @t VALUES ({10 + number})")
        place.duckdb(f"INSERT INTO @t VALUES ({20 + number})")
        writer.append(rows(30 + number))
    check(place, 0, 10, 11, 12, 20, 21, 22, 30, 31, 32)
