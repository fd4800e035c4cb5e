# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What is written for an archive: by which limits, and with which owner and mode."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .formats import printable_name

#: In ``dest``: what was unpacked there.
MARKER = ".apsaradb-backup.json"
#: An entry lies in so many directories at the most.
MAX_DEPTH = 100

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclasses.dataclass(frozen=True)
class Request:
    """What to unpack. Paths are absolute, ``dest`` without links; modes at most 0o777, that of
    directories at least 0o700; -1 leaves owner and group alone.

    ``max_size`` none is what is free in the file system. ``replace``: whatever ``dest`` holds.
    """

    src: str
    dest: str
    replace: bool = False
    max_files: int = 1_000_000
    max_size: t.Optional[int] = None
    mode: int = 0o600
    directory_mode: int = 0o700
    owner: int = -1
    group: int = -1
    sync: bool = True

    @property
    def changes_owner(self) -> bool:
        return (self.owner, self.group) != (-1, -1)

    @property
    def operation(self) -> str:
        return f"unpack {printable_name(self.src)} into {printable_name(self.dest)}"


@dataclasses.dataclass(frozen=True)
class Tree:
    """What is in a directory, itself not counted. Hard links are files, and count as often as there are."""

    files: int = 0
    directories: int = 0
    links: int = 0
    size: int = 0
