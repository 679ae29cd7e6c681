#!/bin/bash
# stage.sh - build the extension and install it below build/stage.
#
# One at a time: several suites may ask at once, and all of them share the
# objects in the source tree.
. "$(dirname "$0")/common.sh"

cd "$LH_ROOT"
exec 9>"$LH_BUILD/stage.lock"
flock 9
log=$LH_BUILD/stage.log
# The jobserver and goals of the calling make are not meant for this one.
unset MAKEFLAGS MFLAGS MAKELEVEL
if ! { nice make -j2 all && rm -rf "$LH_BUILD/stage" &&
	make install install-vector DESTDIR="$LH_BUILD/stage"; } >"$log" 2>&1; then
	grep -E '(error|warning):|\*\*\*|undefined reference' "$log" | head -40 || tail -40 "$log"
	say "stage: the extension does not build, see $log"
	finish stage 0 1
fi
grep -E 'warning:' "$log" || true
# Only CI counts warnings: another compiler's opinion must not stop anybody.
[ -z "${CI:-}" ] || ! grep -q 'warning:' "$log" || finish stage 0 1
finish stage 1 0
