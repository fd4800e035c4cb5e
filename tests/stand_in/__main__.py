# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in by itself, with a demonstration account: `PYTHONPATH=tests python3 -m stand_in`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from . import demo
from .faults import FAULTS, Fault
from .gateway import Call
from .server import StandIn
from .storage import Transfer


def fault(text: str) -> Fault:
    kind, dummy, times = text.partition(":")
    try:
        return Fault(kind, int(times or 1))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stand_in", description="A stand-in of Alibaba Cloud DBS to try things on.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--allow-remote", action="store_true", help="accept a --host that others can reach")
    parser.add_argument("--port", type=int, default=8000, help="0 for any free one (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=1.0, help="seconds of the service per second of ours")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds each answer takes longer")
    parser.add_argument("--instance", default=demo.MYSQL, help=f"where --tasks go (default: {demo.MYSQL})")
    parser.add_argument(
        "--account",
        type=Path,
        metavar="FILE",
        help='in place of the demonstration account, one from JSON: {"tasks": [{"instance": "rm-1", "state": "failed"}]}',
    )
    parser.add_argument("--tasks", type=int, default=0, help="this many more finished tasks")
    parser.add_argument(
        "--fault",
        type=fault,
        action="append",
        default=[],
        metavar="KIND[:TIMES]",
        help=f"have the next calls go wrong: {', '.join(FAULTS)}; may be given more than once",
    )
    parser.add_argument("--ready-file", type=Path, help="write the URL here, as JSON, once there is one")
    return parser.parse_args()


def log(entry: Call | Transfer) -> None:
    sys.stderr.write(f"{entry}\n")


def announce(service: StandIn) -> None:
    print(f"Listening on {service.url}, which is to be used as the endpoint. The keys are not real:\n")
    print(f"export ALIBABA_CLOUD_ACCESS_KEY_ID={service.key.id}")
    print(f"export ALIBABA_CLOUD_ACCESS_KEY_SECRET={service.key.secret}")
    print(f"export ALIBABA_CLOUD_REGION_ID={demo.REGION}\n")
    print("Instances:")
    for instance in service.account.instances():
        counted = f"{len(instance.tasks)} tasks, {len(instance.backups)} backup sets"
        print(f"  {instance.region:15} {instance.name:20} {instance.engine:11} {counted}")
    print("\nEnd it with Ctrl-C.", flush=True)


def write_ready_file(path: Path, url: str) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps({"url": url}) + "\n", encoding="utf-8")
    unfinished.replace(path)


def main() -> None:
    options = arguments()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *dummy: stop.set())
    try:
        service = StandIn(
            speed=options.speed,
            latency=options.latency,
            host=options.host,
            port=options.port,
            loopback_only=not options.allow_remote,
            key=demo.KEY,
            log=log,
        )
    except (OSError, ValueError) as error:
        sys.exit(f"stand_in: cannot listen on {options.host}:{options.port}: {error}")
    with service:
        if options.account:
            for task in json.loads(options.account.read_text(encoding="utf-8"))["tasks"]:
                service.add_task(**task)
        else:
            demo.seed(service)
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
