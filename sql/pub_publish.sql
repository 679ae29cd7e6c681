-- lakehouse.publish(), versions, files
\set VERBOSITY terse
CREATE SCHEMA pub;
SET search_path = pub, public;
SET default_table_access_method = lakehouse;
SET lakehouse.bulk_threshold = 10;

-- what the view says of a table, without what differs each time
CREATE FUNCTION versions(t regclass) RETURNS TABLE (version int8, operation text, rows int8, added int8, removed int8, newest bool) LANGUAGE sql AS $$
	SELECT version, operation, rows, added_rows, removed_rows, metadata_location = lakehouse.metadata_location(t)
	FROM lakehouse.versions WHERE table_name = t ORDER BY version
$$;

-- an empty table has a snapshot, too
CREATE TABLE t (a int, b text);
SELECT lakehouse.metadata_location('t');
SELECT lakehouse.publish('t') > 0;
SELECT * FROM versions('t');
SELECT lakehouse.publish('t') = (SELECT snapshot_id FROM lakehouse.versions WHERE table_name = 't'::regclass ORDER BY version DESC LIMIT 1);
INSERT INTO t VALUES (1, 'one');
INSERT INTO t SELECT i, 'bulk' FROM generate_series(2, 100) i;
SELECT lakehouse.publish('t') AS id \gset
SELECT snapshot_id = :id FROM lakehouse.versions WHERE table_name = 't'::regclass ORDER BY version DESC LIMIT 1;
SELECT rows FROM versions('t') ORDER BY version DESC LIMIT 1;
SELECT count(*), count(DISTINCT snapshot_id) FROM lakehouse.versions WHERE table_name = 't'::regclass;
SELECT sum(rows) FROM lakehouse.files WHERE table_name = 't'::regclass AND removed_version IS NULL;
-- Trino takes no other names
SELECT lakehouse.metadata_location('t') ~ '^file:///.*/[0-9]+-[-0-9a-f]*\.metadata\.json$';

-- nothing new, no new version
SELECT lakehouse.publish('t') = lakehouse.publish('t');

-- a transaction's own work is left out
BEGIN;
INSERT INTO t SELECT i, 'own' FROM generate_series(101, 120) i;
INSERT INTO t VALUES (121, 'own');
SELECT lakehouse.publish('t') > 0;
SELECT count(*) FROM t;
SELECT rows FROM versions('t') ORDER BY version DESC LIMIT 1;
COMMIT;
SELECT lakehouse.publish('t') > 0;
SELECT rows FROM versions('t') ORDER BY version DESC LIMIT 1;
BEGIN;
INSERT INTO t SELECT i, 'never' FROM generate_series(201, 220) i;
ROLLBACK;
SELECT lakehouse.publish('t') > 0;
SELECT rows FROM versions('t') ORDER BY version DESC LIMIT 1;

-- not by the transaction that keeps the publisher out
BEGIN;
TRUNCATE t;
SELECT lakehouse.publish('t');
ROLLBACK;
BEGIN;
CREATE TABLE own (a int);
SELECT lakehouse.publish('own');
ROLLBACK;

-- what is not ours
CREATE TABLE h (a int) USING heap;
CREATE VIEW v AS SELECT * FROM t;
CREATE TABLE p (a int) PARTITION BY LIST (a);
CREATE TEMP TABLE tmp (a int);
\set VERBOSITY sqlstate
SELECT lakehouse.publish('h');
SELECT lakehouse.publish('v');
SELECT lakehouse.publish('p');
SELECT lakehouse.publish('tmp');
SELECT lakehouse.publish('t_none');
SELECT lakehouse.metadata_location('h');
\set VERBOSITY terse
SELECT lakehouse.table_uuid('h'), lakehouse.table_uuid('v'), lakehouse.table_uuid('t') IS NOT NULL;
SELECT lakehouse.publish(NULL);

-- TRUNCATE, rewrites and ALTER TABLE are versions, too; the identity stays
CREATE TEMP TABLE id AS SELECT lakehouse.table_uuid('t') u;
TRUNCATE t;
SELECT lakehouse.publish('t') > 0;
SELECT rows, removed FROM versions('t') ORDER BY version DESC LIMIT 1;
INSERT INTO t SELECT i, 'again' FROM generate_series(1, 50) i;
SELECT lakehouse.publish('t') > 0;
ALTER TABLE t ADD COLUMN c int DEFAULT 5;
SELECT lakehouse.publish('t') > 0;
SELECT rows FROM versions('t') ORDER BY version DESC LIMIT 1;
DROP VIEW v;
ALTER TABLE t ALTER a TYPE bigint;
SELECT lakehouse.publish('t') > 0;
VACUUM FULL t;
SELECT lakehouse.publish('t') > 0;
SELECT rows FROM versions('t') ORDER BY version DESC LIMIT 1;
SELECT u = lakehouse.table_uuid('t') FROM id;
SELECT bool_and(newest) FROM (SELECT newest FROM versions('t') ORDER BY version DESC LIMIT 1) x;
SELECT bool_and(f.rows >= 0 AND f.bytes > 0 AND f.path LIKE '%/data/%.parquet') FROM lakehouse.files f WHERE table_name = 't'::regclass;

-- who may
CREATE ROLE pub_nobody;
GRANT USAGE ON SCHEMA pub TO pub_nobody;
SET ROLE pub_nobody;
SELECT lakehouse.publish('pub.t');
SELECT count(*) FROM lakehouse.versions WHERE table_name = 'pub.t'::regclass;
SELECT count(*) FROM lakehouse.files WHERE table_name = 'pub.t'::regclass;
SELECT * FROM lakehouse.lake_file;
RESET ROLE;
GRANT SELECT ON t TO pub_nobody;
SET ROLE pub_nobody;
SELECT lakehouse.publish('pub.t') > 0;
SELECT count(*) > 0 FROM lakehouse.versions WHERE table_name = 'pub.t'::regclass;
RESET ROLE;

-- timeouts, with the publisher kept out by another transaction's lock: a prepared one
BEGIN;
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
PREPARE TRANSACTION 'pub_lock';
SET lock_timeout = '300ms';
\set VERBOSITY sqlstate
SELECT lakehouse.publish('pub.t');
RESET lock_timeout;
ROLLBACK PREPARED 'pub_lock';

-- read-only transactions may ask for it
BEGIN READ ONLY;
SELECT lakehouse.publish('t') > 0;
COMMIT;
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA pub CASCADE;
DROP ROLE pub_nobody;

-- a file that was never published, and has no living row by then, leaves the table
RESET ROLE;
CREATE TABLE dead_before (a int) USING lakehouse;
SELECT lakehouse.publish('dead_before') > 0 AS published;
SET lakehouse.bulk_threshold = 0;
INSERT INTO dead_before SELECT generate_series(1, 3);
DELETE FROM dead_before;
SELECT lakehouse.publish('dead_before') > 0 AS published;
SELECT count(*) FROM dead_before;
SELECT * FROM lakehouse.verify('dead_before');
RESET lakehouse.bulk_threshold;
DROP TABLE dead_before;

-- labels in ranges are text: they cannot be told apart any more
CREATE TYPE pub_mood AS ENUM ('low', 'high');
CREATE TYPE pub_span AS RANGE (SUBTYPE = pub_mood);
CREATE TYPE pub_pair AS (m pub_mood, s pub_span[]);
CREATE TABLE spans (p pub_pair) USING lakehouse;
ALTER TYPE pub_mood RENAME VALUE 'low' TO 'down';
ALTER TABLE spans SET ACCESS METHOD heap;
ALTER TYPE pub_mood RENAME VALUE 'low' TO 'down';
DROP TABLE spans;
DROP TYPE pub_mood CASCADE;
