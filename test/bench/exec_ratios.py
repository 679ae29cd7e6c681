#!/usr/bin/env python3
"""Speed of scans and aggregates against heap, for TPC-H lineitem in two tables.

    exec_ratios.py HEAP_TABLE LAKEHOUSE_TABLE     (LH_BIN and PG* name the server)

Each figure is the best of TIMES (5) runs, both tables in turn, warm.
"""

import os
import sys

from session import Session

QUERIES = {
    "count(*)": "SELECT count(*) FROM {t}",
    "sum of numeric": "SELECT sum(l_extendedprice) FROM {t}",
    "avg of bigint": "SELECT avg(l_partkey) FROM {t}",
    "min and max of date": "SELECT min(l_shipdate), max(l_shipdate) FROM {t}",
    "sum, filter on date": "SELECT sum(l_extendedprice), count(*) FROM {t} WHERE l_shipdate < '1994-01-01'",
    "sum, three filters": "SELECT sum(l_extendedprice) FROM {t} WHERE l_shipdate >= '1994-01-01' AND "
                          "l_shipdate < '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
    "TPC-H Q6": "SELECT sum(l_extendedprice * l_discount) FROM {t} WHERE l_shipdate >= '1994-01-01' AND "
                "l_shipdate < '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
    "TPC-H Q1": "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), avg(l_discount), count(*) "
                "FROM {t} WHERE l_shipdate <= '1998-09-02' GROUP BY 1, 2 ORDER BY 1, 2",
    "text column, like": "SELECT count(*) FROM {t} WHERE l_comment LIKE '%special%'",
    "one key, pruned": "SELECT * FROM {t} WHERE l_orderkey = 3000000",
    "all columns": "SELECT count(x.*) FROM (SELECT * FROM {t} OFFSET 0) x",
}
TIMES = int(os.environ.get("TIMES") or 5)
heap, lake = sys.argv[1:3]

for workers in (0, 2):
    with Session(f"max_parallel_workers_per_gather = {workers}") as s:
        for name, text in QUERIES.items():
            if os.environ.get("ONLY") and os.environ["ONLY"] not in name:
                continue
            best = {}
            for _ in range(TIMES):
                for table in (heap, lake):
                    took = s.seconds(text.format(t=table))
                    best[table] = min(best.get(table, took), took)
            assert s.run(text.format(t=heap)) == s.run(text.format(t=lake)), name
            print(f"{workers} workers  {name:22} heap {best[heap] * 1000:8.1f} ms  lakehouse {best[lake] * 1000:8.1f} ms  "
                  f"{best[heap] / best[lake]:7.2f}x", flush=True)
