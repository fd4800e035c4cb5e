# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The signed client against the stand-in, over real HTTP: what it survives, what it reports, what it never shows."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import (
    BackupError,
    ConnectionFailedError,
    InvalidResponseError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._base.retry import RetryPolicy
from ansible_collections.apsaradb.backup.plugins.module_utils._base.version import VERSION
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.client import Client
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credential import Credential
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.credentials import FixedSource
from ansible_collections.apsaradb.backup.plugins.module_utils._transport.errors import ServiceError
from stand_in import Fault, StandIn

MakeClient = Callable[..., Client]
ACTION = "DescribeDownloadTask"


def ask(client: Client, instance: str = "rm-bp1abc") -> dict[str, Any]:
    return client.call(
        ACTION, {"RegionCode": "cn-hangzhou", "InstanceName": instance}, operation=f"list the tasks of {instance}"
    )


def failure_of(client: Client, kind: type[BackupError] = ServiceError) -> Any:
    with pytest.raises(kind) as caught:
        ask(client)
    return caught.value


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn() as running:
        running.add_task("rm-bp1abc", task_id="dt-one")
        yield running


def test_an_answer(service: StandIn, client_of: MakeClient) -> None:
    answer = ask(client_of(service))
    assert answer["Data"]["Content"]["List"][0]["TaskId"] == "dt-one"
    (call,) = service.calls
    assert call.method == "POST"
    assert call.headers["user-agent"].startswith(f"apsaradb.backup/{VERSION} ")


def test_calls_share_one_connection(service: StandIn, client_of: MakeClient) -> None:
    client = client_of(service)
    for _unused in range(20):
        ask(client)
    assert (len(service.calls), service.connections) == (20, 1)


def test_a_temporary_key(service: StandIn, client_of: MakeClient) -> None:
    key = service.add_key(token="sts-token", expires_in=900)
    assert ask(client_of(service, source=FixedSource(Credential(key.id, key.secret, "sts-token"))))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", 2),
        Fault("reset", 2, executed=True),
        Fault("truncated", 2),
        Fault("not_json", 2),
        Fault("html", 2),
        Fault("unavailable", 2),
        Fault("internal", 2),
        Fault("throttled", 2, retry_after=10),
        Fault("throttled", 2, status=429, retry_after=None),
        Fault("nonce_used", 2),
        Fault("error", 2, status=503, code="ServiceUnavailable", xml=True),
        Fault("error", 2, status=500, code="SomethingNew"),
        # The code decides, whatever HTTP status it comes with.
        *(
            Fault("error", 2, status=status, code=code)
            for status in (200, 400, 403)
            for code in (
                *("Throttling", "Throttling.Api", "ServiceUnavailable", "ServiceUnavailable.Region"),
                *("InternalError", "InternalError.Retry", "InternalFailure", "SignatureNonceUsed"),
            )
        ),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.details.get('status', '')}-{fault.details.get('code', '')}",
)
def test_what_can_pass_is_repeated(service: StandIn, client_of: MakeClient, fault: Fault) -> None:
    service.inject(fault)
    assert ask(client_of(service))["Data"]["TotalElements"] == 1
    assert len(service.calls) == 3
    assert len({call.headers["x-acs-signature-nonce"] for call in service.calls}) == 3


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "SignatureDoesNotMatch"),
        (400, "IncompleteSignature"),
        (404, "InvalidAccessKeyId.NotFound"),
        (403, "Forbidden.RAM"),
        (403, "NoPermission"),
        (403, "Request.Forbidden"),
        (403, "DBS.NoPermissionException"),
        (404, "InvalidAction.NotFound"),
        (400, "InvalidVersion"),
        (404, "DBS.NotExists"),
        (500, "DBS.ParamIsInValid"),
        (400, "SomethingNew"),
    ],
)
def test_what_cannot_pass_is_asked_once(service: StandIn, client_of: MakeClient, status: int, code: str) -> None:
    service.inject(Fault("error", 9, status=status, code=code, message="No."))
    error = failure_of(client_of(service))
    assert (error.code, error.status, error.attempts, len(service.calls)) == (code, status, 1, 1)
    assert error.request_id == service.calls[0].request_id
    assert str(error).startswith(
        f"Failed to list the tasks of rm-bp1abc: the service answered {code}: No (HTTP {status}, request ID {error.request_id})."
    )


def test_a_business_error_in_a_200(service: StandIn, client_of: MakeClient) -> None:
    with pytest.raises(ServiceError) as caught:
        ask(client_of(service), "rm-unknown")
    assert caught.value.code == "Forbidden.InstanceNotFound"
    assert caught.value.status == 200
    assert "Check instance_name and region" in str(caught.value)
    assert len(service.calls) == 1


@pytest.mark.parametrize(
    ("body", "is_success"),
    [
        ({"Success": "true"}, True),
        ({"Success": "True", "Code": "Success"}, True),
        ({"Success": True, "Code": "DBS.InternalError", "ErrCode": "DBS.InternalError"}, True),
        ({}, True),
        ({"Code": "Success"}, True),
        ({"Code": "200"}, True),
        ({"Code": 200}, True),
        ({"Success": "false"}, False),
        ({"Success": "False", "Code": "Success"}, False),
        ({"Success": False, "ErrCode": "DBS.InternalError", "ErrMessage": "Oh."}, False),
        ({"Code": "DBS.InternalError"}, False),
    ],
)
def test_success_alone_decides(service: StandIn, client_of: MakeClient, body: dict[str, Any], is_success: bool) -> None:
    service.answer(ACTION, {"RequestId": "5D285EB9", **body})
    client = client_of(service, retries=0)
    if is_success:
        assert ask(client)["RequestId"] == "5D285EB9"
    else:
        assert failure_of(client).request_id == "5D285EB9"


def test_the_pause_that_the_service_asks_for_wins(service: StandIn, client_of: MakeClient) -> None:
    service.inject(Fault("throttled", retry_after=300))
    began = time.monotonic()
    ask(client_of(service))
    assert time.monotonic() - began >= 0.3


def test_a_pause_beyond_the_time_is_not_waited_for(service: StandIn, client_of: MakeClient) -> None:
    service.inject(Fault("throttled", retry_after=86_400_000))
    error = failure_of(client_of(service, retry=RetryPolicy(timeout=3600.0)))
    assert error.attempts == 1
    assert error.retry_after == 86_400.0
    assert "Throttling.User" in str(error)


def test_the_last_error_says_how_often_and_how_long(service: StandIn, client_of: MakeClient) -> None:
    service.inject(Fault("unavailable", 99))
    error = failure_of(client_of(service, retries=3))
    assert len(service.calls) == 4
    assert re.search(r"Gave up after 4 attempts in \d+\.\d seconds", str(error))
    assert error.to_dict()["attempts"] == 4


def test_the_time_bounds_all_attempts(service: StandIn, client_of: MakeClient) -> None:
    """Of each, too: the service would take an hour."""
    service.inject(Fault("slow", 99, seconds=3600.0))
    error = failure_of(client_of(service, retry=RetryPolicy(retries=50, timeout=0.5)), ConnectionFailedError)
    assert "did not answer within" in str(error)


def test_a_wrong_clock_is_corrected_once(service: StandIn, client_of: MakeClient) -> None:
    service.clock_offset = 3600.0
    client = client_of(service)
    assert ask(client)
    assert ask(client)
    assert [call.code for call in service.calls] == ["InvalidTimeStamp.Expired", None, None]

    service.inject(Fault("error", 9, status=400, code="InvalidTimeStamp.Expired"))
    error = failure_of(client)
    assert error.attempts == 2
    assert "clock" in str(error)


class RenewingSource:
    """As an instance's role: the next credential is there when asked for."""

    def __init__(self, *credentials: Credential) -> None:
        self.credentials = list(credentials)

    def get(self) -> Credential:
        return self.credentials[0]

    def refresh(self) -> bool:
        if len(self.credentials) == 1:
            return False
        self.credentials.pop(0)
        return True


def test_an_expired_token_is_renewed_once(service: StandIn, client_of: MakeClient) -> None:
    old = service.add_key(token="old", expires_in=-1)
    new = service.add_key(token="new", expires_in=900)
    source = RenewingSource(Credential(old.id, old.secret, "old"), Credential(new.id, new.secret, "new"))
    assert ask(client_of(service, source=source))
    assert [call.code for call in service.calls] == ["InvalidSecurityToken.Expired", None]

    fixed = FixedSource(Credential(old.id, old.secret, "old"))
    error = failure_of(client_of(service, source=fixed))
    assert error.attempts == 1
    assert "get a new one" in str(error)


def test_a_refusal_names_the_permission(service: StandIn, client_of: MakeClient) -> None:
    key = service.add_key(may={"dbs:CreateDownload"})
    error = failure_of(client_of(service, source=FixedSource(Credential(key.id, key.secret))))
    assert "Grant the caller the RAM action dbs:DescribeDownloadTask." in str(error)
    assert error.to_dict()["access_denied_detail"]["AuthAction"] == "dbs:DescribeDownloadTask"


def test_a_wrong_secret(service: StandIn, client_of: MakeClient) -> None:
    source = FixedSource(Credential(service.key.id, "not-the-secret"))
    error = failure_of(client_of(service, source=source))
    assert error.code == "SignatureDoesNotMatch"
    assert "check access_key_secret" in str(error)
    assert "not-the-secret" not in str(error) + repr(error.to_dict()) + repr(source.get())


def test_what_a_service_repeats_of_a_credential_is_hidden(service: StandIn, client_of: MakeClient) -> None:
    token = "a-very-secret-token"
    key = service.add_key(token=token, expires_in=900)
    said = f"bad {token} and {key.secret} of {key.id}"
    service.inject(Fault("error", 1, status=400, code="Odd", message=said))
    error = failure_of(client_of(service, source=FixedSource(Credential(key.id, key.secret, token))))
    for secret in (token, key.secret, key.id):
        assert secret not in str(error) + repr(error.to_dict())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(service: StandIn, client_of: MakeClient, status: int) -> None:
    with StandIn() as elsewhere:
        service.inject(Fault("redirect", status=status, location=elsewhere.url))
        error = failure_of(client_of(service), InvalidResponseError)
        assert elsewhere.connections == 0
    assert f"HTTP {status}, a redirect" in str(error)


def test_a_page_of_a_proxy_is_described(service: StandIn, client_of: MakeClient) -> None:
    service.inject(Fault("html", 9, status=403, title="Access blocked"))
    error = failure_of(client_of(service), InvalidResponseError)
    assert error.attempts == 1
    assert "HTTP 403" in str(error)
    assert "titled 'Access blocked'" in str(error)
    assert "A proxy or a wrong endpoint" in str(error)


def test_netrc_does_not_break_the_signature(
    service: StandIn, client_of: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert ask(client_of(service))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("wrong_clock"),
        Fault("nonce_used"),
    ],
    ids=lambda fault: fault.kind,
)
def test_corrections_need_no_retries(service: StandIn, client_of: MakeClient, fault: Fault) -> None:
    if fault.kind == "wrong_clock":
        service.clock_offset = -7200.0
    else:
        service.inject(fault)
    assert ask(client_of(service, retries=0))


def test_throttling_is_bounded_by_time_alone(service: StandIn, client_of: MakeClient) -> None:
    service.inject(Fault("throttled", 12, retry_after=10))
    assert ask(client_of(service, retry=RetryPolicy(retries=1, base=0.001, cap=0.05, timeout=600)))
    service.inject(Fault("throttled", 12, retry_after=10))
    assert failure_of(client_of(service, retries=0)).attempts == 1


def test_no_pause_is_the_same_as_another() -> None:
    policy = RetryPolicy(base=0.5, cap=20)
    pauses = [policy.pause(3, server_given=2.0) for _unused in range(100)]
    assert len(set(pauses)) == 100
    assert all(2.0 <= pause <= 6.0 for pause in pauses)
    assert max(policy.pause(60) for _unused in range(100)) <= 20


@pytest.mark.parametrize("body", [b"{}", b'{"status": "ok"}', b"[]", b"null", b"[" * 100_000])
def test_an_answer_that_is_not_the_services(service: StandIn, client_of: MakeClient, body: bytes) -> None:
    service.answer(ACTION, body)
    error = failure_of(client_of(service, retries=1), InvalidResponseError)
    assert "an unexpected body (application/json" in str(error)
    assert f"request ID {service.calls[-1].request_id}" in str(error)
    assert len(service.calls) == 2


def test_an_error_in_xml_with_a_namespace(client_of: MakeClient, service: StandIn) -> None:
    body = b"<Error xmlns='http://x'><Code>Forbidden.RAM</Code><RequestId>5D28</RequestId></Error>"
    with Responder(
        b"HTTP/1.1 403 No\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    ) as url:
        error = failure_of(client_of(service, base_url=url))
    assert (error.code, error.request_id) == ("Forbidden.RAM", "5D28")


class Responder:
    """A server that answers each connection with the same bytes, and then, every so often, with one more."""

    def __init__(self, answer: bytes, drip: float | None = None) -> None:
        self._answer = answer
        self._drip = drip
        self.dripped = 0
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *reason: object) -> None:
        self._ended.set()
        # Closing it would not wake the thread that waits at it.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                connection, _unused = self._socket.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(self._answer)
                    while self._drip is not None and not self._ended.wait(self._drip):
                        connection.sendall(b" ")
                        self.dripped += 1


def test_an_answer_that_drips(client_of: MakeClient, service: StandIn) -> None:
    """All of it would take most of a minute, and each byte is in time."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
    responder = Responder(head, 0.05)
    with responder as url:
        error = failure_of(client_of(service, base_url=url, retries=0, read_timeout=0.5), ConnectionFailedError)
    assert 0 < responder.dripped < 333
    assert "did not answer within 0.5 seconds" in str(error)


def test_loopback_needs_no_proxy(service: StandIn, client_of: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(client_of(service))


def test_tls_to_what_does_not_speak_it(service: StandIn, client_of: MakeClient) -> None:
    error = failure_of(client_of(service, base_url=service.url.replace("http:", "https:")), ConnectionFailedError)
    assert "does not speak TLS. Check endpoint and port." in str(error)
    assert error.attempts == 1


def test_a_bundle_without_certificates(tls_service: StandIn, client_of: MakeClient, tmp_path: Path) -> None:
    bundle = tmp_path / "empty.pem"
    bundle.write_text("nothing\n")
    error = failure_of(client_of(tls_service, ca_path=str(bundle)), ConnectionFailedError)
    assert "the CA bundle cannot be read" in str(error)
    assert error.attempts == 1


def test_the_time_for_all_requests(service: StandIn, client_of: MakeClient) -> None:
    client = client_of(service)
    client.deadline = time.monotonic() - 60
    error = failure_of(client, ConnectionFailedError)
    assert "the time limit for all requests has passed." in str(error)
    assert not service.calls


def test_a_service_that_asks_for_too_long_a_pause_is_quoted(service: StandIn, client_of: MakeClient) -> None:
    service.inject(Fault("throttled", retry_after=2_000_000))
    assert "asks to wait 2000 seconds" in str(failure_of(client_of(service)))


def test_a_signature_that_is_wrong_is_not_explained_at_length(service: StandIn, client_of: MakeClient) -> None:
    said = str(failure_of(client_of(service, source=FixedSource(Credential(service.key.id, "wrong")))))
    assert "x-acs" not in said
    assert len(said) < 500


def test_threads_share_a_client(service: StandIn, client_of: MakeClient) -> None:
    client = client_of(service, max_connections=4)
    service.inject(Fault("unavailable", 5), Fault("reset", 5))
    threads = [threading.Thread(target=ask, args=(client,)) for _unused in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([call for call in service.calls if call.status == 200 and not call.fault]) == 20
    assert service.connections <= 4 + 5  # a reset costs a connection


# The network


def test_a_certificate_that_is_not_trusted(tls_service: StandIn, client_of: MakeClient) -> None:
    error = failure_of(client_of(tls_service), ConnectionFailedError)
    assert error.attempts == 1
    assert "is not trusted" in str(error)
    assert "ca_path" in str(error)


def test_certificates_need_not_be_checked(tls_service: StandIn, client_of: MakeClient) -> None:
    assert ask(client_of(tls_service, validate_certs=False))


def test_the_environment_names_the_proxy(
    service: StandIn, client_of: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in plays the proxy, and answers for a host whose name means nothing."""
    monkeypatch.setenv("HTTP_PROXY", service.url)
    assert ask(client_of(service, base_url="http://dbs-api.invalid"))
    assert service.calls[0].headers["host"] == "dbs-api.invalid"


def test_a_proxy_that_is_not_there(
    service: StandIn, client_of: MakeClient, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:proxy-password@{nobody}")
    error = failure_of(client_of(service, base_url="http://dbs-api.invalid", retries=0), ConnectionFailedError)
    assert "the proxy for dbs-api.invalid could not be used" in str(error)
    assert "proxy-password" not in str(error)


def test_no_connection(service: StandIn, client_of: MakeClient, nobody: str) -> None:
    for url, said in (
        ("https://dbs-api.invalid", "the name of dbs-api.invalid could not be resolved"),
        (f"http://{nobody}", "refused the connection"),
    ):
        error = failure_of(client_of(service, base_url=url, retries=2), ConnectionFailedError)
        assert said in str(error)
        assert "Gave up after 3 attempts" in str(error)


@pytest.mark.parametrize("kind", [BackupError, ValueError])
def test_an_error_that_is_being_handled_says_nothing_of_the_request(
    service: StandIn, client_of: MakeClient, kind: type[Exception]
) -> None:
    """Neither that it did not arrive, so that it may be sent again, nor why."""
    service.inject(Fault("reset", 9))
    client = client_of(service)
    try:
        raise kind("the service refused it, Failed to establish a new connection, timed out")
    except kind:
        with pytest.raises(ConnectionFailedError, match=r"the connection to .* failed") as caught:
            client.call("DescribeDownloadTask", {"RegionCode": "cn-hangzhou"}, operation="ask", at_most_once=True)
        assert caught.value.sent
    assert len(service.calls) == 1
