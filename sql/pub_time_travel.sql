-- TABLESAMPLE lakehouse.as_of...
\set VERBOSITY terse
CREATE SCHEMA tt;
SET search_path = tt, public;
SET default_table_access_method = lakehouse;
SET lakehouse.bulk_threshold = 10;
CREATE TABLE t (a int, b text);
INSERT INTO t SELECT i, 'v1' FROM generate_series(1, 30) i;
SELECT lakehouse.publish('t') AS s1 \gset
SELECT pg_sleep(0.01);
SELECT clock_timestamp() AS t1 \gset
INSERT INTO t VALUES (31, 'v2'), (32, 'v2');
SELECT lakehouse.publish('t') AS s2 \gset
SELECT version AS n1 FROM lakehouse.versions WHERE snapshot_id = :s1 \gset
SELECT version AS n2 FROM lakehouse.versions WHERE snapshot_id = :s2 \gset
INSERT INTO t SELECT i, 'v3' FROM generate_series(33, 60) i;
INSERT INTO t VALUES (61, 'not published');
-- each spelling
SELECT count(*), max(b) FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s1);
SELECT count(*), max(b) FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s2);
SELECT count(*), max(b) FROM t TABLESAMPLE lakehouse.as_of_version(:n1);
SELECT count(*), max(b) FROM t TABLESAMPLE lakehouse.as_of_version(:n2);
SELECT count(*), max(b) FROM t TABLESAMPLE lakehouse.as_of(:'t1');
SELECT count(*), max(b) FROM t;
-- beside the present, and each other
SELECT count(*) FROM t LEFT JOIN t o TABLESAMPLE lakehouse.as_of_snapshot(:s1) USING (a) WHERE o.a IS NULL;
SELECT * FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s2) EXCEPT SELECT * FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s1) ORDER BY a;
SELECT count(*) FROM t x TABLESAMPLE lakehouse.as_of_snapshot(:s1) JOIN t y TABLESAMPLE lakehouse.as_of_snapshot(:s2) ON x.a = y.a;
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT count(*) FROM t x TABLESAMPLE lakehouse.as_of_snapshot(:s1) JOIN t y TABLESAMPLE lakehouse.as_of_snapshot(:s2) ON x.a < y.a;
SELECT x.v, (SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of_version(x.v)) FROM (VALUES (:n1), (:n2)) x(v) ORDER BY 1;
SELECT x.v, n FROM (VALUES (:n1), (:n2)) x(v), LATERAL (SELECT count(*) n FROM t TABLESAMPLE lakehouse.as_of_version(x.v)) l ORDER BY 1;
RESET enable_hashjoin; RESET enable_mergejoin;
-- views, prepared statements, functions, cursors, CREATE TABLE AS
\set ECHO none
SELECT format('CREATE VIEW v AS SELECT * FROM t TABLESAMPLE lakehouse.as_of_version(%s)', :n1) \gexec
\set ECHO all
SELECT count(*) FROM v WHERE a > 20;
PREPARE q (bigint) AS SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of_version($1);
EXECUTE q (:n1);
EXECUTE q (:n2);
SET plan_cache_mode = force_generic_plan;
EXECUTE q (:n1);
EXECUTE q (:n2);
RESET plan_cache_mode;
CREATE FUNCTION at(bigint) RETURNS SETOF t LANGUAGE sql STABLE AS 'SELECT * FROM t TABLESAMPLE lakehouse.as_of_snapshot($1)';
SELECT count(*) FROM at(:s1);
CREATE TABLE copy AS SELECT * FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s2);
SELECT count(*) FROM copy;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT a FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s2) ORDER BY a;
MOVE LAST FROM c;
FETCH BACKWARD 2 FROM c;
COMMIT;
-- what cannot be
SELECT * FROM t TABLESAMPLE lakehouse.as_of('2001-01-01 00:00+00');
SELECT * FROM t TABLESAMPLE lakehouse.as_of_snapshot(1);
SELECT * FROM t TABLESAMPLE lakehouse.as_of_version(0);
SELECT * FROM t TABLESAMPLE lakehouse.as_of_version(NULL);
-- a time to come is now
SELECT (SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of('infinity')) = (SELECT count(*) FROM t) AS as_now;
SELECT (SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of(now() + interval '1 day')) = (SELECT count(*) FROM t) AS as_now;
SELECT * FROM t TABLESAMPLE lakehouse.as_of('yesterday', 2);
CREATE TABLE h USING heap AS SELECT 1 AS a;
SELECT * FROM h TABLESAMPLE lakehouse.as_of(now());
SELECT * FROM v TABLESAMPLE lakehouse.as_of(now());
-- now() misses nothing that was committed before, also if it is published meanwhile
CREATE TABLE early (a int) USING lakehouse;
INSERT INTO early VALUES (1);
SELECT lakehouse.publish('early') > 0 AS published;
INSERT INTO early VALUES (2);
BEGIN;
DO $$ BEGIN
  FOR i IN 1 .. 600 LOOP
    EXIT WHEN (SELECT max(rows) FROM lakehouse.versions WHERE table_name = 'early'::regclass) = 2;
    PERFORM pg_sleep(0.1);
  END LOOP;
END $$;
SELECT count(*) FROM early TABLESAMPLE lakehouse.as_of(now());
COMMIT;
DROP TABLE early;
-- the transaction that keeps the publisher out gets an error
BEGIN;
INSERT INTO t VALUES (-1, 'own');
TRUNCATE t;
\set VERBOSITY sqlstate
SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of(clock_timestamp());
\set VERBOSITY terse
ROLLBACK;
-- after ALTER TABLE: by field, later columns are NULL
ALTER TABLE t ADD COLUMN c int DEFAULT 7;
ALTER TABLE t RENAME COLUMN b TO bb;
SELECT a, bb, c FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s2) WHERE a > 29 ORDER BY a;
SELECT count(*) FROM v;
DROP VIEW v;
DROP FUNCTION at(bigint);
ALTER TABLE t DROP COLUMN bb;
SELECT * FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s2) WHERE a > 29 ORDER BY a;
SELECT lakehouse.publish('t') AS s3 \gset
SELECT count(*), sum(c) FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s3);
-- after a rewrite, TRUNCATE, VACUUM FULL
ALTER TABLE t ALTER a TYPE bigint;
SELECT count(*), sum(a) FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s1);
TRUNCATE t;
SELECT count(*), sum(a) FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s1);
SELECT lakehouse.publish('t') > 0;
SELECT count(*), sum(a) FROM t TABLESAMPLE lakehouse.as_of(clock_timestamp());
SELECT count(*), sum(a) FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s1);
VACUUM FULL t;
SELECT count(*), sum(a) FROM t TABLESAMPLE lakehouse.as_of_snapshot(:s2);
-- column privileges and row security as of now
CREATE ROLE tt_user;
GRANT USAGE ON SCHEMA tt TO tt_user;
GRANT SELECT (a) ON t TO tt_user;
\set ECHO none
SELECT format('CREATE FUNCTION all_of() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM tt.t TABLESAMPLE lakehouse.as_of_snapshot(%s)); END $$', :s1) \gexec
\set ECHO all
SET ROLE tt_user;
SELECT count(a) FROM tt.t TABLESAMPLE lakehouse.as_of_snapshot(:s1);
SELECT count(c) FROM tt.t TABLESAMPLE lakehouse.as_of_snapshot(:s1);
RESET ROLE;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t USING (a <= 5);
SET ROLE tt_user;
SELECT tt.all_of();
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA tt CASCADE;
DROP ROLE tt_user;
