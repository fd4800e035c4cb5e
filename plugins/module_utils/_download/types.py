# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Options, observer and statistics of a transfer."""

from __future__ import annotations

import typing as t

from .._base.http_options import HttpOptions
from .._base.retry import RetryPolicy


class TransferOptions(t.NamedTuple):
    """Options of a transfer.

    ``limit_rate``      bytes per second
    ``stall_timeout``   longest time without a byte, in seconds
    ``outage_timeout``  longest time without a new link, in seconds
    """

    connections: int = 8
    http: HttpOptions = HttpOptions()
    retry: RetryPolicy = RetryPolicy()
    limit_rate: t.Optional[int] = None
    stall_timeout: float = 120.0
    outage_timeout: float = 120.0
    sync: bool = True


class TransferObserver(t.Protocol):
    """The side that waits for a transfer, and has links for it."""

    renews_links: bool

    def check(self) -> None:
        """Raise an error if nobody waits any more."""

    def report(self, facts: t.Mapping[str, t.Any]) -> None:
        """Take a report of the progress."""

    def ask_for_links(self) -> None:
        """Request new links."""

    def take_links(self) -> t.Optional[list[str]]:
        """The new links; None until they are there."""


class TransferStats:
    """Statistics over all objects and attempts.

    ``transferred``: bytes, without the first byte of each probe. ``resumed``: bytes that an earlier run had left.
    ``resumes``: number of times that a transfer continued after an interruption.
    """

    def __init__(self) -> None:
        self.transferred = 0
        self.resumed = 0
        self.resumes = 0
        self.connections = 0
        self.attempts = 1
