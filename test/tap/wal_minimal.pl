# wal_level = minimal: a file made by a transaction is logged, or synced, at its
# commit, with the row-id counter as it is then.  Ids given after that must not
# be given again after a crash.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

# no publisher: it would log the counter
my $node = Lakehouse::new_node('minimal', conf => <<'CONF');
wal_level = minimal
max_wal_senders = 0
max_worker_processes = 1
autovacuum = off
CONF

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

my %new_file = (
	created => ['CREATE TABLE t (a int) USING lakehouse', 'INSERT INTO t SELECT generate_series(1, 5)'],
	emptied => ['TRUNCATE t', 'INSERT INTO t SELECT generate_series(1, 5)'],
	rewritten => ['TRUNCATE t', 'INSERT INTO t SELECT generate_series(1, 5)', 'ALTER TABLE t ALTER a TYPE bigint'],
	'rewritten and emptied' => ['ALTER TABLE t ALTER a TYPE text', 'TRUNCATE t', 'INSERT INTO t SELECT generate_series(1, 5)'],
	'rolled back' => ['TRUNCATE t', 'SAVEPOINT s', 'INSERT INTO t SELECT generate_series(1, 100)', 'ROLLBACK TO s',
		'INSERT INTO t SELECT generate_series(1, 5)']);

for my $threshold (0, 100000)
{
	for my $how (sort keys %new_file)
	{
		my $what = "$how, wal_skip_threshold = $threshold";

		sql('DROP TABLE IF EXISTS t', $how eq 'created' ? () : 'CREATE TABLE t (a int) USING lakehouse', 'CHECKPOINT');
		sql("SET wal_skip_threshold = $threshold", 'BEGIN', @{ $new_file{$how} }, 'COMMIT');
		sql('INSERT INTO t SELECT generate_series(6, 50)', 'INSERT INTO t SELECT generate_series(51, 60)');
		Lakehouse::kill_postmaster($node);
		Lakehouse::start_killed($node);
		sql('INSERT INTO t SELECT generate_series(61, 120)');
		is(sql('SELECT count(*), count(DISTINCT a), count(DISTINCT ctid) FROM t'), '120|120|120', "$what: rows");
		is(sql("SELECT * FROM lakehouse.verify('t')"), '', "$what: verify()");
	}
}

done_testing();
