"""Loaded by Schemathesis: keeps to the operations that the catalog advertises, under the catalog's own prefix."""

import json
import os
import re
import urllib.parse
import urllib.request

import schemathesis

URI = os.environ["FIRN_URI"].rstrip("/")
WAREHOUSE = os.environ["FIRN_WAREHOUSE"]

with urllib.request.urlopen(f"{URI}/v1/config?warehouse={urllib.parse.quote(WAREHOUSE, safe='')}", timeout=30) as answer:
    CONFIG = json.load(answer)

PREFIX = (CONFIG.get("defaults", {}) | CONFIG.get("overrides", {})).get("prefix", "")


def shape(endpoint):
    """`GET /v1/{prefix}/namespaces/{namespace}` without its parameters' names."""
    method, path = endpoint.split(" ", 1)
    return method, re.sub(r"\{[^}]*\}", "{}", path if path.startswith("/") else f"/{path}")


ADVERTISED = {shape(endpoint) for endpoint in CONFIG["endpoints"]} | {("GET", "/v1/config")}

# Deprecated, and where it is advertised it is an authorization server's affair.
LEFT_OUT = {("POST", "/v1/oauth/tokens")}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Removes what is not advertised and, where the catalog has no prefix, the prefix from the paths."""
    paths = {}
    for path, operations in raw_schema["paths"].items():
        kept = {
            name: operation
            for name, operation in operations.items()
            if name == "parameters" or ((name.upper(), shape(f"x {path}")[1]) in ADVERTISED - LEFT_OUT)
        }
        if set(kept) - {"parameters"}:
            if not PREFIX:
                path = path.replace("/{prefix}", "")
                kept["parameters"] = [p for p in kept.get("parameters", []) if not p.get("$ref", "").endswith("/prefix")]
            paths[path] = kept
    raw_schema["paths"] = paths
    raw_schema["servers"] = [{"url": URI}]
    raw_schema.pop("security", None)


@schemathesis.hook
def map_path_parameters(context, parameters):
    if parameters and "prefix" in parameters:
        parameters["prefix"] = PREFIX
    return parameters
