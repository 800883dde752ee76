"""Validation of metadata: mutated requests, clocks that are ahead, conflicting names, and metadata as written
in 2019.
"""

import json
import time
import uuid
from pathlib import Path
from urllib.parse import unquote, urlparse

import harness
import mutations
import pyarrow as pa
import pytest
from differential import Catalog
from harness import REFERENCE, arrow

COLUMNS = pa.schema([("id", pa.int32()), ("s", pa.string())])

# Fields of table metadata that a writer of 2019 knew.
FIRST_FIELDS = {
    "format-version", "location", "last-updated-ms", "last-column-id", "schema", "partition-spec", "properties",
    "current-snapshot-id", "snapshots", "snapshot-log",
}  # fmt: skip

pytestmark = pytest.mark.skipif(REFERENCE, reason="of Firn's own decisions")


@pytest.fixture
def rest():
    return Catalog(harness.URI, harness.WAREHOUSE)


@pytest.fixture
def loader():
    opened = mutations.Loader()
    yield opened
    opened.close()


def path_of(location):
    return Path(unquote(urlparse(location).path))


def test_java_loads_all_accepted_metadata():
    """A fiftieth of all mutations: some 1,700 requests in half a minute. FIRN_SEED selects them."""
    run = mutations.run(harness.URI, harness.WAREHOUSE, harness.seed(), 0.02)
    assert run.accepted > 100 and run.sent > 2 * run.accepted
    assert not run.problems, run.problems[:5]
    assert not run.pyiceberg, run.pyiceberg[:5]
    assert not run.unexplained, run.unexplained[:5]


def as_of_2019(metadata):
    old = {key: value for key, value in metadata.items() if key in FIRST_FIELDS}
    old["schema"] = {"type": "struct", "fields": metadata["schema"]["fields"]}
    old["partition-spec"] = [
        {key: value for key, value in field.items() if key != "field-id"} for field in metadata["partition-spec"]
    ]
    old["snapshots"] = [
        {key: value for key, value in snapshot.items() if key not in ("schema-id", "sequence-number")}
        for snapshot in metadata["snapshots"]
    ]
    return old


def test_a_table_of_2019_is_read_and_written_by_all(place, rest, loader):
    place.spark("""CREATE TABLE @t (id INT, s STRING) USING iceberg PARTITIONED BY (bucket(2, id), s)
        TBLPROPERTIES ('format-version' = '1')""")
    place.spark("INSERT INTO @t VALUES (1, 'a'), (2, 'b'), (3, 'a')")
    table = f"namespaces/{place.name}/tables/t"
    metadata = rest.require("GET", table)["metadata"]
    rest.require("DELETE", table)
    old = as_of_2019(metadata)
    file = path_of(metadata["location"]) / "metadata" / f"v7-{uuid.uuid4()}.metadata.json"
    file.write_text(json.dumps(old))
    rest.require("POST", f"namespaces/{place.name}/register", {"name": "t", "metadata-location": f"file://{file}"})

    rows = [(1, "a"), (2, "b"), (3, "a")]
    place.check("t", rows)
    served = rest.require("GET", table)["metadata"]
    assert loader.error("table", served) is None
    place.table("t").append(arrow([(4, "c")], COLUMNS))
    place.spark("INSERT INTO @t VALUES (5, 'd')")
    place.check("t", [*rows, (4, "c"), (5, "d")])
    assert loader.error("table", rest.require("GET", table)["metadata"]) is None


def appended(metadata, timestamp_ms):
    snapshot = mutations.snapshot(metadata) | {"timestamp-ms": timestamp_ms}
    move = {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": snapshot["snapshot-id"]}
    return {"requirements": [], "updates": [{"action": "add-snapshot", "snapshot": snapshot}, move]}


def test_java_commits_after_a_client_with_a_fast_clock(place, rest, loader):
    place.create("t", COLUMNS)
    table = f"namespaces/{place.name}/tables/t"
    now_ms = int(time.time() * 1000)
    for ahead_ms in (50_000, 120_000, 86_400_000):
        metadata = rest.require("GET", table)["metadata"]
        status, answer = rest.call("POST", f"{rest.base}/{table}", appended(metadata, now_ms + ahead_ms))
        assert status == (200 if ahead_ms < 60_000 else 400), answer
        assert loader.error("table", rest.require("GET", table)["metadata"]) is None
    place.spark("ALTER TABLE @t SET TBLPROPERTIES ('a' = 'b')")
    assert place.table("t").properties["a"] == "b"


def test_java_commits_to_metadata_with_future_timestamps(place, rest, loader):
    """Metadata from another catalog, or from Firn while its clock was ahead."""
    place.create("t", COLUMNS).append(arrow([(1, "a")], COLUMNS))
    table = f"namespaces/{place.name}/tables/t"
    metadata = rest.require("GET", table)["metadata"]
    rest.require("DELETE", table)
    ahead_ms = 86_400_000
    metadata["last-updated-ms"] += ahead_ms
    for entry in [*metadata["snapshots"], *metadata["snapshot-log"], *metadata["metadata-log"]]:
        entry["timestamp-ms"] += ahead_ms
    assert "Invalid update timestamp" in loader.error("table", metadata)
    file = path_of(metadata["location"]) / "metadata" / f"00009-{uuid.uuid4()}.metadata.json"
    file.write_text(json.dumps(metadata))
    rest.require("POST", f"namespaces/{place.name}/register", {"name": "t", "metadata-location": f"file://{file}"})
    place.spark("INSERT INTO @t VALUES (2, 'b')")
    place.table("t").append(arrow([(3, "c")], COLUMNS))
    place.check("t", [(1, "a"), (2, "b"), (3, "c")])
    assert loader.error("table", rest.require("GET", table)["metadata"]) is None


@pytest.mark.parametrize("partitioning", ["id", "bucket(4, id)"])
def test_duckdb_adds_no_column_with_the_name_of_a_partition_field(place, rest, loader, partitioning):
    """For fields of the current spec and of a former one. DuckDB chooses the names of the fields itself."""
    place.duckdb("CREATE TABLE @t (id INTEGER, s VARCHAR)")
    place.duckdb(f"ALTER TABLE @t SET PARTITIONED BY ({partitioning})")
    table = f"namespaces/{place.name}/tables/t"
    name = rest.require("GET", table)["metadata"]["partition-specs"][-1]["fields"][0]["name"]
    for former in (False, True):
        if former:
            place.duckdb("ALTER TABLE @t RESET PARTITIONED BY")
        with pytest.raises(Exception, match="choose another name"):
            place.duckdb(f'ALTER TABLE @t ADD COLUMN "{name}" INTEGER')
        assert loader.error("table", rest.require("GET", table)["metadata"]) is None
    place.spark("INSERT INTO @t VALUES (1, 'a')")
    place.check("t", [(1, "a")])


def test_duckdb_renames_a_partitioned_column_and_reuses_its_name(place, rest, loader):
    """Spark's partition field has the name `id` even after the rename, so no other column can be called `id`.
    """
    place.spark("CREATE TABLE @t (id INT, s STRING) USING iceberg PARTITIONED BY (id)")
    place.duckdb("ALTER TABLE @t RENAME COLUMN id TO old")
    with pytest.raises(Exception, match="choose another name"):
        place.duckdb("ALTER TABLE @t ADD COLUMN id INTEGER")
    place.spark("INSERT INTO @t VALUES (1, 'a')")
    place.check("t", [(1, "a")])
    assert loader.error("table", rest.require("GET", f"namespaces/{place.name}/tables/t")["metadata"]) is None
