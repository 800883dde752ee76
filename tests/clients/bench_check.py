"""Counts rows and adds up a column: python bench_check.py COLUMN TABLE | COLUMN --files GLOB

The table is one of the warehouse FIRN_WAREHOUSE at FIRN_URI, read by DuckDB with all deletes that still apply.
"""

import json
import sys

import harness


def main():
    column, *source = sys.argv[1:]
    if source[0] == "--files":
        connection, read = harness.bare_duckdb(), f"read_parquet('{source[1]}')"
    else:
        connection, read = harness.open_duckdb(), f"firn.{source[0]}"
    rows, total = connection.execute(f"SELECT count(*), sum({column}::hugeint) FROM {read}").fetchone()
    print(json.dumps({"rows": rows, "sum": str(total or 0)}))


main()
