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
def test_every_engine_reads_the_rows_of_the_writers(engines, tmp_path, mode):
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
    expected_kinds = ["append", "upsert", "duckdb delete", "killed", "restarts", "row ids compared"]
    expected_kinds += {"once": ["compact, commits", "expire-snapshots, commits"], "daemon": ["jobs succeeded"]}[mode]
    assert not [kind for kind in expected_kinds if not counts[kind]], counts
    assert any(counts[f"spark {kind}"] for kind in ("delete", "update", "merge")), counts


# --- What writers notice ----------------------------------------------------

# Duration of streams that commit once a second, and the minimum number of commits on a slow machine.
STREAM_SECONDS = max(8, SECONDS / 3)
STREAM_COMMITS = 6
ONCE = {"commit.retry.num-retries": 0}


class Stream:
    """Writer of small commits without retries: appends by PyIceberg, or upserts by Java like those of a sink.
    """

    def __init__(self, place, table, is_maintained, upserts=False, properties=()):
        self.place, self.table, self.is_maintained, self.upserts = place.with_new_connections(), table, is_maintained, upserts
        self.rows, self.conflicts, self.errors = {}, [], []
        place.create_keyed(table, 2, properties={**ONCE, **dict(properties)})
        if not is_maintained:
            call(place, "pause", {"table": name_of(place, table), "reason": "to see what it is like without"})

    def commit(self, number):
        row = keyed.row(number % 5 if self.upserts else number, number)
        if self.upserts:
            # Like Flink's sink, when it receives two rows of the key in the same commit.
            self.place.sink.upsert(self.table, [row], superseded=[keyed.row(number % 5, number - 1)])
        else:
            self.place.table(self.table).append(keyed.arrow([row]))
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
                self.conflicts.append(str(error)[:1_000])
            time.sleep(max(0, now + 1 - time.monotonic()))

    def run(self):
        try:
            self.write()
        except Exception as error:  # Raised at the end, not lost with the thread.
            self.errors.append(error)

    def compactions(self):
        return sum(snapshot.summary.operation.value == "replace" for snapshot in self.place.table(self.table).metadata.snapshots)


def call(place, path, body, method="POST"):
    url, headers = f"{place.uri}/governance/v1/maintenance/{path}", {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    urllib.request.urlopen(request, timeout=30).close()


def name_of(place, table):
    return {"warehouse": place.warehouse, "namespace": [place.name], "table": table}


def test_a_stream_loses_no_more_commits_with_the_daemon_than_without(engines, tmp_path):
    """Commits that the catalog may not rebase, because the table does not permit it, are only counted."""
    server = Server(tmp_path, "daemon")
    try:
        wait_for(server.uri)
        RestCatalog("stream", uri=server.uri, warehouse=harness.WAREHOUSE).create_namespace("stream")
        place = keyed.Keyed("stream", server.uri, harness.WAREHOUSE, engines["spark"]())
        call(place, f"policy?warehouse={harness.WAREHOUSE}", {**POLICY, "expire-snapshots": {"enabled": False}}, "PUT")
        streams = [
            Stream(place, "unmaintained", False),
            Stream(place, "maintained", True),
            Stream(place, "unmaintained_upserts", False, upserts=True),
            Stream(place, "maintained_upserts", True, upserts=True),
            Stream(place, "never_on_top", True, properties={"firn.rebase-appends": "false"}),
        ]
        threads = [threading.Thread(target=stream.run) for stream in streams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for stream in streams:
            print(f"{stream.table}: {len(stream.rows)} rows, {len(stream.conflicts)} commits were 409, {stream.compactions()} compactions")
            assert not stream.errors, stream.errors
            found = place.rows_by_key(stream.table)
            assert {key: row for key, (row, _, _) in found.items()} == stream.rows
            assert (stream.compactions() > 0) == stream.is_maintained
        for off, on in (streams[:2], streams[2:4]):
            assert len(off.rows) > 3 and len(on.conflicts) <= len(off.conflicts), on.conflicts
        assert streams[1].conflicts == streams[3].conflicts == []
    finally:
        server.kill()
