-- Build, insert, update, delete, VACUUM, kinds of tables, options of ivfflat indexes.
SET client_min_messages = warning;
SET jit = off;
CREATE FUNCTION noise(seed int, n int) RETURNS float4[] LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(seed::int8 * 100003 + i) % 10007)::float4 / 10007 ORDER BY i) FROM generate_series(1, n) i $$;
-- The k nearest by all lists are the nearest.
CREATE FUNCTION exact(tab text, k int, n int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	near text := format('SELECT array_agg(i ORDER BY i) FROM (SELECT i FROM %I ORDER BY v <-> $1::vector LIMIT %s) t', tab, k);
	nearest int[];
	found int[];
BEGIN
	SET LOCAL ivfflat.probes = 1000;
	FOR q IN 1..n LOOP
		SET LOCAL enable_indexscan = off;
		SET LOCAL enable_seqscan = on;
		EXECUTE near INTO nearest USING noise(-q, 40);
		SET LOCAL enable_indexscan = on;
		SET LOCAL enable_seqscan = off;
		EXECUTE near INTO found USING noise(-q, 40);
		IF nearest IS DISTINCT FROM found THEN
			RETURN false;
		END IF;
	END LOOP;
	RETURN true;
END $$;

-- Rounds of replacing a fifth of the rows: nothing gets lost, the index does not grow for ever.
-- (Of a temporary table VACUUM takes all dead rows, whoever else is busy.)
CREATE TEMP TABLE t (i int, v vector(40));
INSERT INTO t SELECT i, noise(i, 40) FROM generate_series(1, 1500) i;
CREATE INDEX t_v ON t USING ivfflat (v vector_l2_ops) WITH (lists = 10);
SELECT pg_relation_size('t_v') AS before \gset
DELETE FROM t WHERE i % 5 = 0;
VACUUM t;
INSERT INTO t SELECT i, noise(i, 40) FROM generate_series(5, 1500, 5) i;
SELECT pg_relation_size('t_v') = :before AS same_size, exact('t', 10, 10);
DELETE FROM t WHERE i % 5 = 1;
VACUUM t;
INSERT INTO t SELECT 5000 + i, noise(5000 + i, 40) FROM generate_series(1, 1500, 5) i;
UPDATE t SET v = noise(i + 7, 40) WHERE i % 4 = 0;
VACUUM t;
SELECT pg_relation_size('t_v') < 2 * :before AS small, exact('t', 10, 10), count(*) FROM t;
SELECT sum(rows) FROM lakehouse.ivfflat_lists('t_v');

-- All rows gone, and new ones.
DELETE FROM t;
VACUUM t;
SELECT count(*), sum(rows) FROM lakehouse.ivfflat_lists('t_v');
SET enable_seqscan = off;
SET ivfflat.probes = 10;
SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> noise(1, 40)::vector LIMIT 5) a;
INSERT INTO t SELECT i, noise(i, 40) FROM generate_series(1, 300) i;
SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> noise(1, 40)::vector LIMIT 5) a;
SELECT exact('t', 10, 10);

-- Created empty: rows go to lists in all directions, and one probe finds some.
SET client_min_messages = notice;
TRUNCATE t;
SET client_min_messages = warning;
SET ivfflat.probes = 1;
SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> noise(1, 40)::vector LIMIT 5) a;
INSERT INTO t SELECT i, noise(i, 40) FROM generate_series(1, 1000) i;
SELECT count(*), count(*) FILTER (WHERE rows > 20) >= 8 AS most_used FROM lakehouse.ivfflat_lists('t_v');
SELECT exact('t', 10, 10);
DROP INDEX t_v;
TRUNCATE t;
CREATE INDEX ON t USING ivfflat (v vector_l2_ops);
INSERT INTO t SELECT 1, noise(1, 40);
SELECT i FROM t ORDER BY v <-> noise(100, 40)::vector LIMIT 5;
DROP TABLE t;

-- More lists than different values: none is lost.
CREATE TABLE same (i int, v vector(40));
INSERT INTO same SELECT i, noise(i % 5, 40) FROM generate_series(1, 1000) i;
CREATE INDEX same_v ON same USING ivfflat (v vector_l2_ops) WITH (lists = 50);
SELECT count(*) FILTER (WHERE rows > 0), sum(rows) FROM lakehouse.ivfflat_lists('same_v');
SELECT count(*) FROM (SELECT i FROM same ORDER BY v <-> noise(3, 40)::vector) a;
DROP TABLE same;

-- Little memory, workers, concurrently, partial, on an expression.
CREATE TABLE big (i int, v vector(40));
INSERT INTO big SELECT i, noise(i, 40) FROM generate_series(1, 4000) i;
SET maintenance_work_mem = '1MB';
CREATE INDEX big_v ON big USING ivfflat (v vector_l2_ops) WITH (lists = 2000);
CREATE INDEX big_v ON big USING ivfflat (v vector_l2_ops) WITH (lists = 30);
SELECT exact('big', 10, 5), sum(rows) FROM lakehouse.ivfflat_lists('big_v');
DROP INDEX big_v;
RESET maintenance_work_mem;
SET min_parallel_table_scan_size = 0;
SET max_parallel_maintenance_workers = 2;
CREATE INDEX big_v ON big USING ivfflat (v vector_l2_ops) WITH (lists = 30);
SELECT exact('big', 10, 5), sum(rows), bool_and(run = pages) AS in_order FROM lakehouse.ivfflat_lists('big_v');
DROP INDEX big_v;
CREATE INDEX CONCURRENTLY big_v ON big USING ivfflat (v vector_l2_ops) WITH (lists = 30) WHERE i > 100;
REINDEX INDEX CONCURRENTLY big_v;
SELECT sum(rows) FROM lakehouse.ivfflat_lists('big_v');
SELECT count(*) FROM (SELECT i FROM big WHERE i > 100 ORDER BY v <-> noise(1, 40)::vector LIMIT 7) a;
RESET min_parallel_table_scan_size;
RESET max_parallel_maintenance_workers;
CREATE INDEX ON big USING ivfflat ((v::halfvec(40)) halfvec_l2_ops) WITH (lists = 30);
SELECT i FROM big ORDER BY v::halfvec(40) <-> noise(70, 40)::vector::halfvec LIMIT 1;
DROP TABLE big;

-- Lakehouse, temporary, unlogged and partitioned tables.
CREATE TABLE lake (i int, v vector(40)) USING lakehouse;
INSERT INTO lake SELECT i, noise(i, 40) FROM generate_series(1, 1000) i;
CREATE INDEX lake_v ON lake USING ivfflat (v vector_l2_ops) WITH (lists = 10);
DELETE FROM lake WHERE i % 3 = 0;
INSERT INTO lake SELECT i, noise(i, 40) FROM generate_series(1001, 1200) i;
VACUUM lake;
SELECT exact('lake', 10, 5);
CREATE TEMP TABLE tmp (i int, v vector(40));
CREATE INDEX ON tmp USING ivfflat (v vector_cosine_ops) WITH (lists = 5);
INSERT INTO tmp SELECT i, noise(i, 40) FROM generate_series(1, 300) i;
SELECT i FROM tmp ORDER BY v <=> noise(7, 40)::vector LIMIT 1;
CREATE UNLOGGED TABLE un (i int, v halfvec(40));
CREATE INDEX ON un USING ivfflat (v halfvec_ip_ops) WITH (lists = 1);
INSERT INTO un SELECT i, noise(i, 40)::vector FROM generate_series(1, 300) i;
SELECT count(*) FROM (SELECT i FROM un ORDER BY v <#> noise(7, 40)::vector::halfvec LIMIT 20) a;
CREATE TABLE part (i int, v vector(40)) PARTITION BY RANGE (i);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (100) TO (300);
CREATE INDEX ON part USING ivfflat (v vector_l2_ops) WITH (lists = 3);
INSERT INTO part SELECT i, noise(i, 40) FROM generate_series(1, 250) i;
SELECT i FROM part ORDER BY v <-> noise(150, 40)::vector LIMIT 1;
SELECT i FROM part ORDER BY v <-> noise(50, 40)::vector LIMIT 1;
DROP TABLE lake, tmp, un, part;
RESET enable_seqscan;

-- Another number of lists, from the next rewrite on, in the same file and in a new one.
BEGIN;
CREATE TABLE re (i int, v vector(40));
INSERT INTO re SELECT i, noise(i, 40) FROM generate_series(1, 300) i;
CREATE INDEX re_v ON re USING ivfflat (v vector_l2_ops) WITH (lists = 2);
ALTER INDEX re_v SET (lists = 300);
SELECT count(*), sum(rows) FROM lakehouse.ivfflat_lists('re_v');
TRUNCATE re;
INSERT INTO re SELECT i, noise(i, 40) FROM generate_series(1, 300) i;
SELECT count(*), sum(rows) FROM lakehouse.ivfflat_lists('re_v');
COMMIT;
ALTER INDEX re_v SET (lists = 7);
REINDEX INDEX re_v;
SELECT count(*), sum(rows) FROM lakehouse.ivfflat_lists('re_v');
SELECT exact('re', 10, 5);
DROP TABLE re;
SELECT n, pg_indexam_progress_phasename(oid, n) FROM pg_am, generate_series(1, 5) n WHERE amname = 'ivfflat' ORDER BY 1;

-- What cannot be.
CREATE TABLE e (a vector, b vector(3), c sparsevec(20), d int, f vector(1));
CREATE INDEX ON e USING ivfflat (a vector_l2_ops);
CREATE INDEX ON e USING ivfflat (b vector_l2_ops, d);
CREATE UNIQUE INDEX ON e USING ivfflat (b vector_l2_ops);
CREATE INDEX ON e USING ivfflat (c);
CREATE INDEX ON e USING ivfflat (f vector_cosine_ops);
CREATE INDEX ON e USING ivfflat (b vector_l2_ops) WITH (lists = 0);
CREATE INDEX ON e USING ivfflat (b vector_l2_ops) WITH (m = 4);
CREATE INDEX ON e USING ivfflat ((a::vector(2001)) vector_l2_ops);
CREATE INDEX ON e USING ivfflat ((a::halfvec(4001)) halfvec_l2_ops);
CREATE INDEX ON e USING ivfflat ((a::vector(2000)) vector_l2_ops);
CREATE INDEX ON e USING ivfflat ((a::halfvec(4000)) halfvec_l2_ops);
SELECT lakehouse.ivfflat_lists('e');
DROP TABLE e;
DROP FUNCTION noise, exact;
