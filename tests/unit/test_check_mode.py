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
import yaml
from stand_in import StandIn, archive, exports

from .conftest import Module

INSTANCE = "rm-bp1abc"
MODULES = sorted(path.stem for path in (Path(__file__).parents[2] / "plugins" / "modules").glob("dbs_*.py"))

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


SCENARIOS: list[tuple[str, Scenario]] = [
    ("dbs_backup_set_info", backup_sets),
    ("dbs_download_extract", unpack),
    ("dbs_download_file", fetch),
    ("dbs_download_location_info", finished),
    ("dbs_download_support_info", support),
    ("dbs_download_task", create),
    ("dbs_download_task", found),
    ("dbs_download_task", retry),
    ("dbs_download_task_info", finished),
    ("dbs_download_task_wait", finished),
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
    arguments = scenario(service, asked, tmp_path)
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


def test_each_module_has_a_scenario() -> None:
    assert sorted({module for module, dummy in SCENARIOS}) == MODULES
