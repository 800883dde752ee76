"""The example of flights.py on real data: every engine returns the same results as pandas."""

import uuid

import flights
import harness
import pytest
from conftest import empty


@pytest.fixture(scope="module")
def nyc(engines, catalog):
    namespace = f"clients_nyc_{uuid.uuid4().hex[:8]}"
    flights.load(catalog, namespace)
    yield harness.Place(namespace, engines["pyiceberg"], engines["duckdb"], engines["spark"])
    empty(catalog, (namespace,))


@pytest.mark.parametrize("table", flights.TABLES)
def test_pyiceberg_reads_back_what_it_loaded(nyc, table):
    rows = nyc.table(table).scan().to_arrow().cast(flights.source(table).schema)
    order = [(name, "ascending") for name in rows.column_names]
    assert rows.sort_by(order).equals(flights.source(table).sort_by(order))


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
@pytest.mark.parametrize("title", flights.QUERIES)
def test_queries_have_the_results_of_pandas(nyc, engine, title):
    sql, answer = flights.QUERIES[title]
    assert flights.difference(getattr(nyc, engine)(sql), answer()) is None
