#!/usr/bin/env python3
"""The figures of docs/benchmarks.md, each a ratio against a named rival in the
same server and the same run.  Started by `run`, which makes the server."""

import os
import platform
import re
import statistics
import subprocess
import time

import lake_readers
from figures import at_least, at_most, best_of, mebibytes, pgbench, report, rows, seconds
from session import Session
import writes

SF = os.environ["SF"]
ROOT = os.environ["LH_ROOT"]
SECONDS_EACH = int(os.environ.get("SECONDS_EACH") or 10)
FILES = [int(n) for n in (os.environ.get("FILES") or "10 1000").split()]
ONLY = (os.environ.get("ONLY") or "").split()
LINEITEM = """(l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber int, l_quantity numeric(15,2),
    l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag char(1),
    l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct char(25),
    l_shipmode char(10), l_comment varchar(44))"""


def file_of(sf):
    return f"{os.environ['LH_WORK']}/bench/sf{sf}.csv"


# ---- COPY: time, memory, stored size ----

def copy_once(access_method, sf):
    """(seconds, peak memory and WAL in bytes) of a COPY into a new table, in a new backend."""
    with Session() as session:
        session.run(f"DROP TABLE IF EXISTS lineitem_{access_method}")
        session.run(f"CREATE TABLE lineitem_{access_method} {LINEITEM} USING {access_method}")
        session.run("CHECKPOINT")
        start = session.value("SELECT pg_current_wal_insert_lsn()")
        took = session.seconds(f"COPY lineitem_{access_method} FROM '{file_of(sf)}' (FORMAT csv, HEADER)")
        wal = int(session.value(f"SELECT pg_current_wal_insert_lsn() - '{start}'"))
        return took, session.proc("status", "VmHWM") * 1024, wal


def copy():
    best, memory, wal = {}, {}, {}
    for _ in range(2):
        for method in ("heap", "lakehouse"):
            took, peak, wal[method] = copy_once(method, SF)
            best[method] = min(best.get(method, took), took)
            memory[method] = max(memory.get(method, 0), peak)
    at_most(f"COPY lineitem SF{SF}, time (heap)", best["heap"], best["lakehouse"], 1.2, seconds)
    at_most(f"WAL of COPY lineitem SF{SF} (heap)", wal["heap"], wal["lakehouse"], 0.3, mebibytes)
    with Session() as session:
        session.run("SELECT lakehouse.publish('lineitem_lakehouse')")
        heap = int(session.value("SELECT pg_total_relation_size('lineitem_heap')"))
        lake = int(session.value("SELECT sum(bytes) FROM lakehouse.files "
                                 "WHERE table_name = 'lineitem_lakehouse'::regclass AND removed_version IS NULL"))
    at_most("stored size (heap)", heap, lake, 0.20, mebibytes)
    show_memory(SF, memory["heap"], memory["lakehouse"])
    if os.environ.get("SF10"):
        _, heap_peak, _ = copy_once("heap", "10")
        _, lake_peak, _ = copy_once("lakehouse", "10")
        show_memory("10", heap_peak, lake_peak)
        copy_once("heap", SF)
        copy_once("lakehouse", SF)


def show_memory(sf, heap, lake):
    above = lake - heap
    report(f"peak memory of COPY SF{sf} (heap)", mebibytes(heap), mebibytes(lake), f"{above / 2**20:+.1f} MiB",
           "≤ +256 MiB", above <= 256 * 2**20)


# ---- scans ----

def need_lineitem(session):
    for method in ("heap", "lakehouse"):
        if session.value(f"SELECT to_regclass('lineitem_{method}') IS NULL") == "t":
            copy_once(method, SF)
    session.run("SELECT lakehouse.publish('lineitem_lakehouse')")
    session.run("VACUUM ANALYZE lineitem_heap")
    session.run("ANALYZE lineitem_lakehouse")


def scan(what, expression, workers, limit):
    with Session(f"max_parallel_workers_per_gather = {workers}") as session:
        need_lineitem(session)
        heap, lake = (best_of(session, f"SELECT {expression} FROM lineitem_{m}") for m in ("heap", "lakehouse"))
    at_least(f"{what}, {workers} workers, speed (heap)", 1 / heap, 1 / lake, limit, lambda v: seconds(1 / v))


def sum_column():
    for workers in (0, 2):
        scan("sum of one column", "sum(l_extendedprice)", workers, 3)


def count():
    for workers in (0, 2):
        scan("count(*)", "count(*)", workers, 50)


def bytes_read():
    """What one backend reads for one of 16 columns, against what the files say that column takes."""
    with Session("max_parallel_workers_per_gather = 0") as session:
        need_lineitem(session)
        query = "SELECT sum(l_suppkey) FROM lineitem_lakehouse"
        session.run(query)              # catalogs and relcache are warm now
        before = session.proc("io", "rchar")
        session.run(query)
        read = session.proc("io", "rchar") - before
        paths = session.run("SELECT path FROM lakehouse.files "
                            "WHERE table_name = 'lineitem_lakehouse'::regclass AND removed_version IS NULL")
    chunks = footers = 0
    for path in (p.removeprefix("file://") for p in paths):
        [(answer, _)] = lake_readers.duckdb_run(
            f"SELECT sum(total_compressed_size)::BIGINT FROM parquet_metadata('{path}') WHERE path_in_schema = 'l_suppkey'")
        chunks += answer[0][0]
        with open(path, "rb") as file:
            file.seek(-8, os.SEEK_END)
            footers += int.from_bytes(file.read(4), "little") + 8
    at_most("bytes read for one of 16 columns (its chunks + footers)", chunks + footers, read, 1.0, mebibytes)


# ---- small commits ----

SMALL = "(id bigint, at timestamptz DEFAULT clock_timestamp(), payload text)"
FILE_BYTES, FILE_ROUNDS = 540000, 31
INSERT = "\\set id random(1, 1000000000)\nINSERT INTO {} (id, payload) VALUES (:id, 'a row of some forty bytes or so');\n"


def insert():
    for clients in (1, 8):
        rates = {"heap": [], "lakehouse": []}
        with Session() as session:
            for method in rates:
                session.run(f"DROP TABLE IF EXISTS small_{method}")
                session.run(f"CREATE TABLE small_{method} {SMALL} USING {method}")
            for turn in range(4):
                for method in (list(rates), list(rates)[::-1])[turn % 2]:
                    session.run("CHECKPOINT")
                    rates[method].append(pgbench(INSERT.format(f"small_{method}"), clients, SECONDS_EACH))
        for method, measured in rates.items():
            print(f"  {method}, {clients} clients, each run: " + " ".join(f"{r:.0f}/s" for r in measured), flush=True)
        at_least(f"single-row INSERT commits, {clients} client{'s' * (clients > 1)} (heap)",
                 statistics.median(rates["heap"]), statistics.median(rates["lakehouse"]), 0.7, lambda v: f"{v:.0f}/s")


def fill_files(session, n):
    """A table of n published files."""
    session.run(f"DROP TABLE IF EXISTS many_{n}")
    # Published when asked for, so that commits are timed without the publisher beside them;
    # files of more than half the target size, so that they are not merged away.
    session.run(f"CREATE TABLE many_{n} (id bigint, payload text) "
                "USING lakehouse WITH (publish = '1h', target_file_size = '1MB', compression = 'none')")
    started = time.time()
    for first in range(0, n, 1000):
        last = min(first + 1000, n) - 1
        session.run(f"DO $$ BEGIN FOR i IN {first}..{last} LOOP "
                    f"INSERT INTO many_{n} VALUES (i, repeat('x', {FILE_BYTES})); END LOOP; END $$")
    session.run(f"SELECT lakehouse.publish('many_{n}')")
    print(f"  {n:,} files made and published in {time.time() - started:.0f} s", flush=True)


def files():
    """A commit that adds one file, and its publication, to tables of more and more files, in turns."""
    commit, publish, left = ({n: [] for n in FILES} for _ in range(3))
    with Session("lakehouse.bulk_threshold = 0") as session:
        for n in FILES:
            fill_files(session, n)
        session.run("CHECKPOINT")
        for i in range(FILE_ROUNDS):
            for n in FILES:
                commit[n].append(session.seconds(f"INSERT INTO many_{n} VALUES ({n + i}, repeat('x', {FILE_BYTES}))"))
                publish[n].append(session.seconds(f"SELECT lakehouse.publish('many_{n}')"))
        for n in FILES:
            left[n] = int(session.value(f"SELECT count(*) FROM lakehouse.files "
                                        f"WHERE table_name = 'many_{n}'::regclass AND removed_version IS NULL"))
            session.run(f"DROP TABLE many_{n}")
    for n in FILES[1:]:
        merged = "" if left[n] >= n else f", merged to {left[n]:,}"
        for what, times in (("commit that adds a file", commit), ("its publication", publish)):
            at_most(f"{what}, to {n:,} files{merged} ({FILES[0]} files)",
                    statistics.median(times[FILES[0]]), statistics.median(times[n]), 1.5, seconds)


# ---- a table of very many files ----

MANY = int(os.environ.get("MANY") or 100000)


def fill_many(method):
    """A table of MANY rows, each in a file of its own, unpublished so that they are not merged."""
    with Session("synchronous_commit = off") as session:
        session.run(f"DROP TABLE IF EXISTS tiny_{method}")
        session.run(f"CREATE TABLE tiny_{method} (id int, v int) USING {method}" +
                    (" WITH (publish = '1h', compression = 'none')" if method == "lakehouse" else ""))
        session.run(f"CREATE INDEX ON tiny_{method} (id)")
        session.run(f"INSERT INTO tiny_{method} VALUES (0, 0)")
        if method == "lakehouse":
            session.run("SELECT lakehouse.publish('tiny_lakehouse')")
            session.run("SET lakehouse.bulk_threshold = 0")
        for first in range(1, MANY + 1, 1000):
            session.run(f"DO $$ BEGIN FOR i IN {first}..{min(first + 999, MANY)} LOOP "
                        f"INSERT INTO tiny_{method} VALUES (i, i); END LOOP; END $$")
        session.run(f"DELETE FROM tiny_{method} WHERE id % 100 = 0")


def once(method, statement):
    """Seconds, and the greatest memory of a new backend without what it shares with others."""
    with Session("synchronous_commit = on") as session:
        took = session.seconds(statement.format(f"tiny_{method}"))
        return took, (session.proc("status", "VmHWM") - session.proc("status", "RssShmem")) * 1024


def many():
    with Session() as session:
        session.run("ALTER SYSTEM SET fsync = off")         # while they are made
        session.run("SELECT pg_reload_conf()")
        for method in ("heap", "lakehouse"):
            fill_many(method)
        session.run("ALTER SYSTEM RESET fsync")
        session.run("SELECT pg_reload_conf()")
        session.run("CHECKPOINT")
    for what, statement in (("commit of a row", "INSERT INTO {} VALUES (-1, 0)"), ("VACUUM", "VACUUM {}"),
                            ("TRUNCATE", "TRUNCATE {}")):
        (heap, _), (lake, memory) = (once(method, statement) for method in ("heap", "lakehouse"))
        report(f"{what}, table of {MANY:,} files, time (heap)", seconds(heap), seconds(lake),
               f"+{seconds(lake - heap)}", "< +1 s", lake - heap < 1)
        report(f"{what}, table of {MANY:,} files, memory", "-", mebibytes(memory), "-", "< 256 MiB", memory < 256 * 2**20)
    with Session() as session:
        report(f"the TRUNCATE's publication, {MANY:,} files", "-",
               seconds(session.seconds("SELECT lakehouse.publish('tiny_lakehouse')")), "-", "-", True)
        session.run("DROP TABLE tiny_heap, tiny_lakehouse")


def lag():
    """100 commits a second for a minute: how far the newest version is behind, how many files it costs."""
    length = max(SECONDS_EACH * 6, 30)
    with Session() as session:
        session.run("DROP TABLE IF EXISTS steady")
        session.run(f"CREATE TABLE steady {SMALL} USING lakehouse")
        session.run(INSERT.split("\n")[1].format("steady").replace(":id", "0"))
        session.run("SELECT lakehouse.publish('steady')")
        path = f"{os.environ['LH_WORK']}/bench/steady.sql"
        with open(path, "w") as file:
            file.write(INSERT.format("steady"))
        load = subprocess.Popen([os.path.join(os.environ["LH_BIN"], "pgbench"), "-n", "-M", "prepared", "-f", path,
                                 "-c", "4", "-j", "2", "-R", "100", "-T", str(length)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lags, seen = [], set()
        time.sleep(3)
        while load.poll() is None:
            lags.append(float(session.value(
                "SELECT extract(epoch FROM clock_timestamp() - max(published_at)) FROM lakehouse.versions "
                "WHERE table_name = 'steady'::regclass")))
            seen.update(session.run("SELECT file_id FROM lakehouse.files WHERE table_name = 'steady'::regclass"))
            time.sleep(0.2)
        added = len(seen)
        current = int(session.value("SELECT count(*) FROM lakehouse.files "
                                    "WHERE table_name = 'steady'::regclass AND removed_version IS NULL"))
    worst = max(lags)
    report("publish lag at 100 commits/s, worst", "-", f"{worst:.2f} s", f"median {statistics.median(lags):.2f} s",
           "≤ 2 s", worst <= 2)
    a_minute = added * 60 / length
    report("files written a minute at 100 commits/s", "-", f"{a_minute:.0f}", f"{current} current", "≤ 60", a_minute <= 60)


PARTS = {"copy": copy, "sum": sum_column, "count": count, "bytes": bytes_read, "insert": insert, "files": files, "many": many, "lag": lag,
         **writes.PARTS}


def machine():
    with open("/proc/cpuinfo") as info:
        names = re.findall(r"model name\s*: (.*)", info.read())
    return f"{len(names)} × {names[0] if names else platform.machine()}"


def write_results():
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    with Session() as session:
        server = session.value("SHOW server_version")
    lines = ["# Benchmark results", "",
             f"`make bench SF={SF}` at commit {commit or 'unknown'}, PostgreSQL {server}, {machine()}. "
             "The rival stands in brackets.", "",
             "| what (rival) | rival | lakehouse | ratio | target | met |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(r) + " |" for r in rows]
    text = "\n".join(lines) + "\n"
    with open(f"{ROOT}/test/bench/results.md", "w") as file:
        file.write(text)
    print("\n" + text)


def main():
    for name, part in PARTS.items():
        if ONLY and name not in ONLY:
            continue
        try:
            part()
        except Exception as e:      # one figure that cannot be had must not cost the others
            report(name, "-", f"failed: {' '.join(str(e).split())[:120]}", "-", "-", False)
    write_results()


if __name__ == "__main__":
    main()
