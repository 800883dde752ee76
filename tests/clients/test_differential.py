"""Random histories of a table: the catalog's metadata compared with Java's and PyIceberg's (see
differential.py).
"""

import differential
import harness
import pytest
from harness import REFERENCE

SEED = harness.seed()


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("offset", range(2))
def test_the_catalog_changes_metadata_like_the_libraries(version, offset):
    """FIRN_SEED repeats a run. The reference server answers 500 for exceptions that it does not expect."""
    problems = differential.run(harness.URI, harness.WAREHOUSE, SEED + offset, 100, version=version)
    if REFERENCE:
        problems = [problem for problem in problems if problem["status"] != 500]
    assert not problems, f"seed {SEED + offset}, version {version}: {problems[:3]}"
