-- rows deleted together, of files smaller than their blocks: published, merged and folded away, some of an entry now and some
-- later; beside a heap table that has the same rows
SET client_min_messages = warning;
SET lakehouse.bulk_threshold = 0;
SET lakehouse.bulk_delete_rows = 2;
SET lakehouse.publish = '1h';
CREATE TABLE few (id int, v text) USING lakehouse;
CREATE TABLE few_heap (id int, v text) USING heap;
CREATE TABLE versions (snapshot bigint, digest text) USING heap;
CREATE FUNCTION rows_of(relation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT count(*) || '' '' || coalesce(md5(string_agg(id || v, ''|'' ORDER BY id)), '''') FROM %s', relation) INTO result;
	RETURN result;
END $$;
CREATE FUNCTION compare(step text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	IF rows_of('few') <> rows_of('few_heap') THEN
		RETURN NEXT step || ': ' || rows_of('few') || ' instead of ' || rows_of('few_heap');
	END IF;
	IF (SELECT count(*) FROM few) <> (SELECT count(*) FROM few_heap) THEN
		RETURN NEXT step || ': counted ' || (SELECT count(*) FROM few);
	END IF;
	RETURN QUERY SELECT concat_ws(' ', step || ':', kind, object, detail) FROM lakehouse.verify('few');
END $$;
CREATE PROCEDURE delete_both(condition text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'DELETE FROM few WHERE ' || condition;
	EXECUTE 'DELETE FROM few_heap WHERE ' || condition;
END $$;
CREATE PROCEDURE insert_both(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO few SELECT i, 'v' || i FROM generate_series(first, last) i;
	INSERT INTO few_heap SELECT i, 'v' || i FROM generate_series(first, last) i;
END $$;
\pset tuples_only on
-- twelve files of 250 rows in three blocks
SELECT format('CALL insert_both(%s, %s)', i * 250, i * 250 + 249) FROM generate_series(0, 11) i ORDER BY i \gexec
ANALYZE few;
SELECT compare('inserted');
SELECT format(step, i, i + 3, i % 5) FROM generate_series(1, 12) i,
	unnest(ARRAY['CALL delete_both(''id %% 13 = %1$s'')', 'SELECT compare(''some %1$s'')',
		'CALL delete_both(''id BETWEEN %1$s * 250 AND %1$s * 250 + 150'')',
		'INSERT INTO versions SELECT lakehouse.publish(''few''), rows_of(''few'')', 'SELECT compare(''published %1$s'')',
		'CALL delete_both(''id / 250 = %2$s AND id %% 5 <> %3$s'')', 'SELECT compare(''more %1$s'')',
		'INSERT INTO versions SELECT lakehouse.publish(''few''), rows_of(''few'')', 'SELECT compare(''published again %1$s'')',
		'CALL insert_both(3000 + %1$s * 90, 3089 + %1$s * 90)']) WITH ORDINALITY s(step, n) ORDER BY i, n \gexec
VACUUM few;
SELECT compare('vacuumed');
-- a transaction that has an old snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT rows_of('few') = rows_of('few_heap') AS same;
SAVEPOINT x;
CALL delete_both('id % 2 = 0');
SELECT compare('in the transaction');
ROLLBACK TO x;
SELECT compare('undone');
COMMIT;
CALL delete_both('id % 2 = 0');
SELECT compare('half'), lakehouse.publish('few') > 0;
SELECT compare('half, published');
CALL delete_both('true');
SELECT compare('nothing left'), lakehouse.publish('few') > 0;
SELECT compare('nothing, published');
-- what was there at each version
CREATE FUNCTION was(snapshot bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN rows_of('few TABLESAMPLE lakehouse.as_of_snapshot(' || snapshot || ')');
END $$;
SELECT count(*), count(*) FILTER (WHERE was(snapshot) = digest) AS same FROM versions WHERE snapshot > 0;
-- without WAL, and with a delta that lives in memory of the session
CREATE UNLOGGED TABLE unlogged (id int) USING lakehouse;
CREATE TEMP TABLE temporary (id int) USING lakehouse;
INSERT INTO unlogged SELECT generate_series(0, 2999);
INSERT INTO temporary SELECT generate_series(0, 2999);
DELETE FROM unlogged WHERE id % 3 = 0;
DELETE FROM temporary WHERE id % 3 = 0;
BEGIN;
DELETE FROM unlogged WHERE id % 3 = 1;
DELETE FROM temporary WHERE id % 3 = 1;
SELECT count(*), sum(id) FROM (SELECT id FROM unlogged UNION ALL SELECT id FROM temporary) x;
ROLLBACK;
SELECT count(*), sum(id) FROM (SELECT id FROM unlogged UNION ALL SELECT id FROM temporary) x;
DROP TABLE few, few_heap, versions, unlogged, temporary;
DROP FUNCTION rows_of, compare, was;
DROP PROCEDURE delete_both, insert_both;
-- more than go into one delete file, of a table whose second file dies, and of both sides of it
CREATE TABLE many (id int) USING lakehouse;
SELECT format('INSERT INTO many SELECT i FROM generate_series(%s, %s) i', n * 1000000 + 1, n * 1000000 + 1000000) FROM generate_series(0, 2) n \gexec
SELECT lakehouse.publish('many') > 0;
DELETE FROM many WHERE id / 1000000 = 1 OR id % 5 = 0;
SELECT count(*), sum(id) FROM many;
SELECT lakehouse.publish('many') > 0;
SELECT count(*), sum(id) FROM many;
SELECT operation, rows, files, delete_files, deleted_rows, removed_rows FROM lakehouse.versions WHERE table_name = 'many'::regclass AND operation = 'delete';
SELECT * FROM lakehouse.verify('many');
DROP TABLE many;
