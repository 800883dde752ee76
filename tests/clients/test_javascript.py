"""JavaScript client iceberg-js, which sends no prefix."""

import subprocess
import uuid
from pathlib import Path

import harness
import pytest
from harness import CACHE, REFERENCE

HERE = Path(__file__).parent / "javascript"


@pytest.mark.skipif(REFERENCE, reason="of Firn's default warehouse")
def test_iceberg_js_works_without_a_prefix():
    library = CACHE / "javascript/node_modules/iceberg-js/dist/index.mjs"
    walk = ["node", HERE / "catalog.mjs", library, harness.URI, f"js_{uuid.uuid4().hex[:12]}", harness.WAREHOUSE]
    done = subprocess.run(walk, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
