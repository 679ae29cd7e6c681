-- EXPLAIN (ANALYZE) says what scans of vector indexes have done, in every format.
SET client_min_messages = warning;
CREATE TABLE t (i int, v vector(3));
INSERT INTO t SELECT i, ARRAY[i % 7, i % 11, i % 13]::vector FROM generate_series(1, 1000) i;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
SET enable_seqscan = off;

CREATE FUNCTION explained(options text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (ANALYZE, COSTS off, TIMING off%s) %s', options, query) LOOP
		lines := concat_ws(E'\n', lines, line);
	END LOOP;
	RETURN lines;
END $$;

SELECT regexp_replace(line, '=[1-9][0-9]*', '=N', 'g') AS line
	FROM regexp_split_to_table(explained('', 'SELECT i FROM t ORDER BY v <-> ''[1,2,3]'' LIMIT 5'), '\n') line WHERE line ~ 'Vector';
SELECT j->>'Index Name' AS index, (j->>'Hops')::int > 0 AS hops, (j->>'Codes Scored')::int > 10 AS scored,
		(j->>'Reranked')::int BETWEEN 5 AND 40 AS reranked, (j->>'Pages')::int > 10 AS pages
	FROM CAST(explained(', FORMAT json', 'SELECT i FROM t ORDER BY v <-> ''[1,2,3]'' LIMIT 5') AS jsonb) e,
		jsonb_array_elements(e->0->'Vector Indexes') j;
SELECT explained(', FORMAT yaml', 'SELECT i FROM t ORDER BY v <-> ''[1,2,3]'' LIMIT 5') ~ 'Codes Scored: [1-9]' AS yaml;
-- each scan has its line, rescans add up
SELECT count(*) FROM regexp_split_to_table(explained('', 'SELECT * FROM (SELECT i FROM t ORDER BY v <-> ''[1,2,3]'' LIMIT 5) a,
	(SELECT i FROM t ORDER BY v <-> ''[3,2,1]'' LIMIT 5) b'), '\n') line WHERE line ~ 'Vector Index t_v';
WITH hops AS (SELECT n, (CAST(explained(', FORMAT json', format('SELECT * FROM generate_series(1, %s) s,
		LATERAL (SELECT i FROM t ORDER BY v <-> ARRAY[s, 2, 1]::vector LIMIT 5) b', n)) AS jsonb)->0->'Vector Indexes'->0->>'Hops')::int AS hops
	FROM (VALUES (1), (4)) s(n))
SELECT bool_and(CASE n WHEN 4 THEN hops > 2 * (SELECT hops FROM hops WHERE n = 1) ELSE hops > 0 END) AS add_up FROM hops;
-- nothing to say: no scan, not run
SELECT explained('', 'SELECT i FROM t WHERE i < 0') ~ 'Vector' AS no_scan;
EXPLAIN (COSTS off) SELECT i FROM t ORDER BY v <-> '[1,2,3]' LIMIT 5;
-- EXPLAIN within a query that scans, and a failed one before another
SELECT explained('', 'SELECT 1') ~ 'Vector' AS inner_one FROM t ORDER BY v <-> '[1,2,3]' LIMIT 1;
SELECT explained('', 'SELECT 1 / (i - i) FROM t ORDER BY v <-> ''[1,2,3]'' LIMIT 1');
SELECT explained('', 'SELECT 1') ~ 'Vector' AS after_error;
-- prepared statements, in text; each by itself
PREPARE near(vector) AS SELECT i FROM t ORDER BY v <-> $1 LIMIT 5;
CREATE FUNCTION explained_execute(options text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (%s) EXECUTE near(''[1,2,3]'')', options) LOOP
		RETURN NEXT regexp_replace(line, '=[1-9][0-9]*', '=N', 'g');
	END LOOP;
END $$;
SELECT * FROM explained_execute('ANALYZE, COSTS off, TIMING off, SUMMARY off') line WHERE line ~ 'Vector';
SELECT * FROM explained_execute('COSTS off') line;
SELECT line::json->0->'Plan'->>'Node Type' FROM explained_execute('ANALYZE, COSTS off, TIMING off, FORMAT json') line;
SELECT explained('', 'SELECT 1') ~ 'Vector' AS after_execute;
EXPLAIN (ANALYZE, FORMAT nonsense) EXECUTE near('[1,2,3]');
-- below a filter it is the node that tells
SELECT regexp_replace(line, '=[1-9][0-9]*', '=N', 'g') AS line
	FROM regexp_split_to_table(explained(', SUMMARY off', 'SELECT i FROM t WHERE i % 2 = 1 ORDER BY v <-> ''[1,2,3]'' LIMIT 5'), '\n') line
	WHERE line ~ 'Vector|Answered';
SELECT explained(', FORMAT json', 'SELECT i FROM t WHERE i % 2 = 1 ORDER BY v <-> ''[1,2,3]'' LIMIT 5') ~ '"Codes Scored": [1-9]' AS json;
DROP TABLE t;
DROP FUNCTION explained, explained_execute;
