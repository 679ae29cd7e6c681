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

# what the template drops, the clone keeps
sql('original', 'DROP TABLE t');
sql('original', 'CREATE TABLE other (a int) USING lakehouse');
sql('original', "SELECT lakehouse.publish('other')");
my $gone = sql('clone', 'SELECT path FROM lakehouse.files WHERE removed_version IS NOT NULL LIMIT 1') =~ s{^file://}{}r;
for (1 .. 600) { last if !-e $gone; usleep(100_000); }
ok(!-e $gone, "the template's objects are gone");
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
