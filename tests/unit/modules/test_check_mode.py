# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What check mode returns has the shape of what a run returns, in each module: playbooks go on with either."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import restores
import yaml
from exports import mysql_tables, postgresql_tables
from stand_in import StandIn, archive, exports

from ..conftest import Module

INSTANCE = "rm-bp1abc"
MODULES = sorted(path.stem for path in (Path(__file__).parents[3] / "plugins" / "modules").glob("dbs_*.py"))

Arguments = dict[str, Any]
Scenario = Callable[[StandIn, Arguments, Path], Arguments]


def finished(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    service.add_task(INSTANCE, task_id="dt-one")
    return {**asked, "task_ids": ["dt-one"]}


def create(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    service.add_backup(INSTANCE)
    return {**asked, "backup_set_id": "latest", "format": "CSV", "rds_endpoint": service.url}


def found(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    service.add_task(INSTANCE, backup_set_id="7")
    return {**asked, "backup_set_id": "7", "format": "CSV"}


def retry(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    service.add_task(INSTANCE, state="failed")
    return {**asked, "state": "retried"}


def backup_sets(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    service.add_backup(INSTANCE)
    return {**asked, "rds_endpoint": service.url, "latest": True}


def support(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    service.add_instance(INSTANCE)
    return asked


def fetch(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    task = service.add_task(INSTANCE, task_id="dt-one")
    service.put_object(task, b"data")
    return {"url": exports.link(service, task, 600, internal=False), "dest": f"{path}/file"}


def unpack(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    (path / "backup").write_bytes(archive.gz(archive.tar("root", ["orders"], "csv", 1.6e9)))
    return {"src": f"{path}/backup", "dest": f"{path}/dest"}


PREDICTED = "dt-would-be-created"


def predicted(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    """The ID that the creation of a task gives in check mode."""
    service.add_task(INSTANCE, task_id=PREDICTED)
    return {**asked, "task_ids": [PREDICTED]}


def fetch_predicted(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    """As the action plugin hands it to the module."""
    link = fetch(service, asked, path)["url"]
    return {"task_id": PREDICTED, "_links": [link], "dest": f"{path}/file"}


def create_and_wait(service: StandIn, asked: Arguments, path: Path) -> Arguments:
    service.habits.life_cycle = [("finished", None)]
    return {**create(service, asked, path), "wait": True}


SCENARIOS: list[tuple[str, Scenario]] = [
    ("dbs_backup_set_info", backup_sets),
    ("dbs_download_extract", unpack),
    ("dbs_download_file", fetch),
    ("dbs_download_file", fetch_predicted),
    ("dbs_download_location_info", finished),
    ("dbs_download_location_info", predicted),
    ("dbs_download_support_info", support),
    ("dbs_download_task", create),
    ("dbs_download_task", create_and_wait),
    ("dbs_download_task", found),
    ("dbs_download_task", retry),
    ("dbs_download_task_info", finished),
    ("dbs_download_task_wait", finished),
    ("dbs_download_task_wait", predicted),
]


def promised(documented: dict[str, Any]) -> Iterator[str]:
    """What is there whenever the module succeeds."""
    for name, value in documented.items():
        returned = str(value.get("returned", "success"))
        returned = returned.replace(", without O(query_only=true)", "")
        if re.match(r"success|always", returned) and not re.search(r"check mode|O\(", returned):
            yield name


def lacking(documented: dict[str, Any], result: dict[str, Any], prefix: str = "") -> list[str]:
    found = [prefix + name for name in promised(documented) if name not in result]
    for name, value in documented.items():
        inner = result.get(name)
        for one in inner if isinstance(inner, list) else [inner]:
            if "contains" in value and isinstance(one, dict):
                found += lacking(value["contains"], one, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize(("module", "scenario"), SCENARIOS)
def test_check_mode_returns_all_that_a_run_returns(
    service: StandIn, asked: dict[str, Any], tmp_path: Path, module: str, scenario: Scenario
) -> None:
    compare(module, scenario(service, asked, tmp_path))


def compare(module: str, arguments: Arguments) -> None:
    documented = yaml.safe_load(
        importlib.import_module(f"ansible_collections.apsaradb.backup.plugins.modules.{module}").RETURN
    )
    planned = Module(module)({**arguments, "_ansible_check_mode": True})
    assert not planned.get("failed"), planned
    assert lacking(documented, planned) == []
    done = Module(module)(arguments)
    assert lacking(documented, done) == []
    for name in promised(documented):
        if isinstance(done[name], dict) and done[name]:
            assert planned[name].keys() == done[name].keys(), name
    assert planned["changed"] == done["changed"]


def test_check_mode_of_a_restore_into_mysql(mariadb: Any, tmp_path: Path) -> None:
    source = restores.archive(mysql_tables.export(), tmp_path)
    login = {"login_unix_socket": mariadb.socket, "login_user": mariadb.user, "login_password": mariadb.password}
    compare("dbs_restore_mysql", {"src": str(source), "time_zone": "+00:00", **login})


def test_check_mode_of_a_restore_into_postgresql(postgresql: Any, tmp_path: Path) -> None:
    source = restores.archive(postgresql_tables.export(), tmp_path)
    login = {
        "login_unix_socket": postgresql.socket,
        "login_user": postgresql.user,
        "login_password": postgresql.password,
    }
    compare("dbs_restore_postgresql", {"src": str(source), **login})


def test_each_module_has_a_scenario() -> None:
    tested = {module for module, _unused in SCENARIOS} | {"dbs_restore_mysql", "dbs_restore_postgresql"}
    assert sorted(tested) == MODULES


# The task that would be created


@pytest.mark.parametrize("more", [{}, {"instance_name": INSTANCE}, {"presign": True, "bucket": "mine"}])
def test_nobody_is_asked_for_a_task_that_would_be_created(
    service: StandIn, asked: Arguments, location_info: Module, wait: Module, more: Arguments
) -> None:
    check = {**asked, "task_ids": [PREDICTED], "_ansible_check_mode": True}
    located = location_info({**check, **more})
    assert PREDICTED in str(located["warnings"])
    assert located["locations"][0]["url"].startswith("https://dt-would-be-created.invalid/")
    waited = wait(check)
    assert waited["download_tasks"][0]["download_status"] == "finished"
    assert (waited["changed"], waited["missing_ids"]) == (False, [])
    assert PREDICTED in str(waited["warnings"])
    assert not service.calls
    assert not service.transfers


def test_others_are_asked_for_beside_it(
    service: StandIn, asked: Arguments, location_info: Module, wait: Module
) -> None:
    service.add_task(INSTANCE, task_id="dt-one")
    check = {**asked, "task_ids": ["dt-one", PREDICTED], "_ansible_check_mode": True}
    assert {task["task_id"] for task in wait(check)["download_tasks"]} == {"dt-one", PREDICTED}
    located = location_info(check)["locations"]
    assert "Signature=" in located[0]["url"]
    assert "Signature=" not in located[1]["url"]
    assert [call.params["TaskId"] for call in service.calls_of("DescribeDownloadBackupSetStorageInfo")] == ["dt-one"]


def test_without_check_mode_it_is_an_id_as_any_other(
    service: StandIn, asked: Arguments, location_info: Module, wait: Module
) -> None:
    service.add_instance(INSTANCE)
    arguments = {**asked, "task_ids": [PREDICTED]}
    assert "task 'dt-would-be-created' does not exist" in location_info(arguments)["msg"]
    assert "was not found" in wait({**arguments, "appear_timeout": 0})["msg"]


@pytest.mark.parametrize("named", ["task_ids", "backup_set_ids"])
def test_a_task_that_has_expired(service: StandIn, asked: Arguments, wait: Module, named: str) -> None:
    """Nothing cures it but a new task, which an earlier step may create for the backup set."""
    service.add_task(INSTANCE, task_id="dt-old", backup_set_id="7", state="expired")
    arguments = {**asked, named: {"task_ids": "dt-old", "backup_set_ids": "7"}[named], "appear_timeout": 0}
    planned, done = wait({**arguments, "_ansible_check_mode": True}), wait(arguments)
    said = "dt-old of rm-bp1abc is expired at 10/10 tables, 100 %: its files are gone, create a new task."
    assert ": 1 expired. " + said in done["msg"]
    if named == "task_ids":
        assert ": 1 expired. " + said in planned["msg"]
        assert planned["error"] == done["error"]
    else:
        assert f"Without check mode, this fails: {said}" in str(planned["warnings"])


def test_a_task_that_has_failed(service: StandIn, asked: Arguments, wait: Module) -> None:
    service.add_task(INSTANCE, task_id="dt-bad", state="failed")
    check = {**asked, "task_ids": "dt-bad", "_ansible_check_mode": True}
    assert "Without check mode, this fails: dt-bad of rm-bp1abc is failed" in str(wait(check)["warnings"])
    assert "warnings" not in wait({**check, "retries": 1})
    assert "warnings" not in wait({**check, "until": "ended"})


def test_an_archive_that_is_not_there_yet(extract: Module, tmp_path: Path) -> None:
    arguments = {"src": f"{tmp_path}/backup", "dest": f"{tmp_path}/dest"}
    assert "does not exist" in extract(arguments)["msg"]
    planned = extract({**arguments, "_ansible_check_mode": True})
    assert planned["changed"] is True
    assert f"{tmp_path}/backup does not exist now" in str(planned["warnings"])
    assert not list(tmp_path.iterdir())
    assert "is the root directory" in extract({**arguments, "dest": "/", "_ansible_check_mode": True})["msg"]
