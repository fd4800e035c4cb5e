# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""All items of a paged operation, each once, while items are being added and whatever the service says of its pages."""

from __future__ import annotations

import collections
import itertools
import typing as t

from . import tuning
from .lists import Page

if t.TYPE_CHECKING:
    from concurrent.futures import Executor, Future


Raw = t.TypeVar("Raw")
T = t.TypeVar("T")


class Paginator(t.Generic[Raw, T]):
    """Reads pages 1, 2, 3 … until all is known.

    ``fetch``     gives the page of a number
    ``read``      makes of an item what is kept; not done in ``fetch``, where it would delay the requests of other threads
    ``identify``  what makes two items the same
    ``executor``  gives one that fetches pages ahead, up to ``ahead`` of them; without it, they are fetched one by one
    ``enough``    told the items found so far: whether no more is wanted
    ``first``     the first page, if it was fetched already
    """

    def __init__(
        self,
        fetch: t.Callable[[int], Page],
        read: t.Callable[[Raw], T],
        identify: t.Callable[[T], t.Hashable],
        *,
        executor: t.Optional[t.Callable[[], Executor]] = None,
        ahead: int = 1,
        enough: t.Optional[t.Callable[[t.Collection[T]], bool]] = None,
        first: t.Optional[Page] = None,
    ) -> None:
        self._fetch = fetch
        self._read = read
        self._identify = identify
        self._executor = executor
        self._ahead = ahead
        self._enough = enough
        self._first = first
        self._found: dict[t.Hashable, T] = {}
        #: Items that were announced and not given.
        self.shortfall = 0

    def all(self) -> list[T]:
        """Items that leave the list while it is read shift others from a page not yet read to one already read.

        Then fewer come by than the first page announced: read again, until the count is right or nothing new comes.
        """
        for _unused in range(tuning.MAX_SWEEPS):
            known = len(self._found)
            if self._sweep(self._first) or len(self._found) == known:
                break
            self._first = None
        return list(self._found.values())

    def _sweep(self, first: t.Optional[Page] = None) -> bool:
        """Read all pages once; whether that must have been everything."""
        seen: set[t.Hashable] = set()
        first = last = first or self._fetch(1)
        self._take(first, seen)
        pages_without_news = 0
        if first.has_next(len(seen)) and not self._is_enough():
            for last in self._pages(2, self._announced(first)):
                # One page with nothing new can stand among others; after a second one there are no more.
                pages_without_news = (
                    0 if self._take(last, seen) else pages_without_news + 1
                )
                if pages_without_news == 2 or self._is_enough():
                    break
        while (
            not pages_without_news
            and last.has_next(len(seen))
            and not self._is_enough()
        ):
            last = self._fetch(last.number + 1)
            pages_without_news = 0 if self._take(last, seen) else 1
        self.shortfall = (
            0 if self._is_enough() else max(0, (first.total or 0) - len(seen))
        )
        return last is first or not self.shortfall

    def _is_enough(self) -> bool:
        return self._enough is not None and self._enough(self._found.values())

    def _take(self, page: Page, seen: set[t.Hashable]) -> bool:
        """Keep the items; whether any was not seen in this sweep."""
        before = len(seen)
        for item in map(self._read, page.items):
            identity = self._identify(item)
            seen.add(identity)
            self._found[identity] = item
        return len(seen) > before

    def _announced(self, first: Page) -> int:
        """The last page that may be fetched ahead: none, unless the first page was full as announced."""
        if first.total is None or not first.size or not first.is_full:
            return 1
        return max(-(-first.total // len(first.items)), first.pages or 0)

    def _pages(self, begin: int, end: int) -> t.Iterator[Page]:
        """The pages of these numbers in their order, fetched ahead of what is read.

        Where it may be enough soon, only one is fetched at first, and then more and more.
        """
        if self._executor is None or begin > end:
            yield from map(self._fetch, range(begin, end + 1))
            return
        executor = self._executor()
        ahead = 1 if self._enough else self._ahead
        under_way: collections.deque[Future[Page]] = collections.deque()
        upcoming = iter(range(begin, end + 1))

        def fetch_ahead() -> None:
            for number in itertools.islice(upcoming, ahead - len(under_way)):
                under_way.append(executor.submit(self._fetch, number))

        try:
            while True:
                fetch_ahead()
                if not under_way:
                    return
                page = under_way.popleft().result()
                if not self._enough:
                    # Asked for already while this page is read.
                    fetch_ahead()
                yield page
                ahead = min(2 * ahead, self._ahead)
        finally:
            for future in under_way:
                future.cancel()


def tell_gap(
    listing: Paginator[t.Any, t.Any],
    what: str,
    given: int,
    tell: t.Callable[[str], t.Any],
) -> None:
    """Tell of it if fewer items came than the service announced."""
    if listing.shortfall:
        tell(
            f"The service announced {given + listing.shortfall} {what}, but returned {given}."
        )
