#!/usr/bin/env python3
"""compare.py DIR AM ACCEPTED: the outputs of a suite of Postgres on heap and on AM.

DIR holds heap/ and AM/, each with results/*.out, log (of pg_regress) and
server.log (with log_line_prefix '%e|%a|').  Prints passed / total of both,
every test that differs, and fails on

- a difference from heap's output that ACCEPTED does not hold,
- an internal error (XX...) or a refused feature (0A...) that heap does not have,
- a server process that crashed.

ACCEPTED has one rule a line, "test kind pattern  # reason":

    join      lines  "^ *-> +Seq Scan"  # EXPLAIN names our scan
    update    order  ""                 # rows come in another order
    stats     whole  ""                 # counters of heap's pages

`lines` accepts a hunk whose changed lines all match a `lines` pattern of that
test, `order` one whose removed and added lines are the same rows in another
order, `whole` the whole test.  A pattern of `order` limits it to hunks with a
context line that matches.
"""

import re
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

RESULT = re.compile(r"^(?:test|    ) *(\S+) +\.\.\. (ok|FAILED|failed)"
                    r"|^(ok|not ok) +\d+ +[-+] +(\S+)", re.M)
LOGGED = re.compile(r"^(XX\w{3}|0A\w{3})\|(?:pg_regress|isolation)/([^|/]*)[^|]*\|(?:ERROR|FATAL|PANIC):  (.*)$", re.M)
CRASHED = re.compile(r"was terminated by signal|PANIC:|TRAP:")


def results(folder):
    """{test: passed} as pg_regress of any version prints it"""
    found = {}
    for old, word, tap, name in RESULT.findall((folder / "log").read_text(errors="replace")):
        found[old or name] = word == "ok" or tap == "ok"
    return found


def hunks(one, two):
    """the hunks between two files, each a list of lines with -, + or space before"""
    text = subprocess.run(["diff", "-U3", "-a", one, two], capture_output=True).stdout.decode(errors="replace")
    parts = re.split(r"^@@.*@@.*\n", text, flags=re.M)[1:]
    return [part.splitlines() for part in parts]


class Accepted:
    def __init__(self, path):
        self.rules = defaultdict(list)
        self.used = set()
        for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
            if not line.strip() or line.startswith("#"):
                continue
            rule, _, reason = line.partition("  # ")
            test, kind, pattern = shlex.split(rule)
            if not reason.strip() or kind not in ("lines", "order", "whole"):
                sys.exit(f"{path}:{number}: not a rule with its reason")
            self.rules[test].append((kind, re.compile(pattern), number))

    def take(self, test, hunk):
        changed = [line for line in hunk if line[:1] in "+-"]
        order = Counter(l[1:] for l in changed if l[0] == "-") == Counter(l[1:] for l in changed if l[0] == "+")
        lines = [rule for rule in self.rules[test] if rule[0] == "lines"]
        for kind, pattern, number in self.rules[test]:
            if kind == "whole" or (kind == "order" and order and any(pattern.search(l[1:]) for l in hunk)):
                self.used.add(number)
                return True
        matched = [{n for _, p, n in lines if p.search(l[1:])} for l in changed]
        if all(matched):
            self.used.update(*matched)
            return True
        return False

    def stale(self, tests):
        return [n for test in tests for _, _, n in self.rules[test] if n not in self.used]


def errors(folder):
    return Counter(LOGGED.findall((folder / "server.log").read_text(errors="replace")))


def main(folder, am, accepted_path):
    base, ours = folder / "heap", folder / am
    accepted = Accepted(accepted_path)
    heap, mine = results(base), results(ours)
    unexpected, known = [], []
    diffs = open(folder / f"{am}.diffs", "w")
    for test in mine:
        one, two = base / "results" / f"{test}.out", ours / "results" / f"{test}.out"
        if mine[test] and heap.get(test):
            continue
        if not two.exists() or not one.exists():
            unexpected.append((test, 0, ["no output"]))
            continue
        found = hunks(one, two)
        bad = [h for h in found if not accepted.take(test, h)]
        for hunk in bad:
            diffs.write(f"*** {test}\n" + "\n".join(hunk) + "\n")
        if bad:
            unexpected.append((test, len(bad), bad[0]))
        elif found:
            known.append(test)
    for test in heap.keys() - mine.keys():
        unexpected.append((test, 0, ["was not run"]))
    new = errors(ours) - errors(base)
    crashed = len(CRASHED.findall((ours / "server.log").read_text(errors="replace")))

    for test, count, first in unexpected:
        print(f"differs: {test}: {count} hunks")
        changed = [l for l in first if l[:1] in "+-"]
        print("\n".join("    " + l for l in (changed or first)[:4]))
    states = defaultdict(Counter)
    for (state, test, message), count in new.items():
        states[state][message] += count
    for state, messages in sorted(states.items()):
        print(f"errors {state} that heap does not have: {sum(messages.values())}")
        for message, count in messages.most_common(25):
            print(f"  {count:5d}  {message}")
    if crashed:
        print(f"server processes crashed: {crashed}")
    stale = accepted.stale(mine)
    if stale:
        print(f"{accepted_path.name}: no longer needed: lines {', '.join(map(str, stale))}")
    print(f"heap: {sum(heap.values())} of {len(heap)} as expected by Postgres")
    print(f"{am}: {sum(mine.values())} of {len(mine)} as expected by Postgres, "
          f"{len(known)} with reviewed differences only ({' '.join(known) or 'none'})")
    print(f"differences: {folder / f'{am}.diffs'}")
    failed = len(unexpected) + bool(crashed) + len(states)
    print(f"{folder.name}: {len(mine) - len(unexpected)} passed, {failed} failed")
    return 1 if failed or not mine else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
