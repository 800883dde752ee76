"""Concurrent writers and compactions, compared with a model of the rows."""

import json
import os
import random
import subprocess
import threading
import time

import duckdb
import harness
import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException

COLUMNS = pa.schema([("id", pa.int64())])
SECONDS = float(os.environ.get("FIRN_SECONDS", "20"))

pytestmark = pytest.mark.timeout(SECONDS + 120)


class ConcurrentMaintenance:
    """One table, its expected rows, and threads that change both until the end of the test."""

    def __init__(self, place):
        self.place, self.rows, self.lock = place, set(), threading.Lock()
        self.until, self.errors = time.monotonic() + SECONDS, []
        self.counts = {"appends": 0, "deletes": 0, "conflicting deletes": 0, "compactions": 0, "skipped groups": 0}

    def is_running(self):
        return time.monotonic() < self.until and not self.errors

    def append(self):
        number = 0
        while self.is_running():
            ids = range(number * 10, number * 10 + 10)
            try:
                self.place.table("t").append(pa.table([list(ids)], schema=COLUMNS))
            except CommitFailedException:
                continue
            with self.lock:
                self.rows.update(ids)
                self.counts["appends"] += 1
            number += 1
            time.sleep(0.2)

    def delete(self):
        source, connection = random.Random(harness.seed()), harness.open_duckdb()
        while self.is_running():
            time.sleep(0.3)
            with self.lock:
                deleted = source.sample(sorted(self.rows), min(3, len(self.rows)))
            if not deleted:
                continue
            sql = self.place.sql_for("duckdb", f"DELETE FROM @t WHERE id IN ({', '.join(map(str, deleted))})")
            try:
                connection.execute(sql)
            except duckdb.TransactionException as error:
                assert "409" in str(error), error
                self.counts["conflicting deletes"] += 1
                connection = harness.open_duckdb()
                continue
            with self.lock:
                self.rows.difference_update(deleted)
                self.counts["deletes"] += 1

    def compact(self):
        policy = {"compact": {"inputs-min": 2, "delete-ratio": 0.01}}
        command = [os.environ["FIRN_BINARY"], "maintain", "--once", "--json", "--action", "compact", "--uri", harness.URI]
        command += ["--table", f"{harness.WAREHOUSE}.{self.place.name}.t", "--policy", json.dumps(policy)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRN_")}
        while self.is_running():
            result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
            assert result.returncode == 0, result.stderr
            [report] = json.loads(result.stdout)
            self.counts["compactions"] += len(report["snapshot-ids"])
            self.counts["skipped groups"] += len(report["skipped"])

    def run_guarded(self, work):
        try:
            work()
        except Exception as error:  # Raised by the test, not lost with the thread.
            self.errors.append(error)

    def run(self):
        threads = [threading.Thread(target=self.run_guarded, args=(work,)) for work in (self.append, self.delete, self.compact)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]


def test_no_row_is_lost_and_no_deleted_row_reappears(place):
    """Deletes committed during a compaction apply to the new file, or the compaction fails with a conflict.
    """
    place.create("t", COLUMNS, properties={"format-version": "2"})
    maintenance = ConcurrentMaintenance(place)
    maintenance.run()
    print(maintenance.counts)
    assert min(maintenance.counts[what] for what in ("appends", "deletes", "compactions")) > 3, maintenance.counts
    place.check("t", [(id,) for id in sorted(maintenance.rows)])
