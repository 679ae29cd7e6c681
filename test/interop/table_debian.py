#!/usr/bin/env python3
"""The Debian sample through several versions: every version, by its own metadata
file and by its snapshot id, read by others as Postgres reads it."""

import os

import compare
from compare import sql

TABLE = "packages"
DATA = os.environ["LH_DATA"] + "/debian"
FIELDS = "name, version, architecture, section, priority, installed_size, size, depends"


def copy(release):
    """TRUNCATE + COPY of one release in one transaction; ids count from 1."""
    sql("BEGIN", f"TRUNCATE {TABLE}", "CREATE TEMP TABLE staging (LIKE packages) ON COMMIT DROP",
        "ALTER TABLE staging DROP COLUMN id",
        f"\\copy staging ({FIELDS}) FROM '{DATA}/{release}.csv' (FORMAT csv, HEADER)",
        f"INSERT INTO {TABLE} (id, {FIELDS}) SELECT row_number() OVER (ORDER BY name), {FIELDS} FROM staging", "COMMIT")


def insert_some():
    """Small commits, with NULLs, empty values and text that bounds cut short."""
    sql(f"INSERT INTO {TABLE} (id) VALUES (100001)")
    sql(f"INSERT INTO {TABLE} (id, name, depends) VALUES (100002, '', '{{}}'), (100003, 'žluťoučký kůň 🐎 ' || repeat('ý', 100), NULL)")
    sql(f"INSERT INTO {TABLE} (id, name, size, depends) VALUES (100004, repeat('~', 60), -9223372036854775808, ARRAY[NULL, 'x', ''])")


def add_column():
    sql(f"ALTER TABLE {TABLE} ADD COLUMN note text")
    sql(f"INSERT INTO {TABLE} (id, name, note) VALUES (100005, 'zzz', 'a later column')")


def create():
    sql(f"""CREATE TABLE {TABLE} (id int NOT NULL, name text, version text, architecture text, section text,
        priority text, installed_size bigint, size bigint, depends text[]) USING lakehouse""")


STEPS = [("empty", lambda: None), ("bookworm", lambda: copy("bookworm")), ("small inserts", insert_some),
         ("trixie", lambda: copy("trixie")), ("later column", add_column)]


def main():
    create()
    history = []
    for label, step in STEPS:
        step()
        snapshot = int(sql(f"SELECT lakehouse.publish('{TABLE}')")[-1])
        location = sql(f"SELECT lakehouse.metadata_location('{TABLE}')")[0]
        columns = compare.columns_of(TABLE)
        rows = compare.sql_rows(TABLE, columns)
        history.append((label, snapshot, location, columns, rows))
        compare.whole(label, location, rows, columns)
    for label, snapshot, location, columns, rows in history:
        newest = history[-1][2]
        compare.guarded(f"{label}: Postgres, time travel", lambda: compare.difference(rows, list(compare.sql_rows(
            TABLE, columns, f"TABLESAMPLE lakehouse.as_of_snapshot({snapshot})").values())))
        compare.whole(f"{label}: own metadata, later", location, rows, columns)
        compare.whole(f"{label}: by snapshot id", newest, rows, columns, snapshot)
    label, _, location, columns, rows = history[-1]
    compare.file_by_file(label, TABLE, rows, columns)
    compare.filters(label, TABLE, location, rows, columns)
    compare.finish()


if __name__ == "__main__":
    main()
