# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Ranges of an object behind a link, over connections that stay open.

By http.client: it lets bytes be received where they are to stay, and no environment variable changes what it trusts.
Sources: GetObject and "signed URLs" in the API reference of OSS; RFC 9110 for ranges and preconditions.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import re
import select
import socket
import ssl
import sys
import termios
import time
import typing as t
from base64 import b64encode
from urllib.parse import unquote, urljoin, urlsplit

from .._base.deadline import TimedResponse
from .._base.errors import ConfigurationError, ConnectionFailedError, InvalidResponseError
from .._base.http_options import HttpOptions
from .._base.version import VERSION
from .body import Body
from .errors import ObjectChangedError, WrongPartError
from .failure import connection_failure
from .link import Link
from .object_info import ObjectInfo
from .proxy import proxy_login, proxy_of, tls_context
from .response import is_encoded, object_info, refusal

MAX_REDIRECTS = 5
_CHANGED = "the object is no longer the one that the transfer began with"
_MAX_ERROR = 65536
#: So much of TLS may have been read from the socket, and is not there for us yet.
_MAX_RECORD = 16384 + 256 + 5

_REDIRECTS = (301, 302, 303, 307, 308)


class Connection:
    """One at a time to one server, kept open from one range to the next. Not for two threads, but for ``abort``."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._http: t.Optional[http.client.HTTPConnection] = None
        self._response: t.Optional[http.client.HTTPResponse] = None
        self._socket: t.Any = None
        self._server: t.Any = None
        self._poll: t.Any = None
        self._receive: t.Any = None
        self._early: t.Optional[bytes] = None
        self._broken_by: t.Optional[Exception] = None
        self._withheld = 0
        self._low = 1
        self._heard_at = 0.0
        self.host = ""
        #: How many were made, and how many bytes of objects came.
        self.made = 0
        self.received = 0

    def probe(self, link: Link) -> tuple[Link, Body]:
        """Ask for the first byte, which says all about the object, and where it really is.

        The body is the whole object if the server gives no ranges, or the object is empty. Raises as ``get``.
        """
        link, response = self._request(link, "bytes=0-0")
        if response.status in (200, 416):
            return link, self._whole(response)
        if response.status != 206:
            raise self._rejected(response)
        info, start, stop = self._ranged(response)
        if (start, stop) != (0, 1):
            raise self._broken("a range that was not asked for", response)
        return link, Body(self, info, start, stop, is_whole=False)

    def get_whole(self, link: Link) -> tuple[Link, Body]:
        """All of the object in one answer, which is of one object whatever becomes of it. Raises as ``get``."""
        link, response = self._request(link, "")
        if response.status != 200:
            raise self._rejected(response)
        return link, self._whole(response)

    def get(self, link: Link, start: int, stop: int, info: ObjectInfo) -> tuple[Link, Body]:
        """The bytes from start up to stop of this object, and nothing else; and where they really are.

        Raises ConnectionFailedError, InvalidResponseError for what is no such range, Rejected, or ObjectChangedError.
        """
        link, response = self._request(link, f"bytes={start}-{stop - 1}", info)
        if response.status in (412, 416):
            self._drain()
            raise ObjectChangedError(_CHANGED)
        if response.status == 200:
            found = self._whole(response).info
            self.close()
            if found.is_of(info) is False:
                raise ObjectChangedError(_CHANGED)
            raise self._wrong("the whole object in place of a range", response)
        if response.status != 206:
            raise self._rejected(response)
        found, first, end = self._ranged(response)
        is_same = found.is_of(info)
        if is_same is False:
            self.close()
            raise ObjectChangedError(_CHANGED)
        if is_same is None:
            raise self._wrong(
                "a part of an object that nothing tells from another: the first answer had"
                f" {' and '.join(info.said)}, this one has {' and '.join(found.said) or 'none of it'}",
                response,
                "Have whatever stands between here and the storage pass on all headers of its answers, or download past it",
            )
        if (first, end) != (start, stop):
            raise self._wrong("a range that was not asked for", response)
        return link, Body(self, found, start, stop, is_whole=False)

    def receive(self, view: memoryview) -> t.Optional[int]:
        """What is there of the answer's body; none if there is nothing yet, 0 if there will be nothing."""
        count, size = 0, len(view)
        try:
            if self._early is None:
                self._leave_http()
            if self._early:
                count = min(len(self._early), size)
                view[:count] = self._early[:count]
                self._early = self._early[count:]
            elif self._broken_by:
                raise self._broken_by
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
            self._broken_by = error
        self.received += count
        self._heard_at = time.monotonic()
        return count

    def wait(self, seconds: float, count: int) -> None:
        left = self._heard_at + self._options.read_timeout - time.monotonic()
        count = max(1, count - self._withheld)
        try:
            if left <= 0:
                raise TimeoutError
            self._wake_at(count)
            self._poll.poll(1000 * min(seconds, left))
        except (OSError, AttributeError) as error:
            raise self._failed(error) from None

    def _wake_at(self, count: int) -> None:
        if count != self._low:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._low = count

    def _leave_http(self) -> None:
        """From here on the socket is read by ourselves, and nobody waits at it; what came with the head lies in the response."""
        self._early, self._broken_by = b"", None
        self._heard_at = time.monotonic()
        self._socket.settimeout(0)
        self._early = t.cast(t.Any, self._response).fp.peek()

    def finish(self) -> None:
        """The answer was read to its end."""
        response, self._response = self._response, None
        if response:
            keep = not response.will_close
            response.close()
            if not keep:
                self.close()

    def abort(self) -> None:
        """By another thread: have whatever is waited for fail."""
        waiting = self._socket
        if waiting is not None:
            with contextlib.suppress(OSError):
                # Not that of SSLSocket, which goes on without TLS thereafter.
                socket.socket.shutdown(waiting, socket.SHUT_RDWR)

    def close(self) -> None:
        """What came of the object by then, and is thrown away, counts as received."""
        response, self._response = self._response, None
        if response is not None and response.status in (200, 206):
            if self._early is None:
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    self._socket.settimeout(0)
                    self._early = response.fp.peek()
            self.received += self.waiting()
        self._socket = self._poll = None
        connection, self._http = self._http, None
        if connection:
            with contextlib.suppress(OSError):
                connection.close()

    def waiting(self) -> int:
        """By any thread: bytes of the body that came, and are not received yet.

        With TLS it is only known how many came to carry them, which is a bit more.
        """
        early, waiting = self._early, self._socket
        if early is None or waiting is None:
            return 0
        with contextlib.suppress(OSError, ValueError):
            count = int.from_bytes(fcntl.ioctl(waiting, termios.FIONREAD, bytes(4)), sys.byteorder)
            if isinstance(waiting, ssl.SSLSocket):
                count = waiting.pending() + max(0, count - _MAX_RECORD)
            return len(early) + count
        return len(early)

    # one request

    def _request(
        self, link: Link, wanted: str, info: t.Optional[ObjectInfo] = None
    ) -> tuple[Link, http.client.HTTPResponse]:
        """What is answered where the link leads to in the end, and the link to there."""
        for _unused in range(MAX_REDIRECTS + 1):
            response = self._ask(link, wanted, info)
            if response.status not in _REDIRECTS:
                return link, response
            self._drain()
            link = self._redirected(link, response)
        raise self._broken(f"more than {MAX_REDIRECTS} redirections", response)

    def _ask(self, link: Link, wanted: str, info: t.Optional[ObjectInfo]) -> http.client.HTTPResponse:
        self.host = link.host
        if self._response is not None or self._server != link.server:
            self.close()
        headers = {
            "Host": link.authority,
            "Accept-Encoding": "identity",
            "User-Agent": f"apsaradb.backup/{VERSION}",
        }
        if wanted:
            headers["Range"] = wanted
        # Both are free: what a link signs are headers that begin with x-oss-.
        if info and info.strong_etag:
            headers["If-Match"] = info.strong_etag
        elif info and info.last_modified:
            headers["If-Unmodified-Since"] = info.last_modified
        if link.login:
            headers["Authorization"] = "Basic " + b64encode(unquote(link.login).encode()).decode()
        is_new = self._http is None
        try:
            try:
                return self._exchange(link, headers)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if is_new:
                    raise
                # The server gave up a connection that nothing was asked on for a while.
                self.close()
                return self._exchange(link, headers)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            raise self._failed(error) from None

    def _exchange(self, link: Link, headers: dict[str, str]) -> http.client.HTTPResponse:
        connection = self._http or self._connect(link)
        target = link.target
        proxy = proxy_of(link)
        if proxy and link.scheme == "http":
            target = f"http://{link.authority}{target}"
            headers = {**headers, **proxy_login(proxy)}
        self._socket.settimeout(self._options.read_timeout)
        self._wake_at(1)
        # Until the body begins, what comes is the head.
        self._early = None
        connection.request("GET", target, headers=headers)
        self._response = connection.getresponse()
        return self._response

    def _connect(self, link: Link) -> http.client.HTTPConnection:
        options = self._options
        proxy = proxy_of(link)
        address = urlsplit(proxy) if proxy else None
        host, port = (address.hostname or "", address.port or 80) if address else (link.host, link.port)
        connection: http.client.HTTPConnection
        if link.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, port, timeout=options.connect_timeout, context=tls_context(options)
            )
            if proxy:
                connection.set_tunnel(link.host, link.port, headers=proxy_login(proxy))
        else:
            connection = http.client.HTTPConnection(host, port, timeout=options.connect_timeout)
        connection.response_class = TimedResponse
        self._http = connection
        self._server = link.server
        connection.connect()
        self._socket = connection.sock
        # The one that costs less of the two that a socket with TLS has.
        is_tls = isinstance(self._socket, ssl.SSLSocket)
        self._withheld = _MAX_RECORD if is_tls else 0
        self._low = 1
        self._receive = self._socket.read if is_tls else lambda size, view: self._socket.recv_into(view)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self.made += 1
        return connection

    # what came

    def _ranged(self, response: http.client.HTTPResponse) -> tuple[ObjectInfo, int, int]:
        """The object, and which part of it the answer has."""
        matched = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", "").strip())
        if not matched:
            raise self._wrong("a part without saying which", response)
        first, last, size = (int(number) for number in matched.groups())
        if response.length != last + 1 - first or not 0 <= first <= last < size or is_encoded(response):
            raise self._wrong("a part whose length does not fit", response)
        return object_info(response, size), first, last + 1

    def _whole(self, response: http.client.HTTPResponse) -> Body:
        kind = response.headers.get("Content-Type", "").lower()
        if response.status == 416 or response.length == 0:
            # Of an empty object there is no first byte.
            size = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", "").strip())
            if response.status == 416 and not (size and size[1] == "0"):
                raise self._rejected(response)
            self._drain()
            return Body(self, object_info(response, 0), 0, 0, is_whole=True)
        if response.length is None or is_encoded(response):
            raise self._broken("an object without its length", response)
        if "html" in kind or ("xml" in kind and response.length < _MAX_ERROR):
            raise self._broken("a page in place of the object", response)
        return Body(self, object_info(response, response.length), 0, response.length, is_whole=True)

    def _redirected(self, link: Link, response: http.client.HTTPResponse) -> Link:
        place = response.headers.get("Location", "")
        try:
            found = Link(urljoin(link.url, place))
        except (ConfigurationError, ValueError):
            raise self._broken("a redirection to nowhere", response) from None
        if link.scheme == "https" and found.scheme == "http":
            raise ConfigurationError(f"{link.host} redirects from https to http, which would show the link to others.")
        return found

    def _rejected(self, response: http.client.HTTPResponse) -> Exception:
        """What an answer that is none of the object says. Its body is read up to a limit."""
        text = ""
        with contextlib.suppress(OSError, http.client.HTTPException):
            text = response.read(_MAX_ERROR).decode("utf-8", "replace")
        self.close()
        return refusal(response, text)

    def _broken(self, what: str, response: http.client.HTTPResponse) -> InvalidResponseError:
        self.close()
        return InvalidResponseError(
            f"{self.host} answered with {what} (HTTP {response.status})",
            status=response.status,
            request_id=response.headers.get("x-oss-request-id", ""),
            hint="Something between here and the storage answers in its place, or it does not do as OSS does",
        )

    def _wrong(self, what: str, response: http.client.HTTPResponse, hint: str = "") -> WrongPartError:
        broken = self._broken(what, response)
        return WrongPartError(
            broken.message, status=response.status, request_id=broken.request_id, hint=hint or broken.hint
        )

    def _drain(self) -> None:
        response = self._response
        if response is None:
            return
        with contextlib.suppress(OSError, http.client.HTTPException):
            if (response.length or 0) <= _MAX_ERROR:
                response.read(_MAX_ERROR)
                if response.isclosed():
                    self.finish()
                    return
        self.close()

    def _failed(self, error: Exception) -> ConnectionFailedError:
        was_connected, had_response = self._socket is not None, self._response is not None
        self.close()
        return connection_failure(
            error, self.host, self._options, was_connected=was_connected, had_response=had_response
        )
