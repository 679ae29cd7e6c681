# A standby is promoted while the primary lives on, and both publish tables on
# shared storage: neither overwrites or removes what the other one needs.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $shared = PostgreSQL::Test::Utils::tempdir_short();
my $old = Lakehouse::new_node('old', init => [ allows_streaming => 1 ], conf => <<"CONF");
lakehouse.bulk_threshold = 100
lakehouse.default_location = 'file://$shared/lake'
autovacuum = off
CONF

sub sql { my ($node, @statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

sub publish { my ($node, @tables) = @_; sql($node, map { "SELECT lakehouse.publish('$_')" } @tables); return; }

sub hint
{
	my ($table) = @_;
	return slurp_file("$shared/$table/metadata/version-hint.text");
}

sub newest { my ($node, $table) = @_; return sql($node, "SELECT regexp_replace(lakehouse.metadata_location('$table'), '^.*/(.*).metadata.json\$', '\\1')"); }

my @tables = qw(a b c);
sql($old, "CREATE TABLE $_ (i int) USING lakehouse WITH (location = 'file://$shared/$_')") for @tables;
sql($old, 'CREATE TABLE d (i int) USING lakehouse');
push @tables, 'd';
for my $table (@tables)
{
	sql($old, "INSERT INTO $table SELECT generate_series(1, 1000)");
	publish($old, $table);
}
my $new = Lakehouse::new_standby($old, 'new');
sql($old, "INSERT INTO $_ SELECT generate_series(1001, 1010)") for @tables;
publish($old, @tables);
$old->wait_for_catchup($new);
is(sql($new, 'SELECT count(*), sum(i) FROM ' . $_), '1010|510555', "the standby reads $_") for @tables;
is(sql($new, 'SELECT count(*) FROM a TABLESAMPLE lakehouse.as_of_version(1)'), 1000, 'and its versions');

# From here on both count transactions, row ids and versions alike.
$new->promote;
publish($new, @tables);
my %rows = ('old' => 1010, 'new' => 1010);

sub both
{
	my ($what, @which) = @_;
	for my $node ($old, $new)
	{
		my $name = $node->name;
		for my $table (@which)
		{
			is(sql($node, "SELECT count(*), count(DISTINCT ctid) FROM $table"), "$rows{$name}|$rows{$name}", "$what: $name has $table");
			is(sql($node, "SELECT count(*) FROM $table TABLESAMPLE lakehouse.as_of(now())"), $rows{$name}, "$what: and its version");
			is(sql($node, "SELECT count(*) FROM $table TABLESAMPLE lakehouse.as_of_version(1)"), 1000, "$what: and the first");
		}
	}
	return;
}

for my $round (1 .. 9)				# nine small files are enough to be merged
{
	for my $node ($round % 2 ? ($old, $new) : ($new, $old))
	{
		my $count = $node->name eq 'old' ? 10 : 20;
		sql($node, "INSERT INTO $_ SELECT generate_series(1, $count)") for @tables;
		sql($node, "INSERT INTO $_ SELECT generate_series(1, 200)") for @tables;
		publish($node, @tables);
		$rows{ $node->name } += $count + 200;
	}
}
both('both go on', @tables);
is(hint('a'), newest($old, 'a'), 'the hint stays with the one that went on first');
isnt(hint('a'), newest($new, 'a'), 'the other one knows its metadata');
like(slurp_file($new->logfile), qr/WARNING:  another cluster publishes a copy of the table/, 'and says so');

my %names = map { $_->name => { map { $_ => 1 } split /\n/, sql($_, 'SELECT name FROM lakehouse.lake_file WHERE added_seq > 2') } } $old, $new;
is(scalar(grep { $names{new}{$_} } keys %{ $names{old} }), 0, 'no name twice');

# crashes: both sweep when they start
for my $node ($old, $new)
{
	Lakehouse::fail_session($node, 'file-finished:1:error', 'INSERT INTO a SELECT generate_series(1, 1000)');
	$node->stop('immediate');
	Lakehouse::start($node);
	publish($node, @tables);
}
both('after crashes', @tables);

# what one drops, the other one keeps
sql($old, 'DROP TABLE a', 'DROP TABLE d');
sql($new, 'DROP TABLE b');
publish($_, 'c') for $old, $new;
$_->poll_query_until('postgres', 'SELECT count(*) = 0 FROM lakehouse.lake_garbage') or die for $old, $new;
$_->restart for $old, $new;
publish($_, 'c') for $old, $new;
both('after drops', 'c');
for my $table ('a', 'd')
{
	is(sql($new, "SELECT count(*) FROM $table"), $rows{new}, "new has $table");
	is(sql($new, "SELECT count(*) FROM $table TABLESAMPLE lakehouse.as_of_version(2)"), 1010, 'and its versions');
	publish($new, $table);
}
is(sql($old, 'SELECT count(*) FROM b'), $rows{old}, 'old has b');
is(sql($old, 'SELECT count(*) FROM b TABLESAMPLE lakehouse.as_of_version(2)'), 1010, 'and its versions');
publish($old, 'b');

# a descendant may remove its own
is(scalar(grep { -e "$shared/b/$_" } grep { $names{new}{$_} } split /\n/, join "\n", keys %{ $names{new} }), 0, 'what new wrote for b is gone');

# a copied directory is another cluster, too, although its timeline is the same
$old->stop;
my $copy = PostgreSQL::Test::Cluster->new('copied');
$old->backup_fs_cold('cold');
$copy->init_from_backup($old, 'cold');
$_->start for $old, $copy;
for my $node ($old, $copy)
{
	sql($node, 'INSERT INTO c SELECT generate_series(1, 200)');
	publish($node, 'c');
}
$rows{old} += 200;
isnt(newest($copy, 'c'), newest($old, 'c'), 'both have published');
sql($copy, 'DROP TABLE c');
$copy->poll_query_until('postgres', 'SELECT count(*) = 0 FROM lakehouse.lake_garbage') or die;
is(sql($old, 'SELECT count(*) FROM c'), $rows{old}, 'and nothing is gone');

done_testing();
