-- Nearest neighbours by lists against exact ones, for every type and distance.
SET client_min_messages = warning;
SET jit = off;
CREATE FUNCTION noise(seed int, n int) RETURNS float4[] LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(seed::int8 * 100003 + i) % 10007)::float4 / 10007 ORDER BY i) FROM generate_series(1, n) i $$;

-- Share of the exact k nearest that the index finds with that many probes, over n queries.
CREATE FUNCTION recall(tab text, op text, probes int, k int, n int) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	near text := format('SELECT array_agg(i) FROM (SELECT i FROM %I ORDER BY v %s (SELECT v FROM %I WHERE i = $1) LIMIT %s) t', tab, op, tab, k);
	exact int[];
	found int[];
	hits int := 0;
BEGIN
	PERFORM set_config('ivfflat.probes', probes::text, true);
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

-- Forty heaps of points, so that lists have something to find.
CREATE TABLE data (i int, d int, x float4[]);
INSERT INTO data SELECT i, d, (SELECT array_agg(c + e / 4 ORDER BY o)
		FROM ROWS FROM (unnest(noise(-1 - i % 40, d)), unnest(noise(i, d))) WITH ORDINALITY u (c, e, o))
	FROM generate_series(1, 1000) i, unnest(ARRAY[8, 70, 300]) d;

-- All lists find everything, but for halves that were rounded when they were normalized; some lists nearly so.
CREATE FUNCTION try(type text, dims int, metric text, op text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	few numeric;
	every numeric;
BEGIN
	DROP TABLE IF EXISTS t;
	EXECUTE format('CREATE TABLE t (i int, v %s(%s))', type, dims);
	EXECUTE format('INSERT INTO t SELECT i, x::vector::%s FROM data WHERE d = %s', type, dims);
	EXECUTE format('CREATE INDEX t_v ON t USING ivfflat (v %s_%s_ops) WITH (lists = 20)', type, metric);
	few := recall('t', op, 4, 10, 8);
	every := recall('t', op, 20, 10, 8);
	RETURN CASE WHEN few >= 0.85 AND every >= 0.95 THEN 'good' ELSE few || ' ' || every END;
END $$;
SELECT type, dims, metric, try(type, dims, metric, op)
	FROM unnest(ARRAY['vector', 'halfvec']) type, unnest(ARRAY[8, 70, 300]) dims,
		(VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>')) m (metric, op)
	ORDER BY 1, 2, 3;
SELECT count(*), sum(rows), min(rows) > 0 AS used, bool_and(run = pages) AS in_order FROM lakehouse.ivfflat_lists('t_v');

CREATE TABLE b (i int, v bit(99));
INSERT INTO b SELECT i, binary_quantize((x[1:70] || x[1:29])::vector) FROM data WHERE d = 70;
CREATE INDEX ON b USING ivfflat (v bit_hamming_ops) WITH (lists = 20);
SELECT recall('b', '<~>', 4, 1, 20) >= 0.85 AS few, recall('b', '<~>', 20, 1, 20) >= 0.95 AS every;

-- Results come in order, whatever memory there is for it.
SELECT try('vector', 8, 'l2', '<->');
SET enable_seqscan = off;
SET ivfflat.probes = 20;
INSERT INTO t SELECT i, noise(i, 8) FROM generate_series(2001, 8000) i;
CREATE FUNCTION in_order() RETURNS TABLE (n bigint, different bigint, ordered boolean) LANGUAGE sql AS $$
	SELECT count(*), count(DISTINCT i), bool_and(d >= before) FROM (
		SELECT i, d, lag(d, 1, 0) OVER (ORDER BY n) AS before FROM (
			SELECT row_number() OVER () AS n, i, v <-> (SELECT v FROM t WHERE i = 5) AS d FROM (
				SELECT i, v FROM t ORDER BY v <-> (SELECT v FROM t WHERE i = 5) OFFSET 0) a) b) c $$;
SELECT * FROM in_order();
SET work_mem = '64kB';
SELECT * FROM in_order();
RESET work_mem;

-- Without iteration a scan ends with its lists, with it after the last allowed one.
SET ivfflat.probes = 2;
SELECT n < 7000 AS some FROM in_order();
SET ivfflat.iterative_scan = relaxed_order;
SELECT n, different FROM in_order();
SET ivfflat.max_probes = 6;
SELECT n < 7000 AS some FROM in_order();
RESET ivfflat.max_probes;
SELECT count(*) FROM (SELECT i FROM t WHERE i % 500 = 0 ORDER BY v <-> noise(1, 8)::vector LIMIT 13) a;
RESET ivfflat.iterative_scan;

-- With a filter and a LIMIT it goes on by itself.
SELECT count(*) FROM (SELECT i FROM t WHERE i % 500 = 0 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 13) a;
SET lakehouse.vector_fill_limit = off;
SELECT count(*) < 13 AS fewer FROM (SELECT i FROM t WHERE i % 500 = 0 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 13) a;
RESET lakehouse.vector_fill_limit;

-- Not for other orders, nor without one.
CREATE FUNCTION uses_index(orders text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) SELECT i FROM t ORDER BY ' || orders || ' LIMIT 1' LOOP
		IF line ~ 'Index Scan using t_v' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT uses_index($$v <-> '[1,2,3,4,5,6,7,8]'$$) AS nearest, uses_index($$v <-> '[1,2,3,4,5,6,7,8]' DESC$$) AS farthest,
	uses_index($$v <=> '[1,2,3,4,5,6,7,8]'$$) AS other,
	uses_index($$v <-> '[1,2,3,4,5,6,7,8]', v <-> '[8,7,6,5,4,3,2,1]'$$) AS two, uses_index('v') AS none;

-- A scan that is started again for each row.
SELECT q.i, array_agg(n.i = q.i) FROM t q CROSS JOIN LATERAL (SELECT i FROM t ORDER BY v <-> q.v LIMIT 1) n WHERE q.i IN (7, 77, 777) GROUP BY 1 ORDER BY 1;
BEGIN;
DECLARE c CURSOR FOR SELECT i FROM t ORDER BY v <-> (SELECT v FROM t WHERE i = 5);
FETCH 1 FROM c;
MOVE 100 IN c;
ROLLBACK;

-- Queries that do not fit, NULL, zero vectors, huge ones.
SELECT i FROM t ORDER BY v <-> '[1,2,3]' LIMIT 1;
SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> NULL LIMIT 5) a;
CREATE TABLE z (i int, v vector(3));
INSERT INTO z VALUES (1, '[0,0,0]'), (2, NULL), (3, '[1,2,3]'), (4, '[3e38,-3e38,3e38]'), (5, '[-3e38,3e38,0]');
CREATE INDEX z_l2 ON z USING ivfflat (v) WITH (lists = 2);
SET ivfflat.probes = 2;
SELECT count(*) FROM (SELECT i FROM z ORDER BY v <-> '[3e38,3e38,3e38]') a;
DROP INDEX z_l2;
CREATE INDEX z_ip ON z USING ivfflat (v vector_ip_ops) WITH (lists = 2);
SELECT count(*) FROM (SELECT i FROM z ORDER BY v <#> '[3e38,3e38,3e38]') a;
CREATE INDEX z_cosine ON z USING ivfflat (v vector_cosine_ops) WITH (lists = 2);
SELECT i FROM z ORDER BY v <=> '[1,2,2]';
SELECT count(*) FROM (SELECT i FROM z ORDER BY v <=> '[0,0,0]') a;
RESET enable_seqscan;
DROP TABLE data, t, b, z;
DROP FUNCTION noise, recall, try, in_order, uses_index;
