#!/usr/bin/env python3
"""tests/explain_lists.py [rows]: fills a database of its own with commands (10 million if not told otherwise), and shows how
Postgres answers each query of the lists, as they stand in .sqlx. Fails if one of them reads a table from end to end.

DATABASE_URL names a server where databases may be created:
    target/debug/holdfast-devstack --home .devstack/test run tests/explain_lists.py
"""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVER = os.environ["DATABASE_URL"]
DATABASE = "holdfast_lists"
URL = SERVER.rsplit("/", 1)[0] + "/" + DATABASE

# One client in ten thousand rows has few commands, client 1 has most of them. One in a thousand failed, the last thousand
# go on.
FILL = """
insert into commands (id, client, kind, key, fingerprint, body, created_at)
select gen_random_uuid(), case when n % 10000 = 0 then 2 else 1 end, 1 + n % 3, n::text, decode(repeat('00', 32), 'hex'),
       '{{"amount": "1.00", "currency": "EUR"}}', now() - make_interval(secs => {rows} - n)
  from generate_series(1, {rows}) n;
insert into outcomes (no, status, reason, progress, sequence, client, kind, created_at)
select no, case when no % 1000 = 0 then 'failed' else 'completed' end, case when no % 1000 = 0 then 'x' end,
       '{{"partners": []}}', 1, client, kind, created_at
  from commands where no <= {rows} - 1000;
insert into wakeups (no, lane, kind, status, due_at)
select no, 0, kind, 'accepted', now() from commands where no > {rows} - 1000;
"""

# Client, kind, from, and the place before which the page begins.
START = "null, 9223372036854775807"
MIDDLE = "now() - interval '{rows} s' / 2, {half}"
BEFORE = "now() - interval '{rows} s' / 3, -9223372036854775808"
CASES = {
    "everything, first page": ("limit $6) c", f"1, 1::smallint, null, {START}, 51"),
    "everything, in the middle": ("limit $6) c", f"1, 1::smallint, null, {MIDDLE}, 51"),
    "everything, of a small client": ("limit $6) c", f"2, 1::smallint, null, {START}, 51"),
    "everything, in a time range": ("limit $6) c", f"1, 1::smallint, now() - interval '{{rows}} s' / 2, {BEFORE}, 51"),
    "completed, first page": ("limit $6) o", f"1, 1::smallint, null, {START}, 51, 'completed'"),
    "failed, in the middle": ("limit $6) o", f"1, 1::smallint, null, {MIDDLE}, 51, 'failed'"),
    "accepted": ("limit $6\"", "1, 1::smallint, null, null, 9223372036854775807, 51, 'accepted'"),
}


def psql(url: str, sql: str) -> str:
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", url]
    return subprocess.run(command, input=sql, text=True, capture_output=True, check=True).stdout


def query(mark: str) -> str:
    """The one list query that contains this."""
    found = [json.loads(path.read_text())["query"] for path in sorted((ROOT / ".sqlx").glob("*.json"))]
    found = [text for text in found if "created_at >=" in text and mark in text + '"']
    if len(found) != 1:
        sys.exit(f"{len(found)} queries contain {mark!r}: bring tests/explain_lists.py up to date")
    return found[0]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    psql(SERVER, f"drop database if exists {DATABASE}")
    psql(SERVER, f"create database {DATABASE}")
    try:
        for migration in sorted((ROOT / "migrations").glob("*.sql")):
            psql(URL, migration.read_text())
        print(f"filling {rows} rows", flush=True)
        psql(URL, FILL.format(rows=rows))
        psql(URL, "vacuum analyze commands; vacuum analyze outcomes; vacuum analyze wakeups")
        whole = []
        for name, (mark, arguments) in CASES.items():
            # As a driver's prepared statement after its first executions: one plan for all values.
            plan = psql(
                URL,
                # Off as in our own connections.
                "set jit = off;\n"
                "set plan_cache_mode = force_generic_plan;\n"
                f"prepare list as {query(mark)};\n"
                f"explain (analyze, costs off, summary on) execute list({arguments.format(rows=rows, half=rows // 2)});",
            )
            print(f"\n== {name}\n{plan}", end="", flush=True)
            if "Seq Scan" in plan:
                whole.append(name)
        if whole:
            sys.exit(f"read a table from end to end: {', '.join(whole)}")
    finally:
        psql(SERVER, f"drop database if exists {DATABASE}")


main()
