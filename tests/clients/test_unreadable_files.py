"""Unusual files of other writers: unreadable ones are left out, others are read, and damaged pages are never
copied.
"""

import pathlib
import urllib.parse
import uuid

import harness
import keyed
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, LongType, NestedField, StringType

MERGE = {"compact": {"inputs-min": 2}}
SCHEMA = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "name", StringType()),
    NestedField(3, "number", IntegerType()),
)
ARROW = pa.schema([("id", pa.int64()), ("name", pa.string()), ("number", pa.int32())])


@pytest.fixture
def table(catalog):
    name = f"files_{uuid.uuid4().hex[:12]}"
    catalog.create_namespace(name)
    yield catalog.create_table((name, "t"), SCHEMA)
    catalog.drop_table((name, "t"))
    catalog.drop_namespace(name)


def append(table, ids, text="row"):
    rows = {"id": list(ids), "name": [text for _ in ids], "number": [None for _ in ids]}
    table.append(pa.table(rows, schema=ARROW))


def compact(table):
    namespace, name = table.name()
    [report] = keyed.maintain(harness.URI, f"{harness.WAREHOUSE}.{namespace}.{name}", "--action", "compact", policy=MERGE)
    table.refresh()
    return report


def paths(table):
    return [task.file.file_path for task in table.scan().plan_files()]


def local(path):
    return pathlib.Path(urllib.parse.urlparse(path).path)


def ids(table):
    return sorted(table.scan(selected_fields=("id",)).to_arrow()["id"].to_pylist())


def damage(path):
    """Changes a byte near the end of the first column's data."""
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    content[start + column.total_compressed_size - 3] ^= 0x20
    path.write_bytes(content)


def test_an_unreadable_file_is_skipped_and_every_page_has_a_checksum(table):
    for number in range(5):
        append(table, range(number * 10, number * 10 + 10))
    bad = local(paths(table)[2])
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    report = compact(table)
    assert [local(file["path"]) for file in report["unreadable"]] == [bad], report
    assert len(paths(table)) == 2
    bad.write_bytes(whole)
    assert ids(table) == list(range(50))
    report = compact(table)
    assert "unreadable" not in report and len(paths(table)) == 1, report
    [one] = [local(path) for path in paths(table)]
    assert pq.read_table(one, page_checksum_verification=True).num_rows == 50
    damage(one)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(one, page_checksum_verification=True)
    # Firn detects the damage as well: the file is not rewritten.
    append(table, range(100, 110))
    append(table, range(110, 120))
    report = compact(table)
    assert [local(file["path"]) for file in report["unreadable"]] == [one], report
    assert "checksum" in report["unreadable"][0]["reason"], report


def test_nulls_alone_and_long_texts_are_compacted(table):
    append(table, range(1, 4), None)
    # PyIceberg writes null columns with the types of the table; PyArrow writes them with a type of their own.
    fields = [("id", pa.int64()), ("name", pa.null()), ("number", pa.null())]
    schema = pa.schema(
        [pa.field(name, kind, metadata={"PARQUET:field_id": str(number)}) for number, (name, kind) in enumerate(fields, 1)]
    )
    nulls = {"id": [1, 2, 3], "name": [None] * 3, "number": [None] * 3}
    pq.write_table(pa.table(nulls, schema=schema), local(paths(table)[0]))
    append(table, range(10, 10 + 2000), "firn" * 75_000)
    append(table, range(10_000, 10_003))
    # PyIceberg cannot read such a file, but it can read the result of the compaction.
    report = compact(table)
    assert "unreadable" not in report and len(paths(table)) == 1, report
    assert ids(table) == [1, 2, 3, *range(10, 2010), *range(10_000, 10_003)]
    found = table.scan(row_filter="id < 12").to_arrow().sort_by("id")
    assert [len(name) if name else None for name in found["name"].to_pylist()] == [None, None, None, 300_000, 300_000]
