# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Checks of the destination: free space for a file and its journal, and free names."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import stat
import typing as t

from .._files.errors import DestinationError
from . import tuning

#: Bytes of a block, as nearly all file systems have them: a file takes whole ones.
_BLOCK = 4096
#: Bytes of the unit that ``st_blocks`` counts in, whatever the blocks of the file system are.
_STAT_BLOCK = 512


def check_free_space(destination: str, size: int) -> None:
    """Check that there is free space for ``size`` bytes, without taking it. Raises DestinationError."""
    try:
        free = free_bytes(os.path.dirname(destination) or ".")
        missing = size
        if os.path.isfile(f"{destination}.part"):
            missing = missing_bytes(size, os.stat(f"{destination}.part"))
        missing += missing_journal_bytes(destination, size)
    except OSError:
        return
    if missing > free:
        raise full_error(destination, missing, free)


def check_names(destination: str) -> None:
    """Check that whatever has the names of our files can be written or replaced. Raises DestinationError."""
    part = f"{destination}.part"
    for path in (part, f"{part}.json", f"{part}.json~", destination):
        try:
            status = os.lstat(path)
            is_link = stat.S_ISLNK(status.st_mode)
            if is_link and path == part:
                # The partial file is opened, and the others are only replaced.
                raise OSError(errno.ELOOP, "")
            _check_name(status, os.stat(os.path.dirname(path) or "."))
            # Root may write everywhere, except to a file with an attribute such as immutable.
            if (
                os.geteuid() == 0
                and not is_link
                and not os.access(path, os.W_OK)
            ):
                raise PermissionError(errno.EPERM, "")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DestinationError.of(
                error, path, write_operation(destination)
            ) from None


def _check_name(status: os.stat_result, directory: os.stat_result) -> None:
    """Check that a file in that directory can be replaced. Raises OSError, as the system would later."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "")
    if status.st_dev != directory.st_dev:
        # A file can be a mount point as well, as containers have them: it cannot be replaced.
        raise OSError(errno.EBUSY, "")
    # In a directory like /tmp, only the owner of a file may replace it.
    is_sticky = directory.st_mode & stat.S_ISVTX
    if is_sticky and os.geteuid() not in (0, status.st_uid, directory.st_uid):
        raise PermissionError(errno.EPERM, "")


def extent_size(size: int) -> int:
    """Size at which an extent of an object of that size ends."""
    return max(tuning.EXTENT_SIZE, -(-size // tuning.MAX_EXTENTS))


def journal_size(size: int) -> int:
    """Bytes of the journal of an object of that size, in whole blocks."""
    extents = tuning.SHORT_EXTENTS + -(-size // extent_size(size))
    size = tuning.JOURNAL_HEAD_SIZE + extents * tuning.JOURNAL_EXTENT_SIZE
    return -(-size // _BLOCK) * _BLOCK


def missing_journal_bytes(destination: str, size: int) -> int:
    """Bytes that the journal and its spare file still have to take."""
    there = 0
    for path in (f"{destination}.part.json", f"{destination}.part.json~"):
        with contextlib.suppress(FileNotFoundError):
            there += allocated_bytes(os.lstat(path))
    return max(0, 2 * journal_size(size) - there)


def missing_bytes(size: int, status: os.stat_result) -> int:
    """Bytes that a file still has to take to have that size. Its blocks count, as it can have holes."""
    return size - min(size, allocated_bytes(status))


def allocated_bytes(status: os.stat_result) -> int:
    """Bytes that a file takes on the disk."""
    return status.st_blocks * _STAT_BLOCK


def free_bytes(place: t.Union[int, str]) -> float:
    """Free bytes of a file system; infinite if it does not say how large it is."""
    system = os.statvfs(place)
    if not system.f_blocks:
        return math.inf
    blocks = system.f_bfree
    # A part is reserved for root.
    if os.geteuid() != 0:
        blocks = system.f_bavail
    return blocks * system.f_frsize


def full_error(destination: str, missing: int, free: float) -> DestinationError:
    """The error for a full disk, with the numbers."""
    return DestinationError.of(
        OSError(errno.ENOSPC, ""),
        f"{destination}.part",
        write_operation(destination),
        details=f": {missing} more bytes are needed, but only {free:.0f} are free",
    )


def write_operation(destination: str) -> str:
    """The operation that an error of a partial file names."""
    return f"write {destination}"
