-- All single bytes and byte pairs that the database's encoding takes.
CREATE TABLE chars (i int, t text, c char(3), n name, a text[], x varchar[][], j json);
DO $$
DECLARE
	b bytea;
BEGIN
	FOR i IN 1 .. 255 LOOP
		FOR k IN 0 .. 254 LOOP
			CONTINUE WHEN k BETWEEN 1 AND 160;
			b := set_byte('\x00', 0, i) || CASE WHEN k > 0 THEN set_byte('\x00', 0, k) ELSE '' END;
			BEGIN
				INSERT INTO chars(i, t) VALUES (i, 'x' || convert_from(b, getdatabaseencoding()) || 'y');
			EXCEPTION WHEN OTHERS THEN
				NULL;
			END;
		END LOOP;
	END LOOP;
END $$;
UPDATE chars SET c = left(t, 3), n = t::name, a = ARRAY[t, NULL, t || t], x = ARRAY[[t]] WHERE i > 127;
CREATE TABLE texts AS SELECT t, c, n, a FROM chars;

DO $$
BEGIN
	EXECUTE format('CREATE TYPE label AS ENUM (%L, %L, %L)', 'plain', (SELECT t FROM chars ORDER BY i DESC LIMIT 1),
		(SELECT t FROM chars WHERE i > 127 AND length(t) > 3 OR i = 233 ORDER BY i LIMIT 1));
END $$;
CREATE TABLE labels (v label, a label[]);
INSERT INTO labels SELECT l, ARRAY[[l, NULL]] FROM unnest(enum_range(NULL::label)) l;
INSERT INTO labels SELECT l, ARRAY[l, NULL] FROM unnest(enum_range(NULL::label)) l;
