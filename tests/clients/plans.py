"""Plans of the same scan by the catalog, by Java and by PyIceberg, and what the tables hold."""

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
    """The planner did not accept the scan."""


class Broken(Refused):
    """The planner fell over the scan, and so says nothing about it."""


# Where Java is known to err, and how it shows.
JAVA = {
    "breaks": lambda error, scan: isinstance(error, Broken),
    # `Identity.project` does not look at the term: `bucket[4](s) = 1` becomes `s = 1` in a partition by s, which does not
    # bind, or prunes the wrong files where both are numbers.
    "takes a transform of a partition's column for the column": lambda error, scan: (
        "Invalid value for conversion to type" in str(error) and '"type": "transform"' in json.dumps(scan)
    ),
}

# What Java's planning raises on purpose.
REFUSALS = ("ValidationException", "IllegalArgumentException", "BadRequestException", "UnsupportedOperationException")


class Java:
    """Iceberg's Java library, see PlanOracle.java."""

    def __init__(self):
        self.process = subprocess.Popen(
            [ORACLE, harness.URI, harness.WAREHOUSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, op, table, **arguments):
        self.process.stdin.write(json.dumps({"op": op, "table": list(table), **arguments}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if error := answer.get("error"):
            raise (Refused if error["type"] in REFUSALS else Broken)(f"{error['type']}: {error['message']}")
        return answer

    def plan(self, table, scan, remote=False):
        """Deletes by data file, and residuals by data file. A file may be planned once only."""
        tasks = self.ask("plan", table, remote=remote, **scan)["tasks"]
        deletes = {task["path"]: sorted(map(tuple, task["deletes"]), key=repr) for task in tasks}
        assert len(deletes) == len(tasks), f"a file is planned twice: {tasks}"
        return deletes, {task["path"]: task["residual"] for task in tasks}

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


class Place(harness.Place):
    """A place in which Java writes equality deletes, too."""

    java = None

    def delete_equal(self, table, columns, rows, spec=None, partition=None):
        request = {"columns": columns, "rows": rows}
        if spec is not None:
            request["spec-id"] = spec
        if partition is not None:
            request["partition"] = partition
        self.java.ask("delete", self.identifier(table), **request)


# --- The catalog ------------------------------------------------------------


class Planner(differential.Catalog):
    """Plans over plain HTTP, so that everything that the server says is seen."""

    def __init__(self, warehouse=harness.WAREHOUSE):
        super().__init__(harness.URI, warehouse)
        self.pages = self.polls = 0

    def path(self, table):
        quoted = [differential.urllib.parse.quote(level, safe="") for level in table]
        return f"{self.base}/namespaces/{'%1F'.join(quoted[:-1])}/tables/{quoted[-1]}"

    def submit(self, table, request):
        try:
            status, answer = self.call("POST", f"{self.path(table)}/plan", request)
        except json.JSONDecodeError as error:  # The reference server appends its error to what it has written so far.
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
        """What a plan comes to; polls one that was submitted, whose mistakes are told then."""
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
        """The completed response and one for every plan task, in the order they were asked for."""
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
        """As `Java.plan`."""
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
    """A scan of Java's as the request of the protocol: a tag or a snapshot is read with its own schema, a branch is not."""
    request = {key: value for key, value in scan.items() if key not in ("ref", "branch-snapshot-id")}
    if "ref" in scan:
        request |= {"snapshot-id": scan["branch-snapshot-id"], "use-snapshot-schema": False}
    elif "snapshot-id" in scan:
        request["use-snapshot-schema"] = True
    return request


# --- Comparison -------------------------------------------------------------


class Tally:
    """Counts of what was compared, and the disagreements, each a dict that can be read alone."""

    def __init__(self):
        self.counts, self.problems, self.java_loses = {}, [], []

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
    """Plans the scan by Java, and by the catalog if there is a planner or Java is to ask it; what Java refuses, all refuse.

    `maybe_nan` has, by column, the files in which it holds NaN or may do so because nobody has counted it: the catalog plans these
    where a filter names the column, because some engines take NaN for greater than all else.
    Gives the right deletes by data file, and the number of rows that pass the filter by data file.
    """
    tally.count("scans")
    theirs, java_says = attempt(java.plan, table, scan)
    if planner is None and not remote:
        ours, we_say = theirs, java_says
    elif remote:
        ours, we_say = attempt(java.plan, table, scan, remote=True)
    else:
        ours, we_say = attempt(planner.plan, table, as_request(scan))
    facts = {"table": table[-1], "scan": scan}
    java_errs = [reason for reason, applies in JAVA.items() if java_says and applies(java_says, scan)]
    if java_errs or isinstance(we_say, Broken) and harness.REFERENCE:
        for reason in java_errs:
            tally.count(f"Java {reason}")
        if ours is None or "start-snapshot-id" in scan:
            return None
        theirs = ours
    if theirs is None or ours is None:
        tally.count("refused")
        if (theirs is None) != (ours is None):
            tally.problem("one refuses", java=str(java_says), catalog=str(we_say), **facts)
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
            # Java does not look into long lists, nor behind transforms.
            question = {key: scan[key] for key in ("filter", "case-sensitive") if key in scan}
            truth = java.ask("match", table, appended=True, **question)
            more = {path for path in more if not truth["possible"].get(path)}
            fewer = {path for path in fewer if truth["rows"].get(path)}
        if more or fewer:
            tally.problem("other files", catalog_only=sorted(more), java_only=sorted(fewer), **facts)
        return None
    truth = java.ask("match", table, **scan, residuals=our_residuals)
    with_rows = {path for path, rows in truth["rows"].items() if rows}
    # The reference server loses what Java loses.
    if lost := fewer & with_rows if harness.REFERENCE and not java_errs else with_rows - our_deletes.keys():
        tally.problem("rows lost", files=sorted(lost), **facts)
    # Java compares UUIDs as signed numbers, and believes DuckDB's partition summaries; its plans of such are no measure.
    unneeded = {path for path in more if not truth["possible"].get(path)}
    # And to it no float is beyond the greatest finite one, for which 1e300 stands in `plan_filters.py`.
    asks_for_infinity = "1e+300" in json.dumps(scan)
    if for_nan := unneeded & files_with_nan(scan, maybe_nan or {}):
        tally.count("files planned for NaN", len(for_nan))
        unneeded -= for_nan
    if unneeded and not any(name in table[-1] for name in ("uuid", "identity_in_duckdb")) and not asks_for_infinity:
        tally.problem("more files than Java plans", files=sorted(unneeded), **facts)
    tally.count("files pruned that Java plans", len(fewer - with_rows))
    if lost := with_rows - their_deletes.keys():
        tally.count("files with rows that Java does not plan", len(lost))
        tally.java_loses.append({"files": sorted(lost), **facts})
    tally.count("files planned without a row", sum(not truth["rows"].get(path) for path in our_deletes))
    # Java's residuals, also those that it makes of the catalog's, take a null partition value for less than any other.
    if truth["wrong-residuals"] and planner is not None and not harness.REFERENCE and not asks_for_infinity:
        wrong = {path: our_residuals[path] for path in truth["wrong-residuals"]}
        tally.problem("wrong residual", residuals=wrong, **facts)
    return our_deletes, truth["rows"]


def files_with_nan(scan, maybe_nan):
    """Files in which a column that the filter names may hold NaN."""
    text = json.dumps(scan.get("filter"))
    if not scan.get("case-sensitive", True):
        text, maybe_nan = text.lower(), {name.lower(): paths for name, paths in maybe_nan.items()}
    return {path for name, paths in maybe_nan.items() if json.dumps(name) in text for path in paths}


def compare_pyiceberg(tally, table, scan, expression, ours, rows):
    """PyIceberg's own plan against one that is known to be right."""
    arguments = {"row_filter": expression, "case_sensitive": scan.get("case-sensitive", True)}
    if "snapshot-id" in scan:
        arguments["snapshot_id"] = scan["snapshot-id"]
    try:
        tasks = list(table.scan(**arguments).plan_files())
    except Exception as error:  # Whatever it raises, it is the client's.
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

# How the server was told to plan: `async` answers every plan with `submitted`, `paged` puts few files into a response; both
# may be, with a comma.
PLANNING = os.environ.get("FIRN_PLANNING", "").split(",")


class Planning:
    """The tables, and everyone who plans on them. FIRN_SEED repeats a run, FIRN_FILTERS is how many filters a table gets."""

    def __init__(self, namespace, engines):
        self.java, self.planner, self.tally = Java(), Planner(), Tally()
        self.place = Place(namespace, engines["pyiceberg"], engines["duckdb"], engines["spark"])
        self.place.java = self.java
        plan_tables.build(self.place)
        # By table and column, see `compare`.
        self.maybe_nan = {}
        # What became of the tables once they are done with.
        self.rewrites, self.unread = [], []

    def filters(self, name, count=FILTERS, **scan):
        """A table's filters, the same for the same seed, and its columns' types by name."""
        described = self.java.ask("columns", self.place.identifier(name), **scan)
        source = plan_filters.Filters(random.Random(f"{SEED}/{name}/{count}"), described["columns"], described["partition-fields"])
        types = {column["name"]: column["type"] for column in described["columns"]}
        known = self.maybe_nan.setdefault(name, {})
        for column in described["columns"]:
            known.setdefault(column["name"], set()).update(column.get("maybe-nan", ()))
        return [True, *(source.next() for _ in range(count))], types

    def compare(self, name, scan, remote=False):
        planner = None if remote else self.planner
        maybe_nan = self.maybe_nan.get(name)
        return compare(self.tally, self.java, self.place.identifier(name), scan, planner, remote, maybe_nan)

    def check(self, facts):
        """Fails with the problems since the last check."""
        found, self.tally.problems = self.tally.problems, []
        assert not found, f"seed {SEED}, {facts}: {json.dumps(found[:3])}"
