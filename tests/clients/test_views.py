"""Views: Spark creates and reads them, PyIceberg creates, lists and drops them; DuckDB has none in Iceberg
catalogs.
"""

import time

import pyarrow as pa
import pytest
from harness import arrow_rows
from pyiceberg.exceptions import NoSuchViewError
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, NestedField
from pyiceberg.view.metadata import SQLViewRepresentation, ViewVersion


@pytest.fixture
def numbers(place):
    place.create("t", pa.schema([("id", pa.int32())]))
    place.duckdb("INSERT INTO @t VALUES (1), (2), (3)")
    return place


def read(place, view):
    return sorted(row[0] for row in arrow_rows(place.spark(f"SELECT * FROM @{view}")))


def test_spark_creates_replaces_alters_and_drops_views(numbers):
    numbers.spark("CREATE VIEW @v (big COMMENT 'more than one') COMMENT 'a view' TBLPROPERTIES ('k' = 'v') AS SELECT id FROM @t WHERE id > 1")
    assert read(numbers, "v") == [2, 3]
    catalog = numbers.catalog()
    assert catalog.view_exists(numbers.identifier("v"))
    assert catalog.list_views(numbers.name) == [numbers.identifier("v")]

    numbers.spark("CREATE OR REPLACE VIEW @v AS SELECT id FROM @t WHERE id > 2")
    assert read(numbers, "v") == [3]
    numbers.spark("CREATE OR REPLACE VIEW @v AS SELECT id + 10 AS id FROM @t")
    assert read(numbers, "v") == [11, 12, 13]
    metadata = catalog.load_view(numbers.identifier("v")).metadata
    assert len(metadata.versions) == 3 and len(metadata.version_log) == 3

    numbers.spark("ALTER VIEW @v SET TBLPROPERTIES ('a' = 'b', 'c' = 'd')")
    numbers.spark("ALTER VIEW @v UNSET TBLPROPERTIES ('c')")
    properties = catalog.load_view(numbers.identifier("v")).metadata.properties
    assert properties["a"] == "b" and "c" not in properties

    numbers.spark("ALTER VIEW @v RENAME TO @w")
    assert catalog.list_views(numbers.name) == [numbers.identifier("w")]
    numbers.spark("DROP VIEW @w")
    assert catalog.list_views(numbers.name) == []
    with pytest.raises(NoSuchViewError):
        catalog.load_view(numbers.identifier("w"))


def test_spark_reads_and_describes_a_view_of_pyiceberg(numbers):
    version = ViewVersion(
        version_id=1,
        schema_id=0,
        timestamp_ms=int(time.time() * 1000),
        summary={"engine-name": "pyiceberg"},
        representations=[SQLViewRepresentation(type="sql", sql=f"SELECT id FROM {numbers.name}.t WHERE id < 3", dialect="spark")],
        default_catalog="firn",
        default_namespace=(numbers.name,),
    )
    schema = Schema(NestedField(1, "id", IntegerType(), required=False), schema_id=0)
    created = numbers.catalog().create_view(numbers.identifier("v"), schema, version)
    assert created.schema() == schema
    assert read(numbers, "v") == [1, 2]
    assert numbers.spark("SHOW VIEWS IN " + numbers.name)["viewName"].to_pylist() == ["v"]
    numbers.catalog().drop_view(numbers.identifier("v"))
    assert not numbers.catalog().view_exists(numbers.identifier("v"))


def test_a_view_over_a_view_and_a_time_travelling_view(numbers):
    first = numbers.table("t").current_snapshot().snapshot_id
    numbers.spark(f"CREATE VIEW @past AS SELECT id FROM @t VERSION AS OF {first}")
    numbers.spark("CREATE VIEW @top AS SELECT max(id) AS id FROM @past")
    numbers.duckdb("INSERT INTO @t VALUES (9)")
    assert read(numbers, "top") == [3]


def test_tables_and_views_share_one_space_of_names(numbers):
    numbers.spark("CREATE VIEW @v AS SELECT 1 AS one")
    with pytest.raises(Exception, match="(?i)exist"):
        numbers.create("v", pa.schema([("id", pa.int32())]))
    with pytest.raises(Exception, match="(?i)exist"):
        numbers.duckdb("CREATE TABLE @v (id INTEGER)")
    with pytest.raises(Exception, match="(?i)exist"):
        numbers.spark("CREATE VIEW @t AS SELECT 1 AS one")
    assert numbers.catalog().list_tables(numbers.name) == [numbers.identifier("t")]


def test_views_do_not_disturb_duckdb(numbers):
    """DuckDB lists and reads the tables beside a view."""
    numbers.spark("CREATE VIEW @v AS SELECT 1 AS one")
    tables = numbers.duckdb(f"SELECT name FROM (SHOW ALL TABLES) WHERE schema = '{numbers.name}'")
    assert tables["name"].to_pylist() == ["t"]
    assert numbers.rows("duckdb", "t") == [(1,), (2,), (3,)]
