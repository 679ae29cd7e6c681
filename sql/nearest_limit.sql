-- LakehouseNearest with a LIMIT that only the execution knows, over partitions,
-- with long values in every shape, on pages with all kinds of rows: it gives
-- what sorting gives.
SET client_min_messages = warning;
SET jit = off;
\getenv sources PG_ABS_SRCDIR
\set file :sources '/sql/lib/plan.psql'
\i :file
CREATE FUNCTION noise(seed int, n int) RETURNS vector LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(seed::int8 * 100003 + i) % 10007)::float4 / 10007 ORDER BY i)::vector FROM generate_series(1, n) i $$;
CREATE TABLE h (i int, grp int, v vector(24)) USING heap;
INSERT INTO h SELECT i, i % 7, CASE WHEN i % 50 <> 0 THEN noise(i, 24) END FROM generate_series(1, 1500) i;
CREATE TABLE l (LIKE h) USING lakehouse;
INSERT INTO l SELECT * FROM h;
ANALYZE h;
ANALYZE l;

-- ---- LIMIT $1 in generic plans ----
SET plan_cache_mode = force_generic_plan;
PREPARE near_h(int, int, int) AS SELECT v <-> noise($1, 24) AS d FROM h WHERE grp <> 2 ORDER BY v <-> noise($1, 24) LIMIT $2 OFFSET $3;
PREPARE near_l(int, int, int) AS SELECT v <-> noise($1, 24) AS d FROM l WHERE grp <> 2 ORDER BY v <-> noise($1, 24) LIMIT $2 OFFSET $3;
PREPARE all_h(int, int, int) AS SELECT v <-> noise($1, 24) AS d FROM h WHERE grp <> 2 ORDER BY (v <-> noise($1, 24)) + 0 LIMIT $2 OFFSET $3;
EXPLAIN (COSTS off) EXECUTE near_h(1, 3, 0);
CREATE FUNCTION differs(query text, oracle text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	got float8[];
	expected float8[];
BEGIN
	EXECUTE 'CREATE TEMP TABLE got AS ' || query;
	SELECT array_agg(d ORDER BY ctid) INTO got FROM got;
	DROP TABLE got;
	EXECUTE 'CREATE TEMP TABLE got AS ' || oracle;
	SELECT array_agg(d ORDER BY ctid) INTO expected FROM got;
	DROP TABLE got;
	RETURN CASE WHEN got IS DISTINCT FROM expected THEN format('%s: %s, expected %s', query, got, expected) END;
END $$;
SELECT t, args, differs(format('EXECUTE near_%s(%s)', t, args), format('EXECUTE all_h(%s)', args)) AS differs
	FROM (VALUES ('h'), ('l')) t(t),
		(VALUES ('5, 10, 0'), ('5, 1, 30'), ('6, NULL, NULL'), ('7, 100000, 3'), ('8, 0, 0'), ('9, 4, 10000'), ('9, 9, NULL')) a(args);
EXECUTE near_h(1, -1, 0);
EXECUTE near_l(1, 1, -1);
-- more rows than fit memory: sorted in files
SET work_mem = '64kB';
SELECT t, differs(format('EXECUTE near_%s(5, 1200, 20)', t), 'EXECUTE all_h(5, 1200, 20)') AS differs FROM (VALUES ('h'), ('l')) t(t);
RESET work_mem;
-- a limit that a query finds
SELECT plan('SELECT i FROM h ORDER BY v <-> ''[1,2]'' LIMIT (SELECT 2)');
SELECT count(*) FROM (SELECT i FROM h ORDER BY v <-> noise(3, 24) LIMIT (SELECT grp FROM l WHERE i = 5)) a;
SELECT g, (SELECT count(*) FROM (SELECT i FROM h WHERE i > g ORDER BY v <-> noise(3, 24) LIMIT (SELECT g)) a) FROM generate_series(2, 4) g;
-- one that changes is the server's
EXPLAIN (COSTS off) SELECT i FROM h ORDER BY v <-> '[1,2]' LIMIT (random() * 2)::int;
DEALLOCATE ALL;

-- with an index: below a filter as many as there are; without one, the index answers
CREATE INDEX h_v ON h USING hnsw (v vector_l2_ops);
PREPARE near_h(int, int, int) AS SELECT v <-> noise($1, 24) AS d FROM h WHERE i % 5 = $3 ORDER BY v <-> noise($1, 24) LIMIT $2;
PREPARE all_h(int, int, int) AS SELECT v <-> noise($1, 24) AS d FROM h WHERE i % 5 = $3 ORDER BY (v <-> noise($1, 24)) + 0 LIMIT $2;
SELECT args, differs(format('EXECUTE near_h(%s)', args), format('EXECUTE all_h(%s)', args)) AS differs
	FROM (VALUES ('5, 300, 0'), ('5, 1000, 1'), ('6, NULL, 2'), ('7, 0, 3')) a(args);
SET enable_seqscan = off;
PREPARE plain(int, int) AS SELECT i FROM h ORDER BY v <-> noise($1, 24) LIMIT $2;
EXPLAIN (COSTS off) EXECUTE plain(1, 3);
EXECUTE plain(77, 1);
RESET enable_seqscan;
RESET plan_cache_mode;
DEALLOCATE ALL;

-- ---- never fewer than k rows while k exist: joins, row locks, what makes rows disappear ----
SET enable_seqscan = off;
SET enable_sort = off;
SET hnsw.ef_search = 10;
CREATE TABLE wanted (grp int PRIMARY KEY, ok bool);
INSERT INTO wanted SELECT g, g = 3 FROM generate_series(0, 6) g;
SELECT count(*) FROM (SELECT h.i FROM h JOIN wanted w ON w.grp = h.grp AND w.ok ORDER BY h.v <-> noise(3, 24) LIMIT 60) a;
SELECT count(*) FROM (SELECT h.i FROM h JOIN wanted w USING (grp) WHERE h.i > 100 AND w.ok ORDER BY h.v <-> noise(3, 24) LIMIT 60) a;
SELECT count(*) FROM (SELECT h.i FROM h WHERE EXISTS (SELECT FROM wanted w WHERE w.grp = h.grp AND w.ok) ORDER BY h.v <-> noise(3, 24) LIMIT 60) a;
SELECT count(*) FROM (SELECT h.i FROM h WHERE grp IN (SELECT w.grp FROM wanted w WHERE w.ok OFFSET 0) ORDER BY h.v <-> noise(3, 24) LIMIT 60) a;
SELECT count(*) FROM (SELECT i FROM h WHERE grp = 3 ORDER BY v <-> noise(3, 24) LIMIT 60 FOR UPDATE) a;
SELECT count(*) FROM (SELECT unnest(CASE grp WHEN 3 THEN ARRAY[i] END) FROM h ORDER BY v <-> noise(3, 24) LIMIT 60) a;
SELECT count(*) FROM (SELECT DISTINCT v <-> noise(3, 24), grp FROM h WHERE grp = 3 ORDER BY 1 LIMIT 60) a;
SELECT count(*) FROM (SELECT * FROM (SELECT i, grp FROM h ORDER BY v <-> noise(3, 24) OFFSET 0) b WHERE grp = 3 LIMIT 60) a;
RESET enable_seqscan;
RESET enable_sort;
RESET hnsw.ef_search;
DROP TABLE wanted;

-- ---- partitions ----
CREATE TABLE p (i int, grp int, v vector(24)) PARTITION BY RANGE (i);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (400);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (400) TO (900) PARTITION BY RANGE (i);
CREATE TABLE p21 (v vector(24), extra int, grp int, i int);
ALTER TABLE p21 DROP COLUMN extra;
ALTER TABLE p2 ATTACH PARTITION p21 FOR VALUES FROM (400) TO (900);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (900) TO (9999) USING lakehouse;
INSERT INTO p SELECT * FROM h;
ANALYZE p;
EXPLAIN (COSTS off) SELECT i FROM p ORDER BY v <-> '[1,2]' LIMIT 5;
SELECT k, filter, differs(format('SELECT v <-> noise(3, 24) AS d FROM p WHERE %s ORDER BY v <-> noise(3, 24) LIMIT %s', filter, k),
		format('SELECT v <-> noise(3, 24) AS d FROM p WHERE %s ORDER BY (v <-> noise(3, 24)) + 0 LIMIT %s', filter, k)) AS differs
	FROM (VALUES (5), (40), (2000)) k(k), (VALUES ('true'), ('grp = 3'), ('i < 500'), ('i BETWEEN 395 AND 405'), ('i < 0')) f(filter);
CREATE INDEX ON p USING hnsw (v vector_l2_ops);
SET enable_seqscan = off;
SET hnsw.ef_search = 10;
SELECT count(*), bool_and(grp = 3) FROM (SELECT grp FROM p WHERE grp = 3 ORDER BY v <-> noise(3, 24) LIMIT 100) a;
PREPARE part(int, int) AS SELECT grp FROM p WHERE grp = $1 ORDER BY v <-> noise(3, 24) LIMIT $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE part(3, 2);
RESET plan_cache_mode;
RESET enable_seqscan;
RESET hnsw.ef_search;
DEALLOCATE ALL;
DROP TABLE p;

-- ---- values beside the table ----
CREATE TABLE big (i int, v vector(800)) USING heap;
INSERT INTO big SELECT i, noise(i, 800) FROM generate_series(1, 60) i;
INSERT INTO big SELECT i, CASE WHEN i % 3 = 0 THEN noise(i, 1 + i % 2 * 799)::vector END FROM generate_series(61, 90) i WHERE i % 2 = 1;
ALTER TABLE big ALTER v TYPE vector, ALTER v SET STORAGE extended;
INSERT INTO big SELECT i, array_fill(i::float4 / 100, ARRAY[800])::vector FROM generate_series(91, 110) i;
ALTER TABLE big ALTER v SET STORAGE external;
DELETE FROM big WHERE i % 4 = 0;
UPDATE big SET v = noise(i + 1000, 800) WHERE i % 6 = 1;
UPDATE big SET i = i + 0 WHERE i % 5 = 0;
VACUUM big;
INSERT INTO big SELECT i, noise(i, 800) FROM generate_series(111, 140) i;
SELECT filter, differs(format('SELECT v <-> noise(3, 800) AS d FROM big WHERE %s ORDER BY v <-> noise(3, 800) LIMIT 70', filter),
		format('SELECT v <-> noise(3, 800) AS d FROM big WHERE %s ORDER BY (v <-> noise(3, 800)) + 0 LIMIT 70', filter)) AS differs
	FROM (VALUES ('true'), ('i % 7 = 3'), ('i > 100'), ('abs(i - 60) < 30')) f(filter);
SELECT differs('SELECT a.v <-> noise(3, 800) AS d FROM (SELECT v FROM big ORDER BY i DESC OFFSET 0) a ORDER BY 1 LIMIT 9',
		'SELECT v <-> noise(3, 800) AS d FROM big ORDER BY v <-> noise(3, 800) LIMIT 9') AS differs;
-- of other types
CREATE TABLE bigger (i int, s sparsevec(9000), b bit(40000), w halfvec(1500));
ALTER TABLE bigger ALTER b SET STORAGE external;
INSERT INTO bigger SELECT i, noise(i, 9000)::sparsevec, binary_quantize(noise(i, 40000 / 4)) || binary_quantize(noise(-i, 30000 / 2)) || binary_quantize(noise(9 * i, 15000)),
		noise(i, 1500)::halfvec FROM generate_series(1, 4) i;
SELECT differs('SELECT s <-> noise(3, 9000)::sparsevec AS d FROM bigger ORDER BY s <-> noise(3, 9000)::sparsevec LIMIT 3',
		'SELECT s <-> noise(3, 9000)::sparsevec AS d FROM bigger ORDER BY (s <-> noise(3, 9000)::sparsevec) + 0 LIMIT 3') AS sparsevec,
	differs('SELECT w <=> noise(3, 1500)::halfvec AS d FROM bigger ORDER BY w <=> noise(3, 1500)::halfvec LIMIT 3',
		'SELECT w <=> noise(3, 1500)::halfvec AS d FROM bigger ORDER BY (w <=> noise(3, 1500)::halfvec) + 0 LIMIT 3') AS halfvec,
	differs('SELECT b <~> (SELECT b FROM bigger WHERE i = 2) AS d FROM bigger ORDER BY b <~> (SELECT b FROM bigger WHERE i = 2) LIMIT 3',
		'SELECT b <~> (SELECT b FROM bigger WHERE i = 2) AS d FROM bigger ORDER BY (b <~> (SELECT b FROM bigger WHERE i = 2)) + 0 LIMIT 3') AS bit;
DROP TABLE bigger;

-- ---- pages with rows of all kinds ----
BEGIN;
UPDATE h SET grp = grp + 10 WHERE i % 9 = 0;
DELETE FROM h WHERE i % 11 = 0;
INSERT INTO h SELECT i, 5, noise(i, 24) FROM generate_series(2001, 2010) i;
SAVEPOINT s;
UPDATE h SET v = noise(1, 24) WHERE i < 20;
ROLLBACK TO s;
SELECT filter, differs(format('SELECT v <-> noise(2005, 24) AS d FROM h WHERE %s ORDER BY v <-> noise(2005, 24) LIMIT 25', filter),
		format('SELECT v <-> noise(2005, 24) AS d FROM h WHERE %s ORDER BY (v <-> noise(2005, 24)) + 0 LIMIT 25', filter)) AS differs
	FROM (VALUES ('true'), ('grp > 9'), ('v <> noise(2003, 24)')) f(filter);
-- a cursor sees what was there when it was opened
DECLARE c CURSOR FOR SELECT i FROM h WHERE grp = 5 ORDER BY v <-> noise(2005, 24) LIMIT 2;
DELETE FROM h WHERE i = 2005;
FETCH ALL FROM c;
SELECT i FROM h WHERE grp = 5 AND i > 2000 ORDER BY v <-> noise(2006, 24) LIMIT 1;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT i FROM h ORDER BY v <-> noise(2007, 24) LIMIT 1;
COMMIT;
CREATE TEMP TABLE t AS SELECT * FROM h;
SELECT differs('SELECT v <-> noise(5, 24) AS d FROM t WHERE grp = 3 ORDER BY v <-> noise(5, 24) LIMIT 5',
	'SELECT v <-> noise(5, 24) AS d FROM t WHERE grp = 3 ORDER BY (v <-> noise(5, 24)) + 0 LIMIT 5') AS differs;
-- EXPLAIN counts as if rows had gone from node to node
DROP INDEX h_v;
CREATE FUNCTION explained(query text, wanted text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
		IF line ~ wanted THEN
			RETURN NEXT regexp_replace(btrim(line), '\.00', '');
		END IF;
	END LOOP;
END $$;
SELECT explained('SELECT i FROM t WHERE i <= 100 ORDER BY v <-> noise(5, 24) LIMIT 4', 'Seq Scan|Removed');
-- for each row of something
SELECT g, a.i FROM generate_series(2, 4) g, LATERAL (SELECT i FROM h WHERE grp = g ORDER BY v <-> noise(g, 24) LIMIT g - 1) a ORDER BY 1, 2;

-- ---- a filter that the planner knows nothing of is looked at before the index is ----
CREATE TABLE f (i int, v vector(40), pad text) USING heap;
INSERT INTO f SELECT i, noise(i, 40), repeat('x', 300) FROM generate_series(1, 3000) i;
CREATE INDEX f_v ON f USING hnsw (v vector_l2_ops);
ANALYZE f;
SET cpu_tuple_cost = 2;
SELECT explained('SELECT i FROM f WHERE i % 2 = 0 ORDER BY v <-> noise(5, 40) LIMIT 5', 'Answered By');
SELECT explained('SELECT i FROM f WHERE i % 1000 = 0 ORDER BY v <-> noise(5, 40) LIMIT 5', 'Answered By|Index Rows');
SELECT count(*) FROM (SELECT i FROM f WHERE i % 1000 = 0 ORDER BY v <-> noise(5, 40) LIMIT 5) a;
DROP TABLE f, t, h, l, big;
DROP FUNCTION differs, noise, explained;

-- a partial index that has the filter in its predicate needs nobody to look on; one that has not, or not all of it, does
CREATE TABLE part (i int, grp int, v vector(3)) USING heap;
INSERT INTO part SELECT i, i % 10, ARRAY[i % 71, i % 53, i % 37]::vector FROM generate_series(1, 3000) i;
CREATE INDEX part_v ON part USING hnsw (v vector_l2_ops) WHERE grp = 3;
ANALYZE part;
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT i FROM part WHERE grp = 3 ORDER BY v <-> '[1,2,3]' LIMIT 5;
SELECT plan('SELECT i FROM part WHERE grp = 3 AND i % 2 = 1 ORDER BY v <-> ''[1,2,3]'' LIMIT 5');
RESET enable_seqscan;
SET cpu_operator_cost = 1;
SELECT count(*), bool_and(grp = 3) FROM (SELECT grp FROM part WHERE grp = 3 AND i % 4 = 3 ORDER BY v <-> '[1,2,3]' LIMIT 50) a;
DROP TABLE part;

-- a search that has seen more nodes than are remembered one by one leaves nothing behind
CREATE TABLE far (i int, v vector(4)) USING heap;
INSERT INTO far SELECT i, ARRAY[i, i % 7, i % 11, i % 13]::vector FROM generate_series(1, 12000) i;
CREATE INDEX far_v ON far USING hnsw (v vector_l2_ops);
SET cpu_operator_cost = 0.0025;
SET enable_seqscan = off;
SET enable_sort = off;
CREATE TABLE found (n int, near int[]);
CREATE FUNCTION look(n int) RETURNS void LANGUAGE sql AS
$$ INSERT INTO found SELECT n, array_agg(i) FROM (SELECT i FROM far ORDER BY v <-> '[12000,1,1,1]' LIMIT 20) a $$;
SELECT look(1);
SELECT count(*) FROM (SELECT i FROM far WHERE i % 4000 = 7 ORDER BY v <-> '[0,1,1,1]' LIMIT 5) a;
SELECT look(2);
SELECT count(*) FROM (SELECT i FROM far WHERE i % 4000 = 8 ORDER BY v <-> '[0,2,2,2]' LIMIT 5) a;
SELECT look(3);
SELECT count(DISTINCT near), min(cardinality(near)) FROM found;
DROP TABLE far, found;
DROP FUNCTION plan, look;
