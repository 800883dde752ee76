"""Write-audit-publish and maintenance: `main` is not changed while commits on a branch wait to be published.
"""

import harness
import keyed
import pytest

SMALL = {"compact": {"inputs-min": 2, "delete-ratio": 0.001}, "rewrite-manifests": {"manifests-min": 2}}


def maintain(place, policy=SMALL):
    """Runs the actions that would change `main`, and returns their reports; expiry is allowed."""
    table = f"{harness.WAREHOUSE}.{place.name}.t"
    flags = ["--action", "compact", "--action", "rewrite-manifests"]
    return keyed.maintain(harness.URI, table, *flags, policy=policy)


def is_main_unchanged(place):
    head = place.table("t").current_snapshot().snapshot_id
    reports = maintain(place)
    assert place.table("t").current_snapshot().snapshot_id == head
    return all(any("`main` is not rewritten until 2" in reason for reason in report["skipped"]) for report in reports)


@pytest.fixture
def audited(place):
    place.spark("CREATE TABLE @t (id BIGINT) TBLPROPERTIES ('format-version' = '2', 'write.delete.mode' = 'merge-on-read')")
    for number in range(4):
        # In one file, so that Spark does not delete whole files, which it never stages.
        place.spark(f"INSERT INTO @t SELECT id FROM range({number * 10}, {number * 10 + 2}, 1, 1)")
    return place


ROWS = [(number * 10 + row,) for number in range(4) for row in range(2)]


def stage(audited, name, statement):
    """Commits a statement without publishing it."""
    audited.spark("ALTER TABLE @t SET TBLPROPERTIES ('write.wap.enabled' = 'true')")
    audited.spark(f"SET spark.wap.id = {name}")
    try:
        audited.spark(statement)
    finally:
        audited.spark("RESET spark.wap.id")


def test_a_branch_can_be_fast_forwarded_to_after_maintenance_ran(audited):
    audited.spark("ALTER TABLE @t CREATE BRANCH audit")
    audited.spark("INSERT INTO @t.branch_audit VALUES (99)")
    assert is_main_unchanged(audited)
    audited.spark_call("fast_forward", f"'{audited.name}.t', 'main', 'audit'")
    expected = [*ROWS, (99,)]
    audited.check("t", expected)
    # No commit waits any more.
    assert maintain(audited)[0]["committed"]
    audited.check("t", expected)


def test_a_staged_delete_can_be_published_after_maintenance_ran(audited):
    stage(audited, "audit-7", "DELETE FROM @t WHERE id = 20")
    assert is_main_unchanged(audited)
    audited.spark_call("publish_changes", f"'{audited.name}.t', 'audit-7'")
    expected = [row for row in ROWS if row != (20,)]
    audited.check("t", expected)
    assert maintain(audited)[0]["committed"]
    audited.check("t", expected)


def test_a_staged_append_does_not_delay_maintenance(audited):
    stage(audited, "audit-8", "INSERT INTO @t VALUES (99)")
    assert maintain(audited)[0]["committed"]
    audited.spark_call("publish_changes", f"'{audited.name}.t', 'audit-8'")
    audited.check("t", [*ROWS, (99,)])


def test_a_policy_may_disable_the_wait(audited):
    audited.spark("ALTER TABLE @t CREATE BRANCH audit")
    audited.spark("INSERT INTO @t.branch_audit VALUES (99)")
    assert maintain(audited, {**SMALL, "write-audit-publish": {"wait-max-ms": 0}})[0]["committed"]
