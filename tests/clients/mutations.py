#!/usr/bin/env python3
"""Mutates each part of a request, one value at a time, and checks that Java can load what the catalog
accepts.

    FIRN_URI=http://127.0.0.1:8181 FIRN_WAREHOUSE=main python mutations.py [SEED [REQUESTS]]

Each request is valid except for one member, which has another value: of another type, negative, too large,
null, or missing. Documents that the catalog accepts must be loaded by Iceberg's Java library, which must be
able to commit to them afterwards. Requests that the catalog refuses although Java would accept them are
counted by reason; `STRICTER` explains the reasons.
"""

import copy
import json
import random
import re
import subprocess
import sys
import time
import uuid
import warnings
from pathlib import Path
from urllib.parse import unquote, urlparse

from differential import Catalog, Java
from pyiceberg.table.metadata import TableMetadataUtil

LOAD_ORACLE = Path(__file__).resolve().parent.parent / "rck" / "load-oracle"

ABSENT = object()
VALUES = [
    None, ABSENT, "x", "", "1", "a\0b", 0, 1, -1, -2, 2**31, 2**63, 2**64, 1.0, 1.5, -1e300, True, False,
    [], {}, [None], ["x"], [1], [[]], {"x": 1}, {"x": "y"}, {"type": "x"},
]  # fmt: skip
TYPES = [
    "decimal (5,2)", "decimal( 5 , 2 )", "DECIMAL(5,2)", "decimal(39,1)", "decimal(5,2147483648)", "decimal(0,0)", " int",
    "int ", "INT", "fixed[2147483648]", "fixed[ 4 ]", "fixed [4]", "geometry", "geometry()", "geography(a, x)", "variant",
    "unknown", "timestamp_ns", "interval", "bucket[2147483648]", "bucket[0]", "bucket[+4]", "truncate[ 4 ]", "BUCKET[4]",
    "Identity", "day", "hour", "void", "year", "truncate[3]", "ASC", "NULLS-LAST", "sideways", "BRANCH", "append", "s", "id",
    "l.x", "l.element.x", "2007-12-03", "12:00", "0a0B", "1.50", "1e2", "2007-12-03T10:15:30", "2007-12-03T10:15:30Z",
]  # fmt: skip

# Refusals of requests that Java's parser would accept: a part of the message, and the reason.
STRICTER = {
    "`operation` is": "the specification has four operations, and PyIceberg reads no others",
    "not an acceptable location|inside the warehouse|overlaps": "files lie where tables of a warehouse may have them",
    "cannot validate|does not support": "unknown transforms and types are kept, but cannot be added",
    "cannot be read by all clients": "decimals without digits",
    "its name is empty": "such a reference could not be named",
    "`key-metadata` of the statistics": "the specification has a string, Java's parser does not check it",
    "is its own parent": "the history would not end",
    "of the table metadata has a wrong value": "lists are arrays; Java's parser takes what is none for an empty log",
    "is not a UUID": "Java's parser takes any text",
    "has the id of": "the partitions of such a table cannot be listed, in Java either",
}


class Loader:
    """Checks that Java loads a document."""

    def __init__(self):
        self.process = subprocess.Popen([LOAD_ORACLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def error(self, kind, document):
        self.process.stdin.write(json.dumps({kind: json.dumps(document)}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline()).get("error")

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def pyiceberg_error(document):
    """Returns the reason why PyIceberg cannot read a table; `None` if it can, or if the version is not
    supported yet.
    """
    if document["format-version"] > 2:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            TableMetadataUtil.parse_obj(copy.deepcopy(document))
    except Exception as error:  # Every exception is a refusal.
        return f"{type(error).__name__}: {error}"
    return None


# --- Valid requests ---------------------------------------------------------


def schema(version):
    """Returns a schema with a column of every kind of type."""
    fields = [
        {"id": 1, "name": "id", "required": True, "type": "int", "doc": "key"},
        {"id": 2, "name": "s", "required": False, "type": "string"},
        {"id": 3, "name": "at", "required": False, "type": "timestamptz"},
        {"id": 4, "name": "d", "required": False, "type": "decimal(5, 2)"},
        {"id": 5, "name": "l", "required": False, "type": {"type": "list", "element-id": 6, "element-required": False, "element":
            {"type": "struct", "fields": [{"id": 7, "name": "x", "required": False, "type": "date"}]}}},
        {"id": 8, "name": "m", "required": False, "type": {"type": "map", "key-id": 9, "key": "string", "value-id": 10,
            "value": "fixed[4]", "value-required": False}},
    ]  # fmt: skip
    if version == 3:
        fields += [
            {"id": 11, "name": "with_default", "required": False, "type": "long", "initial-default": 1, "write-default": 2},
            {"id": 12, "name": "day", "required": False, "type": "date", "initial-default": "2007-12-03"},
        ]
    return {"type": "struct", "schema-id": 0, "identifier-field-ids": [1], "fields": fields}


def snapshot(metadata):
    snapshot_id = random.getrandbits(62)
    made = {
        "snapshot-id": snapshot_id, "sequence-number": metadata.get("last-sequence-number", 0) + 1,
        "timestamp-ms": int(time.time() * 1000), "manifest-list": f"{metadata['location']}/metadata/snap-{snapshot_id}.avro",
        "schema-id": metadata["current-schema-id"], "summary": {"operation": "append", "added-records": "1"},
        "key-id": "k",
    }  # fmt: skip
    if metadata["format-version"] == 1:
        del made["sequence-number"]
    if metadata["format-version"] == 3:
        made |= {"first-row-id": metadata["next-row-id"], "added-rows": 3}
    if metadata.get("refs", {}).get("main"):
        made["parent-snapshot-id"] = metadata["refs"]["main"]["snapshot-id"]
    return made


def statistics(metadata, snapshot_id):
    file = {"snapshot-id": snapshot_id, "statistics-path": f"{metadata['location']}/metadata/x.stats", "file-size-in-bytes": 5}
    blob = {"type": "apache-datasketches-theta-v1", "snapshot-id": snapshot_id, "sequence-number": 1, "fields": [1], "properties": {"a": "b"}}
    whole = file | {"file-footer-size-in-bytes": 4, "blob-metadata": [blob], "key-metadata": "YQ=="}
    return [
        {"action": "set-statistics", "snapshot-id": snapshot_id, "statistics": whole},
        {"action": "set-partition-statistics", "partition-statistics": file},
    ]


def table_requests(metadata):
    """Returns commits that add something, by name. Each is valid for the metadata."""
    added = snapshot(metadata)
    move = {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": added["snapshot-id"],
            "min-snapshots-to-keep": 1, "max-snapshot-age-ms": 10**6}  # fmt: skip
    last_column, last_partition = metadata["last-column-id"], metadata["last-partition-id"]
    current = next(s for s in metadata["schemas"] if s["schema-id"] == metadata["current-schema-id"])
    wider = copy.deepcopy(current)
    wider["fields"].append({"id": last_column + 1, "name": f"c{last_column + 1}", "required": False, "type": "string", "doc": "new"})
    identity = 1000 if metadata["format-version"] == 1 else last_partition + 1
    spec = {"spec-id": 7, "fields": [{"source-id": 1, "field-id": identity, "name": f"p{last_partition}", "transform": "bucket[4]"}]}
    order = {"order-id": 7, "fields": [{"source-id": 2, "transform": "truncate[3]", "direction": "asc", "null-order": "nulls-first"}]}
    key = {"key-id": uuid.uuid4().hex, "encrypted-key-metadata": "YQ==", "encrypted-by-id": "k", "properties": {"a": "b"}}
    requests = {
        "schema": [{"action": "add-schema", "schema": wider, "last-column-id": last_column + 1},
                   {"action": "set-current-schema", "schema-id": -1}],
        "spec": [{"action": "add-spec", "spec": spec}, {"action": "set-default-spec", "spec-id": -1}],
        "order": [{"action": "add-sort-order", "sort-order": order}, {"action": "set-default-sort-order", "sort-order-id": -1}],
        "snapshot": [{"action": "add-snapshot", "snapshot": added}, move],
        "properties": [{"action": "set-properties", "updates": {"a": "b", "write.metadata.previous-versions-max": "5"}}],
        "key": [{"action": "add-encryption-key", "encryption-key": key}],
    }  # fmt: skip
    snapshots = metadata.get("snapshots", [])
    if snapshots:
        last = snapshots[-1]["snapshot-id"]
        files = statistics(metadata, last)
        tag = {"action": "set-snapshot-ref", "ref-name": "v1", "type": "tag", "snapshot-id": last, "max-ref-age-ms": 10**6}
        requests |= {"statistics": files[:1], "partition statistics": files[1:], "tag": [tag]}
    return requests


def creation(version):
    spec = {"spec-id": 0, "fields": [{"source-id": 1, "field-id": 1000, "name": "p", "transform": "bucket[4]"},
                                     {"source-id": 3, "field-id": 1001, "name": "at_day", "transform": "day"}]}  # fmt: skip
    order = {"order-id": 1, "fields": [{"source-id": 2, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}]}
    return {"name": "t", "schema": schema(version), "partition-spec": spec, "write-order": order,
            "properties": {"format-version": str(version), "write.metadata.previous-versions-max": "5"}}  # fmt: skip


def view():
    version = {
        "version-id": 1, "schema-id": 0, "timestamp-ms": int(time.time() * 1000), "summary": {"engine-name": "x"},
        "default-catalog": "c", "default-namespace": ["n"],
        "representations": [{"type": "sql", "sql": f"select {random.random()}", "dialect": "spark"}],
    }  # fmt: skip
    return {"name": "v", "schema": schema(2), "view-version": version, "properties": {"version.history.num-entries": "5"}}


def view_requests():
    made = view()
    version = made["view-version"] | {"schema-id": -1}
    return {
        "view version": [{"action": "add-schema", "schema": made["schema"], "last-column-id": 10},
                         {"action": "add-view-version", "view-version": version},
                         {"action": "set-current-view-version", "view-version-id": -1}],
        "view properties": [{"action": "set-properties", "updates": {"version.history.num-entries": "5"}}],
    }  # fmt: skip


# --- Mutations --------------------------------------------------------------


def places(value, path=()):
    """Yields the paths of all parts of a JSON value, except of the value itself and of the names of actions.
    """
    if isinstance(value, dict):
        inside = [(key, item) for key, item in value.items() if key != "action"]
    elif isinstance(value, list):
        inside = list(enumerate(value))
    else:
        inside = []
    for key, item in inside:
        yield (*path, key)
        yield from places(item, (*path, key))


def put(value, path, new):
    """Returns a copy with another value at a path."""
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if new is ABSENT:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return changed


def at(value, path):
    for key in path:
        value = value[key]
    return value


def mutations(value, choice, share):
    """Yields paths and new values for them: a random share of all."""
    for path in places(value):
        before = at(value, path)
        values = VALUES + (TYPES if isinstance(before, str) else [])
        if isinstance(before, list) and before:
            values = [*values, before * 2]
        for new in values:
            if choice.random() < share:
                yield path, new


# --- The run ----------------------------------------------------------------


class Run:
    def __init__(self, uri, warehouse, seed, share):
        self.catalog, self.java, self.loader = Catalog(uri, warehouse), Java(), Loader()
        self.choice, self.share = random.Random(seed), share
        self.problems, self.pyiceberg, self.unexplained, self.stricter, self.sent, self.accepted = [], [], [], {}, 0, 0
        self.namespace = f"mutations_{uuid.uuid4().hex[:12]}"
        self.catalog.require("POST", "namespaces", {"namespace": [self.namespace]})

    def close(self):
        self.loader.close()
        self.java.close()

    def send(self, method, path, body=None):
        self.sent += 1
        return self.catalog.call(method, f"{self.catalog.base}/namespaces/{self.namespace}{path}", body)

    def check_response(self, what, status, answer, kind, java_accepts):
        """Checks that an accepted response can be loaded by Java; other outcomes are recorded."""
        if status == 200:
            self.accepted += 1
            error = self.loader.error(kind, answer["metadata"])
            if error:
                self.problems.append({"sent": what, "java": error})
            elif kind == "table" and self.is_for_pyiceberg(what) and (error := pyiceberg_error(answer["metadata"])):
                self.pyiceberg.append({"sent": what, "pyiceberg": error})
            return error is None
        if status >= 500:
            self.problems.append({"sent": what, "status": status, "answer": answer})
        elif java_accepts():
            message = answer.get("error", {}).get("message", "").rpartition("cannot be used: ")[2]
            if not any(re.search(pattern, message) for pattern in STRICTER):
                self.unexplained.append({"sent": what, "message": message})
            self.stricter.setdefault(re.sub(r"`[^`]*`|\d+", "_", message), []).append(what)
        return False

    @staticmethod
    def is_for_pyiceberg(what):
        """Returns True if PyIceberg should read the result.

        It supports only two types of statistics, and reads from v1 metadata what others read from newer
        fields.
        """
        return what["request"] != "register" and what["at"][-1:] != ("type",)

    def tables(self, version):
        body = creation(version)
        base, location = None, None
        for name in [*table_requests(self.create(body)["metadata"]), "statistics", "partition statistics", "tag"]:
            base, location = None, None
            requests = table_requests(self.fresh(body, name)["metadata"])
            for path, new in list(mutations(requests[name], self.choice, self.share)):
                if base is None:
                    answer = self.fresh(body, name)
                    base, location = answer["metadata"], answer["metadata-location"]
                updates = table_requests(base)[name]
                try:
                    updates = put(updates, path, new)
                except (KeyError, IndexError):
                    continue
                status, answer = self.send("POST", "/tables/t", {"requirements": [], "updates": updates})
                what = {"version": version, "request": name, "at": path, "value": repr(new)}
                base_now, location_now = base, location

                def java_accepts():
                    metadata, _ = self.java.apply(base_now, location_now, updates)
                    return metadata is not None and self.loader.error("table", metadata) is None

                self.check_response(what, status, answer, "table", java_accepts)
                if status == 200:
                    base = None
        self.drop()

    def create(self, body):
        self.drop()
        status, answer = self.send("POST", "/tables", body)
        assert status == 200, answer
        return answer

    def fresh(self, body, name):
        """Creates a table, with a snapshot if the request needs one."""
        answer = self.create(body)
        if name in ("statistics", "partition statistics", "tag"):
            updates = table_requests(answer["metadata"])["snapshot"]
            status, answer = self.send("POST", "/tables/t", {"requirements": [], "updates": updates})
            assert status == 200, answer
        return answer

    def drop(self):
        self.send("DELETE", "/tables/t")

    def creations(self, version):
        body = creation(version)
        for path, new in list(mutations(body, self.choice, self.share)):
            if path[0] == "name":
                continue
            status, answer = self.send("POST", "/tables", put(body, path, new))
            what = {"version": version, "request": "create", "at": path, "value": repr(new)}
            self.check_response(what, status, answer, "table", lambda: False)
            if status == 200:
                self.drop()

    def views(self):
        body = view()
        for path, new in list(mutations(body, self.choice, self.share)):
            if path[0] == "name":
                continue
            status, answer = self.send("POST", "/views", put(body, path, new))
            self.check_response({"request": "create view", "at": path, "value": repr(new)}, status, answer, "view", lambda: False)
            if status == 200:
                self.send("DELETE", "/views/v")
        for name, updates in view_requests().items():
            for path, new in list(mutations(updates, self.choice, self.share)):
                self.send("DELETE", "/views/v")
                assert self.send("POST", "/views", view())[0] == 200
                changed = {"requirements": [], "updates": put(view_requests()[name], path, new)}
                status, answer = self.send("POST", "/views/v", changed)
                self.check_response({"request": name, "at": path, "value": repr(new)}, status, answer, "view", lambda: False)
        self.send("DELETE", "/views/v")

    def documents(self, version):
        """Registers metadata in which one value is mutated."""
        answer = self.fresh(creation(version), "tag")
        metadata = answer["metadata"]
        snapshot_id = metadata["snapshots"][-1]["snapshot-id"]
        key = table_requests(metadata)["key"]
        tag = {"action": "set-snapshot-ref", "ref-name": "v1", "type": "tag", "snapshot-id": snapshot_id, "max-ref-age-ms": 10**6}
        updates = [*statistics(metadata, snapshot_id), tag, *key]
        status, answer = self.send("POST", "/tables/t", {"requirements": [], "updates": updates})
        assert status == 200, answer
        document = answer["metadata"]
        self.drop()
        folder = Path(unquote(urlparse(document["location"]).path)) / "metadata"
        for number, (path, new) in enumerate(list(mutations(document, self.choice, self.share))):
            changed = put(document, path, new)
            file = folder / f"{number:05}-{uuid.uuid4()}.metadata.json"
            file.write_text(json.dumps(changed))
            status, answer = self.send("POST", "/register", {"name": "t", "metadata-location": f"file://{file}"})
            what = {"version": version, "request": "register", "at": path, "value": repr(new)}
            self.check_response(what, status, answer, "table", lambda: self.loader.error("table", changed) is None)
            if status == 200:
                self.drop()
            file.unlink()


def run(uri, warehouse, seed, share, versions=(1, 2, 3)):
    """Sends a share of all mutations; returns the run with its problems, each of them a self-contained dict.
    """
    started = time.monotonic()
    state = Run(uri, warehouse, seed, share)
    try:
        for version in versions:
            state.tables(version)
            state.creations(version)
            state.documents(version)
        state.views()
    finally:
        state.close()
    print(f"mutations: seed {seed}, {state.sent} requests, {state.accepted} accepted, {len(state.problems)} problems, "
          f"{time.monotonic() - started:.0f} s")  # fmt: skip
    return state


def main():
    import harness

    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(2**32)
    share = float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
    state = run(harness.URI, harness.WAREHOUSE, seed, share)
    for problem in state.problems:
        print(json.dumps(problem))
    for problem in state.pyiceberg:
        print(json.dumps(problem)[:400])
    for message, what in sorted(state.stricter.items()):
        print(f"stricter, {len(what)}: {message[:150]!r}: {what[0]}")
    for problem in state.unexplained:
        print(f"unexplained: {json.dumps(problem)[:400]}")
    return 1 if state.problems or state.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
