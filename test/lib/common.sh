# common.sh - what every script of the house starts with (sourced).
#
# Sets LH_ROOT (the checkout) and LH_BUILD (its build/), and offers the closing
# line that `make check` adds up: "<suite>: N passed, N failed".

set -euo pipefail

LH_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LH_BUILD=$LH_ROOT/build
LH_VENV=$LH_BUILD/venv
: "${PG_CONFIG:=pg_config}"
export LH_ROOT LH_BUILD LH_VENV PG_CONFIG
export LH_DATA=$LH_ROOT/test/data LH_TOOLS=$LH_BUILD/tools
mkdir -p "$LH_BUILD"

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# finish SUITE PASSED FAILED: print the closing line and leave.  A suite that
# ran nothing has failed: a test that is not found must not look like success.
finish() {
	local suite=$1 passed=$2 failed=$3
	if [ $((passed + failed)) -eq 0 ]; then
		say "$suite: nothing was run"
		failed=1
	fi
	say "$suite: $passed passed, $failed failed"
	[ "$failed" -eq 0 ] || exit 1
	exit 0
}
