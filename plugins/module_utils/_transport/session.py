# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One exchange over HTTP, by the options of the connection, over connections that are kept open."""

from __future__ import annotations

import select
import threading
import typing as t
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from .._base.http_connection import new_connection, proxy_login, proxy_of
from .response import Response, read

if t.TYPE_CHECKING:
    from .._base.http_options import HttpOptions


class Session:
    """Requests to one host. Threads may share it. Redirects are not followed: what is sent is signed for one host."""

    def __init__(
        self,
        base_url: str,
        options: HttpOptions,
        headers: t.Mapping[str, str],
        option: str = "endpoint",
    ) -> None:
        """``base_url``: ``scheme://host`` of all requests; ``option``: the one that it is set by, for errors."""
        url = urlsplit(base_url)
        self._scheme = url.scheme
        self._host = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        #: Host and port as they are sent, and so signed.
        self.authority = url.netloc
        self._options = options
        self._option = option
        self._proxy = proxy_of(self._scheme, self._host)
        self._headers = _lower(
            {**headers, "host": self.authority, "accept-encoding": "gzip"}
        )
        self._before_target = ""
        if self._proxy and self._scheme == "http":
            self._before_target = base_url
            self._headers.update(_lower(proxy_login(self._proxy)))
        #: Connections that wait for a request, the last used one at the end. Threads take and add them by single
        #: operations of a list, which are atomic.
        self._idle: list[HTTPConnection] = []
        #: Bounds the number of connections: a thread waits here until another one is done with its own.
        self._slots = threading.Semaphore(options.max_connections)
        self._is_closed = False

    def send(
        self,
        method: str,
        target: str,
        headers: t.Mapping[str, str],
        left: float,
        body: t.Optional[bytes] = None,
    ) -> Response:
        """The response, within so many seconds. ``target``: path and query. Raises ConnectionFailedError."""
        left = max(left, 0.001)
        connect_timeout = min(self._options.connect_timeout, left)
        read_timeout = min(self._options.read_timeout, left)
        with self._slots:
            connection = self._idle_connection()
            is_connected = connection is not None
            try:
                if connection is None:
                    connection = self._connect(connect_timeout)
                    is_connected = True
                connection.sock.settimeout(read_timeout)
                return self._exchange(
                    connection,
                    method,
                    self._before_target + target,
                    {**self._headers, **_lower(headers)},
                    body,
                )
            except (OSError, HTTPException) as error:
                # Seldom needed, and not read before.
                from .._base.diagnosis import connection_failed

                raise connection_failed(
                    error,
                    self.authority,
                    connect_timeout,
                    read_timeout,
                    self._option,
                    is_connected=is_connected,
                    has_proxy=bool(self._proxy),
                ) from None

    def close(self) -> None:
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _idle_connection(self) -> t.Optional[HTTPConnection]:
        """One that waits for a request; None where there is none, or the server has closed them."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                # Another thread was faster.
                return None
            poll = select.poll()
            poll.register(connection.sock, select.POLLIN)
            # Nothing but its end can come before a request is sent.
            if not poll.poll(0):
                return connection
            connection.close()
        return None

    def _connect(self, timeout: float) -> HTTPConnection:
        connection = new_connection(
            self._scheme, self._host, self._port, self._proxy, self._options
        )
        connection.timeout = timeout
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def _exchange(
        self,
        connection: HTTPConnection,
        method: str,
        target: str,
        headers: t.Mapping[str, str],
        body: t.Optional[bytes],
    ) -> Response:
        """Send a request, and read the response. The connection is kept if that went well."""
        keep = False
        try:
            connection.request(method, target, body, headers)
            received = connection.getresponse()
            response = read(received, self.authority)
            keep = not (received.will_close or self._is_closed)
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()
        return response


def _lower(headers: t.Mapping[str, str]) -> dict[str, str]:
    """With names in lower case, as two spellings would be two headers."""
    return {name.lower(): value for name, value in headers.items()}
