#!/usr/bin/env python3
"""Random differential test of concurrent sessions: heap against lakehouse.

    sessions.py [--seed S] [--statements N] [--keep-going] [--no-shorten]

Three psql sessions take turns at single-row writes, locks, savepoints, keys and
prepared transactions, while a fourth publishes and vacuums.  Who comes next, and
with what, is drawn from the seed while the statements run on heap tables; then
the same turns are taken on lakehouse tables.  Every turn must end alike: with the
same rows, the same SQLSTATE, or waiting, and the same waiters must go on with it.

What SQL leaves open is not made: rows are locked in the order of a key, waiters
are compared when nobody can go on by himself, a deadlock (found in the graph of
waiters, not by its timeout) ends the episode.

Serializable episodes run on lakehouse only.  What the committed transactions saw
must be what they would have seen one after another, in some order, on heap.
"""

import argparse
import itertools
import os
import random
import selectors
import subprocess
import sys
import time

N_SESSIONS = 3
MODES = ["UPDATE", "UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE", "KEY SHARE", "KEY SHARE"]
TRIED = """CREATE FUNCTION tried(query text, undo bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	answer text := '';
BEGIN
	IF query !~ '^(SELECT|WITH)|RETURNING' THEN
		EXECUTE query;
	ELSE
		FOR r IN EXECUTE query LOOP
			answer := answer || r;
		END LOOP;
	END IF;
	IF undo THEN
		RAISE EXCEPTION USING ERRCODE = 'raise_exception';
	END IF;
	RETURN answer;
EXCEPTION WHEN raise_exception OR integrity_constraint_violation OR lock_not_available THEN
	RETURN SQLSTATE;
END $$"""
PATIENCE = 20      # seconds without any progress: a hang


class Hang(Exception):
    pass


class Unfit(Exception):
    """What an episode begins with fails: it was shortened too far."""


class Session:
    """A psql that is given one statement at a time and does not have to answer at once."""

    def __init__(self, settings):
        self.process = subprocess.Popen(
            [os.environ.get("PSQL", "psql"), "-X", "-q", "-A", "-t", "-v", "VERBOSITY=sqlstate"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
            env=dict(os.environ, PGOPTIONS="-c client_min_messages=error -c deadlock_timeout=1h -c lakehouse.bulk_delete_rows=2 " + settings))
        os.set_blocking(self.process.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.n = 0
        self.text = ""
        self.busy = False
        self.pid = int(self.ask("SELECT pg_backend_pid()")[0])

    def start(self, sql):
        self.n += 1
        self.text = ""
        self.busy = True
        self.process.stdin.write(f"{sql}\n;\n\\echo @@{self.n}\n".encode())

    def poll(self, seconds):
        """The answer as sorted lines, or None."""
        end = f"@@{self.n}\n"
        deadline = time.monotonic() + seconds
        while not self.text.endswith(end):
            left = deadline - time.monotonic()
            if left < 0 or not self.selector.select(left):
                return None
            data = self.process.stdout.read()
            if not data:
                raise Hang(f"session has ended: {self.text}")
            self.text += data.decode()
        self.busy = False
        return sorted(self.text[:-len(end)].split("\n"))[1:]

    def ask(self, sql):
        self.start(sql)
        answer = self.poll(PATIENCE)
        if answer is None:
            raise Hang(f"no answer to {sql}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


class Side:
    """The sessions on one access method, each in the schema that bears its name."""

    def __init__(self, method):
        self.method = method
        self.schema = f"sessions_{method}"
        settings = f"-c search_path={self.schema} -c default_table_access_method={method}"
        self.sessions = [Session(settings) for _ in range(N_SESSIONS)]
        self.control = Session(settings)
        self.pids = {s.pid: i for i, s in enumerate(self.sessions)}

    def setup(self, statements):
        answer = self.control.ask(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE; CREATE SCHEMA {self.schema}")
        for sql in [TRIED] + statements:
            answer += self.control.ask(sql)
        if any("ERROR" in line for line in answer):
            sys.exit(f"sessions: {self.method}: {answer} from {statements}")

    def publish(self, table):
        if self.method == "lakehouse":
            answer = self.control.ask("SELECT lakehouse.publish(relid) FROM "
                                      f"pg_partition_tree('{table}') WHERE isleaf")
            return [x for x in answer if "ERROR" in x]
        return []

    def blockers(self, waiting):
        """Who waits for whom; a prepared transaction is number -1."""
        lines = self.control.ask(" UNION ALL ".join(
            f"SELECT '{i} ' || array_to_string(pg_blocking_pids({self.sessions[i].pid}), ' ')" for i in waiting))
        graph = {}
        for line in lines:
            who, *pids = [int(x) for x in line.split()]
            graph[who] = sorted({-1 if p == 0 else self.pids.get(p, -2) for p in pids})
        return graph

    def settle(self):
        """Waits until nobody can go on by himself: answers of those who are done, those who wait."""
        done, last, begin = {}, None, time.monotonic()
        seconds = 0.002
        while True:
            waiting = [i for i, s in enumerate(self.sessions) if s.busy]
            for i in waiting:
                answer = self.sessions[i].poll(seconds)
                if answer is not None:
                    done[i] = answer
                    last = None
            waiting = [i for i in waiting if self.sessions[i].busy]
            if not waiting:
                return done, {}
            graph = self.blockers(waiting)
            if all(graph[i] and -2 not in graph[i] for i in waiting):
                if graph == last:
                    return done, graph
                last = graph
            else:
                last = None
            if time.monotonic() - begin > PATIENCE:
                raise Hang(f"{self.method}: {waiting} neither go on nor wait for each other: {graph}")
            seconds = 0.004

    def take_turn(self, who, sql):
        """What the turn shows: (its answer or None if it waits, answers of waiters, who waits)."""
        if who < 0:
            verb, table = sql.split()
            answer = self.publish(table) if verb == "PUBLISH" else self.control.ask(sql)
        else:
            self.sessions[who].start(sql)
            answer = None
        done, graph = self.settle()
        if who >= 0:
            answer = done.pop(who, None)
        return answer, done, graph

    def end_episode(self):
        """Whatever they are at: no locks and no transactions are left."""
        while any(s.busy for s in self.sessions):
            graph = self.blockers([i for i, s in enumerate(self.sessions) if s.busy])
            # first who keeps nobody waiting: else the other would go on, outside a transaction for good
            last = [i for i in graph if not any(i in others for others in graph.values())]
            s = self.sessions[last[0] if last else min(graph)]
            self.control.ask(f"SELECT pg_cancel_backend({s.pid})")
            s.poll(0.05)
        for s in self.sessions:
            s.ask("ROLLBACK")
        for name in self.control.ask("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
            self.control.ask(f"ROLLBACK PREPARED '{name}'")

    def contents(self, tables):
        """What is there, by scans and by indexes, before and after publishing."""
        lines = []
        for _ in range(2):
            for table in tables:
                lines += [f"{table} {x}" for x in self.control.ask(f"SELECT * FROM {table}")]
                lines += self.control.ask(f"SELECT count(*) FROM {table}")
                lines += self.control.ask("SET enable_seqscan = off; SET enable_bitmapscan = off; "
                                          f"SELECT id FROM {table} WHERE id > -1000; RESET enable_seqscan; RESET enable_bitmapscan")
                self.publish(table)
        return lines

    def close(self):
        for s in self.sessions + [self.control]:
            s.close()


def is_deadlock(graph):
    """Does anybody wait for himself?"""
    for start in graph:
        seen, todo = set(), [start]
        while todo:
            for other in graph.get(todo.pop(), []):
                if other == start:
                    return True
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
    return False


def is_race(graph):
    """Two who wait, in the end for the same one: who is first when he ends, SQL leaves open."""
    return len(graph) > 1


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.n_names = 0
        self.prepared = []
        self.partitioned = self.r.random() < 0.25
        self.states = None

    def name(self, prefix):
        self.n_names += 1
        return f"{prefix}{self.n_names}"

    # ---- tables ----

    def schema(self):
        r = self.r
        unique = r.choice(["", "UNIQUE", "UNIQUE NULLS NOT DISTINCT", "EXCLUDE"])   # a deferred check depends on whether heap updates in place
        actions = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]
        self.upsert = [] if self.partitioned else ["id"] + (["u"] if unique.startswith("UNIQUE") else [])
        if self.partitioned:
            statements = ["CREATE TABLE k (id int, u int, v int, w text) PARTITION BY RANGE (id)",
                          "CREATE TABLE k1 PARTITION OF k (PRIMARY KEY (id)) FOR VALUES FROM (-1000) TO (4)",
                          "CREATE TABLE k2 PARTITION OF k (PRIMARY KEY (id)) FOR VALUES FROM (4) TO (2000)"]
            statements.append("CREATE TABLE c (id int PRIMARY KEY, k int, v int)")
        else:
            statements = ["CREATE TABLE k (id int PRIMARY KEY, u int, v int, w text)"]
            if unique == "EXCLUDE":
                statements.append("ALTER TABLE k ADD EXCLUDE USING btree (u WITH =)")
            elif unique:
                statements.append(f"ALTER TABLE k ADD {unique} (u)")
            statements.append("CREATE TABLE c (id int PRIMARY KEY, k int DEFAULT 1 REFERENCES k "
                              f"ON DELETE {r.choice(actions)} ON UPDATE {r.choice(actions)}"
                              f"{r.choice(['', '', ' DEFERRABLE INITIALLY DEFERRED'])}, v int)")
            if r.random() < 0.3:
                statements.append("CREATE INDEX ON k (v)")
            if r.random() < 0.3:
                statements.append("CREATE UNIQUE INDEX ON k ((v % 1000)) WHERE w = 'p'")
        return statements

    def reset(self):
        """What an episode begins with."""
        r = self.r
        lines = ["TRUNCATE k, c",
                 f"SET lakehouse.bulk_threshold = {r.choice([0, 3, 1000])}",
                 "INSERT INTO k SELECT i, i, i * 100, 'w' || i FROM generate_series(1, 6) i",
                 "INSERT INTO c SELECT i, i, i FROM generate_series(1, 4) i"]
        if r.random() < 0.4:
            lines.append("PUBLISH k")
        for _ in range(r.randint(0, 3)):
            lines.append(f"UPDATE k SET v = v + 1 WHERE id = {r.randint(1, 6)}")
        if r.random() < 0.4:
            lines.append("PUBLISH k")
        return lines

    # ---- statements ----

    def id(self):
        return self.r.choice([1, 1, 1, 1, 1, 1, 2, 2, 3, 4, 5, 7])

    def update(self):
        change = self.r.choice(["v = v + 1", "v = v + 1", "v = v + 10", "w = w || 'x'", "v = v", f"u = {self.r.randint(1, 9)}",
                                f"id = {self.id()}", "id = id", "w = 'p'", "u = NULL"])
        extra = self.r.choice(["", "", "", " AND v < 105", " AND w LIKE 'w%'"])
        return f"UPDATE k SET {change} WHERE id = {self.id()}{extra}{self.r.choice(['', ' RETURNING *'])}"

    def update_some(self):
        return ("WITH x AS MATERIALIZED (SELECT id FROM k WHERE id <= 3 ORDER BY id FOR UPDATE) "
                f"UPDATE k SET v = v + 1 FROM x WHERE k.id = x.id RETURNING k.id, v")

    def delete(self):
        return f"DELETE FROM k WHERE id = {self.id()}{self.r.choice(['', '', ' AND v < 105'])} RETURNING *"

    def delete_some(self):
        """Several rows, which lakehouse deletes together; by an index, in the order of the key."""
        what = self.r.choice(["id <= 3", "id <= 2", "id > 2", "id BETWEEN 1 AND 5"]) + self.r.choice(["", "", " AND v < 405"])
        return (f"SET enable_seqscan = off; SET enable_bitmapscan = off; DELETE FROM k WHERE {what} RETURNING *; "
                "RESET enable_seqscan; RESET enable_bitmapscan")

    def insert(self):
        return f"INSERT INTO k VALUES ({self.id()}, {self.r.randint(1, 9)}, {self.r.randint(0, 5)}, '{self.r.choice('pq')}')"

    def insert_or(self):
        if not self.upsert:
            return None
        if self.r.random() < 0.4:
            target = self.r.choice([""] + [f" ({c})" for c in self.upsert]) if "u" in self.upsert else f" ({self.upsert[0]})"
            return f"{self.insert()} ON CONFLICT{target} DO NOTHING RETURNING *"
        where = self.r.choice(["", "", " WHERE k.v < 105"])
        return (f"{self.insert()} ON CONFLICT ({self.r.choice(self.upsert)}) DO UPDATE "
                f"SET v = k.v + 1000, w = k.w || excluded.w{where} RETURNING *")

    def merge(self):
        return (f"MERGE INTO k USING (VALUES ({self.id()}, {self.r.randint(1, 9)})) s(id, u) ON k.id = s.id "
                f"{self.r.choice(['', 'WHEN MATCHED AND v > 150 THEN DELETE '])}"
                f"WHEN MATCHED THEN UPDATE SET {self.r.choice(['v = v + 7', 'u = s.u'])} "
                f"{self.r.choice(['', 'WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.u, 0)'])}")

    def lock(self):
        mode = self.r.choice(MODES if self.shares_keys else MODES[:4])
        # heap asks newer versions for KEY SHARE and waits there, NOWAIT or not
        policy = "" if mode == "KEY SHARE" else self.r.choice(["", "", " NOWAIT", " SKIP LOCKED"])
        what = self.r.choice([f"WHERE id = {self.id()}", "ORDER BY id LIMIT 1", "ORDER BY id LIMIT 2",
                              "WHERE id > 2 ORDER BY id LIMIT 2", "ORDER BY id"])
        return f"SELECT id, v, w FROM k {what} FOR {mode}{policy}"

    def child(self):
        if not self.shares_keys:
            return None
        i, k = self.r.randint(1, 5), self.id()
        return self.r.choice([f"INSERT INTO c VALUES ({i}, {k}, 0)", f"UPDATE c SET k = {k} WHERE id = {i} RETURNING *",
                              f"UPDATE c SET v = v + 1 WHERE id = {i} RETURNING *", f"DELETE FROM c WHERE id = {i} RETURNING *"])

    def look(self):
        return self.r.choice(["SELECT * FROM k", "SELECT count(*), sum(v) FROM k", f"SELECT * FROM k WHERE id = {self.id()}",
                              "SELECT * FROM c", "SELECT k.id, c.id, k.v + c.v FROM k JOIN c ON c.k = k.id"])

    def lock_join(self):
        if not self.shares_keys:
            return None
        what = self.r.choice(["k.id <= 3", f"k.id = {self.id()}", f"c.id = {self.r.randint(1, 4)}"])
        return (f"SELECT k.id, c.id, k.v, c.v FROM k JOIN c ON c.k = k.id WHERE {what} ORDER BY k.id, c.id LIMIT {self.r.choice([1, 2, 5])} "
                f"FOR {self.r.choice(MODES[:4])} OF {self.r.choice('kkc')}{self.r.choice(['', ' NOWAIT', ' SKIP LOCKED'])}")

    def update_join(self):
        """With other rows, which are not locked: of another table, of this one, of a subquery."""
        i, j = self.id(), self.r.randint(1, 4)
        return self.r.choice([
            f"UPDATE k SET v = k.v + c.v + 1 FROM c WHERE c.k = k.id AND c.id = {j} RETURNING k.id, k.v, c.id, c.v",
            f"UPDATE k SET v = x.v + 1 FROM k x WHERE x.id = k.id AND k.id = {i} RETURNING k.id, k.v, x.v",
            f"UPDATE k SET v = (SELECT count(*) FROM c WHERE c.k = k.id), w = k.w || 's' WHERE id = {i} RETURNING id, v, w",
            f"UPDATE k SET v = v + 1 WHERE id = {i} AND EXISTS (SELECT 1 FROM c WHERE c.k = k.id AND c.v < 3) RETURNING id, v",
            f"UPDATE k SET (v, w) = (SELECT k.v + 1, 'r' || k.id) WHERE id = {i} RETURNING k.*, k",
            f"UPDATE c SET v = k.v FROM k WHERE k.id = c.k AND c.id = {j} RETURNING c.id, c.v, k.v",
            f"DELETE FROM k USING c WHERE c.id = {j} AND c.k + 1 = k.id RETURNING k.*, c.*",
            f"DELETE FROM c USING k WHERE k.id = c.k AND k.v < 105 AND c.id = {j} RETURNING c.id",
            "WITH x AS MATERIALIZED (SELECT id, v FROM k WHERE id <= 4 ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) "
            "UPDATE k SET v = x.v + 1 FROM x WHERE k.id = x.id RETURNING k.id, k.v",
            f"SELECT id, v, xmin = pg_current_xact_id_if_assigned()::xid FROM k WHERE id = {i}"])

    def cursor(self):
        if self.partitioned:    # where a partition is not in the cursor's plan, WHERE CURRENT OF fails, sooner or later
            return None
        name, i = self.name("cur"), self.id()
        query, write = self.r.choice([
            (f"id = {i} FOR UPDATE", "UPDATE k SET v = v + 2"), (f"id = {i}", "UPDATE k SET v = v + 2"), (f"id = {i}", "DELETE FROM k"),
            ("id <= 3 ORDER BY id FOR UPDATE SKIP LOCKED", "DELETE FROM k"), ("id <= 3 ORDER BY id FOR NO KEY UPDATE", "UPDATE k SET w = 'cur'")])
        return (f"DECLARE {name} CURSOR FOR SELECT id, v FROM k WHERE {query}; MOVE {self.r.choice([0, 0, 1])} FROM {name}; FETCH 1 FROM {name}; "
                f"{write} WHERE CURRENT OF {name} RETURNING id, v; FETCH 1 FROM {name}; CLOSE {name}")

    def tried(self):
        """In a function with an exception block."""
        sql = getattr(self, self.r.choice(["update", "delete", "insert", "insert_or", "merge", "lock", "child", "update_join"]))()
        return sql and f"SELECT tried($q${sql}$q$, {self.r.choice(['true', 'false'])})"

    KINDS = [("lock_join", 3), ("update_join", 4), ("tried", 3), ("cursor", 1), ("update", 12), ("update_some", 2), ("delete", 4), ("delete_some", 3), ("insert", 4), ("insert_or", 5), ("merge", 3),
             ("lock", 12), ("child", 5), ("look", 6)]

    def write(self):
        while True:
            sql = getattr(self, self.r.choices([k for k, _ in self.KINDS], [w for _, w in self.KINDS])[0])()
            if sql:
                return sql

    # ---- turns ----

    def turn(self, waiting):
        """(session, SQL) by what the sessions are at: those in `waiting` cannot."""
        r = self.r
        if r.random() < 0.06:
            return -1, r.choice(["PUBLISH k", "PUBLISH c", "VACUUM k", "VACUUM c"])
        free = [i for i in range(N_SESSIONS) if i not in waiting]
        if not free:
            return None
        who = r.choice(free)
        state = self.states[who]
        if state["failed"]:
            if state["saved"] and r.random() < 0.6:
                return who, self.back(state)
            return who, "ROLLBACK"
        if not state["open"]:
            if self.prepared and r.random() < 0.3:
                name = self.prepared.pop(r.randrange(len(self.prepared)))
                return who, f"{r.choice(['COMMIT', 'COMMIT', 'ROLLBACK'])} PREPARED '{name}'"
            if r.random() < 0.25:
                return who, self.write()
            return who, "BEGIN" + ("" if self.shares_keys else r.choice(["", " ISOLATION LEVEL REPEATABLE READ"]))
        x = r.random()
        if x < 0.12:
            return who, "COMMIT"
        if x < 0.17:
            return who, "ROLLBACK"
        if x < 0.20 and len(self.prepared) < 2:
            return who, f"PREPARE TRANSACTION '{self.name('p')}'"
        if x < 0.30:
            return who, f"SAVEPOINT {self.name('s')}"
        if x < 0.40 and state["saved"]:
            return who, self.back(state)
        if x < 0.43 and state["saved"]:
            return who, f"RELEASE {r.choice(state['saved'])}"
        return who, self.write()

    def back(self, state):
        return f"ROLLBACK TO {self.r.choice(state['saved'])}"

    def begin(self):
        self.prepared = []
        # heap's REPEATABLE READ waits for sharers of the key before it fails: an episode has the one or the other
        self.shares_keys = self.r.random() < 0.7
        self.states = [{"open": False, "failed": False, "saved": []} for _ in range(N_SESSIONS)]

    def note(self, who, sql, answer):
        """Follows the state of a session's transaction."""
        state, failed = self.states[who], any("ERROR" in line for line in answer)
        verb, *rest = sql.split()
        if verb == "BEGIN":
            state.update(open=True, failed=False, saved=[])
        elif verb in ("COMMIT", "ROLLBACK", "PREPARE") and rest[:1] not in (["TO"], ["PREPARED"]):
            if verb == "PREPARE" and not failed:
                self.prepared.append(rest[-1].strip("'"))
            state.update(open=False, failed=False, saved=[])
        elif failed:
            state["failed"] = state["open"]
        elif verb == "SAVEPOINT":
            state["saved"].append(rest[0])
        elif verb == "ROLLBACK" and rest[0] == "TO":
            state["failed"] = False
            del state["saved"][state["saved"].index(rest[1]) + 1:]
        elif verb == "RELEASE":
            del state["saved"][state["saved"].index(rest[0]):]


# ---- episodes ----

def reset(side, lines):
    for line in lines:
        answer = side.publish(line.split()[1]) if line.startswith("PUBLISH") else side.control.ask(line)
        if any("ERROR" in x for x in answer):
            raise Unfit(f"sessions: {side.method}: {answer} from {line}")


def play(side, turns, generator=None, length=0):
    """Takes turns, given ones or drawn ones; returns the turns taken and what they showed."""
    waiting, taken, shown, at_work = {}, [], [], {}
    while generator is not None and len(taken) < length or generator is None and len(taken) < len(turns):
        turn = generator.turn(waiting) if generator is not None else turns[len(taken)]
        if turn is None:
            break
        who, sql = turn
        taken.append(turn)
        if who in waiting:
            shown.append("passed over")
            continue
        answer, done, waiting = side.take_turn(who, sql)
        at_work[who] = sql
        shown.append((answer if who >= 0 or "ERROR" in str(answer) else None, done, waiting))
        if generator is not None:
            for i, lines in [(who, answer)] * (who >= 0 and answer is not None) + list(done.items()):
                generator.note(i, at_work[i], lines)
        if is_deadlock(waiting) or is_race(waiting):
            break
    return taken, shown


def episode(side, lines, turns, generator=None, length=0):
    reset(side, lines)
    try:
        turns, shown = play(side, turns, generator, length)
    finally:
        side.end_episode()
    # two who wait are a deadlock or not, depending on whom of several they wait for first
    ended_by_waiters = bool(shown) and isinstance(shown[-1], tuple) and is_race(shown[-1][2])
    return turns, shown + [None if ended_by_waiters else side.contents(["k", "c"])]


def differs(heap, lake):
    for i in range(max(len(heap), len(lake))):
        if heap[i:i + 1] != lake[i:i + 1]:
            return i
    return None


def same_waits(shown):
    """Who waits is compared, not for whom: a queue has its own order."""
    return [x if not isinstance(x, tuple) else (x[0], x[1], sorted(x[2])) for x in shown]


def compare(sides, setup, lines, turns):
    """Index of the first difference or None, and what both showed."""
    for side in sides:
        if setup:
            side.setup(setup)
    turns, heap = episode(sides[0], lines, turns)
    try:
        lake = episode(sides[1], lines, turns)[1]
    except Hang as e:
        return 0, heap, [str(e)]
    return differs(same_waits(heap), same_waits(lake)), heap, lake


def report(seed, n, setup, lines, turns, at, heap, lake):
    print(f"sessions: seed {seed}, episode {n} differs")
    for line in setup + lines:
        print(f"       {line};")
    for i, (who, sql) in enumerate(turns):
        if i <= at:
            print(f"{'-->' if i == at else '   '} {'control' if who < 0 else f's{who}'}: {sql};    -- {heap[i] if i < len(heap) else ''}")
    print(f"heap:      {heap[at] if at < len(heap) else 'nothing'}\nlakehouse: {lake[at] if at < len(lake) else 'nothing'}")


def shorten(sides, setup, lines, turns, at):
    """Leaves out turns, then set-up lines, as long as it still differs."""
    turns = turns[:at + 1]
    best = compare(sides, setup, lines, turns)
    if best[0] is None:
        return turns, lines, None
    for what in (turns, lines):
        i = len(what) - 1
        while i >= 0:
            gone = what.pop(i)
            try:
                found = compare(sides, setup, lines, turns)
            except Unfit:
                found = (None,)
            if found[0] is None:
                what.insert(i, gone)
            else:
                best = found
            i -= 1
    return turns, lines, best


# ---- serializable ----

def serializable_turns(r):
    """Transactions of a few statements each, in a random order of turns."""
    def one():
        i, j = r.randint(1, 4), r.randint(1, 4)
        return r.choice([
            f"SELECT v FROM k WHERE id = {i}", f"SELECT count(*), sum(v) FROM k WHERE id BETWEEN {min(i, j)} AND {max(i, j)}",
            "SELECT count(*), sum(v) FROM k", "SELECT count(*), sum(v) FROM c",
            f"UPDATE k SET v = (SELECT coalesce(sum(v), 0) + 1 FROM k WHERE id = {j}) WHERE id = {i} RETURNING v",
            f"UPDATE k SET v = v + 1 WHERE id = {i} RETURNING v", f"DELETE FROM k WHERE id = {i} RETURNING v",
            f"DELETE FROM k WHERE id BETWEEN {min(i, j)} AND {max(i, j)} RETURNING v",
            f"INSERT INTO k SELECT {10 + j}, {10 + j}, count(*) FROM k WHERE id = {i} ON CONFLICT DO NOTHING RETURNING v",
            f"INSERT INTO c SELECT {i}, 1, sum(v) FROM k ON CONFLICT DO NOTHING RETURNING v",
            f"INSERT INTO k SELECT {i}, {i}, sum(v) FROM c ON CONFLICT DO NOTHING RETURNING v",
            f"UPDATE c SET v = (SELECT sum(v) FROM k) WHERE id = {i} RETURNING v", f"DELETE FROM c WHERE id = {i} RETURNING v",
            # b has no key: there a statement's rows go to a file
            "SELECT count(*), sum(v) FROM b", f"SELECT count(*) FROM b WHERE v = {i}",
            f"INSERT INTO b SELECT v FROM k WHERE id <= {i} RETURNING v", "INSERT INTO b SELECT count(*) FROM b RETURNING v"])
    begin = ["BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL lakehouse.bulk_threshold = ", "; SET LOCAL enable_seqscan = "]
    scripts = [[begin[0] + str(r.choice([0, 1, 1000])) + begin[1] + r.choice(["on", "off"])] + [one() for _ in range(r.randint(2, 3))] + ["COMMIT"]
               for _ in range(N_SESSIONS)]
    turns = [i for i, script in enumerate(scripts) for _ in script]
    r.shuffle(turns)
    return scripts, turns


def serializable_episode(side, lines, scripts, order, r):
    """The answers of each transaction, None for one that failed."""
    reset(side, lines)
    at, waiting = [0] * N_SESSIONS, {}
    answers = [[] for _ in scripts]
    try:
        while True:
            open_ = [i for i in range(N_SESSIONS) if at[i] < len(scripts[i]) and i not in waiting]
            if not open_:
                break
            who = order.pop(0) if order else open_[0]
            if who not in open_:
                order.append(who)
                who = open_[0]
            if r.random() < 0.1:
                side.publish(r.choice("kcb"))
            answer, done, waiting = side.take_turn(who, scripts[who][at[who]])
            at[who] += 1
            for i, lines_ in list(done.items()) + ([] if answer is None else [(who, answer)]):
                if answers[i] is None:
                    continue
                answers[i] = None if any("ERROR" in x for x in lines_) else answers[i] + [lines_]
            if is_deadlock(waiting):
                break
    finally:
        side.end_episode()
    finished = [i for i, a in enumerate(answers) if a is not None and len(a) == len(scripts[i])]
    return answers, finished


def some_serial_order(side, lines, scripts, answers, finished, contents):
    for order in itertools.permutations(finished):
        reset(side, lines)
        if all(side.control.ask(sql) == answers[i][n] for i in order for n, sql in enumerate(scripts[i])) and \
                [side.control.ask(f"SELECT * FROM {t}") for t in "kcb"] == contents:
            return True
        side.control.ask("ROLLBACK")
    return False


# ---- all of it ----

def run_serializable(sides, seed, n_episodes):
    r = random.Random(seed)
    heap, lake = sides
    setup = ["CREATE TABLE k (id int PRIMARY KEY, u int, v int, w text)", "CREATE TABLE c (id int PRIMARY KEY, k int, v int)",
             "CREATE TABLE b (v int)"] + ["CREATE INDEX ON b (v)"] * (r.random() < 0.5)
    n, failed = 0, 0
    for side in sides:
        side.setup(setup)
    for episode_n in range(n_episodes):
        lines = ["TRUNCATE k, c, b", "INSERT INTO b VALUES (1), (2)", "INSERT INTO k SELECT i, i, i FROM generate_series(1, 3) i",
                 "INSERT INTO c SELECT i, i, i FROM generate_series(1, 2) i"] + ["PUBLISH k", "PUBLISH c", "PUBLISH b"] * (r.random() < 0.5)
        scripts, order = serializable_turns(r)
        answers, finished = serializable_episode(lake, lines, scripts, list(order), r)
        n += sum(len(s) for s in scripts)
        failed += N_SESSIONS - len(finished)
        contents = [lake.control.ask(f"SELECT * FROM {t}") for t in "kcb"]
        if not some_serial_order(heap, lines, scripts, answers, finished, contents):
            print(f"sessions: seed {seed}, serializable episode {episode_n}: {finished} fit no serial order\n{lines}\n{order}")
            for script, answer in zip(scripts, answers):
                print(script, answer)
            print(contents)
            return n, failed, False
    return n, failed, True


def run_seed(sides, seed, n_statements, shortens):
    generator = Generator(seed)
    setup = generator.schema()
    for side in sides:
        side.setup(setup)
    n, number, waits = 0, 0, 0
    while n < n_statements:
        number += 1
        lines = generator.reset()
        generator.begin()
        turns, heap = episode(sides[0], lines, [], generator, generator.r.randint(10, 45))
        try:
            lake = episode(sides[1], lines, turns)[1]
        except Hang as e:
            print(f"sessions: seed {seed}, episode {number}: {e}\n{lines}\n{turns}")
            return n, waits, False
        n += len(turns) + len(lines)
        waits += sum(1 for x in heap if isinstance(x, tuple) and x[0] is None and x[2])
        at = differs(same_waits(heap), same_waits(lake))
        if at is not None:
            report(seed, number, setup, lines, turns, at, heap, lake)
            if not shortens:
                return n, waits, False
            turns, lines, best = shorten(sides, setup, list(lines), list(turns), at)
            if best is None:
                print("sessions: does not differ when played again")
            else:
                print(f"sessions: shortened to {len(turns)} turns")
                report(seed, number, setup, lines, turns, *best)
            return n, waits, False
    return n, waits, True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", 1)))
    parser.add_argument("--statements", type=int, default=int(os.environ.get("N", 4000)))
    parser.add_argument("--per-seed", type=int, default=400)
    parser.add_argument("--keep-going", action="store_true")
    parser.add_argument("--no-shorten", action="store_true")
    args = parser.parse_args()
    sides = [Side("heap"), Side("lakehouse")]
    done, waits, failures, seed, bad = 0, 0, 0, args.seed, 0
    while done < args.statements:
        n, w, same = run_seed(sides, seed, args.per_seed * 3 // 4, not args.no_shorten)
        m, f, serial = run_serializable(sides, seed, args.per_seed // 60) if same else (0, 0, True)
        done, waits, failures = done + n + m, waits + w, failures + f
        if not (same and serial):
            bad += 1
            if not args.keep_going:
                return 1
        else:
            print(f"sessions: seed {seed}, {n + m} turns, same", flush=True)
        seed += 1
    print(f"sessions: {waits} waits, {failures} serializable transactions undone")
    print(f"sessions: {done} turns, seeds {args.seed} to {seed - 1}, {bad or 'no'} difference")
    for side in sides:
        side.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
