# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Layer 2 for the Object Storage Service (OSS): signed links to what lies under a path of a bucket.

By the official package alibabacloud-oss-v2, which is needed for this alone. It signs and reads; what it sends goes by our
own session, so that the options of the connection mean the same here as anywhere else.
"""

from __future__ import annotations

import datetime
import posixpath
import re
import time
import traceback
import typing as t
from urllib.parse import urlsplit

from .._base.errors import (
    BackupError,
    ConnectionFailedError,
    InvalidResponseError,
    MissingLibraryError,
)
from .._base.requests_import import requests
from .._base.text import hide
from .._transport.client import USER_AGENT
from .._transport.endpoints import is_loopback_url
from .._transport.errors import RetryAction, ServiceError, classify, hint_for
from .._transport.session import Session

if t.TYPE_CHECKING:
    from .._base.http_options import HttpOptions
    from .._transport.credentials import Credential
    from .._transport.response import Response


PACKAGE = "alibabacloud-oss-v2"
_ACTION = "ListObjectsV2"


def object_links(
    bucket: str,
    path: str,
    *,
    region: str,
    private: bool,
    credential: Credential,
    duration: int,
    connection: HttpOptions,
    endpoint: t.Optional[str] = None,
) -> list[tuple[str, str]]:
    """The name and a link, valid for ``duration`` seconds, of each object of the bucket under the path, in the order of names.

    Names are relative to the path; if the path is that of an object, it is the only one. Raises any BackupError.
    """
    try:
        import alibabacloud_oss_v2 as oss
    except ImportError:
        raise MissingLibraryError(
            PACKAGE, "to sign links to objects in a bucket", traceback.format_exc()
        ) from None
    hide(*credential)
    config = oss.config.load_default()
    config.region = region
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(
        credential.access_key_id,
        credential.access_key_secret,
        credential.security_token or None,
    )
    config.use_internal_endpoint = private
    # A bucket cannot stand before an address in numbers.
    config.use_path_style = bool(endpoint) and is_loopback_url(str(endpoint))
    config.endpoint = endpoint
    url = (
        endpoint
        or f"https://{bucket}.oss-{region}{'-internal' if private else ''}.aliyuncs.com"
    )
    config.http_client = config.retryer = exchange = _Exchange(url, connection)
    client = oss.Client(config)
    prefix = path.lstrip("/")
    folder = prefix.rstrip("/") + "/" if prefix else ""
    links = []
    try:
        pages = client.list_objects_v2_paginator().iter_page(
            oss.ListObjectsV2Request(bucket=bucket, prefix=prefix)
        )
        for page in pages:
            # Absent is not empty. A page that says that there are more, but not where, would come again and again.
            is_broken = page.name is None or (
                page.key_count and not page.contents and not page.common_prefixes
            )
            if is_broken or (page.is_truncated and not page.next_continuation_token):
                raise _no_list()
            for found in page.contents or ():
                if found.key == prefix or (
                    found.key.startswith(folder) and not found.key.endswith("/")
                ):
                    request = oss.GetObjectRequest(bucket=bucket, key=found.key)
                    link = client.presign(
                        request, expires=datetime.timedelta(seconds=duration)
                    ).url
                    name = (
                        posixpath.basename(prefix)
                        if found.key == prefix
                        else found.key[len(folder) :]
                    )
                    links.append((name, link))
    except (BackupError, oss.exceptions.BaseError, SyntaxError) as error:
        # The package lets the XML parser's own error through, which is a SyntaxError.
        failure = exchange.failure(error)
        what = f"list the objects under {folder!r}" if folder else "list the objects"
        where = (
            ""
            if isinstance(failure, ConnectionFailedError)
            else f" at {urlsplit(url).netloc}"
        )
        failure.operation = f"{what} in the bucket {bucket!r}{where}"
        failure.action, failure.attempts, failure.elapsed = (
            _ACTION,
            exchange.attempts,
            exchange.elapsed,
        )
        raise failure from None
    finally:
        exchange.close()
    return links


class _Exchange:
    """What the package sends by, and what it asks whether to send again."""

    def __init__(self, url: str, connection: HttpOptions) -> None:
        self._session = Session(
            url, connection, {"User-Agent": USER_AGENT}, option="oss_endpoint"
        )
        self._policy = connection.retry
        self._began = time.monotonic()
        self._deadline = self._began + self._policy.total_timeout
        #: Of the page that is asked for now.
        self.attempts = 0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def close(self) -> None:
        self._session.close()

    def send(self, request: t.Any, **_unused: t.Any) -> _SdkResponse:
        self.attempts += 1
        # A function that adds nothing is a login, too: the package has signed already.
        sent = requests.Request(
            request.method,
            request.url,
            dict(request.headers),
            data=request.body,
            auth=_unchanged,
        )
        answer = self._session.send(sent, self._deadline - time.monotonic())
        if not answer.header("content-type").endswith("/xml"):
            raise _no_list(answer)
        if answer.status < 300:
            self.attempts = 0
        return _SdkResponse(request, answer)

    # whether to send again

    def max_attempts(self) -> int:
        return 1 << 30  # bounded below

    def is_error_retryable(self, error: t.Any) -> bool:
        remedy = classify(self.failure(error))
        # A storage that has us wait in turn is there, and its time is bounded by the total.
        is_left = self.attempts <= self._policy.retries or (
            remedy is RetryAction.THROTTLED and self._policy.retries > 0
        )
        return (
            remedy in (RetryAction.WAIT, RetryAction.THROTTLED)
            and is_left
            and time.monotonic() < self._deadline
        )

    def retry_delay(self, attempt: int, error: t.Any) -> float:
        pause = self._policy.pause(
            attempt - 1, getattr(self.failure(error), "retry_after", None)
        )
        return max(0.0, min(pause, self._deadline - time.monotonic()))

    def failure(self, error: t.Any) -> BackupError:
        """What the package raises, as one of ours."""
        while not isinstance(error, BackupError) and not hasattr(error, "status_code"):
            inner = error.unwrap() if hasattr(error, "unwrap") else error.__cause__
            if inner is None or inner is error:
                return _no_list()
            error = inner
        if isinstance(error, BackupError):
            return error
        code = str(error.code or "")
        return ServiceError(
            code,
            str(error.message or ""),
            status=int(error.status_code or 0),
            request_id=str(error.request_id or ""),
            hint=_elsewhere(error)
            or _HINTS.get(code)
            or hint_for(code, "oss:ListObjects"),
        )


def _no_list(answer: t.Optional[Response] = None) -> InvalidResponseError:
    said = f" (HTTP {answer.status}, {answer.summary})" if answer else ""
    return InvalidResponseError(
        f"the answer holds no list of objects where one belongs{said}",
        status=answer.status if answer else 200,
        request_id=answer.header("x-oss-request-id") if answer else "",
        hint="Check oss_endpoint: another server may have answered in place of OSS",
    )


_HINTS = {"NoSuchBucket": "Check bucket, oss_region and region"}


def _elsewhere(error: t.Any) -> str:
    """What to do about a bucket in another region than that which was asked; empty where it is none."""
    endpoint = str((error.error_fileds or {}).get("Endpoint") or "").strip()
    if error.code == "NoSuchBucket" or not re.fullmatch(
        r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", endpoint
    ):
        return ""
    region = re.fullmatch(r"oss-([a-z0-9-]+?)(-internal)?\.aliyuncs\.com", endpoint)
    return f"The bucket is at {endpoint}: set {f'oss_region to {region[1]}' if region else f'oss_endpoint to {endpoint}'}"


def _unchanged(request: t.Any) -> t.Any:
    return request


class _SdkResponse:
    """An answer in the shape in which the package wants one."""

    is_closed = is_stream_consumed = True

    def __init__(self, request: t.Any, answer: Response) -> None:
        self.request = request
        self.status_code = answer.status
        self.headers = requests.structures.CaseInsensitiveDict(answer.headers)
        self.reason = ""
        self.content = answer.body

    def read(self) -> bytes:
        return self.content

    def close(self) -> None:
        """It is read already."""
