# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules whose work goes on in the background, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from copies import Copy
from processes import started

Result = dict[str, Any]


class JobController:
    """Does to a module what its action plugin does: starts its job, and follows it until there is a result."""

    def __init__(self, module: str, arguments: dict[str, Any], directory: Path, before: str = "") -> None:
        self.module = module
        self.before = before
        self.remote_tmp = directory / "tmp"
        self.arguments = {**arguments, "_ansible_remote_tmp": str(self.remote_tmp)}
        self.directory: str | None = None
        self.begin: dict[str, Any] = {"id": uuid.uuid4().hex}
        self.progress: list[dict[str, Any]] = []

    def start(self, seconds: float) -> Copy:
        job = {"seconds": seconds, "directory": self.directory, **self.begin}
        return started(self.module, {**self.arguments, "_job": job}, before=self.before)

    def take(self, process: Copy) -> Result:
        """What a run of the module says."""
        with process:
            result: Result = json.loads(process.outputs()[0])
        state = result.get("_job")
        if state:
            self.directory = state["directory"]
            if self.directory is None:
                self.begin = {"id": uuid.uuid4().hex, "notes": state["notes"], "is_restarted": True}
            elif state["progress"]:
                self.progress.append(state["progress"])
        return result

    def step(self, seconds: float = 0.1) -> Result:
        return self.take(self.start(seconds))

    def run(self) -> Result:
        """The module's result."""
        result: Result = {"_job": None}
        while "_job" in result:
            result = self.step()
        return result

    def kill(self) -> None:
        """End the process that works: of those that have its pipe, the one with a session of its own."""
        (directory,) = self.remote_tmp.iterdir()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                number = int(process.name)
                links = map(os.readlink, (process / "fd").iterdir())
                if os.getsid(number) == number and str(directory / "alive") in links:
                    os.kill(number, signal.SIGKILL)
                    return
        raise AssertionError("there is no such process")
