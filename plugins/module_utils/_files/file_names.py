# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Names of files that are safe on each file system."""

from __future__ import annotations

from .._base.text import printable
from . import tuning

#: The name where nothing of an object's own one is safe.
_NAMELESS = "backup"


def name_of(path: str) -> str:
    """A safe file name for the path of an object."""
    last = path.rstrip("/").rpartition("/")[2]
    return _safe(last) or _NAMELESS


def relative_name(name: str) -> str:
    """A relative path that only leads down, for the name of an object below a prefix."""
    parts = [_safe(part) for part in name.split("/")]
    return "/".join(filter(None, parts)) or _NAMELESS


def _safe(name: str) -> str:
    """A name without letters that a terminal, a shell or a file system treats in a special way."""
    letters = map(_safe_letter, name)
    name = shortened("".join(letters).strip())
    if name in (".", ".."):
        return ""
    return name


def _safe_letter(letter: str) -> str:
    if letter in "/\\" or printable(letter) != letter:
        return "_"
    return letter


def shortened(name: str, end: str = "") -> str:
    """A name that file systems take, with this end. Only what is before the end is cut."""
    # By bytes, as file systems count them, and without half a letter.
    length = tuning.MAX_NAME - len(end)
    encoded = name.encode("utf-8", "surrogateescape")
    return encoded[:length].decode("utf-8", "ignore") + end
