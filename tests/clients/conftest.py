"""Fixtures of all tests: a namespace for each test in the catalog at FIRN_URI, and three engines."""

import contextlib
import functools
import uuid

import harness
import plans
import pytest
from pyiceberg.exceptions import NoSuchNamespaceError


TALLY = pytest.StashKey()


def pytest_configure(config):
    if not (harness.URI and harness.WAREHOUSE):
        raise pytest.UsageError("set FIRN_URI and FIRN_WAREHOUSE, or use tests/clients/run URI WAREHOUSE")


@pytest.fixture(scope="session")
def catalog():
    return harness.open_pyiceberg()


@pytest.fixture(scope="session")
def engines(catalog, tmp_path_factory):
    """Opens the three engines, each of which is started by the first test that uses it."""
    scratch = tmp_path_factory.mktemp("spark")
    opened = {"pyiceberg": lambda: catalog}

    opened["duckdb"] = functools.cache(harness.open_duckdb)
    opened["spark"] = functools.cache(lambda: harness.open_spark(scratch))
    yield opened
    if opened["spark"].cache_info().currsize:
        opened["spark"]().stop()


@pytest.fixture
def place(engines, catalog):
    """Creates a namespace for a test; it is emptied and dropped afterwards."""
    name = f"clients_{uuid.uuid4().hex[:12]}"
    catalog.create_namespace(name)
    yield harness.Place(name, engines["pyiceberg"], engines["duckdb"], engines["spark"])
    empty(catalog, (name,))


@pytest.fixture(scope="session")
def planning(engines, catalog, pytestconfig):
    """Creates the tables of plan_tables.py, once for all tests of scan planning, and the planners to compare.
    """
    name = f"plans_{uuid.uuid4().hex[:12]}"
    catalog.create_namespace(name)
    made = plans.Planning(name, engines)
    pytestconfig.stash[TALLY] = made.tally
    yield made
    made.java.close()
    empty(catalog, (name,))


def pytest_terminal_summary(terminalreporter, config):
    """Prints the numbers of comparisons, which show the value of a run."""
    if tally := config.stash.get(TALLY, None):
        terminalreporter.write_line(f"plans: seed {plans.SEED}, {tally.counts}")


def empty(catalog, namespace):
    for child in catalog.list_namespaces(namespace):
        with contextlib.suppress(NoSuchNamespaceError):  # The reference server lists a child that no longer exists.
            empty(catalog, child)
    for view in catalog.list_views(namespace):
        catalog.drop_view(view)
    for table in catalog.list_tables(namespace):
        catalog.drop_table(table)
    catalog.drop_namespace(namespace)
