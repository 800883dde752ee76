"""Pytest plugin for PyIceberg's own tests: all REST catalogs that they open are the one under test, with all
optional features enabled.

Most of the tests use http://localhost:8181. The features cannot be enabled by environment variables:
PyIceberg converts `_` to `-` in their names, but the tests look them up with `_`, and those for names with
slashes would be skipped silently.
"""

import os

import pyarrow
from pyiceberg.catalog.rest import RestCatalog

SWITCHES = (
    "supports_nested_namespaces",
    "supports_slash_in_identifier",
    "supports_dot_in_identifier",
    "supports_purge_table",
    "supports_atomic_concurrent_updates",
    "supports_schema_evolution",
)

_init = RestCatalog.__init__


def _init_under_test(self, name, **properties):
    properties["uri"] = os.environ["FIRN_URI"]
    _init(self, name, **dict.fromkeys(SWITCHES, "true") | properties)


RestCatalog.__init__ = _init_under_test


def pytest_sessionstart(session):
    """Creates what the tests expect: the namespace `default`, and a table with five snapshots."""
    catalog = RestCatalog("setup")
    catalog.create_namespace_if_not_exists("default")
    if not catalog.table_exists("default.test_table_snapshot_operations"):
        numbers = pyarrow.schema([("number", pyarrow.int32())])
        table = catalog.create_table("default.test_table_snapshot_operations", numbers)
        for number in range(1, 6):
            table.append(pyarrow.table({"number": [number]}, schema=numbers))
