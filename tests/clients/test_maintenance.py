"""`firn maintain` merges files, applies deletes and forgets snapshots, and no engine sees a difference in the rows."""

import json
import os
import subprocess

import harness
import plans
import pyarrow as pa
import pytest
from pyiceberg.transforms import IdentityTransform

COLUMNS = pa.schema([("id", pa.int64()), ("region", pa.string()), ("price", pa.float64())])


def maintain(table, *flags, policy=None):
    # Nothing of the suite's own settings may reach the command.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRN_")}
    command = [os.environ["FIRN_BINARY"], "maintain", "--once", "--table", table, "--uri", harness.URI, "--json", *flags]
    if policy is not None:
        command += ["--policy", json.dumps(policy)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compact(place, table, **settings):
    [report] = maintain(f"{harness.WAREHOUSE}.{place.name}.{table}", "--action", "compact", policy={"compact": {"inputs-min": 2, **settings}})
    return report


def rows(start, count):
    ids = range(start, start + count)
    return pa.table([ids, [["eu", None, "us"][i % 3] for i in ids], [i / 7 if i % 5 else None for i in ids]], schema=COLUMNS)


def read_everywhere(place, table):
    """The rows as every engine reads them, which have to be equal."""
    seen = {
        "pyiceberg": place.table(table).scan().to_arrow().sort_by("id").to_pylist(),
        "duckdb": place.duckdb(f"SELECT * FROM @{table} ORDER BY id").to_pylist(),
        "spark": place.spark(f"SELECT * FROM @{table} ORDER BY id").to_pylist(),
    }
    assert seen["pyiceberg"] == seen["duckdb"] == seen["spark"]
    return seen["spark"]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_small_files_become_one_with_the_same_rows(place, version):
    table = place.create("t", COLUMNS, properties={"format-version": str(version)})
    for number in range(6):
        table.append(rows(number * 100, 100))
    before = read_everywhere(place, "t")
    report = compact(place, "t")
    assert report["committed"] and report["numbers"]["files-rewritten"] == 6
    assert read_everywhere(place, "t") == before
    after = place.table("t")
    assert len(after.inspect.data_files()) == 1
    assert after.current_snapshot().summary["operation"].value == "replace"
    assert after.current_snapshot().summary["total-records"] == "600"
    # Nothing is left to do.
    assert not compact(place, "t")["committed"]
    # And what filters prune by is still right.
    for condition in ["id = 5", "id >= 595", "price IS NULL AND id < 40", "region = 'eu' AND id > 570"]:
        wanted = place.spark(f"SELECT count(*) FROM @t WHERE {condition}").to_pylist()
        assert place.duckdb(f"SELECT count(*) FROM @t WHERE {condition}").to_pylist()[0].popitem()[1] == wanted[0].popitem()[1]
