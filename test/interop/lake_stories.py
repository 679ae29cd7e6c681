"""Tables with a past, made by SQL, and what Postgres reads of each version.

For jvm_*.py: a story makes one table in steps; after each, what Postgres says
is kept, for an engine to be asked the same.  Values are brought to one form
before they are compared: dates and times as ISO text with a year of any length
(0000 is 1 BC), floats as their bits.
"""

import datetime
import decimal
import os
import re
import struct
import time
import uuid
from dataclasses import dataclass

import compare
import table_debian
import table_types
from compare import sql


@dataclass
class Version:
    """What Postgres read when the snapshot was the newest one."""
    label: str
    snapshot: int
    location: str
    columns: dict           # {column: kind}, see compare.columns_of
    rows: dict              # {id: {column: JSON value}}
    bits: dict              # {id: {float column: hex}}


class Story:
    def __init__(self, name, table):
        self.name, self.table, self.versions = name, table, []

    def step(self, label, *statements):
        sql(*statements)
        self.version(label)

    def version(self, label):
        snapshot = int(sql(f"SELECT lakehouse.publish('{self.table}')")[-1])
        location = sql(f"SELECT lakehouse.metadata_location('{self.table}')")[0]
        columns = compare.columns_of(self.table)
        self.versions.append(Version(f"{self.name}, {label}", snapshot, location, columns,
                                     compare.sql_rows(self.table, columns), float_bits(self.table, columns)))

    @property
    def snapshots(self):
        """The first version of each snapshot: changes of names alone make none."""
        return [v for n, v in enumerate(self.versions) if n == 0 or v.snapshot != self.versions[n - 1].snapshot]

    @property
    def newest(self):
        return self.versions[-1]


def float_bits(table, columns):
    send = {"real": "float4send", "double precision": "float8send"}
    floats = {c: send[k] for c, k in columns.items() if k in send}
    pairs = ", ".join(f"'{c}', encode({f}(\"{c}\"), 'hex')" for c, f in floats.items())
    if not floats:
        return {}
    lines = sql(f"SELECT json_build_object('id', id, {pairs}) FROM {table}")
    return {r.pop("id"): r for r in map(compare.json.loads, lines)}


# ---- one form for all ----

ISO = re.compile(r"([+-]?\d{4,})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?: ?UTC|Z|\+00:?(?:00)?)?)?( BC)?")
TIME = re.compile(r"(\d\d:\d\d:\d\d)(?:\.(\d+))?")


def fraction(digits):
    digits = (digits or "").rstrip("0")
    return "." + digits if digits else ""


def iso(text, sign=False):
    """A date or timestamp as every engine's text can be brought to; other text as it is.
    With sign, years after 9999 have the + that Java wants to read them."""
    if match := ISO.fullmatch(text):
        year, month, day, clock, digits, bc = match.groups()
        number = 1 - int(year) if bc else int(year)
        year = f"{'-' if number < 0 else '+' if sign and number > 9999 else ''}{abs(number):04d}"
        return f"{year}-{month}-{day}" + (f" {clock}{fraction(digits)}" if clock else "")
    if match := TIME.fullmatch(text):
        return match[1] + fraction(match[2])
    return text


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return iso(value.isoformat())
    if isinstance(value, uuid.UUID):
        return str(value)
    return iso(value) if isinstance(value, str) else value


def flat(values):
    """Arrays of several dimensions as Iceberg shows them: the elements in a row."""
    while isinstance(values, list) and any(isinstance(v, list) for v in values):
        values = [w for v in values for w in v]
    return values


def expected_value(column, kind, row, bits):
    if kind in compare.FLOATS:
        return bits[column]
    value = plain(row[column])
    return flat(value) if kind == "array" else value


def actual_value(kind, value):
    if kind in compare.FLOATS and value is not None:
        return struct.pack(">f" if kind == "real" else ">d", value).hex()
    if kind in ("array", "composite"):
        return nested(value)
    return value.hex() if isinstance(value, (bytes, bytearray)) else plain(value)


def nested(value):
    """Within these bytes are \\x in Postgres's JSON."""
    if isinstance(value, dict):
        return {k: nested(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [nested(v) for v in value]
    return "\\x" + value.hex() if isinstance(value, (bytes, bytearray)) else plain(value)


def difference(version, actual_rows):
    """First difference between a version and an engine's list of rows as dicts, or None."""
    expected = {key: {c: expected_value(c, k, row, version.bits.get(key, {})) for c, k in version.columns.items()}
                for key, row in version.rows.items()}
    return compare.difference(expected, [
        {c: actual_value(k, row[c]) for c, k in version.columns.items()} for row in actual_rows])


def questions(version, kind, column):
    """(operator, value) pairs worth asking of a column; IS NULL and IS NOT NULL have None."""
    asked = [("IS", None), ("IS NOT", None)]
    if kind not in compare.NESTED:
        values = [r[column] for r in version.rows.values() if r[column] is not None and str(r[column]) != "NaN"]
        if kind in compare.FLOATS:
            values = [decimal.Decimal(v) for v in values] + [decimal.Decimal("0"), decimal.Decimal("-0")]
        chosen = compare.interesting(values)
        asked += [("=", v) for v in chosen + (list(set(values)) if len(set(values)) < 10 else [])]
        asked += [(op, v) for v in chosen for op in (">=", "<") if kind != "boolean"]
    form = str if kind in compare.FLOATS else "{:f}".format         # 0E-8 is not for everybody
    return list(dict.fromkeys((op, form(v) if isinstance(v, decimal.Decimal) else v) for op, v in asked))


def postgres_ids(table, column, kind, operator, value, but_nan=False):
    # For Postgres a composite of nulls IS NULL, for others it is a value.
    condition = (f'num_nulls("{column}") = {int(operator == "IS")}' if value is None
                 else compare.sql_condition(column, kind, operator, value))
    if but_nan and value is not None and kind in compare.FLOATS:
        condition += f""" AND "{column}" <> 'NaN'"""
    return compare.sql_ids(table, condition)


# ---- the stories ----

def wanted(database, *makers):
    """The stories one after the other, each made when its turn comes, in a database
    of this name; STORIES="name ..." limits them."""
    sql(f"CREATE DATABASE {database}")
    os.environ["PGDATABASE"] = database
    sql("CREATE EXTENSION lakehouse")
    names = os.environ.get("STORIES", "").split()
    for name, make in makers:
        if not names or name in names:
            try:
                story = make()
            except Exception as e:          # one story less, not all that follow
                compare.check(name, f"{type(e).__name__}: {str(e)[:400]}")
                continue
            started = time.time()
            yield story
            print(f"{name}: {len(story.versions)} versions, {time.time() - started:.0f} s", flush=True)


def debian():
    story = Story("debian", table_debian.TABLE)
    table_debian.create()
    for label, step in table_debian.STEPS:
        step()
        story.version(label)
    return story


WIDTHS = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24, 26, 27, 28, 29, 31, 32, 33, 34, 35, 36, 38]
EDGES = {
    "f4": ["'-0'", "'Infinity'", "'-Infinity'"],
    "f8": ["'-0'", "0", "'Infinity'", "'-Infinity'"],
    "d": ["'1969-12-31'", "'0044-03-15 BC'", "'10000-01-01'", "'5874897-12-31'"],
    "ts": ["'1582-10-10 00:00:00'"],
    "iv": ["'-178000000 years'", "'2147483647 months -2147483648 days 2562047788:00:54.775807'"],
}
NESTED = [
    ("ba", "boolean[]", ["'{t,f,NULL}'", "'{}'"]),
    ("na", "numeric(20,5)[]", ["'{-1.5,NULL,99999.99999}'"]),
    ("fa", "float8[]", ["'{1.5,-2.25,NULL}'"]),
    ("da", "date[]", ["'{1969-12-31,NULL,2024-02-29}'"]),
    ("tsa", "timestamp[]", ["'{1969-12-31 23:59:59.999999}'", "'{2024-02-29 12:00}'"]),
    ("tza", "timestamptz[]", ["'{2024-02-29 12:00:00.5+02}'"]),
    ("bya", "bytea[]", [r"ARRAY['\x00ff', NULL, '']::bytea[]"]),
    ("ua", "uuid[]", ["'{01234567-89ab-cdef-0123-456789abcdef}'"]),
    ("ga", "int[][]", ["'{{1,2},{3,4}}'", "'{}'", "'{{{1},{NULL}}}'"]),
    ("ipa", "inet[]", ["'{10.0.0.1/8,NULL,::1}'"]),
    ("ca", "pair[]", ["ARRAY[ROW(1,'x'), NULL, ROW(NULL,NULL)]::pair[]", "'{}'"]),
    ("deep", "lake_deep", ["ROW(1, ROW(2, 'y'), '{1,NULL}', ARRAY[ROW(3,'z'), NULL]::pair[], 1.25, '1969-07-20')",
                           "ROW(NULL, NULL, '{}', '{}', NULL, NULL)", "ROW(NULL, NULL, NULL, NULL, NULL, NULL)"]),
    ("deeps", "lake_deep[]", ["ARRAY[ROW(1, ROW(2, 'y'), '{1,NULL}', NULL, 1.25, '1969-07-20'), NULL]::lake_deep[]"]),
]


def types(table, without=()):
    """Every type with its edge values, as delta, as bulk and merged."""
    columns = [(n, t, v + EDGES.get(n, [])) for n, t, v in table_types.COLUMNS]
    for p in WIDTHS:
        scale = (p * 7) % (p + 1)
        most = "9" * (p - scale) + ("." + "9" * scale if scale else "")
        least = f"0.{'0' * (scale - 1)}1" if scale else "1"
        columns.append((f"n_{p}", f"numeric({p},{scale})", ["0", most, f"-{most}", least, f"-{least}"]))
    columns = [c for c in columns + NESTED if c[1] not in without]
    story = Story("types", table)
    if sql("SELECT to_regtype('lake_deep') IS NULL") == ["t"]:
        table_types.create("seed", columns[:1], "heap")         # for the types it makes
        sql("DROP TABLE seed", "CREATE TYPE lake_deep AS (a int, b pair, c int[], d pair[], e numeric(9,2), f date)")
    table_types.create(table, columns)
    table_types.create("seed", columns, "heap")
    table_types.insert("seed", 1, columns)
    story.step("bulk", "SET lakehouse.bulk_threshold = 0", f"INSERT INTO {table} SELECT * FROM seed ORDER BY id")
    story.step("delta", "UPDATE seed SET id = id + 1000", f"INSERT INTO {table} SELECT * FROM seed ORDER BY id")
    for column, _, _ in columns:        # a file for each: its bounds are for one value
        if column in ("f4", "f8", "d", "ts", "u", "t", "by", "n_38", "n_9"):
            sql("SET lakehouse.bulk_threshold = 0", f"INSERT INTO {table} (id, {column}) "
                f"SELECT 2000 + (SELECT count(*) FROM {table}), {column} FROM seed WHERE {column} IS NOT NULL ORDER BY id LIMIT 1")
    story.version("files of one value")
    sql("DROP TABLE seed")
    return story


# Ascending with the id, so that each row group, page and file has its own range.
SORTED = {
    "i": ("int", "g - 3000"), "l": ("bigint", "(g - 3000) * 1000000007::bigint"), "f": ("real", "(g - 3000) / 8.0"),
    "fn": ("double precision", "CASE WHEN g % 1500 = 7 THEN 'NaN' WHEN g = 3000 THEN '-0' ELSE (g - 3000) * 1e300 / 7 * 1e4 END"),
    "n9": ("numeric(9,2)", "(g - 3000) / 4.0"), "n18": ("numeric(18,4)", "(g - 3000) * 1234567.25"),
    "n38": ("numeric(38,6)", "(g - 3000) * 12345678901234567890.5"), "t": ("text", "to_char(g, 'FM00000') || repeat('é', g % 40)"),
    "long": ("text", "repeat('same for all the bytes that a bound keeps ', 3) || to_char(g, 'FM00000')"),
    "by": ("bytea", "decode(to_char(g, 'FM000000') || repeat('ff', g % 30), 'hex')"), "d": ("date", "date '1970-01-01' + (g - 3000)"),
    "ts": ("timestamp", "timestamp '1970-01-01' + (g - 3000) * interval '1 hour 1 microsecond'"),
    "tz": ("timestamptz", "timestamptz '1970-01-01 00:00+00' + (g - 3000) * interval '1 day 1 microsecond'"),
    "u": ("uuid", "(lpad(to_hex(g * 44739242::bigint / 64 * 16 % 4294967296), 8, '0') || repeat('0', 24))::uuid"),
    "b": ("boolean", "g > 3000"), "ip": ("inet", "inet '10.0.0.0' + g"), "few": ("text", "chr(65 + g / 1500)"),
    "part": ("int", "CASE WHEN g % 3000 > 2000 THEN g END"), "co": ("pair", "ROW(g, 'x' || g)::pair"),
}


def ranges():
    """Many row groups in each of three files, and two small ones."""
    story = Story("sorted", "sorted")
    definition = ", ".join(f"{c} {t}" for c, (t, _) in SORTED.items())
    values = ", ".join(e for _, e in SORTED.values())
    sql(f"CREATE TABLE sorted (id int NOT NULL, {definition}) USING lakehouse WITH (row_group_rows = 1000, bulk_threshold = 0)")
    for low, high in ((1, 2500), (2501, 4900), (4901, 5990), (5991, 5995), (5996, 6000)):
        sql(f"INSERT INTO sorted SELECT g, {values} FROM generate_series({low}, {high}) g")
    story.version("all")
    return story


def evolution():
    """Columns that come, go, change names and grow; each change published alone and with rows."""
    story = Story("evolution", "evolution")
    sql("CREATE TYPE growing AS (x int, y text, z int)",
        "CREATE TABLE evolution (id int NOT NULL, a int, b text, n numeric(9,2), m numeric(12,3), r real, gone text, g growing) USING lakehouse")
    story.step("before", "SET lakehouse.bulk_threshold = 0", """INSERT INTO evolution SELECT i, i * 7 - 50, 'b' || i, i / 4.0 - 3, -i,
        i / 8.0, 'gone' || i, ROW(i, 'y' || i, -i)::growing FROM generate_series(1, 100) i""")
    story.step("before, small", "INSERT INTO evolution VALUES (101, 2147483647, NULL, -9999999.99, 1, -1.5, NULL, NULL)", "INSERT INTO evolution VALUES (102)")
    for n, (label, ddl, columns, values) in enumerate((
            ("add", "ADD COLUMN d int DEFAULT 7, ADD COLUMN e text", "a, d, e", "1, 8, 'e'"),
            ("add, default of text", "ADD COLUMN t text NOT NULL DEFAULT 'žluť'", "t", "'later'"),
            ("drop", "DROP COLUMN gone", "a, b", "2, 'after the drop'"),
            ("rename", "RENAME b TO label", "label", "'after the rename'"),
            ("swap names", "RENAME d TO swap", "swap", "9"),
            ("wider, no rewrite", "ALTER n TYPE numeric(18,2), ALTER m TYPE numeric(38,3)", "n, m", "1234567890123456.78, -12345678901234567890123456789012345.678"),
            ("bigint", "ALTER a TYPE bigint", "a", "9223372036854775807"),
            ("double", "ALTER r TYPE double precision", "r", "1e300"),
            ("same name, another type", "ADD COLUMN gone int DEFAULT -1", "gone", "5"),
            ("default for each row", "ADD COLUMN u uuid DEFAULT gen_random_uuid()", "label", "'u'"),
            ("numeric wider again", "ALTER n TYPE numeric(38,2)", "n", "-123456789012345678901234567890123456.78"),
            ("text of a number", "ALTER a TYPE text", "a", "'no number'"))):
        story.step(label, f"ALTER TABLE evolution {ddl}")
        story.step(f"{label}, and a row", f"INSERT INTO evolution (id, {columns}) VALUES ({200 + n}, {values})")
    story.step("attribute added", "ALTER TYPE growing ADD ATTRIBUTE added numeric(9,2) CASCADE",
               "INSERT INTO evolution (id, g) VALUES (301, ROW(1, 'y', 2, 3.5))")
    story.step("attribute dropped", "ALTER TYPE growing DROP ATTRIBUTE y CASCADE",
               "INSERT INTO evolution (id, g) VALUES (302, ROW(1, 2, 3.5))")
    return story


def merged():
    """Small commits, some rolled back, until the publisher has merged their files."""
    story = Story("merged", "merged")
    sql("CREATE TABLE merged (id int NOT NULL, t text, n numeric(9,2), a int[]) USING lakehouse")
    for n in range(20):
        sql("BEGIN", "INSERT INTO merged VALUES (-1, 'never there')", "ROLLBACK")
        sql(f"INSERT INTO merged SELECT i, CASE WHEN i % 5 > 0 THEN 't' || i END, i / 4.0, ARRAY[i, NULL] FROM generate_series({n * 10}, {n * 10 + 8}) i")
        if n % 4 == 0:
            story.version(f"commit {n}")
        else:
            sql("SELECT lakehouse.publish('merged')")
    for _ in range(300):
        if sql("SELECT EXISTS (SELECT FROM lakehouse.versions WHERE table_name = 'merged'::regclass AND operation = 'replace')") == ["t"]:
            break
        time.sleep(0.1)
    else:
        compare.check("merged: files are merged", "no version with operation replace after 30 s")
    story.version("merged files")
    return story


def emptied():
    """All versions but the newest have rows."""
    story = Story("emptied", "emptied")
    sql("CREATE TABLE emptied (id int NOT NULL, t text) USING lakehouse")
    story.version("never filled")
    story.step("filled", "INSERT INTO emptied VALUES (1, 'x'), (2, NULL)")
    story.step("truncated", "TRUNCATE emptied")
    return story


def deletes():
    """Rows that go and change, in many files, in delta and files, until whole files are gone."""
    story = Story("deletes", "deletes")
    sql("CREATE TABLE deletes (id int NOT NULL, k int, t text) USING lakehouse WITH (row_group_rows = 1000, bulk_threshold = 100)")
    for low in (1, 2001, 4001):
        sql(f"INSERT INTO deletes SELECT g, g / 10, 't' || g FROM generate_series({low}, {low + 1999}) g")
    story.version("filled")
    story.step("some of each file", "DELETE FROM deletes WHERE id % 7 = 0")
    story.step("small rows, some gone again", "INSERT INTO deletes SELECT g, g, 'small' FROM generate_series(6001, 6020) g",
               "DELETE FROM deletes WHERE id IN (3, 6003, 6004)")
    story.step("published small rows", "DELETE FROM deletes WHERE id IN (5, 6005, 4006)")
    story.step("updates", "UPDATE deletes SET t = t || ' changed', k = -k WHERE id % 11 = 0")
    story.step("again", "UPDATE deletes SET t = t || ' twice' WHERE id % 22 = 0", "DELETE FROM deletes WHERE id % 33 = 0")
    story.step("a whole file", "DELETE FROM deletes WHERE id BETWEEN 2001 AND 4000")
    story.step("all but one", "DELETE FROM deletes WHERE id <> 10")
    return story
