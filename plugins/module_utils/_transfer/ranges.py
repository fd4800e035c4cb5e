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
import functools
import http.client
import math
import os
import re
import select
import socket
import ssl
import sys
import termios
import time
import typing as t
from base64 import b64encode
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.errors import ObjectChanged, Rejected
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.object_info import ObjectInfo
from ansible_collections.apsaradb.backup.plugins.module_utils._transfer.rejection import verdict_on
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.connection import ConnectionOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.deadline import TimedResponse
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import (
    BrokenAnswer,
    ConfigurationError,
    ConnectionFailed,
    answered,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.text import hide_link, hide_login
from ansible_collections.apsaradb.backup.plugins.module_utils._version import VERSION

MAX_REDIRECTS = 5
_CHANGED = "the object is no longer the one that the transfer began with"
_MAX_ERROR = 65536
#: So much of TLS may have been read from the socket, and is not there for us yet.
_MAX_RECORD = 16384 + 256 + 5
_ALLOWED = "%/?:@!$&'()*+,;=~[]|"
_REDIRECTS = (301, 302, 303, 307, 308)


class Link:
    """The address of an object. It is signed: who has it can read the object, so it is never shown."""

    def __init__(self, url: str) -> None:
        url = url.strip()
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ConfigurationError("url is malformed: its host is none.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("url is malformed: give an address that begins with http:// or https://.")
        if not re.fullmatch(r"[!-~]+", parts.netloc):
            raise ConfigurationError("url is malformed: its host has a blank, or a letter that is not ASCII.")
        try:
            self.port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise ConfigurationError("url is malformed: its port is not a number up to 65535.") from None
        hide_link(url)
        self.url = url
        self.scheme = parts.scheme
        self.host: str = parts.hostname
        self.authority = parts.netloc.rpartition("@")[2]
        self.login = parts.netloc.rpartition("@")[0]
        # Whatever is neither allowed there nor encoded already is encoded, as a browser does it.
        self.target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_ALLOWED)
        self.path = unquote(parts.path)

    @property
    def shown(self) -> str:
        """What may be said of it. Not as an address, which would be taken for the secret where nothing is signed in it."""
        return f"{self.authority}{self.path}"

    @property
    def server(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


class Body:
    """Of an answer, at the place ``start`` of the object; ``is_whole`` if that was all that could be had."""

    def __init__(self, connection: Connection, info: ObjectInfo, start: int, stop: int, is_whole: bool) -> None:
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

        0 means the end. Raises ConnectionFailed, also if the answer ends before it should.
        """
        if not self._left:
            return 0
        count = self._connection.receive(view[: self._left] if len(view) > self._left else view)
        if count is None:
            return None
        if not count:
            self._connection.close()
            raise ConnectionFailed(f"{self._connection.host} closed the connection {self._left} bytes before the end")
        self._left -= count
        if not self._left:
            self._connection.finish()
        return count

    def wait(self, seconds: float, count: int = 1) -> None:
        """Until so many bytes are there to be received, or so long. Raises ConnectionFailed if nothing came for too long."""
        self._connection.wait(seconds, min(count, self._left))

    def skip(self) -> None:
        """Receive what is left of it, for nothing. Raises as ``receive``."""
        view = memoryview(bytearray(4096))
        while not self.is_over:
            if self.receive(view) is None:
                self.wait(math.inf)


class Connection:
    """One at a time to one server, kept open from one range to the next. Not for two threads, but for ``abort``."""

    def __init__(self, options: ConnectionOptions) -> None:
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

        Raises ConnectionFailed, BrokenAnswer for what is no such range, Rejected, or ObjectChanged.
        """
        link, response = self._request(link, f"bytes={start}-{stop - 1}", info)
        if response.status in (412, 416):
            self._drain()
            raise ObjectChanged(_CHANGED)
        if response.status == 200:
            found = self._whole(response).info
            self.close()
            if found.is_of(info) is False:
                raise ObjectChanged(_CHANGED)
            raise self._wrong("the whole object in place of a range", response)
        if response.status != 206:
            raise self._rejected(response)
        found, first, end = self._ranged(response)
        is_same = found.is_of(info)
        if is_same is False:
            self.close()
            raise ObjectChanged(_CHANGED)
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
        for dummy in range(MAX_REDIRECTS + 1):
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
        proxy = _proxy_of(link)
        if proxy and link.scheme == "http":
            target = f"http://{link.authority}{target}"
            headers = {**headers, **_proxy_login(proxy)}
        self._socket.settimeout(self._options.read_timeout)
        self._wake_at(1)
        # Until the body begins, what comes is the head.
        self._early = None
        connection.request("GET", target, headers=headers)
        self._response = connection.getresponse()
        return self._response

    def _connect(self, link: Link) -> http.client.HTTPConnection:
        options = self._options
        proxy = _proxy_of(link)
        address = urlsplit(proxy) if proxy else None
        host, port = (address.hostname or "", address.port or 80) if address else (link.host, link.port)
        connection: http.client.HTTPConnection
        if link.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, port, timeout=options.connect_timeout, context=tls_context(options)
            )
            if proxy:
                connection.set_tunnel(link.host, link.port, headers=_proxy_login(proxy))
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

    def _info(self, response: http.client.HTTPResponse, size: int) -> ObjectInfo:
        def header(name: str) -> str:
            return response.headers.get(name, "").strip()

        crc = header("x-oss-hash-crc64ecma")
        modified = header("Last-Modified")
        return ObjectInfo(
            size,
            header("ETag"),
            int(crc) if re.fullmatch(r"[0-9]{1,20}", crc) else None,
            # Within the same second it can be replaced once more.
            "" if modified == header("Date") else modified,
            # Others mean the sum of the part that they send.
            header("Content-MD5") if header("x-oss-request-id") else "",
            header("x-oss-version-id"),
            header("x-oss-object-type"),
        )

    def _ranged(self, response: http.client.HTTPResponse) -> tuple[ObjectInfo, int, int]:
        """The object, and which part of it the answer has."""
        matched = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", "").strip())
        if not matched:
            raise self._wrong("a part without saying which", response)
        first, last, size = (int(number) for number in matched.groups())
        if response.length != last + 1 - first or not 0 <= first <= last < size or _is_encoded(response):
            raise self._wrong("a part whose length does not fit", response)
        return self._info(response, size), first, last + 1

    def _whole(self, response: http.client.HTTPResponse) -> Body:
        kind = response.headers.get("Content-Type", "").lower()
        if response.status == 416 or response.length == 0:
            # Of an empty object there is no first byte.
            size = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", "").strip())
            if response.status == 416 and not (size and size[1] == "0"):
                raise self._rejected(response)
            self._drain()
            return Body(self, self._info(response, 0), 0, 0, is_whole=True)
        if response.length is None or _is_encoded(response):
            raise self._broken("an object without its length", response)
        if "html" in kind or ("xml" in kind and response.length < _MAX_ERROR):
            raise self._broken("a page in place of the object", response)
        return Body(self, self._info(response, response.length), 0, response.length, is_whole=True)

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
        found = {name: _element(text, name) for name in ("Code", "Message", "RequestId", "Endpoint")}
        code, message, status = found["Code"], found["Message"], response.status
        request_id = found["RequestId"] or response.headers.get("x-oss-request-id", "")
        if status in (429, 503) or status >= 500 or status in (408, 425):
            return Passing(code, message, status=status, request_id=request_id, retry_after=_retry_after(response))
        if not code and status in (401, 407):
            code = f"{response.reason}"
        new_links, hint = verdict_on(found["Code"], message, status, found["Endpoint"])
        return Rejected(code, message, status=status, request_id=request_id, new_links=new_links, hint=hint)

    def _broken(self, what: str, response: http.client.HTTPResponse) -> BrokenAnswer:
        self.close()
        return BrokenAnswer(
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

    def _failed(self, error: Exception) -> ConnectionFailed:
        """In one sentence, what the system, OpenSSL or http.client say."""
        was_connected, had_answer = self._socket is not None, self._response is not None
        self.close()
        host, options = self.host, self._options
        text = str(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            return ConnectionFailed(
                f"the certificate of {host} is not trusted ({error.verify_message})",
                hint="If a proxy or a private authority signs certificates here, name its CA bundle in ca_path",
                permanent=True,
            )
        if isinstance(error, ssl.SSLError) and "WRONG_VERSION_NUMBER" in text:
            return ConnectionFailed(
                f"{host} does not speak TLS there",
                hint="Check the link and its port; for a task, https=false gives one without TLS",
                permanent=True,
            )
        if isinstance(error, TimeoutError) or "timed out" in text:
            if was_connected and not had_answer:
                return ConnectionFailed(
                    f"{host} did not answer within {options.read_timeout:g} seconds",
                    hint="Raise read_timeout if it is only slow",
                )
            if was_connected:
                return ConnectionFailed(
                    f"{host} sent nothing for {options.read_timeout:g} seconds",
                    hint="Raise read_timeout if it is only slow",
                )
            return ConnectionFailed(
                f"{host} accepted no connection within {options.connect_timeout:g} seconds",
                hint="Check network and firewall; a link for the virtual private cloud works in it only",
            )
        if isinstance(error, socket.gaierror):
            return ConnectionFailed(
                f"the name of {host} could not be resolved",
                hint="Check DNS; a link for the virtual private cloud works in it only: use network=public elsewhere",
            )
        if isinstance(error, ConnectionRefusedError):
            return ConnectionFailed(f"{host} refused the connection", hint="Check port and firewall")
        if "Tunnel connection failed" in text:
            return ConnectionFailed(
                f"the proxy for {host} could not be used ({text})",
                hint="Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the managed host",
                permanent="407" in text,
            )
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return ConnectionFailed(f"the connection to {host} broke ({reason})")


class WrongPartError(BrokenAnswer):
    """Of the object, but not the part that was asked for, or not to be known as one of it."""


class Passing(BrokenAnswer):
    """The storage cannot answer at the moment. ``retry_after``: seconds that it asks to wait."""

    kind = "storage"

    def __init__(self, code: str, message: str, *, status: int, request_id: str, retry_after: float) -> None:
        said = answered("storage", code, message)
        super().__init__(f"{said} (HTTP {status})", status=status, request_id=request_id)
        self.retry_after = retry_after


@functools.lru_cache(maxsize=4)
def tls_context(options: ConnectionOptions) -> ssl.SSLContext:
    """Raises ConfigurationError if ca_path cannot be read."""
    ca_path = options.ca_path
    try:
        if ca_path and os.path.isdir(ca_path):
            context = ssl.create_default_context(capath=ca_path)
        else:
            context = ssl.create_default_context(cafile=ca_path)
    except OSError as error:
        raise ConfigurationError(f"ca_path {ca_path!r} cannot be read: {error}.") from None
    if not options.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxy_of(link: Link) -> str:
    """By the environment; none for loopback addresses."""
    if link.host == "localhost" or link.host.startswith("127.") or link.host == "::1":
        return ""
    proxies = getproxies()
    proxy = proxies.get(link.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(link.host):
        return ""
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.lower().startswith("http://"):
        raise ConfigurationError(
            f"the proxy for {link.host} is not one that begins with http://: others are not supported."
        )
    return proxy


def _proxy_login(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    hide_login(unquote(parts.username), unquote(parts.password or ""))
    return {"Proxy-Authorization": "Basic " + b64encode(login.encode()).decode()}


def _is_encoded(response: http.client.HTTPResponse) -> bool:
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]{{0,4096}})</{name}>", text)
    return found[1].strip() if found else ""


def _retry_after(response: http.client.HTTPResponse) -> float:
    given = response.headers.get("Retry-After", "")
    return float(given) if re.fullmatch(r"[0-9]{1,4}", given) else 0.0
