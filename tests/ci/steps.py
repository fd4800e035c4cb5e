# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the steps of a check, one line each, and add them up.

    steps.py run NAME COMMAND...    a line for the step, and all it said if it failed
    steps.py skip NAME REASON
    steps.py summary NAME...        what became of these steps; the last line is "N passed, N failed, N skipped"

A step of pytest counts as many as it ran tests, any other as one.
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import subprocess
import sys
import time

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


def run(name: str, command: list[str]) -> int:
    start = time.monotonic()
    process = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = round(time.monotonic() - start)
    ok = process.returncode == 0
    record(name, counts(process.stdout, ok))
    RESULTS.joinpath(f"{name}.log").write_text(process.stdout)
    if not ok:
        print(process.stdout)
    print(f"{'ok    ' if ok else 'FAILED'} {name} ({seconds} s)")
    for closing in PYTEST_CLOSING.finditer(process.stdout):
        print(closing[0])
    return process.returncode


def skip(name: str, reason: str) -> int:
    record(name, {"skipped": 1})
    print(f"skip   {name}: {reason}")
    return 0


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
    if action == "skip":
        return skip(rest[0], rest[1])
    return summary(rest)


if __name__ == "__main__":
    sys.exit(main())
