#!/usr/bin/env python3
"""Compares the metadata after random table updates by a catalog, PyIceberg and Iceberg's Java library.

    FIRN_URI=http://127.0.0.1:8181 FIRN_WAREHOUSE=main python differential.py [SEED [STEPS]]

Each step sends one commit (requirements and updates) to the catalog, and applies the same updates with both
libraries to the metadata that the catalog had before. Java is the reference: it must accept what the catalog
accepts, and refuse what it refuses. PyIceberg validates less and implements less, so only commits that both
accept are compared with it. The metadata must be equal field by field, except for `DIFFERENCES` and, for
PyIceberg, commits that `beyond_pyiceberg` names.
"""

import copy
import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from pydantic import TypeAdapter
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.table.update import TableUpdate, update_table_metadata

ORACLE = Path(__file__).resolve().parent.parent / "rck" / "oracle"

# Fields in which a library may differ from the catalog, with reasons. All others must be equal.
DIFFERENCES = {
    # Each uses its own clock. A separate check verifies that it is close to the timestamp of an added
    # snapshot.
    "java": {"last-updated-ms"},
    "pyiceberg": {
        "last-updated-ms",
        # Truncated to one entry more than write.metadata.previous-versions-max.
        "metadata-log",
        # Recomputed from the remaining specs when v1 metadata is read.
        "last-partition-id",
        # Java drops the partition statistics of a removed snapshot; PyIceberg drops only those of the whole
        # table.
        "partition-statistics",
        # When a snapshot of the log is removed, Java also removes the preceding entries, because the log
        # would have a gap.
        "snapshot-log",
    },
}


# --- The catalog ------------------------------------------------------------


class Catalog:
    """Minimal REST client for the comparison: what a library would correct must reach the server unchanged.
    """

    def __init__(self, uri, warehouse):
        self.base = f"{uri.rstrip('/')}/v1"
        config = self.call("GET", f"{self.base}/config?warehouse={urllib.parse.quote(warehouse, safe='')}")[1]
        settings = config.get("defaults", {}) | config.get("overrides", {})
        if prefix := settings.get("prefix"):
            self.base += f"/{prefix}"

    def call(self, method, url, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else {"error": {"message": text.decode()}}

    def require(self, method, path, body=None):
        status, answer = self.call(method, f"{self.base}/{path}", body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer}")
        return answer


# --- Histories --------------------------------------------------------------

PRIMITIVES = ["boolean", "int", "long", "float", "double", "date", "timestamp", "timestamptz", "string", "binary", "uuid"]
TRANSFORMS = {"int": ["identity", "bucket[4]", "truncate[10]", "void"], "string": ["identity", "bucket[8]", "truncate[2]"],
              "timestamptz": ["year", "month", "day", "hour"], "date": ["year", "month", "day"]}  # fmt: skip


class History:
    """Generator of commits, which depend only on the metadata and a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.clock = int(time.time() * 1000)

    def first_schema(self):
        fields = [
            {"id": 1, "name": "id", "required": True, "type": "int"},
            {"id": 2, "name": "s", "required": False, "type": "string"},
            {"id": 3, "name": "at", "required": False, "type": "timestamptz"},
        ]
        return {"type": "struct", "schema-id": 0, "fields": fields}

    def updates(self, metadata):
        choices = [
            self.add_snapshot, self.add_snapshot, self.add_column, self.drop_column, self.add_spec, self.add_sort_order,
            self.set_properties, self.remove_properties, self.set_ref, self.remove_ref, self.remove_snapshots,
            self.set_statistics, self.remove_statistics, self.set_partition_statistics, self.same_schema,
            self.old_schema, self.set_location, self.assign_uuid, self.invalid_update, self.remove_old_specs,
            self.upgrade, self.remove_old_schemas,
        ]  # fmt: skip
        updates = []
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            updates += self.random.choice(choices)(metadata)
            if any(update["action"] in ("add-snapshot", "remove-snapshots", "add-schema") for update in updates):
                break  # Further updates would have to take the intermediate metadata into account.
        return updates

    def current_schema(self, metadata):
        return next(s for s in metadata["schemas"] if s["schema-id"] == metadata["current-schema-id"])

    def add_snapshot(self, metadata):
        self.clock = max(self.clock + 1, metadata["last-updated-ms"] + 1)
        snapshot_id = self.random.getrandbits(62)
        branch = self.random.choice(["main", "main", "main", "dev"])
        ref = metadata.get("refs", {}).get(branch)
        snapshot = {
            "snapshot-id": snapshot_id,
            "sequence-number": metadata.get("last-sequence-number", 0) + 1,
            "timestamp-ms": self.clock,
            "manifest-list": f"{metadata['location']}/metadata/snap-{snapshot_id}.avro",
            "schema-id": metadata["current-schema-id"],
            "summary": {"operation": self.random.choice(["append", "overwrite", "delete"]), "added-records": "1"},
        }
        if metadata["format-version"] == 1:
            del snapshot["sequence-number"]
        if metadata["format-version"] == 3:
            snapshot |= {"first-row-id": metadata["next-row-id"], "added-rows": self.random.randrange(10)}
        if ref and ref["type"] == "branch":
            snapshot["parent-snapshot-id"] = ref["snapshot-id"]
        updates = [{"action": "add-snapshot", "snapshot": snapshot}]
        if not (ref and ref["type"] == "tag") and self.random.random() < 0.9:
            updates.append({"action": "set-snapshot-ref", "ref-name": branch, "type": "branch", "snapshot-id": snapshot_id})
        return updates

    def next_id(self, entries, name):
        """Returns mostly the id that a careful client sends, sometimes one that the catalog has to correct.
        """
        proper = max(entry[name] for entry in entries) + 1
        return proper if self.random.random() < 0.8 else self.random.choice([1, 7])

    def with_schema(self, fields, metadata, last=None):
        schema = {"type": "struct", "schema-id": self.next_id(metadata["schemas"], "schema-id"), "fields": fields}
        update = {"action": "add-schema", "schema": schema}
        if last:
            update["last-column-id"] = last
        return [update, {"action": "set-current-schema", "schema-id": -1}]

    def add_column(self, metadata):
        number = metadata["last-column-id"] + 1
        kind = self.random.choice(PRIMITIVES)
        field = {"id": number, "name": f"c{number}", "required": False, "type": kind}
        last = number
        if self.random.random() < 0.2:
            field["type"] = {"type": "list", "element-id": number + 1, "element": kind, "element-required": False}
            last += 1
        return self.with_schema([*self.current_schema(metadata)["fields"], field], metadata, last)

    def drop_column(self, metadata):
        fields = self.current_schema(metadata)["fields"]
        used = {f["source-id"] for s in metadata["partition-specs"] + metadata["sort-orders"] for f in s["fields"]}
        spare = [field for field in fields if field["id"] > 3 and field["id"] not in used]
        if not spare:
            return self.add_column(metadata)
        dropped = self.random.choice(spare)
        return self.with_schema([field for field in fields if field is not dropped], metadata)

    def same_schema(self, metadata):
        return self.with_schema(self.current_schema(metadata)["fields"], metadata)

    def old_schema(self, metadata):
        used = {f["source-id"] for s in metadata["partition-specs"] + metadata["sort-orders"] for f in s["fields"]}
        schemas = [s for s in metadata["schemas"] if used <= {f["id"] for f in s["fields"]}]
        return [{"action": "set-current-schema", "schema-id": self.random.choice(schemas)["schema-id"]}]

    def pick_field(self, metadata):
        fields = [f for f in self.current_schema(metadata)["fields"] if isinstance(f["type"], str) and f["type"] in TRANSFORMS]
        field = self.random.choice(fields)
        return field, self.random.choice(TRANSFORMS[field["type"]])

    def add_spec(self, metadata):
        field, transform = self.pick_field(metadata)
        name = f"{field['name']}_{transform.replace('[', '').replace(']', '')}"
        fields = [{"source-id": field["id"], "transform": transform, "name": name if transform != "identity" else field["name"]}]
        known = {
            (old["source-id"], old["transform"]): old["field-id"] for s in metadata["partition-specs"] for old in s["fields"]
        }
        fields[0]["field-id"] = known.get((field["id"], transform), metadata["last-partition-id"] + 1)
        spec = {"spec-id": self.next_id(metadata["partition-specs"], "spec-id"), "fields": fields if self.random.random() < 0.9 else []}
        return [{"action": "add-spec", "spec": spec}, {"action": "set-default-spec", "spec-id": -1}]

    def add_sort_order(self, metadata):
        field, transform = self.pick_field(metadata)
        direction = self.random.choice([("asc", "nulls-first"), ("desc", "nulls-last")])
        fields = [{"source-id": field["id"], "transform": transform, "direction": direction[0], "null-order": direction[1]}]
        order = {"order-id": self.next_id(metadata["sort-orders"], "order-id"), "fields": fields}
        return [{"action": "add-sort-order", "sort-order": order}, {"action": "set-default-sort-order", "sort-order-id": -1}]

    def set_properties(self, metadata):
        key = self.random.choice(["a", "b", "c", "write.metadata.previous-versions-max"])
        value = str(self.random.choice([2, 3, 100])) if key.startswith("write") else str(self.random.random())
        return [{"action": "set-properties", "updates": {key: value}}]

    def remove_properties(self, metadata):
        return [{"action": "remove-properties", "removals": [self.random.choice(["a", "b", "absent"])]}]

    def any_snapshot(self, metadata):
        snapshots = metadata.get("snapshots", [])
        return self.random.choice(snapshots)["snapshot-id"] if snapshots else None

    def set_ref(self, metadata):
        snapshot = self.any_snapshot(metadata)
        if snapshot is None:
            return self.add_snapshot(metadata)
        kind = self.random.choice(["tag", "branch"])
        name = self.random.choice({"tag": ["v1", "v2"], "branch": ["main", "dev", "audit"]}[kind])
        update = {"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": snapshot}
        if name != "main" and self.random.random() < 0.5:
            update["max-ref-age-ms"] = self.random.randrange(1, 10**9)
        if kind == "branch" and self.random.random() < 0.3:
            update |= {"min-snapshots-to-keep": 2, "max-snapshot-age-ms": 10**6}
        return [update]

    def remove_ref(self, metadata):
        return [{"action": "remove-snapshot-ref", "ref-name": self.random.choice(["v1", "v2", "dev", "audit", "absent"])}]

    def remove_snapshots(self, metadata):
        snapshots = [s["snapshot-id"] for s in metadata.get("snapshots", [])]
        heads = {ref["snapshot-id"] for ref in metadata.get("refs", {}).values()}
        spare = [snapshot for snapshot in snapshots if snapshot not in heads]
        if not spare:
            return self.add_snapshot(metadata)
        return [{"action": "remove-snapshots", "snapshot-ids": [self.random.choice(spare)]}]

    def statistics_file(self, metadata, snapshot):
        return {
            "snapshot-id": snapshot,
            "statistics-path": f"{metadata['location']}/metadata/{self.random.getrandbits(32)}.stats",
            "file-size-in-bytes": self.random.randrange(1, 1000),
        }

    def set_statistics(self, metadata):
        snapshot = self.any_snapshot(metadata)
        if snapshot is None:
            return self.add_snapshot(metadata)
        blob = {"type": "apache-datasketches-theta-v1", "snapshot-id": snapshot, "sequence-number": 1, "fields": [1]}
        file = self.statistics_file(metadata, snapshot) | {"file-footer-size-in-bytes": 42, "blob-metadata": [blob]}
        return [{"action": "set-statistics", "snapshot-id": snapshot, "statistics": file}]

    def remove_statistics(self, metadata):
        snapshot = self.any_snapshot(metadata)
        return [{"action": "remove-statistics", "snapshot-id": snapshot}] if snapshot else self.add_snapshot(metadata)

    def set_partition_statistics(self, metadata):
        snapshot = self.any_snapshot(metadata)
        if snapshot is None:
            return self.add_snapshot(metadata)
        action = "set-partition-statistics"
        return [{"action": action, "partition-statistics": self.statistics_file(metadata, snapshot)}]

    def set_location(self, metadata):
        return [{"action": "set-location", "location": metadata["location"]}]

    def assign_uuid(self, metadata):
        return [{"action": "assign-uuid", "uuid": metadata["table-uuid"]}]

    def remove_old_specs(self, metadata):
        spare = [s["spec-id"] for s in metadata["partition-specs"] if s["spec-id"] != metadata["default-spec-id"]]
        return [{"action": "remove-partition-specs", "spec-ids": [self.random.choice(spare)]}] if spare else self.add_spec(metadata)

    def remove_old_schemas(self, metadata):
        used = {s.get("schema-id") for s in metadata.get("snapshots", [])} | {metadata["current-schema-id"]}
        spare = [s["schema-id"] for s in metadata["schemas"] if s["schema-id"] not in used]
        if not spare:
            return self.add_column(metadata)
        return [{"action": "remove-schemas", "schema-ids": [self.random.choice(spare)]}]

    def upgrade(self, metadata):
        version = min(metadata["format-version"] + (self.random.random() < 0.3), 3)
        return [{"action": "upgrade-format-version", "format-version": version}]

    def invalid_update(self, metadata):
        """Returns updates that must be refused."""
        return [
            self.random.choice(
                [
                    {"action": "set-current-schema", "schema-id": 999},
                    {"action": "set-default-spec", "spec-id": 999},
                    {"action": "set-default-sort-order", "sort-order-id": 999},
                    {"action": "set-snapshot-ref", "ref-name": "x", "type": "branch", "snapshot-id": 999},
                    {"action": "upgrade-format-version", "format-version": 9},
                    {"action": "remove-partition-specs", "spec-ids": [metadata["default-spec-id"]]},
                    {"action": "remove-schemas", "schema-ids": [metadata["current-schema-id"]]},
                    {"action": "set-current-schema", "schema-id": -1},
                ]
            )
        ]


# --- Comparison -------------------------------------------------------------


def normal(metadata):
    """Removes what the specification leaves to the writer: order of unordered lists, and absent, null or
    empty fields.
    """
    copied = copy.deepcopy(metadata)
    for deprecated in ("schema", "partition-spec"):  # Written only for v1, and derived from other fields.
        copied.pop(deprecated, None)
    for key, name in (("schemas", "schema-id"), ("partition-specs", "spec-id"), ("sort-orders", "order-id"),
                      ("snapshots", "snapshot-id"), ("statistics", "snapshot-id"), ("partition-statistics", "snapshot-id")):  # fmt: skip
        if key in copied:
            copied[key] = sorted(copied[key], key=lambda entry: entry[name])
    for entry in copied.get("snapshot-log", []):  # The time at which `main` changed is read from a clock.
        del entry["timestamp-ms"]
    if copied.get("current-snapshot-id") == -1:
        del copied["current-snapshot-id"]
    return strip(copied)


def strip(value):
    if isinstance(value, dict):
        stripped = {key: strip(item) for key, item in value.items()}
        return {key: item for key, item in stripped.items() if item is not None and item != [] and item != {}}
    if isinstance(value, list):
        return [strip(item) for item in value]
    return value


def as_pyiceberg_writes(metadata):
    """Returns snapshots as PyIceberg writes them: without the number 0 of v1 snapshots, and without missing
    parents.
    """
    written = normal(metadata)
    known = {snapshot["snapshot-id"] for snapshot in written.get("snapshots", [])}
    for snapshot in written.get("snapshots", []):
        if not snapshot.get("sequence-number"):
            snapshot.pop("sequence-number", None)
        if snapshot.get("parent-snapshot-id") not in known:
            snapshot.pop("parent-snapshot-id", None)
    return written


def is_unsupported_by_pyiceberg(base, updates):
    """Returns True if PyIceberg 0.12 does not do what Java does: v3, and ids other than the next one.

    The specification lets the catalog assign the ids of schemas, specs and sort orders, and reuse an equal
    one. PyIceberg's own commits contain the right ids, so it does not validate them.
    """
    if base["format-version"] >= 3:
        return True
    ids = {"add-schema": ("schema", "schemas", "schema-id"), "add-spec": ("spec", "partition-specs", "spec-id"),
           "add-sort-order": ("sort-order", "sort-orders", "order-id")}  # fmt: skip
    for update in updates:
        if update["action"] in ids:
            key, known, name = ids[update["action"]]
            if update[key][name] != max(entry[name] for entry in base[known]) + 1:
                return True
            if any(strip(entry["fields"]) == strip(update[key]["fields"]) for entry in base[known]):
                return True
    return False


# Intended differences between Firn and Java's library; docs/compatibility.md states the reasons.


def with_kept_retention(base, updates, theirs):
    """Computes Java's result with Firn's rule that a branch or tag that is moved retains its retention
    settings.

    Java's own client repeats the settings in the update, other clients forget them. Java considers `main`
    without its retention settings as changed, and logs again that `main` refers to its current snapshot.
    """
    retention = ("min-snapshots-to-keep", "max-snapshot-age-ms", "max-ref-age-ms")
    ours, java = dict(base.get("refs", {})), dict(base.get("refs", {}))
    touched, logged_again = set(), 0
    for update in updates:
        name = update.get("ref-name")
        if update["action"] == "remove-snapshots":
            ours, java = (
                {name: ref for name, ref in refs.items() if ref["snapshot-id"] not in update["snapshot-ids"]}
                for refs in (ours, java)
            )
        elif update["action"] == "remove-snapshot-ref":
            ours.pop(name, None), java.pop(name, None)
        elif update["action"] == "set-snapshot-ref":
            before = ours.get(name, {})
            sent_fields = {key: update[key] for key in ("type", "snapshot-id", *retention) if key in update}
            kept_settings = {key: before[key] for key in retention if key in before and before["type"] == update["type"]}
            logged_again += name == "main" and kept_settings | sent_fields == before and java.get(name) != sent_fields
            ours[name], java[name] = kept_settings | sent_fields, sent_fields
            touched.add(name)
    adjusted = copy.deepcopy(theirs)
    for name in touched & adjusted.get("refs", {}).keys():
        adjusted["refs"][name] |= {key: value for key, value in ours[name].items() if key in retention}
    log = adjusted.get("snapshot-log", [])
    for later in reversed(range(1, len(log))):
        if logged_again and log[later]["snapshot-id"] == log[later - 1]["snapshot-id"]:
            del log[later]
            logged_again -= 1
    return adjusted


def reuses_freed_ids(base, updates):
    """Returns True if Java reuses the id of a removed schema or spec for one that the same commit adds.

    Readers could not distinguish the two.
    """
    for removal, removed, addition, known, name in (
        ("remove-schemas", "schema-ids", "add-schema", "schemas", "schema-id"),
        ("remove-partition-specs", "spec-ids", "add-spec", "partition-specs", "spec-id"),
    ):
        highest, freed = max(entry[name] for entry in base[known]), False
        for update in updates:
            freed = freed or (update["action"] == removal and highest in update[removed])
            if freed and update["action"] == addition:
                return True
    return False


def is_unchanged(base, location, answer):
    """Returns True if a commit changed nothing and wrote nothing; Java writes the same metadata to another
    file.
    """
    return answer["metadata-location"] == location and answer["metadata"] == base


def is_refused_schema_removal(updates, answer):
    """Returns True if the removal of a schema was refused because a snapshot was written with it.

    Java's library would remove it, and could not read the snapshot any more.
    """
    removes = any(update["action"] == "remove-schemas" for update in updates)
    return removes and "was written with it" in answer.get("error", {}).get("message", "")


def is_refused_equal_addition(error):
    """Returns True for Java's refusal of `-1` if the last schema, spec or order was not added because an
    equal one exists.

    In Firn, `-1` then refers to the equal one.
    """
    return error is not None and error["message"].startswith("Cannot set last added ")


def is_refused_intermediate_default(answer):
    """Returns True if an unknown default spec or sort order is refused although a later update sets another
    default.
    """
    message = answer.get("error", {}).get("message", "")
    return message.startswith(("Cannot set default partition spec to unknown", "Cannot set default sort order to unknown"))


def different_fields(ours, theirs, library):
    form = as_pyiceberg_writes if library == "pyiceberg" else normal
    ours, theirs = form(ours), form(theirs)
    return {
        key: (ours.get(key), theirs.get(key))
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key) and key not in DIFFERENCES[library]
    }


class Java:
    def __init__(self):
        self.process = subprocess.Popen([ORACLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def apply(self, base, location, updates):
        self.process.stdin.write(json.dumps({"base": base, "location": location, "updates": updates}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer.get("metadata"), answer.get("error")

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def pyiceberg_apply(base, location, updates):
    try:
        parsed = TypeAdapter(tuple[TableUpdate, ...]).validate_python(copy.deepcopy(updates))
        result = update_table_metadata(TableMetadataUtil.parse_obj(base), parsed, metadata_location=location)
        return json.loads(result.model_dump_json(by_alias=True)), None
    except Exception as error:  # Every exception of PyIceberg is a refusal.
        return None, f"{type(error).__name__}: {error}"


# --- The run ----------------------------------------------------------------


def run(uri, warehouse, seed, steps, libraries=("java", "pyiceberg"), version=None):
    """Sends `steps` random commits to a new table; returns the disagreements, each of them a self-contained
    dict.
    """
    print(f"differential: seed {seed}, {steps} steps")
    catalog, history = Catalog(uri, warehouse), History(seed)
    namespace = f"differential_{uuid.uuid4().hex[:12]}"
    catalog.require("POST", "namespaces", {"namespace": [namespace]})
    version = version or history.random.choice([1, 2, 3])
    creation = {"name": "t", "schema": history.first_schema(), "properties": {"format-version": str(version)}}
    created = catalog.require("POST", f"namespaces/{namespace}/tables", creation)
    base, location = created["metadata"], created["metadata-location"]
    java = Java() if "java" in libraries else None
    problems, accepted, compared = [], 0, dict.fromkeys(libraries, 0)
    try:
        for step in range(steps):
            updates = history.updates(base)
            requirements = [{"type": "assert-table-uuid", "uuid": base["table-uuid"]}]
            body = {"requirements": requirements, "updates": updates}
            status, answer = catalog.call("POST", f"{catalog.base}/namespaces/{namespace}/tables/t", body)
            problem = {"seed": seed, "step": step, "updates": updates, "status": status}
            if status >= 500:
                problems.append(problem | {"catalog": answer})
            for library in libraries:
                if library == "java":
                    metadata, error = java.apply(base, location, updates)
                    adds = {u["action"] for u in updates} & {"add-schema", "add-spec", "add-sort-order"}
                    if status == 200 and adds and is_refused_equal_addition(error):
                        continue
                    if status == 200 and reuses_freed_ids(base, updates):
                        continue
                    if status == 400 and (is_refused_schema_removal(updates, answer) or is_refused_intermediate_default(answer)):
                        continue
                else:
                    metadata, error = pyiceberg_apply(base, location, updates)
                if metadata is not None and not os.environ.get("FIRN_REFERENCE"):
                    metadata = with_kept_retention(base, updates, metadata)
                if library == "java" and (status == 200) != (error is None) and status < 500:
                    catalog_result = answer if status != 200 else "accepted"
                    problems.append(problem | {"library": library, "catalog": catalog_result, "library says": error or "accepted"})
                elif status == 200 and error is None:
                    if library == "pyiceberg" and is_unsupported_by_pyiceberg(base, updates):
                        continue
                    compared[library] += 1
                    fields = different_fields(answer["metadata"], metadata, library)
                    if is_unchanged(base, location, answer):
                        fields.pop("metadata-log", None)
                    if fields:
                        problems.append(problem | {"library": library, "fields (catalog, library)": fields})
            if status == 200:
                added = [u["snapshot"]["timestamp-ms"] for u in updates if u["action"] == "add-snapshot"]
                if added and answer["metadata"]["last-updated-ms"] < max(added) - 60_000:
                    problems.append(problem | {"catalog": "last-updated-ms lies a minute before the snapshot that was added"})
                accepted += 1
                base, location = answer["metadata"], answer["metadata-location"]
    finally:
        if java:
            java.close()
        catalog.call("DELETE", f"{catalog.base}/namespaces/{namespace}/tables/t")
        catalog.call("DELETE", f"{catalog.base}/namespaces/{namespace}")
    print(f"differential: {accepted} of {steps} accepted, compared {compared}, {len(problems)} disagreements")
    return problems


def main():
    import harness

    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(2**32)
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    problems = run(harness.URI, harness.WAREHOUSE, seed, steps)
    for problem in problems:
        print(json.dumps(problem))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
