# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""One restore in this process, and how long its parts took.

python tests/bench/restore_parts.py '{"engine": "mysql", "socket": …, "user": …, "password": …, "src": …}' [--profile FILE]
"""

from __future__ import annotations

import cProfile
import functools
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import restores
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import restoration

#: Threads work at the same time: the seconds of all of them are added.
seconds: Counter[str] = Counter()
lock = threading.Lock()


def timed(name: str, function: Any) -> Any:
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        began, cpu = time.monotonic(), time.thread_time()
        try:
            return function(*arguments)
        finally:
            with lock:
                seconds[name] += time.monotonic() - began
                seconds[f"{name}_cpu"] += time.thread_time() - cpu

    return call


def main() -> None:
    given = json.loads(sys.argv[1])
    kind = restores.PostgreSQLTarget if given["engine"] == "postgresql" else restores.MySQLTarget
    target = kind(SimpleNamespace(**given))
    session = type(target.connected()).session

    def measured(server: Any) -> Any:
        made = session(server)
        for name in ("load", "finish", "verify"):
            setattr(made, name, timed(name, getattr(made, name)))
        return made

    server = type(target.connected())
    server.session = measured  # type: ignore[method-assign]
    for name in ("create", "begin", "find"):
        setattr(server, name, timed(name, getattr(server, name)))
    restoration.survey = timed("survey", restoration.survey)
    run = timed("total", functools.partial(restores.restore, target, Path(given["src"]), threads=given["threads"]))
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        profile.runcall(run)
        profile.dump_stats(sys.argv[sys.argv.index("--profile") + 1])
    else:
        run()
    print(json.dumps({**seconds, "cpu": time.process_time()}))


if __name__ == "__main__":
    main()
