# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage side, an OSS that is read only: GET and HEAD of objects, ListObjectsV2, errors as XML."""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from .exports import INTERNAL, publish_bucket
from .faults import Fault, from_a_proxy
from .gateway import to_xml
from .objects import CHUNK, StoredObject
from .oss_signature import Claim, MalformedSignature, Resource, claim_of
from .registry import site
from .web import Cut, Reply, Request, Stream

if TYPE_CHECKING:
    from .server import StandIn

CLOCK_TOLERANCE: Final = 15 * 60
HOST: Final = re.compile(r"(?P<bucket>[a-z0-9][a-z0-9-]*)\.oss-[a-z0-9-]+\.aliyuncs\.com(:\d+)?")
RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class Transfer:
    """One request at the storage side."""

    action: str
    bucket: str
    key: str
    internal: bool
    headers: dict[str, str] = field(repr=False)
    connection: int
    at: float
    reply: Reply = field(default_factory=Reply, repr=False)
    status: int | None = None
    """None as long as it has no answer, and for good where the connection was reset before one."""
    code: str | None = None
    fault: str | None = None

    @property
    def range(self) -> str:
        return self.headers.get("range", "")

    @property
    def sent(self) -> int:
        """How many bytes of the object went out."""
        return self.reply.sent if self.status in (200, 206) else 0

    def __str__(self) -> str:
        outcome = f"{self.status or 'reset'} {self.code or ''} {f'({self.fault})' if self.fault else ''}"
        return " ".join([self.action, f"/{self.bucket}/{self.key}", *self.range.split(), "->", *outcome.split()])


class StorageError(Exception):
    def __init__(self, status: int, code: str, message: str, **more: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.more = more


def located(request: Request) -> tuple[Resource, bool]:
    """Which object is meant by the host or the path, and whether by way of the internal network."""
    host, path = request.header("host"), unquote(request.path)
    if match := HOST.fullmatch(host):
        return Resource(match["bucket"], path[1:]), "-internal." in host
    internal = path.startswith(INTERNAL + "/")
    bucket, dummy, key = path.removeprefix(INTERNAL)[1:].partition("/")
    return Resource(bucket, key), internal


def recognises(service: StandIn, request: Request) -> bool:
    if HOST.fullmatch(request.header("host")):
        return True
    if request.path == "/":
        return False
    signed = request.header("authorization").startswith("OSS") or any(
        name in ("OSSAccessKeyId", "x-oss-signature-version") for name, dummy in request.query
    )
    return signed or service.objects.has_bucket(located(request)[0].bucket)


@site(lambda service, request: service.leads_elsewhere(request.path))
def redirection(service: StandIn, request: Request) -> Reply:
    return Reply(302, b"", "text/html", {"Location": service.location_of(request.path)})


@site(recognises)
def storage(service: StandIn, request: Request) -> Reply:
    service.pause(service.latency)
    exchange = Exchange(service, request)
    service.record_transfer(exchange.transfer)
    reply = exchange.answer()
    service.log(exchange.transfer)
    return reply


class Exchange:
    def __init__(self, service: StandIn, request: Request) -> None:
        self._service = service
        self._request = request
        self._query = dict(request.query)
        self._resource, internal = located(request)
        action = (
            "ListObjectsV2" if not self._resource.key else "HeadObject" if request.method == "HEAD" else "GetObject"
        )
        self.transfer = Transfer(
            action=action,
            bucket=self._resource.bucket,
            key=self._resource.key,
            internal=internal,
            headers={name.lower(): value for name, value in request.headers.items()},
            connection=request.connection,
            at=time.time(),
        )
        self._fault = service.faults.take(action)
        self.transfer.fault = self._fault.kind if self._fault else None

    def answer(self) -> Reply:
        try:
            reply = self._serve(self._fault)
        except StorageError as error:
            reply = self._error_reply(error)
        reply.headers.setdefault("Date", formatdate(self._now(), usegmt=True))
        if self._fault and self._fault.kind == "slow_head":
            seconds = self._fault.seconds
            reply.pause = lambda: self._service.pause(seconds)
        if reply.content_type != "text/html":
            reply.headers["Server"] = "AliyunOSS"
            reply.headers["x-oss-request-id"] = uuid.uuid4().hex[:24].upper()
        self.transfer.reply = reply
        self.transfer.status = None if reply.cut and reply.cut.after is None else reply.status
        return reply

    def _now(self) -> float:
        return time.time() + self._service.clock_offset

    def _serve(self, fault: Fault | None) -> Reply:
        if fault:
            if fault.kind == "reset" and fault.at is None:
                return Reply(cut=Cut())
            if page := from_a_proxy(fault):
                return page
            if "code" in fault.details:
                more = {"Endpoint": fault.endpoint} if fault.details.get("endpoint") else {}
                raise StorageError(fault.status, fault.code, fault.message, **more)
            if fault.kind == "slow":
                self._service.pause(fault.seconds)
        self._check_signature()
        publish_bucket(self._service, self._resource.bucket)
        if not self._service.objects.has_bucket(self._resource.bucket):
            raise StorageError(404, "NoSuchBucket", "The specified bucket does not exist.")
        if self.transfer.action == "ListObjectsV2":
            return self._list()
        if fault and fault.kind == "changed":
            self._service.objects.change(self._resource.bucket, self._resource.key)
        stored = self._service.objects.get(self._resource.bucket, self._resource.key)
        if stored is None:
            raise StorageError(404, "NoSuchKey", "The specified key does not exist.", Key=self._resource.key)
        return self._spoilt(fault, self._object(stored, fault))

    # who asks

    def _check_signature(self) -> None:
        service = self._service
        if self._request.method not in ("GET", "HEAD"):
            raise StorageError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        try:
            claim = claim_of(self._request)
        except MalformedSignature:
            raise StorageError(400, "InvalidArgument", "Authorization header is invalid.") from None
        if claim is None:
            raise StorageError(403, "AccessDenied", "You have no right to access this object because of bucket acl.")
        issued = {key.id: key for key in (service.link_key, service.link_token_key)}
        key = issued.get(claim.key_id) or service.authenticator.find(claim.key_id)
        if key is None or (key.token or "") != claim.token:
            message = "The OSS Access Key Id you provided does not exist in our records."
            raise StorageError(403, "InvalidAccessKeyId", message, OSSAccessKeyId=claim.key_id)
        now = service.clock.now() / 1000 if claim.key_id in issued else self._now()
        if key.expires is not None and now >= key.expires:
            raise StorageError(403, "InvalidAccessKeyId", "The security token you provided has expired.")
        self._check_time(claim, now)
        if claim.key_id in issued and service.is_used_up(claim.signature):
            raise expired(claim, now)
        if not claim.matches(key, self._request, self._resource):
            message = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
            raise StorageError(403, "SignatureDoesNotMatch", message, OSSAccessKeyId=claim.key_id)
        if not key.permits(f"oss:{self.transfer.action}"):
            raise StorageError(403, "AccessDenied", "You have no right to access this object.")

    @staticmethod
    def _check_time(claim: Claim, now: float) -> None:
        if claim.expires is not None and now > claim.expires:
            raise expired(claim, now)
        early = claim.date is not None and claim.date - now > CLOCK_TOLERANCE
        if early or (claim.expires is None and claim.date is not None and now - claim.date > CLOCK_TOLERANCE):
            message = "The difference between the request time and the current time is too large."
            raise StorageError(403, "RequestTimeTooSkewed", message)

    # what is answered

    def _object(self, stored: StoredObject, fault: Fault | None) -> Reply:
        habits = self._service.habits
        self._check_conditions(stored)
        headers = {
            "Accept-Ranges": "bytes",
            "x-oss-object-type": "Normal",
            "x-oss-storage-class": "Standard",
        }
        if habits.object_etag:
            headers["ETag"] = stored.etag
        if habits.object_modified:
            headers["Last-Modified"] = formatdate(stored.modified, usegmt=True)
        if habits.object_version:
            headers["x-oss-version-id"] = stored.version
        if habits.object_crc:
            headers["x-oss-hash-crc64ecma"] = str(stored.crc64)
        part = range_of(self._request.header("range"), stored.size)
        if fault and fault.kind == "whole":
            part = None
        start, stop = part or (0, stored.size)
        if part:
            claimed = fault.offset if fault and fault.kind == "wrong_range" else 0
            headers["Content-Range"] = f"bytes {start + claimed}-{stop - 1 + claimed}/{stored.size}"
        body = Stream(stop - start, self._paced(stored, start, stop, fault))
        return Reply(206 if part else 200, body, "application/octet-stream", headers)

    def _check_conditions(self, stored: StoredObject) -> None:
        """Of one that does not say what it is, nothing is asked."""
        habits = self._service.habits
        etag, since = self._request.header("if-match"), self._request.header("if-unmodified-since")
        is_another = habits.object_etag and etag and etag.strip('"') != stored.etag.strip('"')
        is_newer = habits.object_modified and since and int(stored.modified) > parsedate_to_datetime(since).timestamp()
        if is_another or is_newer:
            message = "At least one of the pre-conditions you specified did not hold."
            condition = "If-Match" if is_another else "If-Unmodified-Since"
            raise StorageError(412, "PreconditionFailed", message, Condition=condition)

    def _paced(self, stored: StoredObject, start: int, stop: int, fault: Fault | None) -> Iterator[bytes]:
        """By the rate as it is at the time, which may be changed meanwhile."""
        due = time.monotonic()
        while start < stop:
            rate = fault.rate if fault and fault.kind == "crawl" else self._service.rate_of(self._request.connection)
            step = CHUNK if rate is None else min(CHUNK, max(1, int(rate / 20)))
            chunk = stored.chunk(start, stop, step)
            if rate is None:
                due = time.monotonic()
            else:
                self._service.pause(due - time.monotonic())
                due += len(chunk) / rate
            yield chunk
            start += len(chunk)

    def _spoilt(self, fault: Fault | None, reply: Reply) -> Reply:
        if fault is None or not isinstance(reply.body, Stream):
            return reply
        middle = len(reply.body) // 2
        at = fault.details.get("at")
        if fault.kind == "whole":
            reply.cut = None if at is None else Cut(at, reset=False)
            return reply
        at = middle if at is None else min(at, max(0, len(reply.body) - 1))
        if fault.kind in ("reset", "truncated"):
            reply.cut = Cut(at, reset=fault.kind == "reset")
        elif fault.kind == "stall":
            reply.body = Stream(len(reply.body), self._stalled(split(reply.body.chunks, at), at, fault.seconds))
        elif fault.kind == "flipped":
            reply.body = Stream(len(reply.body), flipped(split(reply.body.chunks, at), at))
        return reply

    def _stalled(self, chunks: Iterator[bytes], at: int, seconds: float) -> Iterator[bytes]:
        sent = 0
        for chunk in chunks:
            if sent == at:
                self._service.pause(seconds)
            yield chunk
            sent += len(chunk)

    def _list(self) -> Reply:
        canned = self._service.take_canned("ListObjectsV2")
        if canned is not None:
            return Reply(200, canned, "application/xml")
        prefix, delimiter = self._query.get("prefix", ""), self._query.get("delimiter", "")
        after = self._query.get("continuation-token") or self._query.get("start-after", "")
        after = unquote(after) if "continuation-token" in self._query else after
        limit = min(1000, int(self._query.get("max-keys") or 100))
        encoded = quote if self._query.get("encoding-type") == "url" else str
        contents: list[Mapping[str, Any]] = []
        folders: list[Mapping[str, str]] = []
        last, truncated = "", False
        for key in self._service.objects.keys(self._resource.bucket, prefix):
            inside, folded, dummy = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            name = prefix + inside + folded if folded else key
            if name <= after or name == last:
                continue
            if len(contents) + len(folders) == limit:
                truncated = True
                break
            last = name
            if folded:
                folders.append({"Prefix": encoded(name)})
            elif stored := self._service.objects.get(self._resource.bucket, key):
                contents.append(
                    {
                        "Key": encoded(key),
                        "LastModified": iso(stored.modified),
                        "ETag": stored.etag,
                        "Type": "Normal",
                        "Size": stored.size,
                        "StorageClass": "Standard",
                    }
                )
        result = {
            "Name": self._resource.bucket,
            "Prefix": encoded(prefix),
            "MaxKeys": limit,
            "Delimiter": encoded(delimiter),
            **({"EncodingType": "url"} if encoded is quote else {}),
            "IsTruncated": str(truncated).lower(),
            **({"NextContinuationToken": quote(last)} if truncated else {}),
            "Contents": contents,
            "CommonPrefixes": folders,
            "KeyCount": len(contents) + len(folders),
        }
        return self._xml(200, "ListBucketResult", result)

    def _error_reply(self, error: StorageError) -> Reply:
        self.transfer.code = error.code
        body = {
            "Code": error.code,
            "Message": error.message,
            "RequestId": uuid.uuid4().hex[:24].upper(),
            "HostId": self._request.header("host"),
            **error.more,
        }
        reply = self._xml(error.status, "Error", body)
        if self._request.method == "HEAD" and isinstance(reply.body, bytes):
            reply.headers["x-oss-err"] = base64.b64encode(reply.body).decode()
        return reply

    @staticmethod
    def _xml(status: int, name: str, body: Mapping[str, Any]) -> Reply:
        document = '<?xml version="1.0" encoding="UTF-8"?>\n' + to_xml(name, body)
        return Reply(status, document.encode(), "application/xml")


def expired(claim: Claim, now: float) -> StorageError:
    return StorageError(
        403, "AccessDenied", "Request has expired.", Expires=iso(claim.expires or now), ServerTime=iso(now)
    )


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def range_of(header: str, size: int) -> tuple[int, int] | None:
    """Where the part begins and ends; None, for all of it, without a range and with one that is not within the object."""
    match = RANGE.fullmatch(header)
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = size - int(last), size - 1
    else:
        start, end = int(first), int(last) if last else size - 1
    return (start, end + 1) if 0 <= start <= end < size else None


def split(chunks: Iterator[bytes] | Any, at: int) -> Iterator[bytes]:
    """The same bytes, with one chunk's end at this place."""
    sent = 0
    for chunk in chunks:
        if sent < at < sent + len(chunk):
            yield chunk[: at - sent]
            yield chunk[at - sent :]
        else:
            yield chunk
        sent += len(chunk)


def flipped(chunks: Iterator[bytes], at: int) -> Iterator[bytes]:
    """The same bytes, save one bit of the one at this place."""
    sent = 0
    for chunk in chunks:
        yield bytes([chunk[0] ^ 1]) + chunk[1:] if sent == at and chunk else chunk
        sent += len(chunk)
