# kill -9 of a backend, the publisher and the postmaster at every fault point of
# writing and publishing; then errors of the disk there.  Afterwards all that was
# committed is there, in Postgres and in the published files, and nothing else.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = Lakehouse::new_node('crash', conf => <<'CONF');
lakehouse.bulk_threshold = 10
lakehouse.row_group_rows = 1000
autovacuum = off
CONF

my ($expected, $n) = (0, 0);

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

# Rows committed so far: each statement here adds one batch, numbered.
sub check
{
	my ($what) = @_;
	is(sql('SELECT count(*), count(DISTINCT (batch, i)), coalesce(sum(i), 0) FROM t'), $expected, "$what: rows");
	sql("SELECT lakehouse.publish('t')");
	is(sql('SELECT count(*), count(DISTINCT (batch, i)), coalesce(sum(i), 0) FROM t'), $expected, "$what: after publish");
	my ($rows) = split /\|/, $expected;
	is(sql("SELECT rows FROM lakehouse.versions WHERE table_name = 't'::regclass ORDER BY version DESC LIMIT 1"),
		$rows, "$what: rows of the version");
	is(sql("SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of(now())"), $rows, "$what: and as read from it");
	is(orphans(), '', "$what: no orphans");
	return;
}

# Data files that the catalog does not know, and temporary files.
sub orphans
{
	my %known = map { $_ => 1 } split /\n/, sql('SELECT regexp_replace(name, $$.*/$$, $$$$) FROM lakehouse.lake_file');
	my @left;

	# the sweep is the publisher's, after it has answered
	for (1 .. 1800)
	{
		@left = grep { /\.tmp-/ || (m{/data/([^/]+\.parquet)$} && !$known{$1}) } Lakehouse::lake_files($node);
		last if !@left;
		usleep(100_000);
	}
	return join ' ', @left;
}

my $small = 'INSERT INTO t SELECT %d, i FROM generate_series(1, 5) i';
my $big = 'INSERT INTO t SELECT %d, i FROM generate_series(1, 2500) i';

sub committed { $expected = sql('SELECT count(*), count(DISTINCT (batch, i)), coalesce(sum(i), 0) FROM t'); return; }

sql('CREATE TABLE t (batch int, i int) USING lakehouse', sprintf($small, ++$n), sprintf($big, ++$n));
committed();
is($expected, '2505|2505|3126265', 'the first rows');
check('start');

# ---- a backend dies while it writes ----

my @write = qw(upload.begin upload.create upload.write upload.sync upload.publish upload.published upload.sync_dir
  upload.done file-finish file-finished file-cataloged);
for my $point (@write)
{
	ok(Lakehouse::crash_session($node, $point, sprintf($big, ++$n)), "backend killed at $point");
	Lakehouse::start($node);
	check("after $point");
}

# ---- and the publisher ----

my @publish = qw(publish-file-cataloged publish-delta-moved publish-manifest-written publish-list-written
  publish-metadata-written publish-commit publish-committed upload.create upload.publish upload.published
  upload.done fetch.read);
for my $point (@publish)
{
	# the publisher is the only one that passes it: the session that writes does not
	Lakehouse::arm($node, "$point:1:kill");
	usleep(200_000);
	$node->psql('postgres', "SET lakehouse.debug_fail_at = ''; " . sprintf($small, ++$n) . "; SELECT lakehouse.publish('t')");
	ok(Lakehouse::wait_down($node), "publisher killed at $point");
	Lakehouse::start($node);
	committed() if sql("SELECT count(*) FROM t WHERE batch = $n") == 5;
	is(sql("SELECT count(*) FROM t WHERE batch = $n"), 5, "after $point: what was committed is there");
	check("after publisher at $point");
}

# ---- and the postmaster, while both are busy ----

for my $round (1 .. 3)
{
	my $writer = IPC::Run::start(
		[ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c',
			"DO \$\$ BEGIN FOR k IN 1..4000 LOOP INSERT INTO t SELECT " . (++$n) . ", k * 100 + i FROM generate_series(1, 30) i; COMMIT; END LOOP; END \$\$" ],
		'>', '/dev/null', '2>', '/dev/null');
	usleep(200_000 * $round);
	Lakehouse::kill_postmaster($node);
	eval { $writer->finish };
	# a backend goes on until it asks for something: it holds the shared memory so long
	Lakehouse::start_killed($node);
	committed();
	is(sql("SELECT count(*) FROM (SELECT i / 100 FROM t WHERE batch = $n GROUP BY 1 HAVING count(*) <> 30) x"), 0,
		"postmaster killed, round $round: no half transaction");
	cmp_ok(sql("SELECT count(*) FROM t WHERE batch = $n"), '>', 0, 'but whole ones');
	check("postmaster, round $round");
}

# ---- errors of the disk: the statement fails, the table goes on ----

for my $fault ('upload.write:1:ENOSPC', 'upload.create:1:EROFS', 'upload.sync:1:EIO', 'upload.publish:1:EDQUOT', 'file-finished:1:error')
{
	my $state = Lakehouse::fail_session($node, $fault, sprintf($big, ++$n));
	like($state, qr/^(53100|42501|58030|XX000)$/, "$fault: $state");
	is(sql("SELECT count(*) FROM t WHERE batch = $n"), 0, "$fault: nothing half done");
}
sql(sprintf($big, ++$n));
committed();
check('after errors');

# files of what is taken back go soon, not at the next start
sql('BEGIN', sprintf($big, ++$n), 'ROLLBACK');
check('after ROLLBACK');
sql('BEGIN', 'SAVEPOINT s', sprintf($big, ++$n), 'ROLLBACK TO s', 'COMMIT');
check('after ROLLBACK TO SAVEPOINT');
sql('BEGIN', sprintf($big, ++$n), "PREPARE TRANSACTION 'p'");
sql("ROLLBACK PREPARED 'p'");
check('after ROLLBACK PREPARED');

# the publisher reports it and recovers
for my $fault ('upload.write:1:ENOSPC', 'upload.create:1:EROFS', 'publish-commit:1:error')
{
	Lakehouse::arm($node, $fault);
	usleep(300_000);
	sql("SET lakehouse.debug_fail_at = ''", sprintf($small, ++$n));
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM lakehouse.publisher_status() WHERE relation = 't'::regclass AND failures > 0 AND last_error IS NOT NULL AND retry_at IS NOT NULL"),
		"$fault: publisher_status() shows it");
	Lakehouse::disarm($node);
	committed();
	check("publisher after $fault");
	is(sql("SELECT count(*) FROM lakehouse.publisher_status() WHERE state = 'failed'"), 0, "$fault: and that it is over");
}

# a directory that cannot be written
{
	my ($dir) = grep { -d } glob($node->data_dir . '/lakehouse/*/*');
	SKIP: {
		skip 'root writes everywhere', 2 if $> == 0;
		chmod 0500, $dir, "$dir/data", "$dir/metadata";
		my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n" . sprintf($big, ++$n));
		like($err, qr/ERROR:\s+42501/, 'read-only directory: clean error');
		is(sql(sprintf($small, ++$n), "SELECT count(*) FROM t WHERE batch = $n"), 5, 'small rows go to the delta');
		chmod 0700, $dir, "$dir/data", "$dir/metadata";
		committed();
		check('read-only directory');
	}
}

$node->restart;
check('restart');

done_testing();
