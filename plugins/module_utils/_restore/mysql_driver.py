# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""How PyMySQL or mysqlclient connects, and never without TLS where it is asked for."""

from __future__ import annotations

import contextlib
import importlib
import socket
import time
import traceback
import typing as t

from .._base.errors import MissingLibraryError
from .errors import DatabaseConnectionError

#: In the greeting of a server: it has TLS.
_HAS_TLS = 0x0800
#: Seconds between two looks at a greeting that has come in part.
_PAUSE = 0.01


class Login(t.NamedTuple):
    """How to log in. Without a host and a socket, what the option file or the driver says."""

    user: t.Optional[str] = None
    password: t.Optional[str] = None
    host: t.Optional[str] = None
    port: t.Optional[int] = None
    unix_socket: t.Optional[str] = None
    config_file: t.Optional[str] = None
    ca_cert: t.Optional[str] = None
    client_cert: t.Optional[str] = None
    client_key: t.Optional[str] = None
    check_hostname: t.Optional[bool] = None
    connect_timeout: int = 30

    @property
    def is_local(self) -> bool:
        """Return whether the server is on this host."""
        return bool(self.unix_socket) or self.host in (
            "localhost",
            "127.0.0.1",
            "::1",
        )

    @property
    def is_trusted(self) -> bool:
        """Return whether nobody else can play the server: it is on this host, or has a certificate."""
        return self.is_local or bool(self.ca_cert)

    @property
    def needs_tls(self) -> bool:
        return bool(self.ca_cert or self.client_cert) and not self.unix_socket

    @property
    def checks_hostname(self) -> bool:
        if self.check_hostname is None:
            return bool(self.ca_cert)
        return self.check_hostname

    @property
    def printable(self) -> str:
        if self.config_file and not (self.unix_socket or self.host):
            return f"the address in {self.config_file}"
        return self.unix_socket or f"{self.host}:{self.port}"


def load_driver() -> t.Any:
    """Import a driver. Raises MissingLibraryError."""
    for name in ("pymysql", "MySQLdb"):
        try:
            return importlib.import_module(name)
        except ImportError:
            trace = traceback.format_exc()
    raise MissingLibraryError("PyMySQL", "to restore into MySQL", trace)


def connect(driver: t.Any, login: Login, *, local_infile: bool) -> t.Any:
    """Connect. ``local_infile``: whether the server may ask for files. Raises what the driver raises, and BackupError."""
    arguments = _arguments(login)
    # Off by default: with it, a server can ask for any file of this host.
    if local_infile:
        arguments["local_infile"] = 1
    if driver.__name__ == "pymysql":
        return _connect_pymysql(driver, login, arguments)
    if not login.needs_tls:
        return driver.connect(**arguments)
    arguments["ssl"] = _ssl(login)
    checks = "VERIFY_IDENTITY" if login.checks_hostname else "VERIFY_CA"
    mode = checks if login.ca_cert else "REQUIRED"
    connection = driver.connect(**arguments, ssl_mode=mode)
    with contextlib.closing(connection.cursor()) as cursor:
        # With some of its libraries, it goes on without TLS if there is no ca_cert.
        cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        has_tls = bool(cursor.fetchone()[1])
    if not has_tls:
        connection.close()
        raise _no_tls(login)
    return connection


def _ssl(login: Login) -> dict[str, t.Any]:
    ssl = {
        "ca": login.ca_cert,
        "cert": login.client_cert,
        "key": login.client_key,
    }
    return {name: path for name, path in ssl.items() if path}


def _connect_pymysql(
    driver: t.Any, login: Login, arguments: dict[str, t.Any]
) -> t.Any:
    if login.password:
        # It would encode a text as Latin-1, other than all clients and servers do.
        arguments["password"] = login.password.encode()
    if login.unix_socket and not login.config_file:
        # Nobody can listen there. Since version 1.2, it would encrypt all data, and read
        # all authorities of the system for each connection.
        arguments["ssl_disabled"] = True
    if login.needs_tls:
        arguments["ssl"] = {
            **_ssl(login),
            "check_hostname": login.checks_hostname,
        }
    connection = driver.connect(**arguments, defer_connect=True)
    if connection.unix_socket:
        connection.connect()
        return connection
    address = (connection.host, connection.port)
    opened = socket.create_connection(address, login.connect_timeout)
    try:
        if login.needs_tls:
            # Before version 1.2, PyMySQL goes on without TLS if the server, or somebody in its place, says that it has none.
            _check_offers_tls(opened, login)
        else:
            # PyMySQL would wait forever for what never says a word.
            _peek(opened, 1, time.monotonic() + login.connect_timeout)
        # As PyMySQL has its own ones.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.settimeout(None)
        connection.connect(opened)
    except BaseException:
        with contextlib.suppress(OSError):
            opened.close()
        raise
    return connection


def _check_offers_tls(opened: socket.socket, login: Login) -> None:
    """Read the greeting of the server, which the driver reads again: nothing is sent before it."""
    deadline = time.monotonic() + login.connect_timeout
    header = _peek(opened, 4, deadline)
    greeting = _peek(
        opened, 4 + int.from_bytes(header[:3], "little"), deadline
    )[4:]
    if greeting[:1] == b"\xff":
        # An error, which the driver raises.
        return
    # After the name of the version: the connection's number, eight random bytes and one that is 0.
    begin = greeting.find(b"\0", 1) + 14
    if not int.from_bytes(greeting[begin : begin + 2], "little") & _HAS_TLS:
        raise _no_tls(login)


def _no_tls(login: Login) -> DatabaseConnectionError:
    return DatabaseConnectionError(
        f"the server at {login.printable} does not offer TLS, which ca_cert and client_cert ask for",
        hint="Set up TLS on the server, and check login_host and login_port",
    )


def _peek(opened: socket.socket, size: int, deadline: float) -> bytes:
    while True:
        content = opened.recv(size, socket.MSG_PEEK)
        if len(content) >= size or not content:
            return content
        if time.monotonic() > deadline:
            raise socket.timeout("timed out")
        time.sleep(_PAUSE)


def _arguments(login: Login) -> dict[str, t.Any]:
    arguments: dict[str, t.Any] = {
        "user": login.user,
        "password": login.password,
        "host": login.host,
        "port": login.port,
        "unix_socket": login.unix_socket,
        "read_default_file": login.config_file,
        "connect_timeout": login.connect_timeout,
        "charset": "utf8mb4",
    }
    if login.config_file:
        arguments["read_default_group"] = "client"
    return {
        name: value for name, value in arguments.items() if value is not None
    }
