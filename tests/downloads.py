# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module that fetches files, in processes of its own, and what its action plugin does to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from processes import Process, started

MODULE = "ansible_collections.apsaradb.backup.plugins.modules.dbs_download_file"

IMPATIENT = "from ansible_collections.apsaradb.backup.plugins.module_utils._plugin import job; job.PATIENCE = %f"

Result = dict[str, Any]


class Controller:
    """Does to the module what its action plugin does: runs it until there is a result, and gives it links."""

    def __init__(self, link: Callable[[], str], *, patience: float | None = None, **arguments: Any) -> None:
        self.link = link
        self.patience = patience
        self.arguments = arguments
        self.links = 0
        self.runs = 0
        self.directory: str | None = None

    def start(self, **more: Any) -> Process:
        job = {"seconds": 20, "directory": self.directory, "renews_links": True}
        arguments = {
            **self.arguments,
            "task_id": "dt-x",
            "job": job,
            "_ansible_remote_tmp": self.arguments["dest"] + ".tmp",
        }
        return started(MODULE, {**arguments, **more}, before="" if self.patience is None else IMPATIENT % self.patience)

    def run(self) -> Result:
        """The module's result."""
        links: list[str] | None = [self.link()]
        while True:
            self.runs += 1
            with self.start(links=links) as process:
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


def process_of(link: str, dest: str, **arguments: Any) -> Process:
    """The module by itself in a process, under way."""
    return started(MODULE, {"url": link, "dest": dest, **arguments})
