-- Nearest neighbours by index against exact ones, for every type, distance and kind of code.
SET client_min_messages = warning;
SET jit = off;
\getenv sources PG_ABS_SRCDIR
\set file :sources '/sql/lib/plan.psql'
\i :file
CREATE FUNCTION noise(seed int, n int) RETURNS float4[] LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(seed::int8 * 100003 + i) % 10007)::float4 / 10007 ORDER BY i) FROM generate_series(1, n) i $$;

-- Share of the exact k nearest that the index finds, over n queries.
CREATE FUNCTION recall(tab text, op text, k int, n int) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	near text := format('SELECT array_agg(i) FROM (SELECT i FROM %I ORDER BY v %s (SELECT v FROM %I WHERE i = $1) LIMIT %s) t', tab, op, tab, k);
	exact int[];
	found int[];
	hits int := 0;
BEGIN
	FOR q IN 1..n LOOP
		SET LOCAL enable_indexscan = off;
		SET LOCAL enable_seqscan = on;
		EXECUTE near INTO exact USING q * 7;
		SET LOCAL enable_indexscan = on;
		SET LOCAL enable_seqscan = off;
		EXECUTE near INTO found USING q * 7;
		hits := hits + (SELECT count(*) FROM unnest(exact) e WHERE e = ANY (found));
	END LOOP;
	RETURN hits::numeric / (n * k);
END $$;

-- Values are themselves, bytes and half bytes in the index, by their dimensions.
CREATE TABLE data (i int, d int, x float4[]);
INSERT INTO data SELECT i, d, noise(i, d) FROM generate_series(1, 500) i, unnest(ARRAY[8, 70, 300]) d;

CREATE FUNCTION try(type text, dims int, metric text, op text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	share numeric;
BEGIN
	DROP TABLE IF EXISTS t;
	EXECUTE format('CREATE TABLE t (i int, v %s(%s))', type, dims);
	EXECUTE format('INSERT INTO t SELECT i, x::vector::%s FROM data WHERE d = %s', type, dims);
	EXECUTE format('CREATE INDEX ON t USING hnsw (v %s_%s_ops)', type, metric);
	share := recall('t', op, 10, 8);
	RETURN CASE WHEN share >= 0.9 THEN 'good' ELSE share::text END;
END $$;
SELECT type, dims, metric, try(type, dims, metric, op)
	FROM unnest(ARRAY['vector', 'halfvec', 'sparsevec']) type, unnest(ARRAY[8, 70, 300]) dims,
		(VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m (metric, op)
	WHERE type <> 'sparsevec' OR dims < 300
	ORDER BY 1, 2, 3;

CREATE TABLE b (i int, v bit(100));
INSERT INTO b SELECT i, binary_quantize((x[1:70] || x[1:30])::vector) FROM data WHERE d = 70;
CREATE INDEX ON b USING hnsw (v bit_hamming_ops);
SELECT recall('b', '<~>', 1, 20) >= 0.95 AS hamming;
DROP INDEX b_v_idx;
CREATE INDEX ON b USING hnsw (v bit_jaccard_ops);
SELECT recall('b', '<%>', 1, 20) >= 0.95 AS jaccard;

-- Results come in the order of exact distances, also beyond what fits into the first batch.
SELECT try('vector', 300, 'l2', '<->');
SET enable_seqscan = off;
SET hnsw.ef_search = 100;
SELECT count(*), bool_and(d >= before) FROM (
	SELECT d, lag(d, 1, 0) OVER (ORDER BY n) AS before FROM (
		SELECT row_number() OVER () AS n, v <-> (SELECT v FROM t WHERE i = 5) AS d FROM (
			SELECT v FROM t ORDER BY v <-> (SELECT v FROM t WHERE i = 5)) a) b) c;
SET hnsw.iterative_scan = strict_order;
SELECT count(*) > 100 AS many, bool_and(d >= before) FROM (
	SELECT d, lag(d, 1, 0) OVER (ORDER BY n) AS before FROM (
		SELECT row_number() OVER () AS n, v <-> (SELECT v FROM t WHERE i = 5) AS d FROM (
			SELECT v FROM t ORDER BY v <-> (SELECT v FROM t WHERE i = 5)) a) b) c;
SET hnsw.iterative_scan = relaxed_order;
SELECT count(*) FROM (SELECT v FROM t ORDER BY v <-> (SELECT v FROM t WHERE i = 5)) a;
RESET hnsw.iterative_scan;
RESET hnsw.ef_search;

-- Not for other orders, nor without one.
SELECT plan('SELECT i FROM t ORDER BY v <-> (SELECT v FROM t WHERE i = 5) LIMIT 1');
SELECT plan('SELECT i FROM t ORDER BY v <=> (SELECT v FROM t WHERE i = 5) LIMIT 1');
SELECT plan('SELECT i FROM t ORDER BY v <-> (SELECT v FROM t WHERE i = 5), v <-> (SELECT v FROM t WHERE i = 6) LIMIT 1');
RESET enable_seqscan;

-- More dimensions than pgvector indexes.
CREATE TABLE wide (i int, v vector(3000));
INSERT INTO wide SELECT i, (SELECT array_agg(x) FROM generate_series(1, 10), unnest(noise(i, 300)) x)::vector FROM generate_series(1, 200) i;
CREATE INDEX ON wide USING hnsw (v vector_l2_ops);
SET lakehouse.vector_index_limits = off;
CREATE INDEX ON wide USING hnsw (v vector_l2_ops);
RESET lakehouse.vector_index_limits;
SELECT recall('wide', '<->', 5, 10) >= 0.95 AS wide;

-- Queries that do not fit.
SET enable_seqscan = off;
SELECT i FROM wide ORDER BY v <-> '[1,2,3]' LIMIT 1;
SELECT count(*) FROM (SELECT i FROM wide ORDER BY v <-> NULL LIMIT 5) a;
RESET enable_seqscan;
-- What a session remembers of an index and its table is not believed when they have changed.
SET hnsw.ef_search = 200;
CREATE TABLE r (i int, v vector(70));
INSERT INTO r SELECT i, x::vector FROM data WHERE d = 70;
CREATE INDEX r_v ON r USING hnsw (v vector_l2_ops);
SELECT recall('r', '<->', 10, 10) > 0.98 AS first, recall('r', '<->', 10, 10) > 0.98 AS again;
UPDATE r SET v = v + v WHERE i % 3 = 0;
SELECT recall('r', '<->', 10, 10) > 0.98 AS updated;
DELETE FROM r WHERE i > 250;
VACUUM r;
SELECT recall('r', '<->', 10, 10) > 0.98 AS vacuumed;
VACUUM FULL r;
SELECT recall('r', '<->', 10, 10) > 0.98 AS rewritten;
TRUNCATE r;
INSERT INTO r SELECT 501 - i, x::vector FROM data WHERE d = 70;
SELECT recall('r', '<->', 10, 10) > 0.98 AS emptied;
DROP INDEX r_v;
CREATE INDEX r_v ON r USING hnsw (v vector_ip_ops) WITH (m = 8);
SELECT recall('r', '<#>', 10, 10) > 0.98 AS other;
-- Two scans at a time, one that ends with an error, and one after it.
SET enable_seqscan = off;
BEGIN;
DECLARE one CURSOR FOR SELECT i FROM r ORDER BY v <#> (SELECT v FROM r WHERE i = 7) LIMIT 10;
DECLARE two CURSOR FOR SELECT i FROM r ORDER BY v <#> (SELECT v FROM r WHERE i = 7) LIMIT 10;
CREATE TEMP TABLE got (n int, i int);
DO $$
DECLARE
	one refcursor := 'one';
	two refcursor := 'two';
	a int;
	b int;
BEGIN
	FOR n IN 1..10 LOOP
		FETCH one INTO a;
		FETCH two INTO b;
		INSERT INTO got VALUES (n, a), (n, b);
	END LOOP;
END $$;
SELECT count(*), count(DISTINCT i) FROM got;
ROLLBACK;
SELECT i / (i - i) FROM r ORDER BY v <#> (SELECT v FROM r WHERE i = 7) LIMIT 10;
SELECT recall('r', '<#>', 10, 10) > 0.98 AS after_error;
RESET enable_seqscan;
RESET hnsw.ef_search;
-- Many equal values do not make islands: a search gets past them.
CREATE FUNCTION spot(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS
	$$SELECT array_agg((hashint4(i % 20 * 1009 + k) % 1000 + hashint4(i * 101 + k) % 700)::float4 / 1000 ORDER BY k)::vector FROM generate_series(1, 16) k$$;
CREATE TABLE equals (i int, v vector(16));
INSERT INTO equals SELECT i, spot(CASE WHEN i % 2 = 0 THEN i % 8 ELSE i END) FROM generate_series(1, 8000) i;
CREATE INDEX equals_v ON equals USING hnsw (v vector_l2_ops);
SELECT count(*) FILTER (WHERE found <= exact) >= 75 AS past_equals
	FROM (SELECT (SELECT max(d) FROM (SELECT w.v <-> q.v AS d FROM equals w ORDER BY (w.v <-> q.v) + 0 LIMIT 10) a) AS exact,
			(SELECT max(d) FROM (SELECT w.v <-> q.v AS d FROM equals w ORDER BY w.v <-> q.v LIMIT 10) a) AS found
		FROM (SELECT spot(i) AS v FROM generate_series(100001, 100100) i OFFSET 0) q) a;
DROP TABLE data, t, b, wide, r, equals;
DROP FUNCTION plan, noise, recall, try, spot;
