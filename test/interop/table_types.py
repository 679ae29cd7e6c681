#!/usr/bin/env python3
"""A column of each type, edge values in each: written as delta, as bulk and as
both, and read by others as Postgres reads it.  Only values that Iceberg can say
too; what it cannot is docs/types.md's and test/tap's business."""

import compare
from compare import sql

# (column, type, edge values as SQL expressions; NULL is added to each)
COLUMNS = [
    ("b", "boolean", ["true", "false"]),
    ("i2", "smallint", ["-32768", "0", "32767"]),
    ("i4", "integer", ["-2147483648", "-1", "0", "2147483647"]),
    ("i8", "bigint", ["-9223372036854775808", "0", "9223372036854775807"]),
    ("f4", "real", ["-3.4028235e38", "-1.5", "0.1", "1.17549435e-38", "'NaN'"]),
    ("f8", "double precision", ["-1.7976931348623157e308", "0.1", "5e-324", "12345.678901234567", "'NaN'"]),
    ("n9", "numeric(9,2)", ["-9999999.99", "0", "0.01", "9999999.99"]),
    ("n18", "numeric(18,6)", ["-999999999999.999999", "0.000001", "999999999999.999999"]),
    ("n38", "numeric(38,10)", ["-9999999999999999999999999999.9999999999", "1", "9999999999999999999999999999.9999999999"]),
    ("n", "numeric", ["1.10", "-123456789012345678901234567890.123456789", "0"]),
    ("t", "text", ["''", "'a'", "'ÄÖÜ €'", "repeat('ab', 2000)", "repeat('ÿ', 20)", "'z' || repeat('🐘', 30)", "'line' || chr(10)"]),
    ("vc", "varchar(20)", ["'x'", "'twenty characters ok'"]),
    ("c", "char(6)", ["'ab'", "'abcdef'"]),
    ("by", "bytea", ["''", "'\\x00ff'", "'\\xffffffffffffffffffffffffffffffffffffffff'", "'\\x01'"]),
    ("d", "date", ["'0001-01-01'", "'1970-01-01'", "'2000-02-29'", "'9999-12-31'"]),
    ("ti", "time", ["'00:00:00'", "'12:34:56.789'", "'23:59:59.999999'"]),
    ("ts", "timestamp", ["'0001-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "'2024-02-29 12:00:00.5'", "'9999-12-31 23:59:59.999999'"]),
    ("tz", "timestamptz", ["'1900-01-01 00:00:00+00'", "'2024-07-01 12:00:00.123456+02'", "'2100-01-01 00:00:00+00'"]),
    ("iv", "interval", ["'0'", "'1 year 2 months -3 days 04:05:06.789'", "'-1 day'"]),
    ("u", "uuid", ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'01234567-89ab-cdef-0123-456789abcdef'"]),
    ("o", "oid", ["0", "1259", "4294967295"]),
    ("j", "json", ["'{\"a\":  [1, null]}'", "'\"x\"'"]),
    ("jb", "jsonb", ["'{\"b\": 1, \"a\": [true, 1.50]}'", "'null'"]),
    ("ip", "inet", ["'192.168.1.1/24'", "'::1'"]),
    ("ci", "cidr", ["'10.0.0.0/8'"]),
    ("mac", "macaddr", ["'08:00:2b:01:02:03'"]),
    ("ttz", "timetz", ["'12:00:00+05:30'"]),
    ("r", "int4range", ["'[1,5)'", "'empty'", "'(,3)'"]),
    ("bits", "varbit", ["B'10101'", "B''"]),
    ("e", "mood", ["'sad'", "'ok'", "'happy'"]),
    ("dom", "posint", ["1", "2147483647"]),
    ("ia", "int[]", ["'{}'", "'{1,2,3}'", "'{NULL,-1}'"]),
    ("ta", "text[]", ["'{}'", "ARRAY['', 'x', NULL]"]),
    ("co", "pair", ["ROW(1, 'x')", "ROW(NULL, '')"]),
]


def create(table, columns=COLUMNS, access_method="lakehouse"):
    if sql("SELECT to_regtype('mood') IS NULL") == ["t"]:
        sql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')", "CREATE TYPE pair AS (x int, y text)",
            "CREATE DOMAIN posint AS int CHECK (VALUE > 0)")
    definition = ", ".join(f"{name} {kind}" for name, kind, _ in columns)
    sql(f"CREATE TABLE {table} (id int NOT NULL, {definition}) USING {access_method}")


def insert(table, first_id, columns=COLUMNS):
    """One row of each edge value (columns take turns), and one of NULLs, at the given id on."""
    rows = max(len(v) for _, _, v in columns)
    for i in range(rows + 1):
        values = [f"({v[i % len(v)]})::{t}" if i < rows and (i < len(v) or i % 2) else f"NULL::{t}" for _, t, v in columns]
        sql(f"INSERT INTO {table} VALUES ({first_id + i}, {', '.join(values)})")


def main():
    for how in ("delta", "bulk", "both"):
        table = f"types_{how}"
        create(table)
        if how in ("bulk", "both"):
            create("seed", access_method="heap")
            insert("seed", 1)
            sql("SET lakehouse.bulk_threshold = 0", f"INSERT INTO {table} SELECT * FROM seed")
            sql("DROP TABLE seed")
        if how in ("delta", "both"):
            insert(table, 1001)
        sql(f"SELECT lakehouse.publish('{table}')")
        location = sql(f"SELECT lakehouse.metadata_location('{table}')")[0]
        columns = compare.columns_of(table)
        rows = compare.sql_rows(table, columns)
        compare.check(f"{how}: rows", None if rows else "no rows at all")
        compare.whole(how, location, rows, columns)
        compare.file_by_file(how, table, rows, columns)
        compare.filters(how, table, location, rows, columns)
    renamed("types_both", "labels", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
            "ALTER TYPE mood RENAME VALUE 'ok' TO 'sad'")
    compare.file_by_file("labels", "types_both", *published("types_both")[1:])
    renamed("types_both", "attribute", "ALTER TYPE pair RENAME ATTRIBUTE y TO label")
    compare.finish()


def published(table):
    location = sql(f"SELECT lakehouse.publish('{table}')", f"SELECT lakehouse.metadata_location('{table}')")[-1]
    columns = compare.columns_of(table)
    return location, compare.sql_rows(table, columns), columns


def renamed(table, what, *statements):
    """Another name inside of a type: nobody writes to the table, yet other readers learn of it."""
    was = now = published(table)[0]
    sql(*statements)
    for _ in range(300):
        now = sql("SELECT pg_sleep(0.2)", f"SELECT lakehouse.metadata_location('{table}')")[-1]
        if now != was:
            break
    compare.check(f"{what} renamed: published by itself", None if now != was else "it was not")
    location, rows, columns = published(table)
    compare.whole(what, location, rows, columns)
    compare.filters(what, table, location, rows, columns)


if __name__ == "__main__":
    main()
