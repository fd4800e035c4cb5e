# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who signs. The official package reads the environment when it is imported, so its part runs in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
from alibabacloud_credentials.provider import StaticSTSCredentialsProvider
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credential import Credential
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credential_chain import ChainSource
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credentials import (
    _OIDC_VARIABLES,
    region_of_profile,
    resolve,
)
from stand_in import AccessKey, StandIn

NEW = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "new-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "new-secret"}
OLD = {"ALICLOUD_ACCESS_KEY": "old-id", "ALICLOUD_SECRET_KEY": "old-secret"}
OPTIONS = {"access_key_id": "option-id", "access_key_secret": "option-secret"}


@pytest.mark.parametrize(
    ("options", "environ", "credential"),
    [
        (OPTIONS, {}, Credential("option-id", "option-secret")),
        ({**OPTIONS, "security_token": "t"}, {**NEW, **OLD}, Credential("option-id", "option-secret", "t")),
        (OPTIONS, {"ALIBABA_CLOUD_SECURITY_TOKEN": "t"}, Credential("option-id", "option-secret")),
        ({}, NEW, Credential("new-id", "new-secret")),
        ({}, {**NEW, **OLD}, Credential("new-id", "new-secret")),
        ({}, {**NEW, "ALIBABA_CLOUD_SECURITY_TOKEN": "t"}, Credential("new-id", "new-secret", "t")),
        ({}, {**NEW, "ALICLOUD_SECURITY_TOKEN": "t"}, Credential("new-id", "new-secret")),
        ({}, OLD, Credential("old-id", "old-secret")),
        ({}, {**OLD, "ALICLOUD_SECURITY_TOKEN": "t"}, Credential("old-id", "old-secret", "t")),
        (
            {},
            {"ALICLOUD_ACCESS_KEY_ID": "old-id", "ALICLOUD_SECRET_ACCESS_KEY": "old-secret"},
            Credential("old-id", "old-secret"),
        ),
        ({}, {**OLD, "ALIBABA_CLOUD_ACCESS_KEY_ID": ""}, Credential("old-id", "old-secret")),
    ],
)
def test_one_source_at_a_time(options: dict[str, str], environ: dict[str, str], credential: Credential) -> None:
    source = resolve(environ=environ, **options)
    assert source.get() == credential
    assert not source.refresh()


@pytest.mark.parametrize(
    ("options", "environ", "complaint"),
    [
        ({"access_key_id": "a"}, NEW, "access_key_id is set, but access_key_secret is not"),
        ({"access_key_secret": "a"}, NEW, "access_key_secret is set, but access_key_id is not"),
        ({"security_token": "a"}, NEW, "security_token is set, but access_key_id and access_key_secret are not"),
        (
            {},
            {"ALIBABA_CLOUD_ACCESS_KEY_ID": "a", **OLD},
            "ALIBABA_CLOUD_ACCESS_KEY_ID is set, but ALIBABA_CLOUD_ACCESS_KEY_SECRET is not",
        ),
        ({}, {"ALICLOUD_SECRET_KEY": "a"}, "ALICLOUD_SECRET_KEY is set, but ALICLOUD_ACCESS_KEY is not"),
        ({**OPTIONS, "profile": "p"}, {}, "profile and access_key_id are both set"),
    ],
)
def test_half_a_credential(options: dict[str, str], environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(environ=environ, **options)
    assert complaint in str(caught.value)


def test_white_space_around_keys_is_none_of_them() -> None:
    source = resolve(environ={}, access_key_id=" id\n", access_key_secret="secret\r\n", security_token="token\n")
    assert source.get() == Credential("id", "secret", "token")


@pytest.mark.parametrize("bad", ["a b", "a\nb", "LTAI漢", "LTAI\udcff", "a\x00b"])
@pytest.mark.parametrize("name", ["access_key_id", "access_key_secret", "security_token"])
def test_characters_that_no_key_has(name: str, bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(environ={}, **{**OPTIONS, name: bad})
    assert str(caught.value) == f"{name} contains white space or other characters that no key has: copy it again."


def test_a_credentials_uri_is_not_shown(info: Any, keyless: dict[str, Any], tmp_path: Path, nobody: str) -> None:
    environment = {"HOME": str(tmp_path), "ALIBABA_CLOUD_CREDENTIALS_URI": f"http://{nobody}/x?token=TOPSECRET"}
    assert (
        "No credentials could be read from the default chain" in info.process(keyless, environment=environment)["msg"]
    )
    assert "TOPSECRET" not in info.output


def test_secrets_do_not_show() -> None:
    shown = repr(Credential("some-id", "some-secret", "some-token"))
    assert "some-secret" not in shown
    assert "some-token" not in shown


@pytest.fixture
def home(tmp_path: Path, service: StandIn) -> Path:
    """A home directory with profiles of the command line tool and a credentials file."""
    service.add_task("rm-bp1abc")
    temporary = service.add_key(token="profile-token", expires_in=900)
    (tmp_path / ".aliyun").mkdir()
    profiles = [
        {"name": "default", "mode": "AK", **pair(service.key)},
        {"name": "temporary", "mode": "StsToken", "sts_token": "profile-token", **pair(temporary)},
        {"name": "wrong", "mode": "AK", "access_key_id": service.key.id, "access_key_secret": "wrong-secret"},
    ]
    (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": "default", "profiles": profiles}))
    (tmp_path / ".alibabacloud").mkdir()
    (tmp_path / ".alibabacloud" / "credentials.ini").write_text(
        f"[ini]\ntype = access_key\naccess_key_id = {service.key.id}\naccess_key_secret = {service.key.secret}\n"
    )
    return tmp_path


def pair(key: AccessKey) -> dict[str, str]:
    return {"access_key_id": key.id, "access_key_secret": key.secret}


@pytest.fixture
def keyless(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if not name.startswith("access_key")}


@pytest.mark.parametrize(
    ("profile", "environment"),
    [
        (None, {}),
        ("default", {}),
        ("temporary", {}),
        ("ini", {}),
        ("temporary", {"ALIBABA_CLOUD_ACCESS_KEY_ID": "x", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "y"}),
        (None, {"ALIBABA_CLOUD_PROFILE": "temporary"}),
        (None, {"ALICLOUD_PROFILE": "temporary"}),
    ],
)
def test_profiles(
    info: Any, home: Path, keyless: dict[str, Any], profile: str | None, environment: dict[str, str]
) -> None:
    result = info.process({**keyless, "profile": profile}, environment={"HOME": str(home), **environment})
    assert result.get("count") == 1, result


def test_a_profile_in_another_file(info: Any, home: Path, keyless: dict[str, Any], tmp_path: Path) -> None:
    moved = (home / ".aliyun" / "config.json").rename(tmp_path / "elsewhere.json")
    environment = {"HOME": str(home), "ALICLOUD_SHARED_CREDENTIALS_FILE": str(moved)}
    assert info.process({**keyless, "profile": "temporary"}, environment=environment)["count"] == 1


def test_an_unknown_profile(info: Any, home: Path, keyless: dict[str, Any], service: StandIn) -> None:
    result = info.process({**keyless, "profile": "nobody"}, environment={"HOME": str(home)})
    assert "No credentials could be read from profile 'nobody'" in result["msg"]
    assert "Set the options access_key_id and access_key_secret" in result["msg"]
    assert not service.calls


def test_no_credentials_with_the_package(info: Any, keyless: dict[str, Any], tmp_path: Path, service: StandIn) -> None:
    result = info.process(keyless, environment={"HOME": str(tmp_path)})
    assert "No credentials could be read from the default chain of alibabacloud-credentials" in result["msg"]
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID" in result["msg"]
    assert not service.calls


def without_package(module: Any) -> tuple[str, ...]:
    """Python's arguments to run the module where the package is not installed."""
    code = (
        "import runpy, sys; sys.modules['alibabacloud_credentials'] = None; runpy.run_module(%r, run_name='__main__')"
    )
    return ("-c", code % module.name)


def test_no_credentials_without_the_package(info: Any, keyless: dict[str, Any], service: StandIn) -> None:
    result = info.process(keyless, python=without_package(info))
    for way in ("access_key_id", "ALIBABA_CLOUD_ACCESS_KEY_ID", "install the Python package alibabacloud-credentials"):
        assert way in result["msg"]
    assert not service.calls


def test_a_profile_without_the_package(info: Any, keyless: dict[str, Any], service: StandIn) -> None:
    result = info.process({**keyless, "profile": "default"}, python=without_package(info))
    assert "Failed to import the required Python library (alibabacloud-credentials)" in result["msg"]
    assert "for the profile 'default'" in result["msg"]
    assert not service.calls


def test_an_expired_credential_of_the_chain_is_asked_for_again(
    client_of: Callable[..., Client], service: StandIn
) -> None:
    service.add_task("rm-bp1abc")
    keys = [service.add_key(token="old", expires_in=-1), service.add_key(token="new", expires_in=900)]
    providers = iter([StaticSTSCredentialsProvider(security_token=key.token, **pair(key)) for key in keys])
    client = client_of(service, source=ChainSource(lambda: next(providers), "a test"))
    assert client.call(
        "DescribeDownloadTask", {"RegionCode": "cn-hangzhou", "InstanceName": "rm-bp1abc"}, operation="ask"
    )
    assert [call.code for call in service.calls] == ["InvalidSecurityToken.Expired", None]


# Whose region


@pytest.fixture
def regional(home: Path, service: StandIn) -> Path:
    """The same home, with a region in each profile of the command line tool."""
    file = home / ".aliyun" / "config.json"
    content = json.loads(file.read_text())
    for profile, region in zip(content["profiles"], ("cn-hangzhou", "cn-beijing", "Nowhere")):
        profile["region_id"] = region
    file.write_text(json.dumps(content))
    service.add_task("rm-bp1abc", region="cn-beijing")
    return home


@pytest.mark.parametrize(
    ("options", "environment", "region"),
    [
        ({"profile": "temporary"}, {}, "cn-beijing"),
        ({"profile": "default"}, {"ALICLOUD_PROFILE": "temporary"}, "cn-hangzhou"),
        ({}, {"APSARADB_BACKUP_PROFILE": "temporary"}, "cn-beijing"),
        ({}, {"ALICLOUD_PROFILE": "temporary"}, "cn-beijing"),
        ({}, {"ALIBABA_CLOUD_PROFILE": "temporary"}, "cn-beijing"),
        ({}, {}, "cn-hangzhou"),
        ({"profile": "temporary", "region": "cn-hangzhou"}, {}, "cn-hangzhou"),
        ({"profile": "temporary"}, {"ALICLOUD_REGION": "cn-hangzhou"}, "cn-hangzhou"),
        ({"profile": "temporary"}, {"APSARADB_BACKUP_REGION": "cn-hangzhou"}, "cn-hangzhou"),
        # Who is not asked for keys is not asked for the region either.
        ({"access_key_id": "some-access-key", "access_key_secret": "some-secret-of-it"}, {}, None),
        ({}, NEW, None),
        ({}, {**OLD, "ALICLOUD_PROFILE": "temporary"}, None),
        ({}, {"ALIBABA_CLOUD_CLI_PROFILE_DISABLED": "true"}, None),
        ({}, dict.fromkeys(_OIDC_VARIABLES, "x"), None),
        ({"profile": "ini"}, {}, None),
    ],
)
def test_the_region_of_a_profile(
    info: Any,
    regional: Path,
    keyless: dict[str, Any],
    service: StandIn,
    options: dict[str, str],
    environment: dict[str, str],
    region: str | None,
) -> None:
    del keyless["region"]
    result = info.process({**keyless, **options}, environment={"HOME": str(regional), **environment})
    if region is None:
        assert "region is not set" in result["msg"]
        assert "or region_id in the profile" in result["msg"]
        assert not service.calls
    else:
        assert [call.params["RegionCode"] for call in service.calls] == [region]
        assert not result.get("failed")


def test_a_region_of_a_profile_that_is_none(info: Any, regional: Path, keyless: dict[str, Any]) -> None:
    del keyless["region"]
    result = info.process({**keyless, "profile": "wrong"}, environment={"HOME": str(regional)})
    assert "region_id of profile 'wrong' 'Nowhere' is malformed" in result["msg"]


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"current": "x", "profiles": [7]}', '{"profiles": null}', "\udcff"]
)
def test_a_configuration_that_is_none_has_no_region(content: str | None, tmp_path: Path) -> None:
    (tmp_path / ".aliyun").mkdir()
    if content is not None:
        (tmp_path / ".aliyun" / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert region_of_profile({"HOME": str(tmp_path)}, None) is None
    assert region_of_profile({"HOME": str(tmp_path)}, "x") is None


# Roles that nobody assumes here

ROLE = "acs:ram::1:role/backup"


@pytest.mark.parametrize("keys", [NEW, OLD, {}, {"ALICLOUD_PROFILE": "one"}])
@pytest.mark.parametrize(
    "environ",
    [
        {"ALICLOUD_ASSUME_ROLE_ARN": ROLE},
        {"ALICLOUD_ASSUME_ROLE_ARN": ROLE, **dict.fromkeys(_OIDC_VARIABLES, "x")},
        {"ALIBABA_CLOUD_ROLE_ARN": ROLE},
        {"ALIBABA_CLOUD_ROLE_ARN": ROLE, "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token"},
    ],
)
def test_a_role_that_would_be_ignored_is_refused(keys: dict[str, str], environ: dict[str, str]) -> None:
    name = next(iter(environ))
    with pytest.raises(ConfigurationError) as caught:
        resolve(environ={**keys, **environ})
    assert str(caught.value).startswith(f"{name} is set, but this collection does not assume that role")
    assert "with the mode RamRoleArn" in str(caught.value)
    assert ROLE not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        (OPTIONS, {"ALICLOUD_ASSUME_ROLE_ARN": ROLE}),
        (OPTIONS, {"ALIBABA_CLOUD_ROLE_ARN": ROLE}),
        ({"profile": "role"}, {"ALICLOUD_ASSUME_ROLE_ARN": ROLE}),
        ({}, {**NEW, "ALICLOUD_ASSUME_ROLE_ARN": " "}),
        ({}, {**NEW, "ALICLOUD_ASSUME_ROLE_SESSION_NAME": "x"}),
        ({}, {**NEW, **dict.fromkeys(_OIDC_VARIABLES, "x")}),
    ],
)
def test_who_says_who_signs_is_heard(options: dict[str, str], environ: dict[str, str]) -> None:
    assert resolve(environ=environ, **options)
