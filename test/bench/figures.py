"""What every benchmark needs: figures as ratios, and pgbench."""

import os
import re
import subprocess

rows = []


def report(what, rival, ours, ratio, target, met):
    rows.append((what, rival, ours, ratio, target, "yes" if met else "no"))
    print("  ".join(rows[-1]), flush=True)


def at_most(what, rival, ours, limit, show=lambda v: f"{v:.2f}"):
    ratio = ours / rival
    report(what, show(rival), show(ours), f"{ratio:.2f}×", f"≤ {limit}×", ratio <= limit)


def at_least(what, rival, ours, limit, show=lambda v: f"{v:.2f}"):
    """Ratio of speeds, given as rates."""
    ratio = ours / rival
    report(what, show(rival), show(ours), f"{ratio:.2f}×", f"≥ {limit}×", ratio >= limit)


def seconds(value):
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.2f} ms"


def mebibytes(value):
    return f"{value / 2**20:.1f} MiB"


def best_of(session, statement, times=5):
    return min(session.seconds(statement) for _ in range(times))


def pgbench(script, clients, length, *extra):
    path = f"{os.environ['LH_WORK']}/bench/script.sql"
    with open(path, "w") as file:
        file.write(script)
    run = subprocess.run([os.path.join(os.environ["LH_BIN"], "pgbench"), "-n", "-M", "prepared", "-f", path,
                          "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(length), *extra],
                         capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr[-500:])
    return float(re.search(r"^tps = ([\d.]+)", run.stdout, re.M).group(1))
