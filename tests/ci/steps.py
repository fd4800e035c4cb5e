# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the steps of a check, one line each, and add them up.

    steps.py run NAME COMMAND...    a line for the step, with what ran it, and all it said if it failed
    steps.py summary NAME...        what became of these steps; the last line is "N passed, N failed, N skipped"

A step of pytest counts as many as it ran tests, any other as one. A step that takes long says now and then how far it is.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import threading
import time

#: Seconds between two lines of a step's progress, and how much of its output is shown in them.
PROGRESS_EVERY = 30.0
PROGRESS_WIDTH = 70

VERSIONS = """
import platform
try:
    from ansible.release import __version__ as core
    print("ansible-core", core, end=", ")
except ImportError:
    pass
print("Python", platform.python_version())
"""

RESULTS = pathlib.Path(".cache/results")
# How pytest closes, such as "=== 1 failed, 20 passed, 2 skipped in 3.21s ===".
PYTEST_CLOSING = re.compile(r"^=* ?(\d+ [a-z]+(?:, \d+ [a-z]+)* in [\d.]+s.*?) ?=*$", re.MULTILINE)
OUTCOMES = {
    "passed": "passed",
    "xfailed": "passed",
    "failed": "failed",
    "error": "failed",
    "errors": "failed",
    "skipped": "skipped",
}


def counts(output: str, ok: bool) -> dict[str, int]:
    counter: collections.Counter[str] = collections.Counter()
    for closing in PYTEST_CLOSING.findall(output)[-1:]:
        for number, outcome in re.findall(r"(\d+) ([a-z]+)", closing):
            if outcome in OUTCOMES:
                counter[OUTCOMES[outcome]] += int(number)
    if not ok:
        counter["failed"] = counter["failed"] or 1
    return dict(counter) or {"passed": 1}


def record(name: str, result: dict[str, int]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result))


def say(*lines: str) -> None:
    """At once, so that what other steps say at the same time is not mixed with it."""
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


def versions() -> str:
    """Of the ansible-core and the Python that a step uses: those that come first on PATH."""
    python = shutil.which("python")
    found = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=False) if python else None
    return found.stdout.strip() if found else ""


def progress(output: list[str]) -> str:
    """The last that a step said: of pytest, the share of tests that it has run."""
    said = next((line.strip() for line in reversed(output) if line.strip()), "")
    share = re.search(r"\[ *\d+%\]$", said)
    return share[0] if share else said[:PROGRESS_WIDTH]


def run(name: str, command: list[str]) -> int:
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    used = versions()
    say(f"start  {name}" + (f": {used}" if used else ""))
    lines: list[str] = []

    def read() -> None:
        for line in process.stdout:
            lines.append(line)

    reader = threading.Thread(target=read)
    reader.start()
    while reader.join(PROGRESS_EVERY) or reader.is_alive():
        say(f"       {name}, {round(time.monotonic() - start)} s: {progress(lines)}")
    ok = process.wait() == 0
    output = "".join(lines)
    record(name, counts(output, ok))
    RESULTS.joinpath(f"{name}.log").write_text(output)
    # What it used of the processors tells on a machine that does other things as well.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = f"{time.monotonic() - start:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} s of CPU"
    say(
        *([] if ok else [output]),
        f"{'ok    ' if ok else 'FAILED'} {name} ({', '.join(filter(None, [times, used]))})",
        *(closing[0] for closing in PYTEST_CLOSING.finditer(output)),
    )
    return process.returncode


def summary(names: list[str]) -> int:
    total: collections.Counter[str] = collections.Counter(passed=0, failed=0, skipped=0)
    for name in names:
        try:
            result = json.loads((RESULTS / f"{name}.json").read_text())
        except FileNotFoundError:
            result = {"failed": 1}
            print(f"FAILED {name}: did not run")
        total.update(result)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


def main() -> int:
    action, *rest = sys.argv[1:]
    if action == "run":
        return run(rest[0], rest[1:])
    return summary(rest)


if __name__ == "__main__":
    sys.exit(main())
