# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links that are refused: which of them a new one cures, and what to do where none does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._download.errors import StorageRejectedError
from ansible_collections.apsaradb.backup.plugins.module_utils._download.link import Link
from ansible_collections.apsaradb.backup.plugins.module_utils._download.rejection import EXPIRED, FINAL, UNCLEAR
from ansible_collections.apsaradb.backup.plugins.module_utils._download.transfer import Transfer
from ansible_collections.apsaradb.backup.plugins.module_utils._download.types import TransferOptions, TransferStats
from downloads import Renewing
from stand_in import Fault, StandIn, exports

MIB = 1 << 20
SIZE = 5 * MIB


# the table of what OSS documents

KEY, OBJECT, ACCOUNT, REGION = "get a new one", "archived: restore it", "unpaid bills", "check region, oss_region"
POLICY, GRANT = "check that policy", "Grant oss:GetObject"


@pytest.mark.parametrize(
    ("status", "code", "message", "links", "words"),
    [
        # V1 and V4 presigned links say the same; S3 and others have codes of their own.
        (403, "AccessDenied", "Request has expired.", EXPIRED, "5 new links in a row had expired"),
        (403, "SecurityTokenExpired", "The security token you provided has expired.", EXPIRED, "5 new links"),
        (403, "InvalidAccessKeyId", "The security token you provided has expired.", EXPIRED, "5 new links"),
        (400, "ExpiredToken", "The provided token has expired.", EXPIRED, "5 new links"),
        (403, "AuthenticationFailed", "Signature not valid in the specified time frame", EXPIRED, "5 new links"),
        (403, "InvalidSecurityToken", "The security token you provided is invalid.", UNCLEAR, KEY),
        (403, "InvalidAccessKeyId", "The OSS Access Key Id you provided is disabled.", UNCLEAR, KEY),
        (403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", UNCLEAR, KEY),
        (
            403,
            "AccessKeyIdAndSecurityTokenNotMatch",
            "The OSS access key id and security token you provided does not match",
            UNCLEAR,
            KEY,
        ),
        (403, "AccessDenied", "", UNCLEAR, "If the link has expired"),
        (403, "SomethingNew", "Nobody knows", UNCLEAR, "If the link has expired"),
        (403, "SignatureDoesNotMatch", "The request signature we calculated does not match", FINAL, "as it was issued"),
        (403, "InvalidObjectState", "The operation is not valid for the object's state.", FINAL, OBJECT),
        (403, "UserDisable", "UserDisable", FINAL, ACCOUNT),
        (403, "InDebt", "Current user is indebted", FINAL, ACCOUNT),
        (403, "InDebtOverdue", "Current user is indebted Overdue", FINAL, ACCOUNT),
        (403, "AbnormalBucketOwnerStatus", "The status of the bucket owner is abnormal", FINAL, ACCOUNT),
        (403, "BucketDisable", "BucketDisable", FINAL, ACCOUNT),
        (403, "RequestTimeTooSkewed", "The difference between the request time and the current time", FINAL, "clock"),
        (
            403,
            "AccessDenied",
            "The bucket you are attempting to access must be addressed using the specified endpoint.",
            FINAL,
            REGION,
        ),
        (403, "PermanentRedirect", "Please send all future requests to this endpoint", FINAL, REGION),
        (403, "SecondLevelDomainForbidden", "Please use virtual hosted style to access.", FINAL, REGION),
        (
            403,
            "AccessDenied",
            "Access denied by VPC endpoint policy",
            FINAL,
            "A policy of this host's VPC",
        ),
        (403, "AccessDenied", "Access denied by bucket policy.", FINAL, POLICY),
        (403, "AccessDenied", "Access denied by authorizer's policy.", FINAL, GRANT),
        (403, "AccessDenied", "You have no right to access this object because of bucket acl.", FINAL, GRANT),
        (403, "AccessDenied", "You have no right to access this object.", FINAL, GRANT),
        (403, "AccessDenied", "The bucket you access does not belong to you.", FINAL, GRANT),
        (403, "BucketNotBelongTo", "The bucket you access does not belong to you", FINAL, GRANT),
        (403, "AccessDenied", "You are denied by bucket referer policy.", FINAL, "allow an empty Referer"),
        (403, "AccessDenied", "This request is forbidden by kms.", FINAL, "use the KMS key"),
        (404, "NoSuchKey", "The specified key does not exist.", FINAL, "three days"),
        (404, "NoSuchBucket", "The specified bucket does not exist.", FINAL, "Check bucket and region"),
        (404, "", "", FINAL, "Check the link"),
        (410, "", "", FINAL, "Check the link"),
        (401, "", "", FINAL, "user name and the password"),
        (405, "MethodNotAllowed", "The specified method is not allowed against this resource.", FINAL, ""),
    ],
)
def test_what_is_said_and_how_many_links_are_asked_for(
    service: StandIn, link: Callable[[], str], status: int, code: str, message: str, links: int, words: str
) -> None:
    waiting = Renewing(link)
    fault = Fault("error", action="GetObject", times=1000, status=status, code=code, message=message)
    service.inject(fault)
    transfer = Transfer(Link(link()), TransferOptions(), waiting, TransferStats())
    with pytest.raises(StorageRejectedError) as caught:
        transfer.probe()
    transfer.close()
    assert waiting.asked == links
    assert len(service.transfers) == 1 + links
    assert words in caught.value.hint
    assert bool(words) == bool(caught.value.hint)
    assert message.rstrip(".") in str(caught.value)
    if code:
        assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.request_id


def test_the_place_that_the_storage_names_is_said(service: StandIn, link: Callable[[], str]) -> None:
    message = "The bucket you are attempting to access must be addressed using the specified endpoint."
    endpoint = "oss-cn-shanghai.aliyuncs.com"
    for named in (endpoint, "<b>no host</b>"):
        details = {"status": 403, "code": "AccessDenied", "message": message, "endpoint": named}
        service.inject(Fault("error", action="GetObject", **details))
        transfer = Transfer(Link(link()), TransferOptions(), Renewing(link), TransferStats())
        with pytest.raises(StorageRejectedError) as caught:
            transfer.probe()
        transfer.close()
        assert (f"the storage names {endpoint}." in str(caught.value)) == (named == endpoint)
        assert "<b>" not in str(caught.value)


def test_other_links_are_tried_for_each_reason(service: StandIn, link: Callable[[], str]) -> None:
    """One that is not the first gets its own."""
    waiting = Renewing(link)
    unclear = Fault("error", action="GetObject", times=1, status=403, code="InvalidSecurityToken", message="It is not")
    service.inject(Fault("expired", times=2), unclear)
    transfer = Transfer(Link(link()), TransferOptions(), waiting, TransferStats())
    assert transfer.probe().size == SIZE
    transfer.close()
    assert waiting.asked == 3


def test_reasons_that_change_all_the_time_come_to_an_end(service: StandIn, link: Callable[[], str]) -> None:
    waiting = Renewing(link)
    for number in range(20):
        service.inject(Fault("error", action="GetObject", status=403, code=f"New{number}", message="Nobody knows"))
    transfer = Transfer(Link(link()), TransferOptions(), waiting, TransferStats())
    with pytest.raises(StorageRejectedError, match="New5"):
        transfer.probe()
    transfer.close()
    assert waiting.asked == EXPIRED


# links that lead elsewhere


@pytest.mark.parametrize("connections", [1, 3])
def test_what_a_link_leads_to_expires(
    fetch: Callable[..., Any],
    service: StandIn,
    link: Callable[[], str],
    data: bytes,
    tmp_path: Path,
    connections: int,
) -> None:
    """Each place is good for one request."""
    service.habits.link_requests = 1
    service.inject(Fault("reset", action="GetObject", at=MIB // 2, times=5, after=1))
    url = service.redirect("/latest", link)
    result = fetch(url=url, connections=connections)
    assert not result.get("failed"), result
    assert (tmp_path / "file").read_bytes() == data
    assert "AccessDenied" in {transfer.code for transfer in service.transfers}
    assert service.redirected >= 3


def test_what_a_link_leads_to_is_gone(
    fetch: Callable[..., Any], service: StandIn, link: Callable[[], str], data: bytes, tmp_path: Path
) -> None:
    """However it says so, and though it says nothing at all."""
    with StandIn() as other:
        task = other.add_task("rm-a", task_id="dt-x")
        other.put_object(task, data)
        stored = service.objects_of(service.account.tasks()[0])[0]
        other.objects_of(task)[0].modified = stored.modified
        places = [exports.link(other, task, 600, internal=False)]
        url = service.redirect("/latest", lambda: places.pop() if places else link())
        other.inject(
            Fault("reset", action="GetObject", at=MIB, after=1),
            Fault("error", action="GetObject", times=1000, status=404, code="NoSuchKey", message="It is gone."),
        )
        result = fetch(url=url, connections=1)
    assert not result.get("failed"), result
    assert (tmp_path / "file").read_bytes() == data
    assert service.redirected == 2


def test_a_link_that_leads_to_what_is_refused_at_once(
    fetch: Callable[..., Any], service: StandIn, link: Callable[[], str]
) -> None:
    service.inject(Fault("expired", times=1000))
    result = fetch(url=service.redirect("/latest", link))
    assert "Request has expired" in result["msg"]
    assert service.redirected == len(service.transfers) == 1


# what was asked for decides what to do


@pytest.mark.parametrize(
    ("asked", "names", "gone", "over"),
    [
        ("url", None, "Check the link. The files of a task", "get a new one"),
        ("task_id", None, "The files of a task are kept for three days", "starts with a new link"),
        ("task_id", ["x"], "check who deletes objects", "starts with a new link"),
        ("oss_path", ["x"], "check who deletes objects", "starts with a new link"),
    ],
)
def test_hints_are_for_what_was_asked(
    download: Any,
    service: StandIn,
    link: Callable[[], str],
    tmp_path: Path,
    asked: str,
    names: list[str] | None,
    gone: str,
    over: str,
) -> None:
    value = {"url": link(), "task_id": "dt-x", "oss_path": "oss://mine/x"}[asked]
    arguments = {asked: value, "dest": f"{tmp_path}/file", "_links": [link()], "_names": names}
    if asked == "url":
        del arguments["_links"]
    arguments = {name: given for name, given in arguments.items() if given is not None}
    missing = Fault("error", action="GetObject", status=404, code="NoSuchKey", message="It is gone.")
    for fault, words in ((missing, gone), (Fault("expired"), over)):
        service.inject(fault)
        result = download(arguments)
        assert words in result["msg"]
        assert ("three days" in result["msg"]) == (fault is missing and not names)
