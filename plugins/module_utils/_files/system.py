# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Functions of the system for files that Python does not have, each with a substitute for systems without it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import mmap
import os
import resource
import typing as t

# Constants of Linux, from fcntl.h and fs.h.
_SYNC_FILE_RANGE_WRITE = 2
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
#: Answers of a system or a file system without the function.
_NOT_THERE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@functools.cache
def _libc() -> t.Any:
    """The C library, which is loaded already. With it, ``_error`` knows the number of the last error."""
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _function(name: str, *types: t.Any) -> t.Any:
    """A function of the C library with arguments of these types; None if this system has none."""
    function = getattr(_libc(), name, None)
    if function is not None:
        # Without it, ctypes would pass sizes as 32 bits.
        function.argtypes = types
    return function


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def buffer(size: int) -> memoryview:
    """Memory that begins at the start of a page.

    Some processors copy several times as slowly between places that are a few bytes apart in their pages.
    """
    return memoryview(mmap.mmap(-1, size))


def preallocate(file: int, size: int) -> None:
    """Reserve blocks for the file, so that a full disk shows at once. Raises OSError."""
    # Not posix_fallocate, which writes to each block if the file system cannot reserve any.
    fallocate = _function(
        "fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
    )
    if fallocate is not None and size:
        while fallocate(file, 0, 0, size):
            number = ctypes.get_errno()
            if number in _NOT_THERE:
                break
            # A signal interrupts it, as it can take long.
            if number != errno.EINTR:
                raise _error(number)
    os.ftruncate(file, size)


def exchange(one: str, other: str) -> None:
    """Exchange the names of two files in one step. Raises OSError, also if the system or the file system cannot."""
    renameat2 = _function(
        "renameat2",
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )
    if renameat2 is None:
        raise _error(errno.ENOSYS)
    old = os.fsencode(one)
    new = os.fsencode(other)
    if renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_EXCHANGE):
        raise _error(ctypes.get_errno())


def start_writing(file: int, start: int, count: int) -> None:
    """Start to bring a part of the file to the disk, without waiting. No promise: fsync is still needed."""
    sync_file_range = _function(
        "sync_file_range",
        ctypes.c_int,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_uint,
    )
    if sync_file_range is not None:
        sync_file_range(file, start, count, _SYNC_FILE_RANGE_WRITE)


def sync_file_system(directory: int) -> None:
    """Bring the whole file system of an open directory to the disk. Raises OSError."""
    syncfs = _function("syncfs", ctypes.c_int)
    if syncfs is None:
        os.sync()
    elif syncfs(directory):
        raise _error(ctypes.get_errno())


def sync_directory(path: str) -> None:
    """Bring the names in a directory to the disk, so that a rename survives a power failure. Some file systems cannot."""
    with contextlib.suppress(OSError):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def boot_id() -> str:
    """An ID that changes with each start of the system; empty if unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def available_memory() -> t.Optional[int]:
    """Bytes of memory that this process can still take; None if unknown."""
    limits = []
    with (
        contextlib.suppress(OSError, ValueError, IndexError),
        open("/proc/meminfo", encoding="ascii") as file,
    ):
        limits += [
            int(line.split()[1]) << 10
            for line in file
            if line.startswith("MemAvailable:")
        ]
    # The limit of a container, or of a service of systemd, in both versions of control groups.
    for path in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        _own_group(),
    ):
        with (
            contextlib.suppress(OSError, ValueError),
            open(path, encoding="ascii") as file,
        ):
            limits.append(int(file.read()))
    limits += [
        limit
        for limit in resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY
    ]
    return min(limits, default=None)


def _own_group() -> str:
    """Path of the memory limit of this process's own control group; empty if there is none."""
    with (
        contextlib.suppress(OSError),
        open("/proc/self/cgroup", encoding="utf-8") as file,
    ):
        for line in file:
            if line.startswith("0::/"):
                return f"/sys/fs/cgroup{line[3:].rstrip()}/memory.max"
    return ""


def free_space(directory: str) -> t.Optional[int]:
    """Return the bytes that are free for users in the file system of a directory; None if it cannot be seen."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
