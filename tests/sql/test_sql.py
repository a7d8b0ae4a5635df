#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_sql.py CLIENT...: the statements and the code of docs/sql.md, as they stand there, run the test vectors of barriers through
each client: psycopg2, pymysql, sqlite3 (modules of Python); psql, mariadb, sqlite (programs). 77: none of the clients is installed."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/sql.md").read_text()
SQL = ROOT / "framework/barrier/sql"
VECTORS = [json.loads(line) for line in (ROOT / "framework/conformance/barrier-vectors.jsonl").read_text().splitlines()]
MARKER = "ANSWER_ENDS_HERE"


class Missing(Exception):
    """A client that is not installed."""


def skip(why):
    raise Missing(why)


def statements_of(heading):
    block = re.search(r"```sql\n(.*?)```", PAGE.split(f"\n## {heading}\n")[1], re.S).group(1)
    parts = re.split(r"^-- (\w+)\n", block, flags=re.M)[1:]
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2])}


CODE = types.ModuleType("page")
exec(re.search(r"```python\n(.*?)```", PAGE, re.S).group(1), CODE.__dict__)  # pylint: disable=exec-used


# -- Modules of Python ----------------------------------------------------------------------------------------------------------


class Module:
    """A connection by the DB-API; one that has lost it is opened again."""

    def __init__(self, connect, heading, file, style):
        self.connect, self.file, self.style = connect, file, style
        self.statements = statements_of(heading)
        self.db = None

    def execute(self, text, values=()):
        cursor = self.db.cursor()
        cursor.execute(text, values)
        return cursor.rowcount, (cursor.fetchall() if cursor.description else [])

    def run(self, name, **values):
        return self.execute(re.sub(r":(\w+)", self.style, self.statements[name]), values)

    def open(self):
        self.db = self.connect()

    def close(self):
        self.db.close()

    def begin(self):
        pass

    def end(self, commit):
        (self.db.commit if commit else self.db.rollback)()


class SqliteModule(Module):
    def begin(self):
        self.db.execute("BEGIN IMMEDIATE")


# -- Programs -------------------------------------------------------------------------------------------------------------------


class Program:
    """A client program that reads statements from a pipe."""

    def __init__(self, command, heading, file, begin, answer, literal, parse):
        self.command, self.file, self.begin_text = command, file, begin
        self.answer, self.literal, self.parse = answer, literal, parse
        self.statements = statements_of(heading)
        self.child = None
        self.count = ""  # of rows that the last statement changed, where the marker's line says it

    def execute(self, text):
        print(text + ";", self.answer, sep="\n", file=self.child.stdin, flush=True)
        lines = []
        for line in self.child.stdout:
            if MARKER in line:
                self.count = line.split("\t")[0].strip("'")
                return lines
            lines.append(line.rstrip("\n"))
        raise RuntimeError(f"the client has ended at: {text}")

    def run(self, name, **values):
        text = re.sub(r":(\w+)", lambda match: self.literal(values[match.group(1)]), self.statements[name])
        return self.parse(self, name, self.execute(text))

    def open(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self.child.stdin.close()
        self.child.wait()

    def begin(self):
        self.execute(self.begin_text)

    def end(self, commit):
        self.execute("COMMIT" if commit else "ROLLBACK")


def hex_literal(value):
    return f"X'{value.hex()}'" if isinstance(value, bytes) else f"'{value}'" if isinstance(value, str) else str(value)


def psql_literal(value):
    return f"'\\x{value.hex()}'" if isinstance(value, bytes) else hex_literal(value)


def bytes_of(text):
    """As clients print them: \\x61, 0x61, X'61', or what the server has for nothing."""
    match = re.fullmatch(r"(?:\\x|0x|X')([0-9A-Fa-f]*)'?", text)
    return bytes.fromhex(match.group(1)) if match else None


# What the columns of a statement are; all is text for a program.
KNOWN = (lambda text: text.strip("'"), int)
COLUMNS = {"known": KNOWN, "adopted": KNOWN, "mark": (int,), "row": (int, bytes_of)}


def parse_rows(name, lines):
    return [[kind(text) for kind, text in zip(COLUMNS[name], re.split(r"[\t|]", line))] for line in lines]


def parse_psql(_program, name, lines):
    if name in COLUMNS:
        return len(lines), parse_rows(name, lines)
    return int(re.fullmatch(r"(?:INSERT 0|UPDATE|DELETE) (\d+)", lines[-1]).group(1)), []


def parse_counted(program, name, lines):
    if name in COLUMNS:
        return len(lines), parse_rows(name, lines)
    return int(program.count), []


# -- The clients ----------------------------------------------------------------------------------------------------------------


def module(name):
    try:
        return __import__(name)
    except ImportError:
        return skip(f"no {name} is installed")


def program(name):
    return shutil.which(name) or skip(f"no {name} is installed")


def make_client(name, folder):
    path = f"{folder}/app.db"
    named = r"%(\1)s"
    if name == "psycopg2":
        psycopg2 = module(name)
        return Module(lambda: psycopg2.connect(os.environ["TERCET_TEST_POSTGRES"]), "PostgreSQL", "barrier-postgres.sql", named)
    if name == "pymysql":
        pymysql = module(name)
        return Module(lambda: pymysql.connect(unix_socket=os.environ["TERCET_TEST_MYSQL"], user="root", database="page"),
                      "MariaDB and MySQL", "barrier-mysql.sql", named)
    if name == "pymysql_found_rows":
        pymysql = module("pymysql")
        return Module(lambda: pymysql.connect(unix_socket=os.environ["TERCET_TEST_MYSQL"], user="root", database="page",
                                              client_flag=pymysql.constants.CLIENT.FOUND_ROWS),
                      "MariaDB and MySQL", "barrier-mysql.sql", named)
    if name == "sqlite3":
        sqlite3 = module(name)
        return SqliteModule(lambda: sqlite3.connect(path, isolation_level=None), "SQLite", "barrier-sqlite.sql", r":\1")
    if name == "psql":
        return Program([program(name), "-X", "-A", "-t", os.environ["TERCET_TEST_POSTGRES"]], "PostgreSQL", "barrier-postgres.sql",
                       "BEGIN", f"\\echo {MARKER}", psql_literal, parse_psql)
    if name == "mariadb":
        return Program([program(name), "--no-defaults", "-N", "-B", "-n", "--binary-as-hex", "-u", "root",
                        f"--socket={os.environ['TERCET_TEST_MYSQL']}", "page"], "MariaDB and MySQL", "barrier-mysql.sql",
                       "START TRANSACTION", f"SELECT ROW_COUNT(), '{MARKER}';", hex_literal, parse_counted)
    if name == "sqlite":
        return Program([program("sqlite3"), "-batch", "-cmd", ".mode quote", "-cmd", ".separator |", path], "SQLite", "barrier-sqlite.sql",
                       "BEGIN IMMEDIATE", f"SELECT changes() || char(9) || '{MARKER}';", hex_literal, parse_counted)
    return sys.exit(__doc__)


def prepare(name, folder, file):
    """The tables of the file that is shipped, and a ledger without a key, both empty."""
    text = (SQL / file).read_text() + ";CREATE TABLE ledger (gid VARCHAR(64), branch INTEGER, kind INTEGER);"
    drop = "DROP TABLE IF EXISTS tercet_barrier; DROP TABLE IF EXISTS tercet_barrier_mark; DROP TABLE IF EXISTS ledger;"
    if file == "barrier-postgres.sql":
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", os.environ["TERCET_TEST_POSTGRES"]]
        text = "SET client_min_messages = error;" + drop + text
    elif file == "barrier-mysql.sql":
        command = ["mariadb", "--no-defaults", "-u", "root", f"--socket={os.environ['TERCET_TEST_MYSQL']}"]
        text = "CREATE DATABASE IF NOT EXISTS page; USE page;" + drop + text
    else:
        if name == "sqlite3":
            module("sqlite3").connect(f"{folder}/app.db").executescript(drop + "DROP TABLE IF EXISTS tercet_barrier_fact;" + text)
            return
        command = ["sqlite3", f"{folder}/app.db"]
        text = drop + "DROP TABLE IF EXISTS tercet_barrier_fact;" + text
    subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)


# A place as new.
EMPTY = dict.fromkeys(("barrier-postgres.sql", "barrier-mysql.sql"),
                      ("DELETE FROM tercet_barrier", "DELETE FROM ledger", "UPDATE tercet_barrier_mark SET mark = 0, source = ''"))
EMPTY["barrier-sqlite.sql"] = ("DELETE FROM tercet_barrier", "DELETE FROM ledger", "UPDATE tercet_barrier_mark SET mark = 0",
                               "DELETE FROM tercet_barrier_fact")


# -- The vectors ----------------------------------------------------------------------------------------------------------------


def within(client, work):
    """Runs work in a transaction: it says whether to commit, and what came of it."""
    client.begin()
    commit, value = work()
    client.end(commit)
    return value


def answer(client, call, hook, reply):
    """(outcome, whether the hook ran, reply) of one call."""

    def work():
        outcome, saved = CODE.enter(client.run, call)
        if outcome is not None:
            return outcome == CODE.DONE, (outcome, False, saved)
        client.execute(f"INSERT INTO ledger VALUES ('{call.gid}', {call.branch}, {call.kind})")
        CODE.leave(client.run, call, reply)
        return hook == CODE.DONE, (hook, True, reply if hook == CODE.DONE else b"")

    within(client, lambda: (True, CODE.learn(client.run, call)))
    return within(client, work)


def run_step(client, step):
    outcomes = {"DONE": CODE.DONE, "REFUSAL": CODE.REFUSAL, "AGAIN": CODE.AGAIN, "BROKEN": CODE.BROKEN}
    call = types.SimpleNamespace(kind={"TRY": 1, "CONFIRM": 2, "CANCEL": 3}[step["call"]], gid=step.get("gid", "g"),
                                 branch=step.get("branch", 1), number=step.get("number", 0), low_water=step.get("low_water", 0),
                                 source=step.get("source", 0))
    hook, reply = outcomes[step.get("hook", "DONE")], step.get("reply", "").encode()
    got = answer(client, call, hook, reply if call.kind == CODE.TRY else b"")
    expected = (outcomes[step["outcome"]], step.get("runs", False), step.get("replies", "").encode())
    if hook == CODE.REFUSAL and call.kind != CODE.TRY and got[1]:
        got = (CODE.AGAIN, *got[1:])
    assert (got[0], got[1], got[2]) == expected, f"{step}: {got}"
    return got[1] and got[0] == CODE.DONE


def run_vector(client, vector):
    effects = 0
    client.open()
    client.begin()
    for text in EMPTY[client.file]:
        client.execute(text)
    client.end(True)
    for step in vector["steps"]:
        if "reopen" in step:
            client.close()
            client.open()
        else:
            effects += run_step(client, step)
    client.begin()
    lines = client.execute("SELECT count(*) FROM ledger")
    client.end(True)
    count = lines[1][0][0] if isinstance(lines, tuple) else int(lines[0])
    client.close()
    assert count == effects, f"{count} effects are committed, of {effects}"


def run_vectors(name, folder):
    """How many have failed."""
    failed = 0
    client = make_client(name, folder)
    prepare(name, folder, client.file)
    for vector in VECTORS:
        try:
            run_vector(client, vector)
        except AssertionError as error:
            failed += 1
            print(f"{name}, {vector['name']}: {error}")
    print(f"{name}: {len(VECTORS) - failed} of {len(VECTORS)} vectors")
    return failed


def main():
    failed, tried = 0, 0
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                failed += run_vectors(name, folder)
                tried += 1
            except Missing as missing:
                print("skipped:", missing)
    if tried == 0:
        return 77
    return 1 if failed or len(VECTORS) < 40 else 0


sys.exit(main())
