# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The bytes of an archive file, read once and forward, and their CRC-64."""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from .._files.crc64 import crc64
from . import tuning
from .errors import InvalidArchiveError

#: Bytes of a block in a tar, by POSIX.
BLOCK = 512

#: Called now and then for progress. It may raise an error, which ends the work.
Tick = t.Callable[[], t.Any]


class Source:
    """An archive file. Raises InvalidArchiveError if it cannot be read."""

    def __init__(self, path: str) -> None:
        try:
            # Not to block at a pipe of that name, which is refused below.
            self._file = os.open(
                path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
            )
        except OSError as error:
            raise _unreadable(error) from None
        self._status = os.fstat(self._file)
        if not stat.S_ISREG(self._status.st_mode):
            os.close(self._file)
            raise InvalidArchiveError(
                "the archive is not a regular file",
                hint="Set src to the downloaded file",
            )
        self.size = self._status.st_size
        self.rewind()

    def rewind(self) -> None:
        """Begin again with the first byte, and with the checksum."""
        self.read = 0
        self.crc64 = 0
        self._buffer = b""
        self._position = 0

    def close(self) -> None:
        os.close(self._file)

    def read_beginning(self) -> bytes:
        """The first block, which does not count as read."""
        try:
            return os.pread(self._file, BLOCK, 0)
        except OSError as error:
            raise _unreadable(error) from None

    def read_some(self) -> bytes:
        """Read the next bytes, as many as are buffered; none at the end."""
        rest = self._buffer[self._position :]
        self._buffer, self._position = b"", 0
        return rest or self._read_next()

    def read_exactly(self, count: int) -> bytes:
        """Read ``count`` bytes, fewer at the end."""
        end = self._position + count
        if end <= len(self._buffer):
            self._position, start = end, self._position
            return self._buffer[start:end]
        parts = []
        while count:
            part = self.read_some()
            if not part:
                break
            if len(part) > count:
                self._buffer, self._position = part, count
                part = part[:count]
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def crc64_of_all(self, tick: Tick) -> int:
        """Read all bytes for their checksum. ``tick`` is called for each read."""
        self.rewind()
        while self.read_some():
            tick()
        return self.crc64

    def confirm(self) -> None:
        """Check that nobody wrote to the file meanwhile. Raises InvalidArchiveError."""
        # Size and time do not prove it, but a download that goes on changes both.
        before = self._status
        now = os.fstat(self._file)
        if (
            now.st_size != before.st_size
            or now.st_mtime_ns != before.st_mtime_ns
        ):
            raise InvalidArchiveError(
                "the archive was changed while it was read",
                hint="Wait until its download has finished, and run it again",
            )

    def _read_next(self) -> bytes:
        try:
            data = os.pread(self._file, tuning.READ_SIZE, self.read)
        except OSError as error:
            raise _unreadable(error) from None
        self.crc64 = crc64(data, self.crc64)
        self.read += len(data)
        return data


def _unreadable(error: OSError) -> InvalidArchiveError:
    hint = "Check src and its file system"
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = "Run it as a user who can read it, for example with become"
    return InvalidArchiveError(
        f"the archive cannot be read: {error.strerror}", hint=hint
    )
