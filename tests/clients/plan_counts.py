"""PyIceberg's planning, timed. Takes a catalog's URI and a warehouse.

Each line of standard input is an object with `table` (the levels of its name) and `filter`, in PyIceberg's words and empty
for none; each gives a line with the number of `files`, and the milliseconds `ms` that planning them took once the table was
loaded.
"""

import json
import sys
import time

from pyiceberg.catalog.rest import RestCatalog


def count(catalog, request):
    table = catalog.load_table(tuple(request["table"]))
    scan = table.scan(row_filter=request["filter"]) if request["filter"] else table.scan()
    start = time.perf_counter()
    files = sum(1 for _ in scan.plan_files())
    return {"files": files, "ms": (time.perf_counter() - start) * 1000}


catalog = RestCatalog("firn", uri=sys.argv[1], warehouse=sys.argv[2])
for line in sys.stdin:
    print(json.dumps(count(catalog, json.loads(line))), flush=True)
