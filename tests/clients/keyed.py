"""Tables of rows with keys and versions, and the engines to access them."""

import functools
import json
import os
import subprocess
from datetime import date, timedelta

import harness
import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
from sink import LONG, Sink

COLUMNS = pa.schema([("id", pa.int64()), ("v", pa.int32()), ("day", pa.date32()), ("s", pa.string()), ("n", pa.int32())])
SQL_COLUMNS = "id BIGINT, v INT, day DATE, s STRING, n INT"

MERGE_ON_READ = {f"write.{kind}.mode": "merge-on-read" for kind in ("delete", "update", "merge")}
COPY_ON_WRITE_MERGE = {"write.merge.mode": "copy-on-write"}
# Changes of other rows by concurrent writers are not conflicts.
SNAPSHOT_ISOLATION = {f"write.{kind}.isolation-level": "snapshot" for kind in ("delete", "update", "merge")}


def row(key, version):
    """Returns a row whose columns depend on both, so that a wrong version is visible in each of them."""
    return (LONG + key, version, date(2024, 1, 1) + timedelta(days=key % 3), f"{key}-{version}", (key * 31 + version) % 1000)


def literal(value):
    """Returns a value as a literal of Spark's SQL."""
    match value:
        case None:
            return "NULL"
        case str():
            return f"'{value}'"
        case date():
            return f"DATE '{value}'"
    return str(value)


def values(rows):
    return ", ".join(f"({', '.join(map(literal, row))})" for row in rows)


def ids(keys):
    return ", ".join(str(LONG + key) for key in keys)


def arrow(rows):
    return harness.arrow([row[: len(COLUMNS)] for row in rows], COLUMNS)


class Keyed(harness.Place):
    """Namespace of a catalog at a URI. DuckDB and Spark have their own connections to it, any number of them.
    """

    def __init__(self, name, uri, warehouse, spark):
        self.uri, self.warehouse, self.session = uri, warehouse, spark
        catalog = RestCatalog("keyed", uri=uri, warehouse=warehouse)
        connection = functools.cache(self.open_duckdb)
        super().__init__(name, lambda: catalog, lambda: connection(), functools.cache(self.open_spark))
        self.sink = Sink(spark, uri, warehouse, name)

    def with_new_connections(self, uri=None):
        """Returns the same namespace with new connections, which a thread does not share with others."""
        return Keyed(self.name, uri or self.uri, self.warehouse, self.session)

    def open_duckdb(self):
        connection = harness.bare_duckdb()
        connection.execute(f"ATTACH '{self.warehouse}' AS firn (TYPE iceberg, ENDPOINT '{self.uri}', AUTHORIZATION_TYPE 'none')")
        return connection

    def open_spark(self):
        session = self.session.newSession()
        settings = harness.spark_catalog_settings("firn", self.warehouse) | {"spark.sql.catalog.firn.uri": self.uri}
        for name, value in settings.items():
            session.conf.set(name, value)
        return session

    def create_keyed(self, table, version, partitioned="", properties=()):
        settings = {"format-version": version, **MERGE_ON_READ, **SNAPSHOT_ISOLATION, **dict(properties)}
        properties_sql = ", ".join(f"'{name}' = '{value}'" for name, value in settings.items())
        self.spark(f"CREATE TABLE @{table} ({SQL_COLUMNS}) {partitioned} TBLPROPERTIES ({properties_sql})")

    def rows_by_key(self, table, where="true"):
        """Returns the rows that Spark reads, by key. A key that occurs twice is an error."""
        found = {}
        for *row, row_id, sequence_number in self.spark_rows(table, where):
            key = row[0] - LONG
            assert key not in found, f"{table} has the key {key} twice: {found[key]}, {row}"
            found[key] = (tuple(row), row_id, sequence_number)
        return found

    def spark_rows(self, table, where):
        lineage = "_row_id, _last_updated_sequence_number" if self.version(table) == 3 else "NULL, NULL"
        return harness.arrow_rows(self.spark(f"SELECT *, {lineage} FROM @{table} WHERE {where}"))

    @functools.cache
    def version(self, table):
        return self.table(table).format_version


def has_equality_deletes(table):
    return any(file["content"] == 2 for file in table.inspect.delete_files().to_pylist())


def maintain_command(uri, table, *flags, policy=None):
    """Returns the command, and an environment without the settings of the test suite."""
    command = [os.environ["FIRN_BINARY"], "maintain", "--once", "--table", table, "--uri", uri, *flags]
    if policy is not None:
        command += ["--policy", json.dumps(policy)]
    return command, {name: value for name, value in os.environ.items() if not name.startswith("FIRN_")}


def maintain(uri, table, *flags, policy=None):
    """Runs `firn maintain --once`; returns its reports."""
    command, environment = maintain_command(uri, table, "--json", *flags, policy=policy)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
