-- what lakehouse tables refuse, and how
CREATE SCHEMA ref;
SET search_path = ref, public;
SET default_table_access_method = lakehouse;
CREATE TABLE t (a int, b text);
INSERT INTO t VALUES (1, 'one'), (2, 'two');
SELECT lakehouse.publish('t') > 0 AS published;
INSERT INTO t VALUES (3, 'three');
\set VERBOSITY default
UPDATE t SET b = 'x' WHERE a = 1;
DELETE FROM t WHERE a = 3;
CREATE INDEX i ON t (a);
SELECT * FROM t WHERE a = 2 FOR UPDATE;
\set VERBOSITY sqlstate
UPDATE t SET b = 'x' WHERE a = 3;
DELETE FROM t;
MERGE INTO t USING (VALUES (1)) v(x) ON t.a = v.x WHEN MATCHED THEN UPDATE SET b = 'm';
MERGE INTO t USING (VALUES (1)) v(x) ON t.a = v.x WHEN MATCHED THEN DELETE;
SELECT * FROM t FOR SHARE;
SELECT * FROM t FOR KEY SHARE;
SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED;
INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING;
INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 'c';
CREATE INDEX CONCURRENTLY i ON t (a);
CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON ref.t (a);
CREATE INDEX CONCURRENTLY i ON nothing (a);
CREATE UNIQUE INDEX i ON t (a);
CREATE INDEX i ON t USING brin (a);
CREATE INDEX i ON t USING gin ((ARRAY[a]));
CREATE INDEX i ON t USING hash (a);
ALTER TABLE t ADD PRIMARY KEY (a);
ALTER TABLE t ADD UNIQUE (a);
ALTER TABLE t ADD EXCLUDE USING btree (a WITH =);
CREATE TABLE k (a int PRIMARY KEY);
CREATE TABLE k (a int UNIQUE);
CREATE TABLE k (a int, EXCLUDE USING btree (a WITH =));
CREATE TABLE k (LIKE pg_am INCLUDING ALL);
CLUSTER t USING i;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM t;
FETCH 1 FROM c;
UPDATE t SET b = 'x' WHERE CURRENT OF c;
ROLLBACK;
CREATE TABLE h (a int PRIMARY KEY) USING heap;
ALTER TABLE h SET ACCESS METHOD lakehouse;
INSERT INTO h VALUES (1);
SELECT * FROM h;
-- keys of others point away from a lakehouse table, but cannot look back into it
CREATE TABLE parent (id int PRIMARY KEY) USING heap;
INSERT INTO parent VALUES (1), (2);
CREATE TABLE child (id int REFERENCES parent);
INSERT INTO child VALUES (1);
DELETE FROM parent WHERE id = 2;
DELETE FROM parent WHERE id = 1;
CREATE TABLE fk (id int REFERENCES t (a));
-- nothing of it has changed anything
\set VERBOSITY terse
SELECT * FROM t ORDER BY a;
SELECT count(*) FROM pg_class WHERE relnamespace = 'ref'::regnamespace AND relname IN ('i', 'k', 't_pkey', 't_a_key');
-- what does not need any of it works
MERGE INTO t USING (VALUES (4, 'four')) v(x, y) ON t.a = v.x WHEN NOT MATCHED THEN INSERT VALUES (x, y);
INSERT INTO t VALUES (5, 'five') ON CONFLICT DO NOTHING;
UPDATE t SET b = 'none' WHERE false;
DELETE FROM t WHERE a > 1000;
MERGE INTO t USING (VALUES (1)) v(x) ON t.a = v.x WHEN MATCHED THEN DO NOTHING;
SELECT * FROM t ORDER BY a;
SET client_min_messages = error;
CREATE PUBLICATION ref_pub FOR TABLE t;
RESET client_min_messages;
INSERT INTO t VALUES (6, 'six');
DROP PUBLICATION ref_pub;
SELECT xmax, cmin, tableoid::regclass FROM t WHERE a = 6;
SELECT pg_relation_size('t') > 0, pg_total_relation_size('t') > 0, pg_table_size('t') > 0;
SET client_min_messages = warning;
DROP SCHEMA ref CASCADE;
