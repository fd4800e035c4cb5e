# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Small text files that are written again and again, also on a full disk."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .system import exchange

#: A file that is already there is not opened, nor what a link leads to; no child process gets it.
_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Note:
    """A text file that is replaced as a whole, and keeps its space on the disk. For one thread.

    It has a spare file of the same size beside it: a new text overwrites the spare file, and then both exchange their names.
    So no block is freed, and none is needed. Blanks follow the text. Each method raises OSError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.spare = f"{path}~"
        self._size = 0
        # Both stay open, so that a file of somebody else with one of these names is never written to.
        self._current_file: t.Optional[int] = None
        self._spare_file: t.Optional[int] = None

    def begin(self, text: str, size: int) -> None:
        """Write the first text, and take ``size`` bytes on the disk. Replaces a file of that name."""
        self.close()
        self._size = size
        self._spare_file = self._create_spare()
        self._write_spare(text)
        self._replace()
        self._spare_file = self._create_spare()

    def write(self, text: str) -> None:
        """Replace the text. A reader sees either the old or the new one."""
        if self._spare_file is None:
            self._spare_file = self._create_spare()
        self._write_spare(text)
        try:
            if self._current_file is None:
                raise FileNotFoundError
            exchange(self.spare, self.path)
        except OSError:
            # Somebody deleted it, or the file system cannot exchange names: NFS for example. Its space is free for a moment.
            self._replace()
            with contextlib.suppress(OSError):
                self._spare_file = self._create_spare()
            return
        current = self._spare_file
        self._spare_file = self._current_file
        self._current_file = current

    def close(self) -> None:
        """Close both files, and delete the spare one."""
        if self._spare_file is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.spare)
        for file in (self._current_file, self._spare_file):
            if file is not None:
                os.close(file)
        self._current_file = self._spare_file = None

    def _create_spare(self) -> int:
        """Create the spare file, with blanks to its full size: only written blocks are safe from others."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.spare)
        file = os.open(self.spare, _NEW_FILE, 0o600)
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
        """Put the spare file in the place of the current one. After that there is none to spare."""
        os.replace(self.spare, self.path)
        if self._current_file is not None:
            os.close(self._current_file)
        self._current_file = self._spare_file
        self._spare_file = None


def _write_all(file: int, content: bytes) -> None:
    # In place, never truncated: that would free the blocks.
    written = 0
    while written < len(content):
        written += os.pwrite(file, content[written:], written)
