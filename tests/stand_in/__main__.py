# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in by itself, with a demonstration account: `PYTHONPATH=tests python3 -m stand_in`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from argparse import ArgumentParser, Namespace
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from . import demo
from .faults import FAULTS
from .gateway import Call
from .options import account, fault, habit, number
from .server import Habits, StandIn
from .storage import Transfer


class Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def arguments() -> Namespace:
    parser = Parser(
        prog="stand_in", description="A stand-in of Alibaba Cloud DBS, to try the collection without an account."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--allow-remote", action="store_true", help="accept a --host that others can reach")
    parser.add_argument(
        "--port", type=number(int, 0, 65535), default=8000, help="0 for any free port (default: %(default)s)"
    )
    parser.add_argument(
        "--speed",
        type=number(float, 0, 1_000_000),
        default=1.0,
        help="seconds of the service for each real second (default: 1)",
    )
    parser.add_argument(
        "--latency", type=number(float, 0, 3600), default=0.0, help="additional seconds for each response (default: 0)"
    )
    parser.add_argument("--instance", default=demo.MYSQL, help=f"the instance of --tasks (default: {demo.MYSQL})")
    parser.add_argument(
        "--account",
        type=account,
        metavar="FILE",
        help='read the account from a JSON file instead of the demo account: {"tasks": [{"instance": "rm-1", "state": "failed"}]}',
    )
    parser.add_argument(
        "--tasks", type=number(int, 0, 1_000_000), default=0, help="number of additional finished tasks (default: 0)"
    )
    parser.add_argument(
        "--fault",
        type=fault,
        action="append",
        default=[],
        metavar="KIND[:TIMES]",
        help=f"make the next calls fail: {', '.join(FAULTS)}; may be given more than once",
    )
    parser.add_argument(
        "--habit",
        type=habit,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change behaviour of the real service that varies or is not known; the names are those of "
        f"Habits in tests/stand_in/server.py: {', '.join(one.name for one in fields(Habits))}; may be given more than once",
    )
    parser.add_argument("--ready-file", type=Path, help="write the URL to this file, as JSON, after the start")
    return parser.parse_args()


def log(entry: Call | Transfer) -> None:
    sys.stderr.write(f"{entry}\n")


def announce(service: StandIn) -> None:
    print(f"Listening on {service.url}, with keys that are not real. To use it, run these lines:\n")
    print(f"export APSARADB_BACKUP_ENDPOINT={service.url}")
    print(f"export ALIBABA_CLOUD_ACCESS_KEY_ID={service.key.id}")
    print(f"export ALIBABA_CLOUD_ACCESS_KEY_SECRET={service.key.secret}")
    print(f"export ALIBABA_CLOUD_REGION_ID={demo.REGION}\n")
    print("Instances:")
    for instance in service.account.instances():
        counted = f"{len(instance.tasks)} tasks, {len(instance.backups)} backup sets"
        print(f"  {instance.region:15} {instance.name:20} {instance.engine:11} {counted}")
    print("\nStop it with Ctrl-C.", flush=True)


def write_ready_file(path: Path, url: str) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps({"url": url}) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        sys.exit(f"stand_in: cannot write {path}: {error.strerror}")


def main() -> None:
    options = arguments()
    stop = threading.Event()
    for number_of_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number_of_signal, lambda *dummy: stop.set())
    try:
        service = StandIn(
            speed=options.speed,
            latency=options.latency,
            host=options.host,
            port=options.port,
            loopback_only=not options.allow_remote,
            key=demo.KEY,
            log=log,
            **dict(options.habit),
        )
    except (OSError, ValueError) as error:
        sys.exit(f"stand_in: cannot listen on {options.host}:{options.port}: {error}")
    with service:
        if options.account is None:
            demo.seed(service)
        for task in options.account or ():
            service.add_task(**task)
        for number_of_task in range(options.tasks):
            created = service.clock.now() - (number_of_task + 1) * 60_000
            service.add_task(options.instance, created=created)
        service.inject(*options.fault)
        announce(service)
        if options.ready_file:
            write_ready_file(options.ready_file, service.url)
        stop.wait()


if __name__ == "__main__":
    main()
