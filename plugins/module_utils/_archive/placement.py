# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Placement of the entries of an archive below the new directory."""

from __future__ import annotations

import typing as t

from .source import Tick
from .tar_reader import Entry
from .tree import Path

#: Gives an open file or directory its owner and mode.
SetAttributes = t.Callable[[int], None]


class Placement:
    """Placement of each entry where the archive has it. The base of other placements."""

    #: Whether a file has its final place and content once it is written, and so gets its owner and mode.
    is_final = True

    def place(self, path: Path, entry: Entry) -> t.Optional[Path]:
        """Return where to write an entry, None if it needs no place. Raises InvalidArchiveError."""
        return path

    def observe(
        self, path: Path, pieces: t.Iterator[memoryview]
    ) -> t.Iterator[memoryview]:
        """Yield the pieces of a file that is written at the path."""
        return pieces

    def continued(self, path: Path) -> t.Optional[str]:
        """Return the name of the file beside it that the content goes on in; None if it gets a file of its own."""
        return None

    def check_repeated(self, entry: Entry) -> None:
        """Check an entry whose place is taken. Raises InvalidArchiveError if it must not replace the other one."""

    def finish(
        self, root: int, set_attributes: SetAttributes, tick: Tick
    ) -> None:
        """Arrange the files below the open root when all are written. Raises InvalidArchiveError or OSError."""
