"""Plans by the catalog compared with Java's, for all tables of plan_tables.py and random filters."""

import time
from datetime import datetime, timezone

import harness
import plan_filters
import plan_tables
import plans
import pyarrow as pa
import pytest

# The first test that uses the tables creates them.
pytestmark = pytest.mark.timeout(900)


def tables(*gaps, names=plan_tables.TABLES):
    """Returns names of tables. With those in `gaps`, a test may fail on Iceberg's reference server;
    `plan_tables.REFERENCE_GAPS` has the reason for each.
    """
    assert plan_tables.TABLES.keys() >= {*gaps, *names}
    return [plan_tables.reference_gap(name) if name in gaps else name for name in names]


VECTORS = ("deletion_vectors", "deletion_vectors_of_duckdb", "upgraded_from_v1_to_v3")


@pytest.mark.parametrize("name", tables(*VECTORS))
def test_every_file_with_a_row_is_planned_with_its_deletes(planning, name):
    filters, _ = planning.filters(name)
    for index, filter in enumerate(filters):
        # Spark's scans are not case-sensitive. Java cannot scan a table with names that differ only by case
        # in this way.
        planning.compare(name, {"filter": filter, "case-sensitive": index % 2 == 0 or name == "odd_names"})
    planning.check(name)


# Java's client cannot read a partition value that is NaN or infinite, in any form. The second error occurs if
# the value is in a plan task.
NOT_FINITE = ("identity_float", "identity_double")
NOT_FINITE_ERRORS = ("Cannot parse default as a", "Worker failed processing planTask")


@pytest.mark.parametrize("name", tables(*VECTORS, "nested_lists_and_maps"))
def test_javas_client_reads_the_plans(planning, name):
    """Java's parsers read each value of a response: partitions, residuals, deletes."""
    filters, _ = planning.filters(name, count=plans.FILTERS // 2)
    for filter in filters:
        planning.compare(name, {"filter": filter}, remote=True)
    if name in NOT_FINITE:
        found = planning.tally.problems
        planning.tally.problems = [
            problem for problem in found if not any(error in problem.get("catalog", "") for error in NOT_FINITE_ERRORS)
        ]
        assert len(planning.tally.problems) < len(found), "Java reads them by now"
    planning.check(name)


# Known errors of PyIceberg, and how to recognise them.
PYICEBERG = {
    "compares a null partition value": lambda name, found: "'NoneType' and" in found.get("pyiceberg", ""),
    "has no equality deletes": lambda name, found: "support equality deletes" in found.get("pyiceberg", ""),
    "has no filters on nanoseconds": lambda name, found: "into timestamp_ns" in found.get("pyiceberg", ""),
    "cannot compare uuid partitions": lambda name, found: "'UUID' and 'bytes'" in found.get("pyiceberg", ""),
    "has no dates before year 1 or after 9999": lambda name, found: "OverflowError" in found.get("pyiceberg", ""),
    "takes -0.0 for 0.0, which sorts after it": lambda name, found: "lost" in found and name in ZEROS,
    "reads double partition values as floats": lambda name, found: "lost" in found and name == "identity_double",
    "believes DuckDB's partition summaries": lambda name, found: "lost" in found and name.startswith("identity_in_duckdb"),
    "takes all deletion vectors of a partition": lambda name, found: "lost" not in found and name in VECTORS,
}
ZEROS = ("identity_float", "v2_primitives")


@pytest.mark.parametrize("name", tables(*VECTORS))
def test_pyiceberg_plans_the_same_except_for_known_errors(planning, name):
    table = planning.place.table(name)
    filters, types = planning.filters(name)
    unknown = []
    for filter in filters:
        scan = {"filter": filter}
        try:
            expression = plan_filters.for_pyiceberg(filter, types)
        except plan_filters.NoCounterpart:
            continue
        compared = planning.compare(name, scan)
        if compared is None:
            continue
        found = plans.compare_pyiceberg(planning.tally, table, scan, expression, *compared)
        reasons = [reason for reason, applies in PYICEBERG.items() if found and applies(name, found)]
        if found and not reasons:
            unknown.append({"filter": filter, **found})
        for reason in reasons:
            planning.tally.count(f"PyIceberg {reason}")
    planning.check(name)
    assert not unknown, f"seed {plans.SEED}: {unknown[:3]}"


# --- Which snapshot ---------------------------------------------------------

HISTORIES = (
    "evolved_schema", "evolved_in_pyiceberg", "three_specs", "dropped_partition_source", "position_deletes", "deletion_vectors",
    "upgraded_from_v1_to_v3", "compacted", "equality_deletes_after_evolution", "branched", "overwritten_partitions",
    "widened_partition_source", "defaults_for_older_files",
)  # fmt: skip


@pytest.mark.parametrize("name", tables(*VECTORS, names=HISTORIES))
def test_a_snapshot_is_planned_with_its_schema(planning, name):
    for snapshot in planning.place.table(name).metadata.snapshots:
        filters, _ = planning.filters(name, 4, **{"snapshot-id": snapshot.snapshot_id})
        for filter in filters:
            planning.compare(name, {"filter": filter, "snapshot-id": snapshot.snapshot_id})
    planning.check(name)


@harness.reference_gap("reads every snapshot with that snapshot's schema")
def test_a_branch_is_planned_with_the_tables_schema(planning):
    """And a tag with its snapshot's; `as_request` expresses both in the protocol."""
    refs = planning.place.table("branched").metadata.refs
    for ref in ("side", "main"):
        scan = {"ref": ref, "branch-snapshot-id": refs[ref].snapshot_id}
        filters, _ = planning.filters("branched", 30, ref=ref)
        for filter in filters:
            planning.compare("branched", {"filter": filter, **scan})
    old_name = {"type": "eq", "term": "id", "value": 5}
    planning.compare("branched", {"filter": old_name, "ref": "side", "branch-snapshot-id": refs["side"].snapshot_id})
    with pytest.raises(plans.Refused):
        planning.planner.plan(planning.place.identifier("branched"), {"filter": old_name})
    planning.compare("branched", {"filter": old_name, "snapshot-id": refs["first"].snapshot_id})
    planning.check("branched")


TABLES_WITH_APPENDS = (
    "many_small_manifests", "rewritten_manifests", "three_specs", "evolved_schema", "position_deletes", "branched", "compacted",
)  # fmt: skip


@pytest.mark.parametrize("name", TABLES_WITH_APPENDS)
@pytest.mark.xfail(harness.REFERENCE, reason="reference server: takes the start for inclusive", strict=False)
def test_appends_between_snapshots(planning, name):
    """No deletes: an incremental scan returns only files that were appended."""
    ids = [snapshot.snapshot_id for snapshot in planning.place.table(name).metadata.snapshots]
    pairs = {(ids[0], ids[-1]), (ids[0], ids[1]), (ids[-2], ids[-1]), (ids[len(ids) // 2], ids[-1])}
    pairs |= {(ids[-1], ids[0]), (ids[1], ids[1])}
    filters, _ = planning.filters(name, 4)
    for start, end in sorted(pairs):
        for filter in filters:
            planning.compare(name, {"filter": filter, "start-snapshot-id": start, "end-snapshot-id": end})
    planning.check(name)


# --- Names ------------------------------------------------------------------


def swapped(filter):
    """Returns the filter with the case of its names swapped."""
    if not isinstance(filter, dict):
        return filter
    return {
        key: value.swapcase() if key == "term" and isinstance(value, str) else swapped(value) if isinstance(value, dict) else value
        for key, value in filter.items()
    }


TABLES_WITH_NAMES = ("v2_primitives", "three_specs", "buckets", "evolved_in_pyiceberg", "nested_lists_and_maps", "partitioned_by_nested")


@pytest.mark.parametrize("name", TABLES_WITH_NAMES)
def test_names_match_in_any_case_on_request(planning, name):
    filters, _ = planning.filters(name)
    for filter in filters:
        planning.compare(name, {"filter": swapped(filter), "case-sensitive": False})
        planning.compare(name, {"filter": swapped(filter)})
    planning.check(name)


def test_an_ambiguous_name_is_refused(planning):
    for name in ("id", "ID", "Id"):
        with pytest.raises(plans.Refused):
            scan = {"filter": {"type": "eq", "term": name, "value": 1}, "case-sensitive": False}
            planning.planner.plan(planning.place.identifier("odd_names"), scan)


def test_a_table_with_an_unusual_name_is_planned(planning, place):
    schema = pa.schema([("id", pa.int32())])
    place.create("söme/táble %2F.+ '", schema).append(harness.arrow([(1,)], schema))
    deletes, _ = planning.planner.plan(place.identifier("söme/táble %2F.+ '"), {})
    assert len(deletes) == 1


@pytest.mark.skipif(harness.REFERENCE, reason="catalog time travel is Firn's own")
def test_scans_of_the_past_of_the_catalog_are_planned(place):
    """The plans are those of the instant, although the request is a POST."""
    schema = pa.schema([("id", pa.int32())])
    table = place.create("t", schema)
    table.append(harness.arrow([(1,)], schema))
    time.sleep(0.005)
    instant = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    time.sleep(0.005)
    table.append(harness.arrow([(2,)], schema))
    assert len(plans.Planner().plan(place.identifier("t"), {})[0]) == 2
    past = plans.Planner(f"{harness.WAREHOUSE}@{instant}")
    assert len(past.plan(place.identifier("t"), {})[0]) == 1
    with pytest.raises(plans.Refused):
        past.plan(place.identifier("t"), {"snapshot-id": place.table("t").current_snapshot().snapshot_id})


# --- The request ------------------------------------------------------------

REFUSED_FILTERS = [
    {"type": "eq", "term": "nowhere", "value": 1},
    {"type": "eq", "term": "id"},
    {"type": "eq", "term": "id", "value": "not a number"},
    {"type": "eq", "term": "id", "value": None},
    {"type": "eq", "term": "id", "value": 1.5},
    {"type": "eq", "term": "id", "values": [1]},
    {"type": "in", "term": "id", "value": 1},
    {"type": "is-null", "term": "id", "value": 1},
    {"type": "starts-with", "term": "id", "value": "1"},
    {"type": "is-nan", "term": "id"},
    {"type": "and", "left": True},
    {"type": "not"},
    {"type": "like", "term": "s", "value": "a%"},
    {"type": "eq", "term": {"type": "transform", "transform": "day", "term": "id"}, "value": 1},
    {"type": "eq", "term": {"type": "transform", "transform": "magic", "term": "id"}, "value": 1},
    "id = 1",
    7,
    [],
]


@pytest.mark.parametrize("filter", REFUSED_FILTERS, ids=str)
@pytest.mark.xfail(harness.REFERENCE, reason="reference server: answers 500 or takes it", strict=False)
def test_a_filter_that_java_refuses_is_refused(planning, filter):
    planning.compare("three_specs", {"filter": filter})
    planning.check("three_specs")


@pytest.mark.parametrize("literal", [
    {"filter": {"type": "literal", "value": True}},
    {"filter": {"type": "EQ", "term": "id", "value": {"type": "literal", "value": 1}}},
    {"filter": {"type": "not-in", "term": {"type": "reference", "term": "s"}, "values": [{"type": "literal", "value": "a"}]}},
    {"filter": {"type": "lt", "term": "id", "value": 3000000000}},
    {"filter": {"type": "gt", "term": "id", "value": -3000000000}},
    {"filter": {"type": "in", "term": "id", "values": [3000000000, 1]}},
    {"filter": {"type": "in", "term": "id", "values": []}},
    {"filter": {"type": "not-in", "term": "id", "values": []}},
    {},
], ids=str)  # fmt: skip
def test_equivalent_filters(planning, literal):
    planning.compare("three_specs", literal)
    planning.check("three_specs")


@pytest.mark.parametrize("name, literal", [
    ("identity_timestamptz", {"type": "eq", "term": "p", "value": "2024-02-29T23:59:59.999999"}),
    ("identity_timestamptz", {"type": "gt", "term": "p", "value": "2024-02-29T00:00:00"}),
])  # fmt: skip
@pytest.mark.xfail(harness.REFERENCE, reason="reference server: requires an offset", strict=True)
def test_timestamps_with_time_zone_may_omit_the_offset(planning, name, literal):
    """PyIceberg writes them in this form and means UTC; Java refuses them."""
    deletes, _ = planning.planner.plan(planning.place.identifier(name), {"filter": literal})
    assert len(deletes) == 2


@pytest.mark.parametrize("operation, value", [("gt", 1e300), ("lt", -1e300)])
@pytest.mark.xfail(harness.REFERENCE, reason="reference server: Java finds no float there", strict=True)
def test_infinity_is_beyond_every_float(planning, operation, value):
    deletes, _ = planning.planner.plan(
        planning.place.identifier("v2_primitives"), {"filter": {"type": operation, "term": "f", "value": value}}
    )
    # For Spark, NaN is beyond every float as well. All rows have to be evaluated, because Spark's own
    # planning prunes the files.
    sign = {"gt": ">", "lt": "<"}[operation]
    [found] = planning.place.spark(
        f"SELECT count(DISTINCT IF(f {sign} {value!r}D, _file, NULL)) AS files FROM @v2_primitives"
    ).to_pylist()
    assert len(deletes) == found["files"] > 0


@pytest.mark.parametrize("select", [["id"], ["id", "_file", "_pos", "nowhere"], []], ids=str)
def test_a_selection_changes_no_plan(planning, select):
    """Java's client also names metadata columns and fields inside of lists."""
    table = planning.place.identifier("position_deletes")
    assert planning.planner.plan(table, {"select": select})[0] == planning.planner.plan(table, {})[0]


def test_statistics_are_sent_for_the_requested_fields(planning):
    table = planning.place.identifier("v2_primitives")
    schema = planning.place.table("v2_primitives").schema()
    expected_ids = {schema.find_field(name).field_id for name in ("i", "d")}
    for answer in planning.planner.responses(table, {"stats-fields": ["i", "d"]}):
        for task in answer["file-scan-tasks"]:
            file = task["data-file"]
            assert expected_ids <= set(file["value-counts"]["keys"])
            for counts in ("value-counts", "null-value-counts", "lower-bounds", "upper-bounds"):
                assert len(file.get(counts, {}).get("keys", [])) == len(file.get(counts, {}).get("values", []))


@pytest.mark.parametrize("name", ["many_small_manifests", "position_deletes", "equality_deletes", "deletion_vectors"])
@pytest.mark.parametrize("rows", [0, 1, 7, 1000])
@pytest.mark.xfail(harness.REFERENCE, reason="reference server: takes a file for a row", strict=False)
def test_a_plan_contains_as_many_rows_as_are_requested(planning, name, rows):
    """If there are so many; deleted rows do not count."""
    table = planning.place.identifier(name)
    row_counts = planning.java.call("match", table)["rows"]
    planned = planning.planner.plan(table, {"min-rows-requested": rows})[0]
    assert sum(row_counts.get(path, 0) for path in planned) >= min(rows, sum(row_counts.values()))


@pytest.mark.parametrize("request_body", [
    {"snapshot-id": 1},
    {"start-snapshot-id": 1},
    {"end-snapshot-id": 1},
    {"start-snapshot-id": 1, "end-snapshot-id": 2},
    {"snapshot-id": 1, "start-snapshot-id": 1, "end-snapshot-id": 2},
    {"min-rows-requested": -1},
    {"case-sensitive": "yes"},
], ids=str)  # fmt: skip
@pytest.mark.xfail(harness.REFERENCE, reason="reference server: takes some of them", strict=False)
def test_an_invalid_request_is_refused(planning, request_body):
    table = planning.place.identifier("three_specs")
    status, answer = planning.planner.call("POST", f"{planning.planner.path(table)}/plan", request_body)
    if (status, answer.get("status")) == (200, "submitted"):
        with pytest.raises(plans.Refused):
            planning.planner.wait(table, answer)
    else:
        assert status in (400, 404) and answer["error"]["type"], answer


def test_a_missing_table_is_not_planned(planning):
    path = planning.planner.path(planning.place.identifier("nowhere"))
    status, answer = planning.planner.call("POST", f"{path}/plan", {})
    assert (status, answer["error"]["type"]) == (404, "NoSuchTableException")


# --- Responses --------------------------------------------------------------


@pytest.mark.parametrize("name", tables(*VECTORS, "void_after_dropping_a_field_of_v1", "dropped_partition_source"))
def test_every_file_is_sent_in_the_protocols_form(planning, name):
    """Requirements of Java's and PyIceberg's parsers, and of the protocol where neither parser checks them.
    """
    metadata = planning.place.table(name).metadata
    specs = {spec.spec_id: len(spec.fields) for spec in metadata.partition_specs}
    for answer in planning.planner.responses(planning.place.identifier(name), {}):
        assert None not in answer.values()
        deletes, tasks = answer.get("delete-files", []), answer.get("file-scan-tasks", [])
        assert tasks or not deletes
        used = {index for task in tasks for index in task.get("delete-file-references", [])}
        assert used == set(range(len(deletes))), "a delete file that no task names"
        for task in tasks:
            assert "residual-filter" in task
            assert task["data-file"]["content"] == "data"
        for file in [*deletes, *(task["data-file"] for task in tasks)]:
            assert None not in file.values()
            assert len(file["partition"]) == specs[file["spec-id"]]
            assert file["file-format"] == file["file-format"].lower()
            assert file["record-count"] >= 0 and file["file-size-in-bytes"] > 0
            if file["content"] == "equality-deletes":
                assert file["equality-ids"]
            if file["file-format"] == "puffin":
                assert file["content"] == "position-deletes"
                assert {"referenced-data-file", "content-offset", "content-size-in-bytes"} <= file.keys()
        if metadata.format_version >= 3:
            assert all("first-row-id" in task["data-file"] for task in tasks)


# --- Plans that take several requests ----------------------------------------

is_async = pytest.mark.skipif("async" not in plans.PLANNING, reason="the server plans at once: FIRN_PLANNING=async")
is_paged = pytest.mark.skipif("paged" not in plans.PLANNING, reason="the server sends whole plans: FIRN_PLANNING=paged")


@is_async
def test_a_submitted_plan_completes(planning):
    table = planning.place.identifier("many_small_manifests")
    first = planning.planner.submit(table, {})
    assert first["status"] == "submitted" and first["plan-id"]
    assert not first.keys() & {"file-scan-tasks", "delete-files", "plan-tasks", "error"}
    last = planning.planner.wait(table, first)
    assert last["status"] == "completed"
    assert planning.planner.fetch(table, first["plan-id"])[1]["status"] == "completed", "it can be fetched again"


@is_async
def test_a_cancelled_plan_is_cancelled(planning):
    """A plan may already be completed; afterwards it is cancelled or forgotten."""
    table = planning.place.identifier("many_small_manifests")
    plan_id = planning.planner.submit(table, {})["plan-id"]
    assert planning.planner.cancel(table, plan_id)[0] == 204
    status, answer = planning.planner.fetch(table, plan_id)
    assert (status, answer.get("status")) == (200, "cancelled") or answer["error"]["type"] == "NoSuchPlanIdException"


@is_paged
def test_the_tasks_of_a_plan_can_be_fetched_in_any_order(planning):
    table = planning.place.identifier("many_small_manifests")
    first = planning.planner.wait(table, planning.planner.submit(table, {}))
    tokens, paths = list(first["plan-tasks"]), [task["data-file"]["file-path"] for task in first.get("file-scan-tasks", [])]
    while tokens:
        status, answer = planning.planner.tasks(table, tokens.pop())
        assert status == 200 and ("file-scan-tasks" in answer or "plan-tasks" in answer)
        paths += [task["data-file"]["file-path"] for task in answer.get("file-scan-tasks", [])]
        tokens += answer.get("plan-tasks", [])
    assert planning.planner.pages or len(first["plan-tasks"]) > 1, "one page is no test"
    assert sorted(paths) == sorted(planning.java.plan(table, {})[0])


@is_paged
def test_a_plan_is_not_affected_by_later_commits(place):
    """In spite of commits between two requests for the plan."""
    planner = plans.Planner()
    schema = pa.schema([("id", pa.int64())])
    table = place.create("t", schema)
    for key in range(6):
        table.append(harness.arrow([(key,)], schema))
    responses = planner.responses(place.identifier("t"), {})
    paths = [task["data-file"]["file-path"] for task in next(responses).get("file-scan-tasks", [])]
    place.table("t").delete("id < 3")
    for answer in responses:
        paths += [task["data-file"]["file-path"] for task in answer.get("file-scan-tasks", [])]
    assert len(paths) == 6


@is_paged
def test_a_task_of_one_table_is_refused_for_another(planning):
    table = planning.place.identifier("many_small_manifests")
    first = planning.planner.wait(table, planning.planner.submit(table, {}))
    status, answer = planning.planner.tasks(planning.place.identifier("three_specs"), first["plan-tasks"][0])
    assert (status, answer["error"]["type"]) == (404, "NoSuchPlanTaskException")


def test_unknown_plans_and_tasks(planning):
    table = planning.place.identifier("three_specs")
    status, answer = planning.planner.fetch(table, "no such plan/%")
    assert (status, answer["error"]["type"]) == (404, "NoSuchPlanIdException")
    assert planning.planner.cancel(table, "no such plan")[0] in (204, 404)
    status, answer = planning.planner.tasks(table, "no such task")
    assert (status, answer["error"]["type"]) == (404, "NoSuchPlanTaskException")


class FaultyPlanner:
    """Planner with Java's plans, except for one error."""

    def __init__(self, java, damage):
        self.java, self.damage = java, damage

    def plan(self, table, request):
        deletes, residuals = self.java.plan(table, request)
        self.damage(deletes, residuals)
        return deletes, residuals


DAMAGES = {
    "rows lost": lambda deletes, residuals: deletes.pop(max(deletes)),
    "other deletes": lambda deletes, residuals: deletes[next(path for path in deletes if deletes[path])].pop(),
    "wrong residual": lambda deletes, residuals: residuals.update(dict.fromkeys(residuals, {"type": "lt", "term": "id", "value": 5})),
    "more files than Java plans": lambda deletes, residuals: deletes.update({"file:/nowhere": []}),
}


@pytest.mark.skipif(harness.REFERENCE, reason="the residuals of Iceberg's reference server are not checked")
@pytest.mark.parametrize("problem", DAMAGES)
def test_the_comparison_detects(planning, problem):
    tally = plans.Tally()
    table, planner = planning.place.identifier("position_deletes"), FaultyPlanner(planning.java, DAMAGES[problem])
    plans.compare(tally, planning.java, table, {"filter": True}, planner)
    assert [found["problem"] for found in tally.problems] == [problem]


def test_enough_was_compared(planning):
    """Last test: a run with few comparisons would find few errors. Skipped with a part of the file, or with
    -k.
    """
    counts = planning.tally.counts
    if counts.get("scans", 0) < 500:
        pytest.skip("not the whole file was run")
    assert counts["files"] > 1000 and counts["deletes"] > 100 and counts["compared with PyIceberg"] > 25 * plans.FILTERS
    assert counts.get("refused", 0) < counts["scans"] / 5
