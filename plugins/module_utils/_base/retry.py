# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""How often a failed request is repeated, and how long is waited before."""

from __future__ import annotations

import random
import typing as t


class RetryPolicy(t.NamedTuple):
    """Exponential back-off with full jitter, bounded in number and in time.

    What a service asks for comes first, and the jitter on top of it: not all who wait shall come back at once.

    ``retries``        the largest number of repetitions
    ``timeout``        seconds from the first request to the last answer
    ``base``, ``cap``  seconds: the n-th pause lies between 0 and ``min(cap, base * 2**n)``
    """

    retries: int = 5
    timeout: float = 120.0
    base: float = 0.5
    cap: float = 20.0

    def pause(
        self, repetition: int, server_given: t.Optional[float] = None
    ) -> float:
        """Seconds to wait before the repetition of that number, counted from 0."""
        return (server_given or 0.0) + random.uniform(
            0.0, min(self.cap, self.base * 2.0 ** min(repetition, 30))
        )
