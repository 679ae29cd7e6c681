# What outlives a server: dump and restore, dropped tables, prepared
# transactions, fast stops; and many small commits.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

my $node = Lakehouse::new_node('server', conf => "lakehouse.bulk_threshold = 10\n");

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

sub versions
{
	my ($table, $column) = @_;
	return sql("SELECT $column FROM lakehouse.versions WHERE table_name = '$table'::regclass ORDER BY version DESC LIMIT 1");
}

# ---- dump and restore ----

sql('CREATE SCHEMA s',
	q{CREATE TABLE s.t (a int, b text DEFAULT 'x' NOT NULL CHECK (b <> 'y')) USING lakehouse WITH (compression = 'zstd(7)', bulk_threshold = 5, publish = '2s', fillfactor = 80)},
	q{INSERT INTO s.t SELECT i, 'b' || i FROM generate_series(1, 100) i},
	q{INSERT INTO s.t VALUES (101)},
	q{SELECT lakehouse.publish('s.t')},
	q{INSERT INTO s.t VALUES (102)},
	q{CREATE MATERIALIZED VIEW s.m USING lakehouse AS SELECT count(*) FROM s.t},
	q{CREATE TABLE s.h (a int) USING heap});
my $digest = q{SELECT count(*), sum(a), md5(string_agg(b, ',' ORDER BY a)) FROM s.t};
my $facts = q{SELECT relname, amname, array_to_string(ARRAY(SELECT unnest(reloptions) ORDER BY 1), ' ') FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relnamespace = 's'::regnamespace ORDER BY 1};
my ($rows, $tables) = (sql($digest), sql($facts));
like($tables, qr/bulk_threshold=5 compression=zstd\(7\) fillfactor=80 publish=2s/, 'options');
for my $format (qw(plain custom))
{
	my $file = "${PostgreSQL::Test::Utils::tmp_check}/dump.$format";
	$node->safe_psql('postgres', "CREATE DATABASE r_$format");
	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, '-d', $node->connstr('postgres') ], "pg_dump $format");
	$node->command_ok($format eq 'plain' ?
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr("r_$format") ] :
		[ 'pg_restore', '-e', '-d', $node->connstr("r_$format"), $file ], "restore $format");
	is($node->safe_psql("r_$format", $digest), $rows, "rows restored from $format");
	is($node->safe_psql("r_$format", $facts), $tables, 'and options');
	is($node->safe_psql("r_$format", "SELECT lakehouse.publish('s.t') > 0"), 't', 'and published');
	isnt($node->safe_psql("r_$format", "SELECT lakehouse.table_uuid('s.t')"), sql("SELECT lakehouse.table_uuid('s.t')"), 'as a table of its own');
	$node->safe_psql('postgres', "DROP DATABASE r_$format");
}

# ---- a dropped table's objects go; a rolled-back drop's do not ----

my ($folder) = sql("SELECT metadata_location FROM lakehouse.versions WHERE table_name = 's.t'::regclass") =~ m{^file://(.*)/metadata/}m;
ok(-d $folder, 'folder of the table');
sql('BEGIN', 'DROP TABLE s.t CASCADE', 'ROLLBACK', q{SELECT lakehouse.publish('s.t')});
is(sql($digest), $rows, 'a drop that was rolled back');
sql('DROP SCHEMA s CASCADE');
for (1 .. 100) { last if !-d $folder; usleep(100_000); }
ok(!-d $folder, 'objects of a dropped table are removed');
is(sql('SELECT (SELECT count(*) FROM lakehouse.lake_file), (SELECT count(*) FROM lakehouse.lake_version), (SELECT count(*) FROM lakehouse.lake_table)'),
	'0|0|0', 'and its catalog rows');
sql('CREATE TABLE never (a int) USING lakehouse', 'INSERT INTO never SELECT generate_series(1, 50)', 'DROP TABLE never');
sql('BEGIN', 'CREATE TABLE aborted (a int) USING lakehouse', 'INSERT INTO aborted SELECT generate_series(1, 50)', 'ROLLBACK');

# ---- prepared transactions over a restart ----

sql('CREATE TABLE p (a int) USING lakehouse', 'BEGIN', 'INSERT INTO p SELECT generate_series(1, 100)', 'INSERT INTO p VALUES (101)', q{PREPARE TRANSACTION 'one'});
sql('BEGIN', 'INSERT INTO p SELECT generate_series(201, 300)', q{PREPARE TRANSACTION 'two'});
sql('BEGIN', 'CREATE TABLE q (a int) USING lakehouse', 'INSERT INTO q SELECT generate_series(1, 100)', q{PREPARE TRANSACTION 'three'});
sql(q{SELECT lakehouse.publish('p')});
is(versions('p', 'rows'), '0', 'prepared is not published');
$node->stop('immediate');
$node->start;
sql(q{SELECT lakehouse.publish('p')});
is(sql('SELECT count(*) FROM p'), '0', 'prepared is not visible after a crash');
sql(q{COMMIT PREPARED 'one'});
sql(q{COMMIT PREPARED 'three'});
$node->restart;
is(sql('SELECT count(*), sum(a) FROM p'), '101|5151', 'committed: rows of files and delta');
sql(q{SELECT lakehouse.publish('p')}, q{SELECT lakehouse.publish('q')});
is(versions('p', 'rows'), '101', 'and published');
is(versions('q', 'rows'), '100', 'also of a table made there');
sql(q{ROLLBACK PREPARED 'two'}, q{SELECT lakehouse.publish('p')});
is(sql('SELECT count(*), sum(a) FROM p'), '101|5151', 'rolled back');
sub hint_file { return join ' ', (Time::HiRes::stat(sql(q{SELECT lakehouse.metadata_location('q')}) =~ s{^file://(.*)/.*}{$1/version-hint.text}r))[1, 9]; }
my $hint = hint_file();
sql('BEGIN', 'INSERT INTO p VALUES (999)', q{PREPARE TRANSACTION 'woken'}, q{COMMIT PREPARED 'woken'});
ok($node->poll_query_until('postgres', "SELECT rows = 102 FROM lakehouse.versions WHERE table_name = 'p'::regclass ORDER BY version DESC LIMIT 1"),
	'COMMIT PREPARED wakes the publisher by itself');
is(hint_file(), $hint, 'which leaves the hint of another table as it is');

# ---- many small commits, then a fast stop in the middle ----

sql('CREATE TABLE c (a int, t timestamptz DEFAULT clock_timestamp()) USING lakehouse');
my $script = "${PostgreSQL::Test::Utils::tmp_check}/commits.sql";
append_to_file($script, "INSERT INTO c (a) VALUES (1);\n");
my $seconds = 6;
$node->command_ok([ 'pgbench', '-n', '-c', 2, '-R', 100, '-T', $seconds, '-f', $script, '-d', $node->connstr('postgres') ], 'small commits');
my $n = sql('SELECT count(*) FROM c');
cmp_ok($n, '>', 50 * $seconds, "$n commits");
sql(q{SELECT lakehouse.publish('c')});
is(versions('c', 'rows'), $n, 'all of them published');
cmp_ok(sql(q{SELECT count(*) FROM lakehouse.versions WHERE table_name = 'c'::regclass}), '<=', 2 * $seconds + 3, 'in few versions');
cmp_ok(sql(q{SELECT count(*) FROM lakehouse.files WHERE table_name = 'c'::regclass AND removed_version IS NULL}), '<=', 2 * $seconds + 3, 'and few files');

my $pgbench = IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-T', 60, '-f', $script, '-d', $node->connstr('postgres') ], '>', '/dev/null', '2>', '/dev/null');
usleep(1_500_000);
my $start = time;
$node->stop('fast');
my $took = time - $start;
cmp_ok($took, '<', 20, sprintf('fast stop while publishing: %.1f s', $took));
eval { $pgbench->finish };
$node->start;
$n = sql('SELECT count(*) FROM c');
sql(q{SELECT lakehouse.publish('c')});
is(versions('c', 'rows'), $n, 'and nothing is lost');
is(sql(q{SELECT count(*) FROM c TABLESAMPLE lakehouse.as_of_version((SELECT max(version) FROM lakehouse.versions WHERE table_name = 'c'::regclass))}), $n, 'nor double');

# ---- synchronous_commit = off: no version that others have seen is lost ----

$node->append_conf('postgresql.conf', "synchronous_commit = off\nwal_writer_delay = 10s\nrestart_after_crash = on\n");
$node->restart;
sql('CREATE TABLE async (a int) USING lakehouse', 'INSERT INTO async VALUES (1)');
sql(q{SELECT lakehouse.publish('async')}) for 1 .. 2;
sql('INSERT INTO async VALUES (2)');
my $seen = sql(q{SELECT lakehouse.publish('async'); SELECT lakehouse.metadata_location('async')}) =~ s{^.*file://}{}sr;
my $shown = $seen =~ s{/[^/]*$}{/version-hint.text}r;
usleep(100_000) while slurp_file($shown) ne $seen =~ s{^.*/(.*)\.metadata\.json$}{$1}r;
Lakehouse::kill_postmaster($node);
$seen =~ s{^.*/metadata/}{};
Lakehouse::start_killed($node);
is(sql("SELECT count(*) FROM lakehouse.lake_version WHERE metadata_name LIKE '%$seen'"), 1, 'the version that the hint named is there after a crash');

# ---- a session is killed, and the server goes on ----

$node->psql('postgres', "SET lakehouse.debug_fail_at = 'upload.sync:1:kill'; INSERT INTO async SELECT generate_series(1, 1000)");
ok($node->poll_query_until('postgres', 'SELECT true'), 'up again');
my @left;
for (1 .. 300) { @left = Lakehouse::temp_files($node); last if !@left; usleep(100_000); }
is("@left", '', 'what the session had begun to write is removed');

# ---- without preloading: a hint with the line to add ----

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
for my $statement ('SELECT * FROM c', 'INSERT INTO c VALUES (1)', 'CREATE TABLE n (a int) USING lakehouse', "SELECT lakehouse.publish('c')")
{
	my ($rc, $out, $err) = $node->psql('postgres', $statement);
	like($err, qr/lakehouse is not preloaded.*HINT:.*shared_preload_libraries = 'lakehouse'/s, "not preloaded: $statement");
}
is(sql('CREATE TABLE plain AS SELECT 1 AS a', 'SELECT a FROM plain'), '1', 'heap works');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'lakehouse'");
$node->restart;
is(sql('SELECT count(*) FROM c'), $n, 'preloaded again');

done_testing();
