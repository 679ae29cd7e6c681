"""One psql process kept open: a backend whose memory and I/O can be looked at."""

import os
import subprocess
import time


class Session:
    END = "--end of answer--"

    def __init__(self, *settings):
        self.psql = subprocess.Popen(
            [os.path.join(os.environ["LH_BIN"], "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = int(self.run("SELECT pg_backend_pid()")[0])
        for setting in ("client_min_messages = warning", *settings):
            self.run(f"SET {setting}")

    def run(self, statement):
        """Lines of the answer."""
        self.psql.stdin.write(f"{statement};\n\\echo {self.END}\n")
        self.psql.stdin.flush()
        lines = []
        while True:
            line = self.psql.stdout.readline()
            if not line:
                raise RuntimeError(f"psql ended at: {statement[:200]}")
            if line.rstrip("\n") == self.END:
                return lines
            lines.append(line.rstrip("\n"))

    def value(self, statement):
        return self.run(statement)[0]

    def seconds(self, statement):
        begin = time.perf_counter()
        self.run(statement)
        return time.perf_counter() - begin

    def proc(self, file, key):
        """A number of /proc/<backend>/<file>."""
        with open(f"/proc/{self.pid}/{file}") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(key + ":"))

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
