"""Firn's catalog time travel: `warehouse=<name>@<RFC 3339 timestamp>` is the catalog as it was, and
read-only.

Iceberg's reference server has no such feature.
"""

import time
import uuid
from datetime import datetime, timedelta, timezone

import duckdb
import harness
import pyarrow as pa
import pytest
from harness import REFERENCE, WAREHOUSE, arrow, arrow_rows
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError, RESTError

pytestmark = pytest.mark.skipif(REFERENCE, reason="catalog time travel is Firn's own")

COLUMNS = pa.schema([("id", pa.int32())])


def now():
    """Returns an instant strictly between the events before the call and those after it."""
    time.sleep(0.005)
    instant = datetime.now(timezone.utc)
    time.sleep(0.005)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class PastPlace:
    """Place as it was at an instant, with engines that are opened for it."""

    def __init__(self, place, engines, instant):
        self.warehouse = f"{WAREHOUSE}@{instant}"
        self.catalog = harness.open_pyiceberg(self.warehouse)
        self._duckdb = harness.open_duckdb(self.warehouse)
        alias = f"past_{uuid.uuid4().hex[:8]}"
        spark = engines["spark"]()
        for key, value in harness.spark_catalog_settings(alias, self.warehouse).items():
            spark.conf.set(key, value)
        self.place = harness.Place(place.name, lambda: self.catalog, lambda: self._duckdb, lambda: spark, alias)


@pytest.fixture
def as_of(place, engines):
    return lambda instant: PastPlace(place, engines, instant)


def test_a_table_is_read_as_it_was_before_later_commits(place, as_of):
    place.create("t", COLUMNS).append(arrow([(1,)], COLUMNS))
    first = now()
    place.duckdb("INSERT INTO @t VALUES (2)")
    second = now()
    place.spark("DELETE FROM @t WHERE id = 1")
    place.spark("ALTER TABLE @t ADD COLUMN s STRING")
    place.check("t", [(2, None)])
    as_of(second).place.check("t", [(1,), (2,)])
    as_of(first).place.check("t", [(1,)])


def test_a_renamed_table_has_its_old_name_in_the_past(place, as_of):
    place.create("old", COLUMNS).append(arrow([(1,)], COLUMNS))
    before = now()
    place.catalog().rename_table(place.identifier("old"), place.identifier("new"))
    place.create("old", COLUMNS).append(arrow([(9,)], COLUMNS))
    after = now()

    past = as_of(before)
    assert past.catalog.list_tables(place.name) == [place.identifier("old")]
    past.place.check("old", [(1,)])
    with pytest.raises(NoSuchTableError):
        past.place.table("new")
    present = as_of(after)
    assert sorted(present.catalog.list_tables(place.name)) == [place.identifier("new"), place.identifier("old")]
    present.place.check("old", [(9,)])
    present.place.check("new", [(1,)])


def test_a_dropped_table_is_still_there_in_the_past(place, as_of):
    place.create("t", COLUMNS).append(arrow([(1,)], COLUMNS))
    before = now()
    place.catalog().drop_table(place.identifier("t"))
    after = now()
    as_of(before).place.check("t", [(1,)])
    past = as_of(after)
    assert past.catalog.list_tables(place.name) == []
    with pytest.raises(NoSuchTableError):
        past.place.table("t")


def test_namespaces_are_listed_as_they_were(place, as_of):
    catalog = place.catalog()
    none_yet = now()
    catalog.create_namespace((place.name, "child"), {"k": "first"})
    one = now()
    catalog.update_namespace_properties((place.name, "child"), updates={"k": "second"})
    changed = now()
    catalog.drop_namespace((place.name, "child"))
    after_drop = now()

    def children(instant):
        return as_of(instant).catalog.list_namespaces((place.name,))

    child = (place.name, "child")
    assert [children(instant) for instant in (none_yet, one, changed, after_drop)] == [[], [child], [child], []]
    assert as_of(one).catalog.load_namespace_properties(child)["k"] == "first"
    assert as_of(changed).catalog.load_namespace_properties(child)["k"] == "second"
    with pytest.raises(NoSuchNamespaceError):
        as_of(after_drop).catalog.load_namespace_properties(child)


def test_a_transaction_over_two_tables_is_visible_completely_or_not_at_all(place, as_of):
    for table in ("a", "b"):
        place.create(table, COLUMNS)
    before = now()
    time.sleep(0.03)  # The tables are older than all of the instants.
    place.duckdb("BEGIN")
    place.duckdb("INSERT INTO @a VALUES (1)")
    place.duckdb("INSERT INTO @b VALUES (1)")
    place.duckdb("COMMIT")
    after = now()
    for instant, rows in ((before, []), (after, [(1,)])):
        past = as_of(instant)
        for table in ("a", "b"):
            past.place.check(table, rows)

    # At one instant both changes become visible together.
    changed = place.table("a").metadata.last_updated_ms
    for offset in range(-20, 21):
        instant = datetime.fromtimestamp((changed + offset) / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        view = harness.open_pyiceberg(f"{WAREHOUSE}@{instant}")
        counts = {view.load_table(place.identifier(table)).current_snapshot() is not None for table in ("a", "b")}
        assert len(counts) == 1, f"a partial transaction at {instant}"


def test_views_are_read_as_they_were(place, as_of):
    place.spark("CREATE VIEW @v AS SELECT 1 AS one")
    before = now()
    place.spark("CREATE OR REPLACE VIEW @v AS SELECT 2 AS one")
    after = now()
    place.spark("DROP VIEW @v")
    assert arrow_rows(as_of(before).place.spark("SELECT * FROM @v")) == [(1,)]
    assert arrow_rows(as_of(after).place.spark("SELECT * FROM @v")) == [(2,)]
    assert as_of(now()).catalog.list_views(place.name) == []


def test_branches_and_properties_are_those_of_the_instant(place, as_of):
    table = place.create("t", COLUMNS, properties={"k": "first"})
    table.append(arrow([(1,)], COLUMNS))
    place.spark("ALTER TABLE @t CREATE BRANCH dev")
    before = now()
    place.spark("ALTER TABLE @t DROP BRANCH dev")
    place.spark("ALTER TABLE @t SET TBLPROPERTIES ('k' = 'second')")
    past = as_of(before).place.table("t")
    assert set(past.refs()) == {"main", "dev"}
    assert past.properties["k"] == "first"


def test_offsets_other_than_utc_mean_the_same_instant(place):
    place.create("t", COLUMNS)
    instant = datetime.now(timezone.utc)
    time.sleep(0.01)
    place.catalog().drop_table(place.identifier("t"))
    with_offset = instant.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
    assert with_offset.endswith("+05:30")
    past = harness.open_pyiceberg(f"{WAREHOUSE}@{with_offset}")
    assert past.table_exists(place.identifier("t"))


WRITES = {
    "pyiceberg": [
        lambda past: past.place.table("t").append(arrow([(2,)], COLUMNS)),
        lambda past: past.catalog.create_table((past.place.name, "n"), COLUMNS),
        lambda past: past.catalog.drop_table((past.place.name, "t")),
        lambda past: past.catalog.rename_table((past.place.name, "t"), (past.place.name, "n")),
        lambda past: past.catalog.create_namespace((past.place.name, "n")),
        lambda past: past.catalog.drop_namespace(past.place.name),
        lambda past: past.catalog.update_namespace_properties(past.place.name, updates={"k": "v"}),
    ],
    "duckdb": [
        lambda past: past.place.duckdb("INSERT INTO @t VALUES (2)"),
        lambda past: past.place.duckdb("CREATE TABLE @n (id INTEGER)"),
        lambda past: past.place.duckdb("DROP TABLE @t"),
    ],
    "spark": [
        lambda past: past.place.spark("INSERT INTO @t VALUES (2)"),
        lambda past: past.place.spark("CREATE TABLE @n (id INT)"),
        lambda past: past.place.spark("ALTER TABLE @t ADD COLUMN s STRING"),
        lambda past: past.place.spark("CREATE VIEW @v AS SELECT 1 AS one"),
        lambda past: past.place.spark("DROP TABLE @t"),
    ],
}


@pytest.mark.parametrize("engine", WRITES)
def test_writes_to_the_past_are_refused_with_a_reason(place, as_of, engine):
    place.create("t", COLUMNS).append(arrow([(1,)], COLUMNS))
    past = as_of(now())
    for write in WRITES[engine]:
        with pytest.raises(Exception, match="(?i)read.only|past") as refusal:
            write(past)
        assert not isinstance(refusal.value, AssertionError | duckdb.InternalException)
    place.check("t", [(1,)])
    assert place.catalog().list_tables(place.name) == [place.identifier("t")]


@pytest.mark.parametrize("instant", ["yesterday", "2024-13-01T00:00:00Z", "2024-01-01", ""])
def test_an_invalid_instant_is_refused(instant):
    with pytest.raises((RESTError, ValueError), match="(?i)time|rfc"):
        harness.open_pyiceberg(f"{WAREHOUSE}@{instant}")


def test_the_past_before_the_warehouse_is_empty(place):
    """An empty catalog and a clear refusal are both acceptable, but not the current state."""
    try:
        past = harness.open_pyiceberg(f"{WAREHOUSE}@2001-01-01T00:00:00Z")
    except RESTError:
        return
    assert past.list_namespaces() == []
    assert not past.namespace_exists(place.name)
