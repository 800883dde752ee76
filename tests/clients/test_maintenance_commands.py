"""`firn jobs` and `firn explain`: their output before, during and after the job of a worker."""

import json
import os
import signal
import subprocess
import time
import urllib.request

import harness
import pytest

BINARY = os.environ.get("FIRN_BINARY")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("FIRN_")}


def firn(*arguments):
    result = subprocess.run([BINARY, *arguments, "--uri", harness.URI], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def queue(place, table, action):
    name = {"warehouse": harness.WAREHOUSE, "namespace": [place.name], "table": table}
    body = json.dumps({"table": name, "action": action}).encode()
    request = urllib.request.Request(f"{harness.URI}/governance/v1/maintenance/jobs", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def job_of(name, action):
    jobs = json.loads(firn("jobs", "--table", name, "--json"))
    return next(job for job in jobs if job["action"] == action)


@pytest.mark.parametrize("version", [2, 3])
def test_commands_show_the_work_of_a_worker(place, version):
    place.spark(f"CREATE TABLE @t (id BIGINT, region STRING) TBLPROPERTIES ('format-version' = '{version}')")
    for number in range(6):
        place.spark(f"INSERT INTO @t SELECT id, 'eu' FROM range({number * 100}, {number * 100 + 100}, 1, 1)")
    rows = harness.exact_rows(harness.arrow_rows(place.spark("SELECT * FROM @t")))
    name = f"{harness.WAREHOUSE}.{place.name}.t"
    queue(place, "t", "evaluate")
    assert "evaluate" in firn("jobs", "--table", name) and "queued" in firn("jobs", "--table", name)
    assert "not evaluated yet" in firn("explain", "--table", name)

    worker = subprocess.Popen([BINARY, "maintain", "--uri", harness.URI], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 60
        while "succeeded" not in [job["state"] for job in json.loads(firn("jobs", "--table", name, "--json")) if job["action"] == "compact"]:
            assert time.monotonic() < until, firn("jobs", "--table", name)
            time.sleep(0.2)
        worker.send_signal(signal.SIGTERM)
        _, log = worker.communicate(timeout=30)
        assert worker.returncode == 0 and "stopped" in log, log
    finally:
        worker.kill()

    compacted = job_of(name, "compact")
    assert compacted["result"]["numbers"]["files-rewritten"] == 6 and compacted["result"]["numbers"]["requests"] > 0
    assert "files rewritten 6, files written 1" in firn("jobs", "--table", name)
    assert "6 files would become about 1" in compacted["reason"]
    # The evaluation from before the compaction is not shown after it.
    text = firn("explain", "--table", name)
    assert "maintained" in text and "not evaluated since" in text and "small" not in text and "rewrite-manifests" in text
    printed = firn("jobs", "--table", name).splitlines()[1].split("  ")[0]
    assert printed == name
    assert harness.exact_rows(harness.arrow_rows(place.spark("SELECT * FROM @t"))) == rows
    assert place.table("t").current_snapshot().summary["total-data-files"] == "1"


@pytest.mark.parametrize("arguments, message", [
    (["explain", "--table", "{place}.none"], "Table does not exist"),
    (["jobs", "--table", "none"], "is not a table name"),
    (["jobs", "--state", "asleep"], "asleep"),
    (["jobs", "--count", "0"], "--count"),
])  # fmt: skip
def test_errors_are_reported(place, arguments, message):
    arguments = [word.format(place=f"{harness.WAREHOUSE}.{place.name}") for word in arguments]
    result = subprocess.run([BINARY, *arguments, "--uri", harness.URI], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and message in result.stderr, result.stderr
