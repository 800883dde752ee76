"""Writes or reads a table in a warehouse on S3 with PyIceberg: s3_table.py write|read URI WAREHOUSE

The region and the endpoint are those that the catalog returns; only the access key is the client's own, in the
variables of AWS.
"""

import sys

import pyarrow as pa
from pyiceberg.catalog import load_catalog

APPENDS, ROWS = 6, 100


def rows(number):
    return pa.table({"id": list(range(number * ROWS, (number + 1) * ROWS)), "city": ["Zürich"] * ROWS})


action, uri, warehouse = sys.argv[1:]
catalog = load_catalog("firn", type="rest", uri=uri, warehouse=warehouse)
if action == "write":
    catalog.create_namespace("geo")
    table = catalog.create_table("geo.cities", schema=rows(0).schema)
    for number in range(APPENDS):
        table.append(rows(number))
table = catalog.load_table("geo.cities")
found = table.scan(row_filter="id >= 150").to_arrow().sort_by("id")
assert found["id"].to_pylist() == list(range(150, APPENDS * ROWS)), found
assert set(found["city"].to_pylist()) == {"Zürich"}
assert table.location().startswith("s3://"), table.location()
print(len(table.inspect.files()), "files")
