# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of progress: whose they are, who can switch them off, and that they are lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stand_in import Fault

INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
ASKED = f"region=cn-hangzhou instance_name={INSTANCE} poll_interval=0.2 poll_interval_max=0.2"
OFF = "APSARADB_BACKUP_PROGRESS"
INTERVAL = "APSARADB_BACKUP_PROGRESS_INTERVAL"


def add_task(world: Any, polls: int) -> None:
    """A task that finishes when it was asked for so often, however long that takes."""
    task = world.service.add_task(INSTANCE, task_id="dt-0", state="running", tables=100)

    def count(call: Any) -> None:
        if len(world.service.calls) >= polls:
            task.follow([("finished", None)], world.service.clock.now())

    world.service.on_call(count)


def add_task_until(world: Any, lines: int, state: str = "running") -> None:
    """A task that finishes when there were so many lines of it, however long that takes."""
    task = world.service.add_task(INSTANCE, task_id="dt-0", state=state, tables=100)
    finished = [("finished", None)]
    world.once_said(
        lambda said: said.count(" dt-0 of ") >= lines, lambda: task.follow(finished, world.service.clock.now())
    )


@pytest.fixture
def running(world: Any) -> Any:
    add_task(world, polls=4)
    return world


def waited(world: Any, arguments: str = "", check: bool = True, **environment: str) -> list[str]:
    """The lines that waiting prints."""
    output = world.ad_hoc(f"{ASKED} {arguments}", module="dbs_download_task_wait", check=check, **environment)
    return [line for line in output.splitlines() if " dt-0 of " in line]


def configuration(world: Any, text: str) -> dict[str, str]:
    path: Path = world.directory / "ansible.cfg"
    path.write_text(f"[apsaradb_backup]\n{text}\n")
    return {"ANSIBLE_CONFIG": str(path)}


def test_each_line_names_the_host(running: Any) -> None:
    lines = waited(running)
    assert lines
    assert all(line.startswith(f"[localhost] dt-0 of {INSTANCE}: ") for line in lines)


def test_each_line_names_who_does_it_for_the_host(world: Any) -> None:
    task = world.service.add_task(INSTANCE, task_id="dt-0", state="running", tables=100)
    lines = [f"[{host} -> localhost] dt-0 of {INSTANCE}: " for host in ("one", "two")]
    world.once_said(
        lambda said: all(line in said for line in lines),
        lambda: task.follow([("finished", None)], world.service.clock.now()),
    )
    play = f"""
- hosts: one,two
  gather_facts: false
  tasks:
    - apsaradb.backup.dbs_download_task_wait:
        region: cn-hangzhou
        instance_name: {INSTANCE}
        poll_interval: 0.2
      delegate_to: localhost
"""
    output = world.play(play, "-i", "one,two,", "-c", "local")
    assert all(line in output for line in lines)


def test_the_environment_switches_them_off(running: Any) -> None:
    assert not waited(running, **{OFF: "false"})


def test_the_configuration_switches_them_off(running: Any) -> None:
    assert not waited(running, **configuration(running, "progress = false"))


def test_the_environment_wins_over_the_configuration(running: Any) -> None:
    assert waited(running, **{OFF: "true"}, **configuration(running, "progress = false"))


def test_a_task_wins_over_both(world: Any) -> None:
    add_task_until(world, lines=4)
    environment = {OFF: "false", INTERVAL: "86400"}
    assert len(waited(world, "progress=true progress_interval=1", **environment)) >= 4


def test_an_empty_variable_says_nothing(running: Any) -> None:
    assert waited(running, **{OFF: "", INTERVAL: ""})


@pytest.mark.once
@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ({OFF: "maybe"}, "give true or false"),
        ({INTERVAL: "often"}, "give 1 to 86400 seconds"),
        ({INTERVAL: "0.5"}, "give 1 to 86400 seconds"),
    ],
)
def test_a_setting_that_is_none(running: Any, setting: dict[str, str], allowed: str) -> None:
    assert not waited(running, check=False, **setting)
    ((name, value),) = setting.items()
    assert name in running.output
    assert repr(value) in running.output
    assert allowed in running.output
    assert not running.service.calls


def test_the_interval_of_the_configuration(world: Any) -> None:
    """Of a task whose state does not change, a line comes at each interval only."""
    add_task_until(world, lines=4)
    assert len(waited(world, **configuration(world, "progress_interval = 1"))) >= 4


@pytest.mark.once
@pytest.mark.parametrize("state", ["\x1b]0;owned\x07", "\x9b31mred", "run\u202ening", "a\nb"])
def test_a_state_is_no_command_for_a_terminal(world: Any, state: str) -> None:
    add_task_until(world, lines=1, state=state)
    lines = waited(world)
    assert f"{state.encode('unicode_escape').decode()}, " in lines[0]
    assert not [letter for letter in world.output if not letter.isprintable() and letter != "\n"]


@pytest.mark.once
def test_a_message_is_no_command_for_a_terminal(world: Any) -> None:
    world.service.inject(Fault("error", status=403, code="Forbidden.RAM", message="\x1b[31mred"))
    waited(world, check=False)
    assert "\\\\x1b[31mred" in world.output
    assert not [letter for letter in world.output if not letter.isprintable() and letter != "\n"]
