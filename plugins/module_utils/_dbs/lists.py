# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What an answer must hold: absent is not empty, and a body of another shape is an error, not nothing."""

from __future__ import annotations

import typing as t

from .._base.errors import InvalidResponseError
from .values import integer

Answer = t.Mapping[str, t.Any]

#: Members that can be objects, and say nothing about where the rest is.
_ASIDE = {"Extra", "AccessDeniedDetail"}


class IncompleteListError(InvalidResponseError):
    """A list that does not tell what has to be decided by it, as ``text`` says."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text[0].lower() + text[1:], status=200, hint=hint)


def refuse_gap(text: str) -> t.NoReturn:
    """Told of a gap where something is decided by what is not in the list. Raises IncompleteListError."""
    raise IncompleteListError(text, hint="Run it again")


class Page(t.NamedTuple):
    """``size`` of a page, ``total`` of items and ``pages`` as the answer states them; none where it does not."""

    number: int
    items: t.Sequence[t.Any]
    size: t.Optional[int] = None
    total: t.Optional[int] = None
    pages: t.Optional[int] = None

    @property
    def is_full(self) -> bool:
        return bool(self.items) and len(self.items) >= (self.size or 0)

    def has_next(self, seen: int) -> bool:
        """Whether, after this page, with that many items seen, there can be another one.

        The statements may contradict each other: a total is believed where it is what was seen, or where it is more.
        """
        if not self.is_full:
            return (
                bool(self.items)
                and self.total is not None
                and seen < self.total
            )
        return seen != self.total or self.number < (self.pages or 0)


class Expected(t.NamedTuple):
    """What an answer to ``action`` holds at ``path``, in words (``what``); ``operation`` completes "Failed to …"."""

    what: str
    path: tuple[str, ...]
    action: str
    operation: str
    absent_is_empty: bool = False

    def page(
        self,
        response: Answer,
        number: int,
        *,
        size: t.Optional[int],
        total: t.Any,
        pages: t.Optional[int] = None,
    ) -> Page:
        """A page of the list of objects that is there. Raises InvalidResponseError if there is none.

        A list may stand before the end of the path. Without a list the page is empty only if the service says that there is
        nothing, or where ``absent_is_empty`` and nothing else is in its place. ``total``: as the answer states it.
        """
        stated, total = total, integer(total)
        found: t.Any = response
        is_replaced = False
        for name in self.path:
            if not isinstance(found, dict):
                break
            is_replaced = found.get(name) is None and any(
                _holds_rows(key, value)
                for key, value in found.items()
                if key != name
            )
            found = found.get(name)
        if (
            found is None
            and not is_replaced
            and (total == 0 or (self.absent_is_empty and "Success" in response))
        ):
            found = []
        if not isinstance(found, list) or not all(
            isinstance(item, dict) for item in found
        ):
            raise self.broken(response)
        is_unreadable = total is None and stated not in (None, "")
        if (
            number == 1
            and not found
            and (total or is_unreadable or (pages or 0) > 1)
        ):
            raise self.broken(response)
        return Page(number, found, size=size, total=total, pages=pages)

    def broken(self, response: Answer) -> InvalidResponseError:
        error = InvalidResponseError(
            f"the response has no {self.what}",
            status=200,
            request_id=str(response.get("RequestId") or ""),
            hint="Check endpoint. If it is right, report this as a bug of the collection",
        )
        error.in_context(self.operation, action=self.action)
        return error


def _holds_rows(name: str, value: object) -> bool:
    """Whether a member in place of the list is a row, or holds rows: an ID is what a row has."""
    if name in _ASIDE:
        values = value.values() if isinstance(value, dict) else [value]
        return any(
            isinstance(one, list)
            and any(isinstance(item, dict) for item in one)
            for one in values
        )
    return bool(value) and (
        isinstance(value, (dict, list))
        or (name.endswith("Id") and name != "RequestId")
    )
