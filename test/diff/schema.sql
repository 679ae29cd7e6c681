-- What the generated statements use: in every schema of difftest.py.
CREATE SCHEMA diff;
CREATE TABLE diff.marks (name text PRIMARY KEY, rel oid, snapshot_id int8, columns jsonb) USING heap;

CREATE FUNCTION diff.is_lake(relation regclass) RETURNS bool LANGUAGE sql AS $$
	SELECT amname = 'lakehouse' FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = relation
$$;

CREATE FUNCTION diff.publish(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF diff.is_lake(relation) THEN
		PERFORM lakehouse.publish(relation);
	END IF;
END $$;

CREATE FUNCTION diff.digest(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT count(*) || '' '' || md5(coalesce(string_agg(r::text, ''|'' ORDER BY r::text COLLATE "C"), '''')) FROM (%s) r', query)
		INTO result;
	RETURN result;
END $$;

-- Rows of a cursor from where it stands, as a multiset.
CREATE FUNCTION diff.drain(c refcursor, backward bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	rows text[] := '{}';
BEGIN
	LOOP
		IF backward THEN
			FETCH PRIOR FROM c INTO r;
		ELSE
			FETCH NEXT FROM c INTO r;
		END IF;
		EXIT WHEN NOT FOUND;
		rows := rows || r::text;
	END LOOP;
	RETURN cardinality(rows) || ' ' || (SELECT md5(coalesce(string_agg(x, '|' ORDER BY x COLLATE "C"), '')) FROM unnest(rows) x);
END $$;

-- Remembers a table as it is: heap by a copy, lakehouse by publishing it.
CREATE FUNCTION diff.mark(mark text, relation regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	columns jsonb := (SELECT jsonb_object_agg(attnum, atttypid || ' ' || atttypmod) FROM pg_attribute
		WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped);
BEGIN
	IF diff.is_lake(relation) THEN
		INSERT INTO diff.marks VALUES (mark, relation, lakehouse.publish(relation), columns);
	ELSE
		INSERT INTO diff.marks VALUES (mark, relation, NULL, columns);
		EXECUTE format('CREATE TABLE diff.%I USING heap AS SELECT %s FROM %s', mark,
			(SELECT string_agg(format('%I AS c%s', attname, attnum), ', ') FROM pg_attribute
				WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped), relation);
	END IF;
END $$;

-- What it was then, in the columns that have not changed since.
CREATE FUNCTION diff.look(mark text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m diff.marks := (SELECT x FROM diff.marks x WHERE x.name = mark);
	cols text;
	was text;
BEGIN
	SELECT string_agg(format('%I AS c%s', attname, attnum), ', ' ORDER BY attnum), string_agg('c' || attnum, ', ' ORDER BY attnum)
		INTO cols, was FROM pg_attribute
		WHERE attrelid = m.rel AND attnum > 0 AND NOT attisdropped AND m.columns->>attnum::text = atttypid || ' ' || atttypmod;
	IF cols IS NULL THEN
		RETURN 'nothing left';
	ELSIF m.snapshot_id IS NULL THEN
		RETURN diff.digest(format('SELECT %s FROM diff.%I', was, mark));
	END IF;
	RETURN diff.digest(format('SELECT %s FROM %s TABLESAMPLE lakehouse.as_of_snapshot(%s)', cols, m.rel::regclass, m.snapshot_id));
END $$;
