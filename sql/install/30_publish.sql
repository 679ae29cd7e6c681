/* Publishing: making committed rows visible to other engines. */

/*
 * One row per Iceberg position delete file.  data_file_ids[i] has dead_counts[i]
 * rows deleted by it, whose ids are in row_ids; added_seq and removed_seq are as
 * in lake_file.
 */
CREATE TABLE lakehouse.lake_delete (
	file_id       int8   NOT NULL,
	storage_id    int8   NOT NULL,
	removed_seq   int8   NOT NULL,
	added_seq     int8   NOT NULL,
	table_uuid    uuid   NOT NULL,
	relid         oid    NOT NULL,
	row_count     int8   NOT NULL,
	byte_count    int8   NOT NULL,
	data_file_ids int8[] NOT NULL,
	dead_counts   int8[] NOT NULL,
	row_ids       bytea  NOT NULL,
	location      text   NOT NULL,
	name          text   NOT NULL
) USING heap;
CREATE UNIQUE INDEX lake_delete_id ON lakehouse.lake_delete (file_id);
CREATE INDEX lake_delete_table ON lakehouse.lake_delete (table_uuid, removed_seq);
COMMENT ON TABLE lakehouse.lake_delete IS 'position delete files of lakehouse tables';

CREATE FUNCTION lakehouse.publish(relation regclass) RETURNS int8
	AS 'MODULE_PATHNAME', 'lh_publish' LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lakehouse.publish(regclass) IS
	'waits until all that was committed before the call is published; returns the Iceberg snapshot id';

CREATE FUNCTION lakehouse.metadata_location(relation regclass) RETURNS text
	AS 'MODULE_PATHNAME', 'lh_metadata_location' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION lakehouse.metadata_location(regclass) IS
	'URI of the newest Iceberg metadata file of a table; NULL before the first publication';

CREATE FUNCTION lakehouse.table_uuid(relation regclass) RETURNS uuid
	AS 'MODULE_PATHNAME', 'lh_table_uuid' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION lakehouse.table_uuid(regclass) IS
	'the identity that a lakehouse table keeps through every rewrite; NULL for other relations';

CREATE FUNCTION lakehouse.publisher_status(
		OUT relation regclass, OUT state text, OUT failures int4,
		OUT last_error text, OUT retry_at timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'lh_publisher_status' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION lakehouse.publisher_status() IS
	'tables of this database that wait for the publisher, with the error that holds them back';

CREATE VIEW lakehouse.versions AS
	SELECT t.relid::regclass AS table_name, v.seq AS version, v.snapshot_id,
		   v.valid_from AS published_at, v.operation, v.total_rows AS rows,
		   v.total_files AS files, v.total_bytes AS bytes,
		   v.added_rows, v.removed_rows,
		   -- the publisher removes older metadata files
		   CASE WHEN v.seq > t.last_seq - 100
				THEN lakehouse.location_uri(v.location) || '/' || v.metadata_name END AS metadata_location,
		   d.delete_files, d.deleted_rows
	FROM lakehouse.lake_version v
	JOIN lakehouse.lake_table t USING (table_uuid)
	CROSS JOIN LATERAL (
		SELECT count(*) AS delete_files, coalesce(sum(row_count), 0)::int8 AS deleted_rows
		FROM lakehouse.lake_delete d
		WHERE d.table_uuid = v.table_uuid AND d.added_seq BETWEEN 1 AND v.seq
			AND (d.removed_seq = 0 OR v.seq < d.removed_seq)) d
	WHERE pg_catalog.has_table_privilege(t.relid, 'SELECT');
COMMENT ON VIEW lakehouse.versions IS 'published versions of the tables that you may read';
GRANT SELECT ON lakehouse.versions TO PUBLIC;

CREATE VIEW lakehouse.files AS
	SELECT c.oid::regclass AS table_name, f.file_id, f.row_count AS rows, f.byte_count AS bytes,
		   nullif(f.added_seq, 0) AS added_version, nullif(f.removed_seq, 0) AS removed_version,
		   lakehouse.location_uri(f.location) || '/' || f.name AS path, d.deleted_rows
	FROM lakehouse.lake_file f
	JOIN pg_catalog.pg_class c ON c.oid = f.relid
	CROSS JOIN LATERAL (
		-- in the last version that has the file
		SELECT coalesce(sum(x.n), 0)::int8 AS deleted_rows
		FROM lakehouse.lake_delete d, LATERAL ROWS FROM (unnest(d.data_file_ids), unnest(d.dead_counts)) AS x (id, n)
		WHERE d.table_uuid = f.table_uuid AND x.id = f.file_id
			AND (f.removed_seq = 0 OR d.added_seq < f.removed_seq)
			AND (d.removed_seq = 0 OR (f.removed_seq > 0 AND d.removed_seq >= f.removed_seq))) d
	WHERE pg_catalog.has_table_privilege(c.oid, 'SELECT');
COMMENT ON VIEW lakehouse.files IS 'data files of the tables that you may read, also those of older versions';
GRANT SELECT ON lakehouse.files TO PUBLIC;

CREATE VIEW lakehouse.delete_files AS
	SELECT c.oid::regclass AS table_name, d.file_id, d.row_count AS deleted_rows, d.byte_count AS bytes,
		   nullif(d.added_seq, 0) AS added_version, nullif(d.removed_seq, 0) AS removed_version,
		   lakehouse.location_uri(d.location) || '/' || d.name AS path, d.data_file_ids
	FROM lakehouse.lake_delete d
	JOIN pg_catalog.pg_class c ON c.oid = d.relid
	WHERE pg_catalog.has_table_privilege(c.oid, 'SELECT');
COMMENT ON VIEW lakehouse.delete_files IS
	'position delete files of the tables that you may read, also those of older versions';
GRANT SELECT ON lakehouse.delete_files TO PUBLIC;
