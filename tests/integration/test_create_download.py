# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding, creating and retrying, by Ansible's own commands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.job_protocol import HIDDEN_OPTIONS

INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
CLUSTER = "pc-bp9z8y7x6w5v4u3t2"
QUICK = [("running", 1.0), ("finished", None)]


@pytest.fixture
def stocked(filled: Any) -> Any:
    """With backup sets, and a slot that becomes free."""
    for instance in (INSTANCE, CLUSTER):
        filled.service.add_backup(instance, backup_id="1482610009", size=2 << 30, mode="Manual")
    for task in filled.service.account.tasks():
        if task.task_id == "dt-a1b2c3d4e5f2":
            task.follow(QUICK, filled.service.clock.now())
        if task.task_id == "dt-a1b2c3d4e5f3":
            task.follow([("finished", None)], filled.service.clock.now())
    filled.service.habits.life_cycle = QUICK
    return filled


@pytest.mark.parametrize("plugin", ["dbs_backup_set_info", "dbs_download_support_info"])
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_the_examples_that_only_read(stocked: Any, plugin: str, check: tuple[str, ...]) -> None:
    output = stocked.play_examples(plugin, *check)
    assert "failed=0" in output
    assert "changed=0" in output


def test_the_examples_that_create(stocked: Any) -> None:
    output = stocked.play_examples("dbs_download_task", "--diff")
    assert "2147483648 bytes, 0.0625 USD" in output
    assert "+task_id: dt-" in output
    assert [task.parameters["InstanceName"] for task in stocked.service.created] == [INSTANCE, CLUSTER]
    again = stocked.play_examples("dbs_download_task")
    assert "changed=0" in again.replace("changed=1", "changed=0", 1)  # what check mode says of the first example
    assert len(stocked.service.created) == 2


PLAYBOOK = """
- name: Create a task when the slot is free
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Create it
      apsaradb.backup.dbs_download_task:
        region: cn-hangzhou
        instance_name: rm-bp1a2b3c4d5e6f7g8
        backup_set_id: latest
        format: Parquet
        wait: true
        wait_for_slot: true
        poll_interval: 0.5
        progress_interval: 1
      register: created
"""


def test_progress_while_it_waits(stocked: Any) -> None:
    """Each task ends once it was named."""
    service = stocked.service
    service.habits.life_cycle = [("running", None)]
    (blocking,) = (task for task in service.account.tasks() if task.task_id == "dt-a1b2c3d4e5f2")
    blocking.follow([("running", None)], service.clock.now())

    def finish(task: Any) -> None:
        task.follow([("finished", None)], service.clock.now())

    def created_one_is_named(said: str) -> bool:
        return bool(service.created) and f"{service.created[0].task_id} of {INSTANCE}: running, " in said

    stocked.once_said(lambda said: "blocking: dt-a1b2c3d4e5f2 of" in said, lambda: finish(blocking))
    stocked.once_said(created_one_is_named, lambda: finish(service.created[0]))
    output = stocked.play(PLAYBOOK)
    assert "\n[localhost] blocking: dt-a1b2c3d4e5f2 of rm-bp1a2b3c4d5e6f7g8: running, " in output
    (created,) = service.created
    assert f"\n[localhost] {created.task_id} of rm-bp1a2b3c4d5e6f7g8: running, " in output
    assert "changed=1" in output


@pytest.mark.parametrize("keywords", ["async: 300\n      poll: 1", "no_log: true", "check_mode: true"])
def test_no_progress_is_shown(stocked: Any, keywords: str) -> None:
    stocked.service.habits.seconds_per_list = 1.0
    output = stocked.play(PLAYBOOK.replace("register: created", keywords))
    assert "running" not in output
    assert "changed=1" in output
    assert len(stocked.service.created) == ("check" not in keywords)


FOLLOWED = ["dbs_download_task", "dbs_download_task_wait", "dbs_download_file", "dbs_download_extract"]


def test_what_is_between_module_and_action_plugin_is_no_option(stocked: Any) -> None:
    """Nor do the errors for other options name it."""
    play = """
- hosts: localhost
  gather_facts: false
  tasks:
"""
    for module in FOLLOWED:
        for option in (*HIDDEN_OPTIONS, "nonsense"):
            play += f"""
    - apsaradb.backup.{module}:
        {option}: {{}}
      ignore_errors: true
"""
    output = stocked.play(play)
    for module in FOLLOWED:
        for option in (*HIDDEN_OPTIONS, "nonsense"):
            said = f"Unsupported parameters for (apsaradb.backup.{module}) module: {option}. Supported parameters include: "
            found = [line for line in output.splitlines() if said in line]
            assert found, said
            supported = found[0].partition("Supported parameters include: ")[2].partition(")")[0]
            assert "progress_interval" in supported
            assert not set(HIDDEN_OPTIONS) & set(re.findall(r"\w+", supported))
    assert not stocked.service.calls


CHAIN = """
- name: From a backup set to its unpacked files
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/apsaradb.backup.all:
      region: cn-hangzhou
  tasks:
    - name: Create it
      apsaradb.backup.dbs_download_task:
        instance_name: rm-bp1a2b3c4d5e6f7g8
        backup_set_id: latest
        format: CSV
        wait_for_slot: true
      register: created

    - name: Wait for it
      apsaradb.backup.dbs_download_task_wait:
        instance_name: rm-bp1a2b3c4d5e6f7g8
        task_ids: "{{ created.task.task_id }}"
      register: waited

    - name: Locate its files
      apsaradb.backup.dbs_download_location_info:
        instance_name: rm-bp1a2b3c4d5e6f7g8
        task_ids: "{{ waited.download_tasks | map(attribute='task_id') }}"
      register: located

    - name: Look them up
      ansible.builtin.debug:
        msg: "looked up {{ query('apsaradb.backup.dbs_download_location', created.task, region='cn-hangzhou') | length }}"
      when: located.locations[0].url is truthy

    - name: Look them up by the ID
      ansible.builtin.debug:
        msg: "by ID {{ query('apsaradb.backup.dbs_download_location', created.task.task_id, region='cn-hangzhou') | length }}"

    - name: Fetch them
      apsaradb.backup.dbs_download_file:
        task_id: "{{ waited.download_tasks[0].task_id }}"
        dest: "{{ playbook_dir }}/{{ waited.download_tasks[0].task_id }}.tar.gz"
      register: fetched

    - name: Unpack them
      apsaradb.backup.dbs_download_extract:
        src: "{{ fetched.dest }}"
        dest: "{{ playbook_dir }}/unpacked"
"""


def test_the_whole_way_in_check_mode(stocked: Any) -> None:
    output = stocked.play(CHAIN, "--check")
    assert "changed=3" in output
    assert "looked up 1" in output
    assert "by ID 1" in output
    text = " ".join(output.split())
    assert "The task dt-would-be-created does not exist yet" in text
    assert "dt-would-be-created.tar.gz does not exist now" in text
    assert not stocked.service.created
    assert not stocked.service.transfers
    assert not list(stocked.directory.glob("*.tar.gz"))
    assert not (stocked.directory / "unpacked").exists()
    assert not stocked.service.calls_of("DescribeDownloadBackupSetStorageInfo")


def test_the_whole_way(stocked: Any) -> None:
    # The lookup takes a task for what it was when it was created.
    output = stocked.play(CHAIN.replace("created.task, region", "waited.download_tasks[0], region"))
    assert "changed=3" in output
    assert list((stocked.directory / "unpacked").iterdir())


def create(world: Any, *options: str, check: bool = True) -> str:
    output: str = world.run(
        "ansible-playbook",
        "apsaradb.backup.create_download",
        "-e",
        f"instance_name={INSTANCE} region=cn-hangzhou format=CSV poll_interval=0.5 {world.interpreter}",
        *options,
        check=check,
    )
    return output


def test_from_an_instance_to_its_files(stocked: Any) -> None:
    checked = create(stocked, "--check")
    assert "Would create task dt-would-be-created for backup set 1482610009 of " in checked
    assert "2.00 GB, a fee of about 0.06 USD" in checked
    assert not stocked.service.created
    output = create(stocked)
    task_id = stocked.service.created[0].task_id
    assert f"Created task {task_id} for backup set 1482610009" in output
    assert f"{task_id}_1482610009.tar.gz until 20" in output
    again = create(stocked)
    assert f"Nothing to create. Found task {task_id} for backup set 1482610009" in again
    assert "changed=0" in again
    assert len(stocked.service.created) == 1
    for secret in ("Signature=", stocked.service.key.secret):
        assert secret not in output


@pytest.mark.once
def test_a_backup_set_whose_size_is_not_told(stocked: Any) -> None:
    stocked.service.add_backup(
        INSTANCE, backup_id="1482610099", started=stocked.service.clock.now(), extra={"BackupSize": None}
    )
    assert "for backup set 1482610099 of 20" in (checked := create(stocked, "--check"))
    assert "size unknown" in checked
    assert "_1482610099.tar.gz until 20" in create(stocked)
    assert len(stocked.service.created) == 1


@pytest.mark.once
def test_a_failed_task_is_retried(stocked: Any) -> None:
    stocked.service.habits.life_cycle = [("running", 0.5), ("failed", None)]
    stocked.service.habits.retry_life_cycle = QUICK
    output = create(stocked)
    assert stocked.service.created[0].retries == 1
    assert ".tar.gz until 20" in output


@pytest.mark.once
def test_into_a_bucket(stocked: Any) -> None:
    output = create(stocked, "-e", "target_bucket=my-backups target_path=restore target_oss_region=cn-hangzhou")
    assert "oss://my-backups/restore" in output


@pytest.mark.once
def test_what_stops_it(stocked: Any) -> None:
    assert "give the ID of an instance, such as rm-bp1a2b3c4d5e6f7g8, with -e instance_name=" in stocked.run(
        "ansible-playbook", "apsaradb.backup.create_download", check=False
    )
    assert "there is no usable full backup set for" in " ".join(
        create(stocked, "-e", "backup_set_id=1", check=False).split()
    )
    # What is said cures it: with an ID, it does not ask for one, and what it names creates the task.
    mongodb = create(stocked, "-e", "instance_name=dds-bp1abc", check=False)
    assert "Take the ID of a backup set from the console, and create the task by" in " ".join(mongodb.split())
    mongodb = " ".join(create(stocked, "-e", "instance_name=dds-bp1abc backup_set_id=7", check=False).split())
    assert "Take the ID" not in mongodb
    assert "on_missing" not in mongodb
    command = "ansible localhost -m apsaradb.backup.dbs_download_task -a "
    arguments = "instance_name=dds-bp1abc region=cn-hangzhou backup_set_id=7 format=Bson"
    assert f"{command}'{arguments}'" in mongodb
    stocked.service.add_instance("dds-bp1abc")
    assert '"action": "created"' in stocked.run(*command.split(), arguments, "-e", stocked.interpreter)
    assert stocked.service.created.pop().parameters["BakSetId"] == "7"
    stocked.service.add_instance("mysql-odd")
    assert "'mysql-odd' does not tell which service lists its backup sets: set source to rds or polardb" in " ".join(
        create(stocked, "-e", "instance_name=mysql-odd", check=False).split()
    )
    assert "there is no usable full backup set" in " ".join(
        create(stocked, "-e", "instance_name=mysql-odd source=rds", check=False).split()
    )
    stocked.service.add_instance("rm-local", unsupported="DBS.DownloadTask.InstanceStorageTypeNotSupport")
    assert "rm-local does not support advanced download" in create(stocked, "-e", "instance_name=rm-local", check=False)
    assert not stocked.service.created
