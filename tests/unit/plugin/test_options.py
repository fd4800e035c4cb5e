# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that plugins share: from the task, the environment, or the defaults; in every module alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import (
    CONNECTION_SPEC,
    SHARED,
    completed,
    variables_of,
)
from stand_in import StandIn

MakeModule = Callable[[str], Callable[[dict[str, Any]], dict[str, Any]]]

ROOT = Path(__file__).resolve().parents[3]
GROUP = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]["all"]
INSTANCE = "rm-bp1abc"
#: They say where the services are, whether or not a module has a use for all of them.
ADDRESSES = ("endpoint", "rds_endpoint", "oss_endpoint", "oss_region")

#: For each option two values in the environment, what they mean, and texts that are refused, with what is said of them.
VALUES: dict[str, tuple[tuple[str, Any], tuple[str, Any], dict[str, str]]] = {
    "region": (
        ("cn-beijing", "cn-beijing"),
        ("cn-shanghai", "cn-shanghai"),
        {"Beijing 1": "is malformed: give a region"},
    ),
    "profile": (("one", "one"), ("two", "two"), {}),
    "endpoint": (
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("one.example", "https://one.example"),
        {"http://one.example": "is not encrypted", "a b": "is not an address", "https://me@one": "leave out user"},
    ),
    "network": (("vpc", "vpc"), ("public", "public"), {"intranet": "is not known: use one of auto, public, vpc"}),
    "validate_certs": (("no", False), ("true", True), {"maybe": "is not allowed: give true or false"}),
    "ca_path": (("/", "/"), ("/tmp", "/tmp"), {"/proc/none/file": "does not exist: give a file or directory"}),
    "connect_timeout": (
        ("1.5", 1.5),
        ("2", 2.0),
        {"x": "give a number", "0": "is out of range: give 0.1 to 300 seconds"},
    ),
    "read_timeout": (("1.5", 1.5), ("2", 2.0), {"x": "give a number", "3601": "is out of range: give 0.1 to 3600"}),
    "max_retries": (("0", 0), ("100", 100), {"1.5": "give a whole number", "-1": "is out of range: give 0 to 100"}),
    "request_timeout": (("1", 1.0), ("60", 60.0), {"long": "give a number", "0.5": "is out of range: give 1 to 86400"}),
    "max_connections": (("1", 1), ("64", 64), {"": "", "65": "is out of range: give 1 to 64"}),
    "rds_endpoint": (
        ("127.0.0.1", "https://127.0.0.1"),
        ("two.example", "https://two.example"),
        {"http://two.example": "is not encrypted"},
    ),
    "duration": (
        ("300", 300),
        ("600", 600),
        {"299": "is out of range: give 300 to 86400 seconds", "1h": "whole number"},
    ),
    "force_https": (("false", False), ("1", True), {"tls": "is not allowed: give true or false"}),
    "bucket": (
        ("my-bucket", "my-bucket"),
        ("other", "other"),
        {"My_Bucket": "is malformed: give the name of a bucket"},
    ),
    "oss_region": (("cn-beijing", "cn-beijing"), ("eu-west-1", "eu-west-1"), {"Beijing": "is malformed"}),
    "oss_endpoint": (
        ("127.0.0.1", "https://127.0.0.1"),
        ("two.example", "https://two.example"),
        {"http://two.example": "is not encrypted"},
    ),
}
CASES = [(option, variable) for option in SHARED for variable in variables_of(option)]


def test_every_option_has_its_values_here() -> None:
    assert set(VALUES) == set(SHARED)


def value_of(option: str, **given: Any) -> Any:
    return completed({"validate_certs": True, option: None, **given})[option]


@pytest.mark.parametrize(("option", "variable"), CASES)
def test_the_option_wins_over_the_variable_and_that_over_the_default(
    option: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text, meant), (_unused, other), _unused = VALUES[option]
    default = value_of(option)
    for empty in ("", "  "):
        monkeypatch.setenv(variable, empty)
        assert value_of(option) == default
    monkeypatch.setenv(variable, f" {text}\n")
    assert value_of(option) == meant
    assert value_of(option, **{option: other}) == other


@pytest.mark.parametrize(
    ("option", "variable", "text", "said"),
    [(option, variable, text, said) for option, variable in CASES for text, said in VALUES[option][2].items() if text],
)
def test_a_bad_value_is_refused_by_the_name_that_it_has(
    option: str, variable: str, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError) as caught:
        value_of(option)
    assert str(caught.value).startswith(variable)
    assert said in str(caught.value)
    assert "me@one" not in str(caught.value)


@pytest.mark.parametrize("option", [option for option in SHARED if len(variables_of(option)) > 1])
def test_our_own_variable_comes_first_then_the_others_in_order(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (text, meant), (other_text, _other), _unused = VALUES[option]
    names = variables_of(option)
    for name in names[::-1]:
        for behind in names[names.index(name) + 1 :]:
            monkeypatch.setenv(behind, other_text)
        monkeypatch.setenv(name, text)
        assert value_of(option) == meant


def test_authorities_and_no_checks() -> None:
    with pytest.raises(ConfigurationError, match="ca_path is set, but validate_certs is false"):
        completed({"validate_certs": False, "ca_path": "/"})


@pytest.mark.parametrize("variable", variables_of("ca_path"))
def test_authorities_of_the_environment_and_no_checks(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/")
    assert completed({"validate_certs": False, "ca_path": None})["validate_certs"] is False


def test_a_profile_of_the_environment_is_not_mixed_with_keys_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APSARADB_BACKUP_PROFILE", "one")
    assert value_of("profile", access_key_id="id") is None


@pytest.mark.parametrize(
    ("endpoint", "implied"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost:1", "https://localhost:1"),
        ("https://[::1]:1", "https://[::1]:1"),
        ("gateway.example", None),
    ],
)
def test_a_loopback_address_serves_for_all(endpoint: str, implied: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"rds_endpoint": None, "oss_endpoint": None}
    assert set(completed({"endpoint": endpoint, **others}).values()) >= {implied}
    assert completed({"endpoint": endpoint, **others})["oss_endpoint"] == implied
    monkeypatch.setenv("APSARADB_BACKUP_ENDPOINT", endpoint)
    given = completed({"endpoint": None, "rds_endpoint": "rds.example", "oss_endpoint": None})
    assert (given["rds_endpoint"], given["oss_endpoint"]) == ("https://rds.example", implied)
    monkeypatch.delenv("APSARADB_BACKUP_ENDPOINT")
    for option in others:
        alone = completed({"endpoint": None, **others, option: endpoint})
        assert alone["endpoint"] == implied


# In every module


def arguments_of(module: str, directory: Path) -> dict[str, Any]:
    """With which a module asks the service, or does what it does without."""
    more = {
        "dbs_download_extract": {"src": "/proc/none/archive", "dest": str(directory / "out")},
        "dbs_download_file": {"url": "http://127.0.0.1:9/x", "dest": str(directory / "file")},
        "dbs_download_location_info": {"instance_name": INSTANCE, "task_ids": "dt-one"},
        "dbs_download_task": {"instance_name": INSTANCE, "backup_set_id": "1", "format": "CSV"},
        "dbs_download_task_wait": {"instance_name": INSTANCE, "task_ids": "dt-one", "timeout": 0},
    }
    return more.get(module, {"instance_name": INSTANCE})


@pytest.mark.parametrize("option", sorted({*CONNECTION_SPEC, *ADDRESSES}))
@pytest.mark.parametrize("module", GROUP)
def test_every_member_of_the_group_takes_what_the_group_is_for(
    module: str, option: str, module_of: MakeModule, tmp_path: Path
) -> None:
    for name in (option, *CONNECTION_SPEC.get(option, {}).get("aliases", ())):
        value = VALUES[option][0][0] if option in VALUES else "some-part-of-a-key"
        # An address that is refused, so that nobody is asked.
        given = {**arguments_of(module, tmp_path), "region": "cn-hangzhou", name: value, "endpoint": "a b"}
        if name == "region_id":
            del given["region"]
        result = module_of(module)(given)
        expected = (
            "src '/proc/none/archive' does not exist" if module == "dbs_download_extract" else "endpoint 'a b' is not"
        )
        assert expected in result["msg"]


@pytest.fixture
def configured(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """All that is needed is in the environment."""
    service.add_task(INSTANCE, task_id="dt-one")
    service.add_backup(INSTANCE, backup_id="1")
    monkeypatch.setenv("APSARADB_BACKUP_ENDPOINT", service.url)
    monkeypatch.setenv("APSARADB_BACKUP_REGION", "cn-hangzhou")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", service.key.id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", service.key.secret)
    return service


ASKING = sorted({*GROUP} - {"dbs_download_extract", "dbs_download_file"})


@pytest.mark.parametrize("module", ASKING)
def test_every_module_that_asks_takes_it_from_the_environment(
    module: str, module_of: MakeModule, configured: StandIn, tmp_path: Path
) -> None:
    result = module_of(module)(arguments_of(module, tmp_path))
    assert not result.get("failed"), result
    assert configured.calls


@pytest.mark.parametrize("option", sorted(set(CONNECTION_SPEC) & {name for name in VALUES if VALUES[name][2]}))
@pytest.mark.parametrize("module", [*ASKING, "dbs_download_file"])
def test_every_module_refuses_what_is_bad_in_the_environment(
    module: str,
    module_of: MakeModule,
    option: str,
    configured: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variable = variables_of(option)[0]
    text, said = list(VALUES[option][2].items())[-1]
    monkeypatch.setenv(variable, text)
    result = module_of(module)(arguments_of(module, tmp_path))
    assert result["msg"].startswith(variable)
    assert said in result["msg"]
    assert result["error"] == {"kind": "configuration"}
    assert not configured.calls


def test_what_is_of_no_use_is_not_read(module_of: MakeModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in SHARED:
        monkeypatch.setenv(variables_of(option)[0], "/proc/none")
    assert (
        "src '/proc/none/archive' does not exist"
        in module_of("dbs_download_extract")(arguments_of("dbs_download_extract", tmp_path))["msg"]
    )
