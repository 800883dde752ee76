"""Applies delete files to Parquet files, and writes the remaining rows to larger files.

python bench_duckdb.py JOB, where JOB is a JSON file: `data`, `positions` and `equality` are lists of files,
of which the latter two may be empty; `keys` are the columns that equality deletes compare; `output` is a
folder that does not exist yet, and `target-bytes` the size of its files; `memory` and `threads` are limits
for DuckDB.
"""

import json
import sys

import duckdb


def files(paths):
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"


def main():
    with open(sys.argv[1]) as file:
        job = json.load(file)
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(job['threads'])}")
    connection.execute(f"SET temp_directory = '{job['output']}.spill'")
    if job["memory"]:
        connection.execute(f"SET memory_limit = '{job['memory']}'")
    numbered = ", filename = true, file_row_number = true" if job["positions"] else ""
    query = f"FROM read_parquet({files(job['data'])}{numbered}) AS rows"
    if job["positions"]:
        query += (
            f" ANTI JOIN read_parquet({files(job['positions'])}) AS positions"
            " ON positions.file_path = 'file://' || rows.filename AND positions.pos = rows.file_row_number"
        )
    if job["equality"]:
        same = " AND ".join(f"rows.{key} = deleted.{key}" for key in job["keys"])
        query += f" ANTI JOIN read_parquet({files(job['equality'])}) AS deleted ON {same}"
    columns = "rows.* EXCLUDE (filename, file_row_number)" if job["positions"] else "rows.*"
    options = f"FORMAT parquet, COMPRESSION zstd, FILE_SIZE_BYTES '{int(job['target-bytes'])}B'"
    connection.execute(f"COPY (SELECT {columns} {query}) TO '{job['output']}' ({options})")


main()
