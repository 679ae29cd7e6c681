# Deletes and updates, published while everything goes wrong: the publisher dies at
# each step, sessions change the same rows at once, old snapshots look on while files
# are written anew.  A heap changed in the same transactions says what is right, and
# lakehouse.verify() that nothing is broken.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = Lakehouse::new_node('deletes', init => [ allows_streaming => 1 ], conf => <<'CONF');
lakehouse.bulk_threshold = 1000
lakehouse.row_group_rows = 1000
max_worker_processes = 16
CONF

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

# The same statements on both, in one transaction.
sub both { my ($run, @statements) = @_; my @all; for my $s (@statements) { for my $name ('t', 'h') { push @all, $s =~ s/\bT\b/$name/gr } } return $run->('BEGIN', @all, 'COMMIT'); }

sub same
{
	my ($what, $suffix) = @_;
	$suffix //= '';
	is(sql("SELECT count(*) FROM ((TABLE h EXCEPT ALL SELECT * FROM t $suffix) UNION ALL (SELECT * FROM t $suffix EXCEPT ALL TABLE h)) x"),
		0, "$what: the rows of the heap");
	return;
}

# Objects in data/ that the catalog does not know.
sub orphans
{
	my %known = map { $_ => 1 } split /\n/,
	  sql('SELECT regexp_replace(name, $$.*/$$, $$$$) FROM (SELECT name FROM lakehouse.lake_file UNION ALL SELECT name FROM lakehouse.lake_delete) x');
	my @left;

	for (1 .. 100)
	{
		@left = grep { /\.tmp-/ || (m{/data/([^/]+\.parquet)$} && !$known{$1}) } Lakehouse::lake_files($node);
		last if !@left;
		usleep(100_000);
	}
	return join ' ', @left;
}

sub check
{
	my ($what) = @_;
	same($what);
	is(sql("SELECT * FROM lakehouse.verify('t')"), '', "$what: verify");
	sql("SELECT lakehouse.publish('t')");
	same("$what, published");
	same("$what, as others see it", 'TABLESAMPLE lakehouse.as_of(now())');
	is(sql("SELECT * FROM lakehouse.verify('t')"), '', "$what: verify what is published");
	return;
}

sql('CREATE TABLE t (id int PRIMARY KEY, v int) USING lakehouse', 'CREATE INDEX ON t (v)',
	'CREATE TABLE h (id int PRIMARY KEY, v int) USING heap');
both(\&sql, 'INSERT INTO T SELECT i, 0 FROM generate_series(1, 6000) i');
check('start');

# ---- the publisher dies at each step ----

# A session of a server that may go down meanwhile, or has done so before psql has read what to do.
my $dying = sub {
	eval { $node->psql('postgres', join(";\n", "SET lakehouse.debug_fail_at = ''", @_, "SELECT lakehouse.publish('t')")) };
};
my $n = 6000;
for my $point (qw(publish-file-cataloged publish-delta-moved publish-manifest-written publish-manifest-written:2
	publish-list-written publish-metadata-written publish-commit publish-committed upload.published upload.done compact-rewritten))
{
	my ($name, $pass) = split /:/, $point;
	my @dml = ("DELETE FROM T WHERE hashint4(id + $n) % 9 = 0", "UPDATE T SET v = v + 1 WHERE id % 50 = $n % 50",
		"INSERT INTO T SELECT $n + i, 1 FROM generate_series(1, 500) i", "DELETE FROM T WHERE id = $n + 7");

	Lakehouse::arm($node, "$name:" . ($pass // 1) . ':kill');
	usleep(200_000);
	both($dying, @dml);
	for (1 .. 20)
	{
		last if !-e $node->data_dir . '/postmaster.pid';
		# compaction may have nothing to do yet: give it something
		last if $name ne 'compact-rewritten';
		both($dying, "DELETE FROM T WHERE hashint4(id + $_) % 5 = 0");
	}
	ok(Lakehouse::wait_down($node), "publisher killed at $point");
	Lakehouse::start($node);
	$n += 500;
	check("after $point");
	is(orphans(), '', "after $point: no orphans");
}

# ---- several sessions on the same rows, and one that looks back ----

my $loop = <<'SQL';
DO $$
DECLARE
	k int;
	stop timestamptz := clock_timestamp() + '5 s';
BEGIN
	PERFORM setseed(%s);
	WHILE clock_timestamp() < stop LOOP
		k := 1 + floor(random() * 12000);
		PERFORM FROM h WHERE id = k FOR UPDATE;
		IF FOUND THEN
			IF random() < 0.4 THEN
				DELETE FROM t WHERE id = k;
				DELETE FROM h WHERE id = k;
			ELSE
				BEGIN
					UPDATE t SET v = -1 WHERE id BETWEEN k AND k + 20;
					RAISE division_by_zero;
				EXCEPTION WHEN division_by_zero THEN
				END;
				UPDATE t SET v = v + 1 WHERE id = k;
				UPDATE h SET v = v + 1 WHERE id = k;
			END IF;
		ELSIF random() < 0.5 THEN
			INSERT INTO h VALUES (k, 0) ON CONFLICT DO NOTHING;
			IF FOUND THEN
				INSERT INTO t VALUES (k, 0);
			END IF;
		END IF;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$
SQL
my $back = <<'SQL';
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE TEMP TABLE before AS TABLE t;
SELECT pg_sleep(0.7);
SELECT count(*) FROM ((TABLE before EXCEPT ALL TABLE t) UNION ALL (TABLE t EXCEPT ALL TABLE before)) x;
SELECT count(*) FROM ((TABLE h EXCEPT ALL TABLE t) UNION ALL (TABLE t EXCEPT ALL TABLE h)) x;
ROLLBACK;
SELECT * FROM lakehouse.verify('t');
SQL
my @errors;
my @sessions = map {
	my $err = '';
	push @errors, \$err;
	IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', sprintf($loop, $_ / 10) ],
		'>', '/dev/null', '2>', $errors[-1])
} 1 .. 3;
my ($bad, $looks) = ('', 0);
while (grep { $_->pumpable } @sessions)
{
	my $found = sql($back) =~ s/^\n//r;

	$bad .= $found if $found !~ /^0\n0$/;
	$looks++;
	# one that has just ended dies of it
	eval { $_->pump_nb } for @sessions;
}
$_->finish for @sessions;
is(join('', map { grep { !/deadlock|could not serialize/ } $$_ } @errors), '', 'no session failed');
is($bad, '', 'an old snapshot sees the same rows again, and those of the heap');
cmp_ok($looks, '>', 1, 'and has looked more than once');
check('after all sessions');
cmp_ok(sql("SELECT count(*) FROM lakehouse.versions WHERE delete_files > 0"), '>', 3, 'versions with deletes were made');
cmp_ok(sql("SELECT count(*) FROM lakehouse.versions WHERE operation = 'replace'"), '>', 3, 'and files were written anew');

# every version has as many rows as it says
is(sql(q{
	DO $$ DECLARE v record; n bigint; BEGIN
		FOR v IN SELECT version, rows FROM lakehouse.versions WHERE table_name = 't'::regclass LOOP
			SELECT count(*) INTO n FROM t TABLESAMPLE lakehouse.as_of_version(v.version);
			IF n <> v.rows THEN RAISE EXCEPTION 'version % has % rows, not %', v.version, n, v.rows; END IF;
		END LOOP; END $$}), '', 'all versions have as many rows as they say');
is(sql('SELECT * FROM lakehouse.publisher_status()'), '', 'the publisher is content');

# ---- a copy of the cluster, under another path: delete files name data files by theirs ----

both(\&sql, 'INSERT INTO T SELECT i, 5 FROM generate_series(20001, 26000) i');
sql("SELECT lakehouse.publish('t')");
both(\&sql, 'DELETE FROM T WHERE id > 20000 AND id % 10 = 0');
sql("SELECT lakehouse.publish('t')");
cmp_ok(sql("SELECT count(*) FROM lakehouse.delete_files WHERE removed_version IS NULL"), '>', 0, 'there is a delete file');
my $old = $node->data_dir;
my $copy = Lakehouse::new_standby($node, 'copy');
$node->wait_for_catchup($copy, 'replay', $node->lsn('insert'));
$node->stop;
$copy->promote;
$node = $copy;
check('on the copy');
both(\&sql, 'DELETE FROM T WHERE id BETWEEN 20001 AND 20009');
check('on the copy, more deletes');
is(sql("SELECT count(*) FROM lakehouse.delete_files WHERE removed_version IS NULL AND position('$old' IN path) > 0"), 0, 'under its path');
$node->stop;
done_testing();
