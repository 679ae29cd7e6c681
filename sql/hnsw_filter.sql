-- With a filter and LIMIT k there are k rows, as long as k exist; pgvector's behaviour without.
SET client_min_messages = warning;
SET jit = off;
\getenv sources PG_ABS_SRCDIR
\set file :sources '/sql/lib/plan.psql'
\i :file
CREATE TABLE t (i int, grp int, v vector(40));
INSERT INTO t SELECT i, i % 100, (SELECT array_agg((hashint8(i::int8 * 100003 + k) % 10007)::float4 / 10007 ORDER BY k) FROM generate_series(1, 40) k)
	FROM generate_series(1, 2000) i;
CREATE INDEX ON t USING hnsw (v vector_l2_ops);
CREATE TABLE wanted (grp int PRIMARY KEY, ok bool);
INSERT INTO wanted SELECT g, g = 7 FROM generate_series(0, 99) g;
SET enable_seqscan = off;
SET enable_sort = off;
SET hnsw.ef_search = 10;

SELECT plan('SELECT i FROM t WHERE grp = 3 ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 10');
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

-- LakehouseNearest gives up on the index where few rows pass, and returns what the index does not have
SET lakehouse.vector_fill_limit = on;
RESET enable_seqscan;
RESET enable_sort;
CREATE FUNCTION point(i int, n int) RETURNS vector LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(i::int8 * 100003 + k) % 10007)::float4 / 10007 ORDER BY k)::vector FROM generate_series(1, n) k $$;
CREATE TABLE t (i int, rare int, half int, v vector(40));
INSERT INTO t SELECT i, i % 500, i % 2, CASE WHEN i % 40 <> 7 THEN point(i, 40) END FROM generate_series(1, 4000) i;
CREATE TABLE l (LIKE t) USING lakehouse;
INSERT INTO l SELECT * FROM t;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
CREATE INDEX l_v ON l USING hnsw (v vector_l2_ops);
ANALYZE t;
ANALYZE l;

-- Which way was gone, how many rows came, and how many of the true nearest.
CREATE FUNCTION way(tab text, filter text, q int, k int, OUT answered text, OUT n int, OUT missed int) LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT i, v <-> point(%1$s, 40) AS d FROM %2$s WHERE %3$s ORDER BY v <-> point(%1$s, 40) LIMIT %4$s', q, tab, filter, k);
	line text;
BEGIN
	SET LOCAL enable_indexscan = on;
	SET LOCAL lakehouse.enable_nearest = on;
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
		answered := coalesce(answered, substring(line FROM 'Answered By: (.*)'));
	END LOOP;
	EXECUTE format('CREATE TEMP TABLE got AS SELECT row_number() OVER () AS n, i, d FROM (%s) a', query);
	SET LOCAL enable_indexscan = off;
	SET LOCAL lakehouse.enable_nearest = off;
	SELECT count(*) INTO n FROM got;
	EXECUTE format('SELECT count(*) FROM (%s) a WHERE i NOT IN (SELECT i FROM got)', query) INTO missed;
	IF EXISTS (SELECT FROM got a JOIN got b ON b.n = a.n + 1 WHERE a.d > b.d OR a.d IS NULL AND b.d IS NOT NULL) THEN
		answered := answered || ', in bad order';
	END IF;
	DROP TABLE got;
END $$;
-- reading a table is made dear, or such small ones would never be worth an index
SET cpu_tuple_cost = 1.5;
SELECT tab, filter, k, count(*), min(answered) AS answered, max(answered) = min(answered) AS always, min(n) AS n,
		sum(missed) <= 0.1 * sum(n) AS good
	FROM (VALUES ('t'), ('l')) a(tab),
		(VALUES ('half = 1', 10), ('abs(rare) = 3', 5), ('abs(half) = 2', 10), ('i % 40 = 7', 10), ('abs(rare) < 0 OR i < 12', 20)) b(filter, k),
		generate_series(5001, 5006) q, way(tab, filter, q, k)
	GROUP BY 1, 2, 3 ORDER BY 1, 2;
RESET cpu_tuple_cost;
-- an index on the filter column
CREATE INDEX t_rare ON t (rare);
SELECT plan('SELECT i FROM t WHERE rare = 3 ORDER BY v <-> (SELECT v FROM t WHERE i = 1) LIMIT 5');
-- for each row of something, and once more
SET enable_seqscan = off;
SELECT q, array_length(a, 1) AS n, a[1] = q AS self FROM (VALUES (9), (11), (13), (9)) v(q),
	LATERAL (SELECT array_agg(i ORDER BY d) AS a FROM (SELECT i, v <-> point(q, 40) AS d FROM t WHERE half = q % 2 ORDER BY v <-> point(q, 40) LIMIT 10) b) c;
SET plan_cache_mode = force_generic_plan;
PREPARE near(int, int) AS SELECT i FROM l WHERE half = $2 ORDER BY v <-> point($1, 40) LIMIT 1;
EXECUTE near(9, 1);
EXECUTE near(10, 0);
DROP TABLE t, l;
DROP FUNCTION plan, point(int, int), way;
