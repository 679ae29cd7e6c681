-- Rows by TID: the same as the scan gives, from delta and files, with consecutive and scattered row ids.
SET lakehouse.bulk_threshold = 100;
SET lakehouse.row_group_rows = 1000;
CREATE TABLE fetched (a int, b text, c int[]) USING lakehouse;

CREATE VIEW fetch_each AS
	SELECT count(*) AS rows, count(*) FILTER (WHERE by_tid IS DISTINCT FROM scanned) AS wrong
		FROM fetched scanned LEFT JOIN fetched by_tid ON by_tid.ctid = scanned.ctid;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT * FROM fetch_each;

-- a delta of 100 rows and files of several row groups, not yet published
INSERT INTO fetched SELECT g, 'row ' || g, ARRAY[g, g + 1] FROM generate_series(1, 3500) g;
SELECT * FROM fetch_each;

-- gaps in the row ids: the published file has a _row_id column
DO $$
BEGIN
	FOR i IN 1..60 LOOP
		BEGIN
			INSERT INTO fetched VALUES (-i, repeat('y', i * 50), NULL);
			IF i % 3 = 0 THEN
				RAISE EXCEPTION 'gone';
			END IF;
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END LOOP;
END $$;
SELECT * FROM fetch_each;
SELECT lakehouse.publish('fetched') > 0 AS published;
SELECT count(*) FILTER (WHERE first_row_ids IS NULL) > 0 AS has_row_id_column
FROM lakehouse.lake_file WHERE relid = 'fetched'::regclass AND removed_seq = 0;
SELECT * FROM fetch_each;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- TIDs of no row
SELECT a FROM fetched WHERE ctid = '(4000000,1)';
SELECT a FROM fetched WHERE ctid = '(0,292)';
SELECT a FROM fetched WHERE ctid = '(0,0)';
SELECT count(*) FROM fetched WHERE ctid = ANY (ARRAY['(0,1)', '(0,2)', '(4000000,1)']::tid[]);


-- TID range scans are the same as a filter: over all kinds of files and the delta, forward and backward
INSERT INTO fetched SELECT g, 'more ' || g, NULL FROM generate_series(9000, 9150) g;
DELETE FROM fetched WHERE a % 10 = 3;
CREATE FUNCTION range_each(OUT ranges int, OUT wrong int, OUT hits int) LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	offsets int[] := ARRAY[0, 1, 2, 100, 290, 291, 292, 65535];
	blocks bigint;
	low tid;
	high tid;
	by_range record;
	by_filter record;
BEGIN
	SELECT max((ctid::text::point)[0]) + 2 INTO blocks FROM fetched;
	ranges := 0;
	wrong := 0;
	hits := 0;
	FOR i IN 1..150 LOOP
		low := format('(%s,%s)', i * 7 % blocks, offsets[1 + i % 8])::tid;
		high := format('(%s,%s)', (i * 7 + i / 10) % blocks, offsets[1 + i / 3 % 8])::tid;
		SET LOCAL enable_tidscan = on;
		IF i % 2 = 0 THEN
			SELECT count(*) AS n, sum(a) AS a, max(b) AS b INTO by_range FROM fetched WHERE ctid >= low AND ctid < high;
		ELSE
			SELECT count(*) AS n, sum(a) AS a, max(b) AS b INTO by_range FROM fetched WHERE ctid > low AND ctid <= high;
		END IF;
		SET LOCAL enable_tidscan = off;
		IF i % 2 = 0 THEN
			SELECT count(*) AS n, sum(a) AS a, max(b) AS b INTO by_filter FROM fetched WHERE ctid >= low AND ctid < high;
		ELSE
			SELECT count(*) AS n, sum(a) AS a, max(b) AS b INTO by_filter FROM fetched WHERE ctid > low AND ctid <= high;
		END IF;
		ranges := ranges + 1;
		IF by_range IS DISTINCT FROM by_filter THEN
			wrong := wrong + 1;
		END IF;
		hits := hits + (by_filter.n > 0)::int;
	END LOOP;
	RESET enable_tidscan;
END $$;
EXPLAIN (COSTS OFF) SELECT a FROM fetched WHERE ctid >= '(1,0)' AND ctid < '(2,1)';
SELECT ranges, wrong, hits > 20 AS some_hit FROM range_each();
SELECT lakehouse.publish('fetched') > 0 AS published;
SELECT ranges, wrong, hits > 20 AS some_hit FROM range_each();
SELECT count(*) FROM fetched WHERE ctid > '(4294967294,65535)';
SELECT count(*) FROM fetched WHERE ctid < '(0,1)' OR ctid < '(0,0)';
SELECT count(*) = (SELECT count(*) FROM fetched) AS everything FROM fetched WHERE ctid >= '(0,0)' AND ctid <= '(4294967295,65535)';
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT a FROM fetched WHERE ctid BETWEEN '(1,5)' AND '(2,6)';
CREATE FUNCTION walk(direction text) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'c';
	a int;
	rows int[] := '{}';
BEGIN
	LOOP
		IF direction = 'forward' THEN FETCH NEXT FROM c INTO a; ELSE FETCH PRIOR FROM c INTO a; END IF;
		EXIT WHEN NOT FOUND;
		rows := CASE direction WHEN 'forward' THEN rows || a ELSE a || rows END;
	END LOOP;
	RETURN rows;
END $$;
CREATE TABLE walked AS SELECT walk('forward') AS forth;
SELECT forth = walk('backward') AND forth = walk('forward') AND cardinality(forth) > 200 AS same FROM walked;
ROLLBACK;
-- joins, changes and locks by range
SELECT count(*) FROM (VALUES ('(1,1)'::tid), ('(2,1)'), ('(0,0)')) v(low), LATERAL (SELECT a FROM fetched WHERE ctid >= low AND ctid < '(3,1)' LIMIT 5) f;
BEGIN;
CREATE TEMP TABLE doomed AS SELECT ctid AS tid FROM fetched WHERE ctid > '(3,3)' AND ctid < '(4,4)';
WITH gone AS (DELETE FROM fetched WHERE ctid > '(3,3)' AND ctid < '(4,4)' RETURNING a)
SELECT count(*) = (SELECT count(*) FROM doomed) AS all_gone FROM gone;
SELECT count(*) FROM fetched WHERE ctid > '(3,3)' AND ctid < '(4,4)';
SELECT count(*) > 100 AS locked FROM (SELECT a FROM fetched WHERE ctid < '(1,4)' FOR UPDATE) l;
ROLLBACK;

DROP VIEW fetch_each;
DROP FUNCTION range_each;
DROP TABLE fetched;
