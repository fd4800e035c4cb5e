# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS to servers that have it, have it not, or have a wrong certificate: what works, and what is said."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import trustme
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._modules import dbs_restore_mysql, dbs_restore_postgresql
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import postgresql_connection
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.engine import Server as Restored
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_connection import Connection
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_options import MySQLOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_server import MySQLServer
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_creation import PostgreSQLOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_server import PostgreSQLServer
from databases import MariaDB, PostgreSQL, Server
from exports import mysql_tables
from restores import DRIVERS, MySQLTarget, archive, restore


class Tls(NamedTuple):
    """A server with TLS and one without, and files that tests connect with."""

    server: Server
    without: Server
    files: Path

    def options(self, spec: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        """Options of a module: those with the name of a file get its path."""
        server = self.without if changes.get("without") else self.server
        known = {name: one.get("default") for name, one in spec.items()}
        login: dict[str, Any] = {
            "login_user": server.user,
            "login_password": server.password,
            "login_host": server.host,
        }
        if changes.get("alias"):
            # The same address in another way, which is not in the certificate.
            if "connect_params" in spec:
                login.update(login_host="db.example.com", connect_params={"hostaddr": server.host})
            else:
                login["login_host"] = str(int(ipaddress.ip_address(server.host or "")))
        given = {name: value for name, value in changes.items() if name not in ("without", "alias")}
        paths = {
            name: str(self.files / value)
            for name, value in given.items()
            if isinstance(value, str) and "mode" not in name
        }
        return {**known, **login, "login_port": server.port, **given, **paths}


def _serve(kind: type[Server], directory: Path) -> Iterator[Tls]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca"))
    trustme.CA().cert_pem.write_to_path(str(directory / "other_ca"))
    client = authority.issue_cert(common_name="client")
    client.cert_chain_pems[0].write_to_path(str(directory / "client"))
    client.private_key_pem.write_to_path(str(directory / "key"))
    (directory / "key").chmod(0o600)
    (directory / "text").write_text("no certificate")
    with ExitStack() as running:
        server = kind(port=True, **({"ssl_ca": directory / "ca"} if kind is MariaDB else {}))
        server.certificate = authority.issue_cert(server.host or "").private_key_and_cert_chain_pem.bytes()
        running.enter_context(server)
        yield Tls(server, running.enter_context(kind(port=True)), directory)


@pytest.fixture(scope="module")
def mariadb_with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    for tls in _serve(MariaDB, tmp_path_factory.mktemp("mariadb")):
        with closing(tls.server.connect(autocommit=True)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER certified@'%' REQUIRE X509")
            cursor.execute("GRANT ALL ON *.* TO certified@'%'")
        yield tls


@pytest.fixture(scope="module")
def postgresql_with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    yield from _serve(PostgreSQL, tmp_path_factory.mktemp("postgresql"))


CHECK = "Check ca_cert, client_cert, client_key and check_hostname"
MYSQL = [
    ({"ca_cert": "ca"}, ""),
    ({"ca_cert": "ca", "client_cert": "client", "client_key": "key"}, ""),
    ({"client_cert": "client", "client_key": "key"}, ""),
    ({"ca_cert": "ca", "alias": True, "check_hostname": False}, ""),
    ({"ca_cert": "ca", "alias": True}, rf"(?i)mismatch|not valid for.*{CHECK}"),
    ({"ca_cert": "other_ca"}, f"certificate verify failed.*{CHECK}"),
    ({"ca_cert": "other_ca", "check_hostname": False}, f"certificate verify failed.*{CHECK}"),
    ({"ca_cert": "text"}, f"(?i)certificate.*{CHECK}"),
    ({"ca_cert": "ca", "client_cert": "client", "client_key": "text"}, CHECK),
    ({"ca_cert": "ca", "without": True}, "does not offer TLS, which ca_cert and client_cert ask for"),
    ({"client_cert": "client", "client_key": "key", "without": True}, "does not offer TLS"),
    ({"ca_cert": "missing"}, "ca_cert '.*missing' cannot be read"),
    ({"check_hostname": True}, "check_hostname is set without ca_cert"),
    ({"client_key": "key"}, "client_key is set without client_cert"),
]
CERTIFIED = [
    ({"ca_cert": "ca", "client_cert": "client", "client_key": "key"}, ""),
    ({"ca_cert": "ca"}, "1045.*and client_cert if the user needs a certificate"),
]
HINT = "Check ssl_mode, ca_cert, ssl_cert and ssl_key"
POSTGRESQL = [
    ({"ssl_mode": "require"}, ""),
    ({"ssl_mode": "verify-full", "ca_cert": "ca"}, ""),
    ({"ssl_mode": "verify-ca", "ca_cert": "ca", "alias": True}, ""),
    ({"ssl_mode": "verify-full", "ca_cert": "ca", "alias": True}, rf"server certificate for .* does not match.*{HINT}"),
    ({"ssl_mode": "verify-ca", "ca_cert": "other_ca"}, f"certificate verify failed.*{HINT}"),
    ({"ssl_mode": "require", "ca_cert": "other_ca"}, f"certificate verify failed.*{HINT}"),
    ({"ssl_mode": "verify-full", "ca_cert": "text"}, f"(?i)certificate.*{HINT}"),
    ({"ssl_mode": "require", "without": True}, f"server does not support SSL.*{HINT}"),
    ({"ssl_mode": "require", "ssl_cert": "client", "ssl_key": "text"}, HINT),
    ({"ssl_mode": "prefer", "ca_cert": "ca"}, "ca_cert is set, but ssl_mode is prefer"),
    ({"ssl_mode": "require", "ssl_cert": "client"}, "ssl_cert is set without ssl_key"),
]


def _check(make: Callable[[], Restored], said: str) -> None:
    if not said:
        with closing(make()) as server:
            assert server.open()
        return
    with pytest.raises(BackupError, match=said) as caught, closing(make()) as server:
        server.open()
    assert "ss:w/rd" not in str(caught.value)


@pytest.mark.parametrize(("changes", "said"), MYSQL)
def test_tls_to_mysql(mariadb_with_tls: Tls, changes: dict[str, Any], said: str) -> None:
    options = mariadb_with_tls.options(dbs_restore_mysql.ARGUMENT_SPEC, changes)
    _check(lambda: MySQLServer(MySQLOptions(dbs_restore_mysql._login(options))), said)


@pytest.mark.parametrize(("changes", "said"), CERTIFIED)
def test_a_user_that_needs_a_certificate(mariadb_with_tls: Tls, changes: dict[str, Any], said: str) -> None:
    options = mariadb_with_tls.options(dbs_restore_mysql.ARGUMENT_SPEC, changes)
    options.update(login_user="certified", login_password=None)
    _check(lambda: MySQLServer(MySQLOptions(dbs_restore_mysql._login(options))), said)


@pytest.mark.parametrize(("changes", "has_tls"), [({}, False), ({"ca_cert": "ca"}, True)])
def test_only_what_others_could_read_is_encrypted(
    mariadb_with_tls: Tls, changes: dict[str, Any], has_tls: bool
) -> None:
    options = mariadb_with_tls.options(dbs_restore_mysql.ARGUMENT_SPEC, changes)
    if not has_tls:
        options.update(login_host=None, login_port=None, login_unix_socket=mariadb_with_tls.server.socket)
    with closing(Connection(dbs_restore_mysql._login(options), shows_data=False)) as connection:
        ((_name, cipher),) = connection.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    assert bool(cipher) == has_tls


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(("changes", "said"), POSTGRESQL)
def test_tls_to_postgresql(postgresql_with_tls: Tls, driver: str, changes: dict[str, Any], said: str) -> None:
    options = postgresql_with_tls.options(dbs_restore_postgresql.ARGUMENT_SPEC, changes)
    with patch.object(postgresql_connection, "_DRIVERS", {driver: postgresql_connection._DRIVERS[driver]}):
        _check(lambda: PostgreSQLServer(dbs_restore_postgresql._login(options), PostgreSQLOptions()), said)


def test_a_restore_over_tls(mariadb_with_tls: Tls, tmp_path: Path) -> None:
    """LOAD DATA LOCAL is for servers that nobody else can play."""
    options = mariadb_with_tls.options(dbs_restore_mysql.ARGUMENT_SPEC, {"ca_cert": "ca"})

    class Target(MySQLTarget):
        def connected(self) -> MySQLServer:
            return MySQLServer(MySQLOptions(dbs_restore_mysql._login(options), time_zone="+00:00"))

    target, export = Target(mariadb_with_tls.server), mysql_tables.export()
    assert restore(target, archive(export, tmp_path)).changed
    target.check(export)
