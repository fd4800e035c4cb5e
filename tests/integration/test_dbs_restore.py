# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules that restore, into real servers, by Ansible's own commands.

MySQL and MariaDB have the same module, and all modules that restore the same way to Ansible: with its oldest version,
each test has one kind of server.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.job_protocol import HIDDEN_OPTIONS
from databases import MariaDB, PostgreSQL, Server
from exports import Export, large, mysql_tables, pack, pack_tree, postgresql_tables
from processes import Process, interrupt, started, until

BACKUP = "/backup/dt-a1b2c3d4e5f0.tar.gz"
KINDS: list[type[Server]] = [MariaDB, PostgreSQL]


class Target:
    """A server of one kind, with what is different between the modules."""

    def __init__(self, world: Any, server: Server) -> None:
        self.world = world
        self.server = server
        self.is_mysql = not isinstance(server, PostgreSQL)
        self.engine = "mysql" if self.is_mysql else "postgresql"
        self.module = f"dbs_restore_{self.engine}"
        self.tables: Any = mysql_tables if self.is_mysql else postgresql_tables
        self.orders = "shop.orders" if self.is_mysql else "shop.public.orders"
        zone = " time_zone=+00:00" if self.is_mysql else ""
        self.login = f"login_unix_socket={server.socket} login_user=demo{zone}"
        self.src: Path = world.directory / "backup.tar.gz"
        server.admit("demo")

    def backup(self) -> Export:
        export: Export = self.tables.export(["shop"])
        self.src.write_bytes(pack(export.files(), "tar.gz", tars=2))
        return export

    def damaged_backup(self, export: Export) -> Path:
        """One in which a record is twice."""
        files = export.files()
        name = next(name for name in files if name.endswith("/orders/data/0.csv"))
        files[name] += files[name].splitlines(keepends=True)[-1]
        path: Path = self.world.directory / "damaged.tar.gz"
        path.write_bytes(pack(files, "tar.gz"))
        return path

    def large_backup(self) -> None:
        """One of many pieces."""
        directory = self.world.directory / "large"
        large.export(self.engine, rows=30_000, parts=3, small_tables=1, small_rows=5).write(directory)
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

    def module_alone(self, tables: str, **options: Any) -> dict[str, Any]:
        """The result of the module without Ansible, which is faster."""
        zone = {"time_zone": "+00:00"} if self.is_mysql else {}
        login = {"login_unix_socket": self.server.socket, "login_user": "demo", **zone}
        arguments = {"src": str(self.src), "tables": [tables], **login, **options}
        with started(f"ansible_collections.apsaradb.backup.plugins.modules.{self.module}", arguments) as process:
            result: dict[str, Any] = json.loads(process.outputs()[0])
        assert not result.get("failed"), result
        return result

    @contextmanager
    def held(self) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
        """Have a piece of the table orders wait. Yields what waits until others are loaded, and what lets it go."""
        # What the server records of restores is then there.
        self.module_alone(
            self.orders.replace("orders", "small_000"), **({"local_infile": "set"} if self.is_mysql else {})
        )
        # One in the third file: those before are loaded before, as long as there is one connection.
        which = "NEW.file_number = 2 AND NEW.piece_number = 0" if self.is_mysql else "NEW.file = 2 AND NEW.number = 0"
        trigger = "CREATE TRIGGER held BEFORE INSERT ON apsaradb_restore.pieces FOR EACH ROW"
        statements = [
            f"{trigger} IF {which} THEN DO GET_LOCK('held', 86400); END IF",
            "DO GET_LOCK('held', 0)",
            "DO RELEASE_LOCK('held')",
        ]
        if not self.is_mysql:
            statements = [
                "CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';"
                f"{trigger} WHEN ({which}) EXECUTE FUNCTION public.held()",
                "SELECT pg_advisory_lock(1)",
                "SELECT pg_advisory_unlock(1)",
            ]
        database = "apsaradb_restore" if self.is_mysql else "shop"
        loaded = "SELECT COUNT(*) FROM apsaradb_restore.pieces"
        chosen = {"database": database} if self.is_mysql else {"dbname": database, "autocommit": True}
        with closing(self.server.connect(**chosen)) as connection, connection.cursor() as cursor:
            for statement in statements[:2]:
                cursor.execute(statement)
            # One is of the small table.
            yield (
                lambda: until(lambda: self.query(loaded, database)[0][0] > 3),
                lambda: cursor.execute(statements[2]),
            )


def texts(export: Export) -> set[str]:
    """Values of rows that nothing else would print."""
    return {value for one in export.facts("orders").rows for value in one if str(value).startswith("ORD-")}


@pytest.fixture(params=[pytest.param("mariadb", marks=pytest.mark.once), "postgresql"])
def target(world: Any, request: pytest.FixtureRequest) -> Target:
    return Target(world, request.getfixturevalue(request.param))


@pytest.mark.parametrize(
    "engine",
    [pytest.param("mysql", marks=pytest.mark.once), "mariadb", pytest.param("postgresql", marks=pytest.mark.once)],
)
def test_by_one_command(world: Any, request: pytest.FixtureRequest, engine: str) -> None:
    target = Target(world, request.getfixturevalue(engine))
    export = target.backup()
    result = target.ad_hoc()
    assert (result["changed"], result["state"], result["databases"]) == (True, "done", ["shop"])
    facts = export.manifest()
    assert result["totals"]["tables"] == len(facts)
    assert result["totals"]["rows"] == sum(len(one.rows) for one in facts)
    assert {one["state"] for one in result["tables"]} == {"done"}
    assert not set(HIDDEN_OPTIONS) & set(result.get("invocation", {}).get("module_args", {}))
    assert "WARN" not in world.output
    assert list((world.directory / "host").glob("apsaradb.backup-*")) == []
    assert target.query("SELECT COUNT(*) FROM orders", "shop") == [(len(export.facts("orders").rows),)]
    again = target.ad_hoc()
    assert (again["changed"], again["state"], again["totals"]["rows"]) == (False, "done", result["totals"]["rows"])
    assert again["restore_id"] == result["restore_id"]


def test_how_it_gets_along_with_ansible(target: Target) -> None:
    """Defaults of the other modules, delegation, become, async, and failures that are handled; no secret is shown."""
    export = target.backup()
    output = target.world.play(
        f"""
- hosts: one
  gather_facts: false
  module_defaults:
    group/apsaradb.backup.all:
      region: cn-hangzhou
      access_key_secret: of-no-use-here
      connect_timeout: 0.5
    apsaradb.backup.{target.module}:
      src: {target.src}
      login_unix_socket: {target.server.socket}
      login_user: {target.server.user}
      login_password: "{{{{ lookup('ansible.builtin.env', 'DATABASE_PASSWORD') }}}}"
  tasks:
    - name: With the wrong password
      apsaradb.backup.{target.module}:
        login_password: the-wrong-one
      register: refused
      ignore_errors: true

    - name: With a size of another kind
      apsaradb.backup.{target.module}:
        piece_size: 64KiB
      register: size
      ignore_errors: true

    - name: In the background
      apsaradb.backup.{target.module}:
        tables: ["shop.*orders"]
      async: 600
      poll: 0
      register: job

    - name: Wait for it
      ansible.builtin.async_status:
        jid: "{{{{ job.ansible_job_id }}}}"
      register: orders
      until: orders.finished
      delay: 1
      retries: 600

    - name: For another host, by another user
      apsaradb.backup.{target.module}:
        tables: ["shop.*customers"]
      delegate_to: localhost
      become: {os.geteuid() == 0}
      become_method: ansible.builtin.su
      diff: true
      register: customers

    - name: Tables that exist
      apsaradb.backup.{target.module}:
      register: conflict
      ignore_errors: true

    - name: A record that is twice
      apsaradb.backup.{target.module}:
        src: {target.damaged_backup(export)}
        rename:
          shop: damaged
      register: damaged
      ignore_errors: true

    - name: Compare
      ansible.builtin.assert:
        that:
          - refused.error.kind in ['database', 'database_connection']
          - "'Check login_user and login_password' in refused.msg"
          - >-
            size.msg == "piece_size '64KiB' is not a size: give a number of bytes, or one with the unit KB, MB or GB, such as "
            "64KB or 4MB; 1KB has 1024 bytes."
          - orders.changed and orders.state == 'done' and orders.totals.rows == 100
          - customers.changed and customers.state == 'done'
          - conflict.error.kind == 'conflict'
          - damaged.error.kind in ['database', 'verification']
          - damaged.state == 'loading'
          - "'uplicate' in damaged.msg"
""",
        *("-i", "one,", "-c", "local", "-vvvv"),
        DATABASE_PASSWORD=target.server.password,
        ANSIBLE_INJECT_INVOCATION="true",
    )
    assert "failed=0" in output
    assert '"login_password": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"' in output
    assert re.search(rf"^\+{target.orders.replace('orders', 'customers')}: \d+ rows$", output, re.MULTILINE)
    password = target.server.password
    for secret in (password, json.dumps(password)[1:-1], "the-wrong-one", "of-no-use-here", *texts(export)):
        assert secret not in output


@pytest.mark.once
def test_progress_is_printed(world: Any, mariadb: MariaDB) -> None:
    target = Target(world, mariadb)
    target.large_backup()
    with target.held() as (_unused, let_go):
        world.once_said(lambda log: log.count(" of 1 table, ") >= 2, let_go)
        result = target.ad_hoc(f"progress_interval=1 parallel=1 tables={target.orders}")
    assert result["state"] == "done"
    lines = [line for line in world.output.splitlines() if line.startswith(f"[localhost] {target.src}: ")]
    duration = r"(\d+s|\d+m \d\ds|\d+h \d\dm)"
    pattern = (
        rf"\[localhost\] \S+: (reading the backup, )?[\d.]+ [kM]?B of [\d.]+ [kM]B(, \d of 1 table)?(, [\d.]+ [kM]?B/s)?"
        rf"(, about {duration} left)?, {duration} elapsed(; (building keys of|verifying) shop\.\S+)?"
    )
    assert [line for line in lines if " of 1 table, " in line]
    for line in lines:
        assert re.fullmatch(pattern, line), line


@pytest.mark.once
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_ctrl_c_ends_the_work_and_the_next_command_continues(
    world: Any, own_server: Callable[..., Server], kind: type[Server]
) -> None:
    """Also settings of the server are put back."""
    target = Target(world, own_server(kind, **({"local_infile": 0} if kind is MariaDB else {})))
    target.large_backup()
    options = f"tables={target.orders} parallel=1 piece_size=64KB" + (" local_infile=set" if target.is_mysql else "")
    # Followed all the time: a job that is interrupted between two looks ends itself later.
    arguments = f"src={target.src} {target.login} {options} progress_interval=86400"
    with target.held() as (await_pieces, _unused):
        process = Process(
            [
                "ansible",
                "localhost",
                "-e",
                world.interpreter,
                "-m",
                f"apsaradb.backup.{target.module}",
                "-a",
                arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **world.environment, "PATH": world.path},
        )
        await_pieces()
        assert process.poll() is None, process.outputs()[0]
        if target.is_mysql:
            assert target.query("SELECT @@GLOBAL.local_infile") == [(1,)]
        interrupt(process)
        process.outputs()
        assert process.returncode != 0
        until(lambda: not target.sessions())
    if target.is_mysql:
        assert target.query("SELECT @@GLOBAL.local_infile") == [(0,)]
    result = target.ad_hoc(options)
    assert (result["changed"], result["state"]) == (True, "done")
    assert result["resumed_from"] >= 3
    assert [one["rows_found"] for one in result["tables"]] == [30_000]


@pytest.mark.parametrize(
    "kind", [MariaDB, pytest.param(PostgreSQL, marks=pytest.mark.once)], ids=lambda kind: kind.name
)
def test_the_examples_of_the_documentation_run_as_they_stand(
    world: Any, authority: trustme.CA, kind: type[Server]
) -> None:
    """But for where the server and the backup are. Check mode says the same before."""
    server = kind(port=True)
    assert server.host
    server.certificate = authority.issue_cert(server.host).private_key_and_cert_chain_pem.bytes()
    with server:
        target = Target(world, server)
        if target.is_mysql:
            socket, here = "/run/mysqld/mysqld.sock", server.socket
            target.query("CREATE USER restore IDENTIFIED BY 'a secret'")
            target.query("GRANT ALL ON *.* TO restore")
            server.admit(getpass.getuser())
        else:
            socket = "login_unix_socket: /run/postgresql"
            here = f"login_unix_socket: {server.socket}\n    login_port: {server.port}"
            with closing(server.connect(autocommit=True)) as connection:
                connection.execute("CREATE ROLE restore LOGIN SUPERUSER PASSWORD 'a secret'")
            server.admit("postgres")
        target.backup()
        for check in (["--check", "--diff"], []):
            before = target.databases()
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
            assert target.databases() - before >= (set() if check else {"shop", "shop_test"})
            if check:
                assert target.databases() == before
                assert re.search(rf"^\+{target.orders}: 100 rows$", output, re.MULTILINE)
        assert "Not in the backup: " in output
