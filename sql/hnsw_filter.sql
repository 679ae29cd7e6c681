-- With a filter and LIMIT k there are k rows, as long as k exist; pgvector's behaviour without.
SET client_min_messages = warning;
CREATE TABLE t (i int, grp int, v vector(40));
INSERT INTO t SELECT i, i % 100, (SELECT array_agg((hashint8(i::int8 * 100003 + k) % 10007)::float4 / 10007 ORDER BY k) FROM generate_series(1, 40) k)
	FROM generate_series(1, 2000) i;
CREATE INDEX ON t USING hnsw (v vector_l2_ops);
CREATE TABLE wanted (grp int PRIMARY KEY, ok bool);
INSERT INTO wanted SELECT g, g = 7 FROM generate_series(0, 99) g;
SET enable_seqscan = off;
SET enable_sort = off;
SET hnsw.ef_search = 10;

EXPLAIN (COSTS off) SELECT i FROM t WHERE grp = 3 ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 10;
SELECT count(*), bool_and(grp = 3) FROM (SELECT grp FROM t WHERE grp = 3 ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 10) a;
SELECT count(*) FROM (SELECT grp FROM t WHERE grp = 3 ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 100) a;
-- more than there are
SELECT count(*) FROM (SELECT grp FROM t WHERE i IN (5, 500, 1500) ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 10) a;
-- no filter, or no limit: as many as the search keeps
SELECT count(*) FROM (SELECT grp FROM t ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 100) a;
SELECT count(*) <= 10 FROM (SELECT grp FROM t WHERE grp < 50 ORDER BY v <-> (SELECT v FROM t WHERE i = 1)) a;
-- dropped by a join
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT count(*) FROM (SELECT t.i FROM t JOIN wanted w ON w.grp = t.grp AND w.ok ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 15) a;
-- nearly the true ones
SELECT count(*) >= 9 AS good FROM (SELECT i FROM t WHERE grp = 3 ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 10) a
	WHERE i IN (SELECT i FROM t WHERE grp = 3 ORDER BY (v <-> (SELECT v FROM t WHERE i = 1)) + 0 LIMIT 10);
SET lakehouse.vector_fill_limit = off;
SELECT count(*) < 10 AS few FROM (SELECT grp FROM t WHERE grp = 3 ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 10) a;
DROP TABLE t, wanted;
