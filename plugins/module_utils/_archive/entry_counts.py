# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Counts of the entries in a directory."""

from __future__ import annotations

import os
import typing as t

from . import tuning
from .source import Tick
from .tree import DIRECTORY, MARKER, Path, Tree


def count_entries(path: str, tick: Tick = int) -> Tree:
    """Count the entries in a directory. Raises OSError."""
    directory = os.open(path, DIRECTORY)
    try:
        return count_entries_below(directory, tick)
    finally:
        os.close(directory)


def count_entries_below(
    directory: int,
    tick: Tick,
    on_directory: t.Callable[[int], t.Any] = int,
    on_link: t.Callable[[Path], t.Any] = len,
    path: Path = (),
) -> Tree:
    """Count the entries below an open directory, and never follow a link.

    ``on_directory`` is called for each directory below it, after those inside; ``on_link`` with the path of each link.
    """
    files = directories = links = size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if not (files + directories + links) % tuning.ENTRIES_PER_TICK:
                tick()
            if entry.is_symlink():
                links += 1
                on_link((*path, entry.name))
            elif entry.is_dir(follow_symlinks=False):
                directories += 1
                # Nothing so deep was extracted, and each level keeps a directory open.
                if len(path) > tuning.MAX_DEPTH:
                    continue
                inner = os.open(entry.name, DIRECTORY, dir_fd=directory)
                try:
                    tree = count_entries_below(
                        inner, tick, on_directory, on_link, (*path, entry.name)
                    )
                    on_directory(inner)
                finally:
                    os.close(inner)
                files += tree.files
                directories += tree.directories
                links += tree.links
                size += tree.size
            # The marker is ours, and no content. Below the top, that name is one like any other.
            elif path or entry.name != MARKER:
                files += 1
                size += entry.stat(follow_symlinks=False).st_size
    return Tree(files, directories, links, size)
