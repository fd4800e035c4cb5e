# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The waiting module, its action plugin and its progress, by Ansible's own commands."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Any

import pytest
from processes import Process, interrupt, until
from stand_in import Fault

INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
ASKED = f"region=cn-hangzhou instance_name={INSTANCE}"
WAIT = "apsaradb.backup.dbs_download_task_wait"
QUICK = [("running", 1e4), ("finished", None)]
POLLS = 4
"""A task with that schedule is finished after so many polls, once `quickly` is called, however fast this machine is."""


def wait(world: Any, arguments: str, *options: str, check: bool = True, **environment: str) -> Any:
    output = world.ad_hoc(arguments, *options, module="dbs_download_task_wait", check=check, **environment)
    return json.loads(output[output.index("=> {") + 3 :])


def quickly(world: Any) -> None:
    world.service.habits.seconds_per_list = 1e4 / POLLS


def finish(world: Any) -> None:
    """Let the task that is running finish soon."""
    (task,) = [task for task in world.service.account.tasks() if task.task_id == "dt-a1b2c3d4e5f2"]
    task.follow(QUICK, world.service.clock.now())
    quickly(world)


def test_progress_is_printed(world: Any) -> None:
    schedule = [("running", 1e6), ("finished", None)]
    world.service.habits.seconds_per_list = 1e3  # a table is done with each list
    tasks = [
        world.service.add_task(INSTANCE, task_id=f"dt-{number}", schedule=schedule, tables=1000) for number in range(2)
    ]

    def end() -> None:
        for task in tasks:
            task.follow([("finished", None)], world.service.clock.now())

    world.once_said(lambda log: " tables/min, about " in log, end)
    result = wait(world, f"{ASKED} poll_interval=0.2 poll_interval_max=0.2 progress_interval=1")
    lines = [line for line in world.output.splitlines() if line.startswith("[localhost] dt-0 of ")]
    assert "running" in lines[0]
    assert any("/1000 tables, " in line and " tables/min, about " in line and " left, " in line for line in lines)
    assert lines[-1].startswith(f"[localhost] dt-0 of {INSTANCE}: finished, 1000/1000 tables, 100 %")
    assert result["count_by_status"]["finished"] == 2
    assert result["polls"] == len(world.service.calls)
    assert "first_progress" not in world.output


def test_a_job_has_the_code_that_it_needs_when_the_run_that_started_it_is_over(world: Any) -> None:
    """Only then the service refuses, and what knows the hints is needed for the first time."""
    world.service.add_task(INSTANCE, task_id="dt-one", schedule=[("running", 1e6), ("finished", None)])

    def fail() -> None:
        world.service.inject(Fault("error", status=403, code="Forbidden.RAM", times=1000))

    # The second line is that of a later run.
    world.once_said(lambda log: log.count("[localhost] dt-one of ") > 1, fail)
    wait(world, f"{ASKED} poll_interval=0.2 poll_interval_max=0.2 progress_interval=1", check=False)
    assert "Forbidden.RAM" in world.output
    assert "not foreseen" not in world.output


@pytest.mark.parametrize("options", [["progress=false"], ["progress_interval=0.1"], ["progress=maybe"]])
def test_progress_is_not_printed(world: Any, options: list[str]) -> None:
    world.service.add_task(INSTANCE, task_id="dt-0", schedule=QUICK)
    quickly(world)
    result = wait(world, " ".join([ASKED, "poll_interval=0.2", *options]), check=options == ["progress=false"])
    assert "dt-0 of" not in world.output
    if options != ["progress=false"]:
        assert options[0].split("=")[0] in result["msg"]
        assert not world.service.calls


def test_how_it_gets_along_with_ansible(world: Any) -> None:
    """async, delegation, become, no_log, loops, check mode, and failures that are handled."""
    task = world.service.add_task(INSTANCE, task_id="dt-0", state="running")
    finished = [("finished", None)]
    said = f"] dt-0 of {INSTANCE}: running"
    world.once_said(lambda log: said in log, lambda: task.follow(finished, world.service.clock.now()))
    world.service.add_task("rm-bad", task_id="dt-bad", state="failed")
    output = world.play(
        f"""
- hosts: one
  gather_facts: false
  module_defaults:
    group/apsaradb.backup.all:
      region: cn-hangzhou
      instance_name: {INSTANCE}
      poll_interval: 0.2
      progress_interval: 1
  tasks:
    - name: Not in check mode
      {WAIT}:
      check_mode: true
      register: now

    - name: Silently
      {WAIT}:
        task_ids: [dt-0]
      no_log: true
      async: 60
      poll: 0
      register: job

    - name: Delegated, as another user
      {WAIT}:
        task_ids: [dt-0]
      delegate_to: two
      become: {os.geteuid() == 0}
      become_method: ansible.builtin.su
      register: elsewhere

    - name: Asynchronously
      {WAIT}:
        on_nothing: skip
      async: 60
      poll: 1
      register: later

    - name: The job that was begun first
      ansible.builtin.async_status:
        jid: "{{{{ job.ansible_job_id }}}}"
      register: silent
      until: silent.finished
      delay: 1
      retries: 20

    - name: A failure
      {WAIT}:
        instance_name: rm-bad
        task_ids: dt-bad
      register: bad
      ignore_errors: true

    - name: Compare
      ansible.builtin.assert:
        that:
          - now.pending_task_ids == ['dt-0']
          - now.polls == 1
          - elsewhere.count_by_status.finished == 1
          - later.count == 0
          - silent.count_by_status.finished == 1
          - bad is failed
          - bad.failed_task_ids == ['dt-bad']
    """,
        "-i",
        "one,two",
        "-c",
        "local",
    )
    assert f"dt-0 of {INSTANCE}: running" in output


def test_nothing_secret_at_any_verbosity(filled: Any) -> None:
    key = filled.service.key
    finish(filled)
    arguments = f"{ASKED} poll_interval=0.2 progress_interval=1"
    filled.ad_hoc(arguments, "-vvvvv", module="dbs_download_task_wait", ANSIBLE_DEBUG="1")
    for secret in (key.secret, key.id, "Signature="):
        assert secret not in filled.output


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_the_examples_of_the_documentation_run_as_they_stand(filled: Any, check: tuple[str, ...]) -> None:
    finish(filled)
    output = filled.play_examples("dbs_download_task_wait", *check)
    assert "failed=0" in output


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_ends_the_command_ends_the_waiting(world: Any, is_killed: bool) -> None:
    """Soon nobody asks any more: what waits on the host ends with its slice at the latest.

    A command that is killed leaves its worker, which has a session of its own.
    """
    world.service.add_task(INSTANCE, task_id="dt-0", state="running")
    process = Process(
        [
            *("ansible", "localhost", "-e", world.interpreter),
            *("-m", WAIT, "-a", f"{ASKED} poll_interval=0.2 progress_interval=2"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **world.environment, "PATH": world.path},
    )
    until(lambda: len(world.service.calls) >= 3 or process.poll() is not None)
    assert process.poll() is None, process.outputs()[0]
    if is_killed:
        process.kill()
    else:
        interrupt(process)
    process.outputs()
    assert process.returncode != 0

    def is_quiet() -> bool:
        calls = len(world.service.calls)
        time.sleep(2.0)
        return len(world.service.calls) == calls

    until(is_quiet)
