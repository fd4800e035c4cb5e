# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Which records of a data file are compared with the rows in the database."""

from __future__ import annotations

import typing as t


class RawSample(t.NamedTuple):
    """A record of a file. ``record``: its number in the file, from 1."""

    record: int
    data: bytes


class Samples:
    """Some records of a file, evenly over it: the first, the last, and between."""

    def __init__(self, limit: int) -> None:
        self._limit = max(2, limit)
        self._step = 1
        self._seen = 0
        self._chosen: list[RawSample] = []

    def add(self, sample: RawSample) -> None:
        if self._seen % self._step == 0:
            self._chosen.append(sample)
        self._seen += 1
        # Half of them go, and from now on only half as many come: they stay evenly over the file.
        if len(self._chosen) >= self._limit:
            self._chosen = self._chosen[::2]
            self._step *= 2

    def chosen(self, last: RawSample) -> list[RawSample]:
        if self._chosen and self._chosen[-1].record == last.record:
            return self._chosen
        return [*self._chosen, last]
