"""Plans of the same scan by the catalog, by Java and by PyIceberg, compared with the content of the tables.
"""

import json
import os
import random
import subprocess
import time
from pathlib import Path

import differential
import harness
import plan_filters
import plan_tables

ORACLE = Path(__file__).resolve().parent.parent / "rck" / "plan-oracle"


class Refused(Exception):
    """Refusal of a scan by the planner."""


class Broken(Refused):
    """Unexpected failure of the planner, so that its plan is unknown."""


# Known errors of Java, and how to recognise them.
JAVA = {
    "breaks": lambda error, scan: isinstance(error, Broken),
    # `Identity.project` ignores the transform of the term: `bucket[4](s) = 1` becomes `s = 1` in a table
    # partitioned by s. This cannot be bound, or prunes the wrong files if both are numbers.
    "takes a transform of a partition's column for the column": lambda error, scan: (
        "Invalid value for conversion to type" in str(error) and '"type": "transform"' in json.dumps(scan)
    ),
}

# Exceptions with which Java refuses a scan.
REFUSALS = ("ValidationException", "IllegalArgumentException", "BadRequestException", "UnsupportedOperationException")


class Java:
    """Iceberg's Java library, see PlanOracle.java."""

    def __init__(self):
        self.process = subprocess.Popen(
            [ORACLE, harness.URI, harness.WAREHOUSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def call(self, op, table, **arguments):
        self.process.stdin.write(json.dumps({"op": op, "table": list(table), **arguments}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if error := answer.get("error"):
            raise (Refused if error["type"] in REFUSALS else Broken)(f"{error['type']}: {error['message']}")
        return answer

    def plan(self, table, scan, remote=False):
        """Returns the deletes and the residuals by data file. A file may be planned only once."""
        tasks = self.call("plan", table, remote=remote, **scan)["tasks"]
        deletes = {task["path"]: sorted(map(tuple, task["deletes"]), key=repr) for task in tasks}
        assert len(deletes) == len(tasks), f"a file is planned twice: {tasks}"
        return deletes, {task["path"]: task["residual"] for task in tasks}

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


class Place(harness.Place):
    """Place in which Java can write equality deletes as well."""

    java = None

    def delete_equal(self, table, columns, rows, spec=None, partition=None):
        request = {"columns": columns, "rows": rows}
        if spec is not None:
            request["spec-id"] = spec
        if partition is not None:
            request["partition"] = partition
        self.java.call("delete", self.identifier(table), **request)


# --- The catalog ------------------------------------------------------------


class Planner(differential.Catalog):
    """Plans scans over plain HTTP, so that the complete responses of the server can be checked."""

    def __init__(self, warehouse=harness.WAREHOUSE):
        super().__init__(harness.URI, warehouse)
        self.pages = self.polls = 0

    def path(self, table):
        quoted = [differential.urllib.parse.quote(level, safe="") for level in table]
        return f"{self.base}/namespaces/{'%1F'.join(quoted[:-1])}/tables/{quoted[-1]}"

    def submit(self, table, request):
        try:
            status, answer = self.call("POST", f"{self.path(table)}/plan", request)
        except json.JSONDecodeError as error:  # The reference server appends an error to a partial response.
            raise Broken(str(error)) from error
        if status >= 500 and harness.REFERENCE:
            raise Broken(answer["error"]["message"])
        if status == 400 or (status == 404 and any("snapshot" in key for key in request)):
            raise Refused(answer["error"]["message"])
        assert status == 200, f"{status} for {request}: {answer}"
        return answer

    def fetch(self, table, plan_id):
        return self.call("GET", f"{self.path(table)}/plan/{differential.urllib.parse.quote(plan_id, safe='')}")

    def cancel(self, table, plan_id):
        return self.call("DELETE", f"{self.path(table)}/plan/{differential.urllib.parse.quote(plan_id, safe='')}")

    def tasks(self, table, plan_task):
        return self.call("POST", f"{self.path(table)}/tasks", {"plan-task": plan_task})

    def wait(self, table, answer):
        """Returns the completed plan; polls a submitted one, whose errors are reported only then."""
        plan_id, patience = answer.get("plan-id"), time.monotonic() + 60
        while answer["status"] == "submitted":
            assert time.monotonic() < patience, f"plan {plan_id} does not end"
            self.polls += 1
            time.sleep(0.02)
            status, answer = self.fetch(table, plan_id)
            assert status == 200, answer
        if answer["status"] == "failed" and answer["error"]["code"] == 400:
            raise Refused(answer["error"]["message"])
        return answer

    def responses(self, table, request):
        """Yields the completed response, and one for each plan task, in the order of the requests."""
        answer = self.wait(table, self.submit(table, request))
        assert answer["status"] == "completed", answer
        yield answer
        rest = list(answer.get("plan-tasks", []))
        while rest:
            self.pages += 1
            status, answer = self.tasks(table, rest.pop(0))
            assert status == 200, answer
            yield answer
            rest += answer.get("plan-tasks", [])

    def plan(self, table, request):
        """Plans a scan, with the same results as `Java.plan`."""
        deletes, residuals = {}, {}
        for answer in self.responses(table, request):
            files = answer.get("delete-files", [])
            for task in answer.get("file-scan-tasks", []):
                path = task["data-file"]["file-path"]
                assert path not in deletes, f"{path} is planned twice"
                used = (files[index] for index in task.get("delete-file-references", []))
                deletes[path] = sorted(((file["file-path"], file.get("content-offset")) for file in used), key=repr)
                residuals[path] = task["residual-filter"]
        return deletes, residuals


def as_request(scan):
    """Converts a scan in Java's form to a request: tags and snapshots are read with their own schema,
    branches are not.
    """
    request = {key: value for key, value in scan.items() if key not in ("ref", "branch-snapshot-id")}
    if "ref" in scan:
        request |= {"snapshot-id": scan["branch-snapshot-id"], "use-snapshot-schema": False}
    elif "snapshot-id" in scan:
        request["use-snapshot-schema"] = True
    return request


# --- Comparison -------------------------------------------------------------


class Tally:
    """Numbers of comparisons, and the disagreements, each of them a self-contained dict."""

    def __init__(self):
        self.counts, self.problems, self.java_losses = {}, [], []

    def count(self, what, by=1):
        self.counts[what] = self.counts.get(what, 0) + by

    def problem(self, what, **facts):
        self.count(f"PROBLEM {what}")
        self.problems.append({"problem": what, **facts})


def attempt(plan, *arguments, **options):
    try:
        return plan(*arguments, **options), None
    except Refused as error:
        return None, error


def compare(tally, java, table, scan, planner=None, remote=False, maybe_nan=None):
    """Compares the plans of a scan by Java and by the catalog.

    The catalog plans it if there is a `planner`, or, with `remote`, for Java's client. A scan that Java
    refuses must be refused by all. `maybe_nan` lists, by column, the files that contain NaN, or may because
    NaN was not counted: the catalog plans these if a filter names the column, because some engines consider
    NaN greater than all other values.

    Returns the right deletes by data file, and the number of rows that pass the filter by data file.
    """
    tally.count("scans")
    theirs, java_error = attempt(java.plan, table, scan)
    if planner is None and not remote:
        ours, our_error = theirs, java_error
    elif remote:
        ours, our_error = attempt(java.plan, table, scan, remote=True)
    else:
        ours, our_error = attempt(planner.plan, table, as_request(scan))
    facts = {"table": table[-1], "scan": scan}
    java_errors = [reason for reason, applies in JAVA.items() if java_error and applies(java_error, scan)]
    if java_errors or isinstance(our_error, Broken) and harness.REFERENCE:
        for reason in java_errors:
            tally.count(f"Java {reason}")
        if ours is None or "start-snapshot-id" in scan:
            return None
        theirs = ours
    if theirs is None or ours is None:
        tally.count("refused")
        if (theirs is None) != (ours is None):
            tally.problem("one refuses", java=str(java_error), catalog=str(our_error), **facts)
        return None
    (their_deletes, _), (our_deletes, our_residuals) = theirs, ours
    tally.count("files", len(their_deletes))
    if different := [path for path in our_deletes.keys() & their_deletes.keys() if our_deletes[path] != their_deletes[path]]:
        pairs = {path: {"catalog": our_deletes[path], "java": their_deletes[path]} for path in different}
        tally.problem("other deletes", deletes=pairs, **facts)
    tally.count("deletes", sum(map(len, their_deletes.values())))
    more, fewer = our_deletes.keys() - their_deletes.keys(), their_deletes.keys() - our_deletes.keys()
    if "start-snapshot-id" in scan:
        if more or fewer:
            # Java does not evaluate long lists, nor prune by transforms.
            filter_arguments = {key: scan[key] for key in ("filter", "case-sensitive") if key in scan}
            matches = java.call("match", table, appended=True, **filter_arguments)
            more = {path for path in more if not matches["possible"].get(path)}
            fewer = {path for path in fewer if matches["rows"].get(path)}
        if more or fewer:
            tally.problem("other files", catalog_only=sorted(more), java_only=sorted(fewer), **facts)
        return None
    matches = java.call("match", table, **scan, residuals=our_residuals)
    with_rows = {path for path, rows in matches["rows"].items() if rows}
    # The reference server loses the same rows as Java.
    if lost := fewer & with_rows if harness.REFERENCE and not java_errors else with_rows - our_deletes.keys():
        tally.problem("rows lost", files=sorted(lost), **facts)
    # Java compares UUIDs as signed numbers, and relies on DuckDB's wrong partition summaries; such plans are
    # not compared.
    unneeded = {path for path in more if not matches["possible"].get(path)}
    # Java considers no float greater than the greatest finite one; `plan_filters.py` uses 1e300 for that.
    asks_for_infinity = "1e+300" in json.dumps(scan)
    if for_nan := unneeded & files_with_nan(scan, maybe_nan or {}):
        tally.count("files planned for NaN", len(for_nan))
        unneeded -= for_nan
    if unneeded and not any(name in table[-1] for name in ("uuid", "identity_in_duckdb")) and not asks_for_infinity:
        tally.problem("more files than Java plans", files=sorted(unneeded), **facts)
    tally.count("files pruned that Java plans", len(fewer - with_rows))
    if lost := with_rows - their_deletes.keys():
        tally.count("files with rows that Java does not plan", len(lost))
        tally.java_losses.append({"files": sorted(lost), **facts})
    tally.count("files planned without a row", sum(not matches["rows"].get(path) for path in our_deletes))
    # Java's residuals, and those that it derives from the catalog's, order null partition values before all
    # others.
    if matches["wrong-residuals"] and planner is not None and not harness.REFERENCE and not asks_for_infinity:
        wrong = {path: our_residuals[path] for path in matches["wrong-residuals"]}
        tally.problem("wrong residual", residuals=wrong, **facts)
    return our_deletes, matches["rows"]


def files_with_nan(scan, maybe_nan):
    """Returns the files in which a column that the filter names may contain NaN."""
    text = json.dumps(scan.get("filter"))
    if not scan.get("case-sensitive", True):
        text, maybe_nan = text.lower(), {name.lower(): paths for name, paths in maybe_nan.items()}
    return {path for name, paths in maybe_nan.items() if json.dumps(name) in text for path in paths}


def compare_pyiceberg(tally, table, scan, expression, ours, rows):
    """Compares PyIceberg's own plan with one that is known to be right."""
    arguments = {"row_filter": expression, "case_sensitive": scan.get("case-sensitive", True)}
    if "snapshot-id" in scan:
        arguments["snapshot_id"] = scan["snapshot-id"]
    try:
        tasks = list(table.scan(**arguments).plan_files())
    except Exception as error:  # Every exception is an error of the client.
        tally.count(f"PyIceberg raises {type(error).__name__}")
        return {"pyiceberg": f"{type(error).__name__}: {error}"}
    tally.count("compared with PyIceberg")
    theirs = {task.file.file_path: sorted(file.file_path for file in task.delete_files) for task in tasks}
    tally.count("files PyIceberg plans for nothing", len(theirs.keys() - ours.keys()))
    found = {}
    if lost := [path for path, count in rows.items() if count and path not in theirs]:
        tally.count("PyIceberg loses rows")
        found["lost"] = lost
    both = theirs.keys() & ours.keys()
    if different := [path for path in both if theirs[path] != sorted({delete[0] for delete in ours[path]})]:
        tally.count("PyIceberg reads other deletes")
        found["deletes"] = {path: {"pyiceberg": theirs[path], "right": ours[path]} for path in different}
    return found


# --- Runs -------------------------------------------------------------------

SEED = harness.seed()
FILTERS = int(os.environ.get("FIRN_FILTERS", "8"))

# Configuration of the server: `async` answers every plan with `submitted`, `paged` returns few files in a
# response. Both are possible, separated by a comma.
PLANNING = os.environ.get("FIRN_PLANNING", "").split(",")


class Planning:
    """Tables and planners. FIRN_SEED repeats a run, FIRN_FILTERS is the number of filters for each table."""

    def __init__(self, namespace, engines):
        self.java, self.planner, self.tally = Java(), Planner(), Tally()
        self.place = Place(namespace, engines["pyiceberg"], engines["duckdb"], engines["spark"])
        self.place.java = self.java
        plan_tables.build(self.place)
        # By table and column, see `compare`.
        self.maybe_nan = {}
        # Reports of the rewrites of the tables, and the tables that an engine could not read.
        self.rewrites, self.unread = [], []

    def filters(self, name, count=FILTERS, **scan):
        """Returns filters for a table, the same for the same seed, and the types of its columns by name."""
        description = self.java.call("columns", self.place.identifier(name), **scan)
        source = plan_filters.Filters(random.Random(f"{SEED}/{name}/{count}"), description["columns"], description["partition-fields"])
        types = {column["name"]: column["type"] for column in description["columns"]}
        known = self.maybe_nan.setdefault(name, {})
        for column in description["columns"]:
            known.setdefault(column["name"], set()).update(column.get("maybe-nan", ()))
        return [True, *(source.next() for _ in range(count))], types

    def compare(self, name, scan, remote=False):
        planner = None if remote else self.planner
        maybe_nan = self.maybe_nan.get(name)
        return compare(self.tally, self.java, self.place.identifier(name), scan, planner, remote, maybe_nan)

    def check(self, facts):
        """Fails if there were problems since the last check."""
        found, self.tally.problems = self.tally.problems, []
        assert not found, f"seed {SEED}, {facts}: {json.dumps(found[:3])}"
