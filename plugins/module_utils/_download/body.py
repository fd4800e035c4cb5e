# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The body of a response that has an object, or a part of it."""

from __future__ import annotations

import math
import typing as t

from .._base.errors import ConnectionFailedError
from .object_info import ObjectInfo


class BodySource(t.Protocol):
    """The connection that a body comes over."""

    host: str

    def receive(self, view: memoryview) -> t.Optional[int]:
        """Return how many bytes came into the view; none if there is nothing yet, 0 if there will be nothing."""

    def wait(self, seconds: float, count: int) -> None:
        """Wait until so many bytes are there, or so long."""

    def finish(self) -> None:
        """Take the body as read to its end."""

    def close(self) -> None:
        """End the connection."""


class Body:
    """Of an answer, at the place ``start`` of the object; ``is_whole`` if that was all that could be had."""

    def __init__(self, connection: BodySource, info: ObjectInfo, start: int, stop: int, is_whole: bool) -> None:
        self.info = info
        self.start = start
        self.is_whole = is_whole
        self._connection = connection
        self._left = stop - start

    @property
    def is_over(self) -> bool:
        return not self._left

    def receive(self, view: memoryview) -> t.Optional[int]:
        """What is there already, into the view from its beginning. Returns how much, none if ``wait`` is to be called first.

        0 means the end. Raises ConnectionFailedError, also if the answer ends before it should.
        """
        if not self._left:
            return 0
        count = self._connection.receive(view[: self._left] if len(view) > self._left else view)
        if count is None:
            return None
        if not count:
            self._connection.close()
            raise ConnectionFailedError(
                f"{self._connection.host} closed the connection {self._left} bytes before the end"
            )
        self._left -= count
        if not self._left:
            self._connection.finish()
        return count

    def wait(self, seconds: float, count: int = 1) -> None:
        """Until so many bytes are there to be received, or so long. Raises ConnectionFailedError if nothing came for too long."""
        self._connection.wait(seconds, min(count, self._left))

    def skip(self) -> None:
        """Receive what is left of it, for nothing. Raises as ``receive``."""
        view = memoryview(bytearray(4096))
        while not self.is_over:
            if self.receive(view) is None:
                self.wait(math.inf)
