"""Is a table the same for Postgres, DuckDB and PyIceberg?  Shared by table_*.py.

Every table has a column "id", unique and not null, by which rows are matched.
What Postgres answers arrives as JSON; a reader's Python values are compared with
it by meaning (numbers as numbers, timestamps as ISO text, bytes as hex).
"""

import datetime
import decimal
import json
import os
import re
import struct
import subprocess
import sys
import uuid

import lake_readers

passed = failed = 0


def check(name, problem):
    """Count one test; problem is None (or empty) when all is well."""
    global passed, failed
    if problem:
        failed += 1
        print(f"FAILED {name}: {problem}")
    else:
        passed += 1


def finish():
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


# ---- Postgres ----

def sql(*statements):
    """The last statement's answer, one line per row, columns separated by |."""
    command = [os.path.join(os.environ["LH_BIN"], "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    for statement in statements:
        command += ["-c", statement]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{run.stderr.strip()} in {statements[-1][:200]}")
    return run.stdout.removesuffix("\n").split("\n") if run.stdout else []     # splitlines() knows too many


def columns_of(table):
    """{column: kind}, where a kind is the SQL type without modifier, or one of
    "text form" (types that Iceberg lacks), "composite", "array"."""
    rows = sql("""SELECT json_build_array(attname, CASE
            WHEN t.typcategory = 'A' THEN 'array'
            WHEN t.typtype = 'c' THEN 'composite'
            WHEN t.oid = 'numeric'::regtype AND atttypmod = -1 THEN 'text form'
            ELSE format_type(t.oid, NULL) END)
        FROM pg_attribute a JOIN pg_type d ON d.oid = atttypid
        JOIN pg_type t ON t.oid = CASE WHEN d.typbasetype <> 0 THEN d.typbasetype ELSE d.oid END
        WHERE attrelid = '%s'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum""" % table)
    columns = dict(json.loads(r) for r in rows)
    return {c: k if k in KINDS else "text form" for c, k in columns.items()}


KINDS = {"boolean", "smallint", "integer", "bigint", "oid", "real", "double precision", "numeric", "text",
         "character varying", "character", "bytea", "date", "time without time zone",
         "timestamp without time zone", "timestamp with time zone", "interval", "uuid", "array", "composite"}
FLOATS = {"real", "double precision"}
NESTED = {"interval", "array", "composite"}


def natural(column, kind):
    """The SQL expression of a column's value as the files show it."""
    quoted = f'"{column}"'
    if kind == "bytea":
        return f"encode({quoted}, 'hex')"
    if kind == "oid":
        return f"{quoted}::bigint"
    if kind == "text form":         # the output function, which a cast need not be (inet)
        return f"CASE WHEN {quoted} IS NOT NULL THEN format('%s', {quoted}) END"
    if kind == "interval":
        return (f"CASE WHEN {quoted} IS NOT NULL THEN json_build_object("
                f"'months', (extract(year FROM {quoted}) * 12 + extract(month FROM {quoted}))::int, "
                f"'days', extract(day FROM {quoted})::int, "
                f"'microseconds', (extract(hour FROM {quoted}) * 3600000000 + extract(minute FROM {quoted}) * 60000000 "
                f"+ extract(microseconds FROM {quoted}))::bigint) END")
    return quoted


def sql_rows(table, columns, suffix=""):
    """{id: {column: JSON value}} of a table (or of TABLESAMPLE …, or WHERE …, given as suffix)."""
    exprs = ", ".join(f'{natural(c, k)} AS "{c}"' for c, k in columns.items())
    lines = sql(f"SELECT to_json(whole_row) FROM (SELECT {exprs} FROM {table} {suffix}) whole_row")
    rows = [json.loads(line, parse_float=decimal.Decimal) for line in lines]
    return {r["id"]: r for r in rows}


def sql_ids(table, where, suffix=""):
    return sorted(int(line) for line in sql(f"SELECT id FROM {table} {suffix} WHERE {where}"))


# ---- are two values the same? ----

def iso(value):
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc)
    return value.isoformat()


def trim(text):
    """ISO text without trailing zeros of the fraction, so that .5 is .500000."""
    head, dot, tail = text.partition(".")
    if not dot:
        return text
    digits, zone = re.match(r"(\d*)(.*)", tail).groups()
    digits = digits.rstrip("0")
    return head + ("." + digits if digits else "") + zone


def same_number(expected, actual):
    if isinstance(actual, float):
        if actual != actual:
            return str(expected) == "NaN"
        if float(expected) == actual:
            return True
        try:                        # a 4-byte float, widened by the reader
            return struct.unpack("f", struct.pack("f", float(expected)))[0] == actual
        except OverflowError:
            return False
    return decimal.Decimal(str(expected)) == decimal.Decimal(str(actual))


def same(expected, actual):
    """JSON from Postgres against a reader's Python value."""
    if expected is None or actual is None:
        return expected is None and actual is None
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, list):
        return (isinstance(actual, (list, tuple)) and len(expected) == len(actual)
                and all(same(e, a) for e, a in zip(expected, actual)))
    if isinstance(expected, dict):
        return (isinstance(actual, dict) and expected.keys() == actual.keys()
                and all(same(e, actual[k]) for k, e in expected.items()))
    if isinstance(actual, (int, float, decimal.Decimal)):
        return same_number(expected, actual)
    if isinstance(actual, (datetime.datetime, datetime.date, datetime.time)):
        return trim(expected) == trim(iso(actual))
    if isinstance(actual, (bytes, bytearray, memoryview)):
        return expected == bytes(actual).hex()
    if isinstance(actual, uuid.UUID):
        return expected == str(actual)
    return expected == actual


def difference(expected, actual_rows):
    """First difference between {id: row} of Postgres and a reader's list of rows, or None."""
    actual = {r["id"]: r for r in actual_rows}
    if len(actual) != len(actual_rows):
        return "an id is there twice"
    if expected.keys() != actual.keys():
        return f"{len(expected)} ids against {len(actual)}: {sorted(expected.keys() ^ actual.keys())[:5]}"
    for key, row in expected.items():
        for column, value in row.items():
            if not same(value, actual[key].get(column, "(no such column)")):
                return f"id {key}, {column}: {value!r} against {actual[key].get(column)!r}"
    return None


# ---- the readers ----

def duckdb_rows(source, columns):
    names = ", ".join(f'"{c}"' for c in columns)
    [(rows, heads)] = lake_readers.duckdb_run(f"SELECT {names} FROM {source}")
    return [dict(zip(heads, r)) for r in rows]


def pyiceberg_rows(location, columns, snapshot_id=None, **scan):
    table = lake_readers.pyiceberg_table(location)
    return table.scan(selected_fields=tuple(columns), snapshot_id=snapshot_id, **scan).to_arrow().to_pylist()


def guarded(name, function):
    """check() of a function that returns a problem; an exception is one too."""
    try:
        problem = function()
    except Exception as e:
        problem = f"{type(e).__name__}: {str(e)[:400]}"
    check(name, problem)


def whole(label, location, expected, columns, snapshot_id=None, skip_pyiceberg=()):
    """All rows of one version, by every reader."""
    guarded(f"{label}: DuckDB, whole", lambda: difference(
        expected, duckdb_rows(lake_readers.duckdb_table(location, snapshot_id), columns)))
    for_arrow = [c for c in columns if c not in skip_pyiceberg]
    trimmed = {k: {c: v for c, v in row.items() if c in for_arrow} for k, row in expected.items()}
    guarded(f"{label}: PyIceberg, whole", lambda: difference(
        trimmed, pyiceberg_rows(location, for_arrow, snapshot_id)))


def file_by_file(label, table, expected, columns):
    """The newest version's data files as plain Parquet."""
    paths = sql(f"SELECT path FROM lakehouse.files WHERE table_name = '{table}'::regclass "
                "AND added_version IS NOT NULL AND removed_version IS NULL")
    names = ", ".join("'" + p.removeprefix("file://") + "'" for p in paths)
    guarded(f"{label}: DuckDB, file by file", lambda: difference(
        expected, duckdb_rows(f"read_parquet([{names}], union_by_name => true)", columns)))


# ---- filters: only these use bounds ----

def interesting(values):
    """A few values of a column: smallest, largest, longest, one in the middle."""
    distinct = sorted(set(values))
    if not distinct:
        return []
    chosen = [distinct[0], distinct[-1], distinct[len(distinct) // 2], max(distinct, key=lambda v: len(str(v)))]
    return list(dict.fromkeys(chosen))


def quote(value):
    return "'" + str(value).replace("'", "''") + "'"


def sql_condition(column, kind, operator, value):
    if value is None:
        return f'"{column}" IS NULL'
    cast = {"oid": "bigint", "text form": "text", "character": "bpchar", "bytea": "text"}.get(kind, kind)
    return f"{natural(column, kind)} {operator} {quote(value)}::{cast}"


def duckdb_condition(column, kind, operator, value, duckdb_type):
    if value is None:
        return f'"{column}" IS NULL'
    literal = f"from_hex({quote(value)})" if kind == "bytea" else f"CAST({quote(value)} AS {duckdb_type})"
    return f'"{column}" {operator} {literal}'


def pyiceberg_condition(column, kind, operator, value):
    from pyiceberg.expressions import EqualTo, GreaterThanOrEqual, IsNull, LessThan
    if value is None:
        return IsNull(column)
    if kind == "bytea":
        value = bytes.fromhex(value)
    elif kind == "timestamp with time zone" and value[-6] not in "+-":
        value += "+00:00"
    elif kind == "real":            # a decimal beyond the largest float would match nothing
        value = struct.unpack("f", struct.pack("f", float(value)))[0]
    elif kind == "double precision":
        value = float(value)
    return {"=": EqualTo, ">=": GreaterThanOrEqual, "<": LessThan}[operator](column, value)


def filters(label, table, location, expected, columns):
    """WHERE on each column, in every reader as in Postgres."""
    source = lake_readers.duckdb_table(location)
    [(described, _)] = lake_readers.duckdb_run(f"DESCRIBE SELECT * FROM {source}")
    types = {row[0]: row[1] for row in described}

    def duckdb_ids(column, kind, tests):
        queries = [f"SELECT id FROM {source} WHERE {duckdb_condition(column, kind, *t, types[column])}" for t in tests]
        return [sorted(r[0] for r in rows) for rows, _ in lake_readers.duckdb_run(*queries)]

    def pyiceberg_ids(column, kind, tests):
        return [sorted(r["id"] for r in pyiceberg_rows(
            location, ["id"], row_filter=pyiceberg_condition(column, kind, *t))) for t in tests]

    for column, kind in columns.items():
        tests = [("IS", None)]
        if kind not in NESTED:
            values = [r[column] for r in expected.values() if r[column] is not None and str(r[column]) != "NaN"]
            tests += [(op, v) for v in interesting(values) for op in (["="] if kind == "boolean" else ["=", ">=", "<"])]
        conditions = [sql_condition(column, kind, *t) for t in tests]

        def by(reader, extra=""):
            wanted = [sql_ids(table, c + extra) for c in conditions]
            for condition, w, g in zip(conditions, wanted, reader(column, kind, tests)):
                if w != g:
                    return f"{condition}: {len(w)} ids {w[:8]} against {len(g)} {g[:8]}"
            return None

        guarded(f"{label}: DuckDB, filter on {column}", lambda: by(duckdb_ids))
        if kind not in NESTED | {"uuid"}:           # PyIceberg cannot filter on these
            guarded(f"{label}: PyIceberg, filter on {column}", lambda: by(
                # NaN is the greatest number for Postgres and DuckDB, in no order for Arrow.
                pyiceberg_ids, f""" AND "{column}" IS DISTINCT FROM 'NaN'""" if kind in FLOATS else ""))
