#!/usr/bin/env python3
"""Vector indexes: ours against pgvector and hnswlib, on the same data in one run.

	bench_vector.py DATA.npz [PART ...]

DATA.npz is one of vector_data.py's.  Parts: workers build query hnswlib filter
exact parse insert vacuum; all of them unless some are named.  OURS and RIVAL are connection
strings (RIVAL may be missing).  Times are CPU microseconds of the backend, the
least of some rounds; it and this client share a core, since moving between
cores costs more than a query.  Lines "ratio" divide ours by the other's.
"""

import os
import struct
import sys
import time
from pathlib import Path

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from vector_data import COSINE

K = 10
ROUNDS = 3
# The recall at which systems are compared.
RECALL = {"glove": 0.95, "mnist": 0.995, "fashion": 0.995}
EFS = (10, 15, 20, 30, 40, 60, 80, 120, 160, 200, 250, 300, 400, 600, 800)
PARTS = ["workers", "build", "query", "hnswlib", "filter", "exact", "parse", "insert", "vacuum"]


class Vec(bytes):
    """A vector in binary format."""


def binary(x):
    return Vec(struct.pack(">hh", len(x), 0) + x.astype(">f4").tobytes())


class System:
    def __init__(self, name, conninfo, extension):
        self.name = name
        self.c = psycopg.connect(conninfo, autocommit=True, prepare_threshold=0)
        self.c.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        oid = self.one("SELECT 'vector'::regtype::oid")
        dumper = type("VecDumper", (Dumper,), {"format": Format.BINARY, "oid": oid, "dump": lambda self, v: bytes(v)})
        self.c.adapters.register_dumper(Vec, dumper)
        self.pid = self.one("SELECT pg_backend_pid()")
        self.pin({os.cpu_count() - 1})

    def pin(self, cpus):
        """Client and backend to these."""
        try:
            os.sched_setaffinity(0, cpus)
            os.sched_setaffinity(self.pid, cpus)
        except PermissionError:
            print(f"{self.name}: cannot pin the backend, times will vary", flush=True)

    def one(self, sql, *args):
        return self.c.execute(sql, args).fetchone()[0]

    def cpu(self):
        """Seconds of CPU that the backend has used."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    def say(self, part, **values):
        text = " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())
        print(f"{self.name:9} {part:8} {text}", flush=True)


def load(s, name, rows):
    if s.one("SELECT to_regclass(%s) IS NOT NULL", name):
        return
    s.c.execute(f"CREATE TABLE {name} (id int, v vector({rows.shape[1]}))")
    with s.c.cursor().copy(f"COPY {name} FROM STDIN BINARY") as copy:
        copy.set_types(["int4", "bytea"])
        for i, row in enumerate(rows):
            copy.write_row((i, bytes(binary(row))))
    s.c.execute(f"VACUUM ANALYZE {name}")


def build(s, name, opclass, n):
    s.c.execute("SET maintenance_work_mem = '2GB'")
    s.c.execute("SET max_parallel_maintenance_workers = 0")
    s.c.execute(f"DROP INDEX IF EXISTS {name}_v")
    cpu = s.cpu()
    s.c.execute(f"CREATE INDEX {name}_v ON {name} USING hnsw (v {opclass})")
    cpu, size = s.cpu() - cpu, s.one("SELECT pg_relation_size(%s)", f"{name}_v") / n
    s.say("build", cpu_s=cpu, bytes_a_row=size)
    RESULTS.add(s.name, "build cpu s", cpu)
    RESULTS.add(s.name, "bytes a row", size)


def workers(s, name, opclass):
    """Wall time of builds with workers against one without: says something on an idle machine only."""
    times = []
    s.pin(set(range(os.cpu_count())))
    s.c.execute("SET maintenance_work_mem = '2GB'")
    for n in (0, 1, 2):
        s.c.execute(f"SET max_parallel_maintenance_workers = {n}")
        s.c.execute(f"ALTER TABLE {name} SET (parallel_workers = {n})")
        s.c.execute(f"DROP INDEX IF EXISTS {name}_v")
        start = time.monotonic()
        s.c.execute(f"CREATE INDEX {name}_v ON {name} USING hnsw (v {opclass})")
        times.append(time.monotonic() - start)
    s.c.execute(f"ALTER TABLE {name} RESET (parallel_workers)")
    s.pin({os.cpu_count() - 1})
    s.say("workers", alone_s=times[0], of_1_worker=times[1] / times[0], of_2_workers=times[2] / times[0])


def run(s, sql, queries, truth):
    """Recall and CPU a query."""
    best, found = 1e9, []
    for _ in range(ROUNDS):
        cpu = s.cpu()
        found = [s.c.execute(sql, (q,), binary=True).fetchall() for q in queries]
        best = min(best, (s.cpu() - cpu) / len(queries))
    hits = sum(len({r[0] for r in f} & set(t)) for f, t in zip(found, truth))
    return hits / sum(len(t) for t in truth), best * 1e6, sum(len(f) for f in found) / len(queries)


class Results:
    """Figures of each system, and their ratios when all have run."""

    def __init__(self):
        self.figures = {}

    def add(self, system, what, value):
        self.figures.setdefault(what, {})[system] = value

    def show(self):
        for what, by in self.figures.items():
            for other in ("pgvector", "hnswlib"):
                if "lakehouse" in by and by.get(other):
                    ours, theirs = by["lakehouse"], by[other]
                    print(f"ratio     {what}: {ours:.4g} / {other} {theirs:.4g} = {ours / theirs:.3f}", flush=True)


RESULTS = Results()


def at_recall(system, name, points):
    """Microseconds at the recall to be compared, between the two points around it."""
    want = RECALL.get(name, 0.98)
    before = None
    for recall, us in points:
        if recall >= want:
            if before and recall > before[0]:
                us = before[1] + (us - before[1]) * (want - before[0]) / (recall - before[0])
            RESULTS.add(system, f"query us at recall {want}", us)
            return
        before = (recall, us)


def query(s, name, op, queries, truth):
    s.c.execute("SET enable_seqscan = off")
    points = []
    for ef in EFS:
        s.c.execute(f"SET hnsw.ef_search = {ef}")
        recall, us, _ = run(s, f"SELECT id FROM {name} ORDER BY v {op} %s LIMIT {K}", queries, truth)
        s.say("query", ef=ef, recall=recall, cpu_us=us)
        points.append((recall, us))
        if recall >= RECALL.get(name, 0.98) + 0.003:
            break
    at_recall(s.name, name, points)
    s.c.execute("RESET hnsw.ef_search")
    s.c.execute("RESET enable_seqscan")


def filtered(s, name, op, queries, rows):
    """The planner is free; pgvector gets the setting that its manual advises."""
    if s.name == "pgvector":
        s.c.execute("SET hnsw.iterative_scan = relaxed_order")
    plain = np.array([np.frombuffer(q[4:], ">f4") for q in queries])
    for share, index in ((10, False), (100, False), (1000, False), (1000, True)):
        chosen = np.arange(share // 3, len(rows), share)
        truth = [chosen[t] for t in nearest(rows[chosen], plain, op)]
        if index:
            s.c.execute(f"CREATE INDEX {name}_share ON {name} ((id % {share}))")
            s.c.execute(f"ANALYZE {name}")
        sql = f"SELECT id FROM {name} WHERE id %% {share} = {share // 3} ORDER BY v {op} %s LIMIT {K}"
        recall, us, n = run(s, sql, queries, truth)
        what = f"filter 1/{share}" + (" with btree" if index else "")
        s.say("filter", one_in=share, btree=index, recall=recall, rows=n, cpu_us=us)
        RESULTS.add(s.name, f"{what} us", us)
    s.c.execute(f"DROP INDEX {name}_share")
    s.c.execute("RESET hnsw.iterative_scan")


def exact(s, name, op, queries, truth):
    s.c.execute("DISCARD PLANS")
    s.c.execute("SET enable_indexscan = off")
    s.c.execute("SET max_parallel_workers_per_gather = 0")
    recall, us, _ = run(s, f"SELECT id FROM {name} ORDER BY v {op} %s LIMIT {K}", queries, truth)
    s.say("exact", recall=recall, cpu_us=us)
    RESULTS.add(s.name, "exact us", us)
    s.c.execute("RESET enable_indexscan")
    if s.name == "lakehouse":
        s.c.execute("DISCARD PLANS")
        s.c.execute("SET lakehouse.vector_exact = on")
        s.c.execute("SET enable_seqscan = off")
        recall, us, _ = run(s, f"SELECT id FROM {name} ORDER BY v {op} %s LIMIT {K}", queries, truth)
        s.say("exact", by="index", recall=recall, cpu_us=us)
        s.c.execute("RESET enable_seqscan")
        s.c.execute("RESET lakehouse.vector_exact")
    RESULTS.add(s.name, "exact by index us", us)
    s.c.execute("RESET max_parallel_workers_per_gather")


def parse(s, dims=1536, n=2000):
    """A literal's time, as what it takes longer than reading its text."""
    text = [str(list(np.random.default_rng(i).standard_normal(dims).astype(np.float32).tolist())) for i in range(20)]
    s.c.execute("CREATE TEMP TABLE literals (x text)")
    s.c.execute("ALTER TABLE literals ALTER x SET STORAGE EXTERNAL")
    s.c.execute("INSERT INTO literals SELECT unnest(%s::text[])", (text,))
    best = {}
    for sql in ("SELECT sum(vector_dims(x::vector)) FROM literals, generate_series(1, %s)",
                "SELECT count(*) FILTER (WHERE starts_with(x, '~')) FROM literals, generate_series(1, %s)"):
        best[sql] = 1e9
        for _ in range(ROUNDS):
            cpu = s.cpu()
            s.one(sql, n // 20)
            best[sql] = min(best[sql], s.cpu() - cpu)
    full, base = best.values()
    s.say("parse", dims=dims, cpu_us=(full - base) / n * 1e6)
    RESULTS.add(s.name, f"parse {dims}-d us", (full - base) / n * 1e6)


def nearest(rows, queries, op):
    if op == "<=>":
        score = -(queries @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T)
    else:
        score = (rows ** 2).sum(1)[None] - 2 * queries @ rows.T
    return np.argsort(score, axis=1)[:, :K]


def insert(s, name, queries):
    """Without whole pages in WAL, so that it does not matter when the last checkpoint was."""
    n = s.one(f"SELECT max(id) FROM {name}") + 1
    lsn, cpu = s.one("SELECT pg_current_wal_insert_lsn()"), s.cpu()
    for i, q in enumerate(queries):
        s.c.execute(f"INSERT INTO {name} VALUES (%s, %s)", (n + i, q))
    cpu = (s.cpu() - cpu) / len(queries)
    wal = s.one("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", lsn)
    s.say("insert", cpu_us=cpu * 1e6, wal_a_row=float(wal) / len(queries))
    RESULTS.add(s.name, "insert us", cpu * 1e6)
    RESULTS.add(s.name, "insert wal a row", float(wal) / len(queries))


def vacuum(s, name):
    s.c.execute(f"DELETE FROM {name} WHERE id % 17 = 5")
    cpu = s.cpu()
    s.c.execute(f"VACUUM (PARALLEL 0) {name}")
    vacuum_s = s.cpu() - cpu
    RESULTS.add(s.name, "vacuum cpu s", vacuum_s)
    if s.name == "lakehouse":       # what it is to stay below
        cpu = s.cpu()
        s.c.execute(f"REINDEX INDEX {name}_v")
        s.say("reindex", cpu_s=s.cpu() - cpu)
    s.say("vacuum", cpu_s=vacuum_s)


def hnswlib_run(name, rows, queries, truth, op):
    import hnswlib
    index = hnswlib.Index(space="cosine" if op == "<=>" else "l2", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), ef_construction=64, M=16)
    cpu = time.process_time()
    index.add_items(rows, num_threads=1)
    cpu = time.process_time() - cpu
    print(f"hnswlib   build    cpu_s={cpu:.4g}", flush=True)
    RESULTS.add("hnswlib", "build cpu s", cpu)
    points = []
    for ef in EFS:
        index.set_ef(ef)
        best = 1e9
        for _ in range(ROUNDS):
            cpu = time.process_time()
            found, _ = index.knn_query(queries, k=K, num_threads=1)
            best = min(best, time.process_time() - cpu)
        recall = sum(len(set(f) & set(t)) for f, t in zip(found, truth)) / truth.size
        us = best / len(queries) * 1e6
        print(f"hnswlib   query    ef={ef} recall={recall:.4f} cpu_us={us:.4g}", flush=True)
        points.append((recall, us))
        if recall >= RECALL.get(name, 0.98) + 0.003:
            break
    at_recall("hnswlib", name, points)


def main():
    file = Path(sys.argv[1])
    parts = sys.argv[2:] or PARTS
    data, name = np.load(file), file.stem
    queries, truth = data["Q"], data["G"]
    rows = data["B"] if "B" in data else np.load(file.with_suffix(".npy"), mmap_mode="r")[:-len(queries)]
    op, opclass = ("<=>", "vector_cosine_ops") if name in COSINE else ("<->", "vector_l2_ops")
    systems = [System("lakehouse", os.environ["OURS"], "lakehouse")]
    if os.environ.get("RIVAL"):
        systems.append(System("pgvector", os.environ["RIVAL"], "vector"))
    vectors = [binary(q) for q in queries]
    print(f"{name}: {rows.shape[0]} rows of {rows.shape[1]} dimensions, {op}", flush=True)
    for s in systems:
        load(s, name, rows)
    if "workers" in parts:
        workers(systems[0], name, opclass)
    if "build" in parts:
        for s in systems:
            build(s, name, opclass, len(rows))
    if "query" in parts:
        for s in systems:
            query(s, name, op, vectors[:500], truth[:500])
    if "hnswlib" in parts:
        hnswlib_run(name, rows, queries[:500], truth[:500], op)
    for s in systems:
        if "filter" in parts:
            filtered(s, name, op, vectors[:50], rows)
        if "exact" in parts:
            exact(s, name, op, vectors[:5], truth[:5])
        if "parse" in parts:
            parse(s)
    for s in systems:
        if "insert" in parts:
            insert(s, name, vectors)
        if "vacuum" in parts:
            vacuum(s, name)
    RESULTS.show()


if __name__ == "__main__":
    main()
