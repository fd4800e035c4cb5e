# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in as `make service` runs it: after the lines that it prints, every command works with it, and with nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in import demo

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.once


@pytest.fixture
def demonstrated(world: Any) -> Iterator[Any]:
    """A world of which the environment has what the stand-in printed, a closed port for a proxy, and no authority."""
    command = [sys.executable, "-m", "stand_in", "--port", "0", "--speed", "20"]
    with subprocess.Popen(
        command, cwd=ROOT / "tests", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        printed = []
        while not (printed and printed[-1].startswith("Stop it")):
            printed.append(process.stdout.readline())
        exports = dict(re.findall(r"^export (\w+)=(\S+)$", "".join(printed), re.MULTILINE))
        world.environment = {**world.environment, "REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "", **exports}
        yield world
        process.terminate()
    # Whatever was asked went to the service that was started here.
    assert not world.proxy.asked_for


def test_every_plugin(demonstrated: Any) -> None:
    """Without a word of where the service is."""
    output = demonstrated.play(f"""
- name: Ask for everything
  hosts: localhost
  gather_facts: false
  vars:
    one: {{instance_name: {demo.MYSQL}}}
  module_defaults:
    group/apsaradb.backup.all:
      max_retries: 0
  tasks:
    - apsaradb.backup.dbs_download_task_info: {{instance_name: {demo.MYSQL}}}
    - apsaradb.backup.dbs_download_support_info: {{instance_name: {demo.MYSQL}}}
    - apsaradb.backup.dbs_backup_set_info: {{instance_name: [{demo.MYSQL}, {demo.POLARDB}]}}
    - apsaradb.backup.dbs_download_task:
        instance_name: {demo.IDLE}
        backup_set_id: latest
        format: CSV
        wait: true
        poll_interval: 0.2
      register: created
    # Whether tasks are still live by then is a matter of time.
    - apsaradb.backup.dbs_download_task_wait: {{instance_name: {demo.POLARDB}, backup_set_id: {demo.POLARDB_SET}}}
    - apsaradb.backup.dbs_download_task_wait: {{instance_name: {demo.SINGAPORE}, on_nothing: skip, poll_interval: 0.2, region: ap-southeast-1}}
    - apsaradb.backup.dbs_download_location_info:
        instance_name: {demo.IDLE}
        task_ids: "{{{{ created.task.task_id }}}}"
      no_log: true
    - apsaradb.backup.dbs_download_file:
        task_id: "{{{{ created.task.task_id }}}}"
        dest: "{{{{ playbook_dir }}}}/backup.tar.gz"
    - apsaradb.backup.dbs_download_file:
        oss_path: oss://{demo.BUCKET}
        dest: "{{{{ playbook_dir }}}}/exports/"
    - apsaradb.backup.dbs_download_extract:
        src: "{{{{ playbook_dir }}}}/backup.tar.gz"
        dest: "{{{{ playbook_dir }}}}/backup"
    - ansible.builtin.get_url:
        url: "{{{{ lookup('apsaradb.backup.dbs_download_location', '{demo.TASK}') }}}}"
        dest: "{{{{ playbook_dir }}}}/again.tar.gz"
      no_log: true
""")
    assert "failed=0" in output
    assert list((demonstrated.directory / "backup").iterdir())
    assert list((demonstrated.directory / "exports").rglob("*.tar.gz"))


@pytest.mark.parametrize(
    ("playbook", "variables", "words"),
    [
        ("list_download_tasks", {"instance_name": demo.MYSQL}, demo.TASK),
        (
            "create_download",
            {"instance_name": demo.IDLE, "format": "CSV", "poll_interval": 0.2},
            "http://127.0.0.1:",
        ),
        # A set whose task is finished: whether another is still live by then is a matter of time.
        (
            "wait_and_locate",
            {"instance_name": demo.POLARDB, "backup_set_id": demo.POLARDB_SET, "poll_interval": 0.2},
            "http://127.0.0.1:",
        ),
    ],
)
def test_every_playbook(demonstrated: Any, playbook: str, variables: dict[str, Any], words: str) -> None:
    given = ("-e", json.dumps(variables), "-e", demonstrated.interpreter)
    output = demonstrated.run("ansible-playbook", f"apsaradb.backup.{playbook}", *given)
    assert words in output


def test_every_task_that_is_live_comes_to_its_end() -> None:
    from stand_in import StandIn

    with StandIn(key=demo.KEY) as service:
        demo.seed(service)
        tasks = list(service.account.tasks())
        live = [task for task in tasks if task.state(service.clock.now()) not in ("finished", "failed", "expired")]
        assert len(live) >= 4
        service.advance(3600)
        assert {task.state(service.clock.now()) for task in tasks} <= {"finished", "failed", "expired"}
