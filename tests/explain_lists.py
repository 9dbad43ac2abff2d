#!/usr/bin/env python3
"""tests/explain_lists.py [rows]: fills a database of its own with commands (10 million if not told otherwise), and shows how
Postgres answers each query of the lists, as they stand in .sqlx. Fails if one of them reads a table from end to end,
or more rows than a page may.

DATABASE_URL names a server where databases may be created:
    target/debug/holdfast-devstack --home .devstack/test run tests/explain_lists.py
"""

import json
import os
import pathlib
import re
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

# What another client has going on, far more than a page looks at.
OTHERS = """
with new as (
  insert into commands (id, client, kind, key, fingerprint, body)
  select gen_random_uuid(), 3, 1, n::text, decode(repeat('00', 32), 'hex'), '{{"amount": "1.00", "currency": "EUR"}}'
    from generate_series(1, {others}) n
  returning no, kind
)
insert into wakeups (no, lane, kind, status, due_at) select no, 0, kind, 'accepted', now() from new;
"""

# As many as a page of what goes on looks at, and something for the page itself.
MOST_ROWS = 5_500

# Client, kind, from, and the place before which the page begins.
START = "null, 9223372036854775807"
MIDDLE = "now() - interval '{rows} s' / 2, {half}"
BEFORE = "now() - interval '{rows} s' / 3, -9223372036854775808"
EVERYTHING, ENDED = "One look for each of the page", "limit $6) o"
AMONG_ALL, AMONG_OWN, END_OF_OWN, ARE_FEW = "From these few rows", "From this client's rows", "offset $6", "desc offset $1"
CASES = {
    "everything, first page": (EVERYTHING, f"1, 1::smallint, null, {START}, 51, 1048576"),
    "everything, in the middle": (EVERYTHING, f"1, 1::smallint, null, {MIDDLE}, 51, 1048576"),
    "everything, of a small client": (EVERYTHING, f"2, 1::smallint, null, {START}, 51, 1048576"),
    "everything, in a time range": (
        EVERYTHING,
        f"1, 1::smallint, now() - interval '{{rows}} s' / 2, {BEFORE}, 51, 1048576",
    ),
    "completed, first page": (ENDED, f"1, 1::smallint, null, {START}, 51, 'completed', 1048576"),
    "failed, in the middle": (ENDED, f"1, 1::smallint, null, {MIDDLE}, 51, 'failed', 1048576"),
    "whether little goes on": (ARE_FEW, "5000"),
    "accepted, where little goes on": (AMONG_ALL, f"1, 1::smallint, null, {START}, 51, 'accepted', 1048576"),
}
BESIDE_OTHERS = {
    "whether little goes on beside others": (ARE_FEW, "5000"),
    "how far a page looks": (END_OF_OWN, f"1, 1::smallint, null, {START}, 4999"),
    "how far a page of a small client looks": (END_OF_OWN, f"2, 1::smallint, null, {START}, 4999"),
    "accepted, of a small client beside others": (
        AMONG_OWN,
        f"2, 1::smallint, null, {START}, 51, 'accepted', 1048576, null, -9223372036854775808",
    ),
    "pending, of a large client beside others": (
        AMONG_OWN,
        f"1, 1::smallint, null, {START}, 51, 'pending', 1048576, now() - interval '15000 s', 0",
    ),
}


def psql(url: str, sql: str) -> str:
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", url]
    return subprocess.run(command, input=sql, text=True, capture_output=True, check=True).stdout


def query(mark: str) -> str:
    """The one query that contains this."""
    found = [json.loads(path.read_text())["query"] for path in sorted((ROOT / ".sqlx").glob("*.json"))]
    found = [text for text in found if mark in text]
    if len(found) != 1:
        sys.exit(f"{len(found)} queries contain {mark!r}: bring tests/explain_lists.py up to date")
    return found[0]


def look_at(cases: dict, rows: int) -> None:
    """Shows the plans of these, and ends where one of them reads too much."""
    too_much = []
    for name, (mark, arguments) in cases.items():
        # As a driver's prepared statement after its first executions, with the settings of our own connections: one plan
        # for all values.
        plan = psql(
            URL,
            "set jit = off;\n"
            "set plan_cache_mode = force_generic_plan;\n"
            "set enable_seqscan = off; set enable_bitmapscan = off;\n"
            "set enable_hashjoin = off; set enable_mergejoin = off; set random_page_cost = 0.1;\n"
            f"prepare list as {query(mark)};\n"
            f"explain (analyze, costs off, summary on) execute list({arguments.format(rows=rows, half=rows // 2)});",
        )
        print(f"\n== {name}\n{plan}", end="", flush=True)
        read = [float(count) * int(loops) for count, loops in re.findall(r"rows=([\d.]+) loops=(\d+)", plan)]
        read += [float(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
        if "Seq Scan" in plan or max(read) > MOST_ROWS:
            too_much.append(name)
    if too_much:
        sys.exit(f"read too much: {', '.join(too_much)}")


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
        look_at(CASES, rows)
        print("filling what others have going on", flush=True)
        psql(URL, OTHERS.format(others=max(20_000, rows // 50)))
        psql(URL, "vacuum analyze commands; vacuum analyze wakeups")
        look_at(BESIDE_OTHERS, rows)
    finally:
        psql(SERVER, f"drop database if exists {DATABASE}")


main()
