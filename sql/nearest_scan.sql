-- ORDER BY distance LIMIT k by LakehouseNearest gives what sorting gives: on
-- heap and lakehouse tables, with NULL, NaN, toasted values and filters.
SET client_min_messages = warning;
SET jit = off;
\getenv sources PG_ABS_SRCDIR
\set file :sources '/sql/lib/plan.psql'
\i :file
CREATE FUNCTION noise(seed int, n int) RETURNS float4[] LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(seed::int8 * 100003 + i) % 10007)::float4 / 10007 ORDER BY i) FROM generate_series(1, n) i $$;

CREATE TABLE h (i int, grp int, v vector(24), w halfvec(24), s sparsevec(24), b bit(24), big vector(700));
INSERT INTO h SELECT i, i % 7, CASE WHEN i % 50 <> 0 THEN x END, x, x::vector::sparsevec, binary_quantize(x::vector),
		CASE WHEN i % 5 = 0 THEN noise(i, 700)::vector END
	FROM (SELECT i, CASE WHEN i % 60 = 1 THEN array_fill(0::float4, ARRAY[24]) ELSE noise(i, 24) END::vector AS x
		FROM generate_series(1, 1200) i) a;
CREATE TABLE l (LIKE h) USING lakehouse;
INSERT INTO l SELECT * FROM h;
ANALYZE h;
ANALYZE l;

SELECT plan('SELECT i FROM h ORDER BY v <-> (SELECT v FROM h WHERE i = 1) LIMIT 10');
EXPLAIN (COSTS off) SELECT i FROM l WHERE grp = 3 ORDER BY '[1,2]'::vector <=> v::vector OFFSET 3 LIMIT 10;

-- The distances of the nearest, with the node and by sorting.
CREATE FUNCTION differs(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
	got text;
	expected text;
BEGIN
	SET LOCAL lakehouse.enable_nearest = on;
	SET LOCAL enable_sort = off;
	FOR plan IN EXECUTE 'EXPLAIN ' || query LOOP
		got := concat(got, plan);
	END LOOP;
	IF got NOT LIKE '%LakehouseNearest%' THEN
		RETURN 'another plan: ' || query;
	END IF;
	EXECUTE format('SELECT array_agg(a::text) FROM (%s) a', query) INTO got;
	SET LOCAL lakehouse.enable_nearest = off;
	SET LOCAL enable_sort = on;
	EXECUTE format('SELECT array_agg(a::text) FROM (%s) a', query) INTO expected;
	RETURN CASE WHEN got IS DISTINCT FROM expected THEN format('%s: %s, expected %s', query, got, expected) END;
END $$;

SELECT differs(format('SELECT (%s %s (SELECT %s FROM h WHERE i = %s)) AS d FROM %s %s ORDER BY 1 LIMIT %s', col, op, col, q, tab, filter, k))
	FROM (VALUES ('v', '<->'), ('v', '<#>'), ('v', '<=>'), ('v', '<+>'), ('w', '<->'), ('w', '<#>'), ('w', '<=>'), ('w', '<+>'),
			('s', '<->'), ('s', '<=>'), ('b', '<~>'), ('b', '<%>'), ('big', '<->'), ('big', '<=>')) o(col, op),
		(VALUES ('h'), ('l')) t(tab),
		(VALUES ('', 10), ('WHERE grp = 3', 10), ('WHERE i < 8', 20), ('', 300), ('WHERE grp > 100', 5)) f(filter, k),
		(VALUES (5), (50), (61)) q(q)
	WHERE differs(format('SELECT (%s %s (SELECT %s FROM h WHERE i = %s)) AS d FROM %s %s ORDER BY 1 LIMIT %s', col, op, col, q, tab, filter, k)) IS NOT NULL;

-- OFFSET, system columns, whole rows, no columns, expressions, both ways round
SELECT differs('SELECT i FROM h WHERE v IS NOT NULL ORDER BY v <-> (SELECT v FROM h WHERE i = 3) OFFSET 7 LIMIT 4');
SELECT differs('SELECT i FROM l WHERE v IS NOT NULL ORDER BY (SELECT v FROM h WHERE i = 3) <-> v OFFSET 7 LIMIT 4');
SELECT differs('SELECT ctid, tableoid::regclass, h FROM h WHERE v IS NOT NULL ORDER BY v <-> (SELECT v FROM h WHERE i = 3) LIMIT 3');
SELECT differs('SELECT ctid IS NULL AS n, tableoid::regclass AS t, l.i, l FROM l WHERE v IS NOT NULL ORDER BY v <-> (SELECT v FROM h WHERE i = 3) LIMIT 3');
SELECT differs('SELECT 1 FROM h ORDER BY v <-> (SELECT v FROM h WHERE i = 3) LIMIT 3');
SELECT differs('SELECT i FROM h ORDER BY v::halfvec(24) <-> (SELECT w FROM h WHERE i = 3) LIMIT 3');
SELECT differs('SELECT i FROM l ORDER BY subvector(v, 1, 3) <-> ''[1,2,3]'' LIMIT 3');
SELECT i FROM h ORDER BY v <-> '[1,2]' LIMIT 3;
SELECT count(*) FROM (SELECT i FROM l ORDER BY v <-> '[1,2]' LIMIT 0) a;

-- Not taken: several keys, descending, row locks, ties, joins, unknown limits
CREATE FUNCTION taken(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	plan text;
	taken bool := false;
BEGIN
	FOR plan IN EXECUTE 'EXPLAIN ' || query LOOP
		taken := taken OR plan LIKE '%LakehouseNearest%';
	END LOOP;
	RETURN taken;
END $$;
SELECT taken('SELECT i FROM h ORDER BY v <-> v LIMIT 3'), taken('SELECT i FROM h ORDER BY v <-> (SELECT v FROM h WHERE i = 3), i LIMIT 3'),
	taken('SELECT i FROM h ORDER BY v <-> (SELECT v FROM h WHERE i = 3) DESC LIMIT 3'),
	taken('SELECT i FROM h ORDER BY v <-> (SELECT v FROM h WHERE i = 3) LIMIT 3 FOR UPDATE'),
	taken('SELECT i FROM h ORDER BY v <-> (SELECT v FROM h WHERE i = 3) FETCH FIRST 3 ROWS WITH TIES'),
	taken('SELECT i FROM h ORDER BY v <-> (SELECT v FROM h WHERE i = 3)'),
	taken('SELECT h.i FROM h JOIN l USING (i) ORDER BY h.v <-> (SELECT v FROM h WHERE i = 3) LIMIT 3'),
	taken('SELECT DISTINCT h.v <-> ''[1]'' FROM h ORDER BY h.v <-> ''[1]'' LIMIT 3'),
	taken('SELECT i FROM h ORDER BY point(i, 1) <-> point(1, 1) LIMIT 3');

-- rescans
SELECT q.i, a.near FROM (SELECT i, v FROM h WHERE i BETWEEN 2 AND 7) q,
	LATERAL (SELECT array_agg(i) AS near FROM (SELECT i FROM l WHERE l.grp <= q.i ORDER BY v <-> q.v LIMIT 3) n) a ORDER BY 1;
SELECT q.i, a.near FROM (SELECT i, v FROM h WHERE i BETWEEN 2 AND 7) q,
	LATERAL (SELECT array_agg(i) AS near FROM (SELECT i FROM h WHERE h.grp <= q.i ORDER BY v <-> q.v LIMIT 3) n) a ORDER BY 1;

-- cursors go both ways
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT i FROM h ORDER BY v <-> (SELECT v FROM h WHERE i = 9) LIMIT 4;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH ALL FROM c;
COMMIT;

-- prepared, with a generic plan
PREPARE near(vector, int) AS SELECT i FROM l WHERE grp <> $2 ORDER BY v <-> $1 LIMIT 3;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS off) EXECUTE near(NULL, 100);
CREATE TEMP TABLE found AS SELECT 0 AS i WHERE false;
DO $$
DECLARE
	q vector;
	r record;
BEGIN
	FOR q IN SELECT v FROM h WHERE i IN (9, 10) ORDER BY i LOOP
		FOR r IN SELECT i FROM l WHERE grp <> 100 ORDER BY v <-> q LIMIT 1 LOOP
			INSERT INTO found VALUES (r.i);
		END LOOP;
	END LOOP;
END $$;
SELECT * FROM found;
RESET plan_cache_mode;

-- parallel
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE h SET (parallel_workers = 2);
EXPLAIN (COSTS off) SELECT i FROM h ORDER BY v <-> '[1,2]' LIMIT 10;
SELECT differs('SELECT i FROM h WHERE v IS NOT NULL ORDER BY v <-> (SELECT v FROM h WHERE i = 3) LIMIT 10');
SELECT differs('SELECT i FROM l WHERE v IS NOT NULL ORDER BY v <-> (SELECT v FROM h WHERE i = 3) LIMIT 10');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- an empty table
TRUNCATE h, l;
SELECT i FROM h ORDER BY v <-> '[1,2]' LIMIT 10;
SELECT i FROM l WHERE grp = 1 ORDER BY v <-> '[1,2]' LIMIT 10;
DROP TABLE h, l, found;

-- the distance of an ordered index scan is not computed for nobody
SET client_min_messages = warning;
CREATE TABLE h (i int, v vector(3));
INSERT INTO h SELECT i, ARRAY[i, 1, 2]::vector FROM generate_series(1, 2000) i;
CREATE INDEX ON h USING hnsw (v vector_l2_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS off, VERBOSE) SELECT i FROM h ORDER BY v <-> '[5,1,2]' LIMIT 2;
EXPLAIN (COSTS off, VERBOSE) SELECT i, v <-> '[5,1,2]' AS d FROM h ORDER BY v <-> '[5,1,2]' LIMIT 2;
SELECT i FROM h ORDER BY v <-> '[5,1,2]' LIMIT 1;
SELECT i, v <-> '[5,1,2]' AS d FROM h ORDER BY v <-> '[5,1,2]' LIMIT 1;
SELECT i FROM h ORDER BY v <-> '[5,1,2]' FETCH FIRST 1 ROW WITH TIES;
(SELECT i FROM h ORDER BY v <-> '[5,1,2]' LIMIT 1) UNION ALL (SELECT i FROM h ORDER BY v <-> '[9,1,2]' LIMIT 1);
SELECT a.i, (SELECT i FROM h ORDER BY v <-> a.v LIMIT 1) FROM h a WHERE i = 77;
BEGIN;
SELECT i FROM h ORDER BY v <-> '[5,1,2]' LIMIT 1 FOR UPDATE;
UPDATE h SET i = -i WHERE i IN (SELECT i FROM h ORDER BY v <-> '[5,1,2]' LIMIT 1) RETURNING i;
ROLLBACK;
SELECT plan('SELECT i, 1 - (v <-> ''[5,1,2]'') AS s FROM h WHERE i > 1 ORDER BY v <-> ''[5,1,2]'' LIMIT 2', ', VERBOSE');
SELECT i, 1 - (v <-> '[5,1,2]') AS s FROM h WHERE i > 1 ORDER BY v <-> '[5,1,2]' LIMIT 1;
DROP TABLE h;
DROP FUNCTION plan, noise, differs, taken;

-- equally near rows come as a scan finds them
CREATE TABLE near_ties (id int, v vector(2)) USING heap;
INSERT INTO near_ties SELECT i, '[1,1]' FROM generate_series(1, 40) i;
INSERT INTO near_ties VALUES (41, NULL), (42, '[9,9]'), (43, NULL);
SELECT array_agg(id) FROM (SELECT id FROM near_ties ORDER BY v <-> '[0,0]' LIMIT 5) x;
SELECT array_agg(id) FROM (SELECT id FROM near_ties ORDER BY v <-> '[0,0]' LIMIT 42) x;
DROP TABLE near_ties;
