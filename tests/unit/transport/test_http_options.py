# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every option of the connection, with every client: of DBS, RDS and OSS, of the files themselves, and of STS."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import trustme
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.bucket_objects import BucketObjects
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_location_info import LOCATION_SPEC
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import completed
from stand_in import Fault, StandIn
from tunnel import Proxy

INSTANCE = "rm-bp1abc"
BUCKET = "my-backups"
KEYS = {"access_key_id": "some-access-key-id", "access_key_secret": "some-access-key-secret"}

#: Asks once, of a server at an address, by options, and returns the error; empty if there was none.
Ask = Callable[..., str]


@pytest.fixture
def ask(module_of: Any, tmp_path: Path) -> Ask:
    def by_module(name: str, arguments: dict[str, Any]) -> str:
        return str(module_of(name)(arguments).get("msg", ""))

    def call(client: str, url: str, **options: Any) -> str:
        given = {"region": "cn-hangzhou", **KEYS, "max_retries": 0, **options}
        if client == "DBS":
            return by_module("dbs_download_task_info", {**given, "instance_name": INSTANCE, "endpoint": url})
        if client == "RDS":
            return by_module("dbs_backup_set_info", {**given, "instance_name": INSTANCE, "rds_endpoint": url})
        if client == "file":
            destination = str(tmp_path / "file")
            return by_module("dbs_download_file", {**given, "url": f"{url}/{BUCKET}/file", "dest": destination})
        try:
            whole = completed({**dict.fromkeys(LOCATION_SPEC), **given, "oss_endpoint": url})
            BucketObjects.parse(whole).links(f"oss://{BUCKET}")
        except BackupError as error:
            return str(error)
        return ""

    return call


SIGNING = ["DBS", "RDS", "OSS"]
CLIENTS = [*SIGNING, "file"]
ACTIONS = {
    "DBS": "DescribeDownloadTask",
    "RDS": "DescribeBackups",
    "OSS": "ListObjectsV2",
    "file": "GetObject",
}


def keys_of(service: StandIn) -> dict[str, str]:
    return {"access_key_id": service.key.id, "access_key_secret": service.key.secret}


def is_answered(client: str, error: str) -> bool:
    """The file has no signature, which only the storage can say."""
    return "bucket acl" in error if client == "file" else error == ""


@pytest.fixture
def tls(tls_service: StandIn) -> StandIn:
    tls_service.add_backup(INSTANCE)
    tls_service.objects.add_bucket(BUCKET)
    return tls_service


@pytest.fixture
def plain(service: StandIn) -> StandIn:
    service.add_task(INSTANCE)
    service.add_backup(INSTANCE)
    service.objects.add_bucket(BUCKET)
    return service


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def other_bundle(tmp_path: Path) -> str:
    path = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


# Which authorities are trusted


@pytest.mark.parametrize("client", CLIENTS)
def test_nobody_is_trusted_without_an_authority(client: str, ask: Ask, tls: StandIn) -> None:
    error = ask(client, tls.url, **keys_of(tls))
    assert "the certificate of 127.0.0.1" in error
    assert "is not trusted" in error
    assert "set ca_path to its CA bundle" in error
    assert not tls.calls
    assert not tls.transfers


@pytest.mark.parametrize("variable", ["APSARADB_BACKUP_CA_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", None])
@pytest.mark.parametrize("client", CLIENTS)
def test_an_authority(
    client: str, variable: str | None, ask: Ask, tls: StandIn, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, bundle)
    error = ask(client, tls.url, **keys_of(tls), **({} if variable else {"ca_path": bundle}))
    assert is_answered(client, error), error


@pytest.mark.parametrize("client", CLIENTS)
def test_the_nearest_authority_is_meant(
    client: str, ask: Ask, tls: StandIn, bundle: str, other_bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", "/no/such/bundle")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_bundle)
    assert "is not trusted" in ask(client, tls.url, **keys_of(tls))
    monkeypatch.setenv("APSARADB_BACKUP_CA_PATH", bundle)
    assert is_answered(client, ask(client, tls.url, **keys_of(tls)))
    assert "is not trusted" in ask(client, tls.url, **keys_of(tls), ca_path=other_bundle)


@pytest.mark.parametrize("how", ["option", "variable"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_need_not_be_checked(
    client: str, how: str, ask: Ask, tls: StandIn, other_bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_bundle)
    if how == "variable":
        monkeypatch.setenv("APSARADB_BACKUP_VALIDATE_CERTS", "false")
    error = ask(client, tls.url, **keys_of(tls), **({"validate_certs": False} if how == "option" else {}))
    assert is_answered(client, error), error


# How long, and how often


class Mute:
    """A server that takes connections and never answers. It counts them."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Mute:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in [self._socket, *self.connections]:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self._socket.accept()[0])


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_mute_server_is_asked_so_often(client: str, retries: int, ask: Ask) -> None:
    with Mute() as mute:
        error = ask(client, mute.url, read_timeout=0.2, max_retries=retries)
    assert len(mute.connections) == retries + 1
    assert "127.0.0.1" in error
    assert "did not answer within 0.2 seconds" in error


@pytest.mark.parametrize("client", CLIENTS)
def test_no_time_out_is_longer_than_all_may_take(client: str, ask: Ask) -> None:
    """An hour, unless the total bounds it."""
    with Mute() as mute:
        total = "stall_timeout" if client == "file" else "request_timeout"
        error = ask(client, mute.url, **{"read_timeout": 3600, total: 1, "max_retries": 100})
    assert len(mute.connections) == 1
    assert re.search(r"did not answer within (1|0\.\d+) seconds", error), error


@pytest.mark.parametrize("client", CLIENTS)
def test_a_fault_that_can_pass_is_lived_through(client: str, ask: Ask, plain: StandIn) -> None:
    plain.inject(Fault("unavailable", 2, action=ACTIONS[client]))
    error = ask(client, plain.url, **keys_of(plain), max_retries=1)
    assert "ServiceUnavailable" in error
    assert len(plain.transfers if client in ("OSS", "file") else plain.calls) == 2
    plain.inject(Fault("unavailable", 1, action=ACTIONS[client]))
    assert is_answered(client, ask(client, plain.url, **keys_of(plain), max_retries=1))


@pytest.mark.parametrize("client", SIGNING)
def test_what_cannot_pass_is_asked_once(client: str, ask: Ask, plain: StandIn) -> None:
    error = ask(client, plain.url, access_key_id="LTAI-is-not-there", access_key_secret="some-secret", max_retries=5)
    assert "InvalidAccessKeyId" in error
    assert "check access_key_id" in error
    assert len([*plain.transfers, *plain.calls]) == 1


# Which way


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_is_not_there(client: str, ask: Ask, nobody: str) -> None:
    error = ask(client, f"http://{nobody}")
    assert "127.0.0.1" in error
    assert "refused the connection" in error


@pytest.mark.parametrize("client", CLIENTS)
def test_the_name_and_the_cause_of_a_host_that_is_none(client: str, ask: Ask) -> None:
    error = ask(client, "https://storage.invalid")
    assert "storage.invalid could not be resolved" in error


@pytest.mark.parametrize("client", CLIENTS)
def test_loopback_needs_no_proxy(
    client: str, ask: Ask, plain: StandIn, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{nobody}")
    assert is_answered(client, ask(client, plain.url, **keys_of(plain)))


@pytest.fixture
def elsewhere(authority: trustme.CA) -> Iterator[tuple[StandIn, Proxy]]:
    """A service with the names of hosts that do not exist, and a proxy that leads to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = ("service.invalid", f"{BUCKET}.service.invalid", "sts.cn-hangzhou.aliyuncs.com")
    authority.issue_cert(*names).configure_cert(context)
    with StandIn(tls=context) as service, Proxy(service.url) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        service.add_task(INSTANCE)
        service.add_backup(INSTANCE)
        service.objects.add_bucket(BUCKET)
        yield service, proxy
        proxy.shutdown()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_proxy(
    client: str, ask: Ask, elsewhere: tuple[StandIn, Proxy], bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, proxy = elsewhere
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    error = ask(client, "https://service.invalid", **keys_of(service), ca_path=bundle)
    # The storage knows a bucket by the names of real hosts only, and so asks for a key of the service here.
    assert is_answered(client, error) or (client == "OSS" and "service.invalid" in error and "could not" not in error)
    assert proxy.asked_for == [f"{BUCKET}.service.invalid:443" if client == "OSS" else "service.invalid:443"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_proxy_that_is_not_there(client: str, ask: Ask, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:proxy-password@{nobody}")
    error = ask(client, "https://service.invalid")
    assert "service.invalid" in error
    assert "proxy" in error or client == "file"
    assert "proxy-password" not in error


@pytest.mark.parametrize("client", SIGNING)
def test_netrc_does_not_break_the_signature(
    client: str, ask: Ask, plain: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert ask(client, plain.url, **keys_of(plain)) == ""


# OSS alone


def test_a_bucket_elsewhere(ask: Ask, plain: StandIn) -> None:
    said = {
        "status": 403,
        "code": "AccessDenied",
        "message": "The bucket must be addressed using the specified endpoint.",
    }
    for endpoint, advice in (
        ("oss-cn-beijing.aliyuncs.com", "set oss_region to cn-beijing"),
        ("oss-eu-west-1-internal.aliyuncs.com", "set oss_region to eu-west-1"),
        ("storage.example", "set oss_endpoint to storage.example"),
    ):
        plain.inject(Fault("error", action="ListObjectsV2", **said, endpoint=endpoint))
        error = ask("OSS", plain.url, **keys_of(plain))
        assert f"AccessDenied: {said['message'][:-1]}" in error
        assert f"The bucket is at {endpoint}: {advice}." in error
    plain.inject(Fault("error", action="ListObjectsV2", **said, endpoint="https://a b?Signature=x"))
    assert "The bucket is at" not in ask("OSS", plain.url, **keys_of(plain))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"oss_region": "oss-cn-beijing"}, "oss_region 'oss-cn-beijing' is not known (did you mean cn-beijing?)"),
        (
            {"oss_region": "cn-beijing-internal"},
            "oss_region 'cn-beijing-internal' is not known (did you mean cn-beijing?)",
        ),
        ({"oss_region": "beijing"}, "oss_region 'beijing' is not known (did you mean cn-beijing"),
        ({"oss_region": "cn-beijing-h"}, "oss_region 'cn-beijing-h' is not known (did you mean cn-beijing"),
        ({"region": "cn-hangzou"}, "region 'cn-hangzou' is not known (did you mean cn-hangzhou"),
    ],
)
def test_the_region_of_a_bucket_is_checked(options: dict[str, str], said: str, ask: Ask) -> None:
    error = ask("OSS", "", **options)
    assert error.startswith(said)
    assert "for a region that this collection does not know yet, set oss_endpoint" in error
    assert ask("OSS", "http://127.0.0.1:9", **options).startswith("Failed to list")


def test_the_whole_bucket(plain: StandIn) -> None:
    for name in ("a", "b/c", "b/d/"):
        plain.objects.put(BUCKET, name, b"content")
    given = {**dict.fromkeys(LOCATION_SPEC), "region": "cn-hangzhou", **keys_of(plain), "oss_endpoint": plain.url}
    for path in (f"oss://{BUCKET}", f"oss://{BUCKET}/"):
        assert [name for name, _unused in BucketObjects.parse(completed(given)).links(path)] == ["a", "b/c"]


# STS, which the official package asks


@pytest.fixture
def assuming(elsewhere: tuple[StandIn, Proxy], info: Any, tmp_path: Path) -> Callable[..., Any]:
    """The module with a profile that assumes a role. It runs by itself: the package reads the environment when it is imported."""
    service, proxy = elsewhere
    role = {"ram_role_arn": "acs:ram::1:role/backup", "ram_session_name": "x", "sts_region": "cn-hangzhou"}
    profile = {"name": "role", "mode": "RamRoleArn", "region_id": "cn-hangzhou", **role, **keys_of(service)}
    (tmp_path / ".aliyun").mkdir()
    (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": "role", "profiles": [profile]}))

    def run(environment: dict[str, str] | None = None, **options: Any) -> Any:
        given = {"HOME": str(tmp_path), "HTTPS_PROXY": proxy.url, **(environment or {})}
        arguments = {"instance_name": INSTANCE, "endpoint": "https://service.invalid", "max_retries": 0, **options}
        result = info.process(arguments, environment=given)
        assert service.key.secret not in info.output
        return result

    return run


def test_a_role_is_assumed_by_our_authorities(
    assuming: Callable[..., Any], elsewhere: tuple[StandIn, Proxy], bundle: str
) -> None:
    for options, environment in (
        ({"ca_path": bundle}, {}),
        ({}, {"REQUESTS_CA_BUNDLE": bundle}),
        ({}, {"APSARADB_BACKUP_CA_PATH": bundle, "REQUESTS_CA_BUNDLE": "/no/such/bundle"}),
        ({"validate_certs": False}, {"PYTHONWARNINGS": "ignore"}),
    ):
        assert assuming(environment, **options).get("count") == 1
    service, _unused = elsewhere
    assert service.roles == ["acs:ram::1:role/backup"] * 4
    assert {call.headers["x-acs-security-token"] for call in service.calls} == {"CAISassumed+role/token=="}


def test_a_role_that_cannot_be_assumed(assuming: Callable[..., Any], elsewhere: tuple[StandIn, Proxy]) -> None:
    said = assuming()["msg"]
    assert "the certificate of sts.cn-hangzhou.aliyuncs.com is not trusted" in said
    assert "set ca_path to its CA bundle" in said
    assert not elsewhere[0].calls


def test_a_mute_service_of_tokens(assuming: Callable[..., Any]) -> None:
    with Mute() as mute, Proxy(mute.url) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        said = assuming({"HTTPS_PROXY": proxy.url}, connect_timeout=0.3, read_timeout=0.3, max_retries=1)["msg"]
        proxy.shutdown()
    assert len(mute.connections) == 2
    assert "sts.cn-hangzhou.aliyuncs.com" in said
