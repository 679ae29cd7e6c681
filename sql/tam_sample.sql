-- TABLESAMPLE and the planner's statistics, beside heap's
CREATE SCHEMA sam;
SET search_path = sam, public;
CREATE TABLE h (a int, b text, c numeric, d int) USING heap;
CREATE TABLE l (a int, b text, c numeric, d int) USING lakehouse;
SET lakehouse.bulk_threshold = 100;
SET lakehouse.row_group_rows = 1000;
INSERT INTO h SELECT i, 'b' || i % 100, i % 10, CASE WHEN i % 4 > 0 THEN i % 1000 END FROM generate_series(1, 20000) i;
INSERT INTO l SELECT * FROM h;
ANALYZE h;
ANALYZE l;
SELECT reltuples FROM pg_class WHERE oid = 'l'::regclass;
SELECT x.attname, abs(x.null_frac - y.null_frac) < 0.03 AS nulls, x.avg_width = y.avg_width AS width,
	abs(x.n_distinct - y.n_distinct) <= greatest(0.1 * abs(y.n_distinct), 0.05) AS "distinct",
	abs(coalesce(x.correlation, 0) - coalesce(y.correlation, 0)) < 0.1 AS correlation
	FROM pg_stats x JOIN pg_stats y USING (attname) WHERE x.tablename = 'l' AND y.tablename = 'h' ORDER BY 1;
SELECT lakehouse.publish('l') > 0 AS published;
INSERT INTO l SELECT * FROM h LIMIT 50;
VACUUM ANALYZE l;
SELECT reltuples FROM pg_class WHERE oid = 'l'::regclass;
-- estimates
CREATE FUNCTION estimate(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	j json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO j;
	RETURN j->0->'Plan'->>'Plan Rows';
END $$;
SELECT q, estimate('SELECT * FROM l ' || q) BETWEEN 0.8 * estimate('SELECT * FROM h ' || q) AND 1.25 * estimate('SELECT * FROM h ' || q) AS near
	FROM (VALUES ('WHERE a < 5000'), ('WHERE b = ''b7'''), ('WHERE d IS NULL'), ('WHERE c > 7'), ('')) v(q);
-- bernoulli: each row with its chance; system: runs of rows; the same again with a seed
SELECT count(*) BETWEEN 1500 AND 2600 FROM l TABLESAMPLE bernoulli (10);
SELECT count(*) BETWEEN 100 AND 9000 FROM l TABLESAMPLE system (20) REPEATABLE (1);
SELECT count(*) FROM l TABLESAMPLE bernoulli (100);
SELECT count(*) FROM l TABLESAMPLE system (100);
SELECT count(*) FROM l TABLESAMPLE system (0);
SELECT (SELECT array_agg(a ORDER BY a) FROM l TABLESAMPLE bernoulli (1) REPEATABLE (7)) = (SELECT array_agg(a ORDER BY a) FROM l TABLESAMPLE bernoulli (1) REPEATABLE (7)) AS again;
SELECT (SELECT array_agg(a ORDER BY a) FROM l TABLESAMPLE system (5) REPEATABLE (7)) = (SELECT array_agg(a ORDER BY a) FROM l TABLESAMPLE system (5) REPEATABLE (7)) AS again;
SELECT count(*) = count(DISTINCT ctid) FROM l TABLESAMPLE bernoulli (50);
SELECT count(*) FROM (VALUES (100), (0), (100)) v(p), LATERAL (SELECT a FROM l TABLESAMPLE bernoulli (v.p) REPEATABLE (3)) s;
CREATE TABLE e (a int) USING lakehouse;
SELECT count(*) FROM e TABLESAMPLE bernoulli (50);
ANALYZE e;
SELECT count(*) FROM pg_stats WHERE tablename = 'e';
-- ANALYZE in a transaction counts its own rows
BEGIN;
INSERT INTO e SELECT generate_series(1, 300);
ANALYZE e;
SELECT reltuples FROM pg_class WHERE oid = 'e'::regclass;
ROLLBACK;
-- counters
SELECT pg_sleep(1.1);
SELECT n_tup_ins, n_live_tup > 0 FROM pg_stat_user_tables WHERE relname = 'l' AND schemaname = 'sam';
SET client_min_messages = warning;
DROP SCHEMA sam CASCADE;
