# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Selection of connections that are so slow that a new one is worth its set-up."""

from __future__ import annotations

import typing as t

from . import tuning
from .segments import Rate


class Candidate(t.Protocol):
    """A connection that may be replaced."""

    drops: int

    @property
    def rate(self) -> Rate:
        """The rate of its bytes."""

    @property
    def seconds_connected(self) -> float:
        """Seconds since it was opened."""

    @property
    def seconds_slow(self) -> float:
        """Seconds since it was opened, or was last found to be fast."""


_Candidate = t.TypeVar("_Candidate", bound=Candidate)


def slower_than_median(working: list[_Candidate]) -> list[_Candidate]:
    """Select those far below the median rate. Of two, none is the usual one."""
    if len(working) < 3:
        return []
    # Once for each, as they change all the time.
    rates = [one.rate.now for one in working]
    limit = tuning.SLOW_SHARE * sorted(rates)[len(rates) // 2]
    return [
        one
        for one, rate in zip(working, rates)
        if rate < limit
        and one.drops < tuning.MAX_RECONNECTS
        and one.seconds_connected > tuning.SLOW_SECONDS
    ]


def slower_than_limit(
    working: list[_Candidate], slow_rate: int, left: int
) -> list[_Candidate]:
    """Select one, where there are too few for a median: the first one below the rate, if enough bytes are left to save time."""
    if len(working) > 2:
        return []
    for one in working:
        rate = one.rate.now
        # The time doubles with each replacement. If all bytes would have come by then anyway, it waits for them.
        max_seconds = tuning.SLOW_SECONDS * 2**one.drops
        if (
            rate < slow_rate
            and one.drops < tuning.MAX_RECONNECTS
            and one.seconds_slow > max_seconds
            and left > rate * max_seconds
        ):
            return [one]
    return []
