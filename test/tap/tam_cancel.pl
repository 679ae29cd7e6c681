# A statement that is cancelled ends soon, wherever it is, and leaves nothing: each
# runs with a timeout that doubles until it comes to its end.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $PATIENCE = 5;		# seconds: the machine may be busy

my $node = Lakehouse::new_node('cancel', conf => <<'CONF');
autovacuum = off
fsync = off
lakehouse.publish = '1h'
max_parallel_workers_per_gather = 0
CONF

sub sql { my (@statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

my $STATE = 'SELECT count(*), sum(id), sum(v), count(s), max(atttypid::regtype::text) FROM t, pg_attribute WHERE attrelid = \'t\'::regclass AND attname = \'v\'';

# Cancels the statement as often as it takes.  `keeps`: it changes no rows.
sub cancel_until_done
{
	my ($what, $statement, %opt) = @_;
	my ($cancelled, $worst, $timeout) = (0, 0, 2);
	my $before = sql($STATE);
	my ($code, $err);

	while (1)
	{
		my $begin = time;

		($code, undef, $err) = $node->psql('postgres', $statement,
			extra_params => [ '-v', 'VERBOSITY=verbose' ], on_error_stop => 1, timeout => 600,
			connstr => $node->connstr('postgres') . " options='-c statement_timeout=$timeout'");
		last if $code == 0 || $err !~ /ERROR:  57014/;
		my $late = time - $begin - $timeout / 1000;
		$worst = $late if $late > $worst;
		$cancelled++;
		if (!$opt{keeps} && sql($STATE) ne $before)
		{
			fail("$what: a cancelled one leaves nothing");
			return;
		}
		$timeout *= 2;
	}
	is($err =~ /ERROR/ ? $err : '', '', "$what: nothing but cancelled");
	cmp_ok($worst, '<', $PATIENCE, "$what: $cancelled cancelled soon");
	note sprintf '%s: %d cancelled, %.2f s late at worst', $what, $cancelled, $worst;
	return;
}

sql('CREATE TABLE t (id int, v int, s text, e vector(16)) USING lakehouse WITH (row_group_rows = 10000)',
	'CREATE FUNCTION vec(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS $$ SELECT array_agg(sin(i * k))::vector FROM generate_series(1, 16) k $$');
my $ROWS = "SELECT i, i %% 1000, md5(i::text), NULL FROM generate_series(%d, %d) i";
sql(sprintf("INSERT INTO t $ROWS", 1, 80_000), "UPDATE t SET e = vec(id) WHERE id <= 3000");

cancel_until_done('bulk INSERT', sprintf("INSERT INTO t $ROWS", 80_001, 140_000));
$node->safe_psql('postgres', sprintf("COPY (SELECT i, 1, md5(i::text) FROM generate_series(1, 60000) i) TO '%s/in'", $node->data_dir));
cancel_until_done('COPY', sprintf("COPY t (id, v, s) FROM '%s/in'", $node->data_dir));
cancel_until_done('scan', 'SELECT count(DISTINCT s) FROM t');
cancel_until_done('publish', "SELECT lakehouse.publish('t')", keeps => 1);
cancel_until_done('scan of files', 'SELECT count(DISTINCT s) FROM t WHERE v > 3');
cancel_until_done('aggregate', 'SELECT sum(id), max(s), count(e) FROM t');
cancel_until_done('CREATE INDEX', 'CREATE INDEX t_id ON t (id)');
cancel_until_done('CREATE INDEX USING hnsw', 'CREATE INDEX t_e ON t USING hnsw (e vector_l2_ops)');
cancel_until_done('CREATE INDEX USING ivfflat', 'CREATE INDEX t_i ON t USING ivfflat (e vector_l2_ops) WITH (lists = 10)');
cancel_until_done('nearest', "SELECT id FROM t ORDER BY e <-> vec(7), id LIMIT 10");
cancel_until_done('UPDATE', 'UPDATE t SET v = v + 1 WHERE id % 10 = 0');
cancel_until_done('DELETE', 'DELETE FROM t WHERE id % 5 = 1');
cancel_until_done('publish of deletes', "SELECT lakehouse.publish('t')", keeps => 1);
cancel_until_done('ANALYZE', 'ANALYZE t');
cancel_until_done('VACUUM', 'VACUUM t');
cancel_until_done('verify', "SELECT * FROM lakehouse.verify('t')");
cancel_until_done('time travel', 'SELECT count(DISTINCT s) FROM t TABLESAMPLE lakehouse.as_of_version(1)');
cancel_until_done('REINDEX', 'REINDEX TABLE t');
cancel_until_done('CLUSTER', 'CLUSTER t USING t_id');
cancel_until_done('VACUUM FULL', 'VACUUM FULL t');
cancel_until_done('ALTER TYPE', 'ALTER TABLE t ALTER v TYPE bigint');
cancel_until_done('SET ACCESS METHOD', 'ALTER TABLE t SET ACCESS METHOD heap');
cancel_until_done('and back', 'ALTER TABLE t SET ACCESS METHOD lakehouse');
is(sql("SELECT * FROM lakehouse.verify('t')"), '', 'nothing is wrong');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|ERROR:  XX|WARNING/, 'nothing worse in the log');

$node->stop;
done_testing();
