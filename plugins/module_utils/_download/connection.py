# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Requests for an object and for ranges of it, over a connection that stays open.

Uses http.client: it receives bytes into memory of ours, and no environment variable changes the certificates that it trusts.
Sources: GetObject and "signed URLs" in the API reference of OSS; RFC 9110 for ranges and preconditions.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import select
import socket
import ssl
import sys
import termios
import time
import typing as t

from .._base.errors import BackupError, ConnectionFailedError
from .._base.http_options import HttpOptions
from . import tuning
from .body import Body
from .errors import ObjectChangedError
from .failure import connection_failure
from .http_connection import (
    headers_of,
    new_connection,
    proxy_login,
    proxy_of,
)
from .link import Link
from .object_info import ObjectInfo
from .response import (
    CHANGED,
    invalid_response,
    is_of_empty_object,
    parse_part,
    parse_whole,
    redirection_target,
    refusal,
)

#: Longest record of TLS in bytes, RFC 8446, section 5.2. OpenSSL may hold one that is not complete: no byte of it can be read.
_MAX_TLS_RECORD = 16384 + 256 + 5

_REDIRECTS = (301, 302, 303, 307, 308)

#: How the end of an idle connection shows. The first one is raised for a response that does not begin.
_DISCONNECTED = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
)

#: What a connection raises that breaks, or that ``abort`` or ``close`` of another thread ends in the middle of a call.
_BROKEN = (OSError, http.client.HTTPException, ValueError, AttributeError)

T = t.TypeVar("T")


class Connection:
    """A connection to one server at a time, kept open between requests. For one thread, except ``abort`` and ``bytes_ready``."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._http: t.Optional[http.client.HTTPConnection] = None
        self._response: t.Optional[http.client.HTTPResponse] = None
        self._socket: t.Any = None
        self._server: t.Any = None
        self._poll: t.Any = None
        self._receive: t.Any = None
        self._buffered: t.Optional[bytes] = None
        self._pending_error: t.Optional[Exception] = None
        self._tls_overhead = 0
        self._low_water_mark = 1
        self._received_at = 0.0
        self.host = ""
        #: Number of connections opened, and of bytes of objects received, also of those that were not needed.
        self.connections_made = 0
        self.received = 0

    def probe(self, link: Link) -> tuple[Link, Body]:
        """Request the first byte. Returns the link after redirections, and a body that tells about the object.

        The body has the whole object if the server gives no ranges, or the object is empty. Raises as ``get``.
        """
        link, response = self._request(link, "bytes=0-0")
        if response.status in (200, 416):
            return link, self._whole(response)
        if response.status != 206:
            raise self._rejected(response)
        info = self._checked(parse_part, response, link.host, 0, 1)
        return link, Body(self, info, 0, 1, is_whole=False)

    def get_whole(self, link: Link) -> tuple[Link, Body]:
        """Request the whole object in one response, so that all bytes are of one object. Returns and raises as ``get``."""
        link, response = self._request(link, "")
        if response.status != 200:
            raise self._rejected(response)
        return link, self._whole(response)

    def get(
        self, link: Link, start: int, stop: int, info: ObjectInfo
    ) -> tuple[Link, Body]:
        """Request the bytes from start up to stop of this object. Returns the link after redirections, and their body.

        Raises ConnectionFailedError, InvalidResponseError for another response, StorageRejectedError, or ObjectChangedError.
        """
        link, response = self._request(link, f"bytes={start}-{stop - 1}", info)
        if response.status in (412, 416):
            self._drain()
            raise ObjectChangedError(CHANGED)
        if response.status not in (200, 206):
            raise self._rejected(response)
        found = self._checked(
            parse_part, response, link.host, start, stop, info
        )
        return link, Body(self, found, start, stop, is_whole=False)

    def receive(self, view: memoryview) -> t.Optional[int]:
        """Receive bytes of the body. Returns their number, None if there are none yet, and 0 at the end."""
        count = 0
        size = len(view)
        try:
            if self._buffered is None:
                self._detach_body()
            if self._buffered:
                count = min(len(self._buffered), size)
                view[:count] = self._buffered[:count]
                self._buffered = self._buffered[count:]
            elif self._pending_error:
                raise self._pending_error
            receive = self._receive
            while count < size:
                came = receive(size - count, view[count:])
                if not came:
                    break
                count += came
        except (BlockingIOError, ssl.SSLWantReadError):
            if not count:
                return None
        except (OSError, ValueError, AttributeError) as error:
            if not count:
                raise self._failed(error) from None
            self._pending_error = error
        self.received += count
        self._received_at = time.monotonic()
        return count

    def wait(self, seconds: float, count: int) -> None:
        """Wait until ``count`` bytes are there, at most ``seconds``, and never longer than ``read_timeout`` without a byte."""
        left = self._received_at + self._options.read_timeout - time.monotonic()
        count = max(1, count - self._tls_overhead)
        try:
            if left <= 0:
                raise TimeoutError
            self._set_low_water_mark(count)
            self._poll.poll(1000 * min(seconds, left))
        except (OSError, AttributeError) as error:
            raise self._failed(error) from None

    def _set_low_water_mark(self, count: int) -> None:
        """Have the system wake us up only for ``count`` bytes: a wake-up for each packet costs more than the bytes."""
        if count != self._low_water_mark:
            self._socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVLOWAT, count
            )
            self._low_water_mark = count

    def _detach_body(self) -> None:
        """Read the body from the socket itself, without blocking, and without the copies of http.client."""
        self._buffered, self._pending_error = b"", None
        self._received_at = time.monotonic()
        self._socket.settimeout(0)
        # What came together with the head is in the buffer of http.client already.
        self._buffered = t.cast(t.Any, self._response).fp.peek()

    def finish(self) -> None:
        """Free the connection for the next request, as the response was read to its end."""
        response = self._response
        self._response = None
        if response:
            response.close()
            if response.will_close:
                self.close()

    def abort(self) -> None:
        """Make all that waits for this connection fail. Called by other threads."""
        sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):
                # That of SSLSocket would go on without TLS, and read the records as if they were the object.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. Bytes of the object that are thrown away by that count as received."""
        response = self._response
        self._response = None
        if response is not None and response.status in (200, 206):
            if self._buffered is None:
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    self._socket.settimeout(0)
                    self._buffered = response.fp.peek()
            self.received += self.bytes_ready()
        self._socket = self._poll = None
        connection = self._http
        self._http = None
        if connection:
            with contextlib.suppress(OSError):
                connection.close()

    def bytes_ready(self) -> int:
        """Number of bytes of the body that can be received at once. Called by other threads.

        With TLS it is an estimate: only the bytes of the records are known, which are a few more.
        """
        # Once each, as the thread of the connection may close it at any time.
        buffered = self._buffered
        sock = self._socket
        if buffered is None or sock is None:
            return 0
        count = len(buffered)
        with contextlib.suppress(OSError, ValueError):
            answer = fcntl.ioctl(sock, termios.FIONREAD, bytes(4))
            in_socket = int.from_bytes(answer, sys.byteorder)
            if isinstance(sock, ssl.SSLSocket):
                in_socket = sock.pending() + max(0, in_socket - _MAX_TLS_RECORD)
            count += in_socket
        return count

    # one request

    def _request(
        self, link: Link, byte_range: str, info: t.Optional[ObjectInfo] = None
    ) -> tuple[Link, http.client.HTTPResponse]:
        """Send a request, and follow redirections. Returns the last link, and its response."""
        for _unused in range(tuning.MAX_REDIRECTS + 1):
            response = self._send(link, byte_range, info)
            if response.status not in _REDIRECTS:
                return link, response
            self._drain()
            link = self._checked(redirection_target, response, link)
        self.close()
        raise invalid_response(
            f"more than {tuning.MAX_REDIRECTS} redirects", response, link.host
        )

    def _send(
        self, link: Link, byte_range: str, info: t.Optional[ObjectInfo]
    ) -> http.client.HTTPResponse:
        self.host = link.host
        # A response that was not read to its end stands in the way of the next one.
        if self._response is not None or self._server != link.server:
            self.close()
        headers = headers_of(link, byte_range, info)
        is_new = self._http is None
        try:
            try:
                return self._exchange(link, headers)
            except _DISCONNECTED:
                if is_new:
                    raise
                # The server closed a connection that was idle for a while. That is no failure: a new one is tried once.
                self.close()
                return self._exchange(link, headers)
        except _BROKEN as error:
            raise self._failed(error) from None

    def _exchange(
        self, link: Link, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection = self._http or self._connect(link)
        target = link.target
        proxy = proxy_of(link)
        if proxy and link.scheme == "http":
            target = f"http://{link.authority}{target}"
            headers = {**headers, **proxy_login(proxy)}
        self._socket.settimeout(self._options.read_timeout)
        self._set_low_water_mark(1)
        # The head is no part of the object: bytes_ready is 0 until the body begins.
        self._buffered = None
        connection.request("GET", target, headers=headers)
        self._response = connection.getresponse()
        return self._response

    def _connect(self, link: Link) -> http.client.HTTPConnection:
        connection = new_connection(link, self._options)
        self._http = connection
        self._server = link.server
        connection.connect()
        self._socket = connection.sock
        # SSLSocket.recv_into does the same as read, with checks that cost time for each call.
        if isinstance(self._socket, ssl.SSLSocket):
            self._tls_overhead = _MAX_TLS_RECORD
            self._receive = self._socket.read
        else:
            self._tls_overhead = 0
            self._receive = lambda _size, view: self._socket.recv_into(view)
        self._low_water_mark = 1
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self.connections_made += 1
        return connection

    # what came

    def _whole(self, response: http.client.HTTPResponse) -> Body:
        if response.status == 416 and not is_of_empty_object(response):
            raise self._rejected(response)
        info = self._checked(parse_whole, response, self.host)
        if not info.size:
            self._drain()
        return Body(self, info, 0, info.size, is_whole=True)

    def _checked(self, parse: t.Callable[..., T], *arguments: t.Any) -> T:
        """Parse a response. A connection whose response is not as it has to be is closed: what follows on it is unknown."""
        try:
            return parse(*arguments)
        except BackupError:
            self.close()
            raise

    def _rejected(self, response: http.client.HTTPResponse) -> Exception:
        """The error for a response that has no object. Its body is read up to a limit."""
        text = ""
        with contextlib.suppress(OSError, http.client.HTTPException):
            text = response.read(tuning.MAX_ERROR_SIZE).decode(
                "utf-8", "replace"
            )
        self.close()
        return refusal(response, text)

    def _drain(self) -> None:
        """Read a short body to its end, so that the connection can be used again; a long one costs more than a new connection."""
        response = self._response
        if response is None:
            return
        with contextlib.suppress(OSError, http.client.HTTPException):
            if (response.length or 0) <= tuning.MAX_ERROR_SIZE:
                response.read(tuning.MAX_ERROR_SIZE)
                if response.isclosed():
                    self.finish()
                    return
        self.close()

    def _failed(self, error: Exception) -> ConnectionFailedError:
        """The error for a connection that broke. Closes it."""
        was_connected = self._socket is not None
        had_response = self._response is not None
        self.close()
        return connection_failure(
            error,
            self.host,
            self._options,
            was_connected=was_connected,
            had_response=had_response,
        )
