"""Runs a statement, or none, in a Spark session: python bench_spark.py URI WAREHOUSE SCRATCH MEMORY [SQL]

Settings are Spark's defaults unless the tests need others, so that performance is that of an ordinary
installation.
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
    # Arguments of the virtual machine, which are read before it starts and therefore cannot be settings of
    # the session. It is to exit with an error when it runs out of memory, instead of failing in one of many
    # ways.
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
