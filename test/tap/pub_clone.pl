# A database made from a template has the same tables, OIDs and relation files.
# Each publishes under a folder of its own, and neither touches what the other
# has published or needs.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = Lakehouse::new_node('clone');

sub sql { my ($db, @statements) = @_; return $node->safe_psql($db, join(";\n", @statements)); }

sub location { my ($db) = @_; return sql($db, "SELECT lakehouse.metadata_location('t')"); }

sub hint
{
	my ($db) = @_;
	(my $path = location($db)) =~ s{^file://(.*)/[^/]+$}{$1/version-hint.text};
	return slurp_file($path);
}

sql('postgres', 'CREATE DATABASE original');
sql('original', 'CREATE EXTENSION lakehouse');
sql('original', 'CREATE TABLE t (a int) USING lakehouse');
sql('original', 'INSERT INTO t SELECT generate_series(1, 20)');
sql('original', "SELECT lakehouse.publish('t')");
sql('original', 'INSERT INTO t VALUES (21)');
my $hint = hint('original');

# with the publisher of the template alive
sql('postgres', 'CREATE DATABASE clone TEMPLATE original');
is(sql('clone', 'SELECT count(*), sum(a) FROM t'), '21|231', 'the clone has the rows, published or not');

sql('clone', 'INSERT INTO t VALUES (100)');
sql('clone', "SELECT lakehouse.publish('t')");
isnt(location('clone'), location('original'), 'it publishes elsewhere');
is(hint('original'), $hint, "and leaves the template's hint alone");
is(sql('clone', 'SELECT count(*), sum(a) FROM t'), '22|331', 'its rows');
is(sql('clone', 'SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of_version(1)'), '20', 'the old version');
is(sql('clone', <<'SQL'), '0', 'no current file of the clone lies in the folder of the template');
SELECT count(*) FROM lakehouse.files f, pg_database d
WHERE d.datname = 'original' AND removed_version IS NULL AND path LIKE '%/lakehouse/' || d.oid || '/%'
SQL

# a template that is gone leaves what its clones read
sql('postgres', 'CREATE DATABASE middle TEMPLATE original');
sql('middle', 'INSERT INTO t SELECT generate_series(1000, 1100)');
sql('middle', "SELECT lakehouse.publish('t')");
my $version = sql('middle', 'SELECT max(version) FROM lakehouse.versions');
sql('postgres', 'CREATE DATABASE last TEMPLATE middle');
my $middle = sql('postgres', "SELECT oid FROM pg_database WHERE datname = 'middle'");
sql('postgres', $_) for 'DROP DATABASE middle', 'CREATE DATABASE unused', 'DROP DATABASE unused';
$node->restart;
is(sql('last', "SELECT count(*) FROM t"), '122', 'a clone of a clone');
ok(-d $node->data_dir . "/lakehouse/$middle", 'the folder of its template stays');
sql('last', "SELECT lakehouse.publish('t')");
is(sql('last', "SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of_version($version)"), '122', 'and the version that its template wrote');
my $last = sql('postgres', "SELECT oid FROM pg_database WHERE datname = 'last'");
sql('postgres', 'DROP DATABASE last');
for (1 .. 300) { last if !-d $node->data_dir . "/lakehouse/$last"; usleep(100_000); }
ok(!-d $node->data_dir . "/lakehouse/$last", 'its own goes with it');

# what the template drops, clones keep, whether they have published it anew or not
sub swept
{
	my ($db) = @_;
	return $node->poll_query_until($db, 'SELECT count(*) = 0 FROM lakehouse.lake_garbage');
}

sql('postgres', 'CREATE DATABASE untouched TEMPLATE original');
my $files = 'SELECT count(*) FROM lakehouse.files f, pg_stat_file(replace(f.path, $$file://$$, $$$$), true) s WHERE s.size IS NOT NULL';
my ($whole) = sql('untouched', $files);
sql('original', 'CREATE TABLE later (a int) USING lakehouse', 'INSERT INTO later VALUES (1)');
sql('original', "SELECT lakehouse.publish('later')");
my $later = sql('original', "SELECT path FROM lakehouse.files WHERE table_name = 'later'::regclass") =~ s{^file://}{}r;
ok(-e $later, 'a table that no clone has');
sql('original', 'DROP TABLE t, later');
ok(swept('original'), 'what was dropped is swept');
ok(!-e $later, 'what no clone has goes');
$node->restart;
sql('original', 'CREATE TABLE other (a int) USING lakehouse');
sql('original', "SELECT lakehouse.publish('other')");
is(sql('untouched', $files), $whole, 'what a clone has stays');
is(sql('untouched', 'SELECT count(*), sum(a) FROM t'), '21|231', 'its rows');
is(sql('untouched', "SELECT * FROM lakehouse.verify('t')"), '', 'which verify() finds well');
is(sql('clone', 'SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of_version(1)'), '20', 'and its old version');

# a location of the user's choice: files of template and clone lie side by side
my $place = PostgreSQL::Test::Utils::tempdir();
sql('original', "CREATE TABLE placed (a int) USING lakehouse WITH (location = 'file://$place', publish = '1h')");
sql('original', 'SET lakehouse.bulk_threshold = 0', 'INSERT INTO placed SELECT generate_series(1, 100)');
sql('postgres', 'CREATE DATABASE beside TEMPLATE original');
sql('beside', 'DROP TABLE placed');
ok(swept('beside'), 'the clone has dropped its table');
is(sql('original', 'SELECT count(*), sum(a) FROM placed'), '100|5050', 'the template has its rows still');
sql('postgres', 'CREATE DATABASE another TEMPLATE original');
sql('original', 'DROP TABLE placed');
ok(swept('original'), 'the template has dropped its own');
is(sql('another', 'SELECT count(*), sum(a) FROM placed'), '100|5050', 'the other clone has its rows still');
sql('postgres', "DROP DATABASE $_") for qw(untouched beside another);
is(sql('clone', 'SELECT count(*), sum(a) FROM t'), '22|331', 'the clone has its rows still');
sql('clone', 'INSERT INTO t VALUES (5)');
sql('clone', "SELECT lakehouse.publish('t')");
is(sql('clone', 'SELECT rows FROM lakehouse.versions ORDER BY version DESC LIMIT 1'), '23', 'and goes on publishing');

# commands that need a database to themselves, with a publisher just woken
for my $round (1 .. 3)
{
	sql('clone', "INSERT INTO t VALUES ($round)");
	sql('postgres', 'ALTER DATABASE clone RENAME TO renamed');
	sql('renamed', "INSERT INTO t VALUES ($round)");
	sql('postgres', 'ALTER DATABASE renamed RENAME TO clone');
}
is(sql('clone', 'SELECT count(*) FROM t'), '29', 'rows after renaming');
sql('clone', 'INSERT INTO t VALUES (0)');
sql('postgres', 'DROP DATABASE clone');
sql('original', 'INSERT INTO other VALUES (1)');
sql('postgres', 'DROP DATABASE original');
is(sql('postgres', 'SELECT count(*) FROM pg_database WHERE datname IN (\'clone\', \'original\')'), '0', 'both dropped');

done_testing();
