#!/usr/bin/env python3
"""Random inserts, updates and deletes on a lakehouse table and a heap: every version
has the rows that the heap had, by time travel, in PyIceberg and in DuckDB, those that
compaction made too; and the metadata counts what is deleted.
"""

import json
import random
import re

import compare
import lake_readers
from compare import check, sql

ROUNDS = 26
SEED = 20261121


def changes(chance, n):
    """SQL of one round, with T for the table: what it does must not depend on the order of rows."""
    # by hash, so that dead rows lie everywhere in the files; a share of 1/k
    some = f"WHERE hashint4(id + {n}) % {chance.choice([2, 3, 5, 11, 97])} = 0"
    low = chance.randrange(0, 9000)
    span = f"WHERE id BETWEEN {low} AND {low + chance.choice([0, 50, 4000])}"
    rows = chance.choice([1, 7, 400, 3000])
    insert = f"INSERT INTO T SELECT i, i % 10, 'round {n}' FROM generate_series({n * 10000}, {n * 10000 + rows - 1}) i"
    kinds = {
        "insert": [insert],
        "delete some": [f"DELETE FROM T {some}"],
        "delete span": [f"DELETE FROM T {span}"],
        "update some": [f"UPDATE T SET v = v + 1, s = s || '.' {some}"],
        "update span": [f"UPDATE T SET v = -v {span}"],
        "insert and delete": [insert, f"DELETE FROM T {some}"],
        "twice": [f"UPDATE T SET v = v + 100 {span}", f"UPDATE T SET v = v + 1000 {span}", f"DELETE FROM T {some}"],
        "take back": ["SAVEPOINT a", f"DELETE FROM T {some}", "ROLLBACK TO a", f"UPDATE T SET v = 7 {span}"],
        "few": ["DELETE FROM T WHERE id IN (SELECT min(id) FROM T UNION SELECT max(id) FROM T)"],
    }
    return kinds[chance.choice([*kinds, "few", "update some"])]


def play(table, chance):
    """[(snapshot id, rows)] of the rounds that made a version."""
    sql(f"CREATE TABLE {table} (id int, v int, s text) USING lakehouse WITH (row_group_rows = 1000)",
        "CREATE TABLE oracle (id int, v int, s text) USING heap")
    special = {0: ["INSERT INTO T SELECT i, i % 10, 'first' FROM generate_series(1, 9000) i"],
               9: ["ALTER TABLE T ADD COLUMN later int DEFAULT 5", "DELETE FROM T WHERE id % 4 = 1"],
               17: ["TRUNCATE T", "INSERT INTO T SELECT i, i % 10, 'again' FROM generate_series(1, 5000) i"],
               24: ["DELETE FROM T"],
               25: ["INSERT INTO T SELECT i, 0, 'last' FROM generate_series(1, 20) i", "DELETE FROM T WHERE id = 3"]}
    states = []
    for n in range(ROUNDS):
        steps = special.get(n) or changes(chance, n)
        both = [re.sub(r"\bT\b", name, step) for name in (table, "oracle") for step in steps]
        bulk = f"SET LOCAL lakehouse.bulk_threshold = {chance.choice([0, 10000])}"
        snapshot_id = sql("\n".join(f"{s};" for s in ["BEGIN", bulk, *both, "COMMIT"]),
                          f"SELECT lakehouse.publish('{table}')")[0]
        rows = contents("oracle")
        now = contents(table)
        check(f"round {n}: the table is as the heap", None if now == rows else
              f"missing {sorted(set(rows) - set(now))[:3]}, too many {sorted(set(now) - set(rows))[:3]} after {steps}")
        if not states or states[-1][0] != snapshot_id:
            states.append((snapshot_id, rows))
    return states


def contents(table, suffix=""):
    return sorted(sql(f"SELECT to_jsonb(x) - 'later' FROM {table} x {suffix}"))


def text_rows(rows):
    """What a reader returned, as the SQL above prints it."""
    return sorted(json.dumps({"s": r["s"], "v": r["v"], "id": r["id"]}, ensure_ascii=False) for r in rows)


def settle(table):
    """Until compaction has come to rest."""
    return sql(f"""DO $$
        DECLARE last int8; now int8; BEGIN
            FOR i IN 1..300 LOOP
                SELECT max(version) INTO now FROM lakehouse.versions WHERE table_name = '{table}'::regclass;
                EXIT WHEN now = last AND i > 5;
                last := now; COMMIT; PERFORM pg_sleep(0.2);
            END LOOP; END $$""", f"SELECT lakehouse.publish('{table}')")


def main():
    table = "churn"
    states = dict(play(table, random.Random(SEED)))
    settle(table)
    location = sql(f"SELECT lakehouse.metadata_location('{table}')")[0]
    versions = [v.split("|") for v in sql(f"""SELECT version, snapshot_id, operation, rows, delete_files, deleted_rows
        FROM lakehouse.versions WHERE table_name = '{table}'::regclass ORDER BY 1""")]
    iceberg = lake_readers.pyiceberg_table(location)
    duckdb = lake_readers.duckdb_run(*(
        f"SELECT id, v, s FROM {lake_readers.duckdb_table(location, v[1])}" for v in versions))
    rows = None
    for (number, snapshot_id, operation, count, delete_files, deleted_rows), (answer, names) in zip(versions, duckdb):
        what = f"version {number} ({operation})"
        if operation != "replace":
            rows = states.get(snapshot_id)
            if rows is None:
                check(what, "nobody asked for it")
                continue
        wanted = rows
        check(f"{what}: its number of rows", None if int(count) == len(wanted) else f"{count}, not {len(wanted)}")
        found = contents(table, f"TABLESAMPLE lakehouse.as_of_version({number})")
        check(f"{what}, time travel", None if found == wanted else f"{len(found)} rows, not {len(wanted)}, or others")
        found = text_rows(dict(zip(names, r)) for r in answer)
        check(f"{what}, DuckDB", None if found == wanted else f"{len(found)} rows, not {len(wanted)}, or others")
        found = text_rows(iceberg.scan(snapshot_id=int(snapshot_id)).to_arrow().to_pylist())
        check(f"{what}, PyIceberg", None if found == wanted else f"{len(found)} rows, not {len(wanted)}, or others")
        summary = iceberg.snapshot_by_id(int(snapshot_id)).summary
        check(f"{what}: summary", None if (summary["total-delete-files"], summary["total-position-deletes"]) ==
              (delete_files, deleted_rows) else f"{summary} with {delete_files} delete files of {deleted_rows} rows")
    operations = [v[2] for v in versions]
    check("versions of every kind", None if {"append", "delete", "overwrite", "replace"} <= set(operations) else operations)
    check("with delete files", None if any(int(v[4]) > 0 for v in versions) else versions)
    check("the whole table's rows", None if contents(table) == contents("oracle") else "they differ")
    compare.finish()


if __name__ == "__main__":
    main()
