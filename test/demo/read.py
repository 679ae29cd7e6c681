#!/usr/bin/env python3
"""read.py METADATA-LOCATION SQL-ANSWER - the demo's table read without Postgres.

Computes the same few numbers that the demo asked of Postgres (rows, bytes, and a
checksum over every name and version) with DuckDB and with PyIceberg, from the
files alone, and says whether they are equal.
"""

import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import lake_readers


def with_duckdb(location):
    [(rows, _)] = lake_readers.duckdb_run(
        "SELECT count(*), sum(installed_size)::BIGINT, "
        "md5(string_agg(name || ' ' || version, ',' ORDER BY name, version, architecture)) "
        f"FROM {lake_readers.duckdb_table(location)}")
    return "|".join(map(str, rows[0]))


def with_pyiceberg(location):
    table = lake_readers.pyiceberg_table(location)
    columns = ("name", "version", "architecture", "installed_size")
    rows = table.scan(selected_fields=columns).to_arrow().select(list(columns)).to_pylist()
    keys = sorted(tuple(r[c].encode() for c in columns[:3]) for r in rows)
    checksum = hashlib.md5(b",".join(name + b" " + version for name, version, _ in keys)).hexdigest()
    return f"{len(rows)}|{sum(r['installed_size'] or 0 for r in rows)}|{checksum}"


def main():
    location, expected = sys.argv[1:3]
    print(f"  {'Postgres':<10} {expected}")
    equal = True
    for name, read in (("DuckDB", with_duckdb), ("PyIceberg", with_pyiceberg)):
        try:
            answer = read(location)
        except Exception as e:      # the demo says what happened and goes on to the next reader
            answer = f"{type(e).__name__}: {e}"
        equal &= answer == expected
        print(f"  {name:<10} {answer}  {'equal' if answer == expected else 'DIFFERENT'}")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
