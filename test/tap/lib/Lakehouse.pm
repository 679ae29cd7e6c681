# Lakehouse.pm - what the TAP tests share: servers with lakehouse in them, and
# ways to make them die at a chosen fault point.
#
#   my $node = Lakehouse::new_node('main', conf => "work_mem = '1MB'");
#   Lakehouse::crash_session($node, 'upload.publish', 'INSERT INTO t ...');
#   Lakehouse::start($node);
#
# A node is a PostgreSQL::Test::Cluster.  restart_after_crash is off there, so
# that a process killed by a fault point takes the whole server down: the test
# looks at what is on disk, then starts it.

package Lakehouse;

use strict;
use warnings FATAL => 'all';

use Digest::MD5;
use File::Find ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# Read by the server if it exists; arms fault points in background processes.
my $FAULT_CONF = 'lakehouse_fault.conf';

# A started server.  Options: conf (text for postgresql.conf), preload (default
# lakehouse), extension (default 1: CREATE EXTENSION in database postgres),
# init (arguments of $node->init).
sub new_node
{
	my ($name, %opt) = @_;
	my $preload = $opt{preload} // 'lakehouse';
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(@{ $opt{init} // [] });
	$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = '$preload'
fsync = on
max_prepared_transactions = 10
wal_keep_size = 2GB
include_if_exists = '$FAULT_CONF'
CONF
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION lakehouse')
	  if $opt{extension} // 1;
	return $node;
}

# A standby made from a base backup of another node, started and streaming.
sub new_standby
{
	my ($primary, $name, %opt) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$primary->backup("for_$name");
	$node->init_from_backup($primary, "for_$name", has_streaming => 1);
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	$node->start;
	return $node;
}

# Name => size and CRC-like digest of every object below the default location,
# as one text; temporary files are left out.
sub lake_digest
{
	my ($node) = @_;
	my $dir = $node->data_dir . '/lakehouse';

	return join "\n", map { "$_ " . Digest::MD5->new->addfile(_open("$dir/$_"))->hexdigest }
	  grep { !/\.tmp-/ } lake_files($node);
}

sub _open
{
	open my $file, '<:raw', $_[0] or die "$_[0]: $!";
	return $file;
}

# Starts a server that has crashed or been killed.  Children of a killed
# postmaster may hold its shared memory for a moment: try again while they do.
sub start
{
	my ($node) = @_;

	disarm($node);
	$node->_update_pid(0);
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $node->start(fail_ok => 1);
		usleep(100_000);
	}
	die "node " . $node->name . " does not start";
}

# Waits until a server that is crashing is down.
sub wait_down
{
	my ($node) = @_;
	my $pidfile = $node->data_dir . '/postmaster.pid';

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		if (!-e $pidfile)
		{
			$node->_update_pid(0);
			return 1;
		}
		usleep(100_000);
	}
	die "node " . $node->name . " is still up";
}

# kill -9 of the postmaster.
sub kill_postmaster
{
	my ($node) = @_;

	$node->kill9;
	return;
}

# Starts a server after that, as soon as its last process has gone.
sub start_killed
{
	my ($node) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $node->start(fail_ok => 1);
		$node->{_pid} = undef;		# taken from the file of the killed one
		usleep(100_000);
	}
	die "node " . $node->name . " does not start";
}

# Runs SQL in a session that kills itself at the n-th pass of a point
# ("point" or "point:n"), and waits for the server to go down.  Returns whether
# it did; if the point is never passed, the session just ends.
sub crash_session
{
	my ($node, $point, $sql, %opt) = @_;
	my $spec = ($point =~ /:/ ? $point : "$point:1") . ':kill';
	my ($rc, $out, $err) = $node->psql($opt{dbname} // 'postgres',
		"SET lakehouse.debug_fail_at = '$spec';\n$sql");

	return 0 if $rc == 0;
	if ($err !~ /server closed the connection|connection to server was lost|terminating connection/)
	{
		note "crash_session: $err";
		return 0;
	}
	return wait_down($node);
}

# Runs SQL in a session in which a point acts (error, ENOSPC, ...); returns the
# SQLSTATE of the first error, or '' if there was none.
sub fail_session
{
	my ($node, $spec, $sql, %opt) = @_;
	my ($rc, $out, $err) = $node->psql(
		$opt{dbname} // 'postgres',
		"\\set VERBOSITY sqlstate\nSET lakehouse.debug_fail_at = '$spec';\n$sql");

	return $err =~ /ERROR:\s+(\w{5})/ ? $1 : '';
}

# Arms a point in all processes of a running server, such as the publisher;
# sessions that have set it themselves keep their own setting.
sub arm
{
	my ($node, $spec) = @_;

	PostgreSQL::Test::Utils::append_to_file($node->data_dir . "/$FAULT_CONF",
		"lakehouse.debug_fail_at = '$spec'\n");
	$node->reload;
	return;
}

# Takes it back; works also while the server is down.
sub disarm
{
	my ($node) = @_;
	my $file = $node->data_dir . "/$FAULT_CONF";

	return if !-e $file;
	unlink $file or die "cannot remove $file: $!";
	$node->reload if -e $node->data_dir . '/postmaster.pid';
	return;
}

# Files below a directory (default: the default location), relative and sorted.
sub lake_files
{
	my ($node, $dir) = @_;
	my @files;

	$dir //= $node->data_dir . '/lakehouse';
	return () if !-d $dir;
	File::Find::find(
		{
			no_chdir => 1,
			wanted => sub {
				push @files, substr($File::Find::name, length($dir) + 1) if -f $_;
			}
		},
		$dir);
	return sort @files;
}

# Those of them that an upload left behind.
sub temp_files
{
	return grep { /\.tmp-\d+-\d+$/ } lake_files(@_);
}

1;
