# The publisher has moved rows into a file, and not committed yet; has written its
# commit, and still counts as running; or has failed.  For everybody else the rows
# are where they were: the same statements on a heap table say the same.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = Lakehouse::new_node('mover', conf => <<'CONF');
autovacuum = off
fsync = off
lakehouse.bulk_delete_rows = 2
lakehouse.publish = '1h'
max_wal_senders = 2
wal_level = replica
CONF

# Sessions wait for no standby; the publisher may have to.
sub psql
{
	my ($sql) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "SET synchronous_commit = local; SET statement_timeout = '60s';\n$sql", extra_params => [ '-v', 'VERBOSITY=sqlstate' ],
		on_error_stop => 0);
	return "$out$err" =~ s/^psql:\S+: //mgr;
}

sub poll
{
	my ($what, $happened) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return pass($what) if $happened->();
		usleep(100_000);
	}
	return fail($what);
}

# What a session does to table %1$s, whose child is c_%1$s; %2$d numbers the rounds.
my @STATEMENTS = (
	'INSERT INTO %1$s VALUES (1, 100) ON CONFLICT (id) DO UPDATE SET v = %1$s.v + excluded.v RETURNING id, v',
	'INSERT INTO %1$s VALUES (2, 100) ON CONFLICT DO NOTHING RETURNING id, v',
	'INSERT INTO %1$s VALUES (3, 100)',
	'UPDATE %1$s SET v = v + 1 WHERE id = 4 RETURNING id, v',
	'DELETE FROM %1$s WHERE id = 10 + %2$d RETURNING id, v',
	'INSERT INTO %1$s VALUES (10 + %2$d, -1) RETURNING id, v',
	'UPDATE %1$s SET id = 100 + id WHERE id = 20 + %2$d RETURNING id, v',
	'SELECT id, v FROM %1$s WHERE id = 5 FOR UPDATE NOWAIT',
	'SELECT id, v FROM %1$s WHERE id IN (5, 6) ORDER BY id FOR KEY SHARE SKIP LOCKED',
	'INSERT INTO c_%1$s VALUES (7)',
	'DELETE FROM %1$s WHERE id = 8',
	'BEGIN; INSERT INTO %1$s VALUES (9, 0) ON CONFLICT (id) DO UPDATE SET v = 9 / excluded.v; ROLLBACK; UPDATE %1$s SET v = v + 1 WHERE id = 9 RETURNING id, v',
	'DELETE FROM %1$s WHERE id BETWEEN 31 AND 45 AND v > 0',
	'INSERT INTO %1$s SELECT i, i FROM generate_series(31, 45) i ON CONFLICT (id) DO UPDATE SET v = -1 RETURNING id, v',
	'SELECT count(*), sum(id), sum(v) FROM %1$s');

my $round = 0;
sub both_agree
{
	my ($what) = @_;

	$round++;
	my ($ours, $heaps) = map { my $table = $_; psql(join ";\n", map { sprintf $_, $table, $round } @STATEMENTS) } qw(m h);
	is($ours, $heaps, $what);
	return;
}

psql(<<'SQL');
SET lakehouse.bulk_threshold = 1000;
CREATE TABLE m (id int PRIMARY KEY, v int) USING lakehouse;
CREATE TABLE h (id int PRIMARY KEY, v int) USING heap;
CREATE TABLE c_m (id int REFERENCES m) USING lakehouse;
CREATE TABLE c_h (id int REFERENCES h) USING heap;
INSERT INTO m SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO h SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO c_m VALUES (8);
INSERT INTO c_h VALUES (8);
SQL

# Begins to publish; who waits for it ends with finish().
sub publish
{
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT lakehouse.publish('m')" ], '>', '/dev/null');
}

# ---- moved, not committed ----

Lakehouse::arm($node, 'publish-delta-moved:1:stop');
my $publish = publish();
my $pid;
sub is_stopped
{
	for my $p (split /\n/, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'lakehouse%'}))
	{
		$pid = $p;
		return 1 if -e "/proc/$p/stat" && slurp_file("/proc/$p/stat") =~ /\) T /;
	}
	return 0;
}
poll('the publisher stops when it has moved the rows', \&is_stopped);
both_agree('stopped');
Lakehouse::disarm($node);
kill 'CONT', $pid;
ok($publish->finish, 'it goes on');
both_agree('published');

# ---- committed, still running ----

$node->safe_psql('postgres', q{SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
$node->reload;
psql('UPDATE m SET v = v + 1 WHERE id > 30; UPDATE h SET v = v + 1 WHERE id > 30');
$publish = publish();
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type LIKE 'lakehouse%'}),
	'the publisher waits for a standby');
both_agree('committed, still running');
$node->safe_psql('postgres', 'SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names');
$node->reload;
ok($publish->finish, 'it goes on');
both_agree('not running any more');

# ---- failed ----

Lakehouse::arm($node, 'publish-commit:1:error');
usleep(300_000);
$publish = publish();
ok(!$publish->finish, 'the publisher fails');
both_agree('failed');
Lakehouse::disarm($node);
$publish = publish();
ok($publish->finish, 'it tries again');
both_agree('published again');

is($node->safe_psql('postgres', "SELECT * FROM lakehouse.verify('m')"), '', 'verified');
is($node->safe_psql('postgres', '(TABLE m EXCEPT TABLE h) UNION ALL (TABLE h EXCEPT TABLE m)'), '', 'the same rows');

done_testing();
