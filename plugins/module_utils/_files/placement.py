# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Names of files that are safe on each file system."""

from __future__ import annotations

from .._base.text import printable


def name_of(path: str) -> str:
    """A safe file name for the path of an object."""
    return _safe(path.rstrip("/").rpartition("/")[2]) or "backup"


def relative_name(name: str) -> str:
    """A relative path that only leads down, for the name of an object below a prefix."""
    return "/".join(filter(None, map(_safe, name.split("/")))) or "backup"


def _safe(name: str) -> str:
    """A name without letters that a terminal, a shell or a file system treats in a special way."""
    name = "".join(
        "_" if printable(letter) != letter or letter in "/\\" else letter
        for letter in name
    ).strip()
    # Cut by bytes, as file systems count them, and without half a letter.
    encoded = name.encode("utf-8", "replace")[:LONGEST_NAME]
    name = encoded.decode("utf-8", "ignore")
    return "" if name in (".", "..") else name


#: Bytes of a name. File systems take 255, and ``.part.json~`` or the like is added while it is written.
LONGEST_NAME = 240
