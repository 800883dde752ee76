"""Counts rows and sums a column: python bench_check.py COLUMN TABLE | COLUMN --files GLOB

The table belongs to the warehouse FIRN_WAREHOUSE at FIRN_URI. PyIceberg lists its data files, to which no
deletes may apply any more, and DuckDB reads them: neither could apply millions of equality deletes.
"""

import json
import sys

import duckdb
import harness
from pyiceberg.manifest import DataFileContent

# Field id of the column `file_path` of position delete files.
FILE_PATH = 2147483546


def live_files(name):
    table = harness.open_pyiceberg().load_table(name)
    entries = [
        entry
        for manifest in table.current_snapshot().manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    ]
    data = {
        entry.data_file.file_path: entry.sequence_number
        for entry in entries
        if entry.data_file.content == DataFileContent.DATA
    }
    oldest = min(data.values())
    for entry in entries:
        file = entry.data_file
        if file.content == DataFileContent.EQUALITY_DELETES and entry.sequence_number > oldest:
            sys.exit(f"rows of {name} are still deleted by {file.file_path}")
        if file.content == DataFileContent.POSITION_DELETES:
            lower, upper = file.lower_bounds[FILE_PATH], file.upper_bounds[FILE_PATH]
            if lower != upper or lower.decode() in data:
                sys.exit(f"rows of {name} may still be deleted by {file.file_path}")
    return [path.removeprefix("file://") for path in data]


def main():
    column, *source = sys.argv[1:]
    files = source[1] if source[0] == "--files" else live_files(source[0])
    connection = duckdb.connect()
    # A sum needs little memory; a query that needs more is a mistake, on a machine that is used by others as
    # well.
    connection.execute("SET memory_limit = '1GB'")
    query = f"SELECT count(*), sum({column}::hugeint) FROM read_parquet($1)"
    rows, total = connection.execute(query, [files]).fetchone()
    print(json.dumps({"rows": rows, "sum": str(total or 0)}))


main()
