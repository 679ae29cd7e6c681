-- LakehouseLookahead: where it stands, and what it makes of a DELETE
SET work_mem = '4MB';
SET lakehouse.bulk_threshold = 0;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
\getenv sources PG_ABS_SRCDIR
\set file :sources '/sql/lib/plan.psql'
\i :file
CREATE FUNCTION entries(t regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s', (SELECT reltoastrelid::regclass FROM pg_class WHERE oid = t)) INTO n;
	RETURN n;
END $$;
CREATE FUNCTION looks_ahead(query text) RETURNS bool LANGUAGE sql AS
	'SELECT bool_or(line LIKE ''%LakehouseLookahead%'') FROM plan(query) line';
CREATE TABLE la (a int, b text) USING lakehouse;
INSERT INTO la SELECT i, 'row ' || i FROM generate_series(0, 9999) i;
ANALYZE la;
EXPLAIN (COSTS OFF, VERBOSE) DELETE FROM la WHERE a % 2 = 0;
EXPLAIN (COSTS OFF, VERBOSE) DELETE FROM la x USING la y WHERE x.a = y.a + 1 RETURNING x.b, y.b;
-- ten blocks have one entry each, however many rows they lose
BEGIN;
SELECT plan('DELETE FROM la WHERE a % 2 = 0', ', ANALYZE, TIMING off, SUMMARY off, BUFFERS off');
SELECT entries('la'), (SELECT count(*) FROM la);
SET LOCAL work_mem = '64kB';
DELETE FROM la WHERE a % 10 = 1;
SELECT entries('la'), (SELECT count(*) FROM la), (SELECT sum(a) FROM la WHERE a < 100);
-- of blocks that lose few, rows have their own
DELETE FROM la WHERE a % 200 = 3;
SELECT entries('la'), (SELECT count(*) FROM la);
ROLLBACK;
SET lakehouse.bulk_delete_rows = 2;
BEGIN;
DELETE FROM la WHERE a % 200 = 3;
SELECT entries('la'), (SELECT count(*) FROM la);
ROLLBACK;
RESET lakehouse.bulk_delete_rows;
-- not where code of somebody else could run between two rows, nor for few rows
CREATE FUNCTION anything(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
SELECT looks_ahead('DELETE FROM la WHERE a < 5000'), looks_ahead('DELETE FROM la WHERE a < 5000 RETURNING *'),
	   looks_ahead('DELETE FROM la WHERE a = 7'), looks_ahead('DELETE FROM la WHERE anything(a) < 5000'),
	   looks_ahead('DELETE FROM la WHERE a < 5000 RETURNING anything(a)'), looks_ahead('DELETE FROM la WHERE a < (SELECT anything(5000))'),
	   looks_ahead('WITH x AS (DELETE FROM la RETURNING a) SELECT * FROM x'), looks_ahead('WITH x AS (INSERT INTO la VALUES (1) RETURNING a) DELETE FROM la'),
	   looks_ahead('UPDATE la SET a = 1');
CREATE TRIGGER later AFTER DELETE ON la FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT looks_ahead('DELETE FROM la WHERE a < 5000');
CREATE TRIGGER asks AFTER DELETE ON la FOR EACH ROW WHEN (anything(OLD.a) > 0) EXECUTE FUNCTION nothing();
SELECT looks_ahead('DELETE FROM la WHERE a < 5000');
DROP TRIGGER asks ON la;
CREATE TRIGGER before BEFORE DELETE ON la FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT looks_ahead('DELETE FROM la WHERE a < 5000');
DROP TABLE la;
DROP FUNCTION entries, looks_ahead, plan, anything, nothing;
