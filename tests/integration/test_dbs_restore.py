# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules that restore, into real servers, by Ansible's own commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.job_protocol import HIDDEN_OPTIONS
from databases import MariaDB, MySQL, PostgreSQL, Server
from exports import Export, large, mysql_tables, pack, pack_tree, postgresql_tables
from processes import Process, interrupt, until

BACKUP = "/backup/dt-a1b2c3d4e5f0.tar.gz"


class Target:
    """A server of one kind, with what is different between the modules."""

    def __init__(self, world: Any, server: Server) -> None:
        self.world = world
        self.server = server
        self.is_mysql = not isinstance(server, PostgreSQL)
        self.engine = "mysql" if self.is_mysql else "postgresql"
        self.module = f"dbs_restore_{self.engine}"
        self.tables: Any = mysql_tables if self.is_mysql else postgresql_tables
        self.zone = " time_zone=+00:00" if self.is_mysql else ""
        self.login = f"login_unix_socket={server.socket} login_user=demo{self.zone}"
        self.src: Path = world.directory / "backup.tar.gz"

    def backup(self, *databases: str, **dialect: Any) -> Export:
        export: Export = self.tables.export(databases or ("shop",), **dialect)
        self.src.write_bytes(pack(export.files(), "tar.gz", tars=2))
        return export

    def large_backup(self) -> None:
        """One of many pieces."""
        directory = self.world.directory / "large"
        large.export(self.engine, rows=30_000, parts=3, small_tables=3, small_rows=5).write(directory)
        pack_tree(directory, self.src)

    def ad_hoc(self, arguments: str = "", *options: str, check: bool = True, **environment: str) -> Any:
        output = self.world.ad_hoc(
            f"src={self.src} {self.login} {arguments}", *options, module=self.module, check=check, **environment
        )
        return json.loads(output[output.index("=> {") + 3 :])

    def query(self, statement: str, database: str = "") -> list[tuple[Any, ...]]:
        name = "database" if self.is_mysql else "dbname"
        chosen = {name: database} if database else {}
        with closing(self.server.connect(**chosen)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def databases(self) -> set[str]:
        column, catalog = (
            ("schema_name", "information_schema.schemata") if self.is_mysql else ("datname", "pg_database")
        )
        return {str(name) for (name,) in self.query(f"SELECT {column} FROM {catalog}")}

    def sessions(self) -> int:
        """How many connections the modules have."""
        catalog = "information_schema.processlist WHERE user" if self.is_mysql else "pg_stat_activity WHERE usename"
        return int(self.query(f"SELECT COUNT(*) FROM {catalog} = 'demo'")[0][0])

    @contextmanager
    def held(self, database: str = "shop") -> Iterator[None]:
        """Once three pieces are loaded, have all others wait."""
        pieces = "apsaradb_restore.pieces"
        name = "database" if self.is_mysql else "dbname"

        def some_are_loaded() -> bool:
            try:
                found = self.query(f"SELECT COUNT(*) FROM {pieces}", "" if self.is_mysql else database)
            except Exception:  # it does not exist yet
                return False
            return bool(found[0][0] >= 3)

        until(some_are_loaded)
        with closing(self.server.connect(**{name: database})) as connection, connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLES {pieces} READ" if self.is_mysql else f"LOCK TABLE {pieces} IN SHARE MODE")
            yield


@pytest.fixture(params=[MySQL, MariaDB, PostgreSQL], ids=lambda kind: kind.name)
def target(world: Any, request: pytest.FixtureRequest, own_server: Callable[..., Server]) -> Target:
    server = own_server(request.param)
    server.admit("demo")
    return Target(world, server)


def test_by_one_command(target: Target) -> None:
    export = target.backup()
    result = target.ad_hoc()
    assert (result["changed"], result["state"], result["databases"]) == (True, "done", ["shop"])
    facts = export.manifest()
    assert result["totals"]["tables"] == len(facts)
    assert result["totals"]["rows"] == sum(len(one.rows) for one in facts)
    assert {one["state"] for one in result["tables"]} == {"done"}
    assert not set(HIDDEN_OPTIONS) & set(result.get("invocation", {}).get("module_args", {}))
    assert "WARN" not in target.world.output
    assert list((target.world.directory / "host").glob("apsaradb.backup-*")) == []
    assert target.query("SELECT COUNT(*) FROM orders", "shop") == [(len(export.facts("orders").rows),)]
    again = target.ad_hoc()
    assert (again["changed"], again["state"], again["totals"]["rows"]) == (False, "done", result["totals"]["rows"])
    assert again["restore_id"] == result["restore_id"]


def test_check_mode_changes_nothing(target: Target) -> None:
    target.backup()
    before = target.databases()
    result = target.ad_hoc("", "--check", "--diff")
    assert (result["changed"], result["state"]) == (True, "planned")
    assert {one["state"] for one in result["tables"]} == {"planned"}
    assert {one["rows_found"] for one in result["tables"]} == {None}
    assert re.search(r"^\+shop\.(public\.)?orders: 100 rows$", target.world.output, re.MULTILINE)
    assert target.databases() == before
    target.src.unlink()
    assert target.ad_hoc("", "--check")["changed"]
    assert "does not exist now" in target.world.output
    assert "does not exist" in target.ad_hoc(check=False)["msg"]


def test_in_the_background(target: Target) -> None:
    target.backup()
    result = target.ad_hoc("", "-B", "600", "-P", "1")
    assert (result["changed"], result["state"]) == (True, "done")


def test_for_another_host(target: Target) -> None:
    """By the host that can reach the server. No password is shown, however much is."""
    target.backup()
    login = f"login_unix_socket: {target.server.socket}\n        login_user: {target.server.user}"
    output = target.world.play(
        f"""
- hosts: one
  gather_facts: false
  tasks:
    - apsaradb.backup.{target.module}:
        src: {target.src}
        {login}
        login_password: "{{{{ lookup('ansible.builtin.env', 'DATABASE_PASSWORD') }}}}"
        tables: [shop.*orders]
      delegate_to: localhost
      register: restored

    - ansible.builtin.debug:
        var: restored
""",
        *("-i", "one,", "-c", "local", "-vvvv"),
        DATABASE_PASSWORD=target.server.password,
    )
    assert "changed=1" in output
    assert '"state": "done"' in output
    assert target.server.password not in output
    assert json.dumps(target.server.password)[1:-1] not in output


def test_a_wrong_password_is_not_shown(target: Target) -> None:
    target.backup()
    result = target.ad_hoc(f"login_user={target.server.user} login_password=geheim-12345", check=False)
    assert result["error"]["kind"] in ("database", "database_connection")
    assert "login_password" in result["msg"]
    assert "geheim" not in result["msg"]


def test_a_failure_says_what_to_do(target: Target) -> None:
    target.backup()
    target.ad_hoc("tables=shop.*orders")
    result = target.ad_hoc(check=False)
    assert result["error"] == {"kind": "conflict"}
    name = "shop.orders" if target.is_mysql else "shop.public.orders"
    assert result["msg"] == (
        f"Failed to restore {target.src}: these tables exist, and this restore did not make them: {name}. "
        "Set rename to restore under another name, or on_existing to skip or replace."
    )
    assert "Traceback" not in target.world.output


def test_progress_is_printed(target: Target) -> None:
    target.large_backup()
    said = threading.Event()
    target.world.once_said(lambda log: log.count(" tables, ") >= 2, said.set)

    def hold() -> None:
        with target.held():
            said.wait()

    holding = threading.Thread(target=hold, daemon=True)
    holding.start()
    assert target.ad_hoc("progress_interval=1 piece_size=64KB")["state"] == "done"
    holding.join()
    lines = [line for line in target.world.output.splitlines() if line.startswith(f"[localhost] {target.src}: ")]
    duration = r"(\d+s|\d+m \d\ds|\d+h \d\dm)"
    pattern = (
        rf"\[localhost\] \S+: (reading the backup, )?[\d.]+ [kM]?B of [\d.]+ MB(, \d+ of 4 tables)?(, [\d.]+ [kM]?B/s)?"
        rf"(, about {duration} left)?, {duration} elapsed(; (building keys of|verifying) shop\.\S+)?"
    )
    assert [line for line in lines if " of 4 tables, " in line]
    for line in lines:
        assert re.fullmatch(pattern, line), line


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_ends_the_command_ends_the_work_and_the_next_continues(target: Target, is_killed: bool) -> None:
    target.large_backup()
    arguments = f"src={target.src} {target.login} piece_size=64KB progress_interval=1"
    process = Process(
        [
            *("ansible", "localhost", "-e", target.world.interpreter),
            *("-m", f"apsaradb.backup.{target.module}", "-a", arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **target.world.environment, "PATH": target.world.path},
    )
    with target.held():
        assert process.poll() is None, process.outputs()[0]
        if is_killed:
            process.kill()
        else:
            interrupt(process)
        process.outputs()
        assert process.returncode != 0
        until(lambda: not target.sessions())
    result = target.ad_hoc("piece_size=64KB")
    assert (result["changed"], result["state"]) == (True, "done")
    assert result["resumed_from"] >= 3
    assert {one["rows_found"] - one["rows_expected"] for one in result["tables"]} == {0}
    assert sorted(one["rows_found"] for one in result["tables"]) == [5, 5, 5, 30_000]


@pytest.mark.parametrize("kind", [MySQL, MariaDB, PostgreSQL], ids=lambda kind: kind.name)
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_the_examples_of_the_documentation_run_as_they_stand(
    world: Any, authority: trustme.CA, kind: type[Server], check: tuple[str, ...]
) -> None:
    """But for where the server and the backup are."""
    server = kind(port=True)
    assert server.host
    server.certificate = authority.issue_cert(server.host).private_key_and_cert_chain_pem.bytes()
    with server:
        target = Target(world, server)
        if target.is_mysql:
            socket, accounts = "/run/mysqld/mysqld.sock", ("root",)
            target.query("CREATE USER restore IDENTIFIED BY 'a secret'")
            target.query("GRANT ALL ON *.* TO restore")
        else:
            socket, accounts = "login_unix_socket: /run/postgresql", ("postgres",)
            with closing(server.connect(autocommit=True)) as connection:
                connection.execute("CREATE ROLE restore LOGIN SUPERUSER PASSWORD 'a secret'")
        for account in accounts:
            server.admit(account)
        target.backup()
        here = f"{'' if target.is_mysql else 'login_unix_socket: '}{server.socket}"
        if not target.is_mysql:
            here += f"\n    login_port: {server.port}"
        output = world.play_examples(
            target.module,
            *check,
            # Whoever runs the tests is the user that the example becomes.
            *("-e", "ansible_become=false", "-e", '{"restore_password": "a secret"}'),
            places={
                BACKUP: str(target.src),
                socket: here,
                "login_host: db1.example.com": f"login_host: {server.host}\n    login_port: {server.port}",
                "/etc/ssl/certs/database-ca.pem": str(world.ca_path),
            },
        )
        assert "failed=0" in output
        assert "changed=2" in output
        if check:
            assert not {"shop", "shop_test"} & target.databases()
        else:
            assert {"shop", "shop_test"} <= target.databases()
            assert "Not in the backup: " in output
