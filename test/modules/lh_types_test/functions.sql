-- Declares the functions of lh_types_test.c; psql variable lib is its path.

-- The rows of a table, in the order of a scan, as the bytes of a Parquet file.
CREATE FUNCTION types_write(regclass, row_ids bool DEFAULT true) RETURNS bytea
	AS :'lib' LANGUAGE C STRICT;
-- The rows of a file as rows of a type, so many a batch.
CREATE FUNCTION types_read(file bytea, row_type anyelement, batch int DEFAULT 3)
	RETURNS SETOF anyelement AS :'lib' LANGUAGE C;
-- Iceberg schema of a table, as JSON.
CREATE FUNCTION types_iceberg(regclass) RETURNS text AS :'lib' LANGUAGE C STRICT;
-- Bounds of the columns of a file's first row group, as text; null: none usable.
CREATE FUNCTION types_bounds(file bytea, row_type anyelement,
	OUT attnum int, OUT low text, OUT high text)
	RETURNS SETOF record AS :'lib' LANGUAGE C;
-- Cells of _pg_exact that are not null.
CREATE FUNCTION types_exact_cells(file bytea) RETURNS bigint AS :'lib' LANGUAGE C STRICT;
-- The exact cell of a row (from 0); null: none.
CREATE FUNCTION types_cell(file bytea, row_no int) RETURNS bytea AS :'lib' LANGUAGE C STRICT;
-- What an exact cell makes of a row of nulls.
CREATE FUNCTION types_apply(file bytea, cell bytea, row_type anyelement) RETURNS anyelement
	AS :'lib' LANGUAGE C;
-- Milliseconds to write a table so many times, and to read it back.
CREATE FUNCTION types_time(regclass, times int, OUT write_ms float8, OUT read_ms float8, OUT rows bigint)
	AS :'lib' LANGUAGE C STRICT;

-- What differs after a round trip: rows whose text or whose binary image changed.
CREATE FUNCTION types_differences(tab regclass, batch int DEFAULT 3) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'WITH a AS (SELECT row_number() OVER () AS n, src_ AS original FROM %1$s src_),
			b AS (SELECT row_number() OVER () AS n, got_ AS got FROM types_read(types_write(%2$L), NULL::%1$s, %3$s) got_)
		 SELECT format(''row %%s: %%s => %%s'', n, left(original::text, 2000), left(got::text, 2000))
		 FROM a FULL JOIN b USING (n)
		 WHERE original::text IS DISTINCT FROM got::text OR NOT (original *= got)', tab, tab, batch);
END $$;

-- Runs a statement that must fail; returns its SQLSTATE and message.
CREATE FUNCTION types_error(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Applies an exact cell with each of its bytes changed and with each end cut
-- off: returns how often that went well, and the SQLSTATEs of the rest.
CREATE FUNCTION types_cell_faults(tab regclass, row_no int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	file bytea := types_write(tab);
	cell bytea := types_cell(file, row_no);
	seen jsonb := '{}';
	damaged bytea;
BEGIN
	FOR i IN 0 .. length(cell) - 1 LOOP
		FOR k IN 0 .. 9 LOOP
			BEGIN
				damaged := CASE k WHEN 0 THEN substr(cell, 1, i)
					ELSE set_byte(cell, i, (get_byte(cell, i) + (ARRAY[1, 2, 4, 8, 16, 64, 128, 127, 255])[k]) % 256) END;
				EXECUTE format('SELECT (types_apply($1, $2, NULL::%s))::text', tab) USING file, damaged;
				seen := seen || jsonb_build_object('ok', coalesce((seen->>'ok')::int, 0) + 1);
			EXCEPTION WHEN OTHERS THEN
				seen := seen || jsonb_build_object(SQLSTATE, coalesce((seen->>SQLSTATE)::int, 0) + 1);
			END;
		END LOOP;
	END LOOP;
	RETURN seen::text;
END $$;

-- Reads files that differ from a good one in one byte, n of them.
CREATE FUNCTION types_file_faults(tab regclass, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	file bytea := types_write(tab);
	seen jsonb := '{}';
	damaged bytea;
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			damaged := set_byte(file, (i::bigint * 7919 % length(file))::int, (i * 37) % 256);
			EXECUTE format('SELECT count(r::text) FROM types_read($1, NULL::%s) r', tab) USING damaged;
			seen := seen || jsonb_build_object('ok', coalesce((seen->>'ok')::int, 0) + 1);
		EXCEPTION WHEN OTHERS THEN
			seen := seen || jsonb_build_object(SQLSTATE, coalesce((seen->>SQLSTATE)::int, 0) + 1);
		END;
	END LOOP;
	RETURN seen::text;
END $$;
