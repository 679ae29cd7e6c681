--
-- LakehouseAggregate: what it answers, what it leaves to core, and its results
--
CREATE SCHEMA exec_agg;
SET search_path = exec_agg, public;
SET max_parallel_workers_per_gather = 0;
-- a sort below count(DISTINCT), in PostgreSQL 16 and newer
DO $$ BEGIN PERFORM set_config(name, 'off', false) FROM pg_settings WHERE name = 'enable_presorted_aggregate'; END $$;

CREATE TABLE t (i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(12,3), wide numeric(30,3), plain numeric,
	d date, ts timestamp, tz timestamptz, txt text) USING lakehouse WITH (row_group_rows = 1000, bulk_threshold = 0);
INSERT INTO t SELECT g % 100, g, g * 1000000007::int8, g / 8.0, g / 3.0, g / 7.0, g / 7.0, g / 7.0,
	date '2000-01-01' + g, timestamp '2000-01-01' + g * interval '1 hour', timestamptz '2000-01-01 UTC' + g * interval '1 hour',
	'x' || g FROM generate_series(-1500, 3000) g;
ALTER TABLE t SET (bulk_threshold = 100);
INSERT INTO t SELECT FROM generate_series(1, 50);
INSERT INTO t (i4, n, d) SELECT g, g / 3.0, date '1900-01-01' FROM generate_series(1, 20) g;

-- whose it is
EXPLAIN (COSTS OFF) SELECT count(*) FROM t;
EXPLAIN (COSTS OFF) SELECT sum(i4), max(d) + 1 FROM t WHERE i4 > 5 AND d < '2030-01-01' HAVING count(*) > 1;
EXPLAIN (COSTS OFF) SELECT sum(i4) FROM t WHERE i4 % 2 = 0;
EXPLAIN (COSTS OFF) SELECT sum(i4 + 1) FROM t;
EXPLAIN (COSTS OFF) SELECT sum(i4) FILTER (WHERE i4 > 0) FROM t;
EXPLAIN (COSTS OFF) SELECT count(DISTINCT i4) FROM t;
EXPLAIN (COSTS OFF) SELECT i2, count(*) FROM t GROUP BY i2;
EXPLAIN (COSTS OFF) SELECT max(txt) FROM t;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t WHERE now() IS NULL;

-- results and their types are core's
\set aggregates 'count(*), count(txt), sum(i2), sum(i4), sum(i8), sum(n), avg(i2), avg(i4), avg(i8), avg(n), sum(f4), sum(f8), avg(f4), avg(f8)'
\set extremes 'min(i2), max(i2), min(i4), max(i8), min(f4), max(f8), min(n), max(n), min(d), max(d), min(ts), max(ts), min(tz) AT TIME ZONE ''UTC'', pg_typeof(max(tz)), pg_typeof(sum(i4)), pg_typeof(sum(i8)), pg_typeof(avg(f4)), pg_typeof(sum(f4))'
EXPLAIN (COSTS OFF) SELECT :aggregates FROM t;
EXPLAIN (COSTS OFF) SELECT :extremes FROM t WHERE i4 BETWEEN 10 AND 1500 AND n > 3.14159;
\x on
SELECT :aggregates FROM t;
SELECT :extremes FROM t;
SELECT :aggregates FROM t WHERE i4 BETWEEN 10 AND 1500 AND n > 3.14159;
SELECT :aggregates FROM t WHERE i4 > 100000;
SET lakehouse.enable_vector_agg = off;
SELECT :aggregates FROM t;
SELECT :extremes FROM t;
SELECT :aggregates FROM t WHERE i4 BETWEEN 10 AND 1500 AND n > 3.14159;
SELECT :aggregates FROM t WHERE i4 > 100000;
RESET lakehouse.enable_vector_agg;
\x off

-- overflow
CREATE TABLE big (i8 int8, f4 float4, f8 float8) USING lakehouse WITH (bulk_threshold = 0);
INSERT INTO big SELECT 9223372036854775807, '3e38', '1e308' FROM generate_series(1, 3);
SELECT sum(i8), avg(i8) FROM big;
SELECT sum(f4) FROM big;
SELECT sum(f8) FROM big;
SELECT avg(f8) FROM big;
SELECT avg(f4) FROM big;

-- filters at the edges of their types
SELECT count(*) FROM t WHERE i2 < 99::int8 AND i2 > -1::int8;
SELECT count(*) FROM t WHERE i4 < 9223372036854775807;
SELECT count(*) FROM t WHERE i4 > -9223372036854775808;
SELECT count(*) FROM t WHERE i8 <= -9223372036854775808;
SELECT count(*) FROM t WHERE n < 1e40 AND n > -1e40;
SELECT count(*) FROM t WHERE n < 'NaN';
SELECT count(*) FROM t WHERE n >= 'Infinity';
SELECT count(*) FROM t WHERE n = 1.0000;
SELECT count(*) FROM t WHERE n = 1.00001;
SELECT count(*) FROM t WHERE n <= 0.99999 AND n >= -0.00001;
SELECT count(*) FROM t WHERE d < 'infinity' AND d > '-infinity';
SELECT count(*) FROM t WHERE ts >= 'infinity';
SELECT count(*) FROM t WHERE f8 <= 'NaN' AND f8 > '-Infinity';
SELECT count(*) FROM t WHERE f4 = 0.125::float8;
SELECT count(*) FROM t WHERE i4 < NULL::int;

-- the snapshot's rows, own ones among them
BEGIN;
SELECT count(*) FROM t;
INSERT INTO t (i4) SELECT g FROM generate_series(1, 500) g;
SELECT count(*), count(i4) FROM t;
SAVEPOINT s;
INSERT INTO t (i4) VALUES (1);
SELECT count(*) FROM t;
ROLLBACK TO s;
SELECT count(*) FROM t;
DECLARE c CURSOR FOR SELECT count(*), count(i4) FROM t;
INSERT INTO t (i4) SELECT g FROM generate_series(1, 500) g;
FETCH c;
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) FROM t;

-- again with other values, and in a subquery
SELECT x, (SELECT sum(n) FROM t WHERE i4 = x), (SELECT count(*) + x FROM t) FROM (VALUES (1), (2), (NULL)) v(x);
SELECT a.count, b.sum FROM (SELECT count(*) FROM t) a, (SELECT sum(i4) FROM t WHERE i4 > 0) b;
SELECT sum(i4), sum(i4) * 2 AS twice, sum(i4) OVER () IS NULL AS w FROM (SELECT sum(i4) AS i4 FROM t) s GROUP BY i4;
SELECT count(*) FROM t HAVING count(*) < 5;

-- nothing
CREATE TABLE none (i int, n numeric(5,2)) USING lakehouse;
SELECT count(*), count(i), sum(n), avg(i), min(i) FROM none;
TRUNCATE t;
SELECT count(*), sum(n) FROM t;

SET client_min_messages = warning;
DROP SCHEMA exec_agg CASCADE;
