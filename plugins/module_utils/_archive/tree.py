# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Request for an extraction, and counts of its result."""

from __future__ import annotations

import dataclasses
import enum
import os
import typing as t

from .formats import printable_name

#: Names from the root of an archive down to an entry.
Path = tuple[str, ...]

#: File in ``dest`` with the description of its contents.
MARKER = ".apsaradb-backup.json"

# A link is never followed, neither to a directory nor to a file that exists. No child process gets what is open.
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Layout(enum.Enum):
    """A layout of the extracted files: that of the archive, or that of mongorestore."""

    AS_IS = "as_is"
    MONGORESTORE = "mongorestore"


@dataclasses.dataclass(frozen=True)
class Request:
    """Request for an extraction. Paths are absolute, ``dest`` without links; modes are at most 0o777, that of
    directories at least 0o700; -1 leaves owner and group alone.

    ``max_size``: bytes, None for what is free in the file system. ``replace``: also other content of ``dest``.
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
    layout: Layout = Layout.AS_IS

    @property
    def changes_owner(self) -> bool:
        """Tell whether owner or group have to be set."""
        return (self.owner, self.group) != (-1, -1)

    @property
    def operation(self) -> str:
        """The operation that errors name."""
        return f"extract {printable_name(self.src)} into {printable_name(self.dest)}"


def split_path(name: str) -> Path:
    """Split the name of an entry at its slashes."""
    return tuple(part for part in name.split("/") if part not in ("", "."))


@dataclasses.dataclass(frozen=True)
class Tree:
    """Counts of the entries below a directory. Each hard link counts as a file; ``links`` are symbolic ones."""

    files: int = 0
    directories: int = 0
    links: int = 0
    size: int = 0
