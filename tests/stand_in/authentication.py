# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ACS3-HMAC-SHA256 as the gateway verifies it: rebuilt from the list of signed headers that came with the request."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from .model import AccessKey
from .registry import GatewayError, Operation
from .web import Request

ALGORITHM: Final = "ACS3-HMAC-SHA256"
CLOCK_TOLERANCE: Final = 15 * 60
REQUIRED_HEADERS: Final = ("x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256")
AUTHORIZATION: Final = re.compile(
    ALGORITHM
    + r" Credential=(?P<id>[^,\s]+),\s*SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]+)"
)


def missing(parameter: str) -> GatewayError:
    message = f"The input parameter {parameter} that is mandatory for processing this request is not supplied."
    return GatewayError(400, "MissingParameter", message)


def incomplete() -> GatewayError:
    return GatewayError(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")


def canonical_request(request: Request, signed_headers: list[str], body_hash: str) -> str:
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(request.query))
    headers = "".join(
        f"{name}:{','.join(sorted(value.strip() for value in request.headers.get_all(name, [])))}\n"
        for name in signed_headers
    )
    return "\n".join([request.method, request.path, query, headers, ";".join(signed_headers), body_hash])


class Authenticator:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, AccessKey] = {}
        self._nonces: set[str] = set()

    def add(self, key: AccessKey) -> AccessKey:
        self._keys[key.id] = key
        return key

    def find(self, key_id: str) -> AccessKey | None:
        return self._keys.get(key_id)

    def check(self, request: Request, now: float) -> AccessKey:
        """Whose request this is, or the gateway's error when it is nobody's. `now` is the server's wall clock."""
        if not request.header("authorization"):
            raise missing("Authorization")
        for name in REQUIRED_HEADERS:
            if not request.header(name):
                raise missing(name)
        match = AUTHORIZATION.fullmatch(request.header("authorization"))
        if not match:
            raise incomplete()
        signed_headers = match["signed"].split(";")
        must_be_signed = {"host", *(name.lower() for name in request.headers if name.lower().startswith("x-acs-"))}
        if not must_be_signed.issubset(signed_headers) or not all(name in request.headers for name in signed_headers):
            raise incomplete()
        self._check_date(request.header("x-acs-date"), now)
        key = self._keys.get(match["id"])
        if key is None:
            raise GatewayError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        self._check_token(key, request.header("x-acs-security-token"), now)
        self._check_signature(key, request, signed_headers, match["signature"])
        self._check_nonce(request.header("x-acs-signature-nonce"))
        return key

    @staticmethod
    def _check_date(text: str, now: float) -> None:
        try:
            date = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            message = "Specified time stamp or date value is not well formatted."
            raise GatewayError(400, "InvalidTimeStamp.Format", message) from None
        if abs(date.timestamp() - now) > CLOCK_TOLERANCE:
            raise GatewayError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")

    def _check_token(self, key: AccessKey, token: str, now: float) -> None:
        if key.token is None and not token:
            return
        if not token:
            raise GatewayError(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
        if token not in (known.token for known in list(self._keys.values())):
            raise GatewayError(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
        if token != key.token:
            message = "Specified SecurityToken mismatch with the AccessKey."
            raise GatewayError(400, "InvalidSecurityToken.MismatchWithAccessKey", message)
        if key.expires is not None and now >= key.expires:
            raise GatewayError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")

    @staticmethod
    def _check_signature(key: AccessKey, request: Request, signed_headers: list[str], signature: str) -> None:
        body_hash = hashlib.sha256(request.body).hexdigest()
        canonical = canonical_request(request, signed_headers, body_hash)
        to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        expected = hmac.new(key.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature) or request.header("x-acs-content-sha256") != body_hash:
            message = "Specified signature does not match our calculation."
            explained = f"{message} server StringToSign is [{to_sign}] server CanonicalRequest is [{canonical}]"
            raise GatewayError(400, "SignatureDoesNotMatch", explained)

    def _check_nonce(self, nonce: str) -> None:
        with self._lock:
            if nonce in self._nonces:
                raise GatewayError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
            self._nonces.add(nonce)


def authorize(key: AccessKey, operation: Operation, denial: str) -> None:
    if key.permits(operation.permission):
        return
    detail: Mapping[str, str] = {
        "AuthAction": operation.permission,
        "AuthPrincipalDisplayName": "runbooks",
        "AuthPrincipalOwnerId": "1234567890123456",
        "AuthPrincipalType": "SubUser",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
        "EncodedDiagnosticMessage": "AQEAAAAAZGVtb25zdHJhdGlvbg==",
    }
    message = f"You are not authorized to do this action. Action: {operation.permission}"
    raise GatewayError(403, denial, message, AccessDeniedDetail=detail)
