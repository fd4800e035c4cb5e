# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Which connections are so slow that another one is worth its set-up."""

from __future__ import annotations

import typing as t

from . import tuning
from .segments import Rate


class Candidate(t.Protocol):
    """What is known of a connection that may be dropped."""

    drops: int

    @property
    def rate(self) -> Rate:
        """Of what comes by it."""

    @property
    def seconds_connected(self) -> float:
        """Since it was made."""

    @property
    def seconds_slow(self) -> float:
        """Since it was made, or was last found to be quick."""


_Candidate = t.TypeVar("_Candidate", bound=Candidate)


def slower_than_median(working: list[_Candidate]) -> list[_Candidate]:
    """Those to be dropped. Of two, nobody can say which one is usual."""
    if len(working) < 3:
        return []
    rates = [one.rate.now for one in working]
    usual = sorted(rates)[len(rates) // 2]
    return [
        one
        for one, rate in zip(working, rates)
        if one.drops < tuning.MAX_RECONNECTS
        and rate < tuning.SLOW_SHARE * usual
        and one.seconds_connected > tuning.SLOW_SECONDS
    ]


def slower_than_limit(working: list[_Candidate], slow_rate: int, left: int) -> list[_Candidate]:
    """The one to be dropped where there is no median: the first that is slow, and has so many bytes left that it pays."""
    if len(working) > 2:
        return []
    found = []
    for one in working:
        max_seconds, rate = tuning.SLOW_SECONDS * 2**one.drops, one.rate.now
        # What would have come by then anyway is waited for.
        if (
            rate < slow_rate
            and one.drops < tuning.MAX_RECONNECTS
            and one.seconds_slow > max_seconds
            and left > rate * max_seconds
        ):
            found.append(one)
    return found[:1]
