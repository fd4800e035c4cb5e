# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""How far a restore is, told a few times a second."""

from __future__ import annotations

import time
import typing as t

from .._archive.members import Members
from . import tuning
from .loader import TableProgress
from .model import State


class Progress(t.NamedTuple):
    """How far a restore is. ``phase``: ``reading`` or ``loading``. ``done``, ``total``: bytes.

    ``tables_done``, ``tables``: numbers. ``activity``: what takes long now; empty if nothing does.
    """

    phase: str
    done: int
    total: int
    tables_done: int = 0
    tables: int = 0
    activity: str = ""


#: Called several times a second. It may raise an error, which ends the restore; it can be resumed.
OnProgress = t.Callable[[Progress], None]


class ProgressReporter:
    """Calls ``watch``, but never twice within a moment."""

    def __init__(self, watch: OnProgress) -> None:
        self._watch = watch
        self._shown_at = 0.0

    def reading(self, members: Members) -> None:
        if self._is_time():
            self._watch(Progress("reading", members.read, members.size))

    def loading(self, tables: t.Sequence[TableProgress]) -> None:
        # Called for each chunk of the source, while there can be thousands of tables.
        if not self._is_time():
            return
        size = sum(one.plan.source.size for one in tables)
        busy = [
            one
            for one in tables
            if one.state in (State.INDEXING, State.VERIFYING)
        ]
        activity = ""
        if busy:
            verb = (
                "building keys of"
                if busy[0].state is State.INDEXING
                else "verifying"
            )
            activity = f"{verb} {busy[0].plan.target}"
        done = sum(one.state is State.DONE for one in tables)
        loaded = sum(one.size for one in tables)
        self._watch(
            Progress("loading", loaded, size, done, len(tables), activity)
        )

    def _is_time(self) -> bool:
        """Return whether to show progress now, which is then not done again for a moment."""
        now = time.monotonic()
        if now - self._shown_at < tuning.TICK:
            return False
        self._shown_at = now
        return True
