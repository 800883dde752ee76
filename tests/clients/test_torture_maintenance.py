"""Maintenance beside writers at random, see torture_maintenance.py; and whether writers notice it."""

import os
import threading
import time

import harness
import keyed
import pytest
from pyiceberg.exceptions import CommitFailedException
from torture_maintenance import POLICY, Server, Torture, wait_for

SECONDS = float(os.environ.get("FIRN_SECONDS", "20"))
# An empty database for a server of the test's own; without one it is SQLite.
DATABASE_URL = os.environ.get("FIRN_DATABASE_URL")

pytestmark = pytest.mark.timeout(SECONDS * 3 + 240)


@pytest.mark.parametrize("mode", ["daemon"] if DATABASE_URL else ["once", "daemon"])
def test_every_engine_reads_what_the_writers_left(engines, tmp_path, mode):
    """FIRN_SECONDS for longer, FIRN_SEED for other changes."""
    server = Server(tmp_path, mode, DATABASE_URL)
    try:
        wait_for(server.uri)
        torture = Torture(server, engines["spark"](), SECONDS, mode)
        try:
            counts = torture.run()
        finally:
            print(dict(sorted(torture.counts.items())), torture.unknown)
    finally:
        server.kill()
    wanted = ["append", "upsert", "duckdb delete", "killed", "restarts", "row ids compared"]
    wanted += {"once": ["compact, commits", "expire-snapshots, commits"], "daemon": ["jobs succeeded"]}[mode]
    assert not [kind for kind in wanted if not counts[kind]], counts
    assert any(counts[f"spark {kind}"] for kind in ("delete", "update", "merge")), counts


# --- What writers notice ----------------------------------------------------

# Streams that commit once a second, for so long.
STREAM_SECONDS = max(8, SECONDS / 3)


class Stream:
    """One writer of small appends, which tries each of them once."""

    def __init__(self, place, table, rebased, is_maintained):
        self.place, self.table, self.is_maintained = place.beside(), table, is_maintained
        self.made, self.lost, self.compactions, self.errors = 0, 0, 0, []
        place.create_keyed(table, 2, properties={"commit.retry.num-retries": 0, "firn.rebase-appends": rebased})

    def write(self):
        until = time.monotonic() + STREAM_SECONDS
        while (now := time.monotonic()) < until:
            try:
                self.place.table(self.table).append(keyed.arrow([keyed.row(self.made + self.lost, 0)]))
                self.made += 1
            except CommitFailedException:
                self.lost += 1
            time.sleep(max(0, now + 1 - time.monotonic()))

    def maintain(self, until):
        while not until.is_set():
            reports = keyed.maintain(self.place.uri, f"{self.place.warehouse}.{self.place.name}.{self.table}", policy=POLICY)
            self.compactions += sum(len(report["snapshot-ids"]) for report in reports)

    def guarded(self, work, *arguments):
        try:
            work(*arguments)
        except Exception as error:  # Told at the end, not lost with the thread.
            self.errors.append(error)

    def run(self):
        done = threading.Event()
        maintenance = threading.Thread(target=self.guarded, args=(self.maintain, done))
        if self.is_maintained:
            maintenance.start()
        self.guarded(self.write)
        done.set()
        if self.is_maintained:
            maintenance.join()


def test_a_stream_loses_no_more_commits_with_maintenance_than_without(engines, place):
    """Where its table asks the catalog to put appends on top of what came between. What it loses otherwise is only told."""
    here = keyed.Keyed(place.name, harness.URI, harness.WAREHOUSE, engines["spark"]())
    off = Stream(here, "unmaintained", "true", is_maintained=False)
    on = Stream(here, "maintained", "true", is_maintained=True)
    plain = Stream(here, "maintained_and_not_rebased", "false", is_maintained=True)
    streams = (off, on, plain)
    threads = [threading.Thread(target=stream.run) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stream in streams:
        print(f"{stream.table}: {stream.made} commits, {stream.lost} more were 409, {stream.compactions} compactions")
        assert not stream.errors, stream.errors
        assert len(here.rows_by_key(stream.table)) == stream.made
        assert (stream.compactions > 0) == stream.is_maintained
    assert off.made >= STREAM_SECONDS // 3 and on.lost <= off.lost
