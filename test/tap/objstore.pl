# The local object store, through the SQL functions of
# test/modules/lh_objstore_test (make -C there first; skipped if not built).

use strict;
use warnings FATAL => 'all';

use FindBin;
use Lakehouse;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $module = ($ENV{LH_ROOT} // "$FindBin::RealBin/../..") . '/test/modules/lh_objstore_test';
my $lib = "$module/lh_objstore_test.so";
plan skip_all => "$lib is not built" if !-e $lib;

my $node = Lakehouse::new_node(
	'objstore',
	preload => $lib,
	extension => 0,
	conf => "max_files_per_process = 64\nlog_statement = none\n");
$node->psql('postgres', '', extra_params => [ '-v', "lib=$lib", '-f', "$module/functions.sql" ]);

my $dir = PostgreSQL::Test::Utils::tempdir_short() . '/lake';
my $loc = "file://$dir";

sub sql { return $node->safe_psql('postgres', join(";\n", @_)); }

# The SQLSTATE and message of a statement that must fail.
sub error_of
{
	my ($statement) = @_;
	return sql("SELECT os_error(\$x\$$statement\$x\$)");
}

# Starts psql on a script, without waiting; the notices and errors go to $$err.
# (A script on standard input would only be fed by finish().)
sub background
{
	my ($script, $err) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir_short() . '/script.sql';
	PostgreSQL::Test::Utils::append_to_file($file, $script);
	return IPC::Run::start([ 'psql', '-XAtq', '-f', $file, '-d', $node->connstr('postgres') ], '>', '/dev/null', '2>', $err);
}

sub files { return join(' ', Lakehouse::lake_files($node, $dir)); }
sub temps { return scalar Lakehouse::temp_files($node, $dir); }

# Everything below the directory goes; the next test starts clean.
sub clean
{
	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', $dir);
	return;
}

# ---- locations and names ----

is(sql("SELECT os_normalize('file:///a/b/')"), 'file:///a/b', 'trailing slash dropped');
for my $bad ('', '/a', 'file:/a', 'file://host/a', 'file:///', 'file:////a', 's3://bucket/a',
	'file:///a//b', 'file:///a/../b', 'file:///a/.', 'file:///a b', 'file:///a%20b',
	'file:///a?b', 'file:///a#b', "file:///\xc3\xbc", 'file:///a:b', 'file:///a//',
	'file:///' . 'a' x 201, 'file:///' . 'a/' x 300 . 'a')
{
	like(error_of("SELECT os_normalize('$bad')"), qr/^22023 invalid location/, "location '" . substr($bad, 0, 30) . "' refused");
}
for my $bad ('', '/a', 'a/', 'a//b', '../a', 'a/../b', './a', 'a b', 'a%41', "a\nb", 'a.tmp-1-1', 'x' x 201, 'a/' x 200 . 'a')
{
	like(error_of("SELECT os_put('$loc', '$bad', 'x')"), qr/^42602 invalid object name/, "name '" . substr($bad, 0, 20) . "' refused");
}
is(sql("SELECT os_name_of_uri('$loc', '$loc/data/a.parquet')"), 'data/a.parquet', 'name of a URI');
is(sql("SELECT os_name_of_uri('$loc', 'file:$dir/a')"), 'a', 'URI as Java writes it');
for my $uri ("${loc}2/a", "$loc/../a", $loc, "$loc/", 'file:///etc/passwd', 's3://b/a', "$loc/a%2e", "file://h$dir/a")
{
	is(sql("SELECT os_name_of_uri('$loc', '$uri') IS NULL"), 't', "URI $uri is not ours");
}

my $data = $node->data_dir;
SKIP:
{
	skip 'data directory not fit for a location', 1 if $data =~ m{[^A-Za-z0-9._=/-]};
	is(sql("SELECT os_default()"), "file://$data/lakehouse", 'default location');
}
my $denied = qr/^42501 /;
like(error_of("SELECT os_check('$loc', false)"), $denied, 'other location is a privilege');
is(error_of("SELECT os_check('$loc', true)"), 'no error', 'which the privileged have');
like(error_of("SELECT os_check('file://$data/base', true)"), $denied, 'data directory is for nobody');
like(error_of("SELECT os_check('file://$data', true)"), $denied, 'nor itself');
(my $around = $data) =~ s{/[^/]+$}{};
like(error_of("SELECT os_check('file://$around', true)"), $denied, 'nor what is around it');
is(error_of("SELECT os_check('file://$data/lakehouse/t1', false)"), 'no error', 'default location is for all');
is(sql("SET lakehouse.allowed_locations = 'file:///x/y, $loc/'",
		"SELECT os_error('SELECT os_check(''$loc/t'', false)') || os_error('SELECT os_check(''${loc}2'', false)')"),
	"no error42501 permission denied for location \"${loc}2\"", 'allowed roots, on segment boundaries');
is(sql("SET lakehouse.default_location = '$loc/'", "SELECT os_default()"), $loc, 'default location set');
for my $setting ("lakehouse.allowed_locations = 'file:///a, b'", "lakehouse.default_location = 'file:///a,file:///b'",
	"lakehouse.default_location = '/a'", "lakehouse.debug_fail_at = 'nowhere'",
	"lakehouse.debug_fail_at = 'upload.sync:0'", "lakehouse.debug_fail_at = 'upload.sync:1:ENOWAY'")
{
	like(error_of("SET $setting"), qr/^22023 invalid value/, "SET $setting refused");
}
like(error_of("SET ROLE pg_monitor; SET lakehouse.allowed_locations = 'file:///a'"), qr/^42501 permission denied to set/, 'settings are for superusers');

# ---- writing and reading ----

sql("SELECT os_put('$loc', 'data/deep/a', 'hello')");
is(files(), 'data/deep/a', 'put makes the directories');
is(sql("SELECT convert_from(os_read_all('$loc', 'data/deep/a'), 'UTF8')"), 'hello', 'read back');
is(sql("SELECT convert_from(os_fetch('$loc', 'data/deep/a', 1, 3), 'UTF8')"), 'ell', 'a range');
is(sql("SELECT os_fetch('$loc', 'data/deep/a', 5, 0)"), '\x', 'an empty range');
is(sql("SELECT os_size('$loc', 'data/deep/a')"), 5, 'size');
is(sql("SELECT os_size('$loc', 'b', true)"), -1, 'size of nothing');
like(error_of("SELECT os_put('$loc', 'data/deep/a', 'other')"), qr/^42710 object "data\/deep\/a" already exists$/, 'create-only');
is(sql("SELECT convert_from(os_read_all('$loc', 'data/deep/a'), 'UTF8')"), 'hello', 'the first one stays');
like(error_of("SELECT os_put('$loc', 'data/deep', 'x')"), qr/^42710/, 'a directory takes the name too');
like(error_of("SELECT os_put('$loc', 'data/deep/a/b', 'x')"), qr/^42809 could not create object/, 'an object is no directory');
sql("SELECT os_put('$loc', 'hint', '1', true)", "SELECT os_put('$loc', 'hint', '22', true)");
is(sql("SELECT os_put('$loc', 'hint', '333', true)", "SELECT convert_from(os_read_all('$loc', 'hint'), 'UTF8')"), "\n333", 'replace');
is(sql("SELECT os_upload('$loc', 'big', decode(repeat('0123456789abcdef', 50001), 'hex'), 13, 'finish')"), 5200104, 'upload in pieces');
is(sql("SELECT md5(os_read_all('$loc', 'big', 10000000)) = md5(decode(repeat(repeat('0123456789abcdef', 50001), 13), 'hex'))"), 't', 'whole');
is(sql("SELECT os_upload('$loc', 'big2', decode(repeat('00', 3000000), 'hex'), 2, 'finish')", "SELECT os_size('$loc', 'big2')"), "6000000\n6000000", 'pieces larger than the buffer');
is(sql("SELECT os_upload('$loc', 'empty', '', 0, 'finish')", "SELECT os_size('$loc', 'empty')"), "0\n0", 'empty object');
is(temps(), 0, 'no temporary files');

# ---- what cannot be read ----

like(error_of("SELECT os_fetch('$loc', 'none', 0, 1)"), qr/^58P01 could not open object "none": No such file/, 'missing object');
like(error_of("SELECT os_read_all('$loc', 'none')"), qr/^58P01/, 'missing object, whole');
is(sql("SELECT os_read_all('$loc', 'none', 1, true) IS NULL"), 't', 'missing_ok');
like(error_of("SELECT os_fetch('$loc', 'data/deep/a', 3, 3)"), qr/^XX001 object "data\/deep\/a" is shorter than expected/, 'range past the end');
like(error_of("SELECT os_fetch('$loc', 'data/deep/a', 100, 3)"), qr/^XX001/, 'range behind the end');
like(error_of("SELECT os_fetch('$loc', 'data/deep/a', -1, 3)"), qr/^XX001 invalid range/, 'negative offset');
like(error_of("SELECT os_fetch('$loc', 'data/deep/a', 9223372036854775807, 3)"), qr/^XX001 invalid range/, 'overflowing range');
truncate("$dir/big", 1000000);
like(error_of("SELECT os_fetch('$loc', 'big', 0, 5200104)"), qr/^XX001 object "big" is shorter/, 'truncated object');
like(error_of("SELECT os_read_all('$loc', 'big', 999999)"), qr/^54000 object "big" is too large/, 'limit of read_all');
symlink('/etc/passwd', "$dir/link");
like(error_of("SELECT os_fetch('$loc', 'link', 0, 1)"), qr/^42809/, 'symbolic link not followed');
like(error_of("SELECT os_read_all('$loc', 'link')"), qr/^42809/, 'nor whole');
like(error_of("SELECT os_size('$loc', 'link')"), qr/^42809/, 'nor sized');
like(error_of("SELECT os_fetch('$loc', 'data', 0, 1)"), qr/^42809/, 'directory is no object');
like(error_of("SELECT os_read_all('$loc', 'data')"), qr/^42809/, 'directory is no object, whole');
like(error_of("SET lakehouse.debug_fail_at = 'fetch.read:1:EIO'; SELECT os_fetch('$loc', 'data/deep/a', 0, 1)"), qr/^58030 could not read object/, 'I/O error');

# ---- listing and removing ----

is(sql("SELECT string_agg(name, ' ' ORDER BY name) FROM os_list('$loc')"), 'big big2 data/deep/a empty hint', 'list');
is(sql("SELECT string_agg(name, ' ' ORDER BY name) FROM os_list('$loc', 'b')"), 'big big2', 'by prefix');
is(sql("SELECT string_agg(name, ' ' ORDER BY name) FROM os_list('$loc', 'data/d')"), 'data/deep/a', 'by prefix with a directory');
is(sql("SELECT count(*) FROM os_list('$loc', 'nothing/')"), 0, 'missing directory is empty');
is(sql("SELECT size, abs(extract(epoch FROM now() - mtime)) < 600, is_temp FROM os_list('$loc', 'hint')"), '3|t|f', 'facts of an object');
is(sql("SELECT os_remove('$loc', 'big')", "SELECT os_remove('$loc', 'big', true)"), "t\nf", 'remove');
like(error_of("SELECT os_remove('$loc', 'big')"), qr/^58P01 could not remove/, 'remove nothing');
sql("SELECT os_remove('$loc', 'data/deep/a')", "SELECT os_remove_empty_dirs('$loc', 'data/')");
ok(!-d "$dir/data" && -d $dir, 'empty directories removed, up to the prefix');
sql("SELECT os_remove_empty_dirs('$loc')");
ok(-e "$dir/hint", 'others stay');

# ---- errors and context resets leave nothing ----

for my $ending ('abort', 'error', 'open')
{
	$node->psql('postgres', "SELECT os_upload('$loc', 'x', repeat('a', 2000000)::bytea, 2, '$ending')");
	is(temps(), 0, "no temporary file after '$ending'");
	ok(!-e "$dir/x", "no object after '$ending'");
}
sql("DO \$\$ BEGIN PERFORM os_upload('$loc', 'x', 'a', 2, 'error'); EXCEPTION WHEN OTHERS THEN NULL; END \$\$", "SELECT os_upload('$loc', 'x', 'a', 2, 'finish')");
is(temps(), 0, 'nor after a subtransaction');
$node->psql('postgres', "SET statement_timeout = '300ms'; SELECT os_upload('$loc', 'y', repeat('a', 1000000)::bytea, 3000, 'finish')");
is(temps(), 0, 'nor after a timeout');
ok(!-e "$dir/y", 'cancelled upload is not published');

# ---- every step fails, each with the right SQLSTATE and nothing half done ----

my @steps = qw(upload.create upload.write upload.sync upload.publish);
my %states = (ENOSPC => '53100', EDQUOT => '53100', EROFS => '42501', EACCES => '42501', EIO => '58030', EFBIG => '54000');
clean();
for my $step (@steps)
{
	for my $errno (sort keys %states)
	{
		is(Lakehouse::fail_session($node, "$step:1:$errno", "SELECT os_put('$loc', 'f', 'x')"), $states{$errno}, "$errno at $step");
	}
}
is(Lakehouse::fail_session($node, "$_:1:error", "SELECT os_put('$loc', 'f', 'x')"), 'XX000', "error at $_") for qw(upload.begin);
is(files(), '', 'nothing left');
my $n = 0;
for my $step (qw(upload.published upload.sync_dir upload.done))
{
	$n++;
	isnt(Lakehouse::fail_session($node, "$step:1:" . ($step =~ /dir/ ? 'EIO' : 'error'), "SELECT os_put('$loc', 'g$n', 'x')"), '', "error at $step");
}
is(files(), 'g1 g2 g3', 'after the publish an object stays');
is(Lakehouse::fail_session($node, 'object.remove:1:EACCES', "SELECT os_remove('$loc', 'g1')"), '42501', 'error at object.remove');

# ---- kill -9 at every step ----

clean();
$n = 0;
for my $step (qw(upload.begin upload.create upload.write upload.sync upload.publish upload.published upload.sync_dir upload.done))
{
	$n++;
	ok(Lakehouse::crash_session($node, $step, "SELECT os_upload('$loc', 'd/k$n', repeat('a', 1500000)::bytea, 2, 'finish')"), "kill at $step");
	my $published = $step =~ /upload\.(published|sync_dir|done)/;
	is(-e "$dir/d/k$n" ? -s "$dir/d/k$n" : -1, $published ? 3000000 : -1, $published ? 'whole object' : 'no object');
	Lakehouse::start($node);
	is(sql("SELECT count(*) FROM os_list('$loc') WHERE is_temp"), $published || $step =~ /begin|create/ ? 0 : 1, 'temporary file is seen as such');
	sql("SELECT os_remove('$loc', name) FROM os_list('$loc') WHERE is_temp");
}

# Left-overs with the very names that the next upload would choose, as after
# the restart of a container where processes get the same pids again.
sql("DO \$\$ BEGIN FOR i IN 1..20 LOOP EXECUTE format('COPY (SELECT 1) TO %L', '$dir/d/z.tmp-' || pg_backend_pid() || '-' || i); END LOOP; PERFORM os_put('$loc', 'd/z', 'new'); END \$\$");
is(sql("SELECT convert_from(os_read_all('$loc', 'd/z'), 'UTF8')"), 'new', 'left-overs of the same pid do not hinder');
is(temps(), 20, 'and are not touched');

# ---- a terminated backend cleans up ----

clean();
my $slow = "SELECT os_upload('$loc', 't', repeat('a', 1000000)::bytea, 3000, 'finish')";
my $victim = background($slow, \my $slow_err);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM os_list('$loc') WHERE is_temp AND size > 0"), 'upload is under way');
sql("SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE query LIKE 'SELECT os_upload(%'");
$victim->finish;
is(files(), '', 'terminated upload leaves nothing');

# ---- fault points in other processes ----

Lakehouse::arm($node, 'upload.sync:2:EIO');
ok($node->poll_query_until('postgres', "SELECT current_setting('lakehouse.debug_fail_at') <> ''"), 'armed by the configuration');
like(error_of("DO \$\$ BEGIN PERFORM os_put('$loc', 'i1', ''); PERFORM os_put('$loc', 'i2', ''); END \$\$"), qr/^58030 could not fsync object "i2"/, 'second pass fails');
Lakehouse::disarm($node);
ok($node->poll_query_until('postgres', "SELECT current_setting('lakehouse.debug_fail_at') = ''"), 'disarmed');

# ---- many files, few descriptors ----

clean();
sql("SELECT os_upload_many('$loc', 'm/', 1000)");
is(scalar(my @many = Lakehouse::lake_files($node, $dir)), 1000, '1000 uploads at once with 64 files per process');
sql("SELECT os_upload_many('$loc', 'm/x', 1000)", "SELECT os_upload_many('$loc', 'm/y', 1000)", "SELECT os_upload_many('$loc', 'm/z', 1000)");
is(sql("SELECT os_fetch_many('$loc', p, 1000) FROM unnest(ARRAY['m/', 'm/x', 'm/y', 'm/z', 'm/']) p"), join("\n", (900) x 5), '5000 fetches at once');
like(sql("SELECT os_fetch('$loc', 'm/1', 0, 8) FROM generate_series(1, 100)", "SELECT os_counters()"),
	qr/reads=100 bytes_read=800 .* opens=1 /, 'open files are kept, counters count');
like(sql("SELECT os_fetch_many('$loc', 'm/', 70) FROM generate_series(1, 2)", "SELECT os_fetch('$loc', 'm/70', 0, 8)", "SELECT os_counters()"),
	qr/ opens=2\d\d /, 'but not more than 64 of them');
SKIP:
{
	skip 'no /proc', 2 if !-d '/proc/self/fd';
	my $fds = sql("SELECT os_fetch_many('$loc', 'm/', 1000)", "SELECT count(*) FROM pg_ls_dir('/proc/self/fd')");
	$fds =~ s/.*\n//s;
	cmp_ok($fds, '<', 64 + 16, 'descriptors bounded');
	my $kept = sql("SELECT os_fetch_many('$loc', 'm/', 1000)", "SELECT os_release_files()",
		"SELECT count(*) FROM (SELECT pg_ls_dir('/proc/self/fd')) f");
	$kept =~ s/.*\n//s;
	cmp_ok($kept, '<', 30, 'release_files closes them');
}

# ---- concurrent writers of one name: exactly one wins ----

clean();
my $race = join("\n", map { "DO \$\$ BEGIN PERFORM os_put('$loc', 'r/$_', pg_backend_pid()::text::bytea); RAISE NOTICE 'won'; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$;" } 1 .. 200);
my @said = ('') x 4;
my @racers = map { background($race, \$said[$_]) } 0 .. 3;
$_->finish for @racers;
my $wins = 0;
my @share = map { scalar(() = /won/g) } @said;
$wins += $_ for @share;
note "wins: @share";
is($wins, 200, 'each name was won once');
is(temps(), 0, 'losers leave nothing');

# Uploads against a remover of empty directories, which pauses between passes:
# one that never does can starve an upload (see the README's limits).
my $churn = join("\n", map { "SELECT os_put('$loc', 'e/f/g/$_', ''); SELECT os_remove('$loc', 'e/f/g/$_');" } 1 .. 500);
my $sweep = join("\n", map { "SELECT os_remove_empty_dirs('$loc', 'e/'), pg_sleep(0.003);" } 1 .. 300);
my ($churn_err, $sweep_err) = ('', '');
my @both = (background($churn, \$churn_err), background($sweep, \$sweep_err));
$_->finish for @both;
is(substr($churn_err . $sweep_err, 0, 500), '', 'uploads survive the removal of empty directories');

# ---- permissions ----

clean();
mkdir $dir;
chmod 0755, $dir;
sql("SELECT os_put('$loc', 'p/q', 'x')");
is(sprintf('%o %o', (stat "$dir/p")[2] & 07777, (stat "$dir/p/q")[2] & 07777), '755 644', 'readable for whom the lake is readable');
chmod 0700, $dir;
sql("SELECT os_put('$loc', 's/q', 'x')");
is(sprintf('%o %o', (stat "$dir/s")[2] & 07777, (stat "$dir/s/q")[2] & 07777), '700 600', 'and not for others');
chmod 0555, $dir;
SKIP:
{
	skip 'root writes everywhere', 3 if $> == 0;
	like(error_of("SELECT os_put('$loc', 'ro', 'x')"), qr/^42501 could not create object "ro": Permission denied/, 'read-only directory');
	like(error_of("SELECT os_put('$loc', 'ro/a', 'x')"), qr/^42501/, 'no directory to be made there');
	chmod 0755, $dir;
	like(error_of("SELECT os_remove('$loc', 'none')"), qr/^58P01/, 'nothing to remove');
	chmod 0000, "$dir/p/q";
	like(error_of("SELECT os_fetch('$loc', 'p/q', 0, 1)"), qr/^42501 could not open/, 'unreadable object');
}
chmod 0755, $dir;

# ---- a full file system ----

SKIP:
{
	my $tiny = $ENV{LH_TINY_FS};
	skip 'no LH_TINY_FS', 4 if !defined $tiny;
	like(error_of("SELECT os_upload('file://$tiny/t', 'a', repeat('a', 300000)::bytea, 20, 'finish')"), qr/^53100 could not write object "a": No space left/, 'disk full');
	is(join(' ', Lakehouse::lake_files($node, $tiny)), '', 'leaves nothing');
	is(sql("SELECT os_upload('file://$tiny/t', 'a', repeat('a', 300000)::bytea, 2, 'finish')"), 600000, 'and goes on');
	like(error_of("SELECT os_put('file://$tiny/t', 'b', repeat('a', 600000)::bytea)"), qr/^53100/, 'full again');
}

$node->stop;
done_testing();
