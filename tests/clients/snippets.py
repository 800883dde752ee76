"""Runs the snippets that a server prints, word for word: python snippets.py FILE"""

import contextlib
import io
import re
import sys
import textwrap

import harness


def snippet(banner, title):
    """The indented block below a title that starts a line."""
    found = re.search(rf"^{title}\b[^\n]*\n\n((?:    [^\n]*\n)+)", banner, re.MULTILINE)
    assert found, f"the banner has no snippet for {title}"
    return textwrap.dedent(found[1])


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

    # Spark's needs the network to fetch its packages; what it sets is what the suite of engines uses.
    settings = dict(re.findall(r"--conf (\S+?)=(\S+)", snippet(banner, "Spark")))
    expected = harness.spark_catalog_settings("firn")
    for name in ("spark.sql.catalog.firn", "spark.sql.catalog.firn.type"):
        assert settings[name] == expected[name], settings
    assert settings["spark.sql.catalog.firn.uri"].startswith("http://127.0.0.1:"), settings
    print("3 snippets work")


if __name__ == "__main__":
    main()
