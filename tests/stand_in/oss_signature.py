# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""OSS signatures, versions 1 and 4, in a header or in a URL: how they are made, and what a request says of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal
from urllib.parse import quote

from .model import AccessKey
from .web import Request

Query = Iterable[tuple[str, str]]

V4: Final = "OSS4-HMAC-SHA256"
V4_TIME: Final = "%Y%m%dT%H%M%SZ"
V4_AUTHORIZATION: Final = re.compile(
    V4
    + r" Credential=(?P<credential>[^,\s]+)(,\s*AdditionalHeaders=(?P<also>[^,\s]+))?,\s*Signature=(?P<signature>\w+)"
)
V1_AUTHORIZATION: Final = re.compile(r"OSS (?P<key>[^:\s]+):(?P<signature>\S+)")
V1_SUBRESOURCES: Final = {
    "continuation-token",
    "security-token",
    "response-content-disposition",
    "response-content-type",
}


class MalformedSignature(ValueError):
    pass


@dataclass(frozen=True)
class Resource:
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"/{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Claim:
    """What a request says of its signature. Times are in seconds; only a URL's expires."""

    version: Literal["v1", "v4"]
    key_id: str
    signature: str
    date: float | None
    expires: float | None
    token: str
    stamp: str
    """The date, or for version 1 in a URL the end, as it was signed."""
    scope: str = ""
    also_signed: tuple[str, ...] = ()

    def matches(self, key: AccessKey, request: Request, resource: Resource) -> bool:
        headers = {name.lower(): value.strip() for name, value in request.headers.items()}
        if self.version == "v1":
            expected = sign_v1(key, request.method, headers, self.stamp, resource, request.query)
        else:
            query = [(name, value) for name, value in request.query if name != "x-oss-signature"]
            expected = sign_v4(key, request.method, headers, self.also_signed, self.stamp, self.scope, resource, query)
        return hmac.compare_digest(expected.encode(), self.signature.encode())


def _hmac(secret: bytes, text: str) -> bytes:
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()


def sign_v1(
    key: AccessKey, method: str, headers: Mapping[str, str], stamp: str, resource: Resource, query: Query
) -> str:
    of_oss = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-oss-"))
    named = "&".join(f"{name}={value}" if value else name for name, value in sorted(query) if name in V1_SUBRESOURCES)
    lines = [method, headers.get("content-md5", ""), headers.get("content-type", ""), stamp]
    to_sign = "\n".join([*lines, of_oss + str(resource) + ("?" + named if named else "")])
    return base64.b64encode(hmac.new(key.secret.encode(), to_sign.encode(), hashlib.sha1).digest()).decode()


def sign_v4(
    key: AccessKey,
    method: str,
    headers: Mapping[str, str],
    also_signed: Sequence[str],
    stamp: str,
    scope: str,
    resource: Resource,
    query: Query,
) -> str:
    signed = {
        name: value
        for name, value in headers.items()
        if name.startswith("x-oss-") or name in ("content-type", "content-md5", *also_signed)
    }
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query)
    canonical = "\n".join(
        [
            method,
            quote(str(resource), safe="/"),
            "&".join(f"{name}={value}" if value else name for name, value in pairs),
            "".join(f"{name}:{value}\n" for name, value in sorted(signed.items())),
            ";".join(also_signed),
            headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD"),
        ]
    )
    to_sign = "\n".join([V4, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = ("aliyun_v4" + key.secret).encode()
    for part in scope.split("/"):
        secret = _hmac(secret, part)
    return _hmac(secret, to_sign).hex()


def presign(
    version: Literal["v1", "v4"], key: AccessKey, resource: Resource, region: str, now: float, seconds: float
) -> list[tuple[str, str]]:
    """The query of a URL that lets anybody GET the object for so long."""
    if version == "v1":
        token = [("security-token", key.token)] if key.token else []
        expires = str(int(now + seconds))
        signature = sign_v1(key, "GET", {}, expires, resource, token)
        return [("Expires", expires), ("OSSAccessKeyId", key.id), ("Signature", signature), *token]
    stamp = datetime.fromtimestamp(now, UTC).strftime(V4_TIME)
    scope = f"{stamp[:8]}/{region}/oss/aliyun_v4_request"
    query = [
        ("x-oss-signature-version", V4),
        ("x-oss-date", stamp),
        ("x-oss-expires", str(int(seconds))),
        ("x-oss-credential", f"{key.id}/{scope}"),
        *([("x-oss-security-token", key.token)] if key.token else []),
    ]
    return [*query, ("x-oss-signature", sign_v4(key, "GET", {}, (), stamp, scope, resource, query))]


def claim_of(request: Request) -> Claim | None:
    """None for an anonymous request."""
    query = dict(request.query)
    authorization = request.header("authorization")
    try:
        if match := V4_AUTHORIZATION.fullmatch(authorization):
            stamp, token = request.header("x-oss-date"), request.header("x-oss-security-token")
            return _v4(match["credential"], match["signature"], match["also"] or "", stamp, None, token)
        if query.get("x-oss-signature-version") == V4:
            also = query.get("x-oss-additional-headers", "")
            token = query.get("x-oss-security-token", "")
            seconds = int(query["x-oss-expires"])
            return _v4(query["x-oss-credential"], query["x-oss-signature"], also, query["x-oss-date"], seconds, token)
        if match := V1_AUTHORIZATION.fullmatch(authorization):
            stamp = request.header("x-oss-date") or request.header("date")
            date = parsedate_to_datetime(stamp).timestamp()
            token = request.header("x-oss-security-token") or request.header("security-token")
            return Claim("v1", match["key"], match["signature"], date, None, token, stamp)
        if "OSSAccessKeyId" in query:
            stamp, token = query["Expires"], query.get("security-token", "")
            return Claim("v1", query["OSSAccessKeyId"], query["Signature"], None, int(stamp), token, stamp)
    except (KeyError, ValueError):
        raise MalformedSignature from None
    if authorization:
        raise MalformedSignature
    return None


def _v4(credential: str, signature: str, also: str, stamp: str, seconds: int | None, token: str) -> Claim:
    key_id, dummy, scope = credential.partition("/")
    date = datetime.strptime(stamp, V4_TIME).replace(tzinfo=UTC).timestamp()
    if not re.fullmatch(rf"{stamp[:8]}/[^/]+/oss/aliyun_v4_request", scope):
        raise MalformedSignature
    expires = None if seconds is None else date + seconds
    return Claim("v4", key_id, signature, date, expires, token, stamp, scope, tuple(also.split(";")) if also else ())
