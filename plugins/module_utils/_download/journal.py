# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The journal of a partial file: its extents, and their CRC-64."""

from __future__ import annotations

import json
import os
import stat
import typing as t

from .object_info import ObjectInfo

#: Format of the journal. Another one is ignored, and all is downloaded from the start.
VERSION = 1

#: A link or a pipe that somebody put there is not opened, or does not block; no child process gets the file.
OPEN_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Extent:
    """A run of bytes in the file. ``known``: its length and CRC-64, in one tuple, as another thread reads both while it grows."""

    __slots__ = ("known", "start")

    def __init__(self, start: int, length: int = 0, crc: int = 0) -> None:
        self.start = start
        self.known = (length, crc)

    @property
    def stop(self) -> int:
        return self.start + self.known[0]


def left_by_earlier_run(destination: str, info: ObjectInfo) -> int:
    """Number of bytes that the journal says are there already."""
    part = f"{destination}.part"
    try:
        journal = read_journal(f"{part}.json", info, os.stat(part).st_size)
    except OSError:
        return 0
    if journal is None:
        return 0
    extents, _unused = journal
    return sum(extent.known[0] for extent in extents)


def read_journal(
    path: str, info: ObjectInfo, size: int
) -> t.Optional[tuple[list[Extent], t.Any]]:
    """The extents of this object in a file of that size, and the journal's fingerprint; None if it is no journal of it."""
    try:
        with open(
            os.open(path, os.O_RDONLY | OPEN_FLAGS), encoding="ascii"
        ) as file:
            if not is_trusted(os.fstat(file.fileno()), path):
                return None
            journal = json.load(file)
        if journal["version"] != VERSION:
            return None
        if not ObjectInfo(*journal["object"]).is_of(info):
            return None
        extents = [Extent(*map(int, numbers)) for numbers in journal["extents"]]
        extents.sort(key=lambda extent: extent.start)
        fingerprint = journal["closed"]
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        RecursionError,
    ):
        # Whatever a file of that name has in it, it must not end the run.
        return None
    # Extents that overlap, or lie beyond the file, are not ours: they may be made to have a wrong file believed.
    end = min(size, info.size)
    reached = 0
    for extent in extents:
        if not reached <= extent.start < extent.stop <= end:
            return None
        reached = extent.stop
    return extents, fingerprint


def is_trusted(status: os.stat_result, path: str) -> bool:
    """Tell whether a file may be one that an earlier run left.

    A file of another user is trusted only where the directory is writable for its owner alone: on some file systems, all
    files belong to one user, whoever creates them.
    """
    # A second name could be a file of somebody else, which would be overwritten.
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return False
    directory = os.stat(os.path.dirname(path) or ".")
    is_shared = directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid == os.geteuid() or not is_shared
