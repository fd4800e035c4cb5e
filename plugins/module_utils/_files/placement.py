# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Names of files that are safe on each file system."""

from __future__ import annotations

from .._base.text import printable


def name_of(path: str) -> str:
    """A file's name that is safe, by the path of an object."""
    return _safe(path.rstrip("/").rpartition("/")[2]) or "backup"


def relative_name(name: str) -> str:
    """A relative path that leads down only, by the name of an object below another."""
    return "/".join(filter(None, map(_safe, name.split("/")))) or "backup"


def _safe(name: str) -> str:
    """Without what a terminal, a shell or a file system could stumble over."""
    name = "".join("_" if printable(letter) != letter or letter in "/\\" else letter for letter in name).strip()
    encoded = name.encode("utf-8", "replace")[:LONGEST_NAME]
    name = encoded.decode("utf-8", "ignore")
    return "" if name in (".", "..") else name


#: A name with what is appended while it is written must not be longer than 255 bytes.
LONGEST_NAME = 240
