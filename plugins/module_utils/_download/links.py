# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The link of a transfer: its redirection, rejection and renewal."""

from __future__ import annotations

import threading
import time
import typing as t

from . import tuning
from .errors import StorageRejectedError
from .link import Link
from .rejection import EXPIRED
from .types import TransferObserver

_ALL_EXPIRED_HINT = (
    "{} new links in a row had expired before they were used: raise duration, and check the clocks of the controller and of"
    " this host"
)


class Links:
    """The link in use. For several threads, except ``refresh``, which is for one.

    After a redirection, requests go to its target, and to the link itself again once the target rejects one or fails: a
    target may be short-lived. Each change begins a new generation, so that a late failure of an old one is ignored.
    """

    def __init__(
        self, link: Link, observer: TransferObserver, timeout: float
    ) -> None:
        self._link = self._target = link
        self._observer = observer
        self._timeout = timeout
        self._generation = 0
        self._rejection: t.Optional[StorageRejectedError] = None
        self._requested_at: t.Optional[float] = None
        #: Codes of the rejections since a link last worked: one for each new link that was of no use.
        self._used_up: list[str] = []
        #: Guards all of the above: workers read and reject, and the transfer's own thread renews.
        self._lock = threading.Lock()

    def current(self) -> tuple[int, Link]:
        """The generation, and the link to use."""
        with self._lock:
            return self._generation, self._target

    @property
    def is_missing(self) -> bool:
        """Tell whether a new link is needed first."""
        return self._rejection is not None

    def on_redirect(self, generation: int, target: Link) -> None:
        """Use the target of a redirection from now on."""
        with self._lock:
            if generation == self._generation:
                self._target = target

    def forget_redirection(self, generation: int) -> bool:
        """Give up the target of a redirection. Tells whether another link than that of the generation is in use now."""
        with self._lock:
            if (
                generation == self._generation
                and self._target is not self._link
            ):
                self._use(self._link)
            return generation != self._generation

    def reject(self, generation: int, rejection: StorageRejectedError) -> None:
        """Have ``refresh`` get another link. Raises the rejection if no link would do."""
        # The target of a redirection may have rejected what the link itself still gives.
        if self.forget_redirection(generation):
            return
        with self._lock:
            if generation != self._generation:
                return
            tried = self._used_up.count(rejection.code)
            if (
                tried >= rejection.new_links
                or len(self._used_up) >= tuning.MAX_NEW_LINKS
            ):
                if tried and rejection.new_links == EXPIRED:
                    raise rejection.with_hint(_ALL_EXPIRED_HINT.format(tried))
                raise rejection
            self._rejection = rejection

    def mark_good(self) -> None:
        """Forget earlier rejections, as the link works."""
        # Without the lock, as it is called for each piece: to set an empty list is harmless at any time.
        if self._used_up:
            self._used_up = []

    def refresh(self) -> None:
        """Replace a rejected link once a new one is there. Raises the rejection if none will come."""
        rejection = self._rejection
        if rejection is None:
            return
        if not self._observer.renews_links:
            raise rejection
        now = time.monotonic()
        if self._requested_at is None:
            self._requested_at = now
            self._observer.ask_for_links()
        urls = self._observer.take_links()
        if urls is None:
            if now - self._requested_at > self._timeout:
                raise rejection
            return
        found = [
            link for link in map(Link, urls) if link.path == self._link.path
        ]
        if not found:
            raise rejection
        with self._lock:
            self._link = found[0]
            self._use(self._link)
            self._used_up.append(rejection.code)
            self._rejection = None
            self._requested_at = None

    def _use(self, target: Link) -> None:
        """Begin a new generation. Called with the lock."""
        self._target = target
        self._generation += 1
