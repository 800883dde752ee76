"""`firn inspect table`, on tables of PyIceberg and Spark, compared with PyIceberg's metadata tables."""

import json
import os
import subprocess

import harness
import pyarrow as pa
import pytest
from pyiceberg.transforms import IdentityTransform

ROWS = pa.table({"id": pa.array(range(100), pa.int64()), "region": ["eu", "us", None, "eu"] * 25})


def inspect(table, *flags, uri=harness.URI):
    # The settings of the test suite must not affect the command.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRN_")}
    command = [os.environ["FIRN_BINARY"], "inspect", "table", table, "--uri", uri, *flags]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def name(place):
    """Creates a table with a branch, two specs, three snapshots and a deleted row."""
    table = place.catalog().create_table((place.name, "odd.name"), ROWS.schema)
    table.append(ROWS)
    with table.update_spec() as update:
        update.add_field("region", IdentityTransform(), "region")
    table.append(ROWS)
    table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "before").commit()
    place.spark("ALTER TABLE @{odd.name} SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')")
    place.spark("DELETE FROM @{odd.name} WHERE id = 7")
    return f'{harness.WAREHOUSE}.{place.name}."odd.name"'


def test_the_report_agrees_with_the_metadata_tables(place, name):
    result = inspect(name, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    table = place.catalog().load_table((place.name, "odd.name"))

    assert report["uuid"] == str(table.metadata.table_uuid)
    [schema] = [schema for schema in report["schemas"] if schema["current"]]
    assert [(column["id"], column["name"], column["type"]) for column in schema["columns"]] == [
        (field.field_id, field.name, str(field.field_type)) for field in table.schema().fields
    ]
    assert [(spec["spec-id"], spec["default"]) for spec in report["partition-specs"]] == [
        (spec_id, spec_id == table.spec().spec_id) for spec_id in sorted(table.specs())
    ]
    assert [snapshot["snapshot-id"] for snapshot in report["snapshots"]] == [
        snapshot.snapshot_id for snapshot in table.metadata.snapshots
    ]
    assert {ref["name"]: ref["type"] for ref in report["refs"]} == {"main": "branch", "before": "tag"}

    files = report["files"]
    data = table.inspect.data_files().to_pylist()
    assert files["data"] == {
        "files": len(data),
        "records": sum(file["record_count"] for file in data),
        "bytes": sum(file["file_size_in_bytes"] for file in data),
    }
    deletes = table.inspect.delete_files().to_pylist()
    assert files["deletes"]["position-deletes"]["files"] == len(deletes) > 0
    assert files["deletes"]["position-deletes"]["records"] == 2
    assert files["data-files-with-deletes"] == 2
    assert sum(part["files"] for part in files["histogram"]) == len(data)
    partitions = {(part["spec-id"], json.dumps(part["partition"])): part["data"]["records"] for part in files["partitions"]}
    assert partitions == {
        (0, "{}"): 100,
        (1, '{"region": "eu"}'): 50,
        (1, '{"region": "us"}'): 25,
        (1, '{"region": null}'): 25,
    }


def test_the_text_output_contains_the_report(place, name):
    result = inspect(name)
    assert result.returncode == 0, result.stderr
    for shown in [
        "   1  id      long",
        "   1  region as region  (default)",
        "  tag     before  -> ",
        "  data              4 files, 200 rows",
        "  position-deletes  ",
        "2 deletes (1.0 % of the rows)",
        "  read with deletes 2 data files (50.0 %)",
        "    ≤ 64 KiB         4  ████",
        "  region=eu: 1 file, 50 rows",
        "  (unpartitioned): 1 file, 100 rows",
    ]:
        assert shown in result.stdout, result.stdout


def test_an_older_snapshot_is_counted_on_request(place, name):
    first = place.catalog().load_table((place.name, "odd.name")).metadata.snapshots[0].snapshot_id
    report = json.loads(inspect(name, "--json", "--snapshot-id", str(first)).stdout)
    assert (report["counted-snapshot-id"], report["files"]["data"]["files"]) == (first, 1)


def test_error_messages_contain_a_remedy(place, name):
    for result, message in [
        (inspect(f"{harness.WAREHOUSE}.{place.name}.nothing"), "Table does not exist"),
        (inspect("nothing"), "write `warehouse.namespace.table`"),
        (inspect(name, "--snapshot-id", "1"), "has no snapshot 1"),
        (inspect(name, uri="http://127.0.0.1:1"), "cannot reach a catalog"),
    ]:
        assert (result.returncode, result.stdout) == (1, ""), result
        assert message in result.stderr, result.stderr
