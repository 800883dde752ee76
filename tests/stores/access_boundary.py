"""Access boundaries of downscoped tokens (Credential Access Boundaries), as far as a catalog uses them: what
is not understood is refused."""

import json
import re

# Operations of the roles that a rule may name, each after `inRole:roles/storage.`.
ROLES = {
    "objectViewer": {"get", "list"},
    "legacyObjectReader": {"get"},
    "legacyBucketReader": {"list"},
    "objectCreator": {"create"},
    "legacyBucketWriter": {"list", "create", "delete"},
    "objectUser": {"get", "list", "create", "delete"},
    "objectAdmin": {"get", "list", "create", "delete"},
}
BUCKET = re.compile(r"//storage\.googleapis\.com/projects/_/buckets/([^/]+)")
# Conditions of which an expression may consist, joined by `||`.
CONDITIONS = {
    "starts_with": re.compile(r"resource\.name\.startsWith\('([^'\\]*)'\)"),
    "equals": re.compile(r"resource\.name\s*==\s*'([^'\\]*)'"),
    "lists": re.compile(
        r"api\.getAttribute\('storage\.googleapis\.com/objectListPrefix',\s*''\)\.startsWith\('([^'\\]*)'\)"
    ),
}
MAX_RULES = 10


class Rule:
    """Operations on the objects of one bucket that fulfil a condition; without conditions, on all of them."""

    def __init__(self, rule):
        bucket = BUCKET.fullmatch(rule["availableResource"])
        if not bucket:
            raise ValueError(f"not a bucket: {rule['availableResource']}")
        self.bucket = bucket.group(1)
        self.operations = set()
        for permission in rule["availablePermissions"]:
            self.operations |= ROLES[permission.removeprefix("inRole:roles/storage.")]
        self.conditions = None
        if "availabilityCondition" in rule:
            alternatives = rule["availabilityCondition"]["expression"].split("||")
            self.conditions = [parse_condition(alternative.strip()) for alternative in alternatives]

    def allows(self, operation, bucket, name):
        if bucket != self.bucket or operation not in self.operations:
            return False
        if self.conditions is None:
            return True
        resource = f"projects/_/buckets/{bucket}/objects/{name}"
        for kind, value in self.conditions:
            if operation == "list":
                # The name of a list is its prefix.
                if kind == "lists" and name.startswith(value):
                    return True
            elif kind == "starts_with" and resource.startswith(value):
                return True
            elif kind == "equals" and resource == value:
                return True
        return False


class AccessBoundary:
    """Union of rules."""

    def __init__(self, options):
        """Parses the `options` of a token exchange; raises `ValueError` or `KeyError` if it cannot."""
        rules = json.loads(options)["accessBoundary"]["accessBoundaryRules"]
        if not 1 <= len(rules) <= MAX_RULES:
            raise ValueError(f"an access boundary has 1 to {MAX_RULES} rules")
        self.rules = [Rule(rule) for rule in rules]

    def allows(self, operation, bucket, name):
        return any(rule.allows(operation, bucket, name) for rule in self.rules)


def parse_condition(text):
    # An alternative may be enclosed in parentheses.
    unwrapped = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    for kind, pattern in CONDITIONS.items():
        if match := pattern.fullmatch(unwrapped):
            return kind, match.group(1)
    raise ValueError(f"condition not understood: {text}")
