# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of a server, and the data that it starts with: made once, and kept for all checkouts of this user.

They lie in a directory of the user's cache whose name has a checksum of how they were made, so that no checkout takes what
another one has made in another way. It is made beside its place, and renamed when it is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Callable

from databases import debian
from databases.debian import UnavailableError

__all__ = ["Programs", "UnavailableError", "fetched"]


class Programs:
    """A server's programs, with their libraries. ``data`` is what its data directory is at the first start."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.data = place / "data"

    def find(self, pattern: str) -> Path:
        """The one file of this pattern."""
        found = sorted(path for path in self.place.glob(f"root/{pattern}") if path.exists() and not path.is_symlink())
        if not found:
            raise UnavailableError(f"{self.place}/root has no {pattern}.")
        return found[-1]

    def command(self, pattern: str) -> list[str]:
        """How to run a program: by the loader of its own C library, which need not be this system's."""
        loader = self.find("**/ld-linux*.so.*")
        libraries = sorted({*self.place.glob("root/lib/*-linux-*"), *self.place.glob("root/usr/lib/*-linux-*")})
        return [str(loader), "--library-path", ":".join(map(str, libraries)), str(self.find(pattern))]


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "apsaradb.backup" / "servers"


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """Let one process at a time fetch; the lock of one that is killed is free."""
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetched(
    name: str, packages: Iterable[str], release: str, make_data: Callable[[Programs], None], description: str
) -> Programs:
    """The programs of these packages, which are fetched unless they are there. ``description``: how data are made."""
    packages = list(packages)
    made_by = debian.description(packages, release) + description
    place = cache() / f"{name}-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}"
    if place.exists():
        return Programs(place)
    with alone(place.parent):
        if not place.exists():
            for left in place.parent.glob(".part-*"):  # by one that was killed
                shutil.rmtree(left)
            print(f"{place}: {', '.join(packages)} of Debian {release}", flush=True)
            beside = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
            try:
                debian.unpack(packages, release, beside / "root", beside / "apt")
                shutil.rmtree(beside / "apt")
                make_data(Programs(beside))
                beside.rename(place)
            except UnavailableError as error:
                raise UnavailableError(f"{name} cannot be had. {error}") from None
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    return Programs(place)
