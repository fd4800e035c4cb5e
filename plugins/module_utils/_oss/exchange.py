# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Requests of the package alibabacloud-oss-v2, by our own session.

So options of the connection mean the same here as anywhere else, and errors are ours.
"""

from __future__ import annotations

import re
import time
import typing as t
from urllib.parse import urlsplit

from .._base.errors import BackupError, InvalidResponseError
from .._base.requests_import import requests
from .._transport.client import USER_AGENT
from .._transport.errors import RetryAction, ServiceError, classify
from .._transport.hints import hint_for
from .._transport.session import Session

if t.TYPE_CHECKING:
    from .._base.http_options import HttpOptions
    from .._transport.response import Response

#: The package counts attempts as well, but not by page: ``is_error_retryable`` ends them long before.
_MAX_ATTEMPTS = 1 << 30


class Exchange:
    """The HTTP client and the retryer of the package in one: these methods are its interface."""

    def __init__(self, url: str, connection: HttpOptions) -> None:
        self.host = urlsplit(url).netloc
        self._session = Session(
            url, connection, {"User-Agent": USER_AGENT}, option="oss_endpoint"
        )
        self._policy = connection.retry
        self._begin_page()

    def _begin_page(self) -> None:
        self.attempts = 0
        self._began = time.monotonic()
        self._deadline = self._began + self._policy.timeout

    @property
    def elapsed(self) -> float:
        """Seconds since the first request for the present page."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def send(self, request: t.Any, **_unused: t.Any) -> _SdkResponse:
        """Send a request of the package once."""
        self.attempts += 1
        prepared = requests.Request(
            request.method,
            request.url,
            dict(request.headers),
            data=request.body,
            # The package has signed already, and without a login requests would look for one in ~/.netrc.
            auth=_unchanged,
        )
        left = self._deadline - time.monotonic()
        response = self._session.send(prepared, left)
        if not response.header("content-type").endswith("/xml"):
            raise invalid_list(response)
        if response.status < 300:
            self._begin_page()
        return _SdkResponse(request, response)

    def max_attempts(self) -> int:
        """The largest number of attempts."""
        return _MAX_ATTEMPTS

    def is_error_retryable(self, error: t.Any) -> bool:
        """Tell whether a request is worth another attempt, and may have one."""
        if time.monotonic() >= self._deadline:
            return False
        retries = self._policy.retries
        action = classify(self.failure(error))
        # A storage that has us wait in turn is there, and its time is bounded by the total.
        if action is RetryAction.THROTTLED:
            return retries > 0
        return action is RetryAction.WAIT and self.attempts <= retries

    def retry_delay(self, attempt: int, error: t.Any) -> float:
        """Seconds to wait before the next attempt."""
        asked = getattr(self.failure(error), "retry_after", None)
        pause = self._policy.pause(attempt - 1, asked)
        left = self._deadline - time.monotonic()
        return max(0.0, min(pause, left))

    def failure(self, error: t.Any) -> BackupError:
        """Translate an error of the package into one of ours."""
        # Errors are wrapped in others, and in the end there is one of ours, or one with a response.
        while not isinstance(error, BackupError) and not hasattr(
            error, "status_code"
        ):
            inner = error.__cause__
            if hasattr(error, "unwrap"):
                inner = error.unwrap()
            if inner is None or inner is error:
                return invalid_list()
            error = inner
        if isinstance(error, BackupError):
            return error
        code = error.code or ""
        return ServiceError(
            code,
            error.message or "",
            status=error.status_code or 0,
            request_id=error.request_id or "",
            hint=_region_hint(error) or _hint(code),
        )


def invalid_list(response: t.Optional[Response] = None) -> InvalidResponseError:
    """The error for a response that is no list of objects."""
    message = "the response has no list of objects"
    status = 200
    request_id = ""
    if response:
        status = response.status
        request_id = response.header("x-oss-request-id")
        message += f" (HTTP {status}, {response.summary})"
    return InvalidResponseError(
        message,
        status=status,
        request_id=request_id,
        hint="Check oss_endpoint: another server may have answered instead of OSS",
    )


def _hint(code: str) -> str:
    if code == "NoSuchBucket":
        return "Check bucket, oss_region and region"
    return hint_for(code, "oss:ListObjects")


def _region_hint(error: t.Any) -> str:
    """The hint for a bucket in another region than the requested one; empty if that is not the cause."""
    # The package has misspelt the name of what else the response holds.
    details = error.error_fileds or {}
    endpoint = str(details.get("Endpoint") or "").strip()
    is_host = re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", endpoint)
    if error.code == "NoSuchBucket" or not is_host:
        return ""
    cure = f"oss_endpoint to {endpoint}"
    region = re.fullmatch(
        r"oss-([a-z0-9-]+?)(-internal)?\.aliyuncs\.com", endpoint
    )
    if region:
        cure = f"oss_region to {region[1]}"
    return f"The bucket is at {endpoint}: set {cure}"


def _unchanged(request: t.Any) -> t.Any:
    return request


class _SdkResponse:
    """A response in the shape that the package expects."""

    is_closed = is_stream_consumed = True

    def __init__(self, request: t.Any, response: Response) -> None:
        self.request = request
        self.status_code = response.status
        # The package looks them up in whatever case.
        self.headers = requests.structures.CaseInsensitiveDict(response.headers)
        self.reason = ""
        self.content = response.body

    def read(self) -> bytes:
        """The body, which is read already."""
        return self.content

    def close(self) -> None:
        """Nothing to close, as the body is read already."""
