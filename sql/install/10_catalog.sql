/* The catalog: which files and versions the lakehouse tables have. */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION lakehouse" to load this file. \quit

CREATE SCHEMA lakehouse;
GRANT USAGE ON SCHEMA lakehouse TO PUBLIC;
COMMENT ON SCHEMA lakehouse IS 'lakehouse tables: functions, views and catalog';

/*
 * One row per data file.  storage_id names one incarnation of a table's
 * contents (a new one with each TRUNCATE or rewrite), table_uuid the table
 * through all of them.  A file belongs to the versions with
 * added_seq <= seq < removed_seq; 0 means not yet published and not removed.
 * row_id_span = high_row_id - low_row_id bounds the search for a row's file.
 */
CREATE TABLE lakehouse.lake_file (
	file_id       int8   NOT NULL,
	storage_id    int8   NOT NULL,
	removed_seq   int8   NOT NULL,
	added_seq     int8   NOT NULL,
	table_uuid    uuid   NOT NULL,
	relid         oid    NOT NULL,
	row_count     int8   NOT NULL,
	byte_count    int8   NOT NULL,
	low_row_id    int8   NOT NULL,
	high_row_id   int8   NOT NULL,
	row_id_span   int8   NOT NULL,
	first_row_ids int8[],
	location      text   NOT NULL,
	name          text   NOT NULL,
	footer        bytea  NOT NULL
) USING heap;
CREATE UNIQUE INDEX lake_file_id ON lakehouse.lake_file (file_id);
CREATE INDEX lake_file_storage ON lakehouse.lake_file (storage_id, removed_seq, added_seq);
CREATE INDEX lake_file_size ON lakehouse.lake_file (storage_id, removed_seq, byte_count);
CREATE INDEX lake_file_row ON lakehouse.lake_file (storage_id, high_row_id);
CREATE INDEX lake_file_span ON lakehouse.lake_file (storage_id, row_id_span);
CREATE INDEX lake_file_table ON lakehouse.lake_file (table_uuid, removed_seq);
COMMENT ON TABLE lakehouse.lake_file IS 'data files of lakehouse tables';

/* One row per published table: where it is published and how that goes. */
CREATE TABLE lakehouse.lake_table (
	table_uuid        uuid   NOT NULL,
	relid             oid    NOT NULL,
	database_id       oid    NOT NULL,
	storage_id        int8   NOT NULL,
	last_seq          int8   NOT NULL,
	snapshot_id       int8   NOT NULL,
	layout            int8   NOT NULL,
	iceberg_uuid      uuid   NOT NULL,
	location          text   NOT NULL,
	metadata_name     text   NOT NULL
) USING heap;
CREATE UNIQUE INDEX lake_table_uuid ON lakehouse.lake_table (table_uuid);
CREATE INDEX lake_table_relid ON lakehouse.lake_table (relid);
COMMENT ON TABLE lakehouse.lake_table IS 'publication state of lakehouse tables';

/* One row per published version. */
CREATE TABLE lakehouse.lake_version (
	table_uuid        uuid        NOT NULL,
	seq               int8        NOT NULL,
	snapshot_id       int8        NOT NULL,
	valid_from        timestamptz NOT NULL,
	operation         text        NOT NULL,
	total_rows        int8        NOT NULL,
	total_files       int8        NOT NULL,
	total_bytes       int8        NOT NULL,
	added_rows        int8        NOT NULL,
	removed_rows      int8        NOT NULL,
	location          text        NOT NULL,
	metadata_name     text        NOT NULL
) USING heap;
CREATE UNIQUE INDEX lake_version_seq ON lakehouse.lake_version (table_uuid, seq);
CREATE UNIQUE INDEX lake_version_snapshot ON lakehouse.lake_version (snapshot_id);
COMMENT ON TABLE lakehouse.lake_version IS 'published versions of lakehouse tables';

/* What a dropped table has left behind; the publisher removes it. */
CREATE TABLE lakehouse.lake_garbage (
	table_uuid        uuid        NOT NULL,
	location          text        NOT NULL,
	dropped_at        timestamptz NOT NULL
) USING heap;
COMMENT ON TABLE lakehouse.lake_garbage IS 'objects of dropped lakehouse tables, to be removed';

/* Catalogs keep locations in the data directory relative to it. */
CREATE FUNCTION lakehouse.location_uri(location text) RETURNS text
	AS 'MODULE_PATHNAME', 'lh_location_uri' LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION lakehouse.location_uri(text) IS
	'a location as the lakehouse catalogs keep it, as a URI on this server';
