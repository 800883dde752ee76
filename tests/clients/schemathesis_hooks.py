"""Hooks of Schemathesis. Only operations that the catalog advertises are tested, with its prefix, and most
requests use an existing namespace, table and view: requests with random names would mostly be answered with
404.
"""

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
import zlib

import schemathesis

URI = os.environ["FIRN_URI"].rstrip("/")
WAREHOUSE = os.environ["FIRN_WAREHOUSE"]

with urllib.request.urlopen(f"{URI}/v1/config?warehouse={urllib.parse.quote(WAREHOUSE, safe='')}", timeout=30) as answer:
    CONFIG = json.load(answer)

PREFIX = (CONFIG.get("defaults", {}) | CONFIG.get("overrides", {})).get("prefix", "")


def shape(endpoint):
    """Returns method and path of an endpoint without the names of its parameters."""
    method, path = endpoint.split(" ", 1)
    return method, re.sub(r"\{[^}]*\}", "{}", path if path.startswith("/") else f"/{path}")


ADVERTISED = {shape(endpoint) for endpoint in CONFIG["endpoints"]} | {("GET", "/v1/config")}

# Deprecated; where it is advertised, it is implemented by an authorization server.
EXCLUDED = {("POST", "/v1/oauth/tokens")}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Removes operations that are not advertised, and the prefix if the catalog has none."""
    paths = {}
    for path, operations in raw_schema["paths"].items():
        remaining = {
            name: operation
            for name, operation in operations.items()
            if name == "parameters" or ((name.upper(), shape(f"x {path}")[1]) in ADVERTISED - EXCLUDED)
        }
        if set(remaining) - {"parameters"}:
            if not PREFIX:
                path = path.replace("/{prefix}", "")
                remaining["parameters"] = [p for p in remaining.get("parameters", []) if not p.get("$ref", "").endswith("/prefix")]
            paths[path] = remaining
    raw_schema["paths"] = paths
    raw_schema["servers"] = [{"url": URI}]
    raw_schema.pop("security", None)


# --- Existing objects --------------------------------------------------------

SCHEMA = {"type": "struct", "fields": [{"id": 1, "name": "id", "required": True, "type": "long"}]}
VIEW_VERSION = {
    "version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {}, "default-namespace": [],
    "representations": [{"type": "sql", "sql": "SELECT 1 AS id", "dialect": "spark"}],
}  # fmt: skip
NAMES = {"namespace": "there", "table": "table", "view": "view"}


class ExistingObjects:
    """Existing namespace, table and view, created again if a request may have dropped them."""

    is_certain = False
    metadata_location = None

    def require(self):
        if self.is_certain:
            return
        base = "/".join(part for part in (f"{URI}/v1", PREFIX, "namespaces") if part)
        create(base, {"namespace": ["there"]})
        create(f"{base}/there/tables", {"name": "table", "schema": SCHEMA})
        create(f"{base}/there/views", {"name": "view", "schema": SCHEMA, "view-version": VIEW_VERSION, "properties": {}})
        with urllib.request.urlopen(f"{base}/there/tables/table", timeout=30) as answer:
            self.metadata_location = json.load(answer)["metadata-location"]
        self.is_certain = True


existing = ExistingObjects()


def create(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


def is_usual_choice(value):
    """Returns True for three values out of four, and always the same for the same value."""
    return zlib.crc32(repr(value).encode()) % 4 != 0


@schemathesis.hook
def before_call(context, case, kwargs):
    existing.require()
    parameters = case.path_parameters or {}
    for name, known in (NAMES | {"prefix": PREFIX}).items():
        if name in parameters and (name == "prefix" or is_usual_choice(parameters[name])):
            parameters[name] = known
    body, path = case.body, case.operation.path
    if not isinstance(body, dict) or not is_usual_choice(body):
        return
    if path.endswith("/rename") and "source" in body:
        body["source"] = {"namespace": ["there"], "name": "view" if "/views/" in path else "table"}
        if isinstance(body.get("destination"), dict):
            body["destination"]["namespace"] = ["there"]
    if "/register" in path and "metadata-location" in body:
        body["metadata-location"] = existing.metadata_location
    if path.endswith(("/tables", "/views")) and "schema" in body:
        body["schema"] = SCHEMA
        body.pop("location", None)
    if path.endswith("/views") and "view-version" in body:
        body["view-version"] = VIEW_VERSION


@schemathesis.hook
def after_call(context, case, response):
    if case.method.upper() not in ("GET", "HEAD"):
        existing.is_certain = False
