#!/usr/bin/env python3
"""Vector indexes: ours against pgvector and hnswlib, on the same data in one run.

	bench_vector.py DATA.npz [PART ...]

DATA.npz holds B (rows), Q (queries) and G (the 10 true neighbours of each), and
is named after its data set; glove is searched by cosine, the rest by L2.  Parts:
build query filter insert vacuum hnswlib; all of them unless some are named.
OURS and RIVAL are connection strings (RIVAL may be missing).  Times are CPU
microseconds of the backend, the least of some rounds; it and this client share
a core, since moving between cores costs more than a query.
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

K = 10
ROUNDS = 3


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
        try:
            os.sched_setaffinity(0, {os.cpu_count() - 1})
            os.sched_setaffinity(self.pid, {os.cpu_count() - 1})
        except PermissionError:
            print(f"{name}: cannot pin the backend, times will vary", flush=True)

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
    s.say("build", cpu_s=s.cpu() - cpu, bytes_a_row=s.one("SELECT pg_relation_size(%s)", f"{name}_v") / n)


def run(s, sql, queries, truth):
    """Recall and CPU a query."""
    best, found = 1e9, []
    for _ in range(ROUNDS):
        cpu = s.cpu()
        found = [s.c.execute(sql, (q,), binary=True).fetchall() for q in queries]
        best = min(best, (s.cpu() - cpu) / len(queries))
    hits = sum(len({r[0] for r in f} & set(t)) for f, t in zip(found, truth))
    return hits / sum(len(t) for t in truth), best * 1e6, sum(len(f) for f in found) / len(queries)


def query(s, name, op, queries, truth):
    s.c.execute("SET enable_seqscan = off")
    for ef in (10, 20, 40, 80, 120, 200, 300, 400):
        s.c.execute(f"SET hnsw.ef_search = {ef}")
        recall, us, _ = run(s, f"SELECT id FROM {name} ORDER BY v {op} %s LIMIT {K}", queries, truth)
        s.say("query", ef=ef, recall=recall, cpu_us=us)
    s.c.execute("RESET hnsw.ef_search")
    s.c.execute("RESET enable_seqscan")


def filtered(s, name, op, queries, rows):
    """The planner is free; pgvector gets the setting that its manual advises."""
    if s.name == "pgvector":
        s.c.execute("SET hnsw.iterative_scan = relaxed_order")
    for share in (10, 100, 1000):
        chosen = np.arange(share // 3, len(rows), share)
        truth = [chosen[t] for t in nearest(rows[chosen], np.array([np.frombuffer(q[4:], ">f4") for q in queries]), op)]
        sql = f"SELECT id FROM {name} WHERE id %% {share} = {share // 3} ORDER BY v {op} %s LIMIT {K}"
        recall, us, n = run(s, sql, queries, truth)
        s.say("filter", one_in=share, recall=recall, rows=n, cpu_us=us)
    s.c.execute("RESET hnsw.iterative_scan")


def nearest(rows, queries, op):
    if op == "<=>":
        score = -(queries @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T)
    else:
        score = (rows ** 2).sum(1)[None] - 2 * queries @ rows.T
    return np.argsort(score, axis=1)[:, :K]


def insert(s, name, queries):
    """No checkpoint before it, or whole pages would be logged."""
    n = s.one(f"SELECT max(id) FROM {name}") + 1
    lsn, cpu = s.one("SELECT pg_current_wal_insert_lsn()"), s.cpu()
    for i, q in enumerate(queries):
        s.c.execute(f"INSERT INTO {name} VALUES (%s, %s)", (n + i, q))
    cpu = (s.cpu() - cpu) / len(queries)
    wal = s.one("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", lsn)
    s.say("insert", cpu_us=cpu * 1e6, wal_a_row=float(wal) / len(queries))


def vacuum(s, name):
    s.c.execute(f"DELETE FROM {name} WHERE id % 17 = 5")
    cpu = s.cpu()
    s.c.execute(f"VACUUM (PARALLEL 0) {name}")
    vacuum_s = s.cpu() - cpu
    cpu = s.cpu()
    s.c.execute(f"REINDEX INDEX {name}_v")
    s.say("vacuum", cpu_s=vacuum_s, reindex_s=s.cpu() - cpu)


def hnswlib_run(rows, queries, truth, op):
    import hnswlib
    index = hnswlib.Index(space="cosine" if op == "<=>" else "l2", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), ef_construction=64, M=16)
    cpu = time.process_time()
    index.add_items(rows, num_threads=1)
    print(f"hnswlib   build    cpu_s={time.process_time() - cpu:.4g}", flush=True)
    for ef in (10, 20, 40, 80, 120, 200, 300, 400, 500):
        index.set_ef(ef)
        best = 1e9
        for _ in range(ROUNDS):
            cpu = time.process_time()
            found, _ = index.knn_query(queries, k=K, num_threads=1)
            best = min(best, time.process_time() - cpu)
        recall = sum(len(set(f) & set(t)) for f, t in zip(found, truth)) / truth.size
        print(f"hnswlib   query    ef={ef} recall={recall:.4f} cpu_us={best / len(queries) * 1e6:.4g}", flush=True)


def main():
    file = Path(sys.argv[1])
    parts = sys.argv[2:] or ["build", "query", "filter", "insert", "vacuum", "hnswlib"]
    data, name = np.load(file), file.stem
    rows, queries, truth = data["B"], data["Q"], data["G"]
    op, opclass = ("<=>", "vector_cosine_ops") if name.startswith("glove") else ("<->", "vector_l2_ops")
    systems = [System("lakehouse", os.environ["OURS"], "lakehouse")]
    if os.environ.get("RIVAL"):
        systems.append(System("pgvector", os.environ["RIVAL"], "vector"))
    vectors = [binary(q) for q in queries]
    print(f"{name}: {rows.shape[0]} rows of {rows.shape[1]} dimensions, {op}", flush=True)
    for s in systems:
        load(s, name, rows)
        if "build" in parts:
            build(s, name, opclass, len(rows))
    if "query" in parts:
        for s in systems:
            query(s, name, op, vectors[:500], truth[:500])
    if "hnswlib" in parts:
        hnswlib_run(rows, queries[:500], truth[:500], op)
    for s in systems:
        if "filter" in parts:
            filtered(s, name, op, vectors[:50], rows)
        if "insert" in parts:
            insert(s, name, vectors)
        if "vacuum" in parts:
            vacuum(s, name)


if __name__ == "__main__":
    main()
