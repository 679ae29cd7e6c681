# Locations of the user's choice may hold more than one table's objects: what is
# dropped or swept is only one's own.  And what a crash must not undo.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Lakehouse::new_node('location');
my $place = 'file://' . PostgreSQL::Test::Utils::tempdir_short();

sub sql { my ($db, @statements) = @_; return $node->safe_psql($db, join(";\n", @statements)); }

sub crash { $node->stop('immediate'); Lakehouse::start($node); return; }

# ---- two tables, one location ----

sql('postgres', "CREATE TABLE first (i int) USING lakehouse WITH (location = '$place/a', bulk_threshold = 0)");
sql('postgres', 'INSERT INTO first SELECT generate_series(1, 1000)');
sql('postgres', "SELECT lakehouse.publish('first')");
sql('postgres', "CREATE TABLE second (i int) USING lakehouse WITH (location = '$place/a', bulk_threshold = 0)");
sql('postgres', 'INSERT INTO second SELECT generate_series(1, 10)');
my ($ret, $out, $err) = $node->psql('postgres', "SELECT lakehouse.publish('second')");
like($err, qr/another table is published at location/, 'the second is not published there');
sql('postgres', 'DROP TABLE second');
sql('postgres', 'CREATE TABLE plain (i int) USING lakehouse');
sql('postgres', "SELECT lakehouse.publish('plain')");
crash();
sql('postgres', "SELECT lakehouse.publish('plain')");
is(sql('postgres', 'SELECT count(*), sum(i) FROM first'), '1000|500500', 'the first has its files');
is(sql('postgres', 'SELECT count(*) FROM first TABLESAMPLE lakehouse.as_of_version(1)'), '1000', 'and its version');

# ---- another database below one's location ----

sql('postgres', 'CREATE DATABASE other');
sql('other', 'CREATE EXTENSION lakehouse');
sql('other', "CREATE TABLE nested (i int) USING lakehouse WITH (location = '$place/a/sub', bulk_threshold = 0)");
sql('other', 'INSERT INTO nested SELECT generate_series(1, 100)');
sql('other', "SELECT lakehouse.publish('nested')");
crash();								# a publisher that starts sweeps
sql('postgres', "SELECT lakehouse.publish('first')");
sql('other', "SELECT lakehouse.publish('nested')");
is(sql('other', 'SELECT count(*), sum(i) FROM nested'), '100|5050', 'the other database has its files');

# ---- row ids after a copy of the metapage and a crash ----

my $dir = PostgreSQL::Test::Utils::tempdir_short();
sql('postgres', "CREATE TABLESPACE ts LOCATION '$dir'");
sql('postgres', 'CREATE TABLE moved (i int) USING lakehouse');
sql('postgres', 'INSERT INTO moved SELECT generate_series(1, 10)');
sql('postgres', "SELECT lakehouse.publish('moved')");
sql('postgres', 'ALTER TABLE moved SET TABLESPACE ts');
sql('postgres', 'INSERT INTO moved SELECT generate_series(11, 20)');
sql('postgres', 'BEGIN', 'INSERT INTO moved SELECT generate_series(21, 40)', "PREPARE TRANSACTION 'p'");
crash();
sql('postgres', 'INSERT INTO moved SELECT generate_series(41, 60)');
sql('postgres', "COMMIT PREPARED 'p'");
is(sql('postgres', 'SELECT count(*), count(DISTINCT ctid), sum(i) FROM moved'), '60|60|1830', 'no row id twice');
sql('postgres', "SELECT lakehouse.publish('moved')");
is(sql('postgres', 'SELECT count(*), count(DISTINCT ctid), sum(i) FROM moved'), '60|60|1830', 'nor after publication');

# ---- a location below another table's ----

my @below = ('metadata', 'metadata/b', 'data', 'data/c');
sql('postgres', "CREATE TABLE above (i int) USING lakehouse WITH (location = '$place/n')", 'INSERT INTO above VALUES (1)');
sql('postgres', "SELECT lakehouse.publish('above')");
for my $n (0 .. $#below)
{
	sql('postgres', "CREATE TABLE below$n (i int) USING lakehouse WITH (location = '$place/n/$below[$n]', bulk_threshold = 0)",
		"INSERT INTO below$n SELECT generate_series(1, 10)");
	sql('postgres', "SELECT lakehouse.publish('below$n')");
}
sql('postgres', 'DROP TABLE above');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM lakehouse.lake_garbage'), 'a table is swept');
crash();
is(sql('postgres', "SELECT count(*) FROM lakehouse.verify('below$_')"), 0, "and leaves that of $below[$_] whole") for 0 .. $#below;

# ---- a snapshot from before VACUUM FULL ----

my $old = $node->background_psql('postgres', on_error_stop => 0);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$old->query_safe('SELECT count(*) FROM plain');
sql('postgres', 'VACUUM FULL first');
$old->query('SELECT count(*) FROM first');
like($old->{stderr}, qr/could not read table "first" with a snapshot from before its rewrite/, 'an error, not an empty table');
$old->quit;
is(sql('postgres', 'SELECT count(*) FROM first'), '1000', 'all rows for everybody else');

# ---- a session that waits for us, while we wait for the publisher ----

my $reader = $node->background_psql('postgres', on_error_stop => 0);
$reader->query_safe('BEGIN');
$reader->query_safe('SELECT count(*) FROM moved');
my $ddl = $node->background_psql('postgres');
$ddl->query_until(qr/asked/, "\\echo asked\nALTER TABLE moved ADD COLUMN j int;\n");
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'");
$reader->query("SELECT lakehouse.publish('moved')");
like($reader->{stderr}, qr/deadlock with the lakehouse publisher/, 'a deadlock is found');
$reader->query('ROLLBACK');
$reader->quit;
$ddl->quit;

done_testing();
