# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that leads to one server, whatever host it is asked for."""

from __future__ import annotations

import select
import socket
import socketserver
from typing import Any
from urllib.parse import urlsplit


class Tunnel(socketserver.StreamRequestHandler):
    """A proxy's CONNECT, which leads to the stand-in whatever host was asked for."""

    def handle(self) -> None:
        request = self.rfile.readline().decode()
        while self.rfile.readline().strip():
            pass
        server: Any = self.server
        server.asked_for.append(request.split()[1])
        with socket.create_connection(server.leads_to) as upstream:
            self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            ends = {self.connection: upstream, upstream: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)


class Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, leads_to: str) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        url = urlsplit(leads_to)
        self.leads_to = (url.hostname, url.port)
        self.asked_for: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that are cut are no news here."""
