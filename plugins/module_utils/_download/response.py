# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What the response of a storage says: of the object, or of why it is not given."""

from __future__ import annotations

import http.client
import re

from .._base.errors import BackupError
from .errors import StorageRejectedError, StorageUnavailableError
from .object_info import ObjectInfo
from .rejection import verdict_on


def object_info(response: http.client.HTTPResponse, size: int) -> ObjectInfo:
    """What a response says of the object. ``size``: of all of it, in bytes."""

    def header(name: str) -> str:
        return response.headers.get(name, "").strip()

    crc = header("x-oss-hash-crc64ecma")
    modified = header("Last-Modified")
    return ObjectInfo(
        size,
        header("ETag"),
        int(crc) if re.fullmatch(r"[0-9]{1,20}", crc) else None,
        # Within the same second it can be replaced once more.
        "" if modified == header("Date") else modified,
        # Others mean the sum of the part that they send.
        header("Content-MD5") if header("x-oss-request-id") else "",
        header("x-oss-version-id"),
        header("x-oss-object-type"),
    )


def refusal(response: http.client.HTTPResponse, text: str) -> BackupError:
    """The error that a response stands for. ``text``: its body, or the beginning of it."""
    found = {name: _element(text, name) for name in ("Code", "Message", "RequestId", "Endpoint")}
    code, message, status = found["Code"], found["Message"], response.status
    request_id = found["RequestId"] or response.headers.get("x-oss-request-id", "")
    if status in (429, 503) or status >= 500 or status in (408, 425):
        return StorageUnavailableError(
            code, message, status=status, request_id=request_id, retry_after=_retry_after(response)
        )
    if not code and status in (401, 407):
        code = f"{response.reason}"
    new_links, hint = verdict_on(found["Code"], message, status, found["Endpoint"])
    return StorageRejectedError(code, message, status=status, request_id=request_id, new_links=new_links, hint=hint)


def is_encoded(response: http.client.HTTPResponse) -> bool:
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]{{0,4096}})</{name}>", text)
    return found[1].strip() if found else ""


def _retry_after(response: http.client.HTTPResponse) -> float:
    given = response.headers.get("Retry-After", "")
    return float(given) if re.fullmatch(r"[0-9]{1,4}", given) else 0.0
