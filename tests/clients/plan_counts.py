"""Times client-side scan planning by PyIceberg. The arguments are a catalog's URI and a warehouse.

Each line of standard input is an object with `table` (the levels of its name) and `filter`, in PyIceberg's
syntax and empty for none. Each line of standard output has the number of `files`, and the duration of
planning in milliseconds, `ms`, without that of loading the table.
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
