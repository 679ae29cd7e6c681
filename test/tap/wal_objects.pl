# Objects in the WAL, through the SQL functions of test/modules/lh_objstore_test:
# conflicts of removals with queries on a standby, checkpoints while an object is
# logged, restarts of a standby anywhere, what the settings and wal_level say.

use strict;
use warnings FATAL => 'all';

use FindBin;
use IPC::Run ();
use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $module = ($ENV{LH_ROOT} // "$FindBin::RealBin/../..") . '/test/modules/lh_objstore_test';
my $lib = "$module/lh_objstore_test.so";
plan skip_all => "$lib is not built" if !-e $lib;

my $elsewhere = PostgreSQL::Test::Utils::tempdir_short();
my $primary = Lakehouse::new_node('origin', preload => $lib, extension => 0,
	init => [ allows_streaming => 1 ], conf => "wal_receiver_status_interval = 1s\n");
$primary->psql('postgres', '', extra_params => [ '-v', "lib=$lib", '-f', "$module/functions.sql" ]);
$primary->safe_psql('postgres', 'CREATE TABLE snapshots (i int)');
my $standby = Lakehouse::new_standby($primary, 'copy', conf => "max_standby_streaming_delay = 100ms\nhot_standby_feedback = off\nwal_receiver_status_interval = 1s\n");

sub sql { return $primary->safe_psql('postgres', join(";\n", @_)); }

sub catch_up { $primary->wait_for_catchup($standby); return; }

sub wal_bytes
{
	my $lsn = sql('SELECT pg_current_wal_insert_lsn()');
	sql(@_);
	return sql("SELECT pg_current_wal_insert_lsn() - '$lsn'");
}

# pieces that no compression and no repetition makes alike
my $loc = sql('SELECT os_default()');
my $upload = q{SELECT os_upload(os_default(), '%s', (SELECT string_agg(sha512((%d * 1000 + i)::text::bytea), '') FROM generate_series(1, 1000) i), %d, 'finish')};

sub same
{
	my ($what) = @_;
	catch_up();
	is(Lakehouse::lake_digest($standby), Lakehouse::lake_digest($primary), $what);
	return;
}

# ---- sizes and kinds ----

sql(sprintf($upload, 'a/small', 1, 1), sprintf($upload, 'a/b/large', 2, 20),
	q{SELECT os_put(os_default(), 'empty', '')},
	q{SELECT os_put(os_default(), 'even', decode(repeat('ab', 131072), 'hex'))},
	q{SELECT os_put(os_default(), 'hint', 'one')},
	q{SELECT os_put(os_default(), 'hint', 'two', true)});
same('objects of all sizes, and replaced ones');
is(slurp_file($standby->data_dir . '/lakehouse/hint'), 'two', 'the newest content');
sql(q{SELECT os_put(os_default(), 'hint', 'two', true)}, q{SELECT os_remove(os_default(), 'a/b/large')},
	q{SELECT os_remove_empty_dirs(os_default(), 'a/')});
same('removed');
ok(!-d $standby->data_dir . '/lakehouse/a/b', 'with the empty directory');
is((stat $standby->data_dir . '/lakehouse/hint')[2], (stat $primary->data_dir . '/lakehouse/hint')[2], 'permissions');
like(sql(q{SELECT os_error($$SELECT os_put(os_default(), 'even', 'other')$$)}), qr/^42710/, 'a name that is taken');
same('travels not');

# metadata travels compressed, Parquet as it is
my $repeated = q{SELECT os_put(os_default(), '%s', convert_to(repeat('{"snapshot-id": 1234567}', 40000), 'UTF8'))};
cmp_ok(wal_bytes(sprintf($repeated, 'v1.metadata.json')), '<', 50_000, 'a text of 960,000 bytes that repeats itself');
cmp_ok(wal_bytes(sprintf($repeated, 'data.parquet')), '>', 960_000, 'a data file');
cmp_ok(wal_bytes(sprintf($upload, 'random.avro', 5, 1)), '>', 64_000, 'a text that does not');
same('objects of several compressed pieces');

# pg_basebackup would fail on longer paths
my $fits = 'a/' . 'x' x (99 - length 'lakehouse/a/');
sql("SELECT os_put(os_default(), '$fits', 'x')");
like(sql("SELECT os_error(\$\$SELECT os_put(os_default(), '${fits}x', 'x')\$\$)"), qr/^42622 name of object .* is too long/, 'a path that base backups refuse');
like(sql("SELECT os_error(\$\$SELECT os_check(os_default() || '/' || repeat('x', 40), true)\$\$)"), qr/^42622 location .* is too long/, 'a location that would make such');
$primary->backup('longest');
pass('a base backup of the longest');

# ---- conflicts ----

sub removal
{
	my ($name) = @_;
	sql(sprintf($upload, $name, 3, 1));
	return sql('INSERT INTO snapshots VALUES (1) RETURNING xmin');
}

# A query on the standby that has a snapshot, running until it is told to end.
sub reader
{
	my $reader = $standby->background_psql('postgres', on_error_stop => 0);
	$reader->query_until(qr/started/, "\\echo started\nSELECT count(*), pg_sleep(600) FROM snapshots;\n");
	$standby->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) or die;
	return $reader;
}

catch_up();
my $reader = reader();
my $xid = removal('seen');
is(sql("SELECT os_may_remove('$xid')"), 't', 'nobody here needs the object');
sql(q{SELECT os_remove(os_default(), 'even')});
catch_up();
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}), 1, 'what nobody could see goes without a conflict');
sql("SELECT os_remove_seen(os_default(), 'seen', '$xid')");
catch_up();
$reader->query('SELECT 1');
like($reader->{stderr}, qr/conflict with recovery.*row versions that must be removed/s, 'a query that may read it is cancelled');
$reader->quit;
same('and the object removed');
is($standby->safe_psql('postgres', q{SELECT confl_snapshot FROM pg_stat_database_conflicts WHERE datname = 'postgres'}), 1, 'counted as such');

# a query that began after it may go on
$xid = removal('later');
catch_up();
$reader = reader();
sql("SELECT os_remove_seen(os_default(), 'later', '$xid')");
catch_up();
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}), 1, 'a later snapshot is no conflict');
$standby->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
$reader->quit;

# with feedback the primary knows, and there is nothing to conflict with
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\n");
$standby->reload;
$reader = reader();
ok($primary->poll_query_until('postgres', 'SELECT backend_xmin IS NOT NULL FROM pg_stat_replication'), 'feedback');
$xid = removal('kept');
is(sql("SELECT os_may_remove('$xid')"), 'f', 'with hot_standby_feedback the object must stay');
$standby->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
$reader->quit;
ok($primary->poll_query_until('postgres', "SELECT os_may_remove('$xid')"), 'until the query has ended');

# ---- checkpoints ----

# While an object is logged no checkpoint completes that began in between.
my $script = PostgreSQL::Test::Utils::tempdir_short() . '/script.sql';
PostgreSQL::Test::Utils::append_to_file($script, "SELECT 'pid ' || pg_backend_pid();\nSET lakehouse.debug_fail_at = 'upload.log_chunk:3:stop';\n" . sprintf($upload, 'stopped', 4, 20) . ";\n");
my $out = '';
my $writer = IPC::Run::start([ 'psql', '-XAtq', '-f', $script, '-d', $primary->connstr('postgres') ], '>', \$out);
$writer->pump until $out =~ /^pid (\d+)/m;
my ($pid) = $out =~ /^pid (\d+)/m;
sub is_stopped { return slurp_file("/proc/$pid/stat") =~ /\) T /; }
for (1 .. 600) { last if is_stopped(); usleep(100_000); }
ok(is_stopped(), 'a session stops in the middle of logging');
my $checkpoint = sql('SELECT checkpoint_lsn FROM pg_control_checkpoint()');
my $checkpointer = IPC::Run::start([ 'psql', '-XAtq', '-c', 'CHECKPOINT', '-d', $primary->connstr('postgres') ]);
usleep(1_000_000);
is(sql('SELECT checkpoint_lsn FROM pg_control_checkpoint()'), $checkpoint, 'a checkpoint waits for it');
kill 'CONT', $pid;
ok($writer->finish && $checkpointer->finish, 'both end');
isnt(sql('SELECT checkpoint_lsn FROM pg_control_checkpoint()'), $checkpoint, 'the checkpoint has completed');
same('the object');

# A standby that dies anywhere and starts from its last restartpoint has all.
for my $round (1 .. 6)
{
	my $load = IPC::Run::start([ 'psql', '-XAtq', '-d', $primary->connstr('postgres'), '-c',
		"DO \$\$ BEGIN FOR k IN 1..10 LOOP PERFORM os_upload(os_default(), 'r$round/' || k, sha512((k * $round)::text::bytea), 30000, 'finish'); COMMIT; END LOOP; END \$\$" ]);
	for (1 .. 3) { sql('CHECKPOINT'); usleep(20_000 * $round); $standby->safe_psql('postgres', 'CHECKPOINT'); }
	Lakehouse::kill_postmaster($standby);
	$load->finish;
	Lakehouse::start_killed($standby);
	same("kill -9 of the standby, round $round");
}

# The primary, too; what was in the middle is an orphan there and here.
for my $point (qw(upload.log:1 upload.log_chunk:2))
{
	ok(Lakehouse::crash_session($primary, $point, sprintf($upload, "killed-$point" =~ tr/:/-/r, 5, 20)), "kill -9 at $point");
	Lakehouse::start($primary);
	sql(sprintf($upload, "after-$point" =~ tr/:/-/r, 6, 20));
	catch_up();
	my $here = Lakehouse::lake_digest($primary) =~ s/^killed-.*\n//mgr;
	is(Lakehouse::lake_digest($standby) =~ s/^killed-.*\n//mgr, $here, 'all others are on the standby');
	is(join(' ', Lakehouse::temp_files($primary)), '', 'no temporary file here');
	sql(q{SELECT os_remove(os_default(), name, true) FROM os_list(os_default(), 'killed')});
	same('after the orphan has been swept');
	is(join(' ', Lakehouse::temp_files($standby)), '', 'no temporary file there');
}

# ---- what is logged ----

my $large = sprintf($upload, '%s.parquet', 7, 20);
cmp_ok(wal_bytes(sprintf($large, 'logged')), '>', 1_280_000, 'WAL of an object in the data directory');
my $away = "file://$elsewhere/x";
cmp_ok(wal_bytes(sprintf($large, 'x') =~ s/os_default\(\)/'$away'/r), '<', 100_000, 'none elsewhere');
$primary->append_conf('postgresql.conf', "lakehouse.wal_locations = 'file://$elsewhere/y'\n");
$primary->reload;
$away = "file://$elsewhere/y";
cmp_ok(wal_bytes(sprintf($large, 'y') =~ s/os_default\(\)/'$away'/r), '>', 1_280_000, 'but in lakehouse.wal_locations');
catch_up();
$primary->append_conf('postgresql.conf', "lakehouse.wal_objects = off\n");
$primary->reload;
cmp_ok(wal_bytes(sprintf($large, 'unlogged')), '<', 100_000, 'nor with lakehouse.wal_objects = off');
$standby->stop;
$primary->append_conf('postgresql.conf', "lakehouse.wal_objects = on\nwal_level = minimal\nmax_wal_senders = 0\n");
$primary->restart;
cmp_ok(wal_bytes(sprintf($large, 'minimal')), '<', 100_000, 'nor with wal_level = minimal');
is(sql(q{SELECT os_size(os_default(), 'minimal.parquet')}), 1_280_000, 'the object is there');

done_testing();
