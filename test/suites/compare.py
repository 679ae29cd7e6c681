#!/usr/bin/env python3
"""compare.py DIR AM ACCEPTED: a suite on heap and on AM, test by test.

DIR holds heap/ and AM/, each with server.log (log_line_prefix '%e|%a|') and
either log and results/*.out of pg_regress or tests with a line "outcome, tab,
name" a test.  Prints passed / total of both, every test that differs, and fails
on

- a difference from heap's output, or a test passed only on heap, that ACCEPTED
  does not hold,
- an internal error (XX...) or a refused feature (0A...) that heap does not have,
- a server process that crashed.

ACCEPTED has one rule a line, "test kind pattern [context]  # reason":

    join      plan   ""                 # our scans cost less than heap's
    create_am lines  "lakehouse"        # the list of access methods
    cluster   lines  "^ [tf]$" "toast"  # has a toast table
    update    order  ""                 # rows come in another order
    stats     whole  ""                 # counters of heap's pages
    -         errors "only heap AM"     # what core refuses to all but heap

The rules of a test have to account for all that changed in a hunk: `plan` for
the output of EXPLAIN, `lines` for lines that match the pattern; `order` for what
is left if it is the same lines in another order.  `whole` accepts all.  Only
rules whose context matches a line of the hunk are asked.  `errors` accepts
messages of new errors, whatever the test.

What EXPLAIN prints is compared without the name of our scan and without the
lines it adds: how a plan is displayed is no difference, which plan it is, is one.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

RESULT = re.compile(r"^(?:test|    ) *(\S+) +\.\.\. (ok|FAILED|failed)"
                    r"|^(ok|not ok) +\d+ +[-+] +(\S+)", re.M)
LOGGED = re.compile(r"^(XX\w{3}|0A\w{3})\|[^|]*\|(?:ERROR|FATAL|PANIC):  (.*)$", re.M)
CRASHED = re.compile(r"was terminated by signal|PANIC:|TRAP:")


def results(folder):
    """{test: passed}: as pg_regress of any version prints it, or the file of tests"""
    found = {}
    if (folder / "tests").exists():
        for line in (folder / "tests").read_text().splitlines():
            outcome, name = line.split("\t")
            if outcome != "skipped":
                found[name] = found.get(name, True) and outcome == "ok"
        return found
    for old, word, tap, name in RESULT.findall((folder / "log").read_text(errors="replace")):
        found[old or name] = word == "ok" or tap == "ok"
    return found


PLAN = "\x01"                             # stands before a line of a plan
HEADER = re.compile(r" +\S|QUERY PLAN")
ADDED = re.compile(r"^ *(Columns|Row Groups|Row Groups Pruned|Bytes Read): ")
NODE = re.compile(r"^ *(->  )?(\w+ )*(Scan|Join|Loop|Append|Aggregate|Result|Sort|Limit|Insert|Update|Delete|Merge|Gather)\b")


def without_lookahead(text):
    """plans without the node that only looks ahead: what stands below it moves up"""
    out, below = [], None
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip())
        if "->  Custom Scan (LakehouseLookahead)" in line:
            below = indent
        elif below is not None and indent > below:
            if indent > below + 6 or "->" in line:      # what EXPLAIN VERBOSE says of the node itself is left out
                out.append(line[6:])
        else:
            below = None
            out.append(line)
    return "\n".join(out)


def plain(text):
    """the output with plans as heap would display them, each line marked"""
    text = without_lookahead(text)
    text = text.replace("Custom Scan (LakehouseScan)", "Seq Scan").replace("Custom Scan (LakehouseAggregate)", "Aggregate")
    lines, out, at = [line for line in text.split("\n") if not ADDED.match(line)], [], 0
    while at < len(lines):
        # A result of one column: its header, dashes, rows, "(n rows)".
        if at + 1 < len(lines) and HEADER.match(lines[at]) and re.fullmatch(r"---+", lines[at + 1]):
            end = at + 2
            while end < len(lines) and lines[end] and not re.fullmatch(r"\(\d+ rows?\)", lines[end]):
                end += 1
            rows = lines[at + 2:end]
            if "QUERY PLAN" in lines[at] or any(NODE.search(row) for row in rows):
                out += [PLAN + line.rstrip() for line in [lines[at].strip(), "---", *rows]]
                at = end + 1
                continue
        out.append(lines[at])
        at += 1
    return "\n".join(out)


def hunks(one, two):
    """the hunks between two files, each a list of lines with -, + or space before"""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for file in (one, two):
            paths.append(Path(folder) / f"{len(paths)}")
            paths[-1].write_text(plain(file.read_text(errors="surrogateescape")), errors="surrogateescape")
        text = subprocess.run(["diff", "-U3", "-a", *paths], capture_output=True).stdout.decode(errors="replace")
    parts = re.split(r"^@@.*@@.*\n", text, flags=re.M)[1:]
    return [part.splitlines() for part in parts]


class Accepted:
    KINDS = "lines", "plan", "order", "whole", "errors"

    def __init__(self, path):
        self.rules = defaultdict(list)
        self.used = set()
        for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
            if not line.strip() or line.startswith("#"):
                continue
            rule, _, reason = line.partition("  # ")
            test, kind, pattern, *context = shlex.split(rule)
            if not reason.strip() or kind not in self.KINDS:
                sys.exit(f"{path}:{number}: not a rule with its reason")
            self.rules[test].append((kind, re.compile(pattern), re.compile(*context or [""]), number))

    def use(self, number):
        self.used.add(number)
        return True

    def take(self, test, hunk):
        """whether the rules of the test account for every changed line of the hunk"""
        lines = [line for line in hunk if line[:1] in "+-"]
        rules = [rule for rule in self.rules[test] if any(rule[2].search(line[1:]) for line in hunk or [" "])]
        for kind, _, _, number in rules:
            if kind == "whole":
                return self.use(number)
            if kind == "plan" and any(line[1:2] == PLAN for line in lines):
                self.use(number)
                lines = [line for line in lines if line[1:2] != PLAN]
        for kind, pattern, _, number in rules:
            if kind == "lines" and any(pattern.search(line[1:]) for line in lines):
                self.use(number)
                lines = [line for line in lines if not pattern.search(line[1:])]
        if lines and Counter(l[1:] for l in lines if l[0] == "-") == Counter(l[1:] for l in lines if l[0] == "+"):
            for kind, _, _, number in rules:
                if kind == "order":
                    return self.use(number)
        return hunk != [] and not lines

    def take_error(self, message):
        matched = [number for _, pattern, _, number in self.rules["-"] if pattern.search(message)]
        self.used.update(matched)
        return bool(matched)

    def stale(self, tests):
        return [n for test in [*tests, "-"] for *_, n in self.rules[test] if n not in self.used]


def errors(folder):
    text = (folder / "server.log").read_text(errors="replace")
    return Counter((state, re.sub(r" at character \d+$", "", re.sub(r"OID \d+", "OID N", message))) for state, message in LOGGED.findall(text))


def differences(base, ours, test):
    """the hunks of a test's outputs; one empty hunk stands for an outcome alone"""
    one, two = base / "results" / f"{test}.out", ours / "results" / f"{test}.out"
    if (ours / "tests").exists():
        return [[]]
    if not one.exists() or not two.exists():
        return [["there is no output"]]
    return hunks(one, two)


def show_errors(found, accepted):
    states = defaultdict(Counter)
    for (state, message), count in found.items():
        if not accepted.take_error(message):
            states[state][message] += count
    for state, messages in sorted(states.items()):
        print(f"errors {state} that heap does not have: {sum(messages.values())}")
        for message, count in messages.most_common(25):
            print(f"  {count:5d}  {message}")
    return len(states)


def main(folder, am, accepted_path):
    base, ours = folder / "heap", folder / am
    accepted = Accepted(accepted_path)
    heap, mine = results(base), results(ours)
    known, failed = [], 0
    with open(folder / f"{am}.diffs", "w") as diffs:
        for test in sorted(heap.keys() | mine.keys()):
            if test not in mine and "TESTS" in os.environ:
                continue
            if test not in mine:
                print(f"differs: {test}: was not run")
                failed += 1
                continue
            if mine[test] or not heap.get(test, True):
                continue
            found = differences(base, ours, test)
            bad = [hunk for hunk in found if not accepted.take(test, hunk)]
            if bad:
                failed += 1
                changed = [line for line in bad[0] if line[:1] in "+-"] or bad[0]
                print(f"differs: {test}" + (f": {len(bad)} hunks" if bad[0] else ""))
                print("".join(f"    {line[:160]}\n" for line in changed[:4]).replace(PLAN, ""), end="")
            elif found:
                known.append(test)
            for hunk in bad:
                diffs.write((f"*** {test}\n" + "\n".join(hunk) + "\n").replace(PLAN, ""))

    failed_states = show_errors(errors(ours) - errors(base), accepted)
    crashed = len(CRASHED.findall((ours / "server.log").read_text(errors="replace")))
    if crashed:
        print(f"server processes crashed: {crashed}")
    stale = accepted.stale(mine)
    if stale:
        print(f"{accepted_path.name}: lines that nothing needed: {', '.join(map(str, stale))}")
    print(f"heap: {sum(heap.values())} of {len(heap)} pass")
    print(f"{am}: {sum(mine.values())} of {len(mine)} pass, {len(known)} more with reviewed differences only"
          + (f": {' '.join(known)}" if known else ""))
    if (folder / f"{am}.diffs").stat().st_size:
        print(f"see {folder / f'{am}.diffs'}, and the log in {ours}")
    print(f"{folder.name}: {len(mine) - failed} passed, {failed + failed_states + bool(crashed)} failed")
    return 1 if failed or failed_states or crashed or not mine else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
