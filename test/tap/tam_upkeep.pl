# What an administrator does to a database whose default is lakehouse: autovacuum
# and its progress, dump and restore in parallel, tablespaces, crashes with
# temporary and unlogged tables, clones, and the extension dropped in the end.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = Lakehouse::new_node('node', conf => "autovacuum_naptime = 1\n", extension => 0);

sub sql { my ($db, @statements) = @_; return $node->safe_psql($db, join(";\n", @statements)); }

sql('postgres', 'CREATE DATABASE app');
sql('app', 'CREATE EXTENSION lakehouse', 'ALTER DATABASE app SET default_table_access_method = lakehouse');
sql('app', 'CREATE TABLE part (id int GENERATED ALWAYS AS IDENTITY, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)',
	q{CREATE TABLE part_old PARTITION OF part FOR VALUES FROM (MINVALUE) TO ('2026-01-01')},
	q{CREATE TABLE part_new PARTITION OF part FOR VALUES FROM ('2026-01-01') TO (MAXVALUE) WITH (bulk_threshold = 7)},
	'CREATE TABLE ref (id int, at date, twice int GENERATED ALWAYS AS (id * 2) STORED, FOREIGN KEY (id, at) REFERENCES part)',
	'CREATE INDEX ON ref USING hash (id)', 'CREATE INDEX ON ref USING brin (id)',
	q{INSERT INTO part (at, v) SELECT '2025-12-01'::date + i % 60, 'v' || i FROM generate_series(1, 500) i},
	'INSERT INTO ref SELECT id, at FROM part', 'CREATE MATERIALIZED VIEW totals AS SELECT at, count(*) FROM part GROUP BY 1',
	'CREATE UNIQUE INDEX ON totals (at)',
	'ALTER TABLE ref ENABLE ROW LEVEL SECURITY', 'CREATE POLICY p ON ref USING (id < 100)',
	'CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY, b text) WITH (compression = none)', q{INSERT INTO unlogged VALUES (1, 'x')},
	'CREATE TABLE once_logged (a int)', 'INSERT INTO once_logged VALUES (1), (2)', 'ALTER TABLE once_logged SET UNLOGGED');

# ---- dump and restore ----

my $rows = q{SELECT (SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM part p), (SELECT md5(string_agg(r::text, ',' ORDER BY id)) FROM ref r),
	(SELECT md5(string_agg(t::text, ',' ORDER BY at)) FROM totals t), (SELECT count(*) FROM unlogged), (SELECT sum(a) FROM once_logged)};
my $facts = q{SELECT relname, relkind, amname, relpersistence, array_to_string(ARRAY(SELECT unnest(reloptions) ORDER BY 1), ' ')
	FROM pg_class c LEFT JOIN pg_am a ON a.oid = relam WHERE relnamespace = 'public'::regnamespace AND relkind <> 'c' ORDER BY 1};
my ($expected, $tables) = (sql('app', $rows), sql('app', $facts));
like($tables, qr/unlogged\|r\|heap\|u\|compression=none logged_using=lakehouse/, 'an unlogged table knows what it is meant to be');
my $dump = "${PostgreSQL::Test::Utils::tmp_check}/app.dump";
$node->command_ok([ 'pg_dump', '-Fd', '-j2', '-f', $dump, '-d', $node->connstr('app') ], 'pg_dump');
sql('postgres', 'CREATE DATABASE again');
$node->command_ok([ 'pg_restore', '-e', '-j2', '-d', $node->connstr('again'), $dump ], 'pg_restore');
is(sql('again', $rows), $expected, 'rows restored');
is(sql('again', $facts), $tables, 'and what the tables are');
sql('again', 'ALTER TABLE once_logged SET LOGGED', 'ALTER TABLE unlogged SET LOGGED', 'INSERT INTO once_logged VALUES (3)');
is(sql('again', q{SELECT relname, amname, reloptions FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname IN ('unlogged', 'once_logged') ORDER BY 1}),
	"once_logged|lakehouse|\nunlogged|lakehouse|{compression=none}", 'SET LOGGED after a restore');
is(sql('again', "SELECT lakehouse.publish('unlogged') > 0, (SELECT sum(a) FROM once_logged)"), 't|6', 'and they publish');
sql('again', 'REFRESH MATERIALIZED VIEW CONCURRENTLY totals');
is(sql('again', join ' UNION ALL ', map { "SELECT * FROM lakehouse.verify('$_')" } qw(part_old part_new ref totals unlogged)), '', 'all sound');

# ---- tablespaces ----

my $dir = PostgreSQL::Test::Utils::tempdir_short();
sql('postgres', "CREATE TABLESPACE ts LOCATION '$dir'");
sql('app', 'ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE ts', 'ALTER MATERIALIZED VIEW totals SET TABLESPACE ts', 'ALTER INDEX part_new_pkey SET TABLESPACE ts');
is(sql('app', q{SELECT count(*) FROM pg_class c JOIN pg_tablespace s ON s.oid = reltablespace WHERE spcname = 'ts' AND relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace}), '6', 'tables moved');
sql('app', 'INSERT INTO part (at) VALUES (current_date)', 'DELETE FROM part WHERE v IS NULL');
is(sql('app', $rows), $expected, 'with their rows');
sql('app', 'ALTER TABLE ALL IN TABLESPACE ts SET TABLESPACE pg_default',
	'ALTER MATERIALIZED VIEW ALL IN TABLESPACE ts SET TABLESPACE pg_default', 'ALTER INDEX part_new_pkey SET TABLESPACE pg_default');
sql('postgres', 'ALTER DATABASE app SET TABLESPACE ts');
is(sql('app', $rows), $expected, 'a database moved');
is(sql('app', join ' UNION ALL ', map { "SELECT * FROM lakehouse.verify('$_')" } qw(part_old part_new ref)), '', 'and is sound');
sql('postgres', 'ALTER DATABASE app SET TABLESPACE pg_default', 'DROP TABLESPACE ts');

# ---- autovacuum, progress ----

sql('app', 'CREATE TABLE busy (id int, v text) WITH (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 10)',
	'CREATE INDEX busy_id ON busy USING hash (id)', 'INSERT INTO busy SELECT i, i FROM generate_series(1, 500) i', 'DELETE FROM busy WHERE id % 2 = 0');
ok($node->poll_query_until('app', q{SELECT autovacuum_count > 0 AND autoanalyze_count > 0 FROM pg_stat_user_tables WHERE relname = 'busy'}), 'autovacuum comes');
ok($node->poll_query_until('app', q{SELECT reltuples = 250 FROM pg_class WHERE relname = 'busy'}), 'and counts rows');
sql('app', 'ALTER TABLE busy SET (autovacuum_enabled = off)', 'DELETE FROM busy WHERE id % 3 = 0');
# a scan that stands on a page of a hash index keeps VACUUM from it
my $reader = $node->background_psql('app');
$reader->query_safe('SET enable_seqscan = off; SET enable_bitmapscan = off; BEGIN; DECLARE c CURSOR FOR SELECT * FROM busy WHERE id = 5; FETCH 1 FROM c');
my $vacuum = $node->background_psql('app', on_error_stop => 0);
$vacuum->query_until(qr/started/, "\\echo started\nVACUUM busy;\n");
ok($node->poll_query_until('app', q{SELECT count(*) = 1 FROM pg_stat_progress_vacuum WHERE relid = 'busy'::regclass AND phase = 'vacuuming indexes'}), 'progress is visible');
is(sql('app', 'INSERT INTO busy VALUES (1000)', 'DELETE FROM busy WHERE id = 7 RETURNING id'), '7', 'nobody waits for it');
$reader->query_safe('COMMIT');
$_->quit for $reader, $vacuum;
is(sql('app', q{SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'busy'}), '1', 'it ends');

# ---- a crash empties unlogged tables, as heap's, and SET LOGGED keeps them ----

sql('app', 'CREATE UNLOGGED TABLE kept (a int)', 'INSERT INTO kept SELECT generate_series(1, 30)', 'ALTER TABLE kept SET LOGGED',
	'CREATE UNLOGGED TABLE emptied (a int PRIMARY KEY)', 'INSERT INTO emptied VALUES (1)');
$node->stop('immediate');
$node->start;
is(sql('app', 'SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM emptied), (SELECT count(*) FROM unlogged)'), '30|0|0', 'after a crash');
sql('app', 'INSERT INTO emptied VALUES (1)', 'ALTER TABLE emptied SET LOGGED', 'INSERT INTO emptied VALUES (2)');
sql('postgres', 'CREATE DATABASE clone TEMPLATE app');
sql('clone', 'ALTER TABLE unlogged SET LOGGED', q{INSERT INTO unlogged VALUES (7, 'clone')});
$node->stop('immediate');
$node->start;
is(sql('app', 'SELECT count(*) FROM emptied'), '2', 'a crash after SET LOGGED');
is(sql('clone', 'SELECT a FROM unlogged UNION ALL SELECT count(*) FROM part UNION ALL SELECT * FROM emptied ORDER BY 1'), "1\n2\n7\n500", 'in a clone, too');

# ---- DROP EXTENSION ----

my $folder = $node->data_dir . '/lakehouse/' . sql('again', 'SELECT oid FROM pg_database WHERE datname = current_database()');
sql('again', "SELECT lakehouse.publish('ref')", 'CREATE UNLOGGED TABLE stays (a int) USING lakehouse', 'INSERT INTO stays VALUES (1)', 'ALTER TABLE ref RENAME TO renamed');
ok(-d $folder, 'it has objects');
my ($rc, undef, $err) = $node->psql('again', 'DROP EXTENSION lakehouse');
like($err, qr/table part_old depends on access method lakehouse/, 'DROP EXTENSION is refused while there are tables');
sql('again', 'DROP EXTENSION lakehouse CASCADE');
for (1 .. 600) { last if !-d $folder; usleep(100_000); }
ok(!-d $folder, 'their objects go with it');
sql('again', 'ALTER TABLE stays SET LOGGED');
is(sql('again', q{SELECT a, amname, reloptions FROM stays, pg_class c JOIN pg_am m ON m.oid = relam WHERE relname = 'stays'}), '1|heap|', 'an unlogged table stays a heap table');
sql('again', 'CREATE EXTENSION lakehouse', 'CREATE TABLE anew USING lakehouse AS SELECT 1 AS a');
is(sql('again', "SELECT lakehouse.publish('anew') > 0, (SELECT a FROM anew)"), 't|1', 'and it can be made anew');
is(sql('clone', q{SELECT count(*), (SELECT count(*) FROM lakehouse.verify('part_new')) FROM part}), '500|0', 'other databases keep theirs');

done_testing();
