# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Contents of an extracted archive, as a marker in the destination keeps them for later runs."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from . import tuning
from .formats import Format
from .tree import MARKER, NEW_FILE, Layout, Tree


@dataclasses.dataclass(frozen=True)
class Contents:
    """Content of an archive. ``archives``: number of tars that it is joined of."""

    src: str
    format: Format
    archives: int
    archive_size: int
    archive_crc64: int
    layout: Layout
    tree: Tree

    def to_dict(self) -> dict[str, t.Any]:
        """Facts for a result, and for a marker."""
        return {
            "src": self.src,
            "format": self.format.value,
            "archives": self.archives,
            "archive_size": self.archive_size,
            "archive_crc64": str(self.archive_crc64),
            "layout": self.layout.value,
            **dataclasses.asdict(self.tree),
        }


def read_marker(dest: str) -> t.Optional[Contents]:
    """Contents as an earlier run described them; None if there is no valid marker."""
    try:
        # Users may put anything there: a link is not followed, and a pipe does not block.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        marker = os.open(os.path.join(dest, MARKER), flags)
        with open(marker, "rb") as file:
            facts = json.loads(file.read(tuning.MAX_MARKER))
        counts = {
            field.name: facts[field.name] for field in dataclasses.fields(Tree)
        }
        return Contents(
            src=facts["src"],
            format=Format(facts["format"]),
            archives=facts["archives"],
            archive_size=facts["archive_size"],
            archive_crc64=int(facts["archive_crc64"]),
            layout=Layout(facts.get("layout", Layout.AS_IS.value)),
            tree=Tree(**counts),
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def write_marker(
    root: int, contents: Contents, set_attributes: t.Callable[[int], None]
) -> None:
    """Describe the contents in an open directory. ``set_attributes`` gives the open file its owner and mode."""
    marker = os.open(MARKER, NEW_FILE, 0o600, dir_fd=root)
    with open(marker, "w", encoding="ascii") as file:
        json.dump(contents.to_dict(), file, indent=2)
        file.write("\n")
        set_attributes(marker)
