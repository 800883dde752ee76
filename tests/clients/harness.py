"""Three engines on one catalog, and rows in a form in which they can be compared.

In SQL, `@name` is replaced by a table of the test's namespace (`@{any name}` for names that need quotes):
each engine uses its own qualified and quoted name.
"""

import glob
import math
import os
import random
import re
import uuid
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import duckdb_extension_iceberg
import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog

URI = os.environ.get("FIRN_URI", "")
WAREHOUSE = os.environ.get("FIRN_WAREHOUSE", "")
CACHE = Path(os.environ.get("FIRN_TEST_CACHE") or os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache") / "firn/tests")

# True if the catalog is Iceberg's own reference server.
REFERENCE = os.environ.get("FIRN_REFERENCE") == "1"

ENGINES = ("pyiceberg", "duckdb", "spark")


def seed():
    """Returns the seed of all random choices: 1 by default, so that a new failure is caused by a change;
    FIRN_SEED overrides it.
    """
    value = os.environ.get("FIRN_SEED", "1")
    return random.SystemRandom().randrange(2**32) if value == "random" else int(value)


# --- Rows -------------------------------------------------------------------


def exact(value):
    """Returns a value with its type, so that 1, True, 1.0 and Decimal("1.00") differ and NaN is equal to
    itself.

    Maps are lists of pairs, as in Arrow; their order is irrelevant. UUIDs are strings, because Spark reads
    them as such.
    """
    match value:
        case None:
            return ("null",)
        case bool():
            return ("boolean", value)
        case int():
            return ("integer", value)
        case float():
            return ("float", "nan" if math.isnan(value) else repr(value))
        case Decimal():
            return ("decimal", str(value))
        case str() | uuid.UUID():
            return ("string", str(value))
        case bytes() | bytearray():
            return ("binary", bytes(value).hex())
        case datetime():
            nanos = f"{getattr(value, 'nanosecond', 0):03}"
            if value.tzinfo is None:
                return ("timestamp", value.strftime("%Y-%m-%dT%H:%M:%S.%f") + nanos)
            return ("timestamptz", value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + nanos)
        case date():
            return ("date", value.isoformat())
        case time():
            return ("time", value.isoformat("microseconds"))
        case dict():
            return ("struct", tuple((name, exact(field)) for name, field in value.items()))
        case list() | tuple() if value and all(isinstance(entry, tuple) and len(entry) == 2 for entry in value):
            return ("map", tuple(sorted((exact(key), exact(item)) for key, item in value)))
        case list():
            return ("list", tuple(exact(item) for item in value))
    raise TypeError(f"no comparable form for {type(value)}: {value!r}")


def exact_rows(rows):
    """Returns rows in an order that does not depend on the engine."""
    return sorted((tuple(exact(value) for value in row) for row in rows), key=repr)


def difference(first, second):
    """Returns the rows of `first` that are not in `second`, with multiplicity."""
    rest = list(second)
    return [row for row in first if not (row in rest and (rest.remove(row) or True))]


def arrow_rows(table):
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def type_name(arrow):
    """Returns Iceberg's name of an Arrow type. Not every engine distinguishes `fixed` from `binary` and
    `uuid` from `string`.
    """
    if isinstance(arrow, pa.BaseExtensionType):
        return "string" if arrow.extension_name == "arrow.uuid" else arrow.extension_name
    if pa.types.is_timestamp(arrow):
        return "timestamp" + ("tz" if arrow.tz else "") + ("_ns" if arrow.unit == "ns" else "")
    if pa.types.is_decimal(arrow):
        return f"decimal({arrow.precision}, {arrow.scale})"
    if pa.types.is_map(arrow):
        return f"map<{type_name(arrow.key_type)}, {type_name(arrow.item_type)}>"
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return f"list<{type_name(arrow.value_type)}>"
    if pa.types.is_struct(arrow):
        return "struct<" + ", ".join(f"{field.name}: {type_name(field.type)}" for field in arrow) + ">"
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow):
        return "string"
    if pa.types.is_binary(arrow) or pa.types.is_large_binary(arrow) or pa.types.is_fixed_size_binary(arrow):
        return "binary"
    return {
        "bool": "boolean", "int32": "int", "int64": "long", "float": "float", "double": "double",
        "date32[day]": "date", "time64[us]": "time",
    }[str(arrow)]  # fmt: skip


# --- Engines ----------------------------------------------------------------


def open_pyiceberg(warehouse=WAREHOUSE):
    return RestCatalog("firn", uri=URI, warehouse=warehouse)


def bare_duckdb():
    """Opens a connection that can attach catalogs. Extensions are loaded from packages, without network."""
    connection = duckdb.connect()
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET TimeZone = 'UTC'")
    packages = Path(duckdb_extension_iceberg.__file__).parent.parent
    for extension in ("avro", "httpfs", "iceberg"):
        connection.execute(
            f"LOAD '{packages}/duckdb_extension_{extension}/extensions/v{duckdb.__version__}/{extension}.duckdb_extension'"
        )
    return connection


def open_duckdb(warehouse=WAREHOUSE):
    """Opens a connection with the warehouse attached as `firn`."""
    connection = bare_duckdb()
    connection.execute(f"ATTACH '{warehouse}' AS firn (TYPE iceberg, ENDPOINT '{URI}', AUTHORIZATION_TYPE 'none')")
    return connection


def spark_catalog_settings(name, warehouse=WAREHOUSE):
    return {
        f"spark.sql.catalog.{name}": "org.apache.iceberg.spark.SparkCatalog",
        f"spark.sql.catalog.{name}.type": "rest",
        f"spark.sql.catalog.{name}.uri": URI,
        f"spark.sql.catalog.{name}.warehouse": warehouse,
        # Other engines write between two statements.
        f"spark.sql.catalog.{name}.cache-enabled": "false",
    }


def open_spark(scratch):
    from pyspark.sql import SparkSession

    jars = glob.glob(str(CACHE / "spark-jars" / "*.jar"))
    if not jars:
        raise FileNotFoundError(f"no Spark jars under {CACHE}: run tests/setup")
    settings = {
        "spark.jars": ",".join(jars),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={scratch} -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "spark-warehouse"),
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.defaultCatalog": "firn",
        "spark.log.level": "ERROR",
        **spark_catalog_settings("firn"),
    }
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_SUBMIT_ARGS"] = "--conf spark.driver.memory=1g pyspark-shell"
    builder = SparkSession.builder.master("local[2]").appName("firn")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


class Place:
    """Namespace of a test, accessed with the three engines."""

    def __init__(self, name, catalog, duckdb_connection, spark_session, catalog_name="firn"):
        self.name = name
        self.catalog = catalog
        self._duckdb = duckdb_connection
        self._spark = spark_session
        self._catalog_name = catalog_name

    def _qualify(self, sql, quote, levels):
        prefix = ".".join(f"{quote}{level}{quote}" for level in levels)

        def replace(match):
            name = (match[1] or match[2]).replace(quote, quote * 2)
            return f"{prefix}.{quote}{name}{quote}"

        return re.sub(r"@(?:\{([^}]*)\}|(\w+))", replace, sql)

    def sql_for(self, engine, sql):
        if engine == "duckdb":
            return self._qualify(sql, '"', ["firn", self.name])
        return self._qualify(sql, "`", [self._catalog_name, *self.name.split(".")])

    def duckdb(self, sql, *parameters):
        """Runs a statement in DuckDB; returns an Arrow table."""
        result = self._duckdb().execute(self.sql_for("duckdb", sql), parameters or None)
        return result.to_arrow_table()

    def spark(self, sql):
        """Runs a statement in Spark; returns an Arrow table."""
        return self._spark().sql(self.sql_for("spark", sql)).toArrow()

    def spark_frame(self, sql):
        return self._spark().sql(self.sql_for("spark", sql))

    def spark_call(self, procedure, arguments):
        """Calls one of Iceberg's procedures; returns its first row as a dict."""
        rows = self.spark(f"CALL {self._catalog_name}.system.{procedure}({arguments})").to_pylist()
        return rows[0] if rows else None

    def identifier(self, table):
        return (*self.name.split("."), table)

    def table(self, table):
        """Loads a table with PyIceberg."""
        return self.catalog().load_table(self.identifier(table))

    def create(self, table, schema, **arguments):
        return self.catalog().create_table(self.identifier(table), schema, **arguments)

    def read(self, engine, table):
        """Returns all rows of a table as an Arrow table."""
        if engine == "pyiceberg":
            return self.table(table).scan().to_arrow()
        return getattr(self, engine)(f"SELECT * FROM @{{{table}}}")

    def rows(self, engine, table):
        return arrow_rows(self.read(engine, table))

    def columns(self, engine, table):
        return [(field.name, type_name(field.type)) for field in self.read(engine, table).schema]

    def check(self, table, expected, engines=ENGINES):
        """Asserts that each engine reads exactly these rows, with the same column names and types."""
        expected_rows = exact_rows(expected)
        columns = {}
        for engine in engines:
            answer = self.read(engine, table)
            found = exact_rows(arrow_rows(answer))
            missing, extra = difference(expected_rows, found), difference(found, expected_rows)
            assert not missing and not extra, f"{engine} does not read {missing}, but {extra}"
            columns[engine] = [(field.name, type_name(field.type)) for field in answer.schema]
        first = columns[engines[0]]
        assert all(other == first for other in columns.values()), f"the engines disagree on the columns: {columns}"


def arrow(rows, schema):
    """Converts rows to an Arrow table with a PyArrow schema."""
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema)


def reference_gap(reason):
    """Marks a test that a catalog must pass, but that fails on Iceberg's reference server."""
    return pytest.mark.xfail(REFERENCE, reason=f"reference server: {reason}", strict=True)
