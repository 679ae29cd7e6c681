# Objects travel by WAL: a streaming standby has every table, version and object
# that the primary has, whatever happens to either; queries there are ended or
# waited for before what they read goes; after promotion it goes on publishing.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $conf = <<'CONF';
lakehouse.bulk_threshold = 100
autovacuum = off
CONF
my $primary = Lakehouse::new_node('primary', init => [ allows_streaming => 1 ], conf => $conf);
my $standby = Lakehouse::new_standby($primary, 'standby', conf => "max_standby_streaming_delay = 100ms\nhot_standby_feedback = off\n");

sub sql { return $primary->safe_psql('postgres', join(";\n", @_)); }

sub there { return $standby->safe_psql('postgres', join(";\n", @_)); }

sub catch_up { $primary->wait_for_catchup($standby); return; }

my $digest = q{SELECT count(*), coalesce(sum(i), 0), md5(string_agg(i || t, ',' ORDER BY i)) FROM };
my $versions = q{SELECT string_agg(version || ' ' || snapshot_id || ' ' || rows, ',' ORDER BY version) FROM lakehouse.versions WHERE table_name = 't'::regclass};

# The publisher may be at work between the one look and the other.
sub same_soon
{
	my ($what, $there, $here) = @_;
	my ($got, $expected);

	for (1 .. 100)
	{
		($got, $expected) = ($there->(), $here->());
		last if $got eq $expected;
		usleep(200_000);
	}
	is($got, $expected, $what);
	return;
}

# Both have the same rows in every version, and the same objects.
sub same
{
	my ($what, @tables) = @_;

	catch_up();
	is(there("$digest $_"), sql("$digest $_"), "$what: rows of $_") for @tables;
	same_soon("$what: versions", sub { there($versions) }, sub { sql($versions) }) if grep { $_ eq 't' } @tables;
	same_soon("$what: objects", sub { Lakehouse::lake_digest($standby) }, sub { Lakehouse::lake_digest($primary) });
	return;
}

# ---- reading ----

sql('CREATE TABLE t (i int, t text) USING lakehouse');
# several chunks of 128 kB a file, hard to compress
my $fill = q{INSERT INTO t SELECT i, md5(i::text) || md5((i + 1)::text) FROM generate_series(%d, %d) i};
sql(sprintf($fill, 1, 20000));
sql("SELECT lakehouse.publish('t')");
sql(sprintf($fill, 20001, 20010));
same('before publication', 't');
sql("SELECT lakehouse.publish('t')");
# enough small versions to be merged
for my $n (1 .. 9)
{
	sql(sprintf($fill, 30000 + $n * 10, 30009 + $n * 10));
	sql("SELECT lakehouse.publish('t')");
}
ok($primary->poll_query_until('postgres', q{SELECT count(*) > 0 FROM lakehouse.versions WHERE operation = 'replace'}), 'small files were merged');
same('versions', 't');
my $last = sql(q{SELECT max(version) FROM lakehouse.versions});
for my $version (1 .. $last)
{
	is(there("$digest t TABLESAMPLE lakehouse.as_of_version($version)"),
		sql("$digest t TABLESAMPLE lakehouse.as_of_version($version)"), "version $version");
}
my $there = $standby->data_dir . '/lakehouse/';
like(there(q{SELECT lakehouse.metadata_location('t')}), qr{^file://\Q$there\E}, 'the standby reads its own copy');
is(there(q{SELECT count(*) FROM lakehouse.files WHERE path NOT LIKE 'file://} . $there . q{%'}), 0, 'of every file');
my ($rc, $out, $err) = $standby->psql('postgres', q{SELECT lakehouse.publish('t')});
like($err, qr/cannot execute lakehouse.publish\(\) during recovery/, 'nothing is published there');
is(there(q{SELECT count(*) > 0 FROM t TABLESAMPLE lakehouse.as_of(now() + interval '1 day')}), 't', 'nor waited for');

# ---- what goes on the primary ----

sql('CREATE TABLE gone (i int, t text) USING lakehouse');
sql(sprintf($fill, 1, 3000) =~ s/INTO t/INTO gone/r, "SELECT lakehouse.publish('gone')");
sql('CREATE TABLE emptied (i int, t text) USING lakehouse');
sql(sprintf($fill, 1, 3000) =~ s/INTO t/INTO emptied/r, "SELECT lakehouse.publish('emptied')");
same('more tables', qw(gone emptied));
sql('TRUNCATE emptied', "SELECT lakehouse.publish('emptied')");
same('TRUNCATE', 'emptied');
is(there('SELECT count(*) FROM emptied TABLESAMPLE lakehouse.as_of_version(1)'), 3000, 'rows of before are in the old version');

# a query that reads the table is ended after max_standby_streaming_delay
my $query = $standby->background_psql('postgres', on_error_stop => 0);
$query->query_until(qr/started/, "\\echo started\nSELECT count(*), pg_sleep(600) FROM gone;\n");
ok($standby->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}), 'a long query on the standby');
my $folder = sql(q{SELECT regexp_replace(lakehouse.metadata_location('gone'), '^.*/lakehouse/(.*)/metadata/.*$', '\1')});
sql('DROP TABLE gone');
catch_up();
$query->query('SELECT 1');
like($query->{stderr}, qr/conflict with recovery/, 'is cancelled when the table is dropped');
$query->quit;
for (1 .. 100) { last if !-d "$there$folder"; usleep(100_000); }
ok(!-d "$there$folder", 'nothing is left of a dropped table, nor its directory');

# ---- databases ----

sql('CREATE DATABASE other TEMPLATE postgres');
$primary->safe_psql('other', sprintf($fill, 50000, 50500));
$primary->safe_psql('other', "SELECT lakehouse.publish('t')");
catch_up();
is($standby->safe_psql('other', "$digest t"), $primary->safe_psql('other', "$digest t"), 'rows of a database made from a template');
is(there("$digest t"), sql("$digest t"), 'and of the template');
my $oid = sql(q{SELECT oid FROM pg_database WHERE datname = 'other'});
ok(-e $standby->data_dir . "/pg_lakehouse/$oid", 'marker of the database');
sql('DROP DATABASE other');
catch_up();
ok(!-e $standby->data_dir . "/pg_lakehouse/$oid", 'goes with it');
for (1 .. 300) { last if !grep { -d $_->data_dir . "/lakehouse/$oid" } $primary, $standby; usleep(100_000); }
ok(!-d $primary->data_dir . "/lakehouse/$oid", 'and its objects');
ok(!-d $standby->data_dir . "/lakehouse/$oid", 'on both');

# ---- kill -9 of the standby in the middle of replay ----

for my $round (1 .. 3)
{
	my $writer = $primary->background_psql('postgres');
	$writer->query_until(qr/started/, "\\echo started\n" .
		join('', map { sprintf($fill, 100000 * $round + $_ * 3000, 100000 * $round + $_ * 3000 + 2999) . ";\n" } 0 .. 9) .
		"CHECKPOINT;\n");
	usleep(150_000 * $round);
	Lakehouse::kill_postmaster($standby);
	$writer->quit;
	Lakehouse::start_killed($standby);
	same("kill -9, round $round", 't');
}

# ---- logging that ends in the middle ----

like(Lakehouse::fail_session($primary, 'upload.log_chunk:3:error', sprintf($fill, 1, 20000)), qr/XX000/, 'an error while a file is logged');
like(Lakehouse::fail_session($primary, 'upload.log:1:error', sprintf($fill, 1, 20000)), qr/XX000/, 'and before');
same('errors while logging', 't');
is(join(' ', Lakehouse::temp_files($standby)), '', 'nothing half done is left on the standby');

# ---- promotion ----

sql('CREATE DATABASE late');
$primary->safe_psql('late', 'CREATE EXTENSION lakehouse');
$primary->safe_psql('late', q{CREATE TABLE l (i int) USING lakehouse WITH (publish = '1h')});
$primary->safe_psql('late', 'INSERT INTO l VALUES (1)');
$primary->safe_psql('late', "SELECT lakehouse.publish('l')");
$primary->safe_psql('late', 'INSERT INTO l VALUES (2)');
sql(sprintf($fill, 1, 50));
catch_up();
my $before = sql("$digest t");
my $newest = sql(q{SELECT max(version) FROM lakehouse.versions});
$primary->stop('immediate');
rename $primary->data_dir . '/lakehouse', $primary->data_dir . '/lakehouse.away' or die $!;
$standby->promote;
is(there("$digest t"), $before, 'rows after promotion');
there(sprintf($fill, 70000, 79999));
there("SELECT lakehouse.publish('t')");
isnt(there("$digest t"), $before, 'and more');
is(there("SELECT (SELECT count(*) FROM t) = (SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of(now()))"), 't', 'published');
is(there("SELECT count(*) FROM t TABLESAMPLE lakehouse.as_of_version(1)"), 20000, 'with the versions of before');
my ($metadata) = slurp_file(there(q{SELECT lakehouse.metadata_location('t')}) =~ s{^file://}{}r);
my $away = $primary->data_dir;
unlike($metadata, qr/\Q$away\E/, 'the metadata names no object of the former primary');
# its launcher knows the databases: nobody writes or waits there
ok($standby->poll_query_until('late', q{SELECT max(rows) = 2 FROM lakehouse.versions}), 'a database made after the backup is published');
$standby->restart;
there("SELECT lakehouse.publish('t')");
is(join(' ', Lakehouse::temp_files($standby)), '', 'no temporary files');

done_testing();
