# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the modules that somebody ends, while they load: in processes of their own, with all that Ansible does to them."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.tuning import ORPHAN_TIMEOUT
from copies import LIMIT
from databases import MariaDB, MySQL, PostgreSQL
from downloads import CLOCK
from exports import Export, mysql_tables, postgresql_tables
from jobs import JobController
from processes import started, until
from restores import MySQLTarget, PostgreSQLTarget, archive, arguments_of, restore

pytestmark = pytest.mark.slow

Result = dict[str, Any]

#: What a job does is the same for all servers of an engine.
ENGINES = [MariaDB, PostgreSQL]


class Scene:
    """A restore into a server that already has what another one has recorded of itself.

    ``arguments`` are those of its module.
    """

    def __init__(self, server: Any, directory: Path) -> None:
        self.is_mysql = not isinstance(server, PostgreSQL)
        self.server = server
        self.target: Any = MySQLTarget(server) if self.is_mysql else PostgreSQLTarget(server)
        self.where: dict[str, Any] = {} if self.is_mysql else {"database": "shop"}
        self.module = f"ansible_collections.apsaradb.backup.plugins.modules.dbs_restore_{'mysql' if self.is_mysql else 'postgresql'}"
        other = self.export("customers")
        (directory / "other").mkdir()
        restore(self.target, archive(other, directory / "other"))
        self.target.query("DELETE FROM apsaradb_restore.pieces", **self.where)
        self.wanted = self.export("orders")
        self.arguments = arguments_of(server, archive(self.wanted, directory))
        if self.is_mysql:
            self.arguments["time_zone"] = "UTC"

    def export(self, name: str) -> Export:
        export = (mysql_tables if self.is_mysql else postgresql_tables).export(["shop"])
        export.databases[0].tables = [export.databases[0].table(name)]
        return export

    @contextmanager
    def held(self, statement: str = "") -> Iterator[None]:
        """Have a restore wait when it records its first piece; or at what waits for another statement."""
        if self.is_mysql:
            with closing(self.server.connect(autocommit=False)) as other, other.cursor() as cursor:
                # The gap after the last row, of which there is none.
                cursor.execute(statement or "SELECT * FROM apsaradb_restore.pieces FOR UPDATE")
                yield
        else:
            with self.server.connect(dbname="shop") as other:
                other.execute("LOCK TABLE apsaradb_restore.pieces IN SHARE MODE")
                yield

    def waits(self) -> bool:
        """Whether a restore waits for a row or a table."""
        if not self.is_mysql:
            waiting = (
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'apsaradb.backup' AND wait_event_type = 'Lock'"
            )
            return bool(self.target.query(waiting))
        tables = "SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for % lock'"
        return bool(self.target.lock_waits() or self.target.query(tables))

    def check(self) -> None:
        """Run the module to its end."""
        with started(self.module, self.arguments) as process:
            result = json.loads(process.outputs()[0])
        assert result.get("state") == "done", result
        self.target.check(self.wanted)


@pytest.fixture
def scene(any_server: Any, tmp_path: Path) -> Scene:
    return Scene(any_server, tmp_path)


@pytest.fixture
def setting(scene: Scene) -> Iterator[None]:
    """Have the restore set local_infile of the server, which is off."""
    if scene.is_mysql:
        scene.target.query("SET GLOBAL local_infile = 0")
        scene.arguments["local_infile"] = "set"
    yield
    if scene.is_mysql:
        scene.target.query("SET GLOBAL local_infile = 1")


def assert_left_clean(scene: Scene) -> None:
    """While it is held: no session of the restore is left, and all settings are as they were."""
    # In MySQL, nothing tells the session that holds it from one of the restore.
    until(lambda: len(scene.target.sessions()) == scene.is_mysql)
    if scene.is_mysql:
        assert scene.target.query("SELECT @@GLOBAL.local_infile") == [(0,)]
        assert scene.target.query("SELECT * FROM apsaradb_restore.settings") == []


def ended(scene: Scene) -> Result:
    """The result of a run that is sent a signal while it waits."""
    with started(scene.module, scene.arguments) as process:
        until(scene.waits)
        if scene.is_mysql:
            assert scene.target.query("SELECT @@GLOBAL.local_infile") == [(1,)]
        process.send_signal(signal.SIGTERM)
        result: Result = json.loads(process.outputs()[0])
    assert process.returncode == 1
    assert result["failed"] is True
    assert result["error"] == {"kind": "interruption"}
    assert result["msg"] == "Interrupted by SIGTERM. What is loaded is kept: run it again to continue."
    return result


@pytest.mark.usefixtures("setting")
def test_a_run_that_is_sent_a_signal_while_its_sessions_load(scene: Scene) -> None:
    with scene.held():
        assert ended(scene)["state"] == "loading"
        assert_left_clean(scene)
    scene.check()


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("any_server", [MySQL, MariaDB], indirect=True)
def test_a_run_that_is_sent_a_signal_while_it_makes_tables(scene: Scene) -> None:
    """The signal ends the connection that has changed the settings: another one puts them back."""
    with scene.held():
        ended(scene)
    # As if it had been killed before it could record that the table is there: the next run looks into it.
    scene.target.query("UPDATE apsaradb_restore.tables SET state = 'planned' WHERE target_name = 'orders'")
    with scene.held("LOCK TABLES shop.orders WRITE"):
        ended(scene)
        assert scene.target.query("SELECT @@GLOBAL.local_infile") == [(0,)]
    until(lambda: not scene.target.sessions())
    assert scene.target.query("SELECT * FROM apsaradb_restore.settings") == []
    scene.check()


@pytest.mark.parametrize("any_server", ENGINES, indirect=True)
def test_a_job_that_is_killed_is_begun_again(scene: Scene, tmp_path: Path) -> None:
    controller = JobController(scene.module, scene.arguments, tmp_path)
    with scene.held():
        controller.step()
        until(scene.waits)
        controller.kill()
        assert controller.step()["_job"]["directory"] is None
    until(lambda: not scene.target.sessions())
    result = controller.run()
    assert (result["state"], result["changed"]) == ("done", True)
    scene.target.check(scene.wanted)


@pytest.mark.parametrize("any_server", ENGINES, indirect=True)
@pytest.mark.usefixtures("setting")
def test_a_job_that_ansible_stops(scene: Scene, tmp_path: Path) -> None:
    controller = JobController(scene.module, scene.arguments, tmp_path)
    with scene.held():
        controller.step()
        until(scene.waits)
        controller.begin["stop"] = True
        result = controller.step()
        assert result["failed"] is True
        assert "Ansible stopped it. What is loaded is kept: run it again to continue." in result["msg"]
        assert_left_clean(scene)
    scene.check()


@pytest.mark.parametrize("any_server", ENGINES, indirect=True)
@pytest.mark.usefixtures("setting")
def test_a_job_that_nobody_follows_ends(scene: Scene, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    controller = JobController(scene.module, scene.arguments, tmp_path, CLOCK.format(path=str(clock)))
    with scene.held():
        controller.step()
        until(scene.waits)
        clock.with_suffix(".new").write_text(str(2 * ORPHAN_TIMEOUT))
        clock.with_suffix(".new").replace(clock)
        until(lambda: not list(controller.remote_tmp.iterdir()))
        assert_left_clean(scene)
    scene.check()


def test_two_runs_at_once(scene: Scene) -> None:
    with scene.held(), started(scene.module, scene.arguments) as first:
        until(scene.waits)
        with started(scene.module, scene.arguments) as second:
            refused = json.loads(second.outputs()[0])
        assert refused["failed"] is True
        assert refused["error"]["kind"] == "conflict"
        kind = "connection" if scene.is_mysql else "process"
        said = [
            f"another run restores into the database shop, by {kind} {one} of the server"
            for one in scene.target.sessions()
        ]
        assert any(one in refused["msg"] for one in said), (refused["msg"], said)
        first.kill()
        first.outputs()
    until(lambda: not scene.target.sessions())
    scene.check()


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
def test_a_run_that_has_loaded_nothing_does_not_say_that_it_is_kept(engine: str, tmp_path: Path) -> None:
    export = (mysql_tables if engine == "mysql" else postgresql_tables).export(["shop"])
    arguments = {"src": str(archive(export, tmp_path)), "login_host": "127.0.0.1"}
    module = f"ansible_collections.apsaradb.backup.plugins.modules.dbs_restore_{engine}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LIMIT)
        arguments["login_port"] = server.getsockname()[1]
        with started(module, arguments) as process:
            waiting, _address = server.accept()
            with waiting:  # for a word of the server
                process.send_signal(signal.SIGTERM)
                result: Result = json.loads(process.outputs()[0])
    assert result["failed"] is True
    assert result["msg"] == "Interrupted by SIGTERM."
