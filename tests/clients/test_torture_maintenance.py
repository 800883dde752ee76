"""Random maintenance and writers, see torture_maintenance.py; and the effect of maintenance on writers."""

import itertools
import json
import os
import threading
import time
import urllib.request

import harness
import keyed
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException
from torture_maintenance import POLICY, Server, Torture, wait_for

SECONDS = float(os.environ.get("FIRN_SECONDS", "20"))
# Empty database for a server of the test; SQLite if not set.
DATABASE_URL = os.environ.get("FIRN_DATABASE_URL")

pytestmark = pytest.mark.timeout(SECONDS * 3 + 240)


@pytest.mark.parametrize("mode", ["daemon"] if DATABASE_URL else ["once", "daemon"])
def test_every_engine_reads_what_the_writers_left(engines, tmp_path, mode):
    """FIRN_SECONDS for a longer run, FIRN_SEED for other changes."""
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

# Duration of streams that commit once a second, and the minimum number of commits on a slow machine.
STREAM_SECONDS = max(8, SECONDS / 3)
STREAM_COMMITS = 6
ONCE = {"commit.retry.num-retries": 0}


class Stream:
    """Writer of small commits without retries: appends by PyIceberg, or upserts by Java like those of a sink.
    """

    def __init__(self, here, table, is_maintained, upserts=False, properties=()):
        self.here, self.table, self.is_maintained, self.upserts = here.beside(), table, is_maintained, upserts
        self.rows, self.lost, self.errors = {}, [], []
        here.create_keyed(table, 2, properties={**ONCE, **dict(properties)})
        if not is_maintained:
            call(here, "pause", {"table": name_of(here, table), "reason": "to see what it is like without"})

    def commit(self, number):
        row = keyed.row(number % 5 if self.upserts else number, number)
        if self.upserts:
            # Like Flink's sink, when it receives two rows of the key in the same commit.
            self.here.sink.upsert(self.table, [row], superseded=[keyed.row(number % 5, number - 1)])
        else:
            self.here.table(self.table).append(keyed.arrow([row]))
        self.rows[row[0] - keyed.LONG] = row

    def write(self):
        until = time.monotonic() + STREAM_SECONDS
        for number in itertools.count():
            if (now := time.monotonic()) >= until and number >= STREAM_COMMITS:
                return
            try:
                self.commit(number)
            except Exception as error:  # Java's exceptions have another class.
                if not isinstance(error, CommitFailedException) and "CommitFailedException" not in str(error):
                    raise
                self.lost.append(str(error)[:1_000])
            time.sleep(max(0, now + 1 - time.monotonic()))

    def run(self):
        try:
            self.write()
        except Exception as error:  # Raised at the end, not lost with the thread.
            self.errors.append(error)

    def compactions(self):
        return sum(snapshot.summary.operation.value == "replace" for snapshot in self.here.table(self.table).metadata.snapshots)


def call(here, path, body, method="POST"):
    request = urllib.request.Request(f"{here.uri}/governance/v1/maintenance/{path}", json.dumps(body).encode(), {"content-type": "application/json"}, method=method)
    urllib.request.urlopen(request, timeout=30).close()


def name_of(here, table):
    return {"warehouse": here.warehouse, "namespace": [here.name], "table": table}


def test_a_stream_loses_no_more_commits_with_the_daemon_than_without(engines, tmp_path):
    """Commits that the catalog may not rebase, because the table does not permit it, are only counted."""
    server = Server(tmp_path, "daemon")
    try:
        wait_for(server.uri)
        RestCatalog("stream", uri=server.uri, warehouse=harness.WAREHOUSE).create_namespace("stream")
        here = keyed.Keyed("stream", server.uri, harness.WAREHOUSE, engines["spark"]())
        call(here, f"policy?warehouse={harness.WAREHOUSE}", {**POLICY, "expire-snapshots": {"enabled": False}}, "PUT")
        streams = [
            Stream(here, "unmaintained", False),
            Stream(here, "maintained", True),
            Stream(here, "unmaintained_upserts", False, upserts=True),
            Stream(here, "maintained_upserts", True, upserts=True),
            Stream(here, "never_on_top", True, properties={"firn.rebase-appends": "false"}),
        ]
        threads = [threading.Thread(target=stream.run) for stream in streams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for stream in streams:
            print(f"{stream.table}: {len(stream.rows)} rows, {len(stream.lost)} commits were 409, {stream.compactions()} compactions")
            assert not stream.errors, stream.errors
            found = here.rows_by_key(stream.table)
            assert {key: row for key, (row, _, _) in found.items()} == stream.rows
            assert (stream.compactions() > 0) == stream.is_maintained
        for off, on in (streams[:2], streams[2:4]):
            assert len(off.rows) > 3 and len(on.lost) <= len(off.lost), on.lost
        assert streams[1].lost == streams[3].lost == []
    finally:
        server.kill()
