"""A Spark session that runs one statement, or none, and ends: python bench_spark.py URI WAREHOUSE SCRATCH MEMORY [SQL]

Settings are Spark's own wherever the tests do not need others, so that it is as fast as users see it.
"""

import glob
import json
import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession


def main():
    uri, warehouse, scratch, memory, *statements = sys.argv[1:]
    jars = glob.glob(str(Path(os.environ["FIRN_TEST_CACHE"]) / "spark-jars" / "*.jar"))
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # Read before the virtual machine starts, and so not from the session's settings.
    # And it says so when it runs out of memory, rather than end in one of many ways.
    exits = "--driver-java-options -XX:+ExitOnOutOfMemoryError"
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory {memory} {exits} pyspark-shell"
    settings = {
        "spark.jars": ",".join(jars),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": scratch,
        "spark.sql.warehouse.dir": f"{scratch}/spark-warehouse",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.firn": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.firn.type": "rest",
        "spark.sql.catalog.firn.uri": uri,
        "spark.sql.catalog.firn.warehouse": warehouse,
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[2]").appName("bench")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    for statement in statements:
        for row in session.sql(statement).collect():
            print(json.dumps(row.asDict(), default=str))
    session.stop()


main()
