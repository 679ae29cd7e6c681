# Postgres's own tools on clusters with a lake: pg_verifybackup, a standby of a
# standby, pg_rewind of a primary that went on after its standby was promoted.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $conf = "lakehouse.bulk_threshold = 100\nautovacuum = off\nwal_log_hints = on\n";
my $old = Lakehouse::new_node('old', init => [ allows_streaming => 1 ], conf => $conf);

sub sql { my ($node, @statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

sub write_rows
{
	my ($node, $first, $last) = @_;
	sql($node, "INSERT INTO t SELECT i, md5(i::text) FROM generate_series($first, $last) i", "DELETE FROM t WHERE i % 17 = 3 AND i >= $first",
		"INSERT INTO t VALUES (-$last, 'small')");
	sql($node, "SELECT lakehouse.publish('t')");
	return;
}

my $digest = q{SELECT count(*), sum(i), md5(string_agg(i || s, ',' ORDER BY i)) FROM t};
my $verify = q{SELECT * FROM lakehouse.verify('t')};

sub same
{
	my ($what, $from, $to) = @_;
	my ($here, $there) = ('', 'x');

	$from->wait_for_catchup($to, 'replay', $from->lsn(sql($from, 'SELECT pg_is_in_recovery()') eq 't' ? 'replay' : 'write'));
	is(sql($to, $digest), sql($from, $digest), "$what: rows");
	is(sql($to, $verify), '', "$what: verify()");
	# the publisher may be at work
	for (1 .. 300)
	{
		($here, $there) = (Lakehouse::lake_digest($from), Lakehouse::lake_digest($to));
		last if $here eq $there;
		usleep(100_000);
	}
	is($there, $here, "$what: objects");
	return;
}

# ---- a backup that its manifest describes ----

sql($old, 'CREATE TABLE t (i int PRIMARY KEY, s text) USING lakehouse');
write_rows($old, 1, 5000);
write_rows($old, 5001 + 5000 * $_, 10000 + 5000 * $_) for 0 .. 2;
my $new = Lakehouse::new_standby($old, 'new');
my $backup = $old->backup_dir . '/for_new';
$old->command_ok([ 'pg_verifybackup', $backup ], 'pg_verifybackup');
my ($object) = grep { /\.parquet$/ } glob("$backup/lakehouse/*/*/data/*");
chmod 0600, $object;
append_to_file($object, 'x');
$old->command_fails([ 'pg_verifybackup', $backup ], 'which knows the objects');

# ---- a standby of a standby ----

my $third = PostgreSQL::Test::Cluster->new('third');
$new->backup('for_third');
$third->init_from_backup($new, 'for_third', has_streaming => 1);
$third->start;
write_rows($old, 30001, 35000);
same('standby', $old, $new);
same('standby of a standby', $new, $third);

# ---- pg_rewind ----

$new->promote;
write_rows($old, 100001, 105000);
sql($old, 'CREATE TABLE lost (i int) USING lakehouse', 'INSERT INTO lost SELECT generate_series(1, 1000)', "VACUUM t");
sql($old, "SELECT lakehouse.publish('lost')");
write_rows($new, 200001, 205000);
$old->stop;
$new->append_conf('postgresql.conf', 'wal_keep_size = 2GB');
$new->reload;
sql($new, 'CHECKPOINT');
copy_file($old->data_dir . '/postgresql.conf', $old->basedir . '/postgresql.conf.kept');
$old->command_ok([ 'pg_rewind', '--target-pgdata', $old->data_dir, '--source-server', $new->connstr('postgres'), '--no-sync' ], 'pg_rewind');
copy_file($old->basedir . '/postgresql.conf.kept', $old->data_dir . '/postgresql.conf');
$old->enable_streaming($new);
$old->set_standby_mode();
$old->start;
write_rows($new, 300001, 301000);
same('rewound', $new, $old);
same('standby, still', $new, $third);
is(join(' ', grep { !-s $old->data_dir . "/lakehouse/$_" } Lakehouse::lake_files($old)), '', 'no empty objects');
$new->stop('fast');
$old->promote;
write_rows($old, 400001, 401000);
is(sql($old, $verify), '', 'and it goes on as a primary');
is(sql($old, 'SELECT count(*) FROM t'), sql($old, 'SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of(now())'), 'which publishes');
is(join(' ', Lakehouse::temp_files($old)), '', 'without temporary files');

sub copy_file { my ($from, $to) = @_; my $text = slurp_file($from); unlink $to; append_to_file($to, $text); return; }

done_testing();
