# Base backups under load and point-in-time recovery carry the lake with
# Postgres's own tools: every committed batch is there, every object that a
# catalog names is whole, and the restored clusters go on.

use strict;
use warnings FATAL => 'all';

use Digest::MD5;
use IPC::Run ();
use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = Lakehouse::new_node('source', init => [ allows_streaming => 1, has_archiving => 1 ], conf => <<'CONF');
lakehouse.bulk_threshold = 100
autovacuum = off
max_wal_size = 64MB
CONF

sub sql { my ($node, @statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

sql($primary, 'CREATE TABLE big (batch int, i int, t text) USING lakehouse');
sql($primary, 'CREATE TABLE small (batch int, i int, t text) USING lakehouse');

# Commits numbered batches until there is a row in table halt.
sub load
{
	my ($table, $rows) = @_;
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $primary->connstr('postgres'), '-c', <<"SQL" ]);
DO \$\$ BEGIN
	FOR k IN 1..100000 LOOP
		INSERT INTO $table SELECT k, i, md5((k * i)::text) || md5(i::text) FROM generate_series(1, $rows) i;
		IF k % 7 = 0 THEN
			DROP TABLE IF EXISTS gone_$table;
			CREATE TABLE gone_$table USING lakehouse AS SELECT * FROM $table LIMIT 500;
		END IF;
		COMMIT;
		EXIT WHEN EXISTS (SELECT FROM halt);
	END LOOP;
END \$\$
SQL
}

# Whole batches only, none missing up to the last.
sub batches
{
	my ($node, $table, $rows) = @_;
	return sql($node, "SELECT count(*) > 0 AND bool_and(n = $rows) AND max(batch) = count(*) FROM (SELECT batch, count(*) n, count(DISTINCT (i, t)) d FROM $table GROUP BY 1) x");
}

sub last_batch { my ($node, $table) = @_; return sql($node, "SELECT max(batch) FROM $table"); }

sub digest_of
{
	my ($path) = @_;
	open my $file, '<:raw', $path or return 'missing';
	return Digest::MD5->new->addfile($file)->hexdigest;
}

# Objects of the node's tables that are missing, of another size, or of other
# bytes than the primary has under the same name.  (A dropped table's go before
# their rows in the catalog do.)
sub damaged
{
	my ($node) = @_;
	my @damaged;

	for (split /\n/, sql($node, q{SELECT lakehouse.location_uri(location) || '/' || name, byte_count FROM lakehouse.lake_file JOIN pg_class c ON c.oid = relid}))
	{
		my ($path, $size) = m{^file://(.*)\|(\d+)$};
		my $other = $path =~ s/^\Q${\ $node->data_dir}\E/$primary->data_dir/er;
		push @damaged, $path if !-e $path || -s $path != $size || (-e $other && digest_of($path) ne digest_of($other));
	}
	return join ' ', @damaged;
}

sub check
{
	my ($node, $what) = @_;
	is(batches($node, 'big', 5000), 't', "$what: batches of bulk writes");
	is(batches($node, 'small', 20), 't', "$what: batches of small writes");
	is(damaged($node), '', "$what: objects");
	my $count = sql($node, 'SELECT count(*) FROM big');
	sql($node, q{SELECT lakehouse.publish('big')});
	is(sql($node, 'SELECT count(*) FROM big TABLESAMPLE lakehouse.as_of(now())'), $count, "$what: published");
	return;
}

# ---- backups under load ----

sql($primary, 'CREATE TABLE halt (i int)');
my @load = (load('big', 5000), load('small', 20));
$primary->poll_query_until('postgres', 'SELECT count(*) > 5 FROM (SELECT DISTINCT batch FROM big) x') or die;
my $checkpoints = IPC::Run::start([ 'sh', '-c', 'while psql -XAtq -c CHECKPOINT -d "$0" && ! test "$(psql -XAtq -c "SELECT 1 FROM halt" -d "$0")"; do sleep 0.1; done', $primary->connstr('postgres') ]);
my %at;
for my $n (1 .. 2)
{
	$at{$n} = last_batch($primary, 'big');
	$primary->backup("backup$n");
}
# a moment to come back to
my $earliest = last_batch($primary, 'big');
sql($primary, q{SELECT pg_create_restore_point('moment')});
my $latest = last_batch($primary, 'big');
$primary->poll_query_until('postgres', "SELECT max(batch) > $latest + 3 FROM big") or die;
sql($primary, 'INSERT INTO halt VALUES (1)');
$_->finish for @load, $checkpoints;
my %final = map { $_ => last_batch($primary, $_) } qw(big small);
sql($primary, 'SELECT pg_switch_wal()');

for my $n (1 .. 2)
{
	my $node = PostgreSQL::Test::Cluster->new("restored$n");
	# as it is, without a standby or recovery signal: recovery like after a crash
	$node->init_from_backup($primary, "backup$n");
	$node->append_conf('postgresql.conf', "archive_mode = off\n");
	$node->start;
	cmp_ok(last_batch($node, 'big'), '>=', $at{$n}, "backup $n has what was committed before it");
	check($node, "backup $n");
	$node->stop;
}
check($primary, 'the source');

# ---- recovery to a moment, twice from one backup ----

sql($primary, 'DROP TABLE small', 'TRUNCATE big', q{SELECT lakehouse.publish('big')}, 'SELECT pg_switch_wal()');
for my $n (1 .. 2)
{
	my $node = PostgreSQL::Test::Cluster->new("moment$n");
	$node->init_from_backup($primary, 'backup1', has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', "archive_mode = off\nrecovery_target_name = 'moment'\nrecovery_target_action = 'promote'\n");
	$node->start;
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die;
	my $last = last_batch($node, 'big');
	ok($earliest <= $last && $last <= $latest, "moment $n: $earliest <= $last <= $latest");
	check($node, "moment $n");
	sql($node, 'DROP TABLE small');
	$node->stop;
}
# to the end of the WAL: what was dropped is gone
my $node = PostgreSQL::Test::Cluster->new('end');
$node->init_from_backup($primary, 'backup2', has_restoring => 1, standby => 0);
$node->append_conf('postgresql.conf', "archive_mode = off\n");
$node->start;
$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die;
is(sql($node, 'SELECT count(*) FROM big'), 0, 'the end: truncated');
is(damaged($node), '', 'the end: objects');
cmp_ok(sql($node, q{SELECT rows FROM lakehouse.versions WHERE rows > 0 ORDER BY version DESC LIMIT 1}), '==', $final{big} * 5000, 'the end: the last version before');
my $version = sql($node, q{SELECT version FROM lakehouse.versions WHERE rows > 0 ORDER BY version DESC LIMIT 1});
is(sql($node, "SELECT count(*) FROM big TABLESAMPLE lakehouse.as_of_version($version)"), $final{big} * 5000, 'the end: and its rows');

done_testing();
