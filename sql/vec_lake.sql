-- Vector columns of lakehouse tables: the same values as in heap, from the
-- delta and from files, plain, nested, null, and near to exact cells.
CREATE TYPE pair AS (at date, v vector);
CREATE FUNCTION some_vector(i int, n int) RETURNS float4[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(((i * 7919 + k * 104729) % 2001 - 1000)::float4 / 1000 ORDER BY k)
	FROM generate_series(1, n) k $$;


CREATE TABLE vh (id int, v vector(20), h halfvec(20), s sparsevec(20), a vector[], p pair, w vector);
INSERT INTO vh
SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE some_vector(i, 20)::vector END,
	some_vector(i, 20)::vector::halfvec,
	CASE WHEN i % 5 > 0 THEN ('{' || i % 20 + 1 || ':0.5}/20')::sparsevec END,
	CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}'
		WHEN 2 THEN ARRAY[some_vector(i, 2)::vector, NULL, some_vector(i, 3)::vector]
		ELSE ARRAY[[some_vector(i, 1)::vector], [NULL::vector]] END,
	CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN ROW(NULL, some_vector(i, 2)::vector)::pair
		WHEN 2 THEN ROW('infinity', some_vector(i, 2)::vector)::pair ELSE ROW('2020-01-01', NULL)::pair END,
	some_vector(i, 1 + i % 40)::vector
FROM generate_series(1, 400) i;
INSERT INTO vh (id, v, h, w) VALUES
	(1001, array_fill(-0.0::float4, ARRAY[20])::vector, array_fill(-0.0::float4, ARRAY[20])::vector, '[-0]'),
	(1002, array_fill(1e-45::float4, ARRAY[20])::vector, array_fill(6e-8::float4, ARRAY[20])::vector, '[1e-45,3.4028235e38]'),
	(1003, array_fill(3.4028235e38::float4, ARRAY[20])::vector, array_fill(65504::float4, ARRAY[20])::vector,
	 array_fill(0.1::float4, ARRAY[16000])::vector);

CREATE TABLE vl (LIKE vh) USING lakehouse;
INSERT INTO vl SELECT * FROM vh WHERE id <= 10;

-- Text as a dump has it, and bytes, for -0 and the last bits.
CREATE FUNCTION differences() RETURNS TABLE (what text, row_id int) LANGUAGE plpgsql AS $$ BEGIN
	RETURN QUERY
	SELECT 'missing', id FROM vh WHERE id NOT IN (SELECT id FROM vl)
	UNION ALL
	SELECT 'differs', id FROM vh JOIN vl USING (id)
	WHERE (vh.v::text, vh.h::text, vh.s::text, vh.a::text, vh.p::text, vh.w::text) IS DISTINCT FROM
		(vl.v::text, vl.h::text, vl.s::text, vl.a::text, vl.p::text, vl.w::text)
		OR vector_send(vh.v) IS DISTINCT FROM vector_send(vl.v)
		OR halfvec_send(vh.h) IS DISTINCT FROM halfvec_send(vl.h)
		OR vector_send(vh.w) IS DISTINCT FROM vector_send(vl.w)
	ORDER BY 1, 2;
END $$;

SELECT count(*) FROM vl;
SELECT * FROM differences() WHERE what = 'differs';
INSERT INTO vl SELECT * FROM vh WHERE id > 10;
SELECT * FROM differences();
SELECT lakehouse.publish('vl') > 0 AS published;
SELECT * FROM differences();

-- Operators on what was read from files.
SELECT l.id FROM vl l WHERE v IS NOT NULL AND id < 1000 ORDER BY v <-> (SELECT v FROM vh WHERE id = 3), id LIMIT 3;
SELECT (SELECT avg(v) FROM vl WHERE id < 1000) <-> (SELECT avg(v) FROM vh WHERE id < 1000) < 1e-5 AS same_avg,
	(SELECT round(sum(h <#> h)::numeric, 3) FROM vl WHERE id < 1000) = (SELECT round(sum(h <#> h)::numeric, 3) FROM vh WHERE id < 1000) AS same_sum;
SELECT count(*) FROM vl JOIN vh USING (v) WHERE vl.id < 1000;

-- COPY, ALTER TYPE, and the typmod.
COPY vl (id, v) FROM stdin;
2001	[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]
\.
INSERT INTO vl (id, v) VALUES (2002, '[1,2]');
SELECT v FROM vl WHERE id = 2001;
ALTER TABLE vl ALTER COLUMN v TYPE float4[];
SELECT id, v[1:3] FROM vl WHERE id IN (1, 7, 2001) ORDER BY id;
ALTER TABLE vl ALTER COLUMN v TYPE vector(20), ALTER COLUMN h TYPE vector(20);
ALTER TABLE vl ALTER COLUMN h TYPE halfvec(20);
SELECT * FROM differences();

DROP FUNCTION differences;
DROP TABLE vl, vh;
DROP FUNCTION some_vector;
DROP TYPE pair;
