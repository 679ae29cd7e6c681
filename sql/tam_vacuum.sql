-- VACUUM with less memory than it has row ids to know makes several passes over the indexes, and takes out no entry of
-- a living row.  (How many of the others it takes is a matter of who else has a snapshot.)
SET maintenance_work_mem = '1MB';
CREATE TABLE vacuumed (id int, v int) USING lakehouse WITH (publish = '1h');
CREATE INDEX vacuumed_id ON vacuumed (id);
CREATE INDEX vacuumed_v ON vacuumed USING hash (v);
INSERT INTO vacuumed SELECT i, i FROM generate_series(1, 160000) i;
DELETE FROM vacuumed WHERE v % 2 = 0;
INSERT INTO vacuumed SELECT i, i FROM generate_series(200001, 200100) i;
BEGIN;
INSERT INTO vacuumed SELECT i, i FROM generate_series(300001, 300100) i;
ROLLBACK;
VACUUM vacuumed;
VACUUM vacuumed;
SELECT relname, reltuples >= (SELECT count(*) FROM vacuumed) AS complete FROM pg_class WHERE relname LIKE 'vacuumed%' ORDER BY 1;
SELECT * FROM lakehouse.verify('vacuumed');
SELECT lakehouse.publish('vacuumed') > 0 AS published;
DELETE FROM vacuumed WHERE id <= 150000;
VACUUM vacuumed;
SELECT lakehouse.publish('vacuumed') > 0 AS published;
VACUUM vacuumed;
SELECT relname, reltuples >= (SELECT count(*) FROM vacuumed) AS complete FROM pg_class WHERE relname LIKE 'vacuumed%' ORDER BY 1;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*), sum(v) FROM vacuumed WHERE id > 0;
SELECT * FROM lakehouse.verify('vacuumed');
DROP TABLE vacuumed;
