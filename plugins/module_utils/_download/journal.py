# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The journal of a partial file: which bytes are there, and their CRC-64."""

from __future__ import annotations

import json
import os
import stat
import typing as t

from .object_info import ObjectInfo

VERSION = 1

OPEN_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Extent:
    """Bytes that are there. ``known``: how many, and their CRC-64, in one, for those who look while it grows."""

    __slots__ = ("known", "start")

    def __init__(self, start: int, length: int = 0, crc: int = 0) -> None:
        self.start = start
        self.known = (length, crc)

    @property
    def stop(self) -> int:
        return self.start + self.known[0]


def left_by_earlier_run(destination: str, info: ObjectInfo) -> int:
    """How many bytes of the object a transfer need not bring, as far as the journal says."""
    try:
        journal = read_journal(f"{destination}.part.json", info, os.stat(f"{destination}.part").st_size)
    except OSError:
        return 0
    return sum(extent.known[0] for extent in journal[0]) if journal else 0


def read_journal(path: str, info: ObjectInfo, size: int) -> t.Optional[tuple[list[Extent], t.Any]]:
    """The extents of this object in a file of that size, and the journal's seal; none if it is no journal of it."""
    try:
        with open(os.open(path, os.O_RDONLY | OPEN_FLAGS), encoding="ascii") as file:
            if not is_trusted(os.fstat(file.fileno()), path):
                return None
            journal = json.load(file)
        if journal["version"] != VERSION or not ObjectInfo(*journal["object"]).is_of(info):
            return None
        extents = sorted((Extent(*map(int, numbers)) for numbers in journal["extents"]), key=lambda one: one.start)
        fingerprint = journal["closed"]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    reached = 0
    for extent in extents:
        if extent.start < reached or extent.known[0] <= 0 or extent.stop > min(size, info.size):
            return None
        reached = extent.stop
    return extents, fingerprint


def is_trusted(status: os.stat_result, path: str) -> bool:
    """Whether a file can be believed to be what a run like this left.

    One of another user can only where nobody but the directory's owner can have put it: on some file systems, all files are
    of the same user, whoever makes them.
    """
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return False
    directory = os.stat(os.path.dirname(path) or ".")
    return status.st_uid == os.geteuid() or not directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
