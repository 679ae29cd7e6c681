# Several processes with one snapshot: those of a parallel scan, while others
# write, and sessions that take over a snapshot older than any of their own.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Lakehouse::new_node('snapshot', conf => <<'CONF');
autovacuum = off
fsync = off
lakehouse.publish = '1h'
max_worker_processes = 16
CONF

sub sql { my (@statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

# ---- processes of a parallel scan ----

# The worker begins to scan when the sequence says 2.  Whoever reads row 1 goes
# on when it says 3: then the other has read all row groups but the first.
sql(<<'SQL');
CREATE SEQUENCE step MINVALUE 0;
CREATE FUNCTION step(n int) RETURNS bool LANGUAGE plpgsql PARALLEL SAFE STABLE AS $$
BEGIN
	WHILE (SELECT last_value FROM step) < n LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN true;
END $$;
CREATE FUNCTION worker_waits() RETURNS bool LANGUAGE sql PARALLEL SAFE STABLE AS
	'SELECT pg_backend_pid()::text = current_setting(''test.leader'') OR step(2)';
CREATE FUNCTION first_waits(id int) RETURNS bool LANGUAGE sql PARALLEL SAFE STABLE AS 'SELECT id <> 1 OR step(3)';
CREATE TABLE t (id int) USING lakehouse WITH (row_group_rows = 1000);
BEGIN;
INSERT INTO t SELECT 0 FROM generate_series(1, 10);
ROLLBACK;
VACUUM t;
SET lakehouse.bulk_threshold = 0;
INSERT INTO t SELECT generate_series(1, 8000);
ANALYZE t;
SQL

for my $custom ('on', 'off')
{
	my $parallel = $node->background_psql('postgres');

	is(sql('SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = \'t\''), 0, 'an empty delta');
	sql('SELECT setval(\'step\', 1)');
	$parallel->query_safe("SET lakehouse.enable_custom_scan = $custom; SET parallel_setup_cost = 0;"
		  . 'SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 1; '
		  . 'SELECT set_config(\'test.leader\', pg_backend_pid()::text, false)');
	$parallel->query_until(qr/asked/, "\\echo asked\n"
		  . "SELECT count(*), sum(id) FROM t WHERE worker_waits() AND first_waits(id);\n");
	$node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = \'PgSleep\'')
	  or die 'the two do not wait';
	sql('INSERT INTO t VALUES (0)', 'SELECT setval(\'step\', 2)');
	$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_activity WHERE leader_pid IS NOT NULL');
	sql('SELECT setval(\'step\', 3)');
	is($parallel->query_safe('SELECT 1'), "8000|32004000\n1", "custom scan $custom: a delta that is not empty any more");
	$parallel->quit;
	sql('SELECT lakehouse.publish(\'t\')', 'VACUUM t');
	sql('DELETE FROM t WHERE id = 0', 'SELECT lakehouse.publish(\'t\')', 'VACUUM t');
}

# ---- a snapshot of another session ----

sql('CREATE TABLE s (id int PRIMARY KEY) USING lakehouse', 'INSERT INTO s SELECT generate_series(1, 100)');

my $exporter = $node->background_psql('postgres');
my $importer = $node->background_psql('postgres');
my $by_index = 'SELECT count(*) FROM s WHERE id IN (50, 150)';

$exporter->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $snapshot = $exporter->query_safe('SELECT pg_export_snapshot()');
sql('INSERT INTO s SELECT generate_series(101, 200)', 'DELETE FROM s WHERE id = 50', 'SELECT lakehouse.publish(\'s\')');
$importer->query_safe('SET enable_seqscan = off; SET enable_bitmapscan = off');
is($importer->query_safe($by_index), 1, 'its own snapshot') for 1 .. 3;
$importer->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$snapshot'");
is($importer->query_safe($by_index), 1, 'rows that are in a file since');
is($importer->query_safe('SELECT id FROM s WHERE id IN (50, 150)'), 50, 'none that is newer than the snapshot');
$importer->query_safe('COMMIT');
is($importer->query_safe('SELECT id FROM s WHERE id IN (50, 150)'), 150, 'its own again');
$exporter->quit;
$importer->quit;

is(sql('SELECT * FROM lakehouse.verify(\'t\')', 'SELECT * FROM lakehouse.verify(\'s\')'), '', 'verify');
done_testing();
