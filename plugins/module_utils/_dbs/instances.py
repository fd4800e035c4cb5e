# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Kinds of instances, as their IDs tell them."""

from __future__ import annotations

import typing as t

#: What the ID of an instance begins with, and the kind of the instance.
_KINDS = {
    "rm-": "rds",
    "rr-": "rds",
    "pgm-": "rds",
    "pgr-": "rds",
    "pc-": "polardb",
    "dds-": "mongodb",
}


def kind_of(instance_name: str) -> t.Optional[str]:
    """Return ``rds``, ``polardb`` or ``mongodb``; none where the ID does not tell."""
    kinds = (
        kind
        for prefix, kind in _KINDS.items()
        if instance_name.startswith(prefix)
    )
    return next(kinds, None)
