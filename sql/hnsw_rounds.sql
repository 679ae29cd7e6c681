-- Recall after ten rounds in each of which a fifth of the rows is replaced, and VACUUM
-- runs, is what a new index has; and the same rows make the same index.
SET client_min_messages = warning;
SET jit = off;
CREATE FUNCTION noise(seed int, n int) RETURNS float4[] LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg((hashint8(seed::int8 * 100003 + i) % 10007)::float4 / 10007 ORDER BY i) FROM generate_series(1, n) i $$;

-- 40 dimensions have codes of a byte, 300 of half a byte.
CREATE TABLE deleted (i int, v vector(40)) WITH (autovacuum_enabled = off);
CREATE TABLE updated (i int, v halfvec(300)) WITH (autovacuum_enabled = off);
INSERT INTO deleted SELECT i, noise(i, 40) FROM generate_series(1, 2500) i;
INSERT INTO updated SELECT i, noise(i, 300)::vector FROM generate_series(1, 1000) i;
CREATE INDEX deleted_v ON deleted USING hnsw (v vector_l2_ops);
CREATE INDEX updated_v ON updated USING hnsw (v halfvec_cosine_ops);
CREATE TEMP TABLE at_first AS SELECT pg_relation_size('deleted_v') AS deleted, pg_relation_size('updated_v') AS updated;

\set ECHO none
SELECT statement FROM generate_series(1, 10) round, LATERAL (VALUES
	(1, format('DELETE FROM deleted WHERE i %% 5 = %s', round % 5)),
	(2, format('VACUUM deleted')),
	(3, format('INSERT INTO deleted SELECT i, noise(i + %s, 40) FROM generate_series(%s, 2500, 5) i', 10000 * round, 1 + (round + 4) % 5)),
	(4, format('UPDATE updated SET v = noise(i + %s, 300)::vector WHERE i %% 5 = %s', 10000 * round, round % 5)),
	(5, format('VACUUM updated'))) AS s (step, statement)
ORDER BY round, step \gexec
\set ECHO all
SELECT count(*), count(DISTINCT i) FROM deleted;
SELECT count(*), count(DISTINCT i) FROM updated;

CREATE TEMP TABLE worn AS
	SELECT lakehouse.hnsw_recall('deleted_v', 200, 10) AS deleted, lakehouse.hnsw_recall('updated_v', 200, 10) AS updated,
		pg_relation_size('deleted_v') AS deleted_size, pg_relation_size('updated_v') AS updated_size;
REINDEX INDEX deleted_v;
REINDEX INDEX updated_v;
SELECT worn.deleted >= .95 AND worn.deleted >= anew.deleted - .02 AS deleted,
	worn.updated >= .95 AND worn.updated >= anew.updated - .02 AS updated,
	worn.deleted_size < 2 * at_first.deleted AS deleted_small, worn.updated_size < 2 * at_first.updated AS updated_small
FROM worn, at_first,
	(SELECT lakehouse.hnsw_recall('deleted_v', 200, 10) AS deleted, lakehouse.hnsw_recall('updated_v', 200, 10) AS updated) anew;

-- Layers are drawn from the rows' addresses, so no seed is needed.
SET max_parallel_maintenance_workers = 0;
CREATE TEMP TABLE one AS SELECT * FROM lakehouse.hnsw_graph('deleted_v');
REINDEX INDEX deleted_v;
SELECT count(*) > 2000 AS nodes, count(*) FILTER (WHERE one IS DISTINCT FROM two) AS different
FROM one FULL JOIN lakehouse.hnsw_graph('deleted_v') two USING (node);

DROP TABLE deleted, updated;
DROP FUNCTION noise;
