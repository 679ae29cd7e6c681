-- What the generated statements use: in every schema of difftest.py.
CREATE SCHEMA diff;
CREATE TYPE diff.pair AS (a int, b text);
CREATE DOMAIN diff.small AS int CHECK (value < 1000);
CREATE TABLE diff.marks (name text PRIMARY KEY, rel oid, snapshot_id int8, columns jsonb) USING heap;

CREATE FUNCTION diff.is_lake(relation regclass) RETURNS bool LANGUAGE sql AS $$
	SELECT amname = 'lakehouse' FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = relation
$$;

CREATE FUNCTION diff.publish(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM lakehouse.publish(relid) FROM pg_partition_tree(relation) WHERE isleaf AND diff.is_lake(relid);
END $$;

CREATE FUNCTION diff.digest(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT count(*) || '' '' || md5(coalesce(string_agg(r::text, ''|'' ORDER BY r::text COLLATE "C"), '''')) FROM (%s) r', query)
		INTO result;
	RETURN result;
END $$;

-- What a statement returns, as a multiset: it runs alone, not as a part of a query.
CREATE FUNCTION diff.returned(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	rows text[] := '{}';
BEGIN
	FOR r IN EXECUTE query LOOP
		rows := rows || r::text;
	END LOOP;
	RETURN cardinality(rows) || ' ' || (SELECT md5(coalesce(string_agg(x, '|' ORDER BY x COLLATE "C"), '')) FROM unnest(rows) x);
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

-- Triggers: what a statement changed, and what is still there when it is asked at commit.
CREATE TABLE diff.notes (what text, o bigint, n bigint, o_sum bigint, n_sum bigint) USING heap;

CREATE FUNCTION diff.note_both() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO diff.notes SELECT 'both', (SELECT count(*) FROM o), (SELECT count(*) FROM n), (SELECT sum(c1) FROM o), (SELECT sum(c1) FROM n);
	RETURN NULL;
END $$;

CREATE FUNCTION diff.note_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO diff.notes SELECT 'new', NULL, count(*), NULL, sum(c1) FROM n;
	RETURN NULL;
END $$;

CREATE FUNCTION diff.note_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO diff.notes SELECT 'old', count(*), NULL, sum(c1) FROM o;
	RETURN NULL;
END $$;

-- A row that is not what the statement made of it, or stays away.
CREATE FUNCTION diff.bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.c2 % 11 = 5 THEN
		RETURN NULL;
	END IF;
	NEW.c3 := left(NEW.c3, 40) || '^';
	RETURN NEW;
END $$;

CREATE FUNCTION diff.still_there() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	found bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s WHERE c1 = $1', TG_RELID::regclass) INTO found USING NEW.c1;
	INSERT INTO diff.notes VALUES ('late', NEW.c1, found);
	RETURN NULL;
END $$;

-- Looks, in the middle of a statement, at what is there, and undoes what it did itself.
CREATE FUNCTION diff.probe(relation regclass, i int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	found bigint;
BEGIN
	IF i % 7 = 0 THEN
		BEGIN
			EXECUTE format('SELECT count(*) FROM %s', relation) INTO found;
			EXECUTE format('DELETE FROM %s', relation);
			IF i % 2 = 0 THEN
				RAISE EXCEPTION 'undone';
			END IF;
			EXECUTE format('SELECT count(*) FROM %s', relation) INTO found;
			RAISE EXCEPTION 'undone, too';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
		INSERT INTO diff.notes VALUES ('probe', i, found);
	END IF;
	RETURN i;
END $$;
