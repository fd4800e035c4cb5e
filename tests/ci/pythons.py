# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the CPython interpreters of this machine that really run.

pythons.py 3.10-3.12        the newest of these; 3.11- and 3.9 work, too
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple, Optional

# Prints the version, whether it can make virtual environments, and the real path behind shims and virtual environments.
PROBE = """
import importlib.util, os, sys
assert sys.implementation.name == "cpython" and sys.version_info.releaselevel == "final"
base = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
print(*sys.version_info[:3])
print(importlib.util.find_spec("ensurepip") is not None)
print(base if os.path.exists(base) else sys.executable)
"""


class Python(NamedTuple):
    makes_venvs: bool
    version: tuple[int, ...]
    path: str


def candidates() -> Iterator[str]:
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    directories += glob.glob(os.path.join(glob.escape(pyenv), "versions", "*", "bin"))
    for directory in dict.fromkeys(directories):
        try:
            names = os.listdir(directory or os.curdir)
        except OSError:
            continue
        for name in names:
            if re.fullmatch(r"python3(\.\d+)?", name):
                yield os.path.join(directory, name)


def probe(path: str) -> Optional[Python]:
    try:
        output = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version, makes_venvs, real_path = output.splitlines()
    return Python(makes_venvs == "True", tuple(map(int, version.split())), real_path)


def bounds(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    first, dash, last = text.partition("-")
    lower = tuple(map(int, first.split(".")))
    if not dash:
        return lower, lower
    return lower, tuple(map(int, last.split("."))) if last else (sys.maxsize,)


def find(versions: str) -> list[Python]:
    lower, upper = bounds(versions)
    found = {python for python in map(probe, candidates()) if python and lower <= python.version[:2] <= upper}
    return sorted(found, reverse=True)


def main() -> None:
    (versions,) = sys.argv[1:]
    pythons = find(versions)
    if not pythons:
        sys.exit(f"No Python {versions} was found: not on PATH, nor among pyenv's versions.")
    print(pythons[0].path)


if __name__ == "__main__":
    main()
