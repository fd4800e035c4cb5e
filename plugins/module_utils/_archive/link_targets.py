# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Checks of symbolic links in an archive: none may lead out of the directory."""

from __future__ import annotations

import os

from . import tuning
from .errors import InvalidArchiveError, untrusted
from .formats import printable_name
from .tar_reader import Entry, Kind
from .tree import Path


def escapes(target: str, depth: int) -> bool:
    """Tell whether the text of a target leads out of the root. ``depth``: of the link's directory below it."""
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
    """The error for such an entry."""
    what = entry.printable
    if entry.target:
        what += f", a {entry.kind.value} to {printable_name(entry.target)},"
    return untrusted(f"{what} in the archive leads outside the destination")


def check_link(root: int, path: Path) -> None:
    """Follow the link at the path step by step. Raises InvalidArchiveError if it leads out of the root, also through other links."""
    name = "/".join(path)
    entry = Entry(name, Kind.LINK, 0, os.readlink(name, dir_fd=root), 0)
    # The directory that was reached, and the parts to come, of which the next one is the last: it is cheap to take.
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
            # After links were replaced by their targets, so that .. means the parent that the system would go to.
            here.pop()
            continue
        try:
            target = os.readlink("/".join([*here, part]), dir_fd=root)
        except OSError:
            # Not a link, or nothing.
            here.append(part)
            continue
        links += 1
        if target.startswith("/") or links > tuning.MAX_LINKS:
            raise leads_outside(entry)
        ahead.extend(target.split("/")[::-1])
