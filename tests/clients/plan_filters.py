"""Random filters for a table, in the JSON form of expressions, and the same filters for PyIceberg and Spark.

Values are taken from the columns: existing values, their neighbours, and some that cannot exist.
"""

import re
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal

from pyiceberg import expressions

NUMBERS = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
ORDERED = ("lt", "lt-eq", "gt", "gt-eq", "eq", "not-eq")
EPOCH = datetime(1970, 1, 1)
WIDE = Context(prec=60)


def is_decimal(kind):
    return kind.startswith("decimal")


def scale_of(kind):
    return int(re.fullmatch(r"decimal\(\d+, (\d+)\)", kind)[1])


def micros(text):
    """Parses `2024-02-29T23:59:59.999999`, also with +00:00 and nanoseconds, to microseconds since 1970."""
    return (datetime.fromisoformat(text.removesuffix("+00:00")[:26]) - EPOCH) // timedelta(microseconds=1)


def timestamp(value, kind):
    """Formats microseconds since 1970; None outside of the years that Python supports."""
    try:
        text = (EPOCH + timedelta(microseconds=value)).isoformat("T", "microseconds")
    except OverflowError:
        return None
    return text + ("+00:00" if kind.startswith("timestamptz") else "")


class Filters:
    def __init__(self, random, columns, partition_fields):
        """Creates filters for `columns` as the oracle's operation `columns` describes them."""
        self.random = random
        self.columns = [column for column in columns if "values" in column] or columns
        self.structs = [column for column in columns if "values" not in column]
        self.partition_fields = partition_fields
        self.by_name = {column["name"]: column for column in columns}

    def next(self):
        return self.tree(self.random.choice([0, 0, 1, 1, 2, 3]))

    def tree(self, depth):
        if depth == 0:
            return self.predicate()
        kind = self.random.choice(["and", "and", "or", "or", "not"])
        if kind == "not":
            return {"type": "not", "child": self.tree(depth - 1)}
        return {"type": kind, "left": self.tree(depth - 1), "right": self.tree(self.random.randrange(depth))}

    def predicate(self):
        draw = self.random.random()
        if draw < 0.03:
            return self.random.choice([True, False])
        if draw < 0.06 and self.structs:
            return {"type": self.random.choice(["is-null", "not-null"]), "term": self.random.choice(self.structs)["name"]}
        if draw < 0.18:
            if term := self.transform():
                return term
        # Columns that the table is partitioned by get more filters than others.
        sources = [self.by_name[field["source"]] for field in self.partition_fields]
        column = self.random.choice(sources if sources and draw < 0.5 else self.columns)
        return self.of_column(column)

    def of_column(self, column):
        name, kind = column["name"], column["type"]
        operations = [*ORDERED, *ORDERED, "in", "not-in", "is-null", "not-null"]
        if kind in ("float", "double"):
            operations += ["is-nan", "not-nan"]
        if kind == "string":
            operations += ["starts-with", "not-starts-with"] * 2
        if kind == "boolean":
            operations = ["eq", "not-eq", "in", "not-in", "is-null", "not-null"]
        operation = self.random.choice(operations)
        if "null" in operation or "nan" in operation:
            return {"type": operation, "term": self.term(name)}
        if operation.endswith("in"):
            # Java does not evaluate lists of more than 200 values one by one.
            count = self.random.choice([1, 2, 3, 5, 8, 201, 260])
            values = {repr(value): value for value in (self.value(column) for _ in range(count))}
            if kind in NUMBERS and count > 200:
                start = self.random.choice([-1000, 0, 5, 10**6])
                values |= {repr(start + step): start + step for step in range(count)}
            return {"type": operation, "term": self.term(name), "values": list(values.values())}
        value = self.value(column)
        if operation.endswith("starts-with"):
            value = value[: self.random.randrange(len(value) + 1)] if value else value
        return {"type": operation, "term": self.term(name), "value": value}

    def term(self, name):
        return name if self.random.random() < 0.9 else {"type": "reference", "term": name}

    def value(self, column):
        """Returns a value of the column, a neighbour of one, or another value of its type."""
        kind, values = column["type"], column.get("values", [])
        seed = self.random.choice(values) if values and self.random.random() < 0.9 else None
        step = self.random.choice([0, 0, 0, 1, -1])
        if kind == "boolean":
            return self.random.choice([True, False])
        if kind in NUMBERS:
            low, high = NUMBERS[kind]
            number = self.random.choice([0, 3, low, high, 2**31, -(2**31) - 1]) if seed is None else seed + step
            return max(-(2**63), min(2**63 - 1, number))
        if kind in ("float", "double"):
            # JSON has no infinity; instead, a number beyond every value is used.
            number = seed if isinstance(seed, float) else self.random.choice([0.0, -0.0, 1.0, 1e300, -1e300, 1e-40])
            return self.random.choice([number, number + step * 0.5, int(number) if abs(number) < 2**53 else number])
        if is_decimal(kind):
            scale = scale_of(kind)
            unit = Decimal(1).scaleb(-scale)
            number = Decimal(self.random.choice([0, 1, -1]) if seed is None else seed)
            number = WIDE.add(number, step * unit).quantize(unit, context=WIDE)
            form = self.random.random()
            if form < 0.1 and abs(number) < 10**15 and number == number.to_integral_value():
                return int(number)
            return format(number, "f")
        if kind == "date":
            day = date.fromisoformat(seed or "2024-03-01")
            day = date.fromordinal(max(1, min(date.max.toordinal(), day.toordinal() + step)))
            return day.isoformat() if self.random.random() < 0.6 else (day - EPOCH.date()).days
        if kind == "time":
            at = time.fromisoformat(seed or "12:00:00")
            number = ((at.hour * 60 + at.minute) * 60 + at.second) * 10**6 + at.microsecond + step
            return seed if seed and step == 0 else max(0, number)
        if kind.startswith("timestamp"):
            if kind.endswith("_ns") and seed and self.random.random() < 0.5:
                return seed
            number = micros(seed or "2024-02-29T00:00:00") + step * self.random.choice([1, 10**6, 3600 * 10**6, 86400 * 10**6])
            text = timestamp(number, kind)
            return number if text is None or self.random.random() < 0.5 else text
        if kind == "string":
            text = seed if seed is not None else self.random.choice(["", "m", "😀", "\uffff", "a" * 16])
            return self.random.choice([text, text, text + "a", text[:-1], text[:16], text[:17], text.upper(), text + "😀"])
        if kind == "binary":
            text = seed if seed is not None else self.random.choice(["", "00", "FF"])
            return self.random.choice([text, text, text.lower(), text + "00", text[:-2]])
        if kind == "uuid":
            return seed or "00000000-0000-0000-0000-000000000001"
        if kind.startswith("fixed"):
            return seed or "00" * int(re.search(r"\d+", kind)[0])
        raise ValueError(f"no values for {kind}")

    def transform(self):
        """Returns a predicate on a transform of a column, often one that the table is partitioned by."""
        if self.partition_fields and self.random.random() < 0.7:
            field = self.random.choice(self.partition_fields)
            column, transform = self.by_name[field["source"]], field["transform"]
        else:
            column = self.random.choice(self.columns)
            kind = column["type"]
            if kind in ("date",) or kind.startswith("timestamp"):
                transform = self.random.choice(["year", "month", "day"])
            elif kind in ("int", "long", "string"):
                transform = self.random.choice(["bucket[4]", "truncate[3]"])
            else:
                return None
        term = {"type": "transform", "transform": transform, "term": column["name"]}
        if transform.startswith("bucket"):
            value = self.random.randrange(int(re.search(r"\d+", transform)[0]))
            operation = self.random.choice(["eq", "eq", "not-eq", "in", "lt-eq"])
        elif transform in ("year", "month", "hour"):
            sample = self.random.choice(column["values"] or ["2024-02-29"])
            instant = datetime.fromisoformat(sample.removesuffix("+00:00")[:26])
            value = {
                "year": instant.year - 1970,
                "month": (instant.year - 1970) * 12 + instant.month - 1,
                "hour": (instant - EPOCH) // timedelta(hours=1),
            }[transform] + self.random.choice([0, 0, 1, -1])
            operation = self.random.choice(ORDERED)
        elif transform == "day":
            sample = self.random.choice(column["values"] or ["2024-02-29"])
            value, operation = sample[:10], self.random.choice(ORDERED)
        elif transform.startswith("truncate") and column["type"] in ("int", "long"):
            width = int(re.search(r"\d+", transform)[0])
            value = self.value(column)
            # As in `value`: Java reads no whole number of more than 64 bits.
            value = max(-(2**63), value - value % width)
            operation = self.random.choice(["eq", "lt", "gt-eq", "not-eq"])
        elif transform.startswith("truncate") and column["type"] == "string":
            value, operation = self.value(column)[: int(re.search(r"\d+", transform)[0])], self.random.choice(["eq", "lt", "starts-with"])
        else:
            return None
        if operation == "in":
            return {"type": "in", "term": term, "values": sorted({value, 0, 1})}
        return {"type": operation, "term": term, "value": value}


# --- PyIceberg --------------------------------------------------------------

PREDICATES = {
    "lt": expressions.LessThan, "lt-eq": expressions.LessThanOrEqual, "gt": expressions.GreaterThan,
    "gt-eq": expressions.GreaterThanOrEqual, "eq": expressions.EqualTo, "not-eq": expressions.NotEqualTo,
    "starts-with": expressions.StartsWith, "not-starts-with": expressions.NotStartsWith, "in": expressions.In,
    "not-in": expressions.NotIn, "is-null": expressions.IsNull, "not-null": expressions.NotNull,
    "is-nan": expressions.IsNaN, "not-nan": expressions.NotNaN,
}  # fmt: skip


class NoCounterpart(Exception):
    """Filter without an equivalent in PyIceberg."""


def for_pyiceberg(filter, types):
    """Returns the filter as an expression of PyIceberg; `types` are the types of the columns, by name.

    PyIceberg's own parser uses the JSON type of each value, which cannot be bound to binary columns.
    """
    if isinstance(filter, bool):
        return expressions.AlwaysTrue() if filter else expressions.AlwaysFalse()
    match filter["type"]:
        case "not":
            return expressions.Not(for_pyiceberg(filter["child"], types))
        case "and":
            return expressions.And(for_pyiceberg(filter["left"], types), for_pyiceberg(filter["right"], types))
        case "or":
            return expressions.Or(for_pyiceberg(filter["left"], types), for_pyiceberg(filter["right"], types))
    term = filter["term"]
    if isinstance(term, dict):
        if term["type"] == "transform":
            raise NoCounterpart("a transform in a filter")
        term = term["term"]
    predicate = PREDICATES[filter["type"]]
    kind = types[term]
    if "values" in filter:
        return predicate(term, {typed(value, kind) for value in filter["values"]})
    if "value" in filter:
        return predicate(term, typed(filter["value"], kind))
    return predicate(term)


def typed(value, kind):
    if is_decimal(kind):
        return Decimal(str(value)).quantize(Decimal(1).scaleb(-scale_of(kind)), context=WIDE)
    if kind == "binary" or kind.startswith("fixed"):
        return bytes.fromhex(value)
    if kind in ("float", "double"):
        return float(value)
    return value


# --- Spark ------------------------------------------------------------------

COMPARISONS = {"lt": "<", "lt-eq": "<=", "gt": ">", "gt-eq": ">=", "eq": "=", "not-eq": "<>"}
TESTS = {"is-null": "{} IS NULL", "not-null": "{} IS NOT NULL", "is-nan": "isnan({})", "not-nan": "NOT isnan({})"}


def for_spark(filter, types):
    """Returns the filter as Spark's SQL, which has its own rules for comparisons with null and NaN."""
    if isinstance(filter, bool):
        return str(filter).lower()
    match filter["type"]:
        case "not":
            return f"NOT ({for_spark(filter['child'], types)})"
        case "and" | "or" as operator:
            return f"({for_spark(filter['left'], types)}) {operator.upper()} ({for_spark(filter['right'], types)})"
    term = filter["term"]
    if isinstance(term, dict):
        if term["type"] == "transform":
            raise NoCounterpart("a transform in a filter")
        term = term["term"]
    column, kind, operation = spark_column(term, types), types[term], filter["type"]
    if operation in TESTS:
        return TESTS[operation].format(column)
    if "values" in filter:
        values = ", ".join(spark_literal(value, kind) for value in filter["values"])
        return f"{column} {'NOT ' if operation == 'not-in' else ''}IN ({values})"
    value = spark_literal(filter["value"], kind)
    if operation.endswith("starts-with"):
        return f"{'NOT ' if operation.startswith('not') else ''}startswith({column}, {value})"
    return f"{column} {COMPARISONS[operation]} {value}"


def spark_column(name, types):
    """Returns `a`.`b` for a field of a struct, and `a.b` for a column of that name."""
    for struct in (other for other, kind in types.items() if kind.startswith("struct<")):
        if name.startswith(f"{struct}."):
            field = name.removeprefix(f"{struct}.")
            inner = (other.removeprefix(f"{struct}.") for other in types if other.startswith(f"{struct}."))
            if not any(field.startswith(f"{other}.") for other in inner):
                return f"{spark_column(struct, types)}.`{field}`"
    return f"`{name.replace('`', '``')}`"


def spark_literal(value, kind):
    if kind == "boolean":
        return str(value).lower()
    if kind in NUMBERS:
        return f"CAST('{value}' AS BIGINT)"
    if kind in ("float", "double"):
        return f"CAST('{float(value)!r}' AS DOUBLE)"
    if is_decimal(kind):
        return f"{value}BD"
    if kind == "date":
        return f"DATE '{value if isinstance(value, str) else (EPOCH + timedelta(days=value)).date().isoformat()}'"
    if kind in ("timestamp", "timestamptz"):
        text = value if isinstance(value, str) else timestamp(value, kind)
        if text is None:
            raise NoCounterpart("a year that Python has not")
        return f"{'TIMESTAMP' if kind == 'timestamptz' else 'TIMESTAMP_NTZ'} '{text}'"
    if kind == "binary" or kind.startswith("fixed"):
        return f"X'{value if len(value) % 2 == 0 else value[1:]}'"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
