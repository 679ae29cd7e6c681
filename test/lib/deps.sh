#!/bin/bash
# deps.sh - have everything that building, testing and the demo need.
#
# Each need is probed, never guessed from the system's name.  What is missing
# is installed with apt-get on Debian and its kin (as root or through sudo);
# elsewhere it is listed and the script stops.  Python packages go to
# build/venv, never into the system.
. "$(dirname "$0")/common.sh"

pgc() { "$PG_CONFIG" "$@" 2>/dev/null; }
header() { echo "#include <$1>" | ${CC:-cc} -E -x c - >/dev/null 2>&1; }
pg_version() { (pgc --version || true) | sed 's/^[^0-9]*\([0-9]*\).*/\1/'; }

# need WHAT DEBIAN-PACKAGE PROBE... : note WHAT as missing when PROBE fails.
missing=() packages=()
need() {
	local what=$1 package=$2
	shift 2
	if ! "$@" >/dev/null 2>&1; then
		missing+=("$what")
		packages+=("$package")
	fi
}

have_server() { [ -x "$(pgc --bindir)/postgres" ]; }
have_pgxs() { [ -e "$(pgc --pgxs)" ]; }
have_venv() { python3 -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 10))'; }

probe() {
	missing=() packages=()
	need "a C compiler" gcc command -v "${CC:-cc}"
	need "C library headers" libc6-dev header stdlib.h
	need "flock" util-linux command -v flock
	need "PostgreSQL server" "$1" have_server
	need "PostgreSQL server headers (PGXS)" "$2" have_pgxs
	need "libzstd headers" libzstd-dev header zstd.h
	need "snappy headers" libsnappy-dev header snappy-c.h
	need "lz4 headers" liblz4-dev header lz4.h
	need "zlib headers" zlib1g-dev header zlib.h
	need "jansson headers" libjansson-dev header jansson.h
	need "prove" perl command -v prove
	need "Perl module IPC::Run" libipc-run-perl perl -MIPC::Run -e1
	need "Python 3.10 or newer with venv" python3-venv have_venv
	need "nm" binutils command -v nm
	if [ -n "${LH_WITH_ARM:-}" ]; then
		need "a C compiler for ARM" gcc-aarch64-linux-gnu command -v "${ARM_CC:-aarch64-linux-gnu-gcc}"
		need "a C library for ARM" libc6-dev-arm64-cross test -e /usr/aarch64-linux-gnu/lib/libc.a
		need "an emulator of ARM" qemu-user command -v qemu-aarch64
	fi
}

# The server's version decides the headers' package, so the server comes first.
newest_server() { (ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null || true) | sed 's|.*postgresql/\([0-9]*\)/.*|\1|' | sort -n | tail -1; }

apt_install() {
	local sudo=()
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || die "missing: $*: install them as root with apt-get, then run again"
		sudo=(sudo)
	fi
	say "deps: installing $*"
	local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600)
	"${apt[@]}" install --no-install-recommends "$@" </dev/null ||
		{ "${apt[@]}" update </dev/null && "${apt[@]}" install --no-install-recommends "$@" </dev/null; } ||
		die "deps: apt-get could not install: $*"
}

system_packages() {
	local version
	probe postgresql postgresql-server-dev
	[ ${#missing[@]} -gt 0 ] || return 0
	if ! command -v apt-get >/dev/null; then
		say "These are missing; install them with your system's package manager:"
		printf '  %s\n' "${missing[@]}"
		die "(tested on Debian 12; set PG_CONFIG if PostgreSQL 15 to 18 is installed elsewhere)"
	fi
	if ! have_server && [ -z "$(newest_server)" ]; then
		apt_install postgresql
	fi
	version=$(pg_version)
	if [ -z "$version" ] || ! have_server; then
		version=$(newest_server)
	fi
	probe "postgresql-$version" "postgresql-server-dev-$version"
	[ ${#packages[@]} -eq 0 ] || apt_install "${packages[@]}"
	probe - -
	[ ${#missing[@]} -eq 0 ] || die "deps: still missing after apt-get: ${missing[*]}"
}

# The stamp holds the list that was installed, so a changed list installs again.
python_packages() {
	local list=$LH_ROOT/test/lib/requirements.txt stamp=$LH_VENV/.installed
	cmp -s "$list" "$stamp" && return 0
	say "deps: Python packages into build/venv"
	[ -x "$LH_VENV/bin/pip" ] || python3 -m venv "$LH_VENV"
	"$LH_VENV/bin/pip" install -q --disable-pip-version-check -r "$list" </dev/null ||
		die "deps: pip could not install test/lib/requirements.txt (no network?)"
	cp "$list" "$stamp"
}

exec 9>"$LH_BUILD/deps.lock"
flock 9 2>/dev/null || true
system_packages
case "$(pg_version)" in
	15 | 16 | 17 | 18) ;;
	*) die "lakehouse needs PostgreSQL 15 to 18, $PG_CONFIG is $(pgc --version || echo missing)" ;;
esac
python_packages
