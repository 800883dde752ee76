#!/usr/bin/env python3
"""Summarises a run of Schemathesis from its JSON report; exits with 1 if an operation was not tested."""

import collections
import json
import pathlib
import sys


def main(report):
    report = json.loads(pathlib.Path(report).read_text())
    answers, never = collections.Counter(), []
    for operation, phases in report["valid_rates"].items():
        rates = sum((collections.Counter(rates) for rates in phases.values()), collections.Counter())
        answers += rates
        if not rates["accepted"]:
            never.append(operation)
    operations, cases = report["operations"], report["test_cases"]
    for operation in never:
        print(f"no request was accepted: {operation}")
    print(
        f"{cases['generated']} requests to {operations['tested']} of {operations['total']} operations; of the valid ones "
        f"{answers['accepted']} were accepted, {answers['unreachable']} were about objects that do not exist, "
        f"{answers['conflicts']} were in conflict, {answers['rejected']} were refused"
    )
    return 1 if operations["tested"] < operations["total"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
