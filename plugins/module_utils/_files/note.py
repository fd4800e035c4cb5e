# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Small files that are written again and again, also where the disk is full by then."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .system import exchange


class Note:
    """A text file that is replaced as a whole, and keeps its room. For one thread.

    It has a spare one beside it, of the same size: what is written goes over the spare one, and then both exchange their
    names. So no block of either is given up, and none is needed. The text is followed by blanks. Each method raises OSError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.spare = f"{path}~"
        self._size = 0
        # Both stay open: whatever else gets their names is not written to.
        self._current_file: t.Optional[int] = None
        self._spare_file: t.Optional[int] = None

    def begin(self, text: str, room: int) -> None:
        """Write it for the first time, and take `room` bytes for it. A file of that name is replaced."""
        self.close()
        self._size = room
        self._spare_file = self._create_spare()
        self._write_spare(text)
        self._replace()
        self._spare_file = self._create_spare()

    def write(self, text: str) -> None:
        if self._spare_file is None:
            self._spare_file = self._create_spare()
        self._write_spare(text)
        try:
            if self._current_file is None:
                raise FileNotFoundError
            exchange(self.spare, self.path)
            self._current_file, self._spare_file = self._spare_file, self._current_file
        except OSError:
            # Not there any more, or a file system that cannot. Its room is free for a moment then.
            self._replace()
            with contextlib.suppress(OSError):
                self._spare_file = self._create_spare()

    def close(self) -> None:
        """Leave it, without the spare one."""
        if self._spare_file is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.spare)
        for file in (self._current_file, self._spare_file):
            if file is not None:
                os.close(file)
        self._current_file = self._spare_file = None

    def _create_spare(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.spare)
        file = os.open(self.spare, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _write_all(file, b" " * self._size)
        except OSError:
            os.close(file)
            os.unlink(self.spare)
            raise
        return file

    def _write_spare(self, text: str) -> None:
        content = text.encode().ljust(self._size)
        _write_all(t.cast(int, self._spare_file), content)
        self._size = len(content)

    def _replace(self) -> None:
        os.replace(self.spare, self.path)
        if self._current_file is not None:
            os.close(self._current_file)
        self._current_file, self._spare_file = self._spare_file, None


def _write_all(file: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(file, content[written:], written)
