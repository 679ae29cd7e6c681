-- Rows by TID: the same as the scan gives, from delta and files, with consecutive and scattered row ids.
SET lakehouse.bulk_threshold = 100;
SET lakehouse.row_group_rows = 1000;
CREATE TABLE fetched (a int, b text, c int[]) USING lakehouse;

CREATE FUNCTION fetch_each(OUT rows bigint, OUT wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
	scanned record;
	by_tid record;
BEGIN
	rows := 0;
	wrong := 0;
	FOR scanned IN SELECT ctid AS tid, * FROM fetched LOOP
		SELECT * INTO by_tid FROM fetched WHERE ctid = scanned.tid;
		rows := rows + 1;
		IF (by_tid.a, by_tid.b, by_tid.c) IS DISTINCT FROM (scanned.a, scanned.b, scanned.c) THEN
			wrong := wrong + 1;
		END IF;
	END LOOP;
END $$;

-- a delta of 100 rows and files of several row groups, not yet published
INSERT INTO fetched SELECT g, 'row ' || g, ARRAY[g, g + 1] FROM generate_series(1, 3500) g;
SELECT * FROM fetch_each();

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
SELECT * FROM fetch_each();
SELECT lakehouse.publish('fetched') > 0 AS published;
SELECT count(*) FILTER (WHERE first_row_ids IS NULL) > 0 AS has_row_id_column
FROM lakehouse.lake_file WHERE relid = 'fetched'::regclass AND removed_seq = 0;
SELECT * FROM fetch_each();

-- TIDs of no row
SELECT a FROM fetched WHERE ctid = '(4000000,1)';
SELECT a FROM fetched WHERE ctid = '(0,292)';
SELECT a FROM fetched WHERE ctid = '(0,0)';
SELECT count(*) FROM fetched WHERE ctid = ANY (ARRAY['(0,1)', '(0,2)', '(4000000,1)']::tid[]);

DROP FUNCTION fetch_each;
DROP TABLE fetched;
