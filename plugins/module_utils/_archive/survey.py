# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Counts of the entries in a directory."""

from __future__ import annotations

import os
import typing as t

from .tree import DIRECTORY, MARKER, MAX_DEPTH, Tree

#: Entries between two calls of ``tick``: a few milliseconds.
_ENTRIES_PER_TICK = 1000


def count_entries(path: str, tick: t.Callable[[], t.Any] = int) -> Tree:
    """Count the entries in a directory. Raises OSError."""
    directory = os.open(path, DIRECTORY)
    try:
        return count_entries_below(directory, tick)
    finally:
        os.close(directory)


def count_entries_below(
    directory: int,
    tick: t.Callable[[], t.Any],
    on_directory: t.Callable[[int], t.Any] = int,
    on_link: t.Callable[[tuple[str, ...]], t.Any] = len,
    path: tuple[str, ...] = (),
) -> Tree:
    """Count the entries below an open directory, and never follow a link.

    ``on_directory`` is called for each directory below it, after those inside; ``on_link`` with the path of each link.
    """
    files = directories = links = size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if not (files + directories + links) % _ENTRIES_PER_TICK:
                tick()
            if entry.is_symlink():
                links += 1
                on_link((*path, entry.name))
            elif entry.is_dir(follow_symlinks=False):
                directories += 1
                # Nothing so deep was unpacked, and each level keeps a directory open.
                if len(path) > MAX_DEPTH:
                    continue
                inner = os.open(entry.name, DIRECTORY, dir_fd=directory)
                try:
                    tree = count_entries_below(
                        inner, tick, on_directory, on_link, (*path, entry.name)
                    )
                    on_directory(inner)
                finally:
                    os.close(inner)
                files, directories = files + tree.files, directories + tree.directories
                links, size = links + tree.links, size + tree.size
            elif path or entry.name != MARKER:
                files += 1
                size += entry.stat(follow_symlinks=False).st_size
    return Tree(files, directories, links, size)
