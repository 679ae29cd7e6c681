# tam_extension.pl - the tables of other extensions where lakehouse is the
# default access method: a script's own stay heap's, for C code that reads and
# writes them as core does its catalogs; what is made later is ours.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Lakehouse::new_node('main');
my $folder = $node->config_data('--sharedir') . '/extension';

sub sql { my (@statements) = @_; return $node->safe_psql('app', join(";\n", @statements)); }

append_to_file("$folder/lh_other.control", "default_version = '1'\n");
append_to_file("$folder/lh_other--1.sql", <<'SQL');
CREATE SCHEMA other;
CREATE TABLE other.job (id int PRIMARY KEY, what text) WITH (fillfactor = 90);
CREATE TABLE other.part (id int) PARTITION BY RANGE (id);
CREATE TABLE other.part_1 PARTITION OF other.part FOR VALUES FROM (0) TO (10);
CREATE TABLE other.filled AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW other.seen AS SELECT * FROM other.filled;
CREATE TABLE other.lake (id int) USING lakehouse WITH (publish = '1h');
CREATE FUNCTION other.make(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE other.%I (LIKE other.job INCLUDING ALL)', name);
END $$;
SELECT other.make('by_function');
SQL
append_to_file("$folder/lh_other--1--2.sql", "CREATE TABLE other.newer (id int);\n");

my $kinds = q{SELECT string_agg(relname || ' ' || amname, ', ' ORDER BY relname) FROM pg_class c JOIN pg_am a ON a.oid = relam
	WHERE relnamespace = 'other'::regnamespace AND relkind IN ('r', 'm')};

$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', 'CREATE EXTENSION lakehouse');
$node->safe_psql('postgres', 'ALTER DATABASE app SET default_table_access_method = lakehouse');
sql('CREATE EXTENSION lh_other', q{ALTER EXTENSION lh_other UPDATE TO '2'});
is(sql($kinds), 'by_function heap, filled heap, job heap, lake lakehouse, newer heap, part_1 heap, seen heap',
	"an extension's tables are heap's unless its script says otherwise");
is(sql(q{SELECT reloptions FROM pg_class WHERE oid = 'other.lake'::regclass}), '{publish=1h}', 'with their options');
sql(q{SELECT other.make('later')}, 'CREATE TABLE mine (id int)', 'CREATE TABLE other.part_2 PARTITION OF other.part FOR VALUES FROM (10) TO (20)');
is(sql($kinds), 'by_function heap, filled heap, job heap, lake lakehouse, later lakehouse, newer heap, part_1 heap, part_2 lakehouse, seen heap',
	'what its functions make later is ours');
unlink "$folder/lh_other.control", glob("$folder/lh_other--*.sql");
$node->stop;
done_testing();
