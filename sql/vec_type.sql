-- Texts, limits and errors of the types; SQLSTATEs too, for what no contract
-- test of pgvector's shows (make suite-pgvector runs those).
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	EXECUTE 'SELECT (' || statement || ')::text' INTO result;
	RETURN 'no error: ' || left(result, 60);
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || ' ' || left(sqlerrm, 100);
END $$;

-- What goes in comes out, in every spelling of a number.
SELECT '[1,-2.5,+3,4.,.5,1e2,1E-2,-0,0x10,00012]'::vector;
SELECT E'\t[ 1 ,\n2\x0b,\f3\r] '::vector, ' { 1 : 1.5 ,3:2} / 5 '::sparsevec, '[ 1e0 , 2 ]'::halfvec;
SELECT '[0.1,0.2,0.3,16777217,1.17549435e-38,1e-45,3.4028235e38]'::vector;
SELECT '[0.1,65504,65519,5.9604645e-8,2.9e-8,6.1e-5,1e-30]'::halfvec;
SELECT '[0.30000001192092896,0.1000000014901161193847656250000001,123456789012345678901234567890]'::vector;
SELECT '{5:5,1:1,3:-0,2:0}/5'::sparsevec;

SELECT x, error_of(format('%L::vector', x)) FROM unnest('{"","[",[],"[1","[1,]","[,1]","[1 2]",[1]x,[1e],[1e400],[-1e400],[nan],[inf],[--1],[1,-],"[1,2,","[1,\"2\"]"}'::text[]) x;
SELECT x, error_of(format('%L::halfvec', x)) FROM unnest('{[65520],"[1,65519.99,-65520]",[1e39],[nan]}'::text[]) x;
SELECT x, error_of(format('%L::sparsevec', x)) FROM unnest('{"{","{1","{1:","{1:1","{1:1}","{1:1}/","{1:1}/0","{1:1,1:0}/3","{1:1,1:2}/3","{4:1}/3","{0:1}/3","{1:1e39}/3","{1:1e-50}/3","{}/1000000001","{}/3 x"}'::text[]) x;

-- Limits.
SELECT error_of($$('[' || repeat('1,', 15999) || '1]')::vector$$) LIKE 'no error%' AS v16000,
	error_of($$('[' || repeat('1,', 16000) || '1]')::vector$$) AS v16001,
	error_of($$('[' || repeat('1,', 16000) || '1]')::halfvec$$) AS h16001,
	error_of($$('{' || (SELECT string_agg(i || ':1', ',') FROM generate_series(1, 16001) i) || '}/20000')::sparsevec$$) AS s16001;
SELECT error_of($$'[1,2]'::vector(3)$$), error_of($$'[1]'::vector(0)$$), error_of($$'[1]'::halfvec(16001)$$),
	error_of($$'{}/1'::sparsevec(1000000001)$$), error_of($$'[1]'::vector('x')$$), error_of($$'[1]'::vector(1,2)$$);
SELECT error_of($$'[3e38]'::vector + '[3e38]'$$), error_of($$'[1e-30]'::vector * '[1e-30]'$$), error_of($$'[65504]'::halfvec + '[65504]'$$),
	error_of($$'[1]'::vector || (SELECT array_agg(i) FROM generate_series(1, 16000) i)::vector$$),
	error_of($$'[1,2]'::vector - '[1]'$$);
SELECT error_of($$ARRAY[1, NULL]::vector$$), error_of($$ARRAY[[1]]::vector$$), error_of($$'{}'::real[]::vector$$),
	error_of($$'{NaN}'::real[]::halfvec$$), error_of($$'{1e39}'::float8[]::vector$$), error_of($$'{70000}'::int[]::halfvec$$),
	error_of($$array_to_vector(ARRAY['a'], 1, false)$$), error_of($$'{}/20000'::sparsevec::vector$$),
	error_of($$vector_avg('{{1,2}}')$$), error_of($$subvector('[1,2]'::vector, 3, 1)$$);

-- Binary: what send gives, recv takes; and refuses what is not so.
CREATE TABLE b (v vector(3), h halfvec(3), s sparsevec(5));
INSERT INTO b VALUES ('[1.5,-2,0]', '[1.5,-2,0]', '{2:1.5,5:-1}/5'), (NULL, NULL, NULL), ('[1e-45,3.4028235e38,-0]', '[65504,6e-8,-0]', '{}/5');
SELECT encode(vector_send(v), 'hex'), encode(halfvec_send(h), 'hex'), encode(sparsevec_send(s), 'hex') FROM b;
SELECT pg_column_size(v), pg_column_size(h), pg_column_size(s) FROM b WHERE v = '[1.5,-2,0]';
\getenv builddir PG_ABS_BUILDDIR
\set file :builddir '/results/vec_type.bin'
COPY b TO :'file' (FORMAT binary);
CREATE TABLE b2 (LIKE b);
COPY b2 FROM :'file' (FORMAT binary);
SELECT * FROM b EXCEPT ALL SELECT * FROM b2;
SELECT attname, attstorage, attlen, attalign FROM pg_attribute WHERE attrelid = 'b'::regclass AND attnum > 0 ORDER BY attnum;

-- Equality hashes and merges; 0 and -0 are one.
SELECT count(*), count(DISTINCT v), count(DISTINCT h), count(DISTINCT s) FROM
	(VALUES ('[0,1]'::vector, '[0,1]'::halfvec, '{2:1}/2'::sparsevec), ('[-0,1]', '[-0,1]', '{1:0,2:1}/2'), ('[0,1,0]', '[0,1,0]', '{2:1}/3')) t (v, h, s);
SELECT vector_hash('[0,1]') = vector_hash('[-0,1]') AS v, halfvec_hash('[0,1]') = halfvec_hash('[-0,1]') AS h,
	sparsevec_hash_extended('{2:1}/2', 7) = sparsevec_hash_extended('{2:1,1:0}/2', 7) AS s,
	vector_hash('[0,1]') <> vector_hash('[1,0]') AND vector_hash('[0,1]') <> vector_hash('[0,1,0]') AS different;
CREATE TABLE e AS SELECT i, ('[' || i % 100 || ',' || i % 7 || ']')::vector AS v, ('{' || i % 50 + 1 || ':1}/50')::sparsevec AS s FROM generate_series(1, 1000) i;
ANALYZE e;
SET enable_mergejoin = off; SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM e x JOIN e y USING (v);
SELECT count(*) FROM e x JOIN e y USING (v);
SELECT count(*) FROM e x JOIN e y USING (s);
SET enable_mergejoin = on; SET enable_hashjoin = off;
SELECT count(*) FROM e x JOIN e y USING (v);
RESET enable_mergejoin; RESET enable_hashjoin; RESET enable_nestloop;
SELECT count(*) FROM (SELECT v, s FROM e GROUP BY v, s) g;
CREATE INDEX e_hash ON e USING hash (v);
CREATE UNIQUE INDEX e_btree ON e (v, i);
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT count(*) FROM e WHERE v = '[5,3]';
SELECT v FROM e WHERE v > '[99,5]' ORDER BY v, i LIMIT 2;
RESET enable_seqscan; RESET enable_bitmapscan;

-- Order: by the first difference, then by length; a missing index is a zero.
SELECT v FROM (VALUES ('[1,2]'::vector), ('[1]'), ('[1,2,0]'), ('[0,9]'), ('[-1]'), ('[1,1.5]')) t (v) ORDER BY v;
SELECT s FROM (VALUES ('{1:1}/3'::sparsevec), ('{}/3'), ('{2:1}/3'), ('{1:-1}/3'), ('{}/2'), ('{3:1}/3')) t (s) ORDER BY s;
SELECT h FROM (VALUES ('[1,2]'::halfvec), ('[-1]'), ('[-2]'), ('[0]'), ('[6e-8]'), ('[-6e-8]')) t (h) ORDER BY h;

-- Aggregates: of no rows, nulls, in place and combined by workers.
SELECT avg(v), sum(v) FROM (VALUES (NULL::vector), ('[1,2]'), ('[3,5]')) t (v);
SELECT avg(v), sum(v) FROM (SELECT '[1]'::halfvec AS v WHERE false) t;
SELECT error_of($$(SELECT avg(v) FROM (VALUES ('[1]'::vector), ('[1,2]')) t (v))$$), error_of($$(SELECT sum(v) FROM (VALUES ('[65504]'::halfvec), ('[65504]')) t (v))$$);
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT avg(v), sum(v), avg(v::halfvec) FROM e;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
SELECT vector_combine('{2,3,4}', '{1,1,1}'), vector_combine('{0}', '{1,1,1}'), vector_accum(vector_accum('{0}', '[1,2]'), '[3,4]');

-- The header alone is read of a toasted value.
CREATE TABLE big AS SELECT (SELECT array_agg(i) FROM generate_series(1, 16000) i)::vector AS v;
SELECT vector_dims(v), vector_norm(subvector(v, 15999, 5)), binary_quantize(subvector(v - v, 1, 10)), l2_normalize(subvector(v, 3, 2)) FROM big;

-- Statistics: how many values, no values.
CREATE TABLE st AS SELECT ARRAY[i % 10, 1]::vector(2) AS few, ARRAY[i, 1]::halfvec(2) AS all_differ, CASE WHEN i % 4 > 0 THEN format('{1:%s}/9', i)::sparsevec END AS some,
	ARRAY[greatest(i, 500)]::vector AS half, NULL::vector AS none, array_fill(i, ARRAY[900])::vector AS big FROM generate_series(1, 1000) i;
ANALYZE st;
SELECT attname, null_frac, avg_width, n_distinct, most_common_vals IS NULL AND histogram_bounds IS NULL AS small FROM pg_stats WHERE tablename = 'st' ORDER BY attname;
TRUNCATE st;
ANALYZE st;

DROP TABLE b, b2, e, big, st;
DROP FUNCTION error_of;
