# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Answers that have one deadline, however slowly their bytes come.

The time-out of a socket is for each piece that is received: a server that sends one byte a second can hold it for ever.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import typing as t


class TimedResponse(http.client.HTTPResponse):
    """Has as long to come as the socket's time-out says when it begins: its head, and what is read of it by its own methods."""

    def __init__(
        self, sock: socket.socket, *arguments: t.Any, **named: t.Any
    ) -> None:
        super().__init__(sock, *arguments, **named)
        seconds = sock.gettimeout()
        if seconds:
            self.fp = io.BufferedReader(
                _Timed(self.fp.detach(), sock, time.monotonic() + seconds)
            )


class _Timed(io.RawIOBase):
    def __init__(
        self, raw: io.RawIOBase, sock: socket.socket, ends: float
    ) -> None:
        self._raw = raw
        self._sock = sock
        self._ends = ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> t.Optional[int]:
        # None where nobody waits at the socket any more.
        if self._sock.gettimeout():
            left = self._ends - time.monotonic()
            if left <= 0:
                # That of Python 3.9, which is no TimeoutError there.
                raise socket.timeout("timed out")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
