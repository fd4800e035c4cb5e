# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transfers of a test's own, the module that fetches files in processes of its own, and what its action plugin does to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.apsaradb.backup.plugins.module_utils._download.link import Link
from ansible_collections.apsaradb.backup.plugins.module_utils._download.partial_file import PartialFile
from ansible_collections.apsaradb.backup.plugins.module_utils._download.transfer import Transfer
from ansible_collections.apsaradb.backup.plugins.module_utils._download.types import TransferOptions, TransferStats
from copies import Copy
from processes import started

MODULE = "ansible_collections.apsaradb.backup.plugins.modules.dbs_download_file"

#: The clock of a module's job is ahead by as many seconds as a file says; what it is told to end has time for that.
CLOCK = """
import time, types
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin import background_job as job, tuning
def monotonic(path={path!r}):
    with open(path) as file:
        return time.monotonic() + float(file.read())
job.time = types.SimpleNamespace(**dict(vars(time), monotonic=monotonic))
tuning.GRACE = 600.0
"""

Result = dict[str, Any]


def still() -> float:
    """A clock by which no connection is slow, so that each has its own bytes, and how many come is certain."""
    return 0.0


class Patient:
    """Waits for a transfer for as long as it takes."""

    renews_links = False

    def check(self) -> None:
        pass

    def report(self, facts: Mapping[str, Any]) -> None:
        pass

    def ask_for_links(self) -> None:
        raise AssertionError("the link does")

    def take_links(self) -> list[str] | None:
        raise AssertionError("the link does")


class Renewing(Patient):
    """Has new links as often as they are asked for."""

    renews_links = True

    def __init__(self, link: Callable[[], str]) -> None:
        self._link = link
        self.asked = 0

    def ask_for_links(self) -> None:
        self.asked += 1

    def take_links(self) -> list[str]:
        return [self._link()]


def transferred(
    link: str, dest: Path | str, observer: Patient | None = None, clock: Callable[[], float] = still, **options: Any
) -> TransferStats:
    """Bring what a link leads to into the partial file of dest."""
    stats = TransferStats()
    transfer = Transfer(Link(link), TransferOptions(**options), observer or Patient(), stats, clock)
    partial = PartialFile(str(dest))
    try:
        transfer.run(partial, transfer.probe())
    finally:
        transfer.close()
        partial.close()
    return stats


class Controller:
    """Does to the module what its action plugin does: runs it until there is a result, and gives it links."""

    def __init__(self, link: Callable[[], str], **arguments: Any) -> None:
        self.link = link
        self.clock = Path(arguments["dest"] + ".clock")
        self.set_clock_ahead(0)
        self.arguments = arguments
        self.links = 0
        self.runs = 0
        self.directory: str | None = None

    def set_clock_ahead(self, seconds: float) -> None:
        """By so many seconds in all."""
        unfinished = self.clock.with_suffix(".new")
        unfinished.write_text(str(seconds))
        unfinished.replace(self.clock)

    def follow(self, seconds: float, **more: Any) -> Any:
        """How far the job is after so many seconds, started if need be."""
        links = [self.link()] if self.directory is None else None
        job = {"seconds": seconds, "directory": self.directory, "renews_links": False}
        with self.start(_links=links, _job=job, **more) as process:
            state = json.loads(process.outputs()[0])["_job"]
        self.directory = state["directory"]
        return state

    def start(self, **more: Any) -> Copy:
        job = {"seconds": 600, "directory": self.directory, "renews_links": True}
        arguments = {
            "task_id": "dt-x",
            "_job": job,
            "_ansible_remote_tmp": self.arguments["dest"] + ".tmp",
            **self.arguments,
        }
        return started(MODULE, {**arguments, **more}, before=CLOCK.format(path=str(self.clock)))

    def run(self) -> Result:
        """The module's result."""
        links: list[str] | None = [self.link()]
        while True:
            self.runs += 1
            with self.start(_links=links) as process:
                output = process.outputs()[0]
            assert "Signature=" not in output
            result: Result = json.loads(output)
            links = None
            if "_job" not in result:
                return result
            self.directory = result["_job"]["directory"]
            if result["_job"]["needs_links"]:
                links = [self.link()]
                self.links += 1


def journal_of(path: Path) -> dict[str, Any]:
    """The journal of a file's partial file; empty where there is none, or none to be read at this moment.

    A process that is at work replaces it: two files exchange their names, and the one that was opened is written next.
    """
    try:
        found: dict[str, Any] = json.loads(path.with_name(path.name + ".part.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def journalled(path: Path) -> int:
    """How many bytes of a file are there by the journal of its partial file."""
    return sum(length for _unused, length, checksum in journal_of(path).get("extents", ()))


def process_of(link: str, dest: str, **arguments: Any) -> Copy:
    """The module by itself in a process, under way."""
    return started(MODULE, {"url": link, "dest": dest, **arguments})
