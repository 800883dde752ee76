"""Runs the snippets that a server prints, unchanged: python snippets.py FILE"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import harness


def snippet(banner, title):
    """Returns the indented block below a title at the beginning of a line."""
    found = re.search(rf"^{title}\b[^\n]*\n\n((?:    [^\n]*\n)+)", banner, re.MULTILINE)
    assert found, f"the banner has no snippet for {title}"
    return textwrap.dedent(found[1])


def run_spark(command, sql):
    """Enters SQL into the shell that the command starts, with packages downloaded by `tests/setup`."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / ".m2").mkdir()
        (Path(home) / ".m2/repository").symlink_to(harness.CACHE / "m2")
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # Spark looks for packages here before it uses the network, which is made unreachable.
            "JAVA_TOOL_OPTIONS": f"-Duser.home={home} -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        done = subprocess.run(
            ["bash", "-c", command], input=sql, cwd=home, env=environment, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def main():
    banner = open(sys.argv[1]).read()

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(snippet(banner, "PyIceberg"), {})
    assert "demo" in printed.getvalue(), printed.getvalue()

    connection = harness.bare_duckdb()
    statements = [part.strip() for part in snippet(banner, "DuckDB").split(";") if part.strip()]
    assert statements[:2] == ["INSTALL iceberg", "LOAD iceberg"], statements
    answer = [connection.execute(statement).fetchall() for statement in statements[2:]][-1]
    assert answer == [(45,)], answer

    answer = run_spark(snippet(banner, "Spark"), "SELECT sum(n) FROM firn.demo.numbers;\n")
    assert "45" in answer.split(), answer

    print("3 snippets work")


if __name__ == "__main__":
    main()
