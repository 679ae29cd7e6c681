-- options of tables, settings of sessions
\set VERBOSITY terse
CREATE SCHEMA opt;
SET search_path = opt, public;
CREATE FUNCTION options(t regclass) RETURNS text LANGUAGE sql AS 'SELECT array_to_string(reloptions, '', '') FROM pg_class WHERE oid = t';
CREATE TABLE t (a int) USING lakehouse WITH (compression = 'zstd(5)', row_group_rows = 5000, target_file_size = '10MB',
	bulk_threshold = 7, publish = '5s', format_version = 2);
\d+ t
ALTER TABLE t SET (compression = none);
SELECT options('t');
ALTER TABLE t RESET (compression, publish);
SELECT options('t');
-- beside heap's own
ALTER TABLE t SET (fillfactor = 70, autovacuum_enabled = false, bulk_threshold = 9);
SELECT options('t');
ALTER TABLE t RESET (fillfactor);
SELECT options('t');
ALTER TABLE t SET (toast.autovacuum_enabled = false);
SELECT options('t');
ALTER TABLE t SET (bulk_threshold = 1, bulk_threshold = 2);
ALTER TABLE t ADD COLUMN b int, SET (bulk_threshold = 3), RESET (row_group_rows);
SELECT options('t');
-- refused, with what is valid
ALTER TABLE t SET (compression = 'lzma');
ALTER TABLE t SET (compression = 'zstd(99)');
ALTER TABLE t SET (row_group_rows = 1);
ALTER TABLE t SET (row_group_rows = 'many');
ALTER TABLE t SET (target_file_size = '1kB');
ALTER TABLE t SET (bulk_threshold = -1);
ALTER TABLE t SET (publish = 'sometimes');
ALTER TABLE t SET (publish = '2d');
ALTER TABLE t SET (format_version = 3);
\set VERBOSITY default
ALTER TABLE t SET (speed = 'fast');
CREATE TABLE bad (a int) USING lakehouse WITH (speed = 'fast');
\set VERBOSITY terse
CREATE TABLE bad (a int) USING heap WITH (bulk_threshold = 3);
CREATE TABLE bad (a int) USING lakehouse WITH (fillfactor = 1000);
SELECT options('t');
-- every way to create
CREATE TABLE c1 USING lakehouse WITH (bulk_threshold = 5) AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW c2 USING lakehouse WITH (bulk_threshold = 6) AS SELECT 1 AS a;
SET default_table_access_method = lakehouse;
CREATE TABLE c3 (a int) WITH (bulk_threshold = 7);
CREATE TABLE IF NOT EXISTS c3 (a int) WITH (bulk_threshold = 8);
CREATE TABLE c4 (LIKE t INCLUDING ALL) WITH (bulk_threshold = 9);
CREATE TABLE cp (a int) PARTITION BY LIST (a);
CREATE TABLE c5 PARTITION OF cp FOR VALUES IN (1) WITH (bulk_threshold = 10);
CREATE TEMP TABLE c6 (a int) WITH (bulk_threshold = 11);
CREATE UNLOGGED TABLE c7 (a int) WITH (bulk_threshold = 12);
RESET default_table_access_method;
SELECT relname, amname, array_to_string(reloptions, ', ') o FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname ~ '^c[1-7]$' ORDER BY 1;
-- rewrites and other access methods
ALTER TABLE c1 ALTER a TYPE text;
ALTER TABLE c3 SET ACCESS METHOD heap;
ALTER TABLE c3 SET ACCESS METHOD lakehouse, SET (bulk_threshold = 8);
SELECT options('c1'), options('c3');
VACUUM FULL c1;
TRUNCATE c1;
SELECT options('c1');
-- SET LOGGED, SET UNLOGGED: what is to be a lakehouse table is one while it is logged
CREATE VIEW kinds AS SELECT relname, relpersistence p, amname, array_to_string(reloptions, ', ') o
	FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname ~ '^u[1-9]$' ORDER BY 1;
CREATE UNLOGGED TABLE u1 (a int PRIMARY KEY) USING lakehouse WITH (bulk_threshold = 5, fillfactor = 90);
CREATE UNLOGGED TABLE u2 USING lakehouse AS SELECT 1 AS a;
CREATE TABLE u3 (a int) USING lakehouse WITH (compression = none);
ALTER TABLE u3 SET UNLOGGED;
CREATE UNLOGGED TABLE u4 (a int) USING heap;
CREATE UNLOGGED TABLE u5 (a int) USING heap;
ALTER TABLE u5 SET ACCESS METHOD lakehouse;
CREATE UNLOGGED TABLE u6 (a int) USING lakehouse;
ALTER TABLE u6 SET ACCESS METHOD heap;
CREATE UNLOGGED TABLE u7 (a int) USING lakehouse WITH (bulk_threshold = 5);
ALTER TABLE u7 RESET (logged_using);
CREATE UNLOGGED TABLE u8 PARTITION OF cp FOR VALUES IN (2) USING lakehouse;
-- as pg_dump writes it
CREATE UNLOGGED TABLE u9 (a int) USING heap WITH (logged_using = lakehouse, bulk_threshold = 7);
CREATE TABLE bad (a int) USING heap WITH (logged_using = lakehouse);
CREATE UNLOGGED TABLE bad (a int) USING heap WITH (logged_using = brin);
ALTER TABLE u1 SET (fillfactor = 80), SET (compression = none);
TABLE kinds;
INSERT INTO u1 VALUES (1);
VACUUM FULL u1;
ALTER TABLE u1 SET LOGGED, SET (bulk_threshold = 6), ADD b int DEFAULT 3;
ALTER TABLE u2 SET LOGGED;
ALTER TABLE u3 SET LOGGED;
ALTER TABLE u4 SET LOGGED;
ALTER TABLE u5 SET LOGGED;
ALTER TABLE u6 SET LOGGED;
ALTER TABLE u7 SET LOGGED;
ALTER TABLE u8 SET LOGGED;
ALTER TABLE u9 SET LOGGED, SET ACCESS METHOD heap;
TABLE kinds;
TABLE u1;
ALTER TABLE u1 SET UNLOGGED, SET ACCESS METHOD lakehouse;
ALTER TABLE u2 SET UNLOGGED, SET ACCESS METHOD heap;
ALTER TABLE u3 SET UNLOGGED, RESET (logged_using);
SELECT * FROM kinds WHERE relname < 'u4';
-- settings
SET lakehouse.compression = 'lzma';
SET lakehouse.row_group_rows = 10;
SET lakehouse.publish = 'never';
\set VERBOSITY sqlstate
SET lakehouse.target_file_size = '1TB';
\set VERBOSITY terse
SET lakehouse.format_version = 1;
SET lakehouse.compression = 'none';
SHOW lakehouse.compression;
RESET lakehouse.compression;
-- locations are a privilege
CREATE ROLE opt_user;
GRANT CREATE, USAGE ON SCHEMA opt TO opt_user;
GRANT EXECUTE ON FUNCTION options(regclass) TO opt_user;
SET ROLE opt_user;
CREATE TABLE mine (a int) USING lakehouse;
INSERT INTO mine VALUES (1);
SELECT lakehouse.publish('mine') > 0;
CREATE TABLE elsewhere (a int) USING lakehouse WITH (location = 'file:///tmp/lakehouse_elsewhere');
CREATE TABLE elsewhere (a int) USING lakehouse WITH (location = 's3://bucket/x');
CREATE TABLE elsewhere (a int) USING lakehouse WITH (location = '/tmp/x');
CREATE TABLE elsewhere (a int) USING lakehouse WITH (location = 'file:///tmp/../etc');
SET lakehouse.allowed_locations = 'file:///tmp';
SET lakehouse.default_location = 'file:///tmp';
SET lakehouse.debug_fail_at = 'upload.sync';
ALTER TABLE mine SET (location = 'file:///tmp/lakehouse_elsewhere');
RESET ROLE;
ALTER TABLE mine SET (location = 'file:///tmp/lakehouse_elsewhere');
SET client_min_messages = warning;
DROP SCHEMA opt CASCADE;
DROP ROLE opt_user;
