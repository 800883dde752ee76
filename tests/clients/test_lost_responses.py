"""Commits whose response is lost: they were made, and their files are not deleted."""

import harness
import pyarrow as pa
from sync_gate import SyncGate
from keyed import Keyed

COLUMNS = pa.schema([("id", pa.int64())])


def test_duckdb_repeats_a_commit_without_response_and_keeps_its_files(place, engines):
    """DuckDB repeats a commit itself when the connection breaks; after a conflict it would delete the
    committed files.
    """
    place.create("t", COLUMNS, properties={"format-version": "2"})
    place.duckdb("INSERT INTO @t SELECT range FROM range(10)")
    for statement, rows in [("INSERT INTO @t VALUES (10)", range(11)), ("DELETE FROM @t WHERE id < 5", range(5, 11))]:
        with SyncGate(harness.URI) as gate:
            gated = Keyed(place.name, gate.uri, harness.WAREHOUSE, engines["spark"]())
            gate.after("POST", 1, lambda: False)
            gated.duckdb(statement)
            assert not gate.pending() and gate.counts["POST"] > 1, "it asked once only"
        place.check("t", [(id,) for id in rows])
