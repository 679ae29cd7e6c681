# hnsw indexes under load: inserts, deletes, VACUUM and searches at once with
# every change replayed and compared; a standby and a server that was killed
# find what the primary found; a page that was overwritten is an error.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Lakehouse::new_node('primary', init => [ allows_streaming => 1 ], conf => <<'CONF');
wal_consistency_checking = 'generic'
autovacuum = off
restart_after_crash = off
CONF
my $standby = Lakehouse::new_standby($node, 'standby');

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

my $near = <<'SQL';
SET enable_seqscan = off;
SET hnsw.ef_search = 100;
SELECT string_agg(i::text, ',') FROM (
	SELECT i FROM t ORDER BY v <-> (SELECT array_agg(((q * 37 + k * k * 11) % 101) / 101.0 ORDER BY k) FROM generate_series(1, 48) k)::vector
	LIMIT 10) a
SQL

sub answers
{
	my ($server) = @_;
	return join "\n", map { (my $sql = $near) =~ s/\bq\b/$_/g; $server->safe_psql('postgres', $sql) } 1 .. 8;
}

# Share of the true neighbours that the index finds.
sub recall
{
	my ($hits, $all) = (0, 0);
	for my $q (1 .. 8)
	{
		(my $sql = $near) =~ s/\bq\b/$q/g;
		my %found = map { $_ => 1 } split /,/, $node->safe_psql('postgres', $sql);
		$sql =~ s/enable_seqscan/enable_indexscan/;
		my @true = split /,/, $node->safe_psql('postgres', $sql);
		$hits += grep { $found{$_} } @true;
		$all += @true;
	}
	return $hits / $all;
}

sql("CREATE FUNCTION point(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS
	'SELECT array_agg((hashint8(i::int8 * 1000003 + k) % 10007)::float4 / 10007 ORDER BY k)::vector FROM generate_series(1, 48) k'",
	'CREATE TABLE t (i int, v vector(48))',
	'INSERT INTO t SELECT i, point(i) FROM generate_series(1, 1500) i',
	'CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops)',
	'CREATE SEQUENCE s START 100000');

# ---- everything at once ----

$node->pgbench(
	'--no-vacuum --client=4 --jobs=1 --transactions=60', 0, [qr{actually processed}], [qr{^$}], 'all at once',
	{
		'hnsw_insert@6' => "INSERT INTO t SELECT n, point(n::int) FROM (SELECT nextval('s') AS n) a;\n",
		'hnsw_delete@4' => "\\set i random(1, 1500)\nDELETE FROM t WHERE i BETWEEN :i AND :i + 4;\n",
		'hnsw_vacuum@1' => "VACUUM (PARALLEL 0) t;\n",
		'hnsw_update@2' => "\\set i random(1, 1500)\nUPDATE t SET v = point(:i + 7000) WHERE i = :i;\n",
		'hnsw_search@6' => "\\set i random(1, 1500)\nSET enable_seqscan = off;\n"
		  . "SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> point(:i) LIMIT 10) a;\n",
	});
cmp_ok(recall(), '>=', 0.9, 'recall after it');
sql('VACUUM t');
cmp_ok(recall(), '>=', 0.9, 'recall after VACUUM');

# ---- standby and crash ----

# All there is in the graph: what searches find follows from it.
sub graph
{
	my ($server) = @_;
	return $server->safe_psql('postgres', "SELECT md5(string_agg(g::text, ';' ORDER BY node)) FROM lakehouse.hnsw_graph('t_v') g");
}

# VACUUM's last records wait in memory for somebody's commit.
sql('CREATE TABLE flushed ()');
my $answers = answers($node);
my $graph = graph($node);
is(answers($node), $answers, 'asked again');
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is(graph($standby), $graph, 'the standby has the same graph');
is(answers($standby), $answers, 'and finds the same');
unlike(slurp_file($standby->logfile), qr/inconsistent page|PANIC/, 'and has replayed the same pages');

$node->stop('immediate');
$node->start;
is(answers($node), $answers, 'so does the server after a crash');

sql('CREATE UNLOGGED TABLE u (v vector(3))', 'CREATE INDEX ON u USING hnsw (v vector_l2_ops)', "INSERT INTO u VALUES ('[1,2,3]')");
$node->stop('immediate');
$node->start;
sql("INSERT INTO u VALUES ('[1,2,3]')");
is(sql('SET enable_seqscan = off', "SELECT count(*) FROM (SELECT * FROM u ORDER BY v <-> '[1,2,3]') a"), 1, 'an unlogged index starts empty');

# ---- corruption ----

my $file = $node->data_dir . '/' . sql("SELECT pg_relation_filepath('t_v')");
my $blocks = sql("SELECT pg_relation_size('t_v') / current_setting('block_size')::int");
for my $fill ("\0", "\xff", "\x41")
{
	$node->stop;
	open my $fh, '+<:raw', $file or die "$file: $!";
	for my $block (1 .. $blocks - 1)
	{
		next if $block % 3;
		seek $fh, $block * 8192 + 24, 0;
		print $fh $fill x (8192 - 24);
	}
	close $fh;
	$node->start;
	my ($status, $out, $err) = $node->psql('postgres', (my $sql = $near) =~ s/\bq\b/3/gr);
	isnt($status, 0, 'overwritten pages are an error');
	like($err, qr/corrupted|REINDEX|invalid page/, 'that says so');
	($status, $out, $err) = $node->psql('postgres', "INSERT INTO t VALUES (1, point(5))");
	is($node->safe_psql('postgres', 'SELECT 1'), 1, 'and the server lives');
	sql('REINDEX INDEX t_v');
	cmp_ok(recall(), '>=', 0.9, 'REINDEX helps');
	$file = $node->data_dir . '/' . sql("SELECT pg_relation_filepath('t_v')");
}

$standby->stop;
$node->stop;
done_testing();
