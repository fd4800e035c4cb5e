# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a service, a storage or a proxy quotes of links and keys, and wherever: it is shown nowhere, and the rest of it is.

Each place that can quote something, each form of a secret, and each way out of the collection.
"""

from __future__ import annotations

import base64
import html
import http.server
import json
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base import text
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError, foreseen
from ansible_collections.apsaradb.backup.plugins.module_utils._modules.dbs_download_location_info import (
    LOCATION_SPEC,
    LocationRequest,
    locate,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._plugin.options import completed
from ansible_collections.apsaradb.backup.plugins.plugin_utils._progress import show

KEY_ID = "TESTkeyid0123456"
KEY = "kEy+of/the=account0123456789"
TOKEN = "CAISo1token+of/the=role0123456789"
LINK = (
    "http://dbs-1.oss-cn-hangzhou.aliyuncs.com/dt-1/a.tar.gz?OSSAccessKeyId=TMP.ofTheLink&Expires=1767225600"
    "&Signature=vjbyPxybdZaNmGa%2Bx4%3D&security-token=linkTokenOfTheService"
)
LINK_V4 = (
    "https://dbs-1.oss-cn-hangzhou.aliyuncs.com/dt-1/a.tar.gz?x-oss-credential=TMP.ofTheLink%2F20260101&x-oss-date=20260101T000000Z"
    "&x-oss-signature=77dc0ffee0123456789&x-oss-security-token=linkTokenOfTheService"
)
#: What is left of none of them, in no encoding.
CORES = (
    KEY_ID,
    "account0123456789",
    "role0123456789",
    "ofTheLink",
    "vjbyPxybdZaNmGa",
    "linkToken",
    "77dc0ffee",
    "hunter2",
)

FORMS: dict[str, str] = {
    "a link": LINK,
    "a link of V4": LINK_V4,
    "a link in capitals": LINK.replace("http://", "HTTP://").replace("Signature", "SIGNATURE"),
    "a link without a scheme": LINK.removeprefix("http://"),
    "a protocol-relative link": LINK.removeprefix("http:"),
    "a link in HTML": html.escape(LINK),
    "a link, encoded": quote(LINK, safe=""),
    "a link, encoded twice": quote(quote(LINK_V4, safe=""), safe=""),
    "a link in JSON": json.dumps({"PublicUrl": LINK}).replace("/", "\\/"),
    "a query": LINK_V4.partition("?")[2],
    "a login": "http://operator:hunter2@proxy.example:3128/",
    "the ID of the key": KEY_ID,
    "the key": KEY,
    "the key, encoded": quote(KEY, safe=""),
    "the key in Base64": base64.b64encode(f"x:{KEY}:y".encode()).decode(),
    "the token": TOKEN,
    "the token, encoded": quote(quote(TOKEN, safe=""), safe=""),
    "a signed header": f"Authorization: ACS3-HMAC-SHA256 Credential={KEY_ID},SignedHeaders=host;date,Signature=77dc0ffee0123456789",
}
ENCODED_KEY = base64.b64encode(f"x:{KEY}:y".encode()).decode()[8:24]
BEFORE, AFTER = "It said before", "and after it"


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    reason: str = "OK"


class Quoting(http.server.ThreadingHTTPServer):
    """A service, a storage and a proxy that answers all that it is asked with the same."""

    answer = Answer()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_unused: Any) -> None:
        pass

    def do_GET(self) -> None:
        answer: Answer = self.server.answer  # type: ignore[attr-defined]
        self.send_response(answer.status, answer.reason)
        for name, value in (("Content-Type", answer.kind), ("Content-Length", str(len(answer.body))), *answer.headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_POST = do_CONNECT = do_HEAD = do_GET


@pytest.fixture(scope="module")
def server() -> Iterator[Quoting]:
    with Quoting() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment: Ansible itself masks those in options."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", KEY)
    monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", TOKEN)


# Where something can be quoted: the answer, and whether people read what stands around it


def refusal(**fields: Any) -> Answer:
    body = {"Code": "Odd.Code", "Message": "No.", "RequestId": "5D28", **fields}
    return Answer(400, json.dumps(body).encode())


def in_xml(name: str, said: str) -> Answer:
    fields = {"Code": "OddCode", "Message": "No.", "RequestId": "5D28", name: said}
    body = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return Answer(403, f"<?xml version='1.0'?><Error>{body}</Error>".encode(), "text/xml")


def listed(**fields: Any) -> Answer:
    """A task and a backup set, with fields that nobody knows."""
    task = {"TaskId": "dt-1", "DownloadStatus": "finished", "GmtCreate": "1663321957000", "TargetType": "URL", **fields}
    backup = {"BackupId": "1482610001", "BackupStatus": "Success", "BackupStartTime": "2026-01-01T00:00:00Z", **fields}
    data = {"Content": {"List": [task]}, "TotalElements": 1, "PageSize": 100}
    answer = {
        "Success": "true",
        "RequestId": "5D28",
        "Data": data,
        "Items": {"Backup": [backup]},
        "TotalRecordCount": 1,
    }
    return Answer(200, json.dumps(answer).encode())


READ: dict[str, Callable[[str], Answer]] = {
    "the message": lambda said: refusal(Message=said),
    "the message of a business error": lambda said: refusal(Message=said, Success="false")._replace(status=200),
    "the message in XML": lambda said: in_xml("Message", said),
    "the title of a page": lambda said: Answer(
        403, f"<html><title>{escape(said)}</title></html>".encode(), "text/html"
    ),
}
UNREAD: dict[str, Callable[[str], Answer]] = {
    "the code": lambda said: refusal(Code=said),
    "the request ID": lambda said: refusal(RequestId=said),
    "other fields of an error": lambda said: refusal(HostId=said, Recommend=said, Data={"Url": said}),
    "the denied action": lambda said: refusal(
        Code="NoPermission",
        AccessDeniedDetail={"AuthAction": said, "PolicyType": said, "EncodedDiagnosticMessage": said},
    ),
    "the code in XML": lambda said: in_xml("Code", said),
    "other elements of an error": lambda said: in_xml("StringToSign", said),
    "the type of a body": lambda said: Answer(403, b"pong", said),
    "a body that is none": lambda said: Answer(403, said.encode()),
    "a redirection": lambda said: Answer(302, headers=(("Location", said),)),
    "a header": lambda said: refusal()._replace(headers=(("x-acs-request-id", said), ("Server", said))),
    "the reason": lambda said: Answer(403, b"pong", "text/plain", reason=said),
    "a field": lambda said: listed(
        Remark=said, TargetPath=said, DownloadStatus=said, BackupStatus=said, EngineVersion=said
    ),
    "what is nested in a field": lambda said: listed(More=[{"Links": {"First": [said]}}, {"Text": f"x {said}"}]),
    "a field of an unknown name": lambda said: listed(**{said: "x"}),
}
PLACES = {**READ, **UNREAD}

# Ways out

INSTANCE = "rm-bp1a2b3c4d5e6f7g8"
WAYS: dict[str, dict[str, Any]] = {
    "info": {"instance_name": INSTANCE},
    "wait": {"instance_name": INSTANCE, "timeout": 0.0},
    "location_info": {"instance_name": INSTANCE, "task_ids": ["dt-1"]},
    "task": {"instance_name": INSTANCE, "backup_set_id": "1482610001", "format": "CSV", "_ansible_check_mode": True},
    "backups": {"instance_name": INSTANCE, "rds_endpoint": "URL"},
    "support": {"instance_name": INSTANCE},
    "download": {"url": f"URL/a.tar.gz?{LINK.partition('?')[2]}", "dest": "TMP/file", "force": True},
}


@pytest.fixture
def output(request: pytest.FixtureRequest, server: Quoting, tmp_path: Path) -> Callable[..., str]:
    """What a module prints, with the invocation in it that Ansible shows at high verbosity."""

    def run(name: str, **more: Any) -> str:
        module = request.getfixturevalue(name)
        endpoint = {} if name == "download" else {"region": "cn-hangzhou", "endpoint": "URL"}
        arguments = {**endpoint, "max_retries": 0, "request_timeout": 5.0, **WAYS[name], **more}
        module(
            {
                option: value.replace("URL", server.url).replace("TMP", str(tmp_path))
                if isinstance(value, str)
                else value
                for option, value in arguments.items()
            }
        )
        return str(module.output)

    return run


def leaks(shown: str) -> list[str]:
    return [core for core in (*CORES, ENCODED_KEY) if core.casefold() in shown.casefold()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", PLACES)
def test_each_form_at_each_place(output: Callable[..., str], server: Quoting, place: str, form: str) -> None:
    server.answer = PLACES[place](f"{BEFORE} {FORMS[form]} {AFTER}")
    shown = output("info")
    assert not leaks(shown), shown
    if place in READ:
        assert f"{BEFORE} " in shown
        assert f" {AFTER}" in shown


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("place", PLACES)
def test_each_place_of_each_module(output: Callable[..., str], server: Quoting, place: str, name: str) -> None:
    # What fetches a file on a host is never given a key.
    key, masked = ("", "") if name == "download" else (f" {KEY}", f" {text.MASK}")
    server.answer = PLACES[place](f"{BEFORE} {LINK}{key} {AFTER}")
    shown = output(name)
    assert not leaks(shown), shown
    if place in READ and (name != "download" or "XML" in place):
        link = f"http://dbs-1.oss-cn-hangzhou.aliyuncs.com/dt-1/a.tar.gz?{text.MASK}"
        assert f"{BEFORE} {link}{masked} {AFTER}" in shown


#: A module that fetches a file on a host is never given a key.
LINK_FORMS = [form for form in FORMS if "key" not in form and "token" not in form]


@pytest.mark.parametrize("form", LINK_FORMS)
@pytest.mark.parametrize("place", ["the message in XML", "the code in XML", "a redirection", "the reason", "a header"])
def test_each_form_of_the_storage(output: Callable[..., str], server: Quoting, place: str, form: str) -> None:
    server.answer = PLACES[place](f"{BEFORE} {FORMS[form]} {AFTER}")
    if place == "the reason":
        server.answer = server.answer._replace(status=401)
    assert not leaks(output("download"))


@pytest.mark.parametrize(
    ("name", "form"), [*(("info", form) for form in FORMS), *(("download", form) for form in LINK_FORMS)]
)
def test_each_form_of_a_proxy(
    output: Callable[..., str], server: Quoting, name: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.url.replace("//", "//operator:hunter2@"))
    server.answer = Answer(403, b"", "text/plain", reason=f"{BEFORE} {FORMS[form]} {AFTER}")
    there = {
        "info": {"endpoint": "https://dbs-api.example"},
        "download": {"url": f"https://b.example/a?{LINK.partition('?')[2]}"},
    }
    shown = output(name, **there[name])
    assert "could not be used" in shown
    assert not leaks(shown)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", PLACES)
def test_what_the_lookup_says(server: Quoting, place: str, form: str) -> None:
    """And the action plugin: both find files by this."""
    server.answer = PLACES[place](f"{BEFORE} {FORMS[form]} {AFTER}")
    options = {name: option.get("default") for name, option in LOCATION_SPEC.items()}
    options.update(
        region="cn-hangzhou",
        endpoint=server.url,
        max_retries=0,
        request_timeout=5.0,
        instance_name=[INSTANCE],
        bucket="b-1",
    )
    said: list[str] = []
    try:
        said.append(str(locate(LocationRequest.parse(completed(options), ["dt-1"]), said.append)))
    except BackupError as error:
        # All errors of the chain; the lines of code between them hold no values, and take long to format.
        chain = "".join(traceback.format_exception(error, limit=0))
        said += [str(error), repr(error), repr(error.to_dict()), chain]
    assert said
    assert not leaks(" ".join(said)), said


class Display:
    def __init__(self) -> None:
        self.shown = ""

    def display(self, line: str) -> None:
        self.shown += line


@pytest.mark.parametrize("form", FORMS)
def test_lines_of_progress(form: str) -> None:
    text.hide(KEY_ID, KEY, TOKEN)
    display = Display()
    show(display, "db1", [f"{BEFORE} \x1b[31m{FORMS[form]} {AFTER}\n"])
    assert not leaks(display.shown)
    assert display.shown.startswith(f"[db1] {BEFORE} \\x1b[31m")
    assert display.shown.endswith(f"{AFTER}\\n")


def test_an_error_that_was_not_foreseen(
    output: Callable[..., str], server: Quoting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_unused: Any, **more: Any) -> None:
        raise ValueError(f"{BEFORE} {LINK} {AFTER}\x9b31m")

    monkeypatch.setattr("requests.Session.prepare_request", fail)
    shown = output("info")
    said = json.loads(shown)["msg"]
    assert f"Unexpected error: ValueError: {BEFORE} " in said
    assert said.endswith(f"{AFTER}\\x9b31m")
    assert not leaks(shown)


def test_an_error_on_the_controller_that_was_not_foreseen() -> None:
    with pytest.raises(BackupError) as caught, foreseen():
        raise ValueError(f"{BEFORE} {LINK} {AFTER}")
    assert not leaks("".join(traceback.format_exception(caught.value)))
    assert f"ValueError: {BEFORE} " in str(caught.value)
    with pytest.raises(BackupError) as caught, foreseen():
        raise BackupError("As it was")
    assert str(caught.value) == "As it was."


def test_the_cases_are_such(server: Quoting) -> None:
    """Each form does hold a secret, in a way that this can tell."""
    assert all(leaks(form) for form in FORMS.values())
