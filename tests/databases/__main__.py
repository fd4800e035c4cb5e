# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database servers as commands: `PYTHONPATH=tests python3 -m databases --help`."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from databases import ENGINES, UnavailableError

KINDS = {engine.name: engine for engine in ENGINES}


def arguments() -> Namespace:
    parser = ArgumentParser(prog="databases", description="Real database servers, without root.")
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("fetch", help="fetch the programs that are not there yet")
    fetch.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (default: all)")
    run = commands.add_parser("run", help="run a new server until it is told to end, and remove its data")
    run.add_argument("kind", choices=KINDS)
    run.add_argument("--account", default="demo", help="has all rights, and no password (default: %(default)s)")
    run.add_argument("--ready-file", type=Path, help="write the place of its socket to this file, after the start")
    query = commands.add_parser("query", help="print the rows of a query")
    query.add_argument("kind", choices=KINDS)
    query.add_argument("--socket", required=True)
    query.add_argument("--account", default="demo", help="(default: %(default)s)")
    query.add_argument("--database", required=True)
    query.add_argument("statement")
    found = parser.parse_args()
    for kind in getattr(found, "kinds", ()):
        if kind not in KINDS:
            parser.error(f"{kind} is not one of {', '.join(KINDS)}")
    return found


def run(kind: str, account: str, ready_file: Path | None) -> None:
    # All ways to end it go through the end of its ``with``.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *dummy: sys.exit())
    with KINDS[kind]() as server:
        server.admit(account)
        print(f"{kind} listens on {server.socket}, where {account} needs no password. Stop it with Ctrl-C.", flush=True)
        if ready_file:
            unfinished = ready_file.with_name(f"{ready_file.name}.part")
            unfinished.write_text(f"{server.socket}\n", encoding="utf-8")
            unfinished.replace(ready_file)
        while True:
            signal.pause()


def main() -> None:
    options = arguments()
    try:
        if options.command == "fetch":
            for name in options.kinds or KINDS:
                KINDS[name].programs()
        elif options.command == "run":
            run(options.kind, options.account, options.ready_file)
        else:
            connection = KINDS[options.kind].dial(options.socket, options.account, options.database)
            for row in rows(connection, options.statement):
                print(row)
    except UnavailableError as error:
        sys.exit(str(error))


def rows(connection: object, statement: str) -> list[str]:
    """The rows of a query, below the names of their columns."""
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(statement)
        table = [[column[0] for column in cursor.description], *([str(value) for value in row] for row in cursor)]
    widths = [max(map(len, column)) for column in zip(*table)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]


main()
