"""UPDATE, DELETE, keys and indexes against heap, both cached."""

import os
import statistics

from figures import at_least, at_most, pgbench, seconds
from session import Session

ROWS = int(os.environ.get("ROWS") or 1000000)
SCALE = int(os.environ.get("SCALE") or 50)
SECONDS_EACH = int(os.environ.get("SECONDS_EACH") or 10)
METHODS = ("heap", "lakehouse")


def rate(value):
    return f"{value:.0f}/s"


def micros(value):
    return f"{value * 1e6:.0f} µs"


def in_turns(measure, turns=3):
    """The median of each method, measured in turns so that a busy machine disturbs both."""
    got = {method: [] for method in METHODS}
    for turn in range(turns):
        for method in (METHODS, METHODS[::-1])[turn % 2]:
            got[method].append(measure(method))
    return [statistics.median(got[method]) for method in METHODS]


def make_points(session):
    for method in METHODS:
        session.run(f"DROP TABLE IF EXISTS point_{method}")
        session.run(f"CREATE TABLE point_{method} (id bigint, grp int, payload text) USING {method}")
        session.run(f"INSERT INTO point_{method} SELECT i, i % 1000, md5(i::text) FROM generate_series(1, {ROWS}) i")
        session.run(f"ALTER TABLE point_{method} ADD PRIMARY KEY (id)")
    session.run("SELECT lakehouse.publish('point_lakehouse')")
    session.run("VACUUM ANALYZE point_heap, point_lakehouse")


def point_select():
    with Session() as session:
        make_points(session)
    script = f"\\set id random(1, {ROWS})\nSELECT payload FROM point_{{}} WHERE id = :id;\n"
    heap, lake = in_turns(lambda m: 1 / pgbench(script.format(m), 1, SECONDS_EACH))
    at_most(f"SELECT by primary key of {ROWS:,} rows, latency (heap)", heap, lake, 2.5, micros)


def update():
    with Session() as session:
        make_points(session)
    script = f"\\set id random(1, {ROWS})\nUPDATE point_{{}} SET grp = grp + 1 WHERE id = :id;\n"
    heap, lake = in_turns(lambda m: 1 / pgbench(script.format(m), 1, SECONDS_EACH))
    at_most("single-row UPDATE by key, 1 client, latency (heap)", heap, lake, 3, micros)
    heap, lake = in_turns(lambda m: pgbench(script.format(m), 8, SECONDS_EACH))
    at_least("single-row UPDATE by key, 8 clients (heap)", heap, lake, 0.4, rate)


TPCB = """\\set aid random(1, 100000 * {scale})
\\set bid random(1, {scale})
\\set tid random(1, 10 * {scale})
\\set delta random(-5000, 5000)
BEGIN;
UPDATE tpcb_{m}.accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM tpcb_{m}.accounts WHERE aid = :aid;
UPDATE tpcb_{m}.tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE tpcb_{m}.branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO tpcb_{m}.history VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
"""


def tpcb():
    with Session() as session:
        for method in METHODS:
            session.run(f"DROP SCHEMA IF EXISTS tpcb_{method} CASCADE")
            session.run(f"CREATE SCHEMA tpcb_{method}")
            for table, key, n in (("branches", "bid", SCALE), ("tellers", "tid", 10 * SCALE), ("accounts", "aid", 100000 * SCALE)):
                session.run(f"CREATE TABLE tpcb_{method}.{table} ({key} int, {table[0]}balance int, filler char(84)) USING {method}")
                session.run(f"INSERT INTO tpcb_{method}.{table} SELECT i, 0, '' FROM generate_series(1, {n}) i")
                session.run(f"ALTER TABLE tpcb_{method}.{table} ADD PRIMARY KEY ({key})")
            session.run(f"CREATE TABLE tpcb_{method}.history (tid int, bid int, aid int, delta int, at timestamptz) USING {method}")
            session.run(f"VACUUM ANALYZE tpcb_{method}.accounts")
    heap, lake = in_turns(lambda m: pgbench(TPCB.format(m=m, scale=SCALE), 8, SECONDS_EACH))
    at_least(f"TPC-B, scale {SCALE}, 8 clients (heap)", heap, lake, 0.4, rate)


def upsert():
    statement = "INSERT INTO point_{} SELECT i * 7, 0, 'up' FROM generate_series(1, 1000) i ON CONFLICT (id) DO UPDATE SET payload = excluded.payload"
    with Session() as session:
        make_points(session)
        heap, lake = in_turns(lambda m: session.seconds(statement.format(m)), 9)
    at_most("upsert of 1,000 rows in one statement (heap)", heap, lake, 2, seconds)


def bulk_delete():
    with Session() as session:
        make_points(session)
        heap, lake = (session.seconds(f"DELETE FROM point_{m} WHERE id % 2 = 0") for m in METHODS)
    at_most(f"DELETE of half of {ROWS:,} rows (heap)", heap, lake, 1, seconds)


def foreign_key():
    with Session() as session:
        for method in METHODS:
            session.run(f"DROP TABLE IF EXISTS child_{method}, parent_{method}")
            session.run(f"CREATE TABLE parent_{method} (id int PRIMARY KEY) USING {method}")
            session.run(f"INSERT INTO parent_{method} SELECT generate_series(1, 1000)")
            session.run(f"CREATE TABLE child_{method} (id int, p int REFERENCES parent_{method}) USING {method}")
        heap, lake = in_turns(lambda m: session.seconds(
            f"INSERT INTO child_{m} SELECT i, i % 1000 + 1 FROM generate_series(1, 100000) i"))
    at_most("FK check, 100,000 child rows (heap)", heap, lake, 2, seconds)


def small_tables():
    with Session() as session:
        heap, lake = in_turns(lambda m: sum(
            session.seconds(f"CREATE TABLE tiny_{m} (id int PRIMARY KEY, v text) USING {m}; DROP TABLE tiny_{m}") for _ in range(50)) / 50)
        at_most("CREATE + DROP of a small table with a key (heap)", heap, lake, 3, seconds)
        for method in METHODS:
            for i in range(200):
                session.run(f"CREATE TABLE IF NOT EXISTS t{i}_{method} (id int PRIMARY KEY) USING {method}")
        heap, lake = in_turns(lambda m: session.seconds("TRUNCATE " + ", ".join(f"t{i}_{m}" for i in range(200))))
        at_most("TRUNCATE of 200 tiny tables (heap)", heap, lake, 3, seconds)


def scan_deleted():
    with Session("max_parallel_workers_per_gather = 0") as session:
        make_points(session)
        query = "SELECT sum(grp) FROM point_lakehouse"
        whole = min(session.seconds(query) for _ in range(5))
        session.run("DELETE FROM point_lakehouse WHERE id % 100 = 0")
        session.run("SELECT lakehouse.publish('point_lakehouse')")
        less = min(session.seconds(query) for _ in range(5))
    at_most("scan with 1 % of the rows deleted (none deleted)", whole, less, 1.15, seconds)


PARTS = {"point": point_select, "update": update, "tpcb": tpcb, "upsert": upsert, "delete": bulk_delete,
         "fk": foreign_key, "small": small_tables, "deleted": scan_deleted}
