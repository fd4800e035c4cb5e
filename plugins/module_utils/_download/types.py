# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a transfer is told, whom it reports to, and what it counts."""

from __future__ import annotations

import typing as t

from .._base.http_options import HttpOptions
from .._base.retry import RetryPolicy


class TransferOptions(t.NamedTuple):
    """``connections`` at the most. ``limit_rate`` in bytes a second. ``retry.total_timeout``: how many seconds nothing may arrive."""

    connections: int = 8
    http: HttpOptions = HttpOptions()
    retry: RetryPolicy = RetryPolicy()
    limit_rate: t.Optional[int] = None
    sync: bool = True


class TransferObserver(t.Protocol):
    """Whoever waits for the transfer, and has links for it."""

    renews_links: bool

    def check(self) -> None:
        """Raises if nobody waits any more."""

    def report(self, facts: t.Mapping[str, t.Any]) -> None:
        """How far it is."""

    def ask_for_links(self) -> None:
        """Say that the link that it has does not do any more."""

    def take_links(self) -> t.Optional[list[str]]:
        """The new ones, once they are there."""


class TransferStats:
    """What was done, over all objects and attempts.

    ``transferred``: bytes, without the one that only tells what the object is. ``resumed``: bytes that an earlier run had
    left; ``resumes``: how often it went on where something had broken.
    """

    def __init__(self) -> None:
        self.transferred = 0
        self.resumed = 0
        self.resumes = 0
        self.connections = 0
        self.attempts = 1
