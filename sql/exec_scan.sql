--
-- LakehouseScan: projection, pruning, parameters, rescans, security, parallel
--
CREATE SCHEMA exec_scan;
SET search_path = exec_scan, public;
SET max_parallel_workers_per_gather = 0;

-- 5 row groups in one file; 10 rows in the delta, uncommitted so that they stay there
CREATE TABLE t (id int, grp int, f float8, n numeric(10,2), d date, txt text COLLATE "C", loc text, flag bool, arr int[])
	USING lakehouse WITH (row_group_rows = 1000, bulk_threshold = 0);
INSERT INTO t SELECT g, g / 1000, g * 1.5, g / 100.0, date '2020-01-01' + g / 10, 'k' || to_char(g, 'FM00000'),
	'v' || to_char(g, 'FM00000'), g > 2500, ARRAY[g] FROM generate_series(1, 5000) g;
ALTER TABLE t SET (bulk_threshold = 100);
BEGIN;
INSERT INTO t SELECT g, 9, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM generate_series(5001, 5010) g;
CREATE TABLE h (LIKE t);
INSERT INTO h SELECT * FROM t;
ANALYZE t;

-- row groups seen and pruned, and rows, as EXPLAIN ANALYZE has them
CREATE FUNCTION pruned(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
	node jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT json) ' || query INTO plan;
	node := jsonb_path_query_first(plan, '$.** ? (@."Custom Plan Provider" == "LakehouseScan")');
	RETURN format('%s of %s pruned, columns %s', node->>'Row Groups Pruned', node->>'Row Groups', node->'Columns');
END $$;

-- projection
EXPLAIN (COSTS OFF) SELECT grp FROM t WHERE id > 10;
EXPLAIN (COSTS OFF) SELECT 1 FROM t;
EXPLAIN (COSTS OFF) SELECT t FROM t;
EXPLAIN (COSTS OFF) SELECT ctid FROM t ORDER BY f;
SELECT ctid, tableoid::regclass, xmin::text::int8 > 1 AS xmin, xmax, id FROM t WHERE id IN (1, 291, 292, 5010);
SELECT t FROM t WHERE id IN (7, 5007) ORDER BY id;
SELECT count(*) FROM (SELECT * FROM t OFFSET 0) s WHERE s.arr IS NOT NULL;

-- pruning
SELECT pruned('SELECT grp FROM t WHERE id = 1500');
SELECT pruned('SELECT grp FROM t WHERE 1500 >= id');
SELECT pruned('SELECT grp FROM t WHERE id > 1000 AND id <= 2000');
SELECT pruned('SELECT grp FROM t WHERE id < 500::bigint OR id BETWEEN 4500 AND 4600');
SELECT pruned('SELECT grp FROM t WHERE id < 500 OR grp + 1 = 2');
SELECT pruned('SELECT grp FROM t WHERE id IN (1, 2, 3500)');
SELECT pruned('SELECT grp FROM t WHERE id = ANY (NULL::int[])');
SELECT pruned('SELECT grp FROM t WHERE id = NULL::int');
SELECT pruned('SELECT grp FROM t WHERE id <> 5');
SELECT pruned('SELECT grp FROM t WHERE n >= 49.995');
SELECT pruned('SELECT grp FROM t WHERE n < 10::int');
SELECT pruned('SELECT grp FROM t WHERE d > ''2021-04-01''');
SELECT pruned('SELECT grp FROM t WHERE d > timestamp ''2021-04-01 12:00''');
SELECT pruned('SELECT grp FROM t WHERE f < 1500');
SELECT pruned('SELECT grp FROM t WHERE f < ''NaN''');
SELECT pruned('SELECT grp FROM t WHERE txt >= ''k04500''');
SELECT pruned('SELECT grp FROM t WHERE txt = ''k01700''');
SELECT pruned('SELECT grp FROM t WHERE loc = ''v01700''');
SELECT pruned('SELECT grp FROM t WHERE loc COLLATE "C" < ''v00017''');
SELECT pruned('SELECT grp FROM t WHERE flag');
SELECT pruned('SELECT grp FROM t WHERE NOT flag');
SELECT pruned('SELECT grp FROM t WHERE id IS NULL');
SELECT pruned('SELECT grp FROM t WHERE id IS NOT NULL');
SELECT pruned('SELECT grp FROM t WHERE id > random()');
SELECT pruned('SELECT grp FROM t WHERE id = (SELECT max(id) FROM h WHERE grp = 3)');
SET lakehouse.enable_pruning = off;
SELECT pruned('SELECT grp FROM t WHERE id = 1500');
RESET lakehouse.enable_pruning;

-- NaN is above every bound; exact cells are in none
CREATE TABLE special (id int, f float8, n numeric(10,2), d date) USING lakehouse
	WITH (row_group_rows = 1000, bulk_threshold = 0);
INSERT INTO special SELECT g, CASE WHEN g = 500 THEN 'NaN' ELSE g::float8 END,
	CASE WHEN g = 1500 THEN 'NaN' ELSE g::numeric END, CASE WHEN g = 2500 THEN date 'infinity' ELSE date '2020-01-01' END
	FROM generate_series(1, 4000) g;
SELECT id FROM special WHERE f > 1e6;
SELECT id FROM special WHERE f = 'NaN';
SELECT id FROM special WHERE n > 1000000;
SELECT id FROM special WHERE d > '2030-01-01';
SELECT pruned('SELECT id FROM special WHERE f < 1000');
SELECT pruned('SELECT id FROM special WHERE n > 1000000');
SELECT max(f), max(n), max(d), sum(n), avg(f) FROM special;
SELECT max(f), max(n), max(d), sum(n) FROM special WHERE id <> 500 AND id <> 1500 AND id <> 2500;

-- columns that files lack
ALTER TABLE t ADD COLUMN added int DEFAULT 7;
SELECT pruned('SELECT grp FROM t WHERE added = 8');
SELECT pruned('SELECT grp FROM t WHERE added = 7');
SELECT count(*), sum(added), min(added) FROM t WHERE added > 5;
ALTER TABLE t DROP COLUMN added;

-- parameters: a generic plan, and values that change with each rescan
SET plan_cache_mode = force_generic_plan;
PREPARE by_id(int) AS SELECT id, txt FROM t WHERE id = $1;
EXECUTE by_id(4321);
EXECUTE by_id(5005);
EXECUTE by_id(NULL);
SELECT pruned('EXECUTE by_id(1)');
COMMIT;
SELECT v.x, s.* FROM (VALUES (10), (4010), (NULL), (2010)) v(x),
	LATERAL (SELECT id, txt FROM t WHERE id = v.x + 1 OFFSET 0) s ORDER BY 1;
SELECT x, (SELECT count(*) FROM t WHERE id < x), (SELECT sum(n) FROM t WHERE id = x) FROM (VALUES (1), (1001), (9999)) v(x);

-- a value is not evaluated where there are no rows
CREATE TABLE empty (a int) USING lakehouse;
PREPARE divide(int) AS SELECT * FROM empty WHERE a = 1 / $1;
EXECUTE divide(0);
RESET plan_cache_mode;

-- cursors, both ways
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t WHERE id BETWEEN 1000 AND 4010 AND id % 1000 < 2;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH ALL FROM c;
FETCH BACKWARD 2 FROM c;
INSERT INTO t (id) VALUES (1001);
FETCH FORWARD 5 FROM c;
ROLLBACK;

-- what a security barrier hides stays hidden
CREATE ROLE exec_scan_reader;
GRANT USAGE ON SCHEMA exec_scan TO exec_scan_reader;
GRANT SELECT ON t TO exec_scan_reader;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t USING (id % 1000 = 1);
CREATE FUNCTION leak(int) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS
	$$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
SET ROLE exec_scan_reader;
SELECT id FROM t WHERE leak(id) AND id < 2500;
SELECT count(*), sum(id) FROM t;
SELECT count(*) FROM t WHERE id > 4000;
RESET ROLE;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
DROP POLICY p ON t;

-- rows marked by a join's FOR UPDATE of another table
BEGIN;
SELECT h.id, t.txt FROM h JOIN t USING (id) WHERE t.id = 1234 FOR UPDATE OF h;
UPDATE h SET txt = t.txt || '!' FROM t WHERE t.id = h.id AND t.id = 1234 RETURNING h.txt;
ROLLBACK;

-- inheritance and partitions
CREATE TABLE part (id int, txt text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (1000) USING lakehouse;
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (1000) TO (2000) USING heap;
INSERT INTO part SELECT g, 'x' || g FROM generate_series(1, 1999) g;
EXPLAIN (COSTS OFF) SELECT txt FROM part WHERE id + 0 = 900;
SELECT txt FROM part WHERE id + 0 IN (900, 1900);
SELECT count(*) FROM part;

-- parallel
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(txt) FROM t WHERE id % 2 = 0;
SELECT count(txt), sum(id) FROM t WHERE id % 2 = 0;
SELECT pruned('SELECT count(txt) FROM special s(i, f, n, txt) WHERE i % 2 = 0 AND i > 3000');
SELECT v.x, (SELECT count(txt) FROM t WHERE id > v.x AND id % 2 = 0) FROM (VALUES (1), (2000), (5000)) v(x);
SET max_parallel_workers_per_gather = 0;

-- off: a plain scan, the same rows
SET lakehouse.enable_custom_scan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t WHERE id < 100;
SELECT count(*), sum(n), min(txt) FROM t WHERE id < 1100;
RESET lakehouse.enable_custom_scan;
SELECT count(*), sum(n), min(txt) FROM t WHERE id < 1100;

SET client_min_messages = warning;
DROP SCHEMA exec_scan CASCADE;
DROP ROLE exec_scan_reader;
