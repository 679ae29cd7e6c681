# lakehouse.verify(): silent on a sound table, and finds each kind of damage that
# is planted here: in the catalog, in objects, in indexes.

use strict;
use warnings FATAL => 'all';

use Lakehouse;
use PostgreSQL::Test::Utils;
use Test::More;

# Versions are made when the test asks for them, of so few files and deletes
# that nothing is compacted.
my $node = Lakehouse::new_node('verify', conf => "autovacuum = off\nlakehouse.publish = '1h'\n");

sub sql { my (@statements) = @_; return $node->safe_psql('postgres', join(";\n", @statements)); }

my $FINDINGS = "SELECT kind || ': ' || object || ': ' || detail FROM lakehouse.verify('t')";

sub findings { return sql($FINDINGS); }

# What it finds after some statements, which are taken back.
sub findings_after { return sql('BEGIN', @_, $FINDINGS, 'ROLLBACK'); }

sub finds
{
	my ($pattern, $what, @statements) = @_;

	like(findings_after(@statements), $pattern, "finds $what");
	return;
}

# ---- a sound table ----

sql("CREATE TABLE t (id int PRIMARY KEY, big bigint, s text, a int[], p point) USING lakehouse WITH (row_group_rows = 1000)",
	'CREATE INDEX t_big ON t (big DESC) INCLUDE (id)',
	'CREATE INDEX t_part ON t (s) WHERE id % 3 = 0',
	'CREATE INDEX t_hash ON t USING hash (s)',
	'CREATE INDEX t_gin ON t USING gin (a)',
	'CREATE INDEX t_gist ON t USING gist (p)',
	'CREATE INDEX t_spgist ON t USING spgist (p)',
	'CREATE INDEX t_brin ON t USING brin (id)');
is(findings(), '', 'nothing is wrong with an empty table');
my $BIG = 1234605616436508552;
sql('SET lakehouse.bulk_threshold = 0',
	"INSERT INTO t SELECT i, $BIG + i, CASE WHEN i % 5 > 0 THEN md5(i::text) END, ARRAY[i, i % 7], point(i, -i) FROM generate_series(1, 4000) i");
sql("SELECT lakehouse.publish('t')");
is(findings(), '', 'nor with one version');
sql('DELETE FROM t WHERE id % 10 = 0', "UPDATE t SET s = 'new' WHERE id % 50 = 1");
is(findings(), '', 'nor with deletes that are not published');
sql("SELECT lakehouse.publish('t')");
is(findings(), '', 'nor when they are');
sql('DELETE FROM t WHERE id < 5', "INSERT INTO t VALUES (9000), (9001)", 'DELETE FROM t WHERE id = 9001');
is(findings(), '', 'nor with rows in the delta');
is(findings_after("INSERT INTO t VALUES (9002)", 'DELETE FROM t WHERE id = 2000', "UPDATE t SET s = 'x' WHERE id = 3001"),
	'', 'nor in the middle of a transaction');
sql('VACUUM t');
is(findings_after("INSERT INTO t VALUES (9002)"), '', 'nor after VACUUM');
is(sql("SELECT count(*) FROM lakehouse.versions WHERE delete_files > 0"), '1', 'there is a delete file');

# ---- the catalog ----

my $file = 'lakehouse.lake_file WHERE file_id = (SELECT min(file_id) FROM lakehouse.lake_file WHERE row_count > 1000)';
my ($of_file) = $file =~ /(WHERE.*)/;
my $set = 'UPDATE lakehouse.lake_file SET';

finds(qr/^file: .*catalog and footer .*disagree/m, 'a wrong row count', "$set row_count = row_count + 1 $of_file");
finds(qr/^file: .*bytes, not/m, 'a wrong size', "$set byte_count = byte_count + 1 $of_file");
finds(qr/^row id: /m, 'a wrong lowest row id', "$set low_row_id = low_row_id + 1 $of_file");
finds(qr/^row id: /m, 'a wrong highest row id', "$set high_row_id = high_row_id + 1 $of_file");
finds(qr/^row id: /m, 'other row ids', "$set first_row_ids[2] = first_row_ids[2] - 1 $of_file");
finds(qr/^footer: .*not the one in the catalog/m, 'another footer',
	"$set footer = set_byte(footer, length(footer) - 30, (get_byte(footer, length(footer) - 30) + 1) % 256) $of_file");
finds(qr/^catalog: .*said to be in versions 9 /m, 'a version that is to come', "$set added_seq = 9 $of_file");
finds(qr/^metadata: .*no such file of the newest version/m, 'a file missing from the catalog', "DELETE FROM $file");
finds(qr/^tombstone: .*in no file and not in the delta/m, 'deleted rows without a file', "DELETE FROM $file");
finds(qr/^catalog: version 1: /m, 'a version without its file', "DELETE FROM $file");
finds(qr/^row id: t: .*more than once/m, 'a file that is there twice',
	"CREATE TEMP TABLE twin AS SELECT * FROM lakehouse.lake_file $of_file", 'UPDATE twin SET file_id = 1',
	'INSERT INTO lakehouse.lake_file SELECT * FROM twin');
finds(qr/^catalog: version 2: .* rows, not /m, 'a version with another number of rows',
	'UPDATE lakehouse.lake_version SET total_rows = total_rows - 1 WHERE seq = 2');
finds(qr/^metadata: .*current snapshot/m, 'another snapshot', 'UPDATE lakehouse.lake_table SET snapshot_id = snapshot_id + 1');
finds(qr/^catalog: /m, 'versions too many', 'UPDATE lakehouse.lake_table SET last_seq = 1');

finds(qr/^catalog: version 1: it is not in the catalog/m, 'a version that is missing', 'DELETE FROM lakehouse.lake_version WHERE seq = 1');
finds(qr/^catalog: version 2: it is not in the catalog/m, 'or the last one', 'DELETE FROM lakehouse.lake_version WHERE seq = 2');
finds(qr/^metadata: .*is none of the versions/m, 'a version that others know by another id', 'UPDATE lakehouse.lake_version SET snapshot_id = snapshot_id + 1 WHERE seq = 1');
finds(qr/^catalog: version 1: it is of .*another time/m, 'a version of another time', "UPDATE lakehouse.lake_version SET valid_from = valid_from - interval '1 hour' WHERE seq = 1");

my $deletes = 'UPDATE lakehouse.lake_delete SET';
finds(qr/^metadata: .*has it, but it is no such file of the newest version/m, 'a delete file missing from the catalog', 'DELETE FROM lakehouse.lake_delete');
finds(qr/^count: .*total-position-deletes/m, 'deletes that only others know', 'DELETE FROM lakehouse.lake_delete');
finds(qr/^delete file: .*places in data file/m, 'other row ids of deleted rows',
	"$deletes row_ids = set_byte(row_ids, 0, get_byte(row_ids, 0) + 1)");
finds(qr/^tombstone: .*published as deleted and have no tombstone/m, 'deleted rows that live',
	"$deletes row_ids = set_byte(row_ids, 0, get_byte(row_ids, 0) + 1)");
finds(qr/^delete file: .*delete file has \d+ rows, not/m, 'a wrong number of deleted rows',
	"$deletes dead_counts[1] = dead_counts[1] - 1, row_count = row_count - 1, row_ids = substring(row_ids FROM 1 FOR length(row_ids) - 1)");
finds(qr/^delete file: .*broken row ids/m, 'row ids that are cut', "$deletes row_ids = substring(row_ids FROM 1 FOR 5)");
finds(qr/^delete file: .*not in the catalog/m, 'deletes of an unknown file', "$deletes data_file_ids[1] = 77");

# ---- indexes ----

my $index = 'UPDATE pg_index SET';
for my $name (qw(t_pkey t_big t_part t_hash t_gin t_gist t_spgist))
{
	finds(qr/^index: $name: 1 rows are not in it/m, "a row that is not in $name",
		"$index indisready = false WHERE indexrelid = '$name'::regclass",
		"INSERT INTO t VALUES (9003, 1, 'x', '{1}', '(0,0)')",
		"$index indisready = true WHERE indexrelid = '$name'::regclass");
}
finds(qr/^index: t_pkey: \d+ entries are out of order/m, 'an index in another order',
	"$index indoption = '3' WHERE indexrelid = 't_pkey'::regclass");
finds(qr/^index: t_u: 1 rows have a unique key/m, 'a unique key that two rows have',
	'CREATE INDEX t_u ON t (s)', "INSERT INTO t VALUES (9003, 1, 'twice'), (9004, 1, 'twice')",
	"DELETE FROM t WHERE s = 'new'",
	"$index indisunique = true WHERE indexrelid = 't_u'::regclass");
finds(qr/^index: t_f: \d+ rows have entries with other keys/m, 'keys of a function that has changed',
	"CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN \$1; END'", 'CREATE INDEX t_f ON t (f(id))',
	"CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN \$1 + 1; END'");

# ---- objects ----

my $dir = $node->data_dir . '/lakehouse';
my %path;
$path{data} = sql("SELECT regexp_replace(path, '^file://', '') FROM lakehouse.files WHERE rows > 1000");
$path{deletes} = sql("SELECT regexp_replace(path, '^file://', '') FROM lakehouse.delete_files");
$path{metadata} = sql("SELECT regexp_replace(lakehouse.metadata_location('t'), '^file://', '')");
($path{list}) = slurp_file($path{metadata}) =~ m{"manifest-list":"file://([^"]+)"(?!.*"manifest-list")}s;
($path{manifest}) = grep { -s } glob(dirname_of($path{metadata}) . '/*-m0.avro');

sub dirname_of { my ($path) = @_; $path =~ s{/[^/]*$}{}; return $path; }

sub read_file { my ($path) = @_; open my $in, '<:raw', $path or die "$path: $!"; local $/; return scalar <$in>; }

sub write_file { my ($path, $bytes) = @_; open my $out, '>:raw', $path or die "$path: $!"; print $out $bytes; close $out or die; return; }

# With an object changed by a function (undef: removed); it is put back.
sub finds_in
{
	my ($pattern, $what, $path, $change) = @_;
	my $bytes = read_file($path);
	my $changed = $change->($bytes);

	rename($path, "$path.kept") or die "$path: $!";
	write_file($path, $changed) if defined $changed;
	like(findings(), $pattern, "finds $what");
	unlink $path;
	rename("$path.kept", $path) or die "$path: $!";
	return;
}

# One byte is another.
sub flipped { my ($bytes, $at) = @_; substr($bytes, $at, 1) = chr(ord(substr($bytes, $at, 1)) ^ 0x55); return $bytes; }

for my $object (sort keys %path)
{
	ok(-s $path{$object}, "there is an object: $object") or next;
	finds_in(qr/./, "that it is gone: $object", $path{$object}, sub { undef });
	finds_in(qr/./, "that it is short: $object", $path{$object}, sub { substr($_[0], 0, length($_[0]) - 20) });
	finds_in(qr/./, "that it is empty: $object", $path{$object}, sub { '' });
}
finds_in(qr/^file: .*no such object/m, 'a data file that is gone', $path{data}, sub { undef });
finds_in(qr/^file: .*no such object/m, 'a delete file that is gone', $path{deletes}, sub { undef });
finds_in(qr/^footer: /m, 'a changed footer', $path{data}, sub { flipped($_[0], length($_[0]) - 40) });
for my $part (1 .. 8)
{
	finds_in(qr/^(file|footer|bounds|row id|rows): /m, "a changed byte in eighth $part of the pages", $path{data},
		sub { my $pages = length($_[0]) - unpack('V', substr($_[0], -8, 4)) - 8;
			  flipped($_[0], 4 + int(($pages / 2 - 8) * $part / 8)) });
}

# Bounds that leave out a value, in the file's footer and in the catalog's alike.
{
	my $bytes = read_file($path{data});
	my $len = unpack('V', substr($bytes, -8, 4));
	my $footer = substr($bytes, -8 - $len, $len);
	my ($low, $high) = (pack('q<', $BIG + 1), pack('q<', $BIG + 5));

	ok(index($footer, $low) > 0, 'the footer has the least value');
	$footer =~ s/\Q$low\E/$high/g;
	write_file("$path{data}.new", substr($bytes, 0, -8 - $len) . $footer . substr($bytes, -8));
	rename($path{data}, "$path{data}.kept") or die;
	rename("$path{data}.new", $path{data}) or die;
	my $found = findings_after("$set footer = '\\x" . unpack('H*', $footer) . "' $of_file");
	like($found, qr/^bounds: .*column "big" of row group 0 has 4 values below/m, 'finds bounds that leave out values');
	rename("$path{data}.kept", $path{data}) or die;
}

# ---- the metapage ----

# With some bytes of it others, while the server is down; they are put back.
sub finds_in_metapage
{
	my ($pattern, $what, $at, $bytes) = @_;
	my $path = $node->data_dir . '/' . sql("SELECT pg_relation_filepath('t')");

	$node->stop;
	my $page = read_file($path);
	my $changed = $page;
	substr($changed, 24 + $at, length $bytes) = $bytes;
	write_file($path, $changed);
	$node->start;
	like(($node->psql('postgres', $FINDINGS))[1] . ($node->psql('postgres', $FINDINGS))[2], $pattern, "finds $what");
	$node->stop;
	write_file($path, $page);
	$node->start;
	return;
}

finds_in_metapage(qr/^row id: t: row id \d+ has yet to be given/m, 'a row-id counter that has gone back', 32, pack('Q<', 100));
finds_in_metapage(qr/metapage of lakehouse table "t" is not valid/, 'a metapage that is none', 0, "\0" x 8);

# ---- and afterwards ----

is(findings(), '', 'all is well again');
like(($node->psql('postgres', "SELECT * FROM lakehouse.verify('pg_class')"))[2], qr/is not a lakehouse table/, 'only lakehouse tables');
sql('CREATE ROLE nobody');
like(($node->psql('postgres', "SET ROLE nobody; SELECT * FROM lakehouse.verify('t')"))[2], qr/permission denied/, 'only who may read');
$node->stop;
done_testing();
