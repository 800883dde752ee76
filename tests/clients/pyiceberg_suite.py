"""A pytest plugin for PyIceberg's own tests: every REST catalog they open is the one under test, with every switch on.

Most of those tests address http://localhost:8181. The switches cannot be given by environment: PyIceberg turns `_` into
`-` there, the tests look them up by `_`, and the tests for names with slashes would be skipped without a word.
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
    """Creates what the tests expect to find: the namespace `default` and a table with five snapshots in it."""
    catalog = RestCatalog("setup")
    catalog.create_namespace_if_not_exists("default")
    if not catalog.table_exists("default.test_table_snapshot_operations"):
        numbers = pyarrow.schema([("number", pyarrow.int32())])
        table = catalog.create_table("default.test_table_snapshot_operations", numbers)
        for number in range(1, 6):
            table.append(pyarrow.table({"number": [number]}, schema=numbers))
