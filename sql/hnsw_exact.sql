-- lakehouse.vector_exact: scans of hnsw indexes find the true neighbours, in order, all of them if asked for.
SET client_min_messages = warning;
SET jit = off;
CREATE FUNCTION noise(seed int, n int) RETURNS float4[] LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(seed::int8 * 100003 + i) % 10007)::float4 / 10007 ORDER BY i) FROM generate_series(1, n) i $$;

-- Distances by index that differ from those by sorting; -1 if there was no index scan.
CREATE FUNCTION wrong(tab text, op text, q int, k int, filter text DEFAULT 'true') RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT v %1$s (SELECT v FROM %2$s WHERE i = %3$s) AS d FROM %2$s WHERE %5$s AND v IS NOT NULL
		ORDER BY v %1$s (SELECT v FROM %2$s WHERE i = %3$s) LIMIT %4$s', op, tab, q, k, filter);
	line text;
	lines text;
	n int;
BEGIN
	SET LOCAL enable_indexscan = off;
	SET LOCAL enable_seqscan = on;
	EXECUTE format('CREATE TEMP TABLE true_ones AS SELECT row_number() OVER () AS n, d FROM (%s) a', query);
	SET LOCAL enable_indexscan = on;
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		lines := concat(lines, line);
	END LOOP;
	EXECUTE format('CREATE TEMP TABLE found AS SELECT row_number() OVER () AS n, d FROM (%s) a', query);
	SELECT count(*) INTO n FROM true_ones a FULL JOIN found b USING (n) WHERE a.d IS NULL OR b.d IS NULL OR abs(a.d - b.d) > 1e-5 * (1 + abs(a.d));
	DROP TABLE true_ones, found;
	RETURN CASE WHEN lines LIKE '%Index Scan using t_v%' THEN n ELSE -1 END;
END $$;

CREATE FUNCTION try(type text, dims int, metric text, op text) RETURNS TABLE (what text, wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS t;
	EXECUTE format('CREATE TABLE t (i int, v %s(%s))', type, dims);
	EXECUTE format('INSERT INTO t SELECT i, noise(i, %s)::vector::%s FROM generate_series(1, 150) i', dims, type);
	EXECUTE format('CREATE INDEX t_v ON t USING hnsw (v %s_%s_ops) WITH (m = 4, ef_construction = 8)', type, metric);
	EXECUTE format('INSERT INTO t SELECT i, noise(i, %s)::vector::%s FROM generate_series(151, 200) i', dims, type);
	RETURN QUERY SELECT concat_ws(' ', type, dims, op), sum(wrong('t', op, q * 13, 10)) FROM generate_series(1, 5) q;
END $$;
SET hnsw.ef_search = 1;
SET lakehouse.vector_exact = on;
SELECT a.* FROM (VALUES ('vector', 8, 'l2', '<->'), ('vector', 8, 'l1', '<+>'), ('vector', 100, 'l2', '<->'), ('vector', 100, 'ip', '<#>'),
		('vector', 100, 'cosine', '<=>'), ('vector', 300, 'l2', '<->'), ('vector', 300, 'ip', '<#>'), ('vector', 300, 'cosine', '<=>'),
		('halfvec', 300, 'cosine', '<=>'), ('halfvec', 20, 'l2', '<->'), ('sparsevec', 20, 'l2', '<->'), ('sparsevec', 200, 'cosine', '<=>'),
		('vector', 1900, 'l1', '<+>')) o(type, dims, metric, op), try(type, dims, metric, op) a;

-- more than one sweep keeps; duplicates, NULL, upkeep, filters, nothing
DROP TABLE t;
CREATE TABLE t (i int, v vector(3));
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (m = 2, ef_construction = 4);
SELECT wrong('t', '<->', 1, 5) AS empty;
DROP INDEX t_v;
INSERT INTO t SELECT i, CASE WHEN i % 100 <> 0 THEN ARRAY[i % 20, i / 40, i % 13 + i / 1000.0]::vector END FROM generate_series(1, 9500) i;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (m = 2, ef_construction = 4);
SELECT wrong('t', '<->', 77, 10) AS first, wrong('t', '<->', 77, 9000) AS most, wrong('t', '<->', 77, 100000) AS all;
DELETE FROM t WHERE i % 3 = 0;
VACUUM t;
INSERT INTO t SELECT i, ARRAY[i % 20, i, 1]::vector FROM generate_series(20001, 20100) i;
SELECT wrong('t', '<->', 77, 10) AS first, wrong('t', '<->', 77, 100000) AS all, wrong('t', '<->', 77, 10, 'i % 50 = 1') AS filtered;
SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> NULL LIMIT 5) a;
-- once more for each row, and an index on a lakehouse table
SET enable_seqscan = off;
SELECT q.i, (SELECT i FROM t ORDER BY v <-> q.v, i LIMIT 1) = q.i AS self FROM t q WHERE i IN (20007, 20050) ORDER BY 1;
RESET enable_seqscan;
DROP TABLE t;
CREATE TABLE t (i int, v vector(40)) USING lakehouse;
INSERT INTO t SELECT i, noise(i, 40)::vector FROM generate_series(1, 1000) i;
CREATE INDEX t_v ON t USING hnsw (v vector_cosine_ops);
SELECT sum(wrong('t', '<=>', q * 13, 10)) FROM generate_series(1, 5) q;
DROP TABLE t;
DROP FUNCTION noise, wrong, try;
