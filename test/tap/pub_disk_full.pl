# A location whose disk is full: what was committed stays and is published when
# there is room again; a statement that writes there fails and leaves nothing.
# On a file system of 1 MB (root only, see test/lib/tap.sh), filled for real.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $tiny = $ENV{LH_TINY_FS};
plan skip_all => 'no small file system: mounting one needs root' if !defined $tiny;

my $PAGE = 4096;						# what tmpfs gives and takes
my $place = "$tiny/lake";
my $filler = "$tiny/filler";
PostgreSQL::Test::Utils::system_or_bail('find', $tiny, '-mindepth', '1', '-delete');

my $node = Lakehouse::new_node('disk', conf => "lakehouse.bulk_threshold = 1000\nautovacuum = off\n");
my ($n, $rows) = (0, 0);

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

# The error of a statement, with SQLSTATE and detail, or ''.
sub error_of
{
	my ($statement) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement");
	return $err =~ /ERROR:\s+(.*)/s ? $1 : '';
}

# Leaves room for so many pages.
sub fill
{
	my ($pages) = @_;
	my $block = 'x' x $PAGE;
	open my $file, '>', $filler or die "$filler: $!";
	$file->autoflush(1);
	while (syswrite($file, $block)) { }
	truncate $file, (-s $filler) > $pages * $PAGE ? (-s $filler) - $pages * $PAGE : 0;
	close $file;
	return;
}

sub make_room { unlink $filler or die "$filler: $!"; return; }

sub insert_small
{
	$n++;
	sql("INSERT INTO t SELECT $n, i, repeat('x', 100) FROM generate_series(1, 10) i");
	$rows += 10;
	return;
}

# All rows are there, in Postgres and in what is published.
sub check
{
	my ($what) = @_;
	is(error_of("SELECT lakehouse.publish('t')"), '', "$what: published");
	is(sql('SELECT count(*), count(DISTINCT (batch, i)) FROM t'), "$rows|$rows", "$what: rows");
	is(sql("SELECT rows FROM lakehouse.versions WHERE table_name = 't'::regclass ORDER BY version DESC LIMIT 1"), $rows,
		"$what: rows of the version");
	is(sql('SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of(now())'), $rows, "$what: and as read from it");
	return;
}

sub temp_files { return join ' ', Lakehouse::temp_files($node, $place); }

sql("CREATE TABLE t (batch int, i int, payload text) USING lakehouse WITH (location = 'file://$place', publish = '1h')");
insert_small();
check('empty disk');

# ---- nothing fits ----

fill(0);
insert_small();
is(sql('SELECT count(*) FROM t'), $rows, 'commits need no room there');
like(error_of("SELECT lakehouse.publish('t')"), qr/^53100: .*No space left/s, 'publish() tells');
like(sql("SELECT last_error FROM lakehouse.publisher_status() WHERE relation = 't'::regclass"), qr/No space left/, 'and so does publisher_status()');
like(error_of("INSERT INTO t SELECT 0, i, md5(i::text) FROM generate_series(1, 5000) i"), qr/^53100: .*No space left/s, 'a direct write fails');
is(sql('SELECT count(*) FROM t'), $rows, 'and adds no row');
is(temp_files(), '', 'nor leaves a file');
make_room();
check('room again');

# ---- a disk that is full in the middle of a file ----

fill(16);
like(error_of("INSERT INTO t SELECT 0, i, md5(i::text) FROM generate_series(1, 5000) i"), qr/^53100: .*No space left/s, 'a direct write fails on its way');
is(temp_files(), '', 'and gives back what it had');
make_room();
check('after half a file');

# ---- a disk that is full at each object of a version in turn ----

my ($failed, $succeeded) = (0, 0);
for my $pages (1 .. 14)
{
	fill($pages);
	insert_small();
	my $error = error_of("SELECT lakehouse.publish('t')");
	if ($error eq '') { $succeeded++; }
	else { $failed++; }
	like($error, qr/^$|^53100: .*No space left/s, "room for $pages pages: no other error");
	is(sql('SELECT count(*), count(DISTINCT (batch, i)) FROM t'), "$rows|$rows", "room for $pages pages: rows");
	make_room();
	check("room for $pages pages, then for all");
}
ok($failed >= 3, "$failed publications met a full disk");
ok($succeeded >= 1, "$succeeded fitted");
is(temp_files(), '', 'no temporary files');

# ---- what readers that know only the folder find ----

my ($newest) = sql("SELECT lakehouse.metadata_location('t')") =~ m{/([^/]*)\.metadata\.json$};
is(PostgreSQL::Test::Utils::slurp_file("$place/metadata/version-hint.text"), $newest, 'the hint names the newest version');

$node->stop('fast');
PostgreSQL::Test::Utils::system_or_bail('find', $tiny, '-mindepth', '1', '-delete');
done_testing();
