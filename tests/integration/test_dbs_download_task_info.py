# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stand_in import Fault

INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
ASKED = f"region=cn-hangzhou instance_name={INSTANCE}"
NAME = "apsaradb.backup.dbs_download_task_info"


def answer(output: str) -> Any:
    """The result of an ad-hoc command."""
    return json.loads(output[output.index("=> {") + 3 :])


def test_ad_hoc(filled: Any) -> None:
    result = answer(filled.ad_hoc(ASKED))
    assert result["count"] == 5
    assert result["changed"] is False
    assert filled.proxy.asked_for == ["dbs-api.cn-hangzhou.aliyuncs.com:443"]


@pytest.mark.once
def test_the_network_of_the_vpc(filled: Any) -> None:
    filled.ad_hoc(f"{ASKED} network=vpc")
    assert filled.proxy.asked_for == ["dbs-api-vpc.cn-hangzhou.aliyuncs.com:443"]


def test_check_mode_and_diff(filled: Any) -> None:
    assert answer(filled.ad_hoc(ASKED, "--check", "--diff"))["count"] == 5


@pytest.mark.once
def test_a_query_runs_on_the_managed_host(filled: Any) -> None:
    result = answer(filled.ad_hoc(f"{ASKED} query='download_tasks[].task_id | sort(@) | [0]'"))
    assert result["query_result"] == "dt-a1b2c3d4e5f0"


def test_nothing_secret_at_any_verbosity(filled: Any) -> None:
    key = filled.service.add_key(token="a-secret-token", expires_in=900)
    given = f"access_key_id={key.id} access_key_secret={key.secret} security_token=a-secret-token"
    for arguments, ok in (
        (f"{ASKED} {given}", True),
        (f"region=cn-hangzhou instance_name=rm-unknown {given}", False),
        (f"{ASKED} {given.replace(key.secret, 'a-wrong-secret')}", False),
    ):
        filled.ad_hoc(arguments, "-vvvvv", check=ok)
        for secret in (key.id, key.secret, "a-secret-token", "a-wrong-secret", "Signature="):
            assert secret not in filled.output
    filled.ad_hoc(ASKED, "-vvvvv", ANSIBLE_DEBUG="1")
    for secret in (filled.service.key.secret, filled.service.key.id):
        assert secret not in filled.output


def test_the_playbook_prints_a_table(filled: Any) -> None:
    lines = filled.run(
        "ansible-playbook",
        "apsaradb.backup.list_download_tasks",
        "-e",
        f"{ASKED} {filled.interpreter}",
    ).splitlines()
    (header,) = [line for line in lines if "TASK " in line and "STATUS" in line]
    (row,) = [line for line in lines if "dt-a1b2c3d4e5f2" in line]
    assert header.index("STATUS") == row.index("running")
    assert header.index("TABLES") == row.index("5/10 (50 %)")
    assert any('"5 tasks"' in line for line in lines)


def table(world: Any, *options: str, check: bool = True) -> str:
    playbook = "apsaradb.backup.list_download_tasks"
    output: str = world.run("ansible-playbook", playbook, "-e", world.interpreter, *options, check=check)
    return output


def test_the_playbook_says_what_is_missing(world: Any) -> None:
    assert "instance_name is not set: give the IDs of instances" in table(world, check=False)
    assert not world.service.calls


def test_the_playbook_reads_no_variables_of_the_inventory(filled: Any) -> None:
    inventory = filled.directory / "inventory"
    inventory.write_text(
        "localhost ansible_connection=local status=failed region=eu-central-1 limit=1 endpoint=http://x\n"
    )
    assert '"2 tasks"' in table(filled, "-i", str(inventory), "-e", f"{ASKED} format=CSV status=finished")


@pytest.mark.once
def test_the_playbook_prints_many_tasks(world: Any) -> None:
    """In one task, and not one each."""
    for number in range(1000):
        world.service.add_task(INSTANCE, created=1_663_321_957_000 + number)
    assert '"1000 tasks"' in table(world, "-e", ASKED)
    assert world.output.count("ok: [localhost]") < 20


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_the_examples_of_the_documentation_run_as_they_stand(filled: Any, check: tuple[str, ...]) -> None:
    filled.service.habits.expiration = "ms"
    output = filled.play_examples("dbs_download_task_info", *check)
    assert "dt-a1b2c3d4e5f2 is running, " in output
    assert "changed=0" in output


def test_how_it_gets_along_with_ansible(filled: Any) -> None:
    """module_defaults, loops, async, delegation, become, until, register and no_log."""
    filled.play(
        f"""
- hosts: one
  gather_facts: false
  module_defaults:
    group/apsaradb.backup.all:
      region: cn-hangzhou
      instance_name: {INSTANCE}
  tasks:
    - name: Asynchronously
      {NAME}:
      async: 60
      poll: 1
      register: later

    - name: Delegated, as another user
      {NAME}:
      delegate_to: two
      become: {os.geteuid() == 0}
      become_method: ansible.builtin.su
      register: elsewhere
      environment:
        REQUESTS_CA_BUNDLE: "{{{{ lookup('ansible.builtin.env', 'REQUESTS_CA_BUNDLE') }}}}"

    - name: In a loop, until it is as it should be
      {NAME}:
        status: "{{{{ item }}}}"
      loop: [failed, expired]
      register: each
      until: each.count == 1
      retries: 2
      delay: 0

    - name: Silently
      {NAME}:
      register: silent
      no_log: true

    - name: Compare
      ansible.builtin.assert:
        that:
          - later.count == 5
          - elsewhere.download_tasks == later.download_tasks
          - silent.download_tasks == later.download_tasks
          - each.results | map(attribute='count') | sum == 2
          - each.results[0].download_tasks[0].progress_percent == 50.0
          - later.download_tasks[0].gmt_create is integer
    """,
        "-i",
        "one,two",
        "-c",
        "local",
    )


# Failures as users see them


def failure(world: Any, arguments: str, *options: str, **environment: str) -> str:
    output = world.ad_hoc(arguments, *options, check=False, **environment)
    assert "Traceback" not in output
    message: str = answer(output)["msg"]
    return message


@pytest.mark.once
def test_no_credentials(filled: Any) -> None:
    message = failure(
        filled,
        ASKED,
        ALIBABA_CLOUD_ACCESS_KEY_ID="",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="",
        HOME=str(filled.directory / "missing"),
    )
    for way in ("access_key_id", "ALIBABA_CLOUD_ACCESS_KEY_ID", "alibabacloud-credentials"):
        assert way in message
    assert not filled.service.calls


@pytest.mark.once
def test_a_wrong_secret(filled: Any) -> None:
    message = failure(filled, ASKED, ALIBABA_CLOUD_ACCESS_KEY_SECRET="wrong")
    assert f"Failed to list the download tasks of instance '{INSTANCE}' in region 'cn-hangzhou'" in message
    assert "SignatureDoesNotMatch" in message
    assert f"request ID {filled.service.calls[0].request_id}" in message


@pytest.mark.once
def test_forbidden(filled: Any) -> None:
    key = filled.service.add_key(may={"dbs:Nothing"})
    environment = {"ALIBABA_CLOUD_ACCESS_KEY_ID": key.id, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret}
    message = failure(filled, ASKED, **environment)
    assert "Grant the caller the RAM action dbs:DescribeDownloadTask." in message


@pytest.mark.once
def test_a_certificate_that_is_not_trusted(filled: Any) -> None:
    message = failure(filled, ASKED, REQUESTS_CA_BUNDLE="")
    assert "the certificate of dbs-api.cn-hangzhou.aliyuncs.com is not trusted" in message
    assert "ca_path" in message
    assert (
        answer(
            filled.ad_hoc(f"{ASKED} ca_path={filled.ca_path}", REQUESTS_CA_BUNDLE=str(filled.directory / "missing"))
        )["count"]
        == 5
    )


@pytest.mark.once
def test_no_proxy(filled: Any, nobody: str) -> None:
    message = failure(filled, f"{ASKED} max_retries=1", HTTPS_PROXY=f"http://{nobody}")
    assert "the proxy for dbs-api.cn-hangzhou.aliyuncs.com could not be used" in message
    assert "Gave up after 2 attempts" in message


@pytest.mark.once
def test_no_name(filled: Any) -> None:
    message = failure(filled, f"{ASKED} endpoint=dbs-api.invalid max_retries=0", HTTPS_PROXY="")
    assert "the name of dbs-api.invalid could not be resolved. Check DNS, region and endpoint" in message


@pytest.mark.once
def test_a_refused_connection(filled: Any, nobody: str) -> None:
    message = failure(filled, f"{ASKED} endpoint=http://{nobody} max_retries=0")
    assert f"{nobody} refused the connection. Check endpoint, port and firewall." in message


@pytest.mark.once
def test_no_answer(filled: Any) -> None:
    filled.service.inject(Fault("slow", 9, seconds=3600))
    message = failure(filled, f"{ASKED} read_timeout=0.3 max_retries=1")
    assert "dbs-api.cn-hangzhou.aliyuncs.com did not answer within 0.3 seconds" in message
    assert "Gave up after 2 attempts" in message


def test_an_unknown_option(filled: Any) -> None:
    assert "Unsupported parameters" in failure(filled, f"{ASKED} instance=rm-bp1abc")


def test_a_library_is_missing(filled: Any, tmp_path: Path) -> None:
    """In the interpreter that runs the module, not in that of Ansible."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    interpreter = ("-e", f"ansible_python_interpreter={bare}/bin/python")
    output = filled.ad_hoc(ASKED, *interpreter, check=False)
    message = answer(output)["msg"]
    assert "Failed to import the required Python library (requests)" in message
    assert f"{bare}/bin/python" in message
    output = filled.ad_hoc(f"{ASKED} query=count", *interpreter, check=False)
    message = answer(output)["msg"]
    assert "Failed to import the required Python library (jmespath)" in message
    assert not filled.service.calls
