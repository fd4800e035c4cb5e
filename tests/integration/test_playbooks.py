# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role and the playbooks: values as text, defaults of the group and the environment, and what they say of nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
OTHER = "rm-bp1other"
PUBLIC, VPC = "dbs-api.cn-hangzhou.aliyuncs.com:443", "dbs-api-vpc.cn-hangzhou.aliyuncs.com:443"
FAILING = [("running", 1.0), ("failed", None)]
ROLE = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/apsaradb.backup.all:
      region: cn-hangzhou
      %s
  tasks:
    - ansible.builtin.include_role:
        name: apsaradb.backup.wait_for_download_tasks
"""
OF_THE_MODULE = "\n    apsaradb.backup.dbs_download_task_wait:\n      "


def playbook(world: Any, name: str, variables: str, *options: str, check: bool = True, **environment: str) -> str:
    command = ("ansible-playbook", f"apsaradb.backup.{name}", "-e", f"{variables} {world.interpreter}", *options)
    output: str = world.run(*command, check=check, **environment)
    return " ".join(output.split())


def variables(**values: str) -> list[str]:
    """Options that set variables of the role, all of them as text."""
    text = " ".join(f"wait_for_download_tasks_{name}={value}" for name, value in values.items())
    return ["-e", f"wait_for_download_tasks_instance_name={INSTANCE},{OTHER} {text}"]


def test_the_role_takes_text_for_lists_numbers_and_booleans(world: Any) -> None:
    world.service.habits.seconds_per_list = 1.0
    for instance, task_id in ((INSTANCE, "dt-one"), (OTHER, "dt-two")):
        world.service.add_task(instance, task_id=task_id, schedule=FAILING, retry_schedule=FAILING)
    given = variables(
        task_ids="dt-one,dt-two",
        retries="2",
        fail_fast="false",
        timeout="600",
        poll_interval="0.1",
        poll_interval_max="0.2",
        appear_timeout="20",
        progress="no",
        on_nothing="error",
    )
    output = " ".join(world.play(ROLE % "network: vpc", *given, check=False).split())
    assert "2 failed. dt-" in output
    assert output.count("again after 2 retries") >= 2
    retried = [call.params["TaskId"] for call in world.service.calls_of("RetryDownloadTask")]
    assert sorted(retried) == ["dt-one", "dt-one", "dt-two", "dt-two"]
    # The role's task is asked where the default of the group says.
    assert set(world.proxy.asked_for) == {VPC}
    assert "WARNING" not in output


@pytest.mark.parametrize(
    ("default", "given", "environment", "hosts"),
    [
        ("max_retries: 0", {}, {}, {PUBLIC}),
        ("max_retries: 0", {}, {"APSARADB_BACKUP_NETWORK": "vpc"}, {VPC}),
        ("network: vpc", {"network": "public"}, {}, {PUBLIC}),
        (f"network: public{OF_THE_MODULE}network: vpc", {}, {}, {VPC}),
        (f"network: vpc{OF_THE_MODULE}max_retries: 0", {}, {}, {VPC}),
        (f"max_retries: 0{OF_THE_MODULE}network: vpc", {"network": "public"}, {}, {PUBLIC}),
        (f"network: public{OF_THE_MODULE}region_id: cn-beijing", {"region": "cn-hangzhou"}, {}, {PUBLIC}),
    ],
)
def test_what_the_role_does_not_set(
    world: Any, default: str, given: dict[str, str], environment: dict[str, str], hosts: set[str]
) -> None:
    world.service.add_instance(INSTANCE)
    world.service.add_instance(OTHER)
    output = world.play(ROLE % default, *variables(on_nothing="skip", **given), **environment)
    assert set(world.proxy.asked_for) == hosts
    assert "WARNING" not in output


def test_the_option_between_the_role_and_the_plugin_is_nowhere_to_be_seen(world: Any) -> None:
    world.service.add_instance(INSTANCE)
    world.service.add_instance(OTHER)
    output = world.play(ROLE % "max_retries: 0", *variables(on_nothing="skip", poll_interval="0.5"), "-vvv")
    assert "__role_options" not in output.replace("__wait_for", "")


def test_no_variable_has_a_name_that_ansible_reserves() -> None:
    from ansible.vars.reserved import get_reserved_names

    playbooks = [path.read_text() for path in (ROOT / "playbooks").glob("*.yml")]
    found = {name for text in playbooks for name in _variables_of(yaml.safe_load(text))}
    for text in [*playbooks, (ROOT / "README.md").read_text()]:
        # What is used in templates or set to one, what a header documents, and what is given on a command line.
        found.update(re.findall(r"\{\{ *(\w+) *[|}]", text))
        found.update(name for line in re.findall(r"^#   ?(\w.*)$", text, re.MULTILINE) for name in _documented(line))
        found.update(re.findall(r"\b([a-z_]+)=", "\n".join(re.findall(r" -e ('[^']*'|\S+)", text))))
    assert {"instance_name", "wait_timeout", "task_retries", "format"} <= found
    # Names of Jinja itself, which only newer versions count.
    assert found & get_reserved_names() <= {"omit", "query", "lookup"}


def _variables_of(part: Any) -> set[str]:
    """The keys of each ``vars`` in plays and tasks."""
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    own = set(part.get("vars") or ()) if isinstance(part, dict) else set()
    return own.union(*map(_variables_of, inner))


def _documented(line: str) -> list[str]:
    """The names in the first column of a header, if it has names."""
    column = line.split("  ")[0]
    return re.findall(r"\w+", column) if re.fullmatch(r"\w+(, \w+)*", column) else []


# wait_and_locate


def test_nothing_is_under_way(world: Any) -> None:
    """That is no success: nobody would know that there is no backup."""
    world.service.add_task(INSTANCE, task_id="dt-done", backup_set_id="7", created=1_663_321_957_000)
    given = f"instance_name={INSTANCE} region=cn-hangzhou"
    output = playbook(world, "wait_and_locate", given, check=False)
    assert (
        "so there is nothing to wait for. The newest finished task is dt-done, created 2022-09-16T09:52:37Z" in output
    )
    assert "Give task_id or backup_set_id" in output
    checked = playbook(world, "wait_and_locate", given, "--check")
    assert "so there is nothing to wait for" in checked
    assert "None of the tasks to wait for is finished now, so there are no files to show." in checked
    assert "reserved name" not in output


def test_a_task_that_is_finished_already(world: Any) -> None:
    world.service.add_task(INSTANCE, task_id="dt-done", backup_set_id="7")
    given = f"instance_name={INSTANCE} wait_timeout=60 task_retries=1 poll_interval=1 progress_interval=30"
    for named in ("task_id=dt-done", "backup_set_id=7"):
        output = playbook(world, "wait_and_locate", f"{given} {named}", ALIBABA_CLOUD_REGION_ID="cn-hangzhou")
        assert "dt-done: https://" in output
        assert ".tar.gz until 20" in output
        assert "Signature=" not in output
    plain = playbook(world, "wait_and_locate", f"{given} task_id=dt-done region=cn-hangzhou force_https=false")
    assert "dt-done: http://" in plain


# list_download_tasks


WRONG = {
    "wait_timeout": ["soon", "-1", "2592001", "1e3"],
    "poll_interval": ["x", "0", "3601"],
    "progress_interval": ["x", "0", "86401"],
    "task_retries": ["x", "101", "1.5"],
    "force_https": ["maybe", "2"],
    "limit": ["x", "0", "1000001"],
    "network": ["lan"],
    "order_direct": ["up"],
    "task_type": ["half"],
    "target_type": ["FTP"],
    "status": ["done"],
    "format": ["XML"],
    "start_time": ["yesterday"],
    "end_time": ["yesterday"],
    "target_path": [],
    "instance_name": ["12"],
}


@pytest.mark.parametrize("name", ["create_download", "list_download_tasks", "wait_and_locate"])
def test_each_variable_is_checked_before_anybody_is_asked(world: Any, name: str) -> None:
    """All that is wrong is said at once, by the name of the variable, with the value and what is allowed."""
    play = yaml.safe_load((ROOT / "playbooks" / f"{name}.yml").read_text())[0]
    wrong = {variable: WRONG.get(variable, ["?!"]) for variable in play["vars"]["checks"]}
    for number in range(max(map(len, wrong.values()))):
        given = {variable: values[number] for variable, values in wrong.items() if number < len(values)}
        given.setdefault("instance_name", INSTANCE)
        output = playbook(
            world, name, " ".join(f"{variable}={value}" for variable, value in given.items()), check=False
        )
        said = output.replace('\\"', '"')
        for variable, value in given.items():
            allowed = play["vars"]["checks"][variable]["allowed"]
            is_wrong = value != INSTANCE
            assert (f'{variable} "{value}" is not allowed: give {allowed}.' in said) == is_wrong, output
    assert not world.service.calls
    assert not [word for word in ("invalid literal", "<class", "Traceback") if word in output]


@pytest.mark.parametrize("name", ["create_download", "list_download_tasks", "wait_and_locate"])
def test_each_variable_of_a_playbook_is_in_its_table(name: str) -> None:
    """But for those that modules check by the same name, and show without a password in them."""
    text = (ROOT / "playbooks" / f"{name}.yml").read_text()
    checks = yaml.safe_load(text)[0]["vars"]["checks"]
    header = re.search(r"^# Variables.*?^- name", text, re.MULTILINE | re.DOTALL)
    assert header
    for variable in checks:
        assert re.search(rf"\b{variable}\b", header[0]), variable
    used = set(re.findall(r"\b(\w+) \| default\(", text)) & set(re.findall(r"\w+", header[0]))
    assert used - {*checks} <= {"endpoint", "rds_endpoint", "profile", "query_hosts"}


README = (ROOT / "README.md").read_text()
SHOWN = dict(re.findall(r"`(\w+\.yml)`:\n\n```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
# It needs a database server, and runs with one in the test of the README.
del SHOWN["restore.yml"]


def test_the_playbooks_of_the_readme(world: Any) -> None:
    assert sorted(SHOWN) == ["create.yml", "download_backup.yml", "newest_download.yml"]


@pytest.mark.parametrize("name", sorted(SHOWN))
@pytest.mark.parametrize("is_there", [False, pytest.param(True, marks=pytest.mark.once)])
def test_a_playbook_of_the_readme_with_and_without_check(world: Any, name: str, is_there: bool) -> None:
    """Whatever is there already: nothing is done in check mode, and what it says is what is done without."""
    service = world.service
    service.add_backup(INSTANCE, backup_id="7")
    service.habits.life_cycle = [("finished", None)]
    if is_there or name == "download_backup.yml":
        service.add_task(INSTANCE, task_id="dt-done", backup_set_id="7")
    given = ["-e", "backup_set_id=7"] if name == "download_backup.yml" else []
    checked = world.play(SHOWN[name], *given, "--check")
    assert not service.created
    assert not list(world.directory.glob("dt-*"))
    done = world.play(SHOWN[name], *given)
    changed = re.compile(r"changed=\d+")
    assert changed.findall(checked) == changed.findall(done)
    if name == "create.yml":
        assert ("dt-would-be-created for backup set 7 would be finished" in checked) == (not is_there)
        assert "for backup set 7 is finished" in done


def test_a_table_of_tasks_that_lack_what_they_should_have(world: Any) -> None:
    whole = world.service.add_task(INSTANCE, task_id="dt-whole").describe(world.service.clock.now(), {})
    rows = [whole]
    for field in whole:
        absent = {name: value for name, value in whole.items() if name != field}
        rows += [absent, *({**whole, field: value} for value in (None, "", "odd", {}, ["x"], -1))]
    for number, row in enumerate(rows):
        if row.get("TaskId") == "dt-whole":
            row["TaskId"] = f"dt-{number}"
    world.service.answer("DescribeDownloadTask", {"Success": "true", "Data": {"Content": {"List": rows}}})
    output = playbook(world, "list_download_tasks", f"instance_name={INSTANCE} region=cn-hangzhou")
    assert f"{len(rows)} tasks" in output or re.search(r"\d+ tasks", output)
    assert "None" not in output
    assert "dt-0 " in output
