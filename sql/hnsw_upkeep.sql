-- Insert, update, delete, VACUUM, crash-safe and unlogged indexes, duplicates, options.
SET client_min_messages = warning;
SET jit = off;
CREATE FUNCTION noise(seed int, n int) RETURNS float4[] LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(seed::int8 * 100003 + i) % 10007)::float4 / 10007 ORDER BY i) FROM generate_series(1, n) i $$;
CREATE FUNCTION recall(tab text, k int, n int) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	near text := format('SELECT array_agg(i) FROM (SELECT i FROM %I ORDER BY v <-> $1::vector LIMIT %s) t', tab, k);
	exact int[];
	found int[];
	hits int := 0;
BEGIN
	FOR q IN 1..n LOOP
		SET LOCAL enable_indexscan = off;
		SET LOCAL enable_seqscan = on;
		EXECUTE near INTO exact USING noise(-q, 40);
		SET LOCAL enable_indexscan = on;
		SET LOCAL enable_seqscan = off;
		EXECUTE near INTO found USING noise(-q, 40);
		hits := hits + (SELECT count(*) FROM unnest(exact) e WHERE e = ANY (found));
	END LOOP;
	RETURN hits::numeric / (n * k);
END $$;

-- Rounds of replacing a fifth of the rows: nothing gets lost, the index does not grow for ever.
CREATE TABLE t (i int, v vector(40));
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
INSERT INTO t SELECT i, noise(i, 40) FROM generate_series(1, 1500) i;
SELECT pg_relation_size('t_v') AS before \gset
DO $$
BEGIN
	FOR round IN 1..5 LOOP
		DELETE FROM t WHERE i % 5 = round - 1;
		COMMIT;
		PERFORM 1;
		INSERT INTO t SELECT i + 5 * round * 1000, noise(i + 5 * round * 1000, 40) FROM generate_series(1, 1500, 5) i;
		COMMIT;
	END LOOP;
END $$;
VACUUM t;
SELECT count(*), recall('t', 10, 10) >= 0.9 AS good FROM t;
DELETE FROM t WHERE i % 3 = 0;
VACUUM t;
INSERT INTO t SELECT 100000 + i, noise(100000 + i, 40) FROM generate_series(1, 1500) i;
SELECT recall('t', 10, 10) >= 0.9 AS good, pg_relation_size('t_v') < 4 * :before AS small FROM t LIMIT 1;
UPDATE t SET v = noise(i + 7, 40) WHERE i % 4 = 0;
SELECT recall('t', 10, 10) >= 0.9 AS good;

-- All rows gone, and new ones.
DELETE FROM t;
VACUUM t;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> noise(1, 40)::vector LIMIT 5) a;
INSERT INTO t SELECT i, noise(i, 40) FROM generate_series(1, 300) i;
SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> noise(1, 40)::vector LIMIT 5) a;
RESET enable_seqscan;
SELECT recall('t', 10, 10) >= 0.9 AS good;
DROP TABLE t;

-- Equal values share an element, ten rows at most.
CREATE TABLE same (i int, v vector(40));
INSERT INTO same SELECT i, noise(1, 40) FROM generate_series(1, 25) i;
CREATE INDEX ON same USING hnsw (v vector_l2_ops);
INSERT INTO same SELECT i, noise(1, 40) FROM generate_series(26, 50) i;
SET enable_seqscan = off;
SET hnsw.ef_search = 1;
SELECT count(*) FROM (SELECT i FROM same ORDER BY v <-> noise(1, 40)::vector) a;
SET hnsw.ef_search = 5;
SELECT count(*) FROM (SELECT i FROM same ORDER BY v <-> noise(1, 40)::vector) a;
DELETE FROM same WHERE i <= 45;
VACUUM same;
SELECT array_agg(i ORDER BY i) FROM (SELECT i FROM same ORDER BY v <-> noise(1, 40)::vector) a;
RESET hnsw.ef_search;
DROP TABLE same;

-- Little memory: from it to pages in the middle of the build.
CREATE TABLE big (i int, v vector(40));
INSERT INTO big SELECT i, noise(i, 40) FROM generate_series(1, 6000) i;
SET maintenance_work_mem = '1MB';
SET client_min_messages = notice;
CREATE INDEX big_v ON big USING hnsw (v vector_l2_ops);
SET client_min_messages = warning;
SELECT recall('big', 10, 10) >= 0.8 AS good;
DROP INDEX big_v;
RESET maintenance_work_mem;

-- With workers, and concurrently.
SET min_parallel_table_scan_size = 0;
SET max_parallel_maintenance_workers = 2;
CREATE INDEX big_v ON big USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 50);
SELECT recall('big', 10, 10) >= 0.6 AS good;
DROP INDEX big_v;
CREATE INDEX CONCURRENTLY big_v ON big USING hnsw (v vector_l2_ops) WHERE i > 100;
REINDEX INDEX CONCURRENTLY big_v;
SELECT count(*) FROM (SELECT i FROM big WHERE i > 100 ORDER BY v <-> noise(1, 40)::vector LIMIT 7) a;
RESET min_parallel_table_scan_size;
RESET max_parallel_maintenance_workers;
DROP TABLE big;

-- Temporary, unlogged and partitioned tables.
SET enable_seqscan = off;
CREATE TEMP TABLE tmp (i int, v vector(40));
CREATE INDEX ON tmp USING hnsw (v vector_cosine_ops);
INSERT INTO tmp SELECT i, noise(i, 40) FROM generate_series(1, 300) i;
SELECT i FROM tmp ORDER BY v <=> noise(7, 40)::vector LIMIT 1;
CREATE UNLOGGED TABLE un (i int, v halfvec(40));
CREATE INDEX ON un USING hnsw (v halfvec_ip_ops);
INSERT INTO un SELECT i, noise(i, 40)::vector FROM generate_series(1, 300) i;
SELECT count(*) FROM (SELECT i FROM un ORDER BY v <#> noise(7, 40)::vector::halfvec LIMIT 20) a;
CREATE TABLE part (i int, v vector(40)) PARTITION BY RANGE (i);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (100) TO (300);
CREATE INDEX ON part USING hnsw (v vector_l2_ops);
INSERT INTO part SELECT i, noise(i, 40) FROM generate_series(1, 250) i;
SELECT i FROM part ORDER BY v <-> noise(150, 40)::vector LIMIT 1;
SELECT i FROM part ORDER BY v <-> noise(50, 40)::vector LIMIT 1;
DROP TABLE tmp, un, part;
RESET enable_seqscan;

-- What cannot be.
CREATE TABLE e (a vector, b vector(3), c sparsevec(2000), d int);
CREATE INDEX ON e USING hnsw (a vector_l2_ops);
CREATE INDEX ON e USING hnsw (b);
CREATE INDEX ON e USING hnsw (b vector_l2_ops, d);
CREATE UNIQUE INDEX ON e USING hnsw (b vector_l2_ops);
CREATE INDEX ON e USING hnsw (b vector_l2_ops) WITH (m = 1);
CREATE INDEX ON e USING hnsw (b vector_l2_ops) WITH (m = 40);
CREATE INDEX ON e USING hnsw ((a::vector(2001)) vector_l2_ops);
DROP TABLE e;
DROP FUNCTION noise, recall;
-- Looking at an index.
CREATE TABLE look (i int, v vector(40));
INSERT INTO look SELECT i, (SELECT array_agg((hashint8(i::int8 * 100003 + k) % 10007)::float4 / 10007 ORDER BY k) FROM generate_series(1, 40) k)
	FROM generate_series(1, 400) i;
CREATE INDEX look_v ON look USING hnsw (v vector_cosine_ops) WHERE i > 10;
SELECT dims, coding, code_bytes, node_bytes, m, ef_construction, entry > 0 AS entry, centred FROM lakehouse.hnsw_info('look_v');
SELECT count(*), bool_and(live) AS live, max(cardinality(links)) AS most, min(cardinality(links)) > 0 AS linked, sum(cardinality(rows)) AS rows
	FROM lakehouse.hnsw_graph('look_v');
-- every node can be reached from every other
WITH RECURSIVE link AS MATERIALIZED (SELECT node, unnest(links) AS other FROM lakehouse.hnsw_graph('look_v')),
	reached AS (SELECT (SELECT entry FROM lakehouse.hnsw_info('look_v')) AS node UNION SELECT other FROM reached JOIN link USING (node))
	SELECT count(*) FROM reached;
SELECT lakehouse.hnsw_recall('look_v', 10) >= 0.9 AS good;
-- An index that searches do not use is not measured by another.
CREATE INDEX look_other ON look USING ivfflat (v vector_l2_ops) WITH (lists = 2);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'look_other'::regclass;
\set SHOW_CONTEXT never
SELECT lakehouse.hnsw_recall('look_other', 10);
\set SHOW_CONTEXT errors
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'look_other'::regclass;
DROP INDEX look_other;
SELECT lakehouse.hnsw_info('look');
DROP TABLE look;
