-- Files of a statement that end inside a subtransaction, identities, and other things once got wrong.
SET lakehouse.bulk_threshold = 0;
CREATE SCHEMA sx;
SET search_path = sx;
SET default_table_access_method = lakehouse;

-- COPY row by row (a volatile default), then a read in a savepoint that is rolled back
CREATE TABLE copied (i int, j float DEFAULT random());
BEGIN;
COPY copied (i) FROM PROGRAM 'seq 1 1000';
SAVEPOINT s;
SELECT count(*) FROM copied;
ROLLBACK TO s;
SELECT count(*) FROM copied;
COMMIT;
SELECT count(*), sum(i) FROM copied;

-- a function that reads the table in a block that fails, while the statement runs
CREATE TABLE peeked (i int);
CREATE FUNCTION peek(i int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF i % 2500 = 0 THEN
		BEGIN
			PERFORM count(*) FROM sx.peeked;
			RAISE EXCEPTION 'gone';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END IF;
	RETURN i;
END $$;
INSERT INTO peeked SELECT peek(i) FROM generate_series(1, 10000) i;
SELECT count(*), sum(i) FROM peeked;
-- ... within a savepoint that is released, and one that is not
BEGIN;
SAVEPOINT a;
INSERT INTO peeked SELECT peek(i) FROM generate_series(10001, 20000) i;
RELEASE a;
SAVEPOINT b;
INSERT INTO peeked SELECT peek(i) FROM generate_series(20001, 30000) i;
ROLLBACK TO b;
COMMIT;
SELECT count(*), sum(i) FROM peeked;

-- a materialized view keeps its identity, also without data
CREATE MATERIALIZED VIEW mv AS SELECT * FROM copied;
SELECT lakehouse.table_uuid('mv') AS uuid \gset
REFRESH MATERIALIZED VIEW mv WITH NO DATA;
SELECT lakehouse.table_uuid('mv') = :'uuid' AS same;
REFRESH MATERIALIZED VIEW mv;
SELECT lakehouse.table_uuid('mv') = :'uuid' AS same, lakehouse.publish('mv') > 0 AS published;
DROP MATERIALIZED VIEW mv;
TRUNCATE copied;
ALTER TABLE copied ALTER i TYPE bigint;
SELECT count(*) FROM copied;

-- options go to the table that is made, whatever else has its name
CREATE TABLE pg_proc WITH (bulk_threshold = 7) AS SELECT 1 AS a;
SELECT relnamespace::regnamespace, reloptions FROM pg_catalog.pg_class WHERE relname = 'pg_proc' ORDER BY 1;
CREATE TEMP TABLE shadow (a int);
CREATE TABLE sx.shadow (a int) WITH (row_group_rows = 5000);
SELECT relpersistence, reloptions FROM pg_catalog.pg_class WHERE relname = 'shadow' ORDER BY 1;
DROP TABLE sx.pg_proc;

-- as_of(now()) misses no commit, however seldom is published; parallel plans beside it
CREATE TABLE seldom (a int) WITH (publish = '1h');
INSERT INTO seldom VALUES (1);
SELECT lakehouse.publish('seldom') > 0 AS published;
INSERT INTO seldom VALUES (2);
SELECT pg_sleep(0.05);
SELECT count(*) FROM seldom TABLESAMPLE lakehouse.as_of(now());
INSERT INTO seldom VALUES (3);
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT (SELECT count(*) FROM peeked WHERE i % 7 = 0) AS parallel,
	(SELECT count(*) FROM seldom TABLESAMPLE lakehouse.as_of(now())) AS as_of_now;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;

SELECT lakehouse.publish(0);
SET client_min_messages = warning;
DROP SCHEMA sx CASCADE;
