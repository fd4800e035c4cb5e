# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no official client sends or shows: forged requests, the bytes of an answer, faults."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from processes import LIMIT
from stand_in import AccessKey, Fault, StandIn, sample
from stand_in.authentication import Authenticator
from stand_in.web import Request

if TYPE_CHECKING:
    from conftest import Raw


def code_of(raw: Raw, **request: Any) -> tuple[int, str]:
    answer = raw.send(raw.signed(**request))
    return answer.status, answer.body.get("Code", "")


def test_the_official_vector_of_the_signature() -> None:
    headers = http.client.HTTPMessage()
    for name, value in {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": hashlib.sha256().hexdigest(),
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
        "authorization": "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders="
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    }.items():
        headers[name] = value
    query = [("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"), ("RegionId", "cn-shanghai")]
    verifier = Authenticator()
    key = verifier.add(AccessKey("YourAccessKeyId", "YourAccessKeySecret"))

    assert verifier.check(Request("POST", "/", query, headers, b"", 1), now=1698315752) == key


def test_any_text_can_be_signed(raw: Raw) -> None:
    query = {**raw.query, "BackupSetId": "+ /~*%&=é漢", "ClusterName": ""}

    answer = raw.send(raw.signed(query=query))

    assert answer.status == 200
    assert raw.service.calls[0].params == query


def test_get_and_forms(raw: Raw) -> None:
    assert code_of(raw, method="GET") == (200, "")
    form = b"RegionCode=cn-hangzhou&InstanceName=rm-bp1abc"
    answer = raw.send(raw.signed(query={}, body=form, content_type="application/x-www-form-urlencoded"))
    assert answer.body["Data"]["TotalElements"] == 1


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"action": "DescribeNothing"}, (404, "InvalidAction.NotFound")),
        ({"x_acs_action": None}, (400, "MissingParameter")),
        ({"x_acs_version": None}, (400, "MissingParameter")),
        ({"x_acs_version": "2019-03-06"}, (400, "InvalidVersion")),
        ({"x_acs_date": None}, (400, "MissingParameter")),
        ({"x_acs_date": "yesterday"}, (400, "InvalidTimeStamp.Format")),
        ({"x_acs_signature_nonce": None}, (400, "MissingParameter")),
        ({"x_acs_content_sha256": None}, (400, "MissingParameter")),
        ({"x_acs_content_sha256": hashlib.sha256(b"other").hexdigest()}, (400, "SignatureDoesNotMatch")),
        ({"x_acs_security_token": "never issued"}, (400, "InvalidSecurityToken.Malformed")),
        ({"method": "DELETE"}, (405, "UnsupportedHTTPMethod")),
    ],
)
def test_refused_at_the_gateway(raw: Raw, request_: dict[str, Any], expected: tuple[int, str]) -> None:
    assert code_of(raw, **request_) == expected


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "MissingParameter"),
        ("ACS3-HMAC-SHA256 nonsense", "IncompleteSignature"),
        ("ACS3-HMAC-SHA256 Credential=x,SignedHeaders=host,Signature=00", "IncompleteSignature"),
    ],
)
def test_a_request_without_a_proper_signature(raw: Raw, authorization: str | None, code: str) -> None:
    request = raw.signed()
    del request.headers["Authorization"]
    if authorization:
        request.headers["Authorization"] = authorization

    assert raw.send(request).body["Code"] == code


def test_what_was_signed_may_not_change_afterwards(raw: Raw) -> None:
    for change in ("query", "body", "header"):
        request = raw.signed(body=b"one")
        if change == "query":
            request.query = {**request.query, "InstanceName": "rm-other"}
        elif change == "body":
            request.body = b"two"
        else:
            request.headers["x-acs-signature-nonce"] += "0"
        assert raw.send(request).body["Code"] == "SignatureDoesNotMatch", change


def test_tokens_belong_to_their_keys(raw: Raw) -> None:
    raw.service.add_key(token="of another")
    assert code_of(raw, x_acs_security_token="of another") == (400, "InvalidSecurityToken.MismatchWithAccessKey")

    raw.service.key = raw.service.add_key(token="mine")
    assert code_of(raw) == (400, "MissingSecurityToken")
    assert code_of(raw, x_acs_security_token="mine") == (200, "")


def test_an_unknown_key(raw: Raw) -> None:
    with StandIn() as elsewhere:
        raw.service.key = elsewhere.key
    assert code_of(raw) == (404, "InvalidAccessKeyId.NotFound")


def test_a_nonce_is_good_once(raw: Raw) -> None:
    request = raw.signed()

    assert raw.send(request).status == 200
    assert raw.send(request).body["Code"] == "SignatureNonceUsed"


def test_a_date_is_judged_by_the_servers_clock(raw: Raw) -> None:
    assert code_of(raw, clock=timedelta(minutes=14)) == (200, "")
    assert code_of(raw, clock=timedelta(minutes=16)) == (400, "InvalidTimeStamp.Expired")

    raw.service.clock_offset = -3600
    before = time.time()
    answer = raw.send(raw.signed())

    assert answer.body["Code"] == "InvalidTimeStamp.Expired"
    assert before - 1 < parsedate_to_datetime(answer.headers["Date"]).timestamp() + 3600 <= time.time()
    assert code_of(raw, clock=timedelta(hours=-1)) == (200, "")


def test_gateway_errors_are_json_unless_xml_is_asked_for(raw: Raw) -> None:
    answer = raw.send(raw.signed(action="Nothing"))
    assert answer.body["RequestId"] == answer.headers["x-acs-request-id"]
    assert answer.body.keys() == {"Code", "Message", "RequestId", "HostId", "Recommend"}

    answer = raw.send(raw.signed(action="Nothing", accept="application/xml"))
    assert answer.headers["Content-Type"] == "text/xml;charset=utf-8"
    assert ElementTree.fromstring(answer.text).findtext("Code") == "InvalidAction.NotFound"

    answer = raw.send(raw.signed(accept="text/xml"))
    assert ElementTree.fromstring(answer.text).findtext("Data/Content/List/TaskId") == "dt-1"

    raw.service.habits.errors = "xml"
    assert raw.send(raw.signed(action="Nothing")).text.startswith("<?xml")


@pytest.mark.parametrize(
    ("habits", "expected"),
    [
        ({"content": "array"}, []),
        ({"content": "list"}, {"List": []}),
        ({"content": "null"}, None),
        ({"content": "null_list"}, {"List": None}),
    ],
)
def test_shapes_of_nothing(raw: Raw, habits: dict[str, Any], expected: Any) -> None:
    for name, value in habits.items():
        setattr(raw.service.habits, name, value)

    answer = raw.send(raw.signed(query={**raw.query, "State": "failed"}))

    assert answer.body["Data"]["Content"] == expected


def test_other_variations_of_the_answer(raw: Raw) -> None:
    habits = raw.service.habits
    habits.content, habits.totals, habits.paging, habits.success = "array", False, "number", "True"
    habits.code_beside_success = "DBS.InternalError"

    body = raw.send(raw.signed()).body

    assert (body["Success"], body["Code"], body["ErrCode"]) == ("True", "DBS.InternalError", "DBS.InternalError")
    assert body["Data"].keys() == {"Number", "Size", "Extra", "Content"}
    assert [task["TaskId"] for task in body["Data"]["Content"]] == ["dt-1"]

    habits.totals = "wrong"
    data = raw.send(raw.signed()).body["Data"]
    assert (data["TotalElements"], data["TotalPages"]) == (1, 2)

    habits.content = "no_data"
    assert "Data" not in raw.send(raw.signed(query={**raw.query, "State": "failed"})).body


def test_a_canned_answer_is_verbatim_and_only_for_those_with_a_key(raw: Raw) -> None:
    raw.service.answer("DescribeDownloadTask", sample("DescribeDownloadTask"), times=1)
    raw.service.answer("SomethingNew", {"Success": "true"})

    request = raw.signed()
    del request.headers["Authorization"]
    assert raw.send(request).status == 400
    assert raw.send(raw.signed()).text.encode() == sample("DescribeDownloadTask")
    assert raw.send(raw.signed()).body["Data"]["TotalElements"] == 1
    assert [raw.send(raw.signed("SomethingNew")).body for dummy in range(2)] == [{"Success": "true"}] * 2


def test_faults_come_in_order_and_at_the_calls_meant(raw: Raw) -> None:
    raw.service.inject(Fault("internal", action="Nothing"), Fault("unavailable", times=2, after=1), Fault("html"))

    assert [raw.send(raw.signed()).status for dummy in range(5)] == [200, 503, 503, 502, 200]
    assert [call.fault for call in raw.service.calls] == [None, "unavailable", "unavailable", "html", None]


@pytest.mark.parametrize("executed", [False, True])
def test_a_reset_connection(raw: Raw, executed: bool) -> None:
    seen = []
    raw.service.on_call(lambda call: seen.append(call.action))
    raw.service.inject(Fault("reset", executed=executed))
    request = raw.signed()

    with pytest.raises(ConnectionError):
        raw.send(request)

    assert seen == (["DescribeDownloadTask"] if executed else [])
    assert raw.service.calls[0].status is None
    assert raw.send(request).status == (400 if executed else 200), "only what reached the gateway used its nonce"


@pytest.mark.parametrize("at", [None, 0, 100_000])
def test_a_truncated_body(raw: Raw, at: int | None) -> None:
    """By a byte at least, however long the answer would have been."""
    raw.service.inject(Fault("truncated", at=at))

    with pytest.raises(http.client.IncompleteRead):
        raw.send(raw.signed())


def test_what_a_proxy_answers(raw: Raw) -> None:
    raw.service.inject(Fault("html", title="504 Gateway Time-out", status=504), Fault("redirect"), Fault("not_json"))

    page, redirect, text = (raw.send(raw.signed()) for dummy in range(3))

    assert (page.status, page.headers["Content-Type"]) == (504, "text/html")
    assert "<title>504 Gateway Time-out</title>" in page.text
    assert (redirect.status, redirect.headers["Location"]) == (302, "/elsewhere")
    assert (text.status, text.text) == (200, "pong")
    assert "x-acs-request-id" not in page.headers


@pytest.mark.parametrize("executed", [False, True])
def test_a_slow_answer(raw: Raw, executed: bool) -> None:
    raw.service.inject(Fault("slow", seconds=0.1, executed=executed))
    begin = time.monotonic()

    assert raw.send(raw.signed()).status == 200
    assert time.monotonic() - begin >= 0.1


def test_errors_of_the_gateway_on_demand(raw: Raw) -> None:
    raw.service.inject(
        Fault("wrong_clock"),
        Fault("nonce_used"),
        Fault("throttled", retry_after=20),
        Fault("error", code="X", xml=True),
    )

    clock, nonce, throttled, error = (raw.send(raw.signed()) for dummy in range(4))

    assert clock.body["Code"] == "InvalidTimeStamp.Expired"
    assert parsedate_to_datetime(clock.headers["Date"]).timestamp() > time.time() + 3500
    assert nonce.body["Code"] == "SignatureNonceUsed"
    assert (throttled.status, throttled.headers["x-acs-retry-after"]) == (400, "20")
    assert "<Code>X</Code>" in error.text


def test_faults_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="unknown fault 'earthquake', known are reset"):
        Fault("earthquake")
    with pytest.raises(ValueError, match="a 'reset' fault does not take status"):
        Fault("reset", status=500)


def test_connections_are_kept_alive_and_end_with_the_service(raw: Raw) -> None:
    connection = http.client.HTTPConnection(raw.host)
    for dummy in range(3):
        request = raw.signed()
        connection.request("POST", "/?RegionCode=cn-hangzhou&InstanceName=rm-bp1abc", headers=request.headers)
        assert json.load(connection.getresponse())["Success"] == "true"

    assert raw.service.connections == 1
    assert {call.connection for call in raw.service.calls} == {1}
    assert isinstance(connection.sock, socket.socket)
    connection.sock.settimeout(LIMIT)
    raw.service.__exit__()
    assert connection.sock.recv(1) == b""
    connection.close()


def test_requests_are_served_concurrently(raw: Raw) -> None:
    together = threading.Barrier(8)
    raw.service.on_call(lambda call: together.wait(LIMIT) and None)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda request: raw.send(request).status, [raw.signed() for dummy in range(8)]))

    assert statuses == [200] * 8


def test_tls(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(hours=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "stand-in.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)

    with StandIn(tls=server) as service:
        doubting = http.client.HTTPSConnection(urlsplit(service.url).netloc)
        with pytest.raises(ssl.SSLCertVerificationError):
            doubting.connect()
        trusting = ssl.create_default_context(cafile=str(pem))
        connection = http.client.HTTPSConnection(urlsplit(service.url).netloc, context=trusting)
        for dummy in range(2):
            connection.request("GET", "/")
            assert json.load(connection.getresponse())["Code"] == "MissingParameter"
        connection.close()
        assert service.url.startswith("https://127.0.0.1:")
        assert service.connections == 2


def test_only_loopback() -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        StandIn(host="0.0.0.0")
