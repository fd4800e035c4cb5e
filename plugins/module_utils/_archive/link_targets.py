# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Where the links of an archive lead to: none may lead out of the directory."""

from __future__ import annotations

import os

from .errors import InvalidArchiveError
from .formats import UNTRUSTED_HINT, printable_name
from .tar_reader import Entry, Kind

_MAX_LINKS = 40


def escapes(target: str, depth: int) -> bool:
    """Whether a link in a directory so deep below the root leads out of it, by the looks of its target."""
    if target.startswith("/"):
        return True
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False


def leads_outside(entry: Entry) -> InvalidArchiveError:
    to = f", a {entry.kind.value} to {printable_name(entry.target)}," if entry.target else ""
    return InvalidArchiveError(
        f"{printable_name(entry.name)}{to} in it leads out of the destination", hint=UNTRUSTED_HINT
    )


def check_link(root: int, path: tuple[str, ...]) -> None:
    """Raises InvalidArchiveError if the link at the path leads out of the root, also by way of others."""
    entry = Entry("/".join(path), Kind.LINK, 0, os.readlink("/".join(path), dir_fd=root), 0)
    here = list(path[:-1])
    ahead = entry.target.split("/")[::-1]
    links = 1
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                raise leads_outside(entry)
            here.pop()
            continue
        try:
            target = os.readlink("/".join([*here, part]), dir_fd=root)
        except OSError:
            here.append(part)  # no link, or nothing
            continue
        links += 1
        if target.startswith("/") or links > _MAX_LINKS:
            raise leads_outside(entry)
        ahead.extend(target.split("/")[::-1])
