# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The body of a response that has an object, or a part of it."""

from __future__ import annotations

import math
import typing as t

from .._base.errors import ConnectionFailedError
from .._base.text import counted
from .object_info import ObjectInfo


class BodySource(t.Protocol):
    """The connection that a body comes over."""

    host: str

    def receive(self, view: memoryview) -> t.Optional[int]:
        """Receive bytes into the view. Returns their number, None if there are none yet, and 0 at the end."""

    def wait(self, seconds: float, count: int) -> None:
        """Wait until ``count`` bytes are there, at most ``seconds``."""

    def finish(self) -> None:
        """Free the connection for its next request, as the body was read to its end."""

    def close(self) -> None:
        """End the connection."""


class Body:
    """The body of a response, from ``start`` of the object on. ``is_whole``: the server gave all of the object."""

    def __init__(
        self,
        connection: BodySource,
        info: ObjectInfo,
        start: int,
        stop: int,
        is_whole: bool,
    ) -> None:
        self.info = info
        self.start = start
        self.is_whole = is_whole
        self._connection = connection
        self._left = stop - start

    @property
    def is_over(self) -> bool:
        """Tell whether all of it was received."""
        return not self._left

    def receive(self, view: memoryview) -> t.Optional[int]:
        """Receive what is there into the beginning of the view. Returns the number of bytes, None before a ``wait``, 0 at the end.

        Raises ConnectionFailedError, also if the body ends too early.
        """
        if not self._left:
            return 0
        # No byte beyond the end: on a connection that stays open, that would be one of the next response.
        if len(view) > self._left:
            view = view[: self._left]
        count = self._connection.receive(view)
        if count is None:
            return None
        if not count:
            # By the server, or by ``abort`` of another thread.
            self._connection.close()
            raise ConnectionFailedError(
                f"{self._connection.host} closed the connection {counted(self._left, 'byte')} before the end"
            )
        self._left -= count
        if not self._left:
            self._connection.finish()
        return count

    def wait(self, seconds: float, count: int = 1) -> None:
        """Wait for ``count`` bytes, at most ``seconds``. Raises ConnectionFailedError if nothing came within ``read_timeout``."""
        self._connection.wait(seconds, min(count, self._left))

    def skip(self) -> None:
        """Receive the rest, and throw it away. Raises as ``receive``."""
        view = memoryview(bytearray(4096))
        while not self.is_over:
            if self.receive(view) is None:
                self.wait(math.inf)
