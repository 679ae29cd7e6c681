-- Filters that LakehouseNearest computes a page at a time let through what the
-- executor lets through, and raise what it raises.
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE DOMAIN small AS int2;
CREATE TABLE q (s int2, flag bool, i int4, l int8, r float4, d float8, day date, at timestamptz, m mood, dom small, o oid,
	u uuid, t text, v vector(2), late int4) USING heap;
-- the last one of leading columns has many NULLs, so that rows of both kinds stand on a page
INSERT INTO q SELECT i % 300 - 150, i % 3 = 0, CASE i % 100 WHEN 1 THEN -2147483648 WHEN 2 THEN 2147483647 WHEN 3 THEN 0 ELSE i END,
		CASE i % 50 WHEN 1 THEN -9223372036854775808 WHEN 2 THEN 9223372036854775807 ELSE i * 10000000000 END,
		CASE i % 9 WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' ELSE i / 7.0 END, CASE i % 8 WHEN 1 THEN 'NaN' WHEN 2 THEN -0.0 ELSE i / 3.0 END,
		CASE WHEN i % 20 = 0 THEN 'infinity' ELSE date '2026-01-01' + i END, timestamptz '2026-01-01 00:00+0' + i * interval '1 hour',
		CASE WHEN i % 2 = 0 THEN 'low' ELSE 'high' END::mood, i % 100, CASE WHEN i % 5 = 0 THEN 4294967295 ELSE i::int8 END::oid,
		md5((i % 50)::text)::uuid, CASE WHEN i % 40 = 7 THEN repeat('long', 1500) ELSE repeat('x', i % 30) END, ARRAY[i % 97, i % 89]::vector, CASE WHEN i % 4 <> 0 THEN i % 10 END
	FROM generate_series(1, 1500) i;
INSERT INTO q SELECT NULL, NULL, i, NULL, NULL, 1, NULL, NULL, NULL, i, NULL, NULL, NULL, ARRAY[i, 1]::vector, i FROM generate_series(1, 40) i;
ALTER TABLE q ALTER t SET STORAGE external;
INSERT INTO q (i, t, v, s, flag, l, r, d, day, at, m, dom, o, u) SELECT i, CASE WHEN i % 2 = 0 THEN repeat('long', 1500) ELSE repeat('x', 3) END, ARRAY[i, 2]::vector,
		1, true, i, i, i, '2026-01-01', '2026-01-01 00:00+0', 'low', 1, 1, md5('7')::uuid FROM generate_series(1, 20) i;
VACUUM ANALYZE q;
UPDATE q SET s = s + 1 WHERE i % 7 = 0;
DELETE FROM q WHERE i % 13 = 0;

-- What the nearest are, or the error, with the node and by sorting.
CREATE FUNCTION answer(query text, nearest bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('lakehouse.enable_nearest', nearest::text, true);
	EXECUTE query INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION differs(query text) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s: %s, expected %s', query, answer(query, true), answer(query, false))
		WHERE answer(query, true) IS DISTINCT FROM answer(query, false)
$$;
CREATE FUNCTION nearest(tab text, filter text, k int) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT count(*) || %L || array_agg(d)::text FROM (SELECT v <-> ''[50,40]'' AS d FROM %s WHERE %s ORDER BY v <-> ''[50,40]'' LIMIT %s) a', ': ', tab, filter, k)
$$;
EXPLAIN (COSTS off) SELECT i FROM q WHERE i % 10 = 3 AND flag ORDER BY v <-> '[50,40]' LIMIT 5;

CREATE TABLE filters (filter text);
INSERT INTO filters VALUES ('s = 5'), ('s < -3::int8'), ('flag'), ('NOT flag'), ('flag = (i > 100)'), ('flag IS NULL'), ('i % 10 = 3'), ('i % -7 = 3'), ('i % -1 = 0'),
	('i / 3 >= 100'), ('i / -1 = -5'), ('i / s = 3'), ('s <> 0 AND i / s = 3'), ('s = 0 OR i / s = 3'), ('i / s = 3 OR s = 0'), ('i + 1 > 5'), ('i + 1::int8 > 5'), ('i - 1 > 5'), ('i - 1::int8 > 5'),
	('i * 2 > 5'), ('i * 2::int8 > 5'), ('s * s > 0'), ('s * 2::int4 > 7'), ('s % 4 = 1'), ('s + s::int4 * s > 9'), ('i - i % 10 = 40'),
	('l = 50000000000'), ('l > i'), ('l >= i * 10000000000 AND i > 0'), ('l + 1 > 0'), ('l - 1 > 0'), ('l * 2 > 0'), ('l % 3 = 1'), ('l / -1 < 0'), ('l % -1 = 0'), ('l / 0 = 1'),
	('l / 10000000000 = i'), ('r > 100'), ('r = ''NaN'''), ('r >= d'), ('d < r'), ('d <> d'), ('d = 0'), ('d <= 1.5 OR r <= ''-inf'''), ('r::float8 = d'),
	('day > ''2027-01-01'''), ('day = ''infinity'''), ('at < ''2026-02-01 00:00+0'''), ('at BETWEEN ''2026-02-01 00:00+0'' AND ''2026-02-02 00:00+0'''), ('day < at'),
	('m = ''low'''), ('m > ''low'''), ('m <> ''low'' AND dom = 7'), ('dom BETWEEN 3 AND 5'), ('o = 4294967295'), ('o <> 7'), ('o > 70'), ('o::int8 > 70'),
	('i IN (1, 5, 9, 33)'), ('i NOT IN (1, 5, 9, 33)'), ('i IN (5, NULL)'), ('i NOT IN (5, NULL)'), ('i = ANY (''{}'')'), ('s IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)'), ('i <> ANY (''{1,2}'')'), ('m IN (''low'')'),
	('v IS NOT NULL'), ('t IS NULL'), ('t IS NOT NULL AND i > 5'), ('NOT (t IS NULL OR i > 5)'), ('late IS NULL'), ('late = 3'), ('late IS NULL AND i % 10 = 4'), ('q IS NOT NULL'),
	('u = md5(''7'')::uuid'), ('u <> md5(''7'')::uuid AND i % 3 = 1'), ('u IN (md5(''7'')::uuid, md5(''9'')::uuid)'), ('u > md5(''7'')::uuid'), ('t <> ''xxx'' AND i < 50'), ('t IN (''x'', ''xxx'', '''')'), ('t NOT IN (''x'', ''xxx'', '''')'),
	('t = repeat(''long'', 1500)'), ('t <> repeat(''long'', 1500) AND flag'), ('t > ''xxx'''), ('t = t AND u = u'), ('t::varchar = ''xxx'''), ('t::bpchar = ''xxx'''), ('t COLLATE "C" = ''xxx'''), ('t || ''x'' = ''xxx'''), ('t = ''xxx'''), ('i > 5 AND t = ''xxx'''), ('t = ''xxx'' AND i > 5'), ('i > 5 AND 1 / length(t) = 1'), ('i > 1490 OR 10 / length(t) = 1'), ('i > 5 AND length(t) / s = 1'),
	('NOT (i > 5 AND (s < 3 OR flag) AND NOT (dom = 3 OR l > 7))'), ('(i > 5) = flag'), ('ctid > ''(3,1)'' AND i > 3'), ('i > 2000'), ('true'),
	('i + 2147483647 > 0'), ('i IS NULL'), ('coalesce(late, 3) = 3'), ('i % 10 = (SELECT 4)'), ('i % 10 = (SELECT NULL::int)'), ('i > 5000 AND i < (SELECT 1 / count(*) FROM q WHERE i = 0)');
SELECT differs(nearest('q', filter, k)) FROM filters, (VALUES (3), (5000)) k(k) WHERE differs(nearest('q', filter, k)) IS NOT NULL;
-- some of them in words
SELECT filter, answer(nearest('q', filter, 3), true) FROM filters
	WHERE filter IN ('i / s = 3', 's <> 0 AND i / s = 3', 'i + 1 > 5', 's * s > 0', 'i % 10 = 3', 'late IS NULL AND i % 10 = 4', 'r = ''NaN''', 'i > 5 AND 1 / length(t) = 1');

-- without a column that was dropped, with one that was added, in front of all others
ALTER TABLE q DROP COLUMN s;
ALTER TABLE q ADD COLUMN fresh int4 DEFAULT 5, ADD COLUMN none int4;
INSERT INTO q (flag, i, l, v, fresh, none) SELECT true, i, i, ARRAY[i, i]::vector, i % 8, i FROM generate_series(1, 60) i;
CREATE TABLE young (a int4, v vector(2)) USING heap;
INSERT INTO young SELECT i, ARRAY[i, i]::vector FROM generate_series(1, 300) i;
ALTER TABLE young ADD COLUMN b int4 NOT NULL DEFAULT 7;
INSERT INTO young SELECT i, ARRAY[i, i]::vector, i FROM generate_series(1, 300) i;
ALTER TABLE young ALTER v DROP NOT NULL, ALTER v SET STORAGE plain;
SELECT differs(nearest(tab, filter, 100)) FROM (VALUES ('q', 'i % 10 = 3'), ('q', 'fresh = 5'), ('q', 'none IS NULL'), ('q', 'none > 3 AND flag'), ('q', 'fresh IS NOT NULL AND i < 9'),
		('young', 'b = 7'), ('young', 'a < 5 AND b = 7'), ('young', 'b IS NOT NULL AND a % 3 = 1')) f(tab, filter)
	WHERE differs(nearest(tab, filter, 100)) IS NOT NULL;

-- generic plans, NULL parameters, parameters of joins and of functions
SET plan_cache_mode = force_generic_plan;
PREPARE near_text(text, uuid) AS SELECT v <-> '[50,40]' AS d FROM q WHERE t = $1 AND u <> $2 ORDER BY v <-> '[50,40]' LIMIT 3;
PREPARE near(int4, int8, float8, bool) AS SELECT v <-> '[50,40]' AS d FROM q WHERE i % $1 = 3 AND l > $2 AND (d < $3 OR flag = $4) ORDER BY v <-> '[50,40]' LIMIT 7;
PREPARE sorted(int4, int8, float8, bool) AS SELECT v <-> '[50,40]' AS d FROM q WHERE i % $1 = 3 AND l > $2 AND (d < $3 OR flag = $4) ORDER BY (v <-> '[50,40]') + 0 LIMIT 7;
EXPLAIN (COSTS off) EXECUTE near(10, 5, 6, true);
CREATE FUNCTION run(prepared text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	d float8;
	all_d float8[];
BEGIN
	FOR d IN EXECUTE 'EXECUTE ' || prepared LOOP
		all_d := all_d || d;
	END LOOP;
	RETURN all_d::text;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT args, run('near' || args), run('sorted' || args)
	FROM (VALUES ('(10, 5, 6, true)'), ('(7, -5, ''NaN'', false)'), ('(0, 5, 6, true)'), ('(NULL, 5, 6, true)'), ('(10, 5, NULL, true)'), ('(-1, 5, 1, true)')) a(args)
	WHERE run('near' || args) IS DISTINCT FROM run('sorted' || args);
SELECT args, run('near' || args) FROM (VALUES ('(10, 5, 6, true)'), ('(0, 5, 6, true)'), ('(NULL, 5, 6, true)')) a(args);
SELECT args, run('near_text' || args) FROM (VALUES ('(''xxx'', md5(''7'')::uuid)'), ('(repeat(''long'', 1500), md5(''7'')::uuid)'), ('('''', NULL)')) a(args);
CREATE FUNCTION in_function(n int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	result float8;
BEGIN
	SELECT v <-> '[50,40]' INTO result FROM q WHERE i % 10 = n ORDER BY v <-> '[50,40]' LIMIT 1;
	RETURN result;
END $$;
SELECT g, in_function(g) FROM generate_series(1, 4) g;
RESET plan_cache_mode;
SELECT g, a.d FROM generate_series(0, 3) g, LATERAL (SELECT v <-> '[50,40]' AS d FROM q WHERE i % 10 = g ORDER BY v <-> '[50,40]' LIMIT 1) a ORDER BY 1;
SELECT g, (SELECT v <-> '[50,40]' FROM q WHERE i / g = 7 AND i > 0 ORDER BY v <-> '[50,40]' LIMIT 1) AS d FROM generate_series(1, 3) g;
SELECT g, (SELECT v <-> '[50,40]' FROM q WHERE i / g = 7 ORDER BY v <-> '[50,40]' LIMIT 1) AS d FROM generate_series(0, 3) g;

-- a condition that must not see rows that another one hides
CREATE FUNCTION tell(x text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	RAISE WARNING 'told of % bytes', length(x);
	RETURN true;
END $$;
GRANT SELECT ON q TO public;
ALTER TABLE q ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON q USING (i BETWEEN 20 AND 22 AND flag);
CREATE ROLE regress_nearest_reader;
SET ROLE regress_nearest_reader;
EXPLAIN (COSTS off) SELECT i FROM q WHERE tell(t) AND i % 3 = 0 ORDER BY v <-> '[50,40]' LIMIT 5;
SELECT i FROM q WHERE tell(t) AND i % 3 = 0 ORDER BY v <-> '[50,40]' LIMIT 5;
SELECT i FROM q WHERE i / (i - 8) > 0 ORDER BY v <-> '[50,40]' LIMIT 5;
RESET ROLE;
DROP TABLE q, young, filters;
DROP FUNCTION answer, differs, nearest, run, in_function, tell;
DROP TYPE mood;
DROP DOMAIN small;
DROP ROLE regress_nearest_reader;
