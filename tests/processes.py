# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules in processes of their own, and file systems of their own."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def started(
    module: str,
    arguments: dict[str, Any],
    *,
    stdout: int = subprocess.PIPE,
    stderr: int | None = subprocess.STDOUT,
    before: str = "",
) -> subprocess.Popen[str]:
    """A module, by its name in Python, under way; ``before``: a statement that comes first."""
    script = f"import runpy\n{before}\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    process = subprocess.Popen(
        [sys.executable, *(("-c", script) if before else ("-m", module))],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    process.stdin.close()
    process.stdin = None
    return process


@functools.cache
def can_mount() -> bool:
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


@contextlib.contextmanager
def mounted(path: Path, options: str = "size=12m", kind: str = "tmpfs", source: str = "none") -> Iterator[None]:
    """A file system at that directory, in memory as a rule."""
    subprocess.run(["mount", "-t", kind, *(("-o", options) if options else ()), source, str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
