# VectorIndex.pm - a vector index under load, on a standby, after a crash and on
# damaged pages: what the tests of all access methods do in the same way.
#
#   my $t = VectorIndex->start('hnsw', create => 'CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops)',
#       search => 'SET hnsw.ef_search = 100', contents => "SELECT md5(...) FROM lakehouse.hnsw_graph('t_v')");
#   $t->load;
#   $t->replay;
#   $t->overwrite([ 3, 6 ], 24, "\0" x 8168);
#
# Table t (i, v) has 1,500 rows, v = point(i), a vector of 48 dimensions.  The
# standby replays every change and compares it with the primary's page.

package VectorIndex;

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

# create: makes the index t_v; search: settings of searches; contents: a query
# whose result is all that is in the index.
sub start
{
	my ($class, $name, %opt) = @_;
	my $node = Lakehouse::new_node('primary', init => [ allows_streaming => 1 ], conf => <<'CONF');
wal_consistency_checking = 'generic'
autovacuum = off
restart_after_crash = off
CONF
	my $self = bless { %opt, name => $name, node => $node, standby => Lakehouse::new_standby($node, 'standby') }, $class;

	$self->sql("CREATE FUNCTION point(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS
		'SELECT array_agg((hashint8(i::int8 * 1000003 + k) % 10007)::float4 / 10007 ORDER BY k)::vector FROM generate_series(1, 48) k'",
		'CREATE TABLE t (i int, v vector(48))',
		'INSERT INTO t SELECT i, point(i) FROM generate_series(1, 1500) i',
		$opt{create},
		'CREATE SEQUENCE s START 100000');
	return $self;
}

sub stop
{
	my ($self) = @_;
	$self->{standby}->stop;
	$self->{node}->stop;
	return;
}

sub sql
{
	my ($self, @statements) = @_;
	return $self->{node}->safe_psql('postgres', join ";\n", @statements);
}

# The statement that asks for the neighbours of the q-th of some points, by the
# index alone or by everything but it.
sub near
{
	my ($self, $q, $by) = @_;
	my ($off, $ties) = ($by // 'index') eq 'index' ? ('enable_seqscan', '') : ('enable_indexscan', ', i');
	return <<"SQL";
SET $off = off;
$self->{search};
SELECT string_agg(i::text, ',') FROM (
	SELECT i FROM t ORDER BY v <-> (SELECT array_agg((($q * 37 + k * k * 11) % 101) / 101.0 ORDER BY k) FROM generate_series(1, 48) k)::vector$ties
	LIMIT 10) a
SQL
}

# What a server answers, one line a point.
sub answers
{
	my ($self, $server, $by) = @_;
	return join "\n", map { $server->safe_psql('postgres', $self->near($_, $by)) } 1 .. 8;
}

# Share of the true neighbours that the index finds.
sub recall
{
	my ($self) = @_;
	my ($hits, $all) = (0, 0);
	my @found = split /\n/, $self->answers($self->{node});
	my @true = split /\n/, $self->answers($self->{node}, 'table');
	for my $q (0 .. $#true)
	{
		my %found = map { $_ => 1 } split /,/, $found[$q];
		my @rows = split /,/, $true[$q];
		$hits += grep { $found{$_} } @rows;
		$all += @rows;
	}
	return $hits / $all;
}

# Inserts, deletes, updates, VACUUM and searches by four at once.
sub load
{
	my ($self) = @_;
	my $name = $self->{name};
	$self->{node}->pgbench(
		'--no-vacuum --client=4 --jobs=1 --transactions=60', 0, [qr{actually processed}], [qr{^$}], 'all at once',
		{
			"${name}_insert\@6" => "INSERT INTO t SELECT n, point(n::int) FROM (SELECT nextval('s') AS n) a;\n",
			"${name}_delete\@4" => "\\set i random(1, 1500)\nDELETE FROM t WHERE i BETWEEN :i AND :i + 4;\n",
			"${name}_vacuum\@1" => "VACUUM (PARALLEL 0) t;\n",
			"${name}_update\@2" => "\\set i random(1, 1500)\nUPDATE t SET v = point(:i + 7000) WHERE i = :i;\n",
			"${name}_search\@6" => "\\set i random(1, 1500)\nSET enable_seqscan = off;\n"
			  . "SELECT count(*) FROM (SELECT i FROM t ORDER BY v <-> point(:i) LIMIT 10) a;\n",
		});
	return;
}

# The standby has what the primary has, and so has the primary after a crash;
# an unlogged index starts empty.
sub replay
{
	my ($self) = @_;
	my ($node, $standby) = @{$self}{qw(node standby)};

	# VACUUM's last records wait in memory for somebody's commit.
	$self->sql('CREATE TABLE flushed ()');
	my $answers = $self->answers($node);
	my $contents = $node->safe_psql('postgres', $self->{contents});
	is($self->answers($node), $answers, 'asked again');
	$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
	is($standby->safe_psql('postgres', $self->{contents}), $contents, 'the standby has the same index');
	is($self->answers($standby), $answers, 'and finds the same');
	unlike(slurp_file($standby->logfile), qr/inconsistent page|PANIC/, 'and has replayed the same pages');

	$node->stop('immediate');
	$node->start;
	is($self->answers($node), $answers, 'so does the server after a crash');

	$self->sql('CREATE UNLOGGED TABLE u (v vector(3))', "CREATE INDEX ON u USING $self->{name} (v vector_l2_ops)",
		"INSERT INTO u VALUES ('[1,2,3]')");
	$node->stop('immediate');
	$node->start;
	$self->sql("INSERT INTO u VALUES ('[1,2,3]')");
	is($self->sql('SET enable_seqscan = off', "SELECT count(*) FROM (SELECT * FROM u ORDER BY v <-> '[1,2,3]') a"), 1,
		'an unlogged index starts empty');
	return;
}

sub n_blocks
{
	my ($self) = @_;
	return $self->sql("SELECT pg_relation_size('t_v') / current_setting('block_size')::int");
}

# Writes bytes at an offset of these blocks of the index, behind the server's
# back.  They may be a function of the block's number.
sub overwrite
{
	my ($self, $blocks, $offset, $bytes) = @_;
	my $file = $self->{node}->data_dir . '/' . $self->sql("SELECT pg_relation_filepath('t_v')");

	$self->{node}->stop;
	open my $fh, '+<:raw', $file or die "$file: $!";
	for my $block (@$blocks)
	{
		seek $fh, $block * 8192 + $offset, 0;
		print $fh ref $bytes ? $bytes->($block) : $bytes;
	}
	close $fh;
	$self->{node}->start;
	return;
}

# The statement is an error that says what is wrong.
sub fails
{
	my ($self, $statement, $what) = @_;
	my ($status, $out, $err) = $self->{node}->psql('postgres', $statement);
	isnt($status, 0, "$what is an error");
	like($err, qr/corrupted|REINDEX|invalid page|could not read block|could not open file/, 'that says so');
	return;
}

1;
