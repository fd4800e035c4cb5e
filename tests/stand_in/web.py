# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 with kept-alive connections, for an application that answers one request with one reply."""

from __future__ import annotations

import ipaddress
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Message
    body: bytes
    connection: int

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ""))


@dataclass(frozen=True)
class Stream:
    """A body that is made while it is sent."""

    length: int
    chunks: Iterable[bytes]

    def __len__(self) -> int:
        return self.length


@dataclass(frozen=True)
class Cut:
    """The connection ends too early: after so many bytes of the body or, where that is None, before any answer."""

    after: int | None = None
    reset: bool = True


@dataclass
class Reply:
    status: int = 200
    body: bytes | Stream = b""
    content_type: str = "application/json;charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    cut: Cut | None = None
    sent: int = 0
    """How much of the body was handed to the network."""
    pause: Callable[[], None] | None = None
    """Called before each byte of the head, which then come one by one."""
    head_sent: int = 0
    is_over: bool = False
    """Whether no more of it will be handed to the network."""

    @property
    def end(self) -> int:
        """How much of the body is to be sent: all, or at least a byte less if it is cut, so that no cut does nothing."""
        size = len(self.body)
        return size if self.cut is None or self.cut.after is None else min(self.cut.after, max(0, size - 1))

    def head(self) -> bytes:
        headers: Mapping[str, str] = {
            **self.headers,
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
        }
        phrase = HTTPStatus(self.status).phrase
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")


Application = Callable[[Request], Reply]


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WebServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    timeout = 0.1

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, application: Application) -> None:
        self.application = application
        self.connections = 0
        self._ended = False
        self._tls = tls
        self._numbers: dict[socket.socket, int] = {}
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would ask the name service who we are
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self.connections += 1
            self._numbers[connection] = self.connections
        return connection, address

    def close_request(self, request: Any) -> None:
        with self._lock:
            self._numbers.pop(request, None)
        super().close_request(request)

    def number_of(self, connection: socket.socket) -> int:
        return self._numbers[connection]

    def serve(self) -> None:
        """Serve until the end, which serve_forever would notice only after its interval."""
        while not self._ended:
            self.handle_request()

    def end(self) -> None:
        self._ended = True
        with suppress(OSError):  # where a socket that listens cannot be shut down, the time-out ends the wait
            self.socket.shutdown(socket.SHUT_RDWR)

    def close_connections(self) -> None:
        with self._lock:
            connections = list(self._numbers)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up as they please; anything else is a mistake of the stand-in and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: WebServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._number = self.server.number_of(self.request)

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = parse_qsl(url.query, keep_blank_values=True)
        reply = self.server.application(Request(self.command, url.path or "/", query, self.headers, body, self._number))
        if reply.cut is None or reply.cut.after is not None:
            try:
                self._send(reply)
            finally:
                reply.is_over = True
        if reply.cut:
            self.close_connection = True
            if reply.cut.reset:
                self._reset()

    def _send(self, reply: Reply) -> None:
        end = reply.end
        head = reply.head()
        if reply.pause:
            self._send_slowly(head, reply)
            head = b""
        if self.command == "HEAD":
            self.wfile.write(head)
        elif isinstance(reply.body, bytes):
            reply.sent = min(end, len(reply.body))
            self.wfile.write(head + reply.body[:end])
        else:
            self.wfile.write(head)
            for chunk in reply.body.chunks:
                piece = chunk[: end - reply.sent]
                reply.sent += len(piece)
                self.wfile.write(piece)
                if reply.sent == end:
                    break

    def _send_slowly(self, head: bytes, reply: Reply) -> None:
        for number in range(len(head)):
            assert reply.pause
            reply.pause()
            self.wfile.write(head[number : number + 1])
            reply.head_sent += 1

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Calls are logged by who knows what they mean."""
