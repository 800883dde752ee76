#!/usr/bin/env python3
"""Prints skipped and failed tests of a Surefire run, and totals; exits with 1 if any failed or none ran."""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def first_lines(element, count=3):
    text = element.get("message") or element.text or ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:count])[:300] or element.get("type", "")


def main(reports):
    counts = {"run": 0, "failed": 0, "skipped": 0}
    for path in sorted(pathlib.Path(reports).glob("TEST-*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            name = f"{case.get('classname').rsplit('.', 1)[-1]}#{case.get('name')}"
            if (skipped := case.find("skipped")) is not None:
                counts["skipped"] += 1
                print(f"SKIP {name}: {first_lines(skipped)}")
                continue
            counts["run"] += 1
            problem = case.find("failure")
            if problem is None:
                problem = case.find("error")
            if problem is not None:
                counts["failed"] += 1
                print(f"FAIL {name}: {first_lines(problem)}")
    print("{run} run, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] or not counts["run"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
