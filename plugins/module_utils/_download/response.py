# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Parser for responses of a storage: the object in them, or the error."""

from __future__ import annotations

import http.client
import re
import typing as t
from urllib.parse import urljoin

from .._base.errors import BackupError, ConfigurationError, InvalidResponseError
from . import tuning
from .errors import (
    ObjectChangedError,
    StorageRejectedError,
    StorageUnavailableError,
    WrongPartError,
)
from .link import Link
from .object_info import ObjectInfo
from .rejection import verdict_on

CHANGED = "the object was changed during the download"

_INVALID_HINT = "A proxy may have answered instead of the storage, or the server does not behave as OSS does"

E = t.TypeVar("E", bound=InvalidResponseError)


def object_info(response: http.client.HTTPResponse, size: int) -> ObjectInfo:
    """Description of the object in a response. ``size``: bytes of the whole object."""

    def header(name: str) -> str:
        return response.headers.get(name, "").strip()

    crc64 = header("x-oss-hash-crc64ecma")
    modified = header("Last-Modified")
    # Times have whole seconds: within the same one, it can be replaced once more.
    if modified == header("Date"):
        modified = ""
    md5 = header("Content-MD5")
    # OSS means the whole object; other servers mean the part that they send.
    if not header("x-oss-request-id"):
        md5 = ""
    return ObjectInfo(
        size,
        header("ETag"),
        crc64=int(crc64) if re.fullmatch(r"[0-9]{1,20}", crc64) else None,
        last_modified=modified,
        md5=md5,
        version_id=header("x-oss-version-id"),
        object_type=header("x-oss-object-type"),
    )


def refusal(response: http.client.HTTPResponse, text: str) -> BackupError:
    """The error of a response. ``text``: the beginning of its body."""
    status = response.status
    code = _element(text, "Code")
    message = _element(text, "Message")
    request_id = _element(text, "RequestId")
    if not request_id:
        request_id = response.headers.get("x-oss-request-id", "")
    # Whatever a server calls it: these say that it was too much for it, or too early or too late.
    if status >= 500 or status in (408, 425, 429):
        return StorageUnavailableError(
            code,
            message,
            status=status,
            request_id=request_id,
            retry_after=_retry_after(response),
        )
    verdict = verdict_on(code, message, status, _element(text, "Endpoint"))
    # Servers that ask for a login say no more than that.
    if not code and status in (401, 407):
        code = response.reason
    return StorageRejectedError(
        code,
        message,
        status=status,
        request_id=request_id,
        new_links=verdict.new_links,
        hint=verdict.hint,
    )


def parse_whole(response: http.client.HTTPResponse, host: str) -> ObjectInfo:
    """Parse a response with a whole object. Raises InvalidResponseError."""
    if response.status == 416 or response.length == 0:
        # An empty object has no first byte: some servers refuse any range of it.
        return object_info(response, 0)
    if response.length is None or _is_encoded(response):
        raise invalid_response("an object without its length", response, host)
    kind = response.headers.get("Content-Type", "").lower()
    if "html" in kind or (
        "xml" in kind and response.length < tuning.MAX_ERROR_SIZE
    ):
        raise invalid_response("a page instead of the object", response, host)
    return object_info(response, response.length)


def is_of_empty_object(response: http.client.HTTPResponse) -> bool:
    """Tell whether a range was refused because the object has no bytes."""
    size = re.fullmatch(r"bytes \*/(\d+)", _content_range(response))
    return bool(size and size[1] == "0")


def parse_part(
    response: http.client.HTTPResponse,
    host: str,
    start: int,
    stop: int,
    info: t.Optional[ObjectInfo] = None,
) -> ObjectInfo:
    """Parse a response with the bytes from start up to stop of an object. ``info``: the object that it has to be.

    Raises WrongPartError for another part, or one that may be of another object, InvalidResponseError, or ObjectChangedError.
    """
    # A server may ignore or alter a range: OSS answers 200 with the whole object to one that it does not understand.
    if response.status == 200:
        found = parse_whole(response, host)
        if info is not None and found.is_of(info) is False:
            raise ObjectChangedError(CHANGED)
        raise _wrong_part("the whole object instead of a range", response, host)
    matched = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", _content_range(response))
    if not matched:
        raise _wrong_part(
            "a part without a valid Content-Range", response, host
        )
    first, last, size = map(int, matched.groups())
    is_valid = first <= last < size and response.length == last + 1 - first
    if not is_valid or _is_encoded(response):
        raise _wrong_part("a part of a wrong length", response, host)
    found = object_info(response, size)
    if info is not None:
        _check_identity(response, host, found, info)
    if (first, last + 1) != (start, stop):
        raise _wrong_part("a range that was not requested", response, host)
    return found


def _check_identity(
    response: http.client.HTTPResponse,
    host: str,
    found: ObjectInfo,
    info: ObjectInfo,
) -> None:
    """Raise ObjectChangedError for another object, and WrongPartError where nothing tells."""
    is_same = found.is_of(info)
    if is_same is None:
        before = " and ".join(info.identifying_headers)
        now = " and ".join(found.identifying_headers) or "none of them"
        raise _wrong_part(
            f"a part that may be of another object: the first response had {before}, "
            f"this one has {now}",
            response,
            host,
            "If a proxy removes headers of the storage's responses, let it pass them on, or download without it",
        )
    if not is_same:
        raise ObjectChangedError(CHANGED)


def _is_encoded(response: http.client.HTTPResponse) -> bool:
    """Tell whether the body is compressed for its way: its bytes are not those of the object then."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    return encoding not in ("", "identity")


def redirection_target(response: http.client.HTTPResponse, link: Link) -> Link:
    """The target of a redirection. Raises InvalidResponseError, or ConfigurationError for a target that is not safe."""
    try:
        target = Link(urljoin(link.url, response.headers.get("Location", "")))
    except (ConfigurationError, ValueError):
        raise invalid_response(
            "a redirect without a valid address", response, link.host
        ) from None
    if link.scheme == "https" and target.scheme == "http":
        raise ConfigurationError(
            f"{link.host} redirects from https to http, which would expose the link."
        )
    return target


def invalid_response(
    what: str, response: http.client.HTTPResponse, host: str
) -> InvalidResponseError:
    """The error for a response that is not one of a storage."""
    return _error(InvalidResponseError, what, response, host, _INVALID_HINT)


def _wrong_part(
    what: str, response: http.client.HTTPResponse, host: str, hint: str = ""
) -> WrongPartError:
    return _error(WrongPartError, what, response, host, hint or _INVALID_HINT)


def _error(
    kind: type[E],
    what: str,
    response: http.client.HTTPResponse,
    host: str,
    hint: str,
) -> E:
    return kind(
        f"{host} answered with {what} (HTTP {response.status})",
        status=response.status,
        request_id=response.headers.get("x-oss-request-id", ""),
        hint=hint,
    )


def _content_range(response: http.client.HTTPResponse) -> str:
    return response.headers.get("Content-Range", "").strip()


def _element(text: str, name: str) -> str:
    """The text of an element of XML, which may be cut off. Empty if there is none."""
    found = re.search(rf"<{name}>([^<]{{0,4096}})</{name}>", text)
    if not found:
        return ""
    return found[1].strip()


def _retry_after(response: http.client.HTTPResponse) -> float:
    """Seconds that the storage asks to wait. A date, which is allowed as well, counts for none."""
    given = response.headers.get("Retry-After", "")
    if not re.fullmatch(r"[0-9]{1,4}", given):
        return 0.0
    return float(given)
